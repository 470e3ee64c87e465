// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Finalizers in order. Many at a time, of which a few may be kept by what is left on the stack
 * or in registers.
 */
#include "../../../selftests/tap.h"
#include "wipe.h"
#define GC_ATTR_DEPRECATED
#include <gc/gc.h>
#include <gc/javaxfc.h>

#define N	64
#define MOST(n)	((n) >= N * 3 / 4)

typedef void (*reg_t)(void *, GC_finalization_proc, void *, GC_finalization_proc *, void **);

struct node {
	struct node *to;
	struct node *also;
	long kind, number;
};

static int done[4], early;
static char first_done[N];

static void finalize(void *object, void *data)
{
	struct node *n = object;

	if (n->kind == 1 && !first_done[n->number])
		early++;
	if (n->kind == 0)
		first_done[n->number] = 1;
	done[n->kind]++;
}

static struct node *make(long kind, long number, reg_t reg)
{
	struct node *n = GC_MALLOC(sizeof(*n));

	n->kind = kind;
	n->number = number;
	if (reg)
		reg(n, finalize, NULL, NULL, NULL);
	return n;
}

static void collect(void)
{
	wipe();
	GC_gcollect();
	GC_invoke_finalizers();
}

static void start(void)
{
	GC_INIT();
	GC_set_finalize_on_demand(1);
	GC_set_warn_proc(GC_ignore_warn_proc);
}

/* N of: one to another, with @between objects in between. */
static __attribute__((noinline)) void make_chains(reg_t one, reg_t other, int between)
{
	for (long i = 0; i < N; i++) {
		struct node *a = make(0, i, one), *b = make(1, i, other);

		for (int k = 0; k < between; k++) {
			struct node *c = make(2, i, NULL);

			c->to = b;
			b = c;
		}
		a->to = b;
	}
}

static __attribute__((noinline)) void make_circles(reg_t one, reg_t other)
{
	for (long i = 0; i < N; i++) {
		struct node *a = make(0, i, one), *b = make(1, i, other);

		a->to = b;
		b->also = a;
	}
}

static __attribute__((noinline)) void make_selves(reg_t one)
{
	for (long i = 0; i < N; i++) {
		struct node *a = make(0, i, one);

		a->to = a;
	}
}

TEST(one_after_the_other)
{
	start();
	make_chains(GC_register_finalizer, GC_register_finalizer, 0);
	collect();
	CHECK(MOST(done[0]));
	CHECK(done[1] <= N / 4);
	collect();
	CHECK(MOST(done[1]));
	CHECK_EQ(early, 0);
}

TEST(by_way_of_others)
{
	start();
	make_chains(GC_register_finalizer, GC_register_finalizer, 3);
	collect();
	CHECK(MOST(done[0]));
	CHECK(done[1] <= N / 4);
	collect();
	CHECK(MOST(done[1]));
	CHECK_EQ(early, 0);
}

TEST(ignoring_itself_it_waits_for_others)
{
	start();
	make_chains(GC_register_finalizer_ignore_self, GC_register_finalizer_ignore_self, 0);
	collect();
	CHECK(MOST(done[0]));
	collect();
	CHECK(MOST(done[1]));
	CHECK_EQ(early, 0);
}

TEST(without_order_both_at_once)
{
	start();
	make_chains(GC_register_finalizer_no_order, GC_register_finalizer_no_order, 0);
	collect();
	CHECK(MOST(done[0]));
	CHECK(MOST(done[1]));
}

/* One without order does not keep an ordered one from its end. */
TEST(without_order_and_then_with)
{
	start();
	make_chains(GC_register_finalizer_no_order, GC_register_finalizer, 0);
	collect();
	CHECK(MOST(done[0]));
	CHECK(MOST(done[1]));
}

/* But an ordered one keeps one without order. */
TEST(with_order_and_then_without)
{
	start();
	make_chains(GC_register_finalizer, GC_register_finalizer_no_order, 1);
	collect();
	CHECK(MOST(done[0]));
	CHECK(done[1] <= N / 4);
	collect();
	CHECK(MOST(done[1]));
	CHECK_EQ(early, 0);
}

TEST(circles_never_end)
{
	start();
	make_circles(GC_register_finalizer, GC_register_finalizer);
	for (int i = 0; i < 4; i++)
		collect();
	CHECK_EQ(done[0] + done[1], 0);
}

