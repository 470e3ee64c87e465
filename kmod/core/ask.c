// SPDX-License-Identifier: GPL-2.0-only
/*
 * Objects of which only code of the program knows what they refer to (GCHEAP_ASK): it is asked
 * about those that are marked, in the pause that is to end the marking.
 *
 *   gch_ask_begin()	world stopped, before the marking goes on: all that is marked is to be
 *			asked about, whatever was answered in an earlier pause
 *   gch_ask_take()	when nothing is queued: some that are marked and have not been asked
 *			about. What is answered is marked, and what is queued then drained;
 *			and so on until nothing is left, which is the fixpoint
 *   gch_ask_told()	all that was taken has been answered for, and nothing drained since
 *   gch_ask_end()	the world goes on
 *
 * Their scanned bits say what was asked. Before gch_ask_begin() a cell counts as scanned when its
 * span is taken off the queue, with nothing looked at, and black ones do anyway. From then on the
 * span goes to a list, threaded like the queue and through the same link, since it is in
 * one of the two: so there is no memory to be had, and nothing to overflow (I4).
 *
 * What is not handed out is not asked about, marked or not: it holds anything.
 */
#include "marker.h"

static bool is_asked(const struct gch_heap *h, const struct gcheap_span *d)
{
	return d->state != GCHEAP_SPAN_MOVED && h->cache[d->cache]->layout == GCHEAP_ASK;
}

/** gch_ask_push() - a span has cells to be asked about; it is GCH_QBUSY, or not queued */
void gch_ask_push(struct gch_heap *h, struct gch_slot *s, u32 id)
{
	env_spin_lock(&h->qlock);
	if (h->ask_tail)
		WRITE_ONCE(gch_slot(h, h->ask_tail - 1)->qnext, id + 1);
	else
		WRITE_ONCE(h->ask_head, id + 1);
	h->ask_tail = id + 1;
	WRITE_ONCE(s->qnext, GCH_QEND);
	env_spin_unlock(&h->qlock);
}

/* The first of the list leaves it. World stopped, and nobody marks. */
static void ask_pop(struct gch_heap *h)
{
	struct gch_slot *s = gch_slot(h, h->ask_head - 1);

	WRITE_ONCE(h->ask_head, s->qnext == GCH_QEND ? 0 : s->qnext);
	if (!h->ask_head)
		h->ask_tail = 0;
	s->qnext = 0;
}

static u64 cell_bytes(const struct gcheap_span *d)
{
	return (u64)d->cell_granules * GCHEAP_GRANULE;
}

/* They are marked, and will be counted as that when they have been asked about. */
static void ask_span(struct gch_heap *h, u32 id, const struct gcheap_span *d)
{
	u64 *scanned = gch_scanned(h, id), any = 0, mark;
	u32 w, n = 0;

	for (w = 0; w < gch_bit_words(d->ncells); w++) {
		mark = *gch_mark(h, id, w);
		any |= mark;
		n += env_weight64(mark & scanned[w]);
		WRITE_ONCE(scanned[w], 0);
	}
	h->n.marked_objects -= n;
	h->n.marked_bytes -= n * cell_bytes(d);
	if (any && !gch_slot(h, id)->qnext)
		gch_ask_push(h, gch_slot(h, id), id);
}

static void ask_chunk(struct gch_heap *h, u32 number)
{
	u32 id = number * GCHEAP_CHUNK_SLOTS, end = id + GCHEAP_CHUNK_SLOTS, first;
	const struct gcheap_span *d;

	for (; id < end; id += d ? d->nslots - (id - first) : 1) {
		d = gch_span_at(h, id, &first);
		if (d && first == id && is_asked(h, d))
			ask_span(h, id, d);
	}
}

/**
 * gch_ask_begin() - what is marked in such spans is to be asked about, from here on
 *
 * World stopped, lock held. Nothing if there is no such cache.
 */
void gch_ask_begin(struct gch_heap *h)
{
	const struct gch_chunk *c;
	u32 i;

	env_assert_held(&h->lock);
	h->asking = h->nasks;
	for (i = 0; h->asking && i * GCHEAP_CHUNK_SLOTS < h->top; i++) {
		c = gch_chunk(h, i);
		if (c && c->nasks)
			ask_chunk(h, i);
	}
	/* Fewer are counted: that is not to look as if nothing had been marked since. */
	if (h->asking)
		h->weak.seen = U64_MAX;
}

/* Cells of a word that are the program's. */
static u64 handed_out(struct gch_heap *h, u32 id, const struct gcheap_span *d, u32 w)
{
	u64 cells = gch_live(h, id)[w];

	if (d->state == GCHEAP_SPAN_LARGE && !(d->flags & GCHEAP_SPANF_ZERO))
		return 0;
	if (gch_span_owned(d))
		cells |= gch_word_mask(w, gch_slot(h, id)->commit, gch_thread_at(h, id));
	return cells;
}

