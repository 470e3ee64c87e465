// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verifier: what has to hold of the whole structure whenever the heap lock is
 * held and no core function is at work. It trusts no link that it has not checked,
 * and reports the first thing wrong by number:
 *
 *  V1  slots of a span have its head and are used; free slots have neither
 *  V2  a chunk's count of used slots; no free slot in a chunk below first_free
 *  V3  a span's geometry is its cache's; it lies in one block, or is large
 *  V4  state, count of live cells and GCH_FULL agree with the live bits
 *  V5  lists of spans with free cells hold all of these and nothing else
 *  V6  owned spans are in their owner's batch, once, and nothing else is
 *  V7  no bit at or above the number of cells; commit point within, or one of no owner's
 *  V8  no span awaits the sweep but in phase SWEEP
 *  V9  queue empty outside of marking; at its end all that is marked is scanned,
 *      and only allocated cells are marked
 *  V10 bytes in spans, spans of a cache, metadata, frames: recounted
 *  V11 finalizers: chains, lists and counts; they are for allocated cells
 *  V12 only spans with free cells, that nobody owns, are idle or meshed; or those whose
 *      cells move, or have moved
 *  V13 pages share frames in rings, in meshed spans only, and no granule of one is live in
 *      two of them
 *  V14 spans are emptied and filled, and pages stale, only while cells move (E1); the stale
 *      pages recounted
 *  V15 links: chains and counts; their objects and holders are allocated cells, and the words in
 *      these; what is noted is so while marking, or till the sweep
 */
#include "heap.h"

struct verifier {
	const struct gch_heap *h;
	struct gch_fault *f;
	u64 heap_bytes, meta_bytes, frames, meshed, stale;
	u32 nowned, moved;
	u32 asks;
};

static bool wrong(struct verifier *v, u32 code, u32 where, u64 detail)
{
	v->f->code = code;
	v->f->where = where;
	v->f->detail = detail;
	return false;
}

/* The span that starts at a slot, by a number that may be anything; NULL: none. */
static struct gcheap_span *span_of(struct verifier *v, u32 id)
{
	const struct gch_heap *h = v->h;
	struct gch_chunk *c;

	if (id >= h->nslots)
		return NULL;
	c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
	if (!c || !c->desc[id % GCHEAP_CHUNK_SLOTS / GCH_DESC_SLOTS])
		return NULL;
	return gch_desc(h, id)->head == id + 1 ? gch_desc(h, id) : NULL;
}

static bool is_live(const struct gch_heap *h, u32 id, u32 cell)
{
	return gch_live(h, id)[cell / 64] & (1ull << (cell % 64));
}

static bool check_head(struct verifier *v, u32 id)
{
	const struct gch_heap *h = v->h;
	const struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
	u32 i = id % GCHEAP_CHUNK_SLOTS, head = 0;
	bool used = c->used[i / 64] & (1ull << (i % 64));
	struct gcheap_span *d;

	if (c->desc[i / GCH_DESC_SLOTS])
		head = gch_desc(h, id)->head;
	if (!used && c->slot[i / GCH_KERN_SLOTS] && gch_chunk_slot(c, i)->bytes)
		return wrong(v, 1, id, gch_chunk_slot(c, i)->bytes);
	if (!used)
		return head ? wrong(v, 1, id, head) : true;
	if (!head || id >= h->top)
		return wrong(v, 1, id, head);
	d = span_of(v, head - 1);
	if (!d || id < head - 1 || id - (head - 1) >= d->nslots)
		return wrong(v, 1, id, head);
	/* A span's own slots are counted from its first. */
	if (id == head - 1 && (id > h->top || d->nslots > h->top - id))
		return wrong(v, 1, id, d->nslots);
	return true;
}

