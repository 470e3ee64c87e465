// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* The heap as a whole: its beginning, its collections. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bdw.h"

static struct {
	int disabled;
	pthread_mutex_t lock;	/* GC_call_with_alloc_lock() */
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

/* ---- the lock there is not */

GCH_API void *GC_call_with_alloc_lock(GC_fn_type fn, void *data)
{
	void *result;

	pthread_mutex_lock(&bdw.lock);
	result = fn(data);
	pthread_mutex_unlock(&bdw.lock);
	return result;
}
