// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory for tables, taken with the heap lock held. Nothing sleeps for memory
 * there (R8): what cannot be had at once is noted, the caller drops the lock,
 * brings it in with gch_reserve_fill(), and tries again.
 */
#include "heap.h"

/** gch_take() - a zeroed table, or NULL: see gch_reserve_fill() */
void *gch_take(struct gch_heap *h, size_t bytes)
{
	struct gch_reserve *r = &h->reserve;
	void *p = env_zalloc_nowait(bytes);

	env_assert_held(&h->lock);
	if (!p && r->block && r->bytes >= bytes) {
		p = r->block;
		r->block = NULL;
	}
	if (!p)
		r->want = bytes;
	return p;
}

/** gch_take_page() - a page of metadata likewise */
void *gch_take_page(struct gch_heap *h)
{
	struct gch_reserve *r = &h->reserve;
	void *p = env_page_alloc_nowait();

	env_assert_held(&h->lock);
	if (!p && r->npages)
		p = r->page[--r->npages];
	if (!p)
		r->want_pages = GCH_RESERVE_PAGES;
	return p;
}

/* What was wanted, now that one may sleep. */
static bool bring(struct gch_reserve *r)
{
	if (r->want) {
		r->block = env_zalloc(r->want);
		r->bytes = r->want;
		if (!r->block)
			return false;
	}
	for (; r->npages < r->want_pages; r->npages++) {
		r->page[r->npages] = env_page_alloc();
		if (!r->page[r->npages])
			return false;
	}
	return true;
}

static void drop(struct gch_reserve *r)
{
	env_free(r->block);
	r->block = NULL;
	while (r->npages)
		env_page_free(r->page[--r->npages]);
}

/**
 * gch_reserve_fill() - bring in the memory that a call under the lock lacked
 * @fills: the caller's, 0 before its first attempt: fills of the reserve seen
 *
 * Without the lock; may sleep. What is lacking is noted once for all; if another
 * thread has seen to it, there is nothing left to bring in and yet good reason to
 * try again. Return: whether it is worth trying again.
 */
bool gch_reserve_fill(struct gch_heap *h, u32 *fills)
{
	struct gch_reserve fresh = { 0 }, old;
	u32 seen = *fills;

	env_lock(&h->lock);
	fresh.want = h->reserve.want;
	fresh.want_pages = h->reserve.want_pages;
	*fills = h->reserve.fills;
	env_unlock(&h->lock);
	if (!fresh.want && !fresh.want_pages)
		return *fills != seen;
	if (!bring(&fresh)) {
		drop(&fresh);
		return false;
	}
	fresh.want = 0;
	fresh.want_pages = 0;
	env_lock(&h->lock);
	old = h->reserve;
	fresh.fills = old.fills + 1;
	*fills = fresh.fills;
	h->reserve = fresh;
	env_unlock(&h->lock);
	drop(&old);
	return true;
}

/** gch_reserve_drop() - the heap goes */
void gch_reserve_drop(struct gch_heap *h)
{
	drop(&h->reserve);
}
