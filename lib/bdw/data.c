// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Data segments of the program and its shared objects, which the library below makes
 * roots of by itself, and what programs want to be different: none at all (GC_no_dls),
 * not those that a function of theirs refuses, not the parts that are excluded.
 *
 * The list of segments stays the library's. One that is not to be searched is
 * withdrawn from the kernel and stays in the list without a number; if parts of it are
 * to be searched, these are told of here. Until a new object has been looked at it is
 * searched: what is late is late on the safe side. dlopen() and dlclose() look while
 * they hold collections.
 */
#include <link.h>

#include "bdw.h"

GCH_API int GC_no_dls;

static struct {
	bool touched;		/* not all is as the library below has it */
	int no_dls;		/* as it was looked at last */
	GC_has_static_roots_func filter;
	struct gch_vec refused;	/* struct bdw_range; under gch.lock */
	struct gch_vec pieces;	/* of segments that have excluded parts; likewise */
	void *(*real_dlopen)(const char *file, int mode);
	int (*real_dlclose)(void *object);
} bdw_data;

/* ---- what is not wanted */

/* Other files have pointers to objects in data of this one. */
static bool bdw_is_own(uintptr_t lo, uintptr_t end)
{
	return (uintptr_t)&bdw_data >= lo && (uintptr_t)&bdw_data < end;
}

static bool bdw_refuses(const char *name, uintptr_t lo, size_t len)
{
	GC_has_static_roots_func filter = bdw_data.filter;

	if (bdw_is_own(lo, lo + len))
		return false;
	return bdw_data.no_dls || (filter && !filter(name, (void *)lo, len));
}

static int bdw_refuse_segments(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct gch_vec *refused = arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const Elf64_Phdr *p = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + p->p_vaddr;
		struct bdw_range *r;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_W) ||
		    !bdw_refuses(info->dlpi_name, lo, p->p_memsz))
			continue;
		r = gch_vec_push(refused, sizeof(*r));
		if (r)
			*r = (struct bdw_range){ lo, lo + p->p_memsz };
	}
	return 0;
}

static bool bdw_is_refused(const struct gch_root *segment)
{
	const struct bdw_range *r = bdw_data.refused.items;

	for (size_t i = 0; i < bdw_data.refused.n; i++)
		if (segment->addr >= r[i].lo && segment->addr < r[i].end)
			return true;
	return false;
}

static bool bdw_is_cut(const struct bdw_range *segment)
{
	struct bdw_range part = { .end = segment->lo };

	return !bdw_next_part(&part, segment->end) || part.lo > segment->lo ||
	       part.end < segment->end;
}

/* ---- telling the kernel, under gch.lock */

/* What is to be searched of a segment and is not; false: all of it is, or will be. */
static int bdw_segment_add(struct gch_root *segment, struct gch_vec *fresh, bool *whole)
{
	struct bdw_range range = { segment->addr, segment->addr + segment->len };

	*whole = false;
	if (bdw_is_refused(segment))
		return 0;
	if (bdw_is_cut(&range))
		return bdw_pieces_add(fresh, &range);
	*whole = true;
	return segment->id ? 0 : gch_root_register(&gch.heap0, segment, 0, 0);
}

static int bdw_data_tell(void)
{
	struct gch_root *segment = gch.heap0.data.items;
	struct gch_vec fresh = { 0 };
	int err = 0;

	for (size_t i = 0; i < gch.heap0.data.n && !err; i++) {
		bool whole;

		err = bdw_segment_add(&segment[i], &fresh, &whole);
		if (err || whole || !segment[i].id)
			continue;
		gch_root_unregister(&gch.heap0, segment[i].id);
		segment[i].id = 0;
	}
	bdw_pieces_replace(&bdw_data.pieces, &fresh);
	return err;
}

/* ---- when */

static void *bdw_dlopen(const char *file, int mode)
{
	void *object = bdw_data.real_dlopen(file, mode);

	bdw_data_settle();
	return object;
}

/* An address that another object gets may be wanted there. */
static int bdw_dlclose(void *object)
{
	int err = bdw_data.real_dlclose(object);

	bdw_data_settle();
	return err;
}

/* Under gch.lock, for no thread to fork in the midst. */
static void bdw_data_watch(void)
{
	if (bdw_data.touched)
		return;
	bdw_data.real_dlopen = gch.real_dlopen;
	bdw_data.real_dlclose = gch.real_dlclose;
	WRITE_ONCE(gch.real_dlopen, bdw_dlopen);
	WRITE_ONCE(gch.real_dlclose, bdw_dlclose);
	WRITE_ONCE(bdw_data.touched, true);
}

static int bdw_data_apply(void)
{
	struct gch_vec refused = { 0 };
	int err = gch_dl_check();

	pthread_mutex_lock(&gch.lock);
	bdw_data_watch();
	pthread_mutex_unlock(&gch.lock);
	WRITE_ONCE(bdw_data.no_dls, READ_ONCE(GC_no_dls));
	gch_walk(bdw_refuse_segments, &refused);
	pthread_mutex_lock(&gch.lock);
	gch_vec_free(&bdw_data.refused);
	bdw_data.refused = refused;
	if (!err)
		err = bdw_data_tell();
	pthread_mutex_unlock(&gch.lock);
	return err;
}

/* As the library below has it. */
static bool bdw_data_is_plain(void)
{
	return !READ_ONCE(bdw_data.touched) && !READ_ONCE(GC_no_dls) &&
	       !READ_ONCE(bdw_data.filter) && !bdw_exclusions();
}

/* A wish has changed, or the objects have. Without a heap it is for GC_init(). */
void bdw_data_settle(void)
{
	int err;

	if (bdw_data_is_plain() || !__atomic_load_n(&gch.ready, __ATOMIC_ACQUIRE) || gch.error)
		return;
	pthread_mutex_lock(&gch.dl_lock);
	err = bdw_data_apply();
	pthread_mutex_unlock(&gch.dl_lock);
	bdw_root_failed(err);
}

/* Programs assign to GC_no_dls without telling, and go without GC_init(). */
void bdw_data_notice(void)
{
	if (READ_ONCE(GC_no_dls) != READ_ONCE(bdw_data.no_dls) || !READ_ONCE(bdw_data.touched))
		bdw_data_settle();
}

/* ---- for the program */

GCH_API void GC_set_no_dls(int no_dls)
{
	WRITE_ONCE(GC_no_dls, no_dls);
	bdw_data_settle();
}

GCH_API int GC_get_no_dls(void)
{
	return READ_ONCE(GC_no_dls);
}

GCH_API void GC_register_has_static_roots_callback(GC_has_static_roots_func filter)
{
	WRITE_ONCE(bdw_data.filter, filter);
	bdw_data_settle();
}

/* Data segments come and go; what is added stays. */
GCH_API int GC_is_tmp_root(void *p)
{
	const struct gch_root *segment;
	bool found = false;

	pthread_mutex_lock(&gch.lock);
	segment = gch.heap0.data.items;
	for (size_t i = 0; i < gch.heap0.data.n && !found; i++)
		found = (uintptr_t)p - segment[i].addr < segment[i].len &&
			!bdw_is_refused(&segment[i]);
	pthread_mutex_unlock(&gch.lock);
	return found;
}
