// SPDX-License-Identifier: GPL-2.0-only
/*
 * The collector: what runs a heap's cycles when asked, by a worker of the pool (crew.c).
 *
 * A cycle:
 *   CLEAR     the last sweep is finished (R2), marks are cleared; program runs
 *   TRACE     heaps that mark so: see tracer.c; STOP and MARK are gone through several times
 *   STOP      threads are being stopped; structure is frozen from here (I1)
 *   MARK      roots are read (R8: no faults), the span queue is drained
 *   FINISH    weak fields and short links (R19)
 *   FINALIZE  threads run; dead objects that have finalizers are looked for
 *   SWEEP     spans are swept, empty ones given back
 *   IDLE      pages that hold nothing are given back: see compact.c
 *
 * An attempt that finds a root page not resident, or threads that do not stop
 * in time, ends; what it missed is brought in with the program running, and it
 * is tried again.
 */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "gcheap.h"
#include "trace.h"

#define STOP_TIMEOUT_NS	(200 * NSEC_PER_MSEC)
#define ATTEMPTS	20
#define ATTEMPTS_MAX	1000	/* with those that could not have got far enough */
#define SWEEP_BATCH	64	/* spans swept with the lock held */
#define MARK_NS		(2 * NSEC_PER_MSEC)	/* marking before a look at who is left */
#define MARK_BATCH	256	/* spans and pages likewise */
#define ROOT_BATCH	16	/* pieces of roots likewise */
#define LET_IN_NS	(20 * NSEC_PER_USEC)
#define FLIPS		64	/* cycles that move objects in a compaction */
#define CLEAR_BATCH	1024	/* slots whose marks are cleared so */

/**
 * gch_breathe() - drop core.lock so that others get it during long work
 *
 * Who waits for it in a fault does get it: without the delay it would be ours again at once.
 */
void gch_breathe(struct gch *g)
{
	u64 until;

	gch_unlock(g);
	gch_stress_point();
	cond_resched();
	until = ktime_get_ns() + LET_IN_NS;
	while (atomic_read(&g->faulting) && ktime_get_ns() < until)
		cpu_relax();
	env_lock(&g->core.lock);
}

static void clear_marks(struct gch *g, bool young)
{
	u32 at = 0, i;

	env_lock(&g->core.lock);
	for (i = 0; i < g->core.max_threads; i++)
		if (g->core.thread[i])
			gch_drain(g, i);
	gch_cycle_clear(&g->core);
	g->core.reuse = !young && !gch_world_inside(&g->world);
	while (!young && gch_mark_clear(&g->core, &at, CLEAR_BATCH))
		gch_breathe(g);
	gch_unlock(g);
}

static void visit_ambiguous(void *arg, const u64 *words, size_t n)
{
	gch_mark_ambiguous(arg, words, n);
}

static void visit_precise(void *arg, const u64 *words, size_t n)
{
	gch_mark_precise(arg, words, n);
}

static bool visit_heap_word(void *arg, u64 off, u64 *word)
{
	const struct gch_heap *h = arg;
	struct gch_ref r;
	const u64 *p;

	if (!gch_ref_at(h, off, &r))
		return false;
	p = gch_heap_word(h, off);
	*word = p ? READ_ONCE(*p) : 0;
	return true;
}

static struct gch_root_visitor visitor(struct gch *g)
{
	return (struct gch_root_visitor){
		.arg = &g->core,
		.ambiguous = visit_ambiguous,
		.precise = visit_precise,
		.heap_word = visit_heap_word,
	};
}

/* World stopped, phase MARK. */
int gch_roots_show(struct gch *g)
{
	struct gch_root_visitor v = visitor(g);
	int err = gch_roots_scan(&g->roots, &g->world, &v);

	return err ?: gch_callback_ask(g);
}

/**
 * gch_roots_show_taken() - mark from what a pause only took a snapshot of
 *
 * With the program running, phase TRACE. Return: 0 or -ENXIO.
 */
