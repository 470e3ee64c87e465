// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Finalizers, in the order in which the dead objects refer to each other, or in none. */
#include "bdw.h"

/*
 * What is no object of the heap has no finalizer, without complaint. While leaks are looked for
 * there are none, as with bdwgc. One of the library's own is nobody's to know.
 */
static void bdw_finalizer(void *object, GC_finalization_proc fn, void *data,
			  enum gch_order order, GC_finalization_proc *old_fn, void **old_data)
{
	struct gch_final want = { .fn = fn, .data = data };
	struct gch_final was = { 0 };
	int err;

	if (bdw_finds_leaks())
		return;
	err = gch_finalizer_swap(object, want, order, &was);
	if (bdw_is_watcher(was.fn))
		was = (struct gch_final){ 0 };
	if (err == -ENOMEM || err == -ENOSPC) {
		bdw_out_of_memory(sizeof(want));
		return;
	}
	if (old_fn)
		*old_fn = was.fn;
	if (old_data)
		*old_data = was.data;
}

GCH_API void GC_register_finalizer(void *object, GC_finalization_proc fn, void *data,
				   GC_finalization_proc *old_fn, void **old_data)
{
	bdw_finalizer(object, fn, data, GCH_ORDERED, old_fn, old_data);
}

GCH_API void GC_register_finalizer_ignore_self(void *object, GC_finalization_proc fn,
					       void *data, GC_finalization_proc *old_fn,
					       void **old_data)
{
	bdw_finalizer(object, fn, data, GCH_BUT_SELF, old_fn, old_data);
}

GCH_API void GC_register_finalizer_no_order(void *object, GC_finalization_proc fn, void *data,
					    GC_finalization_proc *old_fn, void **old_data)
{
	bdw_finalizer(object, fn, data, GCH_UNORDERED, old_fn, old_data);
}

GCH_API void GC_register_finalizer_unreachable(void *object, GC_finalization_proc fn,
					       void *data, GC_finalization_proc *old_fn,
					       void **old_data)
{
	bdw_finalizer(object, fn, data,
		      READ_ONCE(GC_java_finalization) ? GCH_UNREACHABLE : GCH_ORDERED,
		      old_fn, old_data);
}

GCH_API int GC_invoke_finalizers(void)
{
	return gcheap_finalizers_run();
}

static bool bdw_finalizers_left(void)
{
	const struct gcheap_status *s = bdw_status();

	return s && READ_ONCE(s->finalizers);
}

/* All that there are now. Return: whether finalizers of the program's were among them. */
static bool bdw_finalize_some(void)
{
	unsigned int spared = bdw_spared();

	if (!bdw_finalizers_left() || gch_finalizers_all(&gch.heap0))
		return false;
	return (unsigned int)gcheap_finalizers_run() > bdw_spared() - spared;
}

/* Finalizers may set others. What another thread is running, or this one is in, goes on there. */
GCH_API void GC_finalize_all(void)
{
	if (bdw_finds_leaks())
		return;
	bdw_spare_begin();
	while (bdw_finalize_some())
		;
	bdw_spare_end();
}

GCH_API int GC_should_invoke_finalizers(void)
{
	struct gcheap_stats s;

	return !gcheap_stats(&s) && (s.finalizers_ready || gch_finalizers_left());
}

/* ---- who is told of them */

static GC_await_finalize_proc bdw_await;	/* under the allocation lock */

static bool bdw_telling;	/* likewise */

static void bdw_tell_end(void)
{
	bdw_telling = false;
	bdw_unlock();
}

/* Who allocates waits for no program that has the lock. Nor is it begun within, by what is told. */
static bool bdw_tell_begin(bool wait)
{
	if (wait)
		bdw_lock();
	else if (!bdw_trylock())
		return false;
	if (bdw_telling) {
		bdw_unlock();
		return false;
	}
	bdw_telling = true;
	return true;
}

static void bdw_tell_of(void *object, GC_finalization_proc fn)
{
	if (bdw_await && !bdw_is_watcher(fn) && !bdw_is_sparing())
		bdw_await(object);
}

static const struct gch_teller bdw_teller = {
	.begin = bdw_tell_begin,
	.tell = bdw_tell_of,
	.end = bdw_tell_end,
};

GCH_API void GC_set_await_finalize_proc(GC_await_finalize_proc proc)
{
	bdw_lock();
	bdw_await = proc;
	gch_finalizers_teller(proc ? &bdw_teller : NULL);
	bdw_unlock();
}

GCH_API GC_await_finalize_proc GC_get_await_finalize_proc(void)
{
	GC_await_finalize_proc proc;

	bdw_lock();
	proc = bdw_await;
	bdw_unlock();
	return proc;
}

GCH_API GC_finalizer_notifier_proc GC_finalizer_notifier;
BDW_PAIR(GC_finalizer_notifier_proc, finalizer_notifier, GC_finalizer_notifier)

/*
 * Once a cycle, by whoever sees first that there are some, and without a lock. Who has asked for
 * the collection waits to tell of the objects.
 */
void bdw_notify(bool asked)
{
	static uint64_t told = UINT64_MAX;
	GC_finalizer_notifier_proc notifier = READ_ONCE(GC_finalizer_notifier);
	const struct gcheap_status *s = bdw_status();
	uint64_t cycle, last = READ_ONCE(told);

	gch_finalizers_announce(asked);
	if (likely(!notifier) || !GC_get_finalize_on_demand() || !s ||
	    !(READ_ONCE(s->finalizers_ready) || gch_finalizers_left()))
		return;
	cycle = READ_ONCE(s->cycles);
	if (cycle != last && __atomic_compare_exchange_n(&told, &last, cycle, false,
							 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		notifier();
}
