/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What of thread stopping and root access depends on the processor: x86-64.
 *
 * A thread's user registers are in three places: the general ones in pt_regs at
 * the top of its kernel stack, pushed on every way into the kernel; FS and GS
 * base in thread_struct, the vector state in its XSAVE image, both written when
 * the thread leaves its CPU. The image then stays valid until the thread is on
 * its way to user mode again, or builds or undoes a signal frame.
 */
#ifndef _GCH_MM_ARCH_X86_H
#define _GCH_MM_ARCH_X86_H

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fsgsbase.h>
#include <asm/pkru.h>
#include <asm/processor.h>
#include <asm/ucontext.h>
#include <asm/unistd.h>

#ifndef CONFIG_X86_64
#error only x86-64 so far
#endif

#define GCH_ARCH_RED_ZONE	128	/* live bytes below the stack pointer */
#define GCH_ARCH_NO_RESULT	-38ul	/* of a system call, yet */

/**
 * struct gch_arch_regs - user registers of a thread
 * @word: general registers, and bases of FS and GS
 * @sp: stack pointer
 * @tp: thread pointer
 * @syscall: number of the system call it is in, or -1
 * @arg: the call's arguments
 */
struct gch_arch_regs {
	u64 word[18];
	unsigned long sp;
	unsigned long tp;
	long syscall;
	unsigned long arg[6];
};

/* What is in a component of the XSAVE image, by number. */
struct gch_arch_xstate {
	u32 offset;	/* standard format */
	u32 size;
	bool align;	/* to 64 bytes, in the compacted format */
	bool user;
};

#define GCH_ARCH_XCOMPS		63

extern struct gch_arch_xstate gch_arch_xstate[GCH_ARCH_XCOMPS];
extern u32 gch_arch_image_max;
extern u32 gch_arch_sigframe_max;

/* Once, before anything below. */
static inline void gch_arch_init(void)
{
	const u32 slack = 1024;	/* struct rt_sigframe, alignment, magic */
	u32 eax, ebx, ecx, edx, i;

	gch_arch_image_max = sizeof(struct fxregs_state);
	gch_arch_sigframe_max = gch_arch_image_max + slack;
	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return;
	cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx);
	gch_arch_sigframe_max = ebx + slack;
	/* Compacted, supervisor state included: room for both. */
	gch_arch_image_max = ecx + PAGE_SIZE;
	for (i = 2; i < GCH_ARCH_XCOMPS; i++) {
		struct gch_arch_xstate *x = &gch_arch_xstate[i];

		cpuid_count(0xd, i, &eax, &ebx, &ecx, &edx);
		x->size = eax;
		x->offset = ebx;
		x->user = eax && !(ecx & 1);
		x->align = ecx & 2;
	}
}

/*
 * Let current, a kernel thread, read user memory whatever its protection key. Return: what
 * gch_arch_close_keys() needs to undo it, for those who use the thread next.
 */
static inline u32 gch_arch_open_keys(void)
{
	u32 keys = read_pkru();

	write_pkru(0);
	return keys;
}

static inline void gch_arch_close_keys(u32 keys)
{
	write_pkru(keys);
}

/*
 * Number of the plain system call that the thread is in the midst of, or -1.
 *
 * Entry leaves -ENOSYS in the result register, where it stays until the call has
 * returned, and copies of instruction pointer and flags in RCX and R11. On the
 * way back, signals are handled only after task work has run: a thread whose
 * work was queued when it was seen in a call does not touch its registers, but
 * for the result, before it has parked. The call that undoes a signal frame works
 * on the registers themselves.
 */
static inline long gch_arch_syscall(const struct pt_regs *p)
{
	bool entry = p->cx == p->ip && p->r11 == p->flags;

#ifdef X86_FEATURE_FRED
	entry |= boot_cpu_has(X86_FEATURE_FRED);	/* preserves both */
#endif
	if (!entry || (long)p->orig_ax < 0 || p->ax != GCH_ARCH_NO_RESULT ||
	    p->orig_ax == __NR_rt_sigreturn)
		return -1;
	return p->orig_ax;
}

/*
 * Copy the general registers. The thread is off its CPU, or is in the kernel
 * and @tp is its thread pointer (else 0); its kernel stack cannot go away.
 */
static inline void gch_arch_read_regs(struct task_struct *task,
				      unsigned long tp,
				      struct gch_arch_regs *r)
{
	/* The thread may be in the kernel, and about to change them. */
	const struct pt_regs p = data_race(*task_pt_regs(task));
	const u64 word[] = {
		p.r15, p.r14, p.r13, p.r12, p.bp, p.bx, p.r11, p.r10,
		p.r9, p.r8, p.ax, p.cx, p.dx, p.si, p.di, p.sp,
		tp ?: task->thread.fsbase, task->thread.gsbase,
	};
	const unsigned long arg[] = {
		p.di, p.si, p.dx, p.r10, p.r8, p.r9,
	};

