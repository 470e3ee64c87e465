// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Settings that the kernel has to hear of. Before the heap is there they are remembered;
 * afterwards calls pass them on at once, and what programs assign to variables is noticed
 * when the library is entered the next time, which fast paths do not count as.
 */
#include <sys/sysinfo.h>

#include "bdw.h"
#include <gc/gc_mark.h>

#define BDW_DIVISOR	3	/* bdwgc's default, which is our 100 % growth */

GCH_API int GC_dont_gc;
GCH_API int GC_finalize_on_demand;
GCH_API GC_word GC_free_space_divisor = BDW_DIVISOR;
GCH_API int GC_parallel;

/* Whoever asks before there is a heap is told that anything may be a pointer into it. */
GCH_API void *GC_least_plausible_heap_addr;
GCH_API void *GC_greatest_plausible_heap_addr = (void *)UINTPTR_MAX;

static struct {
	pthread_mutex_t lock;
	int no_automatic;
	unsigned int markers;	/* 0: the kernel's choice */
	GC_word limit;
	bool ready;		/* the heap is there, and has been told of all this */
	/* in force */
	bool held;
	GC_word divisor;
} bdw_tuned = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.divisor = BDW_DIVISOR,
};

BDW_LOCK(bdw_tuned);

static bool bdw_to_hold(void)
{
	return READ_ONCE(GC_dont_gc) || READ_ONCE(bdw_tuned.no_automatic);
}

static bool bdw_up_to_date(void)
{
	return bdw_to_hold() == READ_ONCE(bdw_tuned.held) &&
	       READ_ONCE(GC_free_space_divisor) == READ_ONCE(bdw_tuned.divisor) &&
	       !!READ_ONCE(GC_finalize_on_demand) == READ_ONCE(gch.on_demand);
}

static void bdw_tune_hold(bool hold)
{
	if (hold == bdw_tuned.held)
		return;
	if (hold)
		gcheap_hold();
	else
		gcheap_unhold();
	WRITE_ONCE(bdw_tuned.held, hold);
}

static void bdw_tune_growth(GC_word divisor)
{
	uint64_t growth = divisor ? 100 * BDW_DIVISOR / divisor : 100;

	if (divisor == bdw_tuned.divisor)
		return;
	gcheap_tune(NULL, GCHEAP_TUNE_GROWTH, growth ? growth : 1);
	WRITE_ONCE(bdw_tuned.divisor, divisor);
}

/* Of those who have chosen, the last one that gets the lock has seen what all have. */
static void bdw_tune_now(void)
{
	if (!READ_ONCE(bdw_tuned.ready))
		return;
	pthread_mutex_lock(&bdw_tuned.lock);
	bdw_tune_hold(bdw_to_hold());
	bdw_tune_growth(READ_ONCE(GC_free_space_divisor));
	gcheap_finalizers_on_demand(!!READ_ONCE(GC_finalize_on_demand));
	pthread_mutex_unlock(&bdw_tuned.lock);
}

/* What programs have assigned. Others may be about to tell the kernel: next time, then. */
void bdw_tune(void)
{
	if (unlikely(!bdw_up_to_date()))
		bdw_tune_now();
}

/* ---- in force at any time */

/* Collections that are asked for have the lock: they are over when it is ours. */
GCH_API void GC_disable(void)
{
	bdw_lock();
	__atomic_add_fetch(&GC_dont_gc, 1, __ATOMIC_SEQ_CST);
	bdw_tune_now();
	bdw_unlock();
}

