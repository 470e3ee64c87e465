// SPDX-License-Identifier: GPL-2.0-only
/*
 * Marking while the program runs.
 *
 * Phase TRACE: writes are tracked (mm/track.c) from before it begins; what is handed
 * out is black (core/cycle.c). The collector marks in slices with core.lock held, so
 * that structure stays as it is within one (I1); threads that allocate or fault wait for
 * the slice, the others run.
 *
 * The first pause only takes a snapshot of the roots (mm/snapshot.c), which is marked from
 * next. Then, until a pause comes to an end:
 *   - what is queued is scanned, and weak words and ephemerons are looked at again
 *   - rounds over the pages written since, until there are few; a last one, from which on
 *     writes are logged; then over what is logged, until that is little
 *   - no more is logged than the pause can scan: who would write more waits (R18)
 *   - a pause: roots that are not as they were, logged pages, and what these lead to. If
 *     that takes longer than the budget the threads run on, and marking does: marks are
 *     never taken back and new objects are black, so there is less to do each time; and
 *     the budget is doubled (R18).
 * When one has come to an end, weak words to what was not reached have been cleared, and short
 * links; the threads run on while objects are queued that have finalizers (core/final.c). None
 * does while a thread is making addresses of what does not look like them (link.c).
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "gcheap.h"
#include "trace.h"

#define STOP_TIMEOUT_NS	(200 * NSEC_PER_MSEC)
#define STEP		4	/* spans or pages between looks at the clock */
#define PAUSES		40	/* then the attempt has failed */
#define ROUNDS		4	/* between pauses */
#define FEW_PAGES	64
#define CAP_MIN		8	/* pages */
#define PAGE_NS		2000	/* no page is taken to cost less */
#define PAGE_NS_FIRST	16000	/* while nothing is known */

/** gch_mark_until() - mark for a while; core.lock held. Return: whether there is more. */
bool gch_mark_until(struct gch *g, u64 deadline)
{
	bool more;

	do {
		more = !g->track.rounding && gch_dirty_scan(&g->core, STEP);
		more |= gch_mark_drain(&g->core, STEP);
	} while (more && ktime_get_ns() < deadline);
	return more;
}

/* Until nothing is known that is left to do: 0, or -ENXIO. */
static int drain(struct gch *g)
{
	bool more;

	do {
		if (gch_mm_deserted(&g->world))
			return -ENXIO;
		env_lock(&g->core.lock);
		more = gch_crew_mark(g, ktime_get_ns() + GCH_SLICE_NS, false);
		gch_unlock(g);
		if (more)
			gch_lent_mark(g);
		gch_stress_point();
		cond_resched();
	} while (more);
	return 0;
}

/* Some of what comes when nothing is queued, under core.lock. Return: whether there is more. */
typedef bool (*step_t)(struct gch_heap *h);

/* Until that is done as well: 0, or -ENXIO. */
static int drain_and(struct gch *g, step_t step)
{
	bool more;
	int err;

	do {
		err = drain(g);
		if (err)
			return err;
		env_lock(&g->core.lock);
		more = step(&g->core);
		gch_unlock(g);
		gch_stress_point();
	} while (more);
	return 0;
}

/* What weak words and ephemerons are noted for. */
static bool settle(struct gch_heap *h)
{
	return gch_weak_settle(h, STEP, false);
}

/* Links that may have to do with what has died. */
static bool look_at_links(struct gch_heap *h)
{
	return gch_link_look(h, STEP);
}

/* Dead objects that have finalizers, and what these refer to. */
static bool finalize(struct gch_heap *h)
{
	return gch_final_some(h, STEP);
}

static int round_of(struct gch *g, bool last, u64 *pages)
{
	*pages = gch_track_round(g, last);
	g->pace.found_pages = max(g->pace.found_pages, *pages);
	g->trace_rounds++;
	return drain(g);
}

/* Over all pages, until writes are logged: 0, or -ENXIO. */
static int rounds(struct gch *g)
{
	u64 pages;
	int err = 0, i;

	if (g->track.armed)
		return 0;
	/* A guess at what there is to find: as much as last time, and what was handed out. */
	env_lock(&g->core.lock);
	pages = max(g->pace.found_pages, gch_pace_handed(g) >> PAGE_SHIFT);
	env_unlock(&g->core.lock);
	g->pace.found_pages = 0;
	for (i = 0; !err && i < ROUNDS && (pages > FEW_PAGES || gch_stress_abort()); i++)
		err = round_of(g, false, &pages);
	return err ?: round_of(g, true, &pages);
}

