// SPDX-License-Identifier: GPL-2.0-only
#include "model.h"

#define NROOTS		48
#define NTIES		40
#define POISON		0x5a5a5a5a5a5a5a5aull
#define NONE		U32_MAX

/** struct kind - a cache, and what the reference collector knows of its cells */
struct kind {
	u8 layout;
	u8 tag_bits;
	u32 flags;
	u32 cell;		/* bytes; 0: large */
	u32 fixed, elem;	/* words */
	u32 length;		/* word number, or GCHEAP_NO_LENGTH */
	u64 fixed_ptr, fixed_weak, elem_ptr, elem_weak;
};

#define PAST	GCHEAP_CACHE_PAST_END
#define LARGE	GCHEAP_CACHE_LARGE
#define PAIRS	GCHEAP_CACHE_EPHEMERON

static const struct kind kinds[] = {
	{ .layout = GCHEAP_CONSERVATIVE, .cell = 16 },
	{ .layout = GCHEAP_CONSERVATIVE, .cell = 48, .flags = PAST },
	{ .layout = GCHEAP_NOSCAN, .cell = 64 },
	{ .layout = GCHEAP_TYPED, .cell = 96, .tag_bits = 3, .fixed = 4, .elem = 2,
	  .length = 3, .fixed_ptr = 5, .fixed_weak = 2, .elem_ptr = 1,
	  .elem_weak = 2 },
	{ .layout = GCHEAP_TYPED, .cell = 400, .fixed = 1, .elem = 1,
	  .length = GCHEAP_NO_LENGTH, .elem_ptr = 1 },
	{ .layout = GCHEAP_TYPED, .cell = 32, .tag_bits = 4, .fixed = 4,
	  .length = GCHEAP_NO_LENGTH, .fixed_ptr = 8, .fixed_weak = 7 },
	{ .layout = GCHEAP_CONSERVATIVE, .cell = 5008, .flags = PAST },
	{ .layout = GCHEAP_CONSERVATIVE, .cell = 32768 },
	{ .layout = GCHEAP_CONSERVATIVE, .flags = LARGE | PAST },
	{ .layout = GCHEAP_TYPED, .flags = LARGE, .tag_bits = 1, .fixed = 2,
	  .elem = 3, .length = 0, .fixed_ptr = 2, .elem_ptr = 1, .elem_weak = 4 },
	{ .layout = GCHEAP_NOSCAN, .flags = LARGE },
	{ .layout = GCHEAP_TYPED, .flags = PAIRS, .cell = 96, .tag_bits = 2, .fixed = 3,
	  .elem = 3, .length = 1, .fixed_ptr = 1, .fixed_weak = 4, .elem_ptr = 5,
	  .elem_weak = 2 },
	{ .layout = GCHEAP_TYPED, .flags = PAIRS | LARGE, .fixed = 1, .elem = 2,
	  .length = 0, .elem_ptr = 2, .elem_weak = 1 },
	{ .layout = GCHEAP_ASK, .cell = 16 },
	{ .layout = GCHEAP_ASK, .cell = 112 },
	{ .layout = GCHEAP_ASK, .flags = LARGE },
};

#define NKINDS	ARRAY_SIZE(kinds)

/**
 * struct obj - an allocated object
 * @bytes: of the cell; @extent: in which an address belongs to it
 * @words: what the program has written there
 * @cookie: of its finalizer, 0: none, and its @order; @ready: dead, and not fetched
 * @pushed: in a ring of early frees
 * @asleep: reached by nothing but dead objects that have finalizers, which are being looked
 *	for: the program cannot come by it
 */
struct obj {
	u64 addr;
	u64 *words;
	u64 cookie;
	u32 bytes, extent;
	u8 kind;
	u8 order;
	bool marked, black, ready, pushed, asleep;
};

/**
 * struct tie - a link
 * @word: address that becomes 0 when the object at another one dies
 * @orphan: that was freed
 * @dying: it has died, and when FINALIZE is over the word is 0, or it has been kept for that;
 *	the program leaves the link alone until then
 */
struct tie {
	u64 word, object;
	bool used, lng, orphan, dying;
};

struct model {
	struct sim *s;
	const struct model_plan *plan;
	struct model_stats *st;
	struct gct_random r;
	struct obj *obj;
	u32 n;
	u32 *order;		/* by address, while sorted */
	bool sorted;
	u32 *todo;		/* found, not searched yet */
	u32 ntodo;
	u64 ambiguous[NROOTS], precise[NROOTS];
	struct tie tie[NTIES];
	u64 outside[SIM_WORDS];
	u64 cookies;
	u32 cache[NKINDS];
	bool attached[SIM_THREADS];
};

static u32 pick(struct model *m, u32 n)
{
	return gct_rand(&m->r, n);
}

/* ---- The table ---- */

static void sort(struct model *m)
{
	u32 gap, i, j;

	if (m->sorted)
		return;
	for (i = 0; i < m->n; i++)
		m->order[i] = i;
	for (gap = m->n / 2; gap; gap /= 2) {
		for (i = gap; i < m->n; i++) {
			u32 x = m->order[i];

			for (j = i; j >= gap && m->obj[m->order[j - gap]].addr >
			     m->obj[x].addr; j -= gap)
				m->order[j] = m->order[j - gap];
			m->order[j] = x;
		}
	}
	m->sorted = true;
}

