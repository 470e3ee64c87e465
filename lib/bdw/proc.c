// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Mark procedures, by number, and objects that have descriptors of their own: what the kernel
 * asks about, when it has found one.
 *
 * What procedures push is told at once, and marked and searched by the kernel. So the mark
 * stack that they are given, which to them is opaque, is always empty.
 */
#include "bdw.h"

#define BDW_HIGH	(1ull << 63)
#define BDW_DEPTH	512

static struct {
	pthread_mutex_t lock;
	unsigned int n;
	GC_mark_proc proc[GC_MAX_MARK_PROCS];
	struct GC_ms_entry stack[BDW_DEPTH];
} bdw_procs = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.n = GC_RESERVED_MARK_PROCS,
};

BDW_LOCK(bdw_procs);

/* ---- making one */

GCH_API unsigned int GC_new_proc(GC_mark_proc proc)
{
	unsigned int n;

	bdw_callback_start();
	pthread_mutex_lock(&bdw_procs.lock);
	n = bdw_procs.n;
	/* The last number is that of bit maps, see descr.c. */
	if (n == GC_MAX_MARK_PROCS - 1)
		bdw_die("GC_new_proc", "too many mark procedures");
	bdw_procs.proc[n] = proc;
	__atomic_store_n(&bdw_procs.n, n + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&bdw_procs.lock);
	return n;
}

GCH_API unsigned int GC_new_proc_inner(GC_mark_proc proc)
{
	return GC_new_proc(proc);
}

static GC_mark_proc bdw_proc_of(GC_word descr)
{
	return bdw_procs.proc[(descr >> GC_DS_TAG_BITS) % GC_MAX_MARK_PROCS];
}

/* There are any: pauses may ask. */
bool bdw_procs_used(void)
{
	return __atomic_load_n(&bdw_procs.n, __ATOMIC_ACQUIRE) > GC_RESERVED_MARK_PROCS;
}

bool bdw_proc_known(GC_word descr)
{
	return bdw_proc_of(descr);
}

/*
 * Whether it takes code to say where an object's pointers are. A descriptor in the object itself
 * may be of a mark procedure, if there are any.
 */
bool bdw_descr_is_asked(GC_word descr)
{
	switch (descr & GC_DS_TAGS) {
	case GC_DS_PROC:
		return !bdw_descr_is_map(descr);
	case GC_DS_PER_OBJECT:
		return bdw_procs_used();
	}
	return false;
}

/* ---- answers, without locks: see callback.c */

static void bdw_push_length(void *const *word, size_t bytes)
{
	for (; bytes >= sizeof(*word); bytes -= sizeof(*word))
		bdw_push(*word++);
}

static void bdw_push_bits(void *const *word, GC_word bits)
{
	for (bits &= ~(GC_word)GC_DS_TAGS; bits; bits <<= 1, word++)
		if (bits & BDW_HIGH)
			bdw_push(*word);
}

static void bdw_push_proc(void *start, GC_word descr, size_t room)
{
	GC_mark_proc proc = bdw_proc_of(descr);

	/* A long bit map is known under a lock. */
	if (bdw_descr_is_map(descr) || !proc)
		bdw_push_length(start, room);
	else
		proc(start, bdw_procs.stack, bdw_procs.stack + BDW_DEPTH,
		     descr >> (GC_DS_TAG_BITS + GC_LOG_MAX_MARK_PROCS));
}

/* Where it is, for what has one of its own; 0: it has none, being new or free. */
static GC_word bdw_own_descr(const char *start, GC_word descr)
{
	const char *type;

	if ((GC_signed_word)descr >= 0)
		return *(const GC_word *)(start + (descr & ~(GC_word)GC_DS_TAGS));
	type = *(const char *const *)start;
	if (!type)
		return 0;
	return *(const GC_word *)(type - (descr & ~(GC_word)GC_DS_TAGS) - GC_INDIR_PER_OBJ_BIAS);
}

static void bdw_push_described(void *start, GC_word descr, size_t room)
{
	if ((descr & GC_DS_TAGS) == GC_DS_PER_OBJECT)
		descr = bdw_own_descr(start, descr);
	switch (descr & GC_DS_TAGS) {
	case GC_DS_LENGTH:
		bdw_push_length(start, descr < room ? descr : room);
		break;
	case GC_DS_BITMAP:
		bdw_push_bits(start, descr);
		break;
	case GC_DS_PROC:
		bdw_push_proc(start, descr, room);
		break;
	}
}

/* What an object refers to. It may have been freed by a program that frees what it uses. */
void bdw_proc_tell(const void *object)
{
	const struct bdw_type *t;
	struct gch_object o;

	if (!gch_object_start(object, &o))
		return;
	t = bdw_type_of(&o);
	if (t)
		bdw_push_described((void *)o.base, t->descr, o.room);
}

GCH_API struct GC_ms_entry *GC_mark_and_push(void *object, struct GC_ms_entry *top,
					     struct GC_ms_entry *limit, void **src)
{
	bdw_push(object);
	return top;
}
