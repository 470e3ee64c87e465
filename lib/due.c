// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Finalizers that are due. The objects being finalized are in the first records, the kernel
 * having let go of them.
 */
#include "gch.h"

#define GCH_DUE		64	/* fetched at a time */

struct gch_due {
	struct gcheap_ready item[GCH_DUE];
};

static struct gch_due *gch_due;
static uint32_t gch_due_at;		/* 1 + the one that is being run; 0: none */
static bool gch_due_left;		/* there are some that nobody is at */
static __thread bool gch_runs;

static const struct gch_teller *gch_teller;

/* The first records are taken for those due, and have no finalizers. */
void gch_finalizer_setup(void)
{
	gch_due = gch_slab_get(&gch.finalizers);
	for (size_t got = sizeof(struct gch_final); gch_due && got < sizeof(*gch_due);
	     got += sizeof(struct gch_final))
		if (!gch_slab_get(&gch.finalizers))
			gch_due = NULL;
}

/*
 * Wherever another thread forks, the child sees it as due, or it is gone: a record may be lost
 * there, but is not given back twice.
 */
static void gch_due_drop(struct gcheap_ready *due)
{
	uint64_t cookie = due->cookie;

	WRITE_ONCE(due->addr, 0);
	barrier();
	WRITE_ONCE(due->cookie, 0);
	WRITE_ONCE(gch_due_at, 0);
	barrier();
	gch_slab_put(&gch.finalizers, gch_of_cookie(cookie));
}

static void gch_run(struct gcheap_ready *due)
{
	const struct gch_final *f = gch_of_cookie(due->cookie);

	WRITE_ONCE(gch_due_at, due - gch_due->item + 1);
	f->fn((void *)(uintptr_t)due->addr, f->data);
	gch_due_drop(due);
}

/* Between begin() and end(): of those that are due and that nobody has been told of. */
static void gch_announce(struct gcheap *h, const struct gch_teller *t)
{
	struct gcheap_ready item[16];
	GCH_ARG(gcheap_finalizers, arg);

	arg.flags = GCHEAP_FINALIZERS_LOOK;
	arg.max = sizeof(item) / sizeof(item[0]);
	arg.items = (uintptr_t)item;
	while (!gch_call(h, GCHEAP_IOC_FINALIZERS, &arg) && arg.got)
		for (uint32_t i = 0; i < arg.got; i++)
			t->tell((void *)(uintptr_t)item[i].addr, gch_of_cookie(item[i].cookie)->fn);
}

/*
 * How many there are, in the first records. Who waits runs finalizers and does nothing else.
 * Where someone is told of them, it is of all there are now: none is fetched that has come since.
 */
static uint32_t gch_fetch(struct gcheap *h, bool wait)
{
	const struct gch_teller *t = READ_ONCE(gch_teller);
	GCH_ARG(gcheap_finalizers, arg);
	int err;

	if (t && !t->begin(wait))
		return 0;
	if (t)
		gch_announce(h, t);
	arg.flags = t ? GCHEAP_FINALIZERS_LOOKED : 0;
	arg.max = GCH_DUE;
	arg.items = (uintptr_t)gch_due->item;
	err = gch_call(h, GCHEAP_IOC_FINALIZERS, &arg);
	if (t)
		t->end();
	return err ? 0 : arg.got;
}

/* In a forked child: those that another thread was to run. */
static int gch_run_left(void)
{
	struct gcheap_ready *due = gch_due->item;
	int n = 0;

	for (; gch_due_left && due < gch_due->item + GCH_DUE; due++) {
		if (!due->addr)
			continue;
		if (gch_heap_at((void *)(uintptr_t)due->addr)) {
			gch_run(due);
			n++;
		} else {
			gch_due_drop(due);
		}
	}
	gch_due_left = false;
	return n;
}

