// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Counters: a copy of the status page, and two ways to print them. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gch.h"

#define GCH_LINE	1024

/* ---- the copy */

/* The kernel makes seq odd, writes, and makes it even again. */
static void gch_status(struct gcheap *h, struct gcheap_status *copy)
{
	const struct gcheap_status *s = h->backend.status;
	uint32_t seq;

	do {
		seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);
		memcpy(copy, s, sizeof(*copy));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (seq & 1 || __atomic_load_n(&s->seq, __ATOMIC_RELAXED) != seq);
}

#define GCH_COPY(field)	stats->field = s.field

GCH_API int gcheap_heap_stats(struct gcheap *h, struct gcheap_stats *stats)
{
	struct gcheap_status s;
	int err = gch_heap_get(&h);

	memset(stats, 0, sizeof(*stats));
	if (err)
		return err;
	gch_status(h, &s);
	GCH_COPY(cycles);
	GCH_COPY(cycles_failed);
	GCH_COPY(heap_bytes);
	GCH_COPY(heap_peak);
	GCH_COPY(resident_bytes);
	GCH_COPY(meta_bytes);
	GCH_COPY(goal_bytes);
	GCH_COPY(limit_bytes);
	GCH_COPY(alloc_bytes);
	GCH_COPY(alloc_large_bytes);
	GCH_COPY(marked_objects);
	GCH_COPY(marked_bytes);
	GCH_COPY(live_objects);
	GCH_COPY(live_bytes);
	GCH_COPY(freed_objects);
	GCH_COPY(freed_early);
	GCH_COPY(bad_frees);
	GCH_COPY(spans_handed);
	GCH_COPY(span_calls);
	GCH_COPY(pages_released);
	GCH_COPY(pause_ns_last);
	GCH_COPY(pause_ns_total);
	GCH_COPY(pause_ns_max);
	GCH_COPY(stop_ns_max);
	GCH_COPY(root_words);
	GCH_COPY(threads_stopped);
	GCH_COPY(threads);
	GCH_COPY(finalizers);
	GCH_COPY(finalizers_ready);
	GCH_COPY(weak_cleared);
	GCH_COPY(events_lost);
	GCH_COPY(oom_returns);
	GCH_COPY(trigger_bytes);
	GCH_COPY(black_bytes);
	GCH_COPY(pauses);
	GCH_COPY(trace_rounds);
	GCH_COPY(pages_rescanned);
	GCH_COPY(pages_logged);
	GCH_COPY(write_faults);
	GCH_COPY(assists);
	GCH_COPY(assist_bytes);
	GCH_COPY(assist_ns);
	GCH_COPY(assist_waits);
	GCH_COPY(checks);
	GCH_COPY(check_lost);
	GCH_COPY(offheap_bytes);
	GCH_COPY(collector_ns);
	GCH_COPY(helped_bytes);
	GCH_COPY(root_words_same);
	GCH_COPY(pages_vacated);
	GCH_COPY(meshed_bytes);
	GCH_COPY(pages_meshed);
	GCH_COPY(pages_split);
	GCH_COPY(pages_busy);
	GCH_COPY(flips);
	GCH_COPY(moved_objects);
	GCH_COPY(spans_pinned);
	GCH_COPY(resized);
	GCH_COPY(pages_remapped);
	GCH_COPY(compactions);
	GCH_COPY(compactions_own);
	GCH_COPY(flip_pages);
	GCH_COPY(flip_zapped);
	GCH_COPY(flip_zapped_late);
	GCH_COPY(flip_faults);
	GCH_COPY(flip_fault_ns);
	GCH_COPY(flip_fault_ns_max);
	memcpy(stats->stop_hist, s.stop_hist, sizeof(stats->stop_hist));
	memcpy(stats->pause_hist, s.pause_hist, sizeof(stats->pause_hist));
	return 0;
}

GCH_API int gcheap_stats(struct gcheap_stats *stats)
{
	return gcheap_heap_stats(NULL, stats);
}

/* ---- a line for each cycle */

/* Without being cancelled in a call that allocates. */
static void gch_print(int fd, const char *text, int length)
{
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (length > 0 && write(fd, text, length < GCH_LINE ? length : GCH_LINE - 1) < 0)
		length = 0;
	pthread_setcancelstate(cancel, NULL);
}

static int gch_trace_text(char *text, const struct gcheap *h, const struct gcheap_status *s)
{
	return snprintf(text, GCH_LINE,
			"gcheap: heap %u cycle %llu young %llu pause %llu us live %llu KiB "
			"heap %llu KiB trigger %llu KiB goal %llu KiB pauses %llu rounds %llu "
			"rescanned %llu logged %llu faults %llu assisted %llu KiB %llu us\n",
			h->index, (unsigned long long)s->cycles,
			(unsigned long long)s->cycles_young,
			(unsigned long long)s->pause_ns_last / 1000,
			(unsigned long long)s->live_bytes >> 10,
			(unsigned long long)s->heap_bytes >> 10,
			(unsigned long long)s->trigger_bytes >> 10,
			(unsigned long long)s->goal_bytes >> 10,
			(unsigned long long)s->pauses, (unsigned long long)s->trace_rounds,
			(unsigned long long)s->pages_rescanned,
			(unsigned long long)s->pages_logged,
			(unsigned long long)s->write_faults,
			(unsigned long long)s->assist_bytes >> 10,
			(unsigned long long)s->assist_ns / 1000);
}

void gch_trace(struct gcheap *h)
{
	char line[GCH_LINE];
	struct gcheap_status s;
	uint64_t told = READ_ONCE(h->traced);

	if (READ_ONCE(h->backend.status->cycles) == told)
		return;
	gch_status(h, &s);
	if (!__atomic_compare_exchange_n(&h->traced, &told, s.cycles, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return;
	gch_print(2, line, gch_trace_text(line, h, &s));
}

/* ---- at exit */

static int gch_exit_text(char *text, const struct gcheap_status *s)
{
	return snprintf(text, GCH_LINE,
		"gcheap: cycles %llu\n"
		"gcheap: pause_total_ns %llu\n"
		"gcheap: pause_max_ns %llu\n"
		"gcheap: heap_bytes %llu\n"
		"gcheap: heap_peak_bytes %llu\n"
		"gcheap: live_bytes %llu\n"
		"gcheap: alloc_bytes %llu\n"
		"gcheap: freed_objects %llu\n",
		(unsigned long long)s->cycles, (unsigned long long)s->pause_ns_total,
		(unsigned long long)s->pause_ns_max, (unsigned long long)s->heap_bytes,
		(unsigned long long)s->heap_peak, (unsigned long long)s->live_bytes,
		(unsigned long long)s->alloc_bytes, (unsigned long long)s->freed_objects);
}

static int gch_exit_file(void)
{
	if (!strcmp(gch.exit_stats, "1"))
		return 2;
	return open(gch.exit_stats, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

__attribute__((destructor)) static void gch_exit_stats(void)
{
	struct gcheap_status s;
	char text[GCH_LINE];
	int fd;

	if (!gch.exit_stats || !*gch.exit_stats || !gch.ready || gch.error ||
	    gch_heap_there(&gch.heap0))
		return;
	gch_status(&gch.heap0, &s);
	fd = gch_exit_file();
	if (fd < 0)
		return;
	gch_print(fd, text, gch_exit_text(text, &s));
	if (fd != 2)
		close(fd);
}
