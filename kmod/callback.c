// SPDX-License-Identifier: GPL-2.0-only
/*
 * The callback thread: one thread of the program that pauses ask (R10).
 *
 * It is not stopped, so that it can look at the stopped program, with code of the
 * program's own, and tell what it finds: for roots, with each pause, and what marked objects
 * of GCHEAP_ASK caches refer to (core/ask.c), when nothing else is left to be marked. It waits
 * in its call; a pause opens a question, the call returns with the question's number,
 * and answers come by further calls until one says that this was all. A question is closed
 * by that or by the deadline: what is told after that does not count, and the attempt has ended.
 *
 * While a question is open the collector waits and touches nothing, so that the thread
 * marks what it tells by itself, and what that leads to if it is not much: then it has the
 * next objects without anybody else being woken, however long a chain of them is.
 * Everything here is under core.lock.
 *
 * What it takes is no part of the pause's budget, which says how long marking may take: else
 * pauses would be ended and come again for as long as it takes. It has a bound of its own.
 */
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "gcheap.h"

#define TIMEOUT_MS	200
#define LOOK_MS		10			/* between looks at who is left */
#define FEW_SPANS	64			/* that are not worth waking the collector for */

void gch_callback_init(struct gch_callback *cb)
{
	cb->thread = GCH_NO_SLOT;
	init_waitqueue_head(&cb->asked);
	init_waitqueue_head(&cb->answered);
}

void gch_callback_destroy(struct gch_callback *cb)
{
	kfree(cb->words);
}

/* ---- the collector */

/** gch_callback_begin() - the questions that follow are those of another pause */
void gch_callback_begin(struct gch *g)
{
	g->callback.spent = 0;
}

/* ns that a pause's questions may take. */
static u64 time_for(const struct gch_callback *cb)
{
	return (u64)READ_ONCE(cb->timeout) * NSEC_PER_MSEC;
}

/* -ENOENT: there is nobody to ask, nor need there be. */
static int may_ask(struct gch *g, bool roots)
{
	struct gch_callback *cb = &g->callback;
	bool left = cb->left;

	cb->left = false;
	if (left)
		return -ETIMEDOUT;
	if (cb->thread == GCH_NO_SLOT)
		return cb->lost || !roots ? -ETIME : -ENOENT;
	/* Many short answers take their time as well. */
	return cb->spent < time_for(cb) ? 0 : -ETIME;
}

static int open_question(struct gch *g, bool roots)
{
	struct gch_callback *cb = &g->callback;
	int err;

	env_lock(&g->core.lock);
	err = may_ask(g, roots);
	if (!err) {
		cb->nobjects = roots ? 0 : gch_ask_take(&g->core, cb->objects,
							GCHEAP_CALLBACK_WORDS);
		if (!roots && !cb->nobjects)
			err = -ENOENT;
	}
	if (!err) {
		cb->roots = roots;
		cb->failed = false;
		cb->pause++;
		WRITE_ONCE(cb->open, true);
	}
	env_unlock(&g->core.lock);
	return err;
}

/*
 * A thread that is dead will not answer, nor one that has been stopped or frozen, or is being
 * traced, for as long as others may take by default: all wait for it then.
 */
static int await_answer(struct gch *g)
{
	struct gch_callback *cb = &g->callback;
	u64 until = ktime_get_ns() + time_for(cb) - cb->spent;
	u32 still = 0;

	while (READ_ONCE(cb->open)) {
		if (wait_event_idle_timeout(cb->answered, !READ_ONCE(cb->open) ||
					    READ_ONCE(g->dead), msecs_to_jiffies(LOOK_MS)))
			break;
		if (gch_mm_deserted(&g->world))
			return -ENXIO;
		still = gch_world_halted(&g->world, cb->thread) ? still + LOOK_MS : 0;
		if (ktime_get_ns() >= until || still >= TIMEOUT_MS ||
		    !gch_world_has(&g->world, cb->thread))
			return -ETIME;
	}
	return READ_ONCE(g->dead) ? -ENXIO : 0;
}

