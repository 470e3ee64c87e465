/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernel versions. Included before every source of the
 * module, by force, and the only place that asks for the version. Macros only,
 * so that it includes nothing that a source did not ask for.
 *
 * Built and tested on Debian's 6.1 and 6.12.
 */
#ifndef _GCH_COMPAT_H
#define _GCH_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error gcheap needs Linux 6.1 or newer
#endif

/* vm_flags of a VMA became read-only. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define gch_vm_flags_set(vma, f)	((void)((vma)->vm_flags |= (f)))
#define gch_vm_flags_clear(vma, f)	((void)((vma)->vm_flags &= ~(f)))
#else
#define gch_vm_flags_set(vma, f)	vm_flags_set(vma, f)
#define gch_vm_flags_clear(vma, f)	vm_flags_clear(vma, f)
#endif

/* An entry made writable outside of a fault. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define gch_pte_mkwrite(pte)	pte_mkwrite(pte)
#else
#define gch_pte_mkwrite(pte)	pte_mkwrite_novma(pte)
#endif

/*
 * One page of another address space, mmap_lock held, without waiting: 1 with
 * *page referenced, 0: not yet, or -errno. @flags: FOLL_WRITE or 0. From 6.6 on
 * pages unmapped for NUMA balancing count as present unless one asks otherwise.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define gch_gup_nowait(mm, addr, flags, page) \
	get_user_pages_remote(mm, addr, 1, FOLL_NOWAIT | (flags), page, NULL, NULL)
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define gch_gup_nowait(mm, addr, flags, page) \
	get_user_pages_remote(mm, addr, 1, FOLL_NOWAIT | (flags), page, NULL)
#else
#define gch_gup_nowait(mm, addr, flags, page) \
	get_user_pages_remote(mm, addr, 1, FOLL_NOWAIT | (flags) | \
			      FOLL_HONOR_NUMA_FAULT, page, NULL)
#endif

/* The zero page as an entry of its own kind, without a reference. */
#define gch_insert_zeroes(vma, addr) \
	vmf_insert_mixed(vma, addr, pfn_to_pfn_t(my_zero_pfn(0)))

/* Threads that share an address space and never run in user mode. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define GCH_PF_NO_USER	(PF_KTHREAD | PF_IO_WORKER)
#else
#define GCH_PF_NO_USER	(PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER)
#endif

/* The FPU state moved out of thread_struct. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
#define gch_task_fpu(t)		(&(t)->thread.fpu)
#else
#define gch_task_fpu(t)		x86_task_fpu(t)
#endif

/* Uniprocessor kernels have no on_cpu: who is not current is off. */
#ifdef CONFIG_SMP
/* Pairs with the release store in finish_task(): what it saved is visible. */
#define gch_task_on_cpu(t)	smp_load_acquire(&(t)->on_cpu)
#else
#define gch_task_on_cpu(t)	((t) == current)
#endif

/* nonseekable_open() does it alone from 6.12 on. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define no_llseek	NULL
#endif

/* Shrinkers are allocated by whom they belong to no more. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
#define gch_shrinker_alloc(name)	kzalloc(sizeof(struct shrinker), GFP_KERNEL)
#define gch_shrinker_register(s, name)	register_shrinker(s, name)
#define gch_shrinker_free(s)					\
	do {							\
		struct shrinker *gch_s = (s);			\
								\
		unregister_shrinker(gch_s);			\
		kfree(gch_s);					\
	} while (0)
#else
#define gch_shrinker_alloc(name)	shrinker_alloc(0, name)
#define gch_shrinker_register(s, name)	(shrinker_register(s), 0)
#define gch_shrinker_free(s)		shrinker_free(s)
#endif

#endif
