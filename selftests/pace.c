// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pacing: allocation as fast as it goes, with marking beside it. CYCLES=n: how many
 * cycles each case goes through (default 12).
 */
#include "raw.h"

enum { CELL = 64, LIVE = 4 << 20, N = LIVE / CELL };

struct cell {
	struct cell *next;
	uint64_t id, fill[6];
};

static struct raw h;
static unsigned int cache;
static struct cell **table;	/* a registered range */
static struct cell *list;	/* another: what is being built */
static uint64_t limit;

static uint64_t cycles_wanted(void)
{
	const char *s = getenv("CYCLES");

	return s ? strtoull(s, NULL, 10) : 12;
}

static struct cell *cell(struct cell *next, uint64_t id)
{
	struct cell *c = raw_try_take_some(&h, cache, GCHEAP_BATCH);

	if (!c)
		FAIL("%s after %llu cycles", strerror(errno), raw_status(&h).cycles);
	c->next = next;
	c->id = id;
	return c;
}

static void start(uint64_t bytes)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 1 << 20);
	limit = bytes;
	raw_param(&h, GCHEAP_PARAM_LIMIT, limit);
	cache = raw_typed(&h, CELL / 8, 1, 0);
	table = calloc(N / 16, sizeof(*table));
	raw_root(&h, GCHEAP_ROOT_PRECISE, table, N / 16 * sizeof(*table), NULL);
	raw_root(&h, GCHEAP_ROOT_PRECISE, &list, sizeof(list), NULL);
	/* Lists of sixteen: marking has somewhere to go. */
	for (uint64_t i = 0; i < N; i++)
		table[i % (N / 16)] = cell(table[i % (N / 16)], i);
}

/* A list of sixteen is replaced by another. */
static void churn(uint64_t *seed)
{
	uint64_t k;

	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	k = (*seed >> 33) % (N / 16);
	list = NULL;
	for (int i = 0; i < 16; i++)
		list = cell(list, k + (15 - i) * (N / 16));
	table[k] = list;
}

static void whole(void)
{
	for (uint64_t k = 0; k < N / 16; k++) {
		struct cell *c = table[k];

		for (int i = 0; i < 16; i++, c = c->next)
			CHECK_EQ(c->id % (N / 16), k);
		CHECK(!c);
	}
}

static void report(const struct gcheap_status *s, uint64_t cells)
{
	diag("%llu cycles, %llu cells, peak %llu KiB; %llu assists marked %llu KiB in %llu ms, "
	     "%llu calls waited", s->cycles, (unsigned long long)cells, s->heap_peak >> 10,
	     s->assists, s->assist_bytes >> 10, s->assist_ns / 1000000, s->assist_waits);
}

/* What the heap has beyond the goal: the batch that led there, and what it waits for. */
TEST(the_limit_is_kept)
{
	struct gcheap_status s;
	uint64_t seed = 1, cells = 0, end;

	start(2 * LIVE);
	end = raw_status(&h).cycles + cycles_wanted();
	do {
		churn(&seed);
		cells += 16;
		s = raw_status(&h);
		CHECK(s.heap_bytes <= limit);
	} while (s.cycles < end);
	report(&s, cells);
	CHECK_EQ(s.oom_returns, 0);
	CHECK_EQ(s.cycles_failed, 0);
	CHECK(s.heap_peak <= limit);
	whole();
	raw_verify(&h);
}

TEST(the_goal_is_kept)
{
	struct gcheap_status s;
	uint64_t seed = 1, cells = 0, end;

	start(0);
	end = raw_status(&h).cycles + cycles_wanted();
	do {
		churn(&seed);
		cells += 16;
		s = raw_status(&h);
	} while (s.cycles < end);
	report(&s, cells);
	CHECK_EQ(s.cycles_failed, 0);
	/* What a cycle has not freed counts as marked for the next: not more than twice. */
	CHECK(s.heap_peak <= 4 * LIVE);
	whole();
}

TEST_MAIN
