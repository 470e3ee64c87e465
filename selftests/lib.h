/* SPDX-License-Identifier: GPL-2.0-only */
/* For tests through the library: objects that know themselves, and are watched. */
#ifndef GCHEAP_SELFTEST_LIB_H
#define GCHEAP_SELFTEST_LIB_H

#include <stdint.h>

#include "../lib/include/gcheap.h"
#include "tap.h"

#define WATCHED	64

struct watched {
	uint64_t id;
	uint64_t sum[5];
};

/* Weak references to the objects: kept here, which is data and so a root. */
static struct gcheap_weak *watch[WATCHED];
static unsigned int nwatched;

/* In a frame of its own, so that the caller's does not have the address. */
static __attribute__((unused, noinline)) void watched_new(void *volatile *place)
{
	struct watched *w = gcheap_alloc(sizeof(*w));
	unsigned int n = __atomic_fetch_add(&nwatched, 1, __ATOMIC_RELAXED);

	CHECK(w && n < WATCHED);
	w->id = n + 1;
	for (int i = 0; i < 5; i++)
		w->sum[i] = w->id * 0x9e3779b97f4a7c15ull + i;
	watch[n] = gcheap_weak_create(w);
	CHECK(watch[n]);
	*place = w;
}

static __attribute__((noinline)) int watched_is_well(const struct watched *w, uint64_t id)
{
	if (w->id != id)
		return 0;
	for (int i = 0; i < 5; i++)
		if (w->sum[i] != id * 0x9e3779b97f4a7c15ull + i)
			return 0;
	return 1;
}

static __attribute__((noinline)) void wipe_stack(void)
{
	volatile char wiped[32768];

	for (size_t i = 0; i < sizeof(wiped); i++)
		wiped[i] = 0;
}

/* Collect, and take what has become free for something else. */
static __attribute__((noinline)) void churn(void)
{
	for (int round = 0; round < 2; round++) {
		wipe_stack();
		CHECK_EQ(gcheap_collect(), 0);
		for (int i = 0; i < 20000; i++) {
			char *p = gcheap_alloc(sizeof(struct watched));

			CHECK(p);
			for (size_t k = 0; k < sizeof(struct watched); k++)
				CHECK(!p[k]);
			memset(p, 0xa5, sizeof(struct watched));
		}
	}
	wipe_stack();
}

/* How many of the objects are there; each that is must be as it was made. */
static __attribute__((noinline)) unsigned int watched_alive(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < nwatched; i++) {
		struct watched *w = gcheap_weak_get(watch[i]);

		if (!w)
			continue;
		CHECK(watched_is_well(w, i + 1));
		n++;
	}
	return n;
}

/* Stale copies in registers and stacks may keep a few. */
static UNUSED void expect_gone(unsigned int of)
{
	unsigned int alive;

	churn();
	alive = watched_alive();
	CHECK(alive <= of / 4 + 1);
}

static UNUSED void expect_alive(unsigned int n)
{
	churn();
	CHECK_EQ(watched_alive(), n);
}

#endif
