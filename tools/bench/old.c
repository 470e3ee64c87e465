// SPDX-License-Identifier: GPL-2.0-only
/*
 * Garbage beside much that is old: old MIB [OBJECTS]. What a young collection is for.
 */
#include "bench.h"

struct node {
	struct node *next;
	long rest[3];
};

enum { FAN = 1024 };

static struct node **table;

int main(int argc, char **argv)
{
	long mib = argc > 1 ? atol(argv[1]) : 64, objects = argc > 2 ? atol(argv[2]) : 4000000;
	uint64_t cycles, t;

	bench_init();
	table = bench_must(bench_alloc(FAN * sizeof(*table)));
	for (long i = 0; i < mib << 20; i += sizeof(struct node)) {
		struct node *n = bench_must(bench_alloc(sizeof(*n)));

		n->next = table[i / sizeof(*n) % FAN];
		table[i / sizeof(*n) % FAN] = n;
	}
	bench_collect();
	cycles = bench_cycles();
	bench_begin();
	for (long i = 0; i < objects; i++) {
		struct node *n = bench_must(bench_alloc(sizeof(*n)));

		n->rest[0] = i;
		/* Now and then one that stays, in another's place. */
		if (i % 64 == 0) {
			n->next = table[i / 64 % FAN]->next;
			table[i / 64 % FAN] = n;
		}
	}
	t = bench_end();
	printf("objects %ld\ninstructions %.1f\npeak %" PRIu64 "\ncycles %" PRIu64 "\n", objects,
	       (double)t / objects, bench_peak(), bench_cycles() - cycles);
	return 0;
}
