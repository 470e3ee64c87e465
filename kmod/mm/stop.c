// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stopping the threads of a program without signals.
 *
 * A thread is stopped when it cannot execute an instruction in user mode. What
 * the kernel does on its behalf goes on: it may be woken, finish its system
 * call, write to user memory. It is never woken or interrupted by us.
 *
 * THE PROTOCOL
 *
 * Finding. gch_world_bind() publishes the herd by its mm and then lists the
 * threads there are. A probe on sched_process_fork lists those born later, in
 * the parent's context, after the child is in the task list and before it first
 * runs. A full barrier on either side (B1) makes sure that one of the two sees
 * it: an enumeration alone would miss the child of a thread asleep in clone().
 * Nothing else takes up an existing mm and runs in user mode. A probe that gets
 * no memory falls back to a stock that each stop fills up beforehand to as many
 * as there are threads, for in a stop each can give birth once at most; one
 * that finds that empty too sets herd.missed, which fails the stop.
 *
 * Arming. task_work_add(TWA_RESUME) queues a callback that runs before the
 * thread reaches user mode; it cannot be taken back, and stays queued on a
 * sleeper after the stop, armed for the next.
 *
 * Checking. After all are armed, one interrupt on every other CPU, waited for
 * (B2). A CPU that switches a thread in reads its flags without a barrier after
 * it has set on_cpu, so on_cpu alone proves nothing; after the interrupt, a
 * thread that was not found in user mode by it cannot get there any more:
 *   - off its CPU: registers and vector state are saved. One look is enough.
 *   - on a CPU in a system call: the interrupt has its vector state saved and
 *     notes it. A long call does not hold up the stop.
 *   - on a CPU in user mode: on return from the interrupt it sees its flag,
 *     runs the callback and parks. These are waited for.
 *   - on a CPU in the kernel otherwise, or switched in since: it parks or leaves
 *     the CPU soon; looked at again, with further interrupts to its CPU.
 * A thread may be exempt (R10): it answers for the roots it knows, see callback.c.
 * rules: R10 (who is stopped), R8 (nothing here waits for a lock that a
 * sleeping thread could hold).
 *
 * Parking. The callback waits, killably, for herd.epoch to change. A killed
 * thread goes on to die; it never returns to user mode.
 *
 * The lease. While a thread's work is queued, or it is parked, it cannot get
 * past a callback that needs the herd's lock: with that lock held its kernel
 * stack and vector state can be read from outside.
 *
 * LOCKS
 *	herds_lock		table of herds by mm
 *	  gch_herd.lock
 * Both are spinlocks taken in process context only; the interrupt handler reads
 * gch_herd.by_task under RCU. Memory is freed after a grace period.
 */
#include <linux/cpumask.h>
#include <linux/hashtable.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/tracepoint.h>

#include "../knobs.h"
#include "herd.h"

#ifdef CONFIG_PREEMPT_RT
#error the probe on births takes spinlocks and memory where RT kernels cannot
#endif

/* How long to wait for threads to park before looking at those on a CPU. */
#define POLL_MIN_NS	(20 * NSEC_PER_USEC)
#define POLL_MAX_NS	(500 * NSEC_PER_USEC)

static DEFINE_HASHTABLE(herds, 6);
static DEFINE_SPINLOCK(herds_lock);
static atomic_t forkers;	/* herds that are to know of children */
static struct tracepoint *fork_tracepoint;

static void thread_work(struct callback_head *work);

static void herd_put(struct gch_herd *h)
{
	struct gch_thread *t, *next;

	if (!refcount_dec_and_test(&h->ref))
		return;
	list_for_each_entry_safe(t, next, &h->spares, link)
		kfree(t);
	if (h->mm)
		mmdrop(h->mm);
	kfree(h);
}

static void thread_put(struct gch_thread *t)
{
	if (!refcount_dec_and_test(&t->ref))
		return;
	put_task_struct(t->task);
	kfree_rcu(t, rcu);
}

/* A field of a task that the kernel changes by plain stores. */
#define task_peek(field) \
	data_race(READ_ONCE(field))	/* marked on this side only */

/* The address space of a task; it gives it up once, and for good. */
static struct mm_struct *task_mm(struct task_struct *task)
{
	return task_peek(task->mm);
}

/* Whose threads are stopped (R10). */
static bool herd_wants(struct gch_herd *h, struct task_struct *task)
{
	if (task_mm(task) != h->mm || task_peek(task->flags) & GCH_PF_NO_USER)
		return false;
	return gch_rule(10) || task->tgid == h->tgid;
}

static struct gch_thread *herd_find(struct gch_herd *h,
				    struct task_struct *task)
{
	struct gch_thread *t;

