// SPDX-License-Identifier: GPL-2.0-only
/* Finalizers. */
#include "cases.h"
#include "sim.h"

static u32 fetch(struct sim *s, struct gcheap_ready *item)
{
	u32 n = gch_final_peek(&s->h, item, 1, false);

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
	CHECK_EQ(gch_final_set(&s->h, a, 77, GCH_ORDER_NONE, &old), 0);
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

	CHECK(gch_final_set(&s->h, 0, 1, GCH_ORDER_NONE, &old) == -ENOENT);
	CHECK(gch_final_set(&s->h, a + 8, 1, GCH_ORDER_NONE, &old) == -ENOENT);
	CHECK(gch_final_set(&s->h, a + 32, 1, GCH_ORDER_NONE, &old) == -ENOENT);
	CHECK(gch_final_clear(&s->h, a, &old) == -ENOENT);
	CHECK_EQ(gch_final_set(&s->h, a, 1, GCH_ORDER_NONE, &old), 0);
	CHECK_EQ(gch_final_set(&s->h, a, 2, GCH_ORDER_NONE, &old), 0);
	CHECK_EQ(old, 1);
	CHECK_EQ(s->h.finals.registered, 1);
	CHECK_EQ(gch_final_clear(&s->h, a, &old), 0);
	CHECK_EQ(old, 2);
	CHECK_EQ(s->h.finals.registered, 0);
	CHECK_EQ(gch_final_set(&s->h, a, 3, GCH_ORDER_NONE, &old), 0);
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
		CHECK_EQ(gch_final_set(&s->h, a, i, GCH_ORDER_NONE, &old), 0);
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

	CHECK_EQ(gch_final_set(&s->h, a, 1, GCH_ORDER_NONE, &old), 0);
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
	sim_sweep_begin(s);
	b = sim_need(s, 0, 0);
	CHECK_EQ(gch_final_set(&s->h, b, 1, GCH_ORDER_NONE, &old), 0);
	CHECK(gch_final_set(&s->h, a, 1, GCH_ORDER_NONE, &old) == -ENOENT);
	while (gch_sweep_some(&s->h, 1))
		;
	gch_cycle_end(&s->h);
	CHECK(sim_allocated(s, b));
	sim_cycle(s);
	CHECK_EQ(s->h.finals.ready, 1);
	sim_close(s);
}

static void finalizer(struct sim *s, u64 a, u64 cookie, u8 order)
{
	u64 old;

	CHECK_EQ(gch_final_set(&s->h, a, cookie, order, &old), 0);
}

/* What is queued in the next cycle, a bit for each cookie. */
static u64 died(struct sim *s)
{
	struct gcheap_ready item;
	u64 bits = 0;

	/* So that no cell counts as just handed out. */
	sim_need(s, 0, 0);
	sim_cycle(s);
	while (fetch(s, &item))
		bits |= 1ull << item.cookie;
	return bits;
}

/* 0 to 5, each refers to the one before it, and the middle ones have none. */
static void chain(struct sim *s, u8 order)
{
	u64 prev = 0, a, i;

	for (i = 0; i < 6; i++, prev = a) {
		a = sim_need(s, 0, 0);
		sim_store(s, a, prev);
		if (i % 3 != 1)
			finalizer(s, a, i, order);
	}
}

/* From the one that nothing leads to, one a cycle. */
void gct_final_order(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	static const u8 orders[] = { GCH_ORDER_NORMAL, GCH_ORDER_BUT_SELF, GCH_ORDER_LAST };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		chain(s, orders[i]);
		CHECK_EQ(died(s), 1 << 5);
		CHECK_EQ(s->h.finals.registered, 3);
		CHECK_EQ(died(s), 1 << 3);
		CHECK_EQ(died(s), 1 << 2);
		CHECK_EQ(died(s), 1 << 0);
		CHECK_EQ(died(s), 0);
		CHECK_EQ(sim_count(s), 1);
	}
	chain(s, GCH_ORDER_NONE);
	CHECK_EQ(died(s), 1 << 5 | 1 << 3 | 1 << 2 | 1 << 0);
	sim_close(s);
}

/* Two that lead to each other, and one that leads to them. */
void gct_final_circles(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), c = sim_need(s, 0, 0), old;

	sim_store(s, a, b);
	sim_store(s, b, a);
	sim_store(s, c, a);
	finalizer(s, a, 1, GCH_ORDER_NORMAL);
	finalizer(s, c, 3, GCH_ORDER_NORMAL);
	CHECK_EQ(died(s), 1 << 3);
	CHECK_EQ(died(s), 0);
	CHECK(sim_allocated(s, a) && sim_allocated(s, b) && !sim_allocated(s, c));
	finalizer(s, a, 1, GCH_ORDER_BUT_SELF);
	CHECK_EQ(died(s), 0);
	finalizer(s, b, 2, GCH_ORDER_LAST);
	CHECK_EQ(died(s), 0);
	CHECK_EQ(gch_final_clear(&s->h, b, &old), 0);
	finalizer(s, a, 1, GCH_ORDER_NONE);
	CHECK_EQ(died(s), 1 << 1);
	CHECK_EQ(died(s), 0);
	CHECK_EQ(sim_count(s), 1);
	sim_close(s);
}

