/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/* The allocation fast path: no call, no lock, no system call. */
#ifndef GCH_FAST_H
#define GCH_FAST_H

#include "gch.h"

/* The half of cursor.pos that counts cells. */
typedef uint32_t __attribute__((may_alias)) gch_pos_low;

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half comes first");

/*
 * The next cell of a cursor's run, NULL at its end. The cell's address is in a
 * register before pos says that the cell is taken (rule R14): whenever the
 * thread is stopped, the kernel either still counts the cell as one to come or
 * finds its address.
 */
static inline void *gch_bump(struct gcheap_cursor *c)
{
	uintptr_t cell = c->base;

	if (unlikely(cell == c->free))
		return NULL;
	if (!cell)
		__builtin_unreachable();
	c->base = cell + c->step;
	barrier();
	++*(gch_pos_low *)&c->pos;
	return (void *)cell;
}

static inline struct gcheap_cursor *gch_cursor_at(struct gcheap_tcb *tcb, uint32_t offset)
{
	return (struct gcheap_cursor *)((char *)tcb + offset);
}

/* A cell at hand, or NULL: ask gch_alloc_kind(). */
static inline void *gch_alloc_fast(struct gcheap *h, uint32_t index, enum gch_kind kind,
				   size_t size)
{
	if (unlikely(size >= GCH_SMALL))
		return NULL;
	return gch_bump(gch_cursor_at(gch_tcbs[index],
				      READ_ONCE(h->small[kind][size / GCHEAP_GRANULE])));
}

#endif