/* More often than it was disabled does not disable it. */
GCH_API void GC_enable(void)
{
	int n = READ_ONCE(GC_dont_gc);

	while (n > 0 && !__atomic_compare_exchange_n(&GC_dont_gc, &n, n - 1, false,
						     __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	bdw_tune_now();
}

GCH_API int GC_is_disabled(void)
{
	return READ_ONCE(GC_dont_gc) != 0;
}

GCH_API void GC_set_disable_automatic_collection(int on)
{
	WRITE_ONCE(bdw_tuned.no_automatic, on);
	bdw_tune_now();
}

GCH_API int GC_get_disable_automatic_collection(void)
{
	return READ_ONCE(bdw_tuned.no_automatic);
}

GCH_API void GC_set_finalize_on_demand(int on)
{
	WRITE_ONCE(GC_finalize_on_demand, on);
	bdw_tune_now();
}

GCH_API int GC_get_finalize_on_demand(void)
{
	return READ_ONCE(GC_finalize_on_demand);
}

GCH_API void GC_set_free_space_divisor(GC_word divisor)
{
	WRITE_ONCE(GC_free_space_divisor, divisor);
	bdw_tune_now();
}

GCH_API GC_word GC_get_free_space_divisor(void)
{
	return READ_ONCE(GC_free_space_divisor);
}

GCH_API void GC_set_max_heap_size(GC_word bytes)
{
	WRITE_ONCE(bdw_tuned.limit, bytes);
	if (READ_ONCE(bdw_tuned.ready))
		gcheap_tune(NULL, GCHEAP_TUNE_LIMIT, bytes);
}

/* No collection before the heap has @bytes. */
bool bdw_expand_to(uint64_t bytes)
{
	uint64_t now = 0;

	if (gcheap_tuned(NULL, GCHEAP_TUNE_MIN_HEAP, &now))
		return false;
	return bytes <= now || !gcheap_tune(NULL, GCHEAP_TUNE_MIN_HEAP, bytes);
}

static uint64_t bdw_room(const struct gcheap_stats *s)
{
	struct gcheap_map map;
	uint64_t most;

	if (gcheap_map(NULL, &map))
		return 0;
	most = s->limit_bytes ? s->limit_bytes : map.heap_size;
	return most > s->heap_bytes ? most - s->heap_bytes : 0;
}

/* Once more is that much more. */
GCH_API int GC_expand_hp(size_t bytes)
{
	struct gcheap_stats s;
	uint64_t now = 0;

	bdw_init();
	s = bdw_stats();
	if (bytes > bdw_room(&s) || gcheap_tuned(NULL, GCHEAP_TUNE_MIN_HEAP, &now))
		return 0;
	if (now < s.heap_bytes)
		now = s.heap_bytes;
	return bytes <= UINT64_MAX - now && bdw_expand_to(now + bytes);
}

/* ---- in force when the heap is made */

GCH_API void GC_set_markers_count(unsigned int n)
{
	WRITE_ONCE(bdw_tuned.markers, n < GCHEAP_WORKERS_MAX ? n : GCHEAP_WORKERS_MAX);
}

GCH_API int GC_get_parallel(void)
{
	return READ_ONCE(GC_parallel);
}

/* Who runs the program has the last word (GCHEAP_WORKERS). */
static void bdw_tune_markers(void)
{
	unsigned int n = gch.workers;

	if (!n && bdw_tuned.markers) {
		n = bdw_tuned.markers;
		gcheap_tune(NULL, GCHEAP_TUNE_WORKERS, n);
	}
	if (!n)
		n = get_nprocs();
	WRITE_ONCE(GC_parallel, (n < GCHEAP_WORKERS_MAX ? n : GCHEAP_WORKERS_MAX) - 1);
}

static void bdw_tune_bounds(void)
{
	struct gcheap_map map;

	if (gcheap_map(NULL, &map))
		return;
	GC_least_plausible_heap_addr = map.heap;
	GC_greatest_plausible_heap_addr = (char *)map.heap + map.heap_size;
}

void bdw_tune_start(void)
{
	bdw_tune_bounds();
	bdw_tune_markers();
	if (bdw_tuned.limit)
		gcheap_tune(NULL, GCHEAP_TUNE_LIMIT, bdw_tuned.limit);
	/* GCHEAP_FINALIZE_ON_DEMAND */
	if (gch.on_demand)
		WRITE_ONCE(GC_finalize_on_demand, 1);
	WRITE_ONCE(bdw_tuned.ready, true);
	bdw_tune();
}