	hash_for_each_possible_rcu(h->by_task, t, by_task, (unsigned long)task,
				   lockdep_is_held(&h->lock))
		if (t->task == task)
			return t;
	return NULL;
}

/* Has it left the address space, or died? */
static bool thread_gone(struct gch_thread *t)
{
	return t->dead || task_mm(t->task) != t->herd->mm;
}

/* It is not counted any more; wake the collector after the last. Lock held. */
static void thread_arrived(struct gch_thread *t)
{
	struct gch_herd *h = t->herd;

	if (!t->awaited)
		return;
	t->awaited = false;
	WRITE_ONCE(h->awaited, h->awaited - 1);
	if (!h->awaited)
		wake_up(&h->arrived);
}

static void thread_arm(struct gch_thread *t)
{
	struct gch_herd *h = t->herd;

	lockdep_assert_held(&h->lock);
	if (t->queued || t->parked || t->dead || t->exempt)
		return;
	refcount_inc(&h->ref);
	refcount_inc(&t->ref);
	__module_get(h->owner);
	t->queued = true;
	if (!task_work_add(t->task, &t->work, TWA_RESUME))
		return;
	/* Past the last point where it runs such work. */
	t->queued = false;
	t->dead = true;
	module_put(h->owner);
	refcount_dec(&t->ref);
	refcount_dec(&h->ref);
}

/* List a new thread. Lock held; @t is consumed. */
static void thread_add(struct gch_herd *h, struct gch_thread *t,
		       struct task_struct *task)
{
	lockdep_assert_held(&h->lock);
	memset(t, 0, sizeof(*t));
	init_task_work(&t->work, thread_work);
	t->herd = h;
	t->task = get_task_struct(task);
	refcount_set(&t->ref, 1);
	t->slot = GCH_NO_SLOT;
	INIT_LIST_HEAD(&t->pending);
	hash_add_rcu(h->by_task, &t->by_task, (unsigned long)task);
	list_add_tail_rcu(&t->link, &h->threads);
	h->nthreads++;
	if (h->state == GCH_HERD_STOP)
		thread_arm(t);
}

/* Unlist a thread and put it on @gone. Lock held, nobody walks the list. */
static void thread_del(struct gch_thread *t, struct list_head *gone)
{
	struct gch_herd *h = t->herd;

	lockdep_assert_held(&h->lock);
	if (h->prune == t)
		h->prune = NULL;
	hash_del_rcu(&t->by_task);
	list_del_rcu(&t->link);
	list_add(&t->pending, gone);
	h->nthreads--;
}

static void put_all(struct list_head *gone)
{
	struct gch_thread *t, *next;

	list_for_each_entry_safe(t, next, gone, pending)
		thread_put(t);
}

/*
 * Look at two threads in turn, and unlist them if they are dead: done for each
 * birth, it bounds what threads that come and go leave behind.
 */
static void herd_prune_some(struct gch_herd *h, struct list_head *gone)
{
	struct gch_thread *t, *next;
	int i;

	for (i = 0; i < 2 && h->nthreads; i++) {
		t = h->prune ?: list_first_entry(&h->threads,
						 struct gch_thread, link);
		next = list_is_last(&t->link, &h->threads) ? NULL :
			list_next_entry(t, link);
		if (thread_gone(t) && t->slot == GCH_NO_SLOT)
			thread_del(t, gone);
		h->prune = next;
	}
}

static void herd_prune(struct gch_herd *h, struct list_head *gone)
{
	struct gch_thread *t, *next;

	list_for_each_entry_safe(t, next, &h->threads, link)
		if (thread_gone(t) && t->slot == GCH_NO_SLOT)
			thread_del(t, gone);
}

/* In the parent, the child not yet running. */
static void herd_birth(struct gch_herd *h, struct task_struct *child)
{
	struct gch_thread *t;
	LIST_HEAD(gone);

	t = kmalloc(sizeof(*t), GFP_ATOMIC | __GFP_NOWARN);
	spin_lock(&h->lock);
	if (h->state == GCH_HERD_DEAD || !herd_wants(h, child) ||
	    herd_find(h, child))
		goto out;
	if (!t && h->nspares) {
		t = list_first_entry(&h->spares, struct gch_thread, link);
		list_del(&t->link);
		h->nspares--;
	}
	if (t)
		thread_add(h, t, child);
	else
		WRITE_ONCE(h->missed, true);
	t = NULL;
	if (h->state == GCH_HERD_RUN)
		herd_prune_some(h, &gone);
out:
	spin_unlock(&h->lock);
	kfree(t);
	put_all(&gone);
}

