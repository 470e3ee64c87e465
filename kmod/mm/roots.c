// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading the roots of a program whose threads are stopped.
 *
 * R8: nothing here sleeps on the program's account. User memory is read with
 * page faults disabled, a word once. A page that is not there ends the attempt:
 * it is remembered, and brought in by gch_roots_fault_in() with the program
 * running. mmap_lock is only tried, for a few times; a thread that holds it can
 * go on in the kernel, and gives it up without our doing. What is not mapped has
 * no contents: it is passed over, in stacks as in registered ranges.
 *
 * Everything that is read is untrusted: stack pointers, bounds, thread pointers
 * and dynamic thread vectors may be anything. The heap's own mapping is never
 * read as a root, however a range came to include it.
 *
 * R5, how far a stack goes. Up to the bound given when the thread attached if
 * its stack pointer is inside of the bounds, and not on a signal stack within
 * them. Else the attached stack is scanned whole, and what the pointer points to
 * as that of an unattached thread: upwards to the end of the mapping and through
 * what adjoins it and is backed alike, since mlock and mprotect split mappings.
 * A signal stack is scanned to its end, and the stack that was interrupted, which the
 * signal frame tells: an attached thread may have been on another one than the attached,
 * too. The first thread's stack is
 * known without bounds: it is scanned whole when the pointer is elsewhere.
 *
 * What a thread does in the kernel in the pause does not change what is read of
 * it here: in a system call it keeps its registers until it parks. But one that
 * is off its CPU, neither parked nor in a call, may be in the midst of making or
 * undoing a signal frame. The frame is written before the registers change, and
 * read after the thread has left it: registers are read first, and then so much
 * more below the stack pointer, and the signal stack.
 *
 * A thread in clone() may give birth in the pause, at any time until its end.
 * The child's registers are the parent's, its stack and thread pointer are
 * arguments of the call: they are roots at once.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "../knobs.h"
#include "herd.h"
#include "roots.h"

#define LOCK_TRIES	20		/* for mmap_lock in a pause */
#define LOCK_SLEEP_US	30
#define BRING_NS	(500 * NSEC_PER_MSEC)	/* most to wait for a page */
#define BRING_SLEEP_US	1000
#define TLS_MAX		SZ_1M
#define TLS_MODULES	4096

struct gch_arch_xstate gch_arch_xstate[GCH_ARCH_XCOMPS];
u32 gch_arch_image_max;
u32 gch_arch_sigframe_max;

/* A registered range; never changes. */
struct gch_range {
	u64 lo, hi, top;
	u32 flags;
	struct rcu_head rcu;
};

struct gch_tls {
	refcount_t ref;
	u32 below, above;
	u32 dtv_offset, dtv_stride;
	bool counted;
	u32 n;
	struct rcu_head rcu;
	struct gcheap_tls_module module[];
};

/**
 * struct gch_scan - a scan under way
 * @precise: for whom the words are
 * @strict: memory that is there but not readable is an error
 * @id: range, or GCH_ROOT_NONE
 * @err: -EAGAIN: the attempt has failed, nothing is shown to the visitor any
 *	more; -ENXIO
 * @abort: nor is anything else looked at
 */
struct gch_scan {
	struct gch_roots *roots;
	struct gch_world *world;
	struct mm_struct *mm;
	const struct gch_root_visitor *v;
	bool precise;
	bool strict;
	bool abort;
	u32 id;
	int err;
};

static bool read_user(void *to, unsigned long addr, size_t n)
{
	return !copy_from_user_nofault(to, (const void __user *)addr, n);
}

static bool vma_usable(struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_READ | VM_IO | VM_PFNMAP)) == VM_READ;
}

static void scan_fail(struct gch_scan *s, int err)
{
	s->err = err;
	s->abort = true;
}

/* In the pause. False: the attempt has failed. */
static bool scan_lock(struct gch_scan *s)
{
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (mmap_read_trylock(s->mm))
			return true;
		usleep_range(LOCK_SLEEP_US, 2 * LOCK_SLEEP_US);
	}
	scan_fail(s, -EAGAIN);
	return false;
}

static void remember(struct gch_scan *s, unsigned long lo, unsigned long hi)
{
	struct gch_roots *r = s->roots;

	s->err = -EAGAIN;
	if (r->nmissing == GCH_ROOT_MISSING) {
		s->abort = true;
		return;
	}
	r->missing[r->nmissing++] = (struct gch_root_part){
		.id = s->id, .lo = lo, .hi = hi,
	};
}

/*
 * There is nothing where a stack goes on, and there will not be: a file ends, or an object
 * of some heap that a coroutine runs on.
 */
