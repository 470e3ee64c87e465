// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Objects that the library wants to hear of when they die: all, to find leaks (leak.c), or
 * those of a kind (disclaim.c). Each gets a finalizer of the library's as it is allocated. For
 * bdwgc's own kinds there must be no way around that: the fast path finds no cells from then on.
 */
#include "bdw.h"

static bool bdw_watching;

static struct {
	pthread_mutex_t lock;
	bool slow;
} bdw_watch = { .lock = PTHREAD_MUTEX_INITIALIZER };

BDW_LOCK(bdw_watch);

/* All caches there can be, for none to be made, and found by the fast path, later. */
static void bdw_make_caches(enum gch_kind kind)
{
	for (int class = 0; class < GCH_CLASSES; class++)
		gch_cache_by_class(&gch.heap0, kind, class);
}

static void bdw_slow_down(enum gch_kind kind)
{
	bdw_make_caches(kind);
	pthread_mutex_lock(&gch.lock);
	for (int i = 0; i < GCH_SMALL_SLOTS; i++)
		WRITE_ONCE(gch.heap0.small[kind][i], GCH_NO_CURSOR);
	pthread_mutex_unlock(&gch.lock);
}

/*
 * @plain: objects that the fast path makes as well. The heap is there. Under the allocation lock,
 * so that no thread forks when this has but begun.
 */
void bdw_watch_start(bool plain)
{
	WRITE_ONCE(bdw_watching, true);
	if (!plain)
		return;
	pthread_mutex_lock(&bdw_watch.lock);
	if (!bdw_watch.slow) {
		bdw_slow_down(GCH_SCAN);
		bdw_slow_down(GCH_NOSCAN);
	}
	bdw_watch.slow = true;
	pthread_mutex_unlock(&bdw_watch.lock);
}

/*
 * GC_finalize_all() runs finalizers of what is alive. The library's are none of those: such an
 * object is watched again. So it is for as long as there may be some that were queued by such a
 * call, or are in the hands of who runs them; of dead ones later is early enough.
 */
static unsigned int bdw_sparers;	/* calls under way; under bdw_watch.lock */
static __thread unsigned int bdw_own_sparers;
static bool bdw_sparing;
static unsigned int bdw_spared_objects;

void bdw_spare_begin(void)
{
	pthread_mutex_lock(&bdw_watch.lock);
	bdw_sparers++;
	bdw_own_sparers++;
	__atomic_store_n(&bdw_sparing, true, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&bdw_watch.lock);
}

static void bdw_spare_settle_locked(void)
{
	const struct gcheap_status *s = bdw_status();

	if (bdw_sparers || pthread_mutex_trylock(&gch.run_lock))
		return;
	if (!s || !(READ_ONCE(s->finalizers_ready) || gch_finalizers_left()))
		__atomic_store_n(&bdw_sparing, false, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&gch.run_lock);
}

void bdw_spare_end(void)
{
	pthread_mutex_lock(&bdw_watch.lock);
	bdw_sparers--;
	bdw_own_sparers--;
	bdw_spare_settle_locked();
	pthread_mutex_unlock(&bdw_watch.lock);
}

/* In a forked child: those of other threads will not end. */
void bdw_spare_forked(void)
{
	bdw_sparers = bdw_own_sparers;
}

/* From time to time, should a call have ended within a finalizer. */
void bdw_spare_settle(void)
{
	if (likely(!READ_ONCE(bdw_sparing)))
		return;
	pthread_mutex_lock(&bdw_watch.lock);
	bdw_spare_settle_locked();
	pthread_mutex_unlock(&bdw_watch.lock);
}

bool bdw_is_sparing(void)
{
	return __atomic_load_n(&bdw_sparing, __ATOMIC_SEQ_CST);
}

unsigned int bdw_spared(void)
{
	return __atomic_load_n(&bdw_spared_objects, __ATOMIC_RELAXED);
}

/* Whether an object that was found with such a finalizer need not be dead. */
bool bdw_spares(void *object, GC_finalization_proc fn, void *data)
{
	if (likely(!bdw_is_sparing()))
		return false;
	gcheap_finalizer_set(object, fn, data);
	__atomic_fetch_add(&bdw_spared_objects, 1, __ATOMIC_RELAXED);
	return true;
}

/* A finalizer of the library's. */
bool bdw_is_watcher(GC_finalization_proc fn)
{
	return fn == bdw_leak_found || bdw_disclaim_is(fn);
}

/* Every object, as soon as it is one; NULL is none. */
void *bdw_born(void *object, unsigned int kind)
{
	if (likely(!READ_ONCE(bdw_watching)) || !object)
		return object;
	if (bdw_finds_leaks())
		bdw_leak_watch(object);
	else
		bdw_disclaim_watch(object, kind);
	return object;
}
