// SPDX-License-Identifier: GPL-2.0-only
/* Links: words that become 0 when an object dies. */
#include "cases.h"
#include "sim.h"

static u64 outside(u32 i)
{
	return SIM_OUTSIDE + 8 * (u64)i;
}

static void tie(struct sim *s, u64 word, bool lng, u64 object)
{
	u64 old;

	CHECK_EQ(gch_link_set(&s->h, word, lng, object, &old), 0);
}

/* A word outside that says something of a new object. */
static u64 tied(struct sim *s, u32 i, bool lng)
{
	u64 a = sim_need(s, 0, 0);

	tie(s, outside(i), lng, a);
	s->outside[i] = ~a;
	return a;
}

/* So that no cell counts as just handed out. */
static void cycle(struct sim *s)
{
	sim_need(s, 0, 0);
	sim_cycle(s);
}

void gct_link_elsewhere(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);

	s->precise[0] = tied(s, 0, false);
	s->precise[1] = tied(s, 1, true);
	tied(s, 2, false);
	tied(s, 3, true);
	cycle(s);
	CHECK(s->outside[0] && s->outside[1] && !s->outside[2] && !s->outside[3]);
	CHECK_EQ(s->h.links.count, 2);
	CHECK_EQ(s->h.n.links_cleared, 2);
	s->precise[0] = 0;
	s->precise[1] = 0;
	cycle(s);
	CHECK(!s->outside[0] && !s->outside[1]);
	CHECK_EQ(s->h.links.count, 0);
	sim_close(s);
}

/* Words in objects, which go with these; also when both have died. */
void gct_link_inside(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 32);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), c = sim_need(s, 0, 0), i;

	for (i = 0; i < 4; i++) {
		tie(s, a + 8 * i, i % 2, i / 2 ? b : c);
		sim_store(s, a + 8 * i, ~i);
	}
	s->precise[0] = a;
	s->precise[1] = b;
	cycle(s);
	CHECK(!sim_load(s, a) && !sim_load(s, a + 8));
	CHECK(sim_load(s, a + 16) == ~2ull && sim_load(s, a + 24) == ~3ull);
	CHECK_EQ(s->h.links.count, 2);
	s->precise[0] = 0;
	cycle(s);
	CHECK_EQ(s->h.links.count, 0);
	CHECK_EQ(s->h.n.links_cleared, 2);
	a = sim_need(s, 0, 0);
	tie(s, a, false, b);
	tie(s, a + 8, true, b);
	s->precise[1] = 0;
	cycle(s);
	CHECK_EQ(s->h.links.count, 0);
	sim_close(s);
}

void gct_link_calls(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	struct gch_heap *h = &s->h;
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), old = 1;

	CHECK(gch_link_get(h, outside(0), false, &old) == -ENOENT);
	CHECK_EQ(old, 0);
	CHECK(gch_link_clear(h, outside(0), false, &old) == -ENOENT);
	CHECK(gch_link_move(h, outside(0), outside(1), false, &old) == -ENOENT);
	CHECK(gch_link_set(h, outside(0), false, a + 8, &old) == -ENOENT);
	CHECK(gch_link_set(h, outside(0), false, a + 64, &old) == -ENOENT);
	CHECK(gch_link_set(h, a + 64, false, b, &old) == -EINVAL);
	CHECK(gch_link_set(h, h->base + h->size - 8, false, b, &old) == -EINVAL);
	CHECK_EQ(gch_link_set(h, outside(0), false, a, &old), 0);
	CHECK_EQ(old, 0);
	CHECK_EQ(gch_link_set(h, outside(0), false, b, &old), 0);
	CHECK_EQ(old, a);
	CHECK_EQ(h->links.count, 1);
	CHECK_EQ(gch_link_set(h, outside(0), true, b, &old), 0);
	CHECK_EQ(old, 0);
	CHECK_EQ(gch_link_get(h, outside(0), false, &old), 0);
	CHECK_EQ(old, b);
	CHECK(gch_link_move(h, outside(0), a + 64, false, &old) == -EINVAL);
	CHECK_EQ(gch_link_move(h, outside(0), outside(0), false, &old), 0);
	CHECK_EQ(gch_link_move(h, outside(0), a + 8, false, &old), 0);
	CHECK_EQ(old, b);
	CHECK_EQ(gch_link_set(h, outside(0), false, a, &old), 0);
	CHECK(gch_link_move(h, outside(0), a + 8, false, &old) == -EEXIST);
	sim_verify(s);
	CHECK_EQ(gch_link_clear(h, a + 8, false, &old), 0);
	CHECK_EQ(gch_link_clear(h, outside(0), false, &old), 0);
	CHECK_EQ(gch_link_clear(h, outside(0), true, &old), 0);
	CHECK_EQ(h->links.count, 0);
	sim_close(s);
}

