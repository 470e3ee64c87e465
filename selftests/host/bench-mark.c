// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mark and sweep at native speed, on heaps of simple shapes: nanoseconds an object.
 *
 *   build/host/bench-mark [OBJECTS [CYCLES [SHAPE]]]
 *
 * For instructions run it under "valgrind --tool=callgrind" or "perf stat -e
 * instructions:u" with few cycles.
 */
#include "../core/sim.h"

#include <time.h>

static const struct sim_maps node = {
	.fixed = 4, .fixed_ptr = 3, .length = GCHEAP_NO_LENGTH,
};

struct shape {
	const char *name;
	u32 layout, cell;
	enum { TREE, GRAPH, LIST } edges;
};

static const struct shape shapes[] = {
	{ "tree, 32 bytes, conservative", GCHEAP_CONSERVATIVE, 32, TREE },
	{ "tree, 32 bytes, typed", GCHEAP_TYPED, 32, TREE },
	{ "graph, 32 bytes, conservative", GCHEAP_CONSERVATIVE, 32, GRAPH },
	{ "graph, 32 bytes, typed", GCHEAP_TYPED, 32, GRAPH },
	{ "graph, 256 bytes, conservative", GCHEAP_CONSERVATIVE, 256, GRAPH },
	{ "tree, 16 bytes, conservative", GCHEAP_CONSERVATIVE, 16, TREE },
	{ "list, 32 bytes, conservative", GCHEAP_CONSERVATIVE, 32, LIST },
};

static u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void build(struct sim *s, const struct shape *shape, u32 n)
{
	u64 *addr = env_zalloc(n * sizeof(*addr));
	struct gct_random r;
	u32 i, t;
	int c;

	gct_seed(&r, 1);
	gch_thread_attach(&s->h, &t);
	if (shape->layout == GCHEAP_TYPED)
		c = sim_typed(s, 0, shape->cell, &node);
	else
		c = sim_cache(s, shape->layout, 0, shape->cell);
	s->want = GCHEAP_BATCH;
	for (i = 0; i < n; i++)
		addr[i] = sim_need(s, t, c);
	for (i = n - 1; shape->edges == GRAPH && i; i--) {
		u64 x = addr[i];

		t = gct_rand(&r, i + 1);
		addr[i] = addr[t];
		addr[t] = x;
	}
	/* Each object has the one made before it. */
	for (i = 1; shape->edges == LIST && i < n; i++)
		sim_store(s, addr[i], addr[i - 1]);
	/* A tree by numbers: each object is reached. */
	for (i = 0; shape->edges != LIST && i < n; i++) {
		sim_store(s, addr[i], 2 * i + 1 < n ? addr[2 * i + 1] : 0);
		sim_store(s, addr[i] + 8, 2 * i + 2 < n ? addr[2 * i + 2] : 0);
	}
	s->precise[0] = addr[shape->edges == LIST ? n - 1 : 0];
	env_free(addr);
	gch_thread_detach(&s->h, 0);
}

static void run(const struct shape *shape, u32 n, u32 cycles)
{
	struct sim *s = sim_open(1ull << 30);
	u64 mark = 0, sweep = 0, t;
	u32 i;

	build(s, shape, n);
	for (i = 0; i < cycles; i++) {
		t = now();
		sim_mark_phase(s);
		mark += now() - t;
		t = now();
		sim_sweep_phase(s);
		sweep += now() - t;
	}
	printf("%-32s %8llu marked: mark %6.1f ns, sweep %5.2f ns an object\n",
	       shape->name, s->h.n.marked_objects,
	       (double)mark / cycles / s->h.n.marked_objects,
	       (double)sweep / cycles / s->h.n.marked_objects);
	sim_close(s);
}

int main(int argc, char **argv)
{
	u32 n = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000000;
	u32 cycles = argc > 2 ? strtoul(argv[2], NULL, 0) : 5, i;

	for (i = 0; i < ARRAY_SIZE(shapes); i++)
		if (argc < 4 || i == strtoul(argv[3], NULL, 0))
			run(&shapes[i], n, cycles);
	return 0;
}
