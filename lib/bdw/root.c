// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Roots that programs tell of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bdw.h"

/* Programs say so again for what is one already. */
static bool bdw_is_root(uintptr_t low, uintptr_t end)
{
	const struct gch_root *r;
	bool found = false;

	pthread_mutex_lock(&gch.lock);
	r = gch.heap0.roots.items;
	for (size_t i = 0; i < gch.heap0.roots.n && !found; i++)
		found = r[i].addr <= low && r[i].addr + r[i].len >= end;
	pthread_mutex_unlock(&gch.lock);
	return found;
}

/* Without a way to fail: bdwgc ends the program as well. */
GCH_API void GC_add_roots(void *low, void *end)
{
	uintptr_t first = ((uintptr_t)low + 7) & ~7ul, last = (uintptr_t)end & ~7ul;
	int err;

	if (first >= last || bdw_is_root(first, last))
		return;
	err = gcheap_root_add((void *)first, last - first);
	if (!err)
		return;
	fprintf(stderr, "libgc: GC_add_roots: %s\n", strerror(-err));
	abort();
}
