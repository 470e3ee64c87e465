// SPDX-License-Identifier: GPL-2.0-only
/*
 * Evacuation: the live cells of sparse spans of movable caches go into few spans, in the
 * order of their addresses, and what refers to them is made to refer to where they are.
 *
 * SOURCES are chosen, and TARGETS made for them, before marking begins. From then on
 *   - an ambiguous word that leads into a source pins it: the source stays
 *   - pages that refer into sources are noted (gch_chunk.stale): all pages that hold
 *	references are looked at once beside the marking, and again when they were written
 * The FLIP, in the pause that ends marking (R6), decides where each cell goes. For that it
 * counts: the live cells of a cache's sources are numbered through, and the targets are
 * filled in that order. So a source's live bits and the number of its first cell are all
 * that is to be known of its cells.
 *
 * After the flip nothing is mapped that holds an old address, or that is yet to be filled:
 * such a page is *settled* when the program comes to it, or else by the collector. A page
 * of a target is filled from the sources, whose pages nobody writes to any more, and
 * corrected; another one is corrected in place. It takes no memory. When all is settled
 * the sources have no cells any more: they are MOVED, and stay so until nobody can have an
 * address of theirs (R7).
 *
 * INVARIANTS
 *   E1  there are sources and targets only, and stale pages only, if evac.state is not NONE
 *   E2  no page of a target is mapped before the flip, nor of one that has moved after it
 *   E3  after the flip a page with a word that leads to where a cell was is stale, and no
 *	stale page is mapped
 *   E4  the live bits of a source do not change from the flip until all is settled
 */
#include "evacuate.h"

static void each_page(struct gch_heap *h, u32 id, void (*fn)(struct gch_heap *h, u64 page))
{
	u64 page = (u64)id * GCH_SLOT_PAGES;
	u64 end = page + (u64)gch_desc(h, id)->nslots * GCH_SLOT_PAGES;

	for (; page < end; page++)
		fn(h, page);
}

/** gch_evac_begin() - sources are going to be chosen
 * @m: memory, which stays the caller's
 */
void gch_evac_begin(struct gch_heap *h, const struct gch_evac_memory *m)
{
	struct gch_evac *e = &h->evac;
	u32 i;

	env_assert_held(&h->lock);
	for (i = 0; i < h->ncaches; i++) {
		if (!h->cache[i])
			continue;
		h->cache[i]->moving = 0;
		h->cache[i]->nmoves = 0;
	}
	e->move = m->move;
	e->target = m->target;
	e->room = m->room;
	e->late = m->late;
	e->late_max = m->late_max;
	e->nmoves = 0;
	e->ntargets = 0;
	e->made = 0;
	e->nlate = 0;
	e->armed = false;
	e->record_at = 0;
	e->settle_at = 0;
	e->state = GCH_EVAC_CHOSEN;
}

static bool may_move(const struct gch_heap *h, const struct gcheap_span *d, u32 sixteenths)
{
	return d->state == GCHEAP_SPAN_PARTIAL && !gch_span_unswept(h, d) &&
	       h->cache[d->cache]->flags & GCHEAP_CACHE_MOVABLE &&
	       !(d->flags & GCHEAP_SPANF_PINNED) && d->nlive * 16 <= d->ncells * sixteenths;
}

static void source_take(struct gch_heap *h, u32 id)
{
	struct gch_evac *e = &h->evac;
	struct gcheap_span *d = gch_desc(h, id);
	struct gch_cache *c = h->cache[d->cache];

	gch_span_unlist(h, id);
	d->state = GCHEAP_SPAN_SOURCE;
	d->flags &= ~GCHEAP_SPANF_IDLE;
	c->moving += d->nlive;
	c->nmoves++;
	e->move[e->nmoves++] = (struct gch_move){ .span = id };
}

/* It stays, whatever was meant to become of it. */
void gch_source_back(struct gch_heap *h, u32 id)
{
	struct gcheap_span *d = gch_desc(h, id);

	if (!d->nlive && !gch_span_may_be_empty(h, d))
		gch_span_free(h, id);
	else
		gch_span_list(h, id);
}

/**
 * gch_evac_gather() - look on for spans to choose
 * @at: in: slot to look at; out: to go on with
 * @max: look at so many spans at most
 * @sixteenths: choose those of whose cells at most so many are live
 *
 * Phase IDLE. Return: whether there may be more, and there is room for them.
 */
bool gch_evac_gather(struct gch_heap *h, u32 *at, u32 max, u32 sixteenths)
{
	u32 step, id;

	env_assert_held(&h->lock);
	for (; *at < h->top && max-- && h->evac.nmoves < h->evac.room; *at += step) {
		const struct gcheap_span *d = gch_span_at(h, *at, &id);

		step = d ? d->nslots - (*at - id) : 1;
		if (d && may_move(h, d, sixteenths))
			source_take(h, id);
	}
	return *at < h->top && h->evac.nmoves < h->evac.room;
}

