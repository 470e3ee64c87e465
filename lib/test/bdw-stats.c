// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Numbers that libgc's callers get, from those that a kernel might have. */
#include "../../selftests/tap.h"
#include "../bdw/bdw.h"
#include "mock.h"

void GC_incr_bytes_allocd(size_t bytes);
void GC_incr_bytes_freed(size_t bytes);

static struct gcheap_status *begin(void)
{
	mock_use();
	GC_init();
	return (struct gcheap_status *)gch.heap0.backend.status;
}

static struct GC_prof_stats_s prof(void)
{
	struct GC_prof_stats_s s;

	CHECK_EQ(GC_get_prof_stats(&s, sizeof(s)), sizeof(s));
	CHECK(s.unmapped_bytes <= s.free_bytes_full && s.free_bytes_full <= s.heapsize_full);
	CHECK_EQ(GC_get_heap_size(), s.heapsize_full - s.unmapped_bytes);
	CHECK_EQ(GC_get_free_bytes(), s.free_bytes_full - s.unmapped_bytes);
	CHECK_EQ(GC_get_total_bytes(), s.allocd_bytes_before_gc + s.bytes_allocd_since_gc);
	return s;
}

TEST(sizes)
{
	struct gcheap_status *k = begin();
	struct GC_prof_stats_s s;

	*k = (struct gcheap_status){ .heap_bytes = 1000, .heap_peak = 1500, .meta_bytes = 100,
				     .resident_bytes = 700, .live_bytes = 400,
				     .alloc_bytes = 600 };
	s = prof();
	CHECK_EQ(s.heapsize_full, 1000);
	CHECK_EQ(s.unmapped_bytes, 300);
	CHECK_EQ(s.free_bytes_full, 300);	/* 400 were alive, and 600 are new */
	CHECK_EQ(s.obtained_from_os_bytes, 1600);
	k->resident_bytes = 1200;		/* pages of what is in no span any more */
	CHECK_EQ(prof().unmapped_bytes, 0);
	CHECK_EQ(prof().free_bytes_full, 0);
	k->meta_bytes = 50;
	CHECK_EQ(prof().obtained_from_os_bytes, 1600);
}

TEST(what_is_alive)
{
	struct gcheap_status *k = begin();

	*k = (struct gcheap_status){ .heap_bytes = 1000, .resident_bytes = 900, .live_bytes = 300,
				     .alloc_bytes = 600, .cycles = 1 };
	CHECK_EQ(prof().free_bytes_full, 700);
	k->alloc_bytes = 800;
	CHECK_EQ(prof().free_bytes_full, 500);
	k->live_bytes = 5000;
	CHECK_EQ(prof().free_bytes_full, 100);
}

TEST(totals_do_not_decrease)
{
	struct gcheap_status *k = begin();

	k->alloc_bytes = 1000;
	CHECK_EQ(GC_get_total_bytes(), 1000);
	k->alloc_bytes = 400;		/* a thread did not need all it had */
	CHECK_EQ(GC_get_total_bytes(), 1000);
	CHECK_EQ(GC_get_bytes_since_gc(), 1000);
	k->cycles++;
	CHECK_EQ(GC_get_bytes_since_gc(), 0);
	CHECK_EQ(GC_get_total_bytes(), 1000);
	k->alloc_bytes = 1300;
	CHECK_EQ(GC_get_bytes_since_gc(), 300);
	GC_incr_bytes_allocd(50);
	CHECK_EQ(GC_get_bytes_since_gc(), 350);
	CHECK_EQ(prof().allocd_bytes_before_gc, 1000);
}

TEST(collections)
{
	struct gcheap_status *k = begin();
	struct GC_prof_stats_s s;

	k->alloc_bytes = 1000;
	k->live_bytes = 300;
	k->cycles = 7;
	s = prof();
	CHECK_EQ(s.gc_no, 7);
	CHECK_EQ(GC_gc_no, 7);
	CHECK_EQ(s.bytes_reclaimed_since_gc, 700);
	CHECK_EQ(s.reclaimed_bytes_before_gc, 0);
	GC_incr_bytes_freed(100);
	CHECK_EQ(prof().expl_freed_bytes_since_gc, 100);
	k->alloc_bytes = 1500;
	k->live_bytes = 500;
	k->cycles = 9;
	s = prof();
	CHECK_EQ(s.expl_freed_bytes_since_gc, 0);
	CHECK_EQ(s.bytes_reclaimed_since_gc, 200);	/* of 1500: 500 alive, 100 freed */
	CHECK_EQ(s.reclaimed_bytes_before_gc, 700);
	k->live_bytes = 1500;
	k->cycles = 10;
	s = prof();
	CHECK_EQ(s.bytes_reclaimed_since_gc, 0);
	CHECK_EQ(s.reclaimed_bytes_before_gc, 900);
}

static void *free_one(void *object)
{
	GC_free(object);
	return NULL;
}

TEST(what_threads_free)
{
	static char *p[300];
	pthread_t t;

	begin();
	for (int i = 0; i < 300; i++)
		p[i] = GC_malloc(100);
	GC_free(p[0]);
	CHECK_EQ(GC_get_expl_freed_bytes_since_gc(), GC_size(p[1]));
	GC_free(p[1] + 50);
	GC_free(&t);
	CHECK_EQ(GC_get_expl_freed_bytes_since_gc(), GC_size(p[1]));
	/* Others tell by the page. */
	CHECK_EQ(pthread_create(&t, NULL, free_one, p[2]), 0);
	pthread_join(t, NULL);
	CHECK_EQ(GC_get_expl_freed_bytes_since_gc(), GC_size(p[1]));
	free_one(GC_malloc(30000));
	CHECK(GC_get_expl_freed_bytes_since_gc() >= GC_size(p[1]) + 30000);
}

TEST(time_is_of_the_collector)
{
	struct gcheap_status *k = begin();

	k->collector_ns = 5000000;
	CHECK_EQ(GC_get_full_gc_total_time(), 0);
	GC_start_performance_measurement();
	CHECK_EQ(GC_get_full_gc_total_time(), 0);
	k->collector_ns = 12500000;
	GC_start_performance_measurement();
	CHECK_EQ(GC_get_full_gc_total_time(), 7);
}

TEST(no_heap)
{
	struct GC_prof_stats_s s;

	mock_use();
	mock.fail_open = -ENOENT;
	CHECK_EQ(GC_get_prof_stats(&s, sizeof(s)), sizeof(s));
	CHECK(!s.heapsize_full && !s.gc_no && !GC_get_total_bytes());
	GC_start_performance_measurement();
	CHECK_EQ(GC_get_full_gc_total_time(), 0);
}

TEST_MAIN