/* Every slot of a span is its own; gaps are found at the slots themselves. */
static bool check_slots(struct verifier *v, u32 id, const struct gcheap_span *d)
{
	u32 i;

	for (i = 0; i < d->nslots; i++) {
		const struct gch_chunk *c;
		u32 at = (id + i) % GCHEAP_CHUNK_SLOTS;

		c = gch_chunk(v->h, (id + i) / GCHEAP_CHUNK_SLOTS);
		if (!c || !c->desc[at / GCH_DESC_SLOTS] ||
		    !(c->used[at / 64] & (1ull << (at % 64))) ||
		    gch_desc(v->h, id + i)->head != id + 1 ||
		    (i && gch_slot(v->h, id + i)->bytes))
			return wrong(v, 1, id + i, id + 1);
	}
	return true;
}

static bool check_large(const struct gch_cache *c, const struct gcheap_span *d)
{
	return c->flags & GCHEAP_CACHE_LARGE && d->ncells == 1 && !d->recip &&
	       d->bytes && d->cell_granules ==
	       gch_granules_of(d->bytes) &&
	       d->nslots == (d->bytes + GCHEAP_SLOT_SIZE - 1) >> GCHEAP_SLOT_SHIFT;
}

static bool check_small(const struct gch_cache *c, const struct gcheap_span *d,
			u32 id)
{
	return !(c->flags & GCHEAP_CACHE_LARGE) && !d->bytes &&
	       d->nslots == c->slots && d->ncells == c->ncells &&
	       d->recip == c->recip &&
	       d->cell_granules * GCHEAP_GRANULE == c->cell_size &&
	       d->nslots <= GCH_SPAN_SLOTS_MAX &&
	       id / GCH_BLOCK_SLOTS == (id + d->nslots - 1) / GCH_BLOCK_SLOTS;
}

static bool check_geometry(struct verifier *v, u32 id,
			   const struct gcheap_span *d)
{
	const struct gch_slot *s = gch_slot(v->h, id);
	bool large = d->state == GCHEAP_SPAN_LARGE, noscan;
	const struct gch_cache *c;

	if (d->state == GCHEAP_SPAN_MOVED)
		return true;
	if (d->cache >= v->h->ncaches || !v->h->cache[d->cache])
		return wrong(v, 3, id, d->cache);
	c = v->h->cache[d->cache];
	if (!(large ? check_large(c, d) : check_small(c, d, id)))
		return wrong(v, 3, id, d->nslots);
	noscan = c->layout == GCHEAP_NOSCAN;
	if (!(d->flags & GCHEAP_SPANF_NOSCAN) == noscan)
		return wrong(v, 3, id, d->flags);
	if (s->recip != d->recip || s->bytes != gch_slot_bytes(d))
		return wrong(v, 3, id, s->bytes);
	return true;
}

static u32 weight(const u64 *bits, u32 words)
{
	u32 n = 0;

	while (words--)
		n += env_weight64(bits[words]);
	return n;
}

static bool check_state(struct verifier *v, u32 id, const struct gcheap_span *d)
{
	u32 live = weight(gch_live(v->h, id), gch_bit_words(d->ncells));
	bool full = gch_slot(v->h, id)->commit == GCH_FULL;
	bool ok = d->nlive == live && (live || gch_span_may_be_empty(v->h, d));

	if (d->flags & (GCHEAP_SPANF_IDLE | GCHEAP_SPANF_MESHED) &&
	    d->state != GCHEAP_SPAN_PARTIAL && d->state != GCHEAP_SPAN_SOURCE &&
	    d->state != GCHEAP_SPAN_MOVED)
		return wrong(v, 12, id, d->state);
	switch (d->state) {
	case GCHEAP_SPAN_OWNED:
		v->nowned++;
		return true;
	case GCHEAP_SPAN_PARTIAL:
		v->h->cache[d->cache]->seen_partial++;
		ok = ok && live < d->ncells && !full;
		break;
	case GCHEAP_SPAN_FULL:
		ok = ok && live == d->ncells && full;
		break;
	case GCHEAP_SPAN_LARGE:
		ok = ok && !full;
		break;
	case GCHEAP_SPAN_SOURCE:
	case GCHEAP_SPAN_TARGET:
		if (v->h->evac.state == GCH_EVAC_NONE)
			return wrong(v, 14, id, d->state);
		ok = d->nlive == live && !full;
		break;
	case GCHEAP_SPAN_MOVED:
		ok = d->nlive == live && (!live || v->h->evac.state == GCH_EVAC_FLIPPED);
		break;
	default:
		ok = false;
	}
	return ok || wrong(v, 4, id, (u64)d->state << 32 | live);
}

