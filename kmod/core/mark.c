// SPDX-License-Identifier: GPL-2.0-only
/* Marking by spans: a span that has marked and not yet scanned cells is on the queue. */
#include "marker.h"

void gch_mark_count(struct marker *m, u32 cells, u64 bytes)
{
	if (likely(!m->shared)) {
		m->h->n.marked_objects += cells;
		m->h->n.marked_bytes += bytes;
	} else {
		m->w->objects += cells;
		m->w->bytes += bytes;
	}
}

static void view_none(struct view *v)
{
	v->lo = 0;
	v->bytes = 0;
	v->quick = 0;
	v->len = 0;
}

void gch_marker_init(struct marker *m, struct gch_heap *h, struct gch_worker *w)
{
	m->h = h;
	m->w = w;
	m->shared = h->shared;
	m->base = h->base;
	m->last = (u64)h->top << GCHEAP_SLOT_SHIFT;
	m->large = gch_heap_is_large(h);
	m->past_end = h->npast_end && gch_rule(16);
	view_none(&m->own);
	view_none(&m->near);
	m->last_far = GCH_NO_RUN;
	m->page = U64_MAX;
}

/* @r: without a cell; the descriptor is read only where R16 is asked for. */
static __always_inline void view_init(struct view *v, const struct marker *m,
				      const struct gch_ref *r, u64 bytes)
{
	v->lo = (u64)r->id << GCHEAP_SLOT_SHIFT;
	v->bytes = bytes;
	v->quick = v->lo;
	v->len = v->bytes;
	v->mark[0] = r->s->mark;
	if (unlikely(r->s->recip == GCH_WIDE_RECIP))
		v->mark[1] = gch_chunk_upper(r->c, r->id) - GCH_MARK_WORDS;
	v->live = gch_chunk_live(r->c, r->id);
	v->recip = r->s->recip;
	v->commit = r->s->commit;
	v->s = r->s;
	v->d = r->d;
	if (likely(!m->past_end))
		return;
	/* At its start the span before has a say; at each cell's it has itself. */
	v->quick = v->lo + 1;
	v->len = r->d->flags & GCHEAP_SPANF_PAST_END ? 0 : v->bytes - 1;
}

void gch_view_init(struct view *v, const struct marker *m, const struct gch_ref *r)
{
	view_init(v, m, r, gch_span_bytes(r->d));
}

/* The chunk that a slot is in and knows it, and its number there; or NULL. */
static __always_inline struct gch_chunk *chunk_with(const struct gch_heap *h, u32 id, u32 *i)
{
	struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);

	*i = id % GCHEAP_CHUNK_SLOTS;
	return c && c->slot[*i / GCH_KERN_SLOTS] ? c : NULL;
}

/* In the first slot of a span there is no need for its descriptor. */
static __always_inline bool look_first(struct marker *m, u64 off)
{
	struct gch_ref r;
	u32 i, bytes;

	if (off >= m->last)
		return false;
	r.id = off >> GCHEAP_SLOT_SHIFT;
	r.c = chunk_with(m->h, r.id, &i);
	if (!r.c)
		return false;
	r.s = gch_chunk_slot(r.c, i);
	bytes = r.s->bytes & ~GCH_SLOT_NOSCAN;
	if (off % GCHEAP_SLOT_SIZE >= bytes)
		return false;
	r.d = &r.c->desc[i / GCH_DESC_SLOTS][i % GCH_DESC_SLOTS];
	view_init(&m->near, m, &r, bytes);
	return true;
}

/* Look at the span in one of whose cells an offset lies, if there is one. */
static __always_inline bool look_near(struct marker *m, u64 off)
{
	struct gch_ref r;

	if (off - m->near.lo < m->near.bytes || look_first(m, off))
		return true;
	if (!gch_ref_at(m->h, off, &r))
		return false;
	view_init(&m->near, m, &r, gch_span_bytes(r.d));
	return true;
}

/*
 * A cell was marked in a span that is not queued. Its descriptor is left alone, if possible.
 * @id: the span
 */
noinline void gch_mark_first(struct marker *m, struct gch_slot *s, u32 id)
{
	const struct gcheap_span *d;
	bool noscan = s->bytes & GCH_SLOT_NOSCAN;
	u64 bytes = s->recip ? gch_recip(s->recip) : s->bytes & ~GCH_SLOT_NOSCAN;

	if (unlikely(!s->bytes)) {
		d = gch_desc(m->h, id);
		noscan = d->flags & GCHEAP_SPANF_NOSCAN;
		bytes = gch_span_bytes(d);
	}
	if (noscan)
		gch_mark_count(m, 1, bytes);
	else
		gch_queue_push(m->h, s, id);
}

