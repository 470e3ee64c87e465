// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Objects with pages of their own. The kernel clears them. */
#include "gch.h"

static int gch_large_call(struct gcheap_cache *c, size_t size, uint64_t *addr)
{
	GCH_ARG(gcheap_large, arg);
	struct gch_local *l;
	int err;

	if (!gch_local(c->heap))
		return -errno;
	/* Nor does a size that wraps around fit into any heap. */
	if (size > c->heap->backend.size)
		return -ENOMEM;
	err = gch_dl_check();
	if (err)
		return err;
	/* Not afterwards: finalizers may collect, and the object is no root's yet. */
	gch_kernel_visited(c->heap);
	/* A finalizer may have detached the thread. */
	l = gch_local(c->heap);
	if (!l)
		return -errno;
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
