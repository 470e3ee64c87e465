// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Objects that the program sees once more before they are given back. */
#include "../../../selftests/tap.h"
#include "wipe.h"
#include <stdint.h>
#define GC_THREADS
#include <gc/gc.h>
#include <gc/gc_disclaim.h>
#include <gc/gc_inline.h>
#include <gc/gc_mark.h>
#include <gc/javaxfc.h>

#define N		200	/* a few are kept by stale words */
#define MAGIC		0x600d600d600dl

static void *volatile kept[N];
static int calls, wrong;

static NOINLINE void churn(void)
{
	for (int i = 0; i < 2000; i++)
		memset(GC_MALLOC(64), 0x11, 64);
}

/* Procedures are called by whoever gives back the memory, as late as it is needed. */
static void collect(int rounds, unsigned int kind)
{
	while (rounds--) {
		wipe();
		GC_gcollect();
		churn();
		for (int i = 0; kind && i < 50; i++)
			CHECK(GC_generic_malloc(64, kind));
	}
}

#define CHECK_MOST(n, of) do {							\
		int tap_n = (n);						\
		if (tap_n < (of) * 3 / 4 || tap_n > (of))			\
			FAIL("%s: %d of %d", #n, tap_n, (of));			\
	} while (0)

static void drop(void)
{
	for (int i = 0; i < N; i++)
		kept[i] = NULL;
}

/* ---- a kind with a procedure */

struct node {
	long magic;
	struct node *next;
	long keep;		/* that often */
};

static int GC_CALLBACK disclaim(void *object)
{
	struct node *n = object;

	if (n->magic != MAGIC)
		return 0;	/* a free one */
	if (n->keep > 0) {
		n->keep--;
		return 1;
	}
	n->magic = 0;
	calls++;
	return 0;
}

static unsigned int make_kind(int mark_from_all)
{
	unsigned int kind;

	GC_INIT();
	kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
	GC_register_disclaim_proc(kind, disclaim, mark_from_all);
	return kind;
}

static NOINLINE struct node *make(unsigned int kind, struct node *next)
{
	struct node *n = GC_generic_malloc(sizeof(*n), kind);

	CHECK(n && !n->magic && !n->next && GC_base(n) == n);
	n->next = next;
	n->magic = MAGIC;
	return n;
}

static NOINLINE void keep_some(unsigned int kind)
{
	for (int i = 0; i < N; i++)
		kept[i] = make(kind, NULL);
}

static void check_kind(int mark_from_all)
{
	unsigned int kind = make_kind(mark_from_all);

	keep_some(kind);
	collect(3, kind);
	CHECK_EQ(calls, 0);
	for (int i = 0; i < N; i++)
		CHECK(((struct node *)kept[i])->magic == MAGIC);
	drop();
	collect(4, kind);
	CHECK_MOST(calls, N);
	collect(2, kind);
	CHECK(calls <= N);
}

TEST(of_a_kind)
{
	check_kind(0);
}

TEST(of_a_kind_that_marks)
{
	check_kind(1);
}

static void GC_CALLBACK finalized(void *object, void *count)
{
	++*(int *)count;
}

/* That is for finalizers. */
TEST(not_by_finalize_all)
{
	unsigned int kind = make_kind(1);
	static int count;
	void *other = GC_MALLOC(16);

	GC_register_finalizer_no_order(other, finalized, &count, NULL, NULL);
	keep_some(kind);
	GC_finalize_all();
	CHECK_EQ(count, 1);
	collect(2, kind);
	CHECK_EQ(calls, 0);
	drop();
	collect(4, kind);
	CHECK_MOST(calls, N);
}

static void GC_CALLBACK finalizes_all(void *object, void *count)
{
	++*(int *)count;
	GC_finalize_all();
}

TEST(nor_by_finalizers_that_do)
{
	unsigned int kind = make_kind(1);
	static int count;

	for (int i = 0; i < 3; i++)
		GC_register_finalizer_no_order(GC_MALLOC(16), finalizes_all, &count, NULL, NULL);
	keep_some(kind);
	GC_finalize_all();
	CHECK_EQ(count, 3);
	collect(2, kind);
	CHECK_EQ(calls, 0);
	drop();
	collect(5, kind);
	CHECK_MOST(calls, N);
}

static NOINLINE void make_and_free(unsigned int kind)
{
	for (int i = 0; i < N; i++)
		GC_FREE(make(kind, NULL));
}

TEST(what_is_freed_is_not_asked_about)
{
	unsigned int kind = make_kind(0);

	make_and_free(kind);
	collect(3, kind);
	diag("%d calls", calls);
	CHECK(calls <= N / 4);	/* bdwgc does not clear what is freed */
}

