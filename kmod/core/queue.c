// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mark queue: spans that have marked and not yet scanned cells, each at most once
 * (I4). It is threaded through the span descriptors, so it needs no memory and cannot
 * overflow. (After "Green Tea", Go 1.25.)
 *
 * One worker marks, or several do, which share it: from gch_queue_share() on, mark bits are
 * set atomically and spans are claimed by an exchange. h->qlock protects the list. A span
 * that is being scanned is GCH_QBUSY: what is marked in it is its scanner's to find.
 * R4: who sets a mark bit and sees GCH_QBUSY leaves it at that; so the scanner, whose own
 * marks in the span show by then, says that it is done and then looks once more. (Barrier
 * pair: env_mb() in gch_queue_done(), the atomic operation in mark_bit().)
 */
#include "marker.h"

/* From now on the span is queued, or being scanned, by this worker's hand. */
static bool claim(struct gch_heap *h, struct gch_slot *s, u32 as)
{
	if (READ_ONCE(s->qnext))
		return false;
	if (unlikely(h->shared))
		return !env_cmpxchg(&s->qnext, 0, as);
	s->qnext = as;
	return true;
}

/** gch_queue_push() - a span has cells to be scanned; nothing if that is known */
void gch_queue_push(struct gch_heap *h, struct gch_slot *s, u32 id)
{
	if (!claim(h, s, GCH_QEND))
		return;
	env_spin_lock(&h->qlock);
	if (h->qtail)
		WRITE_ONCE(gch_slot(h, h->qtail - 1)->qnext, id + 1);
	else
		WRITE_ONCE(h->qhead, id + 1);
	h->qtail = id + 1;
	h->qlen++;
	env_spin_unlock(&h->qlock);
}

/**
 * gch_queue_pop() - a span to scan, which is GCH_QBUSY then, or GCH_NO_RUN
 * @w: the worker; not the first one: it counts as busy from here to gch_queue_idle()
 */
u32 gch_queue_pop(struct gch_heap *h, struct gch_worker *w)
{
	struct gch_slot *s;
	u32 id, next;

	if (!READ_ONCE(h->qhead))
		return GCH_NO_RUN;
	env_spin_lock(&h->qlock);
	id = h->qhead - 1;
	if (id == GCH_NO_RUN)
		goto out;
	s = gch_slot(h, id);
	next = READ_ONCE(s->qnext);	/* claim() of one too late may be at it */
	WRITE_ONCE(h->qhead, next == GCH_QEND ? 0 : next);
	if (!h->qhead)
		h->qtail = 0;
	h->qlen--;
	WRITE_ONCE(s->qnext, GCH_QBUSY);
	if (w != h->worker && !w->busy) {
		w->busy = true;
		h->nbusy++;
	}
out:
	env_spin_unlock(&h->qlock);
	return id;
}

/**
 * gch_queue_done() - a span was scanned
 * @left: whether it has cells that are marked and not scanned
 *
 * Return: true: it has, and is being scanned by the caller still.
 */
bool gch_queue_done(struct marker *m, struct gch_slot *s, bool (*left)(const struct marker *m))
{
	if (likely(!m->shared)) {
		s->qnext = 0;
		return false;
	}
	env_stress();
	env_store_release(&s->qnext, 0);
	if (!gch_rule(4))
		return false;
	env_mb();	/* R4 */
	return left(m) && claim(m->h, s, GCH_QBUSY);
}

/** gch_queue_idle() - a worker found nothing: whether that is so, and it is busy no more */
bool gch_queue_idle(struct gch_heap *h, struct gch_worker *w)
{
	bool idle;

	env_spin_lock(&h->qlock);
	idle = !h->qhead;
	if (idle && w->busy) {
		w->busy = false;
		h->nbusy--;
	}
	env_spin_unlock(&h->qlock);
	return idle;
}

/** gch_queue_over() - nothing is queued, and no worker but the first may queue anything */
bool gch_queue_over(struct gch_heap *h)
{
	bool over;

	env_spin_lock(&h->qlock);
	over = !h->qhead && !h->nbusy;
	env_spin_unlock(&h->qlock);
	return over;
}

/**
 * gch_queue_share() - several workers are to mark from here on
 *
 * From the first one, while no other does; until gch_queue_unshare() structure is frozen:
 * h->lock is held throughout, or the world stopped.
 */
void gch_queue_share(struct gch_heap *h)
{
	WRITE_ONCE(h->shared, true);
}

/** gch_queue_unshare() - all others have left */
void gch_queue_unshare(struct gch_heap *h)
{
	struct gch_worker *w;

	h->shared = false;
	for (w = h->worker; w < h->worker + GCH_WORKERS; w++) {
		h->n.marked_objects += w->objects;
		h->n.marked_bytes += w->bytes;
		if (w != h->worker)
			h->n.helped_bytes += w->bytes;
		w->objects = 0;
		w->bytes = 0;
		if (w->busy)
			h->nbusy--;
		w->busy = false;
	}
}