/* Over what is logged. */
static int round_again(struct gch *g)
{
	gch_track_again(g);
	g->trace_rounds++;
	return drain(g);
}

/*
 * Get near to the end, with the program running: 0, or -ENXIO. Who writes to more than
 * @cap pages from the last of the rounds on waits for the pause, which comes at once (R18).
 */
static int catch_up(struct gch *g, u32 cap)
{
	int err, i;

	err = drain(g);
	if (!err)
		err = gch_evacuate_record(g);
	if (!err)
		err = rounds(g);
	if (!err)
		err = drain_and(g, settle) ?: drain_and(g, look_at_links);
	if (!err)
		gch_links_bring(g);
	for (i = 0; !err && i < ROUNDS && READ_ONCE(g->track.n) > cap / 4; i++)
		err = round_again(g);
	if (err)
		return err;
	gch_flip_arm(g);
	gch_track_close(&g->track, cap);
	gch_stress_point();
	return READ_ONCE(g->track.n) > cap ? round_again(g) : 0;
}

/* Pages that a pause can scan in half of its budget, as the last ones did. */
static u32 log_cap(const struct gch *g, u64 budget)
{
	return clamp_t(u64, div64_u64(budget, 2 * g->pace.page_ns), CAP_MIN, GCH_LOG / 2);
}

/* World stopped, core.lock held: whether there is more. */
static bool mark_on(struct gch *g, u64 deadline)
{
	return gch_stress_abort() || gch_crew_mark(g, deadline, true) ||
		gch_weak_settle(&g->core, STEP, true);
}

/*
 * World stopped: until nothing is left to mark, nor to ask about. Return: 0; -EAGAIN: not by
 * the deadline, time for questions not counted; -ETIME, -ENXIO as of these.
 */
static int mark_and_ask(struct gch *g, u64 deadline)
{
	u64 asked = g->callback.spent;
	bool more;
	int err = 0;

	do {
		env_lock(&g->core.lock);
		do
			more = mark_on(g, deadline + g->callback.spent - asked);
		while (more && ktime_get_ns() < deadline + g->callback.spent - asked);
		env_unlock(&g->core.lock);
		if (more)
			return -EAGAIN;
		more = gch_ask_left(&g->core);
		if (more)
			err = gch_callback_ask_about(g);
	} while (more && !err);
	return err;
}

/* It took so long to scan pages and what they led to. */
static void learn_cost(struct gch *g, u64 pages, u64 ns)
{
	u64 *cost = &g->pace.page_ns;

	if (pages >= CAP_MIN / 2)
		*cost = max_t(u64, (3 * *cost + div64_u64(ns, pages)) / 4, PAGE_NS);
}

/* World stopped at @stopped, roots marked from. -EAGAIN: it would take too long. */
static int finish_marking(struct gch *g, u64 stopped, u64 budget)
{
	u64 t0 = ktime_get_ns(), asked = g->callback.spent, pages;
	int err;

	if (!budget || gch_stress_abort())
		return -EAGAIN;
	env_lock(&g->core.lock);
	pages = g->core.n.pages_rescanned;
	gch_ask_begin(&g->core);
	gch_track_logged(g);
	env_unlock(&g->core.lock);
	err = mark_and_ask(g, stopped + budget + asked);
	env_lock(&g->core.lock);
	learn_cost(g, g->core.n.pages_rescanned - pages,
		   ktime_get_ns() - t0 - (g->callback.spent - asked));
	env_unlock(&g->core.lock);
	return err ?: gch_stress_abort() ? -EAGAIN : 0;
}

/* Words to put marks aside, for checks that are wanted; without the lock. */
static void check_prepare(struct gch *g, struct gch_check *c)
{
	c->room = gch_check_room(&g->core);
	c->aside = NULL;
	if (READ_ONCE(g->check))
		c->aside = kvmalloc_array(c->room, sizeof(u64), GFP_KERNEL | __GFP_NOWARN);
}

