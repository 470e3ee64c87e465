// SPDX-License-Identifier: GPL-2.0-only
/*
 * Links: words that become 0 when an object dies, in the heap or elsewhere in the program's
 * memory. What they hold does not matter: it need not look like an address.
 *
 * A table of them by index, and three chains of each: by the word, by the object, and by the
 * object of the heap in which the word is, its holder. So early frees find what is concerned.
 *
 * Beside the marking all are looked at once, and those noted, a bit each, whose object or
 * holder is not marked by then. As marks are never taken back it is only these, and those
 * that are registered from then on, which may have died when marking is complete; so the pause
 * looks at what is noted. In the pause short links become 0 (gch_link_finish()): before it
 * is seen what finalizable objects lead to. In phase FINALIZE long ones do, when all is marked
 * that these lead to; links whose holders have died are forgotten then. So none is left that
 * has to do with a cell which the sweep takes.
 *
 * A word in the heap is written through its frame, even in a holder that has died: it is
 * nobody else's before the sweep. One elsewhere is written if its page is there; if not, the
 * object stays as if the link were a root, as in FINALIZE it still can, and the page is wanted:
 * it is brought in before the next pause (gch_link_wanted()).
 */
#include "heap.h"

#define LINKS_MIN	64
#define LINKS_MAX	(1u << 24)
#define NIL		0	/* chains have 1 + index */
#define LOOKS		16	/* entries that take as long as a page */
#define YIELD		4096	/* entries between yields */

static size_t table_bytes(u32 cap)
{
	return cap * (sizeof(struct gch_link) + GCH_LINK_CHAINS * sizeof(u32)) + cap / 8;
}

u64 gch_link_bytes(const struct gch_heap *h)
{
	return table_bytes(h->links.cap);
}

static struct gch_link *link_at(const struct gch_links *l, u32 i)
{
	return &l->pool[i - 1];
}

/* ---- Chains ---- */

static u32 *chain_of(const struct gch_links *l, u32 c, u64 key)
{
	return &l->head[c * l->cap + env_hash64(key, env_ctz64(l->cap))];
}

static void chain_add(struct gch_links *l, u32 c, u32 i)
{
	struct gch_link *e = link_at(l, i);
	u32 *head = chain_of(l, c, e->key[c]);

	e->in[c].next = *head;
	e->in[c].prev = NIL;
	if (*head != NIL)
		link_at(l, *head)->in[c].prev = i;
	*head = i;
}

static void chain_del(struct gch_links *l, u32 c, u32 i)
{
	struct gch_link *e = link_at(l, i);

	if (e->in[c].prev != NIL)
		link_at(l, e->in[c].prev)->in[c].next = e->in[c].next;
	else
		*chain_of(l, c, e->key[c]) = e->in[c].next;
	if (e->in[c].next != NIL)
		link_at(l, e->in[c].next)->in[c].prev = e->in[c].prev;
}

static bool is_chained(const struct gch_link *e, u32 c)
{
	switch (c) {
	case GCH_LINK_OBJECT:
		return !(e->flags & GCH_LINK_ORPHAN);
	case GCH_LINK_HOLDER:
		return e->key[c];
	}
	return true;
}

static void chains_add(struct gch_links *l, u32 i)
{
	u32 c;

	for (c = 0; c < GCH_LINK_CHAINS; c++)
		if (is_chained(link_at(l, i), c))
			chain_add(l, c, i);
}

static void chains_del(struct gch_links *l, u32 i)
{
	u32 c;

	for (c = 0; c < GCH_LINK_CHAINS; c++)
		if (is_chained(link_at(l, i), c))
			chain_del(l, c, i);
}

static u64 key_of(u64 word, bool lng)
{
	return word | lng;
}

static u32 link_find(const struct gch_links *l, u64 key)
{
	u32 i;

	if (!l->cap)
		return NIL;
	for (i = *chain_of(l, GCH_LINK_WORD, key); i != NIL; i = link_at(l, i)->in[0].next)
		if (link_at(l, i)->key[GCH_LINK_WORD] == key)
			return i;
	return NIL;
}

/* ---- The table ---- */

static void place_tables(struct gch_links *l, u32 cap)
{
	l->noted = (u64 *)(l->pool + cap);
	l->head = (u32 *)(l->noted + cap / 64);
	l->cap = cap;
}

