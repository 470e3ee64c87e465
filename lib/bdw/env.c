// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * bdwgc's environment variables, of which GCHEAP_* of the same meaning have the last word.
 * Most are set to anything, 0 as well, to be on. Unknown here, and without effect:
 *   GC_RETRY_SIGNALS GC_USE_GETWRITEWATCH	there are no signals, no way to choose
 *   GC_LARGE_ALLOC_WARN_INTERVAL GC_NO_BLACKLIST_WARNING	no such warnings
 *   GC_BACKTRACES GC_COLLECT_AT_MALLOC	Debian's has not
 *   GC_PRINT_BACK_HEIGHT GC_TRACE GC_IGNORE_GCJ_INFO	for who debugs bdwgc itself
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bdw.h"

static bool bdw_env_is_zero(const char *value)
{
	return !strcmp(value, "0");
}

static void bdw_env_on(const char *value, int *on)
{
	*on = 1;
}

static void bdw_env_on_unless_0(const char *value, int *on)
{
	*on = !bdw_env_is_zero(value);
}

static void bdw_env_positive(const char *value, int *to)
{
	int n = atoi(value);

	if (n > 0)
		*to = n;
}

static void bdw_env_log_file(const char *value, int *unused)
{
	const char *only = secure_getenv("GC_ONLY_LOG_TO_FILE");

	bdw_log_file(value, only && !bdw_env_is_zero(only));
}

static void bdw_env_verbose(const char *value, int *level)
{
	*level = 2;
}

/* Bytes, with a suffix perhaps; 0: not as it should be. */
static uint64_t bdw_env_bytes(const char *value)
{
	static const char units[] = "kmg";
	const char *unit;
	uint64_t n;
	char *end;

	if (!isdigit((unsigned char)*value))
		return 0;
	n = strtoull(value, &end, 10);
	if (!*end)
		return n;
	unit = strchr(units, tolower((unsigned char)*end));
	if (!unit || end[1] || n > UINT64_MAX >> 30)
		return 0;
	return n << 10 * (unit - units + 1);
}

static void bdw_env_initial(const char *value, int *unused)
{
	uint64_t bytes = bdw_env_bytes(value);

	if (!bytes || !bdw_expand_to(bytes))
		bdw_warn("GC Warning: Bad initial heap size %s - ignoring it.\n", (GC_word)value);
}

static void bdw_env_maximum(const char *value, int *unused)
{
	uint64_t bytes = bdw_env_bytes(value);

	if (!GC_get_max_retries())
		GC_set_max_retries(2);
	if (bytes)
		GC_set_max_heap_size(bytes);
	else
		bdw_warn("GC Warning: Bad maximum heap size %s - ignoring it.\n", (GC_word)value);
}

static void bdw_env_markers(const char *value, int *unused)
{
	int n = atoi(value);

	if (n <= 0)
		bdw_warn("GC Warning: Invalid number of mark threads: %s\n", (GC_word)value);
	else
		GC_set_markers_count(n);
}

static void bdw_env_divisor(const char *value, int *unused)
{
	int n = atoi(value);

	if (n > 0)
		GC_set_free_space_divisor(n);
}

static void bdw_env_pause(const char *value, int *unused)
{
	long n = atol(value);

	if (n > 0)
		GC_set_time_limit(n);
	else
		bdw_warn("GC Warning: GC_PAUSE_TIME_TARGET environment variable value too small "
			 "or bad syntax: %s\n", (GC_word)value);
}

static void bdw_env_incremental(const char *value, int *unused)
{
	GC_enable_incremental();
}

/* One at once, others with each collection. */
static void bdw_env_dump(const char *value, int *on)
{
	*on = 1;
	GC_dump();
}

/* Free pages stay in spans then. */
static void bdw_env_unmap(const char *value, int *unused)
{
	if (bdw_env_is_zero(value))
		gcheap_tune(NULL, GCHEAP_TUNE_RELEASE, 0);
}

static void bdw_env_compact(const char *value, int *unused)
{
	GC_set_force_unmap_on_gcollect(!bdw_env_is_zero(value));
}

/* In this order: those about messages first. @ours has been taken already. */
static const struct {
	const char *name;
	void (*take)(const char *value, int *to);
	int *to;
	const char *ours;
} bdw_env_known[] = {
	{ "GC_LOG_FILE", bdw_env_log_file, NULL, NULL },
	{ "GC_PRINT_STATS", bdw_env_on, &bdw_print_stats, NULL },
	{ "GC_PRINT_VERBOSE_STATS", bdw_env_verbose, &bdw_print_stats, NULL },
	{ "GC_PRINT_ADDRESS_MAP", bdw_env_on, &bdw_print_maps, NULL },
	{ "GC_DUMP_REGULARLY", bdw_env_dump, &bdw_dump_regularly, NULL },
	{ "GC_FIND_LEAK", bdw_env_on, &GC_find_leak, NULL },
	{ "GC_FINDLEAK_DELAY_FREE", bdw_env_on, &bdw_findleak_delay_free, NULL },
	{ "GC_LOOP_ON_ABORT", bdw_env_on, &bdw_loop_on_abort, NULL },
	{ "GC_DONT_GC", bdw_env_on, &GC_dont_gc, NULL },
	{ "GC_ALL_INTERIOR_POINTERS", bdw_env_on, &GC_all_interior_pointers, NULL },
	{ "GC_USE_ENTIRE_HEAP", bdw_env_on_unless_0, &GC_use_entire_heap, NULL },
	{ "GC_FULL_FREQUENCY", bdw_env_positive, &GC_full_freq, NULL },
	{ "GC_FREE_SPACE_DIVISOR", bdw_env_divisor, NULL, "GCHEAP_GROWTH" },
	{ "GC_PAUSE_TIME_TARGET", bdw_env_pause, NULL, NULL },
	{ "GC_UNMAP_THRESHOLD", bdw_env_unmap, NULL, NULL },
	{ "GC_FORCE_UNMAP_ON_GCOLLECT", bdw_env_compact, NULL, NULL },
	{ "GC_INITIAL_HEAP_SIZE", bdw_env_initial, NULL, "GCHEAP_MIN_HEAP" },
	{ "GC_MAXIMUM_HEAP_SIZE", bdw_env_maximum, NULL, "GCHEAP_LIMIT" },
	{ "GC_NPROCS", bdw_env_markers, NULL, NULL },
	{ "GC_MARKERS", bdw_env_markers, NULL, NULL },
	{ "GC_DISABLE_INCREMENTAL", bdw_env_on, &bdw_no_incremental, NULL },
	{ "GC_ENABLE_INCREMENTAL", bdw_env_incremental, NULL, NULL },
};

/* When the heap has been made, and not in set-user-ID programs. */
void bdw_env(void)
{
	for (size_t i = 0; i < sizeof(bdw_env_known) / sizeof(bdw_env_known[0]); i++) {
		const char *value = secure_getenv(bdw_env_known[i].name);
		const char *ours = bdw_env_known[i].ours;

		if (value && !(ours && secure_getenv(ours)))
			bdw_env_known[i].take(value, bdw_env_known[i].to);
	}
}