static void check_report(struct gch *g, const struct gch_check *c)
{
	u32 i;

	g->checks++;
	g->check_lost += c->lost;
	if (!c->lost)
		return;
	pr_err("gcheap: checkmark: %llu objects would have been lost; the first, and what leads there:\n",
	       c->lost);
	for (i = 0; i < c->steps; i++)
		pr_err("gcheap: checkmark:   %#llx in a span of cells of %u bytes\n", c->path[i],
		       gch_desc(&g->core, (c->path[i] - g->core.base) >> GCHEAP_SLOT_SHIFT)->
		       cell_granules * GCHEAP_GRANULE);
}

/* World stopped, marking complete: mark again. Return: 0, or -ENXIO. */
static int check_marks(struct gch *g, struct gch_check *c)
{
	bool begun, ask;
	int err;

	env_lock(&g->core.lock);
	begun = gch_check_begin(&g->core, c);
	env_unlock(&g->core.lock);
	if (!begun)
		return 0;
	gch_snapshot_end(&g->roots.snapshot);
	gch_callback_begin(g);
	/* What cannot be read a second time, or is not answered, is not compared. */
	err = gch_roots_show(g);
	do {
		while (gch_mark_some(&g->core, STEP))
			if (gch_mm_deserted(&g->world))
				err = -ENXIO;
		ask = !err && gch_ask_left(&g->core);
		if (ask)
			err = gch_callback_ask_about(g);
	} while (ask && !err);
	while (err && gch_mark_some(&g->core, STEP))
		;
	env_lock(&g->core.lock);
	gch_ask_skip(&g->core);
	gch_check_end(&g->core, c);
	if (!err)
		check_report(g, c);
	env_unlock(&g->core.lock);
	return err == -ENXIO ? err : 0;
}

/* The world is to go on, with marking complete or not. */
static void thaw(struct gch *g, int err)
{
	bool flipped;

	env_lock(&g->core.lock);
	if (err) {
		gch_track_close(&g->track, 0);
		gch_cycle_resume(&g->core);
	} else {
		gch_track_end(g);
		gch_cycle_finish(&g->core);
		flipped = gch_flip(g);
		/*
		 * Until the next cycle writes leave dirty bits, if these are what counts.
		 * What is noted of weak words does not move.
		 */
		g->sticky = g->track.way == GCHEAP_TRACK_DIRTY && !flipped;
		gch_cycle_verify(g);
		gch_cycle_finalize(&g->core);
	}
	gch_unlock(g);
}

/*
 * @budget: ns; 0: only read the roots. 0 if marking is complete, or -errno; -EBUSY as of
 * gch_check_shown().
 */
static int trace_pause(struct gch *g, u64 budget, struct gch_check *check)
{
	u64 t0, t1, t2;
	int err;

	env_lock(&g->core.lock);
	gch_cycle_stop(&g->core);
	gch_unlock(g);
	gch_stress_point();
	trace_gcheap_pause_begin(g);
	t0 = ktime_get_ns();
	err = gch_world_stop(&g->world, STOP_TIMEOUT_NS);
	t1 = ktime_get_ns();
	if (err) {
		thaw(g, err);
		goto out;
	}
	gch_callback_begin(g);
	err = gch_stress_abort() ? -EAGAIN : budget ? gch_check_shown(g) : 0;
	if (!err)
		err = gch_roots_mark(g);
	if (!err)
		err = finish_marking(g, t1, budget);
	if (!err && check->aside)
		err = check_marks(g, check);
	if (!err)
		gch_flip_roots(g);
	thaw(g, err);
	gch_world_start(&g->world);
	t2 = ktime_get_ns();
	gch_stat_pause(g, t1 - t0, t2 - t0);
out:
	trace_gcheap_pause_end(g, err);
	wake_up_all(&g->thawed);
	gch_stress_point();
	return err;
}

static int trace_pauses(struct gch *g, struct gch_root_fault *bad)
{
	u64 budget = READ_ONCE(g->pause_budget);
	struct gch_check check = { };
	int err, i;

	gch_snapshot_begin(&g->roots.snapshot, g->roots.pieces, g->roots.words);
	err = trace_pause(g, 0, &check);
	if (err == -EAGAIN)
		err = gch_roots_show_taken(g) ?: -EAGAIN;
	for (i = 0; gch_may_try_again(g, err) && i < PAUSES; i++) {
		if (err == -EBUSY)
			gch_await_shown(g);
		else if (i)
			budget = min_t(u64, 2 * budget, NSEC_PER_SEC);
		err = gch_roots_fault_in(&g->roots, &g->world, bad);
		if (err && err != -EAGAIN)
			break;
		err = catch_up(g, log_cap(g, budget));
		if (err)
			break;
		check_prepare(g, &check);
		err = trace_pause(g, budget, &check);
		kvfree(check.aside);
	}
	gch_set_awaiting(g, false);
	gch_snapshot_end(&g->roots.snapshot);
	return err;
}

