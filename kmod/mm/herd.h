/* SPDX-License-Identifier: GPL-2.0-only */
/* Threads of a world, as stop.c keeps them and roots.c reads them. */
#ifndef _GCH_MM_HERD_H
#define _GCH_MM_HERD_H

#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <gcheap_env.h>

#include "arch_x86.h"
#include "stop.h"

enum gch_herd_state {
	GCH_HERD_NEW,	/* no address space yet */
	GCH_HERD_RUN,
	GCH_HERD_STOP,	/* being stopped, or stopped */
	GCH_HERD_DEAD,	/* for good */
};

/**
 * struct gch_herd - the threads that use an address space
 * @ref: the world, and each queued work
 * @owner: the module; each queued work holds a reference
 * @mm: identity only (mmgrab)
 * @tgid: of the process that bound it
 * @by_mm: in the table of herds, under its lock
 * @lock: everything below
 * @state: GCH_HERD_*; read without the lock by gch_world_dead()
 * @epoch: counts starts; parked threads wait for it to change
 * @round: number of the stop
 * @threads: in order of arrival; entries go only in state RUN, so that the
 *	collector can walk it without the lock in a stop
 * @by_task: the same, for RCU readers
 * @prune: next to be looked at for deadness when one is born
 * @spares: structures for births that find no memory
 * @missed: a thread was born without one: it is not in the list
 * @awaited: threads on a CPU in user mode that have yet to park
 * @forker: the thread whose children the world is to know of; @world: that one, then
 * @parked: they wait here; @arrived: the collector waits here
 */
struct gch_herd {
	refcount_t ref;
	struct module *owner;
	struct mm_struct *mm;
	pid_t tgid;
	struct hlist_node by_mm;

	spinlock_t lock;	/* what follows */
	enum gch_herd_state state;
	u32 epoch;
	u64 round;
	struct list_head threads;
	DECLARE_HASHTABLE(by_task, 7);
	struct gch_thread *prune;
	u32 nthreads;
	u32 nattached;
	struct list_head spares;
	u32 nspares;
	bool missed;
	u32 awaited;
	struct task_struct *forker;
	struct gch_world *world;
	struct gch_world_stats stats;

	wait_queue_head_t parked;
	wait_queue_head_t arrived;
};

/**
 * struct gch_thread - a thread
 * @work: to park it; queued at most once, as @queued says
 * @herd: @ref'd by @work while it is queued
 * @task: a reference is held, so that the pointer stays this thread's
 * @link, @by_task: in the herd; @pending: collector's list of the running
 * @ref: the list, and the work
 * @slot: it is attached at, or GCH_NO_SLOT; @lo, @hi: bounds of its stack
 * @queued: its work is: it cannot reach user mode before that has run
 * @parked: it waits in its work
 * @doomed: it has run its work on its way to death
 * @dead: it no longer uses the address space
 * @awaited: counted in herd.awaited
 * @exempt: the callback thread (R10): neither stopped nor a root
 * @seen: last stop in which it was found on a CPU in a system call, its registers
 *	saved; then @tp is its thread pointer
 * @inside: it was in the kernel when objects were moved, and is still (R7)
 * @switches: of it, when gch_thread_slept() was asked
 *
 * Herd lock, but for @task and @herd, which never change, and @slot, @lo, @hi,
 * which only the thread itself changes from GCH_NO_SLOT and back while it lives.
 */
struct gch_thread {
	struct callback_head work;
	struct gch_herd *herd;
	struct task_struct *task;
	struct list_head link;
	struct list_head pending;
	struct hlist_node by_task;
	refcount_t ref;
	u32 slot;
	unsigned long lo, hi;
	bool queued;
	bool parked;
	bool doomed;
	bool dead;
	bool awaited;
	bool exempt;
	bool inside;
	u64 seen;
	u64 switches;
	unsigned long tp;
	struct rcu_head rcu;
};

enum gch_how {		/* how much a thread's registers can be relied upon */
	GCH_GONE,	/* it will not run in user mode again: no roots */
	GCH_EXACT,	/* parked, or in a system call */
	GCH_LOOSE,	/* may be in the midst of making or undoing a signal
			 * frame: look for that too
			 */
};

/**
 * struct gch_capture - what was read of a thread
 * @how: GCH_*
 * @regs: general registers
 * @image: vector state, @size bytes; room for gch_arch_image_max
 * @slot, @lo, @hi: as in gch_thread
 * @alt_lo, @alt_hi: its signal stack; 0, 0: none
 * @first: of its process: its stack is the one that the address space began with
 */
struct gch_capture {
	enum gch_how how;
	struct gch_arch_regs regs;
	void *image;
	size_t size;
	u32 slot;
	unsigned long lo, hi;
	unsigned long alt_lo, alt_hi;
	bool first;
};

/* Threads of a stopped herd; the list only grows meanwhile. */
#define gch_herd_for_each(t, h) \
	list_for_each_entry_rcu(t, &(h)->threads, link, true)

void gch_thread_capture(struct gch_thread *t, struct gch_capture *c);
bool gch_thread_slept(struct gch_thread *t);

#endif
