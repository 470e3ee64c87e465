// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Counters of the heap, in bytes. All of them are made in one place of one copy of the
 * kernel's, so that what gc.h says of their sums and differences holds.
 *
 * The kernel counts memory when a thread gets it to allocate from, not object by
 * object, and takes back what the thread did not use. "Since the last collection" is
 * since one was first noticed: when it was asked for, when a thread needed memory, or
 * in here.
 */
#include <string.h>

#include "bdw.h"

#define BDW_FREED	4096	/* what a thread may have freed untold */
#define BDW_SIZE_MAP	2048	/* last index */

GCH_API GC_word GC_gc_no;

/* What lib/bdw itself has to remember. */
static struct {
	pthread_mutex_t lock;		/* a leaf: all but the next two */
	uint64_t told;			/* by GC_incr_bytes_allocd() */
	uint64_t freed;			/* by GC_free() */
	uint64_t cycles;		/* noticed */
	uint64_t total;			/* allocated; does not decrease as the kernel's does */
	uint64_t total_then;		/* when the last cycle was noticed */
	uint64_t freed_then;
	uint64_t reclaimed;		/* by collections */
	uint64_t reclaimed_before;	/* by those before the last */
	uint64_t obtained;		/* from the system */
} bdw_count = { .lock = PTHREAD_MUTEX_INITIALIZER };

BDW_LOCK(bdw_count);

static __thread size_t bdw_freed;

/* NULL: there is no heap, yet or at all. */
const struct gcheap_status *bdw_status(void)
{
	if (!__atomic_load_n(&gch.ready, __ATOMIC_ACQUIRE) || gch.error || bdw_heap_lost())
		return NULL;
	return gch.heap0.backend.status;
}

struct gcheap_stats bdw_stats(void)
{
	struct gcheap_stats s;

	gcheap_stats(&s);
	return s;
}

static uint64_t bdw_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t bdw_less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* ---- bytes freed, told by the page, for threads not to disturb each other */

static void bdw_tell_freed(void)
{
	__atomic_fetch_add(&bdw_count.freed, bdw_freed, __ATOMIC_RELAXED);
	bdw_freed = 0;
}

void bdw_count_freed(size_t bytes)
{
	bdw_freed += bytes;
	if (bdw_freed >= BDW_FREED)
		bdw_tell_freed();
}

/* ---- the copy */

/* What is not alive any more and was not freed has been reclaimed. */
static void bdw_new_cycle(const struct gcheap_stats *s)
{
	uint64_t freed = READ_ONCE(bdw_count.freed);
	uint64_t gone = bdw_less(s->alloc_bytes, s->live_bytes + freed);

	bdw_count.cycles = s->cycles;
	bdw_count.total_then = bdw_count.total;
	bdw_count.freed_then = freed;
	bdw_count.reclaimed_before = bdw_count.reclaimed;
	bdw_count.reclaimed = bdw_max(bdw_count.reclaimed, gone);
	WRITE_ONCE(GC_gc_no, s->cycles);
}

static void bdw_note(const struct gcheap_stats *s)
{
	bdw_count.total = bdw_max(bdw_count.total, s->alloc_bytes + READ_ONCE(bdw_count.told));
	bdw_count.obtained = bdw_max(bdw_count.obtained, s->heap_peak + s->meta_bytes);
	if (s->cycles != bdw_count.cycles)
		bdw_new_cycle(s);
}

/*
 * What is free is what was not alive at the end of the last cycle and has not been
 * allocated since. All that is unmapped counts as free, objects never touched too.
 */
static struct GC_prof_stats_s bdw_derive(const struct gcheap_stats *s)
{
	uint64_t since = bdw_count.total - bdw_count.total_then;
	uint64_t unmapped = bdw_less(s->heap_bytes, s->resident_bytes);
	uint64_t free = bdw_less(s->heap_bytes, s->live_bytes + since);

	return (struct GC_prof_stats_s){
		.heapsize_full = s->heap_bytes,
		.free_bytes_full = bdw_max(free, unmapped),
		.unmapped_bytes = unmapped,
		.bytes_allocd_since_gc = since,
		.allocd_bytes_before_gc = bdw_count.total_then,
		.non_gc_bytes = GC_get_non_gc_bytes(),
		.gc_no = bdw_count.cycles,
		.markers_m1 = GC_get_parallel(),
		.bytes_reclaimed_since_gc = bdw_count.reclaimed - bdw_count.reclaimed_before,
		.reclaimed_bytes_before_gc = bdw_count.reclaimed_before,
		.expl_freed_bytes_since_gc = READ_ONCE(bdw_count.freed) - bdw_count.freed_then,
		.obtained_from_os_bytes = bdw_count.obtained,
	};
}