static bool vma_ends_before(struct vm_area_struct *vma, unsigned long addr)
{
	struct inode *inode;

	if (gch_mapping_of_a_heap(vma))
		return true;
	if (!vma->vm_file)
		return false;
	inode = file_inode(vma->vm_file);
	return S_ISREG(inode->i_mode) && linear_page_index(vma, addr) >=
	       DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE);
}

/* The page at @addr cannot be read. Return: where to go on. */
static unsigned long unreadable(struct gch_scan *s, unsigned long addr,
				unsigned long hi)
{
	struct vm_area_struct *vma;

	if (!gch_rule(8))
		return (addr | ~PAGE_MASK) + 1;
	if (!scan_lock(s))
		return hi;
	vma = find_vma(s->mm, addr);
	if (!vma) {
		addr = hi;
	} else if (vma->vm_start > addr) {
		addr = min(hi, vma->vm_start);
	} else {
		hi = min(hi, vma->vm_end);
		if (s->strict || (vma_usable(vma) && !vma_ends_before(vma, addr)))
			remember(s, addr, hi);
		addr = hi;
	}
	mmap_read_unlock(s->mm);
	return addr;
}

static void show(struct gch_scan *s, const u64 *words, size_t n)
{
	if (s->err)
		return;
	s->roots->words += n;
	if (!n)
		return;
	if (s->precise)
		s->v->precise(s->v->arg, words, n);
	else
		s->v->ambiguous(s->v->arg, words, n);
}

/* Words that were read, of user memory that ends at an address: into a snapshot, or not. */
static void show_piece(struct gch_scan *s, u64 end, const u64 *words, size_t n)
{
	struct gch_roots *r = s->roots;

	if (s->err || words == r->page) {
		show(s, words, n);
		return;
	}
	gch_snapshot_add(&r->snapshot, end, n, s->precise);
	r->words += n;
}

/* R3. The words of a piece that have to be looked at, its first ones. */
static size_t unknown(struct gch_scan *s, u64 end, size_t n)
{
	struct gch_roots *r = s->roots;
	size_t same = s->err ? 0 : gch_snapshot_same(&r->snapshot, end, n, s->precise);

	r->pieces++;
	r->words += same;
	r->same += same;
	return n - same;
}

/* Bounds may be anything. */
static void scan_range(struct gch_scan *s, unsigned long lo, unsigned long hi)
{
	struct gch_roots *r = s->roots;
	unsigned long end;
	u64 *words;
	size_t n;

	hi = ALIGN_DOWN(min_t(unsigned long, hi, TASK_SIZE_MAX), sizeof(u64));
	if (lo >= hi)
		return;
	lo = ALIGN(lo, sizeof(u64));
	while (lo < hi && !s->abort) {
		if (lo >= r->heap_lo && lo < r->heap_hi) {
			lo = r->heap_hi;
			continue;
		}
		end = min(hi, (lo | ~PAGE_MASK) + 1);
		n = unknown(s, end, (end - lo) / sizeof(u64));
		/* In an attempt that has failed, only to see if it is there. */
		words = gch_snapshot_room(&r->snapshot) ?: r->page;
		if (n && !read_user(words, lo, (s->err ? 1 : n) * sizeof(u64))) {
			lo = unreadable(s, lo, hi);
			continue;
		}
		show_piece(s, end, words, n);
		lo = end;
		if (gch_mm_deserted(s->world))
			scan_fail(s, -ENXIO);
		cond_resched();
	}
}

/* A word that leads to others; it may be in an object. */
static bool scan_word(struct gch_scan *s, unsigned long addr, u64 *word)
{
	const struct gch_roots *r = s->roots;

	if (addr % sizeof(u64) || addr >= TASK_SIZE_MAX - sizeof(u64))
		return false;
	if (addr >= r->heap_lo && addr < r->heap_hi)
		return s->v->heap_word(s->v->arg, addr - r->heap_lo, word);
	if (read_user(word, addr, sizeof(*word)))
		return true;
	unreadable(s, addr, addr + sizeof(u64));
	return false;
}

/**
 * struct gch_run - mappings that a stack may extend over
 * @at: next address
 * @file, @pgoff: backing of what was before that; @file is only compared
 */
struct gch_run {
	unsigned long at;
	const struct file *file;
	unsigned long pgoff;
};

/* Does a stack go on from @run into @vma? */
static bool run_extends(const struct gch_run *run, struct vm_area_struct *vma,
			bool first)
{
	if (!vma_usable(vma) || (!vma->vm_file && !vma_is_anonymous(vma)))
		return false;
	if (first)
		return vma->vm_start <= run->at || vma->vm_flags & VM_GROWSDOWN;
	if (vma->vm_start != run->at || vma->vm_file != run->file)
		return false;
	return !vma->vm_file || vma->vm_pgoff == run->pgoff;
}

