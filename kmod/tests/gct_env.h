/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the shared test bodies (selftests/core) need of their surroundings: here
 * KUnit in a kernel full of checks. The host's, selftests/host/env/gct_env.h, has
 * the same name and guard.
 */
#ifndef _GCT_ENV_H
#define _GCT_ENV_H

#include <kunit/test.h>

#include <gcheap_env.h>

#define GCT_SCALE	1

/* The running case: suites run one after another. A failed check ends it. */
extern struct kunit *gct_current;
void gct_fail(const char *file, int line, const char *what, u64 got, u64 want);

#define CHECK(cond) do {						\
		if (!(cond))						\
			gct_fail(__FILE__, __LINE__, #cond, 0, 1);	\
	} while (0)
#define CHECK_EQ(got, want) do {					\
		u64 gct_got = (got), gct_want = (want);			\
									\
		if (gct_got != gct_want)				\
			gct_fail(__FILE__, __LINE__, #got " is " #want,	\
				 gct_got, gct_want);			\
	} while (0)
#define gct_log(fmt, ...)	kunit_info(gct_current, fmt, ##__VA_ARGS__)

/* A heap's lock; @depth: of those that may be held already. */
#define gct_lock(l, depth)	mutex_lock_nested(l, depth)

/* memory.c: counted, failing when told to; for the core and its tests alike. */
void *gct_zalloc(size_t bytes);
void gct_free(void *p);
void *gct_page_alloc(void);
void gct_page_free(void *p);
u32 gct_frame_alloc(void);
void gct_frame_free(u32 frame);
long gct_fail_at(long n);
void *gct_zalloc_nowait(size_t bytes);
void *gct_page_alloc_nowait(void);
void gct_press(bool pressed);
u64 gct_allocs(void);

#ifndef GCT_MEMORY	/* but for where these are made */
#define env_zalloc	gct_zalloc
#define env_free	gct_free
#define env_page_alloc	gct_page_alloc
#define env_page_free	gct_page_free
#define env_zalloc_nowait	gct_zalloc_nowait
#define env_page_alloc_nowait	gct_page_alloc_nowait
#endif

#endif
