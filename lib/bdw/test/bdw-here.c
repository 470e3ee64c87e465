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

/* Memory of the heap cannot be made executable. */
TEST(objects_are_not_executable)
{
	GC_set_warn_proc(GC_ignore_warn_proc);
	GC_set_pages_executable(1);
	GC_INIT();
	CHECK(!GC_get_pages_executable());
}

/* What exit() leads to, in a child: its end of the log is @log. */
static void exit_with_statistics(int log)
{
	setenv("GC_PRINT_STATS", "1", 1);
	GC_INIT();
	GC_set_log_fd(log);
	GC_gcollect();
	exit(0);
}

TEST(a_summary_at_exit)
{
	char text[4000];
	int ends[2];
	size_t done = 0;
	ssize_t n;

	CHECK(!pipe(ends));
	if (!fork())
		exit_with_statistics(ends[1]);
	close(ends[1]);
	while ((n = read(ends[0], text + done, sizeof(text) - 1 - done)) > 0)
		done += n;
	text[done] = 0;
	diag("%s", text);
	CHECK(strstr(text, "GC #1: live ") == text && strstr(text, "GC total: 1 collections, "));
}

TEST_MAIN
