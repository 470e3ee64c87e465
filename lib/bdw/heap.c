// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* The heap as a whole: its beginning, its size, its settings, its roots. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bdw.h"

#define BDW_DIVISOR	3	/* bdwgc's default, which is our 100 % growth */

static void *bdw_return_null(size_t bytes)
{
	return NULL;
}

/* bdwgc's own warnings are not given, so that nobody calls it. */
static void bdw_warn(char *format, GC_word arg)
{
	fprintf(stderr, format, arg);
}

static struct {
	GC_oom_func oom;
	GC_warn_proc warn;
	GC_word divisor;
	int disabled;
	pthread_mutex_t lock;	/* GC_call_with_alloc_lock() */
} bdw = {
	.oom = bdw_return_null,
	.warn = bdw_warn,
	.divisor = BDW_DIVISOR,
	.lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
};

/* Programs do not expect that there is no collector at all. */
static void bdw_need_heap(void)
{
	int err = gcheap_init();

	if (!err || err == -ENXIO)
		return;
	fprintf(stderr, "gcheap: no heap: %s\n", strerror(-err));
	abort();
}

void *bdw_out_of_memory(size_t bytes)
{
	bdw_need_heap();
	return bdw.oom(bytes);
}

GCH_API void GC_init(void)
{
	bdw_need_heap();
}

GCH_API int GC_is_init_called(void)
{
	return gch.ready;
}

GCH_API unsigned GC_get_version(void)
{
	return GC_VERSION_MAJOR << 16 | GC_VERSION_MINOR << 8 | GC_VERSION_MICRO;
}

/* ---- collections */

/* While disabled not even those asked for are made: pointers may be hidden. */
GCH_API void GC_gcollect(void)
{
	if (!READ_ONCE(bdw.disabled))
		gcheap_collect();
}

GCH_API void GC_gcollect_and_unmap(void)
{
	if (!READ_ONCE(bdw.disabled))
		gcheap_compact();
}

/* @stop is asked once: then it is for the kernel to end an attempt, or not. */
GCH_API int GC_try_to_collect(GC_stop_func stop)
{
	return !READ_ONCE(bdw.disabled) && !stop() && gcheap_collect() == 0;
}

GCH_API int GC_collect_a_little(void)
{
	return 0;
}

GCH_API void GC_disable(void)
{
	pthread_mutex_lock(&bdw.lock);
	bdw.disabled++;
	gcheap_hold();
	pthread_mutex_unlock(&bdw.lock);
}

GCH_API void GC_enable(void)
{
	pthread_mutex_lock(&bdw.lock);
	if (bdw.disabled > 0) {
		bdw.disabled--;
		gcheap_unhold();
	}
	pthread_mutex_unlock(&bdw.lock);
}

GCH_API int GC_is_disabled(void)
{
	return bdw.disabled;
}

/* ---- counters */

static struct gcheap_stats bdw_stats(void)
{
	struct gcheap_stats s;

	gcheap_stats(&s);
	return s;
}

GCH_API GC_word GC_get_gc_no(void)
{
	return bdw_stats().cycles;
}

GCH_API size_t GC_get_heap_size(void)
{
	return bdw_stats().heap_bytes;
}

static size_t bdw_free_bytes(const struct gcheap_stats *s)
{
	return s->heap_bytes > s->live_bytes ? s->heap_bytes - s->live_bytes : 0;
}

/* As of the last collection. */
GCH_API size_t GC_get_free_bytes(void)
{
	struct gcheap_stats s = bdw_stats();

	return bdw_free_bytes(&s);
}

GCH_API size_t GC_get_unmapped_bytes(void)
{
	struct gcheap_stats s = bdw_stats();

	return s.heap_bytes > s.resident_bytes ? s.heap_bytes - s.resident_bytes : 0;
}

GCH_API size_t GC_get_total_bytes(void)
{
	return bdw_stats().alloc_bytes;
}

GCH_API size_t GC_get_memory_use(void)
{
	return bdw_stats().resident_bytes;
}

/* ---- settings */

GCH_API void GC_set_oom_fn(GC_oom_func fn)
{
	bdw.oom = fn;
}

GCH_API GC_oom_func GC_get_oom_fn(void)
{
	return bdw.oom;
}

GCH_API void GC_set_warn_proc(GC_warn_proc fn)
{
	bdw.warn = fn;
}

GCH_API GC_warn_proc GC_get_warn_proc(void)
{
	return bdw.warn;
}

GCH_API void GC_ignore_warn_proc(char *format, GC_word arg)
{
}

GCH_API void GC_set_free_space_divisor(GC_word divisor)
{
	uint64_t growth = divisor ? 100 * BDW_DIVISOR / divisor : 100;

	bdw.divisor = divisor;
	gcheap_tune(NULL, GCHEAP_TUNE_GROWTH, growth ? growth : 1);
}

GCH_API GC_word GC_get_free_space_divisor(void)
{
	return bdw.divisor;
}

GCH_API void GC_set_max_heap_size(GC_word bytes)
{
	gcheap_tune(NULL, GCHEAP_TUNE_LIMIT, bytes);
}

/* Nothing is collected before the heap has grown by that much. */
GCH_API int GC_expand_hp(size_t bytes)
{
	return !gcheap_tune(NULL, GCHEAP_TUNE_MIN_HEAP, bdw_stats().heap_bytes + bytes);
}

/* Addresses inside of objects always keep them. */
GCH_API void GC_set_all_interior_pointers(int on)
{
}

GCH_API int GC_get_all_interior_pointers(void)
{
	return 1;
}

GCH_API void GC_register_displacement(size_t offset)
{
}

/* ---- roots */

/* Programs say so again for what is one already. */
static bool bdw_is_root(uintptr_t low, uintptr_t end)
{
	const struct gch_root *r;
	bool found = false;

	pthread_mutex_lock(&gch.lock);
	r = gch.heap0.roots.items;
	for (size_t i = 0; i < gch.heap0.roots.n && !found; i++)
		found = r[i].addr <= low && r[i].addr + r[i].len >= end;
	pthread_mutex_unlock(&gch.lock);
	return found;
}

/* Without a way to fail: bdwgc ends the program as well. */
GCH_API void GC_add_roots(void *low, void *end)
{
	uintptr_t first = ((uintptr_t)low + 7) & ~7ul, last = (uintptr_t)end & ~7ul;
	int err;

	if (first >= last || bdw_is_root(first, last))
		return;
	err = gcheap_root_add((void *)first, last - first);
	if (!err)
		return;
	fprintf(stderr, "libgc: GC_add_roots: %s\n", strerror(-err));
	abort();
}

/* ---- the lock there is not */

GCH_API void *GC_call_with_alloc_lock(GC_fn_type fn, void *data)
{
	void *result;

	pthread_mutex_lock(&bdw.lock);
	result = fn(data);
	pthread_mutex_unlock(&bdw.lock);
	return result;
}
