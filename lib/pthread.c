// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * What a thread starts with and what it ended with are referred to by memory of
 * the C library alone: the argument until the thread runs, the result once it is
 * gone and not joined yet (rule R15). Both are kept in a record that is a root.
 */
#include <dlfcn.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "gch.h"

static struct {
	int (*create)(pthread_t *id, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
	int (*join)(pthread_t id, void **result);
	int (*tryjoin)(pthread_t id, void **result);
	int (*timedjoin)(pthread_t id, void **result, const struct timespec *until);
	int (*clockjoin)(pthread_t id, void **result, clockid_t clock,
			 const struct timespec *until);
	int (*detach)(pthread_t id);
	void (*exit)(void *result) __attribute__((noreturn));
} gch_real;

static pthread_key_t gch_start_key;	/* of a thread: its record */

/* ---- records */

/* A free record's first word is odd: no id. */
_Static_assert(offsetof(struct gch_start, id) == 0, "the slab's mark of free records");

static __thread unsigned int gch_start_depth;	/* so often the thread has start_lock */

static void gch_start_lock(void)
{
	pthread_mutex_lock(&gch.start_lock);
	gch_start_depth++;
}

static void gch_start_unlock(void)
{
	gch_start_depth--;
	pthread_mutex_unlock(&gch.start_lock);
}

/* In a forked child, whose thread has forked within. */
void gch_start_lock_forked(void)
{
	for (unsigned int i = 0; i < gch_start_depth; i++)
		pthread_mutex_lock(&gch.start_lock);
}

/* The record of a thread that can be joined. Under start_lock. */
static struct gch_start *gch_start_find(pthread_t id)
{
	struct gch_start *s = (struct gch_start *)gch.starts.base;

	for (; s < (struct gch_start *)gch.starts.top; s++)
		if (s->id == id && !s->detached && !s->joining)
			return s;
	return NULL;
}

/* Nobody asks for its result any more. */
static void gch_start_release(struct gch_start *s)
{
	if (s->ended)
		gch_slab_put(&gch.starts, s);
	else
		s->detached = true;
}

/* The thread's destructors run: it is as good as gone. */
static void gch_start_ended(void *arg)
{
	struct gch_start *s = arg;

	gch_start_lock();
	s->ended = true;
	if (s->detached)
		gch_slab_put(&gch.starts, s);
	gch_start_unlock();
}

static void *gch_start_run(void *arg)
{
	struct gch_start *s = arg;
	void *(*fn)(void *) = s->fn;
	void *volatile fn_arg = s->arg;

	pthread_setspecific(gch_start_key, s);
	WRITE_ONCE(s->arg, NULL);
	WRITE_ONCE(s->result, fn(fn_arg));
	return s->result;
}

static bool gch_made_detached(const pthread_attr_t *attr)
{
	int state;

	return attr && !pthread_attr_getdetachstate(attr, &state) &&
	       state == PTHREAD_CREATE_DETACHED;
}

/* ---- the calls */

/* The lock keeps the new thread from ending before its record has its id. */
static int gch_create_recorded(struct gch_start *s, pthread_t *id, const pthread_attr_t *attr)
{
	int err;

	gch_start_lock();
	err = gch_real.create(id, attr, gch_start_run, s);
	if (err)
		gch_slab_put(&gch.starts, s);
	else
		s->id = *id;
	gch_start_unlock();
	return err;
}

int gch_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*fn)(void *),
		       void *arg)
{
	struct gch_start *s;

	gch_setup();
	s = gch_slab_get(&gch.starts);
	if (!s)
		return EAGAIN;
	s->fn = fn;
	s->detached = gch_made_detached(attr);
	WRITE_ONCE(s->arg, arg);
	return gch_create_recorded(s, id, attr);
}

/*
 * The id may be another thread's as soon as this one is joined, so that the record
 * is looked up before.
 */
static struct gch_start *gch_join_begin(pthread_t id)
{
	struct gch_start *s;

	gch_setup();
	gch_start_lock();
	s = gch_start_find(id);
	if (s)
		s->joining = true;
	gch_start_unlock();
	return s;
}

