// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * fork(). The child has the heap in any case: handlers are there from the beginning. Calls by
 * hand are for who has asked for that, and may have a way to fork without handlers.
 */
#include "bdw.h"

static int bdw_handle_fork;

GCH_API void GC_set_handle_fork(int mode)
{
	WRITE_ONCE(bdw_handle_fork, mode);
}

static bool bdw_by_hand(void)
{
	return READ_ONCE(bdw_handle_fork) < 0;
}

GCH_API void GC_atfork_prepare(void)
{
	if (bdw_by_hand())
		gch_fork_prepare();
}

GCH_API void GC_atfork_parent(void)
{
	if (bdw_by_hand())
		gch_fork_parent();
}

GCH_API void GC_atfork_child(void)
{
	if (bdw_by_hand())
		gch_fork_child();
}

static void bdw_forked(void)
{
	bdw_lock_forked();
	bdw_suspend_forked();
	bdw_spare_forked();
	bdw_callback_forked();
	bdw_reveal_forked();
}

__attribute__((constructor)) static void bdw_fork_setup(void)
{
	gch_locks_add(bdw_heap_lock, __start_bdw_locks, __stop_bdw_locks - __start_bdw_locks);
	gch_fork_calls(bdw_forked);
}
