// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Counters of the heap, in bytes. */
#include "bdw.h"

struct gcheap_stats bdw_stats(void)
{
	struct gcheap_stats s;

	gcheap_stats(&s);
	return s;
}

GCH_API GC_word GC_get_gc_no(void)
{
	return bdw_stats().cycles;
}

GCH_API size_t GC_get_heap_size(void)
{
	return bdw_stats().heap_bytes;
}

static size_t bdw_free_bytes(const struct gcheap_stats *s)
{
	return s->heap_bytes > s->live_bytes ? s->heap_bytes - s->live_bytes : 0;
}

/* As of the last collection. */
GCH_API size_t GC_get_free_bytes(void)
{
	struct gcheap_stats s = bdw_stats();

	return bdw_free_bytes(&s);
}

GCH_API size_t GC_get_unmapped_bytes(void)
{
	struct gcheap_stats s = bdw_stats();

	return s.heap_bytes > s.resident_bytes ? s.heap_bytes - s.resident_bytes : 0;
}

GCH_API size_t GC_get_total_bytes(void)
{
	return bdw_stats().alloc_bytes;
}

GCH_API size_t GC_get_memory_use(void)
{
	return bdw_stats().resident_bytes;
}
