// SPDX-License-Identifier: GPL-2.0-only
/* Caches: a cell size and a layout. */
#include "heap.h"

void gch_cache_free_maps(struct gch_cache *c)
{
	env_free(c->fixed.ptr);
	env_free(c->fixed.weak);
	env_free(c->elem.ptr);
	env_free(c->elem.weak);
}

/**
 * gch_cache_create() - add a cache
 * @proto: size, layout, flags and maps, checked by the caller; on success the
 *	maps are the cache's
 *
 * Return: its number, -ENOSPC or -ENOMEM.
 */
int gch_cache_create(struct gch_heap *h, const struct gch_cache *proto)
{
	struct gch_cache *c;
	u32 i;

	env_assert_held(&h->lock);
	for (i = 0; i < GCHEAP_MAX_CACHES && h->cache[i]; i++)
		;
	if (i == GCHEAP_MAX_CACHES)
		return -ENOSPC;
	c = gch_take(h, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = *proto;
	if (!(c->flags & GCHEAP_CACHE_LARGE)) {
		c->slots = gch_span_slots(c->cell_size);
		c->ncells = c->slots * GCHEAP_SLOT_SIZE / c->cell_size;
		c->recip = gch_recip(c->cell_size);
	}
	h->npast_end += !!(c->flags & GCHEAP_CACHE_PAST_END);
	h->npairs += !!(c->flags & GCHEAP_CACHE_EPHEMERON);
	h->nasks += c->layout == GCHEAP_ASK;
	h->cache[i] = c;
	h->ncaches = max(h->ncaches, i + 1);
	return i;
}

/* What has lost its last cell before the sweep comes by. */
static void sweep_list(struct gch_heap *h, u32 list)
{
	u32 link, next;

	for (link = list; link; link = next) {
		next = gch_slot(h, link - 1)->lnext;
		if (gch_span_unswept(h, gch_desc(h, link - 1)))
			gch_sweep_span(h, link - 1);
	}
}

/** gch_cache_destroy() - remove a cache: 0, -ENOENT, or -EBUSY: it has spans */
int gch_cache_destroy(struct gch_heap *h, u32 cache)
{
	struct gch_cache *c;

	env_assert_held(&h->lock);
	if (cache >= h->ncaches || !h->cache[cache])
		return -ENOENT;
	c = h->cache[cache];
	sweep_list(h, c->partial);
	sweep_list(h, c->meshed);
	if (c->nspans)
		return -EBUSY;
	h->npast_end -= !!(c->flags & GCHEAP_CACHE_PAST_END);
	h->npairs -= !!(c->flags & GCHEAP_CACHE_EPHEMERON);
	h->nasks -= c->layout == GCHEAP_ASK;
	h->cache[cache] = NULL;
	gch_cache_free_maps(c);
	env_free(c);
	return 0;
}
