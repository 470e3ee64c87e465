// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module with a bug of choice, for tools/vm/check: a rig that does not notice
 * these would not notice gcheap's either. Not part of gcheap.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

static char *bug = "none";
module_param(bug, charp, 0400);

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spin);

static void take_both(struct mutex *a, struct mutex *b)
{
	mutex_lock(a);
	mutex_lock(b);
	mutex_unlock(b);
	mutex_unlock(a);
}

static void overflow(void)
{
	char *p = kmalloc(16, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(p);
	if (p)
		p[16] = 1;
	kfree(p);
}

static void leak(void)
{
	void *p = kmalloc(1000, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(p);
}

static void sleep_in_atomic(void)
{
	spin_lock(&spin);
	msleep(20);
	spin_unlock(&spin);
}

static unsigned long raced;
module_param(raced, ulong, 0400);
static bool stop;

static void race_work(struct work_struct *work)
{
	while (!READ_ONCE(stop)) {
		raced++;
		cond_resched();
		barrier();
	}
}

/* Until the module goes: the rig watches for races only once it is loaded. */
static DECLARE_WORK(race_one, race_work);
static DECLARE_WORK(race_two, race_work);

static void race(void)
{
	queue_work_on(0, system_wq, &race_one);
	queue_work_on(1, system_wq, &race_two);
}

static void run_bug(void)
{
	WARN(!strcmp(bug, "warn"), "a warning was asked for\n");
	if (!strcmp(bug, "oops"))
		*(volatile int *)8 = 1;
	if (!strcmp(bug, "leak"))
		leak();
	if (!strcmp(bug, "overflow"))
		overflow();
	if (!strcmp(bug, "atomic"))
		sleep_in_atomic();
	if (!strcmp(bug, "inversion")) {
		take_both(&first, &second);
		take_both(&second, &first);
	}
	if (!strcmp(bug, "race"))
		race();
	/* A reference to itself that nobody drops: it cannot be unloaded. */
	if (!strcmp(bug, "stuck"))
		__module_get(THIS_MODULE);
}

static int __init faulty_init(void)
{
	if (!strcmp(bug, "fail"))
		return -ENODEV;
	run_bug();
	return 0;
}

static void __exit faulty_exit(void)
{
	WRITE_ONCE(stop, true);
	flush_work(&race_one);
	flush_work(&race_two);
}

module_init(faulty_init);
module_exit(faulty_exit);
MODULE_DESCRIPTION("bugs for testing the test rig");
MODULE_LICENSE("GPL");
