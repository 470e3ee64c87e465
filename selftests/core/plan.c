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
