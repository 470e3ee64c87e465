// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Checks of pointers, which programs may have put into their arithmetic and stores. */
#include <link.h>
#include <sys/single_threaded.h>

#include "bdw.h"

static void bdw_not_same(void *p, void *q)
{
	bdw_die("GC_same_obj test failed", "%p and %p are not in the same object", p, q);
}

static void bdw_not_valid(void *p)
{
	bdw_die("GC_is_valid_displacement test failed", "%p not valid", p);
}

static void bdw_not_visible(void *p)
{
	bdw_die("GC_is_visible test failed", "%p not GC-visible", p);
}

/* Programs put others there. */
GCH_API void (*GC_same_obj_print_proc)(void *, void *) = bdw_not_same;
GCH_API void (*GC_is_valid_displacement_print_proc)(void *) = bdw_not_valid;
GCH_API void (*GC_is_visible_print_proc)(void *) = bdw_not_visible;

/* ---- is it in an object, in use or not */

static size_t bdw_length(const struct gch_object *o)
{
	return o->room + o->cache->slack;
}

static bool bdw_inside(const void *p, const struct gch_object *o)
{
	return (uintptr_t)p - o->base < bdw_length(o);
}

GCH_API void *GC_same_obj(void *p, void *q)
{
	struct gch_object o, other;
	bool same;

	if (gch_object_at(p, &o))
		same = bdw_inside(p, &o) && bdw_inside(q, &o);
	else
		same = !gch_object_at(q, &other) || !bdw_inside(q, &other);
	if (!same)
		GC_same_obj_print_proc(p, q);
	return p;
}

/* What is left behind the last object of a span, or behind a large one. */
static bool bdw_in_waste(const void *p)
{
	const struct gcheap *h = gch_heap_at(p);
	struct gch_object o;
	uint32_t head;

	if (!h || h->dead)
		return false;
	if (gch_object_at(p, &o))
		return !bdw_inside(p, &o);
	head = gch_slot_span(h, ((uintptr_t)p - h->backend.base) >> GCHEAP_SLOT_SHIFT)->head;
	return head && gch_slot_span(h, head - 1)->state != GCHEAP_SPAN_FREE;
}

/* Addresses anywhere in objects are valid. */
GCH_API void *GC_is_valid_displacement(void *p)
{
	if (bdw_in_waste(p))
		GC_is_valid_displacement_print_proc(p);
	return p;
}

GCH_API void *GC_pre_incr(void **p, ptrdiff_t bytes)
{
	char *was = *p;

	return *p = GC_same_obj(was + bytes, was);
}

GCH_API void *GC_post_incr(void **p, ptrdiff_t bytes)
{
	char *was = *p;

	*p = GC_same_obj(was + bytes, was);
	return was;
}

/* ---- does the collector look there */

static bool bdw_in_scanned_object(const void *p)
{
	struct gch_object o;

	return gcheap_base(p) && gch_object_at(p, &o) && o.cache->kind == GCH_SCAN &&
	       (uintptr_t)p - o.base + sizeof(void *) <= bdw_length(&o);
}

static bool bdw_on_stack(const void *p)
{
	struct GC_stack_base base;

	return GC_get_stack_base(&base) == GC_SUCCESS && p < base.mem_base &&
	       p >= __builtin_frame_address(0);
}

static int bdw_tls_block(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *p = *(const char **)arg, *block = info->dlpi_tls_data;

	for (int i = 0; block && i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_TLS &&
		    (size_t)(p - block) < info->dlpi_phdr[i].p_memsz)
			return 1;
	return 0;
}

/* Elsewhere it may be on the stack of another thread, if there is one. */
static bool bdw_is_visible(const void *p)
{
	if ((uintptr_t)p % sizeof(void *))
		return false;
	GC_init();
	if (gch_heap_at(p))
		return bdw_in_scanned_object(p);
	return !__libc_single_threaded || bdw_on_stack(p) ||
	       gch_walk(bdw_tls_block, &p) || bdw_is_scanned(p);
}

GCH_API void *GC_is_visible(void *p)
{
	if (!bdw_is_visible(p))
		GC_is_visible_print_proc(p);
	return p;
}
