// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Ranges of memory that programs add to the roots. What the kernel is told of each is
 * a piece or several of it, as parts may be excluded; new pieces are told of before old
 * ones are taken back, so that nothing is without protection in between.
 */
#include <string.h>

#include "bdw.h"

/*
 * struct bdw_piece - what the kernel knows of a range
 * @of: the whole range; its pieces are one after the other
 * @root: without id and length: all of the range is excluded
 */
struct bdw_piece {
	struct bdw_range of;
	struct gch_root root;
};

static struct gch_vec bdw_added;	/* struct bdw_piece; under gch.lock */

/* bdwgc has no way to fail either. Without a heap none are needed. */
void bdw_root_failed(int err)
{
	if (!err || err == -ENXIO)
		return;
	bdw_die("libgc: no root", "%s", strerror(-err));
}

/* ---- pieces, under gch.lock */

static void bdw_piece_withdraw(const struct bdw_piece *p)
{
	if (p->root.id)
		gch_root_unregister(&gch.heap0, p->root.id);
}

/* Those of ranges within [lo, end); the others stay in order. */
void bdw_pieces_drop(struct gch_vec *pieces, uintptr_t lo, uintptr_t end)
{
	struct bdw_piece *p = pieces->items;
	size_t kept = 0;

	for (size_t i = 0; i < pieces->n; i++) {
		if (p[i].of.lo >= lo && p[i].of.end <= end)
			bdw_piece_withdraw(&p[i]);
		else
			p[kept++] = p[i];
	}
	pieces->n = kept;
}

static int bdw_piece_add(struct gch_vec *pieces, const struct bdw_range *of,
			 const struct bdw_range *part)
{
	struct bdw_piece *p = gch_vec_push(pieces, sizeof(*p));
	int err = 0;

	if (!p)
		return -ENOMEM;
	p->of = *of;
	p->root.addr = part->lo;
	p->root.len = part->end - part->lo;
	if (p->root.len)
		err = gch_root_register(&gch.heap0, &p->root, 0, 0);
	if (err)
		pieces->n--;
	return err;
}

int bdw_pieces_add(struct gch_vec *pieces, const struct bdw_range *of)
{
	struct bdw_range part = { .end = of->lo };
	size_t before = pieces->n;
	int err = 0;

	while (!err && bdw_next_part(&part, of->end))
		err = bdw_piece_add(pieces, of, &part);
	if (!err && pieces->n == before)
		err = bdw_piece_add(pieces, of, &(struct bdw_range){ of->lo, of->lo });
	return err;
}

void bdw_pieces_replace(struct gch_vec *pieces, struct gch_vec *fresh)
{
	bdw_pieces_drop(pieces, 0, UINTPTR_MAX);
	gch_vec_free(pieces);
	*pieces = *fresh;
}

/* ---- what is added */

/* Programs say so again for what is one already. */
static bool bdw_is_added(const struct bdw_range *range)
{
	const struct bdw_piece *p = bdw_added.items;

	for (size_t i = 0; i < bdw_added.n; i++)
		if (p[i].of.lo <= range->lo && p[i].of.end >= range->end)
			return true;
	return false;
}

bool bdw_added_at(size_t i, struct bdw_range *piece)
{
	const struct gch_root *r;
	bool found;

	pthread_mutex_lock(&gch.lock);
	r = &((const struct bdw_piece *)bdw_added.items)[i].root;
	found = i < bdw_added.n;
	if (found)
		*piece = (struct bdw_range){ r->addr, r->addr + r->len };
	pthread_mutex_unlock(&gch.lock);
	return found;
}

static bool bdw_has(const struct gch_vec *roots, const struct bdw_range *range)
{
	const struct gch_root *r = roots->items;

	for (size_t i = 0; i < roots->n; i++)
		if (r[i].addr <= range->lo && r[i].addr + r[i].len >= range->end)
			return true;
	return false;
}

/* Is it in a data segment, or else in a range that is a root? */
bool bdw_is_scanned(const void *word)
{
	struct bdw_range range = { (uintptr_t)word, (uintptr_t)word + sizeof(void *) };
	bool found;

	gch_dl_check();
	pthread_mutex_lock(&gch.lock);
	found = bdw_is_added(&range) || bdw_has(&gch.heap0.data, &range) ||
		bdw_has(&gch.heap0.roots, &range);
	pthread_mutex_unlock(&gch.lock);
	return found;
}

/* Objects are searched for being reached, and the kernel takes no roots among them. */
static bool bdw_is_searched(const struct bdw_range *range)
{
	struct gch_object o;

	return gch_object_at((void *)range->lo, &o) && o.cache->kind == GCH_SCAN &&
	       range->end <= o.base + o.room;
}

GCH_API void GC_add_roots(void *low, void *end)
{
	struct bdw_range range = { ((uintptr_t)low + 7) & ~7ul, (uintptr_t)end & ~7ul };
	int err = 0;

	GC_init();
	if (low >= end || range.lo >= range.end || bdw_is_searched(&range))
		return;
	pthread_mutex_lock(&gch.lock);
	if (!bdw_is_added(&range))
		err = bdw_pieces_add(&bdw_added, &range);
	pthread_mutex_unlock(&gch.lock);
	bdw_root_failed(err);
}

/* A range that is only partly in the region stays, all of it. */
GCH_API void GC_remove_roots(void *low, void *end)
{
	pthread_mutex_lock(&gch.lock);
	bdw_pieces_drop(&bdw_added, (uintptr_t)low, (uintptr_t)end);
	pthread_mutex_unlock(&gch.lock);
}

/* In bdwgc, too, data segments are found again by the next collection, unless GC_no_dls. */
GCH_API void GC_clear_roots(void)
{
	GC_init();
	GC_remove_roots(NULL, (void *)UINTPTR_MAX);
	bdw_data_settle();
}

static int bdw_pieces_cut(struct gch_vec *fresh, const struct gch_vec *pieces)
{
	const struct bdw_piece *p = pieces->items;
	int err = 0;

	for (size_t i = 0; i < pieces->n && !err; i++)
		if (!i || p[i].of.lo != p[i - 1].of.lo || p[i].of.end != p[i - 1].of.end)
			err = bdw_pieces_add(fresh, &p[i].of);
	return err;
}

/* Exclusions have changed. */
void bdw_roots_cut(void)
{
	struct gch_vec fresh = { 0 };
	int err;

	pthread_mutex_lock(&gch.lock);
	err = bdw_pieces_cut(&fresh, &bdw_added);
	bdw_pieces_replace(&bdw_added, &fresh);
	pthread_mutex_unlock(&gch.lock);
	bdw_root_failed(err);
}
