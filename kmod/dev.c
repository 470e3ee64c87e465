// SPDX-License-Identifier: GPL-2.0-only
/* The device's files: open, close, read, poll. A heap lives while it is
 * referenced: by its file and its collector.
 */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "gcheap.h"

static bool gch_concurrent = true;
module_param_named(concurrent, gch_concurrent, bool, 0644);
MODULE_PARM_DESC(concurrent, "New heaps mark while their programs run");

static bool gch_young = true;
module_param_named(young, gch_young, bool, 0644);
MODULE_PARM_DESC(young, "Their automatic collections may be young ones");

#define PAUSE_DEFAULT	(500 * NSEC_PER_USEC)

static void gch_release_last(struct kref *ref)
{
	struct gch *g = container_of(ref, struct gch, ref);

	gch_pressure_del(g);
	if (g->status)
		gch_tables_drop(g);
	gch_fork_destroy(g);
	gch_track_destroy(&g->track);
	gch_roots_destroy(&g->roots);
	gch_world_destroy(&g->world);
	gch_mapping_close(g);
	gch_callback_destroy(&g->callback);
	kfree(g);
}

void gch_get(struct gch *g)
{
	kref_get(&g->ref);
}

void gch_put(struct gch *g)
{
	kref_put(&g->ref, gch_release_last);
}

/*
 * A dead thread's spans come back (R14). Nobody will find it again, so that a signal to
 * who has found it must not put it off; pauses are bounded.
 */
static void world_thread_dead(struct gch_world *w, u32 slot)
{
	struct gch *g = container_of(w, struct gch, world);
	int err;

	while ((err = gch_lock_thawed(g)) == -EINTR)
		wait_event(g->thawed, !gch_phase_frozen(&g->core) || READ_ONCE(g->dead));
	if (err)
		return;
	gch_callback_end(g, slot, true);
	if (slot < g->core.max_threads && g->core.thread[slot])
		gch_thread_detach(&g->core, slot);
	gch_unlock(g);
}

static void world_forked(struct gch_world *w, struct mm_struct *mm)
{
	gch_fork_born(container_of(w, struct gch, world), mm);
}

static const struct gch_world_ops world_ops = {
	.thread_dead = world_thread_dead,
	.forked = world_forked,
};

/**
 * gch_kill() - the heap's address space or mapping is gone
 *
 * Never waits (R9). Every later call fails with ENXIO.
 */
void gch_kill(struct gch *g)
{
	WRITE_ONCE(g->dead, true);
	gch_world_die(&g->world);
	wake_up_all(&g->thawed);
	wake_up_all(&g->req.wait);
	wake_up_all(&g->callback.asked);
	wake_up_all(&g->callback.answered);
	wake_up_all(&g->lent.wanted_wait);
	wake_up_all(&g->lent.done_wait);
	wake_up_all(&g->events.wait);
	gch_fork_kill(g);
	if (smp_load_acquire(&g->ready))	/* pairs with do_setup() */
		gch_collector_wake(g);	/* to give its pages back */
}

/**
 * gch_lock_thawed() - take core.lock outside of the frozen phases (I1)
 *
 * Return: 0 with the lock held, -EINTR, or -ENXIO: the heap is dead.
 */
int gch_lock_thawed(struct gch *g)
{
	for (;;) {
		if (READ_ONCE(g->dead))
			return -ENXIO;
		env_lock(&g->core.lock);
		if (!gch_phase_frozen(&g->core))
			return 0;
		env_unlock(&g->core.lock);
		if (wait_event_killable(g->thawed, !gch_phase_frozen(&g->core) ||
					READ_ONCE(g->dead)))
			return -EINTR;
	}
}

/** gch_drain() - free what a thread has freed early; tells about what it got wrong
 *
 * core.lock held, not in a frozen phase.
 */
void gch_drain(struct gch *g, u32 thread)
{
	u64 bad = g->core.n.bad_frees;

	gch_free_drain(&g->core, thread);
	if (g->core.n.bad_frees != bad)
		gch_event(g, GCHEAP_EV_BAD_FREE, g->core.n.last_bad_free,
			  g->core.n.bad_frees, 0);
}

/** gch_unlock() - publish the counters and drop core.lock */
void gch_unlock(struct gch *g)
{
	gch_stat_publish(g);
	env_unlock(&g->core.lock);
}

static int gch_open(struct inode *inode, struct file *file)
{
	struct gch *g;
	int err;

	/* The dirty-page walks want VM_MAYWRITE of every mapping. */
	if (!(file->f_mode & FMODE_READ) || !(file->f_mode & FMODE_WRITE))
		return -EACCES;
	g = kzalloc(sizeof(*g), GFP_KERNEL_ACCOUNT);
	if (!g)
		return -ENOMEM;
	kref_init(&g->ref);
	g->verify = GCH_DEBUG;
	g->young = READ_ONCE(gch_young);
	g->concurrent = gch_concurrent;
	gch_compact_init(g);
	gch_evacuate_init(g);
	g->pause_budget = PAUSE_DEFAULT;
	mutex_init(&g->fetch);
	init_waitqueue_head(&g->thawed);
	init_waitqueue_head(&g->req.wait);
	gch_callback_init(&g->callback);
	gch_lent_init(&g->lent);
	xa_init(&g->tcb);
	gch_events_init(&g->events);
	gch_collector_init(g);
	gch_crew_init(g);
	gch_fork_init(g);
	env_lock_init(&g->core.lock);
	err = gch_world_init(&g->world, &world_ops, THIS_MODULE);
	if (err)
		goto err_free;
	err = gch_roots_init(&g->roots, false);
	if (err)
		goto err_world;
	err = gch_track_init(&g->track);
	if (err)
		goto err_roots;
	err = gch_mapping_open(g, file);
	if (err)
		goto err_track;
	file->private_data = g;
	gch_pressure_add(g);
	return nonseekable_open(inode, file);

err_track:
	gch_track_destroy(&g->track);
err_roots:
	gch_roots_destroy(&g->roots);
err_world:
	gch_world_destroy(&g->world);
err_free:
	kfree(g);
	return err;
}

static int gch_release(struct inode *inode, struct file *file)
{
	struct gch *g = file->private_data;

	gch_kill(g);
	gch_put(g);
	return 0;
}

static ssize_t gch_read(struct file *file, char __user *buf, size_t len,
			loff_t *pos)
{
	struct gch *g = file->private_data;

	if (!smp_load_acquire(&g->ready))	/* pairs with do_setup() */
		return -ENODEV;
	if (gch_mapping_foreign(g))
		return -EPERM;
	return gch_events_read(&g->events, buf, len,
			       file->f_flags & O_NONBLOCK, &g->dead);
}

static __poll_t gch_poll(struct file *file, struct poll_table_struct *wait)
{
	struct gch *g = file->private_data;
	struct gch_events *e = &g->events;
	__poll_t mask = 0;

	poll_wait(file, &e->wait, wait);
	if (READ_ONCE(e->head) != READ_ONCE(e->tail))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(g->dead))
		mask |= EPOLLHUP;
	return mask;
}

const struct file_operations gch_fops = {
	.owner = THIS_MODULE,
	.open = gch_open,
	.release = gch_release,
	.read = gch_read,
	.poll = gch_poll,
	.mmap = gch_mmap,
	.unlocked_ioctl = gch_ioctl,
	.show_fdinfo = gch_stat_fdinfo,
	.llseek = no_llseek,
};
