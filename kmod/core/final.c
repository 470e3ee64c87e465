// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finalizable objects: a table by address, and a queue of those found dead
 * that the program has not fetched, which stay in the table. Entries live in a pool and are
 * queued without memory being needed. One whose object is freed leaves the table, and the queue
 * as soon as it comes to its head.
 *
 * When marking is complete and weak words and short links are cleared (R19) nothing leads the
 * program to what was not reached. So it may run while the registered objects among that are
 * looked for and marked from: it does not write there, nor see them before gch_final_end().
 * (What long links say it does not look at: see gcheap_tcb.hidden.)
 *
 * That goes by stages, each complete, and all marked that it leads to, before the next:
 *   - what dead objects lead to that want order is marked, these themselves only if they are
 *     led to: nobody's finalizer comes while another's may still use the object
 *   - those that are not marked are queued, but for those that come last, and marked
 *   - of the last ones those that are still not marked are queued, and marked
 *   - weak words, and then long links, of what stays dead are cleared
 * What is marked and not queued is as good as alive, and stays registered.
 */
#include "heap.h"

#define FINALS_MIN	64
#define NIL		0	/* links are 1 + index */
#define LOOKS		16	/* entries that take as long as a page */

static u32 *bucket_of(const struct gch_finals *f, u64 addr)
{
	return &f->hash[gch_final_bucket(f, addr)];
}

static void hash_add(struct gch_finals *f, u32 i)
{
	u32 *bucket = bucket_of(f, f->pool[i - 1].addr);

	f->pool[i - 1].hnext = *bucket;
	*bucket = i;
}

static void hash_del(struct gch_finals *f, u32 i)
{
	u32 *link = bucket_of(f, f->pool[i - 1].addr);

	while (*link != i)
		link = &f->pool[*link - 1].hnext;
	*link = f->pool[i - 1].hnext;
}

static bool is_hashed(const struct gch_final *e)
{
	return e->state == GCH_FINAL_SET || e->state == GCH_FINAL_READY;
}

/* Pool and hash are one table. */
static int grow(struct gch_heap *h)
{
	struct gch_finals *f = &h->finals;
	u32 cap = f->cap ? 2 * f->cap : FINALS_MIN, i;
	struct gch_finals n = *f;

	n.cap = cap;
	n.pool = gch_take(h, cap * (sizeof(*n.pool) + sizeof(*n.hash)));
	if (!n.pool)
		return -ENOMEM;
	n.hash = (u32 *)(n.pool + cap);
	if (f->cap)
		memcpy(n.pool, f->pool, f->cap * sizeof(*n.pool));
	for (i = 1; i <= f->cap; i++)
		if (is_hashed(&n.pool[i - 1]))
			hash_add(&n, i);
	for (i = cap; i > f->cap; i--) {
		n.pool[i - 1].hnext = n.free;
		n.free = i;
	}
	env_free(f->pool);
	*f = n;
	return 0;
}

/* An object's entry in a state. */
static u32 find(const struct gch_finals *f, u64 addr, u8 state)
{
	u32 i;

	if (!f->cap)
		return NIL;
	for (i = *bucket_of(f, addr); i != NIL; i = f->pool[i - 1].hnext)
		if (f->pool[i - 1].addr == addr && f->pool[i - 1].state == state)
			break;
	return i;
}

/* It is registered, in an order. */
static void order_set(struct gch_finals *f, struct gch_final *e, u8 order)
{
	f->ordered[order]++;
	e->order = order;
}

/**
 * gch_final_set() - queue an object when it dies
 * @addr: start of an allocated cell
 * @cookie: given back with it
 * @order: GCH_ORDER_*
 * @old: out: cookie replaced, 0 if none
 *
 * Return: 0, -ENOENT: no such object, -ENOMEM.
 */
int gch_final_set(struct gch_heap *h, u64 addr, u64 cookie, u8 order, u64 *old)
{
	struct gch_finals *f = &h->finals;
	struct gch_final *e;
	struct gch_ref r;
	u32 i;

	env_assert_held(&h->lock);
	*old = 0;
	if (!gch_object_at(h, addr, &r))
		return -ENOENT;
	if (h->evac.state == GCH_EVAC_CHOSEN)
		gch_evac_pin(h, addr - h->base);
	i = find(f, addr, GCH_FINAL_SET);
	if (i != NIL) {
		e = &f->pool[i - 1];
		*old = e->cookie;
		e->cookie = cookie;
		f->ordered[e->order]--;
		order_set(f, e, order);
		return 0;
	}
	if (f->free == NIL && grow(h))
		return -ENOMEM;
	i = f->free;
	e = &f->pool[i - 1];
	f->free = e->hnext;
	e->addr = addr;
	e->cookie = cookie;
	e->state = GCH_FINAL_SET;
	order_set(f, e, order);
	e->rnext = NIL;
	hash_add(f, i);
	f->registered++;
	return 0;
}

