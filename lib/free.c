// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Early free and resizing. What is given back goes into the ring of the control
 * block; the kernel checks it again.
 */
#include <string.h>

#include "gch.h"

static int gch_push_free(struct gch_local *l, uintptr_t object)
{
	struct gcheap_tcb *tcb = l->tcb;
	int err;

	if (tcb->free_head - READ_ONCE(tcb->free_tail) >= GCHEAP_RING) {
		err = gch_local_flush(l, 0);
		if (err)
			return err;
	}
	tcb->free_ring[tcb->free_head % GCHEAP_RING] = object;
	/* Pairs with the kernel's load when it drains the ring. */
	__atomic_store_n(&tcb->free_head, tcb->free_head + 1, __ATOMIC_RELEASE);
	return 0;
}

int gch_free_object(const struct gch_object *o)
{
	struct gch_local *l = gch_local(o->heap);

	/* The kernel would forget the finalizer without our hearing of it. */
	if (l && READ_ONCE(o->heap->backend.status->finalizers))
		gch_finalizer_forget(o->heap, (void *)o->base);
	return l ? gch_push_free(l, o->base) : -errno;
}

GCH_API int gcheap_free(void *p)
{
	struct gch_object o;

	if (!p)
		return 0;
	return gch_object_start(p, &o) ? gch_free_object(&o) : -EINVAL;
}

/*
 * In place, if that wastes no more than half. What is behind the new end is
 * cleared even when the object grows, since its old end is not known.
 */
static bool gch_resize_in_place(const struct gch_object *o, size_t size)
{
	if (size > o->room || (o->cache->by_size && size < o->room / 2 &&
			       o->room > GCHEAP_GRANULE))
		return false;
	if (o->cache->by_size && o->cache->kind == GCH_SCAN)
		memset((char *)o->base + size, 0, o->room - size);
	return true;
}

GCH_API void *gcheap_realloc(void *p, size_t size)
{
	struct gch_object o;
	void *moved;
	bool large;

	if (!p)
		return gcheap_alloc(size);
	if (!gch_object_start(p, &o)) {
		errno = EINVAL;
		return NULL;
	}
	if (!size) {
		gch_free_object(&o);
		return NULL;
	}
	if (gch_resize_in_place(&o, size))
		return p;
	if (!o.cache->by_size && !o.cache->any_size) {
		errno = EINVAL;
		return NULL;
	}
	large = o.cache->any_size && (!o.cache->by_size || size >= GCHEAP_CELL_MAX);
	moved = large ? gch_large_resize(&o, size) : NULL;
	if (moved)
		return moved;
	moved = o.cache->by_size ? gch_alloc_kind(size, o.heap, o.cache->kind) :
				   gch_large(o.cache, size);
	if (!moved)
		return NULL;
	memcpy(moved, p, size < o.room ? size : o.room);
	gch_free_object(&o);
	return moved;
}
