// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * What programs want to be told of. The kernel collects beside the program and calls
 * nobody, so that events are told by the thread that
 *   - asks for a collection: those up to MARK_START before it, the others after it;
 *   - needs memory, of collections since the last time: all events of each, one after
 *     the other, of the last BDW_CATCH_UP at most.
 * The order is bdwgc's, and the allocation lock is held. Pauses are over, or not there
 * yet, when the world is said to stop. Callbacks do not run within one another: what one
 * of them causes is told when it has returned.
 */
#include "bdw.h"

#include <gc/gc_mark.h>

#define BDW_CATCH_UP	4
#define BDW_RESIZE	65536	/* bytes, and a 16th of the heap: less is not told */

GCH_API GC_on_heap_resize_proc GC_on_heap_resize;

static struct {
	GC_on_collection_event_proc event;
	GC_start_callback_proc start;
	GC_on_thread_event_proc thread;
	uint64_t cycles;	/* told of */
	uint64_t heap;		/* bytes, told */
	bool telling;		/* a callback runs */
} bdw_event;			/* under the allocation lock */

/* ---- a collection */

static void bdw_tell(GC_EventType what)
{
	if (bdw_event.event)
		bdw_event.event(what);
}

static void bdw_tell_begin(void)
{
	bdw_event.telling = true;
	bdw_tell(GC_EVENT_START);
	if (bdw_event.start)
		bdw_event.start();
	bdw_tell(GC_EVENT_PRE_STOP_WORLD);
	bdw_tell(GC_EVENT_POST_STOP_WORLD);
	bdw_tell(GC_EVENT_MARK_START);
	bdw_event.telling = false;
}

/* One that was given up has no end. */
static void bdw_tell_end(bool done)
{
	bdw_event.telling = true;
	if (done)
		bdw_tell(GC_EVENT_MARK_END);
	bdw_tell(GC_EVENT_PRE_START_WORLD);
	bdw_tell(GC_EVENT_POST_START_WORLD);
	if (done) {
		bdw_tell(GC_EVENT_RECLAIM_START);
		bdw_tell(GC_EVENT_RECLAIM_END);
		bdw_tell(GC_EVENT_END);
	}
	bdw_event.telling = false;
}

/* ---- what has not been told */

static void bdw_tell_cycles(uint64_t cycles)
{
	if (cycles > bdw_event.cycles + BDW_CATCH_UP)
		WRITE_ONCE(bdw_event.cycles, cycles - BDW_CATCH_UP);
	while (bdw_event.cycles < cycles) {
		bdw_tell_begin();
		WRITE_ONCE(bdw_event.cycles, bdw_event.cycles + 1);
		bdw_tell_end(true);
	}
}

static bool bdw_resized(uint64_t bytes)
{
	uint64_t was = READ_ONCE(bdw_event.heap);
	uint64_t change = bytes > was ? bytes - was : was - bytes;

	return change >= BDW_RESIZE && change >= was / 16;
}

static void bdw_tell_resize(uint64_t bytes)
{
	GC_on_heap_resize_proc resize = READ_ONCE(GC_on_heap_resize);

	if (!resize || !bdw_resized(bytes))
		return;
	WRITE_ONCE(bdw_event.heap, bytes);
	bdw_event.telling = true;
	resize(bytes);
	bdw_event.telling = false;
}

static void bdw_tell_news(const struct gcheap_status *s)
{
	if (!s || bdw_event.telling)
		return;
	bdw_tell_cycles(READ_ONCE(s->cycles));
	bdw_tell_resize(READ_ONCE(s->heap_bytes));
}

static bool bdw_news(const struct gcheap_status *s)
{
	return READ_ONCE(s->cycles) != READ_ONCE(bdw_event.cycles) ||
	       (READ_ONCE(GC_on_heap_resize) && bdw_resized(READ_ONCE(s->heap_bytes)));
}

/*
 * Before memory is asked for. Who finds the lock taken leaves it to whoever comes next:
 * allocation waits for no program that has it.
 */
void bdw_visited(void)
{
	const struct gcheap_status *s = bdw_status();
	int cancel;

	if (likely(!s || !bdw_news(s)))
		return;
	bdw_count_cycle();
	if (!bdw_trylock())
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	bdw_tell_news(s);
	bdw_unlock();
	pthread_setcancelstate(cancel, NULL);
}

/* Around a collection that is asked for, under the lock, as is all of it. */
void bdw_events_begin(void)
{
	if (bdw_event.telling)
		return;
	bdw_tell_news(bdw_status());
	bdw_tell_begin();
}

void bdw_events_end(bool done)
{
	if (bdw_event.telling)
		return;
	if (done)
		WRITE_ONCE(bdw_event.cycles, bdw_event.cycles + 1);
	bdw_tell_end(done);
	bdw_tell_news(bdw_status());
}

/* ---- setters, which tell the one there was of what it has not heard yet */

#define BDW_SET(where, fn) do {						\
		int bdw_cancel;						\
									\
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &bdw_cancel); \
		bdw_lock();						\
		bdw_tell_news(bdw_status());				\
		where = fn;						\
		bdw_unlock();						\
		pthread_setcancelstate(bdw_cancel, NULL);		\
	} while (0)

#define BDW_GET(where) ({						\
		__typeof__(where) bdw_fn;				\
									\
		bdw_lock();						\
		bdw_fn = where;						\
		bdw_unlock();						\
		bdw_fn;							\
	})

GCH_API void GC_set_on_collection_event(GC_on_collection_event_proc fn)
{
	BDW_SET(bdw_event.event, fn);
}

GCH_API GC_on_collection_event_proc GC_get_on_collection_event(void)
{
	return BDW_GET(bdw_event.event);
}

GCH_API void GC_set_start_callback(GC_start_callback_proc fn)
{
	BDW_SET(bdw_event.start, fn);
}

GCH_API GC_start_callback_proc GC_get_start_callback(void)
{
	return BDW_GET(bdw_event.start);
}

/* The heap's size until then is no news. */
GCH_API void GC_set_on_heap_resize(GC_on_heap_resize_proc fn)
{
	const struct gcheap_status *s = bdw_status();

	bdw_lock();
	if (s)
		WRITE_ONCE(bdw_event.heap, READ_ONCE(s->heap_bytes));
	WRITE_ONCE(GC_on_heap_resize, fn);
	bdw_unlock();
}

GCH_API GC_on_heap_resize_proc GC_get_on_heap_resize(void)
{
	return BDW_GET(GC_on_heap_resize);
}

/* Nobody calls it: the kernel stops threads without the library. */
GCH_API void GC_set_on_thread_event(GC_on_thread_event_proc fn)
{
	BDW_SET(bdw_event.thread, fn);
}

GCH_API GC_on_thread_event_proc GC_get_on_thread_event(void)
{
	return BDW_GET(bdw_event.thread);
}
