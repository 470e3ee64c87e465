// SPDX-License-Identifier: GPL-2.0-only
/* What is reached, and what is not. */
#include "cases.h"
#include "sim.h"

/* Collect, with an object more so that none under test is a cursor's last. */
static void collect(struct sim *s, u32 cache)
{
	sim_need(s, 0, cache);
	sim_cycle(s);
}

/* Any address inside counts, from roots and from words; the rest does not. */
void gct_mark_interior(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 112);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), c = sim_need(s, 0, 0);

	s->ambiguous[3] = a + 111;
	sim_store(s, a + 104, b + 57);
	sim_store(s, b + 8, c);
	collect(s, 0);
	CHECK(sim_allocated(s, a) && sim_allocated(s, b) && sim_allocated(s, c));
	CHECK_EQ(s->h.n.marked_objects, 3);
	sim_store(s, b + 8, c + 112);
	s->ambiguous[4] = SIM_BASE - 1;
	s->ambiguous[5] = ~0ull;
	s->ambiguous[6] = SIM_BASE + GCHEAP_SLOT_SIZE - 1;	/* waste */
	collect(s, 0);
	CHECK(sim_allocated(s, b) && !sim_allocated(s, c));
	sim_close(s);
}

void gct_mark_noscan(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 64);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0);

	s->precise[0] = a;
	sim_store(s, a, b);
	collect(s, 0);
	CHECK(sim_allocated(s, a) && !sim_allocated(s, b));
	CHECK_EQ(s->h.n.marked_bytes, 64);
	sim_close(s);
}

/* R16: one past the end keeps an object of a cache that asks for it. */
void gct_mark_past_end(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, GCHEAP_CACHE_PAST_END, 4096);
	u32 other = sim_cache(s, GCHEAP_CONSERVATIVE, 0, 4096);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), c, d;

	s->want = 1;
	c = sim_need(s, 0, 0);
	d = sim_need(s, 0, other);
	s->ambiguous[0] = a + 4096;		/* and the cell there */
	collect(s, 0);
	CHECK(sim_allocated(s, a) && sim_allocated(s, b) && !sim_allocated(s, c));
	s->ambiguous[0] = 0;
	s->precise[0] = a + 4096;
	collect(s, 0);
	CHECK(!sim_allocated(s, a) && sim_allocated(s, b));
	/* From a word; at the end of a span, where nothing else is. */
	sim_store(s, b, b + 4096);
	CHECK_EQ(b + 4096, SIM_BASE + GCHEAP_SLOT_SIZE);
	s->precise[0] = 0;
	s->ambiguous[0] = b + 4096;
	collect(s, 0);
	CHECK(sim_allocated(s, b));
	s->ambiguous[0] = b + 4096 + 8;		/* not on the border */
	collect(s, 0);
	CHECK(!sim_allocated(s, b));
	/* A cache that does not ask for it. */
	sim_need(s, 0, other);
	s->ambiguous[0] = d + 4096;
	collect(s, other);
	CHECK(!sim_allocated(s, d));
	sim_close(s);
}

/* The same for the last object below the top, and for a large one. */
void gct_mark_past_top(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE,
				 GCHEAP_CACHE_PAST_END | GCHEAP_CACHE_LARGE, 0);
	u64 a = sim_large(s, 0, 0, 3 * GCHEAP_SLOT_SIZE);

	gch_thread_retire_all(&s->h, 0);
	s->ambiguous[0] = a + 3 * GCHEAP_SLOT_SIZE;
	CHECK_EQ(s->h.top, 3);
	sim_cycle(s);
	CHECK(sim_allocated(s, a));
	s->ambiguous[0]++;
	sim_cycle(s);
	CHECK(!sim_allocated(s, a));
	sim_close(s);
}

/* Fixed part, elements, length, tags; words that are not in the map do not count. */
void gct_mark_typed(void)
{
	static const struct sim_maps maps = {
		.fixed = 3, .fixed_ptr = 2, .length = 2, .tag_bits = 3,
		.elem = 2, .elem_ptr = 2,
	};
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 16);
	u32 c = sim_typed(s, 0, 96, &maps), i;
	u64 a = sim_need(s, 0, c), b[12];

	sim_need(s, 0, c);
	s->precise[0] = a;
	for (i = 0; i < 12; i++) {
		b[i] = sim_need(s, 0, 0);
		sim_store(s, a + 8 * i, b[i] | (i % 8));
	}
	/* 4 elements, the second word of each; words 0, 3, 5, 7, 9, 11 do not count. */
	sim_store(s, a + 16, 4);
	collect(s, 0);
	for (i = 0; i < 12; i++)
		CHECK_EQ(sim_allocated(s, b[i]), i == 1 || (i >= 4 && !(i % 2)));
	/* Fewer, by the length word; more than there are is all of them. */
	sim_store(s, a + 16, 2);
	collect(s, 0);
	for (i = 0; i < 12; i++)
		CHECK_EQ(sim_allocated(s, b[i]), i == 1 || i == 4 || i == 6);
	sim_store(s, a + 16, ~0ull);
	collect(s, 0);
	CHECK(sim_allocated(s, b[6]));
	sim_store(s, a + 16, 0);
	sim_store(s, a + 8, 0);
	collect(s, 0);
	CHECK(!sim_allocated(s, b[1]) && !sim_allocated(s, b[4]));
	sim_close(s);
}