static int links_grow(struct gch_heap *h)
{
	struct gch_links *l = &h->links, n = *l;
	u32 cap = l->cap ? 2 * l->cap : LINKS_MIN, i;

	if (cap > LINKS_MAX)
		return -ENOSPC;
	n.pool = gch_take(h, table_bytes(cap));
	if (!n.pool)
		return -ENOMEM;
	place_tables(&n, cap);
	if (l->cap)
		memcpy(n.noted, l->noted, l->cap / 8);
	for (i = 1; i <= l->cap; i++) {
		*link_at(&n, i) = *link_at(l, i);
		if (link_at(&n, i)->flags & GCH_LINK_USED)
			chains_add(&n, i);
		if (i % YIELD == 0)
			env_yield();
	}
	for (i = cap; i > l->cap; i--) {
		link_at(&n, i)->in[0].next = n.free;
		n.free = i;
	}
	/* The look is over: what comes now is noted at once. */
	if (l->at && l->at == l->cap)
		n.at = cap;
	h->n.meta_bytes += table_bytes(cap) - (l->cap ? table_bytes(l->cap) : 0);
	env_free(l->pool);
	*l = n;
	return 0;
}

static u64 *note_word(const struct gch_links *l, u32 i)
{
	return &l->noted[(i - 1) / 64];
}

static u64 note_bit(u32 i)
{
	return 1ull << ((i - 1) % 64);
}

/* It is to be looked at again in this cycle, if that has been done with it. */
static void link_note(struct gch_links *l, u32 i)
{
	if (i <= l->at)
		*note_word(l, i) |= note_bit(i);
}

static void want(struct gch_links *l, struct gch_link *e)
{
	l->wanted += !(e->flags & GCH_LINK_WANTED);
	e->flags |= GCH_LINK_WANTED;
}

/* Nor is it known whether something is there. */
static void unwant(struct gch_links *l, struct gch_link *e)
{
	l->wanted -= !!(e->flags & GCH_LINK_WANTED);
	e->flags &= ~GCH_LINK_WANTED;
	e->gone = 0;
}

/* What is seen counts in this cycle. */
static u32 this_turn(const struct gch_links *l)
{
	return l->turn | 1;
}

static void link_forget(struct gch_links *l, u32 i)
{
	struct gch_link *e = link_at(l, i);

	unwant(l, e);
	chains_del(l, i);
	*note_word(l, i) &= ~note_bit(i);
	e->flags = 0;
	e->in[0].next = l->free;
	l->free = i;
	l->count--;
}

/* Another word is meant. If its object is to be kept, it still is. */
static void word_changed(struct gch_links *l, u32 i)
{
	unwant(l, link_at(l, i));
	link_note(l, i);
}

/* ---- For the program ---- */

/* The object that a word is in, 0: it is not in the heap. Return: 0, or -EINVAL. */
static int holder_of(struct gch_heap *h, u64 word, u64 *holder)
{
	struct gch_ref r;

	*holder = 0;
	if (word - h->base >= h->size)
		return 0;
	if (!gch_ref_at(h, word - h->base, &r))
		return -EINVAL;
	*holder = gch_ref_addr(h, &r);
	if (!gch_object_at(h, *holder, &r) ||
	    word - *holder + sizeof(u64) > (u64)r.d->cell_granules * GCHEAP_GRANULE)
		return -EINVAL;
	return 0;
}

/* Objects that are known by their addresses do not move. */
static void pin(struct gch_heap *h, const struct gch_link *e)
{
	if (h->evac.state != GCH_EVAC_CHOSEN)
		return;
	gch_evac_pin(h, e->key[GCH_LINK_OBJECT] - h->base);
	if (e->key[GCH_LINK_HOLDER])
		gch_evac_pin(h, e->key[GCH_LINK_HOLDER] - h->base);
}

static int set_new(struct gch_heap *h, u64 key, u64 object, u64 holder)
{
	struct gch_links *l = &h->links;
	struct gch_link *e;
	u32 i;
	int err;

	if (l->free == NIL) {
		err = links_grow(h);
		if (err)
			return err;
	}
	i = l->free;
	e = link_at(l, i);
	l->free = e->in[0].next;
	e->key[GCH_LINK_WORD] = key;
	e->key[GCH_LINK_OBJECT] = object;
	e->key[GCH_LINK_HOLDER] = holder;
	e->flags = GCH_LINK_USED;
	chains_add(l, i);
	l->count++;
	link_note(l, i);
	pin(h, e);
	return 0;
}

static void set_again(struct gch_heap *h, u32 i, u64 object)
{
	struct gch_links *l = &h->links;
	struct gch_link *e = link_at(l, i);

	unwant(l, e);
	chains_del(l, i);
	e->key[GCH_LINK_OBJECT] = object;
	e->flags = GCH_LINK_USED;
	chains_add(l, i);
	link_note(l, i);
	pin(h, e);
}

