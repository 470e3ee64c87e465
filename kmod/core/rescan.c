// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scanning a page again that was written after its cells were scanned, or that holds
 * cells handed out since marking began (R2). Only the words on the page are read
 * (R18), however large the object: with one exception, an array whose length has
 * grown, since elements that were none are elsewhere.
 */
#include "marker.h"

/**
 * struct window - the page being scanned again
 * @lo, @hi: its bounds, by offset in the heap
 * @words: its memory
 */
struct window {
	u64 lo, hi;
	const u64 *words;
};

static bool inside(const struct window *w, u64 off)
{
	return off - w->lo < w->hi - w->lo;
}

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
			if (!inside(w, at))
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

static void window_typed(struct marker *m, const struct window *w, u64 off, u64 bytes)
{
	const struct gch_cache *c = m->scan.c;
	u64 first = off + 8 * (u64)c->fixed.words, step = 8 * (u64)c->elem.words;
	u64 n, i;

	if (c->elem.ptr && c->length_word != GCHEAP_NO_LENGTH &&
	    inside(w, off + 8 * (u64)c->length_word))
		gch_scan_grown(m, off, bytes);
	window_map(m, w, &c->fixed, off);
	if (!c->elem.ptr || w->hi <= first)
		return;
	n = elems_known(m, off, bytes);
	i = w->lo > first ? env_div64(w->lo - first, step) : 0;
	for (; i < n && first + i * step < w->hi; i++)
		window_map(m, w, &c->elem, first + i * step);
}

static void window_cell(struct marker *m, const struct window *w, u32 cell)
{
	u64 bytes = (u64)m->own.d->cell_granules * GCHEAP_GRANULE;
	u64 off = m->own.lo + cell * bytes, lo, hi;

	if (m->scan.c->layout == GCHEAP_TYPED) {
		window_typed(m, w, off, bytes);
		return;
	}
	lo = max(off, w->lo) - w->lo;
	hi = min(off + bytes, w->hi) - w->lo;
	if (lo < hi)
		mark_words(m, w->words + lo / 8, w->words + hi / 8);
}

/*
 * Of a word of bits: cells that were scanned, and what a thread has handed out and
 * not told of. Those that are yet to be scanned will be.
 */
static u64 cells_again(const struct marker *m, u32 w, u32 reach)
{
	u64 cells = m->own.mark[w] & m->scan.scanned[w];

	if (gch_span_owned(m->own.d) && m->h->black)
		cells |= ~m->own.live[w] & gch_word_mask(w, m->own.commit, reach);
	return cells;
}

/* R2: black cells as well as marked ones. */
static void window_scan(struct marker *m, const struct window *w)
{
	u32 first = (w->lo - m->own.lo) * m->own.recip >> 32;
	u32 end = ((w->hi - 1 - m->own.lo) * m->own.recip >> 32) + 1, i, reach = 0;
	u64 cells;

	end = min_t(u32, end, m->own.d->ncells);
	if (gch_span_owned(m->own.d))
		reach = gch_thread_reach(m->h, m->own.lo >> GCHEAP_SLOT_SHIFT);
	for (i = first / 64; i < gch_bit_words(end); i++) {
		cells = cells_again(m, i, reach) & gch_word_mask(i, first, end);
		for (; cells; cells &= cells - 1)
			window_cell(m, w, 64 * i + env_ctz64(cells));
	}
}

/**
 * gch_scan_page() - scan what is on a page again
 * @page: number of a heap page, which may be in no span
 *
 * Lock held, or world stopped.
 */
void gch_scan_page(struct gch_heap *h, u64 page)
{
	struct window w = {
		.lo = page << GCH_PAGE_SHIFT, .hi = (page + 1) << GCH_PAGE_SHIFT,
	};
	struct marker m;
	struct gch_ref r;

	h->n.pages_rescanned++;
	if (!gch_rule(2))
		return;
	r.d = gch_span_at(h, page / GCH_SLOT_PAGES, &r.id);
	if (!r.d || r.d->flags & GCHEAP_SPANF_NOSCAN)
		return;
	w.words = gch_heap_word(h, w.lo);
	if (!w.words)
		return;
	r.c = gch_chunk(h, r.id / GCHEAP_CHUNK_SLOTS);
	r.s = gch_slot(h, r.id);
	gch_marker_init(&m, h);
	gch_scan_init(&m, &r);
	/* Unlike a span that is scanned whole, it has to be queued for what it marks. */
	m.own.bytes = 0;
	m.own.len = 0;
	window_scan(&m, &w);
}
