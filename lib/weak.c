// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Weak references and ephemerons: small objects, of caches that a heap has when needed. */
#include "gch.h"

struct gcheap_weak {
	void *object;
	void *unused;		/* cells are of 16 bytes at least */
};

struct gcheap_ephemeron {
	void *key;
	void *value;
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

static struct gcheap_cache *gch_ephemeron_make(struct gcheap *h)
{
	static const uint64_t first = 1, second = 2;
	struct gcheap_layout layout = {
		.elem_words = 2,
		.length_word = GCHEAP_FILL,
		.elem_map = &second,
		.elem_weak = &first,
	};

	return gcheap_heap_cache_create(h, sizeof(struct gcheap_ephemeron), &layout,
					GCHEAP_CACHE_EXACT | GCHEAP_CACHE_EPHEMERON);
}

/* Two threads may make one each: the cache of the second stays unused. */
static struct gcheap_cache *gch_cache_once(struct gcheap *h, struct gcheap_cache **at,
					   struct gcheap_cache *(*make)(struct gcheap *))
{
	struct gcheap_cache *c = __atomic_load_n(at, __ATOMIC_ACQUIRE), *made;

	if (likely(c))
		return c;
	made = make(h);
	if (made && __atomic_compare_exchange_n(at, &c, made, false, __ATOMIC_ACQ_REL,
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
	c = gch_cache_once(o.heap, &o.heap->weak, gch_weak_make);
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

GCH_API struct gcheap_ephemeron *gcheap_ephemeron_create(void *key, void *value)
{
	struct gcheap_ephemeron *e;
	struct gcheap_cache *c;
	struct gch_object o;

	if (!gch_object_at(key, &o)) {
		errno = EINVAL;
		return NULL;
	}
	c = gch_cache_once(o.heap, &o.heap->ephemeron, gch_ephemeron_make);
	e = c ? gcheap_cache_alloc(c) : NULL;
	if (e) {
		WRITE_ONCE(e->key, key);
		WRITE_ONCE(e->value, value);
	}
	return e;
}

/* In this order: with the key at hand the value stays. */
GCH_API void *gcheap_ephemeron_get(struct gcheap_ephemeron *e, void **value)
{
	void *key = READ_ONCE(e->key);

	*value = READ_ONCE(e->value);
	/* The key is to be in a register or on the stack until then. */
	__asm__ volatile("" : "+r"(key) : : "memory");
	return key;
}

/* Once the key is gone nobody would clear it again. */
GCH_API void gcheap_ephemeron_set(struct gcheap_ephemeron *e, void *value)
{
	void *key = READ_ONCE(e->key);

	if (key)
		WRITE_ONCE(e->value, value);
	__asm__ volatile("" : : "r"(key) : "memory");
}
