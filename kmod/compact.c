// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compaction: after a cycle, pages that hold nothing go back to the system. Those of free
 * slots, but for what allocation will soon use again, and those that no live cell of a
 * span in use reaches into (core/vacant.c). When the heap is to be compacted, before that,
 * objects move together (evacuate.c), and pages whose live cells do not overlap share frames
 * (core/mesh.c, mm/remap.c).
 *
 * In the background: the lock is dropped after each batch, and the program, when it comes
 * to such a page, finds zeroes.
 *
 * It is compacted when the program asks, or wants memory that there is none of, and by itself:
 * if it keeps more than it will need before the next cycle is over, by so many percent, more
 * than its soft limit, or when the system is short of memory (pressure.c). That takes a part of
 * the time that does not depend on the program: it has to rest after each (gch_plan_rest()).
 */
#include <linux/ktime.h>
#include <linux/module.h>

#include "gcheap.h"
#include "trace.h"

#define FREE_BATCH	64	/* slots given back with the lock held */
#define VACANT_BATCH	128	/* spans looked at so */
#define VACANT_SPANS	32	/* of these given back from so */
#define MESH_PAGES	8192	/* that may share frames among each other */
#define MESH_BATCH	64	/* spans looked at for these with the lock held */

static bool release_default = true;
module_param_named(release, release_default, bool, 0644);
MODULE_PARM_DESC(release, "Pages without objects go back, in spans in use as well (new heaps)");

static bool mesh_default = true;
module_param_named(mesh, mesh_default, bool, 0644);
MODULE_PARM_DESC(mesh, "Compaction lets pages share memory (new heaps)");

static uint compact_default = 25;
module_param_named(compact, compact_default, uint, 0644);
MODULE_PARM_DESC(compact, "Percent too large that a heap is compacted from on, 0: never (new heaps)");

void gch_compact_init(struct gch *g)
{
	g->release = release_default;
	g->mesh = mesh_default;
	g->tidy.percent = min_t(uint, READ_ONCE(compact_default), GCH_PERCENT_MAX);
}

/**
 * struct mesh - a search under way
 * @page: @n candidates; @scratch: two numbers for each
 */
struct mesh {
	u32 n;
	u32 scratch[2 * MESH_PAGES];
	struct gch_mesh_page page[MESH_PAGES];
};

/* Return: whether there may be more. */
static bool mesh_gather(struct gch *g, struct mesh *m, u32 *at)
{
	u32 before;
	bool more;

	m->n = 0;
	env_lock(&g->core.lock);
	do {
		before = *at;
		more = gch_mesh_gather(&g->core, at, MESH_BATCH, true, m->page, MESH_PAGES, &m->n);
		gch_breathe(g);
	} while (more && *at != before && !READ_ONCE(g->dead));
	gch_unlock(g);
	return more;
}

static void mesh_share(struct gch *g, struct mesh *m)
{
	u32 at = 0, fills = 0;
	int err = 0;

	while (at < m->n && !READ_ONCE(g->dead)) {
		env_lock(&g->core.lock);
		err = gch_remap_share(g, m->page, m->n, &at);
		gch_unlock(g);
		gch_stress_point();
		cond_resched();
		if (err && !gch_reserve_fill(&g->core, &fills))
			return;
	}
}

/* Whether to go on: in the background only until the collector is wanted, or a thread forks. */
static bool may_go_on(const struct gch *g, bool now)
{
	return !READ_ONCE(g->dead) &&
		(now || !(gch_collect_asked(g) || READ_ONCE(g->fork.forker)));
}

/** gch_tidy_may_go_on() - nobody wants the collector, or wants none */
bool gch_tidy_may_go_on(const struct gch *g)
{
	return may_go_on(g, false) && !READ_ONCE(g->req.hold);
}

/* The more pages are looked at together, the more find one that they fit. */
static void mesh(struct gch *g, bool now)
{
	struct mesh *m = kvmalloc(sizeof(*m), GFP_KERNEL | __GFP_NOWARN);
	bool more = m;
	u32 at = 0;

	while (more && (now ? !READ_ONCE(g->dead) : gch_tidy_may_go_on(g))) {
		more = mesh_gather(g, m, &at);
		if (gch_mesh_search(m->page, m->n, m->scratch, m->scratch + MESH_PAGES))
			mesh_share(g, m);
	}
	kvfree(m);
}

