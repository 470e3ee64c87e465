// SPDX-License-Identifier: GPL-2.0-only
/* KUnit suites of the core: the cases of selftests/core, a suite for each file. */
#include <linux/module.h>

#include "../../selftests/core/cases.h"
#include "gct_env.h"

struct kunit *gct_current;

void gct_fail(const char *file, int line, const char *what, u64 got, u64 want)
{
	KUNIT_ASSERT_TRUE_MSG(gct_current, false, "%s:%d: %s: got %llu, expected %llu",
			      file, line, what, got, want);
}

#define RUN(name)							\
	static void run_##name(struct kunit *test)			\
	{								\
		gct_current = test;					\
		gct_##name();						\
		KUNIT_EXPECT_EQ(test, gct_allocs(), 0ull);		\
	}
GCT_CASES(RUN)

#define CASE(name)	KUNIT_CASE(run_##name),
#define SUITE(id, cases)						\
	static struct kunit_case id##_cases[] = { cases(CASE) {} };	\
	static struct kunit_suite id##_suite = {			\
		.name = "gcheap-" #id,					\
		.test_cases = id##_cases,				\
	}

SUITE(layout, GCT_LAYOUT_CASES);
SUITE(plan, GCT_PLAN_CASES);
SUITE(run, GCT_RUN_CASES);
SUITE(span, GCT_SPAN_CASES);
SUITE(resize, GCT_RESIZE_CASES);
SUITE(free, GCT_FREE_CASES);
SUITE(final, GCT_FINAL_CASES);
SUITE(link, GCT_LINK_CASES);
SUITE(mark, GCT_MARK_CASES);
SUITE(weak, GCT_WEAK_CASES);
SUITE(ask, GCT_ASK_CASES);
SUITE(sweep, GCT_SWEEP_CASES);
SUITE(vacant, GCT_VACANT_CASES);
SUITE(mesh, GCT_MESH_CASES);
SUITE(evac, GCT_EVAC_CASES);
SUITE(copy, GCT_COPY_CASES);
SUITE(cycle, GCT_CYCLE_CASES);
SUITE(verify, GCT_VERIFY_CASES);
SUITE(fail, GCT_FAIL_CASES);
SUITE(hostile, GCT_HOSTILE_CASES);
SUITE(random, GCT_RANDOM_CASES);

kunit_test_suites(&layout_suite, &plan_suite, &run_suite, &span_suite,
		  &resize_suite, &free_suite, &final_suite, &link_suite, &mark_suite,
		  &weak_suite, &ask_suite, &sweep_suite, &vacant_suite, &mesh_suite, &evac_suite,
		  &copy_suite, &cycle_suite,
		  &verify_suite, &fail_suite, &hostile_suite, &random_suite);

MODULE_DESCRIPTION("gcheap: the collector's core under KUnit");
MODULE_LICENSE("GPL");