static bool check_bits(struct verifier *v, u32 id, const struct gcheap_span *d)
{
	u32 commit = gch_slot(v->h, id)->commit;
	u32 last = gch_bit_words(d->ncells) - 1;
	u64 beyond = ~gch_word_mask(last, 0, d->ncells), mark = *gch_mark(v->h, id, last);

	if (gch_live(v->h, id)[last] & beyond)
		return wrong(v, 7, id, gch_live(v->h, id)[last]);
	if (!(d->flags & GCHEAP_SPANF_NOSCAN))
		mark |= gch_scanned(v->h, id)[last];
	if (mark & beyond)
		return wrong(v, 7, id, mark);
	if (gch_span_owned(d) ? commit > d->ncells : commit != GCH_COMMITTED && commit != GCH_FULL)
		return wrong(v, 7, id, commit);
	return true;
}

static bool check_owner(struct verifier *v, u32 id, const struct gcheap_span *d)
{
	u32 owner = gch_slot(v->h, id)->owner, k, n = 0;
	const struct gch_batch *b;

	if (d->state == GCHEAP_SPAN_LARGE)
		return owner < v->h->max_threads || wrong(v, 6, id, owner);
	if (!gch_span_owned(d))
		return !owner || wrong(v, 6, id, owner);
	if (owner >= v->h->max_threads || !v->h->thread[owner])
		return wrong(v, 6, id, owner);
	b = v->h->thread[owner]->batch[d->cache];
	for (k = 0; b && k < b->n && k < GCHEAP_BATCH; k++)
		n += b->span[k] == id;
	return n == 1 || wrong(v, 6, id, n);
}

static bool check_colour(struct verifier *v, u32 id, const struct gcheap_span *d)
{
	if (v->h->phase == GCHEAP_PHASE_SWEEP || !gch_span_unswept(v->h, d))
		return true;
	return wrong(v, 8, id, d->flags);
}

/* The next page of a ring, by a number that may be anything: of a span that may be in one. */
static bool next_shared(struct verifier *v, u64 page, u64 *next, u32 *id)
{
	const struct gch_heap *h = v->h;
	const struct gcheap_span *d;
	const struct gch_chunk *c;

	*next = gch_mesh_next(h, page);
	*id = *next / GCH_SLOT_PAGES;
	if (*id >= h->top)
		return false;
	c = gch_chunk(h, *id / GCHEAP_CHUNK_SLOTS);
	if (!c || !c->desc[*id % GCHEAP_CHUNK_SLOTS / GCH_DESC_SLOTS] || !gch_desc(h, *id)->head)
		return false;
	*id = gch_desc(h, *id)->head - 1;
	d = span_of(v, *id);
	return d && d->flags & GCHEAP_SPANF_MESHED && gch_mesh_next(h, *next) != *next &&
	       gch_heap_frame(h, *next) == gch_heap_frame(h, page);
}

/* A ring, from its first page: all of it has been seen when that comes again. */
static bool check_ring(struct verifier *v, u64 page, u32 id)
{
	struct gch_granules all = { }, one;
	u64 at = page, n = 0;

	do {
		memset(&one, 0, sizeof(one));
		gch_mesh_cells(v->h, at, id, &one);
		if (!gch_granules_disjoint(&all, &one))
			return wrong(v, 13, id, at);
		gch_granules_add(&all, &one);
		if (!next_shared(v, at, &at, &id) || n++ > v->h->n.meshed_pages)
			return wrong(v, 13, id, at);
		if (at < page)
			return true;	/* seen from there */
	} while (at != page);
	v->meshed += n - 1;
	return true;
}

static bool check_shared(struct verifier *v, u32 id, const struct gcheap_span *d)
{
	u64 page = (u64)id * GCH_SLOT_PAGES, end = page + (u64)d->nslots * GCH_SLOT_PAGES;

	if (d->state == GCHEAP_SPAN_LARGE)
		return true;
	for (; page < end; page++) {
		if (gch_mesh_next(v->h, page) == page)
			continue;
		if (!(d->flags & GCHEAP_SPANF_MESHED) || !check_ring(v, page, id))
			return wrong(v, 13, id, page);
	}
	return true;
}

