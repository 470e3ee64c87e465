// SPDX-License-Identifier: GPL-2.0-only
/*
 * Links whose words are not in the heap (core/link.c). A pause writes those whose pages are
 * there. So they are brought in before it, with the program running; the object of one that
 * does not come, or is not to be written, stays for this cycle.
 *
 * And threads that make addresses of what such words say (gcheap_tcb.hidden): no marking is
 * completed meanwhile.
 */
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "gcheap.h"

#define BATCH		16
#define BRING_NS	(500 * NSEC_PER_MSEC)	/* for all of them at one time */
#define HIDDEN_TICKS	20	/* to wait for threads that hide addresses, before a pause */
#define HIDDEN_TICKS_MAX (2 * HZ)	/* before all pauses of a cycle */

/**
 * gch_link_write() - write 0 to a word of the program's memory
 *
 * From the collector, after gch_mm_enter(); core.lock may be held: no fault is taken (R8).
 */
bool gch_link_write(struct gch_heap *h, u64 addr)
{
	int err;

	pagefault_disable();
	err = put_user(0ull, (u64 __user *)u64_to_user_ptr(addr));
	pagefault_enable();
	return !err;
}

static int bring(struct gch *g, u32 link, u64 word, ktime_t until)
{
	int err = gch_roots_bring_word(&g->roots, &g->world, word, until);

	if (err == -EFAULT) {
		env_lock(&g->core.lock);
		gch_link_gone(&g->core, link, word);
		env_unlock(&g->core.lock);
	}
	return err;
}

/**
 * gch_links_bring() - bring in the pages of words that may have to be written
 *
 * From the collector, the program running, after gch_mm_enter(). Bounded: the next call goes
 * on where there was no more time.
 */
void gch_links_bring(struct gch *g)
{
	ktime_t until = ktime_add_ns(ktime_get(), BRING_NS);
	bool more;
	u32 link;
	u64 word;
	int err = 0;

	do {
		env_lock(&g->core.lock);
		more = gch_link_wanted(&g->core, BATCH, &link, &word);
		env_unlock(&g->core.lock);
		cond_resched();
		if (link)
			err = bring(g, link, word, until);
	} while (more && err != -EAGAIN && ktime_before(ktime_get(), until) &&
		 !gch_mm_deserted(&g->world));
}

/**
 * gch_set_awaiting() - threads that are about to set gcheap_tcb.hidden are to wait, or not
 *
 * Else they could hand it from one to the other for ever, and no pause find none.
 */
void gch_set_awaiting(struct gch *g, bool on)
{
	if (READ_ONCE(g->awaiting) == on)
		return;
	env_lock(&g->core.lock);
	WRITE_ONCE(g->awaiting, on);
	gch_unlock(g);
	if (!on)
		wake_up_all(&g->thawed);
}

/**
 * gch_check_shown() - whether no thread is making addresses of what does not look like them
 *
 * World stopped. Return: 0; -EBUSY: there is one. Then others wait, until gch_set_awaiting().
 */
int gch_check_shown(struct gch *g)
{
	bool hides;

	env_lock(&g->core.lock);
	hides = gch_thread_hides(&g->core);
	env_unlock(&g->core.lock);
	if (hides)
		gch_set_awaiting(g, true);
	return hides ? -EBUSY : 0;
}

/**
 * gch_may_try_again() - whether a pause or an attempt that has ended so may be followed by another
 *
 * One that has found a thread with an address hidden is not while such a thread waits for the
 * collection's end in order that there is none (gch_hold()), nor for long.
 */
bool gch_may_try_again(struct gch *g, int err)
{
	return err == -EAGAIN || (err == -EBUSY && !READ_ONCE(g->req.holding) &&
				  g->hidden_ticks < HIDDEN_TICKS_MAX);
}

/**
 * gch_await_shown() - after gch_check_shown() has failed: until there is none, with the program
 *	running
 *
 * Such a thread takes a moment for that, if it runs; one that has died does not end it. Return:
 * whether others do wait.
 */
bool gch_await_shown(struct gch *g)
{
	bool hides = READ_ONCE(g->awaiting);
	int i;

	if (!hides)
		return false;
	for (i = 0; hides && i < HIDDEN_TICKS && gch_may_try_again(g, -EBUSY); i++) {
		schedule_timeout_uninterruptible(1);
		g->hidden_ticks++;
		env_lock(&g->core.lock);
		hides = gch_thread_hides(&g->core);
		env_unlock(&g->core.lock);
	}
	if (hides)
		gch_world_reap(&g->world);
	return true;
}

static int await(struct gch *g, bool (*over)(struct gch *g))
{
	if (wait_event_killable(g->thawed, over(g) || READ_ONCE(g->dead)))
		return -EINTR;
	return READ_ONCE(g->dead) ? -ENXIO : 0;
}

static bool is_finalized(struct gch *g)
{
	return READ_ONCE(g->core.phase) != GCHEAP_PHASE_FINALIZE;
}

static bool may_reveal(struct gch *g)
{
	return is_finalized(g) && !READ_ONCE(g->awaiting);
}

/** gch_await_finalized() - until no phase FINALIZE is: gch_cycle_sweep() ends it */
int gch_await_finalized(struct gch *g)
{
	return await(g, is_finalized);
}

static bool word_ok(u64 addr)
{
	return addr && addr % sizeof(u64) == 0 && addr < TASK_SIZE_MAX - sizeof(u64);
}

static int link_once(struct gch *g, struct gcheap_link *a)
{
	bool lng = a->flags & GCHEAP_LINK_LONG;

	switch (a->op) {
	case GCHEAP_LINK_SET:
		return gch_link_set(&g->core, a->addr, lng, a->object, &a->old);
	case GCHEAP_LINK_CLEAR:
		return gch_link_clear(&g->core, a->addr, lng, &a->old);
	case GCHEAP_LINK_MOVE:
		return gch_link_move(&g->core, a->addr, a->to, lng, &a->old);
	default:
		return gch_link_get(&g->core, a->addr, lng, &a->old);
	}
}

static int link_check(const struct gcheap_link *a)
{
	if (a->pad || a->op > GCHEAP_LINK_AWAIT)
		return -EINVAL;
	if (a->op == GCHEAP_LINK_AWAIT)
		return 0;
	return word_ok(a->addr) && (a->op != GCHEAP_LINK_MOVE || word_ok(a->to)) ? 0 : -EINVAL;
}

/** gch_link_call() - GCHEAP_IOC_LINK */
int gch_link_call(struct gch *g, struct gcheap_link *a)
{
	u32 fills = 0;
	int err = link_check(a);

	a->old = 0;
	if (err)
		return err;
	if (a->op == GCHEAP_LINK_AWAIT)
		return await(g, may_reveal);
	do {
		err = gch_lock_settled(g);
		if (err)
			return err;
		err = link_once(g, a);
		gch_unlock(g);
	} while (err == -ENOMEM && gch_reserve_fill(&g->core, &fills));
	return err;
}
