// SPDX-License-Identifier: GPL-2.0-only
/*
 * fork(): the child gets a heap of its own, in the likeness of its parent's (R13).
 *
 *   parent	FORK, BEGIN	a heap for the child to be, empty yet: a descriptor
 *		clone()		the child has it as well; its memory is what the parent's was
 *		FORK, COPY	the parent's heap is copied into it, threads stopped
 *   child			maps it where the parent's was: its calls and faults wait for that
 *
 * A child that is gone before, since it runs another program, ends the copying.
 *
 * From BEGIN to COPY no cycle runs and no finalizer is handed out or set, so that whatever the
 * memory of the child refers to is there when the heap is copied, which is after its memory was:
 * what threads allocate meanwhile is there, too.
 *
 * Threads are not stopped for the clone() itself: between BEGIN and it the C library takes
 * locks of its own, which a stopped thread might have.
 *
 * The window, from BEGIN to COPY, is its thread's alone: that waits for nobody in it, since
 * everybody may wait for it. It ends by itself after WINDOW_TICKS, or when the thread ends or the
 * heap dies. q->wait.lock protects what says so; the window has references to the thread and to
 * the heap of the child, which its file has as well. That heap knows nothing of its parent's.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>

#include "gcheap.h"

#define WINDOW_TICKS	(30 * HZ)
#define WATCH_TICKS	(HZ / 10)	/* from one look at a window's thread to the next */

/** gch_fork_here() - the window is open, and the calling thread's */
bool gch_fork_here(const struct gch *g)
{
	return READ_ONCE(g->fork.forker) == current;
}

static bool closed_to_me(const struct gch *g)
{
	return READ_ONCE(g->fork.forker) && !gch_fork_here(g);
}

static int await_open(struct gch *g)
{
	if (wait_event_killable(g->req.wait, !closed_to_me(g) || READ_ONCE(g->dead)))
		return -EINTR;
	return READ_ONCE(g->dead) ? -ENXIO : 0;
}

/** gch_lock_settled() - as gch_lock_thawed(), and no window of another thread's is open */
int gch_lock_settled(struct gch *g)
{
	int err;

	for (;;) {
		err = await_open(g) ?: gch_lock_thawed(g);
		if (err || !closed_to_me(g))
			return err;
		env_unlock(&g->core.lock);
	}
}

/** gch_fetch_lock() - hand out finalizers from now on; no window of another thread's is open */
int gch_fetch_lock(struct gch *g)
{
	int err;

	for (;;) {
		err = await_open(g);
		if (!err && mutex_lock_killable(&g->fetch))
			err = -EINTR;
		if (err || !closed_to_me(g))
			return err;
		mutex_unlock(&g->fetch);
	}
}

/* The child, if it waits, is to know what has become of its heap. */
static void tell_child(struct gch *to, int err)
{
	to->fork.err = err;
	smp_store_release(&to->fork.state, GCH_FORK_OVER);	/* pairs with await_copy() */
	wake_up_all(&to->req.wait);
}

/* The window's heap is the caller's to see to; NULL: another one does. It stays open. */
static struct gch *take(struct gch *g)
{
	struct gch *to;

	spin_lock(&g->req.wait.lock);
	to = g->fork.to;
	g->fork.to = NULL;
	spin_unlock(&g->req.wait.lock);
	return to;
}

/* The window is over, and what has been put off goes on. */
static void open_again(struct gch *g)
{
	struct task_struct *forker;

	spin_lock(&g->req.wait.lock);
	forker = g->fork.forker;
	WRITE_ONCE(g->fork.forker, NULL);
	spin_unlock(&g->req.wait.lock);
	put_task_struct(forker);
	wake_up_all(&g->req.wait);
	if (gch_collect_asked(g))
		gch_collector_wake(g);
}

/* End a window, which the caller has taken, without a copy. */
static void give_up(struct gch *g, struct gch *to, int err)
{
	gch_world_fork_end(&g->world);
	tell_child(to, err);
	gch_put(to);
	open_again(g);
}

/* With a reference to the heap, which is the work's then; it may have one. */
static void watch_in(struct gch *g, unsigned long ticks)
{
	if (!gch_pool_run_later(&g->fork.watch, ticks))
		gch_put(g);
}

/* Why a window that nobody has taken is to end, 0: it is not. req.wait.lock held. */
static int expired(const struct gch *g)
{
	const struct gch_fork *f = &g->fork;

	/* The thread changes that by plain stores. */
	if (READ_ONCE(g->dead) || data_race(READ_ONCE(f->forker->flags)) & PF_EXITING)
		return -ENXIO;
	return time_before(jiffies, f->until) ? 0 : -ETIMEDOUT;
}

