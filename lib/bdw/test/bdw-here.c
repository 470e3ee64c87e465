// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* What is true of the library that stands in for libgc, and of no other. */
#include "../../../selftests/tap.h"
#define GC_THREADS
#include <gc/gc.h>

TEST(it_is_the_stand_in)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int found = 0;

	GC_INIT();
	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		found |= !!strstr(line, "/bdw/libgc.so.1");
	fclose(maps);
	CHECK(found);
}

/* The kernel stops threads without the library. */
static void GC_CALLBACK on_thread(GC_EventType event, void *thread)
{
	FAIL("told of a thread");
}

static void *wait_long(void *arg)
{
	for (;;)
		pause();
	return arg;
}

TEST(threads_are_not_told_of)
{
	pthread_t t;

	GC_set_on_thread_event(on_thread);
	GC_INIT();
	CHECK_EQ(pthread_create(&t, NULL, wait_long, NULL), 0);
	GC_gcollect();
}

TEST_MAIN
