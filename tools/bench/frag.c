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
#include <stdbool.h>
#include <sys/mman.h>

#include "bench.h"

enum { KEEP = 16, SIZES = 8 };

static const uint32_t early[SIZES] = { 32, 48, 64, 96, 128, 192, 256, 384 };
static const uint32_t late[SIZES] = { 40, 56, 80, 112, 160, 224, 320, 480 };

static void **table;
static size_t entries, live;
static uint64_t seed = 1;
static bool typed;

static uint64_t draw(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % below;
}

#ifdef BENCH_LIBGC
static void *make(const uint32_t *sizes, int i)
{
	return bench_must(GC_malloc(sizes[i]));
}

static void root(void **at, size_t n)
{
	GC_add_roots(at, at + n);
}

static void unroot(void **at, size_t n)
{
	GC_remove_roots(at, at + n);
}

static void compact(void)
{
	GC_gcollect_and_unmap();
}

static double heap_mib(void)
{
	return (GC_get_heap_size() - GC_get_unmapped_bytes()) / 1048576.0;
}

static double meta_mib(void)
{
	return 0;	/* it does not tell */
}
#else
static struct gcheap_cache *caches[2][SIZES];

static struct gcheap_cache *cache_of(uint32_t size)
{
	static const uint64_t first = 1;
	struct gcheap_layout l = { .fixed_words = size / 8, .fixed_map = &first };

	return bench_must(gcheap_cache_create(size, &l, GCHEAP_CACHE_MOVABLE));
}

static void *make(const uint32_t *sizes, int i)
{
	struct gcheap_cache **c = &caches[sizes == late][i];

	if (!typed)
		return bench_must(gcheap_alloc(sizes[i]));
	if (!*c)
		*c = cache_of(sizes[i]);
	return bench_must(gcheap_cache_alloc(*c));
}

static void root(void **at, size_t n)
{
	gcheap_heap_root_add(NULL, at, n * sizeof(*at), typed ? GCHEAP_PRECISE : 0, NULL);
}

static void unroot(void **at, size_t n)
{
	gcheap_heap_root_del(NULL, at, n * sizeof(*at));
}

static void compact(void)
{
	gcheap_thread_flush();
	gcheap_compact();
}

static double heap_mib(void)
{
	return bench_stats().resident_bytes / 1048576.0;
}

static double meta_mib(void)
{
	return bench_stats().meta_bytes / 1048576.0;
}
#endif

static void **table_make(size_t n)
{
	void **t = mmap(NULL, n * sizeof(*t), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (t == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	root(t, n);
	return t;
}

static double memory_mib(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "Pss: %ld", &kb);
	if (f)
		fclose(f);
	return kb / 1024.0;
}

static void show(const char *phase)
{
	printf("%s live %.1f heap %.1f meta %.1f memory %.1f\n", phase, live / 1048576.0,
	       heap_mib(), meta_mib(), memory_mib());
	fflush(stdout);
}

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

	table = table_make(n);
	for (i = 0; live < bytes && i < n; i++) {
		int k = draw(SIZES);

		table[i] = put(make(early, k), early[k]);
	}
	entries = i;
	show("filled");
}

/* One in KEEP stays, in a table of their own. */
static void thin_out(size_t bytes)
{
	void **kept = table_make(entries / KEEP + 1);
	size_t n = 0, i;

	for (i = 0; i < entries; i += KEEP) {
		size_t pick = i + draw(KEEP);

		for (size_t j = i; j < i + KEEP && j < entries; j++) {
			if (j == pick)
				kept[n++] = table[j];
			else
				drop(&table[j]);
		}
	}
	unroot(table, bytes / 128);
	munmap(table, bytes / 128 * sizeof(*table));
	table = kept;
	entries = n;
}

/* Others in their places, and nine of ten are garbage at once. */
static void mutate(double seconds)
{
	uint64_t end = bench_now() + seconds * 1e9;

	while (bench_now() < end) {
		for (int i = 0; i < 1000; i++) {
			int k = draw(SIZES);
			void *o = make(late, k);

			if (draw(10))
				continue;
			void **at = &table[draw(entries)];

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
	show("kept");
	compact();
	show("compacted");
	mutate(argc > 3 ? atof(argv[3]) : 60);
	show("mutated");
	compact();
	show("again");
	return 0;
}
