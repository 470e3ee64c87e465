// SPDX-License-Identifier: GPL-2.0-only
/* Heap pages are memory like any other: counted, charged, given back. */
#include "raw.h"
#include "cgroup.h"
#include "proc.h"

static long rss_kb(void)
{
	return proc_status(getpid(), "VmRSS:");
}

/* Objects of a page each, so many MiB of them, written to. */
static char **fill(struct raw *h, unsigned int cache, int mib)
{
	char **p = calloc(mib * 256, sizeof(*p));

	for (int i = 0; i < mib * 256; i++)
		memset(p[i] = raw_take(h, cache), 0x5a, 4096);
	return p;
}

TEST(counted_in_rss)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 4096);
	long before = rss_kb();
	struct gcheap_status s;

	raw_hold(&h);
	fill(&h, c, 16);
	CHECK(rss_kb() - before >= 15 << 10);
	s = raw_status(&h);
	diag("%llu KiB resident, %llu KiB heap", (unsigned long long)s.resident_bytes >> 10,
	     (unsigned long long)s.heap_bytes >> 10);
	CHECK(s.resident_bytes >= 15 << 20);	/* published with the next call */
	CHECK(s.heap_bytes >= s.resident_bytes);
	CHECK(s.heap_peak >= s.heap_bytes);
}

TEST(given_back)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 4096);
	long before, full;

	raw_hold(&h);
	raw_take(&h, c);
	before = rss_kb();
	fill(&h, c, 16);
	full = rss_kb();
	raw_flush(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, 0);
	/* Give-back may lag behind by a cycle or two, and keep some in hand. */
	for (int i = 0; i < 100 && rss_kb() - before > (full - before) / 2; i++) {
		raw_collect(&h);
		usleep(100000);
	}
	CHECK(rss_kb() - before <= (full - before) / 2);
	CHECK(raw_status(&h).pages_released >= 2048);
	raw_verify(&h);
}

TEST(charged_to_the_cgroup)
{
	const char *dir = cgroup_enter(cgroup_make("gcheap-charge"));
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 4096);
	long before = cgroup_get(dir, "memory.current", NULL);

	raw_hold(&h);
	fill(&h, c, 16);
	CHECK(cgroup_get(dir, "memory.current", NULL) - before >= 15 << 20);
}

TEST(cgroup_limit_with_garbage)
{
	const char *dir = cgroup_enter(cgroup_make("gcheap-garbage"));
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 4096);

	CHECK_EQ(cgroup_put(dir, "memory.max", "33554432"), 0);
	/* 96 MiB through a limit of 32: what is dead makes room. */
	for (int i = 0; i < 96 * 256; i++)
		memset(raw_take(&h, c), 1, 4096);
	CHECK(raw_status(&h).cycles > 0);
	raw_verify(&h);
}

/* The same with large objects, whose pages do not come with spans. */
TEST(cgroup_limit_with_large_garbage)
{
	const char *dir = cgroup_enter(cgroup_make("gcheap-large"));
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 0);

	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 1 << 30);
	CHECK_EQ(cgroup_put(dir, "memory.max", "33554432"), 0);
	cgroup_put(dir, "memory.swap.max", "0");
	for (int i = 0; i < 96 * 4; i++) {
		void *p = raw_try_large(&h, c, 256 << 10);

		CHECK(p);
		memset(p, 1, 256 << 10);
	}
	CHECK(raw_status(&h).cycles > 0);
	raw_verify(&h);
}

TEST(cgroup_limit_without_large_garbage)
{
	const char *dir = cgroup_enter(cgroup_make("gcheap-larger"));

	CHECK_EQ(mlockall(MCL_CURRENT), 0);
	diag("up to 32 MiB");
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	static void **list;
	uint32_t root = raw_root(&h, 0, &list, sizeof(list), NULL);
	void **p;
	int n = 0;

	raw_status(&h);
	CHECK_EQ(cgroup_put(dir, "memory.max", "33554432"), 0);
	cgroup_put(dir, "memory.swap.max", "0");
	int max = cgroup_open(dir, "memory.max", O_WRONLY);
	while ((p = raw_try_large(&h, c, 256 << 10))) {
		memset(p, 0x11, 256 << 10);
		p[0] = list;
		list = p;
		CHECK(++n < 256);
	}
	int error = errno;

	CHECK_EQ(write(max, "max", 3), 3);
	CHECK_EQ(error, ENOMEM);
	diag("%d objects of 256 KiB before ENOMEM", n);
	CHECK(n > 64);
	for (p = list; p; p = *p, n--)
		CHECK_EQ((long)p[1], 0x1111111111111111);
	CHECK_EQ(n, 0);
	list = NULL;
	raw_flush(&h);
	raw_collect(&h);
	raw_verify(&h);
	CHECK_EQ(raw_root_del(&h, root), 0);
}

/* All of it alive: ENOMEM and not the OOM killer, and the heap is usable after. */
TEST(cgroup_limit_without_garbage)
{
	const char *dir = cgroup_enter(cgroup_make("gcheap-limit"));

	/* What the program itself touches or opens late would find the cgroup full. */
	CHECK_EQ(mlockall(MCL_CURRENT), 0);
	diag("up to 32 MiB");
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 4096);
	static void **list;
	uint32_t root = raw_root(&h, 0, &list, sizeof(list), NULL);
	void **p;
	int n = 0;

	raw_take(&h, c);
	raw_status(&h);
	CHECK_EQ(cgroup_put(dir, "memory.max", "33554432"), 0);
	cgroup_put(dir, "memory.swap.max", "0");
	int max = cgroup_open(dir, "memory.max", O_WRONLY);
	while ((p = raw_try_take(&h, c))) {
		p[0] = list;
		p[1] = (void *)(long)n;
		list = p;
		CHECK(++n < 16384);
	}
	int error = errno;

	CHECK_EQ(write(max, "max", 3), 3);
	CHECK_EQ(error, ENOMEM);
	diag("%d pages of objects before ENOMEM", n);
	CHECK(n > 2048);
	CHECK(raw_status(&h).oom_returns > 0);
	for (p = list; p; p = *p)
		CHECK_EQ((long)p[1], --n);
	CHECK(raw_try_take(&h, c));
	list = NULL;
	raw_flush(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, 0);
	raw_verify(&h);
	CHECK_EQ(raw_root_del(&h, root), 0);
}

TEST_MAIN
