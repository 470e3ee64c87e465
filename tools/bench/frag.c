// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fragmentation: frag MIB typed|conservative [SECONDS]
 *
 * Fill a heap with small objects of mixed sizes, keep one in 16 at random, and go on with
 * objects of other sizes, some of which stay in the places of others. Typed objects are of
 * movable caches, and the table of those that are kept is a precise root; conservative ones
 * have no layout, and the table is searched for anything. Lines of
 *
 *	PHASE live MIB heap MIB meta MIB memory MIB
 *
 * live: what is kept; heap: pages of the heap; memory: all of the process (Pss).
 */
#include "heap.h"

enum { KEEP = 16, SIZES = 8 };

static const uint32_t early[SIZES] = { 32, 48, 64, 96, 128, 192, 256, 384 };
static const uint32_t late[SIZES] = { 40, 56, 80, 112, 160, 224, 320, 480 };

static void **table;
static size_t entries, live;
static bool typed;

#ifdef BENCH_LIBGC
static void *make(const uint32_t *sizes, int i)
{
	return bench_must(GC_malloc(sizes[i]));
}
#else
static struct gcheap_cache *caches[2][SIZES];

static void *make(const uint32_t *sizes, int i)
{
	struct gcheap_cache **c = &caches[sizes == late][i];

	if (!typed)
		return bench_must(gcheap_alloc(sizes[i]));
	if (!*c)
		*c = heap_cache(sizes[i], 1);
	return bench_must(gcheap_cache_alloc(*c));
}
#endif

/* An object says how large it is. */
static void *put(void *object, uint32_t size)
{
	((uint64_t *)object)[1] = size;
	live += size;
	return object;
}

static void drop(void **at)
{
	if (*at)
		live -= ((uint64_t *)*at)[1];
	*at = NULL;
}

static void fill(size_t bytes)
{
	size_t n = bytes / 128, i;	/* of 150 bytes on average */

	table = heap_table(n, typed);
	for (i = 0; live < bytes && i < n; i++) {
		int k = heap_draw(SIZES);

		table[i] = put(make(early, k), early[k]);
	}
	entries = i;
	heap_show("filled", live);
}

/* One in KEEP stays, in a table of their own. */
static void thin_out(size_t bytes)
{
	void **kept = heap_table(entries / KEEP + 1, typed);
	size_t n = 0, i;

	for (i = 0; i < entries; i += KEEP) {
		size_t pick = i + heap_draw(KEEP);

		for (size_t j = i; j < i + KEEP && j < entries; j++) {
			if (j == pick)
				kept[n++] = table[j];
			else
				drop(&table[j]);
		}
	}
	heap_table_free(table, bytes / 128);
	table = kept;
	entries = n;
}

/* Others in their places, and nine of ten are garbage at once. */
static void mutate(double seconds)
{
	uint64_t end = bench_now() + seconds * 1e9;

	while (bench_now() < end) {
		for (int i = 0; i < 1000; i++) {
			int k = heap_draw(SIZES);
			void *o = make(late, k);

			if (heap_draw(10))
				continue;
			void **at = &table[heap_draw(entries)];

			drop(at);
			*at = put(o, late[k]);
		}
	}
}

int main(int argc, char **argv)
{
	size_t bytes = (argc > 1 ? atol(argv[1]) : 256) << 20;

	typed = argc > 2 && !strcmp(argv[2], "typed");
	bench_init();
	fill(bytes);
	thin_out(bytes);
	bench_collect();
	heap_show("kept", live);
	heap_compact();
	heap_show("compacted", live);
	mutate(argc > 3 ? atof(argv[3]) : 60);
	heap_show("mutated", live);
	heap_compact();
	heap_show("again", live);
	return 0;
}
