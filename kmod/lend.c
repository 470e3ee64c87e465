// SPDX-License-Identifier: GPL-2.0-only
/*
 * A thread of the program that is lent to the collector, as KVM_RUN lends one to a guest:
 * what marking beside the program takes is then its time, with its priority and in its
 * control groups. The collector itself is a kernel worker, which belongs to nobody. It asks
 * the lent thread to mark, in slices under core.lock as an allocating thread does
 * that assists, and marks by itself what is done within a slice, and when that thread does
 * not get on: it may be throttled, or stopped. Pauses are the collector's alone, so none of
 * them waits for a thread that may not run.
 *
 * Asleep or in a slice, it is stopped as any thread that is in a call.
 */
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include "gcheap.h"

#define PATIENCE	msecs_to_jiffies(20)	/* without any progress */

void gch_lent_init(struct gch_lent *l)
{
	init_waitqueue_head(&l->wanted_wait);
	init_waitqueue_head(&l->done_wait);
}

static void done(struct gch_lent *l)
{
	WRITE_ONCE(l->wanted, false);
	wake_up_all(&l->done_wait);
}

static u64 progress(const struct gch_heap *h)
{
	return h->n.marked_objects + h->n.pages_rescanned;
}

/**
 * gch_lent_mark() - have the lent thread mark, if there is one, while it gets on
 *
 * From the collector, without locks, while marking goes on beside the program. What is
 * left is for the collector.
 */
void gch_lent_mark(struct gch *g)
{
	struct gch_lent *l = &g->lent;
	u64 before;

	if (!READ_ONCE(l->lent) || READ_ONCE(l->away))
		return;
	env_lock(&g->core.lock);
	WRITE_ONCE(l->wanted, l->lent);
	while (l->wanted) {
		before = progress(&g->core);
		env_unlock(&g->core.lock);
		wake_up_all(&l->wanted_wait);
		wait_event_timeout(l->done_wait, !READ_ONCE(l->wanted) || READ_ONCE(g->dead),
				   PATIENCE);
		env_lock(&g->core.lock);
		if (l->wanted && progress(&g->core) == before) {
			WRITE_ONCE(l->away, true);
			WRITE_ONCE(l->wanted, false);
		}
	}
	env_unlock(&g->core.lock);
}

/* A slice, if one is wanted. */
static int slice(struct gch *g, u64 *ns)
{
	struct gch_lent *l = &g->lent;
	u64 before;
	int err;

	err = gch_lock_thawed(g);
	if (err)
		return err;
	WRITE_ONCE(l->away, false);
	if (l->wanted && g->core.black) {
		before = g->pace.assisted;
		if (!gch_pace_slice(g))
			done(l);
		*ns += g->pace.assisted - before;
	}
	gch_unlock(g);
	gch_stress_point();
	cond_resched();
	return 0;
}

static int end(struct gch *g)
{
	struct gch_lent *l = &g->lent;
	int err = -ENOENT;

	env_lock(&g->core.lock);
	if (l->lent) {
		WRITE_ONCE(l->over, true);
		wake_up_all(&l->wanted_wait);
		err = 0;
	}
	env_unlock(&g->core.lock);
	return err;
}

static int enlist(struct gch *g)
{
	struct gch_lent *l = &g->lent;
	int err = -EBUSY;

	env_lock(&g->core.lock);
	if (!l->lent) {
		WRITE_ONCE(l->lent, true);
		WRITE_ONCE(l->over, false);
		WRITE_ONCE(l->away, false);
		err = 0;
	}
	env_unlock(&g->core.lock);
	return err;
}

static bool called(const struct gch *g)
{
	const struct gch_lent *l = &g->lent;

	return READ_ONCE(l->wanted) || READ_ONCE(l->away) || READ_ONCE(l->over) ||
	       READ_ONCE(g->dead);
}

/** gch_lend_call() - GCHEAP_IOC_LEND */
int gch_lend_call(struct gch *g, struct gcheap_lend *a)
{
	struct gch_lent *l = &g->lent;
	int err;

	a->ns = 0;
	if (a->flags & GCHEAP_LEND_END)
		return end(g);
	err = enlist(g);
	if (err)
		return err;
	while (!err) {
		if (wait_event_interruptible(l->wanted_wait, called(g)))
			err = -EINTR;
		else if (READ_ONCE(l->over))
			err = -ECANCELED;
		else
			err = slice(g, &a->ns);
		if (!err && signal_pending(current))
			err = -EINTR;
	}
	env_lock(&g->core.lock);
	WRITE_ONCE(l->lent, false);
	done(l);
	env_unlock(&g->core.lock);
	return err;
}