static u32 fetch(struct sim *s)
{
	struct gcheap_ready item;
	u32 n = gch_final_peek(&s->h, &item, 1, false);

	gch_final_pop(&s->h, n);
	return n;
}

/* Not before what has a finalizer can not lead to the object. */
void gct_link_long(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = tied(s, 0, false), b = tied(s, 1, true), old;

	tie(s, outside(2), true, a);
	s->outside[2] = 1;
	sim_store(s, a, b);
	CHECK_EQ(gch_final_set(&s->h, a, 1, GCH_ORDER_NONE, &old), 0);
	cycle(s);
	CHECK(!s->outside[0] && s->outside[1] && s->outside[2]);
	cycle(s);
	CHECK(s->outside[1] && s->outside[2]);
	CHECK_EQ(fetch(s), 1);
	cycle(s);
	CHECK(!s->outside[1] && !s->outside[2]);
	CHECK(!sim_allocated(s, a) && !sim_allocated(s, b));
	sim_close(s);
}

/* What finalizable objects lead to is looked at when short links are 0, in dead ones too. */
void gct_link_breaks_circle(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = sim_need(s, 0, 0), b = sim_need(s, 0, 0), old;

	sim_store(s, a, b);
	sim_store(s, b, a);
	CHECK_EQ(gch_final_set(&s->h, a, 1, GCH_ORDER_NORMAL, &old), 0);
	tie(s, b, true, a);
	cycle(s);
	CHECK(!fetch(s));
	tie(s, b, false, a);
	cycle(s);
	CHECK_EQ(sim_load(s, b), 0);
	CHECK_EQ(fetch(s), 1);
	sim_close(s);
}

/* Neither is the link another object's, nor the word another link's. */
void gct_link_freed(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 32);
	u64 a = tied(s, 0, false), b, old;

	tie(s, a + 8, false, a);
	tie(s, outside(1), true, a);
	s->outside[1] = 1;
	CHECK(gch_free_early(&s->h, a));
	CHECK_EQ(s->h.links.count, 2);
	CHECK_EQ(gch_link_get(&s->h, outside(0), false, &old), 0);
	CHECK_EQ(old, a);
	sim_verify(s);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	b = sim_need(s, 0, 0);
	CHECK_EQ(a, b);
	sim_store(s, b + 8, 5);
	s->precise[0] = b;
	CHECK(s->outside[0]);
	cycle(s);
	CHECK(!s->outside[0] && !s->outside[1]);
	CHECK_EQ(sim_load(s, b + 8), 5);
	CHECK_EQ(s->h.links.count, 0);
	/* Used again, it is another one's. */
	a = tied(s, 0, false);
	CHECK(gch_free_early(&s->h, a));
	tie(s, outside(0), false, b);
	s->outside[0] = 3;
	cycle(s);
	CHECK_EQ(s->outside[0], 3);
	sim_close(s);
}

void gct_link_resized(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 32);
	u32 large = sim_cache(s, GCHEAP_NOSCAN, GCHEAP_CACHE_LARGE, 0);
	u64 a = sim_large(s, 0, large, 50000), b, c, old;

	CHECK(sim_large(s, 0, large, 50000));
	c = sim_need(s, 0, 0);
	tie(s, a + 8, false, c);
	tie(s, a + 40000, true, c);
	tie(s, outside(0), false, a);
	sim_store(s, a + 8, 1);
	sim_store(s, a + 40000, 1);
	s->outside[0] = 1;
	b = sim_resize(s, 0, a, 200000);
	CHECK(a != b);
	sim_verify(s);
	CHECK(gch_link_get(&s->h, a + 8, false, &old) == -ENOENT);
	CHECK_EQ(gch_link_get(&s->h, b + 8, false, &old), 0);
	CHECK_EQ(gch_link_get(&s->h, b + 40000, true, &old), 0);
	s->precise[0] = b;
	s->precise[1] = c;
	cycle(s);
	CHECK_EQ(s->outside[0], 0);
	CHECK(sim_load(s, b + 8) && sim_load(s, b + 40000));
	/* Within the last granule it stays. */
	tie(s, b + 30008, false, c);
	CHECK_EQ(sim_resize(s, 0, b, 30001), b);
	CHECK_EQ(gch_link_get(&s->h, b + 30008, false, &old), 0);
	CHECK(gch_link_get(&s->h, b + 40000, true, &old) == -ENOENT);
	CHECK_EQ(sim_resize(s, 0, b, 30000), b);
	CHECK(gch_link_get(&s->h, b + 30008, false, &old) == -ENOENT);
	s->precise[1] = 0;
	cycle(s);
	CHECK_EQ(sim_load(s, b + 8), 0);
	CHECK_EQ(s->h.links.count, 0);
	sim_close(s);
}