/**
 * gch_link_set() - a word is to become 0 when an object dies
 * @word: its address, a multiple of 8; @lng: not before finalizable ones cannot reach it
 * @object: start of an allocated cell
 * @old: out: the object that it was for so far, 0: none
 *
 * Return: 0, -EINVAL: @word is in the heap, but in no object; -ENOENT: @object is none;
 * -ENOMEM, -ENOSPC.
 */
int gch_link_set(struct gch_heap *h, u64 word, bool lng, u64 object, u64 *old)
{
	struct gch_ref r;
	u64 holder;
	u32 i;
	int err;

	env_assert_held(&h->lock);
	*old = 0;
	err = holder_of(h, word, &holder);
	if (err)
		return err;
	if (!gch_object_at(h, object, &r))
		return -ENOENT;
	i = link_find(&h->links, key_of(word, lng));
	if (i == NIL)
		return set_new(h, key_of(word, lng), object, holder);
	*old = link_at(&h->links, i)->key[GCH_LINK_OBJECT];
	set_again(h, i, object);
	return 0;
}

/** gch_link_get() - the object of a link: 0 or -ENOENT */
int gch_link_get(struct gch_heap *h, u64 word, bool lng, u64 *old)
{
	u32 i = link_find(&h->links, key_of(word, lng));

	env_assert_held(&h->lock);
	*old = i == NIL ? 0 : link_at(&h->links, i)->key[GCH_LINK_OBJECT];
	return i == NIL ? -ENOENT : 0;
}

/** gch_link_clear() - forget a link: 0 or -ENOENT */
int gch_link_clear(struct gch_heap *h, u64 word, bool lng, u64 *old)
{
	int err = gch_link_get(h, word, lng, old);

	if (!err)
		link_forget(&h->links, link_find(&h->links, key_of(word, lng)));
	return err;
}

/** gch_link_move() - another word is meant from now on
 *
 * Return: 0, -ENOENT, -EEXIST: there is a link at @to; -EINVAL as of gch_link_set().
 */
int gch_link_move(struct gch_heap *h, u64 word, u64 to, bool lng, u64 *old)
{
	struct gch_links *l = &h->links;
	u64 holder;
	u32 i;
	int err;

	env_assert_held(&h->lock);
	*old = 0;
	err = holder_of(h, to, &holder);
	if (err)
		return err;
	err = gch_link_get(h, word, lng, old);
	if (err || word == to)
		return err;
	if (link_find(l, key_of(to, lng)) != NIL)
		return -EEXIST;
	i = link_find(l, key_of(word, lng));
	chains_del(l, i);
	link_at(l, i)->key[GCH_LINK_WORD] = key_of(to, lng);
	link_at(l, i)->key[GCH_LINK_HOLDER] = holder;
	chains_add(l, i);
	word_changed(l, i);
	pin(h, link_at(l, i));
	return 0;
}

/* ---- Objects that go, or change ---- */

/* Call fn for the links in a chain that have a key; it may forget the one, or move it. */
static void each_with(struct gch_heap *h, u32 c, u64 key,
		      void (*fn)(struct gch_heap *h, u32 i, u64 arg), u64 arg)
{
	struct gch_links *l = &h->links;
	u32 i, next, n = 0;

	if (!l->count)
		return;
	for (i = *chain_of(l, c, key); i != NIL; i = next) {
		next = link_at(l, i)->in[c].next;
		if (link_at(l, i)->key[c] == key)
			fn(h, i, arg);
		if (++n % YIELD == 0)
			env_yield();
	}
}

static void orphan(struct gch_heap *h, u32 i, u64 arg)
{
	chain_del(&h->links, GCH_LINK_OBJECT, i);
	link_at(&h->links, i)->flags |= GCH_LINK_ORPHAN;
	link_note(&h->links, i);
}

static void forget_past(struct gch_heap *h, u32 i, u64 end)
{
	if (link_at(&h->links, i)->key[GCH_LINK_WORD] + sizeof(u64) > end)
		link_forget(&h->links, i);
}

/** gch_link_freed() - an object is being freed: links in it go, those to it as soon as may be */
void gch_link_freed(struct gch_heap *h, u64 addr)
{
	each_with(h, GCH_LINK_HOLDER, addr, forget_past, 0);
	each_with(h, GCH_LINK_OBJECT, addr, orphan, 0);
}

/** gch_link_shrunk() - an object ends earlier, at an address */
void gch_link_shrunk(struct gch_heap *h, u64 addr, u64 end)
{
	each_with(h, GCH_LINK_HOLDER, addr, forget_past, end);
}

