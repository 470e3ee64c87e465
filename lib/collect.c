// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Collections on demand, and keeping automatic ones off. */
#include "gch.h"

#define GCH_ATTEMPTS	8

/*
 * A shared object that goes away while its data is being read ends an attempt;
 * with dl_lock held it is none that dlclose() unloads.
 */
static int gch_collect(struct gcheap *h, uint32_t flags)
{
	GCH_ARG(gcheap_collect, arg);
	int err = 0;

	for (int i = 0; i < GCH_ATTEMPTS; i++) {
		err = gch_dl_check();
		if (err)
			return err;
		arg.flags = flags;
		err = gch_call(h, GCHEAP_IOC_COLLECT, &arg);
		if (err != -EAGAIN)
			return err;
	}
	return err;
}

static int gch_collect_wait(struct gcheap *h, uint32_t flags)
{
	int err = gch_heap_get(&h);

	if (err)
		return err;
	pthread_mutex_lock(&gch.dl_lock);
	err = gch_collect(h, GCHEAP_COLLECT_WAIT | flags);
	pthread_mutex_unlock(&gch.dl_lock);
	if (!err)
		gch_kernel_visited(h);
	return err;
}

GCH_API int gcheap_heap_collect(struct gcheap *h)
{
	return gch_collect_wait(h, 0);
}

GCH_API int gcheap_heap_compact(struct gcheap *h)
{
	return gch_collect_wait(h, GCHEAP_COLLECT_COMPACT);
}

GCH_API int gcheap_heap_collect_start(struct gcheap *h)
{
	int err = gch_heap_get(&h);

	if (err)
		return err;
	/* Once asked for, it is not put off by the hold of a dlopen() that begins. */
	pthread_mutex_lock(&gch.dl_lock);
	err = gch_collect(h, 0);
	pthread_mutex_unlock(&gch.dl_lock);
	return err;
}

GCH_API int gcheap_collect(void)
{
	return gcheap_heap_collect(NULL);
}

GCH_API int gcheap_compact(void)
{
	return gcheap_heap_compact(NULL);
}

GCH_API int gcheap_collect_start(void)
{
	return gcheap_heap_collect_start(NULL);
}

static int gch_hold(struct gcheap *h, int delta)
{
	GCH_ARG(gcheap_hold, arg);
	int err = gch_heap_get(&h);

	if (err)
		return err;
	arg.delta = delta;
	return gch_call(h, GCHEAP_IOC_HOLD, &arg);
}

GCH_API int gcheap_heap_hold(struct gcheap *h)
{
	return gch_hold(h, 1);
}

GCH_API int gcheap_heap_unhold(struct gcheap *h)
{
	return gch_hold(h, -1);
}

GCH_API int gcheap_hold(void)
{
	return gch_hold(NULL, 1);
}

GCH_API int gcheap_unhold(void)
{
	return gch_hold(NULL, -1);
}

GCH_API int gcheap_heap_verify(struct gcheap *h)
{
	GCH_ARG(gcheap_verify, arg);
	int err = gch_heap_get(&h);

	return err ? err : gch_call(h, GCHEAP_IOC_VERIFY, &arg);
}

GCH_API int gcheap_verify(void)
{
	return gcheap_heap_verify(NULL);
}
