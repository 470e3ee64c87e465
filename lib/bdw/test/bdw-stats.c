// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Counters of the heap: what gc.h says of one by the others, and that they move. */
#include "../../../selftests/tap.h"
#define GC_THREADS
#define GC_ATTR_DEPRECATED
#include <gc/gc.h>
#include <stddef.h>

#define MB	(1ul << 20)

size_t GC_get_memory_use(void);
void GC_incr_bytes_allocd(size_t bytes);
void GC_incr_bytes_freed(size_t bytes);

static void *litter(void *bytes)
{
	for (size_t i = 0; i < (size_t)bytes; i += 1024)
		CHECK(GC_MALLOC(1000));
	return NULL;
}

static struct GC_prof_stats_s prof(void)
{
	struct GC_prof_stats_s s;

	CHECK_EQ(GC_get_prof_stats(&s, sizeof(s)), sizeof(s));
	return s;
}

static void check_within(const struct GC_prof_stats_s *s)
{
	CHECK(s->unmapped_bytes <= s->free_bytes_full && s->free_bytes_full <= s->heapsize_full);
	CHECK(s->heapsize_full <= s->obtained_from_os_bytes);
}

/* Nobody else runs, so that the getters must say what the copy says. */
static void check_getters(void)
{
	struct GC_prof_stats_s s = prof(), u;
	GC_word heap, free, unmapped, since, total;

	check_within(&s);
	GC_get_heap_usage_safe(&heap, &free, &unmapped, &since, &total);
	CHECK_EQ(s.heapsize_full, GC_get_heap_size() + GC_get_unmapped_bytes());
	CHECK_EQ(s.free_bytes_full, GC_get_free_bytes() + GC_get_unmapped_bytes());
	CHECK_EQ(s.unmapped_bytes, GC_get_unmapped_bytes());
	CHECK_EQ(s.bytes_allocd_since_gc, GC_get_bytes_since_gc());
	CHECK_EQ(s.allocd_bytes_before_gc, GC_get_total_bytes() - GC_get_bytes_since_gc());
	CHECK_EQ(s.gc_no, GC_get_gc_no());
	CHECK_EQ(s.gc_no, GC_gc_no);
	CHECK_EQ(s.expl_freed_bytes_since_gc, GC_get_expl_freed_bytes_since_gc());
	CHECK_EQ(s.obtained_from_os_bytes, GC_get_obtained_from_os_bytes());
	CHECK_EQ(heap, GC_get_heap_size());
	CHECK_EQ(free, GC_get_free_bytes());
	CHECK_EQ(unmapped, GC_get_unmapped_bytes());
	CHECK_EQ(since, GC_get_bytes_since_gc());
	CHECK_EQ(total, GC_get_total_bytes());
	CHECK_EQ(GC_get_prof_stats_unsafe(&u, sizeof(u)), sizeof(u));
	CHECK(!memcmp(&s, &u, sizeof(s)));
}

TEST(getters_agree)
{
	GC_INIT();
	GC_disable();		/* nothing goes on beside the getters */
	check_getters();
	litter((void *)(3 * MB));
	check_getters();
	CHECK(GC_get_memory_use() >= 2 * MB);
	GC_enable();
	GC_gcollect();
	GC_disable();
	check_getters();
	GC_enable();
	GC_gcollect_and_unmap();
	GC_disable();
	check_getters();
}

TEST(any_may_be_left_out)
{
	GC_word total = 0;

	GC_INIT();
	litter((void *)MB);
	GC_get_heap_usage_safe(NULL, NULL, NULL, NULL, NULL);
	GC_get_heap_usage_safe(NULL, NULL, NULL, NULL, &total);
	CHECK(total >= MB - 65536);
}

TEST(other_sizes_of_the_structure)
{
	unsigned char b[sizeof(struct GC_prof_stats_s) + 40];
	struct GC_prof_stats_s s;
	GC_word gc_no;

	GC_INIT();
	GC_gcollect();
	memset(b, 7, sizeof(b));
	CHECK_EQ(GC_get_prof_stats((void *)b, sizeof(b)), sizeof(s));
	memcpy(&s, b, sizeof(s));
	gc_no = s.gc_no;
	CHECK(gc_no >= 1);
	for (size_t i = sizeof(s); i < sizeof(b); i++)
		CHECK_EQ(b[i], 0xff);
	memset(b, 7, sizeof(b));
	CHECK_EQ(GC_get_prof_stats_unsafe((void *)b, offsetof(struct GC_prof_stats_s, markers_m1)),
		 offsetof(struct GC_prof_stats_s, markers_m1));
	memcpy(&s, b, sizeof(s));
	CHECK_EQ(s.gc_no, gc_no);
	CHECK_EQ(b[offsetof(struct GC_prof_stats_s, markers_m1)], 7);
	CHECK_EQ(GC_get_prof_stats(&s, 0), 0);
}

TEST(a_collection_is_a_new_beginning)
{
	struct GC_prof_stats_s a, b;

	GC_INIT();
	GC_gcollect();
	CHECK(GC_get_bytes_since_gc() < 65536);
	GC_disable();
	a = prof();
	litter((void *)(4 * MB));
	b = prof();
	CHECK(b.bytes_allocd_since_gc - a.bytes_allocd_since_gc >= 3 * MB);
	CHECK(b.bytes_allocd_since_gc - a.bytes_allocd_since_gc <= 6 * MB);
	CHECK_EQ(b.allocd_bytes_before_gc, a.allocd_bytes_before_gc);
	GC_enable();
	GC_gcollect();
	a = prof();
	CHECK(a.gc_no > b.gc_no);
	CHECK(a.bytes_allocd_since_gc < 65536);
	CHECK(a.allocd_bytes_before_gc >= b.allocd_bytes_before_gc + 3 * MB);
	CHECK(a.bytes_reclaimed_since_gc + a.reclaimed_bytes_before_gc <=
	      a.allocd_bytes_before_gc + a.bytes_allocd_since_gc);
}

