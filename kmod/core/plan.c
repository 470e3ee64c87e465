// SPDX-License-Identifier: GPL-2.0-only
/* Policy: pure functions of numbers. */
#include "heap.h"

/**
 * gch_plan_trigger() - bytes to hand out before the next cycle
 * @marked: bytes the last cycle found reachable
 * @growth: percent of these that may be added
 * @min_heap: heap size below which no cycle is worth its while
 */
u64 gch_plan_trigger(u64 marked, u32 growth, u64 min_heap)
{
	u64 more = marked > ~0ull / 100000 ? marked : marked * growth / 100;

	if (marked + more < min_heap)
		return min_heap - marked;
	return max_t(u64, more, GCHEAP_SLOT_SIZE);
}

/**
 * gch_plan_retain() - pages worth keeping behind free slots
 * @heap_bytes: bytes in spans after the sweep
 * @trigger: bytes that will be handed out before the next cycle
 *
 * What the next cycle's worth of allocation will use again; giving these back
 * costs a fault for each (hysteresis). Return: bytes in free slots to keep.
 */
u64 gch_plan_retain(u64 heap_bytes, u64 trigger)
{
	u64 ahead = trigger > ~0ull / 2 ? trigger : trigger + trigger / 8;

	return max(ahead, heap_bytes / 16);
}
