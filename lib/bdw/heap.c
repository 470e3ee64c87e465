// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* The heap as a whole: its beginning, its collections. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bdw.h"

static struct {
	int disabled;
	pthread_mutex_t lock;	/* what programs know as the allocation lock */
} bdw = {
	.lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
};

/* Programs do not expect that there is no collector at all. */
static void bdw_need_heap(void)
{
	int err = gcheap_init();

	if (!err || err == -ENXIO)
		return;
	bdw_die("gcheap: no heap", "%s", strerror(-err));
}

void *bdw_out_of_memory(size_t bytes)
{
	bdw_need_heap();
	return GC_get_oom_fn()(bytes);
}

GCH_API void GC_init(void)
{
	if (!gch.ready)
		bdw_thread_init();
	bdw_need_heap();
	bdw_stack_init();
	bdw_data_settle();
}

GCH_API int GC_is_init_called(void)
{
	return gch.ready;
}

GCH_API unsigned GC_get_version(void)
{
	return GC_VERSION_MAJOR << 16 | GC_VERSION_MINOR << 8 | GC_VERSION_MICRO;
}

/* ---- the allocation lock, which allocation does without */

void bdw_lock(void)
{
	pthread_mutex_lock(&bdw.lock);
}

bool bdw_trylock(void)
{
	return !pthread_mutex_trylock(&bdw.lock);
}

void bdw_unlock(void)
{
	pthread_mutex_unlock(&bdw.lock);
}

GCH_API void GC_alloc_lock(void)
{
	bdw_lock();
}

GCH_API void GC_alloc_unlock(void)
{
	bdw_unlock();
}

GCH_API void *GC_call_with_alloc_lock(GC_fn_type fn, void *data)
{
	void *result;

	bdw_lock();
	result = fn(data);
	bdw_unlock();
	return result;
}

/* ---- collections */

/* While disabled not even those asked for are made: pointers may be hidden. */
GCH_API void GC_gcollect(void)
{
	bdw_data_notice();
	if (READ_ONCE(bdw.disabled))
		return;
	gcheap_collect();
	bdw_debug_check();
}

GCH_API void GC_gcollect_and_unmap(void)
{
	if (READ_ONCE(bdw.disabled))
		return;
	gcheap_compact();
	bdw_debug_check();
}

/* @stop is asked once: then it is for the kernel to end an attempt, or not. */
GCH_API int GC_try_to_collect(GC_stop_func stop)
{
	if (READ_ONCE(bdw.disabled) || stop() || gcheap_collect())
		return 0;
	bdw_debug_check();
	return 1;
}

GCH_API int GC_collect_a_little(void)
{
	return 0;
}

GCH_API void GC_disable(void)
{
	bdw_lock();
	bdw.disabled++;
	gcheap_hold();
	bdw_unlock();
}

GCH_API void GC_enable(void)
{
	bdw_lock();
	if (bdw.disabled > 0) {
		bdw.disabled--;
		gcheap_unhold();
	}
	bdw_unlock();
}

GCH_API int GC_is_disabled(void)
{
	return bdw.disabled;
}