int gch_roots_show_taken(struct gch *g)
{
	struct gch_root_visitor v = visitor(g);
	bool more;
	u32 at = 0;

	gch_snapshot_taken(&g->roots.snapshot);
	do {
		if (gch_mm_deserted(&g->world))
			return -ENXIO;
		env_lock(&g->core.lock);
		more = gch_snapshot_show(&g->roots.snapshot, &at, ROOT_BATCH, &v);
		gch_unlock(g);
		gch_stress_point();
		cond_resched();
	} while (more);
	return 0;
}

/**
 * gch_roots_mark() - world stopped: mark what the roots refer to
 *
 * The phase is MARK then. Return: 0, -EAGAIN: not all could be read, -ETIMEDOUT: the
 * attempt ends, -ENXIO.
 */
int gch_roots_mark(struct gch *g)
{
	env_lock(&g->core.lock);
	gch_cycle_mark(&g->core);
	env_unlock(&g->core.lock);
	return gch_roots_show(g);
}

/* World stopped. */
static int mark_all(struct gch *g)
{
	int err = gch_roots_mark(g);
	bool more;

	if (err)
		return err;
	env_lock(&g->core.lock);
	gch_ask_begin(&g->core);
	env_unlock(&g->core.lock);
	do {
		if (gch_mm_deserted(&g->world))
			return -ENXIO;
		env_lock(&g->core.lock);
		more = gch_crew_mark(g, ktime_get_ns() + MARK_NS, true) ||
			gch_mark_some(&g->core, MARK_BATCH);
		env_unlock(&g->core.lock);
		if (!more && gch_ask_left(&g->core)) {
			err = gch_callback_ask_about(g);
			more = !err;
		}
	} while (more);
	return err;
}

/** gch_cycle_verify() - verify the heap if that is wanted; core.lock held
 *
 * A damaged heap is of no use any more, to anybody.
 */
void gch_cycle_verify(struct gch *g)
{
	struct gch_fault f = { };

	if (!g->verify || gch_verify(&g->core, &f) != -EUCLEAN)
		return;
	WARN_ONCE(1, "gcheap: heap damaged: V%u at slot %u (%llx)\n", f.code,
		  f.where, f.detail);
	gch_kill(g);
}

/* World stopped, all marked: as in tracer.c, where the program runs meanwhile. */
static int finalize_all(struct gch *g)
{
	int err = 0;
	bool ask;

	gch_callback_begin(g);
	env_lock(&g->core.lock);
	gch_cycle_finish(&g->core);
	gch_cycle_verify(g);
	gch_cycle_pause(&g->core, true);
	gch_cycle_finalize(&g->core);
	do {
		while (gch_final_some(&g->core, MARK_BATCH))
			cond_resched();
		ask = gch_ask_left(&g->core);
		env_unlock(&g->core.lock);
		if (ask)
			err = gch_callback_ask_about(g);
		env_lock(&g->core.lock);
	} while (ask && !err);
	gch_unlock(g);
	return err;
}

/* World stopped; it is let go by the caller. */
static void thaw(struct gch *g, bool marked)
{
	env_lock(&g->core.lock);
	if (marked)
		gch_cycle_sweep(&g->core);
	else
		gch_cycle_abandon(&g->core);
	gch_unlock(g);
}

/* One pause. Return: 0 and the phase is SWEEP, or -errno and it is IDLE. */
static int pause_and_mark(struct gch *g)
{
	u64 t0, t1, t2;
	int err;

	env_lock(&g->core.lock);
	gch_pace_stopped(g);
	gch_cycle_stop(&g->core);
	gch_unlock(g);
	t0 = ktime_get_ns();
	trace_gcheap_pause_begin(g);
	err = gch_world_stop(&g->world, STOP_TIMEOUT_NS);
	t1 = ktime_get_ns();
	if (err) {
		thaw(g, false);
		goto out;
	}
	gch_callback_begin(g);
	err = gch_check_shown(g);
	if (!err)
		err = mark_all(g);
	if (!err)
		err = finalize_all(g);
	thaw(g, !err);
	gch_world_start(&g->world);
	t2 = ktime_get_ns();
	gch_stat_pause(g, t1 - t0, t2 - t0);
out:
	trace_gcheap_pause_end(g, err);
	wake_up_all(&g->thawed);
	return err;
}