static u64 wanted_of(struct sim *s, u32 *link)
{
	u64 word = 0;

	while (gch_link_wanted(&s->h, 1, link, &word) && !*link)
		;
	return *link ? word : 0;
}

static u64 wanted(struct sim *s)
{
	u32 link;

	return wanted_of(s, &link);
}

/* What can not be written keeps the object, and is to be brought in. */
void gct_link_away(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = tied(s, 0, false), b = tied(s, 1, false), c = sim_need(s, 0, 0);

	CHECK_EQ(wanted(s), 0);
	tie(s, outside(2), true, c);
	s->outside[2] = 1;
	sim_store(s, a, c);
	s->away = true;
	cycle(s);
	cycle(s);
	CHECK(sim_allocated(s, a) && sim_allocated(s, b) && sim_allocated(s, c));
	CHECK(s->outside[0] && s->outside[1] && s->outside[2]);
	CHECK_EQ(wanted(s), outside(0));
	/* If that took too long the others come first the next time. */
	cycle(s);
	CHECK_EQ(wanted(s), outside(1));
	CHECK_EQ(wanted(s), outside(2));
	CHECK_EQ(wanted(s), outside(0));
	CHECK_EQ(wanted(s), 0);
	s->away = false;
	cycle(s);
	CHECK(!s->outside[0] && !s->outside[1] && !s->outside[2]);
	CHECK(!sim_allocated(s, a) && !sim_allocated(s, b) && !sim_allocated(s, c));
	CHECK_EQ(wanted(s), 0);
	sim_close(s);
}

/* A long one keeps what the object refers to, too: its links, and its weak words. */
void gct_link_away_long(void)
{
	static const struct sim_maps maps = {
		.fixed = 4, .fixed_ptr = 1, .fixed_weak = 2, .length = GCHEAP_NO_LENGTH,
	};
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u32 weak = sim_typed(s, 0, 32, &maps);
	u64 a = sim_need(s, 0, weak), b = tied(s, 1, true), c = sim_need(s, 0, 0), d;

	sim_need(s, 0, weak);
	d = sim_need(s, 0, 0);
	tie(s, outside(0), true, a);
	s->outside[0] = 1;
	sim_store(s, a, b);
	sim_store(s, a + 8, c);
	tie(s, b + 8, true, d);
	sim_store(s, b + 8, 7);
	tie(s, b + 16, true, a);
	sim_store(s, b + 16, 7);
	s->away = true;
	cycle(s);
	CHECK(sim_allocated(s, a) && sim_allocated(s, b));
	CHECK(!sim_allocated(s, c) && !sim_allocated(s, d));
	CHECK_EQ(sim_load(s, a), b);
	CHECK_EQ(sim_load(s, a + 8), 0);
	CHECK_EQ(sim_load(s, b + 8), 0);
	CHECK_EQ(sim_load(s, b + 16), 7);
	CHECK(s->outside[0] && s->outside[1]);
	s->away = false;
	cycle(s);
	CHECK(!s->outside[0] && !s->outside[1]);
	CHECK_EQ(s->h.links.count, 0);
	sim_close(s);
}

/* Another word is meant before that has been seen to: the object stays all the same. */
void gct_link_away_moved(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = tied(s, 0, false), b = sim_need(s, 0, 0), c = tied(s, 2, true), old;

	sim_need(s, 0, 0);
	s->precise[0] = b;
	s->away = true;
	sim_trace_phase(s, 1);
	CHECK_EQ(gch_link_move(&s->h, outside(0), b, false, &old), 0);
	CHECK_EQ(old, a);
	CHECK_EQ(gch_link_move(&s->h, outside(2), b, true, &old), 0);
	sim_store(s, b, ~a);
	sim_sweep_phase(s);
	/* A long one is told where it is by then. */
	CHECK(sim_allocated(s, a) && !sim_allocated(s, c));
	CHECK_EQ(s->h.links.count, 1);
	cycle(s);
	CHECK(!sim_allocated(s, a));
	CHECK_EQ(sim_load(s, b), 0);
	sim_close(s);
}

