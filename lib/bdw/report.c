// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Collections, to the log: when they have been noticed, and all of them at exit. */
#include "bdw.h"

int bdw_print_stats;		/* GC_PRINT_STATS 1, GC_PRINT_VERBOSE_STATS 2 */
int bdw_print_maps;		/* GC_PRINT_ADDRESS_MAP */
int bdw_dump_regularly;		/* GC_DUMP_REGULARLY */

#define US(ns)	((unsigned long)(ns) / 1000)
#define KIB(b)	((unsigned long)(b) >> 10)

static void bdw_report_collection(const struct gcheap_stats *s)
{
	GC_log_printf("GC #%lu: live %lu KiB, heap %lu KiB (+ %lu KiB internal), "
		      "pause %lu us, %lu objects freed so far\n", (unsigned long)s->cycles,
		      KIB(s->live_bytes), KIB(s->heap_bytes), KIB(s->meta_bytes),
		      US(s->pause_ns_last), (unsigned long)s->freed_objects);
	if (bdw_print_stats < 2)
		return;
	GC_log_printf("GC #%lu: marked %lu objects, %lu KiB, from %lu root words of %lu threads; "
		      "next from %lu KiB on, over at %lu KiB; %lu finalizers, %lu ready\n",
		      (unsigned long)s->cycles, (unsigned long)s->marked_objects,
		      KIB(s->marked_bytes), (unsigned long)s->root_words,
		      (unsigned long)s->threads_stopped, KIB(s->trigger_bytes),
		      KIB(s->goal_bytes), (unsigned long)s->finalizers,
		      (unsigned long)s->finalizers_ready);
}

/* One line for those that ended since the last, as with GCHEAP_TRACE. */
void bdw_report(void)
{
	static uint64_t told;
	struct gcheap_stats s;
	uint64_t last = READ_ONCE(told);

	if (likely(!(bdw_print_stats | bdw_print_maps | bdw_dump_regularly)) ||
	    gcheap_stats(&s) || s.cycles == last)
		return;
	if (!__atomic_compare_exchange_n(&told, &last, s.cycles, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return;
	if (bdw_print_stats)
		bdw_report_collection(&s);
	if (bdw_print_maps)
		bdw_log_maps();
	if (bdw_dump_regularly)
		GC_dump();
}

__attribute__((destructor)) static void bdw_report_all(void)
{
	struct gcheap_stats s;

	if (!bdw_print_stats || gcheap_stats(&s))
		return;
	GC_log_printf("GC total: %lu collections, %lu us in pauses (at most %lu us), %lu us of "
		      "processor time; %lu KiB allocated, %lu objects freed; heap %lu KiB "
		      "(at most %lu KiB), live %lu KiB; %lu compactions, %lu pages given back, "
		      "%lu shared\n", (unsigned long)s.cycles,
		      US(s.pause_ns_total), US(s.pause_ns_max), US(s.collector_ns),
		      KIB(s.alloc_bytes), (unsigned long)s.freed_objects, KIB(s.heap_bytes),
		      KIB(s.heap_peak), KIB(s.live_bytes), (unsigned long)s.compactions,
		      (unsigned long)s.pages_vacated, (unsigned long)s.pages_meshed);
}
