/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the collector core needs of its surroundings, kernel side. The
 * user-space twin, selftests/host/env/gcheap_env.h, has the same name and
 * guard. The core includes this header and its own, nothing else.
 */
#ifndef _GCHEAP_ENV_H
#define _GCHEAP_ENV_H

#include <linux/bitops.h>
#include <linux/bug.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/hash.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/barrier.h>
#include <asm/page.h>

#include "../knobs.h"
#include "../stress.h"

/* For words shared with the program: pairs with its own acquire and release. */
#define env_load_acquire(p)	smp_load_acquire(p)
/* Likewise. */
#define env_store_release(p, v)	smp_store_release(p, v)

/* The heap lock: a sleeping lock around the core's structure. */
#define env_lock_t		struct mutex
#define env_lock_init(l)	mutex_init(l)
#define env_lock(l)		mutex_lock(l)
#define env_trylock(l)		mutex_trylock(l)
#define env_unlock(l)		mutex_unlock(l)
#define env_assert_held(l)	lockdep_assert_held(l)

/* The mark queue's lock; nothing is taken within. */
#define env_spin_t		spinlock_t
#define env_spin_init(l)	spin_lock_init(l)
#define env_spin_lock(l)	spin_lock(l)
#define env_spin_unlock(l)	spin_unlock(l)

/* Full barriers, as all of the kernel's that return something. */
#define env_cmpxchg(p, old, new)	cmpxchg(p, old, new)
#define env_test_and_set(map, bit)	test_and_set_bit(bit, (unsigned long *)(map))
/* No barrier. */
#define env_or64(p, bits)		atomic64_or(bits, (atomic64_t *)(p))
/* Who uses it says for what. */
#define env_mb()		smp_mb()

/* Where another worker may get ahead. */
#define env_stress()		gch_stress_brief()

/* Failure is for the caller to deal with, never for the OOM killer. */
#define ENV_GFP	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* Tables: zeroed, charged to the caller's memory cgroup; may fail, may sleep. */
static inline void *env_zalloc(size_t bytes)
{
	/* Above INT_MAX the kernel would warn. */
	return bytes > INT_MAX ? NULL : kvzalloc(bytes, ENV_GFP);
}

/* Without sleeping for it: the heap lock may be held. */
static inline void *env_zalloc_nowait(size_t bytes)
{
	return kvzalloc(bytes, GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN);
}

static inline void env_free(void *p)
{
	kvfree(p);
}

/*
 * A page of metadata, zeroed. Ordinary pages, since the mapping layer gives
 * some of them to the program, read-only.
 */
static inline void *env_page_alloc(void)
{
	return (void *)__get_free_page(ENV_GFP | __GFP_ZERO);
}

static inline void *env_page_alloc_nowait(void)
{
	return (void *)__get_free_page(GFP_NOWAIT | __GFP_ACCOUNT |
				       __GFP_ZERO | __GFP_NOWARN);
}

static inline void env_page_free(void *p)
{
	free_page((unsigned long)p);
}

/* Address of a heap page by its frame number; 0 is no frame. */
static inline void *env_frame_addr(u32 frame)
{
	return __va((phys_addr_t)frame << PAGE_SHIFT);
}

static inline u32 env_ctz64(u64 x)
{
	return __ffs64(x);
}

/* Number of the highest bit set, from 1; 0: none. */
static inline u32 env_fls64(u64 x)
{
	return fls64(x);
}

static __always_inline u32 env_weight64(u64 x)
{
	return hweight64(x);
}

static inline u32 env_hash64(u64 x, u32 bits)
{
	return hash_64(x, bits);
}

static inline u64 env_div64(u64 a, u64 b)
{
	return div64_u64(a, b);
}

/* What is there is wanted soon. Any address will do. */
#define env_prefetch(p)	__builtin_prefetch(p)

/* Let others run during long work. The heap lock may be held. */
static inline void env_yield(void)
{
	cond_resched();
}

#endif
