// SPDX-License-Identifier: GPL-2.0-only
/*
 * R16: an ambiguous word one past the end keeps the object where it is: the loop that has
 * it goes back by it, when everybody else has been told that the object has moved.
 *
 * Without it: lost: what is before the address has moved away
 */
#include "moving.h"

enum { N = 1000, CELL = 64 };

static struct raw h;
static char *kept[N];	/* a precise root */
static char *end;	/* an ambiguous one */

TEST(R16_one_past_the_end_of_what_could_move)
{
	unsigned int c;
	int mine = -1;

	h = moving_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_root(&h, GCHEAP_ROOT_PRECISE, kept, sizeof(kept), NULL);
	raw_root(&h, 0, &end, sizeof(end), NULL);
	c = raw_cache_as(&h, GCHEAP_CACHE_MOVABLE | GCHEAP_CACHE_PAST_END, GCHEAP_NOSCAN, CELL);
	raw_hold(&h);
	for (int i = 0; i < N * OF; i++) {
		char *p = memset(raw_take(&h, c), 0x5a, CELL);

		if (i / OF == mine)
			continue;
		kept[i / OF] = p;
		/* What is behind the last one of a span is in another. */
		if (mine < 0 && i / OF > N / 2 && !(((uintptr_t)p + CELL) % GCHEAP_SLOT_SIZE)) {
			mine = i / OF;
			end = p + CELL;
		}
	}
	raw_unhold(&h);
	raw_flush(&h);
	CHECK(mine > 0);
	raw_compact(&h, N / 2 + 1);
	if (kept[mine] != end - CELL)
		FAIL("lost: what is before the address has moved away");
	CHECK(raw_status(&h).spans_pinned > 0);
	for (int i = 0; i < N; i++)
		CHECK_EQ(kept[i][0], 0x5a);
	raw_verify(&h);
}

TEST_MAIN
