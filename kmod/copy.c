// SPDX-License-Identifier: GPL-2.0-only
/*
 * A heap made in the likeness of another one, for a forked child (fork.c).
 *
 * The structure of the other one is closed meanwhile: calls wait, as in a pause. Spans and
 * frames are made while its threads run; then they are stopped, and what they may have
 * changed is copied (core/copy.c, mm/copy.c).
 *
 * Locks: the other heap's for a moment at a time, never with that of the new one, which nobody
 * knows; that is taken in the other's pause, too.
 */
#include <linux/ktime.h>
#include <linux/sched/signal.h>

#include "gcheap.h"

#define STOP_TIMEOUT_NS	(200 * NSEC_PER_MSEC)
#define TRIES		20	/* to stop the threads, and find no new page */

/** gch_copy_may_go_on() - 0, -EINTR: a fatal signal, -ENXIO: a heap is dead, or the child gone */
int gch_copy_may_go_on(const struct gch *to, const struct gch *from)
{
	/* It may be gone before it has mapped its heap. */
	if (READ_ONCE(from->dead) || READ_ONCE(to->dead) ||
	    !atomic_read(&to->fork.heir->mm_users))
		return -ENXIO;
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* What the program has chosen, what has been counted, and what follows from that. */
static void copy_settings(struct gch *to, struct gch *from)
{
	to->verify = from->verify;
	to->concurrent = from->concurrent;
	to->check = from->check;
	to->release = from->release;
	to->mesh = from->mesh;
	to->evacuate = from->evacuate;
	to->young = from->young;
	to->workers = from->workers;
	to->pause_budget = from->pause_budget;
	to->track.way = from->track.way;
	to->tidy.percent = from->tidy.percent;
	env_lock(&from->core.lock);
	to->pace = from->pace;
	/* Its marking is not complete before it has a thread of its own that says what that did. */
	to->callback.lost = from->callback.lost || from->callback.thread != GCH_NO_SLOT;
	gch_stat_copy(to, from);
	env_unlock(&from->core.lock);
}

/* Cycles are counted on from there, and are held for the same reasons. */
static void copy_requests(struct gch *to, struct gch *from)
{
	struct gch_requests *q = &from->req, *t = &to->req;
	u64 tried, good;
	u32 hold;

	spin_lock(&q->wait.lock);
	tried = q->tried;
	good = q->good;
	hold = q->hold;
	spin_unlock(&q->wait.lock);
	spin_lock(&t->wait.lock);
	t->asked = tried;
	t->begun = tried;
	t->tried = tried;
	t->good = good;
	t->hold = hold;
	spin_unlock(&t->wait.lock);
}

static int copy_span(struct gch *to, struct gch *from, u32 id)
{
	u32 fills = 0;
	int err;

	do {
		env_lock(&to->core.lock);
		err = gch_copy_span(&to->core, &from->core, id);
		env_unlock(&to->core.lock);
	} while (err == -ENOMEM && gch_reserve_fill(&to->core, &fills));
	return err;
}

/* The number of the next span from a slot on, or @from->core.top. */
static u32 next_span(const struct gch *g, u32 id)
{
	u32 first;

	while (id < g->core.top && !gch_span_at(&g->core, id, &first)) {
		if (!gch_chunk(&g->core, id / GCHEAP_CHUNK_SLOTS))
			id |= GCHEAP_CHUNK_SLOTS - 1;
		id++;
	}
	return min(id, g->core.top);
}

static u32 span_after(const struct gch *g, u32 id)
{
	return next_span(g, id + gch_desc(&g->core, id)->nslots);
}

static int copy_spans(struct gch *to, struct gch *from)
{
	int err = 0;
	u32 id;

	for (id = next_span(from, 0); id < from->core.top; id = span_after(from, id)) {
		err = gch_copy_may_go_on(to, from) ?: copy_span(to, from, id);
		if (err)
			break;
		cond_resched();
	}
	return err;
}

/* World stopped, all memory at hand. */
static void copy_cells(struct gch *to, struct gch *from)
{
	u32 id;

	env_lock(&to->core.lock);
	for (id = next_span(from, 0); id < from->core.top; id = span_after(from, id)) {
		gch_copy_cells(&to->core, &from->core, id);
		cond_resched();
	}
	gch_copy_end(&to->core, &from->core);
	gch_copy_shared(to);
	gch_pace_plan(to);
	gch_cycle_verify(to);
	gch_stat_publish(to);
	env_unlock(&to->core.lock);
}

/* What is in the spans, at one moment: 0, -EAGAIN, -ENOMEM, -EINTR, -ENXIO. */
static int copy_stopped(struct gch *to, struct gch *from)
{
	int err = gch_copy_frames(to, from) ?: gch_world_stop(&from->world, STOP_TIMEOUT_NS);

	if (err)
		return err;
	gch_stress_point();
	err = gch_copy_contents(to, from);
	if (!err)
		copy_cells(to, from);
	gch_world_start(&from->world);
	return err;
}

static int copy_heap(struct gch *to, struct gch *from)
{
	int err, tries = 0;

	copy_settings(to, from);
	err = gch_copy_begin(&to->core, &from->core) ?: copy_spans(to, from) ?:
		gch_roots_copy(&to->roots, &from->roots);
	if (err)
		return err;
	do
		err = copy_stopped(to, from);
	while (err == -EAGAIN && ++tries < TRIES && !gch_copy_may_go_on(to, from));
	return err;
}

/*
 * Structure stays as it is from here on (I1). So do the pages: if the heap dies now the collector
 * sees, with the lock, that they are in use; if it is dead we do.
 */
static int close_heap(struct gch *g)
{
	int err = gch_lock_thawed(g);

	if (err)
		return err;
	if (READ_ONCE(g->dead))
		err = -ENXIO;
	else
		WRITE_ONCE(g->core.closed, true);
	env_unlock(&g->core.lock);
	return err;
}

static void reopen_heap(struct gch *g)
{
	env_lock(&g->core.lock);
	WRITE_ONCE(g->core.closed, false);
	env_unlock(&g->core.lock);
	wake_up_all(&g->thawed);
	if (READ_ONCE(g->dead))
		gch_collector_wake(g);	/* to give its pages back, which it could not */
}

static int copy_closed(struct gch *to, struct gch *from)
{
	int err = close_heap(from);

	if (err)
		return err;
	err = copy_heap(to, from);
	reopen_heap(from);
	return err;
}

/**
 * gch_copy() - make the heap of a child that is there, and set it up
 * @to: with tables of the size of the other one's; it has none after an error
 * @from: no cycle is under way, none begins (I1)
 *
 * Return: 0, -EAGAIN: its threads do not stop, or ever new pages come; -ENOMEM, -EINTR, -ENXIO.
 */
int gch_copy(struct gch *to, struct gch *from)
{
	int err;

	copy_requests(to, from);
	err = copy_closed(to, from);
	if (err) {
		gch_tables_drop(to);	/* nobody comes further than that flag */
		return err;
	}
	smp_store_release(&to->ready, true);	/* as in do_setup() */
	/* It may have died since that was last looked at: pairs with gch_kill(). */
	smp_mb();
	if (READ_ONCE(to->dead))
		gch_collector_wake(to);
	return 0;
}
