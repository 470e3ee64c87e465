// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * The heap's objects and spans, listed for programs and for people. From the metadata
 * that the kernel maps read-only, which changes while it is read: other threads go on
 * allocating. Only collections are kept off.
 */
#include "bdw.h"

#include <gc/gc_inline.h>

/* A span as it was when it was looked at. */
struct bdw_span {
	struct gcheap_span s;
	uint32_t slot;
	uintptr_t start;
};

/* ---- the walk */

static bool bdw_span_at(uint32_t slot, struct bdw_span *span)
{
	const struct gcheap *h = &gch.heap0;

	span->s = *gch_slot_span(h, slot);
	span->slot = slot;
	span->start = h->backend.base + ((uintptr_t)slot << GCHEAP_SLOT_SHIFT);
	return span->s.head == slot + 1 && span->s.state != GCHEAP_SPAN_FREE &&
	       span->s.state != GCHEAP_SPAN_MOVED;
}

/* The first span from a slot on, below another. */
static bool bdw_next_span(uint32_t slot, uint32_t end, struct bdw_span *span)
{
	while (slot < end && !bdw_span_at(slot, span))
		slot++;
	return slot < end;
}

static uint32_t bdw_after_span(const struct bdw_span *span)
{
	return span->slot + (span->s.nslots ? span->s.nslots : 1);
}

/*
 * Behind the last span there is now: others may allocate faster than objects are told of,
 * and a walk up to where they have come to would never end.
 */
static uint32_t bdw_spans_end(void)
{
	uint32_t all = gch.heap0.backend.size >> GCHEAP_SLOT_SHIFT, end = 0;
	struct bdw_span span;

	while (bdw_next_span(end, all, &span))
		end = bdw_after_span(&span);
	return end;
}

#define bdw_each_span(span)						\
	for (uint32_t bdw_at = 0, bdw_end = bdw_spans_end();		\
	     bdw_next_span(bdw_at, bdw_end, span);			\
	     bdw_at = bdw_after_span(span))

/* ---- objects */

GCH_API int GC_is_marked(const void *object)
{
	struct gcheap *h = gch_heap_at(object);
	GCH_ARG(gcheap_info, arg);

	arg.addr = (uintptr_t)object;
	return h && !gch_call(h, GCHEAP_IOC_INFO, &arg) && arg.state & GCHEAP_INFO_MARKED;
}

struct bdw_visit {
	GC_reachable_object_proc fn;
	void *data;
};

/* References that do not keep are objects as well, but not the program's. */
static bool bdw_is_own(const struct gch_object *o)
{
	return o->cache == READ_ONCE(gch.heap0.weak) || o->cache == READ_ONCE(gch.heap0.ephemeron);
}

/* By way of its address, in case the span is another one by now. */
static void bdw_visit_object(const struct bdw_visit *v, uintptr_t at)
{
	struct gch_object o;

	if (gch_object_start((void *)at, &o) && !bdw_is_own(&o))
		v->fn((void *)at, o.room, v->data);
}

/*
 * In spans that threads have, a cell's live bit may not be set yet, though the last
 * collection has reached it: the kernel knows.
 */
static void bdw_visit_cells(const struct bdw_visit *v, const struct bdw_span *span)
{
	const uint64_t *live = gch_slot_live(&gch.heap0, span->slot);
	bool owned = span->s.state == GCHEAP_SPAN_OWNED;
	uintptr_t at = span->start;

	for (uint32_t cell = 0; cell < span->s.ncells; cell++) {
		uint64_t word = READ_ONCE(live[cell / GCH_WORD_CELLS]);

		if (word >> cell % GCH_WORD_CELLS & 1 || (owned && GC_is_marked((void *)at)))
			bdw_visit_object(v, at);
		at += span->s.cell_granules * GCHEAP_GRANULE;
	}
}

