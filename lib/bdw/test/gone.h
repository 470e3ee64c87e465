/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/* Objects that are counted when they are gone; and calls that find no memory. */
#ifndef BDW_TEST_GONE_H
#define BDW_TEST_GONE_H

#include "../../../selftests/tap.h"
#include <stdint.h>
#define GC_THREADS
#include <gc/gc.h>

#define N	400	/* in a sample, of which a few are kept by what the stack has */

/* A root. One word is left on the stack easily, so none keeps more than one of a sample. */
static void *volatile kept[N];

static inline void drop(void)
{
	for (int i = 0; i < N; i++)
		kept[i] = NULL;
}

static int gone;	/* of those made since */
static long sample;	/* began */

static void gone_count(void *object, void *data)
{
	gone += data == (void *)sample;
}

static inline void new_sample(void)
{
	sample++;
	gone = 0;
}

static inline void *leaf(void)
{
	void *p = GC_MALLOC_ATOMIC(32);

	GC_REGISTER_FINALIZER_NO_ORDER(p, gone_count, (void *)sample, NULL, NULL);
	return p;
}

static __attribute__((noinline, unused)) void churn(void)
{
	void **chain = NULL;

	for (int i = 0; i < 20000; i++) {
		void **p = GC_MALLOC(48);

		*p = chain;
		chain = p;
	}
}

static inline int gone_after_collections(void)
{
	for (int round = 0; round < 3; round++) {
		GC_gcollect();
		churn();
		GC_invoke_finalizers();
	}
	return gone;
}

#define CHECK_GONE(n) do {						\
		int tap_n = (n);					\
		if (tap_n < N * 3 / 4 || tap_n > N)			\
			FAIL("%s: %d of %d gone", #n, tap_n, N);	\
	} while (0)

static size_t wanted;

static inline void *GC_CALLBACK no_memory(size_t bytes)
{
	wanted = bytes;
	return NULL;
}

static inline void expect_no_memory(void)
{
	GC_set_warn_proc(GC_ignore_warn_proc);
	GC_set_oom_fn(no_memory);
}

#define CHECK_FAILS(call) do {						\
		wanted = 0;						\
		CHECK(!(call));						\
		CHECK(wanted > SIZE_MAX / 4);				\
	} while (0)

#endif
