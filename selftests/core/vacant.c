// SPDX-License-Identifier: GPL-2.0-only
/* Pages of spans in use that hold nothing go back, and not too soon. */
#include "cases.h"
#include "sim.h"

#define CELL	64
#define NCELLS	(GCHEAP_SLOT_SIZE / CELL)
#define SPANS	10

/* Where the nth cell of a size is, when all spans are of that size. */
static u64 nth(u32 cell, u32 i)
{
	u32 bytes = gch_span_slots(cell) * GCHEAP_SLOT_SIZE;

	return SIM_BASE + i / (bytes / cell) * bytes + i % (bytes / cell) * cell;
}

/* Spans filled with cells of a size, all written, nobody's. */
static struct sim *filled(u32 cell, u32 cells)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, cell);
	u32 i;

	s->slow = false;
	for (i = 0; i < cells; i++) {
		CHECK_EQ(sim_need(s, 0, 0), nth(cell, i));
		sim_store(s, nth(cell, i), i + 1);
		sim_store(s, nth(cell, i) + cell - 8, i + 1);
	}
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	s->slow = true;
	sim_verify(s);
	return s;
}

/* What is left of a page keeps it; what is there stays. */
void gct_vacant_pages(void)
{
	struct sim *s = filled(CELL, SPANS * NCELLS);
	u64 p;
	u32 i;

	CHECK_EQ(sim_vacate(s, true), 0);
	/* One cell of each span, in its second page. */
	for (i = 0; i < SPANS * NCELLS; i++)
		if (i % NCELLS != NCELLS - 5)
			CHECK(gch_free_early(&s->h, nth(CELL, i)));
	CHECK_EQ(s->h.n.resident_pages, SPANS * GCH_SLOT_PAGES);
	CHECK_EQ(sim_vacate(s, true), SPANS);
	CHECK_EQ(s->h.n.resident_pages, SPANS);
	CHECK_EQ(sim_vacate(s, true), 0);
	sim_verify(s);
	for (i = NCELLS - 5; i < SPANS * NCELLS; i += NCELLS)
		CHECK_EQ(sim_load(s, nth(CELL, i)), i + 1);
	/* They come back as zeroes. */
	for (i = 0; i < SPANS * (NCELLS - 1); i++) {
		p = sim_need(s, 0, 0);
		CHECK(sim_load(s, p) == 0 || p % GCHEAP_SLOT_SIZE >= GCH_PAGE_SIZE);
	}
	CHECK_EQ(s->h.n.resident_pages, SPANS);
	sim_close(s);
}

/* One look does not do, unless asked; nor two with the span handed out in between. */
void gct_vacant_twice(void)
{
	struct sim *s = filled(CELL, 2 * NCELLS);
	u32 i;

	for (i = 0; i < 2 * NCELLS; i++)
		if (i % NCELLS)
			CHECK(gch_free_early(&s->h, nth(CELL, i)));
	CHECK_EQ(sim_vacate(s, false), 0);
	CHECK_EQ(sim_vacate(s, false), 2);
	CHECK_EQ(sim_vacate(s, true), 0);
	/* Both are written again, freed again, and noted again. */
	s->want = 2;
	for (i = 0; i < 2 * NCELLS - 2; i++)
		sim_store(s, sim_need(s, 0, 0), 1);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	for (i = 0; i < 2 * NCELLS; i++)
		if (i % NCELLS)
			CHECK(gch_free_early(&s->h, nth(CELL, i)));
	CHECK_EQ(sim_vacate(s, false), 0);
	s->want = 1;
	sim_need(s, 0, 0);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	CHECK_EQ(sim_vacate(s, false), 1);	/* of the span that was left alone */
	CHECK_EQ(sim_vacate(s, false), 1);
	sim_close(s);
}

/* Not of spans that a thread has, nor of those that await the sweep, nor of large objects. */
void gct_vacant_not(void)
{
	struct sim *s = filled(CELL, NCELLS);
	u64 large;
	u32 i;

	for (i = 1; i < NCELLS; i++)
		CHECK(gch_free_early(&s->h, nth(CELL, i)));
	s->precise[0] = nth(CELL, 0);
	sim_mark_phase(s);
	sim_sweep_begin(s);
	CHECK_EQ(sim_vacate(s, true), 0);
	sim_sweep_rest(s);
	sim_need(s, 0, 0);
	CHECK_EQ(gch_desc(&s->h, 0)->state, GCHEAP_SPAN_OWNED);
	CHECK_EQ(sim_vacate(s, true), 0);
	CHECK_EQ(sim_cache(s, GCHEAP_NOSCAN, GCHEAP_CACHE_LARGE, 0), 1);
	large = sim_large(s, 0, 1, 3 * GCHEAP_SLOT_SIZE);
	for (i = 0; i < 3 * GCH_SLOT_PAGES; i++)
		sim_store(s, large + i * GCH_PAGE_SIZE, 1);
	CHECK_EQ(sim_vacate(s, true), 0);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	CHECK_EQ(sim_vacate(s, true), 1);
	sim_close(s);
}

/* Cells of every size: a page goes unless a live one reaches into it. */
void gct_vacant_straddled(void)
{
	u32 cell, n, i, k, page;

	for (cell = 16; cell <= GCHEAP_CELL_MAX; cell += cell < 256 ? 16 : 1008) {
		u32 slots = gch_span_slots(cell), pages = slots * GCH_SLOT_PAGES;
		struct sim *s;

		n = slots * GCHEAP_SLOT_SIZE / cell;
		for (k = 0; k < n; k += 1 + n / 5) {
			u32 left = 0;

			s = filled(cell, n);
			for (page = 0; page < pages; page++)
				sim_store(s, SIM_BASE + page * GCH_PAGE_SIZE + 8, 7);
			for (i = 0; i < n; i++)
				if (i != k)
					CHECK(gch_free_early(&s->h, nth(cell, i)));
			sim_vacate(s, true);
			for (page = 0; page < pages; page++) {
				u32 lo = page * GCH_PAGE_SIZE, hi = lo + GCH_PAGE_SIZE;
				bool used = k * cell < hi && (k + 1) * cell > lo;
				struct gch_slot *slot = gch_slot(&s->h, page / GCH_SLOT_PAGES);

				CHECK_EQ(!!slot->frame[page % GCH_SLOT_PAGES], n == 1 || used);
				left += used;
			}
			CHECK(left);
			sim_close(s);
		}
	}
}