static void watch(struct work_struct *work)
{
	struct gch *g = container_of(to_delayed_work(work), struct gch, fork.watch), *to;
	int err;

	spin_lock(&g->req.wait.lock);
	to = g->fork.to;
	err = to ? expired(g) : 0;
	if (err)
		g->fork.to = NULL;
	spin_unlock(&g->req.wait.lock);
	if (to && !err) {
		watch_in(g, WATCH_TICKS);
		return;
	}
	if (err)
		give_up(g, to, err);
	gch_put(g);
}

void gch_fork_init(struct gch *g)
{
	INIT_DELAYED_WORK(&g->fork.watch, watch);
}

/** gch_fork_kill() - the heap is dead: who waits for a copy of it is told; never waits */
void gch_fork_kill(struct gch *g)
{
	if (cancel_delayed_work(&g->fork.watch))
		watch_in(g, 0);
}

/* One that looks just now will find no window, if not the next one. */
static void unwatch(struct gch *g)
{
	if (cancel_delayed_work(&g->fork.watch))
		gch_put(g);
}

/**
 * gch_fork_born() - the child is there, and does not run yet; in the probe on births
 * @mm: its address space
 */
void gch_fork_born(struct gch *g, struct mm_struct *mm)
{
	struct gch *to;

	spin_lock(&g->req.wait.lock);
	to = g->fork.to;
	if (to && !to->fork.heir) {
		mmgrab(mm);
		WRITE_ONCE(to->fork.heir, mm);
	}
	spin_unlock(&g->req.wait.lock);
}

/* ---- BEGIN */

/* Until no cycle is under way: 0, -EINTR, -ENXIO. */
static int await_no_cycle(struct gch *g)
{
	bool hides = gch_holding_begin(g);
	int err = wait_event_killable(g->req.wait, !READ_ONCE(g->req.working) ||
				      READ_ONCE(g->dead)) ? -EINTR : 0;

	gch_holding_end(g, hides);
	return err ?: READ_ONCE(g->dead) ? -ENXIO : 0;
}

/* No cycle is under way, nor begins: 0, -EBUSY, -EINTR, -ENXIO. */
static int close_window(struct gch *g)
{
	struct gch_requests *q = &g->req;
	int err = 0;

	/* Who is being handed finalizers has them by then. */
	if (mutex_lock_killable(&g->fetch))
		return -EINTR;
	spin_lock(&q->wait.lock);
	if (g->fork.forker)
		err = -EBUSY;
	else
		WRITE_ONCE(g->fork.forker, get_task_struct(current));
	spin_unlock(&q->wait.lock);
	mutex_unlock(&g->fetch);
	if (err)
		return err;
	err = await_no_cycle(g);
	/* Who sets a finalizer has done so. */
	env_lock(&g->core.lock);
	env_unlock(&g->core.lock);
	if (err)
		open_again(g);
	return err;
}

/* Another heap, by the file that this one came by. */
static struct file *open_another(struct file *file)
{
	struct file *f = dentry_open(&file->f_path, O_RDWR | O_CLOEXEC, current_cred());

	if (!IS_ERR(f) && f->f_op != &gch_fops) {
		fput(f);
		return ERR_PTR(-ENODEV);
	}
	return f;
}

static void begin(struct gch *g, struct gch *to)
{
	gch_get(to);
	to->fork.state = GCH_FORK_AWAITED;
	spin_lock(&g->req.wait.lock);
	g->fork.to = to;
	g->fork.until = jiffies + WINDOW_TICKS;
	spin_unlock(&g->req.wait.lock);
	gch_world_fork_begin(&g->world);
	gch_get(g);
	watch_in(g, WATCH_TICKS);
	/* Queued before this is read; pairs with gch_kill(), whose order is the other one. */
	smp_mb();
	if (READ_ONCE(g->dead))
		gch_fork_kill(g);
}

/**
 * gch_fork_begin() - open the window: a descriptor of the child's heap, for gch_fork_told()
 * @file: the heap's
 */
