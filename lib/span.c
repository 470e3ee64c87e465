// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * From the kernel's spans to runs of cells: a run is what is free side by side, up
 * to some KiB. Runs are cleared when they are begun, not cell by cell.
 *
 * cursor.pos is the number of the first cell that has not been handed out, and
 * moves over the cells between two runs when the second is begun.
 */
#include "arch.h"
#include "gch.h"

/* The free cells of the word that pl->word says. */
static uint64_t gch_load_word(struct gch_place *pl)
{
	uint32_t cells = pl->ncells - pl->word * GCH_WORD_CELLS;
	uint64_t mask = ~READ_ONCE(pl->live[pl->word]);

	if (cells < GCH_WORD_CELLS)
		mask &= (1ull << cells) - 1;
	return mask;
}

static void gch_open_span(struct gch_local *l, struct gcheap_cache *c, struct gch_place *pl,
			  struct gcheap_cursor *cursor, uint32_t index)
{
	const struct gcheap *h = l->heap;
	uint32_t slot = pl->slot[index];

	pl->index = index;
	pl->first = h->backend.base + ((uintptr_t)slot << GCHEAP_SLOT_SHIFT);
	pl->live = gch_slot_live(h, slot);
	pl->span = gch_slot_span(h, slot);
	pl->ncells = pl->span->ncells;
	pl->word = 0;
	pl->mask = gch_load_word(pl);
	cursor->step = c->cell;
	WRITE_ONCE(cursor->pos, (uint64_t)index << 32);
}

static uint32_t gch_lowest_run(uint64_t mask, uint32_t from)
{
	uint64_t rest = ~(mask >> from);

	return rest ? __builtin_ctzll(rest) : GCH_WORD_CELLS;
}

/*
 * Take the free cells that pl->mask begins with and those side by side with them,
 * at most c->max_run. Return: how many; @cell: the first.
 */
static uint32_t gch_take_run(const struct gcheap_cache *c, struct gch_place *pl,
			     uint32_t *cell)
{
	uint32_t bit = __builtin_ctzll(pl->mask), n, more;

	*cell = pl->word * GCH_WORD_CELLS + bit;
	n = gch_lowest_run(pl->mask, bit);
	while (n < c->max_run && *cell + n == (pl->word + 1) * GCH_WORD_CELLS &&
	       *cell + n < pl->ncells) {
		pl->word++;
		pl->mask = gch_load_word(pl);
		more = gch_lowest_run(pl->mask, 0);
		if (!more)
			return n;
		bit = 0;
		n += more;
	}
	more = *cell + n - (pl->word * GCH_WORD_CELLS + bit);	/* in the last word */
	if (n > c->max_run) {
		more -= n - c->max_run;
		n = c->max_run;
	}
	pl->mask &= ~((more < GCH_WORD_CELLS ? (1ull << more) - 1 : ~0ull) << bit);
	return n;
}

/*
 * Cells of a span whose ZERO flag is set need no clearing. The flag is read after
 * the live bits: should another thread's early free clear one of those, the
 * kernel takes the flag away first.
 */
static void gch_begin_run(struct gcheap_cache *c, struct gch_place *pl,
			  struct gcheap_cursor *cursor)
{
	uint32_t cell, n = gch_take_run(c, pl, &cell);
	uintptr_t at = pl->first + (uintptr_t)cell * c->cell;

	if (c->kind == GCH_SCAN && !(READ_ONCE(pl->span->flags) & GCHEAP_SPANF_ZERO))
		gch_zero((void *)at, (size_t)n * c->cell);
	WRITE_ONCE(cursor->pos, (uint64_t)pl->index << 32 | cell);
	cursor->base = at;
	cursor->free = at + (uintptr_t)n * c->cell;
}

/* Ask for the next batch: 1, 2, 4, 8 spans, as the thread goes on needing them. */
static int gch_next_batch(struct gch_local *l, struct gcheap_cache *c, struct gch_place *pl)
{
	GCH_ARG(gcheap_spans, arg);
	uint32_t want = pl->want * 2;
	int err;

	err = gch_dl_check();
	if (err)
		return err;
	if (!want)
		want = 1;
	if (want > c->batch)
		want = c->batch;
	arg.thread = l->id;
	arg.cache = c->id;
	arg.want = want;
	pl->got = 0;
	err = gch_call(l->heap, GCHEAP_IOC_SPANS, &arg);
	if (err)
		return err;
	pl->want = want;
	for (uint32_t i = 0; i < arg.got; i++)
		pl->slot[i] = arg.span[i];
	pl->got = arg.got;
	return 0;
}

static void gch_count_cursor(struct gch_local *l, struct gcheap_cache *c)
{
	if (l->tcb->lib[GCH_LIB_CURSORS] <= c->id)
		l->tcb->lib[GCH_LIB_CURSORS] = c->id + 1;
}

/*
 * Begin a new run for an empty cursor, or find that finalizers have; 0 or -errno.
 */
int gch_refill(struct gch_local *l, struct gcheap_cache *c)
{
	struct gch_place *pl = &l->place[c->id];
	struct gcheap_cursor *cursor = &l->tcb->cursor[c->id];
	int err;

	for (;;) {
		if (pl->mask) {
			gch_begin_run(c, pl, cursor);
			return 0;
		}
		if ((pl->word + 1) * GCH_WORD_CELLS < pl->ncells) {
			pl->word++;
			pl->mask = gch_load_word(pl);
			continue;
		}
		if (pl->index + 1 < pl->got) {
			gch_open_span(l, c, pl, cursor, pl->index + 1);
			continue;
		}
		gch_count_cursor(l, c);
		err = gch_next_batch(l, c, pl);
		if (err)
			return err;
		gch_open_span(l, c, pl, cursor, 0);
		gch_kernel_visited(l->heap);
		return 0;
	}
}
