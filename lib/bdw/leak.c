// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Objects that nothing refers to any more and that were not freed. While leaks are looked for,
 * all objects have a finalizer, which is what finds them. Those of the program's have no place
 * then, and bdwgc refuses them, too.
 */
#include <stdlib.h>

#include "debug.h"

#define BDW_LEAKS_MAX	40	/* told of at a time, as by bdwgc */

GCH_API int GC_find_leak;
int bdw_findleak_delay_free;

static struct {
	pthread_mutex_t lock;
	bool on;		/* objects are watched; that stays so */
	unsigned int n;
	void *object[BDW_LEAKS_MAX];
	unsigned int nsmashed;
	struct bdw_smash smashed[BDW_LEAKS_MAX];
} bdw_leak = { .lock = PTHREAD_MUTEX_INITIALIZER };

BDW_LOCK(bdw_leak);

bool bdw_finds_leaks(void)
{
	return unlikely(READ_ONCE(GC_find_leak));
}

/* Objects that were freed stay until nothing refers to them, to see who writes to them. */
bool bdw_leak_delays(void)
{
	return bdw_finds_leaks() && READ_ONCE(bdw_findleak_delay_free);
}

/* ---- finding them */

/* One that was freed is no leak, but may have been written to since. */
static bool bdw_leak_is_freed(void *object)
{
	struct bdw_smash s;
	struct gch_object o;

	if (!bdw_debug_used() || !bdw_debug_start(object, &o) ||
	    bdw_debug_state(&o, &s) != BDW_FREED)
		return false;
	s.at = bdw_debug_altered(&o);
	pthread_mutex_lock(&bdw_leak.lock);
	if (s.at && bdw_leak.nsmashed < BDW_LEAKS_MAX)
		bdw_leak.smashed[bdw_leak.nsmashed++] = s;
	pthread_mutex_unlock(&bdw_leak.lock);
	return true;
}

static bool bdw_leak_note(void *object)
{
	bool room;

	pthread_mutex_lock(&bdw_leak.lock);
	room = bdw_leak.n < BDW_LEAKS_MAX;
	if (room)
		bdw_leak.object[bdw_leak.n++] = object;
	pthread_mutex_unlock(&bdw_leak.lock);
	return room;
}

/* What there is no room for is found again by the next collection. */
void bdw_leak_found(void *object, void *unused)
{
	if (bdw_finds_leaks() && !bdw_leak_is_freed(object) && !bdw_leak_note(object))
		bdw_leak_watch(object);
}

/* Without memory for it a leak of this object goes unnoticed. */
void bdw_leak_watch(void *object)
{
	gcheap_finalizer_set(object, bdw_leak_found, NULL);
}

/* ---- telling of them */

static void bdw_leak_print(const void *object)
{
	struct gch_object o;

	if (!gch_object_start(object, &o))
		return;
	if (bdw_debug_used() && bdw_debug_start(object, &o))
		bdw_debug_print(&o);
	else
		GC_err_printf("object at %p of appr. %zu bytes (%s)\n", object, o.room,
			      o.cache->kind == GCH_NOSCAN ? "atomic" : "composite");
}

/* They are another's to tell of, or taken, one kind after the other. */
static unsigned int bdw_leak_take(void **object)
{
	unsigned int n;

	pthread_mutex_lock(&bdw_leak.lock);
	n = bdw_leak.n;
	for (unsigned int i = 0; i < n; i++) {
		object[i] = bdw_leak.object[i];
		bdw_leak.object[i] = NULL;
	}
	WRITE_ONCE(bdw_leak.n, 0);
	pthread_mutex_unlock(&bdw_leak.lock);
	return n;
}

static unsigned int bdw_leak_take_smashed(struct bdw_smash *s)
{
	unsigned int n;

	pthread_mutex_lock(&bdw_leak.lock);
	n = bdw_leak.nsmashed;
	for (unsigned int i = 0; i < n; i++)
		s[i] = bdw_leak.smashed[i];
	WRITE_ONCE(bdw_leak.nsmashed, 0);
	pthread_mutex_unlock(&bdw_leak.lock);
	return n;
}

static unsigned int bdw_leak_tell_smashed(void)
{
	struct bdw_smash s[BDW_LEAKS_MAX];
	unsigned int n = bdw_leak_take_smashed(s);

	bdw_smashed_print(s, n);
	return n;
}

/* Once told of they are freed. */
static unsigned int bdw_leak_tell(void)
{
	void *object[BDW_LEAKS_MAX];
	unsigned int n = bdw_leak_take(object);

	if (!n)
		return 0;
	GC_err_printf("Found %u leaked objects:\n", n);
	for (unsigned int i = 0; i < n; i++) {
		bdw_leak_print(object[i]);
		GC_free(object[i]);
	}
	return n;
}

/* There was something to tell of. */
bool bdw_leak_report(void)
{
	unsigned int n = 0;

	/* They are of a heap that a forked child does not have. */
	if (unlikely(bdw_heap_lost()))
		return false;
	if (unlikely(READ_ONCE(bdw_leak.nsmashed)))
		n += bdw_leak_tell_smashed();
	if (unlikely(READ_ONCE(bdw_leak.n)))
		n += bdw_leak_tell();
	return n;
}

/* Leaked or smashed objects have been told of. */
void bdw_errors_found(void)
{
	if (!secure_getenv("GC_ABORT_ON_LEAK"))
		return;
	GC_get_abort_func()("Leaked or smashed objects encountered");
	abort();
}

/* ---- on and off */

static void bdw_leak_last(void)
{
	if (bdw_finds_leaks() && !bdw_heap_lost())
		GC_gcollect();
}

/* Objects from before, if they have no finalizer of the program's. */
static void GC_CALLBACK bdw_leak_adopt(void *object, size_t size, void *unused)
{
	struct gch_final was, ours = { .fn = bdw_leak_found };

	if (!gch_finalizer_swap(object, ours, GCH_UNORDERED, &was) && was.fn &&
	    was.fn != bdw_leak_found)
		gch_finalizer_swap(object, was, was.order, &ours);
}

static bool bdw_leak_begins(void)
{
	bool begins;

	pthread_mutex_lock(&bdw_leak.lock);
	begins = !bdw_leak.on;
	WRITE_ONCE(bdw_leak.on, true);
	pthread_mutex_unlock(&bdw_leak.lock);
	return begins;
}

/* Under the allocation lock, so that no thread forks when it has but begun. */
static void bdw_leak_start_locked(void)
{
	struct gch_local *l;

	if (!bdw_leak_begins())
		return;
	bdw_watch_start(true);
	/* The kernel has not heard of all cells that this thread has taken. */
	l = gch_local_if_any(&gch.heap0);
	if (l)
		gch_local_flush(l, GCHEAP_FLUSH_SPANS);
	GC_enumerate_reachable_objects_inner(bdw_leak_adopt, NULL);
	atexit(bdw_leak_last);
}

static void bdw_leak_start(void)
{
	if (gcheap_init())
		return;
	bdw_lock();
	bdw_leak_start_locked();
	bdw_unlock();
}

/* Programs assign to the variable, before there is a heap or later. */
void bdw_leak_notice(void)
{
	if (bdw_finds_leaks() && !READ_ONCE(bdw_leak.on))
		bdw_leak_start();
}

GCH_API void GC_set_find_leak(int on)
{
	WRITE_ONCE(GC_find_leak, on);
	if (bdw_started())
		bdw_leak_notice();
}

GCH_API int GC_get_find_leak(void)
{
	return READ_ONCE(GC_find_leak);
}
