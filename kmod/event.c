// SPDX-License-Identifier: GPL-2.0-only
/* Events: bounded records for read() and poll(). */
#include <linux/poll.h>
#include <linux/uaccess.h>

#include "gcheap.h"

void gch_events_init(struct gch_events *e)
{
	spin_lock_init(&e->lock);
	mutex_init(&e->readers);
	init_waitqueue_head(&e->wait);
}

/**
 * gch_event() - record an event; any context that may take a spinlock
 * @type: GCHEAP_EV_*; @a, @b, @c: as it says there
 */
void gch_event(struct gch *g, u32 type, u64 a, u64 b, u64 c)
{
	struct gch_events *e = &g->events;
	struct gcheap_event *ev;

	spin_lock(&e->lock);
	if (e->head - e->tail == GCH_NEVENTS) {
		e->tail++;
		e->lost++;
	}
	ev = &e->ring[e->head++ % GCH_NEVENTS];
	ev->type = type;
	ev->size = sizeof(*ev);
	ev->a = a;
	ev->b = b;
	ev->c = c;
	spin_unlock(&e->lock);
	wake_up_interruptible_poll(&e->wait, EPOLLIN);
}

/* Copy the oldest record; @number: which it is. Return: whether there is one. */
static bool event_peek(struct gch_events *e, struct gcheap_event *ev, u32 *number)
{
	bool any;

	spin_lock(&e->lock);
	any = e->head != e->tail;
	*number = e->tail;
	if (any)
		*ev = e->ring[*number % GCH_NEVENTS];
	spin_unlock(&e->lock);
	return any;
}

/* Forget a record that has been copied out, unless it has been overrun since. */
static void event_take(struct gch_events *e, u32 number)
{
	spin_lock(&e->lock);
	if (e->tail == number)
		e->tail++;
	else
		e->lost--;	/* that one was not: it has been read */
	spin_unlock(&e->lock);
}

/* Only what has been copied out is taken: a bad buffer loses nothing. */
static ssize_t events_copy(struct gch_events *e, char __user *buf, size_t len)
{
	struct gcheap_event ev;
	size_t done = 0;
	u32 number;
	int err;

	err = mutex_lock_killable(&e->readers);
	if (err)
		return err;
	for (; len - done >= sizeof(ev) && event_peek(e, &ev, &number);
	     done += sizeof(ev)) {
		if (copy_to_user(buf + done, &ev, sizeof(ev))) {
			err = -EFAULT;
			break;
		}
		event_take(e, number);
	}
	mutex_unlock(&e->readers);
	return done ? done : err;
}

/**
 * gch_events_read() - whole records, as many as there are and fit
 * @nonblock: -EAGAIN rather than wait
 * @dead: -ENXIO when set and nothing is left
 */
ssize_t gch_events_read(struct gch_events *e, char __user *buf, size_t len,
			bool nonblock, const bool *dead)
{
	ssize_t done;
	int err;

	if (len < sizeof(struct gcheap_event))
		return -EINVAL;
	for (;;) {
		done = events_copy(e, buf, len);
		if (done)
			return done;
		if (READ_ONCE(*dead))
			return -ENXIO;
		if (nonblock)
			return -EAGAIN;
		err = wait_event_interruptible(e->wait,
					       READ_ONCE(e->head) != READ_ONCE(e->tail) ||
					       READ_ONCE(*dead));
		if (err)
			return err;
	}
}
