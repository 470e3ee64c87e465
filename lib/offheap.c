// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Memory elsewhere that goes with objects: told to the kernel in lumps. */
#include "gch.h"

#define GCH_LUMP	(64 << 10)

static int gch_offheap_tell(struct gcheap *h, int64_t delta)
{
	GCH_ARG(gcheap_offheap, arg);

	arg.delta = delta;
	return gch_call(h, GCHEAP_IOC_OFFHEAP, &arg);
}

GCH_API int gcheap_heap_offheap(struct gcheap *h, ptrdiff_t delta)
{
	int err = gch_heap_get(&h);
	int64_t sum;

	if (err)
		return err;
	/* In their order: what is taken back must have been told of before. */
	pthread_mutex_lock(&h->offheap_lock);
	if (__builtin_add_overflow(h->offheap, delta, &sum)) {
		err = -EINVAL;
	} else if (sum <= -GCH_LUMP || sum >= GCH_LUMP) {
		err = gch_offheap_tell(h, sum);
		sum = 0;
	}
	if (!err)
		h->offheap = sum;
	pthread_mutex_unlock(&h->offheap_lock);
	return err;
}

GCH_API int gcheap_offheap(ptrdiff_t delta)
{
	return gcheap_heap_offheap(NULL, delta);
}
