// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that writes garbage wherever it can: cursors, rings, objects with
 * their lengths. It may lose its own objects; the structure holds.
 */
#include "cases.h"
#include "sim.h"

static const struct sim_maps maps = {
	.fixed = 4, .fixed_ptr = 5, .fixed_weak = 2, .elem = 3, .elem_ptr = 1,
	.elem_weak = 4, .length = 3, .tag_bits = 4,
};

static u64 garbage(struct gct_random *r, const struct sim *s)
{
	u64 x = gct_rand64(r);

	switch (gct_rand(r, 6)) {
	case 0:
		return x;
	case 1:
		return x % 600;
	case 2:
		return (x % 9) << 32 | (x >> 32) % 600;
	case 3:
		return ~0ull - x % 3;
	default:
		return SIM_BASE + x % (((u64)s->h.top << GCHEAP_SLOT_SHIFT) + 100);
	}
}

static void scribble(struct sim *s, struct gct_random *r)
{
	u32 t = gct_rand(r, 3), id = gct_rand(r, s->h.top + 1), first;
	struct gcheap_tcb *tcb = s->tcb[t];

	switch (gct_rand(r, 4)) {
	case 0:
		tcb->cursor[gct_rand(r, 5)].pos = garbage(r, s);
		break;
	case 1:
		tcb->free_ring[gct_rand(r, GCHEAP_RING)] = garbage(r, s);
		break;
	case 2:
		tcb->free_head = garbage(r, s);
		break;
	default:
		if (gch_span_at(&s->h, id, &first))
			sim_store(s, gch_slot_addr(&s->h, id) +
				  8 * gct_rand(r, GCHEAP_SLOT_SIZE / 8), garbage(r, s));
	}
}

/* A word that may be anywhere. */
static u64 some_word(struct gct_random *r, struct sim *s)
{
	if (gct_rand(r, 3))
		return garbage(r, s) & ~7ull;
	return SIM_OUTSIDE + 8 * gct_rand(r, SIM_WORDS);
}

static void ask_link(struct sim *s, struct gct_random *r)
{
	u64 word = some_word(r, s), old;
	bool lng = gct_rand(r, 2);

	switch (gct_rand(r, 4)) {
	case 0:
		gch_link_clear(&s->h, word, lng, &old);
		break;
	case 1:
		gch_link_move(&s->h, word, some_word(r, s), lng, &old);
		break;
	default:
		gch_link_set(&s->h, word, lng, garbage(r, s) & ~15ull, &old);
	}
}

static void ask(struct sim *s, struct gct_random *r)
{
	u32 t = gct_rand(r, 3), c = gct_rand(r, 5), n, span[GCHEAP_BATCH];
	u64 old, addr = garbage(r, s);
	struct gcheap_ready item;

	switch (gct_rand(r, 9)) {
	case 8:
		ask_link(s, r);
		break;
	case 0:
		gch_thread_large(&s->h, t, 5 + c % 2, 1 + gct_rand(r, 200000), &n);
		break;
	case 1:
		gch_final_set(&s->h, addr & ~15ull, 1, gct_rand(r, GCH_ORDERS), &old);
		break;
	case 2:
		gch_final_pop(&s->h, gch_final_peek(&s->h, &item, 1, false));
		break;
	case 3:
		gch_free_early(&s->h, addr & ~15ull);
		break;
	case 4:
		gch_free_drain(&s->h, t);
		break;
	case 5:
		gch_thread_retire(&s->h, t, c);
		break;
	default:
		gch_thread_spans(&s->h, t, c, 1 + gct_rand(r, GCHEAP_BATCH), &n, span);
	}
	if (!gct_rand(r, 50)) {
		gch_thread_detach(&s->h, t);
		CHECK_EQ(gch_thread_attach(&s->h, &n), 0);
		CHECK_EQ(n, t);
	}
}

static void go_on(struct sim *s)
{
	struct gct_random *r = s->arg;
	u32 n = gct_rand(r, 12);

	while (n--) {
		scribble(s, r);
		if (gct_rand(r, 2))
			ask(s, r);
	}
}

void gct_hostile(void)
{
	u32 seeds = 1 + GCT_SCALE / 2, i, t;

	while (seeds--) {
		struct sim *s = sim_open(8 << 20);
		struct gct_random r;

		gct_seed(&r, seeds);
		s->arg = &r;
		s->slow = true;
		s->between = go_on;
		for (i = 0; i < 3; i++)
			CHECK_EQ(gch_thread_attach(&s->h, &t), 0);
		sim_cache(s, GCHEAP_CONSERVATIVE, 0, 16);
		sim_cache(s, GCHEAP_CONSERVATIVE, GCHEAP_CACHE_PAST_END, 80);
		sim_typed(s, 0, 208, &maps);
		sim_cache(s, GCHEAP_NOSCAN, 0, 1024);
		sim_cache(s, GCHEAP_CONSERVATIVE, 0, 20000);
		sim_cache(s, GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0);
		sim_typed(s, GCHEAP_CACHE_LARGE, 0, &maps);
		for (i = 0; i < 60; i++) {
			go_on(s);
			s->ambiguous[i % SIM_ROOTS] = garbage(&r, s);
			s->precise[i % SIM_ROOTS] = garbage(&r, s);
			s->away = !gct_rand(&r, 4);
			if (i % 3 == 2)
				sim_cycle(s);
			if (i % 10 == 9)
				sim_release(s, 2);
		}
		sim_close(s);
	}
}
