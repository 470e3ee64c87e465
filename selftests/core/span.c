// SPDX-License-Identifier: GPL-2.0-only
/* Caches and spans: made, handed out, accounted, taken back. */
#include "cases.h"
#include "sim.h"

#define CELL	512
#define NCELLS	(GCHEAP_SLOT_SIZE / CELL)

void gct_cache_numbers(void)
{
	struct sim *s = sim_open(SIM_SIZE);
	u32 i, t;

	for (i = 0; i < GCHEAP_MAX_CACHES; i++)
		CHECK_EQ(sim_cache(s, GCHEAP_NOSCAN, 0, 16 + i % 100 * 16), i);
	CHECK(sim_cache(s, GCHEAP_NOSCAN, 0, 16) == -ENOSPC);
	CHECK(gch_cache_destroy(&s->h, GCHEAP_MAX_CACHES) == -ENOENT);
	CHECK_EQ(gch_cache_destroy(&s->h, 7), 0);
	CHECK(gch_cache_destroy(&s->h, 7) == -ENOENT);
	CHECK_EQ(sim_cache(s, GCHEAP_NOSCAN, 0, 16), 7);
	CHECK_EQ(gch_thread_attach(&s->h, &t), 0);
	sim_need(s, t, 7);
	CHECK(gch_cache_destroy(&s->h, 7) == -EBUSY);
	gch_thread_detach(&s->h, t);
	CHECK(gch_cache_destroy(&s->h, 7) == -EBUSY);
	sim_cycle(s);
	CHECK_EQ(gch_cache_destroy(&s->h, 7), 0);
	sim_close(s);
}

/* Every cell size gives cells that lie apart and are found again. */
void gct_cache_sizes(void)
{
	struct sim *s = sim_open(SIM_SIZE);
	struct gch_ref r;
	u32 cell, t, i;
	u64 a = 0;

	CHECK_EQ(gch_thread_attach(&s->h, &t), 0);
	s->want = 1;
	for (cell = 16; cell <= GCHEAP_CELL_MAX; cell += cell < 1024 ? 16 : 1008) {
		CHECK_EQ(sim_cache(s, GCHEAP_NOSCAN, 0, cell), 0);
		for (i = 0; i < s->h.cache[0]->ncells; i++) {
			a = sim_need(s, t, 0);
			CHECK_EQ(a, SIM_BASE + i * cell);
			CHECK(gch_resolve(&s->h, a, &r) && r.cell == i);
			CHECK(gch_resolve(&s->h, a + cell - 1, &r) && r.cell == i);
			CHECK_EQ(gch_ref_addr(&s->h, &r), a);
		}
		/* The rest of the span is nobody's. */
		CHECK(!gch_resolve(&s->h, a + cell, &r));
		gch_thread_retire(&s->h, t, 0);
		s->place[t][0].n = 0;
		sim_verify(s);
		CHECK(gch_resolve(&s->h, a, &r));
		sim_cycle(s);
		CHECK_EQ(s->h.n.heap_bytes, 0);
		CHECK_EQ(gch_cache_destroy(&s->h, 0), 0);
	}
	sim_close(s);
}

/* Full spans, partial ones and empty ones: each goes where it should. */
void gct_span_retire(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, CELL);
	u64 a[3 * NCELLS];
	u32 i;

	s->want = 3;
	for (i = 0; i < NCELLS + 3; i++)
		a[i] = sim_need(s, 0, 0);
	CHECK_EQ(s->h.n.heap_bytes, 3 * GCHEAP_SLOT_SIZE);
	CHECK_EQ(s->h.n.alloc_bytes, 3 * GCHEAP_SLOT_SIZE);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	sim_verify(s);
	CHECK_EQ(gch_desc(&s->h, 0)->state, GCHEAP_SPAN_FULL);
	CHECK_EQ(gch_desc(&s->h, 1)->state, GCHEAP_SPAN_PARTIAL);
	CHECK_EQ(gch_desc(&s->h, 1)->nlive, 3);
	CHECK_EQ(gch_desc(&s->h, 2)->head, 0);
	CHECK_EQ(s->h.n.alloc_bytes, (NCELLS + 3) * CELL);
	CHECK_EQ(s->h.n.alloc_since, (NCELLS + 3) * CELL);
	/* The partial one comes back first, with what is free in it. */
	CHECK_EQ(sim_need(s, 0, 0), a[NCELLS + 2] + CELL);
	CHECK_EQ(gch_desc(&s->h, 1)->state, GCHEAP_SPAN_OWNED);
	sim_close(s);
}

