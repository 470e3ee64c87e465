// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checkmark: when marking beside the program is complete, marking once more from nothing
 * with the threads stopped. What only the second finds would have been lost.
 *
 *   gch_check_begin()	marks are put aside; then roots and gch_mark_some() as ever
 *   gch_check_end()	compares, and leaves what either has found
 *
 * World stopped and lock held in both. What is black without a mark, cells that a thread
 * has handed out since the commit point, is kept by the sweep and not compared.
 */
#include "marker.h"

#define SLACK_SLOTS	1024
#define SLOT_WORDS	(2 * GCHEAP_SLOT_SIZE / GCHEAP_GRANULE / 64)

/** gch_check_room() - words of memory wanted now, for a while */
u64 gch_check_room(const struct gch_heap *h)
{
	return ((u64)READ_ONCE(h->top) + SLACK_SLOTS) * SLOT_WORDS;
}

/* The next span from a slot on, or NULL; *@id is its first slot then. */
static struct gcheap_span *next_span(const struct gch_heap *h, u32 *id)
{
	struct gcheap_span *d;
	u32 first;

	for (; *id < h->top; ++*id) {
		d = gch_span_at(h, *id, &first);
		if (d && first == *id)
			return d;
	}
	return NULL;
}

/* Words of mark bits and, if it is ever scanned, as many of scanned bits. */
static u32 check_words(const struct gcheap_span *d)
{
	return gch_bit_words(d->ncells) * (d->flags & GCHEAP_SPANF_NOSCAN ? 1 : 2);
}

/* One of these. */
static u64 *check_word(const struct gch_heap *h, u32 id, const struct gcheap_span *d, u32 w)
{
	u32 words = gch_bit_words(d->ncells);

	return w < words ? gch_mark(h, id, w) : &gch_scanned(h, id)[w - words];
}

static u64 words_in_use(const struct gch_heap *h)
{
	const struct gcheap_span *d;
	u64 n = 0;
	u32 id = 0;

	for (; (d = next_span(h, &id)); id += d->nslots)
		n += check_words(d);
	return n;
}

/**
 * gch_check_begin() - put the marks aside
 * @c: @c->aside has @c->room words
 *
 * Return: false, and nothing is changed: there is too little room.
 */
bool gch_check_begin(struct gch_heap *h, struct gch_check *c)
{
	const struct gcheap_span *d;
	u64 *at = c->aside;
	u32 id = 0, slot = 0, w;

	if (words_in_use(h) > c->room)
		return false;
	for (; (d = next_span(h, &id)); id += d->nslots)
		for (w = 0; w < check_words(d); w++)
			*at++ = *check_word(h, id, d, w);
	c->objects = h->n.marked_objects;
	c->bytes = h->n.marked_bytes;
	h->n.marked_objects = 0;
	h->n.marked_bytes = 0;
	h->weak.seen = U64_MAX;
	h->weak.checking = true;
	while (gch_mark_clear(h, &slot, U32_MAX / 2))
		;
	gch_mark_own_roots(h);
	return true;
}

/* Marked now, not before, and no black cell: would have been freed. */
static u64 lost_in(const struct gch_heap *h, const struct gch_check *c, u64 at, u32 id, u32 w)
{
	return *gch_mark(h, id, w) & ~c->aside[at + w] & gch_live(h, id)[w];
}

/* Whether a cell holds a word that leads to another. */
static bool refers(struct gch_heap *h, u64 off, u64 bytes, const struct gch_ref *to)
{
	u64 at, *p;
	struct gch_ref r;

	for (at = off; at < off + bytes; at += sizeof(u64)) {
		p = gch_heap_word(h, at);
		if (p && gch_ref_at(h, READ_ONCE(*p) - h->base, &r) && r.id == to->id &&
		    r.cell == to->cell)
			return true;
	}
	return false;
}

/* The first marked cell that refers to @to; @was: whether it was marked before as well. */
static bool find_referrer(struct gch_heap *h, const struct gch_check *c,
			  const struct gch_ref *to, struct gch_ref *from, bool *was)
{
	const struct gcheap_span *d;
	u64 at = 0, bytes, bits;
	u32 id = 0, w;

	for (; (d = next_span(h, &id)); at += check_words(d), id += d->nslots) {
		bytes = (u64)d->cell_granules * GCHEAP_GRANULE;
		if (d->flags & GCHEAP_SPANF_NOSCAN)
			continue;
		for (w = 0; w < gch_bit_words(d->ncells); w++) {
			for (bits = *gch_mark(h, id, w); bits; bits &= bits - 1) {
				from->id = id;
				from->cell = 64 * w + env_ctz64(bits);
				if (!refers(h, ((u64)id << GCHEAP_SLOT_SHIFT) +
					    from->cell * bytes, bytes, to))
					continue;
				from->d = gch_desc(h, id);
				*was = c->aside[at + w] & (bits & -bits);
				return true;
			}
		}
	}
	return false;
}

/* From a lost cell back to one that was not, or to a root. */
static void find_path(struct gch_heap *h, struct gch_check *c, struct gch_ref *r)
{
	struct gch_ref from;
	bool was = false;

	for (c->steps = 0; c->steps < GCH_CHECK_STEPS; *r = from) {
		c->path[c->steps++] = gch_ref_addr(h, r);
		if (was || !find_referrer(h, c, r, &from, &was))
			return;
	}
}

/**
 * gch_check_end() - compare with the marks put aside
 * @c: out: @lost objects; @path of the first: the object, what refers to it, and so on up
 *	to one that had been marked, or that a root refers to
 */
void gch_check_end(struct gch_heap *h, struct gch_check *c)
{
	struct gch_ref r = { };
	struct gcheap_span *d;
	u64 at = 0, lost;
	u32 id = 0, w;

	c->lost = 0;
	for (; (d = next_span(h, &id)); at += check_words(d), id += d->nslots) {
		for (w = 0; w < gch_bit_words(d->ncells); w++) {
			lost = lost_in(h, c, at, id, w);
			if (lost && !c->lost) {
				r.d = d;
				r.id = id;
				r.cell = 64 * w + env_ctz64(lost);
				find_path(h, c, &r);
			}
			c->lost += env_weight64(lost);
			c->bytes += (u64)env_weight64(lost) * d->cell_granules * GCHEAP_GRANULE;
		}
	}
	for (at = 0, id = 0; (d = next_span(h, &id)); id += d->nslots)
		for (w = 0; w < check_words(d); w++)
			*check_word(h, id, d, w) |= c->aside[at++];
	h->weak.checking = false;
	h->n.marked_objects = c->objects + c->lost;
	h->n.marked_bytes = c->bytes;
}
