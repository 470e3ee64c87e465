// SPDX-License-Identifier: GPL-2.0-only
/*
 * Marking by spans: a span that has marked and not yet scanned cells is on the
 * queue, at most once. The queue is threaded through the span descriptors, so
 * it needs no memory and cannot overflow. (After "Green Tea", Go 1.25.)
 */
#include "heap.h"

static void queue_push(struct gch_heap *h, struct gch_slot *s, u32 id)
{
	if (s->qnext)
		return;
	s->qnext = GCH_QEND;
	if (h->qtail)
		gch_slot(h, h->qtail - 1)->qnext = id + 1;
	else
		h->qhead = id + 1;
	h->qtail = id + 1;
	h->qlen++;
}

static u32 queue_pop(struct gch_heap *h)
{
	u32 id = h->qhead - 1;
	struct gch_slot *s = gch_slot(h, id);

	h->qhead = s->qnext == GCH_QEND ? 0 : s->qnext;
	if (!h->qhead)
		h->qtail = 0;
	s->qnext = 0;
	h->qlen--;
	return id;
}

static void count_marked(struct gch_heap *h, const struct gcheap_span *d,
			 u32 cells)
{
	h->n.marked_objects += cells;
	h->n.marked_bytes += (u64)cells * d->cell_granules * GCHEAP_GRANULE;
}

/**
 * struct view - the span that a marker looked at last
 * @base: of the heap; @last: offset of its end
 * @lo, @len: where the span is, by offset
 * @mark, @live, @recip, @ncells: its own
 * @commit: cells from here on count as allocated; GCH_NO_RUN: none
 * @past_end: its cells are kept by what points past their end
 * @s, @d, @id: the span
 * @page, @words: number and memory of the heap page that a map was read from last;
 *	NULL: never touched
 *
 * What follows a pointer lies near it more often than not: the look-up is then a
 * comparison. Good while structure is frozen (I1).
 */
struct view {
	u64 base, last;
	u64 lo, len;
	u64 *mark;
	const u64 *live;
	u32 recip, ncells, commit;
	bool past_end;
	struct gch_slot *s;
	struct gcheap_span *d;
	u32 id;
	u64 page;
	const u64 *words;
};

static void view_init(struct view *v, const struct gch_heap *h)
{
	v->page = U64_MAX;
	v->base = h->base;
	v->last = (u64)h->top << GCHEAP_SLOT_SHIFT;
	v->lo = 0;
	v->len = 0;
}

/* Look at the span that an offset lies in, if there is one. */
static noinline bool view_span(struct view *v, const struct gch_heap *h, u64 off)
{
	struct gch_ref r;

	if (!gch_ref_at(h, off, &r))
		return false;
	v->lo = (u64)r.id << GCHEAP_SLOT_SHIFT;
	v->len = (u64)r.d->nslots << GCHEAP_SLOT_SHIFT;
	v->mark = r.s->bits;
	v->live = gch_chunk_live(r.c, r.id);
	v->recip = r.d->recip;
	v->ncells = r.d->ncells;
	v->past_end = r.d->flags & GCHEAP_SPANF_PAST_END;
	v->commit = gch_span_owned(r.d) ? r.s->commit : GCH_NO_RUN;
	v->s = r.s;
	v->d = r.d;
	v->id = r.id;
	return true;
}

static noinline void mark_first(struct gch_heap *h, const struct view *v)
{
	if (v->d->flags & GCHEAP_SPANF_NOSCAN)
		count_marked(h, v->d, 1);
	else
		queue_push(h, v->s, v->id);
}

/* Mark the cell that an offset lies in. Return: whether @v is its span. */
static __always_inline bool mark_offset(struct gch_heap *h, struct view *v, u64 off)
{
	u64 bit;
	u32 cell;

	if (off - v->lo >= v->len && !view_span(v, h, off))
		return false;
	/* A span of one cell has no reciprocal: 0. */
	cell = ((off - v->lo) * v->recip) >> 32;
	if (cell >= v->ncells)
		return true;
	bit = 1ull << (cell % 64);
	if (v->mark[cell / 64] & bit)
		return true;
	if (!(v->live[cell / 64] & bit) && cell < v->commit)
		return true;
	v->mark[cell / 64] |= bit;
	if (!v->s->qnext)
		mark_first(h, v);
	return true;
}

