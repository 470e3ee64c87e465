// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * The thread that pauses ask: for roots that only the program's code can find (push.c, toggle.c),
 * and for what objects refer to that only its mark procedures understand (proc.c). Programs
 * without any have no such thread; it comes with the first of them, and stays.
 *
 * While it answers all others are stopped, wherever they were. So nothing here, nor what it
 * calls, takes a lock, of the library's or of malloc() or stdio; for the program's functions
 * that has always been so. It is no root, and takes no signals. What has to do with objects is in
 * memory that is none either.
 */
#include <string.h>

#include "bdw.h"

#define BDW_STACK	(256 << 10)

/* A question, and what is to be told. */
struct bdw_question {
	struct gcheap_callback arg;
	uint64_t words[GCHEAP_CALLBACK_WORDS];
	uint64_t objects[GCHEAP_CALLBACK_WORDS];
	bool late;		/* nobody waits for the answer any more */
};

enum bdw_callback_state {
	BDW_NO_THREAD,
	BDW_STARTING,
	BDW_ANSWERING,
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t ready;
	enum bdw_callback_state state;
	int error;
	struct bdw_question *question;	/* whoever is the thread */
	bool inherited;		/* a forked child: the heap is not collected without one */
} bdw_callback = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.ready = PTHREAD_COND_INITIALIZER,
};

BDW_LOCK(bdw_callback);

static __thread struct bdw_question *bdw_question;	/* of that thread, while it is asked */
static __thread bool bdw_starting;

/* ---- answers */

/* The caller is the thread, and is being asked: all others are stopped. */
bool bdw_asked(void)
{
	return unlikely(bdw_question);
}

static int bdw_send(struct bdw_question *q, uint32_t flags)
{
	int err;

	q->arg.flags = flags;
	err = gch_call(&gch.heap0, GCHEAP_IOC_CALLBACK, &q->arg);
	q->arg.n = 0;
	return err;
}

/* Tells what there is to tell so far. Return: whether anybody still waits for more. */
bool bdw_push_on(void)
{
	struct bdw_question *q = bdw_question;

	if (q && !q->late)
		q->late = bdw_send(q, GCHEAP_CALLBACK_MORE) != 0;
	return q && !q->late;
}

/* Any word, which may be a pointer. Without effect if nobody asks. */
void bdw_push(const void *word)
{
	struct bdw_question *q = bdw_question;

	if (!q || q->late || (uintptr_t)word - gch.heap0.backend.base > gch.heap0.backend.size)
		return;
	q->words[q->arg.n++] = (uintptr_t)word;
	if (q->arg.n == GCHEAP_CALLBACK_WORDS)
		bdw_push_on();
}

static void bdw_answer(struct bdw_question *q)
{
	uint32_t n = q->arg.nobjects;

	q->late = false;
	bdw_question = q;
	if (!n) {
		bdw_push_roots();
		bdw_push_toggles();
	}
	for (uint32_t i = 0; i < n && !q->late; i++)
		bdw_proc_tell((const void *)q->objects[i]);
	bdw_question = NULL;
}

/*
 * Each call tells what was asked last and returns with what is asked next; until there is no
 * heap any more. It is interrupted, when the program is traced for example, while it waits.
 */
static void bdw_answer_all(struct bdw_question *q)
{
	int err = 0;

	while (!err) {
		if (q->late)
			q->arg.pause = 0;
		err = bdw_send(q, 0);
		if (!err) {
			bdw_answer(q);
		} else if (err == -EAGAIN || err == -EINTR) {
			q->late = true;
			err = 0;
		}
	}
}

/* ---- the thread */

/* From here on pauses ask. */
static int bdw_enlist(struct bdw_question *q)
{
	struct gch_local *l = gch_local(&gch.heap0);

	if (!l)
		return -errno;
	q->arg = (struct gcheap_callback){
		.size = sizeof(q->arg),
		.thread = l->id,
		.words = (uintptr_t)q->words,
		.objects = (uintptr_t)q->objects,
		.timeout = GCHEAP_CALLBACK_TIMEOUT_MAX,
	};
	return bdw_send(q, GCHEAP_CALLBACK_MORE);
}

