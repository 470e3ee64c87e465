// SPDX-License-Identifier: GPL-2.0-only
/*
 * R6: what refers to objects that are about to move is looked at again after each pause
 * that ended early: pages that it has looked at stay logged until the one that moves them.
 *
 * Without it: [1-9][0-9]* of [0-9]+ pointers were not corrected
 */
#include "moving.h"

/* One compaction in four has a pause that ends early. */
enum { COMPACTIONS = 100, N = 256, HOT = 8, A_PAUSE = N / HOT, ENOUGH = 4 * A_PAUSE,
	WORD = 8, PAGE = 4096 };

static struct raw h;
static void **hot[HOT];		/* a root: what is written to all the time */
static uint64_t *kept[N];	/* a precise root: objects that move */

/* Objects of a page, of pointers alone. */
static unsigned int pages(void)
{
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_TYPED, PAGE);
	uint64_t map[PAGE / 512];

	memset(map, 0xff, sizeof(map));
	c.fixed_words = PAGE / 8;
	c.fixed_map = (uintptr_t)&map;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	return c.cache;
}

static void **place(int i)
{
	return &hot[i / A_PAUSE][WORD + i % A_PAUSE];
}

/*
 * Keep what is hot logged, so that pauses end early, and write pointers to a page of it after
 * each of those that were to move objects (pages have been unmapped for it): one that had none,
 * and where a pause has looked that was not the last. Return: how many, if objects have moved.
 */
static int one_compaction(void)
{
	struct gcheap_status was = raw_status(&h), s = was, last;
	int n = 0;

	raw_collect_start(&h, GCHEAP_COLLECT_COMPACT);
	do {
		last = s;
		for (int i = 0; i < HOT; i++)
			__atomic_store_n(&hot[i][0], NULL, __ATOMIC_SEQ_CST);
		s = raw_status(&h);
		if (s.pauses == last.pauses || s.phase != GCHEAP_PHASE_TRACE ||
		    last.flip_zapped == was.flip_zapped)
			continue;
		for (int i = 0; i < A_PAUSE && n < N; i++, n++)
			__atomic_store_n(place(n), kept[n], __ATOMIC_SEQ_CST);
	} while (s.cycles == was.cycles);
	CHECK_EQ(s.cycles_failed, 0);
	return s.flips > was.flips ? n : 0;
}

TEST(R6_tracking_outlives_a_pause_before_objects_move)
{
	int written = 0, wrong = 0, i;
	unsigned int movable, all_pointers;

	/* A pointer that is on its way through a register keeps its object where it is. */
	h = moving_open(0);
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 1 << 30);
	raw_param(&h, GCHEAP_PARAM_PAUSE, 1);
	raw_root(&h, 0, hot, sizeof(hot), NULL);
	raw_root(&h, GCHEAP_ROOT_PRECISE, kept, sizeof(kept), NULL);
	movable = raw_typed_as(&h, GCHEAP_CACHE_MOVABLE, 8, 1, 0);
	all_pointers = pages();
	for (i = 0; i < HOT; i++)
		hot[i] = raw_take(&h, all_pointers);
	for (i = 0; i < COMPACTIONS && written < ENOUGH && !wrong; i++) {
		int n;

		moving_fill(&h, movable, kept, N);
		n = one_compaction();
		for (int k = 0; k < n; k++)
			wrong += *place(k) != kept[k];
		for (int k = 0; k < N; k++) {
			*place(k) = NULL;
			CHECK_EQ(kept[k][1], k);
		}
		written += n;
	}
	diag("%d written in time, %d compactions", written, i);
	if (wrong)
		FAIL("%d of %d pointers were not corrected", wrong, written);
	CHECK(written > 0);
	raw_verify(&h);
}

TEST_MAIN