/* A child that has an address space of its own. */
static void note_child(struct task_struct *parent, struct mm_struct *mm)
{
	struct gch_herd *h;

	spin_lock(&herds_lock);
	hash_for_each_possible(herds, h, by_mm, (unsigned long)parent->mm) {
		spin_lock(&h->lock);
		if (h->mm == parent->mm && h->forker == parent)
			h->world->ops->forked(h->world, mm);
		spin_unlock(&h->lock);
	}
	spin_unlock(&herds_lock);
}

static void probe_fork(void *data, struct task_struct *parent,
		       struct task_struct *child)
{
	struct mm_struct *mm = child->mm;
	struct gch_herd *h;

	if (mm && mm != parent->mm && atomic_read(&forkers))
		note_child(parent, mm);

	/* B1: child listed before; pairs with that in gch_world_bind(). */
	smp_mb();
	if (!mm || hlist_empty(&herds[hash_min((unsigned long)mm,
					       HASH_BITS(herds))]))
		return;
	spin_lock(&herds_lock);
	hash_for_each_possible(herds, h, by_mm, (unsigned long)mm)
		if (h->mm == mm)
			herd_birth(h, child);
	spin_unlock(&herds_lock);
}

/* Bring the stock up to the number of threads. */
static int herd_stock(struct gch_herd *h)
{
	struct gch_thread *t;

	for (;;) {
		spin_lock(&h->lock);
		if (h->nspares >= h->nthreads)
			break;
		spin_unlock(&h->lock);
		t = kmalloc(sizeof(*t), GFP_KERNEL);
		if (!t)
			return -ENOMEM;
		spin_lock(&h->lock);
		list_add(&t->link, &h->spares);
		h->nspares++;
		spin_unlock(&h->lock);
	}
	spin_unlock(&h->lock);
	return 0;
}

/*
 * List all threads that use the mm and are not listed. May be repeated; what is
 * born meanwhile is the probe's.
 */
static int herd_enumerate(struct gch_herd *h)
{
	struct task_struct *p, *task;
	struct gch_thread *t = NULL;
	bool again;

	do {
		again = false;
		if (!t)
			t = kmalloc(sizeof(*t), GFP_KERNEL);
		if (!t)
			return -ENOMEM;
		rcu_read_lock();
		for_each_process_thread(p, task) {
			if (!herd_wants(h, task))
				continue;
			spin_lock(&h->lock);
			again = !herd_find(h, task);
			if (again && t) {
				thread_add(h, t, task);
				t = kmalloc(sizeof(*t),
					    GFP_NOWAIT | __GFP_NOWARN);
				again = false;
			}
			spin_unlock(&h->lock);
			if (again)
				goto more;
		}
more:
		rcu_read_unlock();
		cond_resched();
	} while (again);
	kfree(t);
	return 0;
}

/*
 * The task work: on the thread's way to user mode, or to its end.
 *
 * The last reference to the module may go with it; module_exit waits until the
 * few instructions left have been executed (gch_stop_module_exit()).
 */
static void thread_work(struct callback_head *work)
{
	struct gch_thread *t = container_of(work, struct gch_thread, work);
	struct gch_herd *h = t->herd;
	struct module *owner = h->owner;
	bool killed = false;
	u32 epoch;

	spin_lock(&h->lock);
	t->queued = false;
	t->inside = false;
	for (;;) {
		if (current->mm != h->mm)
			t->dead = true;
		else if (killed || current->flags & PF_EXITING)
			t->doomed = true;
		else if (h->state == GCH_HERD_STOP && !t->exempt)
			t->parked = true;
		thread_arrived(t);
		if (!t->parked)
			break;
		epoch = h->epoch;
		spin_unlock(&h->lock);
		killed = wait_event_killable(h->parked,
					     READ_ONCE(h->epoch) != epoch);
		spin_lock(&h->lock);
		t->parked = false;
	}
	spin_unlock(&h->lock);
	thread_put(t);
	herd_put(h);
	module_put(owner);
}

/*
 * In an interrupt of every CPU: is the thread on it in a system call, with its
 * work before it? Then it needs no waiting for.
 */
static void look_at_current(void *info)
{
	struct gch_herd *h = info;
	struct gch_thread *t;
	unsigned long tp;

	if (current->mm != h->mm)
		return;
	rcu_read_lock();
	t = herd_find(h, current);
	if (t && gch_arch_save_in_call(&tp)) {
		t->tp = tp;
		WRITE_ONCE(t->seen, h->round);
	}
	rcu_read_unlock();
}

