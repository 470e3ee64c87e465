// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Weak references: objects with one weak word, of a cache that every heap has. */
#include "gch.h"

struct gcheap_weak {
	void *object;
	void *unused;		/* cells are of 16 bytes at least */
};

static struct gcheap_cache *gch_weak_make(struct gcheap *h)
{
	static const uint64_t none, first = 1;
	struct gcheap_layout layout = {
		.fixed_words = 2,
		.fixed_map = &none,
		.fixed_weak = &first,
	};

	return gcheap_heap_cache_create(h, sizeof(struct gcheap_weak), &layout,
					GCHEAP_CACHE_EXACT);
}

/* Two threads may make one each: the cache of the second stays unused. */
static struct gcheap_cache *gch_weak_cache(struct gcheap *h)
{
	struct gcheap_cache *c = __atomic_load_n(&h->weak, __ATOMIC_ACQUIRE), *made;

	if (likely(c))
		return c;
	made = gch_weak_make(h);
	if (made && __atomic_compare_exchange_n(&h->weak, &c, made, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
		return made;
	return c;
}

GCH_API struct gcheap_weak *gcheap_weak_create(void *object)
{
	struct gcheap_cache *c;
	struct gcheap_weak *w;
	struct gch_object o;

	if (!gch_object_at(object, &o)) {
		errno = EINVAL;
		return NULL;
	}
	c = gch_weak_cache(o.heap);
	w = c ? gcheap_cache_alloc(c) : NULL;
	if (w)
		WRITE_ONCE(w->object, object);
	return w;
}

/* The word is cleared while all threads are stopped: what is loaded stays. */
GCH_API void *gcheap_weak_get(struct gcheap_weak *w)
{
	return READ_ONCE(w->object);
}

GCH_API void gcheap_weak_set(struct gcheap_weak *w, void *object)
{
	WRITE_ONCE(w->object, object);
}
