// SPDX-License-Identifier: GPL-2.0-only
/* Pacing: allocation as fast as it goes, with marking beside it. */
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

/* Replace lists for so many cycles. Return: the most that the limiter gave way by. */
static uint64_t churn_for(uint64_t cycles, uint64_t *cells)
{
	uint64_t seed = 1, relief = 0, end = raw_status(&h).cycles + cycles;
	struct gcheap_status s;

	do {
		churn(&seed);
		*cells += 16;
		s = raw_status(&h);
		CHECK(!limit || s.heap_bytes <= limit);
		if (s.relief_bytes > relief)
			relief = s.relief_bytes;
	} while (s.cycles < end);
	return relief;
}

/*
 * What the heap may come to. What a cycle has not freed counts as marked for the next: not
 * more than twice the goal. Where collecting takes most of the time whatever it does, as on
 * a machine that is slow just then, the limiter allows for more than what is live, in reason.
 */
static uint64_t most(uint64_t relief)
{
	CHECK(relief <= 8 * LIVE);
	return 2 * (LIVE + (relief > LIVE ? relief : LIVE));
}

/* What the heap has beyond the goal: the batch that led there, and what it waits for. */
TEST(the_limit_is_kept)
{
	struct gcheap_status s;
	uint64_t cells = 0;

	start(2 * LIVE);
	churn_for(tap_times(100), &cells);
	s = raw_status(&h);
	report(&s, cells);
	CHECK_EQ(s.oom_returns, 0);
	CHECK_EQ(s.cycles_failed, 0);
	CHECK(s.heap_peak <= limit);
	whole();
	raw_verify(&h);
}

static void keep_the_goal(uint64_t cycles)
{
	uint64_t cells = 0, relief;
	struct gcheap_status s;

	start(0);
	relief = churn_for(cycles, &cells);
	s = raw_status(&h);
	report(&s, cells);
	CHECK_EQ(s.cycles_failed, 0);
	CHECK(s.heap_peak <= most(relief));
	whole();
}

TEST(the_goal_is_kept)
{
	keep_the_goal(tap_times(12));
}

static void *spin(void *arg)
{
	raw_go_first((uintptr_t)arg);
	for (;;)
		;
	return arg;
}

/* Where the collector gets a processor only when the program waits for it. */
TEST(the_goal_is_kept_by_a_program_that_goes_first)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t t;

	for (long i = 1; i < cpus; i++)
		CHECK(!pthread_create(&t, NULL, spin, (void *)i));
	raw_go_first(0);
	keep_the_goal(tap_times(6));
}

static uint64_t offheap(int64_t delta)
{
	struct gcheap_offheap a = { .size = sizeof(a), .delta = delta };

	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_OFFHEAP, &a), 0);
	return a.bytes;
}

static void refused(int64_t delta)
{
	struct gcheap_offheap a = { .size = sizeof(a), .delta = delta };

	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_OFFHEAP, &a), EINVAL);
}

TEST(offheap_bytes_are_counted)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	CHECK_EQ(offheap(1000), 1000);
	CHECK_EQ(offheap(-999), 1);
	refused(-2);
	refused(1ll << 62);
	refused(INT64_MAX);
	refused(INT64_MIN);
	CHECK_EQ(offheap((1ll << 62) - 1), 1ull << 62);
	refused(1);
	refused(-(1ll << 62) - 1);
	CHECK_EQ(offheap(-(1ll << 62)), 0);
	CHECK_EQ(raw_status(&h).offheap_bytes, 0);
	raw_collect(&h);
	raw_verify(&h);
}

/* They make collections come, whose goal leaves room for as many more. */
static void offheap_bytes_count(bool concurrent)
{
	struct gcheap_status s;
	uint64_t before;

	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, concurrent);
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 4 << 20);
	CHECK(raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 16)));
	for (int i = 0; i < 8; i++)
		offheap(1 << 20);
	for (int i = 0; raw_status(&h).cycles < 1; i++) {
		CHECK(i < 10000);
		usleep(1000);
	}
	raw_collect(&h);
	s = raw_status(&h);
	CHECK_EQ(s.offheap_bytes, 8 << 20);
	CHECK(s.goal_bytes >= 16 << 20);
	before = s.cycles;
	offheap(4 << 20);
	offheap(-(12 << 20));
	raw_collect(&h);
	s = raw_status(&h);
	CHECK_EQ(s.cycles, before + 1);
	CHECK(s.goal_bytes <= 5 << 20);
	raw_verify(&h);
}

TEST(offheap_bytes_count_with_the_world_stopped)
{
	offheap_bytes_count(false);
}

TEST(offheap_bytes_count_while_running)
{
	offheap_bytes_count(true);
}

/* Less growth than asked for where there is room, and more where there is none. */
TEST(a_soft_limit)
{
	uint64_t seed = 1, cells = 0, relief;
	struct gcheap_status s;

	start(0);
	raw_param(&h, GCHEAP_PARAM_GROWTH, 1000);
	raw_param(&h, GCHEAP_PARAM_SOFT_LIMIT, 2 * LIVE);
	raw_collect(&h);
	CHECK(raw_status(&h).goal_bytes <= 2 * LIVE);
	relief = churn_for(tap_times(100), &cells);
	s = raw_status(&h);
	report(&s, cells);
	CHECK(s.heap_peak <= most(relief));
	whole();
	/* Nothing would be left of it but collecting, if it were held on to. */
	raw_param(&h, GCHEAP_PARAM_SOFT_LIMIT, 1 << 20);
	for (cells = 0; cells < 4 * N; cells += 16)
		churn(&seed);
	s = raw_status(&h);
	report(&s, cells);
	diag("%llu KiB relief, collector %llu ms", s.relief_bytes >> 10,
	     s.collector_ns / 1000000);
	CHECK_EQ(s.oom_returns, 0);
	whole();
	raw_verify(&h);
}

TEST_MAIN
