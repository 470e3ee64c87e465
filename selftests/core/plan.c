// SPDX-License-Identifier: GPL-2.0-only
/* Policy, a pure function of numbers. */
#include "cases.h"
#include "sim.h"

void gct_plan_trigger(void)
{
	static const u64 marked[] = { 0, 1, 8192, 1 << 20, 1ull << 32, 1ull << 40 };
	static const u32 growth[] = { 1, 50, 100, 400, 10000 };
	u64 min_heap = 4 << 20;
	u32 i, k;

	CHECK_EQ(gch_plan_trigger(0, 100, min_heap), min_heap);
	CHECK_EQ(gch_plan_trigger(3 << 20, 100, min_heap), 3 << 20);
	CHECK_EQ(gch_plan_trigger(1 << 20, 100, min_heap), 3 << 20);
	CHECK_EQ(gch_plan_trigger(100 << 20, 50, min_heap), 50 << 20);
	for (i = 0; i < ARRAY_SIZE(marked); i++) {
		for (k = 0; k < ARRAY_SIZE(growth); k++) {
			u64 t = gch_plan_trigger(marked[i], growth[k], min_heap);

			CHECK(t >= GCHEAP_SLOT_SIZE);
			CHECK(marked[i] + t >= min_heap);
			if (k)	/* more growth, later */
				CHECK(t >= gch_plan_trigger(marked[i], growth[k - 1],
							    min_heap));
		}
	}
}

void gct_plan_retain(void)
{
	CHECK_EQ(gch_plan_retain(0, 8 << 20), 9 << 20);
	CHECK_EQ(gch_plan_retain(1600ull << 20, 8 << 20), 100 << 20);
	CHECK(gch_plan_retain(1ull << 40, 1ull << 40) >= 1ull << 40);
	CHECK(gch_plan_retain(0, ~0ull) == ~0ull);
}

void gct_plan_tidy(void)
{
	/* Never, or from so many percent on. */
	CHECK(!gch_plan_tidy(1000, 10, 100, 0));
	CHECK(!gch_plan_tidy(125000, 10, 100000, 25));
	CHECK(gch_plan_tidy(125001, 10, 100000, 25));
	CHECK(!gch_plan_tidy(100000, 10, 100000, 1));
	/* What is alive it has to have. */
	CHECK(!gch_plan_tidy(125000, 100000, 10, 25));
	CHECK(!gch_plan_tidy(~0ull, ~0ull, 0, 25));
	CHECK(!gch_plan_tidy(0, 0, 0, 25));
	CHECK(gch_plan_tidy(~0ull, 1 << 20, 1 << 20, 10000));
}

void gct_plan_rest(void)
{
	u32 i;

	/* One part of twenty, and of as much again with each failure. */
	CHECK_EQ(gch_plan_rest(1000, 0), 19000);
	for (i = 0; i < 6; i++)
		CHECK_EQ(gch_plan_rest(1000, i + 1), 2 * gch_plan_rest(1000, i));
	CHECK_EQ(gch_plan_rest(1000, 100), gch_plan_rest(1000, 6));
	CHECK(gch_plan_rest(~0ull, ~0u) > 1ull << 60);
	CHECK_EQ(gch_plan_rest(0, 3), 0);
}

void gct_plan_evacuate(void)
{
	CHECK(!gch_plan_evacuate(1, 64, 1));
	CHECK(gch_plan_evacuate(64, 64, 2));
	CHECK(!gch_plan_evacuate(65, 64, 2));
	CHECK(gch_plan_evacuate(7 * 64, 64, 8));
	CHECK(!gch_plan_evacuate(7 * 64 + 1, 64, 8));
	CHECK(gch_plan_evacuate(0, 1, 1));
}

void gct_plan_young(void)
{
	CHECK(gch_plan_young(8 << 20, 4 << 20, 4 << 20, 0));
	CHECK(gch_plan_young(8 << 20, 4 << 20, 6 << 20, 15));
	CHECK(!gch_plan_young(8 << 20, 4 << 20, (6 << 20) + 1, 0));
	CHECK(!gch_plan_young(8 << 20, 4 << 20, 4 << 20, 16));
	CHECK(!gch_plan_young(8 << 20, 4 << 20, 9 << 20, 0));
	CHECK(!gch_plan_young(8 << 20, 9 << 20, 4 << 20, 0));
}

