// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pacing: when a cycle begins, and who marks while it is under way.
 *
 * A cycle has to be over when the heap has grown by @trigger bytes. One that marks while
 * the program runs begins earlier, by as much as was handed out in the last one. From
 * there on marking has to advance as evenly as allocation does: a thread that comes for
 * memory while it lags behind marks before it gets some (an assist), in its own time and
 * on its own account. Past the goal threads wait for the end of the marking, and for its
 * beginning if it is late: the collector may wait for a processor that they keep busy.
 * After Go's pacer (Hudson and Clements, "Go 1.5 concurrent garbage collector pacing").
 */
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "gcheap.h"
#include "trace.h"

#define CYCLE_WORK	SZ_256K	/* bytes marked for the price of roots and rounds */
#define WHILE_NS	(50 * NSEC_PER_MSEC)
#define YOUNG_SKIP	16u	/* full cycles at most after a young one that did not pay */

/* Bytes that the last cycle left, black ones included, and those elsewhere. */
static u64 found(const struct gch *g)
{
	const struct gch_counts *n = &g->core.n;

	return n->marked_bytes_last + g->black_bytes + n->offheap_bytes;
}

/** gch_pace_plan() - when the next cycle is due; core.lock held */
void gch_pace_plan(struct gch *g)
{
	const struct gch_params *p = &g->core.param;

	u64 marked = found(g), full = g->pace.full;
	u64 more = gch_plan_trigger(full, p->growth, p->min_heap);

	more = max(gch_plan_within(more, full, p->soft_limit), g->pace.relief);
	/* The limit is the heap's alone. */
	full -= min(full, g->core.n.offheap_bytes);
	/* Young collections leave what has died old to the next full one, which pays. */
	g->pace.goal = g->pace.full + gch_plan_within(more, full, p->limit);
	g->trigger = marked < g->pace.goal ? g->pace.goal - marked : 0;
	g->trigger = max_t(u64, g->trigger, GCHEAP_SLOT_SIZE);
	g->pace.start = gch_plan_start(g->trigger, g->pace.runway);
}

/** gch_pace_due() - whether enough has been handed out since the last marking */
bool gch_pace_due(struct gch *g)
{
	return g->core.n.alloc_since >= (g->concurrent ? g->pace.start : g->trigger);
}

/** gch_pace_young() - whether the next collection is to be a young one */
bool gch_pace_young(const struct gch *g)
{
	const struct gch_pace *p = &g->pace;
	u8 young = READ_ONCE(g->young);

	if (!young || !g->sticky || g->core.nasks)
		return false;
	return young > 1 ||
	       (!p->skip && gch_plan_young(p->goal, p->full, found(g), p->youngs));
}

/** gch_pace_begin() - marking while the program runs begins; core.lock held */
void gch_pace_begin(struct gch *g, bool young)
{
	struct gch_pace *p = &g->pace;
	const struct gch_counts *n = &g->core.n;

	p->from = n->alloc_since;
	p->room = gch_plan_room(g->trigger, p->from);
	/* Before the first cycle as much may be reachable as there is. */
	p->work = g->cycles ? n->marked_bytes_last + g->black_bytes : n->heap_bytes;
	if (young)
		p->work = p->youngs ? p->young_work : p->from / 2;
	p->before = n->marked_bytes;
	p->youngs = young ? p->youngs + 1 : 0;
}

/** gch_pace_stopped() - marking with the world stopped begins; core.lock held */
void gch_pace_stopped(struct gch *g)
{
	g->pace.youngs = 0;
	g->pace.before = 0;
}

/** gch_pace_handed() - bytes handed out since marking began; core.lock held */
u64 gch_pace_handed(const struct gch *g)
{
	u64 now = g->core.n.alloc_since;

	return now > g->pace.from ? now - g->pace.from : 0;
}

/** gch_pace_end() - marking is complete; core.lock held, before the sweep begins */
void gch_pace_end(struct gch *g)
{
	struct gch_pace *p = &g->pace;
	u64 done = g->core.n.marked_bytes - p->before;

	p->runway = (p->runway + gch_pace_handed(g)) / 2;
	p->since = g->core.n.alloc_since;
	if (!p->youngs)
		return;
	g->cycles_young++;
	p->young_work = p->youngs > 1 ? (p->young_work + done) / 2 : done;
}

/**
 * gch_clock_now() - processor time of the calling worker, exactly
 *
 * Without locks. It is brought up to date by the scheduler alone, else a tick late.
 */
u64 gch_clock_now(void)
{
	schedule();
	return current->se.sum_exec_runtime;
}

/** gch_clock_start() - a worker of the pool begins to collect for the heap */
void gch_clock_start(struct gch *g)
{
	g->clock.from = gch_clock_now() - g->clock.ns;
}

/** gch_clock_stop() - its time up to @now counts */
void gch_clock_stop(struct gch *g, u64 now)
{
	WRITE_ONCE(g->clock.ns, now - g->clock.from);
}