/*
 * R16: one past the end keeps the object before it as well, in spans that ask
 * for it.
 */
static noinline void mark_past_end(struct gch_heap *h, struct view *v, u64 off)
{
	u64 cell;

	if (!h->npast_end || off % GCHEAP_GRANULE || !gch_rule(16))
		return;
	if (off - 1 - v->lo >= v->len && !view_span(v, h, off - 1))
		return;
	if (!(v->d->flags & GCHEAP_SPANF_PAST_END))
		return;
	cell = (u64)v->d->cell_granules * GCHEAP_GRANULE;
	if ((off - v->lo) % cell == 0)
		mark_offset(h, v, off - 1);
}

static __always_inline void mark_word(struct gch_heap *h, struct view *v, u64 off)
{
	/* The cell before is in the same span, unless one ends here. */
	if (!mark_offset(h, v, off) || !(off % GCHEAP_SLOT_SIZE) || v->past_end)
		mark_past_end(h, v, off);
}

/* @n is even: cells are whole granules. Out of line, for the registers. */
static noinline void mark_words(struct gch_heap *h, struct view *v,
				const u64 *words, size_t n)
{
	/* One past the end of the last span is not below the top. */
	const u64 base = v->base, last = v->last, *end = words + n;

	for (; words < end; words += 2) {
		u64 a = READ_ONCE(words[0]) - base, b = READ_ONCE(words[1]) - base;

		if (unlikely(a <= last))
			mark_word(h, v, a);
		if (unlikely(b <= last))
			mark_word(h, v, b);
	}
}

/**
 * gch_mark_ambiguous() - words any of which may be a pointer
 * @words: kernel copy of the program's memory, or heap memory itself
 *
 * World stopped; no lock (I1). The same for gch_mark_precise().
 */
void gch_mark_ambiguous(struct gch_heap *h, const u64 *words, size_t n)
{
	struct view v;

	view_init(&v, h);
	mark_words(h, &v, words, n & ~1ul);
	if (n % 2 && READ_ONCE(words[n - 1]) - v.base <= v.last)
		mark_word(h, &v, words[n - 1] - v.base);
}

/** gch_mark_precise() - words that are 0 or pointers into objects */
void gch_mark_precise(struct gch_heap *h, const u64 *words, size_t n)
{
	struct view v;
	size_t i;

	view_init(&v, h);
	for (i = 0; i < n; i++)
		mark_offset(h, &v, READ_ONCE(words[i]) - v.base);
}

static void scan_large(struct gch_heap *h, struct view *v, u64 off, u64 bytes)
{
	while (bytes) {
		const u64 *p = gch_heap_word(h, off);
		u64 n = min_t(u64, bytes, GCH_PAGE_SIZE - off % GCH_PAGE_SIZE);

		if (p)
			mark_words(h, v, p, n / 8);
		off += n;
		bytes -= n;
		env_yield();
	}
}

/*
 * The same for neighbouring cells of a span that is in one chunk, by offset in the
 * span: the slots' descriptors are side by side.
 */
static void scan_small(struct gch_heap *h, struct view *v,
		       const struct gch_slot *s, u32 off, u32 bytes)
{
	u32 frame, page, n;

	for (; bytes; off += n, bytes -= n) {
		n = min_t(u32, bytes, GCH_PAGE_SIZE - off % GCH_PAGE_SIZE);
		page = off >> GCH_PAGE_SHIFT;
		frame = READ_ONCE(s[page / GCH_SLOT_PAGES].frame[page % GCH_SLOT_PAGES]);
		if (frame)
			mark_words(h, v, env_frame_addr(frame) + off % GCH_PAGE_SIZE,
				   n / 8);
	}
}

/* The word of a span at an offset; 0 if its page was never touched. */
static __always_inline u64 view_word(struct gch_heap *h, struct view *v, u64 off)
{
	if (unlikely(off >> GCH_PAGE_SHIFT != v->page)) {
		v->page = off >> GCH_PAGE_SHIFT;
		v->words = gch_heap_word(h, v->page << GCH_PAGE_SHIFT);
	}
	return v->words ? READ_ONCE(v->words[off % GCH_PAGE_SIZE / 8]) : 0;
}

