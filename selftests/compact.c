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
	raw_collect_as(&h, GCHEAP_COLLECT_COMPACT);
}

/* Wait until the background has come by: it goes by address, and notes what it has seen. */
static void looked_at_all(void)
{
	const struct gcheap_span *s = raw_slot(&h, ((char *)kept[SLOTS - 1] - (char *)h.base) >>
						   GCHEAP_SLOT_SHIFT);

	for (int i = 0; i < 10000 && !(*(volatile uint8_t *)&s->flags & GCHEAP_SPANF_IDLE); i++)
		usleep(1000);
	CHECK(s->flags & GCHEAP_SPANF_IDLE);
}

static void vacated(uint64_t pages)
{
	for (int i = 0; i < 10000 && raw_status(&h).pages_vacated < pages; i++)
		usleep(1000);
	CHECK_EQ(raw_status(&h).pages_vacated, pages);
}

/* A heap whose only roots are a table's words, and that collects when it is told to. */
static void start(void *table, size_t bytes, int mesh)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_param(&h, GCHEAP_PARAM_RELEASE, 1);
	raw_param(&h, GCHEAP_PARAM_MESH, mesh);
	cache = raw_cache(&h, GCHEAP_NOSCAN, CELL);
	raw_hold(&h);
	raw_root(&h, GCHEAP_ROOT_PRECISE, table, bytes, NULL);
}

/* Of each slot one object, in its second page, on which something is written. */
static void sparse(void)
{
	start(kept, sizeof(kept), 0);
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
	sparse();
	raw_collect(&h);
	looked_at_all();
	CHECK_EQ(raw_status(&h).pages_vacated, 0);
	for (int i = 0; i < SLOTS / 2 * (A_SLOT - 1); i++)
		memset(raw_take(&h, cache), 0xa5, CELL);
	raw_flush(&h);
	raw_collect(&h);
	vacated(SLOTS / 2);
	looked_at_all();
	raw_collect(&h);
	vacated(SLOTS);
	intact();
	raw_verify(&h);
}

TEST(turned_off)
{
	sparse();
	raw_param(&h, GCHEAP_PARAM_RELEASE, 0);
	compact();
	CHECK_EQ(raw_status(&h).pages_vacated, 0);
	CHECK_EQ(raw_status(&h).resident_bytes, SLOTS * GCHEAP_SLOT_SIZE);
	raw_param(&h, GCHEAP_PARAM_RELEASE, 1);
	compact();
	CHECK_EQ(raw_status(&h).pages_vacated, SLOTS);
	intact();
}

