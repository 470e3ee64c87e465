/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The marker: from a word to the mark bit of the cell that it points into. What is
 * needed for each word is in line here, the rest in mark.c; scan.c reads the cells.
 */
#ifndef _GCH_CORE_MARKER_H
#define _GCH_CORE_MARKER_H

#include "heap.h"

#define GCH_LARGE_SLOTS	(GCH_DEBUG ? 16 : 4096)	/* 32 MiB; tests get there */

/**
 * struct view - a span that a marker looks at
 * @lo, @bytes: where its cells are, by offset
 * @quick, @len: those of their offsets that R16 wants no second look at
 * @mark: its mark bits: word w is mark[w / 4][w], since a wide one's upper half is elsewhere
 * @live, @recip, @commit: its own
 * @s, @d: the span
 *
 * Good while structure is frozen (I1).
 */
struct view {
	u64 lo, bytes;
	u64 quick, len;
	u64 *mark[2];
	const u64 *live;
	u32 recip, commit;
	struct gch_slot *s;
	struct gcheap_span *d;
};

/**
 * struct scan - how the span being scanned is read
 * @c: its cache
 * @bytes: of a cell
 * @nwords: of mark bits
 * @scanned: as many of scanned bits
 * @known: mark bits when the scan began
 * @white: cells that are allocated and not marked; @grey: marked and not scanned. The scanner's
 *	own: what it marks in the span shows in the mark bits when it ends.
 * @quick: it is one slot, and its layout a matter of at most 64 fixed words
 * @fetch: its cells are in no cache
 * @page: if @quick: its memory, NULL where it was never touched
 * @map, @tags: pointer words of a cell of such a layout if it is a typed one
 */
struct scan {
	const struct gch_cache *c;
	u32 bytes;
	u32 nwords;
	bool quick, fetch;
	u64 *scanned;
	u64 known[GCH_LIVE_WORDS], white[GCH_LIVE_WORDS], grey[GCH_LIVE_WORDS];
	char *page[GCH_SLOT_PAGES];
	u64 map, tags;
};

/**
 * struct marker - what marks
 * @h: the heap; @w: who marks; @shared: several do
 * @base: of the heap; @last: offset of its end
 * @large: see gch_heap_is_large()
 * @past_end: some spans' cells are kept by what points past their end (R16)
 * @own: the span being scanned, if any; it need not be queued
 * @near: the one looked at last: what follows a pointer lies near it more often
 *	than not, and the look-up is then a comparison
 * @last_far: slot of the last of those in no order
 * @scan: of @own
 * @page, @words: number and memory of the heap page that a map was read from last;
 *	NULL: never touched
 */
struct marker {
	struct gch_heap *h;
	struct gch_worker *w;
	u64 base, last;
	bool shared;
	bool large;
	bool past_end;
	struct view own, near;
	u32 last_far;
	struct scan scan;
	u64 page;
	const u64 *words;
};

/* Too large for what is known of its spans to stay in a processor's cache. */
static __always_inline bool gch_heap_is_large(const struct gch_heap *h)
{
	return h->top >= GCH_LARGE_SLOTS;
}

/* A word of a span's mark bits. */
static __always_inline u64 *gch_view_mark(const struct view *v, u32 w)
{
	return &v->mark[w / GCH_MARK_WORDS][w];
}

/* A line of a page, which may be NULL, is wanted soon. */
static __always_inline void gch_fetch(const void *page, u32 off)
{
	env_prefetch((const void *)((uintptr_t)page + off));
}

/**
 * struct window - a page whose cells are looked at
 * @lo, @hi: its bounds, by offset in the heap
 * @down: from the last cell to the first
 * @words: its memory
 */
struct window {
	u64 lo, hi;
	bool down;
	const u64 *words;
};

/* A cell at an offset, of so many bytes, that is in a window or partly. */
typedef void (*gch_visit_t)(struct marker *m, const struct window *w, u64 off, u64 bytes);

static inline bool gch_elems_refer(const struct gch_cache *c)
{
	return c->elem.ptr || c->elem.weak;
}

static inline bool gch_inside(const struct window *w, u64 off)
{
	return off - w->lo < w->hi - w->lo;
}

/* mark.c */
void gch_marker_init(struct marker *m, struct gch_heap *h, struct gch_worker *w);
void gch_view_init(struct view *v, const struct marker *m, const struct gch_ref *r);
void gch_mark_first(struct marker *m, struct gch_slot *s, u32 id);
void gch_mark_far(struct marker *m, u64 off);
void gch_mark_far_word(struct marker *m, u64 off);
void gch_mark_count(struct marker *m, u32 cells, u64 bytes);

