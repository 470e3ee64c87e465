/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For programs that look at how much memory a heap takes: tables of roots, compaction, and
 * what there is of each kind of memory. Results are lines of "PHASE name value name value".
 */
#ifndef HEAP_H
#define HEAP_H

#include <stdbool.h>
#include <sys/mman.h>

#include "bench.h"

#define HEAP_MIB(bytes)	((bytes) / 1048576.0)

/* Below a number, the same in every run. */
static inline uint64_t heap_draw(uint64_t below)
{
	static uint64_t seed = 1;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % below;
}

#ifdef BENCH_LIBGC
static inline void heap_root(void **at, size_t n, bool precise)
{
	GC_add_roots(at, at + n);
}

static inline void heap_unroot(void **at, size_t n)
{
	GC_remove_roots(at, at + n);
}

static inline void heap_compact(void)
{
	GC_gcollect_and_unmap();
}

static inline double heap_mib(void)
{
	return HEAP_MIB(GC_get_heap_size() - GC_get_unmapped_bytes());
}

static inline double heap_meta_mib(void)
{
	return 0;	/* it does not tell */
}
#else
/* A cache of objects that move; bit i of @pointers: word i is one, if any is. */
static inline struct gcheap_cache *heap_cache(size_t size, uint64_t pointers)
{
	struct gcheap_layout l = { .fixed_words = size / 8, .fixed_map = &pointers };

	return bench_must(gcheap_cache_create(size, pointers ? &l : NULL, GCHEAP_CACHE_MOVABLE |
					      (pointers ? 0 : GCHEAP_CACHE_NOSCAN)));
}

static inline void heap_root(void **at, size_t n, bool precise)
{
	gcheap_heap_root_add(NULL, at, n * sizeof(*at), precise ? GCHEAP_PRECISE : 0, NULL);
}

static inline void heap_unroot(void **at, size_t n)
{
	gcheap_heap_root_del(NULL, at, n * sizeof(*at));
}

static inline void heap_compact(void)
{
	gcheap_thread_flush();
	gcheap_compact();
}

static inline double heap_mib(void)
{
	return HEAP_MIB(bench_stats().resident_bytes);
}

static inline double heap_meta_mib(void)
{
	return HEAP_MIB(bench_stats().meta_bytes);
}
#endif

static inline void *heap_map(size_t bytes, int prot)
{
	void *p = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return bench_must(p == MAP_FAILED ? NULL : p);
}

/* A table of roots; @precise: every word in it is 0 or a pointer. */
static inline void *heap_table(size_t n, bool precise)
{
	void **t = heap_map(n * sizeof(*t), PROT_READ | PROT_WRITE);

	heap_root(t, n, precise);
	return t;
}

static inline void heap_table_free(void *table, size_t n)
{
	heap_unroot(table, n);
	munmap(table, n * sizeof(void *));
}

/* From a file of this process: the number of KiB of a line that begins with a name. */
static inline double heap_proc_mib(const char *path, const char *name)
{
	FILE *f = fopen(path, "r");
	char line[256];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			kb = atol(line + strlen(name));
	if (f)
		fclose(f);
	return kb / 1024.0;
}

/* live: what is kept; heap: pages of the heap; memory: all of the process (Pss) */
static inline void heap_show(const char *phase, size_t live)
{
	printf("%s live %.1f heap %.1f meta %.1f memory %.1f\n", phase, HEAP_MIB(live),
	       heap_mib(), heap_meta_mib(), heap_proc_mib("/proc/self/smaps_rollup", "Pss:"));
	fflush(stdout);
}

#endif
