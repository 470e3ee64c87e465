// SPDX-License-Identifier: GPL-2.0-only
/* Pages that were written while marking is under way: the marker's to look at again. */
#include "heap.h"

/**
 * gch_dirty_set() - a page was written after the marker may have read it
 * @page: number of a heap page
 *
 * Return: whether that is news. A page without metadata holds nothing to look at.
 */
bool gch_dirty_set(struct gch_heap *h, u64 page)
{
	u32 i = page % GCH_CHUNK_PAGES, number = page / GCH_CHUNK_PAGES;
	struct gch_chunk *c;

	env_assert_held(&h->lock);
	if (page >= (u64)h->top * GCH_SLOT_PAGES)
		return false;
	c = gch_chunk(h, number);
	if (!c || c->dirty[i / 64] & (1ull << (i % 64)))
		return false;
	c->dirty[i / 64] |= 1ull << (i % 64);
	h->ndirty++;
	h->dirty_at = min(h->dirty_at, number);
	return true;
}

/* One dirty page of a chunk, which is no longer; GCH_CHUNK_PAGES: there is none. */
static u32 take_page(struct gch_heap *h, struct gch_chunk *c)
{
	u32 w, i;

	for (w = 0; w < ARRAY_SIZE(c->dirty); w++) {
		if (!c->dirty[w])
			continue;
		i = env_ctz64(c->dirty[w]);
		c->dirty[w] &= c->dirty[w] - 1;
		h->ndirty--;
		return 64 * w + i;
	}
	return GCH_CHUNK_PAGES;
}

/**
 * gch_dirty_scan() - look at dirty pages again
 * @pages: at most so many
 *
 * Return: whether some are left.
 */
bool gch_dirty_scan(struct gch_heap *h, u32 pages)
{
	env_assert_held(&h->lock);
	while (h->ndirty && pages) {
		struct gch_chunk *c = gch_chunk(h, h->dirty_at);
		u32 i = c ? take_page(h, c) : GCH_CHUNK_PAGES;

		if (i == GCH_CHUNK_PAGES) {
			h->dirty_at++;
			continue;
		}
		gch_scan_page(h, (u64)h->dirty_at * GCH_CHUNK_PAGES + i);
		pages--;
	}
	return h->ndirty;
}

/** gch_dirty_forget() - no page is dirty: marking begins, or is over */
void gch_dirty_forget(struct gch_heap *h)
{
	env_assert_held(&h->lock);
	for (; h->ndirty; h->dirty_at++) {
		struct gch_chunk *c = gch_chunk(h, h->dirty_at);

		while (c && take_page(h, c) != GCH_CHUNK_PAGES)
			;
	}
	h->dirty_at = h->top / GCHEAP_CHUNK_SLOTS;
}
