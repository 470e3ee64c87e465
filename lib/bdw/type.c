// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Objects that are not searched as all are: caches of the program's kinds and types, one a
 * size class, made when first needed and never destroyed. Which ones there are is in a hash
 * table, by linear probing, that is read without a lock: nothing is ever taken out.
 */
#include <string.h>

#include "bdw.h"

#define BDW_CACHES	640u	/* what is left suffices for the heap's own */
#define BDW_SLOT_BITS	10
#define BDW_SLOTS	(1u << BDW_SLOT_BITS)
#define BDW_LARGE	GCH_CLASSES

struct bdw_source {
	struct bdw_type type;
	int class;
	struct gcheap_cache *cache;	/* NULL: nothing here; published last */
};

static struct {
	pthread_mutex_t lock;
	unsigned int used;
	struct bdw_source slot[BDW_SLOTS];
	struct bdw_source *of_cache[GCHEAP_MAX_CACHES];
} bdw_sources = { .lock = PTHREAD_MUTEX_INITIALIZER };

BDW_LOCK(bdw_sources);

static unsigned int bdw_source_home(const struct bdw_type *t, int class)
{
	uint64_t hash = (t->descr ^ (uint64_t)t->elem_words << 16 ^ t->kind << 8 ^ class) *
			0x9e3779b97f4a7c15ull;

	/* Short maps differ in their upper bits, and so do their products. */
	return hash >> (64 - BDW_SLOT_BITS);
}

static bool bdw_source_is(const struct bdw_source *s, const struct bdw_type *t, int class)
{
	return s->type.descr == t->descr && s->type.elem_words == t->elem_words &&
	       s->type.kind == t->kind && s->class == class;
}

/*
 * Where it is, with its cache, or would be put. Without the lock another type may get an
 * empty slot at any time, so that its cache is loaded once.
 */
static struct bdw_source *bdw_source_find(const struct bdw_type *t, int class,
					  struct gcheap_cache **cache)
{
	unsigned int i = bdw_source_home(t, class);
	struct bdw_source *s;

	for (;; i = (i + 1) & (BDW_SLOTS - 1)) {
		s = &bdw_sources.slot[i];
		*cache = __atomic_load_n(&s->cache, __ATOMIC_ACQUIRE);
		if (!*cache || bdw_source_is(s, t, class))
			return s;
	}
}

/* ---- making one */

static void bdw_fill_layout(struct gcheap_layout *l, const struct bdw_map *map,
			    uint32_t elem_words)
{
	*l = (struct gcheap_layout){ 0 };
	if (elem_words) {
		l->elem_words = elem_words;
		l->elem_map = map->bits;
		l->length_word = GCHEAP_FILL;
	} else {
		l->fixed_words = map->words;
		l->fixed_map = map->bits;
	}
}

/* EXACT, since objects are made larger by a byte here. */
static struct gcheap_cache *bdw_cache_make(const struct bdw_type *t, size_t cell)
{
	uint32_t flags = GCHEAP_CACHE_EXACT;
	struct gcheap_layout layout;
	struct bdw_map map;

	if (bdw_descr_is_asked(t->descr))
		return gch_cache_asked(&gch.heap0, cell);
	bdw_descr_map(t->descr, &map);
	if (!map.words)
		flags |= GCHEAP_CACHE_NOSCAN;
	if (!map.words || map.words == BDW_ALL)
		return gcheap_cache_create(cell, NULL, flags);
	if (cell && map.words > cell / sizeof(GC_word))
		map.words = cell / sizeof(GC_word);
	bdw_fill_layout(&layout, &map, t->elem_words);
	return gcheap_cache_create(cell, &layout, flags);
}

static struct gcheap_cache *bdw_source_make(const struct bdw_type *t, int class)
{
	struct gcheap_cache *c;
	struct bdw_source *s = bdw_source_find(t, class, &c);

	if (c || bdw_sources.used == BDW_CACHES)
		return c;
	c = bdw_cache_make(t, class == BDW_LARGE ? 0 : gch_class_cell(class));
	if (!c)
		return NULL;
	WRITE_ONCE(bdw_sources.used, bdw_sources.used + 1);
	s->type = *t;
	s->class = class;
	WRITE_ONCE(bdw_sources.of_cache[c->id], s);
	__atomic_store_n(&s->cache, c, __ATOMIC_RELEASE);
	return c;
}

/* The heap is made without our lock: that takes the loader's, whose owner may allocate. */
static struct gcheap_cache *bdw_source_new(const struct bdw_type *t, int class)
{
	struct gcheap_cache *c;

	if (READ_ONCE(bdw_sources.used) == BDW_CACHES || gch_fail(gcheap_init()))
		return NULL;
	pthread_mutex_lock(&bdw_sources.lock);
	c = bdw_source_make(t, class);
	pthread_mutex_unlock(&bdw_sources.lock);
	return c;
}

static struct gcheap_cache *bdw_source(const struct bdw_type *t, size_t size)
{
	int class = size < GCHEAP_CELL_MAX ? gch_class(size + 1) : BDW_LARGE;
	struct gcheap_cache *c;

	bdw_source_find(t, class, &c);
	return likely(c) ? c : bdw_source_new(t, class);
}

/* ---- objects of them */

static void *bdw_source_alloc(struct gcheap_cache *c, size_t size)
{
	/* A size that wraps around fits into no heap. */
	return c->any_size ? gch_large(c, size < SIZE_MAX ? size + 1 : size) :
			     gcheap_cache_alloc(c);
}

/*
 * NULL: no memory. Without room for another cache it is an object in which all may be
 * pointers, and of no kind of the program's; if only a mark procedure finds them, there is none.
 */
static void *bdw_type_try(const struct bdw_type *t, size_t size)
{
	struct gcheap_cache *c = bdw_source(t, size);
	void *p;

	if (!c && bdw_descr_is_asked(t->descr))
		return NULL;
	if (!c)
		return gch_alloc_kind(size, &gch.heap0, GCH_SCAN);
	p = bdw_source_alloc(c, size);
	/* The kernel has cleared large ones, the library what is searched. */
	if (p && t->clear && c->kind == GCH_NOSCAN && !c->any_size)
		memset(p, 0, c->cell);
	return p;
}

void *bdw_type_alloc(const struct bdw_type *t, size_t size)
{
	void *p;

	bdw_enter();
	p = bdw_type_try(t, size);
	if (unlikely(!p) && bdw_collected_for_room())
		p = bdw_type_try(t, size);
	return bdw_born(p, t->kind);
}

/* NULL: one of the heap's own. */
const struct bdw_type *bdw_type_of(const struct gch_object *o)
{
	const struct bdw_source *s = READ_ONCE(bdw_sources.of_cache[o->cache->id]);

	return s ? &s->type : NULL;
}
