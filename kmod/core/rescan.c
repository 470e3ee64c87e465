// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scanning a page again that was written after its cells were scanned, or that holds
 * cells handed out since marking began (R2). Only the words on the page are read
 * (R18), however large the object: with one exception, an array whose length has
 * grown, since elements that were none are elsewhere.
 */
#include "marker.h"

/* Pointer words of a stretch that begins at an offset, those in the window. */
static void window_map(struct marker *m, const struct window *w,
		       const struct gch_map *map, u64 off)
{
	u32 words = gch_bit_words(map->words), i;

	if (!map->ptr)
		return;
	for (i = 0; i < words && off < w->hi; i++, off += 8 * 64) {
		u64 bits = map->ptr[i], at, word;

		for (; bits; bits &= bits - 1) {
			at = off + 8 * env_ctz64(bits);
			if (!gch_inside(w, at))
				continue;
			word = READ_ONCE(w->words[(at - w->lo) / 8]);
			word = (word & ~m->scan.tags) - m->base;
			if (word < m->last)
				mark_offset(m, word);
		}
	}
}

/*
 * How many elements of an array there are, or were when it was scanned: what was
 * written beyond a length that was shorter for a while counts as well.
 */
static u64 elems_known(struct marker *m, u64 off, u64 bytes)
{
	u64 n = gch_typed_elems(m->h, m->scan.c, off, bytes);
	u64 *elems = gch_large_elems(m->h, m->own.lo >> GCHEAP_SLOT_SHIFT, m->own.d);

	return elems ? max(n, *elems) : n;
}

/**
 * gch_window_elems() - the elements of an array that are in a window, all or in part
 * @off, @bytes: the cell
 * @at, @end: out: offset of the first, and of what follows the last
 *
 * Return: whether there are any that are looked at.
 */
bool gch_window_elems(struct marker *m, const struct window *w, u64 off, u64 bytes, u64 *at,
		      u64 *end)
{
	const struct gch_cache *c = m->scan.c;
	u64 first = off + 8 * (u64)c->fixed.words, step = 8 * (u64)c->elem.words;

	if (!gch_elems_refer(c) || w->hi <= first)
		return false;
	*at = first + (w->lo > first ? env_div64(w->lo - first, step) * step : 0);
	*end = min(first + elems_known(m, off, bytes) * step, w->hi);
	return *at < *end;
}

static void window_typed(struct marker *m, const struct window *w, u64 off, u64 bytes)
{
	const struct gch_cache *c = m->scan.c;
	u64 at, end;

	if (gch_elems_refer(c) && c->length_word != GCHEAP_NO_LENGTH &&
	    gch_inside(w, off + 8 * (u64)c->length_word))
		gch_scan_grown(m, off, bytes);
	window_map(m, w, &c->fixed, off);
	gch_weak_look(m, &c->fixed, off, w);
	if (!gch_window_elems(m, w, off, bytes, &at, &end))
		return;
	for (; at < end; at += 8 * (u64)c->elem.words) {
		if (c->flags & GCHEAP_CACHE_EPHEMERON) {
			gch_pair_look(m, at);
		} else {
			window_map(m, w, &c->elem, at);
			gch_weak_look(m, &c->elem, at, w);
		}
	}
}

static void window_cell(struct marker *m, const struct window *w, u64 off, u64 bytes)
{
	u64 lo, hi;

	if (m->scan.c->layout == GCHEAP_TYPED) {
		window_typed(m, w, off, bytes);
		return;
	}
	lo = max(off, w->lo) - w->lo;
	hi = min(off + bytes, w->hi) - w->lo;
	if (lo < hi)
		mark_words(m, w->words + lo / 8, w->words + hi / 8);
}