/* The rest of the stack that @sp points into, bounds unknown. */
static void scan_run(struct gch_scan *s, unsigned long sp)
{
	struct gch_roots *r = s->roots;
	struct gch_run run = { .at = sp };
	struct vm_area_struct *vma;
	unsigned long lo, hi;
	bool first = true;

	while (run.at < TASK_SIZE_MAX && scan_lock(s)) {
		vma = find_vma(s->mm, run.at);
		if (!vma || !run_extends(&run, vma, first) ||
		    (vma->vm_start < r->heap_hi && vma->vm_end > r->heap_lo)) {
			mmap_read_unlock(s->mm);
			return;
		}
		lo = max(run.at, vma->vm_start);
		hi = vma->vm_end;
		run.at = hi;
		run.file = vma->vm_file;
		run.pgoff = vma->vm_pgoff + vma_pages(vma);
		mmap_read_unlock(s->mm);
		scan_range(s, lo, hi);
		if (s->abort || !gch_rule(5))
			return;
		first = false;
	}
}

/* The stack that the address space began with, if @sp is not in it. */
static void scan_first_stack(struct gch_scan *s, unsigned long sp)
{
	unsigned long at = READ_ONCE(s->mm->start_stack), lo = 0, hi = 0;
	struct vm_area_struct *vma;

	if (!scan_lock(s))
		return;
	vma = find_vma(s->mm, at);
	if (vma && vma->vm_start <= at) {
		lo = vma->vm_start;
		hi = vma->vm_end;
	}
	/* Pieces of it, cut off by mlock or mprotect. */
	while (lo) {
		vma = find_vma(s->mm, lo - 1);
		if (!vma || vma->vm_end != lo || !vma_is_anonymous(vma) || !vma_usable(vma))
			break;
		lo = vma->vm_start;
	}
	mmap_read_unlock(s->mm);
	if (hi && (sp < lo || sp > hi))
		scan_run(s, lo);
}

static unsigned long below(unsigned long addr, unsigned long n)
{
	return addr > n ? addr - n : 0;
}

/* What a signal handler on the signal stack interrupted, nested ones too. */
static void scan_interrupted(struct gch_scan *s, const struct gch_capture *c)
{
	unsigned long at = ALIGN(c->regs.sp, sizeof(u64));
	u64 word, size, sp;

	/* In use down from its end, so that it can be read throughout. */
	for (; at < c->alt_hi && !s->abort; at += sizeof(u64)) {
		if (!scan_word(s, at, &word))
			return;
		if (!offset_in_page(at)) {
			cond_resched();
			if (gch_mm_deserted(s->world)) {
				scan_fail(s, -ENXIO);
				return;
			}
		}
		if (word != c->alt_lo ||
		    !scan_word(s, at + GCH_ARCH_UC_STACK_SIZE * sizeof(u64),
			       &size) ||
		    size != c->alt_hi - c->alt_lo ||
		    !scan_word(s, at + GCH_ARCH_UC_SP * sizeof(u64), &sp))
			continue;
		if (sp > c->alt_lo && sp <= c->alt_hi)
			continue;
		sp = below(sp, GCH_ARCH_RED_ZONE);
		scan_range(s, sp, sp + GCH_ARCH_RED_ZONE);
		scan_run(s, sp + GCH_ARCH_RED_ZONE);
	}
}

static void scan_stack(struct gch_scan *s, const struct gch_capture *c)
{
	unsigned long sp = ALIGN_DOWN(c->regs.sp, sizeof(u64));
	unsigned long zone = GCH_ARCH_RED_ZONE;
	bool on_alt = sp > c->alt_lo && sp <= c->alt_hi;
	bool inside = c->hi && sp >= c->lo && sp <= c->hi;

	if (gch_rule(5)) {
		if (c->how == GCH_LOOSE) {
			zone += gch_arch_sigframe_max;
			scan_range(s, c->alt_lo, c->alt_hi);
		}
		if (on_alt)
			inside = false;
	}
	scan_range(s, inside ? max(below(sp, zone), c->lo) : below(sp, zone),
		   sp);
	if (inside)
		scan_range(s, sp, c->hi);
	else if (on_alt)
		scan_range(s, sp, c->alt_hi);
	else
		scan_run(s, sp);
	if (inside || !gch_rule(5))
		return;
	if (c->hi)
		scan_range(s, c->lo, c->hi);
	if (on_alt)
		scan_interrupted(s, c);
	if (c->first && !c->hi)
		scan_first_stack(s, sp);
}

