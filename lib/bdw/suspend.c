// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Threads that the program wants to stand still: registered ones, by the signal that bdwgc
 * stops them with. They wait in its handler, or where they are to leave GC_do_blocking(), until
 * nobody wants them to stop any more.
 */
#include <link.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The header has a thread for a pointer, unless one says otherwise. */
#define GC_SUSPEND_THREAD_ID	pthread_t
#include "bdw.h"

#include <gc/javaxfc.h>

#define BDW_CHUNK	64		/* records mapped at a time */
#define BDW_LOOK	100000000	/* ns, until one looks whether a thread is still there */

/* Why a thread is to stop. */
#define BDW_SUSPENDED	(1u << 0)	/* GC_suspend_thread() */
#define BDW_STOPPED	(1u << 1)	/* GC_stop_world_external() */

/*
 * struct bdw_member - a registered thread
 * @tid: 0: nobody's; records are used again, and stay where they are
 * @stop: BDW_SUSPENDED, BDW_STOPPED; others set it, the thread waits while it is not 0
 * @stands: the thread waits
 * @blocking: it is in GC_do_blocking()
 */
struct bdw_member {
	struct bdw_member *next;
	pthread_t id;
	pid_t tid;
	uint32_t stop;
	uint32_t stands;
	bool blocking;
};

/* Records are made under the lock, and are those of threads under the allocation lock. */
static struct bdw_member *bdw_members;
static __thread struct bdw_member *bdw_self;

/* ---- waiting */

static void bdw_futex(uint32_t *word, int op, uint32_t value, const struct timespec *most)
{
	syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, most, NULL, 0);
}

/* The thread itself, in a signal handler perhaps. */
static void bdw_stand(struct bdw_member *self)
{
	int cancel, err = errno;
	uint32_t stop;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	while ((stop = __atomic_load_n(&self->stop, __ATOMIC_SEQ_CST))) {
		__atomic_store_n(&self->stands, 1, __ATOMIC_SEQ_CST);
		bdw_futex(&self->stands, FUTEX_WAKE, 1, NULL);
		bdw_futex(&self->stop, FUTEX_WAIT, stop, NULL);
	}
	__atomic_store_n(&self->stands, 0, __ATOMIC_SEQ_CST);
	bdw_futex(&self->stands, FUTEX_WAKE, 1, NULL);
	pthread_setcancelstate(cancel, NULL);
	errno = err;
}

static void bdw_on_suspend(int number)
{
	if (bdw_self)
		bdw_stand(bdw_self);
}

/* What is to end the program, or to show where it is, gets through to a thread that waits. */
static void bdw_suspend_handle(void)
{
	struct sigaction action = { .sa_handler = bdw_on_suspend, .sa_flags = SA_RESTART };

	sigfillset(&action.sa_mask);
	sigdelset(&action.sa_mask, SIGINT);
	sigdelset(&action.sa_mask, SIGQUIT);
	sigdelset(&action.sa_mask, SIGABRT);
	sigdelset(&action.sa_mask, SIGTERM);
	if (sigaction(GC_get_suspend_signal(), &action, NULL))
		bdw_die("Cannot set SIG_SUSPEND handler", "%d", GC_get_suspend_signal());
}

/* ---- stopping; under the allocation lock, and all others for one to be stopped with none */

static bool bdw_kill(const struct bdw_member *m, int number)
{
	return !syscall(SYS_tgkill, getpid(), m->tid, number);
}

static bool bdw_is_there(const struct bdw_member *m)
{
	return bdw_kill(m, 0);
}

/* One that blocks comes to stand when it is about to go on. */
static void bdw_stop(struct bdw_member *m, uint32_t why)
{
	uint32_t was = __atomic_fetch_or(&m->stop, why, __ATOMIC_SEQ_CST);

	if (!was && !__atomic_load_n(&m->blocking, __ATOMIC_SEQ_CST))
		bdw_kill(m, GC_get_suspend_signal());
}

static void bdw_await(struct bdw_member *m)
{
	const struct timespec look = { .tv_nsec = BDW_LOOK };

	while (!__atomic_load_n(&m->stands, __ATOMIC_SEQ_CST) &&
	       !__atomic_load_n(&m->blocking, __ATOMIC_SEQ_CST) && bdw_is_there(m))
		bdw_futex(&m->stands, FUTEX_WAIT, 0, &look);
}