static __always_inline void scan_map(struct gch_heap *h, struct view *v,
				     const struct gch_map *m, u64 off, u64 tags)
{
	u32 words = gch_bit_words(m->words), w;

	if (!m->ptr)
		return;
	for (w = 0; w < words; w++, off += 8 * 64) {
		u64 bits = m->ptr[w];

		for (; bits; bits &= bits - 1) {
			u64 word = view_word(h, v, off + 8 * env_ctz64(bits));

			if ((word & ~tags) - v->base < v->last)
				mark_offset(h, v, (word & ~tags) - v->base);
		}
	}
}

/* See struct gcheap_cache_create for what a typed cell looks like. */
u64 gch_typed_elems(const struct gch_heap *h, const struct gch_cache *c, u64 off,
		    u64 bytes)
{
	u64 words = bytes / 8, n;
	const u64 *p;

	if (!c->elem.words || words < c->fixed.words)
		return 0;
	n = env_div64(words - c->fixed.words, c->elem.words);
	if (c->length_word == GCHEAP_NO_LENGTH)
		return n;
	p = gch_heap_word(h, off + 8 * (u64)c->length_word);
	return p ? min(n, READ_ONCE(*p)) : 0;
}

static void scan_typed(struct gch_heap *h, struct view *v,
		       const struct gch_cache *c, u64 off, u64 bytes)
{
	u64 tags = (1ull << c->tag_bits) - 1, n, i;

	scan_map(h, v, &c->fixed, off, tags);
	n = gch_typed_elems(h, c, off, bytes);
	off += 8 * (u64)c->fixed.words;
	for (i = 0; i < n && c->elem.ptr; i++) {
		scan_map(h, v, &c->elem, off, tags);
		off += 8 * (u64)c->elem.words;
		if (i % 4096 == 4095)
			env_yield();
	}
}

/** struct scan - a span being scanned: its cells and what they are like */
struct scan {
	u32 id;
	u32 bytes;		/* of a cell */
	const struct gcheap_span *d;
	const struct gch_slot *s;
	const struct gch_cache *c;
	u64 map, tags;		/* pointer words of a typed cell, of up to 64 */
	char *page[GCH_SLOT_PAGES];	/* of a span of one slot, if that is all */
};

/* Whether a cell's layout is a matter of at most 64 fixed words. */
static bool is_simple(const struct gch_cache *c)
{
	return c->layout == GCHEAP_CONSERVATIVE ||
	       (c->fixed.words <= 64 && !c->elem.ptr);
}

static void scan_init(struct scan *n, const struct gch_heap *h, u32 id,
		      const struct gcheap_span *d, const struct gch_slot *s)
{
	u32 p;

	n->id = id;
	n->bytes = d->cell_granules * GCHEAP_GRANULE;
	n->d = d;
	n->s = s;
	n->c = h->cache[d->cache];
	n->map = n->c->fixed.ptr ? *n->c->fixed.ptr : 0;
	n->tags = (1ull << n->c->tag_bits) - 1;
	for (p = 0; p < GCH_SLOT_PAGES; p++) {
		u32 frame = READ_ONCE(s->frame[p]);
		bool direct = frame && d->recip && d->nslots == 1 &&
			      is_simple(n->c);

		n->page[p] = direct ? env_frame_addr(frame) : NULL;
	}
}

/* Scan cells [first, first + n) of a span. */
static noinline void scan_cells(struct gch_heap *h, struct view *v,
				const struct scan *t, u32 first, u32 n)
{
	u64 base = (u64)t->id << GCHEAP_SLOT_SHIFT;

	if (t->c->layout == GCHEAP_TYPED) {
		u64 bytes = (u64)t->d->cell_granules * GCHEAP_GRANULE;

		for (; n; n--, first++)
			scan_typed(h, v, t->c, base + first * bytes, bytes);
	} else if (t->d->recip) {
		scan_small(h, v, t->s, first * t->bytes, n * t->bytes);
	} else {
		scan_large(h, v, base, (u64)t->d->cell_granules * GCHEAP_GRANULE);
	}
}

static noinline void scan_fixed(struct gch_heap *h, struct view *v,
				const struct scan *t, const u64 *words, u32 n)
{
	const u64 base = v->base, last = v->last, map = t->map, tags = ~t->tags;

	for (; n; n--, words += t->bytes / 8) {
		u64 bits;

		for (bits = map; bits; bits &= bits - 1) {
			u64 off = (READ_ONCE(words[env_ctz64(bits)]) & tags) - base;

			if (off < last)
				mark_offset(h, v, off);
		}
	}
}

