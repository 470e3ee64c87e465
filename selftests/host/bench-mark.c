// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mark and sweep at native speed, on heaps of simple shapes: nanoseconds an object, medians. Beside
 * it a peer on a copy of the same heap: depth-first, a bitmap beside the heap, and what is
 * taken from the mark stack goes through a queue of 16 that are being prefetched (Cher,
 * Hosking, Vitek, "Software prefetching for mark-sweep garbage collection", ASPLOS 2004).
 * It knows the cells' size and where the heap is without a look-up.
 *
 * Memory is in large pages, as is all that a kernel has mapped; malloc's with
 * GLIBC_TUNABLES=glibc.malloc.hugetlb=1 in the environment.
 *
 *   build/host/bench-mark [MIB [CYCLES [SHAPE]]]
 *
 * MIB is the heap, four times the last-level cache if it is not given.
 *
 * For instructions run it under "valgrind --tool=callgrind" or "perf stat -e
 * instructions:u" with few cycles.
 */
#include "../core/sim.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const struct sim_maps node = {
	.fixed = 4, .fixed_ptr = 3, .length = GCHEAP_NO_LENGTH,
};

struct shape {
	const char *name;
	u32 layout, cell;
	enum { TREE, GRAPH, LEAVES, LIST, DEPTH } edges;
};

static const struct shape shapes[] = {
	{ "tree, 32 bytes, conservative", GCHEAP_CONSERVATIVE, 32, TREE },
	{ "tree, 32 bytes, typed", GCHEAP_TYPED, 32, TREE },
	{ "graph, 32 bytes, conservative", GCHEAP_CONSERVATIVE, 32, GRAPH },
	{ "graph, 32 bytes, typed", GCHEAP_TYPED, 32, GRAPH },
	{ "graph, 256 bytes, conservative", GCHEAP_CONSERVATIVE, 256, GRAPH },
	{ "tree, 16 bytes, conservative", GCHEAP_CONSERVATIVE, 16, TREE },
	{ "list, 32 bytes, conservative", GCHEAP_CONSERVATIVE, 32, LIST },
	{ "tree, depth first, 32 bytes, conservative", GCHEAP_CONSERVATIVE, 32, DEPTH },
	{ "graph, 32 bytes, half of it without pointers", GCHEAP_CONSERVATIVE, 32, LEAVES },
};

static u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static double median(u64 *v, u32 n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2.0;
}

/* The subtree of @n objects from @addr[0] on, in the order in which a recursion makes it. */
static void depth_first(struct sim *s, const u64 *addr, u32 n)
{
	u32 left = n / 2, right = n - 1 - left;

	sim_store(s, addr[0], left ? addr[1] : 0);
	sim_store(s, addr[0] + 8, right ? addr[1 + left] : 0);
	if (left)
		depth_first(s, addr + 1, left);
	if (right)
		depth_first(s, addr + 1 + left, right);
}

static void shuffle(u64 *addr, u32 n, struct gct_random *r)
{
	u32 i, t;

	for (i = n - 1; i; i--) {
		u64 x = addr[i];

		t = gct_rand(r, i + 1);
		addr[i] = addr[t];
		addr[t] = x;
	}
}

/* The second half has no pointers: one to each from the first. */
static void add_leaves(struct sim *s, u64 *addr, u32 n, u32 t, struct gct_random *r)
{
	int c = sim_cache(s, GCHEAP_NOSCAN, 0, 32);
	u32 i;

	for (i = 0; i < n; i++)
		addr[n + i] = sim_need(s, t, c);
	shuffle(addr + n, n, r);
	for (i = 0; i < n; i++)
		sim_store(s, addr[i] + 16, addr[n + i]);
}

static void build(struct sim *s, const struct shape *shape, u32 n)
{
	u64 *addr = env_zalloc(n * sizeof(*addr));
	struct gct_random r;
	u32 i, t;
	int c;

	if (shape->edges == LEAVES)
		n /= 2;

	gct_seed(&r, 1);
	gch_thread_attach(&s->h, &t);
	if (shape->layout == GCHEAP_TYPED)
		c = sim_typed(s, 0, shape->cell, &node);
	else
		c = sim_cache(s, shape->layout, 0, shape->cell);
	s->want = GCHEAP_BATCH;
	for (i = 0; i < n; i++)
		addr[i] = sim_need(s, t, c);
	if (shape->edges == GRAPH || shape->edges == LEAVES)
		shuffle(addr, n, &r);
	if (shape->edges == LEAVES)
		add_leaves(s, addr, n, t, &r);
	/* Each object has the one made before it. */
	for (i = 1; shape->edges == LIST && i < n; i++)
		sim_store(s, addr[i], addr[i - 1]);
	/* A tree by numbers: each object is reached. */
	for (i = 0; shape->edges < LIST && i < n; i++) {
		sim_store(s, addr[i], 2 * i + 1 < n ? addr[2 * i + 1] : 0);
		sim_store(s, addr[i] + 8, 2 * i + 2 < n ? addr[2 * i + 2] : 0);
	}
	if (shape->edges == DEPTH)
		depth_first(s, addr, n);
	s->precise[0] = addr[shape->edges == LIST ? n - 1 : 0];
	env_free(addr);
	gch_thread_detach(&s->h, 0);
}

enum { AHEAD = 16, CYCLES_MAX = 100, GOAL = 50 /* percent of the peer's rate */ };

/*
 * The peer. @cell: bytes; @words: of a cell that may be pointers; @stack: has room for all;
 * @noscan: slots whose cells have none, a byte each, if there are such.
 */
