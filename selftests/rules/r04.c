// SPDX-License-Identifier: GPL-2.0-only
/*
 * R4: order of the bits. A worker that marks a cell in a span which another one is scanning
 * leaves it to that one, which therefore looks at the mark bits once more after it has said
 * that it is done.
 *
 * Without it: [0-9]+ objects were lost
 */
#include "../raw.h"

/* Chains that go to and fro between two spans each, so that two workers do. */
enum { CHAINS = 4, CELLS = 8192 / 32, OBJECTS = 2 * CHAINS * CELLS, CYCLES = 25 };

static uint64_t *object[OBJECTS], *head[CHAINS];

static void make_chains(struct raw *h, unsigned int c)
{
	uint64_t **a, **b;

	for (int i = 0; i < OBJECTS; i++)
		object[i] = raw_take(h, c);
	for (int i = 0; i < CHAINS; i++) {
		a = object + 2 * i * CELLS;
		b = a + CELLS;
		head[i] = a[0];
		for (int k = 0; k < CELLS; k++) {
			*a[k] = (uintptr_t)b[k];
			*b[k] = k + 1 < CELLS ? (uintptr_t)a[k + 1] : 0;
		}
	}
}

static unsigned int lost(struct raw *h)
{
	unsigned int n = 0;

	for (int i = 0; i < OBJECTS; i++)
		n += !raw_is_live(h, (uintptr_t)object[i]);
	return n;
}

static void cycles(bool concurrent)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 32), n;
	uint64_t helped;

	raw_param(&h, GCHEAP_PARAM_WORKERS, 3);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, concurrent);
	/* It would tell of what was not scanned, and not as a loss. */
	raw_param(&h, GCHEAP_PARAM_VERIFY, 0);
	raw_hold(&h);
	raw_root(&h, 0, head, sizeof(head), NULL);
	make_chains(&h, c);
	raw_flush(&h);
	for (int i = 0; i < CYCLES; i++) {
		raw_collect(&h);
		n = lost(&h);
		if (n)
			FAIL("%u objects were lost", n);
	}
	helped = raw_status(&h).helped_bytes;
	diag("%s: helpers marked %" PRIu64 " of %u KiB", concurrent ? "concurrent" : "stopped",
	     helped >> 10, CYCLES * OBJECTS * 32 >> 10);
	CHECK(helped);
	memset(head, 0, sizeof(head));
}

TEST(R4_order_of_bits)
{
	raw_stress(50);
	cycles(false);
	cycles(true);
	raw_stress(0);
}

TEST_MAIN
