// SPDX-License-Identifier: GPL-2.0-only
/* Compaction: pages without objects go back, and what is on others stays. */
#include "raw.h"
#include "proc.h"
#include <sys/uio.h>

enum {
	CELL = 64,
	A_SLOT = GCHEAP_SLOT_SIZE / CELL,
	SLOTS = 2048,		/* 16 MiB */
};

static struct raw h;
static unsigned int cache;
static uint64_t *kept[SLOTS];

static long rss_kb(void)
{
	return proc_status(getpid(), "VmRSS:");
}

static void compact(void)
{
	struct gcheap_collect c = {
		.size = sizeof(c), .flags = GCHEAP_COLLECT_WAIT | GCHEAP_COLLECT_COMPACT,
	};
	int tries = 20;

	while (ioctl(h.fd, GCHEAP_IOC_COLLECT, &c)) {
		CHECK_EQ(errno, EAGAIN);
		CHECK(--tries);
		usleep(1000);
	}
}

/* Of each slot one object, in its second page, on which something is written. */
static void sparse(void)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	cache = raw_cache(&h, GCHEAP_NOSCAN, CELL);
	raw_hold(&h);
	raw_root(&h, GCHEAP_ROOT_PRECISE, kept, sizeof(kept), NULL);
	for (int i = 0; i < SLOTS * A_SLOT; i++) {
		uint64_t *p = memset(raw_take(&h, cache), 0x5a, CELL);

		if (i % A_SLOT != A_SLOT - 7)
			continue;
		kept[i / A_SLOT] = p;
		p[1] = i;
	}
	raw_flush(&h);
}

static void intact(void)
{
	for (int i = 0; i < SLOTS; i++) {
		CHECK_EQ(kept[i][0], 0x5a5a5a5a5a5a5a5a);
		CHECK_EQ(kept[i][1], i * A_SLOT + A_SLOT - 7);
	}
}

TEST(at_once)
{
	struct gcheap_status s;
	long full;

	sparse();
	full = rss_kb();
	compact();
	s = raw_status(&h);
	diag("%ld KiB, then %ld; %llu pages", full, rss_kb(), s.pages_vacated);
	CHECK_EQ(s.pages_vacated, SLOTS);
	CHECK_EQ(s.heap_bytes, SLOTS * GCHEAP_SLOT_SIZE);
	CHECK_EQ(s.resident_bytes, SLOTS * 4096);
	CHECK(full - rss_kb() >= SLOTS * 4 * 9 / 10);
	intact();
	compact();
	CHECK_EQ(raw_status(&h).pages_vacated, SLOTS);
	raw_verify(&h);
}

/* What two cycles in a row leave without objects; not if a thread had its span in between. */
TEST(in_the_background)
{
	struct gcheap_status s;

	sparse();
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).pages_vacated, 0);
	for (int i = 0; i < SLOTS / 2 * (A_SLOT - 1); i++)
		memset(raw_take(&h, cache), 0xa5, CELL);
	raw_flush(&h);
	raw_collect(&h);
	s = raw_status(&h);
	CHECK_EQ(s.pages_vacated, SLOTS / 2);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).pages_vacated, SLOTS);
	intact();
	raw_verify(&h);
}

TEST(turned_off)
{
	sparse();
	raw_param(&h, GCHEAP_PARAM_RELEASE, 0);
	compact();
	raw_collect(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).pages_vacated, 0);
	CHECK_EQ(raw_status(&h).resident_bytes, SLOTS * GCHEAP_SLOT_SIZE);
	raw_param(&h, GCHEAP_PARAM_RELEASE, 1);
	compact();
	CHECK_EQ(raw_status(&h).pages_vacated, SLOTS);
	intact();
}

/* Handed out again, it is all there, and a page that was gone is zero. */
TEST(fetched_again)
{
	struct gcheap_status s;

	sparse();
	compact();
	for (int i = 0; i < SLOTS * (A_SLOT - 1); i++) {
		uint64_t *p = raw_take(&h, cache);

		if ((uintptr_t)p % GCHEAP_SLOT_SIZE < 4096)
			CHECK_EQ(p[0], 0);
		memset(p, 0xa5, CELL);
	}
	raw_flush(&h);
	s = raw_status(&h);
	CHECK_EQ(s.heap_bytes, SLOTS * GCHEAP_SLOT_SIZE);
	CHECK_EQ(s.resident_bytes, SLOTS * GCHEAP_SLOT_SIZE);
	intact();
	raw_verify(&h);
}

/* A stray touch of a page that is gone is no harm, nor is what it brings back kept. */
TEST(touched_astray)
{
	volatile char *stray;
	char byte = 1;
	struct iovec to, from = { .iov_base = &byte, .iov_len = 1 };

	sparse();
	compact();
	stray = (char *)kept[0] - 4096;
	CHECK_EQ(*stray, 0);
	*stray = 1;
	to = (struct iovec){ .iov_base = (char *)kept[1] - 4096, .iov_len = 1 };
	CHECK_EQ(process_vm_writev(getpid(), &to, 1, &from, 1, 0), 1);
	compact();
	CHECK_EQ(raw_status(&h).pages_vacated, SLOTS + 2);
	CHECK_EQ(*stray, 0);
	intact();
	raw_verify(&h);
}

/* Of free spans as well, all of it, however much the next cycle may want. */
TEST(nothing_is_left)
{
	sparse();
	memset(kept, 0, sizeof(kept));
	raw_collect(&h);
	CHECK(raw_status(&h).resident_bytes > 0);
	compact();
	CHECK_EQ(raw_status(&h).resident_bytes, 0);
	CHECK_EQ(raw_status(&h).heap_bytes, 0);
	raw_verify(&h);
}

/* Threads that allocate, write and drop, beside compaction after compaction. */
enum { WORKERS = 3, MINE = 4096, WORDS = CELL / 8 };

static uint64_t *mine[WORKERS][MINE];
static bool over;

static void *churn(void *arg)
{
	uint64_t **own = arg, seed = raw_seed() ^ (uintptr_t)arg, n = 0;

	raw_attach(&h);
	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		uint64_t r = (seed = seed * 6364136223846793005 + 1442695040888963407) >> 33;
		uint64_t **at = &own[r % MINE], *p = *at;

		for (int i = 0; p && i < WORDS; i++)
			CHECK_EQ(p[i], (uintptr_t)p + i);
		*at = NULL;
		/* Few at the end of a while, many at that of the next. */
		if (r >> 20 & 63 && n++ >> 14 & 1)
			continue;
		p = raw_take(&h, cache);
		for (int i = 0; i < WORDS; i++)
			p[i] = (uintptr_t)p + i;
		__atomic_store_n(at, p, __ATOMIC_RELEASE);
	}
	raw_detach(&h);
	return NULL;
}

TEST(beside_threads)
{
	pthread_t t[WORKERS];
	struct gcheap_status s;

	h = raw_open(0);
	cache = raw_cache(&h, GCHEAP_NOSCAN, CELL);
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 1 << 16);
	raw_root(&h, 0, mine, sizeof(mine), NULL);
	for (int i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, churn, mine[i]), 0);
	for (int i = 0; i < 60 || (i < 1000 && raw_status(&h).pages_vacated < 100); i++)
		compact();
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	s = raw_status(&h);
	diag("%llu cycles, %llu pages released, %llu of them among objects", s.cycles,
	     s.pages_released, s.pages_vacated);
	CHECK(s.pages_vacated > 0);
	CHECK_EQ(s.check_lost, 0);
	raw_verify(&h);
}

TEST_MAIN