struct peer {
	char *heap;
	u8 *noscan;
	u64 size, *bitmap, *stack;
	u32 cell, words;
	u64 marked;
};

static void *memory(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

static void peer_open(struct peer *p, struct sim *s, const struct shape *shape, u32 n)
{
	u32 first;
	u64 off;

	p->size = (u64)s->h.top << GCHEAP_SLOT_SHIFT;
	p->heap = memory(p->size);
	p->bitmap = memory(p->size / GCHEAP_GRANULE / 8 + 8);
	p->stack = memory(8 * ((u64)n + 1));
	p->cell = shape->cell;
	p->words = shape->layout == GCHEAP_TYPED ? 2 : shape->cell / 8;
	p->noscan = shape->edges == LEAVES ? memory(s->h.top) : NULL;
	for (off = 0; off < p->size; off += GCH_PAGE_SIZE) {
		const void *page = gch_heap_word(&s->h, off);
		u32 id = off >> GCHEAP_SLOT_SHIFT;
		const struct gcheap_span *d = gch_span_at(&s->h, id, &first);

		if (p->noscan)
			p->noscan[id] = d && d->flags & GCHEAP_SPANF_NOSCAN;
		if (page)
			memcpy(p->heap + off, page, GCH_PAGE_SIZE);
	}
}

static void peer_close(struct peer *p, u32 n)
{
	munmap(p->heap, p->size);
	if (p->noscan)
		munmap(p->noscan, p->size >> GCHEAP_SLOT_SHIFT);
	munmap(p->bitmap, p->size / GCHEAP_GRANULE / 8 + 8);
	munmap(p->stack, 8 * ((u64)n + 1));
}

/* Mark the cell that a word refers to, if it is news. Return: the stack's new top. */
static __always_inline u64 *peer_visit(struct peer *p, u64 word, u64 *top)
{
	u64 off = word - SIM_BASE, bit;

	if (off >= p->size)
		return top;
	off -= off % GCHEAP_SLOT_SIZE % p->cell;
	bit = 1ull << (off / GCHEAP_GRANULE % 64);
	if (p->bitmap[off / GCHEAP_GRANULE / 64] & bit)
		return top;
	p->bitmap[off / GCHEAP_GRANULE / 64] |= bit;
	if (p->noscan && p->noscan[off >> GCHEAP_SLOT_SHIFT]) {
		p->marked++;
		return top;
	}
	*top = off;
	return top + 1;
}

static void peer_mark(struct peer *p, u64 root)
{
	u64 ahead[AHEAD], *top = p->stack, n = 0, held = 0, off;
	const u64 *word, *end;

	p->marked = 0;
	top = peer_visit(p, root, top);
	while (top != p->stack || held) {
		if (top != p->stack && held < AHEAD) {
			off = *--top;
			__builtin_prefetch(p->heap + off);
			ahead[(n + held++) % AHEAD] = off;
			continue;
		}
		off = ahead[n++ % AHEAD];
		held--;
		p->marked++;
		word = (const u64 *)(p->heap + off);
		for (end = word + p->words; word < end; word++)
			if (*word)
				top = peer_visit(p, *word, top);
	}
}

static u64 peer_cycle(struct peer *p, u64 root)
{
	u64 t;

	memset(p->bitmap, 0, p->size / GCHEAP_GRANULE / 8);
	t = now();
	peer_mark(p, root);
	return now() - t;
}

/* Turn about, so that what else the machine does meets both. Return: whether the goal was met. */
static bool run(const struct shape *shape, u64 bytes, u32 cycles)
{
	u64 mark[CYCLES_MAX], sweep[CYCLES_MAX], peer[CYCLES_MAX], t;
	double ours, theirs, rate;
	struct sim *s = sim_open(bytes < (1ull << 29) ? 1ull << 30 : 2 * bytes);
	u32 n = bytes / shape->cell, i;
	struct peer p;

	build(s, shape, n);
	peer_open(&p, s, shape, n);
	for (i = 0; i < cycles; i++) {
		peer[i] = peer_cycle(&p, s->precise[0]);
		CHECK_EQ(p.marked, n);
		t = now();
		sim_mark_phase(s);
		mark[i] = now() - t;
		t = now();
		sim_sweep_phase(s);
		sweep[i] = now() - t;
	}
	peer_close(&p, n);
	CHECK_EQ(s->h.n.marked_objects, n);
	ours = median(mark, cycles);
	theirs = median(peer, cycles);
	rate = 100 * theirs / ours;
	printf("%-41s %8u marked: mark %6.1f ns (peer %6.1f, %3.0f %% >= %d %s), sweep %5.2f ns an object\n",
	       shape->name, n, ours / n, theirs / n, rate, GOAL, rate >= GOAL ? "yes" : "NO",
	       median(sweep, cycles) / n);
	sim_close(s);
	return rate >= GOAL;
}

int main(int argc, char **argv)
{
	long llc = sysconf(_SC_LEVEL3_CACHE_SIZE);
	u64 mib = argc > 1 ? strtoul(argv[1], NULL, 0) : llc > 0 ? (u64)llc >> 18 : 128;
	u32 cycles = argc > 2 ? strtoul(argv[2], NULL, 0) : 5, i;
	bool met = true;

	cycles = min_t(u32, cycles < 1 ? 1 : cycles, CYCLES_MAX);

	for (i = 0; i < ARRAY_SIZE(shapes); i++)
		if (argc < 4 || i == strtoul(argv[3], NULL, 0))
			met &= run(&shapes[i], mib << 20, cycles);
	return !met;
}
