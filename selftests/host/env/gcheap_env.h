/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the collector core needs of its surroundings, user-space side: the twin
 * of kmod/env/gcheap_env.h, with the same name and guard. In three parts: what
 * does nothing here, what is made differently, and what is copied.
 */
#ifndef _GCHEAP_ENV_H
#define _GCHEAP_ENV_H

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/types.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

/* ---- Stubs ---- */

static inline void env_yield(void)
{
}

/* ---- Custom ---- */

#include "../../../kmod/knobs.h"

/* The heap lock knows its holder, for env_assert_held(). */
typedef struct env_lock {
	pthread_mutex_t mutex;
	pthread_t holder;
	bool held;
} env_lock_t;

#define env_bug(fmt, ...) do {						\
		fprintf(stdout, "# %s:%d: " fmt "\n", __FILE__, __LINE__, ##__VA_ARGS__); \
		fflush(stdout);						\
		abort();						\
	} while (0)

static inline void env_lock_init(env_lock_t *l)
{
	pthread_mutex_init(&l->mutex, NULL);
}

static inline void env_lock(env_lock_t *l)
{
	pthread_mutex_lock(&l->mutex);
	l->holder = pthread_self();
	__atomic_store_n(&l->held, true, __ATOMIC_RELAXED);
}

static inline void env_unlock(env_lock_t *l)
{
	__atomic_store_n(&l->held, false, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&l->mutex);
}

#define env_assert_held(l) do {						\
		if (!__atomic_load_n(&(l)->held, __ATOMIC_RELAXED) ||	\
		    !pthread_equal((l)->holder, pthread_self()))	\
			env_bug("lock not held");			\
	} while (0)

typedef pthread_mutex_t env_spin_t;

#define env_spin_init(l)	pthread_mutex_init(l, NULL)
#define env_spin_lock(l)	pthread_mutex_lock(l)
#define env_spin_unlock(l)	pthread_mutex_unlock(l)

/* As the kernel's: the old value, and a full barrier. */
#define env_cmpxchg(p, old, new) ({						\
	__typeof__(*(p)) was_ = (old);						\
	__atomic_compare_exchange_n(p, &was_, new, false, __ATOMIC_SEQ_CST,	\
				    __ATOMIC_SEQ_CST);				\
	was_;									\
})

#define env_or64(p, bits)	((void)__atomic_fetch_or(p, bits, __ATOMIC_RELAXED))

static inline bool env_test_and_set(u64 *map, u32 bit)
{
	u64 mask = 1ull << (bit % 64);

	return __atomic_fetch_or(&map[bit / 64], mask, __ATOMIC_SEQ_CST) & mask;
}

/* An exchange and no fence, which TSan does not know. */
#define env_mb() do {							\
		static u32 env_word;					\
		__atomic_fetch_add(&env_word, 1, __ATOMIC_SEQ_CST);	\
	} while (0)

extern bool env_stressed;	/* threads get ahead of each other where they can */

#define env_stress() do {						\
		if (env_stressed)					\
			sched_yield();					\
	} while (0)

#define env_prefetch(p)	__builtin_prefetch(p)

/* A warning of the kernel's is a failure here. */
#define WARN_ON_ONCE(cond) ({						\
		bool env_cond = !!(cond);				\
		if (env_cond)						\
			env_bug("WARN_ON_ONCE(%s)", #cond);		\
		env_cond;						\
	})

/* env.c: counted, and failing when told to. */
void *env_zalloc(size_t bytes);
void env_free(void *p);
void *env_page_alloc(void);
void env_page_free(void *p);

extern u64 env_allocs;		/* that are not freed */
extern bool env_pressed;	/* there is no memory without sleeping */
extern long env_fail_at;	/* the n-th allocation from now fails; 0: none */
extern char *env_arena;		/* heap pages, by frame number */

static inline void *env_zalloc_nowait(size_t bytes)
{
	return env_pressed ? NULL : env_zalloc(bytes);
}

static inline void *env_page_alloc_nowait(void)
{
	return env_pressed ? NULL : env_page_alloc();
}

static inline void *env_frame_addr(u32 frame)
{
	return env_arena + ((size_t)frame << 12);
}

/* Atomic rather than volatile, which is all the same to the machine, so that
 * TSan can tell these from plain accesses.
 */
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

#define env_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define env_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

static inline u32 env_ctz64(u64 x)
{
	return __builtin_ctzll(x);
}

static inline u32 env_fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

static __always_inline u32 env_weight64(u64 x)
{
	return __builtin_popcountll(x);
}

static inline u64 env_div64(u64 a, u64 b)
{
	return a / b;
}

/* ---- Duplicated from the kernel ---- */

/* Both of one type, as the kernel's want it. */
#define env_cmp(x, y, op) ({						\
		typeof(x) env_x = (x);					\
		typeof(y) env_y = (y);					\
		(void)(&env_x == &env_y);				\
		env_x op env_y ? env_x : env_y;				\
	})
#define min(x, y)		env_cmp(x, y, <)
#define max(x, y)		env_cmp(x, y, >)
#define min_t(t, x, y)		env_cmp((t)(x), (t)(y), <)
#define max_t(t, x, y)		env_cmp((t)(x), (t)(y), >)
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define noinline		__attribute__((noinline))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define U32_MAX			((u32)~0u)
#define U64_MAX			((u64)~0ull)

static inline u32 env_hash64(u64 x, u32 bits)
{
	return x * 0x61C8864680B583EBull >> (64 - bits);
}

#endif
