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
 * gch_plan_young() - whether the next collection is to be a young one
 * @goal: bytes the heap may grow to; @full: marked by the last one that was full
 * @marked: marked now, what has died since the last full one included
 * @youngs: young ones since then
 *
 * As long as they leave half of the room that a full one would: what has died old makes
 * them more frequent. And not for ever, since nothing old is finalized meanwhile.
 */
bool gch_plan_young(u64 goal, u64 full, u64 marked, u32 youngs)
{
	if (youngs >= 16 || marked >= goal || full >= goal)
		return false;
	return goal - marked >= (goal - full) / 2;
}

/**
 * gch_plan_pays() - whether young collections free more for their work than full ones
 * @freed, @work: bytes, of young ones lately; @full_freed, @full_work: of full ones
 */
bool gch_plan_pays(u64 freed, u64 work, u64 full_freed, u64 full_work)
{
	/* In pages, so that nothing overflows below 16 TiB. */
	return (freed >> GCH_PAGE_SHIFT) * ((full_work >> GCH_PAGE_SHIFT) + 1) >
	       (full_freed >> GCH_PAGE_SHIFT) * ((work >> GCH_PAGE_SHIFT) + 1);
}

/**
 * gch_plan_within() - the same below a limit
 * @trigger: as of gch_plan_trigger(); @marked: likewise
 * @limit: bytes the heap may have, 0: any number
 *
 * A sixteenth of the room stays for spans that are in use in part only.
 */
u64 gch_plan_within(u64 trigger, u64 marked, u64 limit)
{
	u64 room = limit > marked ? limit - marked : 0;

	if (!limit)
		return trigger;
	return min(trigger, max_t(u64, room - room / 16, GCHEAP_SLOT_SIZE));
}

/**
 * gch_plan_relief() - bytes that may be handed out whatever the soft limit and the growth say
 * @relief: so far
 * @busy, @all: time that collecting took since the cycle before, and all time
 *
 * Twice as many as long as collecting takes more than half of the time, and half as many
 * once it takes less than a quarter.
 */
u64 gch_plan_relief(u64 relief, u64 busy, u64 all)
{
	if (busy > all / 2)
		return min(max_t(u64, 2 * relief, 32 * GCHEAP_SLOT_SIZE), 1ull << 40);
	if (busy > all / 4)
		return relief;
	return relief / 2 < 32 * GCHEAP_SLOT_SIZE ? 0 : relief / 2;
}

/**
 * gch_plan_start() - bytes handed out when a cycle that ends by @room has to begin
 * @room: as of gch_plan_trigger()
 * @runway: bytes handed out while marking, lately
 *
 * At least a sixteenth of the room ahead and at most half of it.
 */
u64 gch_plan_start(u64 room, u64 runway)
{
	return room - min(max(runway + runway / 8, room / 16), room / 2);
}

/**
 * gch_plan_room() - bytes that may be handed out while marking
 * @trigger: since the last marking; @from: of these gone when marking began
 *
 * It may have begun late: then an eighth of all that nevertheless.
 */
u64 gch_plan_room(u64 trigger, u64 from)
{
	u64 least = max_t(u64, trigger / 8, 16 * GCHEAP_SLOT_SIZE);

	return from < trigger ? max(trigger - from, least) : least;
}

/**
 * gch_plan_debt() - bytes by which marking lags behind allocation
 * @work: to be marked, as far as known; @done: of these marked
 * @handed: bytes handed out since it began; @room: when it has to be over
 *
 * Marking is to advance at the same pace as allocation, and to be over somewhat earlier.
 */
u64 gch_plan_debt(u64 work, u64 done, u64 handed, u64 room)
{
	u64 due;

	if (handed >= room)
		return ~0ull;
	/* Of 1024 parts, so that nothing overflows; the last eighth of them is spare. */
	due = min_t(u64, env_div64(handed << 10, room - room / 8), 1024);
	due = (work >> 10) * due;
	return due > done ? due - done : 0;
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

/**
 * gch_plan_evacuate() - whether it pays to move the live cells of sparse spans
 * @cells: so many, in @spans spans of @ncells each
 *
 * An eighth of the memory has to be won for the copying.
 */
bool gch_plan_evacuate(u64 cells, u32 ncells, u32 spans)
{
	u64 targets = env_div64(cells + ncells - 1, ncells);

	return 8 * targets <= 7 * (u64)spans;
}

/**
 * gch_plan_tidy() - whether a heap is worth compacting, though nobody asks
 * @resident: bytes of memory that it has; @live: of objects that were found alive
 * @wanted: that it may well have
 * @percent: it may have so much more, 0: as much as it likes
 */
bool gch_plan_tidy(u64 resident, u64 live, u64 wanted, u32 percent)
{
	u64 most = max(live, wanted);

	return percent && resident > most &&
	       resident - most > env_div64(most, 100) * percent;
}

/**
 * gch_plan_rest() - ns until a heap may be compacted by itself again
 * @took: ns that the last time took; @failures: so many in a row have not gained much
 *
 * So that it takes a twentieth of the time at most, and next to none where it does not help.
 */
u64 gch_plan_rest(u64 took, u32 failures)
{
	return min_t(u64, took, ~0ull >> 12) * 19 << min(failures, 6u);
}
