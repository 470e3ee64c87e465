/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/*
 * How the library reaches a heap. One backend is the device; another, the same
 * collector in user space, can follow, and the tests have one that only hands
 * out memory. All of them speak the structures and rules of uapi/gcheap.h.
 */
#ifndef GCH_BACKEND_H
#define GCH_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#include "../uapi/gcheap.h"

struct gch_backend;

/**
 * struct gch_backend_ops - what a backend does
 * @open: make a heap as *@setup says (size, abi, layout and features are filled in),
 *	write back what it has become, and fill in *@b. 0 or -errno.
 * @close: undo it. Nobody uses the heap any more.
 * @fork: the calling thread is about to fork(), and the child to have a heap like this:
 *	a descriptor of that, or -errno. Then one of the next two.
 * @forked: in the parent: see to that, and close the descriptor. May fail.
 * @adopt: in the child: *@b is that heap from now on, in the same place. 0 or -errno.
 *	Who touches it waits for it.
 * @await: wait until it is there: 0, or -errno: it will not be.
 * @forget: in a forked child that has no such heap: let go of what it has inherited,
 *	without touching the parent's heap.
 * @call: one of GCHEAP_IOC_* but _SETUP, with its structure. 0 or -errno.
 */
struct gch_backend_ops {
	int (*open)(struct gch_backend *b, const char *device, struct gcheap_setup *setup);
	void (*close)(struct gch_backend *b);
	int (*fork)(struct gch_backend *b);
	void (*forked)(struct gch_backend *b, int fd);
	int (*adopt)(struct gch_backend *b, int fd);
	int (*await)(struct gch_backend *b);
	void (*forget)(struct gch_backend *b);
	int (*call)(struct gch_backend *b, unsigned int command, void *arg);
};

/**
 * struct gch_backend - a heap that is reached
 * @fd: its descriptor, -1: none
 * @base, @size: the objects
 * @meta: descriptors and live bits; @status: counters; @tcb: control blocks
 */
struct gch_backend {
	const struct gch_backend_ops *ops;
	int fd;
	uintptr_t base;
	size_t size;
	const char *meta;
	size_t meta_size;
	const struct gcheap_status *status;
	char *tcb;
	size_t tcb_size;
};

extern const struct gch_backend_ops gch_backend_dev;

#endif
