// SPDX-License-Identifier: GPL-2.0-only
/* Cells that move: all that refers to them follows, and nothing of theirs is lost. */
#include "cases.h"
#include "sim.h"

/*
 * An object: its number, two references, one weak one, and its number again at the end. The
 * program knows by numbers what refers to what.
 */
#define WORDS	10	/* 80 bytes: cells lie across pages */
#define CELL	(8 * WORDS)
#define OBJECTS	1500

static const struct sim_maps maps = {
	.fixed = WORDS, .fixed_ptr = 6, .fixed_weak = 8, .length = GCHEAP_NO_LENGTH,
};

/** struct world - @edge: 1 + number of what field 1, 2, 3 of an object refers to; 0: none */
struct world {
	struct gct_random r;
	u32 edge[OBJECTS][3];
	u32 root;
	u64 found[OBJECTS];
	u64 todo[OBJECTS];
};

static struct sim *movable(u32 flags)
{
	struct sim *s = sim_open(SIM_SIZE);
	u32 t;

	s->slow = true;
	CHECK_EQ(gch_thread_attach(&s->h, &t), 0);
	CHECK_EQ(sim_typed(s, GCHEAP_CACHE_MOVABLE | flags, CELL, &maps), 0);
	return s;
}

static void retire(struct sim *s)
{
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
}

static u64 make(struct sim *s, u64 number)
{
	u64 p = sim_need(s, 0, 0);

	CHECK(sim_store(s, p, number) && sim_store(s, p + CELL - 8, number));
	return p;
}

static void cycle(struct sim *s, u32 rounds)
{
	sim_trace_phase(s, rounds);
	sim_sweep_phase(s);
}

/* A list of @n of which each is alone in a span, first in precise[0]. */
static struct sim *sparse_list(u32 n, u32 flags)
{
	struct sim *s = movable(flags);
	u32 per, i, k;
	u64 p, prev = 0;

	s->slow = false;
	per = s->h.cache[0]->ncells;
	for (i = 0; i < n; i++) {
		for (k = 0; k < per; k++) {
			p = make(s, i);
			if (k != i % per)
				continue;
			sim_store(s, p + 8, prev);
			sim_store(s, p + 24, prev);
			prev = p;
		}
	}
	s->precise[0] = prev;
	retire(s);
	s->slow = true;
	sim_cycle(s);
	CHECK_EQ(sim_count(s), n);
	return s;
}

static void list_intact(struct sim *s, u32 n)
{
	u64 p = s->precise[0];

	while (n--) {
		CHECK(sim_allocated(s, p));
		CHECK_EQ(sim_load(s, p), n);
		CHECK_EQ(sim_load(s, p + CELL - 8), n);
		CHECK_EQ(sim_load(s, p + 24), sim_load(s, p + 8));
		p = sim_load(s, p + 8);
	}
	CHECK_EQ(p, 0);
}

static u32 in_state(struct sim *s, u32 state)
{
	u32 id, n = 0, first;

	for (id = 0; id < s->h.top; id++) {
		const struct gcheap_span *d = gch_span_at(&s->h, id, &first);

		n += d && first == id && d->state == state;
	}
	return n;
}

/* One cell a span: as many spans as are needed are left. */
void gct_evac_list(void)
{
	enum { N = 300 };
	struct sim *s = sparse_list(N, 0);
	u32 per = s->h.cache[0]->ncells, targets = (N + per - 1) / per;
	u64 slots = s->h.cache[0]->slots;

	CHECK_EQ(s->h.n.heap_bytes, N * slots * GCHEAP_SLOT_SIZE);
	CHECK_EQ(sim_evac_choose(s, 1000), N);
	sim_verify(s);
	cycle(s, 2);
	list_intact(s, N);
	CHECK_EQ(sim_count(s), N);
	CHECK_EQ(s->h.n.heap_bytes, targets * slots * GCHEAP_SLOT_SIZE);
	CHECK_EQ(s->h.n.resident_pages, targets * slots * GCH_SLOT_PAGES);
	CHECK_EQ(in_state(s, GCHEAP_SPAN_MOVED), N);
	/* In the order that they had. */
	CHECK_EQ(s->precise[0] - SIM_BASE - ((u64)sim_id(s->precise[0]) << GCHEAP_SLOT_SHIFT),
		 (N - 1) % per * CELL);
	/* R7 */
	cycle(s, 1);
	CHECK_EQ(in_state(s, GCHEAP_SPAN_MOVED), N);
	s->h.reuse = true;
	cycle(s, 1);
	CHECK_EQ(in_state(s, GCHEAP_SPAN_MOVED), 0);
	list_intact(s, N);
	/* There is nothing more to win. */
	CHECK_EQ(sim_evac_choose(s, 1000), 0);
	s->precise[0] = 0;
	cycle(s, 1);
	cycle(s, 1);
	CHECK_EQ(s->h.n.heap_bytes, 0);
	CHECK_EQ(gch_cache_destroy(&s->h, 0), 0);
	sim_close(s);
}

