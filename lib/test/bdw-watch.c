// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* libgc's leaks, and objects that are shown before they go: who is watched, and what follows. */
#include "../../selftests/tap.h"
#include "../bdw/debug.h"
#include "../bdw/test/said.h"
#include "mock.h"

#include <gc/gc_disclaim.h>
#include <gc/gc_inline.h>

static unsigned int finalizers(void)
{
	return gch.heap0.backend.status->finalizers;
}

/* ---- what is said */

static bool says(const char *text, const char *format, const void *object)
{
	char line[200];

	snprintf(line, sizeof(line), format, object);
	return strstr(text, line);
}

static void begin_leaks(void)
{
	mock_use();
	listen_to();
	GC_set_find_leak(1);
	GC_init();
}

/* ---- leaks */

TEST(every_object_is_watched)
{
	void *p[6];

	begin_leaks();
	CHECK_EQ(finalizers(), 0);
	p[0] = GC_malloc(10);
	p[1] = GC_malloc(10);
	p[2] = GC_malloc_atomic(500);
	p[3] = GC_malloc(100000);
	p[4] = GC_malloc_uncollectable(10);
	p[5] = GC_debug_malloc(10, "file.c", 7);
	CHECK_EQ(finalizers(), 6);
	for (int i = 0; i < 5; i++)
		GC_free(p[i]);
	GC_debug_free(p[5]);
	CHECK_EQ(finalizers(), 0);
}

TEST(what_moves_stays_watched)
{
	char *p, *q;

	begin_leaks();
	p = GC_malloc(10);
	q = GC_realloc(p, 2000);
	CHECK(q != p);
	CHECK_EQ(finalizers(), 1);
	CHECK(!mock_finalize(p) && mock_finalize(q));
}

TEST(leaks_are_told_of_and_freed)
{
	void *plain, *atomic, *debug;
	const char *text;

	begin_leaks();
	plain = GC_malloc(50);
	atomic = GC_malloc_atomic(50);
	debug = GC_debug_malloc_atomic(50, "file.c", 7);
	CHECK(mock_finalize(plain) && mock_finalize(atomic) && mock_finalize(GC_base(debug)));
	GC_gcollect();
	text = said();
	CHECK(strstr(text, "Found 3 leaked objects:\n") == text);
	CHECK(says(text, "object at %p of appr. 63 bytes (composite)\n", plain));
	CHECK(says(text, "object at %p of appr. 63 bytes (atomic)\n", atomic));
	CHECK(says(text, "%p (file.c:7, sz= 50, PTRFREE)\n", debug));
	GC_gcollect();
	CHECK(!said()[0]);
	CHECK_EQ(finalizers(), 0);
}

/* Collections that the library has not asked for. */
TEST(told_of_by_who_allocates)
{
	void *p;

	begin_leaks();
	p = GC_malloc(50);
	CHECK(mock_finalize(p));
	GC_malloc(200000);
	GC_malloc(16);
	CHECK(strstr(said(), "Found 1 leaked objects:\n"));
}

TEST(more_than_there_is_room_for)
{
	enum { LEAKS = 100 };
	void *p[LEAKS];

	begin_leaks();
	for (int i = 0; i < LEAKS; i++)
		p[i] = GC_malloc(50);
	for (int i = 0; i < LEAKS; i++)
		CHECK(mock_finalize(p[i]));
	GC_gcollect();
	CHECK(strstr(said(), "Found 40 leaked objects:\n"));
	CHECK_EQ(finalizers(), LEAKS - 40);
}

static void finalize(void *object, void *data)
{
}

TEST(objects_from_before)
{
	GC_finalization_proc was = NULL;
	void *old, *finalized;

	mock_use();
	listen_to();
	old = GC_malloc(50);
	finalized = GC_malloc(50);
	GC_register_finalizer_no_order(finalized, finalize, NULL, NULL, NULL);
	GC_set_find_leak(1);
	CHECK(finalizers() >= 2);
	CHECK(mock_finalize(old) && mock_finalize(finalized));
	GC_gcollect();
	CHECK(strstr(said(), "Found 1 leaked objects:\n"));
	GC_set_find_leak(0);
	old = GC_malloc(50);
	GC_register_finalizer_no_order(old, finalize, NULL, &was, NULL);
	CHECK(!was);
}

