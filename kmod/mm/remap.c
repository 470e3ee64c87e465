// SPDX-License-Identifier: GPL-2.0-only
/*
 * Heap pages get another frame, with the program running.
 *
 * What follows loses no write, core.lock held from beginning to end:
 *
 *   zap the page's entry	flushed on return: nobody writes through it, and who touches it
 *				waits for core.lock in the fault handler
 *   look at the references	who else has the frame, a pin or a fault that is under way, had
 *				it from that entry before, and may write to it: it stays
 *   copy, publish, let go	the new frame is what the next fault maps
 *
 * (B5: the entry is cleared, and a full barrier passed, before the references are read;
 * get_user_pages_fast() takes its reference before it reads the entry again. One of the two
 * sees the other.)
 *
 * MESHING. A frame that several pages share has a reference for each (page_private() says
 * how many more than one) and one for each of their entries. Only the page that moves is
 * zapped: what is live in others' granules is written beside the copying (R17).
 */
#include <linux/mm.h>
#include <linux/page_ref.h>

#include "../gcheap.h"

/**
 * gch_frame_pinned() - whether a frame has more references than those known: slots' and
 *	entries'
 *
 * They are read first: who takes an entry away without core.lock drops it from the count of
 * entries before it drops its reference. A barrier before and one after it.
 */
bool gch_frame_pinned(const struct page *p)
{
	int refs;

	smp_mb();	/* B5 */
	refs = page_ref_count(p);
	smp_mb();	/* before the entries; R11: and before PG_dirty */
	return refs > (int)(1 + page_private(p) + 1 + atomic_read(&p->_mapcount));
}

/* Copy the granules of a map, in runs, or zero them (@to NULL). */
static void granules_move(char *to, char *from, const struct gch_granules *map)
{
	unsigned long lo, hi;
	DECLARE_BITMAP(bits, GCH_PAGE_GRANULES);

	bitmap_from_arr64(bits, map->word, GCH_PAGE_GRANULES);
	for_each_set_bitrange(lo, hi, bits, GCH_PAGE_GRANULES) {
		if (to)
			memcpy(to + lo * GCHEAP_GRANULE, from + lo * GCHEAP_GRANULE,
			       (hi - lo) * GCHEAP_GRANULE);
		else
			memset(from + lo * GCHEAP_GRANULE, 0, (hi - lo) * GCHEAP_GRANULE);
	}
}

/* @page is zapped and has a frame of its own: from now on it has @into's. */
static bool share(struct gch *g, u64 page, u64 into)
{
	struct page *old = gch_pages_frame(g, page), *to = gch_pages_frame(g, into);
	struct gch_granules map;

	if (!gch_mesh_fits(&g->core, page, into, &map))
		return false;
	/* Who has that one pinned would keep all that share it from being split. */
	if (gch_frame_pinned(to) || !page_ref_freeze(old, 1)) {
		g->pages_busy++;
		return false;
	}
	granules_move(page_address(to), page_address(old), &map);
	if (PageDirty(old))
		SetPageDirty(to);
	get_page(to);
	set_page_private(to, page_private(to) + 1);
	gch_pages_set(g, page, to);
	gch_mesh_join(&g->core, page, into);
	page_ref_unfreeze(old, 1);
	put_page(old);
	g->core.n.resident_pages--;
	g->pages_meshed++;
	return true;
}

/**
 * gch_remap_share() - have pages share the frames found for them
 * @p: the @n pages of a search, in the order of their numbers
 * @at: in, out: the next one to look at
 *
 * From the collector, phase IDLE, core.lock held: so many as GCH_SHARE_BATCH at most. One
 * flush for those that are not far apart. Return: 0, or -ENOMEM: there is no table for the
 * next one.
 */
int gch_remap_share(struct gch *g, const struct gch_mesh_page *p, u32 n, u32 *at)
{
	struct gch_heap *h = &g->core;
	u32 todo[GCH_SHARE_BATCH], ntodo = 0, looks = 0, i;
	struct gch_granules map;
	struct gch_zap z = { };
	int err = 0;

	for (; *at < n && looks < GCH_SHARE_BATCH; ++*at) {
		const struct gch_mesh_page *q = &p[*at];

		if (q->into == GCH_MESH_STAYS)
			continue;
		looks++;
		if (!gch_mesh_fits(h, q->page, p[q->into].page, &map))
			continue;
		err = gch_mesh_ensure(h, q->page) ?: gch_mesh_ensure(h, p[q->into].page);
		if (err)
			break;
		gch_zap_add(g, &z, q->page);
		todo[ntodo++] = *at;
	}
	gch_zap_end(g, &z);
	for (i = 0; i < ntodo; i++)
		share(g, p[todo[i]].page, p[p[todo[i]].into].page);
	return err;
}

/* R17: @page is zapped; it gets a frame of its own, in which only what is live is not zero. */
static int split(struct gch *g, u64 page, struct page *fresh)
{
	struct page *old = gch_pages_frame(g, page);
	struct gch_granules map;

	if (gch_frame_pinned(old) || !gch_mesh_map(&g->core, page, false, &map)) {
		g->pages_busy++;
		return -EBUSY;
	}
	granules_move(page_address(fresh), page_address(old), &map);
	granules_move(NULL, page_address(old), &map);
	if (PageDirty(old))
		SetPageDirty(fresh);
	gch_pages_set(g, page, fresh);
	gch_mesh_leave(&g->core, page);
	set_page_private(old, page_private(old) - 1);
	put_page(old);
	g->core.n.resident_pages++;
	g->pages_split++;
	return 0;
}

static u32 shared_pages(struct gch *g, u64 page, u64 end)
{
	u32 n = 0;

	for (; page < end; page++)
		n += gch_mesh_next(&g->core, page) != page;
	return n;
}

/**
 * gch_remap_split() - each page of a span gets a frame of its own
 *
 * core.lock held, not in a frozen phase. No frame goes: others share it. Return: 0,
 * -ENOBUFS: gch_spare_fill() first, -EBUSY: somebody has one of them pinned, or it may
 * seem so.
 */
int gch_remap_split(struct gch *g, u32 id)
{
	u64 page = (u64)id * GCH_SLOT_PAGES;
	u64 end = page + (u64)gch_desc(&g->core, id)->nslots * GCH_SLOT_PAGES;
	u32 n = shared_pages(g, page, end);
	struct gch_zap z = { .page = page, .end = n ? end : 0 };
	int err = 0;

	env_assert_held(&g->core.lock);
	if (n > g->nspare) {
		g->spare_want = n;
		return -ENOBUFS;
	}
	gch_zap_end(g, &z);
	for (; page < end && !err; page++) {
		if (gch_mesh_next(&g->core, page) == page)
			continue;
		err = split(g, page, g->spare[g->nspare - 1]);
		g->nspare -= !err;
	}
	return err;
}
