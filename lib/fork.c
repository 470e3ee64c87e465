// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * fork(): the child goes on with heaps that are like its parent's were.
 *
 * The thread that forks takes all locks of the library before, so that what they protect is
 * whole in the child, and tells the kernel. Handlers are registered as the library is loaded:
 * those of others run before these in the thread that is about to fork, and after these in the
 * parent and in the child, and may use heaps there.
 *
 * In the child no other thread is left: what they had of the library's is given back.
 *
 * No signal is handled in between: a handler that forks would come into the midst of this, and one
 * that writes to objects would write to those of the child.
 *
 * With GCHEAP_FORK=0 nobody waits: no lock is taken, and the child has nothing of what these
 * protect.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gch.h"

/* What follows @child belongs to the thread that has the locks. */
static struct {
	pthread_mutex_t *first, *const *other;
	size_t nothers;
	void (*child)(void);	/* of what is built on the library, or NULL */
	bool dl;		/* dl_lock is taken, too */
	int fd[GCH_HEAPS];	/* of the child's heaps, or -errno */
} gch_forking;

static __thread bool gch_forks;
static __thread bool gch_fork_locked;
static __thread int gch_cancel;
static __thread uint64_t gch_signals;	/* that were blocked; there are 64 */

/* ---- locks */

static pthread_mutex_t gch_await_lock = PTHREAD_MUTEX_INITIALIZER;

/* In the order of gch.h, without start_lock; the last one is taken within any. */
static pthread_mutex_t *const gch_locks[] = {
	&gch.lock, &gch.pin_lock, &gch.starts.lock, &gch.finalizers.lock, &gch.pins.lock,
	&gch_await_lock,
};
#define GCH_LOCKS	(sizeof(gch_locks) / sizeof(gch_locks[0]))

/*
 * Locks of what is built on the library, @n of them; while it is being loaded. @first is
 * recursive, and taken before all of the library's; the others after start_lock, within which
 * malloc() may be the collector's.
 */
void gch_fork_takes(pthread_mutex_t *first, pthread_mutex_t *const *others, size_t n)
{
	gch_forking.first = first;
	gch_forking.other = others;
	gch_forking.nothers = n;
}

/* Likewise: called in the child, when its heaps are there and the locks are free. */
void gch_fork_calls(void (*child)(void))
{
	gch_forking.child = child;
}

/* @n of them, @but one. */
static void gch_others_unlock(size_t n, const pthread_mutex_t *but)
{
	while (n-- > 0)
		if (gch_forking.other[n] != but)
			pthread_mutex_unlock(gch_forking.other[n]);
}

/* All or, @but one, none: returns one that is taken, or NULL. */
static pthread_mutex_t *gch_others_trylock(const pthread_mutex_t *but)
{
	for (size_t i = 0; i < gch_forking.nothers; i++) {
		pthread_mutex_t *lock = gch_forking.other[i];

		if (lock == but || !pthread_mutex_trylock(lock))
			continue;
		gch_others_unlock(i, but);
		return lock;
	}
	return NULL;
}

/* They have no order: who waits for one has none of the others. */
static void gch_others_lock(void)
{
	pthread_mutex_t *taken = gch_others_trylock(NULL), *held;

	while (taken) {
		held = taken;
		pthread_mutex_lock(held);
		taken = gch_others_trylock(held);
		if (taken)
			pthread_mutex_unlock(held);
	}
}

/*
 * Whoever has dl_lock may be in any code that a shared object runs as it is loaded, and wait for
 * the caller: then it is done without.
 */
static void gch_fork_lock(void)
{
	bool dl;

	if (gch_forking.first)
		pthread_mutex_lock(gch_forking.first);
	dl = !pthread_mutex_trylock(&gch.dl_lock);
	pthread_mutex_lock(&gch.start_lock);
	gch_others_lock();
	for (unsigned int i = 0; i < GCH_LOCKS; i++)
		pthread_mutex_lock(gch_locks[i]);
	for (int i = 0; i < GCH_HEAPS; i++)
		if (gch.heap[i])
			pthread_mutex_lock(&gch.heap[i]->offheap_lock);
	gch_forking.dl = dl;
}

static void gch_fork_unlock(void)
{
	bool dl = gch_forking.dl;

	for (int i = GCH_HEAPS; i-- > 0;)
		if (gch.heap[i])
			pthread_mutex_unlock(&gch.heap[i]->offheap_lock);
	for (unsigned int i = GCH_LOCKS; i-- > 0;)
		pthread_mutex_unlock(gch_locks[i]);
	gch_others_unlock(gch_forking.nothers, NULL);
	pthread_mutex_unlock(&gch.start_lock);
	if (dl)
		pthread_mutex_unlock(&gch.dl_lock);
	if (gch_forking.first)
		pthread_mutex_unlock(gch_forking.first);
}

static void gch_fork_renew(pthread_mutex_t *lock, bool recursive)
{
	static const pthread_mutex_t again = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	static const pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;

	*lock = recursive ? again : once;
}

/* The child's thread has another number than the one that has taken them. */
static void gch_fork_renew_all(void)
{
	if (gch_forking.first)
		gch_fork_renew(gch_forking.first, true);
	gch_fork_renew(&gch.dl_lock, true);
	gch_fork_renew(&gch.start_lock, true);
	for (size_t i = 0; i < gch_forking.nothers; i++)
		gch_fork_renew(gch_forking.other[i], false);
	for (unsigned int i = 0; i < GCH_LOCKS; i++)
		gch_fork_renew(gch_locks[i], false);
	for (int i = 0; i < GCH_HEAPS; i++)
		if (gch.heap[i])
			gch_fork_renew(&gch.heap[i]->offheap_lock, false);
}

