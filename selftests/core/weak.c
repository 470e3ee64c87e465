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
	CHECK_EQ(gch_final_set(&s->h, v, 1, &old), 0);
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

/* Chunks without weak layouts are not walked: the count says which. */
void gct_weak_count(void)
{
	u32 c;
	struct sim *s = with_box(&c);

	sim_need(s, 0, 0);
	CHECK_EQ(gch_chunk(&s->h, 0)->nweak, 0);
	sim_need(s, 0, c);
	CHECK_EQ(gch_chunk(&s->h, 0)->nweak, s->place[0][c].n);
	gch_thread_detach(&s->h, 0);
	sim_cycle(s);
	CHECK_EQ(s->h.n.heap_bytes, 0);
	CHECK_EQ(gch_chunk(&s->h, 0) ? gch_chunk(&s->h, 0)->nweak : 0, 0);
	sim_close(s);
}
