// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finalizable objects: a table by address, and a queue of those found dead
 * that the program has not fetched. Entries live in a pool and move from the
 * table to the queue without memory being needed.
 */
#include "heap.h"

#define FINALS_MIN	64
#define NIL		0	/* links are 1 + index */

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

static void make_ready(struct gch_finals *f, u32 i)
{
	struct gch_final *e = &f->pool[i - 1];

	e->state = GCH_FINAL_READY;
	e->rnext = NIL;
	if (f->ready_tail != NIL)
		f->pool[f->ready_tail - 1].rnext = i;
	else
		f->ready_head = i;
	f->ready_tail = i;
	f->ready++;
	f->registered--;
}

/**
 * gch_final_queue() - queue the registered objects that were not reached
 *
 * World stopped, marking drained, weak fields cleared (R19). All are picked
 * before the first is marked, so that an object does not keep another's
 * finalizer waiting: order is the program's affair. Drain afterwards.
 */
void gch_final_queue(struct gch_heap *h)
{
	struct gch_finals *f = &h->finals;
	u32 b, i, last = f->ready_tail;

	for (b = 0; b < f->cap; b++) {
		u32 *link = &f->hash[b];

		while ((i = *link) != NIL) {
			if (is_kept(h, f->pool[i - 1].addr)) {
				link = &f->pool[i - 1].hnext;
				continue;
			}
			*link = f->pool[i - 1].hnext;
			make_ready(f, i);
		}
		if (b % 4096 == 4095)
			env_yield();
	}
	for (i = last != NIL ? f->pool[last - 1].rnext : f->ready_head; i != NIL;
	     i = f->pool[i - 1].rnext)
		gch_mark_precise(h, &f->pool[i - 1].addr, 1);
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
	for (i = f->ready_head; n < max && i != NIL; i = f->pool[i - 1].rnext) {
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
	for (; n && f->ready_head != NIL; n--) {
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
