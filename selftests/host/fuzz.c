// SPDX-License-Identifier: GPL-2.0-only
/*
 * A libFuzzer target: the input is a program, byte by byte, of calls and of words
 * scribbled where a program may. "make fuzz" runs it; gct_hostile is its random
 * little sister. The structure is verified at the end and in each cycle.
 */
#include "../core/sim.h"

struct input {
	const u8 *at, *end;
};

static u32 byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static u64 word(struct input *in, const struct sim *s)
{
	u64 x = byte(in) | byte(in) << 8 | byte(in) << 16;

	switch (byte(in) % 4) {
	case 0:
		return x;
	case 1:
		return (x & 15) << 32 | x >> 8;
	case 2:
		return ~x;
	default:
		return SIM_BASE + x % (((u64)s->h.top << GCHEAP_SLOT_SHIFT) + 64);
	}
}

static u64 link_word(struct input *in, const struct sim *s)
{
	u64 x = word(in, s) & ~7ull;

	return x & 8 ? SIM_OUTSIDE + x % (8 * SIM_WORDS) : x;
}

static void make_caches(struct sim *s)
{
	static const struct sim_maps maps = {
		.fixed = 4, .fixed_ptr = 5, .fixed_weak = 2, .elem = 3,
		.elem_ptr = 1, .elem_weak = 4, .length = 3, .tag_bits = 3,
	};

	sim_cache(s, GCHEAP_CONSERVATIVE, 0, 16);
	sim_cache(s, GCHEAP_CONSERVATIVE, GCHEAP_CACHE_PAST_END, 1008);
	sim_typed(s, 0, 144, &maps);
	sim_cache(s, GCHEAP_NOSCAN, 0, 20000);
	sim_cache(s, GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0);
	sim_typed(s, GCHEAP_CACHE_LARGE, 0, &maps);
}

static void one(struct sim *s, struct input *in)
{
	u32 op = byte(in), t = op >> 6 & 1, c = byte(in), n, span[GCHEAP_BATCH];
	struct gcheap_ready item;
	u64 a, old;

	switch (op % 20) {
	case 0:
	case 1:
		s->want = 1 + c / 4 % GCHEAP_BATCH;
		s->precise[c % SIM_ROOTS] = sim_alloc(s, t, c % 4);
		break;
	case 2:
		n = byte(in) * 1000 + 1;
		gch_thread_large(&s->h, t, 4 + c % 2, n, &n);
		break;
	case 3:
		gch_thread_spans(&s->h, t, c % 4, 1 + c / 4 % GCHEAP_BATCH, &n, span);
		s->place[t][c % 4].n = 0;	/* the library forgets them */
		break;
	case 4:
		gch_thread_retire(&s->h, t, c % 4);
		s->place[t][c % 4].n = 0;
		break;
	case 5:
		gch_free_early(&s->h, word(in, s) & ~15ull);
		break;
	case 6:
		gch_free_drain(&s->h, t);
		break;
	case 7:
		gch_final_set(&s->h, word(in, s) & ~15ull, c, op / 20 % GCH_ORDERS, &old);
		break;
	case 8:
		gch_final_pop(&s->h, gch_final_peek(&s->h, &item, 1, false));
		break;
	case 9:
		s->ambiguous[c % SIM_ROOTS] = word(in, s);
		break;
	case 10:
		s->precise[c % SIM_ROOTS] = word(in, s);
		break;
	case 11:
		*sim_pos(s, t, c % 4) = word(in, s);
		s->place[t][c % 4].n = 0;
		break;
	case 12:
		s->tcb[t]->free_ring[c % GCHEAP_RING] = word(in, s);
		s->tcb[t]->free_head = byte(in);
		break;
	case 13:
		a = word(in, s) & ~7ull;
		if (a - SIM_BASE < (u64)s->h.top << GCHEAP_SLOT_SHIFT &&
		    gch_span_at(&s->h, sim_id(a), &n))
			sim_store(s, a, word(in, s));
		break;
	case 14:
		gch_thread_detach(&s->h, t);
		memset(s->place[t], 0, sizeof(s->place[t]));
		gch_thread_attach(&s->h, &n);
		break;
	case 16:
	case 17:
		gch_link_set(&s->h, link_word(in, s), c & 1, word(in, s) & ~15ull, &old);
		break;
	case 18:
		gch_link_move(&s->h, link_word(in, s), link_word(in, s), c & 1, &old);
		s->away = c & 2;
		break;
	case 19:
		gch_link_clear(&s->h, link_word(in, s), c & 1, &old);
		break;
	case 15:
		if (s->h.phase == GCHEAP_PHASE_IDLE)
			sim_cycle(s);
		break;
	}
}

/* The program goes on while its marks are cleared and its spans swept. */
static void between(struct sim *s)
{
	struct input *in = s->arg;
	u32 n = in->at < in->end ? *in->at % 4 : 0;

	while (n--)
		one(s, in);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, data + size };
	struct sim *s = sim_open(4 << 20);
	u32 t;

	gch_thread_attach(&s->h, &t);
	gch_thread_attach(&s->h, &t);
	make_caches(s);
	s->arg = &in;
	s->between = between;
	s->scribbled = true;
	s->h.param.limit = byte(&in) << 14;
	while (in.at < in.end)
		one(s, &in);
	sim_cycle(s);
	sim_verify(s);
	sim_close(s);
	CHECK_EQ(env_allocs, 0);
	return 0;
}
