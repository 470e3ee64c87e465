// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* What programs are told of collections: which events, in which order, by whom. */
#include "../../../selftests/tap.h"
#define GC_THREADS
#define GC_ATTR_DEPRECATED
#include <gc/gc.h>
#include <gc/gc_mark.h>

#define MOST	4096

/* A letter an event; s is the start callback. */
static const char letter[] = {
	[GC_EVENT_START] = 'S', [GC_EVENT_PRE_STOP_WORLD] = '1',
	[GC_EVENT_POST_STOP_WORLD] = '2', [GC_EVENT_MARK_START] = 'm',
	[GC_EVENT_MARK_END] = 'M', [GC_EVENT_PRE_START_WORLD] = '3',
	[GC_EVENT_POST_START_WORLD] = '4', [GC_EVENT_RECLAIM_START] = 'r',
	[GC_EVENT_RECLAIM_END] = 'R', [GC_EVENT_END] = 'E',
};
#define WHOLE	"Ss12mM34rRE"

static char seen[MOST];
static unsigned int n;
static int inside;
static GC_word gc_no[128];	/* at the last event of each letter */

/* Neither within one another nor at the same time. */
static void note(char what)
{
	size_t since = GC_get_bytes_since_gc();	/* other threads go on */

	CHECK_EQ(__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST), 0);
	CHECK(what && GC_get_total_bytes() >= since);
	gc_no[(int)what] = GC_get_gc_no();
	if (n < MOST - 1)
		seen[n++] = what;
	__atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
}

static void GC_CALLBACK on_event(GC_EventType event)
{
	note(letter[event]);
}

static void GC_CALLBACK on_start(void)
{
	note('s');
}

static void begin(void)
{
	GC_INIT();
	GC_gcollect();
	GC_set_on_collection_event(on_event);
	GC_set_start_callback(on_start);
}

static unsigned int wholes(const char *whole)
{
	size_t length = strlen(whole);

	CHECK_EQ(n % length, 0);
	for (unsigned int i = 0; i < n; i += length)
		CHECK(!strncmp(seen + i, whole, length));
	return n / length;
}

static void *litter(void *bytes)
{
	for (size_t i = 0; i < (size_t)bytes; i += 64)
		CHECK(GC_MALLOC(50));
	return NULL;
}

TEST(order_of_events)
{
	GC_word before;

	begin();
	before = GC_get_gc_no();
	GC_gcollect();
	CHECK(!strcmp(seen, WHOLE));
	CHECK_EQ(gc_no['S'], before);
	CHECK_EQ(gc_no['s'], before);
	CHECK_EQ(gc_no['m'], before);
	CHECK_EQ(gc_no['M'], before + 1);
	CHECK_EQ(gc_no['E'], before + 1);
	GC_gcollect_and_unmap();
	CHECK_EQ(wholes(WHOLE), 2);
}

static int asked;

static int GC_CALLBACK go_on(void)
{
	CHECK(asked++ || !n);
	return 0;
}

static int GC_CALLBACK stop_here(void)
{
	return 1;
}

TEST(attempts)
{
	begin();
	CHECK(!GC_try_to_collect(stop_here) && !n);
	CHECK(GC_try_to_collect(go_on) && asked);
	CHECK_EQ(wholes(WHOLE), 1);
	GC_disable();
	GC_gcollect();
	CHECK(!GC_try_to_collect(go_on));
	GC_enable();
	CHECK_EQ(wholes(WHOLE), 1);
}

TEST(one_of_two)
{
	begin();
	GC_set_start_callback(NULL);
	GC_gcollect();
	CHECK_EQ(wholes("S12mM34rRE"), 1);
	GC_set_on_collection_event(NULL);
	GC_set_start_callback(on_start);
	n = 0;
	GC_gcollect();
	GC_gcollect();
	CHECK_EQ(wholes("s"), 2);
	GC_set_start_callback(NULL);
	GC_gcollect();
	CHECK_EQ(n, 2);
}

TEST(collections_nobody_asked_for)
{
	GC_word before;

	begin();
	before = GC_get_gc_no();
	for (int i = 0; i < 100 && n < 5 * strlen(WHOLE); i++)
		litter((void *)(4l << 20));
	diag("%u told of %lu", wholes(WHOLE), GC_get_gc_no() - before);
	CHECK(wholes(WHOLE) >= 3 && wholes(WHOLE) <= GC_get_gc_no() - before);
	CHECK_EQ(gc_no['S'] - before > 1, 1);
}

static void *collect(void *arg)
{
	for (int i = 0; i < 20; i++) {
		litter((void *)(256l << 10));
		GC_gcollect();
	}
	return arg;
}

