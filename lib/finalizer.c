// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Finalizers. The kernel keeps a number for an object, here is what it stands for.
 * Records are roots, so that a finalizer's data stays; the objects being finalized
 * are in the first of them, the kernel having let go of them.
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

static uint64_t gch_cookie(const struct gch_final *f)
{
	return f - (struct gch_final *)gch.finalizers.base;
}

static struct gch_final *gch_of_cookie(uint64_t cookie)
{
	return (struct gch_final *)gch.finalizers.base + cookie;
}

/* The first records are taken for those due, and have no finalizers. */
void gch_finalizer_setup(void)
{
	gch_due = gch_slab_get(&gch.finalizers);
	for (size_t got = sizeof(struct gch_final); gch_due && got < sizeof(*gch_due);
	     got += sizeof(struct gch_final))
		if (!gch_slab_get(&gch.finalizers))
			gch_due = NULL;
}

/* ---- set */

/* Returns what the kernel had, 0 or a cookie, in *@old. */
static int gch_finalizer_tell(struct gcheap *h, void *object, uint64_t cookie,
			      enum gch_order order, uint64_t *old)
{
	GCH_ARG(gcheap_finalizer, arg);
	int err;

	arg.flags = cookie ? order : GCHEAP_FINALIZER_CLEAR;
	arg.addr = (uintptr_t)object;
	arg.cookie = cookie;
	err = gch_call(h, GCHEAP_IOC_FINALIZER, &arg);
	*old = arg.old;
	/* There was none to take off. */
	return !cookie && err == -ENOENT ? 0 : err;
}

static void gch_final_drop(uint64_t cookie, struct gch_final *was)
{
	struct gch_final *f = gch_of_cookie(cookie);

	*was = (struct gch_final){ 0 };
	if (!cookie)
		return;
	*was = *f;
	gch_slab_put(&gch.finalizers, f);
}

static int gch_finalizer_set(struct gcheap *h, void *object, struct gch_final want,
			     enum gch_order order, struct gch_final *was)
{
	struct gch_final *f = NULL;
	uint64_t old = 0;
	int err;

	if (want.fn) {
		f = gch_slab_get(&gch.finalizers);
		if (!f)
			return -ENOMEM;
		*f = want;
		f->order = order;
	}
	err = gch_finalizer_tell(h, object, f ? gch_cookie(f) : 0, order, &old);
	if (!err)
		gch_final_drop(old, was);
	else if (f)
		gch_slab_put(&gch.finalizers, f);
	return err;
}

/* The object is being freed. */
void gch_finalizer_forget(struct gcheap *h, void *object)
{
	struct gch_final was;

	gch_finalizer_set(h, object, (struct gch_final){ 0 }, GCH_UNORDERED, &was);
}

/* The kernel has forgotten it. */
void gch_finalizer_gone(uint64_t cookie)
{
	struct gch_final was;

	gch_final_drop(cookie, &was);
}

/* *@was is left alone if it fails: 0, -EINVAL: no object, -ENOMEM. */
int gch_finalizer_swap(void *object, struct gch_final want, enum gch_order order,
		       struct gch_final *was)
{
	struct gch_object o;

	if (!gch_object_start(object, &o))
		return -EINVAL;
	return gch_finalizer_set(o.heap, object, want, order, was);
}

GCH_API int gcheap_finalizer_swap(void *object, gcheap_finalizer_fn fn, void *data,
				  gcheap_finalizer_fn *old_fn, void **old_data)
{
	struct gch_final want = { .fn = fn, .data = data }, was;
	int err = gch_finalizer_swap(object, want, GCH_UNORDERED, &was);

	if (err)
		return err;
	if (old_fn)
		*old_fn = was.fn;
	if (old_data)
		*old_data = was.data;
	return 0;
}

GCH_API int gcheap_finalizer_set(void *object, gcheap_finalizer_fn fn, void *data)
{
	return gcheap_finalizer_swap(object, fn, data, NULL, NULL);
}

/* They are due, all that are set. */
int gch_finalizers_all(struct gcheap *h)
{
	GCH_ARG(gcheap_finalizer, arg);

	arg.flags = GCHEAP_FINALIZER_ALL;
	return gch_call(h, GCHEAP_IOC_FINALIZER, &arg);
}

/* ---- run */

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

/* How many there were. */
static int gch_run_some(struct gcheap *h)
{
	GCH_ARG(gcheap_finalizers, arg);

	arg.max = GCH_DUE;
	arg.items = (uintptr_t)gch_due->item;
	if (gch_call(h, GCHEAP_IOC_FINALIZERS, &arg))
		return 0;
	for (uint32_t i = 0; i < arg.got; i++)
		gch_run(&gch_due->item[i]);
	return arg.got;
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

static int gch_run_all(struct gcheap *h)
{
	int n = gch_run_left(), some;

	while (!gch_heap_there(h) && READ_ONCE(h->backend.status->finalizers_ready)) {
		some = gch_run_some(h);
		if (!some)
			break;
		n += some;
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
	gch_run_all(h);
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
			n += gch_run_all(h);
	}
	gch_run_end(cancel);
	return n;
}

GCH_API int gcheap_finalizers_on_demand(int on)
{
	int was;

	gch_setup();
	was = gch.on_demand;
	gch.on_demand = on;
	return was;
}
