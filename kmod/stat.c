// SPDX-License-Identifier: GPL-2.0-only
/* Counters as the program sees them: status page and fdinfo. */
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/seq_file.h>

#include "gcheap.h"

static void fill(struct gch *g, struct gcheap_status *s)
{
	const struct gch_counts *n = &g->core.n;

	s->size = sizeof(*s);
	s->phase = g->core.phase;
	s->threads = g->core.nthreads;
	s->cycles = g->cycles;
	s->cycles_failed = g->cycles_failed;
	s->heap_bytes = n->heap_bytes;
	s->heap_peak = n->heap_peak;
	s->resident_bytes = n->resident_pages << PAGE_SHIFT;
	s->meta_bytes = n->meta_bytes;
	s->goal_bytes = n->marked_bytes_last + g->black_bytes + n->offheap_bytes + g->trigger;
	s->limit_bytes = g->core.param.limit;
	s->alloc_bytes = n->alloc_bytes;
	s->alloc_large_bytes = n->alloc_large_bytes;
	s->marked_objects = n->marked_objects_last;
	s->marked_bytes = n->marked_bytes_last;
	s->live_objects = n->live_objects_last;
	s->live_bytes = n->live_bytes_last;
	s->freed_objects = n->freed_objects;
	s->freed_early = n->freed_early;
	s->bad_frees = n->bad_frees;
	s->spans_handed = n->spans_handed;
	s->span_calls = n->span_calls;
	s->pages_released = g->pages_released;
	s->pages_vacated = g->pages_vacated;
	s->meshed_bytes = n->meshed_pages << PAGE_SHIFT;
	s->pages_meshed = g->pages_meshed;
	s->pages_split = g->pages_split;
	s->pages_busy = g->pages_busy;
	s->flips = n->flips;
	s->moved_objects = n->moved_objects;
	s->moved_bytes = n->moved_bytes;
	s->spans_pinned = n->spans_pinned;
	s->flip_pages = n->pages_noted;
	s->flip_zapped = g->pages_zapped;
	s->flip_zapped_late = g->pages_zapped_late;
	s->flip_faults = g->flip_faults;
	s->flip_fault_ns = g->flip_fault_ns;
	s->flip_fault_ns_max = g->flip_fault_ns_max;
	s->roots_pinned = g->roots_pinned;
	s->resized = n->resized;
	s->pages_remapped = g->pages_remapped;
	s->compactions = g->compactions + g->tidy.count;
	s->compactions_own = g->tidy.count;
	s->pause_ns_last = g->pause_last;
	s->pause_ns_total = g->pause_total;
	s->pause_ns_max = g->pause_max;
	s->stop_ns_max = g->stop_max;
	s->root_words = g->root_words;
	s->root_words_same = g->root_words_same;
	s->threads_stopped = g->threads_stopped;
	s->finalizers = g->core.finals.registered;
	s->finalizers_ready = g->core.finals.ready;
	s->weak_cleared = n->weak_cleared;
	s->events_lost = READ_ONCE(g->events.lost);
	s->oom_returns = g->oom_returns;
	memcpy(s->stop_hist, g->stop_hist, sizeof(s->stop_hist));
	memcpy(s->pause_hist, g->pause_hist, sizeof(s->pause_hist));
	s->pauses = g->pauses;
	s->trace_rounds = g->trace_rounds;
	s->pages_rescanned = n->pages_rescanned;
	s->pages_logged = g->track.logged;
	s->write_faults = READ_ONCE(g->track.faults);
	s->black_bytes = g->black_bytes;
	s->trigger_bytes = n->marked_bytes_last + g->black_bytes + n->offheap_bytes +
			   (g->concurrent ? g->pace.start : g->trigger);
	s->assists = g->assists;
	s->assist_bytes = g->assist_bytes;
	s->assist_ns = g->assist_ns;
	s->assist_waits = g->assist_waits;
	s->log_waits = atomic64_read(&g->track.waits);
	s->cycles_young = g->cycles_young;
	s->checks = g->checks;
	s->check_lost = g->check_lost;
	s->offheap_bytes = n->offheap_bytes;
	s->collector_ns = gch_clock_ns(g);
	s->helped_bytes = n->helped_bytes;
	s->relief_bytes = g->pace.relief;
	s->links = g->core.links.count;
	s->links_cleared = n->links_cleared;
	s->awaits_hidden = g->awaiting;
}

/**
 * gch_stat_publish() - bring the status page up to date
 *
 * core.lock held. Readers retry while seq is odd or changes; the write
 * barriers pair with the acquire fences of the reader (uapi, struct
 * gcheap_status).
 */
void gch_stat_publish(struct gch *g)
{
	struct gcheap_status *s = g->status;

	env_assert_held(&g->core.lock);
	WRITE_ONCE(s->seq, s->seq + 1);
	smp_wmb(); /* odd before the fields; pairs with the reader's second look */
	fill(g, s);
	smp_wmb(); /* fields before even; pairs with the reader's first look */
	WRITE_ONCE(s->seq, s->seq + 1);
}