void gct_plan_pays(void)
{
	CHECK(gch_plan_pays(8 << 20, 1 << 20, 16 << 20, 64 << 20));
	CHECK(!gch_plan_pays(1 << 20, 1 << 20, 64 << 20, 8 << 20));
	CHECK(!gch_plan_pays(0, 0, 0, 0));
	CHECK(!gch_plan_pays(1ull << 40, 1ull << 43, 1ull << 43, 1ull << 43));
}

void gct_plan_within(void)
{
	CHECK_EQ(gch_plan_within(8 << 20, 8 << 20, 0), 8 << 20);
	CHECK_EQ(gch_plan_within(8 << 20, 8 << 20, 64 << 20), 8 << 20);
	CHECK_EQ(gch_plan_within(8 << 20, 8 << 20, 12 << 20), (4 << 20) - (4 << 20) / 16);
	CHECK_EQ(gch_plan_within(8 << 20, 16 << 20, 16 << 20), GCHEAP_SLOT_SIZE);
	CHECK_EQ(gch_plan_within(8 << 20, 17 << 20, 16 << 20), GCHEAP_SLOT_SIZE);
}

void gct_plan_relief(void)
{
	const u64 least = 32 * GCHEAP_SLOT_SIZE;
	u64 relief = 0, last;
	u32 i;

	CHECK_EQ(gch_plan_relief(0, 50, 100), 0);
	CHECK_EQ(gch_plan_relief(0, 51, 100), least);
	CHECK_EQ(gch_plan_relief(least, 51, 100), 2 * least);
	CHECK_EQ(gch_plan_relief(least, 50, 100), least);
	CHECK_EQ(gch_plan_relief(4 * least, 25, 100), 2 * least);
	CHECK_EQ(gch_plan_relief(least, 0, 100), 0);
	CHECK_EQ(gch_plan_relief(0, 0, 0), 0);
	/* Bounded, and gone as soon as it came. */
	for (i = 0; i < 100; i++) {
		last = relief;
		relief = gch_plan_relief(relief, ~0ull, ~0ull);
		CHECK(relief >= last);
	}
	CHECK_EQ(relief, 1ull << 40);
	for (i = 0; i < 100; i++)
		relief = gch_plan_relief(relief, 0, ~0ull);
	CHECK_EQ(relief, 0);
}

void gct_plan_start(void)
{
	const u64 room = 64 << 20;

	CHECK_EQ(gch_plan_start(room, 0), room - (4 << 20));
	CHECK_EQ(gch_plan_start(room, 16 << 20), room - (18 << 20));
	CHECK_EQ(gch_plan_start(room, 1ull << 40), room / 2);
	CHECK_EQ(gch_plan_start(GCHEAP_SLOT_SIZE, 0), GCHEAP_SLOT_SIZE * 15 / 16);
	/* What is left when marking begins: never nothing, however late that is. */
	CHECK_EQ(gch_plan_room(room, room - (18 << 20)), 18 << 20);
	CHECK_EQ(gch_plan_room(room, room), room / 8);
	CHECK_EQ(gch_plan_room(room, 2 * room), room / 8);
	CHECK_EQ(gch_plan_room(1, 1), 16 * GCHEAP_SLOT_SIZE);
}

void gct_plan_debt(void)
{
	const u64 work = 100 << 20, room = 80 << 20;
	u64 debt, last = 0, handed;

	CHECK_EQ(gch_plan_debt(work, 0, 0, room), 0);
	CHECK_EQ(gch_plan_debt(work, 0, 35 << 20, room), work / 2);
	CHECK_EQ(gch_plan_debt(work, work / 2, 35 << 20, room), 0);
	CHECK_EQ(gch_plan_debt(work, work, room - 1, room), 0);
	CHECK_EQ(gch_plan_debt(work, 2 * work, room, room), ~0ull);
	for (handed = 0; handed < room; handed += 1 << 18) {
		debt = gch_plan_debt(work, 0, handed, room);
		CHECK(debt >= last && debt <= work);
		last = debt;
	}
	CHECK_EQ(last, work);
	/* Nothing overflows. */
	CHECK(gch_plan_debt(1ull << 50, 0, 1ull << 49, 1ull << 50) > 1ull << 48);
}
