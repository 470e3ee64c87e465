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
enum { CHAINS = 4, SPANS = 2 * CHAINS, SPAN_BYTES = 8192, SMALLEST = 16, CYCLES = 25 };

static uint64_t *object[SPANS * SPAN_BYTES / SMALLEST], *head[CHAINS];

/* Of @cells a span. */
static void make_chains(struct raw *h, unsigned int c, int cells)
{
	uint64_t **a, **b;

	for (int i = 0; i < SPANS * cells; i++)
		object[i] = raw_take(h, c);
	for (int i = 0; i < CHAINS; i++) {
		a = object + 2 * i * cells;
		b = a + cells;
		head[i] = a[0];
		for (int k = 0; k < cells; k++) {
			*a[k] = (uintptr_t)b[k];
			*b[k] = k + 1 < cells ? (uintptr_t)a[k + 1] : 0;
		}
	}
}

static unsigned int lost(struct raw *h, int cells)
{
	unsigned int n = 0;

	for (int i = 0; i < SPANS * cells; i++)
		n += !raw_is_live(h, (uintptr_t)object[i]);
	return n;
}

static void cycles(bool concurrent, int bytes)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, bytes), n;
	int cells = SPAN_BYTES / bytes;
	uint64_t helped;

	raw_param(&h, GCHEAP_PARAM_WORKERS, 3);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, concurrent);
	/* It would tell of what was not scanned, and not as a loss. */
	raw_param(&h, GCHEAP_PARAM_VERIFY, 0);
	raw_hold(&h);
	raw_root(&h, 0, head, sizeof(head), NULL);
	make_chains(&h, c, cells);
	raw_flush(&h);
	for (int i = 0; i < CYCLES; i++) {
		raw_collect(&h);
		n = lost(&h, cells);
		if (n)
			FAIL("%u objects were lost", n);
	}
	helped = raw_status(&h).helped_bytes;
	diag("%s, cells of %d bytes: helpers marked %" PRIu64 " of %u KiB",
	     concurrent ? "concurrent" : "stopped", bytes, helped >> 10,
	     CYCLES * SPANS * SPAN_BYTES >> 10);
	CHECK(helped);
	memset(head, 0, sizeof(head));
}

TEST(R4_order_of_bits)
{
	raw_stress(50);
	for (int bytes = SMALLEST; bytes <= 2 * SMALLEST; bytes *= 2) {
		cycles(false, bytes);
		cycles(true, bytes);
	}
	raw_stress(0);
}

TEST_MAIN
