// SPDX-License-Identifier: GPL-2.0-only
/* The phase of the collection cycle; this file is its only writer. */
#include "heap.h"

static bool may_follow(u32 from, u32 to)
{
	switch (to) {
	case GCHEAP_PHASE_IDLE:		/* done, or an attempt ended */
		return from != GCHEAP_PHASE_IDLE;
	case GCHEAP_PHASE_CLEAR:
		return from == GCHEAP_PHASE_IDLE;
	case GCHEAP_PHASE_TRACE:	/* or a pause ended without an end */
		return from == GCHEAP_PHASE_CLEAR || from == GCHEAP_PHASE_STOP ||
			from == GCHEAP_PHASE_MARK;
	case GCHEAP_PHASE_STOP:
		return from == GCHEAP_PHASE_CLEAR || from == GCHEAP_PHASE_TRACE;
	case GCHEAP_PHASE_MARK:
		return from == GCHEAP_PHASE_STOP;
	case GCHEAP_PHASE_FINISH:
		return from == GCHEAP_PHASE_MARK;
	case GCHEAP_PHASE_FINALIZE:
		return from == GCHEAP_PHASE_FINISH;
	case GCHEAP_PHASE_SWEEP:
		return from == GCHEAP_PHASE_FINALIZE;
	}
	return false;
}

/**
 * gch_phase_set() - go to a phase
 * @h: heap, lock held
 * @phase: GCHEAP_PHASE_*, one that may follow the present one
 */
void gch_phase_set(struct gch_heap *h, u32 phase)
{
	env_assert_held(&h->lock);
	WARN_ON_ONCE(!may_follow(h->phase, phase));
	WRITE_ONCE(h->phase, phase);
}