static NOINLINE void make_reluctant(unsigned int kind)
{
	for (int i = 0; i < N; i++)
		make(kind, NULL)->keep = 2;
}

TEST(kept_for_a_while)
{
	unsigned int kind = make_kind(1);

	make_reluctant(kind);
	collect(1, kind);
	CHECK_EQ(calls, 0);
	collect(8, kind);
	CHECK_MOST(calls, N);
}

/* ---- what it refers to is there, and has not been seen yet */

static int GC_CALLBACK disclaim_chained(void *object)
{
	struct node *n = object;

	if (n->magic != MAGIC)
		return 0;
	if (n->next && n->next->magic != MAGIC)
		wrong++;
	n->magic = 0;
	calls++;
	return 0;
}

static NOINLINE void make_chains(unsigned int kind)
{
	for (int i = 0; i < N / 4; i++)
		make(kind, make(kind, make(kind, make(kind, NULL))));
}

TEST(chains)
{
	unsigned int kind = make_kind(1);

	GC_register_disclaim_proc(kind, disclaim_chained, 1);
	make_chains(kind);
	collect(10, kind);
	CHECK_EQ(wrong, 0);
	CHECK_MOST(calls, N);
}

static NOINLINE void make_rings(unsigned int kind)
{
	for (int i = 0; i < N / 2; i++) {
		struct node *n = make(kind, NULL);

		n->next = make(kind, n);
	}
}

TEST(rings_stay)
{
	unsigned int kind = make_kind(1);

	make_rings(kind);
	collect(4, kind);
	CHECK_EQ(calls, 0);
}

static NOINLINE void make_large(unsigned int kind)
{
	for (int i = 0; i < 8; i++) {
		struct node *n = GC_generic_malloc(100000, kind);

		n->magic = MAGIC;
	}
}

TEST(large_objects)
{
	unsigned int kind = make_kind(1);

	make_large(kind);
	collect(5, kind);
	CHECK(calls >= 4 && calls <= 8);
}

/* ---- closures */

static char told[N];

static void GC_CALLBACK on_end(void *object, void *data)
{
	struct node *n = object;
	long which = n->keep;

	CHECK(data == told && which >= 0 && which < N);
	CHECK(GC_base(object) == (char *)object - sizeof(void *));
	if (n->magic != MAGIC || (n->next && n->next->magic != MAGIC) || told[which])
		wrong++;
	n->magic = 0;
	told[which] = 1;
	calls++;
}

static struct GC_finalizer_closure *closure;

static NOINLINE struct node *make_closed(struct node *next)
{
	static int made;
	struct node *n = GC_finalized_malloc(sizeof(*n), closure);

	CHECK(n && !n->magic && !n->next && !n->keep);
	CHECK(GC_size(GC_base(n)) >= sizeof(*n) + sizeof(void *));
	n->magic = MAGIC;
	n->next = next;
	n->keep = made++;
	return n;
}

static NOINLINE void make_all_closed(void)
{
	for (int i = 0; i < N; i += 2)
		kept[i] = make_closed(make_closed(NULL));
}

/* The closure is an object that nothing else refers to. */
static NOINLINE void begin_closed(void)
{
	GC_INIT();
	GC_init_finalized_malloc();
	GC_init_finalized_malloc();
	closure = GC_MALLOC(sizeof(*closure));
	closure->proc = on_end;
	closure->cd = told;
}


TEST(closures)
{
	begin_closed();
	make_all_closed();
	closure = NULL;
	collect(3, 0);
	CHECK_EQ(calls, 0);
	drop();
	for (int i = 0; i < 6 && calls < N; i++)
		collect(1, 0);
	CHECK_EQ(wrong, 0);
	diag("%d calls", calls);
	CHECK(calls >= N / 2 && calls <= N);
}

TEST(sizes_that_there_are_not)
{
	static const struct GC_finalizer_closure none = { on_end, told };
	volatile size_t most = SIZE_MAX;

	GC_INIT();
	GC_init_finalized_malloc();
	GC_set_warn_proc(GC_ignore_warn_proc);
	CHECK(!GC_finalized_malloc(most, &none));
	CHECK(!GC_finalized_malloc(most / 2, &none));
	CHECK(GC_finalized_malloc(0, &none));
}

/* Nobody is asked while leaks are looked for. */
TEST(while_leaks_are_looked_for)
{
	unsigned int kind;

	CHECK(freopen("/dev/null", "w", stderr));
	GC_set_find_leak(1);
	kind = make_kind(1);
	for (int i = 0; i < 8; i++)
		make(kind, NULL);
	collect(3, 0);
	CHECK_EQ(calls, 0);
}

TEST_MAIN
