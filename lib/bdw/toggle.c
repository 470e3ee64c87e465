// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Objects that something outside of the heap refers to, strongly or weakly as a function of the
 * program's says in each pause. A slot has the object's address, or hides it; it is a link's word
 * (link.c), and becomes 0 when the object has died. Threads fill free ones, one at a time; the
 * function's answers change the others, with the threads stopped.
 */
#include "bdw.h"

#define BDW_SLOTS	511
#define BDW_LOOK	128	/* asked about before one looks whether the pause still waits */

struct bdw_toggles {
	struct bdw_toggles *next;
	uintptr_t slot[BDW_SLOTS];
};

static struct {
	pthread_mutex_t lock;
	struct bdw_toggles *first, *last;
	struct bdw_toggles *at;		/* where a free slot is looked for next */
	unsigned int i;
	uint64_t cycles;		/* when that began at the first one */
} bdw_toggles = { .lock = PTHREAD_MUTEX_INITIALIZER };
BDW_LOCK(bdw_toggles);

static GC_toggleref_func bdw_toggle_func;

static void *bdw_slot_object(uintptr_t word)
{
	return (void *)((intptr_t)word < 0 ? ~word : word);
}

/* ---- asked, without locks: see callback.c */

bool bdw_toggles_used(void)
{
	return READ_ONCE(bdw_toggles.first);
}

static GC_ToggleRefStatus bdw_toggle_status(GC_toggleref_func func, uintptr_t word)
{
	if (func)
		return func(bdw_slot_object(word));
	return (intptr_t)word < 0 ? GC_TOGGLE_REF_WEAK : GC_TOGGLE_REF_STRONG;
}

static void bdw_toggle(uintptr_t *slot, GC_toggleref_func func)
{
	uintptr_t was = READ_ONCE(*slot), object = (uintptr_t)bdw_slot_object(was), is = 0;

	if (!was)
		return;
	switch (bdw_toggle_status(func, was)) {
	case GC_TOGGLE_REF_DROP:
		break;
	case GC_TOGGLE_REF_STRONG:
		is = object;
		bdw_push((void *)object);
		break;
	case GC_TOGGLE_REF_WEAK:
		is = ~object;
		break;
	}
	/* It may have died since, if nobody waits for the answer any more. */
	__atomic_compare_exchange_n(slot, &was, is, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

void bdw_push_toggles(void)
{
	GC_toggleref_func func = READ_ONCE(bdw_toggle_func);
	struct bdw_toggles *t;

	for (t = __atomic_load_n(&bdw_toggles.first, __ATOMIC_ACQUIRE); t;
	     t = __atomic_load_n(&t->next, __ATOMIC_ACQUIRE))
		for (int i = 0; i < BDW_SLOTS; i++) {
			if (i % BDW_LOOK == 0 && !bdw_push_on())
				return;
			bdw_toggle(&t->slot[i], func);
		}
}

/* ---- under the lock */

static uintptr_t *bdw_slot_next(void)
{
	struct bdw_toggles *t;

	for (; (t = bdw_toggles.at); bdw_toggles.at = t->next, bdw_toggles.i = 0)
		while (bdw_toggles.i < BDW_SLOTS) {
			uintptr_t *slot = &t->slot[bdw_toggles.i++];

			if (!READ_ONCE(*slot))
				return slot;
		}
	return NULL;
}

static uintptr_t *bdw_slots_make(void)
{
	struct bdw_toggles *t = gch_map(sizeof(*t));

	if (!t)
		return NULL;
	if (bdw_toggles.last)
		__atomic_store_n(&bdw_toggles.last->next, t, __ATOMIC_RELEASE);
	else
		__atomic_store_n(&bdw_toggles.first, t, __ATOMIC_RELEASE);
	bdw_toggles.last = bdw_toggles.at = t;
	bdw_toggles.i = 0;
	return bdw_slot_next();
}

/* Only collections make slots free: once a cycle they are looked through from the first on. */
static uintptr_t *bdw_slot_free(void)
{
	const struct gcheap_status *s = bdw_status();
	uint64_t cycles = s ? READ_ONCE(s->cycles) : 0;
	uintptr_t *slot = bdw_slot_next();

	if (!slot && cycles != bdw_toggles.cycles) {
		bdw_toggles.cycles = cycles;
		bdw_toggles.at = bdw_toggles.first;
		bdw_toggles.i = 0;
		slot = bdw_slot_next();
	}
	return slot ? slot : bdw_slots_make();
}

static int bdw_toggle_add(void *object, bool strong)
{
	uintptr_t *slot = bdw_slot_free();
	int err;

	if (!slot)
		return -ENOMEM;
	/* In place of the link of an object that has been dropped, if there is one. */
	err = bdw_link_own((void **)slot, object);
	if (err && err != -ENXIO)
		return err;
	__atomic_store_n(slot, strong ? (uintptr_t)object : ~(uintptr_t)object, __ATOMIC_RELAXED);
	return 0;
}

/* ---- for the program */

GCH_API int GC_toggleref_add(void *object, int is_strong)
{
	int err;

	if (!READ_ONCE(bdw_toggle_func))
		return GC_SUCCESS;
	bdw_callback_start();
	pthread_mutex_lock(&bdw_toggles.lock);
	err = bdw_toggle_add(object, is_strong);
	pthread_mutex_unlock(&bdw_toggles.lock);
	if (err == -EINVAL || err == -ENOENT)
		bdw_die("Bad arg", "%s", __func__);
	return err ? GC_NO_MEMORY : GC_SUCCESS;
}

GCH_API void GC_set_toggleref_func(GC_toggleref_func func)
{
	bdw_lock();
	WRITE_ONCE(bdw_toggle_func, func);
	bdw_unlock();
}

GCH_API GC_toggleref_func GC_get_toggleref_func(void)
{
	GC_toggleref_func func;

	bdw_lock();
	func = bdw_toggle_func;
	bdw_unlock();
	return func;
}
