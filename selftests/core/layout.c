// SPDX-License-Identifier: GPL-2.0-only
/* Codecs: exact for every value they can be given. */
#include "cases.h"
#include "sim.h"

/* The cell of every offset: it rises with the offset, so the borders decide. */
void gct_layout_recip(void)
{
	u32 cell, off, n;

	for (cell = GCHEAP_GRANULE; cell <= GCHEAP_CELL_MAX; cell += GCHEAP_GRANULE) {
		u32 bytes = gch_span_slots(cell) * GCHEAP_SLOT_SIZE;
		u32 recip = gch_recip(cell);

		CHECK_EQ(gch_recip(recip), cell);
		for (n = 0, off = 0; off < bytes; off += cell, n++) {
			CHECK_EQ(gch_cell_of(off, recip), n);
			CHECK_EQ(gch_cell_of(min(off + cell, bytes) - 1, recip), n);
		}
	}
}

/* Wasted at a span's end: at most 1/15; ends that no shorter span has. */
void gct_layout_waste(void)
{
	u32 cell, n, bytes;

	for (cell = GCHEAP_GRANULE; cell <= GCHEAP_CELL_MAX; cell += GCHEAP_GRANULE) {
		n = gch_span_slots(cell);
		bytes = n * GCHEAP_SLOT_SIZE;
		CHECK(n && n <= GCH_SPAN_SLOTS_MAX);
		CHECK(bytes >= cell);
		CHECK(bytes % cell * 15 <= bytes);
		CHECK(bytes / cell <= 512);
		for (; --n; ) {
			bytes = n * GCHEAP_SLOT_SIZE;
			CHECK(bytes < cell || bytes % cell * 15 > bytes);
		}
	}
}

/* Live bits fit in the slots' share for every cell size, marks but for 16 bytes. */
void gct_layout_bits(void)
{
	u32 cell, slots, ncells;

	for (cell = GCHEAP_GRANULE; cell <= GCHEAP_CELL_MAX; cell += GCHEAP_GRANULE) {
		slots = gch_span_slots(cell);
		ncells = slots * GCHEAP_SLOT_SIZE / cell;
		CHECK_EQ(gch_bit_words(ncells) > GCH_MARK_WORDS,
			 gch_recip(cell) == GCH_WIDE_RECIP);
		CHECK(gch_bit_words(ncells) <= GCH_LIVE_WORDS);
	}
	CHECK_EQ(sizeof(struct gch_slot), 64);
	CHECK_EQ(GCH_LIVE_WORDS, 2 * GCH_MARK_WORDS);
	CHECK_EQ(GCH_DESC_PAGES * GCH_DESC_SLOTS, GCHEAP_CHUNK_SLOTS);
	CHECK_EQ(GCH_LIVE_SLOTS, GCH_BLOCK_SLOTS);
	CHECK_EQ(GCH_KERN_SLOTS, GCH_BLOCK_SLOTS);
}

void gct_layout_masks(void)
{
	u32 w, lo, hi, bit;

	for (w = 0; w < 3; w++)
		for (lo = 0; lo < 200; lo += 1 + lo % 7)
			for (hi = lo; hi < 200; hi += 1 + hi % 5)
				for (bit = 0; bit < 64; bit++)
					CHECK_EQ(gch_word_mask(w, lo, hi) >> bit & 1,
						 64 * w + bit >= lo && 64 * w + bit < hi);
}