static int gch_run_all(struct gcheap *h, bool wait)
{
	int n = gch_run_left();
	uint32_t got;

	while (!gch_heap_there(h) && READ_ONCE(h->backend.status->finalizers_ready)) {
		got = gch_fetch(h, wait);
		if (!got)
			break;
		for (uint32_t i = 0; i < got; i++)
			gch_run(&gch_due->item[i]);
		n += got;
	}
	return n;
}

/*
 * Some thread may be at it, this one included: leave it to that. Nor is it cancelled in
 * the midst: allocating is no place where that is expected, and the lock would stay.
 */
static bool gch_run_begin(int *cancel)
{
	if (!gch_due || pthread_mutex_trylock(&gch.run_lock))
		return false;
	gch_runs = true;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel);
	return true;
}

static void gch_run_end(int cancel)
{
	struct gcheap *closed;

	pthread_mutex_lock(&gch.lock);
	closed = gch.closing;
	gch.closing = NULL;
	gch_runs = false;
	pthread_mutex_unlock(&gch.run_lock);
	pthread_mutex_unlock(&gch.lock);
	gch_heaps_close(closed);
	pthread_setcancelstate(cancel, NULL);
}

/*
 * A forked child: its thread may be running finalizers, and goes on. What another one was in the
 * midst of is over, and the rest of what that was to run is left, if it is @whole.
 */
void gch_finalizer_forked(bool whole)
{
	gch.run_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	if (gch_runs) {
		pthread_mutex_lock(&gch.run_lock);
		return;
	}
	if (!whole)
		return;
	if (gch_due_at && gch_due->item[gch_due_at - 1].addr)
		gch_due_drop(&gch_due->item[gch_due_at - 1]);
	gch_due_at = 0;
	for (int i = 0; gch_due && i < GCH_DUE; i++)
		gch_due_left |= !!gch_due->item[i].addr;
	gch_heaps_close(gch.closing);
	gch.closing = NULL;
}

bool gch_finalizers_left(void)
{
	return READ_ONCE(gch_due_left);
}

void gch_finalizers_due(struct gcheap *h)
{
	int cancel;

	if (!gch_run_begin(&cancel))
		return;
	gch_run_all(h, false);
	gch_run_end(cancel);
}

GCH_API int gcheap_finalizers_run(void)
{
	int n = 0, cancel;

	if (!gch_run_begin(&cancel))
		return 0;
	for (int i = 0; i < GCH_HEAPS; i++) {
		struct gcheap *h = READ_ONCE(gch.heap[i]);

		if (h)
			n += gch_run_all(h, true);
	}
	gch_run_end(cancel);
	return n;
}

/* Someone is told of each object that is due, before its finalizer is run; NULL: no more. */
void gch_finalizers_teller(const struct gch_teller *t)
{
	WRITE_ONCE(gch_teller, t);
}

static bool gch_news(const struct gcheap *h, uint64_t told, uint64_t *cycles)
{
	const struct gcheap_status *s = h->backend.status;

	*cycles = READ_ONCE(s->cycles) + READ_ONCE(s->cycles_failed);
	return READ_ONCE(s->finalizers_ready) && *cycles != told;
}

/* Of the default heap's, when a cycle has ended since the last time. */
void gch_finalizers_announce(bool wait)
{
	static uint64_t told = UINT64_MAX;
	const struct gch_teller *t = READ_ONCE(gch_teller);
	struct gcheap *h = &gch.heap0;
	uint64_t cycles;
	int cancel;

	if (likely(!t) || gch_heap_get(&h) || !gch_news(h, READ_ONCE(told), &cycles))
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (t->begin(wait)) {
		gch_announce(h, t);
		WRITE_ONCE(told, cycles);
		t->end();
	}
	pthread_setcancelstate(cancel, NULL);
}

GCH_API int gcheap_finalizers_on_demand(int on)
{
	int was;

	gch_setup();
	was = gch.on_demand;
	gch.on_demand = on;
	return was;
}
