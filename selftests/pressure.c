// SPDX-License-Identifier: GPL-2.0-only
/* Heaps that are compacted though nobody asks: by themselves, or for the system's sake. */
#include "sparse.h"
#include <unistd.h>

enum { OBJECTS = 400000 };

/* Allocate elsewhere, so that there are collections, until @enough or for a while. */
static bool go_on(struct sparse *s, bool (*enough)(struct sparse *s))
{
	uint64_t end = now_ns() + 60000000000ull;

	while (now_ns() < end) {
		for (int i = 0; i < 2000; i++)
			raw_take(&s->h, s->more);
		if (enough(s))
			return true;
	}
	return false;
}

static uint64_t resident(struct sparse *s)
{
	return raw_status(&s->h).resident_bytes;
}

static bool compacted(struct sparse *s)
{
	return raw_status(&s->h).compactions_own;
}

static bool ten_cycles(struct sparse *s)
{
	return raw_status(&s->h).cycles >= 10;
}

static bool many_cycles(struct sparse *s)
{
	return raw_status(&s->h).cycles >= 40;
}

static bool is_small(struct sparse *s)
{
	return resident(s) < 12 << 20;
}

/* The list takes 1.6 MB, and what allocation will use 4 MiB and an eighth. */
static void becomes_small(struct sparse *s)
{
	CHECK(go_on(s, compacted));
	CHECK(go_on(s, is_small));
	CHECK(intact(s, OBJECTS));
}

static void becomes_small_by_itself(unsigned int flags)
{
	struct sparse s;

	sparse_open(&s, flags, 25);
	fill(&s, OBJECTS);
	becomes_small(&s);
	diag("%" PRIu64 " KiB, %llu compactions, %llu flips, %llu pages share memory",
	     resident(&s) >> 10, raw_status(&s.h).compactions_own, raw_status(&s.h).flips,
	     raw_status(&s.h).pages_meshed);
	CHECK(flags ? raw_status(&s.h).moved_objects > 0 : raw_status(&s.h).pages_meshed > 0);
	raw_verify(&s.h);
}

TEST(moves_objects_by_itself)
{
	becomes_small_by_itself(GCHEAP_CACHE_MOVABLE);
}

TEST(shares_pages_by_itself)
{
	becomes_small_by_itself(0);
}

/* A thread may have any address in a register, which is no root. */
TEST(does_not_move_beside_precise_roots_only)
{
	struct sparse s;

	sparse_open_with(&s, GCHEAP_SETUP_PRECISE_ONLY, GCHEAP_CACHE_MOVABLE, 25);
	fill(&s, OBJECTS);
	becomes_small(&s);
	CHECK_EQ(raw_status(&s.h).flips, 0);
}

TEST(turned_off)
{
	struct sparse s;

	sparse_open(&s, GCHEAP_CACHE_MOVABLE, 0);
	fill(&s, OBJECTS);
	CHECK(go_on(&s, ten_cycles));
	CHECK_EQ(raw_status(&s.h).compactions_own, 0);
	CHECK_EQ(raw_status(&s.h).flips, 0);
	CHECK_EQ(raw_status(&s.h).pages_meshed, 0);
}

/* What is asked for explicitly is all that happens. */
TEST(held)
{
	struct sparse s;

	sparse_open(&s, GCHEAP_CACHE_MOVABLE, 1);
	raw_hold(&s.h);
	fill(&s, OBJECTS);
	raw_flush(&s.h);
	for (int i = 0; i < 5; i++) {
		raw_collect(&s.h);
		usleep(100000);
	}
	CHECK(resident(&s) > 20 << 20);
	CHECK_EQ(raw_status(&s.h).cycles, 5);
	CHECK_EQ(raw_status(&s.h).compactions_own, 0);
	CHECK_EQ(raw_status(&s.h).flips, 0);
}

