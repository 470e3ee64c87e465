// SPDX-License-Identifier: GPL-2.0-only
/* A heap like another one: all that is in the one is in the other, and each goes its own way. */
#include "cases.h"
#include "sim.h"

static const struct sim_maps maps = {
	.fixed = 4, .fixed_ptr = 1, .fixed_weak = 2, .elem = 2, .elem_ptr = 1,
	.elem_weak = 2, .length = 3,
};

#define NCACHES	8

static const u32 large_bytes[] = { 1, 20000, GCHEAP_CHUNK_SIZE + 1, 3 * GCHEAP_CHUNK_SIZE };

/* Objects of every kind, in spans that threads own or have owned; NULL: no memory. */
static bool fill(struct sim *s)
{
	u32 t, k, i, c[NCACHES];
	u64 a, old, prev = 0;

	for (t = 0; t < 3; t++)
		if (gch_thread_attach(&s->h, &k))
			return false;
	c[0] = sim_cache(s, GCHEAP_CONSERVATIVE, 0, 16);
	c[1] = sim_cache(s, GCHEAP_NOSCAN, 0, 16);
	c[2] = sim_cache(s, GCHEAP_CONSERVATIVE, GCHEAP_CACHE_PAST_END, 48);
	c[3] = sim_cache(s, GCHEAP_NOSCAN, GCHEAP_CACHE_MOVABLE, 24576);
	c[4] = sim_typed(s, 0, 2048, &maps);
	c[5] = sim_cache(s, GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0);
	c[6] = sim_cache(s, GCHEAP_NOSCAN, GCHEAP_CACHE_LARGE, 0);
	c[7] = sim_cache(s, GCHEAP_ASK, 0, 32);
	for (i = 0; i < 400; i++) {
		t = i % 3;
		k = i / 3 % 5;
		if ((s32)c[k] < 0)
			return false;
		a = sim_alloc(s, t, c[k]);
		if (!a || !sim_store(s, a, prev) || !sim_store(s, a + 8, i))
			return false;
		prev = k == 0 || k == 2 ? a : prev;
		if (i % 7 == 0 &&
		    gch_final_set(&s->h, a, i, i % 2 ? GCH_ORDER_NONE : GCH_ORDER_LAST, &old))
			return false;
		if (i % 11 == 0 && gch_link_set(&s->h, a, i % 2, a, &old))
			return false;
	}
	for (i = 0; i < ARRAY_SIZE(large_bytes); i++) {
		a = (s32)c[5] < 0 || (s32)c[6] < 0 ? 0 :
			sim_large(s, i % 3, c[5 + i % 2], large_bytes[i]);
		if (!a || !sim_store(s, a, i))
			return false;
	}
	for (i = 0; i < 3; i++)
		if ((s32)c[7] < 0 || !sim_alloc(s, i, c[7]))
			return false;
	s->precise[0] = prev;
	s->h.param.growth = 77;
	return true;
}

static void same_words(struct sim *to, struct sim *s, u64 addr, u64 bytes)
{
	u64 off;

	for (off = 0; off < bytes; off += 8)
		CHECK_EQ(sim_load(to, addr + off), sim_load(s, addr + off));
}

struct pair {
	struct sim *to, *s;
};

static void same_cell(void *arg, u64 addr)
{
	const struct pair *p = arg;
	struct gch_ref r, q;

	CHECK(sim_cell(p->s, addr, &r) && sim_cell(p->to, addr, &q));
	CHECK(gch_ref_live(&q));
	CHECK_EQ(q.d->cache, r.d->cache);
	CHECK_EQ(q.d->bytes, r.d->bytes);
	CHECK(!gch_span_owned(q.d));
	same_words(p->to, p->s, addr, (u64)r.d->cell_granules * GCHEAP_GRANULE);
}

/* Nothing more and nothing less. */
static void same(struct sim *to, struct sim *s)
{
	struct pair p = { to, s };

	sim_each(s, same_cell, &p);
	CHECK_EQ(sim_count(to), sim_count(s));
	CHECK_EQ(to->h.ncaches, s->h.ncaches);
	CHECK_EQ(to->h.finals.registered, s->h.finals.registered);
	CHECK_EQ(to->h.finals.ready, s->h.finals.ready);
	CHECK_EQ(to->h.links.count, s->h.links.count);
	CHECK_EQ(to->h.moved_slots, s->h.moved_slots);
	CHECK_EQ(to->h.n.meshed_pages, s->h.n.meshed_pages);
	CHECK_EQ(to->h.param.growth, s->h.param.growth);
	CHECK_EQ(to->h.nthreads, 0);
}

