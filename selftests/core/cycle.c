// SPDX-License-Identifier: GPL-2.0-only
/* Whole cycles on small heaps. */
#include "cases.h"
#include "sim.h"

static void one_root(struct sim *s)
{
	gch_mark_precise(&s->h, s->arg, 1);
}

/* A list of ten thousand, reached from one word; then cut in the middle. */
void gct_cycle_smoke(void)
{
	struct sim *s = sim_open(SIM_SIZE);
	u64 head = 0, cut = 0, a;
	u32 t, i;
	int c;

	s->slow = true;
	s->roots = one_root;
	s->arg = &head;
	CHECK_EQ(gch_thread_attach(&s->h, &t), 0);
	c = sim_cache(s, GCHEAP_CONSERVATIVE, 0, 32);
	CHECK(c >= 0);
	for (i = 0; i < 10000; i++) {
		a = sim_alloc(s, t, c);
		CHECK(a);
		CHECK(sim_store(s, a, head));
		head = a;
		if (i == 5000)
			cut = a;
	}
	sim_cycle(s);
	CHECK_EQ(sim_count(s), 10000);
	CHECK_EQ(s->h.n.marked_objects, 10000);
	sim_store(s, cut, 0);
	sim_cycle(s);
	CHECK_EQ(sim_count(s), 10000 - 5000);
	head = 0;
	sim_cycle(s);
	sim_cycle(s);
	CHECK_EQ(sim_count(s), 1);	/* the last one handed out is black (R14) */
	gch_thread_detach(&s->h, t);
	sim_cycle(s);
	CHECK_EQ(s->h.n.heap_bytes, 0);
	sim_release(s, 0);
	CHECK_EQ(s->h.top, 0);
	CHECK_EQ(gch_cache_destroy(&s->h, c), 0);
	sim_close(s);
}

/* An object moved behind the marker's back, with the tracking of writes and without. */
static void moved(bool tracked)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 64);
	u64 seen, hidden, a, b;

	s->check = true;
	seen = sim_need(s, 0, 0);
	hidden = sim_need(s, 0, 0);
	a = sim_need(s, 0, 0);
	b = sim_need(s, 0, 0);
	sim_need(s, 0, 0);
	s->precise[0] = seen;
	s->precise[1] = hidden;
	CHECK(sim_store(s, hidden, a) && sim_store(s, a, b));
	sim_trace_begin(s);
	s->precise[1] = 0;
	sim_trace_pause(s);	/* the roots: one without the other */
	s->tracking = tracked;
	CHECK(sim_store(s, seen + 16, a));
	s->tracking = true;
	sim_trace_round(s);
	sim_trace_finish(s);
	CHECK_EQ(s->lost, tracked ? 0 : 2);
	CHECK_EQ(s->h.n.marked_objects, 4);
	if (!tracked) {
		CHECK(s->lost_path[0] == a || s->lost_path[0] == b);
		CHECK_EQ(s->lost_path[s->lost_steps - 1], seen);
	}
	sim_sweep_phase(s);
	CHECK(sim_live(s, a) && sim_live(s, b));	/* what was lost is kept */
	sim_verify(s);
	sim_close(s);
}

void gct_cycle_check(void)
{
	moved(true);
	moved(false);
}

/*
 * A large object that is being made holds what is left from earlier use. It is black, and a root:
 * when marking is checked that does not count either.
 */
void gct_cycle_check_unfinished(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 64);
	int c = sim_cache(s, GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0);
	u64 dead, old;
	u32 id;

	CHECK(c >= 0);
	s->check = true;
	dead = sim_need(s, 0, 0);
	sim_need(s, 0, 0);	/* the last is kept by itself */
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	old = sim_large(s, 0, c, GCHEAP_SLOT_SIZE);
	CHECK(old && sim_store(s, old, dead));
	CHECK(gch_free_early(&s->h, old));
	sim_trace_begin(s);
	CHECK_EQ(gch_thread_large(&s->h, 0, c, GCHEAP_SLOT_SIZE, &id), 0);
	CHECK_EQ(gch_slot_addr(&s->h, id), old);
	CHECK_EQ(sim_load(s, old), dead);
	sim_trace_finish(s);
	CHECK_EQ(s->lost, 0);
	sim_sweep_phase(s);
	CHECK(sim_live(s, old) && !sim_allocated(s, dead));
	gch_large_zeroed(&s->h, id);
	sim_verify(s);
	sim_close(s);
}

/*
 * R14: what was handed out last before marking began is on no page written since. It is
 * scanned, also if it is accounted before the marker comes to do anything at all; in a
 * heap so large that marks are put off.
 */
void gct_cycle_last(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 64);
	int c = sim_cache(s, GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0);
	u64 last, seen;

	CHECK(c >= 0);
	s->check = true;
	s->precise[0] = sim_large(s, 0, c, 100 * GCHEAP_SLOT_SIZE);
	CHECK(s->precise[0]);
	seen = sim_need(s, 0, 0);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	last = sim_need(s, 0, 0);
	CHECK(sim_store(s, last, seen));
	s->precise[1] = last;
	sim_trace_begin(s);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	CHECK(sim_live(s, last));
	sim_trace_round(s);
	sim_trace_finish(s);
	CHECK_EQ(s->lost, 0);
	sim_sweep_phase(s);
	CHECK(sim_live(s, seen));
	sim_verify(s);
	sim_close(s);
}
