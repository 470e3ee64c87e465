// SPDX-License-Identifier: GPL-2.0-only
/* Objects that the program is asked about: here what they refer to is there in a disguise. */
#include "cases.h"
#include "sim.h"

enum { BOX, ASKED, LARGE, WEAK };	/* caches */

/* Tell the word at an offset of 8. */
static void tell(struct sim *s, u64 addr)
{
	u64 word = ~sim_load(s, addr + 8);

	gch_mark_ambiguous(&s->h, &word, 1);
}

static struct sim *with_asked(void)
{
	static const struct sim_maps weak = {
		.fixed = 2, .fixed_weak = 1, .length = GCHEAP_NO_LENGTH,
	};
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 32);

	CHECK_EQ(sim_cache(s, GCHEAP_ASK, 0, 32), ASKED);
	CHECK_EQ(sim_cache(s, GCHEAP_ASK, GCHEAP_CACHE_LARGE, 0), LARGE);
	CHECK_EQ(sim_typed(s, 0, 16, &weak), WEAK);
	s->ask = tell;
	return s;
}

static void hide(struct sim *s, u64 addr, u64 value)
{
	CHECK(sim_store(s, addr + 8, ~value));
}

/* None under test is a cursor's last. */
static void others(struct sim *s)
{
	sim_need(s, 0, BOX);
	sim_need(s, 0, ASKED);
	sim_need(s, 0, WEAK);
}

/* What is in them keeps nothing; what is told does, if they are marked. */
void gct_ask_marked_only(void)
{
	struct sim *s = with_asked();
	u64 a = sim_need(s, 0, ASKED), dead = sim_need(s, 0, ASKED);
	u64 box = sim_need(s, 0, BOX), plain = sim_need(s, 0, BOX), lost = sim_need(s, 0, BOX);

	others(s);
	s->precise[0] = a;
	hide(s, a, box);
	sim_store(s, a, plain);
	hide(s, dead, lost);
	sim_cycle(s);
	CHECK(sim_allocated(s, a) && sim_allocated(s, box));
	CHECK(!sim_allocated(s, dead) && !sim_allocated(s, lost) && !sim_allocated(s, plain));
	CHECK_EQ(s->asked, 1);
	CHECK_EQ(s->h.n.marked_objects_last, 2);
	CHECK_EQ(s->h.n.marked_bytes_last, 64);
	sim_close(s);
}

/* A chain of them, with others in between, from page to page and back. */
void gct_ask_chain(void)
{
	struct sim *s = with_asked();
	static u64 obj[600];	/* a kernel stack is small */
	u32 i;

	for (i = 0; i < ARRAY_SIZE(obj); i++)
		obj[i] = sim_need(s, 0, i % 3 ? ASKED : BOX);
	others(s);
	for (i = 0; i < ARRAY_SIZE(obj); i++) {
		u32 to = (i * 271 + 271) % ARRAY_SIZE(obj), at = i * 271 % ARRAY_SIZE(obj);

		if (at % 3)
			hide(s, obj[at], obj[to]);
		else
			sim_store(s, obj[at], obj[to]);
	}
	s->precise[0] = obj[0];
	sim_cycle(s);
	CHECK_EQ(s->asked, 400);
	CHECK_EQ(s->h.n.marked_objects_last, 600);
	hide(s, obj[271], 0);
	sim_cycle(s);
	CHECK_EQ(s->h.n.marked_objects_last, 2);
	sim_close(s);
}

/* Large ones; not one that is being made, which may hold anything. */
void gct_ask_large(void)
{
	struct sim *s = with_asked();
	u64 box = sim_need(s, 0, BOX), a, b;
	u32 id;

	a = sim_large(s, 0, LARGE, 100000);
	gch_large_zeroed(&s->h, sim_id(a));
	hide(s, a, box);
	CHECK_EQ(gch_thread_large(&s->h, 0, LARGE, 50000, &id), 0);
	b = gch_slot_addr(&s->h, id);
	gch_desc(&s->h, id)->flags &= ~GCHEAP_SPANF_ZERO;
	others(s);
	s->precise[0] = a;
	sim_cycle(s);
	CHECK(sim_allocated(s, a) && sim_allocated(s, b) && sim_allocated(s, box));
	CHECK_EQ(s->asked, 1);
	gch_large_zeroed(&s->h, id);
	sim_cycle(s);
	CHECK_EQ(s->asked, 3);
	sim_close(s);
}