static void bdw_visit_span(const struct bdw_visit *v, const struct bdw_span *span)
{
	if (span->s.state == GCHEAP_SPAN_LARGE)
		bdw_visit_object(v, span->start);
	else
		bdw_visit_cells(v, span);
}

static bool bdw_hold(void)
{
	struct gch_local *l;

	if (gcheap_hold())
		return false;
	l = gch_local_if_any(&gch.heap0);
	if (l)
		gch_local_flush(l, 0);
	return true;
}

/*
 * What the last collection has found alive, and of what was allocated since as much as
 * the kernel has heard of. What the caller has freed is not among it.
 */
GCH_API void GC_enumerate_reachable_objects_inner(GC_reachable_object_proc fn, void *data)
{
	struct bdw_visit v = { .fn = fn, .data = data };
	struct bdw_span span;

	/* Whoever forks is not to leave a child with the hold. */
	bdw_lock();
	if (bdw_hold()) {
		bdw_each_span(&span)
			bdw_visit_span(&v, &span);
		gcheap_unhold();
	}
	bdw_unlock();
}

/* ---- dumps */

/* One at a time: nothing is printed under the library's lock. */
static bool bdw_root_at(const struct gch_vec *v, size_t i, struct bdw_range *root)
{
	const struct gch_root *r;
	bool found;

	pthread_mutex_lock(&gch.lock);
	r = (const struct gch_root *)v->items + i;
	found = i < v->n;
	if (found)
		*root = (struct bdw_range){ r->addr, r->addr + r->len };
	pthread_mutex_unlock(&gch.lock);
	return found;
}

static bool bdw_segment_at(size_t i, struct bdw_range *root)
{
	return bdw_root_at(&gch.heap0.data, i, root);
}

static bool bdw_library_root_at(size_t i, struct bdw_range *root)
{
	return bdw_root_at(&gch.heap0.roots, i, root);
}

static uint64_t bdw_dump_ranges(bool (*at)(size_t i, struct bdw_range *root))
{
	struct bdw_range r;
	uint64_t bytes = 0;

	for (size_t i = 0; at(i, &r); i++) {
		GC_printf("From %p to %p\n", (void *)r.lo, (void *)r.end);
		bytes += r.end - r.lo;
	}
	return bytes;
}

static void bdw_dump_roots(void)
{
	uint64_t bytes;

	GC_printf("\n***Static roots:\n");
	bytes = bdw_dump_ranges(bdw_segment_at) + bdw_dump_ranges(bdw_added_at) +
		bdw_dump_ranges(bdw_library_root_at);
	GC_printf("GC_root_size= %lu\n", bytes);
}

static void bdw_dump_sizes(void)
{
	struct GC_prof_stats_s s;

	GC_get_prof_stats(&s, sizeof(s));
	GC_printf("\n***Heap sections:\nTotal heap size: %lu (%lu unmapped)\n",
		  s.heapsize_full, s.unmapped_bytes);
	GC_printf("Section 0 from %p to %p\n", (void *)gch.heap0.backend.base,
		  (void *)(gch.heap0.backend.base + gch.heap0.backend.size));
	GC_printf("\n***Free blocks:\nFree bytes: %lu (%lu unmapped)\n",
		  s.free_bytes_full, s.unmapped_bytes);
}

static size_t bdw_object_bytes(const struct bdw_span *span)
{
	if (span->s.state == GCHEAP_SPAN_LARGE)
		return span->s.bytes;
	return (size_t)span->s.cell_granules * GCHEAP_GRANULE;
}

