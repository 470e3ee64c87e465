// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocate 32 bytes, write a word, drop it. A live set of LIVE objects (16384) lies
 * beside. alloc32 [OBJECTS]
 */
#include "bench.h"

struct object {
	struct object *next;
	long value;
	long rest[2];
};

static struct object *live;

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 3000000, i;
	uint64_t cycles, t;

	bench_init();
	for (i = bench_number("LIVE", 16384); i; i--) {
		struct object *o = bench_must(bench_alloc(sizeof(*o)));

		o->next = live;
		live = o;
	}
	bench_collect();
	cycles = bench_cycles();
	bench_begin();
	for (i = 0; i < n; i++) {
		volatile struct object *o = bench_must(bench_alloc(sizeof(*o)));

		o->value = i;
	}
	t = bench_end();
	for (i = 0; live; live = live->next)
		i++;
	if (i != bench_number("LIVE", 16384))
		return printf("live set damaged\n"), 1;
	printf("objects %ld\ninstructions %.1f\npeak %" PRIu64 "\ncycles %" PRIu64 "\n", n,
	       (double)t / n, bench_peak(), bench_cycles() - cycles);
	return 0;
}