/* Wherever it is; what the marker scans itself it will see in its own bits. */
static noinline void mark_at(struct marker *m, u64 off)
{
	if (off - m->own.lo < m->own.bytes)
		mark_own(m, off);
	else if (look_near(m, off))
		mark_cell(m, &m->near, off);
}

/*
 * mark_at() for one of those that come in no order, so that there is no use in keeping
 * what is known of its span; if another of it follows there is. It may be the span being
 * scanned by now: there it is found by cells_left(), as if another worker had marked it.
 * @s: its slot
 */
static __always_inline void mark_scattered(struct marker *m, u64 off, struct gch_slot *s)
{
	u32 id = off >> GCHEAP_SLOT_SHIFT, in = off % GCHEAP_SLOT_SIZE, cell, commit = s->commit;
	bool again = id == m->last_far;
	const u64 *live = NULL;

	m->last_far = id;
	if (again || in >= (s->bytes & ~GCH_SLOT_NOSCAN) || s->recip == GCH_WIDE_RECIP) {
		mark_at(m, off);
		return;
	}
	cell = gch_cell_of(in, s->recip);
	if (commit != GCH_FULL) {
		m->w->ahead.free = GCH_AHEAD / 2;
		live = gch_live(m->h, id) + cell / 64;
	} else if (m->w->ahead.free) {
		m->w->ahead.free--;
	}
	if (mark_bit(m, &s->mark[cell / 64], live, cell, commit) &&
	    !READ_ONCE(s->qnext))
		gch_mark_first(m, s, id);
}

/*
 * mark_offset() into another span than those at hand. One or two lines have to be read for
 * it, which in a large heap without order are in no cache: it is put off until so many others
 * have come (after Cher, Hosking, Vitek, "Software prefetching for mark-sweep garbage
 * collection", ASPLOS 2004).
 */
static __always_inline void mark_far(struct marker *m, u64 off)
{
	struct gch_ahead *a = &m->w->ahead;
	typeof(*a->put) *put = &a->put[a->at], old = *put;
	struct gch_chunk *c;
	u32 i;

	if (!m->large) {
		mark_at(m, off);
		return;
	}
	if (off >= m->last)
		return;
	c = chunk_with(m->h, off >> GCHEAP_SLOT_SHIFT, &i);
	if (!c)
		return;
	put->off = off + 1;
	put->slot = gch_chunk_slot(c, i);
	env_prefetch(put->slot);
	if (a->free)
		gch_fetch(c->live[i / GCH_LIVE_SLOTS],
			  i % GCH_LIVE_SLOTS * GCH_LIVE_WORDS * sizeof(u64));
	a->at = (a->at + 1) % GCH_AHEAD;
	if (likely(old.off))
		mark_scattered(m, old.off - 1, old.slot);
	else
		a->n++;
}

void gch_mark_far(struct marker *m, u64 off)
{
	mark_far(m, off);
}

/** gch_mark_fetched() - mark what was put off, for the worker whose it is */
void gch_mark_fetched(struct gch_heap *h, struct gch_worker *w)
{
	struct gch_ahead *a = &w->ahead;
	struct marker m;
	u32 i;

	gch_marker_init(&m, h, w);
	for (i = 0; i < GCH_AHEAD; i++) {
		if (a->put[i].off)
			mark_at(&m, a->put[i].off - 1);
		a->put[i].off = 0;
	}
	a->n = 0;
}

/*
 * R16: one past the end keeps the object before it as well, in spans that ask
 * for it.
 */
static void mark_before(struct marker *m, u64 off)
{
	u64 cell;

	if (off % GCHEAP_GRANULE || !look_near(m, off - 1) ||
	    !(m->near.d->flags & GCHEAP_SPANF_PAST_END))
		return;
	cell = (u64)m->near.d->cell_granules * GCHEAP_GRANULE;
	if ((off - m->near.lo) % cell == 0)
		mark_cell(m, &m->near, off - 1);
}

/* mark_word() likewise, or where it takes a second look. */
void gch_mark_far_word(struct marker *m, u64 off)
{
	if (likely(!m->past_end)) {
		mark_far(m, off);
		return;
	}
	mark_at(m, off);
	mark_before(m, off);
}

/**
 * gch_mark_ambiguous() - words any of which may be a pointer
 * @words: kernel copy of the program's memory
 *
 * World stopped; no lock (I1). The same for gch_mark_precise().
 */
void gch_mark_ambiguous(struct gch_heap *h, const u64 *words, size_t n)
{
	struct marker m;

	if (h->evac.state == GCH_EVAC_CHOSEN)
		gch_evac_pin_words(h, words, n);
	gch_marker_init(&m, h, h->worker);
	if (n > 1)
		mark_words(&m, words, words + (n & ~1ul));
	if (n % 2 && READ_ONCE(words[n - 1]) - m.base <= m.last)
		mark_word(&m, words[n - 1] - m.base);
}