/* queue.c */
void gch_queue_push(struct gch_heap *h, struct gch_slot *s, u32 id);
u32 gch_queue_pop(struct gch_heap *h, struct gch_worker *w);
bool gch_queue_done(struct marker *m, struct gch_slot *s, bool (*left)(const struct marker *m));
bool gch_queue_idle(struct gch_heap *h, struct gch_worker *w);

/* ask.c */
void gch_ask_push(struct gch_heap *h, struct gch_slot *s, u32 id);

/* scan.c */
void gch_scan_span(struct gch_heap *h, struct gch_worker *w, u32 id);
void gch_scan_fetch(const struct gch_heap *h, u32 id);
void gch_scan_init(struct marker *m, const struct gch_ref *r);
void gch_scan_grown(struct marker *m, u64 off, u64 bytes);
u64 *gch_large_elems(struct gch_heap *h, u32 id, const struct gcheap_span *d);
u64 gch_span_word(struct marker *m, u64 off);
void gch_scan_map(struct marker *m, const struct gch_map *map, u64 off);

/* rescan.c */
bool gch_window_open(struct gch_heap *h, u64 page, struct window *w, struct marker *m);
void gch_window_cells(struct marker *m, const struct window *w, bool all, gch_visit_t visit);
bool gch_window_elems(struct marker *m, const struct window *w, u64 off, u64 bytes, u64 *at,
		      u64 *end);

/* weak.c */
void gch_weak_look(struct marker *m, const struct gch_map *map, u64 off,
		   const struct window *w);
void gch_pair_look(struct marker *m, u64 off);

/*
 * Set the mark bit of a cell that is allocated.
 * @mark, @live: words of the bits, @live not needed of a full span
 * @cell: its number; @commit: of its span
 *
 * Return: whether it is news.
 */
static __always_inline bool mark_bit(struct marker *m, u64 *mark, const u64 *live, u32 cell,
				     u32 commit)
{
	u64 bit = 1ull << (cell % 64);

	if (READ_ONCE(*mark) & bit)
		return false;
	if (cell < commit && !(*live & bit))
		return false;
	if (unlikely(m->shared))
		return !env_test_and_set(mark, cell % 64);	/* R4: a full barrier */
	*mark |= bit;
	return true;
}

/* Mark the cell that an offset lies in, which is one of the view's. */
static __always_inline void mark_cell(struct marker *m, const struct view *v, u64 off)
{
	/* A span of one cell has no reciprocal: 0. */
	u32 cell = ((off - v->lo) * v->recip) >> 32;

	if (mark_bit(m, gch_view_mark(v, cell / 64), &v->live[cell / 64], cell, v->commit) &&
	    !READ_ONCE(v->s->qnext))
		gch_mark_first(m, v->s, v->lo >> GCHEAP_SLOT_SHIFT);
}

/* The same for a cell of the span being scanned, whose scanner will see it. */
static __always_inline void mark_own(struct marker *m, u64 off)
{
	u32 cell = ((off - m->own.lo) * m->own.recip) >> 32;
	u64 bit = 1ull << (cell % 64);

	if (!(m->scan.white[cell / 64] & bit))
		return;
	m->scan.white[cell / 64] ^= bit;
	m->scan.grey[cell / 64] |= bit;
}

/* What is a pointer into an object. */
static __always_inline void mark_offset(struct marker *m, u64 off)
{
	if (off - m->own.lo < m->own.bytes)
		mark_own(m, off);
	else if (off - m->near.lo < m->near.bytes)
		mark_cell(m, &m->near, off);
	else
		gch_mark_far(m, off);
}

/* What may be a pointer into an object, or one past its end. */
static __always_inline void mark_word(struct marker *m, u64 off)
{
	if (off - m->own.quick < m->own.len)
		mark_own(m, off);
	else if (off - m->near.quick < m->near.len)
		mark_cell(m, &m->near, off);
	else
		gch_mark_far_word(m, off);
}

/*
 * Words from @words to @end, an even number that is not 0: cells are whole granules. Much
 * of what is in heaps is zero, the end of cells and the fields of leaves, so that is asked
 * first.
 */
static __always_inline void mark_words(struct marker *m, const u64 *words,
				       const u64 *end)
{
	/* One past the end of the last span is not below the top. */
	const u64 base = m->base, last = m->last;

	do {
		u64 a = READ_ONCE(words[0]), b = READ_ONCE(words[1]);

		if (!(a | b))
			continue;
		if (unlikely(a - base <= last))
			mark_word(m, a - base);
		if (unlikely(b - base <= last))
			mark_word(m, b - base);
	} while ((words += 2) < end);
}

#endif
