// SPDX-License-Identifier: GPL-2.0-only
/*
 * The crew: kernel workers that mark beside the collector, in its slices and pauses.
 *
 * They come from the module's pool, an unbound workqueue, for the marking of a cycle that
 * is worth it, and go back to it; collectors are work items there too, so that idle heaps
 * have no thread. While a slice is open (gch_crew_mark()) the queue is shared
 * (core/queue.c); structure is as frozen for them as for the collector, which has
 * core.lock or has stopped the world, and closes the slice and waits for all to have left
 * before it gives that up (I1).
 *
 * Entering: inside is counted up, then open is read; closing: open is cleared, then inside
 * read (B4, full barriers on both sides).
 *
 * How many: as asked for (GCHEAP_PARAM_WORKERS), else a quarter of the processors beside
 * the program (as Go), and all of them while it is stopped; GCH_WORKERS at most, the
 * module's parameter workers at most. Of those of all heaps, no more mark at one time than
 * its parameter helpers says: a slice is opened to as many as there is room for. Their time
 * counts as the collector's.
 */
#include <linux/cpumask.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "gcheap.h"

#define STEP		16		/* spans between looks at whether the slice is open */
#define WORTH_BYTES	SZ_8M		/* smaller heaps are marked faster than a worker comes */
#define WORTH_SPANS	32		/* likewise queues */
#define SPIN_NS		(20 * NSEC_PER_USEC)

static uint gch_workers = GCH_WORKERS;
module_param_named(workers, gch_workers, uint, 0644);
MODULE_PARM_DESC(workers, "Workers that may mark a heap together, at most");

static int gch_helpers = -1;
module_param_named(helpers, gch_helpers, int, 0644);
MODULE_PARM_DESC(helpers, "Workers that mark at one time beside the collectors, in all heaps, at most; -1: as many as processors, 8 at least");

static struct workqueue_struct *pool;
static atomic_t helping;	/* workers that slices are open to */

/** gch_pool_run() - have a work item done by the pool: whether it was not waiting already */
bool gch_pool_run(struct work_struct *work)
{
	return queue_work(pool, work);
}

/** gch_pool_run_later() - likewise, when so many ticks have passed */
bool gch_pool_run_later(struct delayed_work *work, unsigned long ticks)
{
	return queue_delayed_work(pool, work, ticks);
}

static bool crew_ready(const struct gch_crew *c, u32 number)
{
	return READ_ONCE(c->over) || (READ_ONCE(c->open) >= number);
}

static void leave(struct gch_crew *c)
{
	if (atomic_dec_and_test(&c->inside))
		wake_up_var(&c->inside);
}

static bool enter(struct gch_crew *c, u32 number)
{
	atomic_inc(&c->inside);
	/* B4 */
	smp_mb__after_atomic();
	if (READ_ONCE(c->open) >= number)
		return true;
	leave(c);
	return false;
}

/* Whether there is something to do again, for a while. */
static bool await_more(const struct gch_crew *c, const struct gch_heap *h, u32 number)
{
	u64 end = ktime_get_ns() + SPIN_NS;

	while (READ_ONCE(c->open) >= number && ktime_get_ns() < end) {
		if (READ_ONCE(h->qhead))
			return true;
		cpu_relax();
	}
	return false;
}

static void help_slice(struct gch *g, u32 number)
{
	struct gch_crew *c = &g->crew;

	if (!enter(c, number))
		return;
	while (READ_ONCE(c->open) >= number)
		if (!gch_mark_help(&g->core, number, STEP) && !await_more(c, &g->core, number))
			break;
	leave(c);
}

static void help(struct work_struct *work)
{
	struct gch_helper *me = container_of(work, struct gch_helper, work);
	struct gch *g = me->g;
	struct gch_crew *c = &g->crew;
	u64 t0 = gch_clock_now();

	while (!READ_ONCE(c->over)) {
		wait_event_idle(c->wait, READ_ONCE(c->over) ||
				(crew_ready(c, me->number) && READ_ONCE(g->core.qhead)));
		help_slice(g, me->number);
		cond_resched();
	}
	atomic64_add(gch_clock_now() - t0, &c->ns);
}

static u32 crew_size(u32 asked, u32 otherwise)
{
	u32 n = min3(asked ?: otherwise, READ_ONCE(gch_workers), (u32)GCH_WORKERS);

	return n ? n - 1 : 0;
}

