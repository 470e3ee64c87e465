// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a flip costs, the pause in which objects move, by live heap size:
 *
 *   flips MIB COMPACTIONS
 *
 * MIB of nodes stay where they are. All over them there are references to a fixed number of
 * others, one in KEEP of those that were allocated. Each compaction moves these together,
 * beside a thread that does the same work for every size. Lines of "name value" for each, and
 * wait_max since the start; times are instructions on a machine whose clock counts them.
 */
#include <pthread.h>

#include "heap.h"

enum {
	LISTS = 4096,
	KEEP = 8,
	SPARSE = 14 << 20,	/* bytes that they are left of: one flip empties their spans */
	WORK = 4000,		/* stores between two walks */
	WALK = 2,		/* nodes of a walk, each on another page */
};

struct node {
	struct node *next, *other;
	long rest[6];
};

static struct gcheap_cache *cache;
static struct node **table;

static struct node *node(struct node *next)
{
	struct node *n = bench_must(gcheap_cache_alloc(cache));

	n->next = next;
	return n;
}

static struct node *sparse_node(void)
{
	for (int i = 1; i < KEEP; i++)
		node(NULL);
	return node(NULL);
}

/* What there was of these is garbage then. */
static void make_sparse(long nodes)
{
	long step = nodes / (SPARSE / sizeof(struct node) / KEEP);

	for (int i = 0; i < LISTS; i++)
		for (struct node *n = table[i]; n; n = n->next)
			n->other = heap_draw(step) ? NULL : sparse_node();
}

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed >> 33;
}

/* On from where the last one came to. */
static struct node *walk(struct node *at)
{
	for (int i = 0; i < WALK; i++) {
		at = at ? at->next : table[rnd() % LISTS];
		if (at && at->other)
			at->rest[1] += at->other->rest[1];
	}
	return at;
}

static void *mutate(void *arg)
{
	struct node *at = NULL;

	for (;;) {
		for (int i = 0; i < WORK; i++) {
			struct node *n = table[rnd() % LISTS], *m = table[rnd() % LISTS];

			n->rest[0] += m->rest[1];
			if (i % 256 == 0)
				bench_must(bench_alloc(sizeof(*n)));	/* does not move */
		}
		at = walk(at);
	}
	return arg;
}

static void report(const struct gcheap_stats *s, const struct gcheap_stats *was)
{
	uint64_t faults = s->flip_faults - was->flip_faults;

	printf("flips %" PRIu64 "\npauses %" PRIu64 "\nnoted %" PRIu64 "\nzapped %" PRIu64
	       "\nlate %" PRIu64 "\nfaults %" PRIu64 "\nmoved %" PRIu64 "\npinned %" PRIu64 "\n",
	       s->flips - was->flips, s->pauses - was->pauses, s->flip_pages - was->flip_pages,
	       s->flip_zapped - was->flip_zapped, s->flip_zapped_late - was->flip_zapped_late,
	       faults, s->moved_objects - was->moved_objects,
	       s->spans_pinned - was->spans_pinned);
	if (faults)
		printf("wait %" PRIu64 "\n", (s->flip_fault_ns - was->flip_fault_ns) / faults);
	printf("wait_max %" PRIu64 "\n", s->flip_fault_ns_max);
	/* The last pause is a flip's if anything has moved. */
	if (s->flips != was->flips)
		printf("pause %" PRIu64 "\n", s->pause_ns_last);
}

int main(int argc, char **argv)
{
	long mib = argc > 1 ? atol(argv[1]) : 64, nodes = mib * (1 << 20) / sizeof(struct node);
	int compactions = argc > 2 ? atoi(argv[2]) : 5;
	struct gcheap_stats was, s;
	pthread_t t;

	bench_init();
	/* No cycle by itself, and no time to be given to one. */
	gcheap_tune(NULL, GCHEAP_TUNE_MIN_HEAP, (uint64_t)(mib + 64) << 22);
	cache = heap_cache(sizeof(struct node), 3);
	table = heap_table(LISTS, true);
	for (long i = 0; i < nodes; i++)
		table[i % LISTS] = node(table[i % LISTS]);
	pthread_create(&t, NULL, mutate, NULL);
	while (compactions--) {
		make_sparse(nodes);
		was = bench_stats();
		heap_compact();
		s = bench_stats();
		report(&s, &was);
	}
	printf("live %" PRIu64 "\n", s.live_bytes);
	return 0;
}
