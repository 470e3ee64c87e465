// SPDX-License-Identifier: GPL-2.0-only
/* Marking while the program runs, by a collector that dawdles and changes its mind. */
#include "trace.h"

static struct trace t;

/*
 * Where the collector has fallen far behind a cycle takes long: the more so, the slower the
 * machine. Twelve cycles, or at least three and as many as half a minute has.
 */
static bool cycles(void (*put)(struct trace *t, void **word, void *value))
{
	uint64_t end = now_ns() + 30000000000ull;

	for (unsigned int i = 0; i < tap_times(4) && (!i || now_ns() < end); i++)
		if (!trace_cycles(&t, 3, put))
			return false;
	return true;
}

/*
 * Steps of the collector take their time, and pauses end early at all of their points.
 * Moves between few pages are all to what pauses have logged, and moves between many to
 * more than they can.
 */
static void under_stress(unsigned int way, uint32_t collect,
			 void (*put)(struct trace *t, void **word, void *value))
{
	static const int hot[] = { 24, 200, PLACES };
	bool intact = true;

	trace_open_checked(&t, way);
	t.collect = collect;
	if (!raw_stress(300))
		SKIP("module parameters cannot be set");
	for (int i = 0; i < 3 && intact; i++) {
		t.hot = hot[i];
		intact = cycles(put);
	}
	raw_stress(0);
	CHECK(intact);
	diag("%llu pauses in %llu cycles", raw_status(&t.h).pauses, raw_status(&t.h).cycles);
	CHECK(raw_status(&t.h).pauses > 2 * raw_status(&t.h).cycles + 2);
	CHECK_EQ(raw_status(&t.h).check_lost, 0);
	raw_verify(&t.h);
}

TEST(stress_with_dirty_bits)
{
	under_stress(GCHEAP_TRACK_DIRTY, 0, trace_store);
}

TEST(stress_with_protection)
{
	under_stress(GCHEAP_TRACK_PROTECT, 0, trace_store);
}

TEST(stress_with_unmapping)
{
	under_stress(GCHEAP_TRACK_UNMAP, 0, trace_store);
}

TEST(stress_with_young_collections)
{
	under_stress(GCHEAP_TRACK_DIRTY, GCHEAP_COLLECT_YOUNG, trace_store);
}

TEST(stress_with_new_objects)
{
	under_stress(GCHEAP_TRACK_DEFAULT, 0, trace_store_in_new);
}

TEST_MAIN