/* Kinds are bdwgc's. In spans that threads have, objects are as of when they got them. */
static void bdw_dump_blocks(void)
{
	unsigned long blocks = 0, bytes = 0;
	struct bdw_span span;

	GC_printf("\n***Blocks in use:\n"
		  "kind(0=ptrfree,1=normal),size_in_bytes,#_marks_set,#objs\n");
	bdw_each_span(&span) {
		GC_printf("%d,%zu,%u,%u\n",
			  span.s.flags & GCHEAP_SPANF_NOSCAN ? BDW_PTRFREE : BDW_NORMAL,
			  bdw_object_bytes(&span),
			  span.s.state == GCHEAP_SPAN_LARGE ? 1 : span.s.nlive, span.s.ncells);
		blocks++;
		bytes += (size_t)span.s.nslots << GCHEAP_SLOT_SHIFT;
	}
	GC_printf("blocks= %lu, bytes= %lu\n", blocks, bytes);
}

GCH_API void GC_dump_named(const char *name)
{
	if (gcheap_init())
		return;
	if (name)
		GC_printf("***GC Dump %s\n", name);
	else
		GC_printf("***GC Dump collection #%lu\n", GC_get_gc_no());
	bdw_dump_roots();
	bdw_dump_sizes();
	bdw_dump_blocks();
}

GCH_API void GC_dump(void)
{
	bdw_lock();
	GC_dump_named(NULL);
	bdw_unlock();
}

static void bdw_dump_gap(uint32_t from, uint32_t to)
{
	if (from < to)
		GC_printf("\t%p\tfree block of size 0x%zx bytes\n",
			  (void *)(gch.heap0.backend.base + ((size_t)from << GCHEAP_SLOT_SHIFT)),
			  (size_t)(to - from) << GCHEAP_SLOT_SHIFT);
}

static void bdw_dump_chunk(const struct bdw_span *span)
{
	uintptr_t start = span->start & ~(uintptr_t)(GCHEAP_CHUNK_SIZE - 1);

	GC_printf("***Section from %p to %p\n", (void *)start,
		  (void *)(start + GCHEAP_CHUNK_SIZE));
}

/* A section is a chunk that something begins in. What follows the last span is not told. */
GCH_API void GC_dump_regions(void)
{
	uint32_t chunk = UINT32_MAX, end = 0;
	struct bdw_span span;

	if (gcheap_init())
		return;
	bdw_each_span(&span) {
		if (span.slot / GCHEAP_CHUNK_SLOTS != chunk) {
			chunk = span.slot / GCHEAP_CHUNK_SLOTS;
			bdw_dump_chunk(&span);
			if (end < chunk * GCHEAP_CHUNK_SLOTS)
				end = chunk * GCHEAP_CHUNK_SLOTS;
		}
		bdw_dump_gap(end, span.slot);
		GC_printf("\t%p\tused for blocks of size 0x%zx bytes\n", (void *)span.start,
			  bdw_object_bytes(&span));
		end = span.slot + span.s.nslots;
	}
}

/* How many there are: which ones is the kernel's to know. */
GCH_API void GC_dump_finalization(void)
{
	struct gcheap_stats s = bdw_stats();

	GC_printf("Disappearing links: %lu cleared so far\n", s.weak_cleared);
	GC_printf("Finalizers: %lu registered, %lu ready\n", s.finalizers, s.finalizers_ready);
}

/* The cells that the caller will get next, of a class that has room for the size. */
GCH_API void GC_print_free_list(int kind, size_t granules)
{
	enum gch_kind k = kind == BDW_PTRFREE || kind == BDW_AUNCOLLECTABLE ?
			  GCH_NOSCAN : GCH_SCAN;
	const struct gcheap_cursor *c;
	unsigned int n = 0;

	if (!granules || granules > GCHEAP_CELL_MAX / GCHEAP_GRANULE)
		return;
	c = gch_cursor_at(gch_tcbs[0], READ_ONCE(gch.heap0.big[k][gch_class(granules *
									  GCHEAP_GRANULE)]));
	for (uintptr_t at = c->base; at != c->free; at += c->step)
		GC_printf("Free object in heap block %p [%u]: %p\n",
			  (void *)(at & ~(uintptr_t)(GCHEAP_SLOT_SIZE - 1)), n++, (void *)at);
}
