// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Objects by the list, linked through their first words. */
#include "bdw.h"

#include <gc/gc_inline.h>

#define BDW_LIST_BYTES	4096u

/*
 * More than one only of objects whose first word is searched, or that stay anyway: others on the
 * list would be collected, with nothing that refers to them.
 */
static size_t bdw_list_length(const struct bdw_type *t, size_t size)
{
	struct bdw_map map;

	if (bdw_descr_is_asked(t->descr))
		return 1;
	bdw_descr_map(t->descr, &map);
	if (size > BDW_LIST_BYTES || (!(map.words && map.bits[0] & 1) &&
				      t->kind != BDW_AUNCOLLECTABLE))
		return 1;
	return BDW_LIST_BYTES / size;
}

static void *bdw_list_one(const struct bdw_type *t, size_t size)
{
	void *p = bdw_type_alloc(t, size - 1);

	return t->kind == BDW_UNCOLLECTABLE || t->kind == BDW_AUNCOLLECTABLE ? bdw_keep(p) : p;
}

/*
 * Objects of @size bytes and no more, of which callers use all: no byte is added for
 * addresses one past the end, as by others.
 */
GCH_API void GC_generic_malloc_many(size_t size, int kind, void **result)
{
	void *list = NULL, *p;
	struct bdw_type t;
	size_t n;

	*result = NULL;
	if (!bdw_kind_type(kind, &t))
		return;
	size = size ? size : 1;
	for (n = bdw_list_length(&t, size); n; n--) {
		p = bdw_list_one(&t, size);
		if (!p)
			break;
		GC_NEXT(p) = list;
		list = p;
	}
	/* Small ones are asked for by allocators that tell of it themselves. */
	*result = list || size <= BDW_LIST_BYTES ? list : bdw_out_of_memory(size);
}

GCH_API void *GC_malloc_many(size_t size)
{
	void *list;

	GC_generic_malloc_many(size < SIZE_MAX ? size + 1 : size, BDW_NORMAL, &list);
	return list;
}
