/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stopping the threads of a program without signals.
 *
 * A world is one heap's view of the threads that use its address space. They
 * are found, not registered: all that are there at gch_world_bind(), and each
 * one born later before it first runs. Attaching only adds a slot number and
 * stack bounds. See stop.c for the protocol.
 */
#ifndef _GCH_MM_STOP_H
#define _GCH_MM_STOP_H

#include <linux/types.h>
#include <linux/xarray.h>

struct gch_world;
struct gch_herd;
struct mm_struct;
struct module;

#define GCH_NO_SLOT	U32_MAX

/**
 * struct gch_world_ops - what a world asks of the heap it is part of
 * @thread_dead: the thread attached at @slot can touch the address space no
 *	more: its control block and spans are the heap's again. The slot is free
 *	when this returns. From gch_world_reap() only, with no locks held; may sleep.
 * @forked: the thread of gch_world_fork_begin() has a child, which does not run yet, with
 *	address space @mm. Within the herd's lock.
 */
struct gch_world_ops {
	void (*thread_dead)(struct gch_world *w, u32 slot);
	void (*forked)(struct gch_world *w, struct mm_struct *mm);
};

/**
 * struct gch_world - the threads of one heap; embedded in it
 * @ops: the heap's side
 * @herd: the threads; what armed threads hold on to, so that it outlives the
 *	heap for as long as one of them sleeps with its work queued
 * @slots: attached threads by slot
 * @keys: the collector's own protection keys, while it uses the program's memory
 */
struct gch_world {
	const struct gch_world_ops *ops;
	struct gch_herd *herd;
	struct xarray slots;
	u32 keys;
};

/**
 * struct gch_world_stats - counters of a world
 * @threads: in the list now (dead ones not yet noticed included)
 * @attached: slots in use
 * @found: threads alive at the last completed stop
 * @stops, @failed: stops completed and ended attempts
 * @stop_ns: last completed stop, request to all stopped
 */
struct gch_world_stats {
	u32 threads;
	u32 attached;
	u32 found;
	u64 stops;
	u64 failed;
	u64 stop_ns;
};

int gch_stop_module_init(void);
void gch_stop_module_exit(void);

int gch_world_init(struct gch_world *w, const struct gch_world_ops *ops,
		   struct module *owner);
int gch_world_bind(struct gch_world *w);
void gch_world_die(struct gch_world *w);
void gch_world_destroy(struct gch_world *w);

int gch_world_stop(struct gch_world *w, u64 timeout_ns);
void gch_world_start(struct gch_world *w);
void gch_world_flipped(struct gch_world *w);
bool gch_world_inside(struct gch_world *w);

int gch_world_attach(struct gch_world *w, u32 slot, unsigned long lo,
		     unsigned long hi);
int gch_world_detach(struct gch_world *w, u32 slot);
bool gch_world_is(struct gch_world *w, u32 slot);
bool gch_world_has(struct gch_world *w, u32 slot);
bool gch_world_halted(struct gch_world *w, u32 slot);
u32 gch_world_reap(struct gch_world *w);
void gch_world_exempt(struct gch_world *w, u32 slot, bool on);

void gch_world_fork_begin(struct gch_world *w);
void gch_world_fork_end(struct gch_world *w);

struct mm_struct *gch_world_mm(struct gch_world *w);
bool gch_world_dead(struct gch_world *w);
void gch_world_stats(struct gch_world *w, struct gch_world_stats *st);

int gch_mm_enter(struct gch_world *w);
void gch_mm_leave(struct gch_world *w);
bool gch_mm_deserted(struct gch_world *w);

#endif
