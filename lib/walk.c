// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Walks over the shared objects that are loaded, by dl_iterate_phdr().
 *
 * The loader has a lock for that, which fork() does not renew: if another thread is at it the
 * child can never walk again. So whoever forks bars walks meanwhile. It does not wait for those
 * under way for long: a thread in a walk may wait for one that has the loader's lock, by a walk of
 * the program's, and wants to allocate, and so to walk.
 *
 * Beginning: under_way is counted up, then barred is read; barring: barred is counted up, then
 * under_way read (sequentially consistent).
 */
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gch.h"

#define GCH_BAR_TRIES	100
#define GCH_BAR_US	100	/* between these */

static struct {
	int under_way;
	int barred;		/* by so many; a futex */
} gch_walks;

static __thread int gch_walking;	/* of those under way */

static void gch_walk_leave(void)
{
	__atomic_sub_fetch(&gch_walks.under_way, 1, __ATOMIC_SEQ_CST);
}

/* Return: 0, or what gch_walks.barred is. Within a walk another one is no news. */
static int gch_walk_enter(void)
{
	int barred;

	__atomic_add_fetch(&gch_walks.under_way, 1, __ATOMIC_SEQ_CST);
	barred = __atomic_load_n(&gch_walks.barred, __ATOMIC_SEQ_CST);
	if (!barred || gch_walking)
		return 0;
	gch_walk_leave();
	return barred;
}

/* As dl_iterate_phdr(). */
int gch_walk(int (*fn)(struct dl_phdr_info *info, size_t size, void *arg), void *arg)
{
	int result, barred;

	while ((barred = gch_walk_enter()))
		syscall(SYS_futex, &gch_walks.barred, FUTEX_WAIT_PRIVATE, barred, NULL);
	gch_walking++;
	result = dl_iterate_phdr(fn, arg);
	gch_walking--;
	gch_walk_leave();
	return result;
}

/*
 * None begins from now on, and but for the caller's none is under way. @wait: for those that are
 * to end, for a while. Return: false: some are, and it is undone.
 */
bool gch_walks_bar(bool wait)
{
	__atomic_add_fetch(&gch_walks.barred, 1, __ATOMIC_SEQ_CST);
	for (int i = wait ? GCH_BAR_TRIES : 1; i > 0; i--) {
		if (__atomic_load_n(&gch_walks.under_way, __ATOMIC_SEQ_CST) == gch_walking)
			return true;
		if (wait)
			usleep(GCH_BAR_US);
	}
	gch_walks_open();
	return false;
}

void gch_walks_open(void)
{
	__atomic_sub_fetch(&gch_walks.barred, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &gch_walks.barred, FUTEX_WAKE_PRIVATE, INT_MAX);
}

/* In a forked child, where only the caller is left. */
void gch_walks_forked(void)
{
	gch_walks.barred = 0;
	gch_walks.under_way = gch_walking;
}
