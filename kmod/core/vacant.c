// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of spans in use that hold nothing: no live cell reaches into them. What is there is
 * nobody's, so that they may go, and come back as zeroes when the span is handed out.
 *
 * A page that is given back only to be fetched again is a loss. So a first look notes that
 * the span is idle, and a second one that finds it still so, not handed out in between,
 * says what is to go (hysteresis: what allocation has not come to in a whole cycle).
 */
#include "heap.h"

static_assert(GCH_SPAN_SLOTS_MAX * GCH_SLOT_PAGES <= 32, "a span's pages are bits of a u32");

static bool page_vacant(const struct gch_heap *h, u32 id, const struct gcheap_span *d, u32 page)
{
	u32 lo = gch_cell_of(page << GCH_PAGE_SHIFT, d->recip);
	u32 hi = gch_cell_of(((page + 1) << GCH_PAGE_SHIFT) - 1, d->recip) + 1;
	const u64 *live = gch_live(h, id);
	u32 w;

	hi = min_t(u32, hi, d->ncells);
	for (w = lo / 64; w * 64 < hi; w++)
		if (live[w] & gch_word_mask(w, lo, hi))
			return false;
	return true;
}

static u32 vacant_pages(const struct gch_heap *h, u32 id, const struct gcheap_span *d)
{
	u32 n = d->nslots * GCH_SLOT_PAGES, pages = 0, p;

	for (p = 0; p < n; p++)
		if (gch_slot(h, id + p / GCH_SLOT_PAGES)->frame[p % GCH_SLOT_PAGES] &&
		    page_vacant(h, id, d, p))
			pages |= 1u << p;
	return pages;
}

/**
 * gch_vacant_next() - look on for pages that are to go back to the system
 * @at: in: slot to look at; out: to go on with
 * @max: look at so many spans at most
 * @now: of those too that were not idle when they were looked at last
 * @id, @pages: out: the next span that has some, and which, a bit each; 0: none here
 *
 * Outside of the frozen phases. Return: whether there may be more.
 */
bool gch_vacant_next(struct gch_heap *h, u32 *at, u32 max, bool now, u32 *id, u32 *pages)
{
	u32 step;

	env_assert_held(&h->lock);
	*pages = 0;
	for (; *at < h->top && max-- && !*pages; *at += step) {
		struct gcheap_span *d = gch_span_at(h, *at, id);

		step = d ? d->nslots - (*at - *id) : 1;
		if (!d || d->state != GCHEAP_SPAN_PARTIAL || gch_span_unswept(h, d))
			continue;
		if (now || d->flags & GCHEAP_SPANF_IDLE)
			*pages = vacant_pages(h, *id, d);
		d->flags |= GCHEAP_SPANF_IDLE;
	}
	return *at < h->top;
}
