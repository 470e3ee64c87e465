// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation of a good path fails in turn: the step says so, the structure
 * holds, and at the end nothing is left over.
 */
#include "cases.h"
#include "sim.h"

static const struct sim_maps maps = {
	.fixed = 4, .fixed_ptr = 1, .fixed_weak = 2, .elem = 2, .elem_ptr = 1,
	.elem_weak = 2, .length = 3,
};

/* Verify, though that needs memory too. */
static void verify_anyway(struct sim *s)
{
	long left = gct_fail_at(0);

	sim_verify(s);
	gct_fail_at(left);
}

/* Caches of all kinds, objects in them, finalizers, cycles. What fails is skipped. */
static void good_path(struct sim *s)
{
	u64 a, prev = 0, old;
	u32 t, i, k;
	int c[4];

	s->want = 3;
	if (gch_thread_attach(&s->h, &t))
		return;
	c[0] = sim_cache(s, GCHEAP_CONSERVATIVE, 0, 16);
	c[1] = sim_typed(s, 0, 2048, &maps);
	c[2] = sim_cache(s, GCHEAP_NOSCAN, 0, 24576);
	c[3] = sim_cache(s, GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0);
	verify_anyway(s);
	for (i = 0; i < 24; i++) {
		for (k = 0; k < 4; k++) {
			if (c[k] < 0)
				continue;
			a = k < 3 ? sim_alloc(s, t, c[k]) :
				sim_large(s, t, c[k], 700000 * (i % 3) + 1);
			if (!a)
				continue;
			if (sim_store(s, a, prev))
				prev = a;
			if (i % 2)
				gch_final_set(&s->h, a, i, i % GCH_ORDERS, &old);
			gch_link_set(&s->h, a + 8, i % 3, prev, &old);
			if (i % 5 == 4)
				gch_free_early(&s->h, a);
		}
		if (i % 8 == 7) {
			s->precise[0] = prev;
			sim_cycle(s);
			verify_anyway(s);
			sim_release(s, 1);
		}
	}
	for (i = 0; i < 300; i++) {
		a = c[0] < 0 ? 0 : sim_alloc(s, t, c[0]);
		if (a)
			gch_final_set(&s->h, a, i, GCH_ORDER_NONE, &old);
		if (a)
			gch_link_set(&s->h, a, i % 2, a, &old);
	}
	verify_anyway(s);
	gch_thread_detach(&s->h, t);
	verify_anyway(s);
}

/* The @n-th allocation fails, then each FAIL_STEP-th from there in turn, until none does. */
static void fail_from(long n)
{
	u64 before = gct_allocs();
	struct sim *s;
	bool failed;

	s = env_zalloc(sizeof(*s));
	CHECK(s);
	for (failed = true; failed; n += FAIL_STEP) {
		u64 at_start = gct_allocs();

		gct_fail_at(n);
		if (!sim_try_open(s, SIM_SIZE)) {
			good_path(s);
			failed = !gct_fail_at(0);
			sim_try_close(s);
		}
		gct_fail_at(0);
		CHECK_EQ(gct_allocs(), at_start);
	}
	gct_log("failures up to %ld", n - 2 * FAIL_STEP);
	CHECK(n > 50);
	env_free(s);
	CHECK_EQ(gct_allocs(), before);
}

void gct_fail_1st(void)
{
	fail_from(1);
}

void gct_fail_2nd(void)
{
	fail_from(2);
}

void gct_fail_3rd(void)
{
	fail_from(3);
}

void gct_fail_4th(void)
{
	fail_from(4);
}

/*
 * Nothing to be had while the lock is held: what a call lacks is brought in between
 * its tries, and they come to an end.
 */
void gct_fail_pressed(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 16);
	u32 big = sim_cache(s, GCHEAP_NOSCAN, GCHEAP_CACHE_LARGE, 0), i;

	gct_press(true);
	for (i = 0; i < 3000; i++)
		sim_need(s, 0, 0);
	CHECK(s->tries && s->tries < 200);
	s->tries = 0;
	CHECK(sim_large(s, 0, big, 9 * GCHEAP_CHUNK_SIZE));
	CHECK(s->tries < 200);
	/* At the limit there is nothing to bring in. */
	s->tries = 0;
	s->h.param.limit = s->h.n.heap_bytes;
	CHECK(!sim_large(s, 0, big, 1));
	CHECK(s->tries <= 2);
	/* A heap that has no room. */
	s->h.param.limit = 0;
	CHECK(!sim_large(s, 0, big, SIM_SIZE));
	gct_press(false);
	sim_cycle(s);
	sim_close(s);
}

/* Two threads lack something; what one brings in is reason for both to try again. */
void gct_fail_pressed_two(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 16);
	u32 one = 0, two = 0;
	void *p;

	gct_press(true);
	CHECK(!gch_take(&s->h, 64));
	CHECK(!gch_take(&s->h, 64));
	env_unlock(&s->h.lock);
	CHECK(gch_reserve_fill(&s->h, &one));
	CHECK(gch_reserve_fill(&s->h, &two));
	CHECK(!gch_reserve_fill(&s->h, &one));
	CHECK(!gch_reserve_fill(&s->h, &two));
	env_lock(&s->h.lock);
	p = gch_take(&s->h, 64);
	CHECK(p);
	env_free(p);
	gct_press(false);
	sim_close(s);
}
