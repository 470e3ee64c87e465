// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Kinds whose objects are shown to the program before they are given back. While an object is
 * shown, what it refers to has not been yet (@mark_from_all), nor may a finalizer of another
 * still want it. The kernel finds dead objects without order, so that it takes two collections:
 * what the first has found is watched again, and what it refers to is kept by a copy of it.
 * Then those are dead for the second that no other dead one refers to. As with bdwgc, long
 * chains take long, and rings stay.
 */
#include <string.h>

#include "bdw.h"

#include <gc/gc_disclaim.h>
#include <gc/gc_inline.h>

#define BDW_CLOSURE	1ul	/* in an object's first word: the rest is a closure's address */

struct bdw_disclaim {
	GC_disclaim_proc proc;
	bool mark_from_all;
};

/* What is kept for a dead object. */
struct bdw_dying {
	struct bdw_disclaim *of;
	char copy[];
};

static struct bdw_disclaim bdw_disclaims[BDW_KINDS_MAX];
static bool bdw_waits;

/* ---- from one death to the other */

static void bdw_disclaim_found(void *object, void *of);

static struct bdw_dying *bdw_dying_make(const struct gch_object *o, struct bdw_disclaim *of)
{
	size_t room = of->mark_from_all && o->cache->kind == GCH_SCAN ? o->room : 0;
	struct bdw_dying *d = gcheap_alloc(sizeof(*d) + room);

	if (!d)
		return NULL;
	d->of = of;
	memcpy(d->copy, (void *)o->base, room);
	return d;
}

static void bdw_disclaim_show(void *object, void *dying)
{
	struct bdw_disclaim *of = ((struct bdw_dying *)dying)->of;
	int keep;

	if (bdw_spares(object, bdw_disclaim_found, of))
		return;
	bdw_lock();
	keep = of->proc(object);
	bdw_unlock();
	if (keep)
		gcheap_finalizer_set(object, bdw_disclaim_found, of);
}

/* Without memory for it, it is found once more. */
static void bdw_disclaim_found(void *object, void *of)
{
	struct bdw_dying *d;
	struct gch_object o;

	if (bdw_spares(object, bdw_disclaim_found, of) || !gch_object_start(object, &o))
		return;
	d = bdw_dying_make(&o, of);
	if (d && !gcheap_finalizer_set(object, bdw_disclaim_show, d))
		WRITE_ONCE(bdw_waits, true);
	else
		gcheap_finalizer_set(object, bdw_disclaim_found, of);
}

/* There are dead objects to be found a second time, since it was asked last. */
bool bdw_disclaim_waits(void)
{
	return READ_ONCE(bdw_waits) && __atomic_exchange_n(&bdw_waits, false, __ATOMIC_RELAXED);
}

bool bdw_disclaim_is(GC_finalization_proc fn)
{
	return fn == bdw_disclaim_found || fn == bdw_disclaim_show;
}

/* ---- kinds that have a procedure */

/* Without memory for it the object is never shown. */
void bdw_disclaim_watch(void *object, unsigned int kind)
{
	struct bdw_disclaim *d = &bdw_disclaims[kind];

	if (__atomic_load_n(&d->proc, __ATOMIC_ACQUIRE))
		gcheap_finalizer_set(object, bdw_disclaim_found, d);
}

/* Of objects that are allocated from now on. */
GCH_API void GC_register_disclaim_proc(int kind, GC_disclaim_proc proc, int mark_from_all)
{
	if (bdw_finds_leaks() || kind < 0 || kind >= BDW_KINDS_MAX)
		return;
	GC_init();
	bdw_lock();
	bdw_disclaims[kind].mark_from_all = mark_from_all;
	__atomic_store_n(&bdw_disclaims[kind].proc, proc, __ATOMIC_RELEASE);
	bdw_watch_start(kind < BDW_KINDS);
	bdw_unlock();
}

/* ---- objects with a closure */

static int bdw_finalized_kind;	/* 0: none yet; under the allocation lock */

static int GC_CALLBACK bdw_call_closure(void *object)
{
	GC_word word = *(GC_word *)object;
	const struct GC_finalizer_closure *c = (void *)(word & ~BDW_CLOSURE);

	/* What was never given out, or is the program's by mistake, has none. */
	if (word & BDW_CLOSURE)
		c->proc((GC_word *)object + 1, c->cd);
	return 0;
}

GCH_API void GC_init_finalized_malloc(void)
{
	int kind;

	GC_init();
	bdw_lock();
	if (!bdw_finalized_kind) {
		kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
		GC_register_disclaim_proc(kind, bdw_call_closure, 1);
		__atomic_store_n(&bdw_finalized_kind, kind, __ATOMIC_RELEASE);
	}
	bdw_unlock();
}

GCH_API void *GC_finalized_malloc(size_t size, const struct GC_finalizer_closure *closure)
{
	GC_word *object;

	if (!__atomic_load_n(&bdw_finalized_kind, __ATOMIC_ACQUIRE))
		GC_init_finalized_malloc();
	object = GC_malloc_kind(size < SIZE_MAX - sizeof(*object) ? size + sizeof(*object) :
				SIZE_MAX, bdw_finalized_kind);
	if (!object)
		return NULL;
	*object = (GC_word)closure | BDW_CLOSURE;
	return object + 1;
}