static void scan_dtv(struct gch_scan *s, const struct gch_tls *tls,
		     unsigned long tp)
{
	u64 dtv, block, last = U64_MAX;
	unsigned long at;
	u32 i;

	if (!tls->n || !scan_word(s, tp + tls->dtv_offset, &dtv))
		return;
	if (tls->counted && !scan_word(s, below(dtv, tls->dtv_stride), &last))
		return;
	for (i = 0; i < tls->n && !s->abort; i++) {
		/* What the thread has not seen yet has no entry in its vector. */
		if (tls->module[i].module > last)
			continue;
		at = (u64)tls->module[i].module * tls->dtv_stride;
		if (check_add_overflow(at, (unsigned long)dtv, &at) ||
		    !scan_word(s, at, &block))
			continue;
		if (block && block < TASK_SIZE_MAX)
			scan_range(s, block, block + tls->module[i].bytes);
	}
}

static struct gch_tls *tls_get(struct gch_roots *r)
{
	struct gch_tls *tls;

	rcu_read_lock();
	tls = rcu_dereference(r->tls);
	if (tls && !refcount_inc_not_zero(&tls->ref))
		tls = NULL;
	rcu_read_unlock();
	return tls;
}

static void tls_put(struct gch_tls *tls)
{
	if (tls && refcount_dec_and_test(&tls->ref))
		kvfree_rcu(tls, rcu);
}

static void scan_tls(struct gch_scan *s, unsigned long tp)
{
	struct gch_tls *tls;

	if (!tp || tp >= TASK_SIZE_MAX)
		return;
	tls = tls_get(s->roots);
	if (!tls)
		return;
	scan_range(s, below(tp, tls->below), tp + tls->above);
	scan_dtv(s, tls, tp);
	tls_put(tls);
}

/* A child that is being born. */
static void scan_child(struct gch_scan *s, const struct gch_capture *c)
{
	unsigned long sp = 0, tp = 0, args;
	u64 word[3] = { };

	if (!gch_arch_cloning(&c->regs, &sp, &tp, &args))
		return;
	if (args) {
		args += offsetof(struct clone_args, stack);
		if (!scan_word(s, args, &word[0]) ||
		    !scan_word(s, args + sizeof(u64), &word[1]) ||
		    !scan_word(s, args + 2 * sizeof(u64), &word[2]))
			return;
		sp = word[0] + word[1];
		tp = word[2];
	}
	sp = ALIGN_DOWN(sp, sizeof(u64));
	if (sp && sp != c->regs.sp) {
		scan_range(s, below(sp, GCH_ARCH_RED_ZONE), sp);
		scan_run(s, sp);
	}
	if (tp != c->regs.tp)
		scan_tls(s, tp);
}

static void scan_registers(struct gch_scan *s, const struct gch_capture *c)
{
	const u64 *words;
	size_t n;
	u32 i = 0;

	show(s, c->regs.word, ARRAY_SIZE(c->regs.word));
	if (!gch_rule(1))
		return;
	while (gch_arch_image_next(c->image, c->size, &i, &words, &n))
		show(s, words, n);
}

static void scan_thread(struct gch_scan *s, struct gch_thread *t)
{
	struct gch_capture c = { .image = s->roots->image };

	gch_thread_capture(t, &c);
	if (c.how == GCH_GONE)
		return;
	scan_registers(s, &c);
	/* R3 */
	if (gch_rule(3) || !gch_thread_slept(t))
		scan_stack(s, &c);
	scan_tls(s, c.regs.tp);
	scan_child(s, &c);
}

/*
 * The part of a range that is a root now. @top: what its word says. False:
 * none.
 */
static bool range_part(const struct gch_range *e, u64 top, unsigned long *lo,
		       unsigned long *hi)
{
	*lo = e->lo;
	*hi = e->hi;
	if (e->flags & GCHEAP_ROOT_TOP)
		*hi = clamp(top, e->lo, e->hi);
	if (e->flags & GCHEAP_ROOT_FIBER) {
		if (top < e->lo || top > e->hi)
			return false;
		*lo = max_t(u64, below(top, GCH_ARCH_RED_ZONE), e->lo);
	}
	return *lo < *hi;
}

/* Next range by number, from *@id on, copied. */
static bool range_next(struct gch_roots *r, unsigned long *id,
		       struct gch_range *copy)
{
	struct gch_range *e;

	rcu_read_lock();
	e = xa_find(&r->table, id, ULONG_MAX, XA_PRESENT);
	if (e)
		*copy = *e;
	rcu_read_unlock();
	return e;
}

