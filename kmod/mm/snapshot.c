// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies of roots. The first pause of a marking beside the program only reads them into
 * here; what they refer to is marked when the program runs. The pauses that follow read the
 * roots again, and mark from what is not as it was (R3): of a thread that sleeps, and of the
 * frames that one has not returned to, nothing. That is sound since marks are not
 * taken back before the marking ends, and what is allocated meanwhile is black.
 *
 * There is room for what the last scan read, and some more. What finds none is marked from in
 * the pause, as if there were no snapshot.
 */
#include <linux/bsearch.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include "roots.h"
#include "snapshot.h"

#define PIECE_WORDS	(PAGE_SIZE / sizeof(u64))
#define PIECES_MIN	512
#define WORDS_MIN	(16 * 1024)
#define WORDS_KEPT	(64 * 1024)		/* by a heap that is not marked just now */
#define WORDS_MAX	(4 * 1024 * 1024)

void gch_snapshot_destroy(struct gch_snapshot *k)
{
	kvfree(k->piece);
	kvfree(k->word);
	memset(k, 0, sizeof(*k));
}

/**
 * gch_snapshot_begin() - the next pause is to be read
 * @pieces, @words: as many as the last scan read
 *
 * With the program running. Without memory there is room for less, or nothing.
 */
void gch_snapshot_begin(struct gch_snapshot *k, u64 pieces, u64 words)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;

	words = clamp_t(u64, words + words / 4, WORDS_MIN, WORDS_MAX);
	pieces = clamp_t(u64, pieces + pieces / 4, PIECES_MIN, WORDS_MAX / 8);
	if (words > k->words_max || pieces > k->pieces_max) {
		gch_snapshot_destroy(k);
		k->piece = kvmalloc_array(pieces, sizeof(*k->piece), gfp);
		k->word = kvmalloc_array(words, sizeof(*k->word), gfp);
		k->pieces_max = k->piece ? pieces : 0;
		k->words_max = k->word ? words : 0;
	}
	k->npieces = 0;
	k->nwords = 0;
	k->mode = GCH_SNAPSHOT_TAKING;
}

/** gch_snapshot_room() - where the next piece, of a page at most, can be read into, or NULL */
u64 *gch_snapshot_room(struct gch_snapshot *k)
{
	return k->mode == GCH_SNAPSHOT_TAKING && k->npieces < k->pieces_max &&
		k->nwords + PIECE_WORDS <= k->words_max ? k->word + k->nwords : NULL;
}

/** gch_snapshot_add() - it was read: @n words that end at a user address */
void gch_snapshot_add(struct gch_snapshot *k, u64 end, size_t n, bool precise)
{
	k->piece[k->npieces++] = (struct gch_piece){
		.end = end, .at = k->nwords, .n = n, .precise = precise,
	};
	k->nwords += n;
}

static int by_end(const void *a, const void *b)
{
	const struct gch_piece *p = a, *q = b;

	if (p->end != q->end)
		return p->end < q->end ? -1 : 1;
	return p->precise - q->precise;
}

/** gch_snapshot_taken() - the pause is over; gch_snapshot_show() all of it before the next */
void gch_snapshot_taken(struct gch_snapshot *k)
{
	sort(k->piece, k->npieces, sizeof(*k->piece), by_end, NULL);
	k->mode = GCH_SNAPSHOT_KNOWN;
}

/**
 * gch_snapshot_show() - show what was read to a visitor
 * @at: the piece to go on with, from 0
 * @pieces: at most so many
 *
 * Return: whether more are left.
 */
bool gch_snapshot_show(const struct gch_snapshot *k, u32 *at, u32 pieces,
		       const struct gch_root_visitor *v)
{
	const struct gch_piece *p;

	for (; pieces && *at < k->npieces; pieces--, ++*at) {
		p = &k->piece[*at];
		if (p->precise)
			v->precise(v->arg, k->word + p->at, p->n);
		else
			v->ambiguous(v->arg, k->word + p->at, p->n);
	}
	return *at < k->npieces;
}

/*
 * How many words before @end are those before @was, of @most. Where they cannot be read they
 * are not.
 */
static size_t words_same(const u64 __user *end, const u64 *was, size_t most)
{
	size_t i = 0;
	u64 a, b, c, d;

	pagefault_disable();
	if (!user_read_access_begin(end - most, most * sizeof(u64)))
		goto out;
	for (; i + 4 <= most; i += 4, end -= 4, was -= 4) {
		unsafe_get_user(a, end - 1, stop);
		unsafe_get_user(b, end - 2, stop);
		unsafe_get_user(c, end - 3, stop);
		unsafe_get_user(d, end - 4, stop);
		if ((a ^ was[-1]) | (b ^ was[-2]) | (c ^ was[-3]) | (d ^ was[-4]))
			break;
	}
	for (; i < most; i++, end--, was--) {
		unsafe_get_user(a, end - 1, stop);
		if (a != was[-1])
			break;
	}
stop:
	user_read_access_end();
out:
	pagefault_enable();
	return i;
}

/**
 * gch_snapshot_same() - how many words of a piece, its last ones, are known
 * @end: user address that it ends at
 * @n: words of it
 *
 * World stopped. They are read once; page faults are not taken (R8).
 */
size_t gch_snapshot_same(const struct gch_snapshot *k, u64 end, size_t n, bool precise)
{
	struct gch_piece key = { .end = end, .precise = precise };
	const struct gch_piece *p;

	if (k->mode != GCH_SNAPSHOT_KNOWN)
		return 0;
	p = bsearch(&key, k->piece, k->npieces, sizeof(*p), by_end);
	if (!p)
		return 0;
	return words_same((const u64 __user *)end, k->word + p->at + p->n,
			  min_t(size_t, n, p->n));
}

/** gch_snapshot_end() - marking is over, or what is known is not to be relied on any more */
void gch_snapshot_end(struct gch_snapshot *k)
{
	k->mode = GCH_SNAPSHOT_NONE;
	if (k->words_max > WORDS_KEPT || k->pieces_max > WORDS_KEPT / 8)
		gch_snapshot_destroy(k);
}
