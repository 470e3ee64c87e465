// SPDX-License-Identifier: GPL-2.0-only
/* Early free: the program says that an object is dead. */
#include "heap.h"

/* What is free is not marked (V9). */
static void unmark(struct gch_heap *h, const struct gch_ref *r)
{
	u64 bit = 1ull << (r->cell % 64);
	u32 w = r->cell / 64;

	*gch_mark(h, r->id, w) &= ~bit;
	if (!(r->d->flags & GCHEAP_SPANF_NOSCAN))
		gch_scanned(h, r->id)[w] &= ~bit;
}

/*
 * The release pairs with the acquire by which a thread reads the live bits of a
 * span that it owns: it may hand the cell out at once, and what the thread that
 * freed it has read there comes before. So does the loss of the ZERO flag.
 */
static void free_cell(struct gch_heap *h, const struct gch_ref *r)
{
	u64 *live = &gch_live(h, r->id)[r->cell / 64];

	if (gch_span_owned(r->d) && r->cell >= r->s->commit)
		gch_span_reopened(h, r->d, 1);
	env_store_release(live, *live & ~(1ull << (r->cell % 64)));
	unmark(h, r);
	if (gch_span_owned(r->d))
		return;
	if (r->d->state == GCHEAP_SPAN_FULL)
		gch_span_list(h, r->id);
	r->d->nlive--;
	if (!r->d->nlive && r->d->state == GCHEAP_SPAN_PARTIAL &&
	    !gch_span_may_be_empty(h, r->d)) {
		gch_span_unlist(h, r->id);
		gch_span_free(h, r->id);
	}
}

static void free_large(struct gch_heap *h, const struct gch_ref *r)
{
	struct gch_thread *maker = h->thread[r->s->owner];

	if (maker && maker->pending == r->id + 1)
		maker->pending = 0;
	if (!gch_span_may_be_empty(h, r->d)) {
		gch_span_free(h, r->id);
		return;
	}
	gch_live(h, r->id)[0] = 0;
	r->d->nlive = 0;
	unmark(h, r);
}

/**
 * gch_object_at() - the object that starts at an address, by the program's word
 * @r: out: its cell, which is live
 *
 * Not in a frozen phase. What the sweep is about to take, now or after the finalizers, is
 * not an object.
 */
bool gch_object_at(struct gch_heap *h, u64 addr, struct gch_ref *r)
{
	env_assert_held(&h->lock);
	if (!gch_resolve(h, addr, r) || gch_ref_addr(h, r) != addr)
		return false;
	if (gch_span_unswept(h, r->d))
		gch_sweep_span(h, r->id);	/* the span may go */
	if (!gch_resolve(h, addr, r) || r->d->state == GCHEAP_SPAN_MOVED)
		return false;
	if (gch_span_owned(r->d))
		gch_thread_commit_cell(h, r);
	return gch_ref_live(r) && (h->phase != GCHEAP_PHASE_FINALIZE || gch_ref_kept(r));
}

/* It is known by its address in some places. */
static void forget(struct gch_heap *h, u64 addr)
{
	gch_final_freed(h, addr);
	gch_link_freed(h, addr);
}

/**
 * gch_free_early() - free one object before a collection finds it dead
 * @addr: the program's word
 *
 * Not in a frozen phase. Its finalizer is forgotten, and links in it. Return: false if @addr is
 * not the start of an object.
 */
bool gch_free_early(struct gch_heap *h, u64 addr)
{
	struct gch_ref r;

	if (!gch_object_at(h, addr, &r)) {
		h->n.bad_frees++;
		h->n.last_bad_free = addr;
		return false;
	}
	h->n.freed_early++;
	forget(h, addr);
	if (r.d->state == GCHEAP_SPAN_LARGE)
		free_large(h, &r);
	else
		free_cell(h, &r);
	return true;
}

/**
 * gch_free_unused() - take back a large object that its thread has not been given yet
 * @number: the thread
 * @id: the last that was made for it, unless somebody has freed that by its address
 */
void gch_free_unused(struct gch_heap *h, u32 number, u32 id)
{
	struct gch_ref r;

	env_assert_held(&h->lock);
	if (h->thread[number]->pending == id + 1) {
		gch_ref_at(h, (u64)id << GCHEAP_SLOT_SHIFT, &r);
		/* Who guesses its address can have told of it. */
		forget(h, gch_slot_addr(h, id));
		free_large(h, &r);
	}
}

/**
 * gch_free_pending() - where in a thread's ring to begin, and where to end
 * @t: its control block
 * @head: out: one past the last entry
 *
 * The ring is the program's: at most its length is read, whatever it says. The
 * barrier pairs with the library's release store of free_head. Return: the first.
 */
u32 gch_free_pending(const struct gcheap_tcb *t, u32 *head)
{
	u32 tail;

	*head = env_load_acquire(&t->free_head);
	tail = READ_ONCE(t->free_tail);
	return *head - tail > GCHEAP_RING ? *head - GCHEAP_RING : tail;
}

/** gch_free_drain() - free what a thread, by its number, has put in its ring */
void gch_free_drain(struct gch_heap *h, u32 number)
{
	struct gcheap_tcb *t = h->ops->tcb(h, number);
	u32 head, tail;

	env_assert_held(&h->lock);
	if (!t)
		return;
	for (tail = gch_free_pending(t, &head); tail != head; tail++)
		gch_free_early(h, READ_ONCE(t->free_ring[tail % GCHEAP_RING]));
	env_store_release(&t->free_tail, tail);
}
