// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Objects with pages of their own. The kernel clears them. */
#include <string.h>

#include "gch.h"

/* The calling thread, about to make a call that may collect; 0 or -errno. */
static int gch_large_ready(struct gcheap *h, size_t size, struct gch_local **l)
{
	int err;

	if (!gch_local(h))
		return -errno;
	/* Nor does a size that wraps around fit into any heap. */
	if (size > h->backend.size)
		return -ENOMEM;
	err = gch_dl_check();
	if (err)
		return err;
	/* Not afterwards: finalizers may collect, and the object is no root's yet. */
	gch_kernel_visited(h);
	/* A finalizer may have detached the thread. */
	*l = gch_local(h);
	return *l ? 0 : -errno;
}

static int gch_large_call(struct gcheap_cache *c, size_t size, uint64_t *addr)
{
	GCH_ARG(gcheap_large, arg);
	struct gch_local *l;
	int err = gch_large_ready(c->heap, size, &l);

	if (err)
		return err;
	arg.thread = l->id;
	arg.cache = c->id;
	arg.bytes = size + c->slack;
	err = gch_call(c->heap, GCHEAP_IOC_LARGE, &arg);
	*addr = arg.addr;
	return err;
}

void *gch_large(struct gcheap_cache *c, size_t size)
{
	uint64_t addr = 0;

	return gch_fail(gch_large_call(c, size, &addr)) ? NULL : (void *)addr;
}

/*
 * What is behind the new end, in pages that stay, is zero as long as it is behind the end.
 */
static void gch_clear_end(const struct gch_object *o, size_t size)
{
	size_t end = (size + o->cache->slack + GCHEAP_SLOT_SIZE - 1) & -(size_t)GCHEAP_SLOT_SIZE;

	if (size < o->room && o->cache->kind == GCH_SCAN)
		memset((char *)o->base + size, 0, (end < o->room ? end : o->room) - size);
}

/*
 * Another size for a large object, whose pages stay its own; NULL: it is to be copied, if
 * that can be done.
 */
void *gch_large_resize(const struct gch_object *o, size_t size)
{
	GCH_ARG(gcheap_resize, arg);
	struct gch_local *l;

	if (gch_large_ready(o->heap, size, &l))
		return NULL;
	arg.thread = l->id;
	arg.addr = o->base;
	arg.bytes = size + o->cache->slack;
	if (gch_call(o->heap, GCHEAP_IOC_RESIZE, &arg))
		return NULL;
	gch_clear_end(o, size);		/* becoming smaller it has stayed */
	gch_finalizer_gone(arg.cookie);
	return (void *)arg.addr;
}