TEST(not_at_the_same_time)
{
	pthread_t t[4];

	begin();
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, i % 2 ? collect : litter,
					(void *)(8l << 20)), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CHECK(wholes(WHOLE) >= 20);
}

static int may_collect;

static void *collect_later(void *arg)
{
	while (!__atomic_load_n(&may_collect, __ATOMIC_ACQUIRE))
		usleep(1000);
	return collect(arg);
}

TEST(with_the_allocation_lock_held)
{
	pthread_t t;

	begin();
	CHECK_EQ(pthread_create(&t, NULL, collect_later, NULL), 0);
	GC_alloc_lock();
	__atomic_store_n(&may_collect, 1, __ATOMIC_RELEASE);
	usleep(200000);
	CHECK(!n);
	GC_alloc_unlock();
	pthread_join(t, NULL);
	CHECK(wholes(WHOLE) >= 20);
}

/* ---- finalizers have no part in that */

static void *take_lock(void *arg)
{
	GC_alloc_lock();
	GC_alloc_unlock();
	return arg;
}

static int finalized;

static void GC_CALLBACK finalize(void *object, void *data)
{
	pthread_t t;

	finalized++;
	CHECK(n && seen[n - 1] == 'E');
	CHECK_EQ(pthread_create(&t, NULL, take_lock, NULL), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void __attribute__((noinline)) make_finalizable(void)
{
	for (int i = 0; i < 100; i++)
		GC_REGISTER_FINALIZER_NO_ORDER(GC_MALLOC(50), finalize, NULL, NULL, NULL);
}

TEST(finalizers_come_afterwards_without_the_lock)
{
	begin();
	make_finalizable();
	for (int i = 0; i < 3; i++) {
		GC_gcollect();
		litter((void *)(64l << 10));
	}
	CHECK(finalized >= 75);
	wholes(WHOLE);
}

/* ---- the heap's size */

static GC_word sizes[MOST];

static void GC_CALLBACK on_resize(GC_word bytes)
{
	CHECK_EQ(__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST), 0);
	if (n < MOST)
		sizes[n++] = bytes;
	__atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
}

static void *kept;

static void grow(size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 4096) {
		void **p = GC_MALLOC(4000);

		*p = kept;
		kept = p;
	}
}

static void check_sizes(void)
{
	struct GC_prof_stats_s s;

	CHECK_EQ(GC_get_prof_stats(&s, sizeof(s)), sizeof(s));
	diag("%u sizes, %lu to %lu KiB of %lu", n, sizes[0] >> 10, sizes[n - 1] >> 10,
	     s.heapsize_full >> 10);
	CHECK(n > 3);
	for (unsigned int i = 1; i < n; i++)
		CHECK(sizes[i] != sizes[i - 1]);
	CHECK(sizes[n - 1] > 7 << 20 && sizes[n - 1] <= s.obtained_from_os_bytes);
	CHECK(sizes[n - 1] >= s.heapsize_full - s.heapsize_full / 8);
}

TEST(heap_sizes)
{
	GC_INIT();
	GC_set_on_heap_resize(on_resize);
	CHECK(GC_get_on_heap_resize() == on_resize && GC_on_heap_resize == on_resize);
	grow(8 << 20);
	check_sizes();
	GC_set_on_heap_resize(NULL);
	n = 0;
	grow(8 << 20);
	CHECK(!n && !GC_on_heap_resize);
}

TEST(heap_sizes_by_assignment)
{
	GC_on_heap_resize = on_resize;
	GC_INIT();
	CHECK(GC_get_on_heap_resize() == on_resize);
	grow(8 << 20);
	check_sizes();
	GC_on_heap_resize = NULL;
	n = 0;
	grow(8 << 20);
	CHECK(!n);
}

/* ---- what was set */

static void GC_CALLBACK on_thread(GC_EventType event, void *thread)
{
}

TEST(getters)
{
	CHECK(!GC_get_on_collection_event() && !GC_get_start_callback());
	CHECK(!GC_get_on_heap_resize() && !GC_get_on_thread_event());
	GC_set_on_thread_event(on_thread);
	GC_set_on_collection_event(on_event);
	GC_set_start_callback(on_start);
	CHECK(GC_get_on_thread_event() == on_thread && GC_get_start_callback() == on_start);
	CHECK(GC_get_on_collection_event() == on_event);
	GC_INIT();
	GC_gcollect();
	GC_set_on_thread_event(NULL);
	GC_set_on_collection_event(NULL);
	CHECK(!GC_get_on_collection_event() && !GC_get_on_thread_event());
}

TEST_MAIN
