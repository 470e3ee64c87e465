// SPDX-License-Identifier: GPL-2.0-only
/*
 * A heap made in the likeness of another one, for a forked child (R13).
 *
 * The other one's structure does not change meanwhile (gch_heap.closed). Its threads go on in
 * their spans until they are stopped for the last step, which wants no memory:
 *
 *   gch_copy_begin()	caches, finalizers, links, counters
 *   gch_copy_span()	for each span: its descriptor, nothing live yet
 *   gch_copy_cells()	for each: what is live in it, threads stopped
 *   gch_copy_end()
 *
 * No thread of the new heap has spans. Those that are owned in the other one are nobody's, and
 * what their threads have handed out is live: where a cursor stands is known exactly, for what
 * a stopped thread has not handed out yet it has told nobody of who is in the child. Frames and
 * what is in them are the platform's to bring.
 *
 * Nobody knows the new heap; its lock is held for its own sake where gch_take() wants it.
 */
#include "heap.h"

static int copy_bits(u64 **bits, u32 words)
{
	size_t bytes = gch_bit_words(words) * sizeof(u64);
	const u64 *from = *bits;

	if (!from)
		return 0;
	*bits = env_zalloc(bytes);
	if (!*bits)
		return -ENOMEM;
	memcpy(*bits, from, bytes);
	return 0;
}

/* The maps are the other cache's at first; those that could not be copied are nobody's. */
static int copy_maps(struct gch_cache *c)
{
	u64 **ptr[] = { &c->fixed.ptr, &c->elem.ptr }, **weak[] = { &c->fixed.weak, &c->elem.weak };
	u32 words[] = { c->fixed.words, c->elem.words }, i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (err)
			*ptr[i] = NULL;
		err = err ?: copy_bits(ptr[i], words[i]);
		if (err)
			*weak[i] = NULL;
		err = err ?: copy_bits(weak[i], words[i]);
	}
	return err;
}

static int copy_cache(struct gch_heap *to, u32 i, const struct gch_cache *from)
{
	struct gch_cache *c = env_zalloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = *from;
	c->partial = 0;
	c->meshed = 0;
	c->split_at = 0;
	c->npartial = 0;
	c->nspans = 0;
	to->cache[i] = c;
	return copy_maps(c);
}

static int copy_finals(struct gch_heap *to, const struct gch_finals *from)
{
	size_t bytes = from->cap * (sizeof(*from->pool) + sizeof(*from->hash));
	struct gch_final *pool;

	if (!from->cap)
		return 0;
	pool = env_zalloc(bytes);
	if (!pool)
		return -ENOMEM;
	memcpy(pool, from->pool, bytes);
	to->finals = *from;
	to->finals.pool = pool;
	to->finals.hash = (u32 *)(pool + from->cap);
	return 0;
}

/* Their words are at the same addresses. */
static int copy_links(struct gch_heap *to, const struct gch_heap *from)
{
	const struct gch_links *f = &from->links;
	size_t bytes = gch_link_bytes(from);
	void *pool;

	if (!f->cap)
		return 0;
	pool = env_zalloc(bytes);
	if (!pool)
		return -ENOMEM;
	memcpy(pool, f->pool, bytes);
	to->links = *f;
	to->links.pool = pool;
	to->links.noted = pool + ((void *)f->noted - (void *)f->pool);
	to->links.head = pool + ((void *)f->head - (void *)f->pool);
	to->n.meta_bytes += bytes;
	return 0;
}

/* What is recounted as spans, frames and tables come. */
static void copy_counts(struct gch_heap *to, const struct gch_heap *from)
{
	to->n = from->n;
	to->n.heap_bytes = 0;
	to->n.meta_bytes = 0;
	to->n.resident_pages = 0;
	to->n.meshed_pages = 0;
}

/**
 * gch_copy_begin() - begin to make a heap like another one
 * @to: as gch_heap_init() leaves it, of the same size
 * @from: phase IDLE, its structure closed
 *
 * Without locks; may sleep. Return: 0 or -ENOMEM; gch_heap_destroy() undoes it, then and later.
 */
