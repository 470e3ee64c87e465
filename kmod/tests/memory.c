// SPDX-License-Identifier: GPL-2.0-only
/* Memory for the core under test. */
#include <asm/io.h>

#define GCT_MEMORY
#include "gct_env.h"

/* The module under test has its own (stress.c). */
uint gch_stress;

void gch_stress_spin(void)
{
}

static u64 allocs;	/* that are not freed */
static long fail_at;	/* the n-th from now fails, 0: none */

static bool pressed;	/* nothing without sleeping */

static bool fails(void)
{
	return fail_at && !--fail_at;
}

static void *counted(void *p)
{
	allocs += !!p;
	return p;
}

void *gct_zalloc(size_t bytes)
{
	return fails() ? NULL : counted(env_zalloc(bytes));
}

void gct_free(void *p)
{
	allocs -= !!p;
	env_free(p);
}

void *gct_page_alloc(void)
{
	return fails() ? NULL : counted(env_page_alloc());
}

void gct_page_free(void *p)
{
	allocs -= !!p;
	env_page_free(p);
}

void *gct_zalloc_nowait(size_t bytes)
{
	return pressed ? NULL : gct_zalloc(bytes);
}

void *gct_page_alloc_nowait(void)
{
	return pressed ? NULL : gct_page_alloc();
}

void gct_press(bool now)
{
	pressed = now;
}

u32 gct_frame_alloc(void)
{
	void *p = gct_page_alloc();

	return p ? virt_to_phys(p) >> PAGE_SHIFT : 0;
}

void gct_frame_free(u32 frame)
{
	gct_page_free(env_frame_addr(frame));
}

long gct_fail_at(long n)
{
	long left = fail_at;

	fail_at = n;
	return left;
}

u64 gct_allocs(void)
{
	return allocs;
}
