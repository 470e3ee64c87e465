// SPDX-License-Identifier: GPL-2.0-only
/*
 * R1: vector registers are roots. A compiler moves a pair of pointers through an
 * xmm register, and at that moment they are nowhere else.
 *
 * Without it: lost: its only reference was in xmm
 */
#include "../raw.h"

static uint64_t pair[2] __attribute__((used));
static volatile int ready __attribute__((used)), stop __attribute__((used));

static void *swap_pair(void *arg)
{
	__asm__ volatile("movdqu pair(%%rip), %%xmm9\n"
			 "pcmpeqd %%xmm10, %%xmm10\n"
			 "pxor %%xmm10, %%xmm9\n"
			 "movl $1, ready(%%rip)\n"
			 "1: pause\n cmpl $0, stop(%%rip)\n je 1b\n"
			 "pxor %%xmm9, %%xmm9\n" : : : "xmm9", "xmm10", "memory", "cc");
	return NULL;
}

TEST(R1_vector_registers)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	pthread_t t;

	anchor(&h, c);
	pair[0] = take_hidden(&h, c);
	pair[1] = take_hidden(&h, c);
	settle(&h);
	t = spawn(swap_pair, NULL);
	while (!ready)
		usleep(100);
	raw_collect(&h);
	if (!hidden_live(&h, pair[0]) || !hidden_live(&h, pair[1]))
		FAIL("lost: its only reference was in xmm9");
	stop = 1;
	pthread_join(t, NULL);
}

TEST_MAIN