static void scan_registered(struct gch_scan *s)
{
	unsigned long id, lo, hi;
	struct gch_range e;
	u64 top = 0;

	s->strict = true;
	for (id = 1; !s->err && range_next(s->roots, &id, &e); id++) {
		s->id = id;
		s->precise = e.flags & GCHEAP_ROOT_PRECISE;
		if (e.top && !scan_word(s, e.top, &top))
			continue;
		if (range_part(&e, top, &lo, &hi))
			scan_range(s, lo, hi);
	}
}

/**
 * gch_roots_scan() - show all roots of a stopped program to a visitor
 * @r: roots
 * @w: world, stopped
 * @v: visitor
 *
 * From the collector, after gch_mm_enter(). No locks that the visitor takes or
 * that a thread may hold while it waits for user memory.
 *
 * Return: 0; -EAGAIN: not all could be read now: start the threads, call
 * gch_roots_fault_in(), try again; -ENXIO: the program is gone.
 */
int gch_roots_scan(struct gch_roots *r, struct gch_world *w,
		   const struct gch_root_visitor *v)
{
	struct gch_scan s = {
		.roots = r, .world = w, .mm = gch_world_mm(w), .v = v,
		.id = GCH_ROOT_NONE,
	};
	struct gch_thread *t;

	r->pieces = 0;
	r->words = 0;
	r->same = 0;
	r->nmissing = 0;
	if (!r->precise_only)
		gch_herd_for_each(t, w->herd) {
			scan_thread(&s, t);
			if (s.abort)
				break;
		}
	if (!s.err)
		scan_registered(&s);
	/* If the heap has died, its threads run, and nothing read counts. */
	if (gch_mm_deserted(w))
		s.err = -ENXIO;
	return s.err;
}

/**
 * gch_roots_precise() - visit the precise ranges of a stopped program, by pages
 * @visit: @n words at an address, a copy of them
 *
 * After a gch_roots_scan() that has found all of them there. Return: false: some are not
 * any more, or were unmapped all the time.
 */
bool gch_roots_precise(struct gch_roots *r, struct gch_world *w,
		       void (*visit)(void *arg, unsigned long addr, const u64 *words, size_t n),
		       void *arg)
{
	unsigned long id, lo, hi, end;
	struct gch_range e;
	u64 top = 0;

	for (id = 1; range_next(r, &id, &e); id++) {
		if (!(e.flags & GCHEAP_ROOT_PRECISE))
			continue;
		if (e.top && !read_user(&top, e.top, sizeof(top)))
			return false;
		if (!range_part(&e, top, &lo, &hi))
			continue;
		hi = ALIGN_DOWN(hi, sizeof(u64));
		for (lo = ALIGN(lo, sizeof(u64)); lo < hi; lo = end) {
			end = min(hi, (lo | ~PAGE_MASK) + 1);
			if (lo >= r->heap_lo && lo < r->heap_hi)
				continue;
			if (gch_mm_deserted(w) || !read_user(r->page, lo, end - lo))
				return false;
			visit(arg, lo, r->page, (end - lo) / sizeof(u64));
			cond_resched();
		}
	}
	return true;
}

/**
 * struct gch_bring - pages being brought in
 * @bad: first place that could not be read
 * @deadline: for the page at hand
 * @us: next time to sleep
 */
struct gch_bring {
	struct gch_roots *roots;
	struct gch_world *world;
	struct mm_struct *mm;
	struct gch_root_fault *bad;
	ktime_t deadline;
	u32 us;
	u32 id;
};

static void bring_bad(struct gch_bring *b, unsigned long addr, int err)
{
	if (b->bad->error)
		return;
	b->bad->id = b->id;
	b->bad->addr = addr;
	b->bad->error = err;
}

static void bring_begin(struct gch_bring *b)
{
	b->deadline = ktime_add_ns(ktime_get(), BRING_NS);
	b->us = LOCK_SLEEP_US;
}

/* False: it has taken too long. */
static bool bring_wait(struct gch_bring *b)
{
	if (ktime_after(ktime_get(), b->deadline))
		return false;
	usleep_range(b->us, 2 * b->us);
	b->us = min_t(u32, 2 * b->us, BRING_SLEEP_US);
	return true;
}

/* Let who holds mmap_lock finish, fork() above all: the pause only tries. */
static int bring_lock(struct gch_bring *b)
{
	while (!mmap_read_trylock(b->mm))
		if (!bring_wait(b))
			return -EAGAIN;
	return 0;
}

/* Reading the file could make us wait for the program itself. */
static bool vma_may_block(struct vm_area_struct *vma)
{
	return vma->vm_file &&
		file_inode(vma->vm_file)->i_sb->s_magic == FUSE_SUPER_MAGIC;
}