void gct_final_self(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 64);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0);

	sim_store(s, a + 8, a + 40);
	sim_store(s, a + 16, b);
	sim_store(s, b, b);
	finalizer(s, a, 1, GCH_ORDER_NORMAL);
	finalizer(s, b, 2, GCH_ORDER_BUT_SELF);
	CHECK_EQ(died(s), 0);
	finalizer(s, a, 1, GCH_ORDER_BUT_SELF);
	CHECK_EQ(died(s), 1 << 1);
	CHECK_EQ(died(s), 1 << 2);
	CHECK_EQ(died(s), 0);
	CHECK_EQ(sim_count(s), 1);
	sim_close(s);
}

/* 1 has no order and leads to 2 by way of another; 3 comes by itself. */
void gct_final_last(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), c = sim_need(s, 0, 0);
	u64 d = sim_need(s, 0, 0);

	sim_store(s, a, c);
	sim_store(s, c, b);
	finalizer(s, a, 1, GCH_ORDER_NONE);
	finalizer(s, b, 2, GCH_ORDER_LAST);
	finalizer(s, d, 3, GCH_ORDER_LAST);
	CHECK_EQ(died(s), 1 << 1 | 1 << 3);
	CHECK(sim_allocated(s, b) && sim_allocated(s, c));
	CHECK_EQ(died(s), 1 << 2);
	CHECK_EQ(died(s), 0);
	sim_close(s);
}

/* 1 has a table whose key it refers to itself: the value, 2, waits for it. */
void gct_final_pairs(void)
{
	static const struct sim_maps maps = {
		.fixed = 2, .fixed_ptr = 3, .elem = 2, .elem_ptr = 2, .elem_weak = 1,
		.length = GCHEAP_NO_LENGTH,
	};
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u32 pairs = sim_typed(s, GCHEAP_CACHE_EPHEMERON, 64, &maps);
	u64 a = sim_need(s, 0, pairs), key = sim_need(s, 0, 0), b = sim_need(s, 0, 0);
	u64 link = sim_need(s, 0, 0);

	sim_need(s, 0, pairs);
	sim_store(s, a, link);
	sim_store(s, link, key);
	sim_store(s, a + 16, key);
	sim_store(s, a + 24, b);
	finalizer(s, a, 1, GCH_ORDER_NORMAL);
	finalizer(s, b, 2, GCH_ORDER_NORMAL);
	CHECK_EQ(died(s), 1 << 1);
	CHECK_EQ(sim_load(s, a + 24), b);
	CHECK_EQ(died(s), 1 << 2);
	CHECK_EQ(died(s), 0);
	sim_close(s);
}

/* The last order counts. */
void gct_final_order_changes(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = sim_need(s, 0, 0), old;
	u8 order;

	sim_store(s, a, a);
	for (order = 0; order < GCH_ORDERS; order++) {
		finalizer(s, a, 1, order);
		CHECK_EQ(s->h.finals.ordered[order], 1);
		sim_verify(s);
	}
	for (order = 0; order < GCH_ORDERS; order++)
		CHECK_EQ(s->h.finals.ordered[order], order == GCH_ORDER_LAST);
	CHECK_EQ(died(s), 0);
	finalizer(s, a, 1, GCH_ORDER_BUT_SELF);
	CHECK_EQ(gch_final_clear(&s->h, a, &old), 0);
	sim_verify(s);
	finalizer(s, a, 1, GCH_ORDER_BUT_SELF);
	CHECK_EQ(died(s), 1 << 1);
	sim_close(s);
}

/* @b is reached by @a alone, which has a finalizer and is dead when marking is complete. */
struct pair {
	u64 a, b;
	u32 looks;
};

/* What the program can do while the dead are looked for and marked from. */
static void beside(struct sim *s)
{
	struct pair *p = s->arg;
	struct gcheap_ready item;
	u64 c, old;

	if (s->h.phase != GCHEAP_PHASE_FINALIZE)
		return;
	CHECK(!gch_final_peek(&s->h, &item, 1, false));
	if (!p->looks++)
		CHECK_EQ(gch_final_set(&s->h, p->b, 1, GCH_ORDER_NONE, &old), -ENOENT);
	c = sim_need(s, 0, 0);
	CHECK_EQ(gch_final_set(&s->h, c, 2, GCH_ORDER_NONE, &old), 0);
	CHECK_EQ(gch_final_clear(&s->h, c, &old), 0);
	s->precise[0] = c;
}

