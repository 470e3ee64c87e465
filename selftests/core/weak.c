// SPDX-License-Identifier: GPL-2.0-only
/* Weak fields. */
#include "cases.h"
#include "sim.h"

static const struct sim_maps box = {
	.fixed = 4, .fixed_ptr = 1, .fixed_weak = 6, .length = GCHEAP_NO_LENGTH,
	.tag_bits = 2,
};

static struct sim *with_box(u32 *cache)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 64);

	*cache = sim_typed(s, 0, 32, &box);
	return s;
}

/* Cleared when what they refer to dies, and not before. */
void gct_weak_cleared(void)
{
	u32 c;
	struct sim *s = with_box(&c);
	u64 w = sim_need(s, 0, c), a = sim_need(s, 0, 0), b = sim_need(s, 0, 0);

	sim_need(s, 0, c);
	sim_need(s, 0, 0);
	s->precise[0] = w;
	s->precise[1] = a;
	sim_store(s, w + 8, (a + 8) | 3);
	sim_store(s, w + 16, b);
	sim_store(s, w + 24, b);	/* no pointer at all */
	sim_cycle(s);
	CHECK_EQ(sim_load(s, w + 8), (a + 8) | 3);
	CHECK_EQ(sim_load(s, w + 16), 0);
	CHECK_EQ(sim_load(s, w + 24), b);
	CHECK(!sim_allocated(s, b));
	CHECK_EQ(s->h.n.weak_cleared, 1);
	s->precise[1] = 0;
	sim_cycle(s);
	CHECK_EQ(sim_load(s, w + 8), 0);
	CHECK(!sim_allocated(s, a));
	/* What is no heap address stays. */
	sim_store(s, w + 8, 12345);
	sim_store(s, w + 16, SIM_BASE + SIM_SIZE);
	sim_cycle(s);
	CHECK_EQ(sim_load(s, w + 8), 12345);
	CHECK_EQ(sim_load(s, w + 16), SIM_BASE + SIM_SIZE);
	sim_close(s);
}

/* What a thread is just being handed is not dead. */
void gct_weak_black(void)
{
	u32 c;
	struct sim *s = with_box(&c);
	u64 w = sim_need(s, 0, c), a;

	sim_need(s, 0, c);
	s->precise[0] = w;
	a = sim_need(s, 0, 0);
	sim_store(s, w + 8, a);
	sim_cycle(s);
	CHECK_EQ(sim_load(s, w + 8), a);
	sim_need(s, 0, 0);
	sim_cycle(s);
	CHECK_EQ(sim_load(s, w + 8), 0);
	sim_close(s);
}

/* R19: a weak field does not see an object that comes back for its finalizer. */
void gct_weak_final(void)
{
	u32 c;
	struct sim *s = with_box(&c);
	u64 w = sim_need(s, 0, c), v = sim_need(s, 0, c);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), old;

	sim_need(s, 0, c);
	sim_need(s, 0, 0);
	s->precise[0] = w;
	sim_store(s, w + 8, a);
	sim_store(s, w + 16, v);
	/* v comes back with its strong field, and its weak field refers to the dead. */
	sim_store(s, v, a);
	sim_store(s, v + 8, a);
	sim_store(s, v + 16, b);
	CHECK_EQ(gch_final_set(&s->h, v, 1, GCH_ORDER_NONE, &old), 0);
	sim_cycle(s);
	CHECK_EQ(s->h.finals.ready, 1);
	CHECK_EQ(sim_load(s, w + 8), 0);
	CHECK_EQ(sim_load(s, w + 16), 0);
	CHECK(sim_allocated(s, a) && !sim_allocated(s, b));
	CHECK_EQ(sim_load(s, v), a);
	CHECK_EQ(sim_load(s, v + 8), a);
	CHECK_EQ(sim_load(s, v + 16), 0);
	sim_close(s);
}