/*
 * One try, mmap_lock held. Return: where to go on, *@err 0: this is done with;
 * -EBUSY: try again.
 */
static unsigned long bring_try(struct gch_bring *b, unsigned long addr,
			       unsigned long hi, int *err)
{
	struct vm_area_struct *vma = find_vma(b->mm, addr);
	struct page *page;
	long got;

	*err = 0;
	if (!vma || vma->vm_start > addr) {
		if (b->id != GCH_ROOT_NONE)
			bring_bad(b, addr, -EFAULT);
		return vma ? min(hi, vma->vm_start) : hi;
	}
	if (!vma_usable(vma)) {
		if (b->id != GCH_ROOT_NONE)
			*err = -EFAULT;
		return min(hi, vma->vm_end);
	}
	if (vma_may_block(vma)) {
		*err = -EAGAIN;
		return addr;
	}
	got = gch_gup_nowait(b->mm, addr, 0, &page);
	if (got == 1) {
		put_page(page);
		return addr + PAGE_SIZE;
	}
	*err = got ?: -EBUSY;
	return addr;
}

/* Return: 0, -EAGAIN: mmap_lock is busy; -EFAULT: unreadable, *b->bad says. */
static int bring_page(struct gch_bring *b, unsigned long *addr,
		      unsigned long hi)
{
	int err;

	bring_begin(b);
	for (;;) {
		err = bring_lock(b);
		if (err)
			return err;
		*addr = bring_try(b, *addr, hi, &err);
		mmap_read_unlock(b->mm);
		if (!err)
			return 0;
		if (err == -EBUSY && bring_wait(b))
			continue;
		bring_bad(b, *addr, err == -EBUSY ? -EAGAIN : err);
		return -EFAULT;
	}
}

static int bring_part(struct gch_bring *b, unsigned long lo, unsigned long hi)
{
	struct gch_roots *r = b->roots;
	int err;
	u64 word;

	lo = ALIGN_DOWN(lo, PAGE_SIZE);
	hi = min_t(unsigned long, hi, TASK_SIZE_MAX);
	while (lo < hi) {
		if (gch_mm_deserted(b->world))
			return -ENXIO;
		cond_resched();
		if (lo >= r->heap_lo && lo < r->heap_hi) {
			lo = r->heap_hi;
		} else if (read_user(&word, lo, sizeof(word))) {
			lo += PAGE_SIZE;
		} else {
			err = bring_page(b, &lo, hi);
			if (err)
				return err;
		}
	}
	return 0;
}

static int bring_registered(struct gch_bring *b)
{
	unsigned long id, lo, hi;
	struct gch_range e;
	u64 top = 0;
	int err;

	for (id = 1; range_next(b->roots, &id, &e); id++) {
		b->id = id;
		if (e.top) {
			err = bring_part(b, e.top, e.top + sizeof(u64));
			if (err)
				return err;
			if (!read_user(&top, e.top, sizeof(top)))
				continue;
		}
		if (!range_part(&e, top, &lo, &hi))
			continue;
		err = bring_part(b, lo, hi);
		if (err)
			return err;
	}
	bring_begin(b);
	err = bring_lock(b);
	if (!err)
		mmap_read_unlock(b->mm);
	return err;
}

/**
 * gch_roots_prefault() - bring the registered ranges in, the program running
 * @r: roots
 * @w: world
 * @bad: out, zero on entry: first place that is not there or cannot be read
 *
 * From the collector, after gch_mm_enter(). Gives up on a page that does not come
 * within half a second, whatever backs it, and goes no further then. Pages that are
 * not mapped at all are reported and passed over.
 *
 * Return: 0, though @bad->error may be set; -EAGAIN: busy, try again later;
 * -EFAULT: a page that is mapped cannot be read, @bad says why; -ENXIO.
 */
int gch_roots_prefault(struct gch_roots *r, struct gch_world *w,
		       struct gch_root_fault *bad)
{
	struct gch_bring b = {
		.roots = r, .world = w, .mm = gch_world_mm(w), .bad = bad,
	};

	if (!gch_rule(8))
		return 0;
	return bring_registered(&b);
}

/**
 * gch_roots_many_missing() - whether the last scan could not remember all it missed
 *
 * The next attempt gets further, but cannot succeed but by chance.
 */
bool gch_roots_many_missing(const struct gch_roots *r)
{
	return r->nmissing == GCH_ROOT_MISSING;
}

/**
 * gch_roots_fault_in() - bring in what the last scan missed
 *
 * Terms as of gch_roots_prefault(), which it includes.
 */
