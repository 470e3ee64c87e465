// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Finalizers. The kernel keeps a number for an object, here is what it stands for.
 * Records are roots, so that a finalizer's data stays; the objects being finalized
 * are in the first of them, the kernel having let go of them.
 */
#include "gch.h"

static uint64_t gch_cookie(const struct gch_final *f)
{
	return f - (struct gch_final *)gch.finalizers.base;
}

struct gch_final *gch_of_cookie(uint64_t cookie)
{
	return (struct gch_final *)gch.finalizers.base + cookie;
}

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
