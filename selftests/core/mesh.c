// SPDX-License-Identifier: GPL-2.0-only
/* Pages that share frames: found, joined, split, and nothing of theirs lost. */
#include "cases.h"
#include "sim.h"

#define CELL	64
#define NCELLS	(GCHEAP_SLOT_SIZE / CELL)

/* ---- the search */

/* Pages of cells of a size, each live by a chance of one in @of; none is empty. */
static void random_pages(struct gct_random *r, struct gch_mesh_page *p, u32 n, u32 cell, u32 of)
{
	u32 i, k, g;

	memset(p, 0, n * sizeof(*p));
	for (i = 0; i < n; i++) {
		p[i].into = GCH_MESH_STAYS;
		while (!p[i].granules)
			for (k = 0; k + cell <= GCH_PAGE_GRANULES; k += cell) {
				if (gct_rand(r, of))
					continue;
				for (g = k; g < k + cell; g++)
					p[i].map.word[g / 64] |= 1ull << (g % 64);
				p[i].granules += cell;
			}
	}
}

/* Frames that are left, if what was found is true: no granule of one is in two pages. */
static u32 frames_left(const struct gch_mesh_page *before, const struct gch_mesh_page *p, u32 n)
{
	struct gch_granules *all = env_zalloc(n * sizeof(*all));
	u32 i, w, left = 0;

	CHECK(all);
	for (i = 0; i < n; i++) {
		u32 into = p[i].into == GCH_MESH_STAYS ? i : p[i].into;

		CHECK(into < n && p[into].into == GCH_MESH_STAYS);
		CHECK(into == i || !before[i].shared);
		left += into == i;
		for (w = 0; w < ARRAY_SIZE(all->word); w++) {
			CHECK(!(all[into].word[w] & before[i].map.word[w]));
			all[into].word[w] |= before[i].map.word[w];
		}
	}
	env_free(all);
	return left;
}

void gct_mesh_search(void)
{
	static const struct { u32 cell, of, percent; } c[] = {
		{ 2, 16, 16 }, { 4, 16, 12 }, { 8, 16, 10 }, { 16, 16, 13 }, { 4, 8, 30 },
		{ 4, 32, 6 }, { 128, 4, 60 }, { 1, 2, 100 },
	};
	enum { N = 4096 };
	struct gch_mesh_page *p = env_zalloc(2 * N * sizeof(*p));
	u32 *scratch = env_zalloc(2 * N * sizeof(*scratch));
	struct gct_random r;
	u32 i, k, left;

	CHECK(p && scratch);
	gct_seed(&r, 1);
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		random_pages(&r, p, N, c[i].cell, c[i].of);
		for (k = 0; k < N; k += 50)
			p[k].shared = i & 1;
		memcpy(p + N, p, N * sizeof(*p));
		k = gch_mesh_search(p, N, scratch, scratch + N);
		left = frames_left(p + N, p, N);
		gct_log("cells of %u granules, one of %u: %u of %u frames left", c[i].cell,
			c[i].of, left, N);
		CHECK_EQ(k, N - left);
		CHECK(left * 100 <= N * c[i].percent);
	}
	CHECK_EQ(gch_mesh_search(p, 0, scratch, scratch), 0);
	env_free(p);
	env_free(scratch);
}

/* ---- in a heap */

static u64 nth(u32 i)
{
	return SIM_BASE + i * CELL;
}

/* Of each page one cell is left, here and there; each holds its number. */
static struct sim *sparse(u32 pages)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, CELL);
	u32 per = GCH_PAGE_SIZE / CELL, i;

	s->slow = false;
	for (i = 0; i < pages * per; i++) {
		CHECK_EQ(sim_need(s, 0, 0), nth(i));
		sim_store(s, nth(i), i + 1);
		sim_store(s, nth(i) + CELL - 8, i + 1);
	}
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	for (i = 0; i < pages * per; i++)
		if (i % per != i / per * 7 % per)
			CHECK(gch_free_early(&s->h, nth(i)));
	s->slow = true;
	sim_verify(s);
	return s;
}

static u64 kept(u32 page)
{
	u32 per = GCH_PAGE_SIZE / CELL;

	return nth(page * per + page * 7 % per);
}

static void intact(struct sim *s, u32 from, u32 pages)
{
	u32 page;

	for (page = from; page < pages; page++) {
		u64 number = (kept(page) - SIM_BASE) / CELL + 1;

		CHECK(sim_allocated(s, kept(page)));
		CHECK_EQ(sim_load(s, kept(page)), number);
		CHECK_EQ(sim_load(s, kept(page) + CELL - 8), number);
	}
}

/* As many pages share a frame as it has cells. */
void gct_mesh_shares(void)
{
	u32 per = GCH_PAGE_SIZE / CELL, pages = 4 * per, i;
	struct sim *s = sparse(pages);

	CHECK_EQ(s->h.n.resident_pages, pages);
	CHECK_EQ(sim_mesh(s, false), 0);	/* not idle yet */
	CHECK(sim_mesh(s, true) >= pages - 8);
	sim_verify(s);
	intact(s, 0, pages);
	CHECK_EQ(s->h.n.resident_pages, pages - s->h.n.meshed_pages);
	/* Written through its own page, and no other's. */
	for (i = 0; i < pages; i++)
		sim_store(s, kept(i) + 8, i);
	for (i = 0; i < pages; i++)
		CHECK_EQ(sim_load(s, kept(i) + 8), i);
	intact(s, 0, pages);
	/* Kept, or swept, through what refers to it. */
	for (i = 0; i + 1 < pages; i++)
		sim_store(s, kept(i) + 8, kept(i + 1));
	s->precise[0] = kept(10);
	sim_cycle(s);
	CHECK_EQ(sim_count(s), pages - 10);
	intact(s, 10, pages);
	s->precise[0] = 0;
	sim_cycle(s);
	CHECK_EQ(s->h.n.resident_pages, s->h.n.meshed_pages);
	CHECK_EQ(s->h.n.heap_bytes, 0);
	sim_close(s);
}