static void report_root(struct gch *g, const struct gch_root_fault *f)
{
	gch_event(g, GCHEAP_EV_ROOT_GONE, f->id, f->addr, -f->error);
}

/* What @full says of the first attempt goes for the others: these never are young. */
static int attempt(struct gch *g, bool first, bool full)
{
	struct gch_root_fault bad = { };
	int err;

	err = gch_mm_enter(&g->world);
	if (err)
		return err;
	if (first)
		err = gch_roots_prefault(&g->roots, &g->world, &bad);
	else
		err = gch_roots_fault_in(&g->roots, &g->world, &bad);
	if (!err) {
		bool concurrent = READ_ONCE(g->concurrent);
		bool young = concurrent && !full && gch_pace_young(g);

		/* Marks of an attempt that fails are not complete. */
		g->sticky = false;
		gch_links_bring(g);
		if (!concurrent)
			gch_evacuate_over(g);
		clear_marks(g, young);
		gch_crew_engage(g);
		if (concurrent)
			err = gch_trace(g, young, &bad);
		else
			err = pause_and_mark(g);
		gch_crew_dismiss(g);
	}
	gch_mm_leave(&g->world);
	if (bad.error)
		report_root(g, &bad);
	return err == -ETIMEDOUT ? -EAGAIN : err;
}

/* Return: 0, or -ENXIO: the heap has died, and its pages are to go at once (R9). */
static int sweep_all(struct gch *g)
{
	env_lock(&g->core.lock);
	while (!READ_ONCE(g->dead) && gch_sweep_some(&g->core, SWEEP_BATCH))
		gch_breathe(g);
	if (READ_ONCE(g->dead)) {
		gch_unlock(g);
		return -ENXIO;
	}
	gch_cycle_end(&g->core);
	g->black_bytes = g->core.n.black_bytes;
	gch_pace_settle(g);
	gch_unlock(g);
	return 0;
}

/* Mark, with as many attempts as it takes: 0, and the phase is SWEEP, or -errno. */
static int mark(struct gch *g, bool full)
{
	int err = -EAGAIN, i, tries = 0;

	for (i = 0; i < ATTEMPTS_MAX && tries < ATTEMPTS && gch_may_try_again(g, err); i++) {
		if (READ_ONCE(g->dead))
			return -ENXIO;
		if (i && !gch_await_shown(g))
			schedule_timeout_uninterruptible(1 + tries);
		err = attempt(g, !i, full);
		tries += !gch_roots_many_missing(&g->roots);
	}
	gch_set_awaiting(g, false);
	return err == -EBUSY ? -EAGAIN : err;
}

/*
 * Mark and sweep again, as often as there is something to move, or as long as the collector
 * may if that is not what it is @wanted for. The cycle is complete whatever becomes of
 * that: 0, or -ENXIO.
 */
static int evacuate(struct gch *g, bool wanted)
{
	u64 flips = 0;
	int err = 0, i;

	for (i = 0; i < FLIPS && !err && (wanted || gch_tidy_may_go_on(g)) &&
	     gch_evacuate_begin(g, i); i++) {
		flips = g->core.n.flips;
		err = mark(g, true);
		gch_evacuate_over(g);
		if (!err)
			err = sweep_all(g);
		if (g->core.n.flips == flips)
			break;
	}
	return err == -ENXIO ? err : 0;
}

/** gch_tell_of_finalizers() - the program may fetch some, if there are any */
void gch_tell_of_finalizers(struct gch *g)
{
	u64 ready = READ_ONCE(g->core.finals.ready);

	if (ready)
		gch_event(g, GCHEAP_EV_FINALIZERS, ready, 0, 0);
}

