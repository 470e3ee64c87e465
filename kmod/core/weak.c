// SPDX-License-Identifier: GPL-2.0-only
/* Weak fields: set to 0 when what they refer to was not reached. */
#include "heap.h"

static bool is_white(struct gch_heap *h, u64 addr)
{
	struct gch_ref r;

	return gch_resolve(h, addr, &r) && !gch_ref_kept(&r);
}

static void clear_map(struct gch_heap *h, const struct gch_map *m, u64 off,
		      u64 tags)
{
	u32 w;

	if (!m->weak)
		return;
	for (w = 0; w < gch_bit_words(m->words); w++) {
		u64 bits = m->weak[w];

		for (; bits; bits &= bits - 1) {
			u64 *p = gch_heap_word(h, off + 8 * (64 * w + env_ctz64(bits)));

			if (!p || !is_white(h, READ_ONCE(*p) & ~tags))
				continue;
			WRITE_ONCE(*p, 0);
			h->n.weak_cleared++;
		}
	}
}

static void clear_span(struct gch_heap *h, u32 id, const struct gcheap_span *d)
{
	const struct gch_cache *c = h->cache[d->cache];
	u64 bytes = (u64)d->cell_granules * GCHEAP_GRANULE;
	u64 tags = (1ull << c->tag_bits) - 1;
	const u64 *mark = gch_slot(h, id)->bits;
	u64 off, n, i;
	u32 cell;

	for (cell = 0; cell < d->ncells; cell++) {
		if (!(mark[cell / 64] & (1ull << (cell % 64))))
			continue;
		off = ((u64)id << GCHEAP_SLOT_SHIFT) + cell * bytes;
		clear_map(h, &c->fixed, off, tags);
		n = gch_typed_elems(h, c, off, bytes);
		off += 8 * (u64)c->fixed.words;
		for (i = 0; i < n && c->elem.weak; i++) {
			clear_map(h, &c->elem, off, tags);
			off += 8 * (u64)c->elem.words;
			if (i % 4096 == 4095)
				env_yield();
		}
	}
	env_yield();
}

/**
 * gch_weak_clear() - clear the weak fields of marked objects
 *
 * World stopped, marking drained; no lock (I1). Chunks without spans of weak
 * layouts cost one test.
 */
void gch_weak_clear(struct gch_heap *h)
{
	u32 id = 0, first;

	while (id < h->top) {
		struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
		struct gcheap_span *d;

		if (!(id % GCHEAP_CHUNK_SLOTS) && (!c || !c->nweak)) {
			id += GCHEAP_CHUNK_SLOTS;
			continue;
		}
		d = gch_span_at(h, id, &first);
		if (!d) {
			id++;
			continue;
		}
		if (first == id && h->cache[d->cache]->weak)
			clear_span(h, id, d);
		id += d->nslots - (id - first);
	}
}
