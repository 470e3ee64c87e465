// SPDX-License-Identifier: GPL-2.0-only
/* The flip (evacuate.c): where each cell goes, by counting. */
#include "evacuate.h"

u32 gch_live_below(const struct gch_heap *h, u32 id, u32 below)
{
	const u64 *live = gch_live(h, id);
	u32 n = 0, w;

	for (w = 0; w * 64 < below; w++)
		n += env_weight64(live[w] & gch_word_mask(w, 0, below));
	return n;
}

/* Bits [lo, hi) of a map. */
static void set_range(u64 *map, u32 lo, u32 hi)
{
	u32 w;

	for (w = lo / 64; w * 64 < hi; w++)
		WRITE_ONCE(map[w], map[w] | gch_word_mask(w, lo, hi));
}

/* The cell of a target that the one with a number of its cache's goes to. */
static u32 target_of(const struct gch_heap *h, const struct gch_cache *c, u32 number, u32 *cell)
{
	*cell = number % c->ncells;
	return h->evac.target[c->into + number / c->ncells].span;
}

/* Cells from a number on, in one target: live, and marked. */
static void bits_come(struct gch_heap *h, u32 id, u32 lo, u32 hi)
{
	struct gcheap_span *d = gch_desc(h, id);
	u32 w;

	set_range(gch_live(h, id), lo, hi);
	for (w = lo / 64; w * 64 < hi; w++)
		*gch_mark(h, id, w) |= gch_word_mask(w, lo, hi);
	if (!(d->flags & GCHEAP_SPANF_NOSCAN))
		set_range(gch_scanned(h, id), lo, hi);
	d->nlive += hi - lo;
}

/* What was not reached is to be found dead where it goes, too. */
static void bit_dead(struct gch_heap *h, const struct gch_cache *c, u32 number)
{
	u32 cell, id = target_of(h, c, number, &cell);

	*gch_mark(h, id, cell / 64) &= ~(1ull << (cell % 64));
	if (c->layout != GCHEAP_NOSCAN)
		gch_scanned(h, id)[cell / 64] &= ~(1ull << (cell % 64));
}

static void bits_move(struct gch_heap *h, const struct gch_cache *c, const struct gch_move *m)
{
	const struct gcheap_span *d = gch_desc(h, m->span);
	const u64 *live = gch_live(h, m->span);
	u32 number = m->at, end = m->at + m->count, cell, n, w;

	for (; number < end; number += n) {
		u32 id = target_of(h, c, number, &cell);

		n = min(end - number, c->ncells - cell);
		bits_come(h, id, cell, cell + n);
	}
	for (w = 0; w < gch_bit_words(d->ncells); w++) {
		u64 dead = live[w] & ~*gch_mark(h, m->span, w);

		for (; dead; dead &= dead - 1) {
			cell = 64 * w + env_ctz64(dead);
			bit_dead(h, c, m->at + gch_live_below(h, m->span, cell));
		}
	}
}

/* Decide where a source's cells go. */
static void flip_source(struct gch_heap *h, u32 i)
{
	struct gch_evac *e = &h->evac;
	struct gch_move *m = &e->move[i];
	struct gcheap_span *d = gch_desc(h, m->span);
	struct gch_cache *c = h->cache[d->cache];
	u32 k;

	m->at = c->moving;
	m->count = d->nlive;
	m->next = 0;
	if (c->last_move)
		e->move[c->last_move - 1].next = i + 1;
	c->last_move = i + 1;
	c->moving += m->count;
	/* Targets whose first cell it has. */
	for (k = (m->at + c->ncells - 1) / c->ncells; k * c->ncells < c->moving; k++)
		e->target[c->into + k].first = i;
	bits_move(h, c, m);
	gch_unmark_span(h, m->span, d);
	gch_span_moved(h, m->span);
	h->n.moved_objects += m->count;
	h->n.moved_bytes += (u64)m->count * c->cell_size;
}

/**
 * gch_evac_flip() - from here on cells are where they go
 *
 * World stopped, lock held, marking complete, nothing stale mapped. Sources that are
 * pinned stay.
 */
void gch_evac_flip(struct gch_heap *h)
{
	struct gch_evac *e = &h->evac;
	u32 i;

	env_assert_held(&h->lock);
	if (e->state != GCH_EVAC_CHOSEN)
		return;
	for (i = 0; i < h->ncaches; i++) {
		if (!h->cache[i])
			continue;
		h->cache[i]->moving = 0;
		h->cache[i]->last_move = 0;
	}
	for (i = 0; i < e->nmoves; i++) {
		u32 id = e->move[i].span;

		if (!gch_slot(h, id)->lprev) {
			flip_source(h, i);
			continue;
		}
		gch_desc(h, id)->flags |= GCHEAP_SPANF_PINNED;
		gch_source_back(h, id);
		h->n.spans_pinned++;
	}
	h->n.pages_noted += e->nstale;
	h->n.flips++;
	e->armed = false;
	e->state = GCH_EVAC_FLIPPED;
}

/**
 * gch_evac_forward() - where a cell has gone
 * @off: in a cell
 * @to: out: the same place in it now
 *
 * After the flip. Return: false: it has not moved.
 */
bool gch_evac_forward(const struct gch_heap *h, u64 off, u64 *to)
{
	const struct gch_cache *c;
	const struct gch_move *m;
	struct gch_ref r;
	u32 id, cell;

	if (!gch_ref_at(h, off, &r) || r.d->state != GCHEAP_SPAN_MOVED || !gch_ref_live(&r) ||
	    !r.s->lnext)
		return false;
	m = &h->evac.move[r.s->lnext - 1];
	c = h->cache[r.d->cache];
	id = target_of(h, c, m->at + gch_live_below(h, r.id, r.cell), &cell);
	*to = gch_ref_addr(h, &r) - h->base;	/* the cell */
	*to = ((u64)id << GCHEAP_SLOT_SHIFT) + (u64)cell * c->cell_size + (off - *to);
	return true;
}
