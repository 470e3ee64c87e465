// SPDX-License-Identifier: GPL-2.0-only
/* The core's test cases as a TAP program, each in a process of its own. */
#include "../tap.h"
#include "../core/cases.h"

unsigned long long env_outstanding(void);

#define CASE(name)							\
	TEST(name)							\
	{								\
		gct_##name();						\
		CHECK_EQ(env_outstanding(), 0);				\
	}

GCT_CASES(CASE)

TEST_MAIN
