/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/*
 * For tests of what keeps objects: some that are counted when they are gone. Stale words
 * may keep a few, so that "gone" means most of them, while "kept" means all.
 */
#ifndef BDW_TEST_COUNT_H
#define BDW_TEST_COUNT_H

#define GC_THREADS
#define GC_ATTR_DEPRECATED	/* variables that programs still use */
#include <gc/gc.h>

#define COUNTED		32

static int counted_gone;

static void counted_finalize(void *object, void *unused)
{
	counted_gone++;
}

/* In every place an object, which has to know itself as long as it is kept. */
static NOINLINE void counted_make(void *volatile *place, int n)
{
	for (int i = 0; i < n; i++) {
		long *object = GC_MALLOC(64);

		CHECK(object);
		object[0] = 0x600d + i;
		GC_REGISTER_FINALIZER_NO_ORDER(object, counted_finalize, NULL, NULL, NULL);
		place[i] = object;
	}
}

static NOINLINE void counted_check(void *volatile *place, int n)
{
	for (int i = 0; i < n; i++)
		CHECK_EQ(((long *)place[i])[0], 0x600d + i);
}

static NOINLINE void counted_wipe(void)
{
	volatile char wiped[16384];

	for (size_t i = 0; i < sizeof(wiped); i++)
		wiped[i] = 0;
}

/* Collect, and take what has become free for something else. */
static NOINLINE void counted_collect(void)
{
	for (int round = 0; round < 3; round++) {
		counted_wipe();
		GC_gcollect();
		GC_invoke_finalizers();
		for (int i = 0; i < 2000; i++)
			memset(GC_MALLOC(64), 0x11, 64);
	}
}

UNUSED static NOINLINE void counted_kept(void)
{
	counted_collect();
	CHECK_EQ(counted_gone, 0);
}

UNUSED static NOINLINE void counted_dropped(int n)
{
	counted_collect();
	diag("%d of %d gone", counted_gone, n);
	CHECK(counted_gone >= n * 3 / 4 && counted_gone <= n);
	counted_gone = 0;
}

#endif
