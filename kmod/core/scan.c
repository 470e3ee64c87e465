// SPDX-License-Identifier: GPL-2.0-only
/* Scanning a span: the cells that are marked and not scanned, by their layout. */
#include "marker.h"

#define FEW	2	/* one cell in so many */

/* Words of heap memory. */
static noinline void scan_words(struct marker *m, const u64 *words, u32 bytes)
{
	mark_words(m, words, words + bytes / 8);
}

static void scan_large(struct marker *m, u64 off, u64 bytes)
{
	while (bytes) {
		const u64 *p = gch_heap_word(m->h, off);
		u64 n = min_t(u64, bytes, GCH_PAGE_SIZE - off % GCH_PAGE_SIZE);

		if (p)
			scan_words(m, p, n);
		off += n;
		bytes -= n;
		env_yield();
	}
}

/*
 * The same for neighbouring cells of a span that is in one chunk, by offset in the
 * span: the slots' descriptors are side by side.
 */
static void scan_small(struct marker *m, u32 off, u32 bytes)
{
	const struct gch_slot *s = m->own.s;
	u32 frame, page, n;

	for (; bytes; off += n, bytes -= n) {
		n = min_t(u32, bytes, GCH_PAGE_SIZE - off % GCH_PAGE_SIZE);
		page = off >> GCH_PAGE_SHIFT;
		frame = READ_ONCE(s[page / GCH_SLOT_PAGES].frame[page % GCH_SLOT_PAGES]);
		if (frame)
			scan_words(m, env_frame_addr(frame) + off % GCH_PAGE_SIZE, n);
	}
}

/* The word of a span at an offset; 0 if its page was never touched. */
static __always_inline u64 span_word(struct marker *m, u64 off)
{
	if (unlikely(off >> GCH_PAGE_SHIFT != m->page)) {
		m->page = off >> GCH_PAGE_SHIFT;
		m->words = gch_heap_word(m->h, m->page << GCH_PAGE_SHIFT);
	}
	return m->words ? READ_ONCE(m->words[off % GCH_PAGE_SIZE / 8]) : 0;
}

u64 gch_span_word(struct marker *m, u64 off)
{
	return span_word(m, off);
}

static __always_inline void scan_map(struct marker *m, const struct gch_map *map,
				     u64 off)
{
	u32 words = gch_bit_words(map->words), w;

	if (!map->ptr)
		return;
	for (w = 0; w < words; w++, off += 8 * 64) {
		u64 bits = map->ptr[w];

		for (; bits; bits &= bits - 1) {
			u64 word = span_word(m, off + 8 * env_ctz64(bits));

			word = (word & ~m->scan.tags) - m->base;
			if (word < m->last)
				mark_offset(m, word);
		}
	}
}

