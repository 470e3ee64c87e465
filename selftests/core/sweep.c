// SPDX-License-Identifier: GPL-2.0-only
/* Sweeping, by slices and on demand; metadata of what is gone. */
#include "cases.h"
#include "sim.h"

#define CELL	1024
#define NCELLS	(GCHEAP_SLOT_SIZE / CELL)

/* Fill spans, keep every nth object, and stand at the start of the sweep. */
static struct sim *before_sweep(u32 spans, u32 nth, u64 *keep)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, CELL);
	u64 a, prev = 0;
	u32 i;

	s->slow = false;
	for (i = 0; i < spans * NCELLS; i++) {
		a = sim_need(s, 0, 0);
		if (i % nth)
			continue;
		sim_store(s, a, prev);
		prev = a;
	}
	*keep = (spans * NCELLS + nth - 1) / nth;
	s->precise[0] = prev;
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	s->slow = true;
	sim_mark_phase(s);
	sim_sweep_begin(s);
	return s;
}

/* Each span changes colour once, in any order of slices and takers. */
void gct_sweep_colour(void)
{
	u64 keep, n = 0;
	struct sim *s = before_sweep(20, 5, &keep);
	u32 id, unswept = 0;
	bool more = true;

	for (id = 0; id < 20; id++)
		CHECK(gch_span_unswept(&s->h, gch_desc(&s->h, id)));
	while (more) {
		more = gch_sweep_some(&s->h, 3);
		sim_need(s, 0, 0);
		n++;
		for (id = unswept = 0; id < s->h.top; id++)
			unswept += gch_desc(&s->h, id)->head == id + 1 &&
				gch_span_unswept(&s->h, gch_desc(&s->h, id));
		CHECK(more || !unswept);
		sim_verify(s);
	}
	CHECK(n <= 20 / 3 + 2);
	gch_cycle_end(&s->h);
	sim_verify(s);
	CHECK_EQ(sim_count(s), keep + n);
	CHECK_EQ(s->h.n.freed_objects, 20 * NCELLS - keep);
	sim_close(s);
}

/* A thread that wants a span sweeps for it, before the heap grows. */
void gct_sweep_on_demand(void)
{
	u64 keep;
	struct sim *s = before_sweep(64, 3 * NCELLS, &keep);
	u64 bytes = s->h.n.heap_bytes;
	u32 i;

	for (i = 0; i < 64 * NCELLS - keep; i++)
		sim_need(s, 0, 0);
	CHECK(s->h.n.heap_bytes <= bytes);
	sim_sweep_rest(s);
	sim_close(s);
}

/* What was made after the marking is not the sweep's. */
void gct_sweep_new(void)
{
	u64 keep, a[3 * NCELLS];
	struct sim *s = before_sweep(3, 100, &keep);
	u32 big = sim_cache(s, GCHEAP_NOSCAN, GCHEAP_CACHE_LARGE, 0), i;
	u64 l = sim_large(s, 0, big, 99999);

	for (i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = sim_need(s, 0, 0);
	gch_thread_retire_all(&s->h, 0);
	s->place[0][0].n = 0;
	sim_sweep_rest(s);
	CHECK(sim_allocated(s, l));
	for (i = 0; i < ARRAY_SIZE(a); i++)
		CHECK(sim_allocated(s, a[i]));
	sim_cycle(s);
	CHECK_EQ(sim_count(s), keep);
	sim_close(s);
}

/* A thread goes on in its span while that awaits the sweep. */
void gct_sweep_owned(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, CELL);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), c, d;

	s->precise[0] = b;
	sim_need(s, 0, 0);
	sim_mark_phase(s);
	sim_sweep_begin(s);
	c = sim_need(s, 0, 0);
	d = sim_need(s, 0, 0);
	sim_sweep_rest(s);
	CHECK(!sim_allocated(s, a) && sim_allocated(s, b));
	CHECK(sim_allocated(s, c) && sim_allocated(s, d));
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	sim_verify(s);
	CHECK(!sim_allocated(s, a) && sim_allocated(s, b));
	CHECK(sim_allocated(s, c) && sim_allocated(s, d));
	sim_close(s);
}

/* Given back before the sweep has come by. */
void gct_sweep_retired(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, CELL);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), c;

	s->precise[0] = b;
	sim_need(s, 0, 0);
	sim_mark_phase(s);
	sim_sweep_begin(s);
	c = sim_need(s, 0, 0);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	sim_verify(s);
	CHECK(!sim_allocated(s, a) && sim_allocated(s, b) && sim_allocated(s, c));
	sim_sweep_rest(s);
	CHECK(!sim_allocated(s, a) && sim_allocated(s, b) && sim_allocated(s, c));
	sim_close(s);
}

/* Chunks that hold nothing lose their metadata, wherever they lie. */
void gct_chunk_trim(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, GCHEAP_CACHE_LARGE, 0);
	u64 a[5], before = s->h.n.meta_bytes, changes;
	u32 i;

	for (i = 0; i < 5; i++) {
		a[i] = sim_large(s, 0, 0, GCHEAP_CHUNK_SIZE);
		sim_store(s, a[i], 1);
	}
	CHECK_EQ(s->h.top, 5 * GCHEAP_CHUNK_SLOTS);
	CHECK(gch_free_early(&s->h, a[1]));
	CHECK(gch_free_early(&s->h, a[4]));
	gch_chunk_trim(&s->h);	/* pages are left in them */
	CHECK(gch_chunk(&s->h, 1) && gch_chunk(&s->h, 4));
	changes = s->meta_changes;
	sim_release(s, 0);
	CHECK(!gch_chunk(&s->h, 1) && !gch_chunk(&s->h, 4));
	CHECK_EQ(s->meta_changes, changes + 2);
	CHECK_EQ(s->h.top, 4 * GCHEAP_CHUNK_SLOTS);
	sim_verify(s);
	CHECK(!gch_free_early(&s->h, a[1]));
	CHECK(!gch_free_early(&s->h, a[4]));
	s->ambiguous[0] = a[1] + 5;
	s->ambiguous[1] = a[4];
	sim_cycle(s);
	gch_thread_retire_all(&s->h, 0);
	s->ambiguous[0] = 0;
	sim_cycle(s);
	sim_release(s, 0);
	CHECK_EQ(s->h.n.heap_bytes, 0);
	CHECK_EQ(s->h.top, 0);
	CHECK(s->h.n.meta_bytes - before <= GCH_LEAF_CHUNKS * sizeof(void *));
	CHECK_EQ(sim_large(s, 0, 0, GCHEAP_CHUNK_SIZE), a[0]);
	sim_close(s);
}

/* At most 3.2 % of the heap, whatever it is made of. */
void gct_chunk_overhead(void)
{
	static const u32 sizes[] = { 16, 32, 48, 4096, 32768 };
	u32 i;

	for (i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		struct sim *s = sim_with(i % 2 ? GCHEAP_NOSCAN : GCHEAP_CONSERVATIVE, 0,
					 sizes[i / 2]);

		s->slow = false;
		while (s->h.n.heap_bytes < GCHEAP_CHUNK_SIZE)
			sim_need(s, 0, 0);
		CHECK(s->h.n.meta_bytes * 1000 <= s->h.n.heap_bytes * 32);
		sim_close(s);
	}
}
