// SPDX-License-Identifier: GPL-2.0-only
/* Large objects that get another size, and keep their memory. */
#include "heap.h"

#define DROP_MAX	1024	/* free slots whose frames go at once, with the lock held */

static void set_bytes(struct gch_heap *h, const struct gch_ref *r, u64 bytes)
{
	u64 more = bytes > r->d->bytes ? bytes - r->d->bytes : 0;

	r->d->bytes = bytes;
	r->d->cell_granules = gch_granules_of(bytes);
	r->s->bytes = gch_slot_bytes(r->d);
	h->n.alloc_bytes += more;
	h->n.alloc_large_bytes += more;
	h->n.alloc_since += more;
	h->n.resized++;
}

/* What was in free slots is of no use any more. */
static int run_empty(struct gch_heap *h, u32 id, u32 n)
{
	if (!gch_run_has_frames(h, id, n))
		return 0;
	if (n > DROP_MAX)
		return -EBUSY;
	h->ops->drop(h, id, n);
	return 0;
}

static int grow_here(struct gch_heap *h, const struct gch_ref *r, u32 slots)
{
	u32 first = r->id + r->d->nslots, n = slots - r->d->nslots, i;
	u64 bytes = (u64)n << GCHEAP_SLOT_SHIFT;
	int err;

	if (!gch_heap_fits(h, bytes))
		return -ENOMEM;
	err = gch_run_extend(h, first, n);
	if (err)
		return err;
	err = run_empty(h, first, n);
	if (err) {
		gch_run_free(h, first, n);
		return err;
	}
	if (r->d->nslots == 1)
		gch_slot(h, first)->elems = 0;
	for (i = 0; i < n; i++)
		WRITE_ONCE(gch_desc(h, first + i)->head, r->id + 1);
	r->d->nslots = slots;
	gch_heap_grown(h, bytes);
	return 0;
}

/* The slots keep what they have until it is released, or handed out again. */
static void shrink_here(struct gch_heap *h, const struct gch_ref *r, u32 slots)
{
	u32 first = r->id + slots, n = r->d->nslots - slots, i;

	for (i = 0; i < n; i++)
		WRITE_ONCE(gch_desc(h, first + i)->head, 0);
	r->d->nslots = slots;
	h->n.heap_bytes -= (u64)n << GCHEAP_SLOT_SHIFT;
	gch_run_free(h, first, n);
}

/**
 * gch_resize_here() - a large object gets another size where it is
 * @r: it; not in a frozen phase
 * @bytes: at least 1
 *
 * It is marked and scanned as it was: what is new in it holds nothing yet, and writes to that
 * are tracked. Return: 0; -EBUSY: there is something else after it; -ENOMEM: the limit, or
 * as gch_run_alloc().
 */
int gch_resize_here(struct gch_heap *h, const struct gch_ref *r, u64 bytes)
{
	u32 slots = gch_large_slots(h, bytes);
	bool shrinks;
	int err = 0;

	env_assert_held(&h->lock);
	if (!slots)
		return -ENOMEM;
	if (slots > r->d->nslots)
		err = grow_here(h, r, slots);
	else if (slots < r->d->nslots)
		shrink_here(h, r, slots);
	if (err)
		return err;
	shrinks = bytes < r->d->bytes;
	set_bytes(h, r, bytes);
	if (shrinks)
		gch_link_shrunk(h, gch_ref_addr(h, r), gch_ref_addr(h, r) +
				(u64)r->d->cell_granules * GCHEAP_GRANULE);
	return 0;
}

/**
 * gch_resize_begin() - make the larger object that a large one's pages are to go to
 * @number: the thread, which keeps both alive until gch_resize_end()
 * @r: the old one; @id: out: the new one's span
 *
 * As gch_thread_large(). What the old one had does not count as allocated once more.
 */
int gch_resize_begin(struct gch_heap *h, u32 number, const struct gch_ref *r, u64 bytes, u32 *id)
{
	u64 had = r->d->bytes;
	int err;

	err = gch_thread_large(h, number, r->d->cache, bytes, id);
	if (err)
		return err;
	h->thread[number]->resized = r->id + 1;
	had = min(had, bytes);
	h->n.alloc_bytes -= had;
	h->n.alloc_large_bytes -= had;
	h->n.alloc_since -= had;
	return 0;
}

/**
 * gch_resize_end() - all of the old object's pages are the new one's
 * @addr: the old one, which goes
 * @cookie: out: of its finalizer, which is forgotten; 0: none
 *
 * Not in a frozen phase.
 */
void gch_resize_end(struct gch_heap *h, u32 number, u64 addr, u64 *cookie)
{
	u32 id = h->thread[number]->pending - 1;

	h->thread[number]->resized = 0;
	gch_large_zeroed(h, id);
	gch_link_resized(h, addr, gch_slot_addr(h, id));
	gch_final_moved(h, addr, gch_slot_addr(h, id));
	gch_final_clear(h, addr, cookie);
	gch_free_early(h, addr);
	h->n.resized++;
}
