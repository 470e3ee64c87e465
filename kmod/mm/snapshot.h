/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a pause has read of a program's roots, to be marked from when the program runs and
 * compared with in the next pause. See snapshot.c.
 */
#ifndef _GCH_MM_SNAPSHOT_H
#define _GCH_MM_SNAPSHOT_H

#include <linux/types.h>

struct gch_root_visitor;

enum gch_snapshot_mode {
	GCH_SNAPSHOT_NONE,
	GCH_SNAPSHOT_TAKING,
	GCH_SNAPSHOT_KNOWN,
};

/**
 * struct gch_piece - a stretch of root words within a page
 * @end: user address; threads that go on change where one begins
 * @at: index of its first word; @n: their number
 * @precise: for whom they are
 */
struct gch_piece {
	u64 end;
	u32 at;
	u16 n;
	bool precise;
};

/**
 * struct gch_snapshot - of a root set; the collector's alone
 * @piece: sorted by @end when it is known
 * @word: what was read, piece by piece
 * @npieces, @nwords: of these; @pieces_max, @words_max: there is room for
 */
struct gch_snapshot {
	enum gch_snapshot_mode mode;
	struct gch_piece *piece;
	u64 *word;
	u32 npieces, nwords;
	u32 pieces_max, words_max;
};

void gch_snapshot_begin(struct gch_snapshot *k, u64 pieces, u64 words);
u64 *gch_snapshot_room(struct gch_snapshot *k);
void gch_snapshot_add(struct gch_snapshot *k, u64 end, size_t n, bool precise);
void gch_snapshot_taken(struct gch_snapshot *k);
bool gch_snapshot_show(const struct gch_snapshot *k, u32 *at, u32 pieces,
		       const struct gch_root_visitor *v);
size_t gch_snapshot_same(const struct gch_snapshot *k, u64 end, size_t n, bool precise);
void gch_snapshot_end(struct gch_snapshot *k);
void gch_snapshot_destroy(struct gch_snapshot *k);

#endif