static void release(struct gch_finals *f, u32 i)
{
	struct gch_final *e = &f->pool[i - 1];

	e->state = GCH_FINAL_FREE;
	e->hnext = f->free;
	f->free = i;
}

/** gch_final_clear() - forget an object's finalizer: 0 or -ENOENT */
int gch_final_clear(struct gch_heap *h, u64 addr, u64 *old)
{
	struct gch_finals *f = &h->finals;
	u32 i = find(f, addr, GCH_FINAL_SET);

	env_assert_held(&h->lock);
	*old = 0;
	if (i == NIL)
		return -ENOENT;
	*old = f->pool[i - 1].cookie;
	hash_del(f, i);
	f->registered--;
	f->ordered[f->pool[i - 1].order]--;
	release(f, i);
	return 0;
}

/** gch_final_freed() - an object is being freed: no finalizer will have it, queued or not */
void gch_final_freed(struct gch_heap *h, u64 addr)
{
	struct gch_finals *f = &h->finals;
	u64 old;
	u32 i;

	gch_final_clear(h, addr, &old);
	while ((i = find(f, addr, GCH_FINAL_READY)) != NIL) {
		hash_del(f, i);
		f->pool[i - 1].state = GCH_FINAL_GONE;
	}
}

/** gch_final_moved() - what is queued is another object, that has another one's contents */
void gch_final_moved(struct gch_heap *h, u64 addr, u64 to)
{
	struct gch_finals *f = &h->finals;
	u32 i;

	env_assert_held(&h->lock);
	while ((i = find(f, addr, GCH_FINAL_READY)) != NIL) {
		hash_del(f, i);
		f->pool[i - 1].addr = to;
		hash_add(f, i);
	}
}

static void mark_queued(struct gch_heap *h, const struct gch_final *e)
{
	if (e->state == GCH_FINAL_READY)
		gch_mark_precise(h, &e->addr, 1);
}

/** gch_final_roots() - what is queued and not fetched is alive */
void gch_final_roots(struct gch_heap *h)
{
	struct gch_finals *f = &h->finals;
	u32 i;

	for (i = f->ready_head; i != NIL; i = f->pool[i - 1].rnext)
		mark_queued(h, &f->pool[i - 1]);
}

/* To the end of the queue, where it is not counted yet. */
static void queue(struct gch_finals *f, u32 i)
{
	struct gch_final *e = &f->pool[i - 1];

	f->registered--;
	f->ordered[e->order]--;
	e->state = GCH_FINAL_READY;
	e->rnext = NIL;
	if (f->ready_tail != NIL)
		f->pool[f->ready_tail - 1].rnext = i;
	else
		f->ready_head = i;
	f->ready_tail = i;
	f->dying++;
	if (f->mark_at == NIL)
		f->mark_at = i;
}

/* ---- Stages: do @n's worth of work. Return: whether there is more ---- */

enum {
	STAGE_KEEP,
	STAGE_ORDER,
	STAGE_ORDER_AGAIN,
	STAGE_PICK,
	STAGE_MARK,
	STAGE_PAIRS,
	STAGE_PICK_LAST,
	STAGE_MARK_LAST,
	STAGE_PAIRS_LAST,
	STAGE_WEAK,
	STAGE_OUTSIDE,
	STAGE_INSIDE,
	STAGE_FORGET,
	STAGES
};

static void go_back(struct gch_finals *f, u32 stage)
{
	f->stage = stage;
	f->at = 0;
}

/* Mark what dead objects lead to that want order. */
static bool order(struct gch_heap *h, u32 n)
{
	struct gch_finals *f = &h->finals;
	struct gch_final *e;
	struct gch_ref r;

	if (f->registered == f->ordered[GCH_ORDER_NONE])
		return false;
	if (!f->at)
		f->seen = h->n.marked_objects;
	for (; n && f->at < f->cap && !h->through.wanted; n--) {
		e = &f->pool[f->at++];
		if (e->state == GCH_FINAL_SET && e->order && !gch_is_kept(h, e->addr) &&
		    gch_resolve(h, e->addr, &r))
			gch_scan_through(h, &r, e->order == GCH_ORDER_BUT_SELF);
	}
	return f->at < f->cap;
}

