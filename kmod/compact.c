// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compaction: after a cycle, pages that hold nothing go back to the system. Those of free
 * slots, but for what allocation will soon use again, and those that no live cell of a
 * span in use reaches into (core/vacant.c).
 *
 * In the background: the lock is dropped after each batch, and the program, when it comes
 * to such a page, finds zeroes.
 */
#include <linux/module.h>

#include "gcheap.h"
#include "trace.h"

#define FREE_BATCH	64	/* slots given back with the lock held */
#define VACANT_BATCH	256	/* spans looked at so */

static bool gch_release = true;
module_param_named(release, gch_release, bool, 0644);
MODULE_PARM_DESC(release, "Pages without objects go back, in spans in use as well (new heaps)");

void gch_compact_init(struct gch *g)
{
	g->release = gch_release;
}

/* The lowest addresses are used first, so the highest go. */
static void release_free(struct gch *g, u64 keep)
{
	u32 at = 0, id, n;
	u64 kept = 0;

	while (!READ_ONCE(g->dead) &&
	       gch_run_resident(&g->core, at, FREE_BATCH, &id, &n)) {
		at = id + n;
		if (kept < keep)
			kept += (u64)n << GCHEAP_SLOT_SHIFT;
		else
			gch_pages_release(g, (u64)id * GCH_SLOT_PAGES, (u64)n * GCH_SLOT_PAGES);
		gch_breathe(g);
	}
}

static void release_vacant(struct gch *g, bool now)
{
	u64 before = g->pages_released;
	u32 at = 0, id, pages, lo, n;
	bool more = true;

	while (more && g->release && !READ_ONCE(g->dead)) {
		more = gch_vacant_next(&g->core, &at, VACANT_BATCH, now, &id, &pages);
		for (; pages; pages &= (u32)(~0ull << (lo + n))) {
			lo = env_ctz64(pages);
			n = env_ctz64(~((u64)pages >> lo));
			gch_pages_release(g, (u64)id * GCH_SLOT_PAGES + lo, n);
		}
		gch_breathe(g);
	}
	g->pages_vacated += g->pages_released - before;
}

/**
 * gch_compact() - give back the pages that a cycle has left without use
 * @now: all of them: what allocation may soon use, too
 *
 * From the collector, phase IDLE.
 */
void gch_compact(struct gch *g, bool now)
{
	u64 before;

	env_lock(&g->core.lock);
	before = g->pages_released;
	release_vacant(g, now);
	release_free(g, now ? 0 : gch_plan_retain(g->core.n.heap_bytes, g->trigger));
	gch_chunk_trim(&g->core);
	gch_unlock(g);
	trace_gcheap_release(g, g->pages_released - before);
}