/** gch_clock_ns() - time taken by the collector and its crew */
u64 gch_clock_ns(const struct gch *g)
{
	return READ_ONCE(g->clock.ns) + atomic64_read(&g->crew.ns);
}

/*
 * The collector's and the assists' share of the time that the program's threads and the
 * collector could have run, over a while: a thread's time goes by ticks.
 */
static void limit_time(struct gch *g)
{
	struct gch_pace *p = &g->pace;
	u64 now = ktime_get_ns(), cpus = min_t(u64, num_online_cpus(), g->threads_stopped + 1);
	u64 ran;

	gch_clock_stop(g, current->se.sum_exec_runtime);
	ran = gch_clock_ns(g);
	if (now - p->settled < WHILE_NS)
		return;
	/* Time that the program has asked for is not taken from it. */
	if (!p->forced)
		p->relief = gch_plan_relief(p->relief, ran - p->ran + p->assisted,
					    cpus * (now - p->settled));
	p->ran = ran;
	p->settled = now;
	p->assisted = 0;
}

/* One collection by itself says little: it may find the program before or after it drops much. */
static void yielded(struct gch_yield *y, u64 freed, u64 work)
{
	bool first = !y->work;

	y->freed = first ? freed : (y->freed + freed) / 2;
	y->work = first ? work : (y->work + work) / 2;
}

/**
 * gch_pace_settle() - a cycle is over, the sweep too; core.lock held, from the collector
 *
 * Compares what young and full ones free for their work: bytes marked, half of those scanned
 * again, and what any cycle costs.
 */
void gch_pace_settle(struct gch *g)
{
	struct gch_pace *p = &g->pace;
	const struct gch_counts *n = &g->core.n;
	struct gch_yield *full = &p->full_yield, *young = &p->young_yield;
	u64 was = p->live + p->since, freed, work;

	freed = was > n->live_bytes_last ? was - n->live_bytes_last : 0;
	work = n->marked_bytes_last - p->before + CYCLE_WORK +
	       (n->bytes_rescanned - p->rescanned) / 2;
	p->live = n->live_bytes_last;
	p->rescanned = n->bytes_rescanned;
	yielded(p->youngs ? young : full, freed, work);
	if (!p->youngs) {
		/* Of what was handed out while marking not all will be reached again: counted
		 * in full, cycles in a row would allow each other more and more.
		 */
		p->full = found(g) - g->black_bytes / 2;
		p->skip -= p->skip > 0;
	} else if (gch_plan_pays(young->freed, young->work, full->freed, full->work)) {
		p->failures = 0;
	} else {
		p->skip = min(1u << p->failures, YOUNG_SKIP);
		p->failures = min(p->failures + 1, 16u);
	}
	limit_time(g);
	gch_pace_plan(g);
}

/**
 * gch_pace_slice() - mark for a slice in a thread's own time, which the limiter counts
 *
 * core.lock held, marking under way, not in a frozen phase. Return: whether there is more.
 */
bool gch_pace_slice(struct gch *g)
{
	u64 t0 = ktime_get_ns();
	bool more = gch_mark_until(g, t0 + GCH_SLICE_NS);

	g->pace.assisted += ktime_get_ns() - t0;
	return more;
}

/* Mark until there is no debt or nothing at hand. Return: whether past the goal. */
static bool pay(struct gch *g)
{
	struct gch_counts *n = &g->core.n;
	u64 before = n->marked_bytes, debt = 0;
	bool more = true;

	while (more && g->core.black && !gch_phase_frozen(&g->core)) {
		debt = gch_plan_debt(g->pace.work, n->marked_bytes - g->pace.before,
				     gch_pace_handed(g), g->pace.room);
		if (!debt)
			break;
		more = gch_pace_slice(g);
		g->assists++;
		g->assist_bytes += n->marked_bytes - before;
		before = n->marked_bytes;
		gch_unlock(g);
		cond_resched();
		env_lock(&g->core.lock);
	}
	return g->core.black && debt && gch_pace_handed(g) >= g->pace.room;
}

/* Whether marking should be over by now, and is not even under way. */
static bool is_late(const struct gch *g)
{
	return READ_ONCE(g->concurrent) &&
	       READ_ONCE(g->core.n.alloc_since) >= READ_ONCE(g->trigger);
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
	err = gch_await_writable(g);
	if (err)
		return err;
	if (!READ_ONCE(g->core.black)) {
		err = is_late(g) ? gch_await_begun(g) : 0;
		if (err || !READ_ONCE(g->core.black))
			return err;
	}
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

/** gch_await_writable() - wait until pages may be written (R18): 0 or -EINTR */
int gch_await_writable(struct gch *g)
{
	const struct gch_track *t = &g->track;

	return unlikely(gch_track_full(t)) &&
	       wait_event_killable(g->thawed, !gch_track_full(t) || READ_ONCE(g->dead)) ?
	       -EINTR : 0;
}
