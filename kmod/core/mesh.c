// SPDX-License-Identifier: GPL-2.0-only
/*
 * Meshing: pages whose live cells take different granules share one frame. No address
 * changes, so it works for any program. After Powers et al., "Mesh: Compacting Memory
 * Management for C/C++ Applications", PLDI 2019; there pages are merged two by two, here
 * a frame takes in as many as there is room for.
 *
 * R17: only pages of swept spans that nobody owns share a frame, and a span is not handed
 * out before each of its pages has one of its own (ops->split()): what is free in it may be
 * live in others. So the live cells of a shared frame stay as they are or become fewer,
 * and each is written through its own page alone.
 *
 * Pages with a common frame are a ring through gch_chunk.alias. Spans that have such are on
 * a list of their own (GCHEAP_SPANF_MESHED), and are handed out when there are no others.
 *
 * THE SEARCH puts the pages with most live granules first, and each into the first of at
 * most GCH_MESH_PROBES frames that it fits into, which are tried in turn (first fit
 * decreasing, with a bound). So it takes time in proportion to the pages. How well it does
 * depends on the cells: see doc/design.md.
 */
#include "heap.h"

#define FULL_GRANULES	(GCH_PAGE_GRANULES * 15 / 16)	/* of a frame that is not looked at again */

static u32 *alias_of(const struct gch_heap *h, u64 page)
{
	const struct gch_chunk *c = gch_chunk(h, page / GCH_CHUNK_PAGES);

	return c && c->alias ? &c->alias[page % GCH_CHUNK_PAGES] : NULL;
}

/** gch_mesh_next() - the next page with the same frame, in a ring; itself: there is none */
u64 gch_mesh_next(const struct gch_heap *h, u64 page)
{
	const u32 *alias = alias_of(h, page);

	return alias && *alias ? *alias - 1 : page;
}

/**
 * gch_mesh_ensure() - memory for gch_mesh_join(): 0 or -ENOMEM
 *
 * The kernel's alone, so nobody is told.
 */
int gch_mesh_ensure(struct gch_heap *h, u64 page)
{
	struct gch_chunk *c = gch_chunk(h, page / GCH_CHUNK_PAGES);

	env_assert_held(&h->lock);
	if (c->alias)
		return 0;
	c->alias = gch_take_page(h);
	if (!c->alias)
		return -ENOMEM;
	h->n.meta_bytes += GCH_PAGE_SIZE;
	return 0;
}

static void note_meshed(struct gch_heap *h, u64 page)
{
	u32 id = gch_desc(h, page / GCH_SLOT_PAGES)->head - 1;
	struct gcheap_span *d = gch_desc(h, id);

	if (d->flags & GCHEAP_SPANF_MESHED)
		return;
	gch_span_unlist(h, id);
	d->flags |= GCHEAP_SPANF_MESHED;
	gch_span_list(h, id);
}

/**
 * gch_mesh_join() - a page's frame is now another's, too
 * @page: alone until now; @into: the other one. Both have been made sure of.
 */
void gch_mesh_join(struct gch_heap *h, u64 page, u64 into)
{
	env_assert_held(&h->lock);
	*alias_of(h, page) = 1 + gch_mesh_next(h, into);
	*alias_of(h, into) = 1 + page;
	h->n.meshed_pages++;
	note_meshed(h, page);
	note_meshed(h, into);
}

/** gch_mesh_leave() - a page gives its frame up: whether others still have it */
bool gch_mesh_leave(struct gch_heap *h, u64 page)
{
	u64 next = gch_mesh_next(h, page), at = next;

	env_assert_held(&h->lock);
	if (next == page)
		return false;
	while (gch_mesh_next(h, at) != page)
		at = gch_mesh_next(h, at);
	*alias_of(h, page) = 0;
	*alias_of(h, at) = at == next ? 0 : 1 + next;
	h->n.meshed_pages--;
	return true;
}

/**
 * gch_mesh_cells() - granules of a page that live cells take: whole cells, used or not
 * @id: its span
 * @map: in, out
 */
void gch_mesh_cells(const struct gch_heap *h, u64 page, u32 id, struct gch_granules *map)
{
	const struct gcheap_span *d = gch_desc(h, id);
	u32 in_span = page - (u64)id * GCH_SLOT_PAGES, start = in_span * GCH_PAGE_GRANULES;
	u32 end = start + GCH_PAGE_GRANULES, size = d->cell_granules, first, last, w, v;
	const u64 *live = gch_live(h, id);

	gch_page_cells(d, in_span, &first, &last);
	for (w = first / 64; w * 64 < last; w++) {
		u64 cells = live[w] & gch_word_mask(w, first, last);

		for (; cells; cells &= cells - 1) {
			u32 cell = w * 64 + env_ctz64(cells);
			u32 lo = max(cell * size, start) - start;
			u32 hi = min((cell + 1) * size, end) - start;

			for (v = lo / 64; v * 64 < hi; v++)
				map->word[v] |= gch_word_mask(v, lo, hi);
		}
	}
}

/* May the page share a frame? */
static bool meshable(const struct gch_heap *h, u64 page, u32 *id)
{
	const struct gcheap_span *d = gch_span_at(h, page / GCH_SLOT_PAGES, id);

	return d && d->state == GCHEAP_SPAN_PARTIAL && !gch_span_unswept(h, d);
}