/*
 * Out of the heap, and into it, while long ones are becoming 0: when those outside have been
 * seen to, and those inside not yet.
 */
static void moved_out(bool away)
{
	enum { N = 64 };	/* in one step */
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 holder = sim_need(s, 0, 0), last = 0, old;
	u32 i, n = 0;

	s->precise[0] = holder;
	for (i = 0; i < N; i++)
		last = tied(s, i, true);
	tie(s, holder + 8, true, holder);	/* and one that is not */
	sim_need(s, 0, 0);
	CHECK_EQ(gch_link_move(&s->h, outside(N - 1), holder, true, &old), 0);
	sim_store(s, holder, ~last);
	sim_trace_phase(s, 1);
	gch_cycle_finalize(&s->h);
	while (s->outside[N - 2])
		CHECK(gch_final_some(&s->h, 1));
	CHECK_EQ(sim_load(s, holder), ~last);
	CHECK_EQ(gch_link_move(&s->h, holder, outside(N - 1), true, &old), 0);
	s->away = away;
	while (gch_final_some(&s->h, 1))
		CHECK(n++ < 1000);
	sim_verify(s);
	gch_cycle_sweep(&s->h);
	sim_sweep_rest(s);
	CHECK_EQ(s->h.links.count, 1 + away);
	CHECK_EQ(!!s->outside[N - 1], away);
	CHECK_EQ(sim_allocated(s, last), away);
	s->away = false;
	cycle(s);
	CHECK(!s->outside[N - 1] && !sim_allocated(s, last));
	sim_close(s);
}

void gct_link_moved_out(void)
{
	moved_out(false);
	moved_out(true);
}

/* Two links of dead objects, and nothing where their words were. */
static struct sim *two_gone(u64 *a, u64 *b)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u32 link, i;

	*a = tied(s, 0, false);
	*b = tied(s, 1, true);
	s->away = true;
	cycle(s);
	CHECK(sim_allocated(s, *a) && sim_allocated(s, *b));
	for (i = 0; i < 2; i++) {
		CHECK_EQ(wanted_of(s, &link), outside(i));
		gch_link_gone(&s->h, link, outside(i));
		gch_link_gone(&s->h, link, outside(2));	/* that is not its word any more */
	}
	return s;
}

void gct_link_gone(void)
{
	u64 a, b, old;
	struct sim *s = two_gone(&a, &b);

	cycle(s);
	CHECK(!sim_allocated(s, a) && !sim_allocated(s, b));
	CHECK_EQ(s->h.links.count, 0);
	CHECK(s->outside[0] && s->outside[1]);
	sim_close(s);

	/* But what is there after all is told. */
	s = two_gone(&a, &b);
	s->away = false;
	cycle(s);
	CHECK(!s->outside[0] && !s->outside[1]);
	sim_close(s);

	/* What was gone may be there by the time that the object dies, or if it is set again. */
	s = two_gone(&a, &b);
	s->precise[0] = a;
	CHECK_EQ(gch_link_set(&s->h, outside(1), true, b, &old), 0);
	cycle(s);
	s->precise[0] = 0;
	cycle(s);
	CHECK(sim_allocated(s, a) && sim_allocated(s, b));
	CHECK_EQ(s->h.links.count, 2);
	sim_close(s);
}

/* So that the table grows, before, after and in the midst of a look at it. */
void gct_link_many(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 48);
	u32 n = 200 * GCT_SCALE, i;
	u64 *a = env_zalloc(n * sizeof(*a)), before = s->h.n.meta_bytes;

	CHECK(a);
	s->slow = false;
	for (i = 0; i < n; i++) {
		a[i] = sim_need(s, 0, 0);
		if (i == n / 2) {
			sim_trace_begin(s);
			gch_link_look(&s->h, 1);
		}
		tie(s, a[i] + 8, i % 2, a[i / 2]);
		sim_store(s, a[i] + 8, 1);
	}
	sim_verify(s);
	CHECK(s->h.n.meta_bytes - before > n * sizeof(struct gch_link));
	s->precise[0] = a[n / 8];
	s->precise[1] = a[n / 4];
	sim_trace_finish(s);
	sim_sweep_phase(s);
	sim_need(s, 0, 0);
	cycle(s);
	CHECK_EQ(sim_load(s, a[n / 4] + 8), 1);
	CHECK_EQ(sim_load(s, a[n / 8] + 8), 0);
	CHECK_EQ(s->h.links.count, 1);
	sim_verify(s);
	env_free(a);
	sim_close(s);
}

