// SPDX-License-Identifier: GPL-2.0-only
/*
 * R19: weak fields that refer to what was not reached are cleared before finalizable
 * objects come back to life: nobody gets at an object whose finalizer is about to run.
 *
 * Without it: a weak field refers to what has come back to life
 */
#include "../raw.h"

static struct raw h;
static uint64_t *holder;

static void in_a_cycle(bool concurrent)
{
	unsigned int typed = raw_typed(&h, 4, 1, 2);
	struct gcheap_finalizer f = { .size = sizeof(f), .cookie = 1 };
	uint64_t *dies = raw_take(&h, typed), *child = raw_take(&h, typed);
	struct gcheap_ready r;
	struct gcheap_finalizers q = { .size = sizeof(q), .max = 1, .items = (uintptr_t)&r };

	raw_param(&h, GCHEAP_PARAM_CONCURRENT, concurrent);
	holder = raw_take(&h, typed);
	holder[1] = (uintptr_t)dies;
	dies[0] = (uintptr_t)child;
	dies[1] = (uintptr_t)child;
	f.addr = (uintptr_t)dies;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZER, &f), 0);
	raw_flush(&h);
	raw_collect(&h);
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZERS, &q), 0);
	CHECK_EQ(q.got, 1);
	CHECK_EQ(r.addr, (uintptr_t)dies);
	if (holder[1])
		FAIL("a weak field refers to what has come back to life");
	/* It came back with what it refers to, also weakly: that is what it is for. */
	CHECK_EQ(dies[0], (uintptr_t)child);
	raw_verify(&h);
}

TEST(R19_resurrection)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_root(&h, 0, &holder, sizeof(holder), NULL);
	in_a_cycle(false);
	in_a_cycle(true);
}

TEST_MAIN