TEST(nor_do_those_that_ignore_themselves)
{
	start();
	make_circles(GC_register_finalizer_ignore_self, GC_register_finalizer_ignore_self);
	for (int i = 0; i < 4; i++)
		collect();
	CHECK_EQ(done[0] + done[1], 0);
}

/* A link to itself is such a circle, or is ignored. */
TEST(itself)
{
	start();
	make_selves(GC_register_finalizer);
	for (int i = 0; i < 4; i++)
		collect();
	CHECK_EQ(done[0], 0);
}

TEST(ignoring_itself)
{
	start();
	make_selves(GC_register_finalizer_ignore_self);
	collect();
	CHECK(MOST(done[0]));
}

TEST(circles_without_order)
{
	start();
	make_circles(GC_register_finalizer_no_order, GC_register_finalizer_no_order);
	collect();
	CHECK(MOST(done[0]));
	CHECK(MOST(done[1]));
}

/* Not while one without order can bring it back to life. */
TEST(unreachable)
{
	start();
	CHECK(GC_java_finalization);
	make_chains(GC_register_finalizer_no_order, GC_register_finalizer_unreachable, 1);
	collect();
	CHECK(MOST(done[0]));
	CHECK(done[1] <= N / 4);
	collect();
	CHECK(MOST(done[1]));
	CHECK_EQ(early, 0);
}

TEST(unreachable_ones_among_themselves)
{
	start();
	make_chains(GC_register_finalizer_unreachable, GC_register_finalizer_unreachable, 0);
	collect();
	CHECK(MOST(done[0]));
	CHECK(done[1] <= N / 4);
	collect();
	CHECK(MOST(done[1]));
	CHECK_EQ(early, 0);
}

static void *kept[N];

static void revive(void *object, void *data)
{
	struct node *n = object;

	kept[n->number] = n->to;
	done[0]++;
}

static __attribute__((noinline)) void make_revivers(void)
{
	for (long i = 0; i < N; i++) {
		struct node *a = make(0, i, NULL);

		a->to = make(1, i, GC_register_finalizer);
		GC_register_finalizer(a, revive, NULL, NULL, NULL);
	}
}

/* What a finalizer has brought back to life waits until it dies again. */
TEST(revived)
{
	start();
	make_revivers();
	collect();
	CHECK(MOST(done[0]));
	collect();
	collect();
	CHECK_EQ(done[1], 0);
	for (int i = 0; i < N; i++)
		CHECK(!kept[i] || ((struct node *)kept[i])->number == i);
	memset(kept, 0, sizeof(kept));
	collect();
	CHECK(MOST(done[1]));
}

static void other(void *object, void *data)
{
}

TEST(replaced_and_removed)
{
	GC_finalization_proc fn = other;
	struct node *n;
	void *data = &fn;
	int word;

	start();
	n = make(0, 0, NULL);
	GC_register_finalizer(n, finalize, &word, &fn, &data);
	CHECK(!fn && !data);
	GC_register_finalizer_ignore_self(n, other, &fn, &fn, &data);
	CHECK(fn == finalize && data == &word);
	GC_register_finalizer_no_order(n, finalize, NULL, &fn, &data);
	CHECK(fn == other && data == &fn);
	GC_register_finalizer_unreachable(n, other, &data, &fn, NULL);
	CHECK(fn == finalize);
	GC_register_finalizer(n, NULL, NULL, &fn, &data);
	CHECK(fn == other && data == &data);
	GC_register_finalizer(n, NULL, NULL, &fn, &data);
	CHECK(!fn && !data);
	GC_reachable_here(n);
}

/* The order is that of the last one. */
static __attribute__((noinline)) void make_replaced(void)
{
	for (long i = 0; i < N; i++) {
		struct node *a = make(0, i, GC_register_finalizer);

		a->to = a;
		GC_register_finalizer_no_order(a, finalize, NULL, NULL, NULL);
	}
}

TEST(order_replaced)
{
	start();
	make_replaced();
	collect();
	CHECK(MOST(done[0]));
}

static struct node *all[N];

static __attribute__((noinline)) void make_all(reg_t reg)
{
	for (long i = 0; i < N; i++) {
		all[i] = make(2, i, reg);
		all[i]->to = all[i];
	}
}