static bool pairs(struct gch_heap *h, u32 n)
{
	return gch_weak_settle(h, n, true);
}

/* They may be in these objects, whose keys have been marked since. */
static bool order_again(struct gch_heap *h, u32 n)
{
	struct gch_finals *f = &h->finals;

	if (f->registered == f->ordered[GCH_ORDER_NONE])
		return false;
	if (pairs(h, n))
		return true;
	if (!h->npairs || f->seen == h->n.marked_objects)
		return false;
	go_back(f, STAGE_ORDER);
	return true;
}

static bool is_last(const struct gch_final *e)
{
	return e->order == GCH_ORDER_LAST;
}

/* All are picked before the first is marked, so that one does not keep another waiting. */
static bool pick_some(struct gch_heap *h, u32 n, bool last)
{
	struct gch_finals *f = &h->finals;
	struct gch_final *e;

	for (n *= LOOKS; n && f->at < f->cap; n--) {
		e = &f->pool[f->at++];
		if (e->state == GCH_FINAL_SET && is_last(e) == last && !gch_is_kept(h, e->addr))
			queue(f, f->at);
	}
	return f->at < f->cap;
}

static bool pick(struct gch_heap *h, u32 n)
{
	return pick_some(h, n, false);
}

static bool pick_last(struct gch_heap *h, u32 n)
{
	return h->finals.ordered[GCH_ORDER_LAST] && pick_some(h, n, true);
}

static bool mark_dying(struct gch_heap *h, u32 n)
{
	struct gch_finals *f = &h->finals;

	for (; n && f->mark_at != NIL; n--) {
		mark_queued(h, &f->pool[f->mark_at - 1]);
		f->mark_at = f->pool[f->mark_at - 1].rnext;
	}
	return f->mark_at != NIL;
}

/* In what was marked since the pause. */
static bool clear_weak(struct gch_heap *h, u32 n)
{
	return h->n.marked_objects != h->finals.marked && gch_weak_clear(h, n);
}

static bool finish_long(struct gch_heap *h, u32 n, bool inside)
{
	bool kept, more = gch_link_finish_long(h, n, inside, &kept);

	if (kept)
		go_back(&h->finals, STAGE_PAIRS_LAST);
	return more || kept;
}

static bool finish_outside(struct gch_heap *h, u32 n)
{
	return finish_long(h, n, false);
}

static bool finish_inside(struct gch_heap *h, u32 n)
{
	return finish_long(h, n, true);
}

static bool (*const stages[STAGES])(struct gch_heap *h, u32 n) = {
	[STAGE_KEEP]		= gch_link_keep,
	[STAGE_ORDER]		= order,
	[STAGE_ORDER_AGAIN]	= order_again,
	[STAGE_PICK]		= pick,
	[STAGE_MARK]		= mark_dying,
	[STAGE_PAIRS]		= pairs,
	[STAGE_PICK_LAST]	= pick_last,
	[STAGE_MARK_LAST]	= mark_dying,
	[STAGE_PAIRS_LAST]	= pairs,
	[STAGE_WEAK]		= clear_weak,
	[STAGE_OUTSIDE]		= finish_outside,
	[STAGE_INSIDE]		= finish_inside,
	[STAGE_FORGET]		= gch_link_forget_dead,
};

/** gch_final_begin() - the next gch_final_some() is the first */
void gch_final_begin(struct gch_heap *h)
{
	struct gch_finals *f = &h->finals;

	go_back(f, f->registered || h->links.count ? STAGE_KEEP : STAGES);
	f->marked = h->n.marked_objects;
}

/**
 * gch_final_some() - queue the registered objects that were not reached, and mark from them
 * @n: about so many entries, spans, pages
 *
 * Lock held, phase FINALIZE; the program may run. Return: whether there is more to do; if not,
 * there may be objects to ask about (ask.c), and then again.
 */
bool gch_final_some(struct gch_heap *h, u32 n)
{
	struct gch_finals *f = &h->finals;

	env_assert_held(&h->lock);
	while (!gch_mark_drain(h, n)) {
		if (gch_ask_left(h))
			return false;
		if (f->stage == STAGES) {
			gch_final_end(h);
			return false;
		}
		if (stages[f->stage](h, n))
			return true;
		go_back(f, f->stage + 1);
	}
	return true;
}