/* Handed out again, it is all there. */
TEST(fetched_again)
{
	struct gcheap_status s;

	sparse();
	compact();
	for (int i = 0; i < SLOTS * (A_SLOT - 1); i++)
		memset(raw_take(&h, cache), 0xa5, CELL);
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

/* ---- pages that share memory */

/* As sparse(), with two objects a slot, not at the same places in each. */
static uint64_t *scattered[2 * SLOTS];

static void scatter(void)
{
	start(scattered, sizeof(scattered), 1);
	for (int i = 0; i < SLOTS * A_SLOT; i++) {
		uint64_t *p = memset(raw_take(&h, cache), 0x5a, CELL);
		int half = i / (A_SLOT / 2);

		if (i % (A_SLOT / 2) != half * 11 % (A_SLOT / 2))
			continue;
		scattered[half] = p;
		p[1] = i;
	}
	raw_flush(&h);
}

static void all_there(void)
{
	for (int i = 0; i < 2 * SLOTS; i++) {
		CHECK_EQ(scattered[i][0], 0x5a5a5a5a5a5a5a5a);
		CHECK_EQ(scattered[i][1], i * (A_SLOT / 2) + i * 11 % (A_SLOT / 2));
		CHECK_EQ(scattered[i][7], 0x5a5a5a5a5a5a5a5a);
	}
}

TEST(meshed)
{
	struct gcheap_status s;

	scatter();
	compact();
	s = raw_status(&h);
	diag("%llu KiB resident of %llu", s.resident_bytes >> 10, s.heap_bytes >> 10);
	CHECK_EQ(s.heap_bytes, SLOTS * GCHEAP_SLOT_SIZE);
	CHECK(s.resident_bytes <= s.heap_bytes / 16);
	CHECK_EQ(s.resident_bytes + s.meshed_bytes, s.heap_bytes);
	all_there();
	/* Each is written without harm to others, by the program and by the kernel. */
	for (int i = 0; i < 2 * SLOTS; i++) {
		struct iovec to = { .iov_base = &scattered[i][3], .iov_len = 8 };
		struct iovec from = { .iov_base = &i, .iov_len = sizeof(i) };

		scattered[i][2] = ~i;
		if (!(i % 16))
			CHECK_EQ(process_vm_writev(getpid(), &from, 1, &to, 1, 0), 4);
	}
	for (int i = 0; i < 2 * SLOTS; i++)
		CHECK_EQ(scattered[i][2], (uint64_t)~i);
	all_there();
	raw_verify(&h);
	/* Once more: nothing is left to do, and nothing is undone. */
	compact();
	CHECK_EQ(raw_status(&h).pages_meshed, s.pages_meshed);
	all_there();
	memset(scattered, 0, sizeof(scattered));
	compact();
	s = raw_status(&h);
	CHECK_EQ(s.resident_bytes, 0);
	CHECK_EQ(s.meshed_bytes, 0);
	raw_verify(&h);
}

TEST(not_meshed)
{
	scatter();
	raw_param(&h, GCHEAP_PARAM_MESH, 0);
	compact();
	CHECK_EQ(raw_status(&h).pages_meshed, 0);
	all_there();
}

/* With no room for more spans, those that share memory are handed out, and do not any more. */
TEST(split_again)
{
	struct gcheap_status s;

	scatter();
	compact();
	raw_param(&h, GCHEAP_PARAM_LIMIT, raw_status(&h).heap_bytes);
	for (int i = 0; i < SLOTS * (A_SLOT - 2); i++)
		memset(raw_take(&h, cache), 0xa5, CELL);
	raw_flush(&h);
	s = raw_status(&h);
	CHECK_EQ(s.meshed_bytes, 0);
	CHECK(s.pages_split > 0);
	CHECK_EQ(s.resident_bytes, SLOTS * GCHEAP_SLOT_SIZE);
	all_there();
	raw_verify(&h);
}

/* A page that somebody has pinned stays where it is, and with him. */
TEST(pinned)
{
	struct iovec v;
	char *was;
	int p[2];

	scatter();
	v = (struct iovec){ .iov_base = scattered[100], .iov_len = CELL };
	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(vmsplice(p[1], &v, 1, 0), CELL);
	compact();
	CHECK(raw_status(&h).pages_busy > 0);
	all_there();
	scattered[100][5] = 42;	/* the pipe has the page, not a copy */
	was = malloc(CELL);
	CHECK_EQ(read(p[0], was, CELL), CELL);
	CHECK_EQ(((uint64_t *)was)[5], 42);
	/* It kept nobody else from sharing, and keeps nobody from having all that is free. */
	CHECK_EQ(vmsplice(p[1], &v, 1, 0), CELL);
	raw_param(&h, GCHEAP_PARAM_LIMIT, raw_status(&h).heap_bytes);
	for (int i = 0; i < SLOTS * (A_SLOT - 2); i++)
		memset(raw_take(&h, cache), 0xa5, CELL);
	raw_flush(&h);
	CHECK_EQ(raw_status(&h).meshed_bytes, 0);
	CHECK_EQ(read(p[0], was, CELL), CELL);
	compact();
	all_there();
	raw_verify(&h);
}

/* ---- beside threads: that allocate, write and drop */

enum { WORKERS = 3, MINE = 4096, WORDS = CELL / 8 };

static uint64_t *mine[WORKERS][MINE];
static bool over;

/* Word 0 is the only reference to another one. */
static void check_object(const uint64_t *p)
{
	const uint64_t *q = (const uint64_t *)p[0];

	for (int i = 1; i < WORDS; i++) {
		CHECK_EQ(p[i], (uintptr_t)p + i);
		CHECK_EQ(q[i], ~((uintptr_t)q + i));
	}
}

static uint64_t *new_object(void)
{
	uint64_t *p = raw_take(&h, cache), *q;

	for (int i = 1; i < WORDS; i++)
		p[i] = (uintptr_t)p + i;
	q = raw_take(&h, cache);
	for (int i = 1; i < WORDS; i++)
		q[i] = ~((uintptr_t)q + i);
	p[0] = (uintptr_t)q;
	return p;
}

static void *churn(void *arg)
{
	uint64_t **own = arg, seed = (uintptr_t)arg, n = 0;

	raw_attach(&h);
	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		uint64_t r = rnd(&seed), *p;
		uint64_t **at = &own[r % MINE];

		if (*at)
			check_object(*at);
		*at = NULL;
		/* Few at the end of a while, many at that of the next. */
		if (r >> 20 & 63 && n++ >> 14 & 1)
			continue;
		p = new_object();
		__atomic_store_n(at, p, __ATOMIC_RELEASE);
	}
	raw_detach(&h);
	return NULL;
}

static void beside_threads(unsigned int way)
{
	time_t end = time(NULL) + 40;
	pthread_t t[WORKERS];
	struct gcheap_status s;

	h = raw_open(0);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, CELL);
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 1 << 16);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&h, GCHEAP_PARAM_RELEASE, 1);
	raw_param(&h, GCHEAP_PARAM_MESH, 1);
	raw_param(&h, GCHEAP_PARAM_CHECK, 1);
	raw_param(&h, GCHEAP_PARAM_YOUNG, 2);
	raw_param(&h, GCHEAP_PARAM_TRACK, way);
	/* So little room that spans which share memory are handed out. */
	raw_param(&h, GCHEAP_PARAM_LIMIT, 3 << 20);
	raw_root(&h, 0, mine, sizeof(mine), NULL);
	for (int i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, churn, mine[i]), 0);
	do {
		raw_collect_as(&h, GCHEAP_COLLECT_YOUNG);
		compact();
		s = raw_status(&h);
	} while (time(NULL) < end && (s.cycles < 40 || s.pages_vacated < 100 ||
				      s.pages_meshed < 100 || s.pages_split < 20));
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	s = raw_status(&h);
	diag("%llu cycles, %llu young, %llu pages released, %llu of them among objects, "
	     "%llu meshed, %llu split, %llu busy", s.cycles, s.cycles_young, s.pages_released,
	     s.pages_vacated, s.pages_meshed, s.pages_split, s.pages_busy);
	CHECK(s.pages_vacated > 0);
	CHECK(s.pages_meshed > 0);
	CHECK(s.pages_split > 0);
	CHECK(s.checks > 0);
	CHECK_EQ(s.check_lost, 0);
	raw_verify(&h);
}

TEST(beside_threads_and_dirty_bits)
{
	beside_threads(GCHEAP_TRACK_DIRTY);
}

TEST(beside_threads_and_protection)
{
	beside_threads(GCHEAP_TRACK_PROTECT);
}

TEST(beside_threads_and_unmapping)
{
	beside_threads(GCHEAP_TRACK_UNMAP);
}

TEST_MAIN
