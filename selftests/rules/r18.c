// SPDX-License-Identifier: GPL-2.0-only
/*
 * R18: progress. However fast a program writes, no more pages are logged for a pause than
 * it can scan in half of its budget: who would write more waits for it.
 *
 * Without it: [0-9]+ pages were logged for [0-9]+ pauses
 */
#include "../raw.h"

enum {
	PAGES = 2000,
	BUDGET = 500000,
	CYCLES = 10,
	CYCLES_MAX = 300,
	PAGE_NS = 4000,
	CAP_MAX = 512,
};

static uint64_t *page[PAGES];
static volatile bool enough;

static void *write_all(void *arg)
{
	(void)arg;
	while (!enough)
		for (int i = 0; i < PAGES && !enough; i++)
			__atomic_store_n(page[i], 0, __ATOMIC_SEQ_CST);
	return NULL;
}

/* The budget doubles when a pause ends early. One page a writer may get in beside. */
static uint64_t allowed(uint64_t pauses)
{
	uint64_t budget = BUDGET, n = 0, cap;

	for (; pauses--; budget *= 2) {
		cap = budget / PAGE_NS;
		n += (cap < CAP_MAX ? cap : CAP_MAX) + 1;
	}
	return n;
}

/* @trouble: until writes had to wait in some, which shows that there was a reason to. */
static uint64_t cycles(struct raw *h, bool trouble)
{
	struct gcheap_status a, b = raw_status(h);
	uint64_t logged, most = 0;
	int waited = trouble ? CYCLES / 2 : 0;

	for (int i = 0; i < CYCLES || (waited > 0 && i < CYCLES_MAX); i++) {
		a = b;
		raw_collect(h);
		b = raw_status(h);
		logged = b.pages_logged - a.pages_logged;
		most = logged > most ? logged : most;
		waited -= b.log_waits != a.log_waits;
		/* The first pause reads roots only. */
		if (logged > allowed(b.pauses - a.pauses - 1))
			FAIL("%" PRIu64 " pages were logged for %llu pauses", logged,
			     b.pauses - a.pauses - 1);
	}
	CHECK(waited <= 0);
	return most;
}

TEST(R18_progress)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 4096);
	bool trouble;
	uint64_t most;
	pthread_t t;

	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&h, GCHEAP_PARAM_TRACK, GCHEAP_TRACK_PROTECT);
	raw_param(&h, GCHEAP_PARAM_PAUSE, BUDGET);
	raw_root(&h, 0, page, sizeof(page), NULL);
	for (int i = 0; i < PAGES; i++)
		page[i] = raw_take(&h, c);
	raw_flush(&h);
	t = spawn(write_all, NULL);
	/* Time for it between the last round and the pause. */
	trouble = raw_stress(5000);
	most = cycles(&h, trouble);
	raw_stress(0);
	enough = true;
	pthread_join(t, NULL);
	diag("%" PRIu64 " pages at most", most);
	raw_verify(&h);
}

TEST_MAIN