/* In arrays, as far as the length goes. */
void gct_weak_array(void)
{
	static const struct sim_maps maps = {
		.fixed = 1, .length = 0, .elem = 2, .elem_ptr = 1, .elem_weak = 2,
	};
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 32);
	u32 c = sim_typed(s, GCHEAP_CACHE_LARGE, 0, &maps), i;
	u64 w = sim_large(s, 0, c, 40000), a;

	s->precise[0] = w;
	sim_store(s, w, 100);
	for (i = 0; i < 200; i++) {
		a = sim_need(s, 0, 0);
		sim_store(s, w + 8 + 16 * i + 8, a);
		if (i % 2)
			sim_store(s, w + 8 + 16 * i, a);
	}
	sim_need(s, 0, 0);
	sim_cycle(s);
	for (i = 0; i < 200; i++) {
		a = sim_load(s, w + 8 + 16 * i + 8);
		CHECK_EQ(!!a, i >= 100 || i % 2);
		CHECK_EQ(sim_allocated(s, a), i < 100 && i % 2);
	}
	sim_close(s);
}

static void sweep(struct sim *s)
{
	sim_sweep_begin(s);
	while (gch_sweep_some(&s->h, 100))
		;
	gch_cycle_end(&s->h);
}

static u32 noted(struct sim *s)
{
	u32 c, w, n = 0;

	for (c = s->h.weak.lo; c < s->h.weak.end; c++)
		for (w = 0; w < GCH_CHUNK_PAGES / 64; w++)
			n += env_weight64(gch_chunk(&s->h, c)->weak[w]);
	return n;
}

/* Only pages with weak words to what is not reached are looked at in the pause. */
void gct_weak_noted(void)
{
	u32 c, i, pages;
	struct sim *s = with_box(&c);
	u64 w = 0, a;

	for (i = 0; i < 2000; i++) {
		u64 box = sim_need(s, 0, c);

		a = sim_need(s, 0, 0);
		sim_store(s, box, w);
		sim_store(s, box + 8, a);
		/* Referents of the first half are reached, by what is scanned later. */
		if (i < 1000)
			sim_store(s, a, s->precise[1]);
		if (i < 1000)
			s->precise[1] = a;
		w = box;
	}
	s->precise[0] = w;
	sim_trace_begin(s);
	sim_trace_pause(s);
	while (gch_mark_drain(&s->h, 100))
		;
	pages = noted(s);
	while (gch_mark_drain(&s->h, 100) || gch_weak_settle(&s->h, 100, false))
		;
	CHECK(noted(s) >= 1000 * 32 / 4096);
	CHECK(noted(s) <= 1000 * 32 / 4096 + 3);
	CHECK(noted(s) <= pages);
	sim_trace_finish(s);
	CHECK_EQ(noted(s), 0);
	CHECK_EQ(s->h.n.weak_cleared, 999);	/* the last is new, and marked for that */
	sweep(s);
	sim_close(s);
}

static const struct sim_maps pairs = {
	.elem = 2, .elem_weak = 1, .elem_ptr = 2, .length = GCHEAP_NO_LENGTH, .tag_bits = 1,
};

/* A value is kept as long as its key is, for any other reason than the value. */
void gct_weak_pairs(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 64);
	u32 c = sim_typed(s, GCHEAP_CACHE_EPHEMERON, 64, &pairs);
	u64 e = sim_need(s, 0, c), k[4], v[4];
	u32 i;

	for (i = 0; i < 4; i++) {
		k[i] = sim_need(s, 0, 0);
		v[i] = sim_need(s, 0, 0);
		sim_store(s, e + 16 * i, k[i] | (i & 1));
		sim_store(s, e + 16 * i + 8, v[i] + 8);
	}
	sim_need(s, 0, c);
	sim_need(s, 0, 0);
	sim_store(s, v[1], k[1]);	/* not by its own value */
	sim_store(s, v[0], k[2]);	/* but by another's */
	sim_store(s, e + 16 * 3, 77);	/* never gone */
	s->precise[0] = e;
	s->precise[1] = k[0];
	sim_cycle(s);
	CHECK_EQ(sim_load(s, e), k[0]);
	CHECK_EQ(sim_load(s, e + 8), v[0] + 8);
	CHECK_EQ(sim_load(s, e + 16), 0);
	CHECK_EQ(sim_load(s, e + 24), 0);
	CHECK(!sim_allocated(s, v[1]) && !sim_allocated(s, k[1]));
	CHECK(sim_allocated(s, k[2]) && sim_allocated(s, v[2]));
	CHECK(!sim_allocated(s, k[3]) && sim_allocated(s, v[3]));
	CHECK_EQ(s->h.n.weak_cleared, 1);
	s->precise[1] = 0;
	sim_cycle(s);
	for (i = 0; i < 3; i++)
		CHECK_EQ(sim_load(s, e + 16 * i) | sim_load(s, e + 16 * i + 8), 0);
	CHECK_EQ(sim_load(s, e + 16 * 3), 77);
	CHECK(!sim_allocated(s, v[0]) && !sim_allocated(s, v[2]) && sim_allocated(s, v[3]));
	s->precise[0] = 0;
	sim_cycle(s);
	CHECK(!sim_allocated(s, e) && !sim_allocated(s, v[3]));
	sim_close(s);
}

