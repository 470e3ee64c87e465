// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Size classes: every multiple of 16 up to 128 bytes, then eight to each
 * doubling, so that at most an eighth of a cell is in excess.
 */
#include "gch.h"

#define GCH_FINE	8	/* classes up to 128 */
#define GCH_FINE_LOG	7
#define GCH_STEP_LOG	3	/* classes to a doubling */

_Static_assert(GCH_CLASSES == GCH_FINE + ((15 - GCH_FINE_LOG) << GCH_STEP_LOG),
	       "up to 32768 bytes");

/* The class whose cells are the smallest with @bytes, 1 to GCHEAP_CELL_MAX. */
int gch_class(size_t bytes)
{
	int log;

	if (bytes <= 1 << GCH_FINE_LOG)
		return (bytes - 1) / GCHEAP_GRANULE;
	log = 63 - __builtin_clzl(bytes - 1);
	return GCH_FINE + ((log - GCH_FINE_LOG) << GCH_STEP_LOG) +
	       (((bytes - 1) >> (log - GCH_STEP_LOG)) & ((1 << GCH_STEP_LOG) - 1));
}

uint32_t gch_class_cell(int class)
{
	int log, step;

	if (class < GCH_FINE)
		return (class + 1) * GCHEAP_GRANULE;
	log = GCH_FINE_LOG + ((class - GCH_FINE) >> GCH_STEP_LOG);
	step = (class - GCH_FINE) & ((1 << GCH_STEP_LOG) - 1);
	return (1u << log) + ((step + 1) << (log - GCH_STEP_LOG));
}