int gch_roots_fault_in(struct gch_roots *r, struct gch_world *w,
		       struct gch_root_fault *bad)
{
	struct gch_bring b = {
		.roots = r, .world = w, .mm = gch_world_mm(w), .bad = bad,
	};
	u32 i;
	int err;

	for (i = 0; i < r->nmissing; i++) {
		b.id = r->missing[i].id;
		err = bring_part(&b, r->missing[i].lo, r->missing[i].hi);
		if (err)
			return err;
	}
	r->nmissing = 0;
	return bring_registered(&b);
}

/* Who maps a file may be made to wait for it, for long, before a page may be written. */
static bool write_may_block(struct vm_area_struct *vma)
{
	return vma_may_block(vma) || (vma->vm_flags & VM_SHARED && vma->vm_ops &&
				      vma->vm_ops->page_mkwrite);
}

/*
 * One try, mmap_lock held. Return: 0, -EBUSY: try again, -EFAULT: nothing is mapped, -EACCES:
 * it is not to be written, or not by us.
 */
static int bring_word_try(struct gch_bring *b, unsigned long addr)
{
	struct vm_area_struct *vma = find_vma(b->mm, addr);
	struct page *page;
	long got;

	if (!vma || vma->vm_start > addr)
		return -EFAULT;
	if (!vma_usable(vma) || !(vma->vm_flags & VM_WRITE) || write_may_block(vma))
		return -EACCES;
	got = gch_gup_nowait(b->mm, addr, FOLL_WRITE, &page);
	if (got == 1)
		put_page(page);
	return got == 1 ? 0 : got ? -EACCES : -EBUSY;
}

/**
 * gch_roots_bring_word() - bring in the page of a word that is to be written
 * @until: no longer
 *
 * From the collector, after gch_mm_enter(). Return: 0; -EFAULT: nothing is mapped there; -EACCES:
 * it is not to be written, or to find that out could take any time: its page is shared with a
 * file whose file system wants to know of it first; -EAGAIN: it does not come in time.
 */
int gch_roots_bring_word(struct gch_roots *r, struct gch_world *w, unsigned long addr,
			 ktime_t until)
{
	struct gch_bring b = {
		.roots = r, .world = w, .mm = gch_world_mm(w), .deadline = until,
		.us = LOCK_SLEEP_US,
	};
	struct page *page;
	int err;

	if (get_user_pages_fast_only(addr & PAGE_MASK, 1, FOLL_WRITE, &page) == 1) {
		put_page(page);
		return 0;
	}
	do {
		err = bring_lock(&b);
		if (err)
			return err;
		err = bring_word_try(&b, addr);
		mmap_read_unlock(b.mm);
	} while (err == -EBUSY && bring_wait(&b));
	return err == -EBUSY ? -EAGAIN : err;
}

/** gch_roots_module_init() - learn the layout of register images; returns 0 */
int gch_roots_module_init(void)
{
	gch_arch_init();
	return 0;
}

/**
 * gch_roots_init() - an empty root set
 * @r: roots
 * @precise_only: registers, stacks and TLS are no roots
 *
 * Return: 0 or -ENOMEM.
 */
int gch_roots_init(struct gch_roots *r, bool precise_only)
{
	memset(r, 0, sizeof(*r));
	r->page = (void *)__get_free_page(ENV_GFP);
	if (!r->page)
		return -ENOMEM;
	r->image = kvzalloc(gch_arch_image_max, ENV_GFP);
	if (!r->image) {
		free_page((unsigned long)r->page);
		return -ENOMEM;
	}
	xa_init_flags(&r->table, XA_FLAGS_ALLOC1);
	r->precise_only = precise_only;
	return 0;
}

/**
 * gch_roots_copy() - the same registered ranges, by the same ids, and TLS
 * @to: as gch_roots_init() leaves it
 *
 * Return: 0 or -ENOMEM.
 */
int gch_roots_copy(struct gch_roots *to, struct gch_roots *from)
{
	struct gch_range e, *copy;
	struct gch_tls *tls;
	unsigned long id;
	int err = 0;

	to->precise_only = from->precise_only;
	for (id = 1; !err && range_next(from, &id, &e); id++) {
		copy = kmemdup(&e, sizeof(e), ENV_GFP);
		err = copy ? xa_insert(&to->table, id, copy, ENV_GFP) : -ENOMEM;
		if (err)
			kfree(copy);
	}
	tls = tls_get(from);
	rcu_assign_pointer(to->tls, tls);
	return err;
}

/** gch_roots_set_heap() - where the heap is mapped; before any scan */
void gch_roots_set_heap(struct gch_roots *r, unsigned long lo, unsigned long hi)
{
	r->heap_lo = lo;
	r->heap_hi = hi;
}

