// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* The environment variables that gcheap.h lists. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "gch.h"

#define GCH_PAUSE_US_MAX	1000000

static int gch_size_suffix(const char *s)
{
	static const char units[] = "KMGT";
	const char *unit = *s ? strchr(units, toupper((unsigned char)*s)) : NULL;

	if (!*s)
		return 0;
	return unit && !s[1] ? 10 * (int)(unit - units + 1) : -EINVAL;
}

/* A number with a suffix to *@value, which stays as it is without the variable. */
static int gch_env_size(const char *name, uint64_t *value)
{
	const char *s = secure_getenv(name);
	unsigned long long n;
	char *end;
	int shift;

	if (!s || !*s)
		return 0;
	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	n = strtoull(s, &end, 10);
	shift = gch_size_suffix(end);
	if (errno || shift < 0 || n > UINT64_MAX >> shift)
		return -EINVAL;
	*value = n << shift;
	return 0;
}

static bool gch_env_set(const char *name)
{
	const char *s = secure_getenv(name);

	return s && *s;
}

static bool gch_env_switch(const char *name)
{
	return gch_env_set(name) && strcmp(secure_getenv(name), "0");
}

static int gch_env_pause(uint64_t *us)
{
	int err = gch_env_size("GCHEAP_PAUSE", us);

	if (!err && gch_env_set("GCHEAP_PAUSE") && (!*us || *us > GCH_PAUSE_US_MAX))
		err = -EINVAL;
	return err;
}

int gch_env_options(struct gcheap_options *o)
{
	uint64_t growth = 0;
	int err;

	err = gch_env_size("GCHEAP_GROWTH", &growth);
	if (!err && growth > UINT32_MAX)
		err = -EINVAL;
	if (!err)
		err = gch_env_size("GCHEAP_LIMIT", &o->limit);
	if (!err)
		err = gch_env_size("GCHEAP_MIN_HEAP", &o->min_heap);
	if (!err)
		err = gch_env_size("GCHEAP_HEAP_SIZE", &o->heap_size);
	if (!err)
		err = gch_env_size("GCHEAP_SOFT_LIMIT", &gch.soft_limit);
	if (!err)
		err = gch_env_pause(&gch.pause_us);
	if (!err)
		err = gch_env_size("GCHEAP_WORKERS", &gch.workers);
	/* Whole chunks. */
	o->heap_size = (o->heap_size + GCHEAP_CHUNK_SIZE - 1) &
		       ~(uint64_t)(GCHEAP_CHUNK_SIZE - 1);
	o->growth = growth;
	o->device = secure_getenv("GCHEAP_DEVICE");
	return err;
}

void gch_env_switches(void)
{
	gch.trace = gch_env_switch("GCHEAP_TRACE");
	gch.verify = gch_env_switch("GCHEAP_VERIFY");
	gch.concurrent = -1;
	if (gch_env_set("GCHEAP_CONCURRENT"))
		gch.concurrent = gch_env_switch("GCHEAP_CONCURRENT");
	gch.lend = gch_env_switch("GCHEAP_LEND");
	gch.no_fork = gch_env_set("GCHEAP_FORK") && !gch_env_switch("GCHEAP_FORK");
	gch.on_demand = gch_env_switch("GCHEAP_FINALIZE_ON_DEMAND");
	gch.exit_stats = secure_getenv("GCHEAP_EXIT_STATS");
}
