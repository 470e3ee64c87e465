// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Parts of roots that are not to be searched: a table in the order of addresses. */
#include <string.h>

#include "bdw.h"

static struct gch_vec bdw_excluded;	/* struct bdw_range; under gch.lock */

bool bdw_exclusions(void)
{
	return READ_ONCE(bdw_excluded.n);
}

/* From part->end on, what is not excluded, up to @end; false: nothing. */
bool bdw_next_part(struct bdw_range *part, uintptr_t end)
{
	const struct bdw_range *e = bdw_excluded.items;

	part->lo = part->end;
	part->end = end;
	for (size_t i = 0; i < bdw_excluded.n; i++) {
		if (e[i].end <= part->lo)
			continue;
		if (e[i].lo > part->lo) {
			part->end = e[i].lo < end ? e[i].lo : end;
			break;
		}
		part->lo = e[i].end;
	}
	return part->lo < end;
}

static void bdw_exclude(const struct bdw_range *range)
{
	struct bdw_range *e = gch_vec_push(&bdw_excluded, sizeof(*e)), *first = bdw_excluded.items;

	if (!e)
		return;
	for (; e > first && e[-1].lo > range->lo; e--)
		*e = e[-1];
	*e = *range;
}

/* Whole words, the other way round than roots: what touches the range is out. */
GCH_API void GC_exclude_static_roots(void *low, void *end)
{
	struct bdw_range range = { (uintptr_t)low & ~7ul, ((uintptr_t)end + 7) & ~7ul };

	if (low >= end)
		return;
	if (!range.end)
		range.end = ~7ul;
	pthread_mutex_lock(&gch.lock);
	bdw_exclude(&range);
	pthread_mutex_unlock(&gch.lock);
	bdw_roots_cut();
	bdw_data_settle();
}

GCH_API void GC_clear_exclusion_table(void)
{
	pthread_mutex_lock(&gch.lock);
	bdw_excluded.n = 0;
	pthread_mutex_unlock(&gch.lock);
	bdw_roots_cut();
	bdw_data_settle();
}
