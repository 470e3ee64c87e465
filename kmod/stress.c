// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stress: delays between the steps of marking beside the program and in write faults, pauses
 * that end early, and evacuations that are given up at any step, at random. What is lost then
 * is lost without, but seldom.
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched.h>

#include "stress.h"

#define CHANCE	8	/* one pause in so many ends at each of its points */

uint gch_stress;
module_param_named(stress, gch_stress, uint, 0644);
MODULE_PARM_DESC(stress, "Delay steps of the collector by up to so many us, and cut pauses short (tests only)");

static u32 below(u32 limit)
{
	return reciprocal_scale(get_random_u32(), limit);
}

/* Half of the time no longer than it takes to be scheduled. */
void gch_stress_sleep(void)
{
	u32 us = below(min(READ_ONCE(gch_stress), 1000000u) + 1);

	if (below(2))
		cond_resched();
	else if (us)
		usleep_range(us, us + 10);
}

void gch_stress_spin(void)
{
	if (!below(4))
		udelay(below(min(READ_ONCE(gch_stress), 100u) + 1));
}

bool gch_stress_chance(void)
{
	return !below(CHANCE);
}

u32 gch_stress_number(u32 n)
{
	return 1 + below(n);
}
