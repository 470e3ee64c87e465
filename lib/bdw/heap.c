// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* The heap as a whole: its beginning, its collections. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bdw.h"

#define BDW_ATTEMPTS	8	/* as gcheap_collect() makes */

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

/* gcheap_collect() without the finalizers, which may not run under the lock. */
static int bdw_collect_once(uint32_t flags)
{
	GCH_ARG(gcheap_collect, arg);
	int err = -EAGAIN;

	for (int i = 0; i < BDW_ATTEMPTS && err == -EAGAIN; i++) {
		err = gch_dl_check();
		arg.flags = GCHEAP_COLLECT_WAIT | flags;
		if (!err)
			err = gch_call(&gch.heap0, GCHEAP_IOC_COLLECT, &arg);
	}
	return err;
}

static int bdw_collect_locked(GC_stop_func stop, uint32_t flags)
{
	int err;

	/* Not even those asked for are made: pointers may be hidden. */
	if (bdw.disabled || (stop && stop()))
		return -ECANCELED;
	bdw_events_begin();
	err = bdw_collect_once(flags);
	if (!err)
		bdw_count_cycle();
	bdw_events_end(!err);
	return err;
}

/* dl_lock comes first: under it objects being loaded take the other. */
static bool bdw_collect(GC_stop_func stop, uint32_t flags)
{
	int err, cancel;

	if (gcheap_init())
		return false;
	bdw_data_notice();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_mutex_lock(&gch.dl_lock);
	bdw_lock();
	err = bdw_collect_locked(stop, flags);
	bdw_unlock();
	pthread_mutex_unlock(&gch.dl_lock);
	pthread_setcancelstate(cancel, NULL);
	if (err)
		return false;
	gch_kernel_visited(&gch.heap0);
	bdw_debug_check();
	return true;
}

GCH_API void GC_gcollect(void)
{
	bdw_collect(NULL, 0);
}

GCH_API void GC_gcollect_and_unmap(void)
{
	bdw_collect(NULL, GCHEAP_COLLECT_COMPACT);
}

/* @stop is asked once: then it is for the kernel to end an attempt, or not. */
GCH_API int GC_try_to_collect(GC_stop_func stop)
{
	return bdw_collect(stop, 0);
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
