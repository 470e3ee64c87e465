// SPDX-License-Identifier: GPL-2.0-only
/*
 * Weak words, which are set to 0 when what they refer to was not reached, and ephemerons:
 * elements of a key, which is weak, and values that are reached if key and element are
 * (Hayes, "Ephemerons: a new finalization mechanism", OOPSLA 1997).
 *
 * Scanning a cell looks at its weak words as well. Where one refers to what is not marked
 * its page is noted, one bit a page, however many there are. What is noted is looked at
 * again when the queue is empty, with the program running: as more has been marked, less
 * stays noted, and values whose keys have been reached are marked. What the program
 * writes is noted when the page is scanned again. So the pause has to look at pages that
 * have weak words to the dead, and at no others.
 *
 * With ephemerons that is repeated until nothing more is marked, over what is noted, in
 * one direction and then in the other (as Lua does): once for each turn that a chain of
 * values and keys takes from page to page. A page is looked at until it has nothing more
 * to mark before the next one is.
 */
#include "marker.h"

#define CHUNK_WORDS	(GCH_CHUNK_PAGES / 64)

enum referent {
	NONE,		/* no object */
	MARKED,
	NEW,		/* kept in this cycle for being new, and to be looked at in the next */
	WHITE,
};

static enum referent referent_of(struct gch_heap *h, u64 addr)
{
	struct gch_ref r;

	if (!gch_resolve(h, addr, &r))
		return NONE;
	if (!gch_ref_kept(&r))
		return WHITE;
	return gch_ref_marked(&r) ? MARKED : NEW;
}

static bool has_pairs(const struct gch_cache *c)
{
	return c->flags & GCHEAP_CACHE_EPHEMERON;
}

/* The word at an offset refers to what is not marked, or not yet. */
static void note(struct gch_heap *h, u64 off)
{
	u32 i = (off >> GCH_PAGE_SHIFT) % GCH_CHUNK_PAGES, number = off >> GCHEAP_CHUNK_SHIFT;

	env_spin_lock(&h->qlock);
	gch_chunk(h, number)->weak[i / 64] |= 1ull << (i % 64);
	h->weak.lo = min(h->weak.lo, number);
	h->weak.end = max(h->weak.end, number + 1);
	env_spin_unlock(&h->qlock);
}

/**
 * gch_weak_look() - look at the weak words of a stretch of the cell being scanned
 * @off: where it begins
 * @w: only at those in a window, unless NULL
 */
void gch_weak_look(struct marker *m, const struct gch_map *map, u64 off,
		   const struct window *w)
{
	u32 i;

	if (!map->weak)
		return;
	for (i = 0; i < gch_bit_words(map->words); i++, off += 8 * 64) {
		u64 bits = map->weak[i], at;

		for (; bits; bits &= bits - 1) {
			at = off + 8 * env_ctz64(bits);
			if ((!w || gch_inside(w, at)) &&
			    referent_of(m->h, gch_span_word(m, at) & ~m->scan.tags) >= NEW)
				note(m->h, at);
		}
	}
}

/** gch_pair_look() - look at an ephemeron of the cell being scanned, at an offset */
void gch_pair_look(struct marker *m, u64 off)
{
	u64 key = off + 8 * (u64)m->scan.c->key;
	enum referent is = referent_of(m->h, gch_span_word(m, key) & ~m->scan.tags);

	if (is >= NEW)
		note(m->h, key);
	if (is != WHITE)
		gch_scan_map(m, &m->scan.c->elem, off);
}

static void look_at_cell(struct marker *m, const struct window *w, u64 off, u64 bytes)
{
	const struct gch_cache *c = m->scan.c;
	u64 first, end, step = 8 * (u64)c->elem.words, n, i, at;

	gch_weak_look(m, &c->fixed, off, w);
	if (!gch_window_elems(m, w, off, bytes, &first, &end))
		return;
	n = env_div64(end - first + step - 1, step);
	for (i = 0; i < n; i++) {
		at = first + step * (w->down ? n - 1 - i : i);
		if (!has_pairs(c)) {
			gch_weak_look(m, &c->elem, at, w);
		} else if (gch_inside(w, at + 8 * (u64)c->key)) {
			gch_pair_look(m, at);
			/* What is put off may be the next one's key. */
			if (m->w->ahead.n)
				gch_mark_fetched(m->h, m->w);
		}
	}
}

/* The words of a map at an offset are 0. */
static void zero_map(struct gch_heap *h, const u64 *map, u32 words, u64 off)
{
	u32 i;
	u64 *p;

	for (i = 0; map && i < words; i++) {
		p = map[i / 64] & (1ull << (i % 64)) ? gch_heap_word(h, off + 8 * (u64)i) : NULL;
		if (p)
			WRITE_ONCE(*p, 0);
	}
}

static bool clear_word(struct marker *m, u64 off)
{
	u64 *p = gch_heap_word(m->h, off), word = p ? READ_ONCE(*p) : 0;
	enum referent is = referent_of(m->h, word & ~m->scan.tags);

	if (is == NEW)
		note(m->h, off);
	/* The program may run, and have written there meanwhile. */
	if (is != WHITE || env_cmpxchg(p, word, 0) != word)
		return false;
	m->h->n.weak_cleared++;
	return true;
}

static void clear_map(struct marker *m, const struct gch_map *map, u64 off,
		      const struct window *w)
{
	u32 i;

	if (!map->weak)
		return;
	for (i = 0; i < gch_bit_words(map->words); i++, off += 8 * 64) {
		u64 bits = map->weak[i], at;

		for (; bits; bits &= bits - 1) {
			at = off + 8 * env_ctz64(bits);
			if (gch_inside(w, at))
				clear_word(m, at);
		}
	}
}