/* The object an address is in. */
static u32 find(struct model *m, u64 addr)
{
	u32 lo = 0, hi = m->n;

	sort(m);
	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (m->obj[m->order[mid]].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NONE;
	lo = m->order[lo - 1];
	return addr - m->obj[lo].addr < m->obj[lo].extent ? lo : NONE;
}

static bool is_inside(const struct obj *o, u64 word)
{
	return word - o->addr < o->extent;
}

/* An orphan may go in this FINALIZE yet, also one that could not be written where it was. */
static bool may_die(struct model *m, const struct tie *t)
{
	return t->lng && t->orphan && m->s->h.phase == GCHEAP_PHASE_FINALIZE;
}

/* Links in it are forgotten, and those to it have none. */
static void untie(struct model *m, const struct obj *o)
{
	struct tie *t;

	for (t = m->tie; t < m->tie + NTIES; t++) {
		if (is_inside(o, t->word))
			t->used = false;
		if (t->object != o->addr || t->dying)
			continue;
		t->orphan = true;
		t->dying = may_die(m, t);
	}
}

static void forget(struct model *m, u32 i)
{
	untie(m, &m->obj[i]);
	env_free(m->obj[i].words);
	m->obj[i] = m->obj[--m->n];
	m->sorted = false;
}

/* ---- The program ---- */

/* What only the program understands is there in a disguise; what it has never written is not. */
static u64 disguise(const struct obj *o, u64 value)
{
	return kinds[o->kind].layout == GCHEAP_ASK && value ? ~value : value;
}

static struct tie *find_tie(struct model *m, u64 word, bool lng)
{
	struct tie *t;

	for (t = m->tie; t < m->tie + NTIES; t++)
		if (t->used && t->word == word && t->lng == lng)
			return t;
	return NULL;
}

/* It may become 0 at any time. */
static bool is_dying(struct model *m, u64 word)
{
	const struct tie *a = find_tie(m, word, false), *b = find_tie(m, word, true);

	return (a && a->dying) || (b && b->dying);
}

static void write_word(struct model *m, struct obj *o, u32 w, u64 value)
{
	if (is_dying(m, o->addr + 8 * (u64)w))
		return;
	if (sim_store(m->s, o->addr + 8 * (u64)w, disguise(o, value)))
		o->words[w] = value;
}

/* Whether the program has nothing to do with an object. */
static bool is_away(const struct obj *o)
{
	return o->pushed || o->asleep;
}

static u64 random_junk(struct model *m)
{
	/* In FINALIZE nothing that could be where something has died: it may be weak. */
	switch (pick(m, m->s->h.phase == GCHEAP_PHASE_FINALIZE ? 2 : 4)) {
	case 0:
		return gct_rand64(&m->r);
	case 1:
		return pick(m, 100);
	case 2:	/* somewhere in the reservation */
		return SIM_BASE + gct_rand64(&m->r) % m->s->h.size;
	default: /* near the end of what is in use */
		return SIM_BASE + ((u64)m->s->h.top << GCHEAP_SLOT_SHIFT) -
		       16 + 8 * pick(m, 5);
	}
}

/* A word that may refer to an object, for a place that is ambiguous or not. */
static u64 random_word(struct model *m, bool ambiguous, u32 tag_bits)
{
	const struct obj *o;
	u64 word;

	if (!m->n || !pick(m, 6))
		return pick(m, 2) ? 0 : random_junk(m);
	o = &m->obj[pick(m, m->n)];
	if (is_away(o))
		return 0;
	word = o->addr;
	if (!pick(m, 4))
		word += pick(m, o->bytes);
	else if (ambiguous && !pick(m, 8))
		word += o->bytes;
	if (tag_bits)
		word = (word & ~((1ull << tag_bits) - 1)) | pick(m, 1u << tag_bits);
	return word;
}

static void step_link(struct model *m)
{
	struct obj *o = &m->obj[pick(m, m->n)];
	const struct kind *k = &kinds[o->kind];
	u32 w = pick(m, o->bytes / 8);

	if (is_away(o))
		return;
	if (pick(m, 2))
		w = pick(m, min_t(u32, o->bytes / 8, 12));
	/* In FINALIZE an array does not take in words that may refer to what has died. */
	if (w == k->length && k->elem_weak && m->s->h.phase == GCHEAP_PHASE_FINALIZE)
		return;
	if (k->layout == GCHEAP_TYPED && w == k->length)
		write_word(m, o, w, pick(m, 4) ? pick(m, o->bytes / 8) : gct_rand64(&m->r));
	else
		write_word(m, o, w, random_word(m, k->layout != GCHEAP_TYPED,
						k->tag_bits));
}

static void step_unlink(struct model *m)
{
	struct obj *o = &m->obj[pick(m, m->n)];
	u32 w;

	if (is_away(o))
		return;
	for (w = 0; w < o->bytes / 8; w++)
		if (o->words[w] && pick(m, 2))
			write_word(m, o, w, 0);
}

static void step_root(struct model *m)
{
	if (pick(m, 2))
		m->ambiguous[pick(m, NROOTS)] = random_word(m, true, 0);
	else
		m->precise[pick(m, NROOTS)] = random_word(m, false, 0);
}

static void step_unroot(struct model *m)
{
	u32 i = pick(m, NROOTS);

	m->ambiguous[i] = 0;
	m->precise[(i * 7) % NROOTS] = 0;
}

static void enter(struct model *m, u64 addr, u32 kind, u64 bytes, u64 extent)
{
	struct obj *o = &m->obj[m->n];

	CHECK_EQ(find(m, addr), NONE);
	CHECK_EQ(find(m, addr + extent - 1), NONE);
	memset(o, 0, sizeof(*o));
	o->words = env_zalloc(bytes);
	CHECK(o->words);
	o->addr = addr;
	o->kind = kind;
	o->bytes = bytes;
	o->extent = extent;
	m->n++;
	m->sorted = false;
	m->st->allocs++;
	m->precise[pick(m, NROOTS)] = addr;
}

static u32 some_thread(struct model *m)
{
	u32 t = pick(m, SIM_THREADS);

	while (!m->attached[t])
		t = (t + 1) % SIM_THREADS;
	return t;
}

static void step_alloc(struct model *m)
{
	u32 kind = pick(m, NKINDS), t = some_thread(m), id;
	u64 bytes = kinds[kind].cell, extent = bytes, addr;

	if (m->n == m->plan->objects)
		return;
	gct_press(m->plan->pressed && pick(m, 2));
	if (kinds[kind].flags & LARGE) {
		bytes = GCHEAP_CELL_MAX + 1 + pick(m, m->plan->large - GCHEAP_CELL_MAX);
		addr = sim_large(m->s, t, m->cache[kind], bytes);
		id = (addr - SIM_BASE) >> GCHEAP_SLOT_SHIFT;
		extent = addr ? (u64)gch_desc(&m->s->h, id)->nslots *
			GCHEAP_SLOT_SIZE : 0;
		bytes = (bytes + 15) & ~15ull;
	} else {
		addr = sim_alloc(m->s, t, m->cache[kind]);
	}
	gct_press(false);
	if (addr)
		enter(m, addr, kind, bytes, extent);
	else
		m->st->refused++;
}

/*
 * The program may free early only what nothing refers to: false if it cannot come by
 * what does.
 */
static bool cut_off(struct model *m, const struct obj *o)
{
	u32 i, w;

	for (i = 0; i < m->n; i++) {
		if (!m->obj[i].asleep)
			continue;
		for (w = 0; w < m->obj[i].bytes / 8; w++)
			if (m->obj[i].words[w] - o->addr <= o->extent)
				return false;
	}
	for (i = 0; i < NROOTS; i++) {
		if (m->ambiguous[i] - o->addr <= o->extent)
			m->ambiguous[i] = 0;
		if (m->precise[i] - o->addr <= o->extent)
			m->precise[i] = 0;
	}
	for (i = 0; i < m->n; i++)
		for (w = 0; w < m->obj[i].bytes / 8; w++)
			if (m->obj[i].words[w] - o->addr <= o->extent)
				write_word(m, &m->obj[i], w, 0);
	return true;
}

static void poison(struct model *m, const struct obj *o)
{
	u32 w;

	for (w = 0; w < o->bytes / 8; w++)
		sim_store(m->s, o->addr + 8 * (u64)w, disguise(o, POISON));
}

static void step_free(struct model *m)
{
	u32 i = pick(m, m->n), t = some_thread(m);
	struct obj *o = &m->obj[i];
	u64 early = m->s->h.n.freed_early, bad = m->s->h.n.bad_frees;

	if (o->ready || is_away(o) || !cut_off(m, o))
		return;
	poison(m, o);
	memset(o->words, 0x5a, o->bytes);
	if (pick(m, 2)) {
		if (m->s->tcb[t]->free_head - m->s->tcb[t]->free_tail == GCHEAP_RING)
			return;
		o->pushed = true;
		sim_push_free(m->s, t, o->addr);
		return;
	}
	CHECK(gch_free_early(&m->s->h, o->addr));
	CHECK_EQ(m->s->h.n.bad_frees, bad);
	CHECK(!sim_allocated(m->s, o->addr));
	CHECK_EQ(m->s->h.n.freed_early, early + 1);
	CHECK(!gch_free_early(&m->s->h, o->addr));
	m->st->freed++;
	forget(m, i);
}

/* What was pushed is free. */
static void after_drain(struct model *m)
{
	u32 i;

	for (i = m->n; i--;) {
		if (!m->obj[i].pushed)
			continue;
		CHECK(!sim_allocated(m->s, m->obj[i].addr));
		m->st->freed++;
		forget(m, i);
	}
}

static void drain_rings(struct model *m)
{
	u64 bad = m->s->h.n.bad_frees;
	u32 t;

	for (t = 0; t < SIM_THREADS; t++)
		gch_free_drain(&m->s->h, t);
	CHECK_EQ(m->s->h.n.bad_frees, bad);
	after_drain(m);
}

/* What is cut off is not there when the object grows again: see gcheap_realloc(). */
static void clear_end(struct model *m, const struct obj *o, u64 bytes)
{
	u32 w, end = min_t(u64, o->bytes, (bytes + GCHEAP_SLOT_SIZE - 1) & -GCHEAP_SLOT_SIZE) / 8;

	for (w = bytes / 8; w < end; w++)
		sim_store(m->s, o->addr + 8 * (u64)w, 0);
}

static void tie_resized(struct model *m, const struct obj *o, u64 addr, u64 bytes)
{
	struct tie *t;

	for (t = m->tie; t < m->tie + NTIES; t++) {
		if (t->object == o->addr && addr != o->addr)
			t->orphan = true;
		if (!is_inside(o, t->word))
			continue;
		t->used &= t->word - o->addr < bytes;
		t->word += addr - o->addr;
	}
}

static void step_resize(struct model *m)
{
	struct obj *o = &m->obj[pick(m, m->n)];
	u64 bytes = 16 * (1 + pick(m, m->plan->large / 16)), addr, *words;

	if (!(kinds[o->kind].flags & LARGE) || o->ready || is_away(o) ||
	    m->s->h.phase == GCHEAP_PHASE_FINALIZE || !cut_off(m, o))
		return;
	clear_end(m, o, bytes);
	gct_press(m->plan->pressed && pick(m, 2));
	addr = sim_resize(m->s, some_thread(m), o->addr, bytes);
	gct_press(false);
	if (!addr) {
		m->st->refused++;
		return;
	}
	tie_resized(m, o, addr, bytes);
	words = env_zalloc(bytes);
	CHECK(words);
	memcpy(words, o->words, min_t(u64, bytes, o->bytes));
	env_free(o->words);
	o->words = words;
	o->cookie = addr == o->addr ? o->cookie : 0;
	o->addr = addr;
	o->bytes = bytes;
	o->extent = (bytes + GCHEAP_SLOT_SIZE - 1) & -GCHEAP_SLOT_SIZE;
	m->sorted = false;
	m->st->resized++;
	m->precise[pick(m, NROOTS)] = addr;
}

static void step_final(struct model *m)
{
	struct obj *o = &m->obj[pick(m, m->n)];
	u64 old;

	if (o->ready || is_away(o))
		return;
	if (pick(m, 3)) {
		o->order = pick(m, GCH_ORDERS);
		CHECK_EQ(gch_final_set(&m->s->h, o->addr, ++m->cookies, o->order, &old), 0);
		CHECK_EQ(old, o->cookie);
		o->cookie = m->cookies;
	} else {
		CHECK_EQ(gch_final_clear(&m->s->h, o->addr, &old), o->cookie ? 0 : -ENOENT);
		CHECK_EQ(old, o->cookie);
		o->cookie = 0;
	}
}

static void step_fetch(struct model *m)
{
	struct gcheap_ready item;
	u32 i;

	if (!gch_final_peek(&m->s->h, &item, 1, false))
		return;
	gch_final_pop(&m->s->h, 1);
	i = find(m, item.addr);
	CHECK(i != NONE && m->obj[i].addr == item.addr);
	CHECK(m->obj[i].ready);
	CHECK_EQ(m->obj[i].cookie, item.cookie);
	m->obj[i].ready = false;
	m->obj[i].cookie = 0;
	m->st->finalized++;
	if (pick(m, 2))
		m->precise[pick(m, NROOTS)] = item.addr;
}

/*
 * A word for a link, 0: none was found. Not one that says how long an array is, nor one that
 * is cleared for other reasons.
 */
static u64 some_word(struct model *m)
{
	const struct obj *o = &m->obj[pick(m, m->n)];
	const struct kind *k = &kinds[o->kind];
	u32 w = pick(m, o->bytes / 8);

	if (pick(m, 2))
		return SIM_OUTSIDE + 8 * pick(m, SIM_WORDS);
	if (is_away(o))
		return 0;
	if (k->layout == GCHEAP_TYPED) {
		w %= k->fixed;
		if (k->flags & PAIRS || !(k->fixed_ptr & (1ull << w)))
			return 0;
	}
	return is_dying(m, o->addr + 8 * (u64)w) ? 0 : o->addr + 8 * (u64)w;
}

/* Something that is not 0, to see that it becomes so. */
static void fill_word(struct model *m, u64 word)
{
	u32 i = find(m, word);

	if (i != NONE) {
		write_word(m, &m->obj[i], (word - m->obj[i].addr) / 8, 1);
	} else {
		m->outside[(word - SIM_OUTSIDE) / 8] = 1;
		m->s->outside[(word - SIM_OUTSIDE) / 8] = 1;
	}
}

static void tie_set(struct model *m, struct tie *t, u64 word, bool lng)
{
	const struct obj *o = &m->obj[pick(m, m->n)];
	struct tie *was = find_tie(m, word, lng);
	u64 old;

	if (is_away(o))
		return;
	CHECK_EQ(gch_link_set(&m->s->h, word, lng, o->addr, &old), 0);
	CHECK_EQ(old, was ? was->object : 0);
	*(was ?: t) = (struct tie){ .word = word, .object = o->addr, .used = true, .lng = lng };
	if (pick(m, 2))
		fill_word(m, word);
}

static void tie_move(struct model *m, struct tie *t, u64 to)
{
	int err = find_tie(m, to, t->lng) && to != t->word ? -EEXIST : 0;
	u64 old;

	CHECK_EQ(gch_link_move(&m->s->h, t->word, to, t->lng, &old), err);
	CHECK_EQ(old, t->object);
	if (err)
		return;
	t->word = to;
	t->dying = may_die(m, t);
}

static void step_tie(struct model *m)
{
	struct tie *t = &m->tie[pick(m, NTIES)];
	u64 word = some_word(m), old;

	if (!word || is_dying(m, word) || (t->used && t->dying))
		return;
	if (!t->used) {
		tie_set(m, t, word, pick(m, 2));
	} else if (pick(m, 2)) {
		tie_move(m, t, word);
	} else {
		CHECK_EQ(gch_link_clear(&m->s->h, t->word, t->lng, &old), 0);
		CHECK_EQ(old, t->object);
		t->used = false;
	}
}

static void step_thread(struct model *m)
{
	u32 t = pick(m, SIM_THREADS), n;

	if (!m->attached[t]) {
		CHECK_EQ(gch_thread_attach(&m->s->h, &n), 0);
		m->attached[n] = true;
		memset(m->s->place[n], 0, sizeof(m->s->place[n]));
	} else if (m->s->h.nthreads > 1) {
		gch_thread_detach(&m->s->h, t);
		m->attached[t] = false;
		memset(m->s->place[t], 0, sizeof(m->s->place[t]));
		drain_rings(m);
	}
}

static void step_retire(struct model *m)
{
	u32 t = some_thread(m), kind = pick(m, NKINDS);

	if (kinds[kind].flags & LARGE)
		return;
	gch_thread_retire(&m->s->h, t, m->cache[kind]);
	m->s->place[t][m->cache[kind]].n = 0;
}

static void step(struct model *m)
{
	u32 what = pick(m, 100);

	m->s->want = 1 + pick(m, GCHEAP_BATCH);
	if (!m->n || what < 40)
		step_alloc(m);
	else if (what < 58)
		step_link(m);
	else if (what < 60)
		step_tie(m);
	else if (what < 65)
		step_unlink(m);
	else if (what < 75)
		step_root(m);
	else if (what < 80)
		step_unroot(m);
	else if (what < 88)
		step_free(m);
	else if (what < 90)
		step_resize(m);
	else if (what < 93)
		step_final(m);
	else if (what < 95)
		step_fetch(m);
	else if (what < 97)
		drain_rings(m);
	else if (what < 99)
		step_retire(m);
	else
		step_thread(m);
	if (m->s->slow)
		sim_verify(m->s);
}

/* ---- The reference collector ---- */

static void found(struct model *m, u32 i)
{
	if (i == NONE || m->obj[i].marked)
		return;
	m->obj[i].marked = true;
	m->todo[m->ntodo++] = i;
}

static void word_precise(struct model *m, u64 word)
{
	found(m, find(m, word));
}

static void word_ambiguous(struct model *m, u64 word)
{
	u32 i = find(m, word);

	found(m, i);
	i = find(m, word - 1);
	if (i != NONE && kinds[m->obj[i].kind].flags & PAST &&
	    m->obj[i].addr + m->obj[i].bytes == word)
		found(m, i);
}

/* Call fn for the words of a typed object of @n elements that a pair of maps says. */
static void each_typed_of(struct model *m, struct obj *o, u64 n, bool weak,
			  void (*fn)(struct model *m, struct obj *o, u32 w))
{
	const struct kind *k = &kinds[o->kind];
	u64 fixed = weak ? k->fixed_weak : k->fixed_ptr;
	u64 elem = weak ? k->elem_weak : k->elem_ptr, i;
	u32 w;

	for (w = 0; w < k->fixed; w++)
		if (fixed & (1ull << w))
			fn(m, o, w);
	for (i = 0; i < n; i++)
		for (w = 0; w < k->elem; w++)
			if (elem & (1ull << w))
				fn(m, o, k->fixed + i * k->elem + w);
}

/* Elements that there is room for. */
static u64 room(const struct obj *o)
{
	const struct kind *k = &kinds[o->kind];

	return k->elem ? (o->bytes / 8 - k->fixed) / k->elem : 0;
}

static void each_typed(struct model *m, struct obj *o, bool weak,
		       void (*fn)(struct model *m, struct obj *o, u32 w))
{
	const struct kind *k = &kinds[o->kind];
	u64 n = room(o);

	if (n && k->length != GCHEAP_NO_LENGTH)
		n = min(n, o->words[k->length]);
	each_typed_of(m, o, n, weak, fn);
}

static bool has_pairs(const struct obj *o)
{
	return kinds[o->kind].flags & PAIRS;
}

static u64 untag(const struct obj *o, u32 w)
{
	return o->words[w] & ~((1ull << kinds[o->kind].tag_bits) - 1);
}

static void search_word(struct model *m, struct obj *o, u32 w)
{
	/* An ephemeron's values are for search_pair(). */
	if (!has_pairs(o) || w < kinds[o->kind].fixed)
		word_precise(m, untag(o, w));
}

/* Call fn for the values of the ephemeron whose key is a word. */
static void each_value(struct model *m, struct obj *o, u32 key,
		       void (*fn)(struct model *m, struct obj *o, u32 w))
{
	const struct kind *k = &kinds[o->kind];
	u32 first = key - env_ctz64(k->elem_weak), w;

	for (w = 0; w < k->elem; w++)
		if (k->elem_ptr & (1ull << w))
			fn(m, o, first + w);
}

static void value_found(struct model *m, struct obj *o, u32 w)
{
	word_precise(m, untag(o, w));
}

static void search_pair(struct model *m, struct obj *o, u32 w)
{
	u32 i = find(m, untag(o, w));

	if (w >= kinds[o->kind].fixed &&
	    (i == NONE || m->obj[i].marked || m->obj[i].black))
		each_value(m, o, w, value_found);
}

static void search_in(struct model *m, struct obj *o)
{
	u32 w;

	if (kinds[o->kind].layout == GCHEAP_TYPED)
		each_typed(m, o, false, search_word);
	else if (kinds[o->kind].layout != GCHEAP_NOSCAN)
		for (w = 0; w < o->bytes / 8; w++)
			word_ambiguous(m, o->words[w]);
}

static void search_found(struct model *m)
{
	while (m->ntodo)
		search_in(m, &m->obj[m->todo[--m->ntodo]]);
}

static void search(struct model *m)
{
	u32 i;

	do {
		search_found(m);
		for (i = 0; i < m->n; i++)
			if (m->obj[i].marked && has_pairs(&m->obj[i]))
				each_typed(m, &m->obj[i], true, search_pair);
	} while (m->ntodo);
}

static void zero_word(struct model *m, struct obj *o, u32 w)
{
	o->words[w] = 0;
}

static void clear_word(struct model *m, struct obj *o, u32 w)
{
	u32 i = find(m, untag(o, w));

	if (i != NONE && !m->obj[i].marked && !m->obj[i].black) {
		o->words[w] = 0;
		m->st->weak++;
		if (has_pairs(o) && w >= kinds[o->kind].fixed)
			each_value(m, o, w, zero_word);
	}
}

static void clear_weak(struct model *m)
{
	u32 i;

	for (i = 0; i < m->n; i++)
		if (m->obj[i].marked && kinds[m->obj[i].kind].layout == GCHEAP_TYPED)
			each_typed(m, &m->obj[i], true, clear_word);
}

static void reference_roots(struct model *m)
{
	u32 i;

	for (i = 0; i < m->n; i++) {
		m->obj[i].marked = false;
		m->obj[i].black = sim_black(m->s, m->obj[i].addr) &&
			!sim_live(m->s, m->obj[i].addr);
	}
	for (i = 0; i < NROOTS; i++) {
		word_ambiguous(m, m->ambiguous[i]);
		word_precise(m, m->precise[i]);
	}
	for (i = 0; i < m->n; i++)
		if (m->obj[i].ready || m->obj[i].pushed)
			found(m, i);
	for (i = 0; i < SIM_THREADS; i++)
		if (m->attached[i] && m->s->h.thread[i]->pending)
			word_precise(m, gch_slot_addr(&m->s->h,
						      m->s->h.thread[i]->pending - 1));
}

static bool is_dead(const struct obj *o)
{
	return !o->marked && !o->black;
}

/* Whether the object of a link has died, and its word can be made to say so. */
static bool is_over(struct model *m, const struct tie *t, bool *away)
{
	*away = t->word < SIM_BASE && m->s->away;
	return t->used && (t->orphan || is_dead(&m->obj[find(m, t->object)]));
}

static void zero_tied(struct model *m, struct tie *t)
{
	u32 i = find(m, t->word);

	if (t->word < SIM_BASE)
		m->outside[(t->word - SIM_OUTSIDE) / 8] = 0;
	else if (i != NONE)
		m->obj[i].words[(t->word - m->obj[i].addr) / 8] = 0;
	t->used = false;
	t->dying = false;
	m->st->links++;
}

static void ties_finish(struct model *m)
{
	bool keep[NTIES] = { }, away;
	u32 i;

	for (i = 0; i < NTIES; i++) {
		if (m->tie[i].lng || !is_over(m, &m->tie[i], &away))
			continue;
		keep[i] = away && !m->tie[i].orphan;
		m->tie[i].dying = keep[i];
		if (!away)
			zero_tied(m, &m->tie[i]);
	}
	for (i = 0; i < NTIES; i++)
		if (keep[i])
			found(m, find(m, m->tie[i].object));
	search(m);
}

/* Long ones, as often as those that can not be told keep something. */
static void ties_finish_long(struct model *m)
{
	bool again, away;
	struct tie *t;

	do {
		search(m);
		clear_weak(m);
		again = false;
		for (t = m->tie; t < m->tie + NTIES; t++) {
			if (!t->lng || !is_over(m, t, &away) || !away || t->orphan)
				continue;
			found(m, find(m, t->object));
			t->dying = true;
			again = true;
		}
	} while (again);
	for (t = m->tie; t < m->tie + NTIES; t++)
		t->dying |= t->lng && is_over(m, t, &away) && !away;
}

static void ties_over(struct model *m)
{
	struct tie *t;
	u64 old;

	for (t = m->tie; t < m->tie + NTIES; t++) {
		if (!t->used || !t->dying)
			continue;
		t->dying = false;
		if (gch_link_get(&m->s->h, t->word, t->lng, &old))
			zero_tied(m, t);
		else
			CHECK(t->orphan || (m->s->away && t->word < SIM_BASE));
	}
}

static bool wants_order(const struct obj *o)
{
	return o->cookie && !o->ready && o->order && is_dead(o);
}

/* What it refers to is reached, and it is not for that. */
static void search_through(struct model *m, struct obj *o)
{
	bool but_self = o->order == GCH_ORDER_BUT_SELF;

	o->marked |= but_self;
	search_in(m, o);
	if (has_pairs(o))
		each_typed(m, o, true, search_pair);
	if (but_self)
		o->marked = false;
}

static u32 count_marked(const struct model *m)
{
	u32 n = 0, i;

	for (i = 0; i < m->n; i++)
		n += m->obj[i].marked;
	return n;
}

static void search_orders(struct model *m)
{
	u32 before, i;

	do {
		before = count_marked(m);
		for (i = 0; i < m->n; i++)
			if (wants_order(&m->obj[i]))
				search_through(m, &m->obj[i]);
		search(m);
	} while (count_marked(m) != before);
}

static bool is_last(const struct obj *o)
{
	return o->order == GCH_ORDER_LAST;
}

static void queue(struct model *m, bool last)
{
	u32 i;

	for (i = 0; i < m->n; i++) {
		struct obj *o = &m->obj[i];

		if (o->cookie && is_dead(o) && is_last(o) == last)
			o->ready = true;
	}
	for (i = 0; i < m->n; i++)
		if (m->obj[i].ready)
			found(m, i);
	search(m);
}

/* From the marking to the end of FINALIZE. */
static void reference_finish(struct model *m)
{
	ties_finish(m);
	search_orders(m);
	queue(m, false);
	queue(m, true);
	ties_finish_long(m);
}

/* Called in the middle of the core's cycle, where it wants the roots. */
static void roots(struct sim *s)
{
	struct model *m = s->arg;

	gch_mark_ambiguous(&s->h, m->ambiguous, NROOTS);
	gch_mark_precise(&s->h, m->precise, NROOTS);
	if (s->tracking)
		return;
	reference_roots(m);
	search(m);
	clear_weak(m);
	reference_finish(m);
}

/* ---- Marking while the program runs ---- */

static bool is_kept(struct model *m, const struct obj *o)
{
	struct gch_ref r;

	return sim_cell(m->s, o->addr, &r) && gch_ref_allocated(&r) && gch_ref_kept(&r);
}

/* Kept for a reason: not just for being new. */
static bool is_marked(struct model *m, const struct obj *o)
{
	struct gch_ref r;

	return sim_cell(m->s, o->addr, &r) && gch_ref_marked(&r);
}

/*
 * At the end of marking: what is reached now has to be kept. More may be, since it was
 * reached at some time, or is new; the next cycle with the world stopped is exact.
 */
static void judge(struct sim *s)
{
	struct model *m = s->arg;
	u32 i;

	reference_roots(m);
	search(m);
	for (i = 0; i < m->n; i++)
		if (m->obj[i].marked)
			CHECK(is_kept(m, &m->obj[i]));
}

static void judge_value(struct model *m, struct obj *o, u32 w)
{
	u32 i = find(m, untag(o, w));

	CHECK_EQ(sim_load(m->s, o->addr + 8 * (u64)w), o->words[w]);
	CHECK(i == NONE || is_kept(m, &m->obj[i]));
}

static void judge_no_value(struct model *m, struct obj *o, u32 w)
{
	CHECK_EQ(sim_load(m->s, o->addr + 8 * (u64)w), 0);
	o->words[w] = 0;
}

/* A weak field that was cleared meant nothing; one that was not means something. */
static void judge_weak(struct model *m, struct obj *o, u32 w)
{
	bool pair = has_pairs(o) && w >= kinds[o->kind].fixed;
	u32 i = find(m, untag(o, w));
	u64 now = sim_load(m->s, o->addr + 8 * (u64)w);

	if (now == o->words[w]) {
		CHECK(i == NONE || is_kept(m, &m->obj[i]));
		if (pair)
			each_value(m, o, w, judge_value);
		return;
	}
	if (pair)
		each_value(m, o, w, judge_no_value);
	CHECK_EQ(now, 0);
	CHECK(i != NONE && !m->obj[i].marked);
	o->words[w] = 0;
	m->st->weak++;
}

/* An array that was longer while marking: what was looked at then may be cleared as well. */
static void judge_past_length(struct model *m, struct obj *o, u32 w)
{
	if (sim_load(m->s, o->addr + 8 * (u64)w) != o->words[w])
		judge_weak(m, o, w);
}

/* Exactly those that have died are queued. */
static void judge_ready(struct model *m)
{
	struct gcheap_ready *items;
	u32 n = m->s->h.finals.ready, k, i;

	items = env_zalloc((n + 1) * sizeof(*items));
	CHECK(items);
	CHECK_EQ(gch_final_peek(&m->s->h, items, n, false), n);
	for (k = 0; k < n; k++) {
		i = find(m, items[k].addr);
		CHECK(i != NONE && m->obj[i].addr == items[k].addr);
		CHECK_EQ(m->obj[i].cookie, items[k].cookie);
		CHECK(m->obj[i].ready);
	}
	env_free(items);
	for (i = 0; i < m->n; i++) {
		n -= m->obj[i].ready;
		m->obj[i].asleep = false;
	}
	CHECK_EQ(n, 0);
}

/* In the phase FINISH: take over what the core has found, and see what comes of it. */
static void judge_finish(struct model *m)
{
	u32 i;

	for (i = 0; i < m->n; i++) {
		struct obj *o = &m->obj[i];

		/* R2: a cell handed out last is black, and looked at as what is marked. */
		if (kinds[o->kind].layout != GCHEAP_TYPED || !(o->black || is_marked(m, o)))
			continue;
		each_typed(m, o, true, judge_weak);
		each_typed_of(m, o, room(o), true, judge_past_length);
	}
	for (i = 0; i < m->n; i++)
		m->obj[i].marked = is_kept(m, &m->obj[i]);
	for (i = 0; i < m->n; i++)
		m->obj[i].asleep = !m->obj[i].marked;
	reference_finish(m);
}

static void bury(struct model *m)
{
	u32 i;

	for (i = m->n; i--;) {
		if (m->obj[i].marked || m->obj[i].black) {
			m->st->kept++;
			continue;
		}
		poison(m, &m->obj[i]);
		m->st->died++;
		forget(m, i);
	}
}

static void check_one(void *arg, u64 addr)
{
	struct model *m = arg;
	u32 i = find(m, addr);

	CHECK(i != NONE && m->obj[i].addr == addr);
	m->obj[i].marked = true;
}

static void compare_ties(struct model *m)
{
	const struct tie *t;
	u32 n = 0, i;
	u64 old;

	for (t = m->tie; t < m->tie + NTIES; t++) {
		if (!t->used)
			continue;
		CHECK_EQ(gch_link_get(&m->s->h, t->word, t->lng, &old), 0);
		CHECK_EQ(old, t->object);
		n++;
	}
	CHECK_EQ(n, m->s->h.links.count);
	for (i = 0; i < SIM_WORDS; i++)
		CHECK_EQ(m->outside[i], m->s->outside[i]);
}

/* Exactly the objects of the table are allocated, and as the program left them. */
static void compare(struct model *m)
{
	u32 i, w;

	for (i = 0; i < m->n; i++)
		m->obj[i].marked = false;
	sim_each(m->s, check_one, m);
	for (i = 0; i < m->n; i++) {
		const struct obj *o = &m->obj[i];

		CHECK(o->marked);
		for (w = 0; w < o->bytes / 8; w++)
			CHECK_EQ(sim_load(m->s, o->addr + 8 * (u64)w), disguise(o, o->words[w]));
	}
	compare_ties(m);
}

/* Asked about an object: it was handed out, and is not free. */
static void ask(struct sim *s, u64 addr)
{
	struct model *m = s->arg;
	u32 i = find(m, addr), w;
	u64 word;

	CHECK(i != NONE && m->obj[i].addr == addr);
	CHECK_EQ(kinds[m->obj[i].kind].layout, GCHEAP_ASK);
	for (w = 0; w < m->obj[i].bytes / 8; w++) {
		word = disguise(&m->obj[i], sim_load(s, addr + 8 * (u64)w));
		gch_mark_ambiguous(&s->h, &word, 1);
	}
}

/* The program goes on between the collector's slices. */
static void between(struct sim *s)
{
	struct model *m = s->arg;
	u32 n = pick(m, 4);

	while (n--)
		step(m);
}

static void abandon(struct model *m)
{
	u32 at = 0;

	gch_cycle_clear(&m->s->h);
	while (gch_mark_clear(&m->s->h, &at, 1000))
		;
	gch_cycle_stop(&m->s->h);
	if (pick(m, 2)) {
		gch_cycle_mark(&m->s->h);
		gch_mark_precise(&m->s->h, m->precise, NROOTS);
		gch_mark_drain(&m->s->h, pick(m, 5));
	}
	gch_cycle_abandon(&m->s->h);
	m->st->abandoned++;
}

static void abandon_trace(struct model *m)
{
	sim_trace_begin(m->s);
	if (pick(m, 2))
		sim_trace_pause(m->s);
	if (pick(m, 2))
		sim_trace_round(m->s);
	m->s->tracking = false;
	gch_cycle_abandon(&m->s->h);
	m->st->abandoned++;
}

/* The program forks, and is the child from here on. */
static void fork_off(struct model *m)
{
	struct sim *to = env_zalloc(sizeof(*to));
	u32 t;

	CHECK(to);
	drain_rings(m);
	if (sim_copy(to, m->s)) {
		env_free(to);
		return;
	}
	to->split = m->s->split;
	to->h.param.limit = m->s->h.param.limit;
	sim_close(m->s);
	to->depth = 0;
	m->s = to;
	memset(m->attached, 0, sizeof(m->attached));
	CHECK_EQ(gch_thread_attach(&m->s->h, &t), 0);
	m->attached[t] = true;
	compare(m);
	m->st->forks++;
}

static void cycle(struct model *m)
{
	if (pick(m, 2))
		drain_rings(m);
	if (!pick(m, 4)) {
		if (pick(m, 2))
			abandon(m);
		else
			abandon_trace(m);
		return;
	}
	m->s->away = !pick(m, 4);
	if (pick(m, 2)) {
		sim_mark_phase(m->s);
	} else {
		m->s->check = pick(m, 2);
		sim_trace_phase(m->s, pick(m, 5));
		CHECK_EQ(m->s->lost, 0);
		judge_finish(m);
		m->st->traced++;
	}
	bury(m);
	sim_finalize(m->s);
	ties_over(m);
	judge_ready(m);
	gch_cycle_sweep(&m->s->h);
	sim_sweep_rest(m->s);
	compare(m);
	sim_verify(m->s);
	if (!pick(m, 3))
		sim_release(m->s, pick(m, 4));
	if (!pick(m, 3))
		m->st->meshed += sim_mesh(m->s, pick(m, 4));
	if (pick(m, 2))
		m->st->vacated += sim_vacate(m->s, pick(m, 2));
	if (!pick(m, 4))
		fork_off(m);
	m->st->cycles++;
}

/* ---- */

static void make_caches(struct model *m)
{
	u32 i;
	int c;

	for (i = 0; i < NKINDS; i++) {
		const struct kind *k = &kinds[i];
		struct sim_maps maps = {
			.fixed = k->fixed, .fixed_ptr = k->fixed_ptr,
			.fixed_weak = k->fixed_weak, .elem = k->elem,
			.elem_ptr = k->elem_ptr, .elem_weak = k->elem_weak,
			.length = k->length, .tag_bits = k->tag_bits,
		};

		if (k->layout == GCHEAP_TYPED)
			c = sim_typed(m->s, k->flags, k->cell, &maps);
		else
			c = sim_cache(m->s, k->layout, k->flags, k->cell);
		CHECK(c >= 0);
		m->cache[i] = c;
	}
}

static void tear_down(struct model *m)
{
	u32 t;

	for (t = 0; t < SIM_THREADS; t++) {
		if (!m->attached[t])
			continue;
		gch_thread_detach(&m->s->h, t);
		m->attached[t] = false;
		drain_rings(m);
	}
	compare(m);
	while (m->n)
		forget(m, m->n - 1);
	m->st->split += m->s->split;
	sim_close(m->s);
}

void model_run(const struct model_plan *plan, struct model_stats *st)
{
	struct model *m = env_zalloc(sizeof(*m));
	u32 i;

	CHECK(m);
	m->plan = plan;
	m->st = st;
	m->obj = env_zalloc(plan->objects * sizeof(*m->obj));
	m->order = env_zalloc(plan->objects * sizeof(*m->order));
	m->todo = env_zalloc(plan->objects * sizeof(*m->todo));
	CHECK(m->obj && m->order && m->todo);
	gct_seed(&m->r, plan->seed);
	m->s = sim_open(SIM_SIZE);
	m->s->arg = m;
	m->s->roots = roots;
	m->s->ask = ask;
	m->s->judge = judge;
	m->s->between = between;
	m->s->slow = plan->slow;
	m->s->h.param.limit = plan->limit;
	make_caches(m);
	CHECK_EQ(gch_thread_attach(&m->s->h, &i), 0);
	m->attached[i] = true;
	for (i = 0; i < plan->steps; i++) {
		step(m);
		if (!pick(m, 150) || m->n == plan->objects)
			cycle(m);
	}
	tear_down(m);
	env_free(m->todo);
	env_free(m->order);
	env_free(m->obj);
	env_free(m);
}