	BUILD_BUG_ON(sizeof(word) != sizeof(r->word));
	memcpy(r->word, word, sizeof(word));
	memcpy(r->arg, arg, sizeof(arg));
	r->sp = p.sp;
	r->tp = tp ?: task->thread.fsbase;
	r->syscall = gch_arch_syscall(&p);
}

/* Copy the vector state to @image. Return: its size. Same terms. */
static inline size_t gch_arch_read_image(struct task_struct *task, void *image)
{
	const struct fpstate *fps = gch_task_fpu(task)->fpstate;
	size_t size = min(fps->size, gch_arch_image_max);

	/* It is not written while these terms hold, or to the same. */
	data_race(memcpy(image, &fps->regs, size));
	return size;
}

/*
 * Step through the parts of an image that hold register contents. Components
 * in their initial state are zero, and the image holds what was there before:
 * the processor clears their bit in the header, never that of one in use.
 * *@i is 0 at first. Return: false when there are no more.
 */
static inline bool gch_arch_image_next(const void *image, size_t size, u32 *i,
				       const u64 **words, size_t *n)
{
	const struct xregs_state *xs = image;
	u64 xbv = 3, comp = 0;
	u32 at, j, offset;

	if (boot_cpu_has(X86_FEATURE_XSAVE)) {
		xbv = xs->header.xfeatures;
		comp = xs->header.xcomp_bv;
	}
	for (;;) {
		at = (*i)++;
		if (at >= GCH_ARCH_XCOMPS)
			return false;
		if (!(xbv & BIT_ULL(at)))
			continue;
		if (at == 0) {
			*words = (const u64 *)xs->i387.st_space;
			*n = sizeof(xs->i387.st_space) / sizeof(u64);
			return true;
		}
		if (at == 1) {
			*words = (const u64 *)xs->i387.xmm_space;
			*n = sizeof(xs->i387.xmm_space) / sizeof(u64);
			return true;
		}
		if (!gch_arch_xstate[at].user)
			continue;
		offset = gch_arch_xstate[at].offset;
		if (comp & BIT_ULL(63)) {
			offset = sizeof(*xs);
			for (j = 2; j <= at; j++) {
				if (!(comp & BIT_ULL(j)))
					continue;
				if (gch_arch_xstate[j].align)
					offset = ALIGN(offset, 64);
				if (j < at)
					offset += gch_arch_xstate[j].size;
			}
		}
		if (offset + gch_arch_xstate[at].size > size)
			continue;
		*words = image + offset;
		*n = gch_arch_xstate[at].size / sizeof(u64);
		return true;
	}
}

/*
 * In an interrupt: if it came from a system call of current, have its vector
 * state written to its image and return true with its thread pointer.
 *
 * System vectors that hit kernel mode run on the interrupt stack, those that
 * hit user mode on the task's own, which was empty. Where the kernel is at work
 * with the vector registers, the answer is false too.
 */
static inline bool gch_arch_save_in_call(unsigned long *tp)
{
	unsigned long sp = current_stack_pointer;
	unsigned long stack = (unsigned long)task_stack_page(current);

	if (sp - stack < THREAD_SIZE || !irq_fpu_usable() ||
	    gch_arch_syscall(task_pt_regs(current)) < 0)
		return false;
	kernel_fpu_begin_mask(0);
	kernel_fpu_end();
	*tp = x86_fsbase_read_cpu();
	return true;
}

/*
 * In a signal frame, the settings of the signal stack come before the registers.
 * Words from the first of the former: its address, flags, size; and the stack
 * pointer of what was interrupted.
 */
#define GCH_ARCH_UC_STACK_SIZE	2
#define GCH_ARCH_UC_SP	\
	((offsetof(struct ucontext, uc_mcontext) + \
	  offsetof(struct sigcontext_64, sp) - \
	  offsetof(struct ucontext, uc_stack)) / sizeof(u64))

/* Is it about to give birth to a thread? @sp, @tp: of the child; or, if @args
 * is set on return, they are in a struct clone_args there.
 */
static inline bool gch_arch_cloning(const struct gch_arch_regs *r,
				    unsigned long *sp, unsigned long *tp,
				    unsigned long *args)
{
	*args = 0;
	switch (r->syscall) {
	case __NR_clone:
		*sp = r->arg[1];
		*tp = r->arg[4];
		return true;
	case __NR_clone3:
		*args = r->arg[0];
		return true;
	}
	return false;
}

#endif