/**
 * gch_crew_engage() - have workers at hand for the marking of a cycle
 *
 * From the collector. Not for heaps that are marked sooner than workers come.
 */
void gch_crew_engage(struct gch *g)
{
	struct gch_crew *c = &g->crew;
	u32 asked = READ_ONCE(g->workers), i;

	c->running = crew_size(asked, num_online_cpus() / 4);
	c->stopped = crew_size(asked, num_online_cpus());
	c->n = max(c->running, c->stopped);
	if (!asked && READ_ONCE(g->core.n.heap_bytes) < WORTH_BYTES)
		c->n = 0;
	WRITE_ONCE(c->over, false);
	for (i = 0; i < c->n; i++)
		queue_work(pool, &c->helper[i].work);
}

/** gch_crew_dismiss() - the marking is over: all go back to the pool */
void gch_crew_dismiss(struct gch *g)
{
	struct gch_crew *c = &g->crew;
	u32 i;

	WRITE_ONCE(c->over, true);
	wake_up_all(&c->wait);
	for (i = 0; i < c->n; i++)
		cancel_work_sync(&c->helper[i].work);
	c->n = 0;
}

/* Of @n, as many as may mark beside those of other heaps. */
static u32 admit(u32 n)
{
	int limit = READ_ONCE(gch_helpers), was = atomic_read(&helping), room;

	if (limit < 0)
		limit = max_t(int, num_online_cpus(), GCH_WORKERS);
	do {
		room = clamp_t(int, limit - was, 0, n);
	} while (room && !atomic_try_cmpxchg(&helping, &was, was + room));
	return room;
}

static void open_slice(struct gch *g, u32 n)
{
	struct gch_crew *c = &g->crew;

	gch_queue_share(&g->core);
	smp_store_release(&c->open, n);	/* what is shared before who shares it */
	wake_up_all(&c->wait);
}

static void close_slice(struct gch *g)
{
	struct gch_crew *c = &g->crew;

	WRITE_ONCE(c->open, 0);
	smp_mb();	/* B4 */
	wait_var_event(&c->inside, !atomic_read(&c->inside));
	gch_queue_unshare(&g->core);
}

/* The queue is empty: until others have filled it again, or nobody will. */
static bool await_others(struct gch *g, u64 deadline)
{
	while (!gch_queue_over(&g->core)) {
		if (READ_ONCE(g->core.qhead) || ktime_get_ns() >= deadline)
			return true;
		cpu_relax();
		cond_resched();
	}
	return false;
}

/* What is known to be left takes longer than it takes for others to come. */
static bool worth_it(const struct gch *g)
{
	u64 left = g->core.qlen + g->core.worker->ahead.n;

	return left >= (READ_ONCE(g->workers) ? 2 : WORTH_SPANS);
}

/**
 * gch_crew_mark() - gch_mark_until(), with all that are there
 * @stopped: the program is
 *
 * From the collector, core.lock held or the world stopped.
 */
bool gch_crew_mark(struct gch *g, u64 deadline, bool stopped)
{
	u32 n = min(g->crew.n, stopped ? g->crew.stopped : g->crew.running);
	bool more;

	n = n && worth_it(g) ? admit(n) : 0;
	if (!n)
		return gch_mark_until(g, deadline);
	open_slice(g, n);
	do
		more = gch_mark_until(g, deadline);
	while (!more && await_others(g, deadline));
	close_slice(g);
	atomic_sub(n, &helping);
	return more || g->core.qhead || g->core.worker->ahead.n;
}

/** gch_crew_init() - nobody is engaged */
void gch_crew_init(struct gch *g)
{
	struct gch_crew *c = &g->crew;
	u32 i;

	init_waitqueue_head(&c->wait);
	for (i = 0; i < ARRAY_SIZE(c->helper); i++) {
		INIT_WORK(&c->helper[i].work, help);
		c->helper[i].g = g;
		c->helper[i].number = i + 1;
	}
}

/** gch_pool_module_init() - 0 or -ENOMEM */
int gch_pool_module_init(void)
{
	pool = alloc_workqueue("gcheap", WQ_UNBOUND | WQ_SYSFS, WQ_MAX_ACTIVE);
	return pool ? 0 : -ENOMEM;
}

/** gch_pool_module_exit() - waits for collectors of heaps that are dead */
void gch_pool_module_exit(void)
{
	destroy_workqueue(pool);
}
