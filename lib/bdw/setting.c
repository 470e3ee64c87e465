// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* What programs choose, and are told again. */
#include <signal.h>

#include "bdw.h"

static void *bdw_return_null(size_t bytes)
{
	return NULL;
}

int bdw_never_stop(void)
{
	return 0;
}

GCH_API GC_oom_func GC_oom_fn = bdw_return_null;
BDW_PAIR(GC_oom_func, oom_fn, GC_oom_fn)

/* Asked once by collections that are asked for; the kernel's own do not ask. */
static GC_stop_func bdw_stop_func = bdw_never_stop;
BDW_PAIR(GC_stop_func, stop_func, bdw_stop_func)

/* Collections that are asked for compact then. */
static int bdw_force_unmap_on_gcollect;
BDW_PAIR(int, force_unmap_on_gcollect, bdw_force_unmap_on_gcollect)

/*
 * The kernel collects as often as it helps before an allocation fails, unless automatic
 * collections are off; then the library does, once, if this is not 0.
 */
GCH_API GC_word GC_max_retries;
BDW_PAIR(GC_word, max_retries, GC_max_retries)

/* ---- without effect */

/* Addresses inside of objects always keep them. */
GCH_API int GC_all_interior_pointers = 1;

GCH_API void GC_set_all_interior_pointers(int on)
{
	WRITE_ONCE(GC_all_interior_pointers, !!on);
}

GCH_API int GC_get_all_interior_pointers(void)
{
	return READ_ONCE(GC_all_interior_pointers);
}

GCH_API void GC_register_displacement(size_t offset)
{
}

/* What finalizable objects refer to is marked in any case. */
GCH_API int GC_java_finalization = 1;
BDW_PAIR(int, java_finalization, GC_java_finalization)

/* The heap is as large as what is alive asks for: GC_free_space_divisor. */
GCH_API int GC_dont_expand;
BDW_PAIR(int, dont_expand, GC_dont_expand)

GCH_API int GC_use_entire_heap;

/* Uncollectable objects count (uncollectable.c), but pace nothing: they are marked. */
GCH_API GC_word GC_non_gc_bytes;
BDW_PAIR(GC_word, non_gc_bytes, GC_non_gc_bytes)

/* There is no collection at the beginning. */
GCH_API int GC_dont_precollect;
BDW_PAIR(int, dont_precollect, GC_dont_precollect)

/* Finalizers and small heaps have no say in when to collect; gcheap has its own minimum. */
static GC_word bdw_allocd_bytes_per_finalizer = 10000;
BDW_PAIR(GC_word, allocd_bytes_per_finalizer, bdw_allocd_bytes_per_finalizer)
static size_t bdw_min_bytes_allocd = 1;
BDW_PAIR(size_t, min_bytes_allocd, bdw_min_bytes_allocd)

/*
 * The heap cannot be executed, so the answer is always no; who does not ask would get a
 * SIGSEGV without a word.
 */
GCH_API void GC_set_pages_executable(int on)
{
	if (on)
		bdw_warn("GC Warning: Objects are not executable, with %lu as well\n", on);
}

GCH_API int GC_get_pages_executable(void)
{
	return 0;
}

/* ---- signals; the kernel stops threads without any, programs with the first (suspend.c) */

static struct {
	int suspend, restart;
} bdw_signal = { SIGPWR, SIGXCPU };

/* As in bdwgc there is no choice any more once the collector has started. */
GCH_API void GC_set_suspend_signal(int number)
{
	if (!bdw_started())
		bdw_signal.suspend = number;
}

GCH_API int GC_get_suspend_signal(void)
{
	return bdw_signal.suspend;
}

GCH_API void GC_set_thr_restart_signal(int number)
{
	if (!bdw_started())
		bdw_signal.restart = number;
}

GCH_API int GC_get_thr_restart_signal(void)
{
	return bdw_signal.restart;
}
