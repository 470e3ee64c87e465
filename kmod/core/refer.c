// SPDX-License-Identifier: GPL-2.0-only
/*
 * What refers to cells that move (evacuate.c): before the flip pages with such words are
 * noted, and what ambiguous words lead to is pinned; after it the words are corrected.
 */
#include "evacuate.h"

static struct gch_slot *source_at(const struct gch_heap *h, u64 off)
{
	struct gch_ref r;

	return gch_ref_at(h, off, &r) && r.d->state == GCHEAP_SPAN_SOURCE ? r.s : NULL;
}

/** gch_evac_pin() - what an offset leads to, or what it is one past the end of, must not move
 *
 * Lock held, or world stopped. (R16.)
 */
void gch_evac_pin(struct gch_heap *h, u64 off)
{
	struct gch_slot *s = source_at(h, off), *before = source_at(h, off - 1);

	if (s)
		s->lprev = 1;
	if (before && gch_rule(16))
		before->lprev = 1;
}

/** gch_evac_pin_words() - @n words, any of which may be a pointer */
void gch_evac_pin_words(struct gch_heap *h, const u64 *words, size_t n)
{
	u64 last = (u64)h->top << GCHEAP_SLOT_SHIFT;
	size_t i;

	for (i = 0; i < n; i++)
		if (READ_ONCE(words[i]) - h->base <= last)
			gch_evac_pin(h, READ_ONCE(words[i]) - h->base);
}

/** gch_evac_refers() - whether one of @n precise words leads to what moves */
bool gch_evac_refers(const struct gch_heap *h, const u64 *words, size_t n)
{
	u64 last = (u64)h->top << GCHEAP_SLOT_SHIFT;
	size_t i;

	for (i = 0; i < n; i++) {
		u64 off = READ_ONCE(words[i]) - h->base;
		const struct gch_slot *s = off < last ? source_at(h, off) : NULL;

		if (s && !s->lprev)
			return true;
	}
	return false;
}

static void refer_word(struct pass *p, u64 *at)
{
	u64 word = READ_ONCE(*at), off = (word & ~p->tags) - p->h->base, to;

	if (off >= (u64)p->h->top << GCHEAP_SLOT_SHIFT)
		return;
	if (!p->fix)
		p->found |= !!source_at(p->h, off);
	else if (gch_evac_forward(p->h, off, &to))
		/* Who has the page pinned may write there: that is as it is. */
		env_cmpxchg(at, word, word + (to - off));
}

static void refer_map(struct pass *p, const struct gch_map *map, u64 off)
{
	u32 i;

	for (i = 0; i < gch_bit_words(map->words) && off < p->hi; i++, off += 8 * 64) {
		u64 bits = (map->ptr ? map->ptr[i] : 0) | (map->weak ? map->weak[i] : 0);

		for (; bits; bits &= bits - 1) {
			u64 at = off + 8 * env_ctz64(bits);

			if (at - p->lo < p->hi - p->lo)
				refer_word(p, &p->words[(at - p->lo) / 8]);
		}
	}
}

static void refer_words(struct pass *p, u64 off, u64 end)
{
	u64 lo = max(off, p->lo), hi = min(end, p->hi);

	if (!p->fix && lo < hi)
		gch_evac_pin_words(p->h, &p->words[(lo - p->lo) / 8], (hi - lo) / 8);
}

/*
 * A typed cell, which ends at @end, with @n elements in its array. What is beyond may become
 * elements with a word written elsewhere, or be anything: it is ambiguous, and pins. So when
 * words are corrected, the page as it was at the flip, it matters no more what is an element.
 */
void gch_refer_typed(struct pass *p, u64 off, u64 end, u64 n)
{
	const struct gch_cache *c = p->c;
	u64 first = off + 8 * (u64)c->fixed.words, step = 8 * (u64)c->elem.words, at;
	u64 beyond = p->fix ? end : min(first + n * step, end);

	refer_map(p, &c->fixed, off);
	if (!gch_elems_refer(c) || p->hi <= first)
		return;
	at = first + (p->lo > first ? env_div64(p->lo - first, step) * step : 0);
	for (; at + step <= beyond && at < p->hi; at += step)
		refer_map(p, &c->elem, at);
	refer_words(p, beyond, end);
}

bool gch_pass_open(struct pass *p, struct gch_heap *h, u64 page, const struct gcheap_span *d)
{
	p->h = h;
	p->c = h->cache[d->cache];
	p->tags = (1ull << p->c->tag_bits) - 1;
	p->lo = page << GCH_PAGE_SHIFT;
	p->hi = p->lo + GCH_PAGE_SIZE;
	p->words = gch_heap_word(h, p->lo);
	return p->words;
}

static void refer_cell(struct pass *p, u32 id, u32 cell)
{
	const struct gcheap_span *d = gch_desc(p->h, id);
	u64 bytes = (u64)d->cell_granules * GCHEAP_GRANULE;
	u64 off = ((u64)id << GCHEAP_SLOT_SHIFT) + cell * bytes, n;
	const u64 *elems = gch_large_elems(p->h, id, d);

	if (p->c->layout != GCHEAP_TYPED) {
		refer_words(p, off, off + bytes);
		return;
	}
	n = p->fix ? 0 : gch_typed_elems(p->h, p->c, off, bytes);
	gch_refer_typed(p, off, off + bytes, elems ? max(n, *elems) : n);
}

/* All cells of a page that are allocated, or may be: a cell that is not has no say. */
void gch_refer_page(struct pass *p, u64 page, u32 id, const struct gcheap_span *d)
{
	const u64 *live = gch_live(p->h, id);
	u32 commit = gch_slot(p->h, id)->commit, first, end, w;

	gch_page_cells(d, page - (u64)id * GCH_SLOT_PAGES, &first, &end);
	for (w = first / 64; w * 64 < end; w++) {
		u64 cells = live[w] | gch_word_mask(w, commit, d->ncells);

		for (cells &= gch_word_mask(w, first, end); cells; cells &= cells - 1)
			refer_cell(p, id, 64 * w + env_ctz64(cells));
	}
}

/**
 * gch_evac_record_page() - note a page if it refers to sources
 *
 * Lock held, or world stopped, and sources have been chosen.
 */
void gch_evac_record_page(struct gch_heap *h, u64 page)
{
	struct pass p = { };
	struct gcheap_span *d;
	u32 id;

	d = gch_span_at(h, page / GCH_SLOT_PAGES, &id);
	if (!d || d->flags & GCHEAP_SPANF_NOSCAN || d->state == GCHEAP_SPAN_TARGET ||
	    d->state == GCHEAP_SPAN_MOVED || !gch_pass_open(&p, h, page, d))
		return;
	gch_refer_page(&p, page, id, d);
	if (p.found)
		gch_stale_set(h, page);
}

/**
 * gch_evac_record() - look on for pages that refer to sources
 * @pages: at @pages at most
 *
 * Lock held, writes being tracked: a page that is written after it was looked at is looked
 * at again. Return: whether there are more.
 */
bool gch_evac_record(struct gch_heap *h, u32 pages)
{
	struct gch_evac *e = &h->evac;

	env_assert_held(&h->lock);
	if (e->state != GCH_EVAC_CHOSEN)
		return false;
	for (; pages && e->record_at < (u64)h->top * GCH_SLOT_PAGES; pages--)
		gch_evac_record_page(h, e->record_at++);
	return e->record_at < (u64)h->top * GCH_SLOT_PAGES;
}