static int close_question(struct gch *g, int err)
{
	struct gch_callback *cb = &g->callback;

	env_lock(&g->core.lock);
	gch_ask_told(&g->core);
	if (cb->open || cb->failed)
		err = err ?: -ETIME;
	else if (err != -ENXIO)
		/* By leaving, perhaps, and there may be another one already. */
		err = !cb->left ? 0 : cb->lost ? -ETIME : -ETIMEDOUT;
	cb->left = false;
	WRITE_ONCE(cb->open, false);
	env_unlock(&g->core.lock);
	return err;
}

static int ask(struct gch *g, bool roots)
{
	struct gch_callback *cb = &g->callback;
	u64 t0;
	int err;

	err = open_question(g, roots);
	if (err)
		return err == -ENOENT ? 0 : err;
	wake_up_all(&cb->asked);
	t0 = ktime_get_ns();
	err = close_question(g, await_answer(g));
	cb->spent += ktime_get_ns() - t0;
	return err;
}

/**
 * gch_callback_ask() - ask the program's callback thread for roots
 *
 * From the collector, world stopped, phase MARK. Return: 0, there may be no such thread;
 * -ETIME: it has not told all in time, or it has died: so it will be in another attempt;
 * -ETIMEDOUT: it has left in this pause; -ENXIO: the heap has died.
 */
int gch_callback_ask(struct gch *g)
{
	return ask(g, true);
}

/**
 * gch_callback_ask_about() - ask it about objects that are marked
 *
 * Likewise, and nothing is queued; what is then may be more. Return: as gch_callback_ask(),
 * and -ETIME if there is no such thread.
 */
int gch_callback_ask_about(struct gch *g)
{
	return ask(g, false);
}

/* ---- the thread */

/**
 * gch_callback_end() - a thread is the callback thread no more, if it was
 * @lost: it has died: what it would have told cannot be known
 *
 * core.lock held.
 */
void gch_callback_end(struct gch *g, u32 thread, bool lost)
{
	struct gch_callback *cb = &g->callback;

	if (cb->thread != thread)
		return;
	cb->thread = GCH_NO_SLOT;
	cb->lost = lost;
	/* It was not stopped with the others, and its roots may not have been read. */
	cb->left = gch_phase_frozen(&g->core);
	WRITE_ONCE(cb->open, false);
	if (!lost)
		gch_world_exempt(&g->world, thread, false);
	wake_up_all(&cb->answered);
}

/* The caller is the callback thread from here on, if there is none. */
static int enlist(struct gch *g, const struct gcheap_callback *a, u64 **words)
{
	struct gch_callback *cb = &g->callback;

	if (cb->thread != a->thread && cb->thread != GCH_NO_SLOT)
		return -EBUSY;
	if (!cb->words) {
		cb->words = *words;
		cb->objects = *words + GCHEAP_CALLBACK_WORDS;
		*words = NULL;
	}
	WRITE_ONCE(cb->timeout, a->timeout ?: TIMEOUT_MS);
	if (cb->thread == a->thread)
		return 0;
	cb->thread = a->thread;
	cb->lost = false;
	gch_world_exempt(&g->world, a->thread, true);
	return 0;
}

/* Not to be held up by the pause, unlike other calls. */
static int enter(struct gch *g, const struct gcheap_callback *a, u64 **words)
{
	int err = -ESRCH;

	env_lock(&g->core.lock);
	if (a->thread >= g->core.max_threads || !g->core.thread[a->thread] ||
	    !gch_world_is(&g->world, a->thread))
		goto out;
	if (a->flags & GCHEAP_CALLBACK_END) {
		err = g->callback.thread == a->thread ? 0 : -ENOENT;
		gch_callback_end(g, a->thread, false);
		goto out;
	}
	err = enlist(g, a, words);
out:
	gch_unlock(g);
	return err;
}

static void close_it(struct gch_callback *cb, bool failed)
{
	cb->failed = failed;
	WRITE_ONCE(cb->open, false);
	wake_up_all(&cb->answered);
}