/* It goes on before this returns: to stop it again is not to be answered by this time's. */
static void bdw_resume(struct bdw_member *m, uint32_t why)
{
	const struct timespec look = { .tv_nsec = BDW_LOOK };

	if (__atomic_and_fetch(&m->stop, ~why, __ATOMIC_SEQ_CST))
		return;
	bdw_futex(&m->stop, FUTEX_WAKE, 1, NULL);
	while (__atomic_load_n(&m->stands, __ATOMIC_SEQ_CST) && bdw_is_there(m))
		bdw_futex(&m->stands, FUTEX_WAIT, 1, &look);
}

/* ---- who is registered */

static struct bdw_member *bdw_member_of(pthread_t id)
{
	for (struct bdw_member *m = bdw_members; m; m = m->next)
		if (m->tid && pthread_equal(m->id, id))
			return m;
	return NULL;
}

static void bdw_members_make(void)
{
	struct bdw_member *m = gch_map(BDW_CHUNK * sizeof(*m));

	for (int i = 0; m && i < BDW_CHUNK; i++) {
		m[i].next = bdw_members;
		bdw_members = &m[i];
	}
}

static struct bdw_member *bdw_member_free(void)
{
	struct bdw_member *m = bdw_members;

	while (m && m->tid)
		m = m->next;
	return m;
}

/* The caller's; of another that has had its id and ended unnoticed, if there is such a one. */
static struct bdw_member *bdw_member_make(void)
{
	struct bdw_member *m = bdw_member_of(pthread_self());

	if (!m)
		m = bdw_member_free();
	if (m)
		return m;
	bdw_members_make();
	return bdw_member_free();
}

static pthread_key_t bdw_member_key;	/* whose threads have not left by themselves */

static void bdw_member_ended(void *unused)
{
	bdw_suspend_leave();
}

/* While the world is stopped nobody joins it. Without memory for it a thread is not stopped. */
void bdw_suspend_join(void)
{
	struct bdw_member *m;

	if (bdw_self)
		return;
	bdw_lock();
	m = bdw_member_make();
	if (m) {
		*m = (struct bdw_member){ .next = m->next, .id = pthread_self(), .tid = gettid() };
		bdw_self = m;
		pthread_setspecific(bdw_member_key, m);
	}
	bdw_unlock();
}

void bdw_suspend_leave(void)
{
	struct bdw_member *self = bdw_self;

	if (!self)
		return;
	bdw_lock();
	bdw_self = NULL;
	self->tid = 0;
	bdw_unlock();
}

/* A child has the thread that forked. */
void bdw_suspend_forked(void)
{
	for (struct bdw_member *m = bdw_members; m; m = m->next)
		m->tid = 0;
	if (bdw_self) {
		bdw_self->tid = gettid();
		bdw_self->stop = 0;
	}
}

/* The first thread is registered from the beginning. */
__attribute__((constructor)) static void bdw_suspend_first(void)
{
	pthread_key_create(&bdw_member_key, bdw_member_ended);
	if (gettid() == getpid())
		bdw_suspend_join();
}

/* The caller blocks, or not any more: returns what it did. */
bool bdw_blocking(bool blocks)
{
	struct bdw_member *self = bdw_self;
	bool was;

	if (!self)
		return false;
	was = __atomic_exchange_n(&self->blocking, blocks, __ATOMIC_SEQ_CST);
	if (!blocks && __atomic_load_n(&self->stop, __ATOMIC_SEQ_CST))
		bdw_stand(self);
	return was;
}

/* ---- the locks that a thread that is stopped must not have */

enum bdw_outcome {
	BDW_DONE = 1,		/* not 0, which goes on to the next shared object */
	BDW_AGAIN,
};

/* The threads meant: all others, or one. */
struct bdw_stopping {
	uint32_t why;
	pthread_t id;
};

static pthread_mutex_t *const bdw_below[] = {
	&gch.dl_lock, &gch.start_lock, &gch.heap0.offheap_lock,
};
#define BDW_BELOW	(sizeof(bdw_below) / sizeof(bdw_below[0]))

static size_t bdw_locks(void)
{
	return BDW_BELOW + GCH_INNER_LOCKS + (__stop_bdw_locks - __start_bdw_locks);
}

static pthread_mutex_t *bdw_lock_number(size_t i)
{
	if (i < BDW_BELOW)
		return bdw_below[i];
	i -= BDW_BELOW;
	return i < GCH_INNER_LOCKS ? gch_inner_locks[i] : __start_bdw_locks[i - GCH_INNER_LOCKS];
}

