// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Roots that the program's code finds, in each pause (callback.c). What it pushes counts only
 * there, and in mark procedures.
 */
#include "bdw.h"

/* bdwgc's own pushes stacks, which the kernel finds. */
static void bdw_push_nothing(void)
{
}

GCH_API GC_push_other_roots_proc GC_push_other_roots = bdw_push_nothing;

bool bdw_pushes_roots(void)
{
	GC_push_other_roots_proc push = READ_ONCE(GC_push_other_roots);

	return push && push != bdw_push_nothing;
}

void bdw_push_roots(void)
{
	GC_push_other_roots_proc push = READ_ONCE(GC_push_other_roots);

	if (push)
		push();
}

GCH_API void GC_set_push_other_roots(GC_push_other_roots_proc push)
{
	WRITE_ONCE(GC_push_other_roots, push);
	bdw_callback_notice();
}

GCH_API GC_push_other_roots_proc GC_get_push_other_roots(void)
{
	return READ_ONCE(GC_push_other_roots);
}

/* Whole words. */
GCH_API void GC_push_all(void *low, void *end)
{
	void **word = (void **)(((uintptr_t)low + 7) & ~7ul);

	for (; word + 1 <= (void **)end; word++)
		bdw_push(*word);
}

/* All that is told is searched before the pause is over. */
GCH_API void GC_push_all_eager(void *low, void *end)
{
	GC_push_all(low, end);
}

/* Nobody knows which words have changed. */
GCH_API void GC_push_conditional(void *low, void *end, int all)
{
	GC_push_all(low, end);
}

/* What waits for its finalizer is the kernel's own root. */
GCH_API void GC_push_finalizer_structures(void)
{
}

/* It is marked, and what it refers to, by what its kind is searched for. */
GCH_API void GC_set_mark_bit(const void *object)
{
	bdw_push(object);
}