/* ---- before */

static bool gch_fork_wants(const struct gcheap *h)
{
	return h && h->opened && !h->dead;
}

static void gch_fork_begin(void)
{
	sigset_t all, was;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	memcpy(&gch_signals, &was, sizeof(gch_signals));
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &gch_cancel);
	gch_fork_locked = !gch.no_fork;
	gch_forks = true;
}

static void gch_fork_end(void)
{
	sigset_t was;

	gch_forks = false;
	pthread_setcancelstate(gch_cancel, NULL);
	sigemptyset(&was);
	memcpy(&was, &gch_signals, sizeof(gch_signals));
	pthread_sigmask(SIG_SETMASK, &was, NULL);
}

/* May be called once more, by handlers within calls by hand. */
void gch_fork_prepare(void)
{
	if (gch_forks)
		return;
	gch_fork_begin();
	if (!gch_fork_locked)
		return;
	gch_fork_lock();
	for (int i = 0; i < GCH_HEAPS; i++) {
		struct gcheap *h = gch.heap[i];

		gch_forking.fd[i] = -ENXIO;
		if (gch_fork_wants(h))
			gch_forking.fd[i] = h->backend.ops->fork(&h->backend);
	}
}

/* ---- after, in the parent */

void gch_fork_parent(void)
{
	if (!gch_forks)
		return;
	for (int i = 0; i < GCH_HEAPS && gch_fork_locked; i++)
		if (gch_forking.fd[i] >= 0)
			gch.heap[i]->backend.ops->forked(&gch.heap[i]->backend, gch_forking.fd[i]);
	if (gch_fork_locked)
		gch_fork_unlock();
	gch_fork_end();
}

/* ---- after, in the child */

/*
 * Nothing else is mapped before all heaps are back in their places. They may still be being
 * copied: whether there was memory for that is asked when they are used.
 */
static int gch_fork_adopt(struct gcheap *h, int fd)
{
	int err = fd < 0 ? fd : h->backend.ops->adopt(&h->backend, fd);

	h->awaited = !err;
	return err;
}

static void gch_fork_lose(struct gcheap *h, int err, void (*let_go)(struct gch_backend *b))
{
	WRITE_ONCE(h->dead, true);
	if (h == &gch.heap0)
		gch.error = err;
	let_go(&h->backend);
	h->backend.fd = -1;
	/* A heap of the child's own may come to lie there. */
	WRITE_ONCE(h->backend.base, 0);
	WRITE_ONCE(h->backend.size, 0);
}

/* Another thread was in dlopen(): it held collections. */
static void gch_fork_unhold(struct gcheap *h)
{
	GCH_ARG(gcheap_hold, arg);

	arg.delta = -1;
	for (; h->dl_lost > 0; h->dl_lost--)
		h->backend.ops->call(&h->backend, GCHEAP_IOC_HOLD, &arg);
}

/* 0, or -errno: there is no such heap. */
int gch_fork_await(struct gcheap *h)
{
	int err = 0;

	pthread_mutex_lock(&gch_await_lock);
	if (h->awaited)
		err = h->backend.ops->await(&h->backend);
	if (err)
		gch_fork_lose(h, err, h->backend.ops->close);
	else if (h->awaited)
		gch_fork_unhold(h);
	WRITE_ONCE(h->awaited, false);
	if (h->dead && !err)
		err = -ENXIO;
	pthread_mutex_unlock(&gch_await_lock);
	return err;
}

/* Another thread was about to open it: it has not been. */
static void gch_fork_unlist(int i)
{
	struct gcheap *h = gch.heap[i];

	h->backend.ops->forget(&h->backend);
	if (gch_fork_locked) {
		gch_vec_free(&h->roots);
		gch_vec_free(&h->data);
	}
	gch.heap[i] = NULL;
}

/* Closed while finalizers run: what lies where they were by then is not theirs. */
static void gch_fork_closing(void)
{
	for (struct gcheap *h = gch.closing; h; h = h->next)
		if (h->backend.fd >= 0)
			h->backend.ops->forget(&h->backend);
}

static void gch_fork_heap(int i)
{
	struct gcheap *h = gch.heap[i];
	int err;

	if (h && !h->opened)
		gch_fork_unlist(i);
	if (!gch_fork_wants(h))
		return;
	err = gch_fork_adopt(h, gch_fork_locked ? gch_forking.fd[i] : -ENXIO);
	if (err)
		gch_fork_lose(h, err, h->backend.ops->forget);
	if (gch_forking.dl)
		return;
	h->dl_lost += h->dl_held;
	h->dl_held = 0;
}

/* What the others had: nothing can be said of it if there were no locks. */
static void gch_fork_give_back(void)
{
	gch_finalizer_forked(gch_fork_locked);
	if (!gch_fork_locked)
		gch.threads = NULL;
	gch_thread_forked();
	if (gch_fork_locked)
		gch_start_forked();
}

void gch_fork_child(void)
{
	if (!gch_forks)
		return;
	for (int i = 0; i < GCH_HEAPS; i++)
		gch_fork_heap(i);
	if (gch_fork_locked)
		gch_fork_closing();
	gch_fork_renew_all();
	gch_fork_give_back();
	if (gch_forking.child)
		gch_forking.child();
	gch_fork_end();
}

__attribute__((constructor(101))) static void gch_fork_setup(void)
{
	pthread_atfork(gch_fork_prepare, gch_fork_parent, gch_fork_child);
}
