// SPDX-License-Identifier: GPL-2.0-only
/*
 * The callback thread: one thread of the program that a pause asks for roots (R10).
 *
 * It is not stopped, so that it can look at the stopped program, with code of the
 * program's own, and tell what it finds. It waits in its call; a pause opens a
 * question, the call returns with the pause's number, and answers come by further
 * calls until one says that this was all. A question is closed by that or by the deadline:
 * what is told after that does not count, and the attempt has ended.
 *
 * While a question is open the collector waits and touches nothing, so that the thread
 * marks what it tells by itself. Everything here is under core.lock.
 */
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "gcheap.h"

#define DEADLINE	msecs_to_jiffies(200)

void gch_callback_init(struct gch_callback *cb)
{
	cb->thread = GCH_NO_SLOT;
	init_waitqueue_head(&cb->asked);
	init_waitqueue_head(&cb->answered);
}

/**
 * gch_callback_ask() - ask the program's callback thread for roots
 *
 * From the collector, world stopped, phase MARK. Return: 0, there may be no such thread;
 * -ETIMEDOUT: it has not told all in time, has left in this pause, or has died; -ENXIO:
 * the heap has died.
 */
int gch_callback_ask(struct gch *g)
{
	struct gch_callback *cb = &g->callback;
	bool open, lost;

	env_lock(&g->core.lock);
	lost = cb->lost || cb->left;
	cb->left = false;
	open = !lost && cb->thread != GCH_NO_SLOT;
	if (open) {
		cb->pause++;
		WRITE_ONCE(cb->open, true);
	}
	env_unlock(&g->core.lock);
	if (!open)
		return lost ? -ETIMEDOUT : 0;
	wake_up_all(&cb->asked);
	wait_event_timeout(cb->answered, !READ_ONCE(cb->open) || READ_ONCE(g->dead),
			   DEADLINE);
	if (READ_ONCE(g->dead))
		return -ENXIO;
	env_lock(&g->core.lock);
	open = cb->open || cb->thread == GCH_NO_SLOT;
	WRITE_ONCE(cb->open, false);
	env_unlock(&g->core.lock);
	return open ? -ETIMEDOUT : 0;
}

/* The caller becomes the callback thread, if there is none. */
static int enlist(struct gch *g, u32 thread)
{
	struct gch_callback *cb = &g->callback;

	if (cb->thread == thread)
		return 0;
	if (cb->thread != GCH_NO_SLOT)
		return -EBUSY;
	cb->thread = thread;
	cb->lost = false;
	gch_world_exempt(&g->world, thread, true);
	return 0;
}

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

static int answer(struct gch *g, const struct gcheap_callback *a, const u64 *words)
{
	struct gch_callback *cb = &g->callback;

	if (!a->pause)
		return 0;
	if (!cb->open || cb->pause != a->pause)
		return -EAGAIN;
	gch_mark_ambiguous(&g->core, words, a->n);
	if (!(a->flags & GCHEAP_CALLBACK_MORE)) {
		WRITE_ONCE(cb->open, false);
		wake_up_all(&cb->answered);
	}
	return 0;
}

/* Not to be held up by the pause, unlike other calls. */
static int tell(struct gch *g, const struct gcheap_callback *a, const u64 *words)
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
	err = enlist(g, a->thread);
	if (!err)
		err = answer(g, a, words);
out:
	gch_unlock(g);
	return err;
}

/** gch_callback_call() - GCHEAP_IOC_CALLBACK */
int gch_callback_call(struct gch *g, struct gcheap_callback *a)
{
	const u32 at_once = GCHEAP_CALLBACK_MORE | GCHEAP_CALLBACK_END;
	struct gch_callback *cb = &g->callback;
	u64 *words = NULL;
	int err;

	if (a->n > GCHEAP_CALLBACK_WORDS || (a->n && !a->pause) ||
	    (a->flags & at_once) == at_once)
		return -EINVAL;
	if (a->n) {
		words = memdup_user(u64_to_user_ptr(a->words), a->n * sizeof(*words));
		if (IS_ERR(words))
			return PTR_ERR(words);
	}
	err = tell(g, a, words);
	kfree(words);
	if (err || a->flags & at_once)
		return err;
	if (wait_event_interruptible(cb->asked, READ_ONCE(cb->open) || READ_ONCE(g->dead)))
		return -EINTR;
	a->pause = READ_ONCE(cb->pause);
	return READ_ONCE(g->dead) ? -ENXIO : 0;
}
