// SPDX-License-Identifier: GPL-2.0-only
/* Spans: made, handed out, accounted, taken back. */
#include "heap.h"

static u32 *list_of(struct gch_cache *c, const struct gcheap_span *d)
{
	return d->flags & GCHEAP_SPANF_MESHED ? &c->meshed : &c->partial;
}

/* Lists of spans with free cells: doubly linked by 1 + id, 0 ends. */
void gch_span_list(struct gch_heap *h, u32 id)
{
	struct gcheap_span *d = gch_desc(h, id);
	struct gch_cache *c = h->cache[d->cache];
	u32 *list = list_of(c, d);
	struct gch_slot *s = gch_slot(h, id);

	d->state = GCHEAP_SPAN_PARTIAL;
	s->commit = GCH_COMMITTED;
	s->lnext = *list;
	s->lprev = 0;
	if (*list)
		gch_slot(h, *list - 1)->lprev = id + 1;
	*list = id + 1;
	c->npartial++;
}

void gch_span_unlist(struct gch_heap *h, u32 id)
{
	const struct gcheap_span *d = gch_desc(h, id);
	struct gch_cache *c = h->cache[d->cache];
	struct gch_slot *s = gch_slot(h, id);

	if (s->lprev)
		gch_slot(h, s->lprev - 1)->lnext = s->lnext;
	else
		*list_of(c, d) = s->lnext;
	if (s->lnext)
		gch_slot(h, s->lnext - 1)->lprev = s->lprev;
	if (c->split_at == id + 1)
		c->split_at = s->lnext;
	s->lnext = 0;
	s->lprev = 0;
	c->npartial--;
}

/* All of a new span's bits are clear. */
static int span_bits(struct gch_heap *h, u32 id, const struct gcheap_span *d)
{
	if (d->recip == GCH_WIDE_RECIP &&
	    gch_chunk_widen(h, id, !(d->flags & GCHEAP_SPANF_NOSCAN)))
		return -ENOMEM;
	gch_slot(h, id)->recip = d->recip;
	gch_words_zero(gch_live(h, id), gch_bit_words(d->ncells));
	gch_unmark_span(h, id, d);
	return 0;
}

static u8 span_flags(const struct gch_heap *h, const struct gch_cache *c, u32 id,
		     u32 nslots)
{
	u8 flags = 0;

	if (!gch_run_has_frames(h, id, nslots))
		flags |= GCHEAP_SPANF_ZERO;
	if (c->layout == GCHEAP_NOSCAN)
		flags |= GCHEAP_SPANF_NOSCAN;
	if (c->flags & GCHEAP_CACHE_PAST_END)
		flags |= GCHEAP_SPANF_PAST_END;
	if (h->colour)
		flags |= GCHEAP_SPANF_COLOUR;
	return flags;
}

/** gch_heap_fits() - whether spans may take so many bytes more, by the limit */
bool gch_heap_fits(const struct gch_heap *h, u64 bytes)
{
	return !h->param.limit || h->n.heap_bytes + bytes <= h->param.limit;
}

/** gch_heap_grown() - they have taken them */
void gch_heap_grown(struct gch_heap *h, u64 bytes)
{
	h->n.heap_bytes += bytes;
	h->n.heap_peak = max(h->n.heap_peak, h->n.heap_bytes);
}

static int span_make(struct gch_heap *h, u32 cache, u32 nslots, u32 ncells,
		     u32 *id_out)
{
	struct gch_cache *c = h->cache[cache];
	u64 bytes = (u64)nslots << GCHEAP_SLOT_SHIFT;
	struct gcheap_span *d;
	struct gch_slot *s;
	u32 id, i;

	if (!gch_heap_fits(h, bytes))
		return -ENOMEM;
	id = gch_run_alloc(h, nslots);
	if (id == GCH_NO_RUN)
		return -ENOMEM;
	d = gch_desc(h, id);
	d->nslots = nslots;
	d->recip = c->recip;
	d->cell_granules = c->cell_size / GCHEAP_GRANULE;
	d->bytes = 0;
	d->cache = cache;
	d->ncells = ncells;
	d->nlive = 0;
	d->flags = span_flags(h, c, id, nslots);
	if (span_bits(h, id, d)) {
		d->flags = 0;
		gch_run_free(h, id, nslots);
		return -ENOMEM;
	}
	s = gch_slot(h, id);
	s->qnext = 0;
	s->lnext = 0;
	s->lprev = 0;
	s->bytes = gch_slot_bytes(d);
	s->commit = GCH_COMMITTED;
	s->owner = 0;
	if (nslots > 1)
		gch_slot(h, id + 1)->elems = 0;
	for (i = 0; i < nslots; i++)
		WRITE_ONCE(gch_desc(h, id + i)->head, id + 1);
	c->nspans++;
	gch_chunk(h, id / GCHEAP_CHUNK_SLOTS)->nasks += c->layout == GCHEAP_ASK;
	gch_heap_grown(h, bytes);
	*id_out = id;
	return 0;
}

