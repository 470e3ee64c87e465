// SPDX-License-Identifier: GPL-2.0-only
/*
 * Evacuation, as the collector goes about it: a cycle that is to move objects begins with
 * the choice of spans, when the heap is swept, and has an end after its pause, before
 * objects are looked for that have finalizers. See core/evacuate.c and mm/flip.c.
 */
#include <linux/module.h>
#include <linux/sort.h>

#include "gcheap.h"

#define MOVES		2048	/* spans emptied in a cycle */
#define MOVES_LEAST	32	/* when memory is lacking */
#define GATHER_BATCH	256	/* spans looked at with the lock held */
#define RECORD_BATCH	64	/* pages looked at so */
#define SETTLE_BATCH	16	/* pages settled so */

static bool evacuate_default = true;
module_param_named(evacuate, evacuate_default, bool, 0644);
MODULE_PARM_DESC(evacuate, "Compaction moves objects of movable caches (new heaps)");

void gch_evacuate_init(struct gch *g)
{
	g->evacuate = evacuate_default;
}

static int by_span(const void *a, const void *b)
{
	const struct gch_move *x = a, *y = b;

	return x->span < y->span ? -1 : x->span > y->span;
}

/* The sparsest first; core.lock held, and dropped at times. Return: how many targets. */
static u32 choose(struct gch *g)
{
	static const u32 sixteenths[] = { 4, 8, 13 };
	struct gch_evac *e = &g->core.evac;
	u32 i, at;

	for (i = 0; i < ARRAY_SIZE(sixteenths); i++)
		for (at = 0; gch_evac_gather(&g->core, &at, GATHER_BATCH, sixteenths[i]); )
			gch_breathe(g);
	/* Cells keep their order. */
	sort(e->move, e->nmoves, sizeof(*e->move), by_span, NULL);
	return gch_evac_plan(&g->core);
}

/*
 * A thread that sleeps in the kernel for long keeps the addresses of what has moved from being
 * used again: not more than a quarter of them all.
 */
static bool has_room(const struct gch_heap *h)
{
	return h->moved_slots < h->nslots / 4;
}

/* One target: 0 or -ENOMEM. */
static int make_target(struct gch *g)
{
	u32 fills = 0, id;
	int err;

	do {
		env_lock(&g->core.lock);
		err = gch_evac_target(&g->core, &id);
		gch_unlock(g);
	} while (err && gch_reserve_fill(&g->core, &fills));
	return err ?: gch_flip_back(g, id);
}

/*
 * Choose up to @room spans. Return: whether there is something to move; -ENOMEM: not so much
 * memory for it.
 */
static int begin(struct gch *g, u32 room)
{
	u32 n, fails;

	if (gch_flip_init(g, room))
		return -ENOMEM;
	env_lock(&g->core.lock);
	if (g->resizing) {
		gch_unlock(g);
		gch_flip_destroy(g);
		return false;
	}
	gch_evac_begin(&g->core, &g->flip.core);
	n = has_room(&g->core) ? choose(g) : gch_evac_plan(&g->core);
	gch_unlock(g);
	fails = gch_stress_step(n);
	for (; n; n--) {
		gch_stress_point();
		if (READ_ONCE(g->dead) || n == fails || make_target(g))
			break;
	}
	if (!n && g->core.evac.state == GCH_EVAC_CHOSEN)
		return true;
	gch_evacuate_over(g);
	return n ? -ENOMEM : false;
}

/**
 * gch_evacuate_begin() - choose what the next cycle is to move
 * @again: in the same compaction as the last time
 *
 * From the collector, phase IDLE. Return: whether there is something; then a full cycle
 * that marks beside the program is to follow, and gch_evacuate_over().
 */
bool gch_evacuate_begin(struct gch *g, bool again)
{
	u32 room, at = 0;
	int err = -ENOMEM;

	if (!READ_ONCE(g->evacuate) || !READ_ONCE(g->concurrent) || READ_ONCE(g->core.nasks))
		return false;
	env_lock(&g->core.lock);
	while (!again && gch_evac_retry(&g->core, &at, GATHER_BATCH))
		gch_breathe(g);
	gch_unlock(g);
	/* Where there is little memory, little by little: what moves leaves more. */
	for (room = MOVES; err == -ENOMEM && room >= MOVES_LEAST && !READ_ONCE(g->dead); room /= 8)
		err = begin(g, room);
	return err > 0;
}

/** gch_evacuate_record() - look once at all that may refer to what is to move
 *
 * With the program running, writes being tracked. Return: 0, or -ENXIO; -EAGAIN: under stress
 * alone, the attempt ends.
 */
int gch_evacuate_record(struct gch *g)
{
	bool more;

	do {
		if (gch_mm_deserted(&g->world))
			return -ENXIO;
		env_lock(&g->core.lock);
		more = gch_evac_record(&g->core, RECORD_BATCH);
		gch_unlock(g);
		gch_stress_point();
		cond_resched();
	} while (more);
	return g->core.evac.state == GCH_EVAC_CHOSEN && gch_stress_abort() ? -EAGAIN : 0;
}

/** gch_evacuate_settle() - after the flip, the program running: settle what it has not come to */
void gch_evacuate_settle(struct gch *g)
{
	struct gch_heap *h = &g->core;
	u32 at = 0;

	if (h->evac.state != GCH_EVAC_FLIPPED)
		return;
	env_lock(&h->lock);
	while (!gch_mm_deserted(&g->world) && gch_evac_settle(h, SETTLE_BATCH))
		gch_breathe(g);
	while (!gch_mm_deserted(&g->world) && gch_flip_drop(g, &at))
		gch_breathe(g);
	if (!h->evac.nstale && at == h->evac.nmoves)
		gch_evac_end(h);
	gch_unlock(g);
}

/** gch_evacuate_over() - it has come to its end, or has been abandoned now */
void gch_evacuate_over(struct gch *g)
{
	env_lock(&g->core.lock);
	gch_evac_abandon(&g->core);
	gch_unlock(g);
	gch_flip_destroy(g);
}
