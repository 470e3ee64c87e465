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
#include <string.h>
#include <unistd.h>

#include "gch.h"

static struct {
	void (*child)(void);	/* of what is built on the library, or NULL */
	pid_t home;		/* the process that has the heaps */
	int fd[GCH_HEAPS];	/* of who has the locks: the child's heaps, or -errno */
} gch_forking;

static __thread bool gch_forks;
static __thread bool gch_fork_locked;
static __thread int gch_cancel;
static __thread uint64_t gch_signals;	/* that were blocked; there are 64 */

/* Of what is built on the library: called in the child, when the locks are free. */
void gch_fork_calls(void (*child)(void))
{
	gch_forking.child = child;
}

/* ---- before */

static bool gch_fork_wants(const struct gcheap *h)
{
	return h && h->opened && !h->dead;
}

/* But for those that come from what the thread itself does. */
static void gch_signals_block(void)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
	sigset_t all, was;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&all, own[i]);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	memcpy(&gch_signals, &was, sizeof(gch_signals));
}

static void gch_signals_restore(void)
{
	sigset_t was;

	sigemptyset(&was);
	memcpy(&was, &gch_signals, sizeof(gch_signals));
	pthread_sigmask(SIG_SETMASK, &was, NULL);
}

/*
 * No walk over shared objects is under way, and the caller has all locks, of which it has
 * *@held, if any. Return: false: it has none, and is to wait for *@held unless that is NULL.
 */
static bool gch_fork_try(pthread_mutex_t **held)
{
	if (!gch_walks_bar(true)) {
		if (*held)
			pthread_mutex_unlock(*held);
		*held = NULL;
		return false;
	}
	*held = gch_locks_try(*held);
	if (*held)
		gch_walks_open();
	return !*held;
}

/* While it waits it may be stopped, by a signal, by the one that has the lock. */
static void gch_fork_lock(void)
{
	pthread_mutex_t *taken = NULL;

	while (!gch_fork_try(&taken)) {
		gch_signals_restore();
		if (taken)
			pthread_mutex_lock(taken);
		gch_signals_block();
	}
}

static void gch_fork_begin(void)
{
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	gch_signals_block();
	if (!gch.no_fork)
		gch_fork_lock();
	gch_fork_locked = !gch.no_fork;
	gch_cancel = cancel;
	gch_forks = true;
}

static void gch_fork_end(void)
{
	gch_forks = false;
	pthread_setcancelstate(gch_cancel, NULL);
	gch_signals_restore();
}

/* May be called once more, by handlers within calls by hand. */
void gch_fork_prepare(void)
{
	if (gch_forks)
		return;
	gch_fork_begin();
	if (!gch_fork_locked)
		return;
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
	if (gch_fork_locked) {
		gch_locks_drop();
		gch_walks_open();
	}
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

	pthread_mutex_lock(&gch.await_lock);
	if (h->awaited)
		err = h->backend.ops->await(&h->backend);
	if (err)
		gch_fork_lose(h, err, h->backend.ops->close);
	else if (h->awaited)
		gch_fork_unhold(h);
	WRITE_ONCE(h->awaited, false);
	if (h->dead && !err)
		err = -ENXIO;
	pthread_mutex_unlock(&gch.await_lock);
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
	if (gch_fork_locked && gch_locks_with_dl())
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

/*
 * Calls by hand and handlers both come here. Without locks if nobody has taken them: a handler of
 * others, called after ours, has forked in between.
 */
void gch_fork_child(void)
{
	bool told = gch_forks;

	if (!told && gch_forking.home == getpid())
		return;
	gch_fork_locked &= told;
	gch_forking.home = getpid();
	for (int i = 0; i < GCH_HEAPS; i++)
		gch_fork_heap(i);
	if (gch_fork_locked)
		gch_fork_closing();
	gch_walks_forked();
	gch_locks_renew();
	gch_start_lock_forked();
	gch_fork_give_back();
	if (gch_forking.child)
		gch_forking.child();
	if (told)
		gch_fork_end();
}

__attribute__((constructor(101))) static void gch_fork_setup(void)
{
	gch_forking.home = getpid();
	pthread_atfork(gch_fork_prepare, gch_fork_parent, gch_fork_child);
}