static void hand_out(struct gch_finals *f)
{
	f->ready += f->dying;
	f->dying = 0;
	f->mark_at = NIL;
}

/** gch_final_end() - the program may have what was queued */
void gch_final_end(struct gch_heap *h)
{
	hand_out(&h->finals);
	gch_link_end(h);
}

/**
 * gch_final_all() - queue registered objects, as if they had died
 * @at: in, out: where to go on, 0 at first; @n: entries to look at
 *
 * Not in a frozen phase, nor in FINALIZE, when some are about to be found dead. What is queued
 * is a root of a marking that is under way. Return: whether there are more.
 */
bool gch_final_all(struct gch_heap *h, u32 *at, u32 n)
{
	struct gch_finals *f = &h->finals;

	env_assert_held(&h->lock);
	for (; n && *at < f->cap; n--)
		if (f->pool[(*at)++].state == GCH_FINAL_SET)
			queue(f, *at);
	hand_out(f);
	return f->registered && *at < f->cap;
}

static void pop(struct gch_finals *f)
{
	u32 i = f->ready_head;

	f->ready_head = f->pool[i - 1].rnext;
	if (f->ready_head == NIL)
		f->ready_tail = NIL;
	f->ready--;
	if (f->looked && !--f->looked)
		f->looked_tail = NIL;
	if (is_hashed(&f->pool[i - 1]))
		hash_del(f, i);
	release(f, i);
}

static bool is_gone(const struct gch_finals *f, u32 i)
{
	return f->pool[i - 1].state == GCH_FINAL_GONE;
}

static u32 next_looked(const struct gch_finals *f, u32 i)
{
	return i == NIL ? f->ready_head : f->pool[i - 1].rnext;
}

/**
 * gch_final_look() - look at queued objects that the program has not looked at
 * @items: room for @max
 * @steps: out: for gch_final_looked(); 0: there are none left
 *
 * Return: how many: those that have been freed are passed over.
 */
u32 gch_final_look(struct gch_heap *h, struct gcheap_ready *items, u32 max, u32 *steps)
{
	struct gch_finals *f = &h->finals;
	u32 most = min(LOOKS * max, f->ready - f->looked), n = 0, i = f->looked_tail;

	env_assert_held(&h->lock);
	for (*steps = 0; n < max && *steps < most; (*steps)++) {
		i = next_looked(f, i);
		if (is_gone(f, i))
			continue;
		items[n].addr = f->pool[i - 1].addr;
		items[n].cookie = f->pool[i - 1].cookie;
		n++;
	}
	return n;
}

/** gch_final_looked() - it has: nothing may have been fetched in between */
void gch_final_looked(struct gch_heap *h, u32 steps)
{
	struct gch_finals *f = &h->finals;

	env_assert_held(&h->lock);
	for (; steps && f->looked < f->ready; steps--) {
		f->looked_tail = next_looked(f, f->looked_tail);
		f->looked++;
	}
}

/** gch_final_freed_first() - the first queued object has been freed: nobody will fetch it */
bool gch_final_freed_first(const struct gch_heap *h)
{
	const struct gch_finals *f = &h->finals;

	return f->ready && is_gone(f, f->ready_head);
}

/**
 * gch_final_peek() - look at the first queued objects, to fetch them
 * @items: room for @max
 * @looked: but those that the program has looked at only
 *
 * Return: how many, up to the next one that has been freed; 0: there are none, or too many have
 * been freed to pass over at once (gch_final_freed_first()). They stay queued, and so alive, until
 * gch_final_pop().
 */
u32 gch_final_peek(struct gch_heap *h, struct gcheap_ready *items, u32 max, bool looked)
{
	struct gch_finals *f = &h->finals;
	u32 steps = LOOKS * max, n = 0, i;

	env_assert_held(&h->lock);
	for (; steps && gch_final_freed_first(h); steps--)
		pop(f);
	max = min(max, looked ? f->looked : f->ready);
	for (i = f->ready_head; n < max && !is_gone(f, i); i = f->pool[i - 1].rnext) {
		items[n].addr = f->pool[i - 1].addr;
		items[n].cookie = f->pool[i - 1].cookie;
		n++;
	}
	return n;
}

/** gch_final_pop() - forget the first @n queued objects: the program has them */
void gch_final_pop(struct gch_heap *h, u32 n)
{
	env_assert_held(&h->lock);
	for (; n && h->finals.ready; n--)
		pop(&h->finals);
}

void gch_final_destroy(struct gch_heap *h)
{
	env_free(h->finals.pool);
}