/* A copy of it, which is the same. */
static struct sim *copy_of(struct sim *s)
{
	struct sim *to = env_zalloc(sizeof(*to));

	CHECK(to);
	CHECK_EQ(sim_copy(to, s), 0);
	same(to, s);
	sim_verify(s);
	return to;
}

/* Collect and allocate. */
static void go_on(struct sim *s)
{
	u32 t, c, i;

	CHECK_EQ(gch_thread_attach(&s->h, &t), 0);
	for (c = 0; c < 5; c++)
		for (i = 0; i < 300; i++)
			CHECK(sim_store(s, sim_need(s, t, c), 0));
	sim_cycle(s);
	CHECK(sim_large(s, t, 5, 100000));
	gch_thread_detach(&s->h, t);
	sim_cycle(s);
	sim_verify(s);
}

void gct_copy_kinds(void)
{
	struct sim *s = sim_open(SIM_SIZE), *to, *next;
	u64 n;

	CHECK(fill(s));
	n = sim_count(s);
	to = copy_of(s);
	go_on(to);
	next = copy_of(to);
	sim_close(to);
	go_on(next);
	sim_close(next);
	CHECK_EQ(sim_count(s), n);
	go_on(s);
	to = copy_of(s);
	sim_close(s);
	go_on(to);
	sim_close(to);
}

static void tell(struct sim *s, u64 addr)
{
	u64 word = ~sim_load(s, addr);

	gch_mark_ambiguous(&s->h, &word, 1);
}

/* Objects that the program is asked about are so in the copy. */
void gct_copy_asked(void)
{
	struct sim *s = sim_open(SIM_SIZE), *to;
	u32 asked, box, i, t;
	u64 a = 0, b;

	CHECK_EQ(gch_thread_attach(&s->h, &t), 0);
	asked = sim_cache(s, GCHEAP_ASK, 0, 32);
	box = sim_cache(s, GCHEAP_NOSCAN, 0, 32);
	for (i = 0; i < 300; i++) {
		b = sim_need(s, t, i % 3 ? asked : box);
		CHECK(sim_store(s, b, ~a));
		a = i % 3 ? b : a;
	}
	s->ask = tell;
	s->precise[0] = a;
	to = copy_of(s);
	CHECK_EQ(to->h.nasks, 1);
	sim_cycle(to);
	CHECK_EQ(to->asked, 200);
	CHECK_EQ(to->h.n.marked_objects_last, 200);
	sim_verify(to);
	sim_close(to);
	sim_cycle(s);
	CHECK_EQ(s->asked, 200);
	sim_close(s);
}

/* Finalizers that are due are due in both. */
void gct_copy_finals(void)
{
	struct sim *s = sim_open(SIM_SIZE), *to;
	struct gcheap_ready a, b;

	CHECK(fill(s));
	s->precise[0] = 0;
	sim_cycle(s);
	CHECK(s->h.finals.ready > 20);
	to = copy_of(s);
	while (s->h.finals.ready) {
		CHECK_EQ(gch_final_peek(&s->h, &a, 1, false), 1);
		CHECK_EQ(gch_final_peek(&to->h, &b, 1, false), 1);
		CHECK(a.addr == b.addr && a.cookie == b.cookie);
		gch_final_pop(&s->h, 1);
		gch_final_pop(&to->h, 1);
	}
	CHECK_EQ(to->h.finals.ready, 0);
	go_on(to);
	sim_close(s);
	sim_close(to);
}

/* Of two, the one that is kept and the one that is not. */
static void links_of(struct sim *s, const u64 *a, u64 kept)
{
	u64 old;
	u32 i;

	sim_cycle(s);
	for (i = 0; i < 4; i++) {
		CHECK_EQ(!s->outside[i], i % 2 != kept);
		CHECK_EQ(gch_link_get(&s->h, SIM_OUTSIDE + 8 * i, i / 2, &old),
			 i % 2 == kept ? 0 : -ENOENT);
	}
	CHECK_EQ(sim_load(s, a[2]), kept ? 0 : 1);
	CHECK_EQ(sim_load(s, a[2] + 8), kept ? 1 : 0);
	sim_verify(s);
}