/* All up to @n, but for the first @kept. */
static void bdw_locks_leave(size_t n, size_t kept)
{
	while (n-- > kept)
		pthread_mutex_unlock(bdw_lock_number(n));
}

static bool bdw_locks_try(void)
{
	for (size_t i = 0; i < bdw_locks(); i++) {
		if (!pthread_mutex_trylock(bdw_lock_number(i)))
			continue;
		bdw_locks_leave(i, 0);
		return false;
	}
	return true;
}

/* Nor must it be in a walk over shared objects: the caller may fork before it goes on. */
static bool bdw_all_try(void)
{
	if (!gch_walks_bar(false))
		return false;
	if (bdw_locks_try())
		return true;
	gch_walks_open();
	return false;
}

static bool bdw_is_other(const struct bdw_member *m)
{
	return m->tid && m != bdw_self;
}

static bool bdw_is_meant(const struct bdw_member *m, const struct bdw_stopping *s)
{
	return bdw_is_other(m) && (s->why == BDW_STOPPED || pthread_equal(m->id, s->id));
}

static void bdw_stop_those(const struct bdw_stopping *s)
{
	struct bdw_member *m;

	for (m = bdw_members; m; m = m->next)
		if (bdw_is_meant(m, s))
			bdw_stop(m, s->why);
	for (m = bdw_members; m; m = m->next)
		if (bdw_is_meant(m, s))
			bdw_await(m);
}

/*
 * The allocation lock is kept, and while the world is stopped dl_lock, which whoever collects
 * takes before it: the caller may collect.
 */
static int bdw_stop_try(struct dl_phdr_info *info, size_t size, void *stopping)
{
	const struct bdw_stopping *s = stopping;

	if (!bdw_trylock())
		return BDW_AGAIN;
	if (!bdw_all_try()) {
		bdw_unlock();
		return BDW_AGAIN;
	}
	bdw_stop_those(s);
	bdw_locks_leave(bdw_locks(), s->why == BDW_STOPPED);
	gch_walks_open();
	return BDW_DONE;
}

/*
 * Whoever lists shared objects has the loader's lock, which the library takes nearly
 * everywhere. The others are taken in no order: who finds one taken waits with none.
 */
static void bdw_stop_all(struct bdw_stopping *s)
{
	static bool handled;

	bdw_lock();
	if (!handled)
		bdw_suspend_handle();
	handled = true;
	bdw_unlock();
	while (dl_iterate_phdr(bdw_stop_try, s) != BDW_DONE)
		usleep(50);
}

/* ---- for the program */

static void bdw_suspend_self(void)
{
	if (!bdw_self)
		return;
	bdw_lock();
	__atomic_fetch_or(&bdw_self->stop, BDW_SUSPENDED, __ATOMIC_SEQ_CST);
	bdw_unlock();
	bdw_stand(bdw_self);
}

static void bdw_suspend_other(pthread_t id)
{
	struct bdw_stopping s = { .why = BDW_SUSPENDED, .id = id };
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	bdw_stop_all(&s);
	bdw_unlock();
	pthread_setcancelstate(cancel, NULL);
}

GCH_API void GC_suspend_thread(pthread_t id)
{
	if (pthread_equal(id, pthread_self()))
		bdw_suspend_self();
	else
		bdw_suspend_other(id);
}

GCH_API void GC_resume_thread(pthread_t id)
{
	struct bdw_member *m;

	bdw_lock();
	m = bdw_member_of(id);
	if (m)
		bdw_resume(m, BDW_SUSPENDED);
	bdw_unlock();
}

GCH_API int GC_is_thread_suspended(pthread_t id)
{
	const struct bdw_member *m;
	bool suspended;

	bdw_lock();
	m = bdw_member_of(id);
	suspended = m && m->stop & BDW_SUSPENDED;
	bdw_unlock();
	return suspended;
}

/* Until the world is started again the caller has the allocation lock. */
GCH_API void GC_stop_world_external(void)
{
	struct bdw_stopping all = { .why = BDW_STOPPED };

	bdw_stop_all(&all);
}

GCH_API void GC_start_world_external(void)
{
	for (struct bdw_member *m = bdw_members; m; m = m->next)
		if (bdw_is_other(m))
			bdw_resume(m, BDW_STOPPED);
	bdw_unlock();
	pthread_mutex_unlock(&gch.dl_lock);
}