static void die(struct sim *s, struct pair *p)
{
	u64 old;

	p->a = sim_need(s, 0, 0);
	p->b = sim_need(s, 0, 0);
	sim_need(s, 0, 0);
	sim_store(s, p->a, p->b);
	CHECK_EQ(gch_final_set(&s->h, p->a, 77, GCH_ORDER_NONE, &old), 0);
	sim_trace_begin(s);
	sim_trace_round(s);
	sim_trace_finish(s);
}

/* Both are as they were, and now the program may have them. */
static void fetch_pair(struct sim *s, const struct pair *p)
{
	struct gcheap_ready item;

	CHECK_EQ(fetch(s, &item), 1);
	CHECK(item.addr == p->a && item.cookie == 77);
	CHECK(sim_allocated(s, p->a) && sim_allocated(s, p->b));
	CHECK_EQ(sim_load(s, p->a), p->b);
	sim_verify(s);
}

/* To the end, and given up in the midst of it. */
void gct_final_beside(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	struct gcheap_ready item;
	struct pair p = { };

	s->arg = &p;
	s->between = beside;
	die(s, &p);
	sim_sweep_phase(s);
	CHECK(p.looks);
	CHECK(sim_allocated(s, s->precise[0]));
	fetch_pair(s, &p);
	s->between = NULL;
	die(s, &p);
	gch_cycle_finalize(&s->h);
	while (!s->h.finals.dying)
		CHECK(gch_final_some(&s->h, 1));
	CHECK(!gch_final_peek(&s->h, &item, 1, false));
	sim_verify(s);
	gch_cycle_abandon(&s->h);
	fetch_pair(s, &p);
	sim_close(s);
}

/* Also of those that nobody would finalize; each once, while marking goes on. */
void gct_final_all(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), old;
	struct gcheap_ready item;
	u32 at = 0;

	sim_store(s, a, a);
	CHECK_EQ(gch_final_set(&s->h, a, 1, GCH_ORDER_NORMAL, &old), 0);
	CHECK_EQ(gch_final_set(&s->h, b, 2, GCH_ORDER_LAST, &old), 0);
	s->precise[0] = b;
	sim_need(s, 0, 0);
	sim_trace_begin(s);
	CHECK(gch_final_all(&s->h, &at, 1));
	CHECK_EQ(s->h.finals.registered + s->h.finals.ready, 2);
	while (gch_final_all(&s->h, &at, 7))
		;
	CHECK(!s->h.finals.registered && s->h.finals.ready == 2);
	s->precise[0] = 0;
	sim_trace_round(s);
	sim_trace_finish(s);
	sim_sweep_phase(s);
	sim_verify(s);
	CHECK(sim_allocated(s, a) && sim_allocated(s, b));
	CHECK(fetch(s, &item) && item.addr == a && item.cookie == 1);
	CHECK(fetch(s, &item) && item.addr == b && item.cookie == 2);
	CHECK(!fetch(s, &item));
	sim_cycle(s);
	CHECK(!sim_allocated(s, a) && !sim_allocated(s, b));
	sim_close(s);
}

/* What is queued and still in use may be freed before it is fetched, and its cell be used again. */
void gct_final_all_freed(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a[4], old;
	struct gcheap_ready item[4];
	u32 at = 0, i;

	for (i = 0; i < 4; i++) {
		a[i] = sim_need(s, 0, 0);
		CHECK_EQ(gch_final_set(&s->h, a[i], 10 + i, GCH_ORDER_NONE, &old), 0);
	}
	CHECK(!gch_final_all(&s->h, &at, 100));
	CHECK(gch_final_clear(&s->h, a[1], &old) == -ENOENT);
	CHECK_EQ(gch_final_set(&s->h, a[0], 20, GCH_ORDER_LAST, &old), 0);
	CHECK_EQ(old, 0);
	CHECK(gch_free_early(&s->h, a[0]));
	CHECK(gch_free_early(&s->h, a[2]));
	CHECK_EQ(s->h.finals.registered, 0);
	sim_verify(s);
	sim_need(s, 0, 0);
	sim_cycle(s);
	CHECK(!sim_allocated(s, a[0]) && sim_allocated(s, a[1]));
	CHECK_EQ(gch_final_peek(&s->h, item, 4, false), 1);
	CHECK(item[0].addr == a[1] && item[0].cookie == 11);
	/* One that is freed before it is taken off is the only one that is. */
	CHECK(gch_free_early(&s->h, a[1]));
	gch_final_pop(&s->h, 1);
	CHECK_EQ(gch_final_peek(&s->h, item, 4, false), 1);
	CHECK(item[0].addr == a[3] && item[0].cookie == 13);
	sim_verify(s);
	gch_final_pop(&s->h, 1);
	CHECK(!s->h.finals.ready && !gch_final_peek(&s->h, item, 4, false));
	sim_close(s);
}