/** gch_span_bare() - a new span of a cache, in no list and nobody's: 0 or -ENOMEM */
int gch_span_bare(struct gch_heap *h, u32 cache, u32 *id)
{
	const struct gch_cache *c = h->cache[cache];

	return span_make(h, cache, c->slots, c->ncells, id);
}

/* It does not count any more. */
static void span_leave(struct gch_heap *h, u32 id, const struct gcheap_span *d)
{
	struct gch_cache *c = h->cache[d->cache];

	c->nspans--;
	gch_chunk(h, id / GCHEAP_CHUNK_SLOTS)->nasks -= c->layout == GCHEAP_ASK;
	h->n.heap_bytes -= (u64)d->nslots << GCHEAP_SLOT_SHIFT;
}

static void span_unmake(struct gch_heap *h, u32 id)
{
	struct gcheap_span *d = gch_desc(h, id);
	u32 n = d->nslots, i;

	gch_slot(h, id)->bytes = 0;
	d->state = GCHEAP_SPAN_FREE;
	d->flags = 0;
	for (i = 0; i < n; i++)
		WRITE_ONCE(gch_desc(h, id + i)->head, 0);
	gch_run_free(h, id, n);
}

/** gch_span_free() - give a span without live cells back; not in any list */
void gch_span_free(struct gch_heap *h, u32 id)
{
	struct gcheap_span *d = gch_desc(h, id);

	env_assert_held(&h->lock);
	if (d->flags & GCHEAP_SPANF_MESHED)
		h->ops->drop(h, id, d->nslots);
	span_leave(h, id, d);
	span_unmake(h, id);
}

/**
 * gch_span_moved() - a span's cells are elsewhere: it takes addresses, and nothing else
 *
 * R7: until gch_span_reuse(). Its cache may be destroyed meanwhile.
 */
void gch_span_moved(struct gch_heap *h, u32 id)
{
	struct gcheap_span *d = gch_desc(h, id);

	d->state = GCHEAP_SPAN_MOVED;
	h->moved_slots += d->nslots;
	span_leave(h, id, d);
}

/** gch_span_reuse() - the addresses may be those of other objects from now on */
void gch_span_reuse(struct gch_heap *h, u32 id)
{
	h->moved_slots -= gch_desc(h, id)->nslots;
	span_unmake(h, id);
}

/* The first span of a cache's list that is swept, or is worth it when it is. */
static bool partial_pop(struct gch_heap *h, struct gch_cache *c, u32 *id)
{
	while (c->partial) {
		*id = c->partial - 1;
		if (!gch_span_unswept(h, gch_desc(h, *id))) {
			gch_span_unlist(h, *id);
			return true;
		}
		gch_sweep_span(h, *id);
	}
	return false;
}

#define SPLIT_TRIES	8	/* spans looked at for one that can be split */

/*
 * R17: one whose pages share frames, when there is neither another one nor room for a new
 * one. Return: 0, -EAGAIN: the sweep has made room, -EBUSY: pages are pinned, for now,
 * -ENOBUFS as of ops->split(), -ENOMEM: there is none.
 */
static int span_split(struct gch_heap *h, struct gch_cache *c, u32 *id)
{
	u64 before = h->n.heap_bytes;
	int err = -ENOMEM, tries;

	for (tries = 0; tries < SPLIT_TRIES && c->meshed; tries++) {
		*id = (c->split_at ?: c->meshed) - 1;
		if (gch_span_unswept(h, gch_desc(h, *id)))
			gch_sweep_span(h, *id);
		if (h->n.heap_bytes < before)
			return -EAGAIN;
		err = gch_rule(17) ? h->ops->split(h, *id) : 0;
		if (err != -EBUSY)
			break;
		c->split_at = gch_slot(h, *id)->lnext;
	}
	if (err)
		return err;
	gch_span_unlist(h, *id);
	gch_desc(h, *id)->flags &= ~GCHEAP_SPANF_MESHED;
	return 0;
}

/* Take a span with free cells off its cache's list; sweep until there is one. */
static bool span_partial(struct gch_heap *h, struct gch_cache *c, u32 *id)
{
	u32 rounds = 8;		/* bound what one call does for all */
	bool more = true;

	while (!partial_pop(h, c, id)) {
		if (!more || !rounds--)
			return false;
		more = gch_sweep_some(h, 32);
	}
	return true;
}

