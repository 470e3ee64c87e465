/* SPDX-License-Identifier: GPL-2.0-only */
/* Which heap pages were written; see track.c. */
#ifndef _GCH_MM_TRACK_H
#define _GCH_MM_TRACK_H

#include <linux/mm_types.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#define GCH_LOG		(PAGE_SIZE / sizeof(u32))

struct gch;
struct vm_area_struct;
struct vm_fault;

/**
 * struct gch_track - write tracking of a heap
 * @lock: @armed, @faults, the logged bits of chunks and @list; innermost
 * @armed: writes are logged
 * @list: the first pages logged; @n: how many there were, more than GCH_LOG even
 * @taken, @ntaken: the list before (collector)
 * @protected: pages may be write-protected, from the first time on
 * @closed: only up to @cap may be logged (R18); @waits: faults that waited therefore
 * @rounding: pages are dirty and not protected yet: nobody looks at them; core.lock
 * @faults: writes that faulted, since the start
 * @way: GCHEAP_TRACK_*; changes outside of marking only
 * @bits: a page of them, the collector's
 * @logged: pages that pauses had to look at, since the start
 */
struct gch_track {
	spinlock_t lock;	/* armed, faults, logged bits, list */
	bool armed;
	bool protected;
	bool closed;
	bool rounding;
	u32 n, cap;
	u32 *list;
	u32 *taken;
	u32 ntaken;
	atomic64_t waits;
	u64 faults;
	u32 way;
	unsigned long *bits;
	u64 logged;
};

int gch_track_init(struct gch_track *t);
void gch_track_destroy(struct gch_track *t);
u32 gch_track_way(u32 way);

void gch_track_begin(struct gch *g, bool young);
u64 gch_track_round(struct gch *g, bool last);
void gch_track_again(struct gch *g);
void gch_track_close(struct gch_track *t, u32 cap);
bool gch_track_full(const struct gch_track *t);
void gch_track_logged(struct gch *g);
void gch_track_end(struct gch *g);

vm_fault_t gch_track_mkwrite(struct gch *g, struct vm_fault *vmf);
void gch_track_born(struct gch *g, struct vm_area_struct *vma, unsigned long addr, u32 n);

#endif
