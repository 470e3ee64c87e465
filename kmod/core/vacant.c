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
	const u64 *live = gch_live(h, id);
	u32 lo, hi, w;

	gch_page_cells(d, page, &lo, &hi);
	for (w = lo / 64; w * 64 < hi; w++)
		if (live[w] & gch_word_mask(w, lo, hi))
			return false;
	return true;
}

static u32 vacant_pages(const struct gch_heap *h, u32 id, const struct gcheap_span *d)
{
	u32 n = d->nslots * GCH_SLOT_PAGES, pages = 0, p;

	for (p = 0; p < n; p++)
		if (gch_heap_frame(h, (u64)id * GCH_SLOT_PAGES + p) && page_vacant(h, id, d, p))
			pages |= 1u << p;
	return pages;
}

/**
 * gch_vacant_gather() - look on for pages that are to go back to the system
 * @at: in: slot to look at; out: to go on with
 * @max: look at so many spans and free slots at most
 * @now: of those too that were not idle when they were looked at last
 * @v: out: spans that have some, at most @room; @n: how many
 *
 * From who alone takes frames away, in phase IDLE. Return: whether there may be more.
 */
bool gch_vacant_gather(struct gch_heap *h, u32 *at, u32 max, bool now, struct gch_vacant *v,
		       u32 room, u32 *n)
{
	u32 step, id;

	env_assert_held(&h->lock);
	for (*n = 0; *at < h->top && max-- && *n < room; *at += step) {
		struct gcheap_span *d = gch_span_at(h, *at, &id);

		step = d ? d->nslots - (*at - id) : 1;
		if (!d || d->state != GCHEAP_SPAN_PARTIAL || gch_span_unswept(h, d))
			continue;
		v[*n].id = id;
		v[*n].pages = 0;
		if (now || d->flags & GCHEAP_SPANF_IDLE)
			v[*n].pages = vacant_pages(h, id, d);
		*n += !!v[*n].pages;
		d->flags |= GCHEAP_SPANF_IDLE;
	}
	return *at < h->top;
}