/* Room for few at a time; what is ambiguous stays where it is. */
void gct_evac_pinned(void)
{
	enum { N = 200 };
	struct sim *s = sparse_list(N, 0);
	u64 pinned = sim_load(s, sim_load(s, s->precise[0] + 8) + 8);
	u32 i, flips = 0, at = 0;

	s->ambiguous[3] = pinned + 5;
	while (sim_evac_choose(s, 40)) {
		cycle(s, 1);
		list_intact(s, N);
		flips++;
	}
	CHECK(flips >= 5);
	CHECK_EQ(s->h.n.flips, flips);
	CHECK_EQ(sim_load(s, pinned), N - 3);
	CHECK(s->h.n.spans_pinned >= 1 && s->h.n.moved_objects >= N - 1);
	s->h.reuse = true;
	for (i = 0; i < 2; i++)
		cycle(s, 1);
	CHECK(s->h.n.heap_bytes >> GCHEAP_SLOT_SHIFT <= 8 * s->h.cache[0]->slots);
	/* Let go it moves, too. */
	s->ambiguous[3] = 0;
	gch_evac_retry(&s->h, &at, U32_MAX / 2);
	list_intact(s, N);
	sim_close(s);
}

/* Abandoned at any point it is as if nothing had been. */
void gct_evac_abandoned(void)
{
	enum { N = 100 };
	struct sim *s = sparse_list(N, 0);
	u32 step;

	for (step = 0; step < 4; step++) {
		CHECK_EQ(sim_evac_choose(s, 1000), N);
		if (step)
			sim_trace_begin(s);
		if (step > 1)
			sim_trace_round(s);
		if (step > 2)
			sim_trace_pause(s);
		if (step) {
			gch_cycle_abandon(&s->h);
			s->tracking = false;
		} else {
			gch_evac_abandon(&s->h);
		}
		sim_evac_free(s);
		sim_verify(s);
		CHECK_EQ(in_state(s, GCHEAP_SPAN_PARTIAL), N);
		list_intact(s, N);
		cycle(s, 1);
		CHECK_EQ(sim_count(s), N);
	}
	sim_close(s);
}

/* Early frees and finalizers of what is to move, or has. */
void gct_evac_known(void)
{
	enum { N = 100 };
	struct sim *s = sparse_list(N, 0);
	u64 p = s->precise[0], q = sim_load(s, p + 8), r = sim_load(s, q + 8), old;
	struct gcheap_ready ready;

	CHECK_EQ(gch_final_set(&s->h, q, 7, GCH_ORDER_NONE, &old), 0);
	CHECK_EQ(sim_evac_choose(s, 1000), N);
	CHECK_EQ(gch_final_set(&s->h, r, 8, GCH_ORDER_NONE, &old), 0);
	s->precise[0] = sim_load(s, r + 8);
	CHECK(gch_free_early(&s->h, p));
	CHECK(!gch_free_early(&s->h, p));
	cycle(s, 1);
	list_intact(s, N - 3);
	CHECK(!gch_free_early(&s->h, p));
	CHECK_EQ(gch_final_peek(&s->h, &ready, 1, false), 1);
	CHECK(ready.addr == q || ready.addr == r);
	CHECK_EQ(sim_load(s, ready.addr), ready.addr == q ? N - 2 : N - 3);
	CHECK_EQ(sim_load(s, sim_load(s, r + 8)), N - 4);
	gch_final_pop(&s->h, 2);
	cycle(s, 1);
	CHECK_EQ(sim_count(s), N - 3);
	CHECK(gch_free_early(&s->h, s->precise[0]));
	s->precise[0] = 0;
	cycle(s, 1);
	sim_close(s);
}