/* A word leads to a cell that no thread has handed out. */
void gct_ask_above_cursor(void)
{
	struct sim *s = with_asked();
	u64 a = sim_need(s, 0, ASKED);

	s->ambiguous[0] = a;
	s->ambiguous[1] = a + 32;
	s->ambiguous[2] = a + 96;
	sim_cycle(s);
	CHECK_EQ(s->asked, 1);
	sim_verify(s);
	sim_close(s);
}

/*
 * A pause that came to no end is none that counts: what was told may have changed. (The cursor's
 * last is asked about, too, if it may be old.)
 */
void gct_ask_again(void)
{
	struct sim *s = with_asked();
	u64 a = sim_need(s, 0, ASKED), old = sim_need(s, 0, BOX), box = sim_need(s, 0, BOX), late;

	others(s);
	s->precise[0] = a;
	hide(s, a, old);
	sim_trace_begin(s);
	sim_trace_round(s);
	sim_trace_pause(s);
	CHECK_EQ(s->asked, 2);
	sim_trace_round(s);
	hide(s, a, box);
	late = sim_need(s, 0, ASKED);		/* black, and asked about as well */
	sim_need(s, 0, ASKED);
	hide(s, late, sim_need(s, 0, BOX));
	s->precise[1] = late;
	sim_trace_pause(s);
	sim_trace_round(s);
	s->check = true;
	sim_trace_finish(s);
	CHECK_EQ(s->lost, 0);
	CHECK(s->h.n.black_objects >= 1);
	sim_sweep_phase(s);
	CHECK(sim_allocated(s, box) && sim_allocated(s, ~sim_load(s, late + 8)));
	CHECK(sim_allocated(s, old));		/* marks are not taken back */
	sim_cycle(s);
	CHECK(!sim_allocated(s, old));
	sim_close(s);
}

/* An attempt ends with some that were not asked about. */
void gct_ask_abandoned(void)
{
	struct sim *s = with_asked();
	u64 a = sim_need(s, 0, ASKED), box = sim_need(s, 0, BOX), addr;
	u32 at = 0;

	others(s);
	s->precise[0] = a;
	hide(s, a, box);
	gch_cycle_clear(&s->h);
	while (gch_mark_clear(&s->h, &at, 1000))
		;
	gch_cycle_stop(&s->h);
	gch_cycle_mark(&s->h);
	gch_ask_begin(&s->h);
	gch_mark_precise(&s->h, s->precise, 1);
	while (gch_mark_drain(&s->h, 1))
		;
	CHECK(s->h.ask_head);
	gch_cycle_abandon(&s->h);
	CHECK(!s->h.ask_head && !gch_ask_take(&s->h, &addr, 1));
	sim_verify(s);
	sim_cycle(s);
	CHECK(sim_allocated(s, box));
	sim_close(s);
}

/*
 * A dead object is brought back by its finalizer, with what it leads to by being asked about,
 * before weak words to that are cleared.
 */
void gct_ask_final(void)
{
	struct sim *s = with_asked();
	u64 dead = sim_need(s, 0, ASKED), next = sim_need(s, 0, ASKED), box = sim_need(s, 0, BOX);
	u64 w = sim_need(s, 0, WEAK), old, asked;
	int i;

	for (i = 0; i < 2; i++) {
		others(s);
		hide(s, dead, next);
		hide(s, next, w);
		sim_store(s, w, box);
		hide(s, box, 0);
		CHECK_EQ(gch_final_set(&s->h, dead, 1, GCH_ORDER_NONE, &old), 0);
		if (i)
			sim_trace_phase(s, 3);
		else
			sim_mark_phase(s);
		asked = s->asked;
		sim_sweep_phase(s);
		CHECK_EQ(s->asked, asked + 2);
		CHECK_EQ(s->h.finals.ready, 1);
		CHECK(sim_allocated(s, dead) && sim_allocated(s, next) && sim_allocated(s, w));
		CHECK_EQ(sim_load(s, w), 0);	/* and it has died */
		CHECK(!sim_allocated(s, box));
		gch_final_pop(&s->h, 1);
		box = sim_need(s, 0, BOX);
	}
	sim_close(s);
}

/* A word weak to what only an asked one leads to stays. */
void gct_ask_weak(void)
{
	struct sim *s = with_asked();
	u64 a = sim_need(s, 0, ASKED), box = sim_need(s, 0, BOX), w = sim_need(s, 0, WEAK);

	others(s);
	s->precise[0] = a;
	s->precise[1] = w;
	hide(s, a, box);
	sim_store(s, w, box);
	sim_trace_phase(s, 3);
	sim_sweep_phase(s);
	CHECK_EQ(sim_load(s, w), box);
	hide(s, a, 0);
	sim_cycle(s);
	CHECK_EQ(sim_load(s, w), 0);
	sim_close(s);
}
