// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Words that are cleared when an object is not reached any more, and what it takes to use what
 * they say: a collection does not come to its end while a thread holds the allocation lock.
 */
#include "bdw.h"

/* ---- registering */

static bool bdw_aligned(void **link)
{
	return link && (uintptr_t)link % sizeof(*link) == 0;
}

static int bdw_link_call(struct gcheap_link *arg)
{
	struct gcheap *h = NULL;
	int err = gch_heap_get(&h);

	arg->size = sizeof(*arg);
	return err ? err : gch_call(h, GCHEAP_IOC_LINK, arg);
}

/* Programs end as they do with bdwgc. */
static __attribute__((noreturn)) void bdw_bad_link(const char *call)
{
	bdw_die("Bad arg", "%s", call);
}

/* In *@old what the word was a link to, or 0. Returns 0 or -errno. */
static int bdw_link_tell(uint32_t flags, void **link, const void *object, uint64_t *old)
{
	struct gcheap_link arg = {
		.flags = flags, .op = GCHEAP_LINK_SET, .addr = (uintptr_t)link,
		.object = (uintptr_t)object,
	};
	int err = bdw_link_call(&arg);

	*old = arg.old;
	return err;
}

/* The library's own. Returns 0 or -errno. */
int bdw_link_own(void **link, const void *object)
{
	uint64_t old;

	return bdw_link_tell(GCHEAP_LINK_LONG, link, object, &old);
}

static int bdw_link_set(const char *call, uint32_t flags, void **link, const void *object)
{
	uint64_t old;

	switch (bdw_link_tell(flags, link, object, &old)) {
	case 0:
		return old ? GC_DUPLICATE : GC_SUCCESS;
	case -EINVAL:
	case -ENOENT:
		bdw_bad_link(call);
	case -ENXIO:		/* nothing is collected any more */
		return GC_SUCCESS;
	}
	bdw_out_of_memory(sizeof(struct gcheap_link));
	return GC_NO_MEMORY;
}

/* While leaks are looked for there are none, as with bdwgc. */
GCH_API int GC_general_register_disappearing_link(void **link, const void *object)
{
	if (bdw_finds_leaks())
		return GC_UNIMPLEMENTED;
	if (!bdw_aligned(link))
		bdw_bad_link(__func__);
	return bdw_link_set(__func__, 0, link, object);
}

GCH_API int GC_register_disappearing_link(void **link)
{
	void *object = gcheap_base(link);

	if (bdw_finds_leaks())
		return GC_UNIMPLEMENTED;
	if (!object || !bdw_aligned(link))
		bdw_bad_link(__func__);
	return bdw_link_set(__func__, 0, link, object);
}

GCH_API int GC_register_long_link(void **link, const void *object)
{
	if (bdw_finds_leaks())
		return GC_UNIMPLEMENTED;
	if (!bdw_aligned(link))
		bdw_bad_link(__func__);
	return bdw_link_set(__func__, GCHEAP_LINK_LONG, link, object);
}

static int bdw_link_move(uint32_t flags, void **link, void **to)
{
	struct gcheap_link arg = {
		.flags = flags, .op = GCHEAP_LINK_MOVE, .addr = (uintptr_t)link,
		.to = (uintptr_t)to,
	};

	switch (bdw_link_call(&arg)) {
	case 0:
		return GC_SUCCESS;
	case -EEXIST:
		return GC_DUPLICATE;
	}
	return GC_NOT_FOUND;
}

GCH_API int GC_move_disappearing_link(void **link, void **new_link)
{
	if (!bdw_aligned(new_link))
		bdw_bad_link(__func__);
	return bdw_link_move(0, link, new_link);
}

GCH_API int GC_move_long_link(void **link, void **new_link)
{
	if (!bdw_aligned(new_link))
		bdw_bad_link(__func__);
	return bdw_link_move(GCHEAP_LINK_LONG, link, new_link);
}

static int bdw_link_clear(uint32_t flags, void **link)
{
	struct gcheap_link arg = {
		.flags = flags, .op = GCHEAP_LINK_CLEAR, .addr = (uintptr_t)link,
	};

	return !bdw_link_call(&arg);
}

GCH_API int GC_unregister_disappearing_link(void **link)
{
	return bdw_link_clear(0, link);
}

GCH_API int GC_unregister_long_link(void **link)
{
	return bdw_link_clear(GCHEAP_LINK_LONG, link);
}

/* ---- using what they say */

static __thread unsigned int bdw_reveals;	/* it is within so many times */

/* Without a heap, and without a place in it, there is nothing to wait for. */
static struct gch_local *bdw_place(void)
{
	return bdw_heap_lost() ? NULL : gch_local(&gch.heap0);
}

/*
 * Long links of what finalizers lead to are being cleared, with the program running; or the
 * collection waits for those that are within, and would for each who comes.
 */
static bool bdw_must_wait(const struct gcheap *h)
{
	const struct gcheap_status *s = h->backend.status;

	return READ_ONCE(s->awaits_hidden) ||
	       (READ_ONCE(s->phase) == GCHEAP_PHASE_FINALIZE && READ_ONCE(s->links));
}

/*
 * The pause that completes the marking sees the word that is set here, or we see the phase
 * that comes after it: it is a barrier to all threads.
 */
static void bdw_reveal(void)
{
	struct gcheap_link arg = { .op = GCHEAP_LINK_AWAIT };
	struct gch_local *l = bdw_place();
	struct gcheap_tcb *tcb = l ? l->tcb : NULL;

	if (!tcb)
		return;
	WRITE_ONCE(tcb->hidden, 1);
	barrier();
	while (bdw_must_wait(l->heap)) {
		WRITE_ONCE(tcb->hidden, 0);
		if (bdw_link_call(&arg))
			return;
		WRITE_ONCE(tcb->hidden, 1);
		barrier();
	}
}

void bdw_reveal_begin(void)
{
	if (!bdw_reveals++)
		bdw_reveal();
}

void bdw_reveal_end(void)
{
	struct gch_local *l;

	if (--bdw_reveals)
		return;
	l = bdw_heap_lost() ? NULL : gch_local_if_any(&gch.heap0);
	if (l)
		__atomic_store_n(&l->tcb->hidden, 0, __ATOMIC_RELEASE);
}

/* In a forked child, whose thread has forked within. */
void bdw_reveal_forked(void)
{
	if (bdw_reveals)
		bdw_reveal();
}
