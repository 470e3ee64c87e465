// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Objects at round addresses. Size classes have steps that are powers of two, so that the
 * cells for a multiple of the alignment are multiples, too; spans and large objects begin
 * at slots. So an object begins there, never some way into another.
 */
#include "bdw.h"

/* Of one byte less, since one is added. */
static void *bdw_align(size_t align, size_t size)
{
	size_t cell;

	if (__builtin_add_overflow(size, align, &cell))
		return bdw_out_of_memory(size);
	return GC_malloc((cell & -align) - 1);
}

GCH_API void *GC_memalign(size_t align, size_t size)
{
	if (align <= GCHEAP_GRANULE)
		return GC_malloc(size);
	if (align & (align - 1)) {
		errno = EINVAL;
		return NULL;
	}
	/* bdwgc has none for more than its blocks, either. */
	if (align > GCHEAP_SLOT_SIZE)
		return bdw_out_of_memory(size);
	return bdw_align(align, size);
}

GCH_API int GC_posix_memalign(void **p, size_t align, size_t size)
{
	if (align < sizeof(void *) || align & (align - 1))
		return EINVAL;
	*p = GC_memalign(align, size);
	return *p ? 0 : ENOMEM;
}
