// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Threads that allocate: attached at the first use of a heap, detached when they
 * end. That a thread is a root does not depend on it.
 */
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gch.h"

/* What a thread that is not attached finds: no free cell anywhere. */
const struct gcheap_tcb gch_no_tcb __attribute__((aligned(64))) = { 0 };
#define GCH_NO_TCB	((struct gcheap_tcb *)&gch_no_tcb)

__thread struct gcheap_tcb *gch_tcbs[GCH_HEAPS] = { [0 ... GCH_HEAPS - 1] = GCH_NO_TCB };
__thread struct gch_thread *gch_self;
static __thread bool gch_leaving;

/* ---- the thread */

static void gch_thread_list(struct gch_thread *t)
{
	pthread_mutex_lock(&gch.lock);
	t->next = gch.threads;
	t->link = &gch.threads;
	if (t->next)
		t->next->link = &t->next;
	gch.threads = t;
	pthread_mutex_unlock(&gch.lock);
}

static void gch_thread_unlist(struct gch_thread *t)
{
	pthread_mutex_lock(&gch.lock);
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	pthread_mutex_unlock(&gch.lock);
}

/*
 * A thread that allocates in the very last of its destructors is not listed: nobody
 * would take it out before its storage goes. The kernel detaches it.
 */
static struct gch_thread *gch_thread_new(void)
{
	struct gch_thread *t = gch_map(sizeof(*t));

	if (!t)
		return NULL;
	t->tcbs = gch_tcbs;
	gch_self = t;
	if (gch_leaving)
		return t;
	gch_thread_list(t);
	pthread_setspecific(gch.key, t);
	return t;
}

/*
 * Bounds of the caller's stack; 0, 0 for the main thread, whose stack grows: the
 * kernel takes the mapping's. Asking allocates from malloc(), which may be the
 * program's and come back here: then the inner call goes without.
 */
static void gch_stack_bounds(struct gch_thread *t, struct gcheap_thread *arg)
{
	pthread_attr_t attr;
	size_t size;
	void *lo;

	if (t->attaching || syscall(SYS_gettid) == getpid())
		return;
	t->attaching = true;
	if (!pthread_getattr_np(pthread_self(), &attr)) {
		if (!pthread_attr_getstack(&attr, &lo, &size)) {
			arg->stack_lo = (uintptr_t)lo;
			arg->stack_hi = (uintptr_t)lo + size;
		}
		pthread_attr_destroy(&attr);
	}
	t->attaching = false;
}

/* ---- the thread in a heap */

/* Forget all spans; the cursors are as in a new control block. */
void gch_local_reset(struct gch_local *l)
{
	struct gcheap_tcb *tcb = l->tcb;
	uint64_t n = tcb->lib[GCH_LIB_CURSORS];

	if (n > GCHEAP_MAX_CACHES)
		n = GCHEAP_MAX_CACHES;
	memset(tcb->cursor, 0, n * sizeof(tcb->cursor[0]));
	memset(l->place, 0, n * sizeof(l->place[0]));
	tcb->lib[GCH_LIB_CURSORS] = 0;
}

/* A thread that died without telling left its control block to the caller. */
static void gch_drop_stale(struct gcheap *h, uint32_t id)
{
	for (struct gch_thread *t = gch.threads; t; t = t->next) {
		struct gch_local *l = t->local[h->index];

		if (!l || l->id != id)
			continue;
		t->local[h->index] = NULL;
		gch_unmap(l, sizeof(*l));
		return;
	}
}

static void gch_local_install(struct gch_thread *t, struct gcheap *h, struct gch_local *l)
{
	struct gcheap_tcb *tcb = (struct gcheap_tcb *)(h->backend.tcb +
						       (size_t)l->id * GCHEAP_TCB_SIZE);

	l->heap = h;
	l->thread = t;
	l->tcb = tcb;
	gch_local_reset(l);
	tcb->free_head = READ_ONCE(tcb->free_tail);
	pthread_mutex_lock(&gch.lock);
	gch_drop_stale(h, l->id);
	t->local[h->index] = l;
	pthread_mutex_unlock(&gch.lock);
	gch_tcbs[h->index] = tcb;
}

static int gch_attach(struct gch_thread *t, struct gcheap *h)
{
	GCH_ARG(gcheap_thread, arg);
	struct gch_local *l;
	int err;

	gch_stack_bounds(t, &arg);
	if (t->local[h->index])
		return 0;
	l = gch_map(sizeof(*l));
	if (!l)
		return -ENOMEM;
	err = gch_call(h, GCHEAP_IOC_THREAD_ATTACH, &arg);
	if (err) {
		gch_unmap(l, sizeof(*l));
		return err;
	}
	l->id = arg.thread;
	gch_local_install(t, h, l);
	return 0;
}

static struct gch_local *gch_local_new(struct gcheap *h)
{
	struct gch_thread *t;

	if (gch_fail(gch_heap_get(&h)))
		return NULL;
	t = gch_self ? gch_self : gch_thread_new();
	if (!t || gch_fail(gch_attach(t, h)))
		return NULL;
	return t->local[h->index];
}

