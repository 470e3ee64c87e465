// SPDX-License-Identifier: GPL-2.0-only
/*
 * R6: tracking outlives a pause. Pages that a pause has looked at stay logged until the
 * marking is complete: if it ends early, the program writes to them again, and they are
 * writable.
 *
 * Without it: [1-9][0-9]* of [0-9]+ objects were lost
 */
#include "../raw.h"

/* Delays so long that without the rule two cycles of three lose something. */
enum { CYCLES = 30, STRESS_US = 3000, HOLDERS = 256, HOT = 2, WORD = 8, FIRST_PAUSES = 2 };

static struct raw h;
static void **from[HOLDERS];	/* registered: objects that refer to holders */
static void **held[HOLDERS];	/* registered: the holders, meanwhile */
static void **hot[HOT];		/* registered: what is written to all the time */
static uintptr_t leaf[HOLDERS];	/* hidden */

static NOINLINE void fill(unsigned int big, unsigned int small)
{
	for (int i = 0; i < HOT; i++)
		hot[i] = raw_take(&h, big);
	for (int i = 0; i < HOLDERS; i++) {
		void **holder = raw_take(&h, big);
		void *p = raw_take(&h, small);

		from[i] = raw_take(&h, big);
		from[i][WORD] = holder;
		holder[WORD] = p;
		leaf[i] = ~(uintptr_t)p;
	}
}

/* Keep what is hot logged until so many pauses have been, or the marking is over. */
static bool await_pause(uint64_t cycle, uint64_t pauses)
{
	struct gcheap_status s;

	do {
		for (int i = 0; i < HOT; i++)
			__atomic_store_n(&hot[i][0], NULL, __ATOMIC_SEQ_CST);
		s = raw_status(&h);
	} while (s.cycles == cycle && s.pauses < pauses);
	CHECK_EQ(s.cycles_failed, 0);
	return s.phase == GCHEAP_PHASE_TRACE;
}

/* In both for a moment, so that it is always referred to. */
static void move(void **to, void **at)
{
	__atomic_store_n(to, *at, __ATOMIC_SEQ_CST);
	__atomic_store_n(at, NULL, __ATOMIC_SEQ_CST);
}

/*
 * Holders are hidden from the marking in a root that has been read, until the pause finds
 * them there. It ends at once, and what they hold goes where that pause has looked.
 */
static int one_cycle(void)
{
	struct gcheap_status s = raw_status(&h);
	int moved = 0;

	raw_collect_start(&h, 0);
	if (await_pause(s.cycles, s.pauses + 1))
		for (int i = HOLDERS; i--;)
			move((void **)&held[i], &from[i][WORD]);
	if (await_pause(s.cycles, s.pauses + FIRST_PAUSES))
		for (; moved < HOLDERS && held[moved]; moved++)
			move(&hot[moved % HOT][WORD + moved / HOT], &held[moved][WORD]);
	await_pause(s.cycles, UINT64_MAX);
	return moved;
}

/* As before the cycle. Return: how many of those moved are gone; they are given up. */
static int restore(int moved)
{
	int gone = 0;

	for (int i = 0; i < moved; i++) {
		gone += !raw_is_live(&h, ~leaf[i]);
		move(&held[i][WORD], &hot[i % HOT][WORD + i / HOT]);
	}
	for (int i = 0; i < HOLDERS && held[i]; i++)
		move(&from[i][WORD], (void **)&held[i]);
	return gone;
}

TEST(R6_tracking_outlives_a_pause)
{
	int moved = 0, gone = 0;

	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 1 << 30);
	raw_param(&h, GCHEAP_PARAM_PAUSE, 1);
	raw_root(&h, 0, from, sizeof(from), NULL);
	raw_root(&h, 0, held, sizeof(held), NULL);
	raw_root(&h, 0, hot, sizeof(hot), NULL);
	fill(raw_cache(&h, GCHEAP_CONSERVATIVE, 4096), raw_cache(&h, GCHEAP_NOSCAN, 32));
	raw_collect(&h);
	if (!raw_stress(STRESS_US))
		SKIP("module parameters cannot be set");
	for (int i = 0; i < CYCLES && !gone; i++) {
		int n = one_cycle();

		gone = restore(n);
		moved += n;
	}
	raw_stress(0);
	diag("%d moved in time", moved);
	if (gone)
		FAIL("%d of %d objects were lost", gone, moved);
	CHECK(moved > 0);
	raw_verify(&h);
}

TEST_MAIN
