// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Kinds of objects, by number: bdwgc's own four and those that the program makes. */
#include "bdw.h"

#include <gc/gc_inline.h>

#define BDW_LIST_LENGTH	(2048 / GCHEAP_GRANULE + 1)	/* sizes of small objects, to bdwgc */

struct bdw_kind {
	GC_word descr;
	bool clear;
	void **list;		/* the program's; stays empty */
};

static struct {
	pthread_mutex_t lock;
	unsigned int n;
	struct bdw_kind kind[BDW_KINDS_MAX];
} bdw_kinds = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.n = BDW_KINDS,
	.kind = {
		[BDW_PTRFREE] = { .descr = 0 },
		[BDW_NORMAL] = { .descr = BDW_WHOLE, .clear = true },
		[BDW_UNCOLLECTABLE] = { .descr = BDW_WHOLE, .clear = true },
		[BDW_AUNCOLLECTABLE] = { .descr = 0 },
	},
};

BDW_LOCK(bdw_kinds);

/* ---- making one */

/* What all of it is, is searched in whole. */
static GC_word bdw_kind_descr(GC_word descr, int add_size)
{
	switch (descr & GC_DS_TAGS) {
	case GC_DS_LENGTH:
	case GC_DS_BITMAP:
		return add_size ? BDW_WHOLE : descr;
	case GC_DS_PROC:
		if (!bdw_descr_is_map(descr) && !bdw_proc_known(descr))
			bdw_die("GC_new_kind", "no such mark procedure");
		return descr;
	default:
		return descr;
	}
}

GCH_API unsigned int GC_new_kind(void **list, GC_word descr, int add_size, int clear)
{
	struct bdw_kind k = {
		.descr = bdw_kind_descr(descr, add_size),
		.clear = clear,
		.list = list,
	};
	unsigned int n;

	pthread_mutex_lock(&bdw_kinds.lock);
	n = bdw_kinds.n;
	if (n == BDW_KINDS_MAX)
		bdw_die("GC_new_kind", "too many kinds");
	bdw_kinds.kind[n] = k;
	__atomic_store_n(&bdw_kinds.n, n + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&bdw_kinds.lock);
	return n;
}

GCH_API unsigned int GC_new_kind_inner(void **list, GC_word descr, int add_size, int clear)
{
	return GC_new_kind(list, descr, add_size, clear);
}

/* Objects come from elsewhere: who looks into it finds none. */
GCH_API void **GC_new_free_list(void)
{
	void **list = GC_malloc(BDW_LIST_LENGTH * sizeof(*list));

	if (!list)
		bdw_die("GC_new_free_list", "no memory");
	return list;
}

GCH_API void **GC_new_free_list_inner(void)
{
	return GC_new_free_list();
}

/* ---- objects of one */

bool bdw_kind_type(int kind, struct bdw_type *t)
{
	const struct bdw_kind *k;

	if (kind < 0 || (unsigned int)kind >= __atomic_load_n(&bdw_kinds.n, __ATOMIC_ACQUIRE)) {
		errno = EINVAL;
		return false;
	}
	k = &bdw_kinds.kind[kind];
	*t = (struct bdw_type){ .descr = k->descr, .kind = kind, .clear = k->clear };
	/* Whatever it says there, as long as it can be no procedure. */
	if ((k->descr & GC_DS_TAGS) == GC_DS_PER_OBJECT && !bdw_descr_is_asked(k->descr))
		t->descr = BDW_WHOLE;
	return true;
}

static void *bdw_kind_alloc(size_t size, int kind)
{
	struct bdw_type t;
	void *p;

	if (!bdw_kind_type(kind, &t))
		return NULL;
	p = bdw_type_alloc(&t, size);
	return p ? p : bdw_out_of_memory(size);
}

GCH_API void *GC_generic_malloc(size_t size, int kind)
{
	switch (kind) {
	case BDW_PTRFREE:
		return GC_malloc_atomic(size);
	case BDW_NORMAL:
		return GC_malloc(size);
	case BDW_UNCOLLECTABLE:
		return GC_malloc_uncollectable(size);
	case BDW_AUNCOLLECTABLE:
		return GC_malloc_atomic_uncollectable(size);
	default:
		return bdw_kind_alloc(size, kind);
	}
}

GCH_API void *GC_generic_malloc_ignore_off_page(size_t size, int kind)
{
	return GC_generic_malloc(size, kind);
}

GCH_API void *GC_malloc_kind(size_t size, int kind)
{
	return GC_generic_malloc(size, kind);
}

GCH_API void *GC_malloc_kind_global(size_t size, int kind)
{
	return GC_generic_malloc(size, kind);
}

GCH_API void *GC_generic_or_special_malloc(size_t size, int kind)
{
	return GC_generic_malloc(size, kind);
}

GCH_API void *GC_generic_malloc_uncollectable(size_t size, int kind)
{
	void *p = GC_generic_malloc(size, kind);

	return kind == BDW_UNCOLLECTABLE || kind == BDW_AUNCOLLECTABLE ? p : bdw_keep(p);
}

/* ---- and back */

static int bdw_kind_of(void *p, const struct gch_object *o)
{
	const struct bdw_type *t = bdw_type_of(o);
	bool atomic = o->cache->kind == GCH_NOSCAN;

	if (t && t->kind >= BDW_KINDS)
		return t->kind;
	if (bdw_kept(p))
		return atomic ? BDW_AUNCOLLECTABLE : BDW_UNCOLLECTABLE;
	return atomic ? BDW_PTRFREE : BDW_NORMAL;
}

/* Objects that have descriptors of their own are as normal ones. -1: no object. */
GCH_API int GC_get_kind_and_size(const void *p, size_t *size)
{
	struct gch_object o;
	bool found = gch_object_start(p, &o);

	if (size)
		*size = found ? o.room : 0;
	return found ? bdw_kind_of((void *)p, &o) : -1;
}
