/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where things are: slots, cells, bits. Pure arithmetic on numbers.
 *
 * Slot numbers ("id") count 8 KiB slots from the heap's base. A span is known
 * by the id of its first slot. Bits of a span are dense, by cell.
 */
#ifndef _GCH_CORE_LAYOUT_H
#define _GCH_CORE_LAYOUT_H

#include <gcheap_env.h>
#include "../../uapi/gcheap.h"

#define GCH_PAGE_SHIFT		12
#define GCH_PAGE_SIZE		(1u << GCH_PAGE_SHIFT)
#define GCH_SLOT_PAGES		(GCHEAP_SLOT_SIZE >> GCH_PAGE_SHIFT)

#define GCH_CHUNK_PAGES		(GCHEAP_CHUNK_SLOTS * GCH_SLOT_PAGES)
#define GCH_PAGE_GRANULES	(GCH_PAGE_SIZE / GCHEAP_GRANULE)

#define GCH_NO_RUN		0xffffffffu

/* Slots of a chunk whose descriptors share a metadata page, the kernel's too, and bits. */
#define GCH_DESC_SLOTS		(GCH_PAGE_SIZE / sizeof(struct gcheap_span))
#define GCH_DESC_PAGES		(GCHEAP_CHUNK_SLOTS / GCH_DESC_SLOTS)
#define GCH_KERN_SLOTS		(GCH_PAGE_SIZE / sizeof(struct gch_slot))
#define GCH_KERN_PAGES		(GCHEAP_CHUNK_SLOTS / GCH_KERN_SLOTS)
#define GCH_LIVE_SLOTS		(GCH_PAGE_SIZE / GCHEAP_LIVE_BYTES)
#define GCH_LIVE_PAGES		(GCHEAP_CHUNK_SLOTS / GCH_LIVE_SLOTS)
#define GCH_LIVE_WORDS		(GCHEAP_LIVE_BYTES / 8)

/*
 * Mark bits and scanned bits, so many words of each, do for the span of a slot or more
 * whose cells have 32 bytes or more. A *wide* span, of 16-byte cells, has twice as many:
 * the upper half of its mark bits and its scanned bits have pages of their own.
 */
#define GCH_MARK_WORDS		4
#define GCH_WIDE_RECIP		(1u << 28)	/* gch_recip(GCHEAP_GRANULE) */
#define GCH_WIDE_SLOTS		(GCH_PAGE_SIZE / (2 * 8 * GCH_MARK_WORDS))
#define GCH_WIDE_PAGES		(GCHEAP_CHUNK_SLOTS / GCH_WIDE_SLOTS)
#define GCH_UPPER_SLOTS		(GCH_PAGE_SIZE / (8 * GCH_MARK_WORDS))
#define GCH_UPPER_PAGES		(GCHEAP_CHUNK_SLOTS / GCH_UPPER_SLOTS)

/* Spans other than large objects lie within a block, so that their bits are
 * contiguous in a metadata page.
 */
#define GCH_BLOCK_SLOTS		64

/* A span never has more slots than this, large objects aside. */
#define GCH_SPAN_SLOTS_MAX	16

/* 2^32 / cell_bytes, rounded up; its own inverse for cells up to 2^15 bytes. */
static inline u32 gch_recip(u32 cell_bytes)
{
	return U32_MAX / cell_bytes + 1;
}

/*
 * Exact for off < 2^17 and cells up to 2^15 bytes: the reciprocal is too large
 * by e < cell / 2^32, and off * e < 2^32 (proved in doc/design.md, checked for
 * all classes by the tests).
 */
static inline u32 gch_cell_of(u32 off, u32 recip)
{
	return (u32)(((u64)off * recip) >> 32);
}

static inline u32 gch_bit_words(u32 ncells)
{
	return (ncells + 63) / 64;
}

static inline u32 gch_granules_of(u64 bytes)
{
	return (bytes + GCHEAP_GRANULE - 1) / GCHEAP_GRANULE;
}

/* Few words at a time: no string instruction, whose start-up costs more. */
static inline void gch_words_zero(u64 *word, u32 n)
{
	u32 w;

	for (w = 0; w < n; w++)
		WRITE_ONCE(word[w], 0);
}

/* Bits [lo, hi) of word w of a bit map. */
static inline u64 gch_word_mask(u32 w, u32 lo, u32 hi)
{
	u64 m = ~0ull;

	if (hi <= w * 64 || lo >= (w + 1) * 64)
		return 0;
	if (lo > w * 64)
		m &= ~0ull << (lo - w * 64);
	if (hi < (w + 1) * 64)
		m &= ~0ull >> ((w + 1) * 64 - hi);
	return m;
}

/**
 * gch_span_slots() - length of the spans of a cell size
 * @cell: cell size in bytes, at most GCHEAP_CELL_MAX
 *
 * The shortest span that leaves at most 1/15 unused at its end (no limit
 * below that is met by 16 slots for every size).
 */
static inline u32 gch_span_slots(u32 cell)
{
	u32 n, bytes;

	for (n = 1; n < GCH_SPAN_SLOTS_MAX; n++) {
		bytes = n * GCHEAP_SLOT_SIZE;
		if (bytes >= cell && (bytes % cell) * 15 <= bytes)
			break;
	}
	return n;
}

#endif