/* Lock held; state STOP; B2 is behind us. */
static bool thread_stopped(struct gch_thread *t)
{
	/* Nobody stops himself (gch_world_stop()). */
	if (thread_gone(t) || t->doomed || t->exempt || t->task == current)
		return true;
	if (!t->queued && !t->parked)
		return false;
	return !gch_task_on_cpu(t->task) ||
		READ_ONCE(t->seen) == t->herd->round;
}

static bool herd_usable(struct gch_herd *h)
{
	return READ_ONCE(h->state) == GCH_HERD_STOP && !READ_ONCE(h->missed);
}

/* Take from @pending those that have stopped; the others are awaited. */
static void look_at_pending(struct gch_herd *h, struct list_head *pending)
{
	struct gch_thread *t, *next;

	spin_lock(&h->lock);
	list_for_each_entry_safe(t, next, pending, pending) {
		if (!thread_stopped(t)) {
			if (!t->awaited && !t->parked) {
				t->awaited = true;
				WRITE_ONCE(h->awaited, h->awaited + 1);
			}
			continue;
		}
		list_del_init(&t->pending);
		if (t->awaited) {
			t->awaited = false;
			WRITE_ONCE(h->awaited, h->awaited - 1);
		}
	}
	spin_unlock(&h->lock);
}

static void forget_pending(struct gch_herd *h, struct list_head *pending)
{
	struct gch_thread *t, *next;

	spin_lock(&h->lock);
	list_for_each_entry_safe(t, next, pending, pending) {
		list_del_init(&t->pending);
		t->awaited = false;
	}
	WRITE_ONCE(h->awaited, 0);
	spin_unlock(&h->lock);
}

/* An interrupt to each CPU that has one of @pending. */
static void look_again(struct gch_herd *h, struct list_head *pending)
{
	struct gch_thread *t;

	list_for_each_entry(t, pending, pending)
		if (gch_task_on_cpu(t->task))
			smp_call_function_single(task_cpu(t->task),
						 look_at_current, h, 1);
}

static int herd_wait(struct gch_herd *h, ktime_t deadline)
{
	u64 poll = POLL_MIN_NS;
	struct gch_thread *t;
	LIST_HEAD(pending);
	int err = 0;

	gch_herd_for_each(t, h)
		list_add_tail(&t->pending, &pending);
	for (;;) {
		look_at_pending(h, &pending);
		if (!herd_usable(h))
			err = -EAGAIN;
		if (err || list_empty(&pending))
			break;
		if (ktime_after(ktime_get(), deadline)) {
			err = -EAGAIN;
			break;
		}
		/* Not to be cut short by signals of a thread that forks. */
		__wait_event_hrtimeout(h->arrived, !READ_ONCE(h->awaited),
				       ns_to_ktime(poll), TASK_IDLE);
		poll = min(poll * 2, POLL_MAX_NS);
		look_again(h, &pending);
	}
	forget_pending(h, &pending);
	return err;
}

/* Arm all, and make sure that no CPU is about to overlook it. */
static void herd_arm(struct gch_herd *h)
{
	struct gch_thread *t;

	gch_herd_for_each(t, h) {
		spin_lock(&h->lock);
		thread_arm(t);
		spin_unlock(&h->lock);
	}
	/* B2: pairs with the interrupt's entry on every other CPU. */
	smp_call_function(look_at_current, h, 1);
}

/* Before a stop: nobody missed, stock full. Then state STOP. */
static int herd_close(struct gch_herd *h)
{
	LIST_HEAD(gone);
	int err;

	for (;;) {
		if (READ_ONCE(h->missed)) {
			WRITE_ONCE(h->missed, false);
			err = herd_enumerate(h);
			if (err) {
				WRITE_ONCE(h->missed, true);
				return -EAGAIN;
			}
		}
		if (herd_stock(h))
			return -EAGAIN;
		spin_lock(&h->lock);
		if (!h->missed && h->nspares >= h->nthreads)
			break;
		spin_unlock(&h->lock);
	}
	err = -ENXIO;
	if (h->state == GCH_HERD_RUN) {
		herd_prune(h, &gone);
		h->round++;
		WRITE_ONCE(h->state, GCH_HERD_STOP);
		err = 0;
	}
	spin_unlock(&h->lock);
	put_all(&gone);
	return err;
}

/*
 * All are stopped. Those that are not parked may give birth yet, and births may
 * have taken from the stock. Lock held.
 */
static int herd_stopped(struct gch_herd *h)
{
	struct gch_thread *t;
	u32 births = 0;

	h->stats.found = 0;
	gch_herd_for_each(t, h) {
		if (thread_gone(t))
			continue;
		h->stats.found++;
		births += !t->parked;
	}
	for (; h->nspares < births; h->nspares++) {
		t = kmalloc(sizeof(*t), GFP_ATOMIC | __GFP_NOWARN);
		if (!t)
			return -EAGAIN;
		list_add(&t->link, &h->spares);
	}
	return 0;
}

