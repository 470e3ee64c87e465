/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A fragmented heap: filled with small objects of mixed sizes, of which one in @keep stays.
 *
 * Typed objects are of movable caches, and the table of those that are kept is a precise
 * root; conservative ones have no layout, and the table is searched for anything.
 */
#ifndef FRAG_H
#define FRAG_H

#include "heap.h"

enum { SIZES = 8 };

static const uint32_t early[SIZES] = { 32, 48, 64, 96, 128, 192, 256, 384 };
static const uint32_t late[SIZES] = { 40, 56, 80, 112, 160, 224, 320, 480 };

static void **table;
static size_t entries, live;
static unsigned int keep = 16;
static bool typed;

#ifdef BENCH_LIBGC
static inline void *try_make(const uint32_t *sizes, int i)
{
	return GC_malloc(sizes[i]);
}
#else
static inline void *try_make(const uint32_t *sizes, int i)
{
	static struct gcheap_cache *caches[2][SIZES];
	struct gcheap_cache **c = &caches[sizes == late][i];

	if (!typed)
		return gcheap_alloc(sizes[i]);
	if (!*c)
		*c = heap_cache(sizes[i], 1);
	return gcheap_cache_alloc(*c);
}
#endif

static inline void *make(const uint32_t *sizes, int i)
{
	return bench_must(try_make(sizes, i));
}

/* An object says how large it is. */
static inline void *put(void *object, uint32_t size)
{
	((uint64_t *)object)[1] = size;
	live += size;
	return object;
}

static inline void drop(void **at)
{
	if (*at)
		live -= ((uint64_t *)*at)[1];
	*at = NULL;
}

static inline void fill(size_t bytes)
{
	size_t n = bytes / 128, i;	/* of 150 bytes on average */

	table = heap_table(n, typed);
	for (i = 0; live < bytes && i < n; i++) {
		int k = heap_draw(SIZES);

		table[i] = put(make(early, k), early[k]);
	}
	entries = i;
}

/* One in @keep stays, in a table of their own. */
static inline void thin_out(size_t bytes)
{
	void **kept = heap_table(entries / keep + 1, typed);
	size_t n = 0, i;

	for (i = 0; i < entries; i += keep) {
		size_t pick = i + heap_draw(keep);

		for (size_t j = i; j < i + keep && j < entries; j++) {
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

#endif
