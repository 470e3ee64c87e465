// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binary trees with nodes of 24 bytes: one of DEPTH stays, others of the same depth
 * are made, walked and dropped. trees DEPTH [TREES]
 */
#include "bench.h"

struct node {
	struct node *left, *right;
	long value;
};

static struct node *kept;

static struct node *tree(int depth)
{
	struct node *n = bench_must(bench_alloc(sizeof(*n)));

	n->value = depth;
	if (depth) {
		n->left = tree(depth - 1);
		n->right = tree(depth - 1);
	}
	return n;
}

static long count(const struct node *n)
{
	return n ? 1 + count(n->left) + count(n->right) : 0;
}

int main(int argc, char **argv)
{
	int depth = argc > 1 ? atoi(argv[1]) : 14;
	long trees = argc > 2 ? atol(argv[2]) : (1l << 21 >> depth), objects = (2l << depth) - 1, i;
	uint64_t cycles, t;

	bench_init();
	kept = tree(depth);
	bench_collect();
	cycles = bench_cycles();
	bench_begin();
	for (i = 0; i < trees; i++)
		if (count(tree(depth)) != objects)
			return printf("a tree is damaged\n"), 1;
	t = bench_end();
	if (count(kept) != objects)
		return printf("the kept tree is damaged\n"), 1;
	printf("objects %ld\ninstructions %.1f\npeak %" PRIu64 "\ncycles %" PRIu64 "\n",
	       trees * objects, (double)t / (trees * objects), bench_peak(),
	       bench_cycles() - cycles);
	return 0;
}