static void herd_open(struct gch_herd *h)
{
	spin_lock(&h->lock);
	if (h->state == GCH_HERD_STOP) {
		WRITE_ONCE(h->state, GCH_HERD_RUN);
		WRITE_ONCE(h->epoch, h->epoch + 1);
	}
	spin_unlock(&h->lock);
	wake_up_all(&h->parked);
}

/**
 * gch_world_stop() - stop the program's threads
 * @w: world
 * @timeout_ns: how long to wait for those in user mode
 *
 * From the heap's collector, or a thread of the program's in a call while the collector
 * cannot; not nested. On success no thread of the address space executes in user mode until
 * gch_world_start().
 *
 * Return: 0; -EAGAIN: not all stopped in time, or no memory; they run again;
 * -ENXIO: the heap is dead.
 */
int gch_world_stop(struct gch_world *w, u64 timeout_ns)
{
	struct gch_herd *h = w->herd;
	ktime_t begin;
	int err;

	might_sleep();
	err = herd_close(h);
	if (err)
		return err;
	begin = ktime_get();
	herd_arm(h);
	err = herd_wait(h, ktime_add_ns(begin, timeout_ns));
	spin_lock(&h->lock);
	if (!err)
		err = herd_stopped(h);
	if (h->state == GCH_HERD_DEAD)
		err = -ENXIO;
	if (err) {
		h->stats.failed++;
	} else {
		h->stats.stops++;
		h->stats.stop_ns = ktime_to_ns(ktime_sub(ktime_get(), begin));
	}
	spin_unlock(&h->lock);
	if (err)
		herd_open(h);
	return err;
}

/** gch_world_start() - let the threads go that gch_world_stop() stopped */
void gch_world_start(struct gch_world *w)
{
	herd_open(w->herd);
}

/**
 * gch_world_flipped() - objects have got other addresses
 *
 * World stopped. R7: what a thread has handed to a system call that it is in may be an old
 * one. It has left when its work runs.
 */
void gch_world_flipped(struct gch_world *w)
{
	struct gch_thread *t;

	spin_lock(&w->herd->lock);
	gch_herd_for_each(t, w->herd)
		t->inside |= t->queued && !t->parked;
	spin_unlock(&w->herd->lock);
}

/** gch_world_inside() - whether a thread may have an address from before a flip in the kernel */
bool gch_world_inside(struct gch_world *w)
{
	struct gch_herd *h = w->herd;
	struct gch_thread *t;
	bool inside = false;

	spin_lock(&h->lock);
	list_for_each_entry(t, &h->threads, link)
		inside |= t->inside && !thread_gone(t);
	spin_unlock(&h->lock);
	return inside;
}

/**
 * gch_thread_slept() - whether a thread has not run since this was asked last
 *
 * World stopped. Says nothing of its stack, which others may have written to (R3).
 */
bool gch_thread_slept(struct gch_thread *t)
{
	u64 before = t->switches;

	t->switches = task_peek(t->task->nvcsw) + task_peek(t->task->nivcsw);
	return t->switches == before;
}

/**
 * gch_thread_capture() - read a thread's registers from outside
 * @t: thread of a stopped herd
 * @c: out; @c->image has room
 *
 * The lock is the lease on its kernel stack: see the head of this file. What is
 * exact stays so until the thread is started again, also if it runs in the
 * kernel meanwhile.
 */
void gch_thread_capture(struct gch_thread *t, struct gch_capture *c)
{
	struct task_struct *task = t->task;
	struct gch_herd *h = t->herd;
	bool on_cpu;

	spin_lock(&h->lock);
	c->how = GCH_GONE;
	/* A heap that dies in a pause lets its threads go: no roots either. */
	if (thread_gone(t) || t->doomed || t->exempt || h->state == GCH_HERD_DEAD ||
	    WARN_ON_ONCE(!t->queued && !t->parked))
		goto out;
	on_cpu = gch_task_on_cpu(task);
	gch_arch_read_regs(task, on_cpu && READ_ONCE(t->seen) == h->round ?
			   t->tp : 0, &c->regs);
	c->size = gch_arch_read_image(task, c->image);
	c->how = t->parked || c->regs.syscall >= 0 ? GCH_EXACT : GCH_LOOSE;
	c->slot = t->slot;
	c->lo = t->lo;
	c->hi = t->hi;
	c->first = thread_group_leader(task);
	c->alt_lo = task_peek(task->sas_ss_sp);
	c->alt_hi = c->alt_lo + task_peek(task->sas_ss_size);
	/* The program can name any size. */
	if (c->alt_hi < c->alt_lo || c->alt_hi > TASK_SIZE_MAX) {
		c->alt_lo = 0;
		c->alt_hi = 0;
	}
out:
	spin_unlock(&h->lock);
}