static int cycle(struct gch *g, u32 want)
{
	int err;

	trace_gcheap_cycle_begin(g);
	g->hidden_ticks = 0;
	gch_world_reap(&g->world);
	env_lock(&g->core.lock);
	g->pace.forced = !gch_pace_due(g);
	env_unlock(&g->core.lock);
	err = mark(g, want & GCH_WANT_FULL);
	if (err) {
		env_lock(&g->core.lock);
		g->cycles_failed++;
		/* What made it fail may last: not again before as much is allocated. */
		g->core.n.alloc_since = 0;
		gch_unlock(g);
		gch_event(g, GCHEAP_EV_FAILED, -err, 0, 0);
		gch_tell_of_finalizers(g);
		trace_gcheap_cycle_end(g, err);
		return err == -ENXIO || err == -ETIME ? err : -EAGAIN;
	}
	err = sweep_all(g);
	if (err)
		return err;
	if (want & GCH_WANT_COMPACT) {
		gch_release_all(g);
		if (want & GCH_WANT_MOVE || !g->core.param.precise_only)
			err = evacuate(g, true);
		if (err)
			return err;
		gch_compact(g, GCH_SQUEEZE);
	}
	env_lock(&g->core.lock);
	gch_cycle_verify(g);
	g->cycles++;
	gch_unlock(g);
	gch_event(g, GCHEAP_EV_CYCLE, g->cycles, g->pause_last,
		  g->core.n.live_bytes_last);
	gch_tell_of_finalizers(g);
	trace_gcheap_cycle_end(g, 0);
	return 0;
}

/* Unless collections are held; gch_hold() waits for the end. Return: whether it was changed. */
static bool set_tidying(struct gch *g, bool on)
{
	struct gch_requests *q = &g->req;
	bool may;

	spin_lock(&q->wait.lock);
	may = !on || !q->hold;
	if (may)
		WRITE_ONCE(q->tidying, on);
	spin_unlock(&q->wait.lock);
	return may;
}

/* Compact a heap that has become too large for what it holds. Nobody waits for it. */
static void tidy(struct gch *g)
{
	u64 t0 = ktime_get_ns(), pages;

	if (!set_tidying(g, true))
		return;
	g->hidden_ticks = 0;
	env_lock(&g->core.lock);
	pages = g->core.n.resident_pages;
	g->pace.forced = true;	/* it has a bound of its own */
	env_unlock(&g->core.lock);
	/* With precise roots only, objects move when a thread is in a call that allows that. */
	if (g->core.param.precise_only || !evacuate(g, false))
		gch_compact(g, GCH_TIDY);
	gch_tidy_done(g, pages, ktime_get_ns() - t0);
	set_tidying(g, false);
	wake_up_all(&g->req.wait);
}

/*
 * Begin the next attempt asked for, or false: there is none, none may begin (fork.c), or the
 * heap goes.
 */
static bool next_request(struct gch *g, u32 *want)
{
	struct gch_requests *q = &g->req;

	spin_lock(&q->wait.lock);
	q->working = q->asked != q->begun && !g->fork.forker && !READ_ONCE(g->dead);
	if (q->working) {
		q->begun = q->asked;
		*want = q->want;
		q->want = 0;
	}
	spin_unlock(&q->wait.lock);
	if (!q->working)
		wake_up_all(&q->wait);
	return q->working;
}

/** gch_collect_asked() - the collector is wanted for the next attempt */
bool gch_collect_asked(const struct gch *g)
{
	return READ_ONCE(g->req.asked) != READ_ONCE(g->req.begun);
}

/*
 * Others may keep the descriptor for long. While the heap is copied its frames, and what says
 * who shares them, stay; then it is our turn again (fork.c).
 */
static void drop_pages(struct gch *g)
{
	bool closed;

	env_lock(&g->core.lock);
	closed = g->core.closed;
	env_unlock(&g->core.lock);
	if (!closed)
		gch_pages_drop(g);
}

static void collect(struct work_struct *work)
{
	struct gch *g = container_of(work, struct gch, collector);
	u32 want;
	int err;

	set_worker_desc("gcheap/%d", g->tgid);
	gch_clock_start(g);
	while (next_request(g, &want)) {
		err = cycle(g, want);
		spin_lock(&g->req.wait.lock);
		g->req.result = err;
		if (!err)
			g->req.good = g->req.begun;
		else	/* one that is good has done what was asked; that call may be over */
			g->req.want |= want & ~GCH_WANT_MOVE;
		g->req.tried = g->req.begun;
		spin_unlock(&g->req.wait.lock);
		wake_up_all(&g->req.wait);
		if (err || want & GCH_WANT_COMPACT)
			continue;
		/* Nobody waits for this. */
		gch_compact(g, GCH_RELEASE);
		if (gch_tidy_due(g))
			tidy(g);
	}
	gch_clock_stop(g, gch_clock_now());
	if (READ_ONCE(g->dead))
		drop_pages(g);
	gch_put(g);
}

