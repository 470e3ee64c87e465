// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Allocation by size. A request is for one byte more than asked for, so that the
 * address one past an object's end is still its own (rule R16).
 */
#include "fast.h"

static inline void *gch_alloc(struct gcheap *h, uint32_t index, enum gch_kind kind,
			      size_t size)
{
	void *p = gch_alloc_fast(h, index, kind, size);

	return likely(p) ? p : gch_alloc_kind(size, h, kind);
}

GCH_API void *gcheap_alloc(size_t size)
{
	return gch_alloc(&gch.heap0, 0, GCH_SCAN, size);
}

GCH_API void *gcheap_alloc_noscan(size_t size)
{
	return gch_alloc(&gch.heap0, 0, GCH_NOSCAN, size);
}

GCH_API void *gcheap_heap_alloc(struct gcheap *h, size_t size)
{
	return h ? gch_alloc(h, h->index, GCH_SCAN, size) : gcheap_alloc(size);
}

GCH_API void *gcheap_heap_alloc_noscan(struct gcheap *h, size_t size)
{
	return h ? gch_alloc(h, h->index, GCH_NOSCAN, size) : gcheap_alloc_noscan(size);
}

/*
 * Sizes that are not small, and whatever has no cell at hand. The size comes first,
 * where the fast path has it already.
 */
void *gch_alloc_kind(size_t size, struct gcheap *h, enum gch_kind kind)
{
	struct gcheap_cache *c;
	void *p;
	int class;

	if (unlikely(size >= GCHEAP_CELL_MAX)) {
		c = gch_cache_by_large(h, kind);
		return c ? gch_large(c, size) : NULL;
	}
	class = gch_class(size + 1);
	p = gch_bump(gch_cursor_at(gch_tcbs[h->index], READ_ONCE(h->big[kind][class])));
	if (likely(p))
		return p;
	c = gch_cache_by_class(h, kind, class);
	return c ? gch_cache_slow(c) : NULL;
}

/*
 * After a call that may have collected: tell about it, and run what is due.
 * Before the cell is taken, since finalizers allocate.
 */
void gch_kernel_visited(struct gcheap *h)
{
	if (unlikely(gch.trace))
		gch_trace(h);
	if (unlikely(READ_ONCE(h->backend.status->finalizers_ready) || gch_finalizers_left()) &&
	    !gch.on_demand)
		gch_finalizers_due(h);
}

void *gch_cache_slow(struct gcheap_cache *c)
{
	struct gch_local *l;
	void *p;

	for (;;) {
		l = gch_local(c->heap);
		if (!l)
			return NULL;
		p = gch_bump(gch_cursor_at(l->tcb, c->offset));
		if (p)
			return p;
		if (gch_fail(gch_refill(l, c)))
			return NULL;
	}
}