static void go_along(struct gch_heap *h, u32 i, u64 to)
{
	struct gch_links *l = &h->links;
	struct gch_link *e = link_at(l, i);
	u64 key = e->key[GCH_LINK_WORD] - e->key[GCH_LINK_HOLDER] + to;

	/* Who guesses the new address can have one there. */
	if (link_find(l, key) != NIL) {
		link_forget(l, i);
		return;
	}
	chains_del(l, i);
	e->key[GCH_LINK_WORD] = key;
	e->key[GCH_LINK_HOLDER] = to;
	chains_add(l, i);
	word_changed(l, i);
}

/** gch_link_resized() - what an object holds is in another one now */
void gch_link_resized(struct gch_heap *h, u64 addr, u64 to)
{
	each_with(h, GCH_LINK_HOLDER, addr, go_along, to);
}

/** gch_link_pin() - objects are about to move: not these */
void gch_link_pin(struct gch_heap *h)
{
	const struct gch_links *l = &h->links;
	u32 i;

	for (i = 1; i <= l->cap; i++) {
		if (link_at(l, i)->flags & GCH_LINK_USED)
			pin(h, link_at(l, i));
		if (i % YIELD == 0)
			env_yield();
	}
}

/* ---- The cycle ---- */

static bool object_dead(struct gch_heap *h, const struct gch_link *e)
{
	return e->flags & GCH_LINK_ORPHAN || !gch_is_kept(h, e->key[GCH_LINK_OBJECT]);
}

static bool holder_dead(struct gch_heap *h, const struct gch_link *e)
{
	return e->key[GCH_LINK_HOLDER] && !gch_is_kept(h, e->key[GCH_LINK_HOLDER]);
}

static bool is_long(const struct gch_link *e)
{
	return e->key[GCH_LINK_WORD] & 1;
}

/** gch_link_end() - none has been looked at: the cycle is about to sweep, or has ended */
void gch_link_end(struct gch_heap *h)
{
	struct gch_links *l = &h->links;

	if (l->at)
		memset(l->noted, 0, l->cap / 8);
	l->at = 0;
	l->step = 0;
	l->kept = false;
	l->turn += 2;
}

static void look(struct gch_heap *h, u32 i)
{
	struct gch_link *e = link_at(&h->links, i);
	bool dead;

	if (!(e->flags & GCH_LINK_USED))
		return;
	dead = object_dead(h, e);
	if (dead && !e->key[GCH_LINK_HOLDER])
		want(&h->links, e);
	if (dead || holder_dead(h, e))
		link_note(&h->links, i);
}

/**
 * gch_link_look() - note the links that may have to do with dead objects
 * @n: takes as long as so many pages
 *
 * Lock held, or world stopped. Return: whether there are more.
 */
bool gch_link_look(struct gch_heap *h, u32 n)
{
	struct gch_links *l = &h->links;

	if (!l->count)
		l->at = l->cap;
	for (n = min(n, l->cap) * LOOKS; n && l->at < l->cap; n--) {
		look(h, ++l->at);
		if (l->at % YIELD == 0)
			env_yield();
	}
	return l->at < l->cap;
}

/**
 * gch_link_wanted() - the next word elsewhere whose page is to be brought in
 * @n: takes as long as so many pages
 * @link: out: its link, for gch_link_gone(), 0: none among these
 * @word: out: its address
 *
 * Each is told of once, and then the next one, from one call and one cycle to the other: so
 * one that never comes keeps none from it. Return: whether there are more.
 */
bool gch_link_wanted(struct gch_heap *h, u32 n, u32 *link, u64 *word)
{
	struct gch_links *l = &h->links;

	*link = NIL;
	for (n *= LOOKS; n && l->wanted && *link == NIL; n--) {
		struct gch_link *e;

		l->want_at = l->want_at < l->cap ? l->want_at + 1 : 1;
		e = link_at(l, l->want_at);
		if (!(e->flags & GCH_LINK_WANTED))
			continue;
		unwant(l, e);
		*link = l->want_at;
		*word = e->key[GCH_LINK_WORD] & ~1ull;
	}
	return l->wanted;
}

/** gch_link_gone() - nothing is mapped where a word was, if that is the link's still */
void gch_link_gone(struct gch_heap *h, u32 link, u64 word)
{
	struct gch_link *e = link_at(&h->links, link);

	if (e->flags & GCH_LINK_USED && (e->key[GCH_LINK_WORD] & ~1ull) == word)
		e->gone = this_turn(&h->links);
}

