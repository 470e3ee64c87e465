// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Hash values that stay with an object when its address changes. A cache that is to have
 * them has a word behind the room of each object, which moves with it: 0 until it is asked for.
 */
#include "gch.h"

/* splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
static uint64_t gch_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t gch_next_identity(void)
{
	static uint64_t made;
	uint64_t hash;

	do {
		hash = gch_mix(__atomic_add_fetch(&made, 1, __ATOMIC_RELAXED));
	} while (!hash);
	return hash;
}

/* Threads that ask at the same time get the same. */
static uint64_t gch_identity_in(uint64_t *word)
{
	uint64_t old = READ_ONCE(*word), fresh;

	if (old)
		return old;
	fresh = gch_next_identity();
	return __atomic_compare_exchange_n(word, &old, fresh, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED) ? fresh : old;
}

GCH_API uint64_t gcheap_identity_hash(const void *ptr)
{
	struct gch_object o;

	if (!gch_object_at(ptr, &o) || (o.cache->movable && !o.cache->identity)) {
		errno = EINVAL;
		return 0;
	}
	if (o.cache->identity)
		return gch_identity_in((uint64_t *)(o.base + o.room));
	return gch_mix(o.base) ?: 1;
}