/** gch_mark_precise() - words that are 0 or pointers into objects */
void gch_mark_precise(struct gch_heap *h, const u64 *words, size_t n)
{
	struct marker m;
	size_t i;

	gch_marker_init(&m, h, h->worker);
	for (i = 0; i < n; i++)
		mark_offset(&m, READ_ONCE(words[i]) - m.base);
}

/*
 * In a heap where they are in no cache: the first cells of the span that will be scanned next,
 * and what is known of the one after it.
 */
static void fetch_next(const struct gch_heap *h)
{
	u32 id = READ_ONCE(h->qhead) - 1, next;

	if (id == GCH_NO_RUN || !gch_heap_is_large(h))
		return;
	gch_scan_fetch(h, id);
	next = READ_ONCE(gch_slot(h, id)->qnext);
	if (!next || next >= GCH_QBUSY)
		return;
	env_prefetch(gch_desc(h, next - 1));
	env_prefetch(gch_slot(h, next - 1));
	env_prefetch(gch_live(h, next - 1));
}

/* Scan a span. Return: false: nothing is queued, nor waits to be. */
static bool drain_one(struct gch_heap *h, struct gch_worker *w)
{
	u32 id = gch_queue_pop(h, w);

	if (id == GCH_NO_RUN && w->ahead.n) {
		gch_mark_fetched(h, w);
		id = gch_queue_pop(h, w);
	}
	if (id == GCH_NO_RUN)
		return false;
	fetch_next(h);
	gch_scan_span(h, w, id);
	env_yield();
	return true;
}

/**
 * gch_mark_drain() - scan queued spans
 * @spans: at most so many
 *
 * World stopped; no lock (I1). Return: whether some are left.
 */
bool gch_mark_drain(struct gch_heap *h, u32 spans)
{
	while (spans && drain_one(h, h->worker))
		spans--;
	return READ_ONCE(h->qhead) || h->worker->ahead.n;
}

/**
 * gch_mark_help() - the same for another worker, between gch_queue_share() and _unshare()
 * @number: whose, from 1
 * @spans: about so many
 *
 * Return: false: nothing was left.
 */
bool gch_mark_help(struct gch_heap *h, u32 number, u32 spans)
{
	struct gch_worker *w = &h->worker[number];
	bool more = true;

	while (spans-- && more)
		more = drain_one(h, w);
	/* What waits to be marked must not stay behind when it leaves. */
	if (w->ahead.n)
		gch_mark_fetched(h, w);
	return more || !gch_queue_idle(h, w);
}

/** gch_mark_drop() - an attempt ended: forget what is queued, lock held */
void gch_mark_drop(struct gch_heap *h)
{
	u32 id;

	env_assert_held(&h->lock);
	while ((id = gch_queue_pop(h, h->worker)) != GCH_NO_RUN)
		gch_slot(h, id)->qnext = 0;
	memset(&h->worker->ahead, 0, sizeof(h->worker->ahead));
}

static void clear_bits(struct gch_heap *h, u32 id, const struct gcheap_span *d)
{
	u64 *elems = gch_large_elems(h, id, d);

	gch_unmark_span(h, id, d);
	if (elems)
		*elems = 0;
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
			clear_bits(h, first, d);
		*at += d ? d->nslots - (*at - first) : 1;
	}
	return *at < h->top;
}

/**
 * gch_mark_begin() - start of the marking
 * @young: what the last cycle marked, for being reached or black, is so still
 *
 * Lock held; the threads may run. Counts anew, or on.
 */
void gch_mark_begin(struct gch_heap *h, bool young)
{
	struct gch_counts *n = &h->n;

	env_assert_held(&h->lock);
	n->marked_objects = young ? n->marked_objects_last + n->black_objects : 0;
	n->marked_bytes = young ? n->marked_bytes_last + n->black_bytes : 0;
	n->black_objects = 0;
	n->black_bytes = 0;
	if (!young)
		gch_weak_forget(h);
	h->weak.seen = U64_MAX;
	gch_mark_own_roots(h);
}

/**
 * gch_mark_own_roots() - note cursors (R14) and mark from what the heap itself knows
 *
 * Lock held. Roots are objects whose finalizers the program has not fetched, and
 * what threads were just given or are giving back.
 */
void gch_mark_own_roots(struct gch_heap *h)
{
	env_assert_held(&h->lock);
	gch_thread_commit_all(h);
	gch_final_roots(h);
	gch_thread_roots(h);
}