/* Where there is no room for one, one that shares frames; not where a table is lacking. */
static int span_new(struct gch_heap *h, u32 cache, u32 *id)
{
	struct gch_cache *c = h->cache[cache];
	int err, rounds = 8;

	do {
		err = span_make(h, cache, c->slots, c->ncells, id);
		if (!err || h->reserve.want || h->reserve.want_pages)
			return err;
		err = span_split(h, c, id);
	} while (err == -EAGAIN && rounds--);
	return err == -EAGAIN ? -ENOMEM : err;
}

/**
 * gch_span_take() - a span with free cells for a thread
 * @thread: its number
 * @cache: cache in use, not a large one
 * @id: out: the span, GCHEAP_SPAN_OWNED, swept, commit point 0
 *
 * Return: 0, -ENOMEM: no room, no memory or the limit; -ENOBUFS, -EBUSY as of ops->split().
 */
int gch_span_take(struct gch_heap *h, u32 thread, u32 cache, u32 *id)
{
	struct gch_cache *c = h->cache[cache];
	struct gcheap_span *d;
	struct gch_slot *s;
	u64 bytes;
	int err;

	env_assert_held(&h->lock);
	if (!span_partial(h, c, id)) {
		err = span_new(h, cache, id);
		if (err)
			return err;
	}
	d = gch_desc(h, *id);
	s = gch_slot(h, *id);
	d->state = GCHEAP_SPAN_OWNED;
	d->flags &= ~GCHEAP_SPANF_IDLE;
	s->owner = thread;
	s->commit = 0;
	bytes = (u64)(d->ncells - d->nlive) * c->cell_size;
	h->n.alloc_bytes += bytes;
	h->n.alloc_since += bytes;
	h->n.spans_handed++;
	return 0;
}

/*
 * Free cells of [lo, hi) that have been handed out while marking is under way. What
 * they hold was written since, so that it is on dirty pages: they count as scanned,
 * unless they are on the queue for a scan.
 */
static void mark_black(struct gch_heap *h, u32 id, u32 lo, u32 hi)
{
	const struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
	const struct gcheap_span *d = gch_desc(h, id);
	const u64 *live = gch_chunk_live(c, id);
	u32 w;

	for (w = lo / 64; w < gch_bit_words(hi); w++) {
		u64 *mark = gch_chunk_mark(c, id, w);
		u64 cells = ~live[w] & ~*mark & gch_word_mask(w, lo, hi);

		*mark |= cells;
		if (!(d->flags & GCHEAP_SPANF_NOSCAN))
			gch_chunk_scanned(c, id)[w] |= cells;
		h->n.black_objects += env_weight64(cells);
		h->n.black_bytes += (u64)env_weight64(cells) * d->cell_granules *
			GCHEAP_GRANULE;
	}
}

/** gch_large_slots() - slots of an object of so many bytes; 0: there cannot be one */
u32 gch_large_slots(const struct gch_heap *h, u64 bytes)
{
	/* Cells are measured in granules, in 32 bits. */
	if (bytes > h->size || bytes > (u64)U32_MAX * GCHEAP_GRANULE)
		return 0;
	return (bytes + GCHEAP_SLOT_SIZE - 1) >> GCHEAP_SLOT_SHIFT;
}

/**
 * gch_span_large() - a span of one object
 * @cache: cache in use, a large one
 * @bytes: size, at least 1
 * @id: out: the span, its cell live
 *
 * Return: 0 or -ENOMEM.
 */
int gch_span_large(struct gch_heap *h, u32 cache, u64 bytes, u32 *id)
{
	u32 slots = gch_large_slots(h, bytes);
	struct gcheap_span *d;
	int err;

	env_assert_held(&h->lock);
	if (!slots)
		return -ENOMEM;
	err = span_make(h, cache, slots, 1, id);
	if (err)
		return err;
	d = gch_desc(h, *id);
	d->bytes = bytes;
	d->cell_granules = gch_granules_of(bytes);
	gch_slot(h, *id)->bytes = gch_slot_bytes(d);
	d->nlive = 1;
	d->state = GCHEAP_SPAN_LARGE;
	if (h->black)
		mark_black(h, *id, 0, 1);
	gch_live(h, *id)[0] = 1;
	h->n.alloc_bytes += bytes;
	h->n.alloc_large_bytes += bytes;
	h->n.alloc_since += bytes;
	return 0;
}

/**
 * gch_large_zeroed() - what a large object holds is what its program has put there
 *
 * Until then it may be what is left from earlier use, and has no GCHEAP_SPANF_ZERO.
 */
