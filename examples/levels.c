// SPDX-License-Identifier: GPL-2.0-only
/*
 * A million nodes, and garbage made of the middle of them all the time.
 *
 * A balanced tree whose nodes never change: to set a leaf, the path to it is made
 * anew, twenty nodes, and the old path is simply forgotten. Between two updates twenty
 * leaves are looked up. After each second a column of the plot shows how much was allocated
 * in all, and how large the heap is.
 *
 *   levels [SECONDS]
 */
#include <gcheap.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEPTH = 19 };	/* 2^20 - 1 nodes */
enum { LOOKUPS = 20, COLUMNS = 60, ROWS = 14 };

struct node {
	struct node *left, *right;
	uint64_t value;
};

static struct gcheap_cache *nodes;

static struct node *node(struct node *left, struct node *right, uint64_t value)
{
	struct node *n = gcheap_cache_alloc(nodes);

	if (!n) {
		perror("gcheap_cache_alloc");
		exit(1);
	}
	n->left = left;
	n->right = right;
	n->value = value;
	return n;
}

static struct node *tree(int depth)
{
	return depth ? node(tree(depth - 1), tree(depth - 1), 0) : node(NULL, NULL, 0);
}

/* The same tree with one more at a leaf; all that is not on the path is shared. */
static struct node *add_one(const struct node *n, int depth, uint32_t leaf)
{
	if (!depth)
		return node(NULL, NULL, n->value + 1);
	if (leaf >> (depth - 1) & 1)
		return node(n->left, add_one(n->right, depth - 1, leaf), 0);
	return node(add_one(n->left, depth - 1, leaf), n->right, 0);
}

static uint64_t look_up(const struct node *n, uint32_t leaf)
{
	for (int depth = DEPTH; depth--;)
		n = leaf >> depth & 1 ? n->right : n->left;
	return n->value;
}

static uint32_t random_leaf(void)
{
	static uint64_t random = 88172645463325252ull;

	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	return random & ((1 << DEPTH) - 1);
}

static uint64_t sum(const struct node *n)
{
	return n ? n->value + sum(n->left) + sum(n->right) : 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

struct sample {
	uint64_t heap, allocated, cycles;
};

static struct gcheap_stats stats(void)
{
	struct gcheap_stats s;

	gcheap_stats(&s);
	return s;
}

/* '#': the heap, ':' what was allocated since the start, on one scale. */
static void plot(const struct sample *s, int n)
{
	uint64_t top = s[n - 1].allocated;

	printf("\n%7" PRIu64 " MiB\n", top >> 20);
	for (int row = ROWS; row > 0; row--) {
		uint64_t above = top * (row - 1) / ROWS;

		fputs("            |", stdout);
		for (int i = 0; i < n; i++)
			putchar(s[i].heap > above ? '#' : s[i].allocated > above ? ':' : ' ');
		putchar('\n');
	}
	printf("          0 +");
	for (int i = 0; i < n; i++)
		putchar('-');
	printf("\n             # heap size   : allocated since the start\n");
}

int main(int argc, char **argv)
{
	const uint64_t map = 3;		/* left and right are pointers */
	const struct gcheap_layout layout = { .fixed_words = 3, .length_word = GCHEAP_FILL,
					      .fixed_map = &map };
	double seconds = argc > 1 ? atof(argv[1]) : 10, begin;
	struct sample samples[COLUMNS];
	struct gcheap_stats s;
	uint64_t updates = 0, found = 0;
	struct node *root;
	int error = gcheap_init();

	if (error) {
		fprintf(stderr, "gcheap_init: %s\n", strerror(-error));
		return 1;
	}
	nodes = gcheap_cache_create(sizeof(struct node), &layout, GCHEAP_CACHE_EXACT);
	if (!nodes) {
		perror("gcheap_cache_create");
		return 1;
	}
	root = tree(DEPTH);
	printf("%d nodes made, heap %" PRIu64 " MiB\n", (2 << DEPTH) - 1,
	       stats().heap_bytes >> 20);
	begin = now();
	for (int i = 0; i < COLUMNS; i++) {
		while (now() - begin < seconds * (i + 1) / COLUMNS)
			for (int k = 0; k < 100; k++, updates++) {
				root = add_one(root, DEPTH, random_leaf());
				for (int l = 0; l < LOOKUPS; l++)
					found += look_up(root, random_leaf());
			}
		s = stats();
		samples[i] = (struct sample){ s.heap_bytes, s.alloc_bytes, s.cycles };
	}
	plot(samples, COLUMNS);
	printf("%" PRIu64 " updates, %" PRIu64 " nodes made, %" PRIu64 " leaves looked up, which "
	       "said %" PRIu64 "\n", updates, updates * (DEPTH + 1), updates * LOOKUPS, found);
	printf("%" PRIu64 " collections, pauses: longest %" PRIu64 " ms, %" PRIu64 " ms in all\n",
	       s.cycles, s.pause_ns_max / 1000000, s.pause_ns_total / 1000000);
	printf("heap: %" PRIu64 " MiB in the middle, %" PRIu64 " MiB at the end, %" PRIu64
	       " MiB at most; allocated: %" PRIu64 " MiB\n", samples[COLUMNS / 2].heap >> 20,
	       samples[COLUMNS - 1].heap >> 20, s.heap_peak >> 20, s.alloc_bytes >> 20);
	if (sum(root) != updates) {
		printf("the tree says %" PRIu64 " updates: something was lost\n", sum(root));
		return 1;
	}
	if (samples[COLUMNS - 1].heap > samples[COLUMNS / 2].heap * 3 / 2) {
		printf("the heap does not level off\n");
		return 1;
	}
	printf("the tree agrees: nothing was lost\n");
	return 0;
}