/* Only cells that are free are handed out again, and each once. */
void gct_span_reuse(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, CELL);
	u64 a[NCELLS], keep = 0;
	u32 i;

	s->want = 1;
	for (i = 0; i < NCELLS; i++)
		a[i] = sim_need(s, 0, 0);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	for (i = 0; i < NCELLS; i++) {
		if (i % 3)
			CHECK(gch_free_early(&s->h, a[i]));
		else
			keep++;
	}
	CHECK_EQ(gch_desc(&s->h, 0)->nlive, keep);
	for (i = 0; i < NCELLS; i++)
		if (i % 3)
			CHECK_EQ(sim_need(s, 0, 0), a[i]);
	CHECK_EQ(sim_need(s, 0, 0), SIM_BASE + GCHEAP_SLOT_SIZE);
	sim_close(s);
}

/* Fresh memory is zero and says so; used memory does not. */
void gct_span_zero(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, CELL);
	u64 a = sim_need(s, 0, 0);

	CHECK(gch_desc(&s->h, 0)->flags & GCHEAP_SPANF_ZERO);
	sim_store(s, a, 1);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	CHECK(!(gch_desc(&s->h, 0)->flags & GCHEAP_SPANF_ZERO));
	sim_cycle(s);
	CHECK_EQ(s->h.n.heap_bytes, 0);
	/* The slot is free but its page is still there. */
	a = sim_need(s, 0, 0);
	CHECK_EQ(a, SIM_BASE);
	CHECK(!(gch_desc(&s->h, 0)->flags & GCHEAP_SPANF_ZERO));
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	sim_cycle(s);
	sim_release(s, 0);
	CHECK_EQ(sim_need(s, 0, 0), SIM_BASE);
	CHECK(gch_desc(&s->h, 0)->flags & GCHEAP_SPANF_ZERO);
	sim_close(s);
}

/* The cursor is the program's: it goes nowhere but forward and not too far. */
void gct_span_commit(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, CELL);

	s->want = 1;
	sim_need(s, 0, 0);
	gch_span_commit(&s->h, 0, 5);
	CHECK_EQ(gch_slot(&s->h, 0)->commit, 5);
	CHECK_EQ(gch_live(&s->h, 0)[0], 0x1f);
	gch_span_commit(&s->h, 0, 3);
	CHECK_EQ(gch_slot(&s->h, 0)->commit, 5);
	gch_span_commit(&s->h, 0, 0);
	sim_verify(s);
	gch_span_commit(&s->h, 0, U32_MAX);
	CHECK_EQ(gch_slot(&s->h, 0)->commit, NCELLS);
	CHECK_EQ(gch_live(&s->h, 0)[0], (1ull << NCELLS) - 1);
	sim_verify(s);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	CHECK_EQ(gch_desc(&s->h, 0)->state, GCHEAP_SPAN_FULL);
	sim_close(s);
}

/* Whatever stands in a cursor, the structure holds. */
void gct_span_scribbled(void)
{
	static const u64 words[] = {
		0, 1, U32_MAX, 1ull << 32, (1ull << 32) + 5, 2ull << 32,
		7ull << 32 | 3, 8ull << 32, U64_MAX, U64_MAX << 32, 0x8000000080000000,
	};
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 48);
	u32 i, k;

	s->want = GCHEAP_BATCH;
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		for (k = 0; k < ARRAY_SIZE(words); k++) {
			sim_need(s, 0, 0);
			*sim_pos(s, 0, 0) = words[i];
			sim_cycle(s);
			gch_free_early(&s->h, SIM_BASE + 48 * k);
			sim_verify(s);
			*sim_pos(s, 0, 0) = words[k];
			gch_thread_retire(&s->h, 0, 0);
			s->place[0][0].n = 0;
			sim_cycle(s);
		}
	}
	CHECK_EQ(s->h.n.heap_bytes, 0);
	sim_close(s);
}

void gct_span_limit(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, CELL);
	u32 big = sim_cache(s, GCHEAP_NOSCAN, GCHEAP_CACHE_LARGE, 0), i;
	u64 a = 0;

	s->h.param.limit = 4 * GCHEAP_SLOT_SIZE;
	CHECK(!sim_large(s, 0, big, 4 * GCHEAP_SLOT_SIZE + 1));
	s->want = 8;
	for (i = 0; i < 4 * NCELLS; i++)
		a = sim_need(s, 0, 0);
	CHECK(!sim_alloc(s, 0, 0));
	CHECK(!sim_large(s, 0, big, 1));
	sim_verify(s);
	/* One object less, and there is room for one. */
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	CHECK(gch_free_early(&s->h, a));
	CHECK_EQ(sim_need(s, 0, 0), a);
	CHECK(!sim_alloc(s, 0, 0));
	CHECK_EQ(s->h.n.heap_peak, 4 * GCHEAP_SLOT_SIZE);
	sim_close(s);
}

/* At the limit, what the sweep still has to find is found. */
void gct_span_limit_sweep(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, CELL);
	u32 i;

	s->h.param.limit = 40 * GCHEAP_SLOT_SIZE;
	for (i = 0; i < 40 * NCELLS; i++) {
		u64 a = sim_need(s, 0, 0);

		if (i % NCELLS == 5 && i / NCELLS % 3)
			s->precise[0] = a;	/* the last of them stays */
	}
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	sim_mark_phase(s);
	sim_sweep_begin(s);
	for (i = 0; i < 40 * NCELLS - 1; i++)
		sim_need(s, 0, 0);
	CHECK(!sim_alloc(s, 0, 0));
	CHECK(!gch_sweep_some(&s->h, 1));
	gch_cycle_end(&s->h);
	sim_close(s);
}