/* A frame that is shared takes in further pages, and what has become free in it. */
void gct_mesh_more(void)
{
	u32 per = GCH_PAGE_SIZE / CELL, pages = 2 * per, i;
	struct sim *s = sparse(pages);
	u64 first;

	for (i = 0; i < pages; i += 2)
		CHECK(gch_free_early(&s->h, kept(i)));
	CHECK_EQ(sim_vacate(s, true), pages / 2);
	first = sim_mesh(s, true);
	CHECK(first > 0);
	for (i = 1; i < pages; i += 4)
		CHECK(gch_free_early(&s->h, kept(i)));
	/* Frames that only the dead had in part. */
	sim_vacate(s, true);
	sim_verify(s);
	for (i = 3; i < pages; i += 4)
		CHECK_EQ(sim_load(s, kept(i)), (kept(i) - SIM_BASE) / CELL + 1);
	sim_mesh(s, true);
	sim_verify(s);
	CHECK(s->h.n.resident_pages <= 4);
	for (i = 3; i < pages; i += 4)
		CHECK_EQ(sim_load(s, kept(i)), (kept(i) - SIM_BASE) / CELL + 1);
	sim_close(s);
}

/* R17: handed out only when each of its pages has a frame of its own, and that zero. */
void gct_mesh_split(void)
{
	u32 per = GCH_PAGE_SIZE / CELL, pages = 2 * per, i, n;
	struct sim *s = sparse(pages);
	u64 p;

	CHECK(sim_mesh(s, true));
	s->h.param.limit = s->h.n.heap_bytes;	/* no further span */
	s->slow = false;
	for (n = pages * (per - 1), i = 0; i < n; i++) {
		p = sim_need(s, 0, 0);
		CHECK_EQ(sim_load(s, p + 8), 0);
		sim_store(s, p, ~0ull);
		sim_store(s, p + CELL - 8, ~0ull);
	}
	s->slow = true;
	sim_verify(s);
	intact(s, 0, pages);
	CHECK_EQ(s->h.n.meshed_pages, 0);
	CHECK_EQ(s->h.n.resident_pages, pages);
	CHECK(s->split > 0);
	CHECK_EQ(sim_alloc(s, 0, 0), 0);
	sim_close(s);
}

/* What is new comes from elsewhere as long as there is room. */
void gct_mesh_last(void)
{
	struct sim *s = sparse(64);
	u64 p;

	CHECK(sim_mesh(s, true));
	p = sim_need(s, 0, 0);
	CHECK(p >= SIM_BASE + 64 * GCH_PAGE_SIZE);
	CHECK_EQ(s->split, 0);
	intact(s, 0, 64);
	sim_close(s);
}

/* Nothing of a cache is left, in spans that share frames neither, swept or not. */
void gct_mesh_cache(void)
{
	struct sim *s = sparse(64);
	u32 page;

	CHECK(sim_mesh(s, true));
	CHECK(gch_cache_destroy(&s->h, 0) == -EBUSY);
	sim_mark_phase(s);
	sim_sweep_begin(s);
	CHECK(s->h.cache[0]->meshed);
	CHECK_EQ(gch_cache_destroy(&s->h, 0), 0);
	sim_sweep_rest(s);
	CHECK_EQ(s->h.n.meshed_pages, 0);
	sim_close(s);
	/* One after the other, without a sweep. */
	s = sparse(64);
	CHECK(sim_mesh(s, true));
	for (page = 0; page < 64; page++)
		CHECK(gch_free_early(&s->h, kept(page)));
	CHECK_EQ(s->h.n.heap_bytes, 0);
	CHECK_EQ(s->h.n.resident_pages, 0);
	CHECK_EQ(gch_cache_destroy(&s->h, 0), 0);
	sim_close(s);
}

/* What is broken in rings is found (V13), and leads nobody astray. */
void gct_mesh_broken(void)
{
	struct sim *s = sparse(16);
	struct gch_chunk *c = gch_chunk(&s->h, 0);
	struct gcheap_span *d = gch_desc(&s->h, 0);
	u64 *live = gch_live(&s->h, 0);
	u32 good, i, link[] = { 0, 1, 1000, GCH_CHUNK_PAGES, U32_MAX };
	struct gch_fault f;

	CHECK(sim_mesh(s, true) == 15);
	good = c->alias[0];
	for (i = 0; i < ARRAY_SIZE(link); i++) {
		c->alias[0] = link[i];
		CHECK(gch_verify(&s->h, &f) == -EUCLEAN);
		CHECK(f.code == 13 || f.code == 10);
		c->alias[0] = good;
	}
	/* Live in two of them. */
	i = (kept(3) - SIM_BASE) % GCH_PAGE_SIZE / CELL;
	live[0] |= 1ull << i;
	d->nlive++;
	CHECK(gch_verify(&s->h, &f) == -EUCLEAN);
	CHECK_EQ(f.code, 13);
	live[0] &= ~(1ull << i);
	d->nlive--;
	s->h.n.meshed_pages--;
	CHECK(gch_verify(&s->h, &f) == -EUCLEAN);
	CHECK(f.code == 10 || f.code == 13);
	s->h.n.meshed_pages++;
	sim_close(s);
}
