// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Descriptors: which words of an object are pointers. They are bdwgc's, but for long bit
 * maps, which are numbers in a table here. It has no more than one of each.
 */
#include <string.h>

#include "bdw.h"

#define BDW_BITS	62u	/* in a GC_DS_BITMAP, the first is the highest */
#define BDW_HIGH	(1ull << 63)
#define BDW_CHAIN_BITS	10

/* bdwgc's would be those of a mark procedure; no program is given this one's number. */
#define BDW_LONG_PROC	(GC_MAX_MARK_PROCS - 1)

struct bdw_long {
	struct bdw_map map;
	uint32_t next;		/* 1 + number of the next in the chain, 0: none */
};

static struct {
	pthread_mutex_t lock;
	struct gch_vec vec;	/* struct bdw_long */
	uint32_t chain[1 << BDW_CHAIN_BITS];
} bdw_long = { .lock = PTHREAD_MUTEX_INITIALIZER };
BDW_LOCK(bdw_long);

static struct bdw_long *bdw_long_at(uint32_t i)
{
	return (struct bdw_long *)bdw_long.vec.items + i;
}

static uint32_t *bdw_long_chain(const struct bdw_map *map)
{
	uint64_t hash = map->words;

	for (int i = 0; i < BDW_MAP_WORDS / 64; i++)
		hash = (hash ^ map->bits[i]) * 0x9e3779b97f4a7c15ull;
	return &bdw_long.chain[hash >> (64 - BDW_CHAIN_BITS)];
}

/* Returns 1 + its number, 0: no memory. */
static uint32_t bdw_long_find(const struct bdw_map *map)
{
	uint32_t *chain = bdw_long_chain(map), i;
	struct bdw_long *new;

	for (i = *chain; i; i = bdw_long_at(i - 1)->next)
		if (!memcmp(&bdw_long_at(i - 1)->map, map, sizeof(*map)))
			return i;
	new = gch_vec_push(&bdw_long.vec, sizeof(*new));
	if (!new)
		return 0;
	*new = (struct bdw_long){ .map = *map, .next = *chain };
	*chain = bdw_long.vec.n;
	return *chain;
}

static GC_word bdw_long_descr(const struct bdw_map *map)
{
	GC_word i;

	pthread_mutex_lock(&bdw_long.lock);
	i = bdw_long_find(map);
	pthread_mutex_unlock(&bdw_long.lock);
	/* Without memory every word up to the last pointer is one. */
	return i ? GC_MAKE_PROC(BDW_LONG_PROC, i - 1) : map->words * sizeof(GC_word);
}

static bool bdw_long_map(GC_word i, struct bdw_map *map)
{
	bool known;

	pthread_mutex_lock(&bdw_long.lock);
	known = i < bdw_long.vec.n;
	if (known)
		*map = bdw_long_at(i)->map;
	pthread_mutex_unlock(&bdw_long.lock);
	return known;
}

/* ---- from maps to descriptors */

static bool bdw_all_set(const struct bdw_map *map)
{
	size_t i = 0;

	while (i < map->words && map->bits[i / 64] >> i % 64 & 1)
		i++;
	return i == map->words;
}

static GC_word bdw_short_descr(uint64_t bits)
{
	GC_word descr = GC_DS_BITMAP;

	for (; bits; bits &= bits - 1)
		descr |= BDW_HIGH >> __builtin_ctzll(bits);
	return descr;
}

static void bdw_copy_bits(struct bdw_map *map, const GC_word *bits, size_t n)
{
	*map = (struct bdw_map){ .words = n };
	for (size_t i = 0; i < n; i++)
		if (GC_get_bit(bits, i))
			map->bits[i / 64] |= 1ull << i % 64;
}

/*
 * Too long for a layout (struct gcheap_layout): all is taken for pointers up to the last,
 * as without memory for the map.
 */
GCH_API GC_descr GC_make_descriptor(const GC_word *bits, size_t n)
{
	struct bdw_map map;

	while (n && !GC_get_bit(bits, n - 1))
		n--;
	if (n > BDW_MAP_WORDS)
		return n * sizeof(GC_word);
	bdw_copy_bits(&map, bits, n);
	if (bdw_all_set(&map))
		return n * sizeof(GC_word);
	return n <= BDW_BITS ? bdw_short_descr(map.bits[0]) : bdw_long_descr(&map);
}

/* ---- and back */

static void bdw_map_prefix(struct bdw_map *map, size_t n)
{
	if (n >= BDW_MAP_WORDS)
		return;
	map->words = n;
	for (int i = 0; i < BDW_MAP_WORDS / 64; i++, n -= n < 64 ? n : 64)
		map->bits[i] = n < 64 ? (1ull << n) - 1 : ~0ull;
}

static void bdw_map_short(struct bdw_map *map, GC_word descr)
{
	*map = (struct bdw_map){ 0 };
	for (unsigned int i = 0; i < BDW_BITS; i++) {
		if (!(descr & (BDW_HIGH >> i)))
			continue;
		map->bits[0] |= 1ull << i;
		map->words = i + 1;
	}
}

/*
 * What a descriptor says, all pointers if that is something that is not known here: a mark
 * procedure of the program has no other places to look at.
 */
void bdw_descr_map(GC_word descr, struct bdw_map *map)
{
	GC_word value = descr >> GC_DS_TAG_BITS;

	*map = (struct bdw_map){ .words = BDW_ALL };
	memset(map->bits, 0xff, sizeof(map->bits));
	switch (descr & GC_DS_TAGS) {
	case GC_DS_LENGTH:
		bdw_map_prefix(map, descr / sizeof(GC_word));
		break;
	case GC_DS_BITMAP:
		bdw_map_short(map, descr);
		break;
	case GC_DS_PROC:
		if (bdw_descr_is_map(descr))
			bdw_long_map(value >> GC_LOG_MAX_MARK_PROCS, map);
		break;
	}
}

bool bdw_descr_is_map(GC_word descr)
{
	return (descr & GC_DS_TAGS) == GC_DS_PROC &&
	       (descr >> GC_DS_TAG_BITS) % GC_MAX_MARK_PROCS == BDW_LONG_PROC;
}