/* All that was asked for is told: whether there is more to ask about at once. */
static bool go_on(struct gch *g)
{
	struct gch_callback *cb = &g->callback;

	gch_ask_told(&g->core);
	if (cb->roots || gch_mark_some(&g->core, FEW_SPANS))
		return false;
	cb->nobjects = gch_ask_take(&g->core, cb->objects, GCHEAP_CALLBACK_WORDS);
	return cb->nobjects;
}

static int answer(struct gch *g, const struct gcheap_callback *a)
{
	struct gch_callback *cb = &g->callback;
	int err = 0;

	env_lock(&g->core.lock);
	if (!cb->open || cb->pause != a->pause) {
		err = -EAGAIN;
	} else {
		gch_mark_ambiguous(&g->core, cb->words, a->n);
		if (!(a->flags & GCHEAP_CALLBACK_MORE) && !go_on(g))
			close_it(cb, false);
	}
	gch_unlock(g);
	return err;
}

static bool is_open(struct gch *g, struct gcheap_callback *a)
{
	struct gch_callback *cb = &g->callback;
	bool open;

	env_lock(&g->core.lock);
	open = cb->open;
	a->pause = cb->pause;
	a->nobjects = cb->nobjects;
	env_unlock(&g->core.lock);
	return open;
}

/* What cannot be told to the thread it will not answer. */
static void fail(struct gch *g, u64 pause)
{
	struct gch_callback *cb = &g->callback;

	env_lock(&g->core.lock);
	if (cb->open && cb->pause == pause)
		close_it(cb, true);
	gch_unlock(g);
}

/* Wait for a question. What it is about may be another's by the time it is copied. */
static int hear(struct gch *g, struct gcheap_callback *a)
{
	struct gch_callback *cb = &g->callback;
	u64 pause;

	for (;;) {
		if (wait_event_interruptible(cb->asked, READ_ONCE(cb->open) ||
					     READ_ONCE(g->dead)))
			return -EINTR;
		if (READ_ONCE(g->dead))
			return -ENXIO;
		if (!is_open(g, a))
			continue;
		if (copy_to_user(u64_to_user_ptr(a->objects), cb->objects,
				 a->nobjects * sizeof(u64))) {
			fail(g, a->pause);
			return -EFAULT;
		}
		pause = a->pause;
		if (is_open(g, a) && a->pause == pause)
			return 0;
	}
}

/**
 * gch_callback_is_asked() - whether a pause waits for the caller
 *
 * Then core.lock is held, so that it may look at what is frozen (I1).
 */
bool gch_callback_is_asked(struct gch *g)
{
	const struct gch_callback *cb = &g->callback;

	if (likely(!READ_ONCE(cb->open)))
		return false;
	env_lock(&g->core.lock);
	if (cb->open && gch_world_is(&g->world, cb->thread))
		return true;
	env_unlock(&g->core.lock);
	return false;
}

/** gch_callback_call() - GCHEAP_IOC_CALLBACK */
int gch_callback_call(struct gch *g, struct gcheap_callback *a)
{
	const u32 at_once = GCHEAP_CALLBACK_MORE | GCHEAP_CALLBACK_END;
	u64 *words = NULL;
	int err;

	if (a->n > GCHEAP_CALLBACK_WORDS || (a->n && !a->pause) ||
	    (a->flags & at_once) == at_once || a->timeout > GCHEAP_CALLBACK_TIMEOUT_MAX)
		return -EINVAL;
	/* Before the first pause: none allocates. */
	if (!READ_ONCE(g->callback.words)) {
		words = kmalloc_array(2 * GCHEAP_CALLBACK_WORDS, sizeof(*words),
				      GFP_KERNEL_ACCOUNT);
		if (!words)
			return -ENOMEM;
	}
	err = enter(g, a, &words);
	kfree(words);
	if (err || a->flags & GCHEAP_CALLBACK_END)
		return err;
	if (copy_from_user(g->callback.words, u64_to_user_ptr(a->words), a->n * sizeof(*words)))
		return -EFAULT;
	err = a->pause ? answer(g, a) : 0;
	return err || a->flags & GCHEAP_CALLBACK_MORE ? err : hear(g, a);
}