/* Objects that have finalizers are known by their addresses. */
static void pin_finalizable(struct gch_heap *h)
{
	const struct gch_finals *f = &h->finals;
	u32 i;

	for (i = 0; i < f->cap; i++)
		if (f->pool[i].state != GCH_FINAL_FREE)
			gch_evac_pin(h, f->pool[i].addr - h->base);
}

/**
 * gch_evac_plan() - all that may be worth it are gathered: see which are
 *
 * Return: how many targets gch_evac_target() is to make; 0: there is nothing to do, and
 * all is as it was.
 */
u32 gch_evac_plan(struct gch_heap *h)
{
	struct gch_evac *e = &h->evac;
	u32 i, k, n = 0;

	env_assert_held(&h->lock);
	for (i = 0; i < h->ncaches; i++) {
		struct gch_cache *c = h->cache[i];

		if (!c || !c->nmoves)
			continue;
		if (!gch_plan_evacuate(c->moving, c->ncells, c->nmoves)) {
			c->nmoves = 0;
			continue;
		}
		c->into = e->ntargets;
		for (k = 0; k * c->ncells < c->moving; k++)
			e->target[e->ntargets++].first = i;
	}
	for (i = 0; i < e->nmoves; i++) {
		u32 id = e->move[i].span;

		if (!h->cache[gch_desc(h, id)->cache]->nmoves) {
			gch_source_back(h, id);
			continue;
		}
		e->move[n] = e->move[i];
		gch_slot(h, id)->lnext = ++n;
		each_page(h, id, gch_stale_set);
	}
	e->nmoves = n;
	if (n) {
		pin_finalizable(h);
		gch_link_pin(h);
	} else {
		gch_evac_abandon(h);
	}
	return e->ntargets;
}

/**
 * gch_evac_target() - make the next target
 * @id: out: the span; each of its pages is to get a frame
 *
 * Return: 0, or -ENOMEM.
 */
int gch_evac_target(struct gch_heap *h, u32 *id)
{
	struct gch_evac *e = &h->evac;
	int err;

	err = gch_span_bare(h, e->target[e->made].first, id);
	if (err)
		return err;
	gch_desc(h, *id)->state = GCHEAP_SPAN_TARGET;
	gch_desc(h, *id)->flags &= ~GCHEAP_SPANF_ZERO;
	e->target[e->made++].span = *id;
	gch_slot(h, *id)->lnext = e->made;
	each_page(h, *id, gch_stale_set);
	return 0;
}

/**
 * gch_evac_abandon() - nothing moves after all
 *
 * After the flip it is too late for that: then the heap is dead, and nobody looks at it.
 */
void gch_evac_abandon(struct gch_heap *h)
{
	struct gch_evac *e = &h->evac;
	u32 i;

	env_assert_held(&h->lock);
	if (e->state == GCH_EVAC_CHOSEN) {
		for (i = 0; i < e->nmoves; i++)
			gch_source_back(h, e->move[i].span);
		for (i = 0; i < e->made; i++)
			gch_span_free(h, e->target[i].span);
	}
	gch_stale_forget(h);
}

/** gch_evac_end() - all is settled, and sources have no frames any more; marks stay */
void gch_evac_end(struct gch_heap *h)
{
	struct gch_evac *e = &h->evac;
	u32 i;

	env_assert_held(&h->lock);
	for (i = 0; i < e->ntargets; i++) {
		gch_slot(h, e->target[i].span)->lnext = 0;
		gch_span_put_back(h, e->target[i].span);
	}
	for (i = 0; i < e->nmoves; i++) {
		u32 id = e->move[i].span;
		struct gcheap_span *d = gch_desc(h, id);

		if (d->state != GCHEAP_SPAN_MOVED)
			continue;
		gch_words_zero(gch_live(h, id), gch_bit_words(d->ncells));
		d->nlive = 0;
		d->flags &= ~GCHEAP_SPANF_MESHED;
		gch_slot(h, id)->lnext = 0;
	}
	gch_stale_forget(h);
}

/**
 * gch_evac_retry() - what was pinned may be chosen again
 * @at: in, out: slot to go on with; @slots: about so many
 *
 * Return: whether there are more.
 */
bool gch_evac_retry(struct gch_heap *h, u32 *at, u32 slots)
{
	u32 end = *at + slots, first;

	env_assert_held(&h->lock);
	while (*at < h->top && *at < end) {
		struct gcheap_span *d = gch_span_at(h, *at, &first);

		if (d)
			d->flags &= ~GCHEAP_SPANF_PINNED;
		*at += d ? d->nslots - (*at - first) : 1;
	}
	return *at < h->top;
}
