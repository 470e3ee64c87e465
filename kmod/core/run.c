// SPDX-License-Identifier: GPL-2.0-only
/* Runs of free slots: address-ordered first fit over a bit map a chunk. */
#include "heap.h"

static bool slot_used(const struct gch_chunk *c, u32 i)
{
	return c && c->used[i / 64] & (1ull << (i % 64));
}

/* First run of n free slots in a block of a chunk, or GCH_NO_RUN. */
static u32 run_in_block(const struct gch_chunk *c, u32 block, u32 n)
{
	u64 avail = c ? ~c->used[block] : ~0ull;
	u32 have = 1;

	/* After the loop bit i is set if slots i .. i + n - 1 are free. */
	while (have < n && avail) {
		u32 step = min(have, n - have);

		avail &= avail >> step;
		have += step;
	}
	return avail ? block * 64 + env_ctz64(avail) : GCH_NO_RUN;
}

static u32 run_small(struct gch_heap *h, u32 n)
{
	u32 chunks = h->nslots / GCHEAP_CHUNK_SLOTS, c, b, i;
	bool full = true;

	for (c = h->first_free; c < chunks; c++) {
		struct gch_chunk *chunk = gch_chunk(h, c);

		if (chunk && chunk->nused == GCHEAP_CHUNK_SLOTS) {
			if (full)
				h->first_free = c + 1;
			continue;
		}
		full = false;
		for (b = 0; b < GCHEAP_CHUNK_SLOTS / 64; b++) {
			i = run_in_block(chunk, b, n);
			if (i != GCH_NO_RUN)
				return c * GCHEAP_CHUNK_SLOTS + i;
		}
	}
	return GCH_NO_RUN;
}

/* Runs for large objects may cross blocks and chunks. */
static u32 run_large(struct gch_heap *h, u32 n)
{
	u32 id = h->first_free * GCHEAP_CHUNK_SLOTS, have = 0;

	while (id < h->nslots) {
		struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
		u32 i = id % GCHEAP_CHUNK_SLOTS;

		if (!i && (!c || !c->nused)) {
			have += GCHEAP_CHUNK_SLOTS;
			id += GCHEAP_CHUNK_SLOTS;
		} else if (!i && c->nused == GCHEAP_CHUNK_SLOTS) {
			have = 0;
			id += GCHEAP_CHUNK_SLOTS;
		} else {
			have = slot_used(c, i) ? 0 : have + 1;
			id++;
		}
		if (have >= n)
			return id - have;
	}
	return GCH_NO_RUN;
}

static void run_mark(struct gch_heap *h, u32 id, u32 n, bool used)
{
	for (; n; n--, id++) {
		struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
		u32 i = id % GCHEAP_CHUNK_SLOTS;

		if (used) {
			c->used[i / 64] |= 1ull << (i % 64);
			c->nused++;
		} else {
			c->used[i / 64] &= ~(1ull << (i % 64));
			c->nused--;
		}
	}
}

/**
 * gch_run_alloc() - take a run of free slots, with metadata
 * @n: length; up to GCH_SPAN_SLOTS_MAX it does not cross a block (I2)
 *
 * Return: its first slot, or GCH_NO_RUN: no room or no memory.
 */
u32 gch_run_alloc(struct gch_heap *h, u32 n)
{
	u32 id;

	env_assert_held(&h->lock);
	if (!n || n > h->nslots)
		return GCH_NO_RUN;
	id = n <= GCH_SPAN_SLOTS_MAX ? run_small(h, n) : run_large(h, n);
	if (id == GCH_NO_RUN)
		return GCH_NO_RUN;
	/* Before the metadata: what there is of it is left to the next try or trim. */
	h->top = max(h->top, id + n);
	if (gch_chunk_ensure(h, id, n))
		return GCH_NO_RUN;
	run_mark(h, id, n, true);
	return id;
}

/* Whether no slot of a run is in a span; chunks that have none at all are passed over. */
static bool run_is_free(const struct gch_heap *h, u32 id, u32 n)
{
	u32 end = id + n;

	while (id < end) {
		const struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);

		if (slot_used(c, id % GCHEAP_CHUNK_SLOTS))
			return false;
		id += c && c->nused ? 1 : GCHEAP_CHUNK_SLOTS - id % GCHEAP_CHUNK_SLOTS;
	}
	return true;
}

/**
 * gch_run_extend() - take the slots after a run as well, for a large object
 * @id: the first of them, @n: how many
 *
 * Return: 0; -EBUSY: not all of them are free, or there are not so many; -ENOMEM: metadata.
 */
int gch_run_extend(struct gch_heap *h, u32 id, u32 n)
{
	int err;

	env_assert_held(&h->lock);
	if (n > h->nslots - id || !run_is_free(h, id, n))
		return -EBUSY;
	h->top = max(h->top, id + n);
	err = gch_chunk_ensure(h, id, n);
	if (!err)
		run_mark(h, id, n, true);
	return err;
}

/** gch_run_free() - give a run back; its frames stay until released */
void gch_run_free(struct gch_heap *h, u32 id, u32 n)
{
	env_assert_held(&h->lock);
	run_mark(h, id, n, false);
	h->first_free = min(h->first_free, id / GCHEAP_CHUNK_SLOTS);
}

static bool slot_resident(const struct gch_chunk *c, u32 i)
{
	const struct gch_slot *s;
	u32 p;

	if (!c->slot[i / GCH_KERN_SLOTS])
		return false;
	s = gch_chunk_slot(c, i);
	for (p = 0; p < GCH_SLOT_PAGES; p++)
		if (s->frame[p])
			return true;
	return false;
}

/** gch_run_has_frames() - whether one of @n slots, which have metadata, holds a frame */
bool gch_run_has_frames(const struct gch_heap *h, u32 id, u32 n)
{
	u32 p;

	for (; n; n--, id++)
		for (p = 0; p < GCH_SLOT_PAGES; p++)
			if (gch_slot(h, id)->frame[p])
				return true;
	return false;
}

/*
 * Next run from slot @from of at most @max slots that hold frames; @free: only
 * free slots.
 */
static bool run_next(struct gch_heap *h, u32 from, u32 max, bool free, u32 *id,
		     u32 *n)
{
	u32 end = h->top, i;

	*n = 0;
	for (; from < end && *n < max; from++) {
		struct gch_chunk *c = gch_chunk(h, from / GCHEAP_CHUNK_SLOTS);

		i = from % GCHEAP_CHUNK_SLOTS;
		if (c && !(free && slot_used(c, i)) && slot_resident(c, i)) {
			if (!(*n)++)
				*id = from;
		} else if (*n) {
			break;
		}
	}
	return *n;
}

/**
 * gch_run_resident() - next run of free slots that hold frames
 * @from: first slot to look at
 * @max: longest run wanted
 * @id, @n: out
 *
 * Return: whether there is one.
 */
bool gch_run_resident(struct gch_heap *h, u32 from, u32 max, u32 *id, u32 *n)
{
	env_assert_held(&h->lock);
	return run_next(h, from, max, true, id, n);
}

/** gch_run_frames() - the same for slots in use as well */
bool gch_run_frames(struct gch_heap *h, u32 from, u32 max, u32 *id, u32 *n)
{
	env_assert_held(&h->lock);
	return run_next(h, from, max, false, id, n);
}