/* Those that the program has looked at may be fetched before the others are. */
void gct_final_looked(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	struct gcheap_ready item[8];
	u64 a[6], old;
	u32 steps, i;

	for (i = 0; i < 6; i++) {
		a[i] = sim_need(s, 0, 0);
		CHECK_EQ(gch_final_set(&s->h, a[i], 10 + i, GCH_ORDER_NONE, &old), 0);
	}
	sim_need(s, 0, 0);
	sim_cycle(s);
	CHECK_EQ(gch_final_peek(&s->h, item, 8, true), 0);
	CHECK_EQ(gch_final_look(&s->h, item, 2, &steps), 2);
	CHECK_EQ(steps, 2);
	/* Until it has been told what was seen it has not looked. */
	CHECK_EQ(gch_final_look(&s->h, item, 2, &steps), 2);
	CHECK(item[0].cookie == 10 && item[1].cookie == 11);
	gch_final_looked(&s->h, steps);
	sim_verify(s);
	CHECK_EQ(gch_final_peek(&s->h, item, 8, true), 2);
	CHECK(gch_free_early(&s->h, a[0]));
	CHECK(gch_free_early(&s->h, a[3]));
	sim_verify(s);
	CHECK_EQ(gch_final_peek(&s->h, item, 8, true), 1);
	CHECK_EQ(item[0].cookie, 11);
	gch_final_pop(&s->h, 1);
	sim_verify(s);
	CHECK_EQ(gch_final_peek(&s->h, item, 8, true), 0);
	CHECK_EQ(gch_final_look(&s->h, item, 8, &steps), 3);
	CHECK_EQ(steps, 4);
	CHECK(item[0].cookie == 12 && item[1].cookie == 14 && item[2].cookie == 15);
	gch_final_looked(&s->h, steps);
	sim_verify(s);
	CHECK_EQ(gch_final_look(&s->h, item, 8, &steps), 0);
	CHECK_EQ(steps, 0);
	CHECK_EQ(gch_final_peek(&s->h, item, 8, true), 1);
	gch_final_pop(&s->h, 1);
	CHECK_EQ(gch_final_peek(&s->h, item, 8, true), 2);
	gch_final_pop(&s->h, 2);
	CHECK(!s->h.finals.ready && !s->h.finals.looked);
	sim_verify(s);
	sim_close(s);
}

/* Many that have been freed are passed over in steps. */
void gct_final_freed_many(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	struct gcheap_ready item;
	u64 a[100], old;
	u32 i, calls;

	s->slow = false;
	for (i = 0; i < ARRAY_SIZE(a); i++) {
		a[i] = sim_need(s, 0, 0);
		CHECK_EQ(gch_final_set(&s->h, a[i], 1 + i, GCH_ORDER_NONE, &old), 0);
	}
	sim_need(s, 0, 0);
	sim_cycle(s);
	CHECK(!gch_final_freed_first(&s->h));
	for (i = 0; i < ARRAY_SIZE(a) - 1; i++)
		CHECK(gch_free_early(&s->h, a[i]));
	for (calls = 1; !gch_final_peek(&s->h, &item, 1, false); calls++) {
		CHECK(gch_final_freed_first(&s->h));
		sim_verify(s);
	}
	CHECK(calls > 1);
	CHECK_EQ(item.cookie, ARRAY_SIZE(a));
	gch_final_pop(&s->h, 1);
	CHECK(!s->h.finals.ready && !gch_final_freed_first(&s->h));
	sim_close(s);
}

/* With its contents, what is queued goes to another address. */
void gct_final_all_resized(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 32);
	u32 large = sim_cache(s, GCHEAP_NOSCAN, GCHEAP_CACHE_LARGE, 0), at = 0;
	u64 a = sim_large(s, 0, large, 50000), b, old;
	struct gcheap_ready item;

	CHECK(sim_large(s, 0, large, 50000));
	CHECK_EQ(gch_final_set(&s->h, a, 7, GCH_ORDER_NONE, &old), 0);
	CHECK(!gch_final_all(&s->h, &at, 100));
	b = sim_resize(s, 0, a, 200000);
	CHECK(a != b);
	sim_verify(s);
	sim_cycle(s);
	CHECK_EQ(fetch(s, &item), 1);
	CHECK(item.addr == b && item.cookie == 7);
	sim_close(s);
}