/* It does so on and on without gaining anything: it is tried less and less often. */
TEST(rests)
{
	struct sparse s;

	sparse_open(&s, 0, 1);
	raw_param(&s.h, GCHEAP_PARAM_MESH, 0);
	raw_param(&s.h, GCHEAP_PARAM_RELEASE, 0);
	fill(&s, OBJECTS);
	CHECK(go_on(&s, many_cycles));
	diag("%llu cycles, %llu compactions", raw_status(&s.h).cycles,
	     raw_status(&s.h).compactions_own);
	CHECK(compacted(&s));
	CHECK(raw_status(&s.h).compactions_own < raw_status(&s.h).cycles / 2);
}

TEST(soft_limit)
{
	struct sparse s;

	sparse_open(&s, GCHEAP_CACHE_MOVABLE, 10000);
	fill(&s, OBJECTS);
	CHECK(go_on(&s, ten_cycles));
	CHECK_EQ(raw_status(&s.h).compactions_own, 0);
	raw_param(&s.h, GCHEAP_PARAM_SOFT_LIMIT, 8 << 20);
	becomes_small(&s);
}

/* ---- the shrinker */

static void press(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "2", 1), 1);
	close(fd);
}

TEST(free_pages_go_back_at_once)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 0);
	char *kept = raw_try_large(&h, c, 1 << 20), *p = raw_try_large(&h, c, 16 << 20);

	raw_param(&h, GCHEAP_PARAM_COMPACT, 0);
	raw_hold(&h);
	memset(kept, 1, 1 << 20);
	memset(p, 1, 16 << 20);
	raw_free(&h, p);
	raw_flush(&h);
	CHECK(raw_status(&h).resident_bytes >= 17 << 20);
	for (int i = 0; i < 100 && raw_status(&h).resident_bytes > 2 << 20; i++)
		press();
	CHECK(raw_status(&h).resident_bytes <= 2 << 20);
	CHECK(kept[0] == 1 && kept[(1 << 20) - 1] == 1);
	/* The place is as good as new. */
	p = raw_try_large(&h, c, 16 << 20);
	CHECK(p && !p[0] && !p[(16 << 20) - 1]);
	raw_verify(&h);
}

/* Nothing is allocated, and yet it is collected and compacted. */
TEST(pressure_compacts)
{
	struct sparse s;
	uint64_t end = now_ns() + 60000000000ull, full;

	sparse_open(&s, GCHEAP_CACHE_MOVABLE, 10000);
	fill(&s, OBJECTS);
	raw_flush(&s.h);
	raw_collect(&s.h);
	full = resident(&s);
	CHECK(full > 20 << 20);
	while ((resident(&s) > 4 << 20 || !compacted(&s)) && now_ns() < end) {
		press();
		usleep(100000);
	}
	diag("%" PRIu64 " KiB, then %" PRIu64, full >> 10, resident(&s) >> 10);
	CHECK(resident(&s) <= 4 << 20);
	CHECK(raw_status(&s.h).compactions_own > 0 && raw_status(&s.h).flips > 0);
	CHECK(intact(&s, OBJECTS));
	raw_verify(&s.h);
}

static void *press_on(void *arg)
{
	uint64_t *end = arg;

	while (now_ns() < *end)
		press();
	return NULL;
}

/* Heaps come and go, collect and die, while memory is short all the time. */
TEST(pressure_beside_everything)
{
	uint64_t end = now_ns() + 8000000000ull;
	pthread_t t = spawn(press_on, &end);
	int n;

	for (n = 0; now_ns() < end; n++) {
		struct sparse s;

		sparse_open(&s, n % 2 ? GCHEAP_CACHE_MOVABLE : 0, 25);
		fill(&s, 50000);
		CHECK(intact(&s, 50000));
		raw_collect(&s.h);
		fill(&s, 16000);
		raw_verify(&s.h);
		CHECK(raw_status(&s.h).phase <= GCHEAP_PHASE_FINALIZE);
		munmap(s.h.base, s.h.setup.heap_size);
		close(s.h.fd);
	}
	pthread_join(t, NULL);
	diag("%d heaps", n);
	CHECK(n > 1);
}

TEST_MAIN
