// SPDX-License-Identifier: GPL-2.0-only
/* Finalizers. */
#include "cases.h"
#include "sim.h"

static u32 fetch(struct sim *s, struct gcheap_ready *item)
{
	u32 n = gch_final_peek(&s->h, item, 1);

	gch_final_pop(&s->h, n);
	return n;
}

/* Queued once when dead, with all it refers to; gone one cycle after the fetch. */
void gct_final_once(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	struct gcheap_ready item;
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), old;

	sim_need(s, 0, 0);
	sim_store(s, a, b);
	CHECK_EQ(gch_final_set(&s->h, a, 77, &old), 0);
	CHECK_EQ(old, 0);
	s->precise[0] = a;
	sim_cycle(s);
	CHECK(!fetch(s, &item));
	s->precise[0] = 0;
	sim_cycle(s);
	sim_cycle(s);	/* kept while it waits */
	CHECK_EQ(s->h.finals.ready, 1);
	CHECK(sim_allocated(s, a) && sim_allocated(s, b));
	CHECK_EQ(fetch(s, &item), 1);
	CHECK(item.addr == a && item.cookie == 77);
	CHECK(!fetch(s, &item));
	sim_cycle(s);
	CHECK(!sim_allocated(s, a) && !sim_allocated(s, b));
	CHECK(!fetch(s, &item));
	sim_close(s);
}

void gct_final_set_clear(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = sim_need(s, 0, 0), old;

	CHECK(gch_final_set(&s->h, 0, 1, &old) == -ENOENT);
	CHECK(gch_final_set(&s->h, a + 8, 1, &old) == -ENOENT);
	CHECK(gch_final_set(&s->h, a + 32, 1, &old) == -ENOENT);
	CHECK(gch_final_clear(&s->h, a, &old) == -ENOENT);
	CHECK_EQ(gch_final_set(&s->h, a, 1, &old), 0);
	CHECK_EQ(gch_final_set(&s->h, a, 2, &old), 0);
	CHECK_EQ(old, 1);
	CHECK_EQ(s->h.finals.registered, 1);
	CHECK_EQ(gch_final_clear(&s->h, a, &old), 0);
	CHECK_EQ(old, 2);
	CHECK_EQ(s->h.finals.registered, 0);
	CHECK_EQ(gch_final_set(&s->h, a, 3, &old), 0);
	CHECK(gch_free_early(&s->h, a));
	CHECK_EQ(s->h.finals.registered, 0);
	sim_close(s);
}

/* Many, so that the table grows; each comes exactly once, all at the same time. */
void gct_final_many(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 16);
	u32 n = 200 * GCT_SCALE, i;
	struct gcheap_ready item;
	u64 sum = 0, prev = 0, old;

	s->slow = false;
	for (i = 1; i <= n; i++) {
		u64 a = sim_need(s, 0, 0);

		sim_store(s, a, prev);	/* they refer to each other */
		prev = a;
		CHECK_EQ(gch_final_set(&s->h, a, i, &old), 0);
		sum += i;
	}
	sim_verify(s);
	sim_need(s, 0, 0);
	sim_cycle(s);
	CHECK_EQ(s->h.finals.ready, n);
	CHECK_EQ(s->h.finals.registered, 0);
	while (fetch(s, &item))
		sum -= item.cookie;
	CHECK_EQ(sum, 0);
	sim_verify(s);
	sim_cycle(s);
	CHECK_EQ(sim_count(s), 1);
	sim_close(s);
}

/* An object with a finalizer that a thread then takes back by its cursor. */
void gct_final_taken_back(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = sim_need(s, 0, 0), old;

	CHECK_EQ(gch_final_set(&s->h, a, 1, &old), 0);
	*sim_pos(s, 0, 0) = 0;
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	sim_verify(s);
	CHECK(sim_allocated(s, a));
	sim_cycle(s);
	CHECK_EQ(s->h.finals.ready, 1);
	sim_close(s);
}

/* While the sweep is on: for a new object, and for one that it is about to take. */
void gct_final_unswept(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = sim_need(s, 0, 0), b, old;

	sim_need(s, 0, 0);
	sim_mark_phase(s);
	gch_cycle_sweep(&s->h);
	b = sim_need(s, 0, 0);
	CHECK_EQ(gch_final_set(&s->h, b, 1, &old), 0);
	CHECK(gch_final_set(&s->h, a, 1, &old) == -ENOENT);
	while (gch_sweep_some(&s->h, 1))
		;
	gch_cycle_end(&s->h);
	CHECK(sim_allocated(s, b));
	sim_cycle(s);
	CHECK_EQ(s->h.finals.ready, 1);
	sim_close(s);
}