/* Arrays without a length: to the end of the cell. One past the end is not inside. */
void gct_mark_typed_array(void)
{
	static const struct sim_maps maps = {
		.elem = 3, .elem_ptr = 4, .length = GCHEAP_NO_LENGTH,
	};
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, GCHEAP_CACHE_PAST_END, 32);
	u32 c = sim_typed(s, GCHEAP_CACHE_LARGE, 0, &maps), i;
	u64 a = sim_large(s, 0, c, 50000), b, d;

	for (i = 0; i < 50000 / 24; i += 100) {
		b = sim_need(s, 0, 0);
		d = sim_need(s, 0, 0);
		sim_store(s, a + 24 * i + 16, b + 16);
		sim_store(s, a + 24 * i + 8, d);
		collect(s, 0);
		CHECK(sim_allocated(s, b) && !sim_allocated(s, d));
		sim_store(s, a + 24 * i + 16, b + 32);
		collect(s, 0);
		CHECK(!sim_allocated(s, b));
	}
	sim_close(s);
}

/*
 * R14: the program has an object's address and moves the cursor, and then it is
 * stopped, before anything refers to the object.
 */
void gct_mark_r14(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 4096);
	u64 a, b, c;

	s->want = 2;
	a = sim_need(s, 0, 0);
	sim_cycle(s);
	CHECK(sim_allocated(s, a));
	b = sim_need(s, 0, 0);		/* the span's last */
	sim_cycle(s);
	CHECK(!sim_allocated(s, a) && sim_allocated(s, b));
	*sim_pos(s, 0, 0) = 1ull << 32;	/* the next span begun, with nothing yet */
	sim_cycle(s);
	CHECK(sim_allocated(s, b));
	c = sim_need(s, 0, 0);
	CHECK_EQ(c, b + 4096);
	sim_cycle(s);
	CHECK(!sim_allocated(s, b) && sim_allocated(s, c));
#ifdef CONFIG_GCHEAP_DEBUG
	/* Without the rule it is lost. */
	a = sim_need(s, 0, 0);
	gch_rules_off = 1ul << 14;
	sim_cycle(s);
	CHECK(!sim_allocated(s, a));
	gch_rules_off = 0;
#endif
	sim_close(s);
}

/* Before the cursor has moved the object is safe too. */
void gct_mark_above_cursor(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 512);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0);

	*sim_pos(s, 0, 0) = 1;
	s->precise[0] = a;
	sim_store(s, a, b);
	sim_store(s, b, 0);
	sim_cycle(s);
	*sim_pos(s, 0, 0) = 2;
	CHECK(sim_allocated(s, a) && sim_allocated(s, b));
	/* Black is as black does: it dies in the next cycle if nothing refers to it. */
	sim_store(s, a, 0);
	sim_need(s, 0, 0);
	sim_cycle(s);
	CHECK(!sim_allocated(s, b));
	sim_close(s);
}

/* An old dead object in a span that a thread owns, above its cursor, dies. */
void gct_mark_old_above_cursor(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 1024);
	u64 a[8];
	u32 i;

	s->want = 1;
	for (i = 0; i < 8; i++)
		a[i] = sim_need(s, 0, 0);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	CHECK(gch_free_early(&s->h, a[1]));
	CHECK_EQ(sim_need(s, 0, 0), a[1]);
	s->precise[0] = a[5];
	sim_cycle(s);
	CHECK_EQ(sim_count(s), 2);
	for (i = 2; i < 8; i++)
		if (i != 5)
			CHECK_EQ(sim_need(s, 0, 0), a[i]);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	CHECK_EQ(s->h.n.alloc_bytes, (8 + 1 + 5) * 1024);
	sim_close(s);
}

/* A span is on the queue once, however much of it is marked. */
void gct_mark_queue(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a, prev = 0;
	u32 i;

	for (i = 0; i < 1000; i++) {
		a = sim_need(s, 0, 0);
		sim_store(s, a, prev);
		prev = a;
	}
	gch_cycle_clear(&s->h);
	gch_cycle_stop(&s->h);
	gch_cycle_mark(&s->h);
	for (i = 0; i < 1000; i += 3) {
		a = SIM_BASE + 32 * i;
		gch_mark_precise(&s->h, &a, 1);
	}
	CHECK(s->h.qlen <= 4);
	while (gch_mark_drain(&s->h, 1))
		CHECK(s->h.qlen <= 4);
	CHECK_EQ(s->h.n.marked_objects, 1000);
	gch_cycle_abandon(&s->h);
	sim_verify(s);
	sim_close(s);
}

/* An attempt that ends takes nothing, and the next one starts afresh. */
void gct_mark_abandon(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), c = sim_need(s, 0, 0);

	sim_need(s, 0, 0);
	sim_store(s, a, b);
	sim_store(s, b, c);
	gch_cycle_clear(&s->h);
	gch_cycle_stop(&s->h);
	gch_cycle_mark(&s->h);
	gch_mark_precise(&s->h, &a, 1);
	CHECK_EQ(s->h.qlen, 1);
	gch_cycle_abandon(&s->h);
	sim_verify(s);
	CHECK_EQ(sim_count(s), 4);
	CHECK(s->h.n.alloc_since);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	s->precise[0] = b;
	sim_cycle(s);
	CHECK(!sim_allocated(s, a) && sim_allocated(s, b) && sim_allocated(s, c));
	CHECK_EQ(s->h.n.marked_objects, 2);
	CHECK_EQ(s->h.n.live_objects_last, 2);
	CHECK_EQ(s->h.n.live_bytes_last, 64);
	sim_close(s);
}

/* Heap memory that nobody has touched is not read. */
void gct_mark_untouched(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0);
	u64 a = sim_large(s, 0, 0, 1 << 20), b = sim_large(s, 0, 0, 100);

	sim_store(s, a + 9 * GCH_PAGE_SIZE, b);
	s->precise[0] = a + 77;
	sim_large(s, 0, 0, 1);
	sim_cycle(s);
	CHECK(sim_allocated(s, b));
	CHECK_EQ(s->h.n.resident_pages, 1);
	sim_close(s);
}