void gch_large_zeroed(struct gch_heap *h, u32 id)
{
	struct gcheap_span *d = gch_desc(h, id);

	env_assert_held(&h->lock);
	WRITE_ONCE(d->flags, d->flags | GCHEAP_SPANF_ZERO);
}

/* Live cells from a cell on; there are no bits beyond the last (V7). */
static u32 live_from(const struct gch_heap *h, u32 id, u32 cell)
{
	u32 words = gch_bit_words(gch_desc(h, id)->ncells), w = cell / 64, n;
	const u64 *live = gch_live(h, id);

	if (w == words)
		return 0;
	for (n = env_weight64(live[w] >> cell % 64); ++w < words; )
		n += env_weight64(live[w]);
	return n;
}

/**
 * gch_span_commit() - account the cells a thread has handed out
 * @id: owned span; swept here if it was not, since what moves below the commit
 *	point would be dead to that sweep
 * @cursor: cells below it are allocated; the program's word, checked here
 *
 * Sets their live bits, and while marking is under way their mark bits. The commit
 * point never moves back, whatever the program writes. The thread looks only at bits
 * from its cursor on, so it does not see them change.
 */
void gch_span_commit(struct gch_heap *h, u32 id, u32 cursor)
{
	struct gcheap_span *d = gch_desc(h, id);
	struct gch_slot *s = gch_slot(h, id);
	u64 *live = gch_live(h, id), first;
	u32 w;

	env_assert_held(&h->lock);
	if (gch_span_unswept(h, d))
		gch_sweep_span(h, id);
	cursor = min_t(u32, cursor, d->ncells);
	if (cursor <= s->commit)
		return;
	if (h->black)
		mark_black(h, id, s->commit, cursor);
	first = ~0ull << s->commit % 64;
	for (w = s->commit / 64; w < cursor / 64; w++, first = ~0ull)
		WRITE_ONCE(live[w], live[w] | first);
	if (cursor % 64)
		WRITE_ONCE(live[w], live[w] | (first & ~(~0ull << cursor % 64)));
	s->commit = cursor;
}

/* A word may have led to a cell that turns out not to have been handed out (V9). */
static void unmark_free(struct gch_heap *h, u32 id)
{
	const struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
	const struct gcheap_span *d = gch_desc(h, id);
	const u64 *live = gch_chunk_live(c, id);
	u32 w;

	for (w = 0; w < gch_bit_words(d->ncells); w++) {
		*gch_chunk_mark(c, id, w) &= live[w];
		if (!(d->flags & GCHEAP_SPANF_NOSCAN))
			gch_chunk_scanned(c, id)[w] &= live[w];
	}
}

/**
 * gch_span_drop_empty() - free the spans that have emptied while marking was under way
 */
void gch_span_drop_empty(struct gch_heap *h)
{
	u32 id = 0, first, n;

	env_assert_held(&h->lock);
	for (; id < h->top; id += n) {
		struct gcheap_span *d = gch_span_at(h, id, &first);

		n = d ? d->nslots - (id - first) : 1;
		if (!d || gch_span_owned(d) || d->nlive || d->state == GCHEAP_SPAN_MOVED)
			continue;
		if (d->state == GCHEAP_SPAN_PARTIAL)
			gch_span_unlist(h, first);
		gch_span_free(h, first);
	}
}

/** gch_span_put_back() - a span is nobody's any more: in its cache's list, or full */
void gch_span_put_back(struct gch_heap *h, u32 id)
{
	struct gcheap_span *d = gch_desc(h, id);

	if (d->nlive < d->ncells) {
		gch_span_list(h, id);
	} else {
		d->state = GCHEAP_SPAN_FULL;
		gch_slot(h, id)->commit = GCH_FULL;
	}
}

/**
 * gch_span_retire() - take an owned span back from its thread
 * @cursor: as for gch_span_commit(); exact, since the thread is in a call or dead
 */
void gch_span_retire(struct gch_heap *h, u32 id, u32 cursor)
{
	struct gcheap_span *d = gch_desc(h, id);
	u64 unused;
	u32 done;

	env_assert_held(&h->lock);
	gch_span_commit(h, id, cursor);
	done = gch_slot(h, id)->commit;
	d->nlive = live_from(h, id, 0);
	d->flags &= ~GCHEAP_SPANF_ZERO;
	unused = d->ncells - done - live_from(h, id, done);
	unused *= h->cache[d->cache]->cell_size;
	h->n.alloc_bytes -= min(unused, h->n.alloc_bytes);
	h->n.alloc_since -= min(unused, h->n.alloc_since);
	gch_slot(h, id)->owner = 0;
	unmark_free(h, id);
	if (!d->nlive && !h->black)
		gch_span_free(h, id);
	else
		gch_span_put_back(h, id);
}
