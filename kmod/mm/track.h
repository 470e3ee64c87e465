/* SPDX-License-Identifier: GPL-2.0-only */
/* Which heap pages were written; see track.c. */
#ifndef _GCH_MM_TRACK_H
#define _GCH_MM_TRACK_H

#include <linux/mm_types.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct gch;
struct vm_area_struct;
struct vm_fault;

/**
 * struct gch_track - write tracking of a heap
 * @lock: @armed, @faults, and the logged bits of chunks; innermost
 * @armed: writes are logged
 * @faults: writes that faulted, since the start
 * @way: GCHEAP_TRACK_*; changes outside of marking only
 * @bits: a page of them, the collector's
 * @logged: pages that pauses had to look at, since the start
 */
struct gch_track {
	spinlock_t lock;	/* armed, faults, logged bits */
	bool armed;
	u64 faults;
	u32 way;
	unsigned long *bits;
	u64 logged;
};

int gch_track_init(struct gch_track *t);
void gch_track_destroy(struct gch_track *t);
u32 gch_track_way(u32 way);

void gch_track_begin(struct gch *g);
u64 gch_track_round(struct gch *g, bool last);
void gch_track_logged(struct gch *g);
void gch_track_end(struct gch *g);

vm_fault_t gch_track_mkwrite(struct gch *g, struct vm_fault *vmf);
void gch_track_born(struct gch *g, struct vm_area_struct *vma, unsigned long addr, u32 n);

#endif
