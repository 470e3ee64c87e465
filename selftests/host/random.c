// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model with seeds of one's own: SEED (default: from the clock), STEPS of each
 * run, SECONDS to go on for, SLOW=1 to verify after each step. Each run takes the
 * next seed; what fails can be repeated with the seed that it printed.
 */
#include "../core/model.h"

#include <time.h>

static u64 number(const char *name, u64 otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

int main(void)
{
	struct model_plan plan = {
		.seed = number("SEED", time(NULL)),
		.steps = number("STEPS", 4000),
		.slow = number("SLOW", 0),
	};
	time_t end = time(NULL) + number("SECONDS", 10);
	struct model_stats st = { 0 };
	u64 runs = 0;

	printf("TAP version 13\n");
	do {
		struct gct_random r;

		gct_seed(&r, plan.seed);
		plan.objects = 20 + gct_rand(&r, 600);
		plan.large = 40000 + gct_rand(&r, 200000);
		plan.pressed = gct_rand(&r, 2);
		plan.limit = gct_rand(&r, 3) ? 0 : 1 << (19 + gct_rand(&r, 4));
		printf("# SEED=%llu STEPS=%u\n", plan.seed, plan.steps);
		fflush(stdout);
		model_run(&plan, &st);
		plan.seed++;
		runs++;
	} while (time(NULL) < end);
	printf("# %llu runs, %llu cycles, %llu abandoned, %llu objects, %llu died\n",
	       runs, st.cycles, st.abandoned, st.allocs, st.died);
	printf("ok 1 - random graphs\n1..1\n");
	return 0;
}
