// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Objects whose first word leads to what describes them. That is not looked at: they are
 * searched in whole, as bdwgc does it if it is told not to either (GC_IGNORE_GCJ_INFO).
 */
#include "bdw.h"

#include <gc/gc_gcj.h>

GCH_API int GC_gcj_kind = BDW_NORMAL;
GCH_API int GC_gcj_debug_kind = BDW_NORMAL;

GCH_API void GC_init_gcj_malloc(int index, void *mark)
{
	GC_init();
}

GCH_API void *GC_gcj_malloc(size_t size, void *type)
{
	void **p = bdw_plain_alloc(size, GCH_SCAN);

	if (!p)
		return bdw_out_of_memory(size);
	*p = type;
	return p;
}

GCH_API void *GC_gcj_malloc_ignore_off_page(size_t size, void *type)
{
	return GC_gcj_malloc(size, type);
}

GCH_API void *GC_debug_gcj_malloc(size_t size, void *type, GC_EXTRA_PARAMS)
{
	return GC_gcj_malloc(size, type);
}