/* The same, quickly where the cells are within one page of a small span. */
static __always_inline void scan_run(struct gch_heap *h, struct view *v,
				     const struct scan *t, u32 first, u32 n)
{
	u32 off = first * t->bytes, last = off + n * t->bytes - 1;
	const u64 *words;

	if (likely(off >> GCH_PAGE_SHIFT == last >> GCH_PAGE_SHIFT &&
		   last < GCHEAP_SLOT_SIZE)) {
		words = (const u64 *)t->page[off >> GCH_PAGE_SHIFT];
		if (likely(words)) {
			words += off % GCH_PAGE_SIZE / 8;
			if (t->c->layout == GCHEAP_TYPED)
				scan_fixed(h, v, t, words, n);
			else
				mark_words(h, v, words, n * t->bytes / 8);
			return;
		}
	}
	scan_cells(h, v, t, first, n);
}

/*
 * Scan until no cell of the span is left, those included that it marks in
 * itself meanwhile, as lists do; neighbours together. There is one marker, so
 * that the last look at the mark bits finds them as they stay (R4).
 */
static void scan_span(struct gch_heap *h, u32 id)
{
	struct gcheap_span *d = gch_desc(h, id);
	u32 words = gch_bit_words(d->ncells), w, before, cells = 0;
	struct gch_slot *s = gch_slot(h, id);
	u64 *mark = s->bits, *scanned = mark + words, todo;
	struct scan t;
	struct view v;

	view_init(&v, h);
	scan_init(&t, h, id, d, s);
	s->qnext = GCH_QBUSY;
	do {
		before = cells;
		for (w = 0; w < words; w++) {
			while ((todo = mark[w] & ~scanned[w])) {
				u32 bit = env_ctz64(todo);
				u64 rest = ~(todo >> bit);
				u32 n = rest ? env_ctz64(rest) : 64;

				scanned[w] |= (n < 64 ? (1ull << n) - 1 : ~0ull) << bit;
				cells += n;
				scan_run(h, &v, &t, 64 * w + bit, n);
			}
		}
	} while (cells != before);
	s->qnext = 0;
	count_marked(h, d, cells);
}

/**
 * gch_mark_drain() - scan queued spans
 * @spans: at most so many
 *
 * World stopped; no lock (I1). Return: whether some are left.
 */
bool gch_mark_drain(struct gch_heap *h, u32 spans)
{
	while (h->qhead && spans--) {
		scan_span(h, queue_pop(h));
		env_yield();
	}
	return h->qhead;
}

/** gch_mark_drop() - an attempt ended: forget what is queued, lock held */
void gch_mark_drop(struct gch_heap *h)
{
	env_assert_held(&h->lock);
	while (h->qhead)
		queue_pop(h);
}

/**
 * gch_mark_clear() - clear mark and scanned bits
 * @at: slot to go on at, 0 at first
 * @slots: about so many
 *
 * Before a cycle, with all spans swept (R2), program running. Spans made
 * meanwhile are clear. Return: whether there is more to do.
 */
bool gch_mark_clear(struct gch_heap *h, u32 *at, u32 slots)
{
	u32 end = *at + slots, first;

	env_assert_held(&h->lock);
	while (*at < h->top && *at < end) {
		struct gcheap_span *d = gch_span_at(h, *at, &first);

		if (d && first == *at)
			memset(gch_slot(h, first)->bits, 0,
			       gch_span_bits(d) * sizeof(u64));
		*at += d ? d->nslots - (*at - first) : 1;
	}
	return *at < h->top;
}

/**
 * gch_mark_begin() - the world is stopped: start of the marking
 *
 * Lock held. Notes cursors (R14). Roots are objects whose finalizers the program
 * has not fetched, and what threads were just given or are giving back.
 */
void gch_mark_begin(struct gch_heap *h)
{
	env_assert_held(&h->lock);
	h->n.marked_objects = 0;
	h->n.marked_bytes = 0;
	gch_thread_commit_all(h);
	gch_final_roots(h);
	gch_thread_roots(h);
}
