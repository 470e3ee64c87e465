/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the shared test bodies (selftests/core) need of their surroundings: here a
 * program on the host. The kernel's, kmod/tests/gct_env.h, has the same name and
 * guard.
 */
#ifndef _GCT_ENV_H
#define _GCT_ENV_H

#include <gcheap_env.h>

#include "frames.h"

#define GCT_SCALE	10	/* how much more to do than in a kernel full of checks */

/* A failed check ends the test. */
void gct_fail(const char *file, int line, const char *what, u64 got, u64 want)
	__attribute__((noreturn));

#define CHECK(cond) do {						\
		if (!(cond))						\
			gct_fail(__FILE__, __LINE__, #cond, 0, 1);	\
	} while (0)
#define CHECK_EQ(got, want) do {					\
		u64 gct_got = (got), gct_want = (want);			\
		if (gct_got != gct_want)				\
			gct_fail(__FILE__, __LINE__, #got " is " #want,	\
				 gct_got, gct_want);			\
	} while (0)
#define gct_log(fmt, ...)	dprintf(1, "# " fmt "\n", ##__VA_ARGS__)

/* Nobody watches the order of locks. */
#define gct_lock(l, depth)	env_lock(((void)(depth), l))

static inline u32 gct_frame_alloc(void)
{
	return frame_alloc();
}

static inline void gct_frame_free(u32 frame)
{
	frame_release(frame);
}

/* Let the n-th allocation from now fail, 0: none. Return: how many were left. */
static inline long gct_fail_at(long n)
{
	long left = env_fail_at;

	env_fail_at = n;
	return left;
}

/* Whether there is no memory to be had without sleeping. */
static inline void gct_press(bool pressed)
{
	env_pressed = pressed;
}

/* Allocations not freed. */
static inline u64 gct_allocs(void)
{
	return env_allocs;
}

#endif