static void clear_cell(struct marker *m, const struct window *w, u64 off, u64 bytes)
{
	const struct gch_cache *c = m->scan.c;
	u64 at, end, key;

	clear_map(m, &c->fixed, off, w);
	if (!gch_window_elems(m, w, off, bytes, &at, &end))
		return;
	for (; at < end; at += 8 * (u64)c->elem.words) {
		key = at + 8 * (u64)c->key;
		if (!has_pairs(c))
			clear_map(m, &c->elem, at, w);
		else if (gch_inside(w, key) && clear_word(m, key))
			zero_map(m->h, c->elem.ptr, c->elem.words, at);
	}
}

static u64 *noted(struct gch_heap *h, u64 word)
{
	struct gch_chunk *c = gch_chunk(h, word / CHUNK_WORDS);

	return c ? &c->weak[word % CHUNK_WORDS] : NULL;
}

/* What is left of the pass waits for the next. */
static void pass_end(struct gch_heap *h)
{
	struct gch_weak *k = &h->weak;

	u64 *p = k->bits ? noted(h, k->at) : NULL;

	if (p)
		*p |= k->bits;
	k->bits = 0;
	k->left = 0;
}

static void pass_begin(struct gch_heap *h)
{
	struct gch_weak *k = &h->weak;

	pass_end(h);
	k->left = k->end > k->lo ? (u64)(k->end - k->lo) * CHUNK_WORDS : 0;
	k->down = !k->down;
	k->at = k->down ? (u64)k->end * CHUNK_WORDS : (u64)k->lo * CHUNK_WORDS - 1;
	k->seen = h->n.marked_objects;
}

/* The next noted page of the pass, which is no longer. */
static bool pass_next(struct gch_heap *h, u64 *page)
{
	struct gch_weak *k = &h->weak;
	u32 bit;
	u64 *p;

	while (!k->bits) {
		if (!k->left)
			return false;
		k->left--;
		k->at += k->down ? -1 : 1;
		p = noted(h, k->at);
		if (!p)
			continue;
		k->bits = *p;
		*p = 0;
	}
	bit = k->down ? env_fls64(k->bits) - 1 : env_ctz64(k->bits);
	k->bits &= ~(1ull << bit);
	*page = 64 * k->at + bit;
	return true;
}

/* What is on a page that was just looked at has marked something: it may go on there. */
static void look_again(struct gch_heap *h, u64 page)
{
	u64 *p = noted(h, page / 64), again = *p & (1ull << (page % 64));

	*p &= ~again;
	h->weak.bits |= again;
}

/* @pairs: only at those that have ephemerons. */
static void look_at_page(struct gch_heap *h, u64 page, bool pairs)
{
	u64 before = h->n.marked_objects;
	struct marker m;
	struct window w;

	if (!gch_window_open(h, page, &w, &m))
		return;
	w.down = h->weak.down;
	if (h->weak.checking || (pairs && !has_pairs(m.scan.c)))
		note(h, w.lo);
	if (!pairs || has_pairs(m.scan.c))
		gch_window_cells(&m, &w, true, look_at_cell);
	if (h->n.marked_objects != before && has_pairs(m.scan.c))
		look_again(h, page);
}

/**
 * gch_weak_settle() - look again at what is noted
 * @pages: at most so many
 * @pairs: only at ephemerons
 *
 * Lock held, or world stopped; nothing is queued, and one worker is left. Ends early when
 * something is: go on when that is drained. Return: false: a look at all that is noted
 * marked nothing.
 */
bool gch_weak_settle(struct gch_heap *h, u32 pages, bool pairs)
{
	struct gch_weak *k = &h->weak;
	u64 page;

	if (pairs && !h->npairs)
		return false;
	while (pages && !h->qhead && !h->worker->ahead.n) {
		if (pass_next(h, &page)) {
			look_at_page(h, page, pairs);
			pages--;
		} else if (k->seen != h->n.marked_objects) {
			pass_begin(h);
		} else {
			return false;
		}
	}
	return true;
}

/**
 * gch_mark_some() - mark from what is queued, and then the values of ephemerons
 * @n: at most so many spans or pages
 *
 * World stopped; no lock (I1). Return: whether there is more.
 */
bool gch_mark_some(struct gch_heap *h, u32 n)
{
	return gch_mark_drain(h, n) || gch_weak_settle(h, n, true);
}

/**
 * gch_weak_clear() - clear the weak words that refer to what was not reached
 * @pages: at most on so many
 *
 * Marking complete; lock held, or world stopped. And the values of ephemerons whose keys
 * were not. Pages with weak words to what is new stay noted: a young collection next may
 * find that it has died. Return: whether there are more.
 */
bool gch_weak_clear(struct gch_heap *h, u32 pages)
{
	struct gch_weak *k = &h->weak;
	struct marker m;
	struct window w;
	u64 page;

	if (!k->clearing)
		pass_begin(h);
	for (k->clearing = true; pages; pages--) {
		k->clearing = pass_next(h, &page);
		if (!k->clearing)
			break;
		if (gch_window_open(h, page, &w, &m))
			gch_window_cells(&m, &w, true, clear_cell);
		env_yield();
	}
	return k->clearing;
}

/** gch_weak_forget() - nothing is noted: marking begins with nothing marked */
void gch_weak_forget(struct gch_heap *h)
{
	struct gch_chunk *c;
	u32 i;

	pass_end(h);
	for (i = h->weak.lo; i < h->weak.end; i++) {
		c = gch_chunk(h, i);
		if (c)
			memset(c->weak, 0, sizeof(c->weak));
	}
	h->weak.lo = U32_MAX;
	h->weak.end = 0;
	h->weak.clearing = false;
}