static bool marking(const struct gch_heap *h)
{
	return h->phase == GCHEAP_PHASE_MARK || h->phase == GCHEAP_PHASE_TRACE ||
	       h->phase == GCHEAP_PHASE_FINALIZE ||
	       (h->phase == GCHEAP_PHASE_STOP && h->black);
}

static bool check_marks(struct verifier *v, u32 id, const struct gcheap_span *d)
{
	const struct gch_slot *s = gch_slot(v->h, id);
	u32 words = gch_bit_words(d->ncells), w;

	if (s->qnext && !marking(v->h))
		return wrong(v, 9, id, s->qnext);
	if (v->h->phase != GCHEAP_PHASE_FINISH)
		return true;
	for (w = 0; w < words; w++) {
		u64 may = gch_live(v->h, id)[w], mark = *gch_mark(v->h, id, w);

		if (gch_span_owned(d))
			may |= gch_word_mask(w, s->commit, d->ncells);
		if (mark & ~may)
			return wrong(v, 9, id, mark);
		if (!(d->flags & GCHEAP_SPANF_NOSCAN) && mark != gch_scanned(v->h, id)[w])
			return wrong(v, 9, id, mark);
	}
	return true;
}

static bool check_span(struct verifier *v, u32 id, const struct gcheap_span *d)
{
	if (!check_slots(v, id, d) || !check_geometry(v, id, d) ||
	    !check_bits(v, id, d) || !check_state(v, id, d) ||
	    !check_owner(v, id, d) || !check_colour(v, id, d) ||
	    !check_shared(v, id, d) || !check_marks(v, id, d))
		return false;
	if (d->state == GCHEAP_SPAN_MOVED) {
		v->moved += d->nslots;
		return true;
	}
	v->heap_bytes += (u64)d->nslots << GCHEAP_SLOT_SHIFT;
	v->h->cache[d->cache]->seen_spans++;
	v->asks += v->h->cache[d->cache]->layout == GCHEAP_ASK;
	return true;
}

static u64 chunk_frames(const struct gch_chunk *c)
{
	u64 n = 0;
	u32 i, p;

	for (i = 0; i < GCHEAP_CHUNK_SLOTS; i++) {
		if (!c->slot[i / GCH_KERN_SLOTS])
			continue;
		for (p = 0; p < GCH_SLOT_PAGES; p++)
			n += !!gch_chunk_slot(c, i)->frame[p];
	}
	return n;
}

static bool check_chunk(struct verifier *v, u32 number)
{
	const struct gch_chunk *c = gch_chunk(v->h, number);
	u32 first = number * GCHEAP_CHUNK_SLOTS, id, used;

	v->asks = 0;
	used = weight(c->used, ARRAY_SIZE(c->used));
	if (c->nused != used)
		return wrong(v, 2, first, used);
	if (number < v->h->first_free && used != GCHEAP_CHUNK_SLOTS)
		return wrong(v, 2, first, v->h->first_free);
	for (id = first; id < first + GCHEAP_CHUNK_SLOTS; id++) {
		const struct gcheap_span *d;

		if (!check_head(v, id))
			return false;
		d = span_of(v, id);
		if (!d)
			continue;
		if (!check_span(v, id, d))
			return false;
	}
	if (c->nasks != v->asks)
		return wrong(v, 10, first, c->nasks);
	v->stale += weight(c->stale, ARRAY_SIZE(c->stale));
	v->meta_bytes += gch_chunk_pages(c) * GCH_PAGE_SIZE + sizeof(*c);
	v->frames += chunk_frames(c);
	return true;
}

