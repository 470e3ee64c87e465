// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Shared objects that come and go while others collect. libgc makes its list of them before it
 * stops the threads, and reads the data of one that is gone by then.
 */
#include "../../../selftests/tap.h"
#include "dl.h"
#include <time.h>

static volatile int stop;

static void *opener(void *arg)
{
	while (!stop) {
		void *object = open_object(), **words = words_of(object, "dl_bss_address");

		counted_make(words, WORDS);
		for (int i = 0; i < 20; i++)
			memset(GC_MALLOC(64), 0x22, 64);
		counted_check(words, WORDS);
		CHECK_EQ(dlclose(object), 0);
	}
	return arg;
}

static void through_collections(void)
{
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, opener, NULL), 0);
	for (time_t end = time(NULL) + 4; time(NULL) < end; usleep(5000))
		GC_gcollect();
	stop = 1;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

TEST(objects_come_and_go_through_collections)
{
	GC_INIT();
	through_collections();
}

/* The same with parts of the program excluded, which has the objects looked at. */
TEST(objects_come_and_go_and_are_looked_at)
{
	static void *part[WORDS];

	GC_INIT();
	GC_exclude_static_roots(part + 1, part + 2);
	through_collections();
}

TEST_MAIN
