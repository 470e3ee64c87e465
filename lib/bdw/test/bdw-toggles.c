// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* References from outside that are strong or weak as the program says, and what dies hears of. */
#include "../../../selftests/tap.h"
#include "wipe.h"
#include <pthread.h>
#include <stdint.h>
#define GC_THREADS
#include <gc/gc.h>

#define N	400	/* a few are kept by stale words */
#define MOST(n)	((n) >= N * 3 / 4 && (n) <= N)
#define FEW(n)	((n) <= N / 4)

#define MAGIC	0x70661e

struct node {
	long magic;
	long number;
	struct node *to;
	long told;
};

/* By number: what the program wants, and has seen. */
static volatile GC_ToggleRefStatus want[2 * N];
static volatile int asked[2 * N];
static volatile int dead[2 * N];
static volatile int wrong;
static volatile int expects;	/* to be told before they die */

static GC_ToggleRefStatus GC_CALLBACK toggles(void *object)
{
	const struct node *n = object;

	if (n->magic != MAGIC || n->number < 0 || n->number >= 2 * N) {
		wrong++;
		return GC_TOGGLE_REF_DROP;
	}
	asked[n->number]++;
	return want[n->number];
}

static void GC_CALLBACK dies(void *object, void *data)
{
	struct node *n = object;

	if (n->magic != MAGIC || n->number != (long)data || n->told != expects)
		wrong++;
	dead[n->number]++;
}

static __attribute__((noinline)) struct node *make(long number)
{
	struct node *n = GC_MALLOC(sizeof(*n));

	*n = (struct node){ .magic = MAGIC, .number = number };
	GC_register_finalizer_no_order(n, dies, (void *)number, NULL, NULL);
	return n;
}

static __attribute__((noinline)) void add(long from, long to, int strong)
{
	for (long i = from; i < to; i++) {
		want[i] = strong ? GC_TOGGLE_REF_STRONG : GC_TOGGLE_REF_WEAK;
		CHECK_EQ(GC_toggleref_add(make(i), strong), GC_SUCCESS);
	}
}

static void collect(void)
{
	wipe();
	GC_gcollect();
	GC_invoke_finalizers();
	for (int i = 0; i < 2000; i++)
		memset(GC_MALLOC(sizeof(struct node)), 0x11, sizeof(struct node));
}

static int sum(volatile int *of, long from, long to)
{
	int n = 0;

	for (long i = from; i < to; i++)
		n += !!of[i];
	return n;
}

static int sum_asked(void)
{
	int n = sum(asked, 0, N);

	memset((void *)asked, 0, sizeof(asked));
	return n;
}

static void start(void)
{
	GC_INIT();
	GC_set_finalize_on_demand(1);
	GC_set_toggleref_func(toggles);
}

TEST(setter_and_getter)
{
	GC_INIT();
	CHECK(!GC_get_toggleref_func());
	GC_set_toggleref_func(toggles);
	CHECK(GC_get_toggleref_func() == toggles);
	GC_set_toggleref_func(NULL);
	CHECK(!GC_get_toggleref_func());
	/* Without a function nothing is registered. */
	CHECK_EQ(GC_toggleref_add(make(0), 1), GC_SUCCESS);
	GC_set_toggleref_func(toggles);
	collect();
	CHECK_EQ(asked[0], 0);
}

TEST(strong_and_weak)
{
	start();
	add(0, N, 1);
	add(N, 2 * N, 0);
	collect();
	collect();
	CHECK_EQ(sum(dead, 0, N), 0);
	CHECK_EQ(sum(asked, 0, N), N);
	CHECK(MOST(sum(dead, N, 2 * N)));
	CHECK_EQ(wrong, 0);
}

TEST(strong_then_weak)
{
	start();
	add(0, N, 1);
	collect();
	CHECK_EQ(sum(dead, 0, N), 0);
	for (int i = 0; i < N; i++)
		want[i] = GC_TOGGLE_REF_WEAK;
	collect();
	collect();
	CHECK(MOST(sum(dead, 0, N)));
	CHECK_EQ(wrong, 0);
	/* They are not asked about any more. */
	sum_asked();
	collect();
	CHECK(FEW(sum_asked()));
	CHECK_EQ(wrong, 0);
}

