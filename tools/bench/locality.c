// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locality: what a walk along a list touches before and after compaction: locality MIB
 *
 * MIB of movable nodes, of which one in KEEP is kept, in a list whose order has nothing to do
 * with that of their addresses. Lines of "PHASE pages N lines N changes N": distinct pages and
 * cache lines, and how often the next node is on another page.
 */
#include "heap.h"

enum { KEEP = 16, PAGE_BITS = 12, LINE_BITS = 6 };

struct node {
	struct node *next;
	long rest[3];
};

static struct node **head;	/* a table of one root */
static uintptr_t *seen;		/* no root */

/* One node in KEEP, at random, in a table. */
static void **fill(size_t n)
{
	struct gcheap_cache *cache = heap_cache(sizeof(struct node), 1);
	void **kept = heap_table(n, true);

	for (size_t i = 0; i < n; i++) {
		uint64_t pick = heap_draw(KEEP);

		for (uint64_t j = 0; j < KEEP; j++) {
			void *o = bench_must(gcheap_cache_alloc(cache));

			if (j == pick)
				kept[i] = o;
		}
	}
	return kept;
}

/* A list of them, shuffled, from which alone they are reached. */
static void link_up(void **kept, size_t n)
{
	head = heap_table(1, true);
	for (size_t left = n; left; left--) {
		size_t i = heap_draw(left);
		struct node *o = kept[i];

		kept[i] = kept[left - 1];
		o->next = *head;
		*head = o;
	}
	heap_table_free(kept, n);
}

static int by_value(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* In sorted order. */
static size_t distinct(size_t n, int bits)
{
	size_t count = 1;

	for (size_t i = 1; i < n; i++)
		count += seen[i] >> bits != seen[i - 1] >> bits;
	return count;
}

static void walk(const char *phase)
{
	size_t n = 0, changes;

	for (struct node *o = *head; o; o = o->next)
		seen[n++] = (uintptr_t)o;
	changes = distinct(n, PAGE_BITS) - 1;
	qsort(seen, n, sizeof(*seen), by_value);
	printf("%s pages %zu lines %zu changes %zu\n", phase, distinct(n, PAGE_BITS),
	       distinct(n, LINE_BITS), changes);
}

int main(int argc, char **argv)
{
	size_t n = ((argc > 1 ? atol(argv[1]) : 64) << 20) / KEEP / sizeof(struct node);

	bench_init();
	bench_no_collections();		/* of its own: it might be compacted at once */
	seen = bench_must(malloc(n * sizeof(*seen)));
	link_up(fill(n), n);
	walk("before");
	heap_compact();
	walk("after");
	printf("kept pages %zu lines %zu changes 0\n", (n * sizeof(struct node)) >> PAGE_BITS,
	       (n * sizeof(struct node)) >> LINE_BITS);
	return 0;
}
