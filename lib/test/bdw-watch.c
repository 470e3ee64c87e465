// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* libgc's leaks: who is watched, and what follows. */
#include "../../selftests/tap.h"
#include "../bdw/debug.h"
#include "mock.h"

#include <sys/mman.h>

static unsigned int finalizers(void)
{
	return gch.heap0.backend.status->finalizers;
}

/* ---- what is said */

static int said_fd;

static void listen_to(void)
{
	said_fd = memfd_create("said", 0);
	CHECK(said_fd >= 0 && dup2(said_fd, 2) == 2);
}

static const char *said(void)
{
	static char text[20000];
	static off_t done;
	ssize_t n = pread(said_fd, text, sizeof(text) - 1, done);

	CHECK(n >= 0);
	text[n] = 0;
	done += n;
	return text;
}

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

TEST_MAIN
