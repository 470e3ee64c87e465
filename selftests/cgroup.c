// SPDX-License-Identifier: GPL-2.0-only
/*
 * A memory cgroup that becomes small around a sparse heap: the program goes on, as long as
 * there is room for what it keeps, and is not killed.
 */
#include "cgroup.h"
#include "sparse.h"
#include <sys/wait.h>

enum {
	OBJECTS = 400000,	/* 24 MiB, of which 1.5 are kept */
	SLACK = 256 << 10,	/* between what is in use and the limit, when that is set */
	LOW = 8 << 20,		/* the limit has come down to what is kept */
	ROUNDS = 100,		/* to live on for, then */
};

static const char *dir;
static int current_fd, limit_fd;	/* to open them takes memory */

static int64_t in_use(void)
{
	char text[32] = "";

	CHECK(pread(current_fd, text, sizeof(text) - 1, 0) > 0);
	return strtoll(text, NULL, 10);
}

/* As low as it can be now, and needs to be. */
static int64_t lower(int64_t limit, int64_t goal)
{
	int64_t to = in_use() + SLACK;
	char text[32];

	if (to < goal)
		to = goal;
	if (to >= limit)
		return limit;
	CHECK(pwrite(limit_fd, text, snprintf(text, sizeof(text), "%" PRId64, to), 0) > 0);
	return to;
}

static void *one;

/* Garbage, and a large object in place of the one before; whether there was memory for it. */
static bool some_more(struct sparse *s, unsigned int large, size_t bytes)
{
	for (int i = 0; i < 100; i++)
		if (!raw_try_take(&s->h, s->more))
			return false;
	if (!bytes)
		return true;
	one = NULL;
	one = raw_try_large(&s->h, large, bytes);
	if (one)
		memset(one, 1, bytes);
	return one;
}

static void live_on(unsigned int layout, unsigned int flags, size_t bytes)
{
	int64_t baseline, goal, limit = INT64_MAX;
	unsigned int large, none = 0;
	struct gcheap_status st;
	struct sparse s;

	cgroup_enter(dir);
	CHECK_EQ(mlockall(MCL_CURRENT), 0);
	current_fd = cgroup_open(dir, "memory.current", O_RDONLY);
	limit_fd = cgroup_open(dir, "memory.max", O_WRONLY);
	sparse_open(&s, flags, 25);
	if (layout == GCHEAP_CONSERVATIVE)
		s.cells = raw_cache(&s.h, layout, CELL);
	large = raw_cache(&s.h, GCHEAP_NOSCAN, 0);
	raw_root(&s.h, GCHEAP_ROOT_PRECISE, &one, sizeof(one), NULL);
	baseline = in_use();
	fill(&s, OBJECTS);
	/* Pages that share memory do not get as close; nor do faults, whose kernel takes some. */
	goal = baseline + (OBJECTS / 16 * CELL + bytes) *
	       (bytes > 1 << 20 || !flags ? 5 : 3) / 2;
	for (int rounds = 0; rounds < (int)tap_times(ROUNDS); rounds += limit < LOW) {
		limit = lower(limit, goal);
		none += !some_more(&s, large, bytes);
	}
	st = raw_status(&s.h);
	diag("limit %" PRId64 " KiB, %" PRId64 " meant, %" PRId64 " in use; %u times no memory, "
	     "%llu cycles, %llu compactions, %llu flips, %llu pages meshed", limit >> 10,
	     goal >> 10, in_use() >> 10, none, st.cycles, st.compactions, st.flips,
	     st.pages_meshed);
	CHECK(intact(&s, OBJECTS));
	CHECK(st.compactions > 0);
	raw_verify(&s.h);
}

static void not_killed(unsigned int layout, unsigned int flags, size_t bytes)
{
	int status;
	pid_t pid;

	dir = cgroup_make("gcheap-short");
	pid = fork();
	if (!pid) {
		live_on(layout, flags, bytes);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(cgroup_get(dir, "memory.events", "oom_kill "), 0);
	CHECK_EQ(status, 0);
	CHECK_EQ(rmdir(dir), 0);
}

TEST(objects_that_move)
{
	not_killed(GCHEAP_TYPED, GCHEAP_CACHE_MOVABLE, 0);
}

TEST(pages_that_share_memory)
{
	not_killed(GCHEAP_CONSERVATIVE, 0, 0);
}

/* Large objects whose pages come with them. */
TEST(objects_that_move_and_large_ones)
{
	not_killed(GCHEAP_TYPED, GCHEAP_CACHE_MOVABLE, 256 << 10);
}

TEST(pages_that_share_memory_and_large_objects)
{
	not_killed(GCHEAP_CONSERVATIVE, 0, 256 << 10);
}

/* Larger ones, whose pages come when they are touched. */
TEST(objects_that_move_and_faults)
{
	not_killed(GCHEAP_TYPED, GCHEAP_CACHE_MOVABLE, 1280 << 10);
}

TEST(pages_that_share_memory_and_faults)
{
	not_killed(GCHEAP_CONSERVATIVE, 0, 1280 << 10);
}

TEST_MAIN