/**
 * gch_world_init() - set up a world
 * @w: world
 * @ops: the heap's side
 * @owner: module that queued works keep loaded
 *
 * Return: 0 or -ENOMEM.
 */
int gch_world_init(struct gch_world *w, const struct gch_world_ops *ops,
		   struct module *owner)
{
	struct gch_herd *h;

	h = kzalloc(sizeof(*h), ENV_GFP);
	if (!h)
		return -ENOMEM;
	refcount_set(&h->ref, 1);
	h->owner = owner;
	INIT_HLIST_NODE(&h->by_mm);
	spin_lock_init(&h->lock);
	INIT_LIST_HEAD(&h->threads);
	INIT_LIST_HEAD(&h->spares);
	hash_init(h->by_task);
	init_waitqueue_head(&h->parked);
	init_waitqueue_head(&h->arrived);
	xa_init(&w->slots);
	w->ops = ops;
	w->herd = h;
	return 0;
}

/**
 * gch_world_bind() - current's address space is the heap's from now on
 * @w: world, not bound before
 *
 * Return: 0, or -ENOMEM and it is as before.
 */
int gch_world_bind(struct gch_world *w)
{
	struct gch_herd *h = w->herd;
	struct gch_thread *t;
	LIST_HEAD(gone);
	int err;

	mmgrab(current->mm);
	if (!gch_rule(9))
		mmget(current->mm);	/* as if the heap kept it alive */
	WRITE_ONCE(h->mm, current->mm);
	h->tgid = current->tgid;
	spin_lock(&herds_lock);
	WRITE_ONCE(h->state, GCH_HERD_RUN);
	hash_add(herds, &h->by_mm, (unsigned long)h->mm);
	spin_unlock(&herds_lock);
	/* B1: published before the task list is read; with probe_fork(). */
	smp_mb();
	err = herd_enumerate(h);
	if (!err)
		return 0;
	spin_lock(&herds_lock);
	hash_del(&h->by_mm);
	spin_lock(&h->lock);
	WRITE_ONCE(h->state, GCH_HERD_NEW);
	while ((t = list_first_entry_or_null(&h->threads, struct gch_thread,
					     link)))
		thread_del(t, &gone);
	WRITE_ONCE(h->missed, false);
	spin_unlock(&h->lock);
	spin_unlock(&herds_lock);
	put_all(&gone);
	mmdrop(h->mm);
	WRITE_ONCE(h->mm, NULL);
	return err;
}

/**
 * gch_world_die() - no more stops; whoever is parked goes on
 *
 * Never waits (R9). May be called more than once, and before bind.
 */
void gch_world_die(struct gch_world *w)
{
	struct gch_herd *h = w->herd;

	spin_lock(&h->lock);
	WRITE_ONCE(h->state, GCH_HERD_DEAD);
	WRITE_ONCE(h->epoch, h->epoch + 1);
	spin_unlock(&h->lock);
	wake_up_all(&h->parked);
	wake_up_all(&h->arrived);
}

/**
 * gch_world_destroy() - the heap goes, with its last reference
 *
 * What queued works need stays until they have run.
 */
void gch_world_destroy(struct gch_world *w)
{
	struct gch_herd *h = w->herd;
	struct gch_thread *t;
	LIST_HEAD(gone);

	gch_world_die(w);
	spin_lock(&herds_lock);
	hash_del(&h->by_mm);
	spin_unlock(&herds_lock);
	spin_lock(&h->lock);
	while ((t = list_first_entry_or_null(&h->threads, struct gch_thread,
					     link)))
		thread_del(t, &gone);
	spin_unlock(&h->lock);
	put_all(&gone);
	xa_destroy(&w->slots);
	herd_put(h);
}

/* current's entry; made here if it was missed at birth. */
static struct gch_thread *herd_find_current(struct gch_herd *h)
{
	struct gch_thread *t, *new = NULL;

	spin_lock(&h->lock);
	t = herd_find(h, current);
	spin_unlock(&h->lock);
	if (t)
		return t;
	new = kmalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return NULL;
	spin_lock(&h->lock);
	t = herd_find(h, current);
	if (!t && h->state != GCH_HERD_DEAD) {
		t = new;
		thread_add(h, t, current);
		new = NULL;
	}
	spin_unlock(&h->lock);
	kfree(new);
	return t;
}