TEST(what_is_reclaimed)
{
	struct GC_prof_stats_s a, b;

	GC_INIT();
	a = prof();
	for (int i = 0; i < 8; i++) {
		litter((void *)(4 * MB));
		GC_gcollect();
	}
	b = prof();
	diag("%lu KiB of %lu KiB", (b.reclaimed_bytes_before_gc + b.bytes_reclaimed_since_gc) >> 10,
	     b.allocd_bytes_before_gc >> 10);
	CHECK(b.reclaimed_bytes_before_gc + b.bytes_reclaimed_since_gc -
	      a.reclaimed_bytes_before_gc - a.bytes_reclaimed_since_gc >= 16 * MB);
	CHECK(b.heapsize_full < 20 * MB);
}

TEST(what_is_freed)
{
	static void *p[1000];
	size_t before, bytes = 0;

	GC_INIT();
	GC_disable();
	before = GC_get_expl_freed_bytes_since_gc();
	for (int i = 0; i < 1000; i++) {
		p[i] = GC_MALLOC(i % 2 ? 1000 : 100);
		bytes += i % 2 ? 1000 : 100;
	}
	for (int i = 0; i < 1000; i++)
		GC_FREE(p[i]);
	CHECK(GC_get_expl_freed_bytes_since_gc() - before >= bytes);
	CHECK(GC_get_expl_freed_bytes_since_gc() - before <= bytes * 5 / 4);
	GC_FREE(NULL);
	GC_enable();
	GC_gcollect();
	CHECK_EQ(GC_get_expl_freed_bytes_since_gc(), 0);
}

TEST(what_others_tell)
{
	size_t total, since, freed;

	GC_INIT();
	GC_disable();
	total = GC_get_total_bytes();
	since = GC_get_bytes_since_gc();
	freed = GC_get_expl_freed_bytes_since_gc();
	GC_incr_bytes_allocd(1000);
	GC_incr_bytes_freed(300);
	CHECK_EQ(GC_get_total_bytes(), total + 1000);
	CHECK_EQ(GC_get_bytes_since_gc(), since + 1000);
	CHECK_EQ(GC_get_expl_freed_bytes_since_gc(), freed + 300);
}

TEST(nothing_that_must_not_decreases)
{
	size_t total = 0, obtained = 0;
	GC_word gc_no = 0;

	GC_INIT();
	for (int i = 0; i < 200; i++) {
		litter((void *)(256ul << 10));
		if (i % 50 == 49)
			GC_gcollect_and_unmap();
		CHECK(GC_get_total_bytes() >= total);
		CHECK(GC_get_obtained_from_os_bytes() >= obtained);
		CHECK(GC_get_gc_no() >= gc_no);
		total = GC_get_total_bytes();
		obtained = GC_get_obtained_from_os_bytes();
		gc_no = GC_get_gc_no();
	}
	CHECK(gc_no > 3 && GC_gc_no >= gc_no);
}

TEST(copies_hold_while_others_allocate)
{
	pthread_t t[3];
	GC_word before, since, free, heap, total, last = 0;

	GC_INIT();
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, litter, (void *)(30 * MB)), 0);
	for (int i = 0; i < 2000; i++) {
		struct GC_prof_stats_s s = prof();

		check_within(&s);
		before = s.allocd_bytes_before_gc;
		GC_get_heap_usage_safe(&heap, &free, NULL, &since, &total);
		CHECK(free <= heap && since <= total);
		CHECK(total >= before + s.bytes_allocd_since_gc && total >= last);
		last = total;
	}
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	CHECK(GC_get_total_bytes() >= 80 * MB);
}

TEST(size_map)
{
	GC_INIT();
	for (int i = 0; i <= 600; i++) {
		size_t room = GC_size(GC_MALLOC_ATOMIC(i)), cell = GC_get_size_map_at(i);

		CHECK(room >= (size_t)i && cell >= room && cell <= room + 16);
		CHECK(cell % 16 == 0 && cell > (size_t)i);
	}
	CHECK_EQ(GC_get_size_map_at(0), 16);
	CHECK_EQ(GC_get_size_map_at(16), 32);
	CHECK(GC_get_size_map_at(2048) != (size_t)-1);
	CHECK_EQ(GC_get_size_map_at(2049), (size_t)-1);
	CHECK_EQ(GC_get_size_map_at(-1), (size_t)-1);
	CHECK_EQ(GC_get_size_map_at(1 << 30), (size_t)-1);
}

static void *kept;

static void keep(size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 48) {
		void **p = GC_MALLOC(40);

		*p = kept;
		kept = p;
	}
}

TEST(time)
{
	unsigned long ms;

	GC_INIT();
	GC_gcollect();
	CHECK_EQ(GC_get_full_gc_total_time(), 0);
	GC_start_performance_measurement();
	keep(30 * MB);
	for (int i = 0; i < 5; i++)
		GC_gcollect();
	ms = GC_get_full_gc_total_time();
	diag("%lu ms", ms);
	CHECK(ms > 0 && ms < 100000);
	GC_start_performance_measurement();
	CHECK(GC_get_full_gc_total_time() >= ms);
}

TEST_MAIN
