// SPDX-License-Identifier: GPL-2.0-only
/* Early free: what is an object's start goes, all else is counted. */
#include "cases.h"
#include "sim.h"

static void bad(struct sim *s, u64 addr)
{
	u64 n = s->h.n.bad_frees, freed = s->h.n.freed_early;

	CHECK(!gch_free_early(&s->h, addr));
	CHECK_EQ(s->h.n.bad_frees, n + 1);
	CHECK_EQ(s->h.n.last_bad_free, addr);
	CHECK_EQ(s->h.n.freed_early, freed);
	sim_verify(s);
}

static void good(struct sim *s, u64 addr)
{
	u64 n = s->h.n.bad_frees, freed = s->h.n.freed_early;

	CHECK(gch_free_early(&s->h, addr));
	CHECK_EQ(s->h.n.bad_frees, n);
	CHECK_EQ(s->h.n.freed_early, freed + 1);
	CHECK(!sim_allocated(s, addr));
	sim_verify(s);
}

void gct_free_checked(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 96);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0);

	bad(s, 0);
	bad(s, SIM_BASE - 1);
	bad(s, SIM_BASE + SIM_SIZE);
	bad(s, U64_MAX);
	bad(s, a + 1);
	bad(s, a + 16);
	bad(s, a + 95);
	bad(s, b + 96);			/* not handed out */
	bad(s, SIM_BASE + GCHEAP_SLOT_SIZE - 1); /* the span's waste */
	good(s, a);
	bad(s, a);
	good(s, b);
	bad(s, b);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	CHECK_EQ(s->h.n.heap_bytes, 0);
	bad(s, a);
	sim_close(s);
}

/* Another thread's objects, even the last that it was given. */
void gct_free_foreign(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 96);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), c;
	u32 t;

	CHECK_EQ(gch_thread_attach(&s->h, &t), 0);
	sim_push_free(s, t, b);
	gch_free_drain(&s->h, t);
	CHECK(!sim_allocated(s, b));
	CHECK(sim_allocated(s, a));
	bad(s, b);
	/* The owner does not give it out again, since it is below the cursor. */
	c = sim_need(s, 0, 0);
	CHECK_EQ(c, b + 96);
	good(s, a);
	/* R14 holds for the one after as before. */
	sim_cycle(s);
	CHECK(sim_allocated(s, c));
	sim_close(s);
}

/* An old object in a span that a thread owns and has not come to yet. */
void gct_free_above_cursor(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 1024);
	u64 a[8];
	u32 i;

	s->want = 1;
	for (i = 0; i < 8; i++)
		a[i] = sim_need(s, 0, 0);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	good(s, a[1]);
	good(s, a[4]);
	CHECK_EQ(sim_need(s, 0, 0), a[1]);
	good(s, a[6]);
	bad(s, a[6]);
	bad(s, a[4]);	/* free, and the cursor is below */
	CHECK_EQ(sim_need(s, 0, 0), a[4]);
	CHECK_EQ(sim_need(s, 0, 0), a[6]);
	CHECK_EQ(s->h.n.alloc_bytes, 11 * 1024);
	sim_close(s);
}

/* Empty spans go back, full ones become partial. */
void gct_free_states(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 1024);
	u32 one = sim_cache(s, GCHEAP_NOSCAN, 0, 32768);
	u64 a[8];
	u32 i;

	s->want = 1;
	for (i = 0; i < 8; i++)
		a[i] = sim_need(s, 0, 0);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	CHECK_EQ(gch_desc(&s->h, 0)->state, GCHEAP_SPAN_FULL);
	good(s, a[3]);
	CHECK_EQ(gch_desc(&s->h, 0)->state, GCHEAP_SPAN_PARTIAL);
	CHECK_EQ(s->h.cache[0]->npartial, 1);
	for (i = 0; i < 8; i++)
		if (i != 3)
			good(s, a[i]);
	CHECK_EQ(s->h.n.heap_bytes, 0);
	CHECK_EQ(s->h.cache[0]->npartial, 0);
	/* One cell a span: full, and then nothing. */
	a[0] = sim_need(s, 0, one);
	gch_thread_retire(&s->h, 0, one);
	s->place[0][one].n = 0;
	CHECK_EQ(gch_desc(&s->h, 0)->state, GCHEAP_SPAN_FULL);
	good(s, a[0]);
	CHECK_EQ(s->h.n.heap_bytes, 0);
	sim_close(s);
}

/* In the middle of a sweep: the span is swept first, and what died is dead. */
void gct_free_unswept(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 1024);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), c = sim_need(s, 0, 0);

	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	s->precise[0] = a;
	s->precise[1] = c;
	sim_mark_phase(s);
	sim_sweep_begin(s);
	bad(s, b);
	good(s, a);
	good(s, c);
	CHECK_EQ(s->h.n.heap_bytes, 0);
	CHECK(!gch_sweep_some(&s->h, 1));
	gch_cycle_end(&s->h);
	sim_close(s);
}

/* What is in a ring stays until it is drained: else its cell could be another's. */
void gct_free_ring_root(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 1024);
	u64 a = sim_need(s, 0, 0);

	sim_need(s, 0, 0);
	sim_push_free(s, 0, a);
	sim_cycle(s);
	CHECK(sim_allocated(s, a));
	gch_free_drain(&s->h, 0);
	CHECK(!sim_allocated(s, a));
	CHECK_EQ(s->h.n.bad_frees, 0);
	sim_close(s);
}

/* A ring full of garbage, with indices that are garbage. */
void gct_free_ring_scribbled(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 1024);
	struct gcheap_tcb *t = s->tcb[0];
	struct gct_random r;
	u32 i, k;
	u64 n;

	gct_seed(&r, 3);
	for (i = 0; i < 20; i++) {
		for (k = 0; k < 100; k++)
			sim_need(s, 0, 0);
		for (k = 0; k < GCHEAP_RING; k++)
			t->free_ring[k] = k % 2 ? gct_rand64(&r) :
				SIM_BASE + gct_rand(&r, 1 << 18);
		t->free_head = gct_rand64(&r);
		t->free_tail = gct_rand64(&r);
		n = s->h.n.bad_frees + s->h.n.freed_early;
		sim_cycle(s);
		gch_free_drain(&s->h, 0);
		CHECK(s->h.n.bad_frees + s->h.n.freed_early - n <= GCHEAP_RING);
		CHECK_EQ(t->free_tail, t->free_head);
		sim_verify(s);
	}
	sim_close(s);
}