/* Also of objects that are in use, and whatever order they want. */
TEST(all_at_the_end)
{
	start();
	make_all(GC_register_finalizer);
	GC_finalize_all();
	CHECK_EQ(done[2], N);
	for (int i = 0; i < N; i++)
		CHECK(all[i]->to == all[i] && all[i]->number == i);
	GC_finalize_all();
	collect();
	CHECK_EQ(done[2], N);
}

static void finalize_twice(void *object, void *data)
{
	done[3]++;
	GC_register_finalizer_no_order(object, finalize, NULL, NULL, NULL);
}

static __attribute__((noinline)) void make_twice(void)
{
	for (long i = 0; i < N; i++) {
		struct node *n = make(2, i, NULL);

		GC_register_finalizer(n, finalize_twice, NULL, NULL, NULL);
	}
}

TEST(all_that_finalizers_set)
{
	start();
	make_twice();
	GC_finalize_all();
	CHECK_EQ(done[3], N);
	CHECK_EQ(done[2], N);
}

static void finalize_others(void *object, void *data)
{
	done[3]++;
	GC_finalize_all();
}

TEST(all_from_one_of_them)
{
	start();
	make_all(GC_register_finalizer_no_order);
	GC_register_finalizer(all[N / 2], finalize_others, NULL, NULL, NULL);
	GC_finalize_all();
	CHECK_EQ(done[3], 1);
	CHECK_EQ(done[2], N - 1);
}

static void finalize_debug(void *object, void *data)
{
	if (((struct node *)object)->number == (long)data)
		finalize(object, NULL);
}

static struct node *make_debug(long kind, long number, reg_t reg)
{
	struct node *n = GC_debug_malloc(sizeof(*n), __FILE__, __LINE__);

	n->kind = kind;
	n->number = number;
	reg(n, finalize_debug, (void *)number, NULL, NULL);
	return n;
}

static __attribute__((noinline)) void make_debug_chains(reg_t one, reg_t other)
{
	for (long i = 0; i < N; i++) {
		struct node *a = make_debug(0, i, one);

		a->to = make_debug(1, i, other);
	}
}

TEST(debug_objects)
{
	start();
	make_debug_chains(GC_debug_register_finalizer, GC_debug_register_finalizer);
	collect();
	CHECK(MOST(done[0]));
	CHECK(done[1] <= N / 4);
	collect();
	CHECK(MOST(done[1]));
	CHECK_EQ(early, 0);
}

TEST(unreachable_debug_objects)
{
	start();
	make_debug_chains(GC_debug_register_finalizer_no_order,
			  GC_debug_register_finalizer_unreachable);
	collect();
	CHECK(MOST(done[0]));
	CHECK(done[1] <= N / 4);
	collect();
	CHECK(MOST(done[1]));
	CHECK_EQ(early, 0);
}

static __attribute__((noinline)) void make_debug_selves(reg_t reg)
{
	for (long i = 0; i < N; i++) {
		struct node *n = make_debug(0, i, reg);

		n->to = n;
	}
}

TEST(debug_objects_and_themselves)
{
	start();
	make_debug_selves(GC_debug_register_finalizer_ignore_self);
	collect();
	CHECK(MOST(done[0]));
	done[0] = 0;
	make_debug_selves(GC_debug_register_finalizer);
	collect();
	collect();
	CHECK(done[0] <= N / 4);	/* of the first */
}

/* What is no object of the heap has none. */
TEST(not_in_the_heap)
{
	GC_finalization_proc fn = other;
	static struct node n;
	void *data = &n;

	start();
	GC_register_finalizer(&n, finalize, NULL, &fn, &data);
	CHECK(!fn && !data);
	collect();
	CHECK_EQ(done[0], 0);
}

static void finalize_large(void *object, void *data)
{
	done[0]++;
	first_done[(long)data] = 1;
}

static __attribute__((noinline)) void make_large(void)
{
	for (long i = 0; i < N; i++) {
		struct node **big = GC_MALLOC(100000);

		big[100000 / sizeof(*big) - 1] = make(1, i, GC_register_finalizer);
		GC_register_finalizer(big, finalize_large, (void *)i, NULL, NULL);
	}
}

TEST(from_the_end_of_a_large_one)
{
	start();
	make_large();
	collect();
	CHECK(MOST(done[0]));
	CHECK(done[1] <= N / 4);
	collect();
	CHECK(MOST(done[1]));
	CHECK_EQ(early, 0);
}

TEST_MAIN
