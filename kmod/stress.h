/* SPDX-License-Identifier: GPL-2.0-only */
/* Trouble on purpose, for tests; see stress.c. */
#ifndef _GCH_STRESS_H
#define _GCH_STRESS_H

#include <linux/compiler.h>
#include <linux/types.h>

extern uint gch_stress;

void gch_stress_sleep(void);
void gch_stress_spin(void);
bool gch_stress_chance(void);
u32 gch_stress_number(u32 n);

/* At a point in the collector's protocol where others may get ahead of it; may sleep. */
static inline void gch_stress_point(void)
{
	if (unlikely(READ_ONCE(gch_stress)))
		gch_stress_sleep();
}

/* The same with a page locked, or in the program's threads. */
static inline void gch_stress_brief(void)
{
	if (unlikely(READ_ONCE(gch_stress)))
		gch_stress_spin();
}

/* Whether the pause is to end here, unfinished. */
static inline bool gch_stress_abort(void)
{
	return unlikely(READ_ONCE(gch_stress)) && gch_stress_chance();
}

/* Which of @n steps is to fail, from 1; 0: none. */
static inline u32 gch_stress_step(u32 n)
{
	return n && gch_stress_abort() ? gch_stress_number(n) : 0;
}

#endif