/**
 * gch_world_attach() - give the calling thread a slot
 * @w: world
 * @slot: free; the caller sees to it that nobody else attaches to it
 * @lo: lower and @hi upper bound of its stack; 0, 0: unknown
 *
 * Return: 0; -EBUSY: it is attached already; -EINVAL: bounds; -EPERM: another
 * address space; -ENXIO: the heap is dead; -ENOMEM.
 */
int gch_world_attach(struct gch_world *w, u32 slot, unsigned long lo,
		     unsigned long hi)
{
	struct gch_herd *h = w->herd;
	struct gch_thread *t;
	int err;

	if (current->mm != h->mm)
		return -EPERM;
	if ((lo || hi) && (lo >= hi || hi > TASK_SIZE_MAX))
		return -EINVAL;
	t = herd_find_current(h);
	if (!t)
		return gch_world_dead(w) ? -ENXIO : -ENOMEM;
	if (t->slot != GCH_NO_SLOT)
		return -EBUSY;
	err = xa_err(xa_store(&w->slots, slot, t, ENV_GFP));
	if (err)
		return err;
	spin_lock(&h->lock);
	t->lo = lo;
	t->hi = hi;
	t->slot = slot;
	h->nattached++;
	spin_unlock(&h->lock);
	return 0;
}

/**
 * gch_world_detach() - take the calling thread's slot away
 *
 * Return: 0, or -ESRCH: it is not attached there.
 */
int gch_world_detach(struct gch_world *w, u32 slot)
{
	struct gch_herd *h = w->herd;
	struct gch_thread *t;

	if (!gch_world_is(w, slot))
		return -ESRCH;
	t = xa_erase(&w->slots, slot);
	spin_lock(&h->lock);
	t->slot = GCH_NO_SLOT;
	t->lo = 0;
	t->hi = 0;
	h->nattached--;
	spin_unlock(&h->lock);
	return 0;
}

/** gch_world_is() - is the calling thread attached at @slot? */
bool gch_world_is(struct gch_world *w, u32 slot)
{
	struct gch_thread *t;
	bool is;

	rcu_read_lock();
	t = xa_load(&w->slots, slot);
	is = t && t->task == current;
	rcu_read_unlock();
	return is;
}

/** gch_world_has() - is there a thread attached at @slot that is not dead? */
bool gch_world_has(struct gch_world *w, u32 slot)
{
	struct gch_thread *t;
	bool has;

	rcu_read_lock();
	t = xa_load(&w->slots, slot);
	has = t && !thread_gone(t);
	rcu_read_unlock();
	return has;
}

/** gch_world_halted() - is the thread attached at @slot stopped by a signal, traced, or frozen? */
bool gch_world_halted(struct gch_world *w, u32 slot)
{
	struct gch_thread *t;
	bool halted;

	rcu_read_lock();
	t = xa_load(&w->slots, slot);
	/* A control group freezes by a trap, all others otherwise. */
	halted = t && (task_is_stopped_or_traced(t->task) ||
		       READ_ONCE(t->task->jobctl) & JOBCTL_TRAP_FREEZE ||
		       READ_ONCE(t->task->__state) & TASK_FROZEN);
	rcu_read_unlock();
	return halted;
}

/* An attached thread that is gone loses its slot. Return: it, or GCH_NO_SLOT. */
static u32 herd_take_dead(struct gch_world *w, struct list_head *gone)
{
	struct gch_herd *h = w->herd;
	struct gch_thread *t;
	u32 slot = GCH_NO_SLOT;

	spin_lock(&h->lock);
	list_for_each_entry(t, &h->threads, link) {
		if (t->slot == GCH_NO_SLOT || !thread_gone(t))
			continue;
		slot = t->slot;
		xa_erase(&w->slots, slot);	/* it may go any time from here */
		t->slot = GCH_NO_SLOT;
		h->nattached--;
		if (h->state == GCH_HERD_RUN)
			thread_del(t, gone);
		break;
	}
	spin_unlock(&h->lock);
	return slot;
}

/**
 * gch_world_reap() - take the slots of dead threads back
 * @w: world
 *
 * Calls gch_world_ops.thread_dead for each. Process context, no locks that this
 * takes; not in a pause.
 *
 * Return: how many.
 */
u32 gch_world_reap(struct gch_world *w)
{
	LIST_HEAD(gone);
	u32 slot, n = 0;

	for (;;) {
		slot = herd_take_dead(w, &gone);
		if (slot == GCH_NO_SLOT)
			break;
		w->ops->thread_dead(w, slot);
		n++;
	}
	put_all(&gone);
	return n;
}

