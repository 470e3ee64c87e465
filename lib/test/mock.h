/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/*
 * A backend for tests on the host: keeps the rules of uapi/gcheap.h between the
 * library and a heap, but never collects. A test says itself what is dead.
 */
#ifndef GCH_MOCK_H
#define GCH_MOCK_H

#include "gch.h"

#define MOCK_ROOTS	512

struct mock_root {
	uint32_t id;
	uint32_t flags;
	uint64_t addr, len, top;
};

struct mock {
	uint32_t calls[32];	/* of each command, by number */
	struct mock_root root[MOCK_ROOTS];
	uint32_t nroots;
	struct gcheap_tls tls;
	int hold;
	int hold_max;
	int fail_next;		/* -errno for the next SPANS, LARGE, ROOT_ADD or LINK */
	int fail_open;		/* -errno of every SETUP; 0: it works */
	int fail_fork;		/* -errno of every fork; 0: the child has the heap */
	int fail_await;		/* in the child */
	uint32_t bad_frees;
	uint32_t forked;	/* in the parent */
	struct gcheap_setup setup;
	uint64_t param[GCHEAP_PARAM_MAX];	/* as set last, by GCHEAP_PARAM_* */
};
extern struct mock mock;
extern const struct gch_backend_ops mock_ops;

/* The library's default heap is a mock from now on. */
void mock_use(void);
/* A sweep has found the object dead; false if its cell was not in use. */
bool mock_kill(const void *object);
bool mock_finalize(void *object);
bool mock_is_root(const void *p);
/* A pause asks about objects, 0: for roots. Returns how many words were told, of @max at most. */
uint32_t mock_ask(const uint64_t *objects, uint32_t n, uint64_t *words, uint32_t max);

/* In which order it is to be finalized, GCHEAP_FINALIZER_*; -1: it is not. */
int mock_order(const void *object);

#define MOCK_CALLS(command) mock.calls[(command) & 0x1f]

#endif