/* Under its lock. */
static void bdw_thread_is(int err)
{
	bdw_callback.error = err;
	__atomic_store_n(&bdw_callback.state, BDW_ANSWERING, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&bdw_callback.ready);
}

static void *bdw_callback_run(void *question)
{
	int err;

	bdw_starting = true;
	/* Without the lock, as that may allocate. */
	gch_local(&gch.heap0);
	/*
	 * A thread that forks has the lock, and waits for the cycle that is under way: from where
	 * that may ask us, we do not wait for it.
	 */
	pthread_mutex_lock(&bdw_callback.lock);
	err = bdw_enlist(question);
	bdw_thread_is(err);
	pthread_mutex_unlock(&bdw_callback.lock);
	if (!err)
		bdw_answer_all(question);
	return NULL;
}

static int bdw_thread_start(void)
{
	struct bdw_question *q = bdw_callback.question;

	if (!q)
		q = gch_map(sizeof(*q));
	bdw_callback.question = q;
	return q ? gch_pthread_start(BDW_STACK, bdw_callback_run, q) : -ENOMEM;
}

static bool bdw_must_start(void)
{
	bool mine;

	pthread_mutex_lock(&bdw_callback.lock);
	mine = bdw_callback.state == BDW_NO_THREAD;
	if (mine)
		bdw_callback.state = BDW_STARTING;
	pthread_mutex_unlock(&bdw_callback.lock);
	return mine;
}

static int bdw_await_start(void)
{
	int err;

	pthread_mutex_lock(&bdw_callback.lock);
	while (bdw_callback.state != BDW_ANSWERING)
		pthread_cond_wait(&bdw_callback.ready, &bdw_callback.lock);
	err = bdw_callback.error;
	pthread_mutex_unlock(&bdw_callback.lock);
	return err;
}

/*
 * See to it that there is the thread, before there is anything to be asked. Programs have no
 * way to hear that there is none, unless there is no heap any more. Starting a thread may
 * allocate, and come here again.
 */
void bdw_callback_start(void)
{
	int err;

	if (__atomic_load_n(&bdw_callback.state, __ATOMIC_ACQUIRE) == BDW_ANSWERING)
		return;
	GC_init();
	if (gcheap_init() || bdw_starting)
		return;
	bdw_starting = true;
	if (bdw_must_start()) {
		err = bdw_thread_start();
		if (err) {
			pthread_mutex_lock(&bdw_callback.lock);
			bdw_thread_is(err);
			pthread_mutex_unlock(&bdw_callback.lock);
		}
	}
	err = bdw_await_start();
	bdw_starting = false;
	if (!err || err == -ENXIO)
		return;
	bdw_die("no thread for mark procedures", "%s", strerror(-err));
}

/*
 * Programs assign to GC_push_other_roots without telling. And a forked child that has mark
 * procedures needs a thread of its own, before it can have allocated so much that it is asked.
 */
void bdw_callback_notice(void)
{
	if (unlikely(bdw_pushes_roots() || bdw_procs_used() || bdw_toggles_used() ||
		     bdw_callback.inherited) &&
	    __atomic_load_n(&bdw_callback.state, __ATOMIC_ACQUIRE) != BDW_ANSWERING)
		bdw_callback_start();
}

/*
 * In a forked child: the thread is the parent's alone. The next one comes when the library is
 * entered, not here: who only runs another program needs none, and to make one takes locks of the
 * C library that others may have had.
 */
void bdw_callback_forked(void)
{
	bdw_callback.ready = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	bdw_callback.inherited |= bdw_callback.state == BDW_ANSWERING && !bdw_callback.error;
	bdw_callback.state = BDW_NO_THREAD;
	bdw_callback.error = 0;
}
