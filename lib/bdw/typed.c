// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Objects that the program describes. Where that is of no use they are like others. */
#include "bdw.h"

/* Every whole word of that many bytes may be a pointer. */
static bool bdw_covers(GC_word descr, size_t size)
{
	return (descr & GC_DS_TAGS) == GC_DS_LENGTH &&
	       (descr >= size || size - descr < sizeof(GC_word));
}

static void *bdw_typed(size_t size, GC_word descr, uint32_t elem_words)
{
	struct bdw_type t = {
		.descr = descr,
		.elem_words = elem_words,
		.kind = descr ? BDW_NORMAL : BDW_PTRFREE,
		.clear = true,
	};
	void *p = bdw_type_alloc(&t, size);

	return p ? p : bdw_out_of_memory(size);
}

GCH_API void *GC_malloc_explicitly_typed(size_t size, GC_descr descr)
{
	return bdw_covers(descr, size) ? GC_malloc(size) : bdw_typed(size, descr, 0);
}

GCH_API void *GC_malloc_explicitly_typed_ignore_off_page(size_t size, GC_descr descr)
{
	return GC_malloc_explicitly_typed(size, descr);
}

/* An element that is too long for a layout, or not of whole words, may be all pointers. */
GCH_API void *GC_calloc_explicitly_typed(size_t n, size_t size, GC_descr descr)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return bdw_out_of_memory(SIZE_MAX);
	if (n <= 1 || !descr)
		return GC_malloc_explicitly_typed(bytes, descr);
	if (bdw_covers(descr, size) || size % sizeof(GC_word) ||
	    size > BDW_MAP_WORDS * sizeof(GC_word))
		return GC_malloc(bytes);
	return bdw_typed(bytes, descr, size / sizeof(GC_word));
}
