// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sweeping: live = marked, or handed out since the commit point (black). A colour
 * that flips each cycle tells which spans have been swept.
 */
#include "heap.h"

/** gch_sweep_begin() - marking is complete; every span awaits the sweep */
void gch_sweep_begin(struct gch_heap *h)
{
	env_assert_held(&h->lock);
	h->colour = !h->colour;
	h->sweep_at = 0;
	h->n.live_objects = 0;
	h->n.live_bytes = 0;
	h->n.alloc_since = 0;
	WRITE_ONCE(h->black, false);
}

/**
 * struct swept - cells of a span: left live or marked, freed, and of these above
 *	the cursor
 */
struct swept {
	u32 kept;
	u32 freed;
	u32 above;
};

/*
 * New live bits of an owned span: of the old those marked, and what was free in
 * [commit, cursor).
 */
static void sweep_bits_owned(struct gch_heap *h, u32 id, u32 commit, u32 cursor,
			     struct swept *n)
{
	const struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
	u64 *live = gch_chunk_live(c, id);
	u32 w;

	for (w = 0; w < gch_bit_words(gch_desc(h, id)->ncells); w++) {
		u64 mark = *gch_chunk_mark(c, id, w), dead = live[w] & ~mark;
		u64 black = ~live[w] & gch_word_mask(w, commit, cursor);

		if (dead | black)
			WRITE_ONCE(live[w], (live[w] & ~dead) | black);
		/* A word may have led to a cell that was yet to be handed out. */
		n->kept += env_weight64(live[w] | mark);
		n->freed += env_weight64(dead);
		n->above += env_weight64(dead & ~gch_word_mask(w, 0, cursor));
	}
}

/* The same for one that no thread has: only what is live can be marked. */
static void sweep_bits(struct gch_heap *h, u32 id, struct swept *n)
{
	const struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
	u64 *live = gch_chunk_live(c, id);
	u32 words = gch_bit_words(gch_desc(h, id)->ncells), w;

	for (w = 0; w < words; w++) {
		u64 old = live[w], new = old & *gch_chunk_mark(c, id, w);

		if (new != old)
			WRITE_ONCE(live[w], new);
		n->freed += env_weight64(old & ~new);
		if (new)
			n->kept += env_weight64(new);
	}
}

/*
 * The thread may be running. It does not look at bits below its cursor; above it
 * may or may not see that a cell has become free. If not, that cell passes for
 * handed out, until the next cycle.
 */
static void sweep_owned(struct gch_heap *h, u32 id, struct swept *n)
{
	struct gch_slot *s = gch_slot(h, id);
	u32 cursor;

	cursor = max_t(u32, s->commit, gch_thread_cursor(h, id));
	sweep_bits_owned(h, id, s->commit, cursor, n);
	s->commit = cursor;
	gch_span_reopened(h, gch_desc(h, id), n->above);
}

static void sweep_free(struct gch_heap *h, u32 id)
{
	struct gcheap_span *d = gch_desc(h, id);

	if (!d->nlive) {
		if (d->state == GCHEAP_SPAN_PARTIAL)
			gch_span_unlist(h, id);
		gch_span_free(h, id);
	} else if (d->nlive < d->ncells && d->state == GCHEAP_SPAN_FULL) {
		gch_span_list(h, id);
	}
}

/*
 * R7: not in the cycle that moved its cells, and then when nobody can have their addresses.
 * The IDLE flag says that this cycle is over.
 */
static void sweep_moved(struct gch_heap *h, u32 id)
{
	struct gcheap_span *d = gch_desc(h, id);

	if ((h->reuse && d->flags & GCHEAP_SPANF_IDLE) || !gch_rule(7))
		gch_span_reuse(h, id);
	else
		d->flags |= GCHEAP_SPANF_IDLE;
}

/**
 * gch_sweep_span() - sweep one span; it may be gone afterwards
 * @id: span that gch_span_unswept()
 */
void gch_sweep_span(struct gch_heap *h, u32 id)
{
	struct gcheap_span *d = gch_desc(h, id);
	struct swept n = { 0 };

	env_assert_held(&h->lock);
	d->flags ^= GCHEAP_SPANF_COLOUR;
	if (d->state == GCHEAP_SPAN_MOVED) {
		sweep_moved(h, id);
		return;
	}
	if (gch_span_owned(d))
		sweep_owned(h, id, &n);
	else
		sweep_bits(h, id, &n);
	h->n.live_objects += n.kept;
	h->n.live_bytes += (u64)n.kept * d->cell_granules * GCHEAP_GRANULE;
	h->n.freed_objects += n.freed;
	if (gch_span_owned(d))
		return;
	d->nlive = n.kept;
	sweep_free(h, id);
}

/**
 * gch_sweep_some() - sweep on, in order of address
 * @spans: at most so many
 *
 * Return: whether there may be more to sweep.
 */
bool gch_sweep_some(struct gch_heap *h, u32 spans)
{
	u32 first, step;

	env_assert_held(&h->lock);
	if (h->phase != GCHEAP_PHASE_SWEEP)
		return false;
	for (; h->sweep_at < h->top; h->sweep_at += step) {
		struct gcheap_span *d = gch_span_at(h, h->sweep_at, &first);

		step = d ? d->nslots - (h->sweep_at - first) : 1;
		if (!d || !gch_span_unswept(h, d))
			continue;
		if (!spans--)
			return true;
		gch_sweep_span(h, first);
	}
	return false;
}

/** gch_sweep_end() - every span is swept */
void gch_sweep_end(struct gch_heap *h)
{
	env_assert_held(&h->lock);
	h->n.marked_objects_last = h->n.marked_objects;
	h->n.marked_bytes_last = h->n.marked_bytes;
	h->n.live_objects_last = h->n.live_objects;
	h->n.live_bytes_last = h->n.live_bytes;
	gch_chunk_trim(h);
}