/* The caller's, attached if need be; NULL with errno. */
struct gch_local *gch_local(struct gcheap *h)
{
	struct gch_local *l = gch_local_if_any(h);

	return likely(l) ? l : gch_local_new(h);
}

/* One that has been closed has none, though another heap may have come to its number. */
struct gch_local *gch_local_if_any(struct gcheap *h)
{
	struct gch_local *l = gch_self ? gch_self->local[h->index] : NULL;

	return likely(l && l->heap == h) ? l : NULL;
}

/*
 * Out of the thread's list first: once it is detached its number may be another
 * thread's, which takes what it finds under it for stale.
 */
static int gch_local_detach(struct gch_thread *t, struct gch_local *l)
{
	GCH_ARG(gcheap_thread, arg);
	struct gcheap *h = l->heap;
	int err;

	pthread_mutex_lock(&gch.lock);
	t->local[h->index] = NULL;
	pthread_mutex_unlock(&gch.lock);
	gch_tcbs[h->index] = GCH_NO_TCB;
	arg.thread = l->id;
	err = gch_call(h, GCHEAP_IOC_THREAD_DETACH, &arg);
	gch_unmap(l, sizeof(*l));
	return err;
}

/* The heap is closed: no thread has a place in it any more. Under gch.lock. */
void gch_locals_drop(struct gcheap *h)
{
	for (struct gch_thread *t = gch.threads; t; t = t->next) {
		struct gch_local *l = t->local[h->index];

		if (!l)
			continue;
		t->local[h->index] = NULL;
		t->tcbs[h->index] = GCH_NO_TCB;
		gch_unmap(l, sizeof(*l));
	}
}

int gch_local_flush(struct gch_local *l, uint32_t flags)
{
	GCH_ARG(gcheap_flush, arg);
	int err;

	arg.flags = flags;
	arg.thread = l->id;
	err = gch_call(l->heap, GCHEAP_IOC_FLUSH, &arg);
	if (!err && flags & GCHEAP_FLUSH_SPANS)
		gch_local_reset(l);
	return err;
}

/* ---- the end */

/*
 * Destructors of other keys may allocate, before or after this one: leave in the
 * last but one of the rounds that there are for such cases. The last is that of
 * tools that watch threads, and want no more calls from them.
 */
void gch_thread_exit(void *arg)
{
	struct gch_thread *t = arg;

	if (t != gch_self)
		return;
	if (++t->passes < PTHREAD_DESTRUCTOR_ITERATIONS - 1) {
		pthread_setspecific(gch.key, t);
		return;
	}
	for (int i = 0; i < GCH_HEAPS; i++)
		if (t->local[i])
			gch_local_detach(t, t->local[i]);
	gch_thread_unlist(t);
	gch_self = NULL;
	gch_leaving = true;
	gch_unmap(t, sizeof(*t));
}

static void gch_thread_clear(struct gch_thread *t)
{
	for (int i = 0; i < GCH_HEAPS; i++) {
		gch_unmap(t->local[i], sizeof(*t->local[i]));
		t->local[i] = NULL;
	}
}

/* A forked child: its thread, which may be about to attach, is not attached to any heap. */
void gch_thread_forked(void)
{
	struct gch_thread *t = gch.threads, *next;

	for (int i = 0; i < GCH_HEAPS; i++)
		gch_tcbs[i] = GCH_NO_TCB;
	gch.threads = NULL;
	for (; t; t = next) {
		next = t->next;
		if (t == gch_self)
			continue;
		gch_thread_clear(t);
		gch_unmap(t, sizeof(*t));
	}
	if (gch_self)
		gch_thread_clear(gch_self);
	if (gch_self && !gch_leaving)
		gch_thread_list(gch_self);
}

/* ---- for the program */

GCH_API int gcheap_heap_thread_attach(struct gcheap *h)
{
	int err = gch_heap_get(&h);

	if (err)
		return err;
	return gch_local(h) ? 0 : -errno;
}

GCH_API int gcheap_heap_thread_detach(struct gcheap *h)
{
	struct gch_local *l;
	int err = gch_heap_get(&h);

	if (err)
		return err;
	l = gch_local_if_any(h);
	return l ? gch_local_detach(l->thread, l) : -ESRCH;
}

GCH_API int gcheap_heap_thread_flush(struct gcheap *h)
{
	struct gch_local *l;
	int err = gch_heap_get(&h);

	if (err)
		return err;
	l = gch_local_if_any(h);
	return l ? gch_local_flush(l, GCHEAP_FLUSH_SPANS) : 0;
}

GCH_API int gcheap_thread_attach(void)
{
	return gcheap_heap_thread_attach(NULL);
}

GCH_API int gcheap_thread_detach(void)
{
	return gcheap_heap_thread_detach(NULL);
}

GCH_API int gcheap_thread_flush(void)
{
	return gcheap_heap_thread_flush(NULL);
}