void gch_scan_map(struct marker *m, const struct gch_map *map, u64 off)
{
	scan_map(m, map, off);
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

/* Elements [i, n) of the array in a typed cell. */
static void scan_elems(struct marker *m, u64 off, u64 i, u64 n)
{
	const struct gch_cache *c = m->scan.c;

	off += 8 * (u64)c->fixed.words + 8 * (u64)c->elem.words * i;
	for (; i < n && gch_elems_refer(c); i++) {
		if (c->flags & GCHEAP_CACHE_EPHEMERON) {
			gch_pair_look(m, off);
		} else {
			scan_map(m, &c->elem, off);
			gch_weak_look(m, &c->elem, off, NULL);
		}
		off += 8 * (u64)c->elem.words;
		if (i % 4096 == 4095)
			env_yield();
	}
}

/**
 * gch_large_elems() - where it is kept how many elements of a large array were scanned
 *
 * Return: NULL for other objects, and if it has no second slot to keep it in.
 */
u64 *gch_large_elems(struct gch_heap *h, u32 id, const struct gcheap_span *d)
{
	return d->state == GCHEAP_SPAN_LARGE && d->nslots > 1 ?
		&gch_slot(h, id + 1)->elems : NULL;
}

static void scan_typed(struct marker *m, u64 off, u64 bytes)
{
	u64 *elems = gch_large_elems(m->h, m->own.lo >> GCHEAP_SLOT_SHIFT, m->own.d);
	u64 n = gch_typed_elems(m->h, m->scan.c, off, bytes);

	scan_map(m, &m->scan.c->fixed, off);
	gch_weak_look(m, &m->scan.c->fixed, off, NULL);
	scan_elems(m, off, 0, n);
	if (elems)
		*elems = n;
}

/**
 * gch_scan_grown() - the length word of an array was written: scan what is new
 * @off, @bytes: the cell
 *
 * Elements of a large one once a cycle at most, however often its length changes.
 */
void gch_scan_grown(struct marker *m, u64 off, u64 bytes)
{
	u64 *elems = gch_large_elems(m->h, m->own.lo >> GCHEAP_SLOT_SHIFT, m->own.d);
	u64 n = gch_typed_elems(m->h, m->scan.c, off, bytes);

	scan_elems(m, off, elems ? *elems : 0, n);
	if (elems)
		*elems = max(*elems, n);
}

static bool is_simple(const struct gch_cache *c)
{
	return c->layout == GCHEAP_CONSERVATIVE ||
	       (c->fixed.words <= 64 && !c->fixed.weak && !gch_elems_refer(c));
}

/* Memory of a span of one slot. */
static void slot_pages(const struct gch_slot *s, char **page)
{
	u32 p, frame;

	for (p = 0; p < GCH_SLOT_PAGES; p++) {
		frame = READ_ONCE(s->frame[p]);
		page[p] = frame ? env_frame_addr(frame) : NULL;
	}
}

/* The span that a marker is to scan. */
void gch_scan_init(struct marker *m, const struct gch_ref *r)
{
	const struct gcheap_span *d = r->d;
	struct scan *t = &m->scan;

	gch_view_init(&m->own, m, r);
	t->c = m->h->cache[d->cache];
	t->bytes = d->cell_granules * GCHEAP_GRANULE;
	t->nwords = gch_bit_words(d->ncells);
	t->scanned = gch_chunk_scanned(r->c, r->id);
	t->map = t->c->fixed.ptr ? *t->c->fixed.ptr : 0;
	t->tags = (1ull << t->c->tag_bits) - 1;
	t->quick = d->recip && d->nslots == 1 && is_simple(t->c);
	t->fetch = t->quick && gch_heap_is_large(m->h);
	if (t->quick)
		slot_pages(m->own.s, t->page);
}

/* Live bits and commit point stay while the span is scanned (I1). */
static u64 allocated(const struct view *v, u32 w)
{
	return v->live[w] | gch_word_mask(w, v->commit, v->d->ncells);
}

static void scan_begin(struct marker *m)
{
	struct scan *t = &m->scan;
	u32 w;

	for (w = 0; w < t->nwords; w++) {
		t->known[w] = READ_ONCE(*gch_view_mark(&m->own, w));
		t->white[w] = allocated(&m->own, w) & ~t->known[w];
		t->grey[w] = t->known[w] & ~t->scanned[w];
	}
}

/* All that was grey is scanned: it shows, and counts. */
static void scan_end(struct marker *m)
{
	struct scan *t = &m->scan;
	u64 marked, *mark;
	u32 w, n = 0;

	for (w = 0; w < t->nwords; w++) {
		mark = gch_view_mark(&m->own, w);
		marked = allocated(&m->own, w) & ~t->known[w] & ~t->white[w];
		if (marked && unlikely(m->shared))
			env_or64(mark, marked);	/* before the release, R4 */
		else if (marked)
			*mark |= marked;
		marked = (marked | t->known[w]) & ~t->scanned[w];
		if (!marked)
			continue;
		n += env_weight64(marked);
		WRITE_ONCE(t->scanned[w], t->scanned[w] | marked);
	}
	gch_mark_count(m, n, (u64)n * m->own.d->cell_granules * GCHEAP_GRANULE);
}

/* Scan @n cells of the span from @first on. */
static noinline void scan_cells(struct marker *m, u32 first, u32 n)
{
	const struct gcheap_span *d = m->own.d;
	u64 bytes = (u64)d->cell_granules * GCHEAP_GRANULE;

	if (m->scan.c->layout == GCHEAP_TYPED) {
		for (; n; n--, first++)
			scan_typed(m, m->own.lo + first * bytes, bytes);
	} else if (d->recip) {
		scan_small(m, first * bytes, n * bytes);
	} else {
		scan_large(m, m->own.lo, bytes);
	}
}

static __always_inline void scan_fixed(struct marker *m, const u64 *words,
				       const u64 *end)
{
	const u64 map = m->scan.map, tags = m->scan.tags, base = m->base, last = m->last;
	const u32 step = m->scan.bytes / 8;

	for (; words < end; words += step) {
		u64 bits, off;

		for (bits = map; bits; bits &= bits - 1) {
			off = (READ_ONCE(words[env_ctz64(bits)]) & ~tags) - base;
			if (off < last)
				mark_offset(m, off);
		}
	}
}

/* Memory of @n cells from @first on, if it is within a page that is at hand. */
static __always_inline const char *cells_at(const struct marker *m, u32 first, u32 n)
{
	u32 off = first * m->scan.bytes, last = off + n * m->scan.bytes - 1;
	const char *page;

	if (!m->scan.quick || (off ^ last) >= GCH_PAGE_SIZE)
		return NULL;
	page = m->scan.page[off >> GCH_PAGE_SHIFT];
	return page ? page + off % GCH_PAGE_SIZE : NULL;
}

static __always_inline void scan_at(struct marker *m, const char *at, u32 bytes, bool typed)
{
	if (typed)
		scan_fixed(m, (const u64 *)at, (const u64 *)(at + bytes));
	else
		mark_words(m, (const u64 *)at, (const u64 *)(at + bytes));
}

/* scan_cells(), which may be within a page all the same. */
static noinline void scan_run(struct marker *m, u32 first, u32 n, bool typed)
{
	const char *at = cells_at(m, first, n);

	if (at)
		scan_at(m, at, n * m->scan.bytes, typed);
	else
		scan_cells(m, first, n);
}

/*
 * Ask for the memory of a few cells here and there, a word of bits at a time: there is no room
 * for more of them on their way at once. Where there are many, which are small then, the
 * processor sees what comes next by itself.
 * @page: of the slot; @grey: the cells, from @first on
 */
static __always_inline void fetch_cells(char *const *page, u64 grey, u32 first, u32 bytes)
{
	u32 off;

	if (env_weight64(grey) > 64 / FEW)
		return;
	for (; grey; grey &= grey - 1) {
		off = (first + env_ctz64(grey)) * bytes;
		gch_fetch(page[off >> GCH_PAGE_SHIFT], off % GCH_PAGE_SIZE);
	}
}

/**
 * gch_scan_fetch() - ask for the first cells that will be scanned of a queued span
 *
 * Nothing depends on what is read here.
 */
void gch_scan_fetch(const struct gch_heap *h, u32 id)
{
	const struct gch_slot *s = gch_slot(h, id);
	char *page[GCH_SLOT_PAGES];
	u64 grey;

	if (!s->recip || s->recip == GCH_WIDE_RECIP || s->bytes - 1 >= GCHEAP_SLOT_SIZE)
		return;
	grey = READ_ONCE(s->mark[0]) & ~READ_ONCE(*gch_scanned(h, id));
	slot_pages(s, page);
	fetch_cells(page, grey, 0, gch_recip(s->recip));
}

/*
 * The grey cells of a word, those included that become so meanwhile; neighbours
 * together. Return: whether any.
 */
static __always_inline bool scan_word(struct marker *m, u32 w, bool typed)
{
	u32 first = 64 * w, cell, bytes;
	const char *all;
	u64 grey, run;
	bool any = false;

	if (m->scan.fetch && w + 1 < m->scan.nwords)
		fetch_cells(m->scan.page, m->scan.grey[w + 1], first + 64, m->scan.bytes);
	all = cells_at(m, first, min(64u, m->own.d->ncells - first));
	while ((grey = m->scan.grey[w])) {
		run = grey & -grey;
		cell = env_ctz64(grey);
		bytes = m->scan.bytes;
		if (grey & (run << 1)) {
			run = grey & ~(grey + run);	/* lowest run of ones */
			bytes *= env_weight64(run);
		}
		m->scan.grey[w] = grey ^ run;
		any = true;
		if (likely(all))
			scan_at(m, all + cell * m->scan.bytes, bytes, typed);
		else
			scan_run(m, first + cell, env_weight64(run), typed);
	}
	return any;
}

/* Two of a kind, so that neither asks for the layout in its innermost loop. */
static noinline bool scan_conservative(struct marker *m)
{
	bool any = false;
	u32 w;

	for (w = 0; w < m->scan.nwords; w++)
		any |= scan_word(m, w, false);
	return any;
}

static noinline bool scan_precise(struct marker *m)
{
	bool any = false;
	u32 w;

	for (w = 0; w < m->scan.nwords; w++)
		any |= scan_word(m, w, true);
	return any;
}

/*
 * Not what the program is asked about; nor a large object that is being made, and black, when
 * marking is checked: what is left in it from earlier use was not looked at by the marking that
 * is checked.
 */
static bool is_read(const struct marker *m)
{
	if (m->scan.c->layout == GCHEAP_ASK)
		return false;
	return !m->h->weak.checking || m->own.d->state != GCHEAP_SPAN_LARGE ||
	       m->own.d->flags & GCHEAP_SPANF_ZERO;
}

/**
 * gch_scan_through() - mark what an object refers to, and not the object
 * @r: an allocated cell that is not marked
 * @but_self: what it refers to of itself does not mark it either
 *
 * Lock held, one worker; nothing is queued.
 */
void gch_scan_through(struct gch_heap *h, const struct gch_ref *r, bool but_self)
{
	struct marker m;

	if (r->d->flags & GCHEAP_SPANF_NOSCAN)
		return;
	gch_marker_init(&m, h, h->worker);
	gch_scan_init(&m, r);
	if (m.scan.c->layout == GCHEAP_ASK) {
		gch_ask_through(h, r, but_self);
		return;
	}
	/* The span is not being scanned: it has to be queued for what is marked in it. */
	m.own.bytes = 0;
	m.own.len = 0;
	if (but_self)
		gch_ref_mark(r, true);
	scan_cells(&m, r->cell, 1);
	gch_mark_fetched(h, h->worker);
	if (but_self)
		gch_ref_mark(r, false);
}

static bool cells_left(const struct marker *m)
{
	u32 w;

	for (w = 0; w < m->scan.nwords; w++)
		if (READ_ONCE(*gch_view_mark(&m->own, w)) & ~READ_ONCE(m->scan.scanned[w]))
			return true;
	return false;
}

static void scan_all(struct marker *m)
{
	bool typed = m->scan.c->layout == GCHEAP_TYPED;

	scan_begin(m);
	if (likely(is_read(m)))
		while (typed ? scan_precise(m) : scan_conservative(m))
			;
	scan_end(m);
}

/**
 * gch_scan_span() - scan until no cell of a span is left
 * @w: by whom
 * @id: span that was taken off the queue
 *
 * Those included that are marked in it meanwhile: by itself, as in lists, or by other
 * workers, which leave it to this one as long as it is GCH_QBUSY (R4).
 */
void gch_scan_span(struct gch_heap *h, struct gch_worker *w, u32 id)
{
	struct gch_ref r = {
		.c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS),
		.d = gch_desc(h, id),
		.s = gch_slot(h, id),
		.id = id,
	};
	struct marker m;

	gch_marker_init(&m, h, w);
	gch_scan_init(&m, &r);
	if (unlikely(h->asking && m.scan.c->layout == GCHEAP_ASK)) {
		gch_ask_push(h, r.s, id);
		return;
	}
	do
		scan_all(&m);
	while (cells_left(&m) || gch_queue_done(&m, r.s, cells_left));
}