int gch_fork_begin(struct file *file, struct gch_fork_arg *a)
{
	struct gch *g = file->private_data, *to;
	int err;

	a->made = open_another(file);
	if (IS_ERR(a->made))
		return PTR_ERR(a->made);
	err = get_unused_fd_flags(O_CLOEXEC);
	if (err < 0)
		goto err_file;
	a->u.fd = err;
	to = a->made->private_data;
	err = gch_tables_make(to, g->core.size, g->core.max_threads) ?: close_window(g);
	if (err)
		goto err_fd;
	to->core.base = g->core.base;
	begin(g, to);
	a->g = g;
	return 0;

err_fd:
	put_unused_fd(a->u.fd);
	a->u.fd = -1;
err_file:
	fput(a->made);
	a->made = NULL;
	return err;
}

/** gch_fork_told() - the program knows the descriptor, or cannot be told */
void gch_fork_told(struct gch_fork_arg *a, bool told)
{
	if (!a->g)
		return;
	if (told) {
		fd_install(a->u.fd, a->made);
		return;
	}
	gch_fork_end(a->g);
	put_unused_fd(a->u.fd);
	fput(a->made);
}

/** gch_fork_end() - close the window, if it is the caller's: 0 or -ESRCH */
int gch_fork_end(struct gch *g)
{
	struct gch *to;

	if (!gch_fork_here(g))
		return -ESRCH;
	to = take(g);
	if (to) {
		unwatch(g);
		give_up(g, to, -ENXIO);
	}
	return 0;
}

/* ---- COPY */

/** gch_fork_copy() - give the child that was born in the window a copy of the heap, and end it */
int gch_fork_copy(struct gch *g)
{
	struct gch *to;
	int err;

	to = gch_fork_here(g) ? take(g) : NULL;
	if (!to)
		return -ESRCH;
	unwatch(g);
	gch_world_fork_end(&g->world);
	err = to->fork.heir ? gch_copy(to, g) : -ECHILD;
	tell_child(to, err);
	gch_put(to);
	open_again(g);
	return err;
}

/* ---- ADOPT */

/** gch_fork_heir() - whose heap it is before it is mapped; NULL: anybody's */
struct mm_struct *gch_fork_heir(const struct gch *g)
{
	return READ_ONCE(g->fork.heir);
}

/**
 * gch_fork_awaited() - the child is there, and the copy is still to be made
 *
 * When it is not any more, but has been made, g->ready is set for who looks after this.
 */
bool gch_fork_awaited(const struct gch *g)
{
	/* pairs with tell_child() */
	return gch_fork_heir(g) && smp_load_acquire(&g->fork.state) == GCH_FORK_AWAITED;
}

/* Until the window is over: 0, or what came of it. */
static int await_copy(struct gch *g)
{
	struct gch_fork *f = &g->fork;

	/* pairs with tell_child() */
	if (wait_event_killable(g->req.wait, smp_load_acquire(&f->state) == GCH_FORK_OVER ||
				READ_ONCE(g->dead)))
		return -EINTR;
	return READ_ONCE(g->dead) ? -ENXIO : f->err;
}

/* It is known whose it is: the child is there, or the window was over before it was. */
static bool is_settled(const struct gch *g)
{
	/* pairs with tell_child(): no child is noted after that */
	u32 state = smp_load_acquire(&g->fork.state);

	return state == GCH_FORK_OVER || (state && gch_fork_heir(g));
}

/**
 * gch_fork_await() - a heap that is not set up: wait for it, if it is the caller's
 *
 * Return: 0: it is ready, or what has become of the copy; -ENODEV: it is not one that will be;
 * -EPERM: it is another child's; -EINTR, -ENXIO. After gch_fork_awaited() has said that it is
 * not, this does not wait: a child that has come since is not the caller.
 */
int gch_fork_await(struct gch *g)
{
	if (!is_settled(g))
		return -ENODEV;
	return gch_mapping_foreign(g) ? -EPERM : await_copy(g);
}

/** gch_fork_adopt() - the child's call: wait until its heap is there, and say where it belongs */
int gch_fork_adopt(struct gch *g, struct gcheap_adopt *a)
{
	int err;

	if (!READ_ONCE(g->fork.state))
		return READ_ONCE(g->ready) ? -ENOENT : -ENODEV;
	err = gch_mapping_foreign(g) ? -EPERM : await_copy(g);
	if (!err && gch_mapping_foreign(g))
		err = -EPERM;
	if (err)
		return err;
	g->tgid = current->tgid;
	a->base = g->core.base;
	a->heap_size = g->core.size;
	a->meta_size = g->meta_size;
	a->tcb_size = g->tcb_size;
	a->max_threads = g->core.max_threads;
	return 0;
}

/** gch_fork_destroy() - the heap goes */
void gch_fork_destroy(struct gch *g)
{
	if (g->fork.heir)
		mmdrop(g->fork.heir);
}