/**
 * gch_collector_wake() - there is something to collect for, or the heap is dead
 *
 * From any context that may take references; the collector holds one to the heap.
 */
void gch_collector_wake(struct gch *g)
{
	gch_get(g);
	if (!gch_pool_run(&g->collector))
		gch_put(g);	/* one is about to look */
}

void gch_collector_init(struct gch *g)
{
	INIT_WORK(&g->collector, collect);
	g->tgid = current->tgid;
}

/*
 * Ask for an attempt that begins after this call. One that is being worked on may
 * have read roots already, so it does not count. Return: its number; 0: not
 * asked for, since @explicit is not set and collections are held. @want: GCH_WANT_*.
 */
static u64 request(struct gch *g, bool explicit, u32 want)
{
	struct gch_requests *q = &g->req;
	u64 n = 0;

	spin_lock(&q->wait.lock);
	if (explicit || !q->hold) {
		q->asked = q->begun + 1;
		q->want |= want;
		n = q->asked;
	}
	spin_unlock(&q->wait.lock);
	if (n)
		gch_collector_wake(g);
	return n;
}

/*
 * Until attempt @n is over, or @begun: marking beside the program is under way, or not at all
 * if the caller is about to fork. Return: 0, -EINTR: a fatal signal, -ENXIO: dead.
 */
static int await(struct gch *g, u64 n, bool begun)
{
	/* None begins before it goes on. */
	if (gch_fork_here(g))
		return 0;
	if (wait_event_killable(g->req.wait, READ_ONCE(g->req.tried) >= n ||
				(begun && READ_ONCE(g->core.black)) || READ_ONCE(g->dead)))
		return -EINTR;
	return READ_ONCE(g->dead) ? -ENXIO : 0;
}

/*
 * Of attempt @n, which is over. Later ones may be as well, and only the last one's
 * failure is known: one that was completed has done what was asked for.
 */
static int outcome(struct gch *g, u64 n)
{
	struct gch_requests *q = &g->req;
	int err;

	spin_lock(&q->wait.lock);
	err = q->good >= n ? 0 : q->result;
	spin_unlock(&q->wait.lock);
	return err;
}

/**
 * gch_await_begun() - wait for the beginning of a cycle that ought to be under way
 *
 * Without locks. Return: 0: threads are to help it along, an attempt has ended, or
 * collections are held; -EINTR: a fatal signal; -ENXIO: dead.
 */
int gch_await_begun(struct gch *g)
{
	struct gch_requests *q = &g->req;
	u64 n;

	spin_lock(&q->wait.lock);
	n = q->asked > q->tried ? q->asked : 0;
	spin_unlock(&q->wait.lock);
	return await(g, n ?: request(g, false, 0), true);
}

/**
 * gch_collect() - explicit collection
 * @wait: until it is done, sweep included
 * @want: GCH_WANT_*
 * @cycle: out: number of the attempt, counted with those that failed
 *
 * Return: 0, -EAGAIN: attempts ended, -ETIME: the callback thread did not answer, -EINTR: a fatal
 * signal, -ENXIO: dead.
 */
int gch_collect(struct gch *g, bool wait, u32 want, u64 *cycle)
{
	u64 n = request(g, true, want);
	int err = wait ? await(g, n, false) : 0;

	if (err)
		return err;
	*cycle = n;
	if (wait && gch_fork_here(g))
		return -EAGAIN;
	return wait ? outcome(g, n) : 0;
}

/**
 * gch_collect_for_room() - collect and wait
 * @memory: it is memory that is lacking, and not room in the heap
 *
 * Return: 0, -EINTR, or -ENOMEM: held, or the caller is about to fork.
 */