static bool check_chunks(struct verifier *v)
{
	u32 leaf, i;

	for (leaf = 0; leaf < v->h->ndir; leaf++) {
		if (!v->h->dir[leaf]) {
			if (v->h->first_free > leaf << GCH_LEAF_SHIFT)
				return wrong(v, 2, leaf, v->h->first_free);
			continue;
		}
		v->meta_bytes += GCH_LEAF_CHUNKS * sizeof(**v->h->dir);
		for (i = 0; i < GCH_LEAF_CHUNKS; i++) {
			u32 c = (leaf << GCH_LEAF_SHIFT) + i;

			if (gch_chunk(v->h, c) && !check_chunk(v, c))
				return false;
			if (!gch_chunk(v->h, c) && c < v->h->first_free)
				return wrong(v, 2, c * GCHEAP_CHUNK_SLOTS, c);
			env_yield();
		}
	}
	return true;
}

static bool check_links(struct verifier *v, u32 cache, u32 list, bool meshed, u32 *n)
{
	u32 prev = 0, link;

	for (link = list; link; link = gch_slot(v->h, link - 1)->lnext) {
		const struct gcheap_span *d = span_of(v, link - 1);

		if (!d || d->cache != cache || d->state != GCHEAP_SPAN_PARTIAL ||
		    !(d->flags & GCHEAP_SPANF_MESHED) == meshed ||
		    gch_slot(v->h, link - 1)->lprev != prev ||
		    (*n)++ == v->h->cache[cache]->npartial)
			return wrong(v, 5, cache, link);
		prev = link;
	}
	return true;
}

static bool check_list(struct verifier *v, u32 cache)
{
	const struct gch_cache *c = v->h->cache[cache];
	u32 n = 0;

	if (!check_links(v, cache, c->partial, false, &n) ||
	    !check_links(v, cache, c->meshed, true, &n))
		return false;
	if (n != c->npartial || n != c->seen_partial)
		return wrong(v, 5, cache, n);
	if (c->nspans != c->seen_spans)
		return wrong(v, 10, cache, c->seen_spans);
	return true;
}

static bool check_lists(struct verifier *v)
{
	u32 i;

	for (i = 0; i < GCHEAP_MAX_CACHES; i++) {
		if (!v->h->cache[i])
			continue;
		if (i >= v->h->ncaches)
			return wrong(v, 3, i, 0);
		if (!check_list(v, i))
			return false;
	}
	return true;
}

/* As many places in batches as owned spans, each of which was found in one. */
static bool check_batches(struct verifier *v)
{
	u32 t, c, n = 0, threads = 0;

	for (t = 0; t < v->h->max_threads; t++) {
		if (!v->h->thread[t])
			continue;
		threads++;
		for (c = 0; c < GCHEAP_MAX_CACHES; c++) {
			const struct gch_batch *b = v->h->thread[t]->batch[c];

			if (b && b->n > GCHEAP_BATCH)
				return wrong(v, 6, t, b->n);
			n += b ? b->n : 0;
		}
	}
	if (threads != v->h->nthreads || n != v->nowned)
		return wrong(v, 6, threads, n);
	return true;
}

static bool check_totals(struct verifier *v)
{
	const struct gch_heap *h = v->h;

	if (h->n.heap_bytes != v->heap_bytes || h->n.heap_peak < v->heap_bytes)
		return wrong(v, 10, 0, v->heap_bytes);
	v->meta_bytes += gch_link_bytes(h);
	if (h->n.meta_bytes != v->meta_bytes)
		return wrong(v, 10, 1, v->meta_bytes);
	if (h->n.meshed_pages != v->meshed)
		return wrong(v, 10, 3, v->meshed);
	if (h->n.resident_pages != v->frames - v->meshed)
		return wrong(v, 10, 2, v->frames);
	if (h->moved_slots != v->moved)
		return wrong(v, 10, 4, v->moved);
	if (h->evac.nstale != v->stale || (v->stale && h->evac.state == GCH_EVAC_NONE))
		return wrong(v, 14, 0, v->stale);
	if (!marking(h) && (h->qhead || h->qtail || h->qlen || h->shared || h->nbusy ||
			    h->worker->ahead.n || h->ask_head || h->ask_tail))
		return wrong(v, 9, h->qhead, h->qlen);
	return true;
}

