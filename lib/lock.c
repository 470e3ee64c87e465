// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * All locks of the library and of what is built on it, taken at once: whoever forks needs what
 * they protect to be whole.
 *
 * Those at the top have no order here: malloc() may be the collector's, so that a thread that is
 * making another one can come to run finalizers, which take the allocation lock of libgc. Who
 * finds one of them taken waits with none.
 */
#include "gch.h"

static struct {
	pthread_mutex_t *first;		/* recursive, or NULL */
	pthread_mutex_t *const *other;
	size_t nothers;
	bool dl;		/* dl_lock is taken, too; under all of them */
} gch_top;

/* Taken within start_lock, in this order. */
pthread_mutex_t *const gch_inner_locks[GCH_INNER_LOCKS] = {
	&gch.lock, &gch.pin_lock, &gch.starts.lock, &gch.finalizers.lock, &gch.pins.lock,
	&gch.await_lock,
};

/* Locks of what is built on the library, while it is being loaded: @n and @first. */
void gch_locks_add(pthread_mutex_t *first, pthread_mutex_t *const *others, size_t n)
{
	gch_top.first = first;
	gch_top.other = others;
	gch_top.nothers = n;
}

static size_t gch_tops(void)
{
	return 1 + gch_top.nothers + !!gch_top.first;
}

static pthread_mutex_t *gch_top_number(size_t i)
{
	if (!i)
		return &gch.start_lock;
	return i <= gch_top.nothers ? gch_top.other[i - 1] : gch_top.first;
}

/* The first @n, but not @held. */
static void gch_tops_unlock(size_t n, const pthread_mutex_t *held)
{
	while (n-- > 0)
		if (gch_top_number(n) != held)
			pthread_mutex_unlock(gch_top_number(n));
}

/*
 * Whoever has dl_lock may be in any code that a shared object runs as it is loaded, and wait for
 * the caller: then it is done without.
 */
static void gch_inner_lock(void)
{
	gch_top.dl = !pthread_mutex_trylock(&gch.dl_lock);
	for (int i = 0; i < GCH_INNER_LOCKS; i++)
		pthread_mutex_lock(gch_inner_locks[i]);
	for (int i = 0; i < GCH_HEAPS; i++)
		if (gch.heap[i])
			pthread_mutex_lock(&gch.heap[i]->offheap_lock);
}

/* All, of which the caller has @held, and NULL; or none, and one that is taken: to wait for it. */
pthread_mutex_t *gch_locks_try(pthread_mutex_t *held)
{
	for (size_t i = 0; i < gch_tops(); i++) {
		pthread_mutex_t *lock = gch_top_number(i);

		if (lock == held || !pthread_mutex_trylock(lock))
			continue;
		gch_tops_unlock(i, held);
		if (held)
			pthread_mutex_unlock(held);
		return lock;
	}
	gch_inner_lock();
	return NULL;
}

void gch_locks_drop(void)
{
	bool dl = gch_top.dl;

	for (int i = GCH_HEAPS; i-- > 0;)
		if (gch.heap[i])
			pthread_mutex_unlock(&gch.heap[i]->offheap_lock);
	for (int i = GCH_INNER_LOCKS; i-- > 0;)
		pthread_mutex_unlock(gch_inner_locks[i]);
	if (dl)
		pthread_mutex_unlock(&gch.dl_lock);
	gch_tops_unlock(gch_tops(), NULL);
}

/* Of who has them all: dl_lock is among them. */
bool gch_locks_with_dl(void)
{
	return gch_top.dl;
}

static void gch_lock_renew(pthread_mutex_t *lock, bool recursive)
{
	static const pthread_mutex_t again = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	static const pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;

	*lock = recursive ? again : once;
}

/* In a forked child, whose thread has another number than the one that had taken them. */
void gch_locks_renew(void)
{
	for (size_t i = 0; i < gch_tops(); i++) {
		pthread_mutex_t *lock = gch_top_number(i);

		gch_lock_renew(lock, lock == &gch.start_lock || lock == gch_top.first);
	}
	gch_lock_renew(&gch.dl_lock, true);
	for (int i = 0; i < GCH_INNER_LOCKS; i++)
		gch_lock_renew(gch_inner_locks[i], false);
	for (int i = 0; i < GCH_HEAPS; i++)
		if (gch.heap[i])
			gch_lock_renew(&gch.heap[i]->offheap_lock, false);
}
