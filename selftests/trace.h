/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Objects that move about while marking is under way: each is referred to from one
 * place in the heap only, and from none outside, and that place changes all the time.
 */
#ifndef TRACE_H
#define TRACE_H

#include "raw.h"

enum {
	PLACES = 1024,		/* objects of a page each, that refer to others */
	MOVERS = 256,		/* objects that are moved */
	BALLAST = 60000,	/* objects that take time to mark */
};

struct trace {
	struct raw h;
	unsigned int small;	/* cache of what is allocated meanwhile */
	void **table;		/* of all places; the only root */
	uint64_t **place[PLACES];
	uintptr_t mover[MOVERS];	/* hidden */
	int at[MOVERS];
	int hot;		/* moves go to the first so many places */
	unsigned int collect;	/* GCHEAP_COLLECT_* */
};

/* Word of a place that a mover is in. */
enum { TRACE_WORD = 8 };

static const char *const trace_ways[] = { "default", "dirty bits", "protection", "unmapping" };

static NOINLINE void trace_place(struct trace *t, int i, int mover)
{
	/* The first words hold places together. */
	t->place[i][TRACE_WORD + mover] = (void *)~t->mover[mover];
}

static void trace_fill(struct trace *t, unsigned int big, unsigned int small)
{
	void **last = NULL;

	t->table = raw_take(&t->h, big);
	for (int i = 0; i < PLACES; i++) {
		t->place[i] = raw_take(&t->h, big);
		t->place[i][0] = (void *)(i ? t->place[i - 1] : NULL);
	}
	t->table[0] = t->place[PLACES - 1];
	for (int i = 0; i < BALLAST; i++) {
		void **p = raw_take(&t->h, small);

		p[0] = last;
		last = p;
	}
	t->table[1] = last;
	for (int i = 0; i < MOVERS; i++) {
		uint64_t *p = raw_take(&t->h, small);

		p[1] = ~(uint64_t)i;
		t->mover[i] = ~(uintptr_t)p;
		t->at[i] = i;
		trace_place(t, i, i);
	}
}

/* A heap that marks while its program runs, with registers and stacks no roots. */
static void trace_open(struct trace *t, unsigned int way)
{
	memset(t, 0, sizeof(*t));
	t->hot = PLACES;
	t->h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_param(&t->h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&t->h, GCHEAP_PARAM_TRACK, way);
	raw_param(&t->h, GCHEAP_PARAM_MIN_HEAP, 1 << 30);
	raw_root(&t->h, 0, &t->table, sizeof(t->table), NULL);
	trace_fill(t, raw_cache(&t->h, GCHEAP_CONSERVATIVE, 4096),
		   raw_cache(&t->h, GCHEAP_CONSERVATIVE, 32));
	raw_collect(&t->h);
	t->small = raw_cache(&t->h, GCHEAP_CONSERVATIVE, 32);
	diag("tracking by %s", trace_ways[way]);
}

/* The same, and each marking is checked. */
UNUSED static void trace_open_checked(struct trace *t, unsigned int way)
{
	trace_open(t, way);
	raw_param(&t->h, GCHEAP_PARAM_CHECK, 1);
}

/* From one place to another; in both for a moment. @put: how it is stored there. */
static void trace_move(struct trace *t, uint64_t *seed,
		       void (*put)(struct trace *t, void **word, void *value))
{
	int m = rnd(seed) % MOVERS, to = rnd(seed) % t->hot, from = t->at[m];

	if (to == from)
		return;
	put(t, (void **)&t->place[to][TRACE_WORD + m], (void *)~t->mover[m]);
	__atomic_store_n(&t->place[from][TRACE_WORD + m], NULL, __ATOMIC_SEQ_CST);
	t->at[m] = to;
}

UNUSED static void trace_store(struct trace *t, void **word, void *value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* What is allocated meanwhile is kept with all that it refers to. */
UNUSED static void trace_store_in_new(struct trace *t, void **word, void *value)
{
	void **p = raw_take(&t->h, t->small);

	p[0] = value;
	trace_store(t, word, p);
}

/* Whether all movers are what they were. */
static bool trace_intact(struct trace *t)
{
	for (int i = 0; i < MOVERS; i++) {
		uint64_t *p = (uint64_t *)~t->mover[i];

		if (p[1] != ~(uint64_t)i || !raw_is_live(&t->h, (uintptr_t)p)) {
			diag("object %d is gone", i);
			return false;
		}
	}
	return true;
}

/* Move about during so many cycles, and allocate what would take a lost one's place. */
static bool trace_cycles(struct trace *t, int cycles,
			 void (*put)(struct trace *t, void **word, void *value))
{
	uint64_t seed = raw_seed(), moves = 0;
	struct gcheap_status s;

	for (int i = 0; i < cycles; i++) {
		uint64_t before = raw_status(&t->h).cycles;

		raw_collect_start(&t->h, t->collect);
		while (raw_status(&t->h).cycles == before)
			for (int n = 0; n < 64; n++, moves++)
				trace_move(t, &seed, put);
		if (!trace_intact(t))
			return false;
		for (int n = 0; n < 100; n++) {
			uint64_t *p = raw_take(&t->h, t->small);

			p[1] = 0;
		}
	}
	s = raw_status(&t->h);
	diag("%d cycles, %" PRIu64 " moves, %llu rounds, %llu pages rescanned, %llu of them "
	     "in pauses, %llu write faults, %llu pauses", cycles, moves, s.trace_rounds,
	     s.pages_rescanned, s.pages_logged, s.write_faults, s.pauses);
	return true;
}

#endif