/* Write 0. Return: false: it can not be done now. */
static bool write_word(struct gch_heap *h, const struct gch_link *e)
{
	u64 word = e->key[GCH_LINK_WORD] & ~1ull, *p;

	if (!e->key[GCH_LINK_HOLDER])
		return h->ops->clear(h, word) || e->gone == this_turn(&h->links);
	p = gch_heap_word(h, word - h->base);
	if (p)
		WRITE_ONCE(*p, 0);
	/* Without a page it is 0, or the page has gone ahead to another object. */
	return p || !gch_thread_resizes(h, e->key[GCH_LINK_HOLDER]);
}

/* Its object has died. Return: false: that must not be, see above. */
static bool clear(struct gch_heap *h, u32 i)
{
	struct gch_link *e = link_at(&h->links, i);

	if (!write_word(h, e)) {
		if (!e->key[GCH_LINK_HOLDER])
			want(&h->links, e);
		return false;
	}
	h->n.links_cleared++;
	link_forget(&h->links, i);
	return true;
}

/* @n words of what is noted. Return: whether there is more. */
static bool each_noted(struct gch_heap *h, u32 n, void (*fn)(struct gch_heap *h, u32 i))
{
	struct gch_links *l = &h->links;
	u32 end = l->at ? (l->cap + 63) / 64 : 0;
	u64 bits;

	for (; n && l->step < end; n--, l->step++) {
		for (bits = l->noted[l->step]; bits; bits &= bits - 1)
			fn(h, 64 * l->step + env_ctz64(bits) + 1);
		if (l->step % 64 == 63)
			env_yield();
	}
	if (l->step < end)
		return true;
	l->step = 0;
	return false;
}

static void finish(struct gch_heap *h, u32 i)
{
	struct gch_link *e = link_at(&h->links, i);

	if (!is_long(e) && object_dead(h, e) && !clear(h, i))
		e->flags |= GCH_LINK_KEEP;
}

/** gch_link_finish() - world stopped, marking complete: short links of dead objects become 0 */
void gch_link_finish(struct gch_heap *h)
{
	while (gch_link_look(h, U32_MAX))
		;
	each_noted(h, U32_MAX, finish);
}

static void keep(struct gch_heap *h, struct gch_link *e)
{
	if (!(e->flags & GCH_LINK_ORPHAN))
		gch_mark_precise(h, &e->key[GCH_LINK_OBJECT], 1);
}

static void keep_short(struct gch_heap *h, u32 i)
{
	struct gch_link *e = link_at(&h->links, i);

	if (e->flags & GCH_LINK_KEEP)
		keep(h, e);
	e->flags &= ~GCH_LINK_KEEP;
}

/**
 * gch_link_keep() - mark the objects of those that gch_link_finish() could not write
 * @n: takes as long as so many pages
 *
 * Lock held, phase FINALIZE; the program may run. The same for those that follow. Return:
 * whether there is more.
 */
bool gch_link_keep(struct gch_heap *h, u32 n)
{
	return each_noted(h, n, keep_short);
}

static void clear_long(struct gch_heap *h, u32 i, bool inside)
{
	struct gch_link *e = link_at(&h->links, i);

	if (!is_long(e) || (e->key[GCH_LINK_HOLDER] && !inside) || !object_dead(h, e) ||
	    clear(h, i))
		return;
	keep(h, e);
	h->links.kept |= !(e->flags & GCH_LINK_ORPHAN);
}

static void clear_inside(struct gch_heap *h, u32 i)
{
	clear_long(h, i, true);
}

static void clear_outside(struct gch_heap *h, u32 i)
{
	clear_long(h, i, false);
}

/**
 * gch_link_finish_long() - all is marked that finalizable objects lead to: long links of dead
 *	objects become 0
 * @inside: those in the heap as well. The others come before, as they may keep something, and
 *	once more: the program may have moved some out of the heap since.
 * @kept: out, when it is done: objects were marked instead, and it is to be done again
 */
bool gch_link_finish_long(struct gch_heap *h, u32 n, bool inside, bool *kept)
{
	bool more = each_noted(h, n, inside ? clear_inside : clear_outside);

	*kept = !more && h->links.kept;
	if (!more)
		h->links.kept = false;
	return more;
}

static void forget_held(struct gch_heap *h, u32 i)
{
	if (holder_dead(h, link_at(&h->links, i)))
		link_forget(&h->links, i);
}

/** gch_link_forget_dead() - no link lies in what is about to be swept */
bool gch_link_forget_dead(struct gch_heap *h, u32 n)
{
	return each_noted(h, n, forget_held);
}

void gch_link_destroy(struct gch_heap *h)
{
	env_free(h->links.pool);
}