static void set_paused(struct gch *g, bool paused)
{
	env_lock(&g->core.lock);
	gch_cycle_pause(&g->core, paused);
	gch_unlock(g);
	if (!paused)
		wake_up_all(&g->thawed);
}

/* World stopped: more of what is done in FINALIZE. Return: whether there is more to ask about. */
static bool finalize_until(struct gch *g, u64 deadline)
{
	bool more;

	env_lock(&g->core.lock);
	do
		more = gch_final_some(&g->core, STEP);
	while (more && ktime_get_ns() < deadline);
	env_unlock(&g->core.lock);
	return !more && gch_ask_left(&g->core) && ktime_get_ns() < deadline;
}

/*
 * What dead objects lead to that finalizers have brought back is asked of the stopped program,
 * too. Nothing that was asked about before has changed: it does not see them yet. Each that wants
 * order is a question of its own, and what follows from the answer comes before the next one: as
 * many as there is time for have a pause together, the time for answers included.
 */
static int ask_pause(struct gch *g)
{
	u64 t0, t1, t2;
	int err;

	set_paused(g, true);
	trace_gcheap_pause_begin(g);
	t0 = ktime_get_ns();
	err = gch_world_stop(&g->world, STOP_TIMEOUT_NS);
	t1 = ktime_get_ns();
	if (!err) {
		/* The budget says how many; each has the time that a pause's have. */
		do {
			gch_callback_begin(g);
			err = gch_callback_ask_about(g);
		} while (!err && finalize_until(g, t1 + READ_ONCE(g->pause_budget)));
		gch_world_start(&g->world);
		t2 = ktime_get_ns();
		gch_stat_pause(g, t1 - t0, t2 - t0);
	}
	set_paused(g, false);
	trace_gcheap_pause_end(g, err);
	return err;
}

/* With the program running, but for these pauses: 0, or -errno of an attempt. */
static int finalize_all(struct gch *g)
{
	int err, tries;

	do {
		err = drain_and(g, finalize);
		if (err || !gch_ask_left(&g->core))
			return err;
		/* It would be a pity about all that is marked. */
		for (tries = 0; (err = ask_pause(g)) == -EAGAIN && tries < PAUSES; tries++) {
			if (gch_mm_deserted(&g->world))
				return -ENXIO;
			schedule_timeout_uninterruptible(1);
		}
	} while (!err);
	return err;
}

/**
 * gch_trace() - mark while the program runs
 * @young: marks are those of the last cycle, which g->sticky said
 * @bad: out: first root that could not be read
 *
 * From the collector, phase CLEAR, marks cleared, after gch_mm_enter(). Return: 0, and
 * the phase is SWEEP, or -errno as of an attempt, and it is IDLE.
 */
int gch_trace(struct gch *g, bool young, struct gch_root_fault *bad)
{
	int err;

	if (!g->pace.page_ns) {
		g->pace.page_ns = PAGE_NS_FIRST;
		g->pace.found_pages = U64_MAX;
	}
	/* R2: before the first root is read. */
	gch_track_begin(g, young);
	gch_stress_point();
	env_lock(&g->core.lock);
	gch_cycle_trace(&g->core, young);
	gch_pace_begin(g, young);
	gch_unlock(g);
	wake_up_all(&g->req.wait);	/* gch_await_begun() */
	err = trace_pauses(g, bad);
	if (!err) {
		gch_evacuate_settle(g);
		err = finalize_all(g);
	}
	env_lock(&g->core.lock);
	if (err) {
		g->sticky = false;
		gch_track_end(g);
		gch_cycle_abandon(&g->core);
	} else {
		gch_pace_end(g);
		gch_cycle_sweep(&g->core);
	}
	gch_unlock(g);
	wake_up_all(&g->thawed);	/* gch_await_marked() */
	return err;
}
