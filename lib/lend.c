// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * A thread of the program that marks for the collector. GCHEAP_LEND has the library make
 * one for the default heap; it takes no signals, and lives as long as the process.
 */
#include "gch.h"

static void *gch_lent_run(void *unused)
{
	int err;

	do
		err = gcheap_heap_lend(&gch.heap0);
	while (err == -EINTR);	/* stopped and continued, or traced */
	return unused;
}

/* From within the set-up of the default heap, which it waits for. */
int gch_lend_start(void)
{
	return gch_pthread_start(0, gch_lent_run, NULL);
}

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
