// SPDX-License-Identifier: GPL-2.0-only
/*
 * R17: pages share memory only as long as nobody is handed what is free in them, which may
 * be somebody else's object; and what has written to the memory, not through one of the
 * pages, has written to any of them.
 *
 * Without it: [1-9][0-9]* of [0-9]+ writes were missed
 */
#include "../raw.h"
#include <sys/uio.h>

enum { CELL = 64, A_SLOT = GCHEAP_SLOT_SIZE / CELL, SLOTS = 64, CYCLES = 20, STRESS_US = 5000 };

static struct raw h;
static unsigned int cache;
static uint64_t *kept[SLOTS];

/* Of each slot one object, at a place that no other has; all of them share memory. */
static void mesh(unsigned int layout, int with)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	cache = raw_cache(&h, layout, CELL);
	/* Without the rule what it looks for is broken. */
	raw_param(&h, GCHEAP_PARAM_VERIFY, 0);
	raw_param(&h, GCHEAP_PARAM_MESH, 1);
	raw_hold(&h);
	raw_root(&h, GCHEAP_ROOT_PRECISE, kept, sizeof(kept), NULL);
	for (int i = 0; i < SLOTS * A_SLOT; i++) {
		uint64_t *p = memset(raw_take(&h, cache), with, CELL);

		if (i % A_SLOT == i / A_SLOT)
			kept[i / A_SLOT] = p;
	}
	raw_flush(&h);
	raw_collect_as(&h, GCHEAP_COLLECT_COMPACT);
	CHECK(raw_status(&h).meshed_bytes > 0);
}

TEST(R17_handed_out_alone)
{
	mesh(GCHEAP_NOSCAN, 0x5a);
	raw_param(&h, GCHEAP_PARAM_LIMIT, raw_status(&h).heap_bytes);
	for (int i = 0; i < SLOTS * (A_SLOT - 1); i++)
		memset(raw_take(&h, cache), 0xa5, CELL);
	for (int i = 0; i < SLOTS; i++)
		for (int w = 0; w < CELL / 8; w++)
			if (kept[i][w] != 0x5a5a5a5a5a5a5a5a)
				FAIL("lost: written over through a page that shares its memory");
}

/*
 * The kernel writes an object's only reference, while marking is under way, to memory that
 * many pages share: which of these it was it does not say. Return: whether in time.
 */
static bool one_cycle(unsigned int leaves, uint64_t *seed, bool *missed)
{
	uint64_t *to = &kept[rnd(seed) % SLOTS][2], before = raw_status(&h).cycles, word;
	struct iovec src = { &word, 8 }, dst = { to, 8 };
	uintptr_t hidden;
	bool in_time;

	/* Writable entries: that of the page itself tells nothing then. */
	for (int i = 0; i < SLOTS; i++)
		kept[i][1] = 1;
	hidden = take_hidden(&h, leaves);
	raw_flush(&h);
	raw_collect_start(&h, 0);
	while (raw_status(&h).phase != GCHEAP_PHASE_TRACE && raw_status(&h).cycles == before)
		usleep(100);
	usleep(rnd(seed) % (4 * STRESS_US));
	word = ~hidden;
	CHECK_EQ(process_vm_writev(getpid(), &src, 1, &dst, 1, 0), 8);
	word = 0;
	/* This thread is stopped in pauses: after the last one it sees another phase. */
	in_time = raw_status(&h).phase == GCHEAP_PHASE_TRACE && raw_status(&h).cycles == before;
	while (raw_status(&h).cycles == before)
		usleep(1000);
	*missed = !hidden_live(&h, hidden);
	*to = 0;
	return in_time;
}

TEST(R17_written_through_any)
{
	unsigned int leaves, writes = 0, unseen = 0;
	uint64_t seed = raw_seed();
	bool missed;

	mesh(GCHEAP_CONSERVATIVE, 0);
	leaves = raw_cache(&h, GCHEAP_NOSCAN, 32);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&h, GCHEAP_PARAM_TRACK, GCHEAP_TRACK_DIRTY);
	if (!raw_stress(STRESS_US))
		SKIP("module parameters cannot be set");
	for (int i = 0; i < 10 * CYCLES && writes < CYCLES; i++) {
		if (!one_cycle(leaves, &seed, &missed))
			continue;
		writes++;
		unseen += missed;
	}
	raw_stress(0);
	CHECK(raw_status(&h).meshed_bytes > 0);
	CHECK(writes >= 5);
	if (unseen)
		FAIL("%u of %u writes were missed", unseen, writes);
}

TEST_MAIN