static void copy_pages(struct gch *to, const struct gch *from)
{
	to->pages_released = from->pages_released;
	to->pages_vacated = from->pages_vacated;
	to->pages_meshed = from->pages_meshed;
	to->pages_split = from->pages_split;
	to->pages_busy = from->pages_busy;
	to->pages_zapped = from->pages_zapped;
	to->pages_zapped_late = from->pages_zapped_late;
	to->flip_faults = from->flip_faults;
	to->flip_fault_ns = from->flip_fault_ns;
	to->flip_fault_ns_max = from->flip_fault_ns_max;
	to->roots_pinned = from->roots_pinned;
	to->pages_remapped = from->pages_remapped;
	to->track.logged = from->track.logged;
	to->track.faults = READ_ONCE(from->track.faults);
	atomic64_set(&to->track.waits, atomic64_read(&from->track.waits));
}

static void copy_pauses(struct gch *to, const struct gch *from)
{
	to->pauses = from->pauses;
	to->pause_last = from->pause_last;
	to->pause_total = from->pause_total;
	to->pause_max = from->pause_max;
	to->stop_max = from->stop_max;
	memcpy(to->stop_hist, from->stop_hist, sizeof(to->stop_hist));
	memcpy(to->pause_hist, from->pause_hist, sizeof(to->pause_hist));
	to->root_words = from->root_words;
	to->root_words_same = from->root_words_same;
	to->threads_stopped = from->threads_stopped;
}

static void copy_cycles(struct gch *to, const struct gch *from)
{
	to->cycles = from->cycles;
	to->cycles_failed = from->cycles_failed;
	to->cycles_young = from->cycles_young;
	to->compactions = from->compactions;
	to->tidy.count = from->tidy.count;
	to->trace_rounds = from->trace_rounds;
	to->black_bytes = from->black_bytes;
	to->checks = from->checks;
	to->check_lost = from->check_lost;
	to->assists = from->assists;
	to->assist_bytes = from->assist_bytes;
	to->assist_ns = from->assist_ns;
	to->assist_waits = from->assist_waits;
	to->clock.ns = READ_ONCE(from->clock.ns);
	atomic64_set(&to->crew.ns, atomic64_read(&from->crew.ns));
}

/**
 * gch_stat_copy() - counters that go on in a copy of the heap, as those of the core do
 *
 * @from's core.lock held. All but those of what there is now, which are counted again.
 */
void gch_stat_copy(struct gch *to, const struct gch *from)
{
	env_assert_held(&from->core.lock);
	copy_cycles(to, from);
	copy_pauses(to, from);
	copy_pages(to, from);
	to->oom_returns = from->oom_returns;
	to->events.lost = READ_ONCE(from->events.lost);
}

static void hist_add(u64 *hist, u64 ns)
{
	hist[ns ? min(ilog2(ns), 31) : 0]++;
}

/** gch_stat_pause() - account a pause that is over, and what it found; takes core.lock */
void gch_stat_pause(struct gch *g, u64 stop_ns, u64 pause_ns)
{
	struct gch_world_stats st;

	gch_world_stats(&g->world, &st);
	env_lock(&g->core.lock);
	g->pauses++;
	g->pause_last = pause_ns;
	g->pause_total += pause_ns;
	g->pause_max = max(g->pause_max, pause_ns);
	g->stop_max = max(g->stop_max, stop_ns);
	hist_add(g->stop_hist, stop_ns);
	hist_add(g->pause_hist, pause_ns);
	g->root_words = g->roots.words;
	g->root_words_same = g->roots.same;
	g->threads_stopped = st.found;
	gch_unlock(g);
}

/** gch_stat_fdinfo() - /proc/PID/fdinfo/FD: one "gcheap-name: value" a line */
void gch_stat_fdinfo(struct seq_file *m, struct file *file)
{
	struct gch *g = file->private_data;
	const struct gch_counts *n = &g->core.n;

	if (!READ_ONCE(g->ready))
		return;
	env_lock(&g->core.lock);
	seq_printf(m, "gcheap-phase:\t%u\n", g->core.phase);
	seq_printf(m, "gcheap-cycles:\t%llu\n", g->cycles);
	seq_printf(m, "gcheap-heap:\t%llu kB\n", n->heap_bytes >> 10);
	seq_printf(m, "gcheap-peak:\t%llu kB\n", n->heap_peak >> 10);
	seq_printf(m, "gcheap-resident:\t%llu kB\n",
		   n->resident_pages << (PAGE_SHIFT - 10));
	seq_printf(m, "gcheap-meta:\t%llu kB\n", n->meta_bytes >> 10);
	seq_printf(m, "gcheap-live:\t%llu kB\n", n->live_bytes_last >> 10);
	seq_printf(m, "gcheap-allocated:\t%llu kB\n", n->alloc_bytes >> 10);
	seq_printf(m, "gcheap-limit:\t%llu kB\n", g->core.param.limit >> 10);
	seq_printf(m, "gcheap-threads:\t%u\n", g->core.nthreads);
	seq_printf(m, "gcheap-pause-max:\t%llu ns\n", g->pause_max);
	seq_printf(m, "gcheap-pause-total:\t%llu ns\n", g->pause_total);
	env_unlock(&g->core.lock);
}
