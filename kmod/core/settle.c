// SPDX-License-Identifier: GPL-2.0-only
/* After the flip (evacuate.c): pages of targets are filled, and others corrected. */
#include "evacuate.h"

/** struct coming - the cells that come into a target, from a number on
 * @m: whose is next; @w, @left: the word of its live bits looked at, what is left of it
 */
struct coming {
	const struct gch_move *m;
	u32 w;
	u64 left;
};

static void coming_from(const struct gch_heap *h, struct coming *k, u32 move)
{
	k->m = &h->evac.move[move];
	k->w = 0;
	k->left = gch_live(h, k->m->span)[0];
}

/* The next cell; there is one. */
static u32 coming_next(const struct gch_heap *h, struct coming *k, u32 *id)
{
	u32 cell;

	while (!k->left) {
		if (++k->w < gch_bit_words(gch_desc(h, k->m->span)->ncells))
			k->left = gch_live(h, k->m->span)[k->w];
		else
			coming_from(h, k, k->m->next - 1);
	}
	cell = 64 * k->w + env_ctz64(k->left);
	k->left &= k->left - 1;
	*id = k->m->span;
	return cell;
}

/* Bytes of the heap, to where they are not copied over. A page never touched is zero. */
static void copy_out(struct gch_heap *h, void *to, u64 from, u32 bytes)
{
	u32 n;

	for (; bytes; bytes -= n, from += n, to = (char *)to + n) {
		const void *p = gch_heap_word(h, from);

		n = min_t(u32, bytes, GCH_PAGE_SIZE - from % GCH_PAGE_SIZE);
		if (p)
			memcpy(to, p, n);
		else
			memset(to, 0, n);
	}
}

/* What of a cell is on the page. @from: where it was; @off: where it is. */
static void fill_cell(struct pass *p, u64 from, u64 off)
{
	const struct gch_cache *c = p->c;
	u64 lo = max(off, p->lo), hi = min(off + c->cell_size, p->hi);

	copy_out(p->h, &p->words[(lo - p->lo) / 8], from + (lo - off), hi - lo);
	if (c->layout == GCHEAP_TYPED)
		gch_refer_typed(p, off, off + c->cell_size, 0);
}

static void fill_page(struct gch_heap *h, u64 page, u32 id, const struct gcheap_span *d)
{
	const struct gch_target *t = &h->evac.target[gch_slot(h, id)->lnext - 1];
	struct pass p = { .fix = true };
	struct coming k;
	u32 first, end, cell, number, from, from_cell;

	if (!gch_pass_open(&p, h, page, d))
		return;
	number = (t - h->evac.target - p.c->into) * p.c->ncells;
	if (number >= p.c->moving)
		return;		/* others were pinned, so that it is not needed */
	end = min_t(u32, d->ncells, p.c->moving - number);
	gch_page_cells(d, page - (u64)id * GCH_SLOT_PAGES, &first, &cell);
	end = min(end, cell);
	if (first >= end)
		return;
	coming_from(h, &k, t->first);
	for (cell = k.m->at; cell < number + first; cell++)
		coming_next(h, &k, &from);
	for (cell = first; cell < end; cell++) {
		from_cell = coming_next(h, &k, &from);
		fill_cell(&p, ((u64)from << GCHEAP_SLOT_SHIFT) + (u64)from_cell * p.c->cell_size,
			  ((u64)id << GCHEAP_SLOT_SHIFT) + (u64)cell * p.c->cell_size);
	}
}

static void settle(struct gch_heap *h, u64 page, u32 id, const struct gcheap_span *d)
{
	struct pass p = { .fix = true };

	if (d->state == GCHEAP_SPAN_TARGET)
		fill_page(h, page, id, d);
	else if (d->state != GCHEAP_SPAN_MOVED && !(d->flags & GCHEAP_SPANF_NOSCAN) &&
		 gch_pass_open(&p, h, page, d))
		gch_refer_page(&p, page, id, d);
	gch_stale_clear(h, page);
}

/**
 * gch_evac_touch() - the program has come to a page that is not mapped (E2, E3)
 * @page: its number; it may be in no span
 *
 * Return: 0: it may be mapped; 1: likewise, it had to be settled; -EFAULT: it may not.
 */
int gch_evac_touch(struct gch_heap *h, u64 page)
{
	struct gch_evac *e = &h->evac;
	struct gcheap_span *d;
	u32 id;

	env_assert_held(&h->lock);
	d = gch_span_at(h, page / GCH_SLOT_PAGES, &id);
	if (!d || d->state == GCHEAP_SPAN_MOVED ||
	    (d->state == GCHEAP_SPAN_TARGET && e->state != GCH_EVAC_FLIPPED))
		return -EFAULT;
	if (e->state == GCH_EVAC_NONE || !gch_stale(h, page))
		return 0;
	if (e->state == GCH_EVAC_FLIPPED) {
		settle(h, page, id, d);
		return 1;
	}
	if (e->armed)
		gch_evac_late(h, page);
	return 0;
}

/**
 * gch_evac_settle() - settle pages that nobody has come to yet
 * @pages: so many at most
 *
 * Lock held, after the flip. Return: whether there are more.
 */
bool gch_evac_settle(struct gch_heap *h, u32 pages)
{
	struct gch_evac *e = &h->evac;
	struct gcheap_span *d;
	u64 page;
	u32 id;

	env_assert_held(&h->lock);
	while (pages && e->nstale && gch_stale_next(h, e->settle_at, &page)) {
		d = gch_span_at(h, page / GCH_SLOT_PAGES, &id);
		if (d)
			settle(h, page, id, d);
		else
			gch_stale_clear(h, page);
		e->settle_at = page + 1;
		pages--;
	}
	return e->nstale;
}
