// SPDX-License-Identifier: GPL-2.0-only
/* The heap: directory of chunks and their metadata. */
#include "heap.h"

/**
 * gch_heap_init() - an empty heap
 * @h: zeroed memory
 * @ops: platform
 * @size: reservation in bytes, multiple of the chunk size
 * @max_threads: most threads attached at a time
 *
 * Return: 0 or -ENOMEM; nothing to undo then.
 */
int gch_heap_init(struct gch_heap *h, const struct gch_ops *ops, u64 size,
		  u32 max_threads)
{
	u32 chunks = size >> GCHEAP_CHUNK_SHIFT;

	env_spin_init(&h->qlock);
	env_lock_init(&h->lock);
	h->ops = ops;
	h->size = size;
	h->nslots = size >> GCHEAP_SLOT_SHIFT;
	h->max_threads = max_threads;
	h->ndir = (chunks + GCH_LEAF_CHUNKS - 1) >> GCH_LEAF_SHIFT;
	h->dir = env_zalloc(h->ndir * sizeof(*h->dir));
	if (!h->dir)
		return -ENOMEM;
	h->thread = env_zalloc(max_threads * sizeof(*h->thread));
	if (!h->thread) {
		env_free(h->dir);
		return -ENOMEM;
	}
	return 0;
}

static void chunk_free(struct gch_chunk *c)
{
	u32 i;

	for (i = 0; i < GCH_DESC_PAGES; i++)
		env_page_free(c->desc[i]);
	for (i = 0; i < GCH_KERN_PAGES; i++)
		env_page_free(c->slot[i]);
	for (i = 0; i < GCH_LIVE_PAGES; i++)
		env_page_free(c->live[i]);
	for (i = 0; i < GCH_UPPER_PAGES; i++)
		env_page_free(c->upper[i]);
	for (i = 0; i < GCH_WIDE_PAGES; i++)
		env_page_free(c->wide[i]);
	env_page_free(c->alias);
	env_free(c);
}

/**
 * gch_heap_destroy() - free all tables
 *
 * No lock: nobody else knows the heap any more. Frames are the platform's to
 * free before.
 */
void gch_heap_destroy(struct gch_heap *h)
{
	u32 c, i;

	for (i = 0; i < h->max_threads; i++)
		if (h->thread[i])
			gch_thread_free(h, i);
	env_free(h->thread);
	for (c = 0; c < h->ndir << GCH_LEAF_SHIFT; c++) {
		struct gch_chunk *chunk = gch_chunk(h, c);

		if (chunk)
			chunk_free(chunk);
	}
	for (i = 0; i < h->ndir; i++)
		env_free(h->dir[i]);
	env_free(h->dir);
	for (i = 0; i < h->ncaches; i++)
		if (h->cache[i]) {
			gch_cache_free_maps(h->cache[i]);
			env_free(h->cache[i]);
		}
	gch_final_destroy(h);
	gch_link_destroy(h);
	gch_reserve_drop(h);
}

/* One metadata page, if it is not there yet. */
static int meta_page(struct gch_heap *h, void **page, bool *made)
{
	if (*page)
		return 0;
	*page = gch_take_page(h);
	if (!*page)
		return -ENOMEM;
	h->n.meta_bytes += GCH_PAGE_SIZE;
	*made = true;
	return 0;
}

static int chunk_make(struct gch_heap *h, u32 c)
{
	struct gch_chunk ***leaf = &h->dir[c >> GCH_LEAF_SHIFT];
	struct gch_chunk **slot;

	if (!*leaf) {
		*leaf = gch_take(h, GCH_LEAF_CHUNKS * sizeof(**leaf));
		if (!*leaf)
			return -ENOMEM;
		h->n.meta_bytes += GCH_LEAF_CHUNKS * sizeof(**leaf);
	}
	slot = &(*leaf)[c & (GCH_LEAF_CHUNKS - 1)];
	if (!*slot) {
		*slot = gch_take(h, sizeof(**slot));
		if (!*slot)
			return -ENOMEM;
		h->n.meta_bytes += sizeof(**slot);
	}
	return 0;
}

/**
 * gch_chunk_ensure() - metadata for slots
 * @id: first slot
 * @n: slots, not crossing the end of the reservation
 *
 * Without what wide spans want: see gch_chunk_widen(). Return: 0 or -ENOMEM. What was made
 * before a failure stays, unused, and is trimmed with the chunk.
 */