/* The first thread's, which it makes when it ends; under start_lock. */
static struct gch_start *gch_start_find_first(pthread_t id)
{
	struct gch_start *s = gch_start_find(id);

	return s && !s->fn ? s : NULL;
}

static int gch_join_end(struct gch_start *s, pthread_t id, int err)
{
	gch_start_lock();
	if (!s && !err)
		s = gch_start_find_first(id);
	if (s)
		s->joining = false;
	if (s && !err)
		gch_start_release(s);
	gch_start_unlock();
	return err;
}

/* The thread that waits is cancelled: it has not joined the other. */
static void gch_join_cancelled(void *s)
{
	gch_join_end(s, 0, ECANCELED);
}

#define GCH_JOIN(id, call) ({						\
	struct gch_start *s_ = gch_join_begin(id);			\
	int err_;							\
									\
	pthread_cleanup_push(gch_join_cancelled, s_);			\
	err_ = gch_real.call;						\
	pthread_cleanup_pop(0);						\
	gch_join_end(s_, id, err_);					\
})

int gch_pthread_join(pthread_t id, void **result)
{
	return GCH_JOIN(id, join(id, result));
}

int gch_pthread_tryjoin(pthread_t id, void **result)
{
	return GCH_JOIN(id, tryjoin(id, result));
}

int gch_pthread_timedjoin(pthread_t id, void **result, const struct timespec *until)
{
	return GCH_JOIN(id, timedjoin(id, result, until));
}

int gch_pthread_clockjoin(pthread_t id, void **result, clockid_t clock,
			  const struct timespec *until)
{
	return GCH_JOIN(id, clockjoin(id, result, clock, until));
}

int gch_pthread_detach(pthread_t id)
{
	return GCH_JOIN(id, detach(id));
}

/*
 * The first thread was not made by pthread_create(), but it may be joined once it has
 * ended by pthread_exit(). Without a record a result that is an object may be lost.
 */
static struct gch_start *gch_start_of_first(void)
{
	struct gch_start *s;

	if (gettid() != getpid())
		return NULL;
	s = gch_slab_get(&gch.starts);
	if (!s)
		return NULL;
	gch_start_lock();
	s->id = pthread_self();
	gch_start_unlock();
	pthread_setspecific(gch_start_key, s);
	return s;
}

void gch_pthread_exit(void *result)
{
	struct gch_start *s;

	gch_setup();
	s = pthread_getspecific(gch_start_key);
	if (!s)
		s = gch_start_of_first();
	if (s)
		WRITE_ONCE(s->result, result);
	gch_real.exit(result);
}

/*
 * A thread of the library's own, which nobody joins and which takes no signals. @stack: bytes,
 * 0: as others. Returns 0 or -errno.
 */
int gch_pthread_start(size_t stack, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, was;
	pthread_t thread;
	int err;

	err = pthread_attr_init(&attr);
	if (err)
		return -err;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (stack)
		pthread_attr_setstacksize(&attr, stack);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	err = gch_pthread_create(&thread, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

/* A forked child: nobody will join the others. One without an id may be being made here. */
void gch_start_forked(void)
{
	struct gch_start *s = (struct gch_start *)gch.starts.base;
	const void *own = gch.starts.base ? pthread_getspecific(gch_start_key) : NULL;

	for (; s < (struct gch_start *)gch.starts.top; s++)
		if (s->id && !(s->id & 1) && s != own)
			gch_slab_put(&gch.starts, s);
}

void gch_start_setup(void)
{
	gch_real.create = gch_next("pthread_create");
	gch_real.join = gch_next("pthread_join");
	gch_real.tryjoin = gch_next("pthread_tryjoin_np");
	gch_real.timedjoin = gch_next("pthread_timedjoin_np");
	gch_real.clockjoin = gch_next("pthread_clockjoin_np");
	gch_real.detach = gch_next("pthread_detach");
	gch_real.exit = gch_next("pthread_exit");
	pthread_key_create(&gch_start_key, gch_start_ended);
}
