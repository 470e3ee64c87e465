// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Objects that nothing has to refer to: a hash table of them, by linear probing, in
 * memory that is a root.
 */
#include "bdw.h"

#define BDW_FIRST	512	/* slots; a power of two */

static struct {
	pthread_mutex_t lock;
	uintptr_t *slot;
	size_t slots;
	size_t used;
} bdw_set = { .lock = PTHREAD_MUTEX_INITIALIZER };

BDW_LOCK(bdw_set);

static size_t bdw_home(uintptr_t object, size_t slots)
{
	return (object / GCHEAP_GRANULE * 0x9e3779b97f4a7c15ull) >> 32 & (slots - 1);
}

/* Where the object is, or would be put. */
static size_t bdw_probe(const uintptr_t *slot, size_t slots, uintptr_t object)
{
	size_t i = bdw_home(object, slots);

	while (slot[i] && slot[i] != object)
		i = (i + 1) & (slots - 1);
	return i;
}

static bool bdw_grow(void)
{
	size_t slots = bdw_set.slots ? bdw_set.slots * 2 : BDW_FIRST;
	size_t bytes = slots * sizeof(uintptr_t), was = bdw_set.slots * sizeof(uintptr_t);
	uintptr_t *slot = gch_map(bytes);

	if (!slot)
		return false;
	if (gcheap_root_add(slot, bytes)) {
		gch_unmap(slot, bytes);
		return false;
	}
	for (size_t i = 0; i < bdw_set.slots; i++)
		if (bdw_set.slot[i])
			slot[bdw_probe(slot, slots, bdw_set.slot[i])] = bdw_set.slot[i];
	if (was)
		gcheap_root_del(bdw_set.slot, was);
	gch_unmap(bdw_set.slot, was);
	bdw_set.slot = slot;
	bdw_set.slots = slots;
	return true;
}

static bool bdw_insert(uintptr_t object)
{
	if (bdw_set.used * 2 >= bdw_set.slots && !bdw_grow())
		return false;
	bdw_set.slot[bdw_probe(bdw_set.slot, bdw_set.slots, object)] = object;
	bdw_set.used++;
	return true;
}

/* Close the gap: whoever probed past it moves up. */
static void bdw_remove(size_t gap)
{
	uintptr_t *slot = bdw_set.slot;
	size_t mask = bdw_set.slots - 1;

	for (size_t i = (gap + 1) & mask; slot[i]; i = (i + 1) & mask) {
		size_t home = bdw_home(slot[i], bdw_set.slots);

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		slot[gap] = slot[i];
		gap = i;
	}
	slot[gap] = 0;
	bdw_set.used--;
}

/* Returns the object, or what there is to return without memory. */
void *bdw_keep(void *object)
{
	bool kept;

	if (!object)
		return NULL;
	pthread_mutex_lock(&bdw_set.lock);
	kept = bdw_insert((uintptr_t)object);
	pthread_mutex_unlock(&bdw_set.lock);
	if (!kept)
		return bdw_out_of_memory(gcheap_size(object));
	__atomic_add_fetch(&GC_non_gc_bytes, gcheap_size(object), __ATOMIC_RELAXED);
	return object;
}

static bool bdw_find(void *object, bool take_out)
{
	size_t i;
	bool found;

	if (!READ_ONCE(bdw_set.used))
		return false;
	pthread_mutex_lock(&bdw_set.lock);
	i = bdw_probe(bdw_set.slot, bdw_set.slots, (uintptr_t)object);
	found = bdw_set.slot[i];
	if (found && take_out)
		bdw_remove(i);
	pthread_mutex_unlock(&bdw_set.lock);
	return found;
}

bool bdw_kept(void *object)
{
	return bdw_find(object, false);
}

bool bdw_unkeep(void *object)
{
	if (!bdw_find(object, true))
		return false;
	__atomic_sub_fetch(&GC_non_gc_bytes, gcheap_size(object), __ATOMIC_RELAXED);
	return true;
}
