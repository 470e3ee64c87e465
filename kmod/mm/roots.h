/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Roots of a heap: registers, stacks and thread-local storage of its threads,
 * and the ranges the program registered. See roots.c.
 */
#ifndef _GCH_MM_ROOTS_H
#define _GCH_MM_ROOTS_H

#include <linux/ktime.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "../../uapi/gcheap.h"
#include "snapshot.h"

struct gch_world;
struct gch_tls;
struct vm_area_struct;

#define GCH_ROOTS_MAX	65536	/* registered ranges of one heap */

/**
 * struct gch_root_visitor - who is shown the words
 * @arg: handed through
 * @ambiguous: @n words, any of which may be a pointer into the heap
 * @precise: @n words from precise ranges: 0, pointers, or no heap addresses
 *
 * @heap_word: a word of the heap by its offset, 0 where it was never touched; false: it is
 *	in no object. (There may be no page table entry for what was.)
 *
 * Called in the pause from gch_roots_scan(), with no lock held, with page
 * faults enabled; must not sleep for long nor touch user memory. The words are
 * a copy: they were read once and do not change.
 */
struct gch_root_visitor {
	void *arg;
	void (*ambiguous)(void *arg, const u64 *words, size_t n);
	void (*precise)(void *arg, const u64 *words, size_t n);
	bool (*heap_word)(void *arg, u64 off, u64 *word);
};

#define GCH_ROOT_NONE	0		/* no registered range: stack or TLS */

/**
 * struct gch_root_fault - a place in a root that could not be read
 * @id: registered range, or GCH_ROOT_NONE
 * @addr: first address concerned
 * @error: -EFAULT: unmapped or protected; -EAGAIN: did not become resident in
 *	time (userfaultfd, FUSE, swap); -ENOMEM
 */
struct gch_root_fault {
	u32 id;
	int error;
	u64 addr;
};

/**
 * struct gch_root_part - part of a root that was not resident
 * @id: as in gch_root_fault
 * @lo, @hi: its first page was not
 */
struct gch_root_part {
	u32 id;
	u64 lo;
	u64 hi;
};

#define GCH_ROOT_MISSING	64	/* remembered for gch_roots_fault_in() */

/**
 * struct gch_roots - root set of one heap; embedded in it
 * @table: registered ranges by id, from 1; has its own lock, read under RCU
 * @tls: what GCHEAP_IOC_TLS said; RCU
 * @precise_only: registers, stacks and TLS are no roots
 * @heap_lo, @heap_hi: the heap's mapping: no root
 * @page: copy of user memory; @image: of vector state (collector only)
 * @missing, @nmissing: not resident in the last scan (collector only)
 * @pieces, @words: read by the last scan; @same: of these known from @snapshot
 * @snapshot: for a marking beside the program (collector only)
 */
struct gch_roots {
	struct xarray table;
	struct gch_tls __rcu *tls;
	bool precise_only;
	unsigned long heap_lo;
	unsigned long heap_hi;
	void *page;
	void *image;
	struct gch_root_part missing[GCH_ROOT_MISSING];
	u32 nmissing;
	u64 pieces, words, same;
	struct gch_snapshot snapshot;
};

/* mapping.c */
bool gch_mapping_of_a_heap(const struct vm_area_struct *vma);

/* roots.c */
int gch_roots_module_init(void);

int gch_roots_init(struct gch_roots *r, bool precise_only);
int gch_roots_copy(struct gch_roots *to, struct gch_roots *from);
void gch_roots_set_heap(struct gch_roots *r, unsigned long lo, unsigned long hi);
void gch_roots_destroy(struct gch_roots *r);

int gch_roots_add(struct gch_roots *r, const struct gcheap_root *u, u32 *id);
int gch_roots_del(struct gch_roots *r, u32 id);
int gch_roots_set_tls(struct gch_roots *r, const struct gcheap_tls *u,
		      const struct gcheap_tls_module *modules);

int gch_roots_prefault(struct gch_roots *r, struct gch_world *w,
		       struct gch_root_fault *bad);
int gch_roots_scan(struct gch_roots *r, struct gch_world *w,
		   const struct gch_root_visitor *v);
bool gch_roots_precise(struct gch_roots *r, struct gch_world *w,
		       void (*visit)(void *arg, unsigned long addr, const u64 *words, size_t n),
		       void *arg);
bool gch_roots_many_missing(const struct gch_roots *r);
int gch_roots_fault_in(struct gch_roots *r, struct gch_world *w,
		       struct gch_root_fault *bad);
int gch_roots_bring_word(struct gch_roots *r, struct gch_world *w, unsigned long addr,
			 ktime_t until);

#endif
