// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finalizable objects: a table by address, and a queue of those found dead
 * that the program has not fetched. Entries live in a pool and move from the
 * table to the queue without memory being needed.
 *
 * When marking is complete and weak words are cleared (R19) nothing leads the program to
 * what was not reached. So it may run while the registered objects among that are looked
 * for and marked from: it does not write there, nor see them before gch_final_end().
 */
#include "heap.h"

#define FINALS_MIN	64
#define NIL		0	/* links are 1 + index */
#define LOOKS		16	/* entries that take as long as a page */

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
	for (i = 0; i < f->cap; i++) {
		u32 *b = &n.hash[gch_final_bucket(&n, n.pool[i].addr)];

		if (n.pool[i].state != GCH_FINAL_SET)
			continue;
		n.pool[i].hnext = *b;
		*b = i + 1;
	}
	for (i = cap; i > f->cap; i--) {
		n.pool[i - 1].hnext = n.free;
		n.free = i;
	}
	env_free(f->pool);
	*f = n;
	return 0;
}

static u32 *find(struct gch_finals *f, u64 addr)
{
	u32 *link;

	if (!f->cap)
		return NULL;
	for (link = &f->hash[gch_final_bucket(f, addr)]; *link != NIL;
	     link = &f->pool[*link - 1].hnext)
		if (f->pool[*link - 1].addr == addr)
			return link;
	return NULL;
}

/**
 * gch_final_set() - queue an object when it dies
 * @addr: start of an allocated cell
 * @cookie: given back with it
 * @old: out: cookie replaced, 0 if none
 *
 * Return: 0, -ENOENT: no such object, -ENOMEM.
 */
int gch_final_set(struct gch_heap *h, u64 addr, u64 cookie, u64 *old)
{
	struct gch_finals *f = &h->finals;
	struct gch_final *e;
	struct gch_ref r;
	u32 *link, i;

	env_assert_held(&h->lock);
	*old = 0;
	if (!gch_object_at(h, addr, &r))
		return -ENOENT;
	if (h->evac.state == GCH_EVAC_CHOSEN)
		gch_evac_pin(h, addr - h->base);
	link = find(f, addr);
	if (link) {
		*old = f->pool[*link - 1].cookie;
		f->pool[*link - 1].cookie = cookie;
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
	e->rnext = NIL;
	e->hnext = f->hash[gch_final_bucket(f, addr)];
	f->hash[gch_final_bucket(f, addr)] = i;
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
	u32 *link, i;

	env_assert_held(&h->lock);
	*old = 0;
	link = find(f, addr);
	if (!link)
		return -ENOENT;
	i = *link;
	*old = f->pool[i - 1].cookie;
	*link = f->pool[i - 1].hnext;
	f->registered--;
	release(f, i);
	return 0;
}

/** gch_final_roots() - what is queued and not fetched is alive */
void gch_final_roots(struct gch_heap *h)
{
	struct gch_finals *f = &h->finals;
	u32 i;

	for (i = f->ready_head; i != NIL; i = f->pool[i - 1].rnext)
		gch_mark_precise(h, &f->pool[i - 1].addr, 1);
}

static bool is_kept(struct gch_heap *h, u64 addr)
{
	struct gch_ref r;

	return gch_resolve(h, addr, &r) && gch_ref_kept(&r);
}

/* From the table to the end of the queue, where it is not counted yet. */
static void queue(struct gch_finals *f, u32 i)
{
	struct gch_final *e = &f->pool[i - 1];

	*find(f, e->addr) = e->hnext;
	f->registered--;
	e->state = GCH_FINAL_READY;
	e->rnext = NIL;
	if (f->ready_tail != NIL)
		f->pool[f->ready_tail - 1].rnext = i;
	else
		f->ready_head = i;
	f->ready_tail = i;
	if (!f->dying++)
		f->mark_at = i;
}

/* Look at @n entries of the pool. Return: whether there are more. */
static bool look(struct gch_heap *h, u32 n)
{
	struct gch_finals *f = &h->finals;
	struct gch_final *e;

	for (; n && f->at < f->cap; n--) {
		e = &f->pool[f->at++];
		if (e->state == GCH_FINAL_SET && !is_kept(h, e->addr))
			queue(f, f->at);
	}
	return f->at < f->cap;
}

static bool mark_dying(struct gch_heap *h, u32 n)
{
	struct gch_finals *f = &h->finals;

	for (; n && f->mark_at != NIL; n--) {
		gch_mark_precise(h, &f->pool[f->mark_at - 1].addr, 1);
		f->mark_at = f->pool[f->mark_at - 1].rnext;
	}
	return f->mark_at != NIL;
}

/** gch_final_begin() - the next gch_final_some() is the first */
void gch_final_begin(struct gch_heap *h)
{
	h->finals.at = h->finals.registered ? 0 : h->finals.cap;
}

/**
 * gch_final_some() - queue the registered objects that were not reached, and mark from them
 * @n: about so many entries, spans, pages
 *
 * Lock held, phase FINALIZE; the program may run. All are picked before the first is
 * marked, so that an object does not keep another's finalizer waiting: order is the
 * program's affair. Return: whether there is more to do; if not, there may be objects to ask
 * about (ask.c), and then again.
 */
bool gch_final_some(struct gch_heap *h, u32 n)
{
	struct gch_finals *f = &h->finals;

	env_assert_held(&h->lock);
	if (look(h, n * LOOKS) || mark_dying(h, n) || gch_mark_drain(h, n))
		return true;
	if (f->dying && !h->weak.clearing && gch_weak_settle(h, n, true))
		return true;
	if (h->ask_head)
		return false;
	if (f->dying && gch_weak_clear(h, n))
		return true;
	gch_final_end(h);
	return false;
}

/** gch_final_end() - the program may have what was queued */
void gch_final_end(struct gch_heap *h)
{
	struct gch_finals *f = &h->finals;

	f->ready += f->dying;
	f->dying = 0;
	f->mark_at = NIL;
}

/**
 * gch_final_peek() - look at the first queued objects
 * @items: room for @max
 *
 * Return: how many. They stay queued, and so alive, until gch_final_pop().
 */
u32 gch_final_peek(struct gch_heap *h, struct gcheap_ready *items, u32 max)
{
	struct gch_finals *f = &h->finals;
	u32 n = 0, i;

	env_assert_held(&h->lock);
	max = min(max, f->ready);
	for (i = f->ready_head; n < max; i = f->pool[i - 1].rnext) {
		items[n].addr = f->pool[i - 1].addr;
		items[n].cookie = f->pool[i - 1].cookie;
		n++;
	}
	return n;
}

/** gch_final_pop() - forget the first @n queued objects: the program has them */
void gch_final_pop(struct gch_heap *h, u32 n)
{
	struct gch_finals *f = &h->finals;
	u32 i;

	env_assert_held(&h->lock);
	for (; n && f->ready; n--) {
		i = f->ready_head;
		f->ready_head = f->pool[i - 1].rnext;
		if (f->ready_head == NIL)
			f->ready_tail = NIL;
		f->ready--;
		release(f, i);
	}
}

void gch_final_destroy(struct gch_heap *h)
{
	env_free(h->finals.pool);
}