/* Words outside, and in objects, become 0 in each heap when the object has died there. */
void gct_copy_links(void)
{
	struct sim *s = sim_with(GCHEAP_NOSCAN, 0, 32), *to;
	u64 a[3], old;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = sim_need(s, 0, 0);
	for (i = 0; i < 4; i++) {
		CHECK_EQ(gch_link_set(&s->h, SIM_OUTSIDE + 8 * i, i / 2, a[i % 2], &old), 0);
		s->outside[i] = 1;
	}
	for (i = 0; i < 2; i++) {
		CHECK_EQ(gch_link_set(&s->h, a[2] + 8 * i, i, a[i], &old), 0);
		CHECK(sim_store(s, a[2] + 8 * i, 1));
	}
	sim_need(s, 0, 0);
	s->precise[0] = a[2];
	s->precise[1] = a[0];
	to = copy_of(s);
	to->precise[1] = a[1];
	links_of(to, a, 1);
	links_of(s, a, 0);
	sim_close(s);
	/* It has a table of its own, which grows. */
	for (i = 0; i < 200; i++)
		CHECK_EQ(gch_link_set(&to->h, SIM_OUTSIDE + 8 * i, false, a[1], &old), 0);
	sim_verify(to);
	sim_close(to);
}

/* Pages that share frames do in the copy, and are split there when they have to be. */
void gct_copy_meshed(void)
{
	enum { CELL = 64, PER = GCH_PAGE_SIZE / CELL, PAGES = 4 * PER };
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, CELL), *to;
	u32 i, t;

	s->slow = false;
	for (i = 0; i < PAGES * PER; i++)
		sim_store(s, sim_need(s, 0, 0), i);
	gch_thread_retire(&s->h, 0, 0);
	s->place[0][0].n = 0;
	for (i = 0; i < PAGES * PER; i++)
		if (i % PER != i / PER * 7 % PER)
			CHECK(gch_free_early(&s->h, SIM_BASE + i * CELL));
	CHECK(sim_mesh(s, true) > PAGES / 2);
	to = copy_of(s);
	CHECK_EQ(to->h.n.resident_pages, s->h.n.resident_pages);
	sim_verify(to);
	/* No room for new spans. */
	to->h.param.limit = to->h.n.heap_bytes;
	CHECK_EQ(gch_thread_attach(&to->h, &t), 0);
	for (i = 0; i < PAGES * (PER - 1); i++)
		sim_store(to, sim_need(to, t, 0), 0);
	CHECK(to->split);
	for (i = 0; i < PAGES * PER; i++)
		if (i % PER == i / PER * 7 % PER)
			CHECK_EQ(sim_load(to, SIM_BASE + i * CELL), i);
	sim_verify(to);
	sim_close(to);
	sim_close(s);
}

/* Whatever a cursor says, what is live in the copy is within the spans. */
void gct_copy_scribbled(void)
{
	static const u64 pos[] = { ~0ull, 1ull << 32, 7ull << 32 | 5, 0xffffffff, 1000, 0 };
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 48), *to;
	u32 i;

	for (i = 0; i < 500; i++)
		sim_need(s, 0, 0);
	to = env_zalloc(sizeof(*to));
	CHECK(to);
	for (i = 0; i < ARRAY_SIZE(pos); i++) {
		*sim_pos(s, 0, 0) = pos[i];
		CHECK_EQ(sim_copy(to, s), 0);
		sim_verify(to);
		sim_cycle(to);
		sim_try_close(to);
	}
	env_free(to);
	*sim_pos(s, 0, 0) = 0;
	sim_close(s);
}

/*
 * The @n-th allocation fails, then each FAIL_STEP-th from there in turn: there is no copy then,
 * and the other heap is as it was.
 */
static void fails_from(long n)
{
	struct sim *s = sim_open(SIM_SIZE), *to = env_zalloc(sizeof(*to));
	u64 before, count;
	bool failed;

	CHECK(to && fill(s));
	count = sim_count(s);
	before = gct_allocs();
	for (failed = true; failed; n += FAIL_STEP) {
		int err;

		gct_fail_at(n);
		err = sim_copy(to, s);
		failed = !gct_fail_at(0);
		if (!err) {
			same(to, s);
			sim_try_close(to);
		}
		CHECK_EQ(gct_allocs(), before);
		CHECK_EQ(sim_count(s), count);
	}
	gct_log("failures up to %ld", n - 2 * FAIL_STEP);
	CHECK(n > 30);
	sim_verify(s);
	sim_close(s);
	env_free(to);
}

void gct_copy_fails_1st(void)
{
	fails_from(1);
}

void gct_copy_fails_2nd(void)
{
	fails_from(2);
}

void gct_copy_fails_3rd(void)
{
	fails_from(3);
}

void gct_copy_fails_4th(void)
{
	fails_from(4);
}
