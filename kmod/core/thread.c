// SPDX-License-Identifier: GPL-2.0-only
/* Attached threads and the spans they own. */
#include "heap.h"

/** gch_thread_attach() - a number for a thread: 0, -ENOSPC or -ENOMEM */
int gch_thread_attach(struct gch_heap *h, u32 *number)
{
	struct gch_thread *t;
	u32 i;

	env_assert_held(&h->lock);
	for (i = 0; i < h->max_threads && h->thread[i]; i++)
		;
	if (i == h->max_threads)
		return -ENOSPC;
	t = gch_take(h, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->number = i;
	h->thread[i] = t;
	h->nthreads++;
	*number = i;
	return 0;
}

/* The cell index the cursor stands at in the k-th span of a batch. */
static u32 cursor_in(u64 pos, u32 k, u32 ncells)
{
	u32 at = pos >> 32;

	if (k < at)
		return ncells;
	return k == at ? (u32)pos : 0;
}

static void batch_retire(struct gch_heap *h, struct gch_thread *t, u32 cache)
{
	struct gch_batch *b = t->batch[cache];
	u64 pos = h->ops->tcb_pos(h, t->number, cache);
	u32 k;

	for (k = 0; k < b->n; k++)
		gch_span_retire(h, b->span[k],
				cursor_in(pos, k, gch_desc(h, b->span[k])->ncells));
	b->n = 0;
	h->ops->tcb_reset(h, t->number, cache);
}

/** gch_thread_retire() - take a thread's spans of a cache back
 *
 * The thread is the caller, or proven dead (R14).
 */
void gch_thread_retire(struct gch_heap *h, u32 number, u32 cache)
{
	struct gch_thread *t = h->thread[number];

	env_assert_held(&h->lock);
	if (t->batch[cache])
		batch_retire(h, t, cache);
}

/** gch_thread_free() - forget a thread that owns nothing, or whose heap goes */
void gch_thread_free(struct gch_heap *h, u32 number)
{
	struct gch_thread *t = h->thread[number];
	u32 c;

	for (c = 0; c < GCHEAP_MAX_CACHES; c++)
		env_free(t->batch[c]);
	h->thread[number] = NULL;
	h->nthreads--;
	env_free(t);
}

/** gch_thread_detach() - take all back and forget the thread */
void gch_thread_detach(struct gch_heap *h, u32 number)
{
	gch_free_drain(h, number);
	gch_thread_retire_all(h, number);
	gch_thread_free(h, number);
}

/**
 * gch_thread_spans() - the next batch of spans for a thread
 * @number: thread
 * @cache: cache in use, not a large one
 * @want: 1..GCHEAP_BATCH
 * @got, @span: out
 *
 * Takes its earlier spans of the cache back first. Return: 0, or when there was not even
 * one -errno as of gch_span_take().
 */
int gch_thread_spans(struct gch_heap *h, u32 number, u32 cache, u32 want,
		     u32 *got, u32 *span)
{
	struct gch_thread *t = h->thread[number];
	struct gch_batch *b = t->batch[cache];
	int err = 0;

	env_assert_held(&h->lock);
	*got = 0;
	if (!b) {
		b = gch_take(h, sizeof(*b));
		if (!b)
			return -ENOMEM;
		t->batch[cache] = b;
	}
	batch_retire(h, t, cache);
	h->n.span_calls++;
	while (b->n < want) {
		err = gch_span_take(h, number, cache, &b->span[b->n]);
		if (err)
			break;
		span[b->n] = b->span[b->n];
		b->n++;
	}
	*got = b->n;
	return b->n ? 0 : err;
}

/**
 * gch_thread_large() - a large object for a thread
 *
 * As gch_span_large(); the object is kept alive until the thread's next one or
 * gch_thread_retire_all().
 */
int gch_thread_large(struct gch_heap *h, u32 number, u32 cache, u64 bytes,
		     u32 *id)
{
	int err;

	h->thread[number]->pending = 0;
	err = gch_span_large(h, cache, bytes, id);
	if (err)
		return err;
	h->thread[number]->pending = *id + 1;
	gch_slot(h, *id)->owner = number;
	return 0;
}

/** gch_thread_retire_all() - take all of a thread's spans back */
void gch_thread_retire_all(struct gch_heap *h, u32 number)
{
	u32 c;

	env_assert_held(&h->lock);
	h->thread[number]->pending = 0;
	for (c = 0; c < h->ncaches; c++)
		gch_thread_retire(h, number, c);
}

/*
 * What a thread has freed early since the ring was drained last: kept, since a
 * swept cell may be somebody else's by the time the ring is drained.
 */
static void ring_roots(struct gch_heap *h, u32 number)
{
	struct gcheap_tcb *t = h->ops->tcb(h, number);
	u32 head, tail;

	if (!t)
		return;
	for (tail = gch_free_pending(t, &head); tail != head; tail++) {
		u64 addr = READ_ONCE(t->free_ring[tail % GCHEAP_RING]);

		if (h->evac.state == GCH_EVAC_CHOSEN)
			gch_evac_pin(h, addr - h->base);
		gch_mark_precise(h, &addr, 1);
	}
}

/* A large object by 1 + its span, or 0. */
static void large_root(struct gch_heap *h, u32 large)
{
	u64 addr;

	if (!large)
		return;
	addr = gch_slot_addr(h, large - 1);
	gch_mark_precise(h, &addr, 1);
}

/** gch_thread_roots() - mark what threads were just given, or give back */
void gch_thread_roots(struct gch_heap *h)
{
	u32 i;

	for (i = 0; i < h->max_threads; i++) {
		if (!h->thread[i])
			continue;
		ring_roots(h, i);
		large_root(h, h->thread[i]->pending);
		large_root(h, h->thread[i]->resized);
	}
}

/*
 * The cursor of a thread that may be running, in the k-th span of a batch. R14:
 * one cell back, since the program moves the cursor when it has the cell's
 * address, and may not have put that anywhere yet.
 */
static u32 cursor_before(struct gch_heap *h, const struct gch_batch *b, u32 k,
			 u64 pos)
{
	u32 ncells = gch_desc(h, b->span[k])->ncells, at = pos >> 32;
	u32 cursor = min(cursor_in(pos, k, ncells), ncells);
	bool last = k == at || (k + 1 == at && !(u32)pos);

	return last && cursor && gch_rule(14) ? cursor - 1 : cursor;
}

static u32 place_in_batch(const struct gch_batch *b, u32 id)
{
	u32 k;

	for (k = 0; k < b->n && b->span[k] != id; k++)
		;
	WARN_ON_ONCE(k == b->n);
	return k;
}

/** gch_thread_cursor() - the cell below which all of an owned span is handed out */
u32 gch_thread_cursor(struct gch_heap *h, u32 id)
{
	u32 owner = gch_slot(h, id)->owner, cache = gch_desc(h, id)->cache;
	const struct gch_batch *b = h->thread[owner]->batch[cache];

	env_assert_held(&h->lock);
	return cursor_before(h, b, place_in_batch(b, id),
			     h->ops->tcb_pos(h, owner, cache));
}

/** gch_thread_at() - where an owned span's thread stands in it, by the program's word */
u32 gch_thread_at(struct gch_heap *h, u32 id)
{
	u32 owner = gch_slot(h, id)->owner, cache = gch_desc(h, id)->cache;
	const struct gch_batch *b = h->thread[owner]->batch[cache];

	return cursor_in(h->ops->tcb_pos(h, owner, cache), place_in_batch(b, id),
			 gch_desc(h, id)->ncells);
}

/**
 * gch_thread_handed_out() - whether its thread has handed out a cell of an owned span
 *
 * One above the commit point, by the thread's cursor; it stays black (R14).
 */
bool gch_thread_handed_out(struct gch_heap *h, const struct gch_ref *r)
{
	env_assert_held(&h->lock);
	return r->cell < gch_thread_at(h, r->id);
}

/**
 * gch_thread_reach() - the cell below which an owned span may be handed out by now
 *
 * One more than the cursor says: the program moves it when it has the address. Lock
 * held, or world stopped.
 */
u32 gch_thread_reach(struct gch_heap *h, u32 id)
{
	return min(gch_thread_at(h, id), gch_desc(h, id)->ncells - 1u) + 1;
}

/**
 * gch_thread_commit_cell() - a cell of an owned span is known outside of the call
 *	that handed it out, so that it is out, and all below it
 *
 * Unless the thread's cursor says otherwise. Sweeps the span if need be.
 */
void gch_thread_commit_cell(struct gch_heap *h, const struct gch_ref *r)
{
	env_assert_held(&h->lock);
	gch_span_commit(h, r->id, min(gch_thread_at(h, r->id), r->cell + 1));
}

static void batch_commit(struct gch_heap *h, struct gch_thread *t, u32 cache)
{
	const struct gch_batch *b = t->batch[cache];
	u64 pos = h->ops->tcb_pos(h, t->number, cache);
	u32 k;

	for (k = 0; k < b->n; k++)
		gch_span_commit(h, b->span[k], cursor_before(h, b, k, pos));
}

/*
 * The cell before the cursor, which R14 leaves above the commit point, may have been
 * handed out and written long ago.
 */
static void batch_last(struct gch_heap *h, struct gch_thread *t, u32 cache)
{
	const struct gch_batch *b = t->batch[cache];
	u64 pos = h->ops->tcb_pos(h, t->number, cache), addr;
	u32 k, cell, end;

	for (k = 0; k < b->n; k++) {
		u32 id = b->span[k];
		const struct gcheap_span *d = gch_desc(h, id);

		cell = gch_slot(h, id)->commit;
		end = min_t(u32, cursor_in(pos, k, d->ncells), d->ncells);
		for (; cell < end; cell++) {
			addr = gch_slot_addr(h, id) +
			       (u64)cell * d->cell_granules * GCHEAP_GRANULE;
			gch_mark_precise(h, &addr, 1);
		}
	}
}

/**
 * gch_thread_last_roots() - mark what is handed out above the commit points
 *
 * Marking with the program running begins, and these cells are black without being
 * on pages written since. At most one a thread and cache, if the program's cursor
 * tells the truth. None is put off: one that is accounted first would count as scanned.
 */
void gch_thread_last_roots(struct gch_heap *h)
{
	u32 i, c;

	env_assert_held(&h->lock);
	for (i = 0; i < h->max_threads; i++) {
		if (!h->thread[i])
			continue;
		for (c = 0; c < h->ncaches; c++)
			if (h->thread[i]->batch[c])
				batch_last(h, h->thread[i], c);
	}
	gch_mark_fetched(h, h->worker);
}

/**
 * gch_thread_commit_all() - note every cursor, at the start of a cycle
 *
 * World stopped. What is free above the commit points is black in this cycle.
 */
void gch_thread_commit_all(struct gch_heap *h)
{
	u32 i, c;

	env_assert_held(&h->lock);
	for (i = 0; i < h->max_threads; i++) {
		if (!h->thread[i])
			continue;
		for (c = 0; c < h->ncaches; c++)
			if (h->thread[i]->batch[c])
				batch_commit(h, h->thread[i], c);
	}
}

/** gch_thread_resizes() - whether a thread is at moving the pages of a large object elsewhere */
bool gch_thread_resizes(const struct gch_heap *h, u64 addr)
{
	u32 id = (addr - h->base) >> GCHEAP_SLOT_SHIFT, i;

	for (i = 0; i < h->max_threads; i++)
		if (h->thread[i] && h->thread[i]->resized == id + 1)
			return true;
	return false;
}

/** gch_thread_hides() - whether a thread is making addresses of what does not look like them
 *
 * World stopped: if none is, none will be before the world goes on.
 */
bool gch_thread_hides(struct gch_heap *h)
{
	const struct gcheap_tcb *t;
	u32 i;

	for (i = 0; i < h->max_threads; i++) {
		t = h->thread[i] ? h->ops->tcb(h, i) : NULL;
		if (t && READ_ONCE(t->hidden))
			return true;
	}
	return false;
}