/* Those that are no longer looked for are not told of, nor known. */
TEST(turned_off)
{
	GC_finalization_proc was = finalize;
	void *p, *q;

	begin_leaks();
	p = GC_malloc(50);
	q = GC_malloc(50);
	GC_register_finalizer_no_order(p, NULL, NULL, &was, NULL);
	CHECK(was == finalize);
	GC_find_leak = 0;
	GC_register_finalizer_no_order(p, NULL, NULL, &was, NULL);
	CHECK(!was);
	CHECK(!mock_finalize(p) && mock_finalize(q));
	GC_gcollect();
	CHECK(!said()[0]);
}

TEST(freed_and_written_to)
{
	char *p, *q;

	begin_leaks();
	bdw_findleak_delay_free = 1;
	p = GC_debug_malloc(50, "file.c", 7);
	q = GC_debug_malloc(50, "file.c", 8);
	GC_debug_free(p);
	GC_debug_free(q);
	p[20] = 1;
	CHECK(mock_finalize(GC_base(p)) && mock_finalize(GC_base(q)));
	GC_gcollect();
	CHECK(says(said(), "GC_check_heap_block: found 1 smashed heap objects:\n %p in or near "
		   "object at ", p + 16));
}

/* ---- objects that are shown */

static int calls;
static bool keep;

static int disclaim(void *object)
{
	CHECK(GC_base(object) == object);
	calls++;
	return keep;
}

static unsigned int make_kind(int mark_from_all)
{
	unsigned int kind;

	mock_use();
	GC_init();
	kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
	GC_register_disclaim_proc(kind, disclaim, mark_from_all);
	return kind;
}

static void die(void *object)
{
	CHECK(mock_finalize(object));
	CHECK_EQ(GC_invoke_finalizers(), 1);
}

/* Dead twice: the first time what it refers to is kept. */
TEST(shown_at_the_second_death)
{
	unsigned int kind = make_kind(1);
	void **p = GC_malloc_kind(48, kind);

	*p = p;
	CHECK_EQ(finalizers(), 1);
	die(p);
	CHECK(calls == 0 && bdw_disclaim_waits() && !bdw_disclaim_waits());
	keep = true;
	die(p);
	CHECK_EQ(calls, 1);
	CHECK_EQ(finalizers(), 1);
	keep = false;
	die(p);
	die(p);
	CHECK_EQ(calls, 2);
	CHECK_EQ(finalizers(), 0);
}

TEST(bdwgcs_own_kinds)
{
	void *before, *p;

	mock_use();
	before = GC_malloc(32);
	GC_register_disclaim_proc(BDW_NORMAL, disclaim, 0);
	p = GC_malloc(32);
	GC_malloc_atomic(32);
	CHECK_EQ(finalizers(), 1);
	CHECK(!mock_finalize(before));
	die(p);
	die(p);
	CHECK_EQ(calls, 1);
}

TEST(freed_objects_are_not_shown)
{
	unsigned int kind = make_kind(0);

	GC_free(GC_malloc_kind(48, kind));
	CHECK_EQ(finalizers(), 0);
}

TEST(no_such_kind)
{
	mock_use();
	GC_register_disclaim_proc(-1, disclaim, 0);
	GC_register_disclaim_proc(BDW_KINDS_MAX, disclaim, 0);
	GC_malloc(10);
	CHECK_EQ(finalizers(), 0);
}

static void *ended;

static void on_end(void *object, void *data)
{
	CHECK(data == &calls);
	ended = object;
}

TEST(closures)
{
	static const struct GC_finalizer_closure closure = { on_end, &calls };
	char *p;

	mock_use();
	p = GC_finalized_malloc(100, &closure);
	CHECK(p && GC_base(p) == p - 8 && GC_size(p) >= 108);
	die(p - 8);
	CHECK(!ended);
	die(p - 8);
	CHECK(ended == p);
	GC_set_warn_proc(GC_ignore_warn_proc);
	CHECK(!GC_finalized_malloc(1ul << 50, &closure));
}

TEST_MAIN
