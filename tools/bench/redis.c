// SPDX-License-Identifier: GPL-2.0-only
/*
 * A cache of values that uses up the memory it may have, as Powers et al. ("Mesh", PLDI 2019)
 * have Redis do: redis MIB typed|conservative
 *
 * For 100 MIB 700000 values of 240 bytes come under random keys, then 170000 of 492; for what
 * is more than MIB others go, the oldest of some that are drawn. Typed, entries and values are
 * of movable caches, and the buckets a precise root. Lines as those of frag; peak: of the heap,
 * and of what the process had mapped at a time (VmHWM).
 */
#include "heap.h"

enum { VALUES = 700000, VALUE = 240, LATER = 170000, LATE_VALUE = 492, DRAWN = 5 };

struct entry {
	struct entry *next;
	void *value;
	uint64_t key;
	uint32_t size, number;
};

static struct entry **bucket;
static size_t buckets, live, limit;
static uint32_t inserted;
static bool typed;

#ifdef BENCH_LIBGC
static struct entry *make_entry(void)
{
	return bench_must(GC_malloc(sizeof(struct entry)));
}

static void *make_value(uint32_t size)
{
	return bench_must(GC_malloc_atomic(size));
}
#else
static struct gcheap_cache *entries, *values, *late_values;

static void make_caches(void)
{
	entries = heap_cache(sizeof(struct entry), 3);
	values = heap_cache(VALUE, 0);
	late_values = heap_cache(LATE_VALUE, 0);
}

static struct entry *make_entry(void)
{
	if (!typed)
		return bench_must(gcheap_alloc(sizeof(struct entry)));
	return bench_must(gcheap_cache_alloc(entries));
}

static void *make_value(uint32_t size)
{
	if (!typed)
		return bench_must(gcheap_alloc_noscan(size));
	return bench_must(gcheap_cache_alloc(size == VALUE ? values : late_values));
}
#endif

static void insert(uint32_t size)
{
	struct entry *e = make_entry(), **at;

	e->value = memset(make_value(size), inserted, size);
	e->key = heap_draw(UINT64_MAX);
	e->size = size;
	e->number = inserted++;
	at = &bucket[e->key % buckets];
	e->next = *at;
	*at = e;
	live += sizeof(*e) + size;
}

/* Where the oldest entry of a bucket that has some is referred to. */
static struct entry **draw(void)
{
	struct entry **at;

	do
		at = &bucket[heap_draw(buckets)];
	while (!*at);
	while ((*at)->next)
		at = &(*at)->next;
	return at;
}

static void evict(void)
{
	struct entry **oldest = draw(), **at;

	for (int i = 1; i < DRAWN; i++) {
		at = draw();
		if ((*at)->number < (*oldest)->number)
			oldest = at;
	}
	live -= sizeof(**oldest) + (*oldest)->size;
	*oldest = NULL;
}

static void fill(size_t n, uint32_t size)
{
	while (n--) {
		insert(size);
		while (live > limit)
			evict();
	}
}

/* What has moved is mapped again when somebody comes to it. */
static void look_at_all(void)
{
	for (size_t i = 0; i < buckets; i++)
		for (struct entry *e = bucket[i]; e; e = e->next) {
			const volatile char *value = e->value;

			if (value[0] != value[e->size - 1])
				abort();
		}
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? atol(argv[1]) : 64;

	typed = argc > 2 && !strcmp(argv[2], "typed");
	limit = mib << 20;
	buckets = VALUES * mib / 100;
	bench_init();
#ifndef BENCH_LIBGC
	if (typed)
		make_caches();
#endif
	bucket = heap_table(buckets, typed);
	fill(VALUES * mib / 100, VALUE);
	heap_show("filled", live);
	fill(LATER * mib / 100, LATE_VALUE);
	heap_show("refilled", live);
	heap_compact();
	look_at_all();
	heap_show("compacted", live);
	printf("peak heap %.1f memory %.1f\n", HEAP_MIB(bench_peak()),
	       heap_proc_mib("/proc/self/status", "VmHWM:"));
	return 0;
}
