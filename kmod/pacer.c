// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pacing: when a cycle begins, and who marks while it is under way.
 *
 * A cycle has to be over when the heap has grown by @trigger bytes. One that marks while
 * the program runs begins earlier, by as much as was handed out in the last one. From
 * there on marking has to advance as evenly as allocation does: a thread that comes for
 * memory while it lags behind marks before it gets some (an assist), in its own time and
 * on its own account. Past the goal threads wait for the end of the marking.
 * After Go's pacer (Hudson and Clements, "Go 1.5 concurrent garbage collector pacing").
 */
#include <linux/ktime.h>
#include <linux/sched.h>

#include "gcheap.h"
#include "trace.h"

#define SLICE_NS	(100 * NSEC_PER_USEC)

/** gch_pace_plan() - when the next cycle is due; core.lock held */
void gch_pace_plan(struct gch *g)
{
	const struct gch_params *p = &g->core.param;

	u64 marked = g->core.n.marked_bytes_last + g->black_bytes;

	g->trigger = gch_plan_trigger(marked, p->growth, p->min_heap);
	g->trigger = gch_plan_within(g->trigger, marked, p->limit);
	g->pace.start = gch_plan_start(g->trigger, g->pace.runway);
}

/** gch_pace_due() - whether enough has been handed out since the last marking */
bool gch_pace_due(struct gch *g)
{
	return g->core.n.alloc_since >= (g->concurrent ? g->pace.start : g->trigger);
}

/** gch_pace_begin() - marking while the program runs begins; core.lock held */
void gch_pace_begin(struct gch *g)
{
	struct gch_pace *p = &g->pace;
	const struct gch_counts *n = &g->core.n;

	p->from = n->alloc_since;
	p->room = gch_plan_room(g->trigger, p->from);
	/* Before the first cycle as much may be reachable as there is. */
	p->work = g->cycles ? n->marked_bytes_last + g->black_bytes : n->heap_bytes;
}

static u64 handed(const struct gch *g)
{
	u64 now = g->core.n.alloc_since;

	return now > g->pace.from ? now - g->pace.from : 0;
}

/** gch_pace_end() - marking is complete; core.lock held, before the sweep begins */
void gch_pace_end(struct gch *g)
{
	g->pace.runway = (g->pace.runway + handed(g)) / 2;
}

/* Mark until there is no debt or nothing at hand. Return: whether past the goal. */
static bool pay(struct gch *g)
{
	struct gch_counts *n = &g->core.n;
	u64 before = n->marked_bytes, debt = 0;
	bool more = true;

	while (more && g->core.black && !gch_phase_frozen(&g->core)) {
		debt = gch_plan_debt(g->pace.work, n->marked_bytes, handed(g), g->pace.room);
		if (!debt)
			break;
		more = gch_mark_until(g, ktime_get_ns() + SLICE_NS);
		g->assists++;
		g->assist_bytes += n->marked_bytes - before;
		before = n->marked_bytes;
		gch_unlock(g);
		cond_resched();
		env_lock(&g->core.lock);
	}
	return g->core.black && debt && handed(g) >= g->pace.room;
}

/**
 * gch_pace_assist() - before a thread is given memory: it may have to mark first
 *
 * Without locks. Return: 0, -EINTR: a fatal signal, -ENXIO: the heap is dead.
 */
int gch_pace_assist(struct gch *g)
{
	u64 t0 = ktime_get_ns(), bytes;
	bool late;
	int err;

	/* Memory that is handed out is written. */
	if (unlikely(gch_track_full(&g->track)) &&
	    wait_event_killable(g->thawed, !gch_track_full(&g->track) || READ_ONCE(g->dead)))
		return -EINTR;

	if (!READ_ONCE(g->core.black))
		return 0;
	err = gch_lock_thawed(g);
	if (err)
		return err;
	bytes = g->assist_bytes;
	late = pay(g);
	bytes = g->assist_bytes - bytes;
	g->assist_waits += late;
	gch_unlock(g);
	if (late)
		err = gch_await_marked(g);
	if (!bytes && !late)
		return err;
	t0 = ktime_get_ns() - t0;
	env_lock(&g->core.lock);
	g->assist_ns += t0;
	env_unlock(&g->core.lock);
	trace_gcheap_assist(g, bytes, t0);
	return err;
}

/** gch_await_marked() - wait for the end of the marking: 0, -EINTR or -ENXIO */
int gch_await_marked(struct gch *g)
{
	if (wait_event_killable(g->thawed, !READ_ONCE(g->core.black) || READ_ONCE(g->dead)))
		return -EINTR;
	return READ_ONCE(g->dead) ? -ENXIO : 0;
}
