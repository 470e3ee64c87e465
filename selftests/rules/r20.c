// SPDX-License-Identifier: GPL-2.0-only
/*
 * R20: untrusted edges. A touch outside of handed-out spans is SIGBUS and brings
 * in no page; mlock does not populate the reservation.
 *
 * Without it: memory outside of every span
 */
#include "../raw.h"
#include <setjmp.h>
#include <sys/resource.h>

static sigjmp_buf jump;

static void on_bus(int sig)
{
	siglongjmp(jump, 1);
}

TEST(R20_outside_of_spans)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	struct rlimit l = { RLIM_INFINITY, RLIM_INFINITY };
	uint64_t resident;

	memset(raw_take(&h, c), 1, 64);
	resident = raw_status(&h).resident_bytes;
	signal(SIGBUS, on_bus);
	if (!sigsetjmp(jump, 1)) {
		*(volatile char *)(h.base + h.setup.heap_size - GCHEAP_CHUNK_SIZE) = 1;
		FAIL("memory outside of every span");
	}
	setrlimit(RLIMIT_MEMLOCK, &l);
	mlock(h.base, h.setup.heap_size);
	CHECK_EQ(raw_status(&h).resident_bytes, resident);
}

TEST_MAIN
