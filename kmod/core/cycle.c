// SPDX-License-Identifier: GPL-2.0-only
/*
 * The steps of one collection that change the phase together with the structure,
 * for the collector thread and for the tests, which go:
 *
 *   gch_cycle_clear()	program running; gch_mark_clear() while it says so
 *   gch_cycle_stop()	structure is frozen from here (I1); stop the world
 *   gch_cycle_mark()	then roots by gch_mark_ambiguous() and _precise(), and
 *			gch_mark_drain(), without the lock
 *   gch_cycle_finish()	weak fields and short links
 *   gch_cycle_finalize()	from here the world may go on; gch_final_some() while it
 *			says so, lock held; long links in its end. gch_cycle_pause(): so far
 *			the world is still stopped, or it is again
 *   gch_cycle_sweep()	gch_sweep_some() while it says so
 *   gch_cycle_end()
 *
 * With marking while the program runs, after gch_cycle_clear():
 *
 *   gch_cycle_trace()	pages written from before that call on are told of by
 *			gch_dirty_set(); what is handed out is black from here
 *   gch_dirty_scan(), gch_mark_drain()		program running, lock held
 *   gch_cycle_stop(), gch_cycle_mark() and so on as above, with what is dirty
 *			scanned by gch_dirty_scan() too
 *   gch_cycle_resume()	instead of gch_cycle_finish(): the pause has to end, marking
 *			goes on with what there is
 *
 * or gch_cycle_abandon() instead of one of the last four, when the world cannot be
 * stopped or a root not be read: nothing is freed then. Lock held in each.
 *
 * A young collection (Demers et al., "Combining generational and conservative garbage
 * collection", POPL 1990: sticky mark bits) leaves out gch_mark_clear(), and begins with
 * the pages dirty that were written since the last cycle's marking was complete. What
 * that marked stays, and counts as scanned; what is looked for is what is new.
 */
#include "heap.h"

void gch_cycle_clear(struct gch_heap *h)
{
	gch_phase_set(h, GCHEAP_PHASE_CLEAR);
}

void gch_cycle_stop(struct gch_heap *h)
{
	gch_phase_set(h, GCHEAP_PHASE_STOP);
}

void gch_cycle_trace(struct gch_heap *h, bool young)
{
	gch_phase_set(h, GCHEAP_PHASE_TRACE);
	gch_mark_begin(h, young);
	gch_thread_last_roots(h);
	WRITE_ONCE(h->black, true);
}

void gch_cycle_resume(struct gch_heap *h)
{
	gch_ask_end(h);
	gch_phase_set(h, GCHEAP_PHASE_TRACE);
}

void gch_cycle_mark(struct gch_heap *h)
{
	gch_phase_set(h, GCHEAP_PHASE_MARK);
	if (h->black)
		gch_mark_own_roots(h);
	else
		gch_mark_begin(h, false);
}

/*
 * R19: weak fields that refer to what was not reached go first, and short links, then
 * finalizable objects come back to life with all that they refer to, whose weak fields may
 * refer to what stays dead.
 */
void gch_cycle_finish(struct gch_heap *h)
{
	gch_phase_set(h, GCHEAP_PHASE_FINISH);
	while (gch_rule(19) && gch_weak_clear(h, U32_MAX))
		;
	gch_link_finish(h);
}

void gch_cycle_finalize(struct gch_heap *h)
{
	gch_phase_set(h, GCHEAP_PHASE_FINALIZE);
	gch_final_begin(h);
}

/*
 * In FINALIZE the world is stopped, too, or not any more: then structure is frozen (I1), so
 * that the program can be asked about objects.
 */
void gch_cycle_pause(struct gch_heap *h, bool paused)
{
	env_assert_held(&h->lock);
	WRITE_ONCE(h->paused, paused);
}

void gch_cycle_sweep(struct gch_heap *h)
{
	gch_cycle_pause(h, false);
	gch_ask_end(h);
	gch_sweep_begin(h);
	gch_phase_set(h, GCHEAP_PHASE_SWEEP);
}

void gch_cycle_end(struct gch_heap *h)
{
	gch_sweep_end(h);
	gch_phase_set(h, GCHEAP_PHASE_IDLE);
}

void gch_cycle_abandon(struct gch_heap *h)
{
	gch_cycle_pause(h, false);
	gch_mark_drop(h);
	gch_ask_end(h);
	gch_dirty_forget(h);
	gch_weak_forget(h);
	gch_final_end(h);
	gch_evac_abandon(h);
	if (h->black) {
		WRITE_ONCE(h->black, false);
		gch_span_drop_empty(h);
	}
	gch_phase_set(h, GCHEAP_PHASE_IDLE);
}
