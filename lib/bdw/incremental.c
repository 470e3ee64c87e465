// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * The incremental mode. The kernel marks beside the program and finds what is written to
 * by itself, so that the mode is marking like that, which is the default anyway, and its
 * steps are the kernel's.
 */
#include "bdw.h"

int bdw_no_incremental;		/* GC_DISABLE_INCREMENTAL */
static bool bdw_incremental;

/* Who runs the program has the last word (GCHEAP_CONCURRENT). */
GCH_API void GC_enable_incremental(void)
{
	bdw_init();
	if (bdw_no_incremental || !gch.concurrent)
		return;
	if (!gcheap_tune(NULL, GCHEAP_TUNE_CONCURRENT, 1))
		WRITE_ONCE(bdw_incremental, true);
}

GCH_API int GC_is_incremental_mode(void)
{
	return READ_ONCE(bdw_incremental);
}

/* System calls may write to objects at any time. */
GCH_API int GC_incremental_protection_needs(void)
{
	return GC_PROTECTS_NONE;
}

GCH_API void GC_start_incremental_collection(void)
{
	bdw_enter();
	if (GC_is_incremental_mode() && !GC_is_disabled())
		gcheap_collect_start();
}

/* There is nothing left to do for the caller. */
GCH_API int GC_collect_a_little(void)
{
	return 0;
}

/* ---- telling of writes */

GCH_API void GC_change_stubborn(const void *object)
{
}

GCH_API void GC_end_stubborn_change(const void *object)
{
}

GCH_API void GC_ptr_store_and_dirty(void *place, const void *value)
{
	WRITE_ONCE(*(const void **)place, value);
}

/* ---- settings without effect */

/*
 * Milliseconds, of which gcheap's pauses are to take half a one: to pass a limit on could
 * only make them longer. GCHEAP_PAUSE is the way to choose.
 */
GCH_API unsigned long GC_time_limit = GC_TIME_UNLIMITED;
static unsigned long bdw_time_limit_ns;
BDW_PAIR(unsigned long, time_limit, GC_time_limit)

GCH_API void GC_set_time_limit_tv(struct GC_timeval_s limit)
{
	WRITE_ONCE(GC_time_limit, limit.tv_ms);
	WRITE_ONCE(bdw_time_limit_ns, limit.tv_nsec);
}

GCH_API struct GC_timeval_s GC_get_time_limit_tv(void)
{
	return (struct GC_timeval_s){
		.tv_ms = READ_ONCE(GC_time_limit),
		.tv_nsec = READ_ONCE(bdw_time_limit_ns),
	};
}

/* The kernel decides how much is collected, and how. */
GCH_API int GC_full_freq = 19;
BDW_PAIR(int, full_freq, GC_full_freq)
static int bdw_rate = 10;
BDW_PAIR(int, rate, bdw_rate)
static int bdw_max_prior_attempts = 1;
BDW_PAIR(int, max_prior_attempts, bdw_max_prior_attempts)

/* No write goes unnoticed. */
static int bdw_manual_vdb_allowed;
BDW_PAIR(int, manual_vdb_allowed, bdw_manual_vdb_allowed)