/**
 * gch_mesh_map() - granules that live cells take in a page's frame, its own and others'
 * @others: of the pages that share it, too
 * @map: out
 *
 * Return: how many pages these are; 0: they must not be meshed, or there is no frame.
 */
u32 gch_mesh_map(const struct gch_heap *h, u64 page, bool others, struct gch_granules *map)
{
	u32 id, n = 0;
	u64 at = page;

	memset(map, 0, sizeof(*map));
	do {
		if (!meshable(h, at, &id) || !gch_heap_frame(h, at))
			return 0;
		gch_mesh_cells(h, at, id, map);
		n++;
		at = gch_mesh_next(h, at);
	} while (others && at != page);
	return n;
}

/**
 * gch_mesh_fits() - may a page share another's frame, by now
 * @map: out: what it has there
 */
bool gch_mesh_fits(const struct gch_heap *h, u64 page, u64 into, struct gch_granules *map)
{
	struct gch_granules other;
	u32 n;

	env_assert_held(&h->lock);
	if (page == into || gch_mesh_next(h, page) != page || !gch_mesh_map(h, page, false, map))
		return false;
	n = gch_mesh_map(h, into, true, &other);
	return n && n < GCH_MESH_RING && gch_granules_disjoint(map, &other);
}

static u32 granules_in(const struct gch_granules *map)
{
	return env_weight64(map->word[0]) + env_weight64(map->word[1]) +
	       env_weight64(map->word[2]) + env_weight64(map->word[3]);
}

/* Nothing more is to go into its frame. */
static bool is_full(const struct gch_mesh_page *p)
{
	return p->granules >= FULL_GRANULES || p->pages >= GCH_MESH_RING;
}

/* A page as a candidate, once for those that share a frame. */
static bool candidate(const struct gch_heap *h, u64 page, struct gch_mesh_page *p)
{
	u64 at;

	for (at = gch_mesh_next(h, page); at != page; at = gch_mesh_next(h, at))
		if (at < page)
			return false;
	p->pages = gch_mesh_map(h, page, true, &p->map);
	if (!p->pages)
		return false;
	p->page = page;
	p->into = GCH_MESH_STAYS;
	p->granules = granules_in(&p->map);
	p->shared = p->pages > 1;
	return p->granules && !is_full(p);
}

/**
 * gch_mesh_gather() - look on for pages that might share frames
 * @at: in: slot to look at; out: to go on with
 * @max: look at so many spans at most
 * @now: at those too that were not idle when they were looked at last
 * @p: room for @room of them, at least a span's; @n: in, out: how many there are
 *
 * Return: whether there may be more.
 */
bool gch_mesh_gather(struct gch_heap *h, u32 *at, u32 max, bool now, struct gch_mesh_page *p,
		     u32 room, u32 *n)
{
	u32 step, id, i;

	env_assert_held(&h->lock);
	for (; *at < h->top && max--; *at += step) {
		const struct gcheap_span *d = gch_span_at(h, *at, &id);

		step = d ? d->nslots - (*at - id) : 1;
		if (!d || d->state != GCHEAP_SPAN_PARTIAL ||
		    !(now || d->flags & GCHEAP_SPANF_IDLE))
			continue;
		if (*n + step * GCH_SLOT_PAGES > room)
			break;
		for (i = 0; i < step * GCH_SLOT_PAGES; i++)
			*n += candidate(h, (u64)*at * GCH_SLOT_PAGES + i, &p[*n]);
	}
	return *at < h->top;
}

/* Those with most granules first; counting sort. */
static void sort_pages(const struct gch_mesh_page *p, u32 n, u32 *order)
{
	u32 start[GCH_PAGE_GRANULES + 1] = { }, i, g, sum = 0;

	for (i = 0; i < n; i++)
		start[p[i].granules]++;
	for (g = GCH_PAGE_GRANULES + 1; g--; ) {
		u32 count = start[g];

		start[g] = sum;
		sum += count;
	}
	for (i = 0; i < n; i++)
		order[start[p[i].granules]++] = i;
}

static void merge(struct gch_mesh_page *into, const struct gch_mesh_page *p)
{
	gch_granules_add(&into->map, &p->map);
	into->granules += p->granules;
	into->pages += p->pages;
}

/**
 * gch_mesh_search() - find for each page another one's frame, if there is one
 * @p: @n pages; @into: out: the index of that one, or GCH_MESH_STAYS
 * @order, @frame: room for @n numbers each
 *
 * Without the lock. Return: how many pages have found one.
 */
u32 gch_mesh_search(struct gch_mesh_page *p, u32 n, u32 *order, u32 *frame)
{
	u32 i, k, at = 0, frames = 0, found = 0;

	sort_pages(p, n, order);
	for (i = 0; i < n; i++) {
		struct gch_mesh_page *q = &p[order[i]];

		for (k = 0; k < min_t(u32, frames, GCH_MESH_PROBES) && !q->shared; k++, at++) {
			struct gch_mesh_page *f;

			if (at >= frames)
				at = 0;
			f = &p[frame[at]];
			if (!gch_granules_disjoint(&f->map, &q->map))
				continue;
			merge(f, q);
			q->into = frame[at];
			found++;
			if (is_full(f))
				frame[at] = frame[--frames];
			break;
		}
		if (q->into == GCH_MESH_STAYS)
			frame[frames++] = order[i];
		env_yield();
	}
	return found;
}
