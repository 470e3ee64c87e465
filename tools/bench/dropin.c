// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program written for libgc, for whichever libgc.so.1 it finds. dropin WORK [DEPTH [watch]]
 *
 *   gcbench	in the manner of Boehm's GCBench: a long-lived tree and an array of doubles, then
 *		trees of every depth to DEPTH, made from the root down and from the leaves up
 *   trees	binary-trees of the Benchmarks Game: more of the smaller trees, each counted
 *
 * DEPTH (16). "instructions" are those an object made. With "watch" the thread that allocates
 * reads the clock between objects instead: "longest" is the longest gap in which its involuntary
 * switch count stood still, so that it was not the scheduler's doing.
 */
#include "bench.h"
#include <stdbool.h>
#include <sys/resource.h>

enum { SHALLOW = 4, EACH = 16, GAP = 20000 };	/* objects to a look at the clock; ns */

struct node {
	struct node *left, *right;
	int i, j;
};

static uint64_t objects, longest, last;
static long switches;
static bool watched;
static struct node *long_lived;
static double *numbers;

static void look(void)
{
	uint64_t t = bench_now(), gap = t - last;
	struct rusage u;

	if (gap >= GAP) {
		getrusage(RUSAGE_THREAD, &u);
		if (u.ru_nivcsw == switches && gap > longest)
			longest = gap;
		switches = u.ru_nivcsw;
		t = bench_now();
	}
	last = t;
}

/* What came before was the program's own work. */
static void look_from_here(void)
{
	if (watched)
		last = bench_now();
}

static struct node *make_node(struct node *left, struct node *right)
{
	struct node *n = bench_must(GC_MALLOC(sizeof(*n)));

	n->left = left;
	n->right = right;
	if (++objects % EACH == 0 && watched)
		look();
	return n;
}

static void populate(struct node *n, int depth)
{
	if (!depth)
		return;
	n->left = make_node(NULL, NULL);
	n->right = make_node(NULL, NULL);
	populate(n->left, depth - 1);
	populate(n->right, depth - 1);
}

static struct node *top_down(int depth)
{
	struct node *n = make_node(NULL, NULL);

	populate(n, depth);
	return n;
}

static struct node *bottom_up(int depth)
{
	struct node *left, *right;

	if (!depth)
		return make_node(NULL, NULL);
	left = bottom_up(depth - 1);
	right = bottom_up(depth - 1);
	return make_node(left, right);
}

static long count(const struct node *n)
{
	return n ? 1 + count(n->left) + count(n->right) : 0;
}

static long tree_size(int depth)
{
	return (2l << depth) - 1;
}

static void check(const struct node *tree, int depth)
{
	if (count(tree) != tree_size(depth)) {
		printf("a tree is damaged\n");
		exit(1);
	}
	look_from_here();
}

static void make_numbers(long n)
{
	numbers = bench_must(GC_MALLOC_ATOMIC(n * sizeof(*numbers)));
	for (long i = 0; i < n; i++)
		numbers[i] = 1.0 / (i + 1);
	look_from_here();
}

static void gcbench(int depth)
{
	const long doubles = 500000;

	bottom_up(depth + 2);
	long_lived = top_down(depth);
	make_numbers(doubles);
	for (int d = SHALLOW; d <= depth; d += 2) {
		long trees = 2 * tree_size(depth + 2) / tree_size(d);

		for (long i = 0; i < trees; i++)
			top_down(d);
		for (long i = 0; i < trees; i++)
			bottom_up(d);
	}
	if (numbers[doubles - 1] != 1.0 / doubles)
		printf("a number is damaged\n"), exit(1);
}

static void trees(int depth)
{
	check(bottom_up(depth + 1), depth + 1);
	long_lived = bottom_up(depth);
	for (int d = SHALLOW; d <= depth; d += 2)
		for (long i = 1l << (depth - d + SHALLOW); i; i--)
			check(bottom_up(d), d);
}

/* KiB, as the kernel has it. */
static long status(const char *name)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			kib = atol(line + strlen(name));
	if (f)
		fclose(f);
	return kib;
}

int main(int argc, char **argv)
{
	bool game = argc > 1 && !strcmp(argv[1], "trees");
	int depth = argc > 2 ? atoi(argv[2]) : 16;
	uint64_t t;

	bench_init();
	bench_begin();
	watched = argc > 3;
	last = bench_now();
	(game ? trees : gcbench)(depth);
	t = bench_end();
	watched = false;
	check(long_lived, depth);
	printf("objects %" PRIu64 "\ninstructions %.1f\nlongest %" PRIu64 "\ncycles %" PRIu64 "\n",
	       objects, (double)t / objects, longest, bench_cycles());
	printf("rss_peak %ld\n", status("VmHWM:") << 10);
	GC_gcollect_and_unmap();
	printf("rss %ld\n", status("VmRSS:") << 10);
	return 0;
}
