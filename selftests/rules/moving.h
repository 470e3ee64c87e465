/* SPDX-License-Identifier: GPL-2.0-only */
/* A heap whose objects move when it is compacted, and objects to move. */
#ifndef GCHEAP_TEST_MOVING_H
#define GCHEAP_TEST_MOVING_H

#include "../raw.h"

enum { OF = 16 };	/* one in so many is kept */

static struct raw moving_open(unsigned int setup)
{
	struct raw h = raw_open(setup);

	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&h, GCHEAP_PARAM_EVACUATE, 1);
	return h;
}

/* Those that are kept, @n of them, have their numbers in word 1. */
UNUSED static NOINLINE void moving_fill(struct raw *h, unsigned int cache, uint64_t **kept,
					int n)
{
	raw_hold(h);
	for (int i = 0; i < n * OF; i++) {
		uint64_t *p = raw_take(h, cache);

		p[1] = i / OF;
		kept[i / OF] = p;
	}
	raw_unhold(h);
	raw_flush(h);
}

#endif