TEST(weak_then_strong)
{
	static struct node *volatile keep[N];

	start();
	for (long i = 0; i < N; i++) {
		keep[i] = make(i);
		want[i] = GC_TOGGLE_REF_WEAK;
		CHECK_EQ(GC_toggleref_add(keep[i], 0), GC_SUCCESS);
	}
	collect();
	CHECK_EQ(sum_asked(), N);
	for (int i = 0; i < N; i++) {
		want[i] = GC_TOGGLE_REF_STRONG;
		keep[i] = NULL;
	}
	collect();
	collect();
	CHECK_EQ(sum(dead, 0, N), 0);
	CHECK_EQ(sum_asked(), N);
	CHECK_EQ(wrong, 0);
}

/* With what it refers to. */
TEST(strong_ones_lead_on)
{
	static volatile uintptr_t hidden;

	start();
	add(0, 1, 1);
	for (int i = 0; i < N; i++)
		want[i] = GC_TOGGLE_REF_STRONG;
	for (long i = 1; i < N; i++) {
		struct node *n = make(i);

		n->to = make(N + i);
		CHECK_EQ(GC_toggleref_add(n, 1), GC_SUCCESS);
		hidden = ~(uintptr_t)n;
	}
	collect();
	collect();
	CHECK_EQ(sum(dead, 0, 2 * N), 0);
	CHECK_EQ(((struct node *)~hidden)->to->number, 2 * N - 1);
}

TEST(dropped)
{
	start();
	add(0, N, 1);
	collect();
	for (int i = 0; i < N; i++)
		want[i] = GC_TOGGLE_REF_DROP;
	collect();
	sum_asked();
	collect();
	CHECK(MOST(sum(dead, 0, N)));
	CHECK_EQ(sum_asked(), 0);
}

/* Their places are taken again, by others. */
TEST(again_and_again)
{
	start();
	for (int round = 0; round < 12; round++) {
		memset((void *)dead, 0, sizeof(dead));
		add(0, N, 0);
		for (long i = 0; i < N; i += 2)
			want[i] = GC_TOGGLE_REF_DROP;
		add(N, 2 * N, 1);
		collect();
		for (long i = N; i < 2 * N; i++)
			want[i] = GC_TOGGLE_REF_DROP;
		collect();
		collect();
		CHECK(MOST(sum(dead, 0, N)));
		CHECK(MOST(sum(dead, N, 2 * N)));
	}
	CHECK_EQ(wrong, 0);
}

/* ---- with other threads, and collections that nobody asks for */

static void *adds(void *arg)
{
	long first = (long)arg;

	for (int round = 0; round < 30; round++)
		for (long i = first; i < first + 50; i++) {
			want[i] = i & 1 ? GC_TOGGLE_REF_STRONG : GC_TOGGLE_REF_DROP;
			CHECK_EQ(GC_toggleref_add(make(i), i & 2), GC_SUCCESS);
			for (int k = 0; k < 30; k++)
				GC_MALLOC(100);
		}
	return NULL;
}

TEST(many_threads)
{
	pthread_t t[4];

	start();
	GC_set_finalize_on_demand(0);
	for (long i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, adds, (void *)(i * 50)), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	GC_gcollect();
	for (int i = 1; i < 200; i += 2)
		CHECK(asked[i] && !dead[i]);
	CHECK_EQ(wrong, 0);
}

/* ---- what is to be finalized */

static volatile int told[2 * N];

static void GC_CALLBACK hears(void *object)
{
	struct node *n = object;

	if (n->magic != MAGIC || n->told++)
		wrong++;
	told[n->number]++;
}

static __attribute__((noinline)) void make_some(long from, long to)
{
	for (long i = from; i < to; i++)
		make(i);
}