/* Beside the marking: registered, moved and taken back before and after the look. */
void gct_link_traced(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = tied(s, 0, false), b = tied(s, 1, false), c = sim_need(s, 0, 0), old;
	u64 d = tied(s, 5, false);

	sim_need(s, 0, 0);
	s->precise[0] = a;
	sim_trace_begin(s);
	sim_trace_round(s);
	CHECK(!gch_link_look(&s->h, 1));
	tie(s, outside(2), false, c);
	s->outside[2] = 1;
	CHECK_EQ(gch_link_move(&s->h, outside(1), outside(3), false, &old), 0);
	s->outside[3] = s->outside[1];
	CHECK_EQ(gch_link_clear(&s->h, outside(5), false, &old), 0);
	CHECK_EQ(old, d);
	/* Alive when it was looked at, and freed since. */
	s->precise[0] = 0;
	CHECK(gch_free_early(&s->h, a));
	sim_trace_pause(s);
	sim_trace_round(s);
	sim_trace_finish(s);
	CHECK(!s->outside[0] && s->outside[1] && !s->outside[2] && !s->outside[3]);
	CHECK(s->outside[5]);
	sim_sweep_phase(s);
	CHECK(!sim_allocated(s, b) && !sim_allocated(s, c));
	CHECK_EQ(s->h.links.count, 0);
	sim_close(s);
}

/* What an earlier cycle has marked is not found dead. */
void gct_link_young(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);
	u64 a = tied(s, 0, false);

	s->precise[0] = a;
	sim_need(s, 0, 0);
	sim_trace_phase(s, 1);
	sim_sweep_phase(s);
	s->precise[0] = 0;
	tied(s, 1, false);
	sim_need(s, 0, 0);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	gch_cycle_clear(&s->h);
	gch_cycle_trace(&s->h, true);
	s->tracking = true;
	sim_trace_finish(s);
	sim_sweep_phase(s);
	CHECK(s->outside[0] && !s->outside[1]);
	cycle(s);
	CHECK(!s->outside[0]);
	sim_close(s);
}

/* Neither the object nor the holder moves. */
void gct_link_pinned(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, GCHEAP_CACHE_MOVABLE, 512);
	u64 a[160], old;
	u32 i, n;

	for (i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = sim_need(s, 0, 0);
	/* One of 16 in each span stays; of the first the link, of the second its object. */
	for (i = 0; i < ARRAY_SIZE(a); i += 16)
		s->precise[i / 16] = a[i];
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	sim_cycle(s);
	CHECK_EQ(gch_link_set(&s->h, a[0] + 16, false, a[16], &old), 0);
	n = sim_evac_choose(s, 32);
	CHECK(n > 2);
	/* And one that is told of meanwhile. */
	CHECK_EQ(gch_link_set(&s->h, outside(0), true, a[32], &old), 0);
	sim_trace_phase(s, 2);
	sim_sweep_phase(s);
	CHECK(s->precise[0] == a[0] && s->precise[1] == a[16] && s->precise[2] == a[32]);
	CHECK(s->h.n.moved_objects);
	sim_close(s);
}

/* An attempt that ends leaves them as they were. */
void gct_link_abandoned(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);

	tied(s, 0, false);
	tied(s, 1, true);
	sim_need(s, 0, 0);
	sim_trace_begin(s);
	sim_trace_round(s);
	s->tracking = false;
	gch_cycle_abandon(&s->h);
	sim_verify(s);
	CHECK(s->outside[0] && s->outside[1]);
	CHECK_EQ(s->h.links.at, 0);
	sim_trace_phase(s, 1);
	gch_cycle_finalize(&s->h);
	gch_final_some(&s->h, 1);
	gch_cycle_abandon(&s->h);
	sim_verify(s);
	cycle(s);
	CHECK(!s->outside[0] && !s->outside[1]);
	sim_close(s);
}

void gct_link_hidden(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);

	CHECK(!gch_thread_hides(&s->h));
	s->tcb[0]->hidden = 1;
	CHECK(gch_thread_hides(&s->h));
	s->tcb[0]->hidden = 0;
	s->tcb[1]->hidden = 1;	/* nobody's */
	CHECK(!gch_thread_hides(&s->h));
	sim_close(s);
}
