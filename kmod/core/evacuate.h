/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of an evacuation share; see evacuate.c. */
#ifndef _GCH_CORE_EVACUATE_H
#define _GCH_CORE_EVACUATE_H

#include "marker.h"

/** struct pass - a page whose words are looked at
 * @c: cache of the span that it is in; @tags: low bits of its pointers
 * @lo, @hi: its bounds, by offset in the heap
 * @words: its memory
 * @fix: words are corrected; else @found: one leads into a source
 */
struct pass {
	struct gch_heap *h;
	const struct gch_cache *c;
	u64 tags;
	u64 lo, hi;
	u64 *words;
	bool fix;
	bool found;
};

/* evacuate.c */
void gch_source_back(struct gch_heap *h, u32 id);

/* stale.c */
bool gch_stale(const struct gch_heap *h, u64 page);
void gch_stale_set(struct gch_heap *h, u64 page);
void gch_stale_clear(struct gch_heap *h, u64 page);
void gch_stale_forget(struct gch_heap *h);

/* refer.c */
bool gch_pass_open(struct pass *p, struct gch_heap *h, u64 page, const struct gcheap_span *d);
void gch_refer_page(struct pass *p, u64 page, u32 id, const struct gcheap_span *d);
void gch_refer_typed(struct pass *p, u64 off, u64 end, u64 n);

/* flip.c */
u32 gch_live_below(const struct gch_heap *h, u32 id, u32 below);

#endif
