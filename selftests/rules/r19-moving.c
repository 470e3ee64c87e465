// SPDX-License-Identifier: GPL-2.0-only
/*
 * R19: also when objects move, weak fields are cleared before finalizable objects come back
 * to life; and what comes back refers to where things have gone.
 *
 * Without it: a weak field refers to what has come back to life
 */
#include "moving.h"

enum { N = 500, WEAK = 1, MAGIC = 2 };

static struct raw h;
static uint64_t **kept;		/* a precise root: they refer weakly to what dies */

/* What has a finalizer does not move, nor do others in its span. */
static NOINLINE void fill(unsigned int movable, unsigned int stays)
{
	raw_hold(&h);
	for (int i = 0; i < N * OF; i++) {
		uint64_t *holder = raw_take(&h, movable), *dies, *child;
		struct gcheap_finalizer f = { .size = sizeof(f), .cookie = i / OF };

		if (i % OF)
			continue;
		dies = raw_take(&h, stays);
		child = raw_take(&h, movable);
		child[MAGIC] = i / OF;
		dies[0] = (uintptr_t)child;
		dies[WEAK] = (uintptr_t)child;
		holder[WEAK] = (uintptr_t)dies;
		holder[MAGIC] = ~(uintptr_t)child;	/* hidden: not in the map */
		f.addr = (uintptr_t)dies;
		CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZER, &f), 0);
		kept[i / OF] = holder;
	}
	raw_unhold(&h);
	raw_flush(&h);
}

TEST(R19_resurrection_while_objects_move)
{
	static struct gcheap_ready r[N];
	struct gcheap_finalizers q = { .size = sizeof(q), .max = N, .items = (uintptr_t)r };
	int moved = 0;

	h = moving_open(GCHEAP_SETUP_PRECISE_ONLY);
	kept = calloc(N, sizeof(*kept));
	CHECK(kept);
	raw_root(&h, GCHEAP_ROOT_PRECISE, kept, N * sizeof(*kept), NULL);
	fill(raw_typed_as(&h, GCHEAP_CACHE_MOVABLE, 4, 1, 1 << WEAK),
	     raw_typed(&h, 4, 1, 1 << WEAK));
	raw_compact(&h, N + 1);
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZERS, &q), 0);
	CHECK_EQ(q.got, N);
	for (int i = 0; i < N; i++) {
		const uint64_t *dies = (void *)(uintptr_t)r[i].addr;
		const uint64_t *child = (void *)(uintptr_t)dies[0];
		const uint64_t *holder = kept[r[i].cookie];

		if (holder[WEAK])
			FAIL("a weak field refers to what has come back to life");
		CHECK_EQ(child[MAGIC], r[i].cookie);
		CHECK_EQ(dies[WEAK], dies[0]);
		moved += (uintptr_t)child != ~holder[MAGIC];
	}
	diag("%d of %d moved", moved, N);
	CHECK(moved > 0);
	raw_verify(&h);
}

TEST_MAIN
