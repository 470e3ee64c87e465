// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Threads. The kernel finds them all; that some are registered is something programs
 * ask for and rely on the answer.
 */
#include <semaphore.h>
#include <unistd.h>

#include "bdw.h"

enum bdw_registered {
	BDW_NEVER,	/* or the first thread: it is from the beginning */
	BDW_REGISTERED,
	BDW_UNREGISTERED,
};

static __thread enum bdw_registered bdw_registered;

/* The thread that makes the heap, whichever it is. */
void bdw_thread_init(void)
{
	bdw_registered = BDW_REGISTERED;
	bdw_suspend_join();
}

/* ---- those that are made with the collector's call */

struct bdw_start {
	void *(*fn)(void *arg);
	void *arg;
	sem_t begun;
};

static void bdw_thread_ended(void *unused)
{
	bdw_suspend_leave();
	bdw_registered = BDW_UNREGISTERED;
}

static void *bdw_thread_run(void *arg)
{
	struct bdw_start *start = arg;
	void *(*fn)(void *arg) = start->fn;
	void *fn_arg = start->arg, *result;

	bdw_registered = BDW_REGISTERED;
	bdw_suspend_join();
	sem_post(&start->begun);
	pthread_cleanup_push(bdw_thread_ended, NULL);
	result = fn(fn_arg);
	pthread_cleanup_pop(1);
	return result;
}

/* Whoever has the new thread's id may suspend it: it is registered by then. */
static void bdw_thread_await(struct bdw_start *start)
{
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	while (sem_wait(&start->begun))
		;
	pthread_setcancelstate(cancel, NULL);
}

GCH_API int GC_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*fn)(void *),
			      void *arg)
{
	struct bdw_start start = { .fn = fn, .arg = arg };
	int err;

	GC_init();
	sem_init(&start.begun, 0, 0);
	err = gch_pthread_create(id, attr, bdw_thread_run, &start);
	if (!err)
		bdw_thread_await(&start);
	sem_destroy(&start.begun);
	return err;
}

GCH_API int GC_pthread_join(pthread_t id, void **result)
{
	return gch_pthread_join(id, result);
}

GCH_API int GC_pthread_detach(pthread_t id)
{
	return gch_pthread_detach(id);
}

GCH_API int GC_pthread_cancel(pthread_t id)
{
	return pthread_cancel(id);
}

GCH_API void GC_pthread_exit(void *result)
{
	gch_pthread_exit(result);
}

/* As with bdwgc, the signal that threads are stopped by (suspend.c) is none to be blocked. */
GCH_API int GC_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t most;

	if (set && (how == SIG_BLOCK || how == SIG_SETMASK)) {
		most = *set;
		sigdelset(&most, GC_get_suspend_signal());
		set = &most;
	}
	return pthread_sigmask(how, set, old);
}

GCH_API void *GC_dlopen(const char *file, int mode)
{
	return gch_dlopen(file, mode);
}

/* ---- those that register themselves */

GCH_API void GC_allow_register_threads(void)
{
}

/* Marking is the kernel's, which has its own. */
GCH_API void GC_start_mark_threads(void)
{
}

GCH_API int GC_thread_is_registered(void)
{
	if (bdw_registered == BDW_NEVER)
		return gch.ready && gettid() == getpid();
	return bdw_registered == BDW_REGISTERED;
}

GCH_API int GC_register_my_thread(const struct GC_stack_base *base)
{
	if (GC_thread_is_registered())
		return GC_DUPLICATE;
	if (gcheap_thread_attach())
		return GC_UNIMPLEMENTED;
	GC_set_stackbottom(NULL, base);
	bdw_suspend_join();
	bdw_registered = BDW_REGISTERED;
	return GC_SUCCESS;
}

GCH_API int GC_unregister_my_thread(void)
{
	if (gch_local_if_any(&gch.heap0))
		gcheap_thread_detach();
	bdw_suspend_leave();
	bdw_registered = BDW_UNREGISTERED;
	return GC_SUCCESS;
}
