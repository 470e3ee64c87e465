// SPDX-License-Identifier: GPL-2.0-only
/* Several workers mark a heap together; idle heaps have none. */
#include "raw.h"

#include <dirent.h>
#include <sys/resource.h>

enum { NODES = 60000, CYCLES = 5 };

static struct raw h;
static uint64_t *keeps[2][16], **keep = keeps[0];	/* a heap's */

/* A graph of which every object is reached on several ways; counts them. */
static uint64_t make_graph(void)
{
	unsigned int node = raw_typed(&h, 6, 0x07, 0), big, leaf;
	uint64_t **all = malloc(NODES * sizeof(*all)), seed = 1, n = 0;

	big = raw_cache(&h, GCHEAP_CONSERVATIVE, 5008);
	leaf = raw_cache(&h, GCHEAP_NOSCAN, 32);
	CHECK(all);
	for (uint64_t i = 0; i < NODES; i++, n++) {
		all[i] = raw_take(&h, i % 500 ? node : big);
		seed = seed * 6364136223846793005 + 1442695040888963407;
		/* The one before, and two of those long ago. */
		all[i][0] = i < 16 ? 0 : (uintptr_t)all[i - 16];
		all[i][1] = i ? (uintptr_t)all[(seed >> 33) % i] : 0;
		all[i][2] = i % 3 ? 0 : (uintptr_t)raw_take(&h, leaf);
		n += !(i % 3);
	}
	for (uint64_t i = 0; i < 16; i++)
		keep[i] = all[NODES - 16 + i];
	free(all);
	return n;
}

static void start(unsigned int workers, bool concurrent)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	raw_param(&h, GCHEAP_PARAM_WORKERS, workers);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, concurrent);
	raw_param(&h, GCHEAP_PARAM_CHECK, concurrent);
	raw_root(&h, 0, keep, sizeof(keeps[0]), NULL);
}

static void same_objects(unsigned int workers, bool concurrent)
{
	uint64_t n, helped;

	start(workers, concurrent);
	n = make_graph();
	raw_flush(&h);
	for (int i = 0; i < CYCLES; i++) {
		raw_collect(&h);
		CHECK_EQ(raw_status(&h).marked_objects, n);
		CHECK_EQ(raw_status(&h).live_objects, n);
	}
	raw_verify(&h);
	CHECK_EQ(raw_status(&h).check_lost, 0);
	helped = raw_status(&h).helped_bytes;
	diag("%u workers: helpers marked %" PRIu64 " of %llu KiB a cycle", workers,
	     helped / CYCLES >> 10, raw_status(&h).marked_bytes >> 10);
	CHECK_EQ(!!helped, workers > 1);
}

TEST(one_alone)
{
	same_objects(1, false);
}

TEST(stopped)
{
	same_objects(2, false);
	same_objects(GCHEAP_WORKERS_MAX, false);
}

TEST(concurrent)
{
	same_objects(1, true);
	same_objects(2, true);
	same_objects(GCHEAP_WORKERS_MAX, true);
}

/* The time of helpers is the collector's. */
TEST(time_is_counted)
{
	uint64_t before;

	start(4, false);
	make_graph();
	before = raw_status(&h).collector_ns;
	for (int i = 0; i < CYCLES; i++)
		raw_collect(&h);
	CHECK(raw_status(&h).collector_ns > before);
	CHECK(raw_status(&h).helped_bytes);
}

static uint64_t helped_with(int helpers)
{
	uint64_t before = raw_status(&h).helped_bytes;

	CHECK(raw_module("helpers", helpers, NULL));
	for (int i = 0; i < CYCLES; i++)
		raw_try_collect(&h);
	return raw_status(&h).helped_bytes - before;
}

/* None beyond the module's limit, and all that have come have left their places again. */
TEST(helpers_of_all_heaps)
{
	uint64_t none, one, again;
	int was;

	start(GCHEAP_WORKERS_MAX, false);
	make_graph();
	if (!raw_module("helpers", 0, &was))
		SKIP("module parameters cannot be set");
	none = helped_with(0);
	one = helped_with(1);
	again = helped_with(1);
	raw_module("helpers", was, NULL);
	CHECK_EQ(none, 0);
	CHECK(one && again);
	raw_verify(&h);
}

static void *collect_other(void *arg)
{
	for (int i = 0; i < CYCLES; i++)
		raw_collect(arg);
	return NULL;
}

/* One helper for two heaps that are marked at the same time. */
TEST(a_helper_of_two_heaps)
{
	uint64_t here, there;
	struct raw other;
	pthread_t t;
	int was;

	start(GCHEAP_WORKERS_MAX, false);
	there = make_graph();
	raw_flush(&h);
	other = h;
	keep = keeps[1];
	start(GCHEAP_WORKERS_MAX, true);
	here = make_graph();
	raw_flush(&h);
	if (!raw_module("helpers", 1, &was))
		SKIP("module parameters cannot be set");
	t = spawn(collect_other, &other);
	for (int i = 0; i < CYCLES; i++)
		raw_try_collect(&h);
	pthread_join(t, NULL);
	raw_module("helpers", was, NULL);
	CHECK_EQ(raw_status(&other).marked_objects, there);
	CHECK_EQ(raw_status(&h).marked_objects, here);
	CHECK_EQ(raw_status(&h).check_lost, 0);
	raw_verify(&h);
	raw_verify(&other);
}

static unsigned int tasks(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	unsigned int n = 0;

	CHECK(d);
	while ((e = readdir(d)))
		n += e->d_name[0] >= '0' && e->d_name[0] <= '9';
	closedir(d);
	return n;
}

/* Each has been collected, and nobody waits for the next time. */
TEST(idle_heaps_have_no_threads)
{
	enum { HEAPS = 1000 };
	unsigned int before = tasks(), c;
	struct rlimit room = { 4096, 4096 };
	static struct raw idle[HEAPS];

	setrlimit(RLIMIT_NOFILE, &room);
	for (int i = 0; i < HEAPS; i++) {
		idle[i] = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
		c = raw_cache(&idle[i], GCHEAP_CONSERVATIVE, 64);
		raw_take(&idle[i], c);
		raw_collect(&idle[i]);
	}
	diag("%u tasks, and %u with %u heaps", before, tasks(), HEAPS);
	CHECK(tasks() < before + HEAPS / 10);
	for (int i = 0; i < HEAPS; i++)
		CHECK_EQ(raw_status(&idle[i]).cycles, 1);
}

TEST_MAIN
