// SPDX-License-Identifier: GPL-2.0-only
/*
 * R2: pages written while marking is under way are looked at again, black cells on
 * them as well as marked ones.
 *
 * Without it: object [0-9]+ is gone
 */
#include "../trace.h"

TEST(R2_dirty_pages)
{
	static struct trace t;
	unsigned int small;

	trace_open(&t, GCHEAP_TRACK_PROTECT);
	small = raw_cache(&t.h, GCHEAP_CONSERVATIVE, 32);
	CHECK(trace_cycles(&t, 10, small, trace_store));
}

TEST_MAIN