int gch_collect_for_room(struct gch *g, bool memory)
{
	u64 n = request(g, false, GCH_WANT_FULL |
			(memory ? GCH_WANT_COMPACT | GCH_WANT_MOVE : 0));

	if (!n || gch_fork_here(g))
		return -ENOMEM;
	return await(g, n, false) == -EINTR ? -EINTR : 0;
}

/** gch_collect_if_due() - start a cycle if enough has been allocated since
 *
 * core.lock held.
 */
void gch_collect_if_due(struct gch *g)
{
	if (!gch_pace_due(g) || READ_ONCE(g->req.hold))
		return;
	if (READ_ONCE(g->req.asked) == READ_ONCE(g->req.tried) &&
	    g->core.phase == GCHEAP_PHASE_IDLE)
		request(g, false, 0);
}

/** gch_collect_for_pressure() - the system wants memory: whether there will be a cycle for that
 *
 * From any context that may take locks. Nothing that threads wait for is begun.
 */
bool gch_collect_for_pressure(struct gch *g)
{
	return READ_ONCE(g->req.asked) == READ_ONCE(g->req.tried) &&
	       request(g, false, GCH_WANT_FULL);
}

/* Whether the caller hides an address (gcheap_tcb.hidden): it does until its call is over. */
static bool caller_hides(struct gch *g)
{
	const struct gcheap_tcb *t;
	bool hides = false;
	u32 i;

	env_lock(&g->core.lock);
	for (i = 0; !hides && i < g->core.max_threads; i++) {
		if (!g->core.thread[i] || !gch_world_is(&g->world, i))
			continue;
		t = g->core.ops->tcb(&g->core, i);
		hides = t && READ_ONCE(t->hidden);
	}
	env_unlock(&g->core.lock);
	return hides;
}

/**
 * gch_holding_begin() - the caller is about to wait for the end of what is under way
 *
 * That does not wait for it in turn (gch_may_try_again()). Return: for gch_holding_end().
 */
bool gch_holding_begin(struct gch *g)
{
	bool hides = caller_hides(g);

	spin_lock(&g->req.wait.lock);
	g->req.holding += hides;
	spin_unlock(&g->req.wait.lock);
	return hides;
}

/** gch_holding_end() - it has waited */
void gch_holding_end(struct gch *g, bool hides)
{
	spin_lock(&g->req.wait.lock);
	g->req.holding -= hides;
	spin_unlock(&g->req.wait.lock);
}

/* Until attempt @n is over, and what comes after it: as await(). */
static int await_idle(struct gch *g, u64 n)
{
	bool hides = gch_holding_begin(g);
	int err = await(g, n, false);

	if (!err && wait_event_killable(g->req.wait, !READ_ONCE(g->req.tidying) ||
					READ_ONCE(g->dead)))
		err = -EINTR;
	gch_holding_end(g, hides);
	return err;
}

/* One reason not to collect more, or less: 0 or -EINVAL; wait.lock held. */
static int hold_count(struct gch_requests *q, int delta, u32 *count)
{
	bool bad = delta < 0 ? !q->hold : q->hold == U32_MAX;

	if (!bad)
		q->hold += delta;
	*count = q->hold;
	return bad ? -EINVAL : 0;
}

/**
 * gch_hold() - count reasons not to collect by oneself
 *
 * Once it returns for a new one, no collection is under way that was not asked for
 * explicitly: the caller is about to have pointers where no root is yet. Return: 0,
 * -EINVAL, -EINTR: a fatal signal, -ENXIO: dead.
 */
int gch_hold(struct gch *g, int delta, u32 *count)
{
	struct gch_requests *q = &g->req;
	u64 asked;
	int err;

	spin_lock(&q->wait.lock);
	err = hold_count(q, delta, count);
	asked = q->asked;
	spin_unlock(&q->wait.lock);
	if (err || delta < 0)
		return err;
	err = await_idle(g, asked);
	if (err) {
		spin_lock(&q->wait.lock);
		hold_count(q, -1, count);	/* if nobody has taken it off meanwhile */
		spin_unlock(&q->wait.lock);
	}
	return err;
}