/* An address that has a finalizer is that of an allocated cell. */
static bool final_allocated(struct verifier *v, u64 addr)
{
	const struct gch_heap *h = v->h;
	struct gch_ref r;

	if (!gch_resolve(h, addr, &r) || gch_ref_addr(h, &r) != addr)
		return false;
	return is_live(h, r.id, r.cell) || r.cell >= gch_slot(h, r.id)->commit;
}

static bool check_chain(struct verifier *v, u32 bucket, u32 *n)
{
	const struct gch_finals *f = &v->h->finals;
	u32 i;

	for (i = f->hash[bucket]; i; i = f->pool[i - 1].hnext) {
		if (i > f->cap || (*n)++ == f->cap ||
		    (f->pool[i - 1].state != GCH_FINAL_SET &&
		     f->pool[i - 1].state != GCH_FINAL_READY))
			return wrong(v, 11, bucket, i);
		if (gch_final_bucket(f, f->pool[i - 1].addr) != bucket ||
		    !final_allocated(v, f->pool[i - 1].addr))
			return wrong(v, 11, bucket, f->pool[i - 1].addr);
	}
	return true;
}

/* @gone: out: of objects that have been freed */
static bool check_ready(struct verifier *v, u32 *gone)
{
	const struct gch_finals *f = &v->h->finals;
	u32 i, last = 0, n = 0, looked = 0;

	for (i = f->ready_head; i; i = f->pool[i - 1].rnext) {
		if (i > f->cap || n++ == f->ready + f->dying ||
		    (f->pool[i - 1].state != GCH_FINAL_READY &&
		     f->pool[i - 1].state != GCH_FINAL_GONE))
			return wrong(v, 11, i, n);
		*gone += f->pool[i - 1].state == GCH_FINAL_GONE;
		last = i;
		if (n == f->looked)
			looked = i;
	}
	if (f->looked > f->ready || looked != f->looked_tail)
		return wrong(v, 11, looked, f->looked);
	return (n == f->ready + f->dying && last == f->ready_tail) || wrong(v, 11, last, n);
}

static bool check_orders(struct verifier *v)
{
	const struct gch_finals *f = &v->h->finals;
	u32 count[GCH_ORDERS] = { }, i;

	for (i = 0; i < f->cap; i++) {
		if (f->pool[i].state != GCH_FINAL_SET)
			continue;
		if (f->pool[i].order >= GCH_ORDERS)
			return wrong(v, 11, i, f->pool[i].order);
		count[f->pool[i].order]++;
	}
	for (i = 0; i < GCH_ORDERS; i++)
		if (count[i] != f->ordered[i])
			return wrong(v, 11, i, count[i]);
	return true;
}

static bool check_finals(struct verifier *v)
{
	const struct gch_finals *f = &v->h->finals;
	u32 i, n = 0, gone = 0;

	if (f->cap & (f->cap - 1))
		return wrong(v, 11, 0, f->cap);
	if (!check_ready(v, &gone))
		return false;
	for (i = 0; i < f->cap; i++)
		if (!check_chain(v, i, &n))
			return false;
	if (n != f->registered + f->ready + f->dying - gone)
		return wrong(v, 11, 0, n);
	for (i = f->free, n = 0; i; i = f->pool[i - 1].hnext)
		if (i > f->cap || f->pool[i - 1].state != GCH_FINAL_FREE ||
		    n++ == f->cap)
			return wrong(v, 11, i, n);
	if (n + f->registered + f->ready + f->dying != f->cap)
		return wrong(v, 11, 0, n);
	return check_orders(v);
}

/* A link's object that was not freed, and its holder, are allocated cells. */
static bool check_link(struct verifier *v, u32 i)
{
	const struct gch_link *e = &v->h->links.pool[i - 1];
	u64 word = e->key[GCH_LINK_WORD] & ~1ull, holder = e->key[GCH_LINK_HOLDER];
	bool inside = word - v->h->base < v->h->size;
	struct gch_ref r;

	if (word % sizeof(u64) || inside != !!holder)
		return wrong(v, 15, i, word);
	if (!(e->flags & GCH_LINK_ORPHAN) && !final_allocated(v, e->key[GCH_LINK_OBJECT]))
		return wrong(v, 15, i, e->key[GCH_LINK_OBJECT]);
	if (!holder)
		return true;
	if (!final_allocated(v, holder) || !gch_resolve(v->h, holder, &r) ||
	    word < holder || word + sizeof(u64) > holder +
	    (u64)r.d->cell_granules * GCHEAP_GRANULE)
		return wrong(v, 15, i, holder);
	return true;
}