/** gch_roots_destroy() - nobody uses it any more */
void gch_roots_destroy(struct gch_roots *r)
{
	struct gch_range *e;
	unsigned long id;

	xa_for_each(&r->table, id, e)
		kfree(e);
	xa_destroy(&r->table);
	tls_put(rcu_dereference_protected(r->tls, true));
	gch_snapshot_destroy(&r->snapshot);
	kvfree(r->image);
	free_page((unsigned long)r->page);
}

static bool in_heap(struct gch_roots *r, u64 lo, u64 hi)
{
	return lo < r->heap_hi && hi > r->heap_lo;
}

static int range_check(struct gch_roots *r, const struct gcheap_root *u)
{
	const u32 known = GCHEAP_ROOT_PRECISE | GCHEAP_ROOT_TOP |
			  GCHEAP_ROOT_FIBER;
	const u32 both = GCHEAP_ROOT_TOP | GCHEAP_ROOT_FIBER;
	u64 end;

	if (u->flags & ~known || (u->flags & both) == both)
		return -EINVAL;
	if (u->addr % sizeof(u64) || u->len % sizeof(u64) || !u->len ||
	    check_add_overflow(u->addr, u->len, &end) || end > TASK_SIZE_MAX ||
	    in_heap(r, u->addr, end))
		return -EINVAL;
	if (!(u->flags & both))
		return u->top ? -EINVAL : 0;
	if (!u->top || u->top % sizeof(u64) || u->top >= TASK_SIZE_MAX ||
	    in_heap(r, u->top, u->top + sizeof(u64)))
		return -EINVAL;
	return 0;
}

/**
 * gch_roots_add() - register a range
 * @r: roots
 * @u: from the program; @u->size, @u->id and @u->pad are not looked at
 * @id: out
 *
 * Any process context.
 *
 * Return: 0; -EINVAL: flags, alignment, overflow, or it meets the heap;
 * -ENOSPC: GCH_ROOTS_MAX of them; -ENOMEM.
 */
int gch_roots_add(struct gch_roots *r, const struct gcheap_root *u, u32 *id)
{
	struct gch_range *e;
	int err;

	err = range_check(r, u);
	if (err)
		return err;
	e = kmalloc(sizeof(*e), ENV_GFP);
	if (!e)
		return -ENOMEM;
	e->lo = u->addr;
	e->hi = u->addr + u->len;
	e->top = u->top;
	e->flags = u->flags;
	err = xa_alloc(&r->table, id, e, XA_LIMIT(1, GCH_ROOTS_MAX),
		       ENV_GFP);
	if (err) {
		kfree(e);
		return err == -EBUSY ? -ENOSPC : err;
	}
	return 0;
}

/**
 * gch_roots_del() - forget a range
 *
 * Return: 0, or -ENOENT.
 */
int gch_roots_del(struct gch_roots *r, u32 id)
{
	struct gch_range *e = xa_erase(&r->table, id);

	if (!e)
		return -ENOENT;
	kfree_rcu(e, rcu);
	return 0;
}

static bool tls_valid(const struct gcheap_tls *u)
{
	if (u->flags & ~GCHEAP_TLS_COUNTED || u->below > TLS_MAX || u->above > TLS_MAX ||
	    u->nmodules > TLS_MODULES)
		return false;
	if (!u->nmodules)
		return true;
	return u->dtv_stride && u->dtv_stride % sizeof(u64) == 0 &&
		u->dtv_offset % sizeof(u64) == 0 && u->dtv_offset < TLS_MAX;
}

/**
 * gch_roots_set_tls() - where threads have their TLS, from now on
 * @r: roots
 * @u: from the program; @u->size and @u->pad are not looked at
 * @modules: @u->nmodules of them, copied in
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int gch_roots_set_tls(struct gch_roots *r, const struct gcheap_tls *u,
		      const struct gcheap_tls_module *modules)
{
	struct gch_tls *tls;

	if (!tls_valid(u))
		return -EINVAL;
	tls = kvmalloc(struct_size(tls, module, u->nmodules),
		       ENV_GFP);
	if (!tls)
		return -ENOMEM;
	refcount_set(&tls->ref, 1);
	tls->below = u->below;
	tls->above = u->above;
	tls->dtv_offset = u->dtv_offset;
	tls->dtv_stride = u->dtv_stride;
	tls->counted = u->flags & GCHEAP_TLS_COUNTED;
	tls->n = u->nmodules;
	memcpy(tls->module, modules, flex_array_size(tls, module, tls->n));
	tls_put(unrcu_pointer(xchg(&r->tls, RCU_INITIALIZER(tls))));
	return 0;
}
