// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* What programs may choose, and what they chose. */
#include <stdio.h>

#include "bdw.h"

#define BDW_DIVISOR	3	/* bdwgc's default, which is our 100 % growth */

static void *bdw_return_null(size_t bytes)
{
	return NULL;
}

/* bdwgc's own warnings are not given, so that nobody calls it. */
static void bdw_warn(char *format, GC_word arg)
{
	fprintf(stderr, format, arg);
}

static struct {
	GC_oom_func oom;
	GC_warn_proc warn;
	GC_word divisor;
} bdw_set = {
	.oom = bdw_return_null,
	.warn = bdw_warn,
	.divisor = BDW_DIVISOR,
};

GCH_API void GC_set_oom_fn(GC_oom_func fn)
{
	bdw_set.oom = fn;
}

GCH_API GC_oom_func GC_get_oom_fn(void)
{
	return bdw_set.oom;
}

GCH_API void GC_set_warn_proc(GC_warn_proc fn)
{
	bdw_set.warn = fn;
}

GCH_API GC_warn_proc GC_get_warn_proc(void)
{
	return bdw_set.warn;
}

GCH_API void GC_ignore_warn_proc(char *format, GC_word arg)
{
}

GCH_API void GC_set_free_space_divisor(GC_word divisor)
{
	uint64_t growth = divisor ? 100 * BDW_DIVISOR / divisor : 100;

	bdw_set.divisor = divisor;
	gcheap_tune(NULL, GCHEAP_TUNE_GROWTH, growth ? growth : 1);
}

GCH_API GC_word GC_get_free_space_divisor(void)
{
	return bdw_set.divisor;
}

GCH_API void GC_set_max_heap_size(GC_word bytes)
{
	gcheap_tune(NULL, GCHEAP_TUNE_LIMIT, bytes);
}

/* Nothing is collected before the heap has grown by that much. */
GCH_API int GC_expand_hp(size_t bytes)
{
	return !gcheap_tune(NULL, GCHEAP_TUNE_MIN_HEAP, bdw_stats().heap_bytes + bytes);
}

/* Addresses inside of objects always keep them. */
GCH_API void GC_set_all_interior_pointers(int on)
{
}

GCH_API int GC_get_all_interior_pointers(void)
{
	return 1;
}

GCH_API void GC_register_displacement(size_t offset)
{
}
