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

	trace_open(&t, GCHEAP_TRACK_PROTECT);
	CHECK(trace_cycles(&t, 10, trace_store));
}

TEST_MAIN
