/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM gcheap

#if !defined(_GCH_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _GCH_TRACE_H

#include <linux/tracepoint.h>

#include "gcheap.h"

/* A heap is told apart by the process that opened it. */
DECLARE_EVENT_CLASS(gcheap_heap,
	TP_PROTO(struct gch *g),
	TP_ARGS(g),
	TP_STRUCT__entry(
		__field(pid_t, tgid)
		__field(u64, cycle)
		__field(u64, heap)
	),
	TP_fast_assign(
		__entry->tgid = g->tgid;
		__entry->cycle = g->cycles;
		__entry->heap = g->core.n.heap_bytes;
	),
	TP_printk("tgid=%d cycle=%llu heap=%llu", __entry->tgid,
		  __entry->cycle, __entry->heap)
);

DEFINE_EVENT(gcheap_heap, gcheap_cycle_begin,
	TP_PROTO(struct gch *g), TP_ARGS(g));
DEFINE_EVENT(gcheap_heap, gcheap_pause_begin,
	TP_PROTO(struct gch *g), TP_ARGS(g));

DECLARE_EVENT_CLASS(gcheap_end,
	TP_PROTO(struct gch *g, int err),
	TP_ARGS(g, err),
	TP_STRUCT__entry(
		__field(pid_t, tgid)
		__field(int, err)
		__field(u64, cycle)
		__field(u64, marked)
		__field(u64, pause)
	),
	TP_fast_assign(
		__entry->tgid = g->tgid;
		__entry->err = err;
		__entry->cycle = g->cycles;
		__entry->marked = g->core.n.marked_bytes;
		__entry->pause = g->pause_last;
	),
	TP_printk("tgid=%d err=%d cycle=%llu marked=%llu pause_ns=%llu",
		  __entry->tgid, __entry->err, __entry->cycle,
		  __entry->marked, __entry->pause)
);

DEFINE_EVENT(gcheap_end, gcheap_cycle_end,
	TP_PROTO(struct gch *g, int err), TP_ARGS(g, err));
DEFINE_EVENT(gcheap_end, gcheap_pause_end,
	TP_PROTO(struct gch *g, int err), TP_ARGS(g, err));

TRACE_EVENT(gcheap_spans,
	TP_PROTO(struct gch *g, u32 thread, u32 cache, u32 got),
	TP_ARGS(g, thread, cache, got),
	TP_STRUCT__entry(
		__field(u32, thread)
		__field(u32, cache)
		__field(u32, got)
		__field(u64, heap)
	),
	TP_fast_assign(
		__entry->thread = thread;
		__entry->cache = cache;
		__entry->got = got;
		__entry->heap = g->core.n.heap_bytes;
	),
	TP_printk("thread=%u cache=%u got=%u heap=%llu", __entry->thread,
		  __entry->cache, __entry->got, __entry->heap)
);

TRACE_EVENT(gcheap_assist,
	TP_PROTO(struct gch *g, u64 bytes, u64 ns),
	TP_ARGS(g, bytes, ns),
	TP_STRUCT__entry(
		__field(u64, cycle)
		__field(u64, bytes)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->cycle = g->cycles;
		__entry->bytes = bytes;
		__entry->ns = ns;
	),
	TP_printk("cycle=%llu bytes=%llu ns=%llu", __entry->cycle, __entry->bytes,
		  __entry->ns)
);

TRACE_EVENT(gcheap_release,
	TP_PROTO(struct gch *g, u64 pages),
	TP_ARGS(g, pages),
	TP_STRUCT__entry(
		__field(u64, pages)
		__field(u64, resident)
	),
	TP_fast_assign(
		__entry->pages = pages;
		__entry->resident = g->core.n.resident_pages;
	),
	TP_printk("pages=%llu resident=%llu", __entry->pages, __entry->resident)
);

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