/* Elements of an array follow; what is beyond its length may be anything, and pins. */
void gct_evac_array(void)
{
	static const struct sim_maps array = {
		.fixed = 1, .elem = 1, .elem_ptr = 1, .length = 0, .tag_bits = 2,
	};
	enum { N = 40, LENGTH = 300, ARRAY = 8 * (1 + LENGTH) };
	struct sim *s = sparse_list(N, 0);
	u64 a, p = s->precise[0], node[N], i;

	CHECK_EQ(sim_typed(s, 0, (ARRAY + 15) & ~15, &array), 1);
	a = sim_need(s, 0, 1);
	s->precise[1] = a;
	for (i = N; i--; p = sim_load(s, p + 8)) {
		node[i] = p;
		sim_store(s, a + 8 + 8 * 7 * i, p + 16 + i % 4);
	}
	/* 20 of them are elements; the length changes when they have been looked at. */
	sim_store(s, a, 7 * 20);
	CHECK_EQ(sim_evac_choose(s, 1000), N);
	sim_trace_begin(s);
	sim_trace_round(s);
	sim_store(s, a, LENGTH);
	sim_trace_round(s);
	sim_trace_finish(s);
	sim_store(s, a, 3);
	sim_finalize(s);
	gch_cycle_sweep(&s->h);
	sim_sweep_rest(s);
	list_intact(s, N);
	CHECK_EQ(s->h.n.moved_objects, 20);
	CHECK_EQ(s->h.n.spans_pinned, N - 20);
	for (p = s->precise[0], i = N; i--; p = sim_load(s, p + 8)) {
		CHECK_EQ(sim_load(s, a + 8 + 8 * 7 * i), p + 16 + i % 4);
		CHECK_EQ(p == node[i], i >= 20);
	}
	sim_close(s);
}

/* ---- a graph that changes all the while */

static u64 deref(struct sim *s, u64 p)
{
	CHECK(sim_allocated(s, p));
	CHECK_EQ(sim_load(s, p), sim_load(s, p + CELL - 8));
	return sim_load(s, p);
}

/* A walk at random from the root: where it has come to, the root's own address kept. */
static u64 wander(struct sim *s, struct world *w)
{
	u64 p = s->precise[0], n = deref(s, p), q;
	u32 steps = gct_rand(&w->r, 40), f;

	CHECK_EQ(n, w->root);
	while (steps--) {
		f = gct_rand(&w->r, 2);
		q = sim_load(s, p + 8 + 8 * f);
		CHECK_EQ(!q, !w->edge[n][f]);
		if (!q)
			break;
		CHECK_EQ(deref(s, q), w->edge[n][f] - 1);
		p = q;
		n = w->edge[n][f] - 1;
	}
	return p;
}

static void set(struct sim *s, struct world *w, u64 p, u32 f, u64 q)
{
	CHECK(sim_store(s, p + 8 + 8 * f, q));
	w->edge[sim_load(s, p)][f] = q ? 1 + sim_load(s, q) : 0;
}

static void find_reached(struct sim *s, struct world *w)
{
	u32 todo = 0, f;
	u64 p, n, q;

	memset(w->found, 0, sizeof(w->found));
	w->todo[todo++] = s->precise[0];
	w->found[w->root] = s->precise[0];
	while (todo) {
		p = w->todo[--todo];
		n = deref(s, p);
		for (f = 0; f < 2; f++) {
			q = sim_load(s, p + 8 + 8 * f);
			CHECK_EQ(!q, !w->edge[n][f]);
			if (!q)
				continue;
			CHECK_EQ(deref(s, q), w->edge[n][f] - 1);
			if (!w->found[deref(s, q)])
				w->todo[todo++] = q;
			w->found[deref(s, q)] = q;
		}
	}
}