/* The copy is made under the lock: none that is older comes after it. */
static struct GC_prof_stats_s bdw_prof(void)
{
	struct GC_prof_stats_s p;
	struct gcheap_stats s;

	gcheap_init();
	bdw_tell_freed();
	pthread_mutex_lock(&bdw_count.lock);
	if (!gcheap_stats(&s))
		bdw_note(&s);
	p = bdw_derive(&s);
	pthread_mutex_unlock(&bdw_count.lock);
	return p;
}

void bdw_count_cycle(void)
{
	bdw_prof();
}

/* ---- getters, the whole */

GCH_API size_t GC_get_prof_stats(struct GC_prof_stats_s *stats, size_t size)
{
	struct GC_prof_stats_s p = bdw_prof();
	size_t known = size < sizeof(p) ? size : sizeof(p);

	memcpy(stats, &p, known);
	memset((char *)stats + known, 0xff, size - known);
	return known;
}

GCH_API size_t GC_get_prof_stats_unsafe(struct GC_prof_stats_s *stats, size_t size)
{
	return GC_get_prof_stats(stats, size);
}

static void bdw_give(GC_word *where, GC_word value)
{
	if (where)
		*where = value;
}

GCH_API void GC_get_heap_usage_safe(GC_word *heap, GC_word *free, GC_word *unmapped,
				    GC_word *since, GC_word *total)
{
	struct GC_prof_stats_s p = bdw_prof();

	bdw_give(heap, p.heapsize_full - p.unmapped_bytes);
	bdw_give(free, p.free_bytes_full - p.unmapped_bytes);
	bdw_give(unmapped, p.unmapped_bytes);
	bdw_give(since, p.bytes_allocd_since_gc);
	bdw_give(total, p.allocd_bytes_before_gc + p.bytes_allocd_since_gc);
}

/* ---- getters, one by one */

GCH_API GC_word GC_get_gc_no(void)
{
	return bdw_prof().gc_no;
}

GCH_API size_t GC_get_heap_size(void)
{
	struct GC_prof_stats_s p = bdw_prof();

	return p.heapsize_full - p.unmapped_bytes;
}

GCH_API size_t GC_get_free_bytes(void)
{
	struct GC_prof_stats_s p = bdw_prof();

	return p.free_bytes_full - p.unmapped_bytes;
}

GCH_API size_t GC_get_unmapped_bytes(void)
{
	return bdw_prof().unmapped_bytes;
}

GCH_API size_t GC_get_bytes_since_gc(void)
{
	return bdw_prof().bytes_allocd_since_gc;
}

GCH_API size_t GC_get_expl_freed_bytes_since_gc(void)
{
	return bdw_prof().expl_freed_bytes_since_gc;
}

GCH_API size_t GC_get_total_bytes(void)
{
	struct GC_prof_stats_s p = bdw_prof();

	return p.allocd_bytes_before_gc + p.bytes_allocd_since_gc;
}

GCH_API size_t GC_get_obtained_from_os_bytes(void)
{
	return bdw_prof().obtained_from_os_bytes;
}

/* Blocks that have objects in them are spans. */
GCH_API size_t GC_get_memory_use(void)
{
	return bdw_prof().heapsize_full;
}

/* ---- for allocators on top of this one, which tell what they do */

GCH_API void GC_incr_bytes_allocd(size_t bytes)
{
	__atomic_fetch_add(&bdw_count.told, bytes, __ATOMIC_RELAXED);
}

GCH_API void GC_incr_bytes_freed(size_t bytes)
{
	__atomic_fetch_add(&bdw_count.freed, bytes, __ATOMIC_RELAXED);
}

/* Indices are sizes asked for; the table ends where large objects begin in libgc. */
GCH_API size_t GC_get_size_map_at(int i)
{
	if (i < 0 || i > BDW_SIZE_MAP)
		return SIZE_MAX;
	return gch_class_cell(gch_class(i + 1));
}

/* ---- time: the processor's that collecting took, most of it beside the program */

static struct {
	pthread_mutex_t lock;
	bool on;
	uint64_t from;		/* ns */
} bdw_time = { .lock = PTHREAD_MUTEX_INITIALIZER };
BDW_LOCK(bdw_time);

GCH_API void GC_start_performance_measurement(void)
{
	pthread_mutex_lock(&bdw_time.lock);
	if (!bdw_time.on)
		bdw_time.from = bdw_stats().collector_ns;
	bdw_time.on = true;
	pthread_mutex_unlock(&bdw_time.lock);
}

GCH_API unsigned long GC_get_full_gc_total_time(void)
{
	uint64_t ns = 0;

	pthread_mutex_lock(&bdw_time.lock);
	if (bdw_time.on)
		ns = bdw_stats().collector_ns - bdw_time.from;
	pthread_mutex_unlock(&bdw_time.lock);
	return ns / 1000000;
}