/* The cells of a word of bits, by offset of its first. */
static void visit_cells(struct marker *m, const struct window *w, u64 off, u64 cells,
			gch_visit_t visit)
{
	u64 bytes = (u64)m->own.d->cell_granules * GCHEAP_GRANULE;
	u32 bit, n = 1;

	for (; cells; cells &= ~(~0ull >> (64 - n) << bit)) {
		bit = w->down ? env_fls64(cells) - 1 : env_ctz64(cells);
		/* Neighbours together, where it is all words. */
		if (m->scan.c->layout == GCHEAP_CONSERVATIVE && !w->down)
			n = ~cells >> bit ? env_ctz64(~cells >> bit) : 64 - bit;
		visit(m, w, off + bit * bytes, n * bytes);
	}
}

/**
 * gch_window_cells() - visit the cells of the span being scanned that are in a window
 * @all: those included that are yet to be scanned
 * @visit: is given one cell, or several neighbours that are all ambiguous words
 *
 * R2: black cells, which a thread has handed out and not told of, as well as marked ones;
 * not when marking is checked, which does not compare these.
 */
void gch_window_cells(struct marker *m, const struct window *w, bool all, gch_visit_t visit)
{
	u64 bytes = (u64)m->own.d->cell_granules * GCHEAP_GRANULE, cells;
	u32 first = (w->lo - m->own.lo) * m->own.recip >> 32;
	u32 end = ((w->hi - 1 - m->own.lo) * m->own.recip >> 32) + 1;
	u32 n, i, reach = 0, seen = 0;

	end = min_t(u32, end, m->own.d->ncells);
	if (gch_span_owned(m->own.d) && m->h->black && !m->h->weak.checking)
		reach = gch_thread_reach(m->h, m->own.lo >> GCHEAP_SLOT_SHIFT);
	for (n = gch_bit_words(end) - first / 64; n; n--) {
		i = w->down ? first / 64 + n - 1 : gch_bit_words(end) - n;
		cells = READ_ONCE(*gch_view_mark(&m->own, i));
		if (!all)
			cells &= READ_ONCE(m->scan.scanned[i]);
		if (reach)
			cells |= ~m->own.live[i] & gch_word_mask(i, m->own.commit, reach);
		cells &= gch_word_mask(i, first, end);
		seen += env_weight64(cells);
		visit_cells(m, w, m->own.lo + 64 * i * bytes, cells, visit);
	}
	m->h->n.bytes_rescanned += min_t(u64, seen * bytes, GCH_PAGE_SIZE);
}

/**
 * gch_window_open() - look at a page of the heap
 * @page: its number; it may be in no span
 * @w, @m: out: @m is to scan the span, whatever the queue says
 *
 * Return: whether there is anything that refers to others.
 */
bool gch_window_open(struct gch_heap *h, u64 page, struct window *w, struct marker *m)
{
	struct gch_ref r;

	w->lo = page << GCH_PAGE_SHIFT;
	w->hi = (page + 1) << GCH_PAGE_SHIFT;
	w->down = false;
	r.d = gch_span_at(h, page / GCH_SLOT_PAGES, &r.id);
	if (!r.d || r.d->flags & GCHEAP_SPANF_NOSCAN)
		return false;
	w->words = gch_heap_word(h, w->lo);
	if (!w->words)
		return false;
	r.c = gch_chunk(h, r.id / GCHEAP_CHUNK_SLOTS);
	r.s = gch_slot(h, r.id);
	gch_marker_init(m, h, h->worker);
	gch_scan_init(m, &r);
	/* Unlike a span that is scanned whole, it has to be queued for what it marks. */
	m->own.bytes = 0;
	m->own.len = 0;
	return m->scan.c->layout != GCHEAP_ASK;
}

/**
 * gch_scan_page() - scan what is on a page again
 * @page: number of a heap page, which may be in no span
 *
 * Lock held, or world stopped.
 */
void gch_scan_page(struct gch_heap *h, u64 page)
{
	struct marker m;
	struct window w;

	h->n.pages_rescanned++;
	if (h->evac.state == GCH_EVAC_CHOSEN)
		gch_evac_record_page(h, page);
	if (gch_rule(2) && gch_window_open(h, page, &w, &m))
		gch_window_cells(&m, &w, false, window_cell);
}