/* Each value is the next one's key, in an order that is not that of memory. */
void gct_weak_pair_chains(void)
{
	enum { N = 1500 };
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 64);
	u32 c = sim_typed(s, GCHEAP_CACHE_EPHEMERON, 16, &pairs), i, way;
	u64 *k = env_zalloc((N + 1) * sizeof(*k)), list, e;

	CHECK(k);
	for (way = 0; way < 3; way++) {
		for (i = 0; i <= N; i++)
			k[i] = sim_need(s, 0, 0);
		for (i = 0, list = 0; i < N; i++) {
			u32 at = way == 0 ? i : way == 1 ? N - 1 - i : i * 7 % N;

			e = sim_need(s, 0, c);
			sim_store(s, e, k[at]);
			sim_store(s, e + 8, k[at + 1]);
			sim_store(s, k[i], e);
			sim_store(s, k[i] + 8, list);
			list = k[i];
		}
		/* The ephemerons are kept by an array of their own. */
		e = sim_large(s, 0, sim_cache(s, GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0),
			      8 * N + 32768);
		for (i = 0; i < N; i++) {
			sim_store(s, e + 8 * i, sim_load(s, k[i]));
			sim_store(s, k[i], 0);
			sim_store(s, k[i] + 8, 0);
		}
		s->precise[0] = e;
		s->precise[1] = k[0];
		sim_need(s, 0, 0);
		sim_cycle(s);
		for (i = 0; i <= N; i++)
			CHECK(sim_allocated(s, k[i]));
		s->precise[1] = k[N / 2];
		sim_cycle(s);
		for (i = 0; i <= N; i++)
			CHECK_EQ(sim_allocated(s, k[i]), i >= N / 2);
	}
	env_free(k);
	sim_close(s);
}

/* Written and read while marking is under way. */
void gct_weak_pairs_traced(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 64);
	u32 c = sim_typed(s, GCHEAP_CACHE_EPHEMERON, 64, &pairs);
	u64 e = sim_need(s, 0, c), a = sim_need(s, 0, 0), b = sim_need(s, 0, 0);
	u64 k = sim_need(s, 0, 0), v = sim_need(s, 0, 0);

	sim_need(s, 0, c);
	sim_need(s, 0, 0);
	s->precise[0] = e;
	sim_store(s, e, a);
	sim_store(s, e + 8, b);
	sim_trace_begin(s);
	sim_trace_pause(s);
	sim_trace_round(s);
	/* The key gets another reason, and another pair comes. */
	s->precise[1] = a;
	sim_store(s, e + 16, k);
	sim_store(s, e + 24, v);
	sim_trace_round(s);
	sim_trace_finish(s);
	CHECK_EQ(sim_load(s, e), a);
	CHECK_EQ(sim_load(s, e + 8), b);
	CHECK_EQ(sim_load(s, e + 16) | sim_load(s, e + 24), 0);
	sweep(s);
	CHECK(sim_allocated(s, b) && !sim_allocated(s, v));
	sim_close(s);
}

/* Kept once for being new, and not marked: a young collection may find it dead. */
void gct_weak_young(void)
{
	u32 c;
	struct sim *s = with_box(&c);
	u64 w = sim_need(s, 0, c), a;

	sim_need(s, 0, c);
	s->precise[0] = w;
	sim_trace_begin(s);
	sim_need(s, 0, 0);
	a = sim_need(s, 0, 0);
	sim_store(s, w + 8, a);
	sim_trace_round(s);
	sim_trace_finish(s);
	CHECK_EQ(noted(s), 1);
	CHECK_EQ(sim_load(s, w + 8), a);
	sweep(s);
	sim_need(s, 0, 0);
	gch_cycle_clear(&s->h);
	gch_cycle_trace(&s->h, true);
	sim_trace_pause(s);
	sim_trace_finish(s);
	sweep(s);
	CHECK(!sim_allocated(s, a));
	CHECK_EQ(sim_load(s, w + 8), 0);
	sim_close(s);
}