TEST(told_of_what_is_to_be_finalized)
{
	int n;

	GC_INIT();
	CHECK(!GC_get_await_finalize_proc());
	GC_set_finalize_on_demand(1);
	GC_set_await_finalize_proc(hears);
	expects = 1;
	CHECK(GC_get_await_finalize_proc() == hears);
	make_some(0, N);
	wipe();
	GC_gcollect();
	n = sum(told, 0, N);
	CHECK(MOST(n));
	CHECK_EQ(sum(dead, 0, N), 0);
	CHECK(GC_should_invoke_finalizers());
	/* They stay until they are run, with what they say. */
	for (int i = 0; i < 3; i++)
		collect();
	CHECK(sum(dead, 0, N) >= n);
	CHECK_EQ(sum(dead, 0, N), sum(told, 0, N));
	CHECK(!GC_should_invoke_finalizers());
	for (int i = 0; i < N; i++)
		CHECK(told[i] <= 1 && dead[i] <= 1);
	CHECK_EQ(wrong, 0);
}

TEST(told_of_none_any_more)
{
	GC_INIT();
	GC_set_finalize_on_demand(1);
	GC_set_await_finalize_proc(hears);
	make_some(0, N);
	wipe();
	GC_gcollect();
	CHECK(MOST(sum(told, 0, N)));
	GC_set_await_finalize_proc(NULL);
	CHECK(!GC_get_await_finalize_proc());
	GC_invoke_finalizers();
	CHECK(MOST(sum(dead, 0, N)));
	make_some(N, 2 * N);
	collect();
	collect();
	CHECK_EQ(sum(told, N, 2 * N), 0);
	CHECK(MOST(sum(dead, N, 2 * N)));
}

/* Beside finalizers that run by themselves: before, and once. */
TEST(told_before_they_run)
{
	GC_INIT();
	GC_set_await_finalize_proc(hears);
	expects = 1;
	for (int round = 0; round < 10; round++) {
		make_some(0, N);
		for (int i = 0; i < N; i++)
			told[i] = dead[i] = 0;
		for (int i = 0; i < 3; i++)
			collect();
	}
	CHECK(MOST(sum(told, 0, N)));
	CHECK_EQ(wrong, 0);
}

/* ---- finalizers that collect, and threads that allocate beside who runs them */

static int collections;

static void GC_CALLBACK collects(void *object, void *data)
{
	dies(object, data);
	if (collections-- > 0)
		GC_gcollect();
}

static __attribute__((noinline)) void make_collecting(long from, long to)
{
	for (long i = from; i < to; i++)
		GC_register_finalizer_no_order(make(i), collects, (void *)i, NULL, NULL);
}

TEST(told_of_what_finalizers_find)
{
	GC_INIT();
	GC_set_await_finalize_proc(hears);
	expects = 1;
	for (int round = 0; round < 10; round++) {
		memset((void *)dead, 0, sizeof(dead));
		make_collecting(0, N);
		wipe();
		collections = 3;
		make_some(N, 2 * N);
		GC_gcollect();
		make_some(N, 2 * N);
		collect();
		collect();
		CHECK(MOST(sum(dead, 0, N)));
		CHECK(MOST(sum(dead, N, 2 * N)));
	}
	CHECK_EQ(wrong, 0);
}

static volatile int over;

static void *allocates(void *arg)
{
	while (!over)
		GC_MALLOC(100);
	return arg;
}

TEST(told_beside_threads)
{
	pthread_t t[3];

	GC_INIT();
	GC_set_finalize_on_demand(1);
	GC_set_await_finalize_proc(hears);
	expects = 1;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, allocates, NULL), 0);
	for (int round = 0; round < 10; round++) {
		memset((void *)dead, 0, sizeof(dead));
		make_some(0, N);
		wipe();
		GC_gcollect();
		while (GC_should_invoke_finalizers())
			GC_invoke_finalizers();
		CHECK(MOST(sum(dead, 0, N)));
	}
	over = 1;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(wrong, 0);
}

TEST_MAIN