int gch_copy_begin(struct gch_heap *to, const struct gch_heap *from)
{
	int err = 0;
	u32 i;

	to->base = from->base;
	to->param = from->param;
	to->colour = from->colour;
	to->ncaches = from->ncaches;
	to->npast_end = from->npast_end;
	to->npairs = from->npairs;
	to->nasks = from->nasks;
	copy_counts(to, from);
	for (i = 0; i < from->ncaches && !err; i++)
		if (from->cache[i])
			err = copy_cache(to, i, from->cache[i]);
	return err ?: copy_finals(to, &from->finals) ?: copy_links(to, from);
}

/* Tables for what follows: 0 or -ENOMEM, as gch_chunk_ensure(). */
static int span_tables(struct gch_heap *to, const struct gch_heap *from, u32 id,
		       const struct gcheap_span *d)
{
	const struct gch_chunk *c = gch_chunk(from, id / GCHEAP_CHUNK_SLOTS);
	int err = gch_chunk_ensure(to, id, d->nslots);

	if (!err && d->recip == GCH_WIDE_RECIP)
		err = gch_chunk_widen(to, id, !(d->flags & GCHEAP_SPANF_NOSCAN));
	if (!err && c->alias)
		err = gch_mesh_ensure(to, (u64)id * GCH_SLOT_PAGES);
	return err;
}

/**
 * gch_copy_span() - make a span like one of the other heap
 * @id: its number, in rising order
 *
 * @to's lock held. Return: 0 or -ENOMEM: see gch_reserve_fill(); it has not been made then.
 */
int gch_copy_span(struct gch_heap *to, const struct gch_heap *from, u32 id)
{
	const struct gcheap_span *d = gch_desc(from, id);
	struct gch_slot *s;
	u32 i;
	int err;

	env_assert_held(&to->lock);
	err = span_tables(to, from, id, d) ?: gch_run_extend(to, id, d->nslots);
	if (err)
		return err;
	s = gch_slot(to, id);
	*gch_desc(to, id) = *d;
	s->bytes = gch_slot(from, id)->bytes;
	s->recip = d->recip;
	s->commit = GCH_COMMITTED;
	for (i = 0; i < d->nslots; i++)
		gch_desc(to, id + i)->head = id + 1;
	if (d->state == GCHEAP_SPAN_MOVED) {
		to->moved_slots += d->nslots;
		return 0;
	}
	to->cache[d->cache]->nspans++;
	gch_chunk(to, id / GCHEAP_CHUNK_SLOTS)->nasks += to->cache[d->cache]->layout == GCHEAP_ASK;
	gch_heap_grown(to, (u64)d->nslots << GCHEAP_SLOT_SHIFT);
	return 0;
}

/**
 * gch_copy_cells() - what is live in a span of the other heap is in the one like it
 *
 * @to's lock held, @from's threads stopped, and last of what is done to the span.
 */
void gch_copy_cells(struct gch_heap *to, struct gch_heap *from, u32 id)
{
	struct gcheap_span *d = gch_desc(to, id);

	env_assert_held(&to->lock);
	memcpy(gch_live(to, id), gch_live(from, id), gch_bit_words(d->ncells) * sizeof(u64));
	/* One that is large may have been filled since its descriptor was copied. */
	if (d->state == GCHEAP_SPAN_LARGE)
		d->flags = READ_ONCE(gch_desc(from, id)->flags);
	if (d->state == GCHEAP_SPAN_PARTIAL) {
		gch_span_list(to, id);
		return;
	}
	gch_slot(to, id)->commit = gch_slot(from, id)->commit;
	if (gch_span_owned(d))
		gch_span_retire(to, id, gch_thread_at(from, id));
}

/* Pages of a chunk share frames as in the other heap; they have the same ones by now. */
static void copy_rings(struct gch_heap *to, const struct gch_heap *from, u32 chunk)
{
	const struct gch_chunk *f = gch_chunk(from, chunk);
	struct gch_chunk *t = gch_chunk(to, chunk);

	if (f && f->alias && t && t->alias)
		memcpy(t->alias, f->alias, GCH_PAGE_SIZE);
}

/** gch_copy_end() - all spans have been copied; locks as of gch_copy_cells() */
void gch_copy_end(struct gch_heap *to, const struct gch_heap *from)
{
	u32 c;

	env_assert_held(&to->lock);
	for (c = 0; c * GCHEAP_CHUNK_SLOTS < from->top; c++)
		copy_rings(to, from, c);
	to->n.meshed_pages = from->n.meshed_pages;
}