/* The lowest addresses are used first, so the highest go. */
static void release_free(struct gch *g, u64 keep, bool now)
{
	u32 at = 0, id, n;
	u64 kept = 0;

	while (may_go_on(g, now) && gch_run_resident(&g->core, at, FREE_BATCH, &id, &n)) {
		at = id + n;
		if (kept < keep)
			kept += (u64)n << GCHEAP_SLOT_SHIFT;
		else
			gch_pages_release(g, id, n);
		gch_breathe(g);
	}
}

/* Nobody but the collector releases pages of spans in use meanwhile, so that they count here. */
static void release_vacant(struct gch *g, bool now)
{
	struct gch_vacant v[VACANT_SPANS];
	u32 at = now ? 0 : g->vacant_at, n;
	u64 before;
	bool more = true;

	while (more && g->release && may_go_on(g, now)) {
		more = gch_vacant_gather(&g->core, &at, VACANT_BATCH, now, v, VACANT_SPANS, &n);
		before = g->pages_released;
		gch_pages_release_some(g, v, n);
		g->pages_vacated += g->pages_released - before;
		gch_breathe(g);
	}
	g->vacant_at = more ? at : 0;
}

/*
 * Pages that hold nothing, but for @keep bytes of free slots; core.lock held, and dropped at times.
 * Return: how many have gone.
 */
static u64 release(struct gch *g, u64 keep, bool now)
{
	u64 before = g->pages_released;

	release_vacant(g, now);
	release_free(g, keep, now);
	return g->pages_released - before;
}

/** gch_release_all() - what holds nothing goes at once; from the collector, phase IDLE
 *
 * So that there is memory for what compaction wants.
 */
void gch_release_all(struct gch *g)
{
	u64 gone;

	env_lock(&g->core.lock);
	gone = release(g, 0, true);
	gch_unlock(g);
	trace_gcheap_release(g, gone);
}

/**
 * gch_compact() - give back the pages that a cycle has left without use
 * @how: GCH_RELEASE: until the collector is wanted, and the next time from there;
 *	GCH_TIDY: pages share memory, too; GCH_SQUEEZE: also what allocation may soon use,
 *	however long it takes
 *
 * From the collector, phase IDLE.
 */
void gch_compact(struct gch *g, enum gch_how how)
{
	bool now = how == GCH_SQUEEZE;
	u64 gone, t0 = now ? gch_clock_now() : 0;

	if (how != GCH_RELEASE && READ_ONCE(g->mesh))
		mesh(g, now);
	env_lock(&g->core.lock);
	g->compactions += now;
	gone = release(g, now ? 0 : gch_plan_retain(g->core.n.heap_bytes, g->trigger), now);
	gch_chunk_trim(&g->core);
	gch_cycle_verify(g);
	gch_unlock(g);
	if (now) {
		/* Time that the program has asked for does not count against it. */
		t0 = gch_clock_now() - t0;
		env_lock(&g->core.lock);
		g->pace.ran += t0;
		env_unlock(&g->core.lock);
	}
	trace_gcheap_release(g, gone);
}

/** gch_tidy_due() - whether the heap is to be compacted by itself: from the collector, IDLE */
bool gch_tidy_due(struct gch *g)
{
	const struct gch_counts *n = &g->core.n;
	struct gch_tidy *t = &g->tidy;
	u64 resident = n->resident_pages << PAGE_SHIFT;
	bool due, least;

	env_lock(&g->core.lock);
	due = gch_plan_tidy(resident, n->live_bytes_last, g->pace.goal +
			    gch_plan_retain(n->heap_bytes, g->trigger), t->percent);
	least = t->percent && gch_plan_tidy(resident, n->live_bytes_last, 0, GCH_PERCENT_LEAST);
	t->pressed &= least;
	due |= least && (t->pressed || (g->core.param.soft_limit &&
					resident + n->offheap_bytes > g->core.param.soft_limit));
	due &= ktime_get_ns() >= t->after;
	env_unlock(&g->core.lock);
	return due;
}

/**
 * gch_tidy_done() - that has been done, or been given up
 * @pages: that were resident before; @ns: that it took
 */
void gch_tidy_done(struct gch *g, u64 pages, u64 ns)
{
	struct gch_tidy *t = &g->tidy;
	u64 left;

	env_lock(&g->core.lock);
	left = g->core.n.resident_pages;
	if (left + left / 8 < pages)
		t->failures = 0;
	else
		t->failures++;
	t->after = ktime_get_ns() + gch_plan_rest(ns, t->failures);
	t->pressed = false;
	t->count++;
	gch_unlock(g);
}
