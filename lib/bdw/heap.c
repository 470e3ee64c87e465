// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* The heap as a whole: its beginning, its collections. */
#include <string.h>

#include "bdw.h"

#define BDW_ATTEMPTS	8	/* as gcheap_collect() makes */

enum bdw_state {
	BDW_NONE,
	BDW_STARTING,
	BDW_READY,
	BDW_OVER,
};

static struct {
	enum bdw_state state;
	pthread_mutex_t lock;	/* what programs know as the allocation lock */
} bdw = {
	.lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
};
pthread_mutex_t *const bdw_heap_lock = &bdw.lock;
static __thread unsigned int bdw_depth;	/* so often the thread has it */

/*
 * What the environment says comes last, and warnings about it may allocate. Programs do
 * not expect that there is no collector at all; a forked child may have none.
 */
static void bdw_start(int err)
{
	bdw_thread_init();
	bdw_env();
	if (err && !bdw_heap_lost())
		bdw_die("gcheap: no heap", "%s", strerror(-err));
	bdw_tune_start();
}

/* The heap is made without the lock, as that waits for objects being loaded. */
void bdw_init(void)
{
	int err, cancel;

	if (likely(__atomic_load_n(&bdw.state, __ATOMIC_ACQUIRE) >= BDW_READY))
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	err = gcheap_init();
	bdw_lock();
	if (bdw.state == BDW_NONE) {
		bdw.state = BDW_STARTING;
		bdw_start(err);
		__atomic_store_n(&bdw.state, BDW_READY, __ATOMIC_RELEASE);
	}
	bdw_unlock();
	pthread_setcancelstate(cancel, NULL);
}

/* A forked child has none: there was no memory for the copy, or it was not to be made. */
bool bdw_heap_lost(void)
{
	return gch_heap_there(&gch.heap0);
}

/* There is a heap that can be told of settings. */
bool bdw_started(void)
{
	return READ_ONCE(bdw.state) != BDW_NONE;
}

/* The way in that is not fast. */
void bdw_enter(void)
{
	bdw_init();
	bdw_tune();
	bdw_visited();
	bdw_notify(false);
	bdw_callback_notice();
	bdw_leak_notice();
	bdw_spare_settle();
	if (bdw_leak_report())
		bdw_errors_found();
}

/* Programs do not expect, either, that a forked child has none. */
void *bdw_out_of_memory(size_t bytes)
{
	bdw_init();
	if (bdw_heap_lost())
		bdw_die("gcheap: no heap", "%s", strerror(-gch.error));
	bdw_warn("GC Warning: Out of Memory! Heap size: %lu MiB. Returning NULL!\n",
		 bdw_stats().heap_bytes >> 20);
	return GC_get_oom_fn()(bytes);
}

GCH_API void GC_init(void)
{
	bdw_init();
	bdw_stack_init();
	bdw_data_settle();
	bdw_leak_notice();
}

/* The heap goes with the process: objects are still there. */
GCH_API void GC_deinit(void)
{
	if (bdw_started())
		WRITE_ONCE(bdw.state, BDW_OVER);
}

GCH_API int GC_is_init_called(void)
{
	return bdw_started() && READ_ONCE(bdw.state) != BDW_OVER;
}

GCH_API unsigned GC_get_version(void)
{
	return GC_VERSION_MAJOR << 16 | GC_VERSION_MINOR << 8 | GC_VERSION_MICRO;
}

/* ---- the allocation lock, which allocation does without */

/* Who is asked in a pause has it: a thread that is stopped may have it as well. */
void bdw_lock(void)
{
	if (bdw_asked())
		return;
	pthread_mutex_lock(&bdw.lock);
	bdw_depth++;
}

bool bdw_trylock(void)
{
	if (bdw_asked())
		return true;
	if (pthread_mutex_trylock(&bdw.lock))
		return false;
	bdw_depth++;
	return true;
}

void bdw_unlock(void)
{
	if (bdw_asked())
		return;
	bdw_depth--;
	pthread_mutex_unlock(&bdw.lock);
}

/* In a forked child, whose thread has forked within. */
void bdw_lock_forked(void)
{
	for (unsigned int i = 0; i < bdw_depth; i++)
		pthread_mutex_lock(&bdw.lock);
}

GCH_API void GC_alloc_lock(void)
{
	bdw_lock();
	if (!bdw_asked())
		bdw_reveal_begin();
}

GCH_API void GC_alloc_unlock(void)
{
	if (!bdw_asked())
		bdw_reveal_end();
	bdw_unlock();
}

GCH_API void *GC_call_with_alloc_lock(GC_fn_type fn, void *data)
{
	void *result;

	GC_alloc_lock();
	result = fn(data);
	GC_alloc_unlock();
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

	/*
	 * While disabled not even those asked for are made: pointers may be hidden. @stop
	 * is asked once: then it is for the kernel to end an attempt, or not.
	 */
	if (GC_is_disabled() || stop())
		return -ECANCELED;
	bdw_events_begin();
	err = bdw_collect_once(flags);
	if (!err)
		bdw_count_cycle();
	bdw_events_end(!err);
	return err;
}

/* dl_lock comes first: under it objects being loaded take the other. */
static bool bdw_collect_and_run(GC_stop_func stop, uint32_t flags)
{
	int err, cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_mutex_lock(&gch.dl_lock);
	bdw_lock();
	err = bdw_collect_locked(stop, flags);
	bdw_unlock();
	pthread_mutex_unlock(&gch.dl_lock);
	pthread_setcancelstate(cancel, NULL);
	bdw_report();
	if (!err)
		gch_kernel_visited(&gch.heap0);
	return !err;
}

/* What a collection has found that nobody should have done. */
static void bdw_collect_errors(void)
{
	bool smashed = bdw_debug_check(), leaked = bdw_leak_report();

	if (smashed || leaked)
		bdw_errors_found();
}

/* Which objects are to be disclaimed is known after the next collection. */
static bool bdw_collect(GC_stop_func stop, bool compact)
{
	bdw_enter();
	if (gcheap_init())
		return false;
	bdw_data_notice();
	if (!bdw_collect_and_run(stop, compact ? GCHEAP_COLLECT_COMPACT : 0))
		return false;
	if (bdw_disclaim_waits())
		bdw_collect_and_run(bdw_never_stop, 0);
	bdw_notify(true);
	bdw_collect_errors();
	return true;
}

/* The kernel did not try for an allocation that failed. */
bool bdw_collected_for_room(void)
{
	return GC_get_disable_automatic_collection() && GC_get_max_retries() &&
	       bdw_collect(bdw_never_stop, false);
}

GCH_API void GC_gcollect(void)
{
	bdw_collect(GC_get_stop_func(), GC_get_force_unmap_on_gcollect());
}

GCH_API void GC_gcollect_and_unmap(void)
{
	bdw_collect(bdw_never_stop, true);
}

GCH_API int GC_try_to_collect(GC_stop_func stop)
{
	return bdw_collect(stop, GC_get_force_unmap_on_gcollect());
}