/*
 * Of a word, the first @max of these, which count as scanned; all others that are marked do at
 * once. Return: how many.
 */
static u32 take_word(struct gch_heap *h, u32 id, u32 w, u64 *addr, u32 max)
{
	const struct gcheap_span *d = gch_desc(h, id);
	u64 *scanned = &gch_scanned(h, id)[w];
	u64 cells = *gch_mark(h, id, w) & ~*scanned, ask = cells & handed_out(h, id, d, w);
	u32 n;

	for (n = 0; ask && n < max; ask &= ask - 1)
		addr[n++] = gch_slot_addr(h, id) + (64 * w + env_ctz64(ask)) * cell_bytes(d);
	cells &= ~ask;
	WRITE_ONCE(*scanned, *scanned | cells);
	h->n.marked_objects += env_weight64(cells);
	h->n.marked_bytes += env_weight64(cells) * cell_bytes(d);
	return n;
}

/**
 * gch_ask_through() - ask about an object that is not marked, and not going to be for that
 * @but_self: nor for what it refers to itself
 *
 * In FINALIZE, lock held. Return: false, one at a time: there is one that was not asked about.
 */
bool gch_ask_through(struct gch_heap *h, const struct gch_ref *r, bool but_self)
{
	struct gch_through *t = &h->through;

	env_assert_held(&h->lock);
	if (t->wanted)
		return false;
	t->addr = gch_ref_addr(h, r);
	t->wanted = true;
	t->but_self = but_self;
	return true;
}

/** gch_ask_left() - whether there is something to ask about; nobody marks */
bool gch_ask_left(const struct gch_heap *h)
{
	return READ_ONCE(h->ask_head) || READ_ONCE(h->through.wanted);
}

/*
 * The program has run since it was wanted: what has been marked meanwhile is asked about as
 * others are, and may even have been freed.
 */
static bool take_through(struct gch_heap *h, u64 *addr)
{
	struct gch_through *t = &h->through;
	struct gch_ref r;

	if (!t->wanted)
		return false;
	WRITE_ONCE(t->wanted, false);
	if (!gch_resolve(h, t->addr, &r) || gch_ref_addr(h, &r) != t->addr || gch_ref_kept(&r))
		return false;
	t->asked = true;
	if (t->but_self)
		gch_ref_mark(&r, true);
	*addr = t->addr;
	return true;
}

/** gch_ask_told() - what was taken last has been answered for, or will not be; world stopped */
void gch_ask_told(struct gch_heap *h)
{
	struct gch_through *t = &h->through;
	struct gch_ref r;

	env_assert_held(&h->lock);
	if (!t->asked)
		return;
	t->asked = false;
	gch_mark_fetched(h, h->worker);
	if (t->but_self && gch_resolve(h, t->addr, &r))
		gch_ref_mark(&r, false);
}

/**
 * gch_ask_take() - objects to ask about: they are marked, and have not been asked about
 * @addr: out: their addresses; @max: room
 *
 * Lock held, world stopped, and nobody marks. Return: how many, 0: there are none.
 */
u32 gch_ask_take(struct gch_heap *h, u64 *addr, u32 max)
{
	u32 n = 0, w, words;

	env_assert_held(&h->lock);
	/* Alone: others may refer to it. */
	if (take_through(h, addr))
		return 1;
	while (h->ask_head && n < max) {
		words = gch_bit_words(gch_desc(h, h->ask_head - 1)->ncells);
		for (w = 0; w < words && n < max; w++)
			n += take_word(h, h->ask_head - 1, w, addr + n, max - n);
		if (n < max)
			ask_pop(h);
	}
	return n;
}

/**
 * gch_ask_skip() - what has not been asked about is not to be in this pause: it is scanned
 *
 * Lock held, world stopped.
 */
void gch_ask_skip(struct gch_heap *h)
{
	u64 none;
	u32 w;

	env_assert_held(&h->lock);
	gch_ask_told(h);
	WRITE_ONCE(h->through.wanted, false);
	while (h->ask_head) {
		u32 id = h->ask_head - 1;
		const struct gcheap_span *d = gch_desc(h, id);

		for (w = 0; w < gch_bit_words(d->ncells); w++)
			while (take_word(h, id, w, &none, 1))
				;
		ask_pop(h);
	}
}

/** gch_ask_end() - nothing is asked from here on; lock held */
void gch_ask_end(struct gch_heap *h)
{
	gch_ask_skip(h);
	h->asking = false;
}