/* One chain. @n: entries found so far in those of its kind. */
static bool check_link_chain(struct verifier *v, u32 c, u32 bucket, u32 *n)
{
	const struct gch_links *l = &v->h->links;
	u32 i, prev = 0;

	for (i = l->head[c * l->cap + bucket]; i; i = l->pool[i - 1].in[c].next) {
		const struct gch_link *e;

		if (i > l->cap)
			return wrong(v, 15, bucket, i);
		e = &l->pool[i - 1];
		if (!(e->flags & GCH_LINK_USED) || e->in[c].prev != prev ||
		    env_hash64(e->key[c], env_ctz64(l->cap)) != bucket || (*n)++ == l->cap ||
		    (c == GCH_LINK_OBJECT && e->flags & GCH_LINK_ORPHAN) ||
		    (c == GCH_LINK_HOLDER && !e->key[c]))
			return wrong(v, 15, bucket, i);
		prev = i;
	}
	return true;
}

static bool check_link_chains(struct verifier *v, const u32 *want)
{
	const struct gch_links *l = &v->h->links;
	u32 c, i, n;

	for (c = 0; c < GCH_LINK_CHAINS; c++) {
		for (i = 0, n = 0; i < l->cap; i++)
			if (!check_link_chain(v, c, i, &n))
				return false;
		if (n != want[c])
			return wrong(v, 15, c, n);
	}
	return true;
}

static bool check_all_links(struct verifier *v)
{
	const struct gch_links *l = &v->h->links;
	u32 want[GCH_LINK_CHAINS] = { }, i, n = 0, wanted = 0;

	if (l->cap & (l->cap - 1) || l->at > l->cap)
		return wrong(v, 15, 0, l->cap);
	for (i = 1; i <= l->cap; i++) {
		const struct gch_link *e = &l->pool[i - 1];
		bool noted = l->noted[(i - 1) / 64] & (1ull << ((i - 1) % 64));

		if (noted && (!(e->flags & GCH_LINK_USED) || i > l->at))
			return wrong(v, 15, i, e->flags);
		if (!(e->flags & GCH_LINK_USED))
			continue;
		wanted += !!(e->flags & GCH_LINK_WANTED);
		want[GCH_LINK_WORD]++;
		want[GCH_LINK_OBJECT] += !(e->flags & GCH_LINK_ORPHAN);
		want[GCH_LINK_HOLDER] += !!e->key[GCH_LINK_HOLDER];
		if (!check_link(v, i))
			return false;
	}
	for (i = l->free; i; i = l->pool[i - 1].in[0].next)
		if (i > l->cap || l->pool[i - 1].flags || n++ == l->cap)
			return wrong(v, 15, i, n);
	if (want[GCH_LINK_WORD] != l->count || l->count + n != l->cap || wanted != l->wanted)
		return wrong(v, 15, 0, l->count);
	return check_link_chains(v, want);
}

/**
 * gch_verify() - check the whole structure
 * @f: out: what is wrong
 *
 * In phase FINISH only when marking is drained. Return: 0, or -EUCLEAN and @f.
 */
int gch_verify(struct gch_heap *h, struct gch_fault *f)
{
	struct verifier v = { .h = h, .f = f };
	u32 i;

	env_assert_held(&h->lock);
	memset(f, 0, sizeof(*f));
	for (i = 0; i < h->ncaches; i++) {
		if (!h->cache[i])
			continue;
		h->cache[i]->seen_spans = 0;
		h->cache[i]->seen_partial = 0;
	}
	return check_chunks(&v) && check_lists(&v) && check_batches(&v) &&
	       check_totals(&v) && check_finals(&v) && check_all_links(&v) ? 0 : -EUCLEAN;
}
