// SPDX-License-Identifier: GPL-2.0-only
/* Large objects that get another size. */
#include "cases.h"
#include "sim.h"

#define SLOT	GCHEAP_SLOT_SIZE

/* A heap with one of @bytes, and its address. */
static struct sim *one_large(u64 bytes, u64 *addr)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0);

	s->slow = true;
	*addr = sim_large(s, 0, 0, bytes);
	CHECK(*addr);
	return s;
}

static int here(struct sim *s, u64 addr, u64 bytes)
{
	struct gch_ref r;
	int err;

	CHECK(gch_object_at(&s->h, addr, &r));
	err = gch_resize_here(&s->h, &r, bytes);
	sim_verify(s);
	return err;
}

static u64 size_of(struct sim *s, u64 addr)
{
	struct gch_ref r;

	CHECK(sim_cell(s, addr, &r));
	return r.d->bytes;
}

void gct_resize_here(void)
{
	u64 a, b, c;
	struct sim *s = one_large(5 * SLOT, &a);

	CHECK_EQ(here(s, a, 7 * SLOT + 1), 0);
	CHECK_EQ(s->h.n.heap_bytes, 8 * SLOT);
	b = sim_large(s, 0, 0, SLOT);
	CHECK_EQ(b, a + 8 * SLOT);
	CHECK_EQ(here(s, a, 8 * SLOT), 0);
	CHECK_EQ(here(s, a, 8 * SLOT + 1), -EBUSY);
	CHECK_EQ(size_of(s, a), 8 * SLOT);
	/* What it leaves is for others; what they leave is for it. */
	CHECK_EQ(here(s, a, 1), 0);
	CHECK_EQ(size_of(s, a), 1);
	c = sim_large(s, 0, 0, 3 * SLOT);
	CHECK_EQ(c, a + SLOT);
	CHECK_EQ(here(s, a, SLOT + 1), -EBUSY);
	CHECK(gch_free_early(&s->h, c));
	CHECK_EQ(here(s, a, 8 * SLOT), 0);
	CHECK_EQ(s->h.n.heap_bytes, 9 * SLOT);
	CHECK_EQ(s->h.n.resized, 4);
	sim_close(s);
}

/* Over blocks and chunks, to the end of the reservation. */
void gct_resize_to_the_end(void)
{
	u64 a;
	struct sim *s = one_large(SLOT, &a);

	CHECK_EQ(here(s, a, SIM_SIZE), 0);
	CHECK_EQ(here(s, a, SIM_SIZE + 1), -ENOMEM);
	CHECK_EQ(here(s, a, U64_MAX), -ENOMEM);
	CHECK_EQ(here(s, a, GCHEAP_CHUNK_SIZE), 0);
	CHECK_EQ(sim_large(s, 0, 0, SLOT), a + GCHEAP_CHUNK_SIZE);
	CHECK_EQ(here(s, a, SIM_SIZE), -EBUSY);
	sim_close(s);
}

void gct_resize_limit(void)
{
	u64 a;
	struct sim *s = one_large(2 * SLOT, &a);

	s->h.param.limit = 4 * SLOT;
	CHECK_EQ(here(s, a, 4 * SLOT + 1), -ENOMEM);
	CHECK_EQ(here(s, a, 4 * SLOT), 0);
	CHECK_EQ(s->h.n.heap_peak, 4 * SLOT);
	sim_close(s);
}

/* Free slots' memory is not what an object finds in them. */
void gct_resize_finds_nothing(void)
{
	u64 a, b;
	struct sim *s = one_large(SLOT, &a);

	b = sim_large(s, 0, 0, 3 * SLOT);
	CHECK(sim_store(s, b + SLOT, 77));
	CHECK(gch_free_early(&s->h, b));
	CHECK_EQ(here(s, a, 4 * SLOT), 0);
	CHECK_EQ(sim_load(s, b + SLOT), 0);
	sim_close(s);
}

/* Two cells, and a large object that is a root. */
static struct sim *cells_and_large(u64 *x, u64 *y, u64 *a)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0);

	CHECK_EQ(sim_cache(s, GCHEAP_CONSERVATIVE, 0, 64), 1);
	*x = sim_need(s, 0, 1);
	*y = sim_need(s, 0, 1);
	sim_need(s, 0, 1);	/* the last is kept by itself */
	*a = sim_large(s, 0, 0, 2 * SLOT);
	s->precise[0] = *a;
	return s;
}

/* What is written where it has grown is found, though it has been scanned before. */
void gct_resize_marking(void)
{
	u64 a, x, y;
	struct sim *s = cells_and_large(&x, &y, &a);

	CHECK(sim_store(s, a, x));
	sim_trace_begin(s);
	sim_trace_round(s);
	CHECK_EQ(here(s, a, 6 * SLOT), 0);
	CHECK(sim_store(s, a + 5 * SLOT, y));
	sim_trace_finish(s);
	sim_sweep_phase(s);
	CHECK(sim_allocated(s, x) && sim_allocated(s, y));
	/* It is scanned to its end, and no further. */
	CHECK_EQ(here(s, a, 5 * SLOT), 0);
	sim_cycle(s);
	CHECK(sim_allocated(s, x) && !sim_allocated(s, y));
	sim_close(s);
}

/* Both are kept while its pages are on their way, with nobody else's help. */
void gct_resize_elsewhere(void)
{
	u64 a, b, cookie;
	struct sim *s = one_large(2 * SLOT, &a);
	u64 alloc = s->h.n.alloc_bytes;
	struct gch_ref r;
	u32 id;

	CHECK_EQ(gch_final_set(&s->h, a, 5, GCH_ORDER_NONE, &cookie), 0);
	CHECK(gch_object_at(&s->h, a, &r));
	CHECK_EQ(gch_resize_begin(&s->h, 0, &r, 5 * SLOT, &id), 0);
	CHECK_EQ(s->h.n.alloc_bytes, alloc + 3 * SLOT);
	b = SIM_BASE + (u64)id * SLOT;
	CHECK(b != a);
	sim_cycle(s);
	CHECK(sim_allocated(s, a) && sim_allocated(s, b));
	gch_resize_end(&s->h, 0, a, &cookie);
	CHECK_EQ(cookie, 5);
	CHECK(!sim_allocated(s, a) && sim_allocated(s, b));
	sim_verify(s);
	sim_close(s);
}

/* It goes elsewhere before it is scanned, and counts as scanned there. */
void gct_resize_unscanned(void)
{
	u64 a, b, x, y;
	struct sim *s = cells_and_large(&x, &y, &a);

	s->precise[1] = sim_large(s, 0, 0, SLOT);
	CHECK(sim_store(s, a + SLOT, x));
	sim_trace_begin(s);
	b = sim_resize(s, 0, a, 6 * SLOT);
	CHECK(b && b != a);
	s->precise[0] = b;
	sim_trace_finish(s);
	sim_sweep_phase(s);
	CHECK_EQ(sim_load(s, b + SLOT), x);
	CHECK(sim_allocated(s, b) && sim_allocated(s, x) && !sim_allocated(s, a));
	sim_close(s);
}
