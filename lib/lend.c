// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* A thread of the program that marks for the collector. */
#include "gch.h"

GCH_API int gcheap_heap_lend(struct gcheap *h)
{
	GCH_ARG(gcheap_lend, arg);
	int err = gch_heap_get(&h);

	if (!err)
		err = gch_call(h, GCHEAP_IOC_LEND, &arg);
	return err == -ECANCELED ? 0 : err;
}

GCH_API int gcheap_heap_lend_end(struct gcheap *h)
{
	GCH_ARG(gcheap_lend, arg);
	int err = gch_heap_get(&h);

	arg.flags = GCHEAP_LEND_END;
	return err ? err : gch_call(h, GCHEAP_IOC_LEND, &arg);
}

GCH_API int gcheap_lend(void)
{
	return gcheap_heap_lend(NULL);
}

GCH_API int gcheap_lend_end(void)
{
	return gcheap_heap_lend_end(NULL);
}
