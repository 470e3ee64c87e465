// SPDX-License-Identifier: GPL-2.0-only
/* Stale pages: those to be settled after the flip (evacuate.c), a bit each. */
#include "evacuate.h"

bool gch_stale(const struct gch_heap *h, u64 page)
{
	const struct gch_chunk *c = gch_chunk(h, page / GCH_CHUNK_PAGES);
	u32 i = page % GCH_CHUNK_PAGES;

	return c && c->stale[i / 64] & (1ull << (i % 64));
}

void gch_stale_set(struct gch_heap *h, u64 page)
{
	struct gch_chunk *c = gch_chunk(h, page / GCH_CHUNK_PAGES);
	u32 i = page % GCH_CHUNK_PAGES;

	if (gch_stale(h, page))
		return;
	c->stale[i / 64] |= 1ull << (i % 64);
	h->evac.nstale++;
	if (h->evac.armed)
		gch_evac_late(h, page);
}

void gch_stale_clear(struct gch_heap *h, u64 page)
{
	struct gch_chunk *c = gch_chunk(h, page / GCH_CHUNK_PAGES);
	u32 i = page % GCH_CHUNK_PAGES;

	if (!gch_stale(h, page))
		return;
	c->stale[i / 64] &= ~(1ull << (i % 64));
	h->evac.nstale--;
}

/**
 * gch_stale_next() - the first stale page from a page on
 *
 * Return: whether there is one.
 */
bool gch_stale_next(const struct gch_heap *h, u64 from, u64 *page)
{
	u64 end = (u64)h->top * GCH_SLOT_PAGES;
	u32 i;

	while (from < end) {
		const struct gch_chunk *c = gch_chunk(h, from / GCH_CHUNK_PAGES);
		u64 bits;

		i = from % GCH_CHUNK_PAGES;
		bits = c ? c->stale[i / 64] >> (i % 64) : 0;
		if (bits) {
			*page = from + env_ctz64(bits);
			return true;
		}
		from += c ? 64 - i % 64 : GCH_CHUNK_PAGES - i;
	}
	return false;
}

/**
 * gch_evac_late() - a page that is to be settled after the flip may be mapped again
 *
 * Once evac.armed is set: the pause zaps these, and need not zap the others.
 */
void gch_evac_late(struct gch_heap *h, u64 page)
{
	struct gch_evac *e = &h->evac;

	if (e->nlate < e->late_max)
		e->late[e->nlate] = page;
	e->nlate++;
}

void gch_stale_forget(struct gch_heap *h)
{
	u32 c, end = (h->top + GCHEAP_CHUNK_SLOTS - 1) / GCHEAP_CHUNK_SLOTS;

	for (c = 0; c < end && h->evac.nstale; c++) {
		struct gch_chunk *chunk = gch_chunk(h, c);
		u32 w;

		for (w = 0; chunk && w < ARRAY_SIZE(chunk->stale); w++) {
			h->evac.nstale -= env_weight64(chunk->stale[w]);
			chunk->stale[w] = 0;
		}
	}
	h->evac.armed = false;
	h->evac.state = GCH_EVAC_NONE;
}
