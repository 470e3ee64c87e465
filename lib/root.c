// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Ranges of memory that are roots: the program's own, and the library's records. */
#include "gch.h"

#define GCH_WORD	8ull

/* Whole aligned words of [addr, addr + len); false: there is none. */
static bool gch_root_words(struct gch_root *r, const void *addr, size_t len)
{
	uint64_t lo = ((uintptr_t)addr + GCH_WORD - 1) & ~(GCH_WORD - 1);
	uint64_t hi = ((uintptr_t)addr + len) & ~(GCH_WORD - 1);

	if ((uintptr_t)addr + len < (uintptr_t)addr || lo >= hi)
		return false;
	*r = (struct gch_root){ .addr = lo, .len = hi - lo };
	return true;
}

int gch_root_register(struct gcheap *h, struct gch_root *r, uint32_t flags, uint64_t top)
{
	GCH_ARG(gcheap_root, arg);
	int err;

	arg.flags = flags;
	arg.addr = r->addr;
	arg.len = r->len;
	arg.top = top;
	err = gch_call(h, GCHEAP_IOC_ROOT_ADD, &arg);
	r->id = arg.id;
	return err;
}

int gch_root_unregister(struct gcheap *h, uint32_t id)
{
	GCH_ARG(gcheap_root, arg);

	arg.id = id;
	return gch_call(h, GCHEAP_IOC_ROOT_DEL, &arg);
}

int gch_root_slab(struct gcheap *h, struct gch_slab *s)
{
	struct gch_root r = { .addr = (uintptr_t)s->base, .len = s->reserve };

	if (!s->base)
		return -ENOMEM;
	return gch_root_register(h, &r, GCHEAP_ROOT_TOP, (uintptr_t)&s->top);
}

/* ---- the program's */

static int gch_root_flags(uint32_t flags, void *const *top, uint32_t *kernel)
{
	uint32_t stacks = flags & (GCHEAP_SHADOW | GCHEAP_FIBER);

	if (flags & ~(GCHEAP_PRECISE | GCHEAP_SHADOW | GCHEAP_FIBER) ||
	    stacks == (GCHEAP_SHADOW | GCHEAP_FIBER) || !stacks != !top)
		return -EINVAL;
	*kernel = (flags & GCHEAP_PRECISE ? GCHEAP_ROOT_PRECISE : 0) |
		  (flags & GCHEAP_SHADOW ? GCHEAP_ROOT_TOP : 0) |
		  (flags & GCHEAP_FIBER ? GCHEAP_ROOT_FIBER : 0);
	return 0;
}

static int gch_root_keep(struct gcheap *h, struct gch_root *r, uint32_t flags, uint64_t top)
{
	struct gch_root *kept = gch_vec_push(&h->roots, sizeof(*kept));
	int err;

	if (!kept)
		return -ENOMEM;
	err = gch_root_register(h, r, flags, top);
	if (err)
		h->roots.n--;
	else
		*kept = *r;
	return err;
}

GCH_API int gcheap_heap_root_add(struct gcheap *h, void *addr, size_t len, uint32_t flags,
				 void *const *top)
{
	struct gch_root r;
	uint32_t kernel;
	int err = gch_heap_get(&h);

	if (!err)
		err = gch_root_flags(flags, top, &kernel);
	if (!err && !gch_root_words(&r, addr, len))
		err = -EINVAL;
	if (err)
		return err;
	pthread_mutex_lock(&gch.lock);
	err = gch_root_keep(h, &r, kernel, (uintptr_t)top);
	pthread_mutex_unlock(&gch.lock);
	return err;
}

static int gch_root_drop(struct gcheap *h, const struct gch_root *r)
{
	struct gch_root *roots = h->roots.items;

	for (size_t i = 0; i < h->roots.n; i++) {
		uint32_t id = roots[i].id;

		if (roots[i].addr != r->addr || roots[i].len != r->len)
			continue;
		gch_vec_drop(&h->roots, sizeof(*roots), i);
		return gch_root_unregister(h, id);
	}
	return -ENOENT;
}

GCH_API int gcheap_heap_root_del(struct gcheap *h, void *addr, size_t len)
{
	struct gch_root r;
	int err = gch_heap_get(&h);

	if (err)
		return err;
	if (!gch_root_words(&r, addr, len))
		return -EINVAL;
	pthread_mutex_lock(&gch.lock);
	err = gch_root_drop(h, &r);
	pthread_mutex_unlock(&gch.lock);
	return err;
}

GCH_API int gcheap_root_add(void *addr, size_t len)
{
	return gcheap_heap_root_add(NULL, addr, len, 0, NULL);
}

GCH_API int gcheap_root_del(void *addr, size_t len)
{
	return gcheap_heap_root_del(NULL, addr, len);
}