/**
 * gch_world_exempt() - stops pass over a thread from now on, or no more
 * @slot: where it is attached
 *
 * One that is stopped like others again in a pause does not get to user mode in it.
 */
void gch_world_exempt(struct gch_world *w, u32 slot, bool on)
{
	struct gch_herd *h = w->herd;
	struct gch_thread *t;

	spin_lock(&h->lock);
	t = xa_load(&w->slots, slot);
	if (t) {
		t->exempt = on;
		if (!on && h->state == GCH_HERD_STOP)
			thread_arm(t);
	}
	spin_unlock(&h->lock);
}

/**
 * gch_world_fork_begin() - from now on gch_world_ops.forked is called for the caller's children
 *
 * Those that share its address space are none. Not nested.
 */
void gch_world_fork_begin(struct gch_world *w)
{
	struct gch_herd *h = w->herd;

	spin_lock(&h->lock);
	h->forker = current;
	h->world = w;
	spin_unlock(&h->lock);
	atomic_inc(&forkers);
}

/** gch_world_fork_end() - no longer */
void gch_world_fork_end(struct gch_world *w)
{
	struct gch_herd *h = w->herd;

	atomic_dec(&forkers);
	spin_lock(&h->lock);
	h->forker = NULL;
	spin_unlock(&h->lock);
}

/** gch_world_mm() - the address space it is bound to, or NULL; identity only */
struct mm_struct *gch_world_mm(struct gch_world *w)
{
	return READ_ONCE(w->herd->mm);
}

/** gch_world_dead() - has gch_world_die() been called? */
bool gch_world_dead(struct gch_world *w)
{
	return READ_ONCE(w->herd->state) == GCH_HERD_DEAD;
}

/** gch_world_stats() - counters */
void gch_world_stats(struct gch_world *w, struct gch_world_stats *st)
{
	struct gch_herd *h = w->herd;

	spin_lock(&h->lock);
	*st = h->stats;
	st->threads = h->nthreads;
	st->attached = h->nattached;
	spin_unlock(&h->lock);
}

/**
 * gch_mm_enter() - let the calling kernel thread use the program's memory
 *
 * Keeps the address space from being torn down: for short whiles only (R9).
 * Return: 0, or -ENXIO: it is gone, or never was.
 */
int gch_mm_enter(struct gch_world *w)
{
	struct mm_struct *mm = gch_world_mm(w);

	if (!mm || !mmget_not_zero(mm))
		return -ENXIO;
	kthread_use_mm(mm);
	w->keys = gch_arch_open_keys();
	return 0;
}

/** gch_mm_leave() - undo gch_mm_enter(); never tears down itself */
void gch_mm_leave(struct gch_world *w)
{
	struct mm_struct *mm = gch_world_mm(w);

	gch_arch_close_keys(w->keys);
	kthread_unuse_mm(mm);
	mmput_async(mm);
}

/* Does any thread still use the address space? The last one found is asked first. */
static bool herd_deserted(struct gch_herd *h)
{
	struct gch_thread *t;
	bool gone = true;

	rcu_read_lock();
	list_for_each_entry_rcu(t, &h->threads, link) {
		gone = thread_gone(t);
		if (!gone)
			break;
	}
	rcu_read_unlock();
	return gone && !READ_ONCE(h->missed);
}

/**
 * gch_mm_deserted() - nobody is left to collect for: let the address space go (R9)
 *
 * Other heaps' collectors may hold it as well, so that a count of its users does not tell.
 */
bool gch_mm_deserted(struct gch_world *w)
{
	return gch_world_dead(w) || herd_deserted(w->herd);
}

static void find_fork_tracepoint(struct tracepoint *tp, void *data)
{
	if (!strcmp(tp->name, "sched_process_fork"))
		fork_tracepoint = tp;
}

/**
 * gch_stop_module_init() - hear of new threads from now on
 *
 * Return: 0, or -EOPNOTSUPP: the kernel has no tracepoints.
 */
int gch_stop_module_init(void)
{
	for_each_kernel_tracepoint(find_fork_tracepoint, NULL);
	if (!fork_tracepoint) {
		pr_err("gcheap: the kernel has no tracepoint sched_process_fork\n");
		return -EOPNOTSUPP;
	}
	return tracepoint_probe_register(fork_tracepoint, probe_fork, NULL);
}

/**
 * gch_stop_module_exit() - undo it
 *
 * No herd is left, and no work queued: they hold references to the module. What
 * may be left is the end of a work that has just dropped the last one.
 */
void gch_stop_module_exit(void)
{
	tracepoint_probe_unregister(fork_tracepoint, probe_fork, NULL);
	tracepoint_synchronize_unregister();
	synchronize_rcu_tasks();
}
