// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* From an address to the object there, by the kernel's read-only descriptors. */
#include "gch.h"

/*
 * The cell at an address, whether it is in use or not. The descriptors change
 * under our feet, but not those of the span of an object the caller refers to.
 */
static bool gch_cell_at(struct gcheap *h, uintptr_t at, struct gch_object *o)
{
	uint32_t head = gch_slot_span(h, (at - h->backend.base) >> GCHEAP_SLOT_SHIFT)->head;
	const struct gcheap_span *span;
	uintptr_t start;

	if (!head)
		return false;
	span = gch_slot_span(h, head - 1);
	if (span->state == GCHEAP_SPAN_FREE)
		return false;
	start = h->backend.base + ((uintptr_t)(head - 1) << GCHEAP_SLOT_SHIFT);
	o->heap = h;
	o->span = span;
	o->slot = head - 1;
	o->cache = &h->cache[span->cache];
	o->cell = ((at - start) * span->recip) >> 32;
	o->base = start + (uintptr_t)o->cell * o->cache->cell;
	o->room = (o->cache->any_size ? span->bytes : o->cache->cell) - o->cache->slack;
	return o->cell < span->ncells;
}

bool gch_object_at(const void *p, struct gch_object *o)
{
	struct gcheap *h = gch_heap_at(p);

	return h && !h->dead && gch_cell_at(h, (uintptr_t)p, o);
}

bool gch_object_start(const void *p, struct gch_object *o)
{
	return gch_object_at(p, o) && o->base == (uintptr_t)p;
}

/* ---- is the cell in use */

static bool gch_live_bit(const struct gch_object *o)
{
	const uint64_t *bits = gch_slot_live(o->heap, o->slot);
	uint64_t word = READ_ONCE(bits[o->cell / GCH_WORD_CELLS]);

	return word >> o->cell % GCH_WORD_CELLS & 1;
}

/* In a span of another thread only the kernel, reading its cursor, can tell. */
static bool gch_ask_kernel(const struct gch_object *o)
{
	GCH_ARG(gcheap_info, arg);

	arg.addr = o->base;
	return !gch_call(o->heap, GCHEAP_IOC_INFO, &arg) && arg.state & GCHEAP_INFO_LIVE;
}

/* A cell in a span some thread owns whose live bit is clear: handed out since? */
static bool gch_handed_out(const struct gch_object *o)
{
	struct gch_local *l = gch_local_if_any(o->heap);
	uint64_t pos;

	if (l) {
		const struct gch_place *pl = &l->place[o->cache->id];

		pos = l->tcb->cursor[o->cache->id].pos;
		for (uint32_t i = 0; i < pl->got; i++)
			if (pl->slot[i] == o->slot)
				return ((uint64_t)i << 32 | o->cell) < pos;
	}
	return gch_ask_kernel(o);
}

static bool gch_in_use(const struct gch_object *o)
{
	if (o->span->state == GCHEAP_SPAN_LARGE || gch_live_bit(o))
		return true;
	return o->span->state == GCHEAP_SPAN_OWNED && gch_handed_out(o);
}

/* ---- for the program */

GCH_API void *gcheap_base(const void *p)
{
	struct gch_object o;

	if (gch_object_at(p, &o) && gch_in_use(&o))
		return (void *)o.base;
	errno = EINVAL;
	return NULL;
}

GCH_API size_t gcheap_size(const void *p)
{
	struct gch_object o;

	return gch_object_at(p, &o) && gch_in_use(&o) ? o.room : 0;
}