/* All of it, and weak words that lead to what is there. */
static u32 walk(struct sim *s, struct world *w)
{
	u32 n = 0, i;

	find_reached(s, w);
	for (i = 0; i < OBJECTS; i++) {
		u64 weak;

		if (!w->found[i])
			continue;
		n++;
		weak = sim_load(s, w->found[i] + 24);
		if (weak && w->edge[i][2])
			CHECK_EQ(deref(s, weak), w->edge[i][2] - 1);
		if (w->edge[i][2] && w->found[w->edge[i][2] - 1])
			CHECK_EQ(weak, w->found[w->edge[i][2] - 1]);
	}
	return n;
}

/* A number that no object has that is reached. */
static bool unused(struct sim *s, struct world *w, u32 *n)
{
	u32 i;

	for (i = 0; i < 100; i++) {
		*n = gct_rand(&w->r, OBJECTS);
		if (!w->found[*n])
			return true;
	}
	return false;
}

/* Another object has the number from here on. */
static u64 make_again(struct sim *s, struct world *w, u32 n)
{
	u32 i;

	memset(w->edge[n], 0, sizeof(w->edge[n]));
	for (i = 0; i < OBJECTS; i++)
		if (w->edge[i][2] == n + 1)
			w->edge[i][2] = 0;
	w->found[n] = make(s, n);
	return w->found[n];
}

/* What the program does between two slices: it has roots of its own in the stack. */
static void mutate(struct sim *s)
{
	struct world *w = s->arg;
	u32 k, n;

	for (k = gct_rand(&w->r, 3); k; k--) {
		u64 p = wander(s, w), q = wander(s, w), fresh;

		switch (gct_rand(&w->r, 4)) {
		case 0:
			set(s, w, p, gct_rand(&w->r, 3), q);
			break;
		case 1:
			if (!unused(s, w, &n))
				break;
			fresh = make_again(s, w, n);
			set(s, w, fresh, 0, q);
			set(s, w, p, gct_rand(&w->r, 2), fresh);
			break;
		case 2:
			if (!gct_rand(&w->r, 40))
				set(s, w, p, gct_rand(&w->r, 2), 0);
			break;
		default:
			set(s, w, p, 2, q);
		}
	}
}

/* Half of what there is becomes garbage at once. */
static void thin_out(struct sim *s, struct world *w)
{
	u32 i;

	walk(s, w);
	for (i = 0; i < OBJECTS; i++)
		if (w->found[i] && i != w->root && !gct_rand(&w->r, 4))
			set(s, w, w->found[i], gct_rand(&w->r, 2), 0);
}

void gct_evac_graph(void)
{
	struct world *w = env_zalloc(sizeof(*w));
	struct sim *s = movable(GCHEAP_CACHE_PAST_END);
	u32 round, i, n;

	CHECK(w);
	gct_seed(&w->r, 11);
	s->arg = w;
	s->precise[0] = make_again(s, w, 0);
	for (round = 0; round < 20 * GCT_SCALE; round++) {
		s->slow = round % 4 == 0;
		s->check = round % 2;
		s->h.reuse = round % 3 == 0;
		for (i = 0; i < 3000; i++)
			mutate(s);
		thin_out(s, w);
		if (gct_rand(&w->r, 2))
			retire(s);
		sim_cycle(s);
		s->ambiguous[1] = gct_rand(&w->r, 2) ? wander(s, w) : 0;
		sim_evac_choose(s, 1 + gct_rand(&w->r, 20));
		s->between = mutate;
		cycle(s, gct_rand(&w->r, 4));
		s->between = NULL;
		CHECK_EQ(s->lost, 0);
		n = walk(s, w);
		CHECK(n > 0 && n <= sim_count(s));
		s->ambiguous[1] = 0;
	}
	gct_log("%llu objects of %llu spans moved, %llu pinned", s->h.n.moved_objects,
		s->h.n.flips, s->h.n.spans_pinned);
	CHECK(s->h.n.moved_objects > 100 * GCT_SCALE);
	sim_close(s);
	env_free(w);
}