void gct_large(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0);
	const struct gcheap_span *d;
	struct gch_ref r;
	u64 a = sim_large(s, 0, 0, 1), b, bytes;

	CHECK_EQ(a, SIM_BASE);
	CHECK_EQ(gch_desc(&s->h, 0)->cell_granules, 1);
	/* Over two chunks, to the last slot. */
	bytes = 5 * GCHEAP_CHUNK_SIZE / 2 - 100;
	b = sim_large(s, 0, 0, bytes);
	sim_verify(s);
	CHECK_EQ(b, SIM_BASE + GCHEAP_SLOT_SIZE);
	d = gch_desc(&s->h, 1);
	CHECK_EQ(d->bytes, bytes);
	CHECK_EQ(d->nslots, 5 * GCHEAP_CHUNK_SLOTS / 2);
	CHECK(gch_resolve(&s->h, b + bytes - 1, &r));
	CHECK_EQ(gch_ref_addr(&s->h, &r), b);
	CHECK(!gch_resolve(&s->h, b + ((u64)d->nslots << GCHEAP_SLOT_SHIFT), &r));
	CHECK(!gch_free_early(&s->h, b + 8));
	/* Its end is scanned as its beginning is. */
	s->precise[0] = b + GCHEAP_CHUNK_SIZE;
	sim_store(s, b + bytes / 16 * 16 + 8, a);
	sim_large(s, 0, 0, 1);
	sim_cycle(s);
	CHECK(sim_allocated(s, a));
	CHECK_EQ(s->h.n.marked_objects, 3);
	sim_store(s, b + bytes / 16 * 16 + 8, 0);
	sim_cycle(s);
	CHECK(!sim_allocated(s, a));
	CHECK(gch_free_early(&s->h, b));
	CHECK(!gch_free_early(&s->h, b));
	CHECK_EQ(s->h.n.heap_bytes, GCHEAP_SLOT_SIZE);
	CHECK(!sim_large(s, 0, 0, SIM_SIZE));
	CHECK(!sim_large(s, 0, 0, SIM_SIZE + 1));
	CHECK(!sim_large(s, 0, 0, U64_MAX));
	CHECK(!sim_large(s, 0, 0, 0));
	sim_close(s);
}

/* The object just made is kept until the next, wherever its address is. */
void gct_large_pending(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, GCHEAP_CACHE_LARGE, 0);
	u64 a = sim_large(s, 0, 0, 40000), b;

	sim_cycle(s);
	CHECK(sim_allocated(s, a));
	b = sim_large(s, 0, 0, 50000);
	sim_cycle(s);
	CHECK(!sim_allocated(s, a));
	CHECK(sim_allocated(s, b));
	/* Freed early: what comes to lie there is not it. */
	CHECK(gch_free_early(&s->h, b));
	CHECK_EQ(s->h.thread[0]->pending, 0);
	b = sim_large(s, 0, 0, 50000);
	gch_thread_retire_all(&s->h, 0);
	sim_cycle(s);
	CHECK(!sim_allocated(s, b));
	sim_close(s);
}

/* A granule count of 32 bits is too small for some sizes that the heap has. */
void gct_large_huge(void)
{
	struct sim *s = sim_open(GCHEAP_HEAP_MAX);
	u32 id;

	CHECK_EQ(sim_cache(s, GCHEAP_NOSCAN, GCHEAP_CACHE_LARGE, 0), 0);
	CHECK(gch_span_large(&s->h, 0, 1ull << 36, &id) == -ENOMEM);
	CHECK_EQ(s->h.top, 0);
	sim_close(s);
}

void gct_threads(void)
{
	struct sim *s = sim_open(SIM_SIZE);
	u64 a[SIM_THREADS];
	u32 i, k, t;

	CHECK_EQ(sim_cache(s, GCHEAP_NOSCAN, 0, 32), 0);
	for (i = 0; i < SIM_THREADS; i++) {
		CHECK_EQ(gch_thread_attach(&s->h, &t), 0);
		CHECK_EQ(t, i);
		a[i] = sim_need(s, t, 0);
		for (k = 0; k < i; k++)	/* spans of their own */
			CHECK(sim_id(a[k]) != sim_id(a[i]));
	}
	CHECK(gch_thread_attach(&s->h, &t) == -ENOSPC);
	gch_thread_detach(&s->h, 2);
	memset(s->place[2], 0, sizeof(s->place[2]));
	CHECK_EQ(gch_thread_attach(&s->h, &t), 0);
	CHECK_EQ(t, 2);
	CHECK(sim_allocated(s, a[2]));
	sim_close(s);
}