int gch_chunk_ensure(struct gch_heap *h, u32 id, u32 n)
{
	u32 end = id + n, i;
	bool made = false;
	int err;

	env_assert_held(&h->lock);
	for (; id < end; id = (id / GCH_BLOCK_SLOTS + 1) * GCH_BLOCK_SLOTS) {
		struct gch_chunk *c;

		err = chunk_make(h, id / GCHEAP_CHUNK_SLOTS);
		if (err)
			return err;
		c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
		i = id % GCHEAP_CHUNK_SLOTS;
		err = meta_page(h, (void **)&c->desc[i / GCH_DESC_SLOTS], &made);
		if (!err)
			err = meta_page(h, (void **)&c->slot[i / GCH_KERN_SLOTS],
					&made);
		if (!err)
			err = meta_page(h, (void **)&c->live[i / GCH_LIVE_SLOTS],
					&made);
		if (made)
			h->ops->meta_changed(h, id / GCHEAP_CHUNK_SLOTS);
		made = false;
		if (err)
			return err;
	}
	return 0;
}

/**
 * gch_chunk_widen() - metadata for a wide span
 * @id: its slot, which has metadata
 * @scanned: it will be scanned
 *
 * The kernel's alone, so nobody is told. Return: 0 or -ENOMEM, as gch_chunk_ensure().
 */
int gch_chunk_widen(struct gch_heap *h, u32 id, bool scanned)
{
	struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
	u32 i = id % GCHEAP_CHUNK_SLOTS;
	bool made = false;
	int err;

	env_assert_held(&h->lock);
	err = meta_page(h, (void **)&c->upper[i / GCH_UPPER_SLOTS], &made);
	if (!err && scanned)
		err = meta_page(h, (void **)&c->wide[i / GCH_WIDE_SLOTS], &made);
	return err;
}

/** gch_chunk_pages() - metadata pages that a chunk has */
u32 gch_chunk_pages(const struct gch_chunk *c)
{
	u32 pages = 0, i;

	for (i = 0; i < GCH_DESC_PAGES; i++)
		pages += !!c->desc[i];
	for (i = 0; i < GCH_KERN_PAGES; i++)
		pages += !!c->slot[i];
	for (i = 0; i < GCH_LIVE_PAGES; i++)
		pages += !!c->live[i];
	for (i = 0; i < GCH_UPPER_PAGES; i++)
		pages += !!c->upper[i];
	for (i = 0; i < GCH_WIDE_PAGES; i++)
		pages += !!c->wide[i];
	return pages + !!c->alias;
}

static u64 chunk_bytes(const struct gch_chunk *c)
{
	return (u64)gch_chunk_pages(c) * GCH_PAGE_SIZE + sizeof(*c);
}

static bool chunk_has_frames(const struct gch_chunk *c)
{
	u32 i, p;

	for (i = 0; i < GCHEAP_CHUNK_SLOTS; i++) {
		if (!c->slot[i / GCH_KERN_SLOTS])
			continue;
		for (p = 0; p < GCH_SLOT_PAGES; p++)
			if (gch_chunk_slot(c, i)->frame[p])
				return true;
	}
	return false;
}

/**
 * gch_chunk_trim() - give back the metadata of chunks that hold nothing
 *
 * Only outside of the frozen phases. Lowers h->top. While marking is under way
 * nothing is given back: tracking of writes looks at chunks without the lock, and
 * struct gch_ahead has addresses.
 */
void gch_chunk_trim(struct gch_heap *h)
{
	u32 c = (h->top + GCHEAP_CHUNK_SLOTS - 1) / GCHEAP_CHUNK_SLOTS;
	bool tail = true;

	env_assert_held(&h->lock);
	if (h->black || h->phase == GCHEAP_PHASE_CLEAR)
		return;
	while (c--) {
		struct gch_chunk *chunk = gch_chunk(h, c);

		if (chunk && (chunk->nused || chunk_has_frames(chunk))) {
			tail = false;
		} else if (chunk) {
			h->dir[c >> GCH_LEAF_SHIFT][c & (GCH_LEAF_CHUNKS - 1)] = NULL;
			h->n.meta_bytes -= chunk_bytes(chunk);
			h->ops->meta_changed(h, c);
			chunk_free(chunk);
		}
		if (tail)
			h->top = c * GCHEAP_CHUNK_SLOTS;
	}
}
