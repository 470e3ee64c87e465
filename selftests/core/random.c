// SPDX-License-Identifier: GPL-2.0-only
/* The model with fixed seeds; selftests/host/random.c goes on from there. */
#include "cases.h"
#include "model.h"

static void run(struct model_plan plan, u32 seeds)
{
	struct model_stats st = { 0 };

	while (seeds--) {
		plan.seed++;
		model_run(&plan, &st);
	}
	gct_log("%llu cycles, %llu of them traced, %llu abandoned, %llu pages vacated, %llu meshed, %llu split, %llu forks, %llu objects, %llu refused, %llu freed early, %llu resized, %llu died, %llu kept, %llu weak cleared, %llu links, %llu finalized",
		st.cycles, st.traced, st.abandoned, st.vacated, st.meshed, st.split, st.forks,
		st.allocs, st.refused, st.freed, st.resized, st.died, st.kept, st.weak, st.links,
		st.finalized);
	CHECK(st.cycles && st.traced && st.died && st.kept && st.freed);
	/* Where each step takes long, there are few. */
	CHECK(plan.slow || (st.vacated && st.meshed && st.forks));
}

/* The verifier after each step. */
void gct_random_slow(void)
{
	run((struct model_plan) {
		.seed = 100, .steps = 1500, .objects = 250, .slow = true,
		.large = 60000 }, GCT_SCALE);
}

void gct_random_fast(void)
{
	run((struct model_plan) {
		.seed = 200, .steps = 500 * GCT_SCALE, .objects = 50 * GCT_SCALE,
		.large = 150000 }, GCT_SCALE);
}

/* A heap with room for little: many allocations fail and nothing else does. */
void gct_random_limit(void)
{
	run((struct model_plan) {
		.seed = 300, .steps = 1500, .objects = 250, .slow = true,
		.pressed = true, .limit = 1 << 20, .large = 100000 }, GCT_SCALE);
}
