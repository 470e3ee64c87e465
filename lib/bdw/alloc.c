// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Allocation. GC_malloc() is gcheap_alloc() with bdwgc's way to fail. */
#include <string.h>

#include "bdw.h"

/* NULL: no memory. */
void *bdw_plain_alloc(size_t size, enum gch_kind kind)
{
	void *p;

	bdw_enter();
	p = gch_alloc_kind(size, &gch.heap0, kind);
	if (unlikely(!p) && bdw_collected_for_room())
		p = gch_alloc_kind(size, &gch.heap0, kind);
	bdw_report();
	return bdw_born(p, kind == GCH_NOSCAN ? BDW_PTRFREE : BDW_NORMAL);
}

static __attribute__((noinline)) void *bdw_slow(size_t size, enum gch_kind kind)
{
	void *p = bdw_plain_alloc(size, kind);

	return p ? p : bdw_out_of_memory(size);
}

static inline void *bdw_alloc(enum gch_kind kind, size_t size)
{
	void *p = gch_alloc_fast(&gch.heap0, 0, kind, size);

	return likely(p) ? p : bdw_slow(size, kind);
}

GCH_API void *GC_malloc(size_t size)
{
	return bdw_alloc(GCH_SCAN, size);
}

GCH_API void *GC_malloc_atomic(size_t size)
{
	return bdw_alloc(GCH_NOSCAN, size);
}

/* Pointers to anywhere in an object keep it, large ones too. */
GCH_API void *GC_malloc_ignore_off_page(size_t size)
{
	return bdw_alloc(GCH_SCAN, size);
}

GCH_API void *GC_malloc_atomic_ignore_off_page(size_t size)
{
	return bdw_alloc(GCH_NOSCAN, size);
}

GCH_API void *GC_malloc_uncollectable(size_t size)
{
	return bdw_keep(bdw_alloc(GCH_SCAN, size));
}

GCH_API void *GC_malloc_atomic_uncollectable(size_t size)
{
	return bdw_keep(bdw_alloc(GCH_NOSCAN, size));
}

/* As little as half of an object is better moved. */
static bool bdw_resize_in_place(const struct gch_object *o, size_t size)
{
	if (size > o->room - !o->cache->slack ||
	    (size < o->room / 2 && o->room > GCHEAP_GRANULE))
		return false;
	if (o->cache->kind == GCH_SCAN)
		memset((char *)o->base + size, 0, o->room - size);
	return true;
}

/*
 * What the library's own does not know of: types, what is kept, and debug objects, which
 * it does not give back. There is no moment in which neither object is kept, nor one in
 * which another has the address.
 */
static void *bdw_realloc(const struct gch_object *o, size_t size, const struct bdw_type *t,
			 bool kept)
{
	void *old = (void *)o->base, *p;

	if (bdw_resize_in_place(o, size))
		return old;
	p = t ? bdw_type_alloc(t, size) : bdw_plain_alloc(size, o->cache->kind);
	if (!p)
		return bdw_out_of_memory(size);
	if (kept)
		p = bdw_keep(p);
	if (!p)
		return NULL;
	memcpy(p, old, size < o->room ? size : o->room);
	GC_free(old);
	return p;
}

GCH_API void *GC_realloc(void *old, size_t size)
{
	const struct bdw_type *t;
	struct gch_object o;
	bool kept, debug;
	void *p;

	if (!old)
		return GC_malloc(size);
	if (!gch_object_start(old, &o)) {
		errno = EINVAL;
		return NULL;
	}
	if (!size) {
		GC_free(old);
		return NULL;
	}
	bdw_enter();
	debug = bdw_is_debug(old);
	if (debug && size <= o.room)
		return old;
	t = bdw_type_of(&o);
	kept = bdw_kept(old);
	if (t || kept || debug)
		return bdw_realloc(&o, size, t, kept);
	p = gcheap_realloc(old, size);
	if (!p && bdw_collected_for_room())
		p = gcheap_realloc(old, size);
	if (!p)
		return bdw_out_of_memory(size);
	return p == old ? p : bdw_born(p, o.cache->kind == GCH_NOSCAN ? BDW_PTRFREE : BDW_NORMAL);
}

/* Until the kernel hears of it a mark procedure may be: of one that is new or free. */
static void bdw_forget_asked(const struct gch_object *o)
{
	const struct bdw_type *t = bdw_type_of(o);

	if (t && bdw_descr_is_asked(t->descr))
		memset((void *)o->base, 0, o->room);
}

GCH_API void GC_free(void *p)
{
	struct gch_object o;

	if (!p || bdw_debug_free_start(p))
		return;
	bdw_unkeep(p);
	if (!gch_object_start(p, &o))
		return;
	bdw_forget_asked(&o);
	bdw_count_freed(o.room);
	gch_free_object(&o);
}

/* @copy: room for it, if there was memory */
char *bdw_string(char *copy, const char *s, size_t length)
{
	if (!copy) {
		errno = ENOMEM;
		return NULL;
	}
	memcpy(copy, s, length);
	copy[length] = 0;
	return copy;
}

GCH_API char *GC_strndup(const char *s, size_t most)
{
	size_t length = strnlen(s, most);

	return bdw_string(GC_malloc_atomic(length + 1), s, length);
}

GCH_API char *GC_strdup(const char *s)
{
	return s ? GC_strndup(s, SIZE_MAX) : NULL;
}

GCH_API void *GC_base(void *p)
{
	return gcheap_base(p);
}

GCH_API size_t GC_size(const void *p)
{
	return gcheap_size(p);
}

GCH_API int GC_is_heap_ptr(const void *p)
{
	struct gch_object o;

	return gch_object_at(p, &o);
}
