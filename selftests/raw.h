/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A heap used by the interface alone, the way uapi/gcheap.h says and without the
 * library: what a second implementation of an allocator would do. Any call that
 * should work and does not fails the test.
 */
#ifndef GCHEAP_RAW_H
#define GCHEAP_RAW_H

#include "tap.h"
#include "../uapi/gcheap.h"
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#define RAW_HEAP	(64ull << 20)

struct raw {
	int fd;
	char *base, *meta;
	const struct gcheap_status *status;
	struct gcheap_tcb *tcbs;
	struct gcheap_setup setup;
};

/* A thread's place, kept where it is no root: beside the control blocks' own. */
struct raw_batch {
	unsigned int got, at, cell;
	uint32_t span[GCHEAP_BATCH];
};
static struct raw_batch *raw_batches[64];	/* by thread, of every cache */
static _Thread_local unsigned int raw_thread = ~0u;

UNUSED static int raw_dev(void)
{
	int fd = open("/dev/gcheap", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		FAIL("/dev/gcheap: %s", strerror(errno));
	return fd;
}

UNUSED static struct gcheap_setup raw_setup_arg(unsigned int flags)
{
	return (struct gcheap_setup) {
		.size = sizeof(struct gcheap_setup), .flags = flags,
		.abi = GCHEAP_ABI, .layout = GCHEAP_LAYOUT,
		.heap_size = RAW_HEAP,
	};
}

/* An address range with the alignment the heap wants, then given back. */
UNUSED static void *raw_hole(size_t size)
{
	char *p = mmap(NULL, size + GCHEAP_CHUNK_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	munmap(p, size + GCHEAP_CHUNK_SIZE);
	return (void *)(((uintptr_t)p + GCHEAP_CHUNK_SIZE - 1) &
			~(uintptr_t)(GCHEAP_CHUNK_SIZE - 1));
}

UNUSED static void raw_map(struct raw *h)
{
	size_t size = h->setup.heap_size;

	h->base = mmap(raw_hole(size), size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED_NOREPLACE, h->fd, GCHEAP_OFF_HEAP);
	CHECK(h->base != MAP_FAILED);
	h->meta = mmap(NULL, h->setup.meta_size, PROT_READ, MAP_SHARED, h->fd,
		       GCHEAP_OFF_META);
	CHECK(h->meta != MAP_FAILED);
	h->status = mmap(NULL, GCHEAP_STATUS_SIZE, PROT_READ, MAP_SHARED, h->fd,
			 GCHEAP_OFF_STATUS);
	CHECK(h->status != MAP_FAILED);
	h->tcbs = mmap(NULL, h->setup.tcb_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       h->fd, GCHEAP_OFF_TCB);
	CHECK(h->tcbs != MAP_FAILED);
}

UNUSED static struct raw raw_open_with(struct gcheap_setup setup)
{
	struct raw h = { .fd = raw_dev(), .setup = setup };

	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_SETUP, &h.setup), 0);
	raw_map(&h);
	return h;
}

UNUSED static int raw_try_attach_at(struct raw *h, unsigned int *thread, uintptr_t lo,
				    uintptr_t hi)
{
	struct gcheap_thread t = { .size = sizeof(t), .stack_lo = lo, .stack_hi = hi };

	if (ioctl(h->fd, GCHEAP_IOC_THREAD_ATTACH, &t))
		return -1;
	*thread = t.thread;
	return 0;
}

UNUSED static int raw_try_attach(struct raw *h, unsigned int *thread)
{
	return raw_try_attach_at(h, thread, 0, 0);
}

UNUSED static void raw_attach_at(struct raw *h, uintptr_t lo, uintptr_t hi)
{
	CHECK_EQ(raw_try_attach_at(h, &raw_thread, lo, hi), 0);
	CHECK(raw_thread < 64);
	free(raw_batches[raw_thread]);
	raw_batches[raw_thread] = calloc(GCHEAP_MAX_CACHES, sizeof(struct raw_batch));
}

UNUSED static void raw_attach(struct raw *h)
{
	raw_attach_at(h, 0, 0);
}

/* With the bounds of the thread's own stack. */
UNUSED static void raw_attach_stack(struct raw *h)
{
	pthread_attr_t attr;
	void *lo;
	size_t size;

	CHECK_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
	CHECK_EQ(pthread_attr_getstack(&attr, &lo, &size), 0);
	pthread_attr_destroy(&attr);
	raw_attach_at(h, (uintptr_t)lo, (uintptr_t)lo + size);
}

UNUSED static void raw_detach(struct raw *h)
{
	struct gcheap_thread t = { .size = sizeof(t), .thread = raw_thread };

	CHECK_EQ(ioctl(h->fd, GCHEAP_IOC_THREAD_DETACH, &t), 0);
	raw_thread = ~0u;
}

/* A heap with the calling thread attached. */
UNUSED static struct raw raw_open(unsigned int flags)
{
	struct raw h = raw_open_with(raw_setup_arg(flags));

	raw_attach(&h);
	return h;
}

UNUSED static struct gcheap_cache_create raw_cache_arg(unsigned int layout,
						       unsigned int cell_size)
{
	return (struct gcheap_cache_create) {
		.size = sizeof(struct gcheap_cache_create), .layout = layout,
		.cell_size = cell_size,
		.flags = cell_size ? 0 : GCHEAP_CACHE_LARGE,
		.length_word = layout == GCHEAP_TYPED ? GCHEAP_NO_LENGTH : 0,
	};
}

/* cell_size 0: a cache of large objects */
UNUSED static unsigned int raw_cache_as(struct raw *h, unsigned int flags,
					unsigned int layout, unsigned int cell_size)
{
	struct gcheap_cache_create c = raw_cache_arg(layout, cell_size);

	c.flags |= flags;
	CHECK_EQ(ioctl(h->fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	CHECK(c.cache < GCHEAP_MAX_CACHES);
	return c.cache;
}

UNUSED static unsigned int raw_cache(struct raw *h, unsigned int layout,
				     unsigned int cell_size)
{
	return raw_cache_as(h, 0, layout, cell_size);
}

/* Objects of up to 64 words whose pointers, and weak pointers, are in a map. */
UNUSED static unsigned int raw_typed_as(struct raw *h, unsigned int flags, unsigned int words,
					uint64_t map, uint64_t weak)
{
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_TYPED, (words * 8 + 15) & ~15u);

	c.flags |= flags;
	c.fixed_words = words;
	c.fixed_map = (uintptr_t)&map;
	c.fixed_weak = weak ? (uintptr_t)&weak : 0;
	CHECK_EQ(ioctl(h->fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	return c.cache;
}

UNUSED static unsigned int raw_typed(struct raw *h, unsigned int words,
				     uint64_t map, uint64_t weak)
{
	return raw_typed_as(h, 0, words, map, weak);
}

/* Objects of a fixed part that has a map, and ephemerons after it: key, value. */
UNUSED static unsigned int raw_pairs(struct raw *h, unsigned int flags, unsigned int words,
				     unsigned int fixed, uint64_t map)
{
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_TYPED, (words * 8 + 15) & ~15u);
	uint64_t key = 1, value = 2;

	c.flags |= GCHEAP_CACHE_EPHEMERON | flags;
	c.fixed_words = fixed;
	c.fixed_map = map ? (uintptr_t)&map : 0;
	c.elem_words = 2;
	c.elem_map = (uintptr_t)&value;
	c.elem_weak = (uintptr_t)&key;
	CHECK_EQ(ioctl(h->fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	return c.cache;
}

static inline const struct gcheap_span *raw_slot(struct raw *h, uint32_t slot)
{
	return (void *)(h->meta + (slot >> 8) * (size_t)GCHEAP_META_STRIDE +
			(slot & 255) * sizeof(struct gcheap_span));
}

static inline bool raw_live_bit(struct raw *h, uint32_t first, uint32_t cell)
{
	const uint64_t *word = (void *)(h->meta +
		(first >> 8) * (size_t)GCHEAP_META_STRIDE + GCHEAP_META_LIVE +
		(first & 255) * GCHEAP_LIVE_BYTES);

	return __atomic_load_n(&word[cell >> 6], __ATOMIC_ACQUIRE) >> (cell & 63) & 1;
}

/* The address's cell by the manual's arithmetic alone; -1 if there is none. */
UNUSED static long raw_cell(struct raw *h, const void *addr, const struct gcheap_span **span)
{
	uint64_t off = (const char *)addr - h->base;
	uint32_t head = raw_slot(h, off >> GCHEAP_SLOT_SHIFT)->head;
	const struct gcheap_span *s;
	uint64_t cell;

	if (!head)
		return -1;
	s = raw_slot(h, head - 1);
	cell = ((off - (uint64_t)(head - 1) * GCHEAP_SLOT_SIZE) * s->recip) >> 32;
	if (span)
		*span = s;
	return cell < s->ncells ? (long)cell : -1;
}

UNUSED static int raw_try_spans(struct raw *h, unsigned int cache, unsigned int want)
{
	struct raw_batch *b = &raw_batches[raw_thread][cache];
	struct gcheap_spans s = {
		.size = sizeof(s), .thread = raw_thread, .cache = cache, .want = want,
	};

	b->got = b->at = b->cell = 0;
	if (ioctl(h->fd, GCHEAP_IOC_SPANS, &s))
		return -1;
	b->got = s.got;
	memcpy(b->span, s.span, sizeof(b->span));
	return s.got;
}

/* A zeroed cell; NULL with errno when the kernel has no span for it. */
UNUSED static void *raw_try_take_some(struct raw *h, unsigned int cache, unsigned int want)
{
	struct raw_batch *b = &raw_batches[raw_thread][cache];
	struct gcheap_cursor *cursor = &h->tcbs[raw_thread].cursor[cache];
	const struct gcheap_span *s;
	uint32_t first, cell;
	char *p;

	for (;;) {
		for (; b->at < b->got; b->at++, b->cell = 0) {
			first = b->span[b->at];
			s = raw_slot(h, first);
			while (b->cell < s->ncells && raw_live_bit(h, first, b->cell))
				b->cell++;
			if (b->cell == s->ncells)
				continue;
			cell = b->cell++;
			p = h->base + (size_t)first * GCHEAP_SLOT_SIZE +
			    (size_t)cell * s->cell_granules * GCHEAP_GRANULE;
			/* R14: the address is formed and held before pos says so. */
			__asm__ volatile("" : "+r"(p) : : "memory");
			__atomic_store_n(&cursor->pos, (uint64_t)b->at << 32 | b->cell,
					 __ATOMIC_RELEASE);
			if (!(s->flags & GCHEAP_SPANF_ZERO))
				memset(p, 0, s->cell_granules * GCHEAP_GRANULE);
			return p;
		}
		if (raw_try_spans(h, cache, want) < 0)
			return NULL;
		CHECK(b->got >= 1 && b->got <= want);
	}
}

UNUSED static void *raw_try_take(struct raw *h, unsigned int cache)
{
	return raw_try_take_some(h, cache, 2);
}

UNUSED static void *raw_take(struct raw *h, unsigned int cache)
{
	void *p = raw_try_take(h, cache);

	CHECK(p);
	return p;
}

UNUSED static void *raw_try_large(struct raw *h, unsigned int cache, uint64_t bytes)
{
	struct gcheap_large l = {
		.size = sizeof(l), .thread = raw_thread, .cache = cache, .bytes = bytes,
	};

	return ioctl(h->fd, GCHEAP_IOC_LARGE, &l) ? NULL : (void *)(uintptr_t)l.addr;
}

UNUSED static int raw_try_resize(struct raw *h, void *p, uint64_t bytes,
				 struct gcheap_resize *a)
{
	*a = (struct gcheap_resize){
		.size = sizeof(*a), .thread = raw_thread, .addr = (uintptr_t)p, .bytes = bytes,
	};
	return ioctl(h->fd, GCHEAP_IOC_RESIZE, a);
}

/* Give everything back, so that nothing counts as just allocated. */
UNUSED static void raw_flush(struct raw *h)
{
	struct gcheap_flush f = {
		.size = sizeof(f), .flags = GCHEAP_FLUSH_SPANS, .thread = raw_thread,
	};

	CHECK_EQ(ioctl(h->fd, GCHEAP_IOC_FLUSH, &f), 0);
	memset(raw_batches[raw_thread], 0, GCHEAP_MAX_CACHES * sizeof(struct raw_batch));
}

UNUSED static void raw_free(struct raw *h, void *p)
{
	struct gcheap_tcb *t = &h->tcbs[raw_thread];
	struct gcheap_flush f = { .size = sizeof(f), .thread = raw_thread };

	if (t->free_head - __atomic_load_n(&t->free_tail, __ATOMIC_ACQUIRE) == GCHEAP_RING)
		CHECK_EQ(ioctl(h->fd, GCHEAP_IOC_FLUSH, &f), 0);
	t->free_ring[t->free_head & (GCHEAP_RING - 1)] = (uintptr_t)p;
	__atomic_store_n(&t->free_head, t->free_head + 1, __ATOMIC_RELEASE);
}

/* The caller keeps a processor: nothing that is not as urgent runs there. */
UNUSED static void raw_go_first(unsigned int cpu)
{
	struct sched_param p = { .sched_priority = 1 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!sched_setaffinity(0, sizeof(set), &set));
	CHECK(!sched_setscheduler(0, SCHED_FIFO, &p));
}

/* A collection that nobody waits for. */
UNUSED static void raw_collect_start(struct raw *h, unsigned int flags)
{
	struct gcheap_collect c = { .size = sizeof(c), .flags = flags };

	CHECK_EQ(ioctl(h->fd, GCHEAP_IOC_COLLECT, &c), 0);
}

UNUSED static int raw_try_collect_as(struct raw *h, unsigned int flags)
{
	struct gcheap_collect c = { .size = sizeof(c), .flags = GCHEAP_COLLECT_WAIT | flags };

	return ioctl(h->fd, GCHEAP_IOC_COLLECT, &c);
}

UNUSED static int raw_try_collect(struct raw *h)
{
	return raw_try_collect_as(h, 0);
}

/* An attempt may be given up on a busy machine, and then is made again. */
UNUSED static void raw_collect_as(struct raw *h, unsigned int flags)
{
	int tries = 20;

	while (raw_try_collect_as(h, flags)) {
		CHECK_EQ(errno, EAGAIN);
		CHECK(--tries);
		usleep(1000);
	}
}

UNUSED static void raw_collect(struct raw *h)
{
	raw_collect_as(h, 0);
}

UNUSED static struct gcheap_status raw_status(struct raw *h)
{
	struct gcheap_status s;
	uint32_t seq;

	do {
		while ((seq = __atomic_load_n(&h->status->seq, __ATOMIC_ACQUIRE)) & 1)
			;
		s = *(const volatile struct gcheap_status *)h->status;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&h->status->seq, __ATOMIC_RELAXED) != seq);
	return s;
}

/*
 * Compact until so many objects have moved since the heap was made: a compaction that cannot
 * stop the threads in time succeeds, and has moved nothing.
 */
UNUSED static void raw_compact(struct raw *h, uint64_t moved)
{
	int tries = 20;

	do {
		raw_collect_as(h, GCHEAP_COLLECT_COMPACT);
	} while (raw_status(h).moved_objects < moved && --tries);
	CHECK(tries);
}

UNUSED static int raw_try_info(struct raw *h, uintptr_t addr, struct gcheap_info *i)
{
	*i = (struct gcheap_info) { .size = sizeof(*i), .addr = addr };
	return ioctl(h->fd, GCHEAP_IOC_INFO, i);
}

UNUSED static bool raw_is_live(struct raw *h, uintptr_t addr)
{
	struct gcheap_info i;

	return !raw_try_info(h, addr, &i) && i.state & GCHEAP_INFO_LIVE;
}

UNUSED static void raw_verify(struct raw *h)
{
	struct gcheap_verify v = { .size = sizeof(v) };

	if (ioctl(h->fd, GCHEAP_IOC_VERIFY, &v))
		FAIL("verify: %s, invariant %u at slot %u, %#llx", strerror(errno),
		     v.code, v.where, (unsigned long long)v.detail);
}

UNUSED static uint32_t raw_try_root(struct raw *h, unsigned int flags, void *addr,
				    size_t len, void *top)
{
	struct gcheap_root r = {
		.size = sizeof(r), .flags = flags, .addr = (uintptr_t)addr, .len = len,
		.top = (uintptr_t)top,
	};

	return ioctl(h->fd, GCHEAP_IOC_ROOT_ADD, &r) ? ~0u : r.id;
}

UNUSED static uint32_t raw_root(struct raw *h, unsigned int flags, void *addr,
				size_t len, void *top)
{
	uint32_t id = raw_try_root(h, flags, addr, len, top);

	CHECK(id != ~0u);
	return id;
}

UNUSED static int raw_root_del(struct raw *h, uint32_t id)
{
	struct gcheap_root r = { .size = sizeof(r), .id = id };

	return ioctl(h->fd, GCHEAP_IOC_ROOT_DEL, &r);
}

/* A parameter of the module's; what it was to *@was, if not NULL. Whether it can be set. */
UNUSED static bool raw_module(const char *name, int value, int *was)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/gcheap/parameters/%s", name);
	f = fopen(path, "r+");
	if (!f)
		return false;
	if (was)
		CHECK_EQ(fscanf(f, "%d", was), 1);
	rewind(f);
	fprintf(f, "%d", value);
	CHECK_EQ(fclose(f), 0);
	return true;
}

/* The module's stress mode, delays in us, 0: off. Return: whether it can be set. */
UNUSED static bool raw_stress(unsigned int us)
{
	return raw_module("stress", us, NULL);
}

UNUSED static void raw_param(struct raw *h, unsigned int param, uint64_t value)
{
	struct gcheap_param p = {
		.size = sizeof(p), .flags = GCHEAP_PARAM_SET, .param = param, .value = value,
	};

	CHECK_EQ(ioctl(h->fd, GCHEAP_IOC_PARAM, &p), 0);
}

UNUSED static void raw_hold_by(struct raw *h, int delta)
{
	struct gcheap_hold o = { .size = sizeof(o), .delta = delta };

	CHECK_EQ(ioctl(h->fd, GCHEAP_IOC_HOLD, &o), 0);
}

UNUSED static void raw_hold(struct raw *h)
{
	raw_hold_by(h, 1);
}

UNUSED static void raw_unhold(struct raw *h)
{
	raw_hold_by(h, -1);
}

/*
 * An address the collector cannot recognise. Where objects have to be kept by one
 * root only, no other word may look like them: make them in a function that is
 * not inlined, hide what it returns, and wipe what it left.
 */
#define HIDE(p)		(~(uintptr_t)(p))
#define UNHIDE(h)	((void *)~(uintptr_t)(h))

UNUSED static NOINLINE void wipe_stack(void)
{
	volatile char space[32768];
	size_t i;

	for (i = 0; i < sizeof(space); i++)
		space[i] = 0;
}

UNUSED static NOINLINE void wipe(void)
{
	wipe_stack();
	__asm__ volatile("pxor %%xmm0, %%xmm0\n pxor %%xmm1, %%xmm1\n"
			 "pxor %%xmm2, %%xmm2\n pxor %%xmm3, %%xmm3\n"
			 "pxor %%xmm4, %%xmm4\n pxor %%xmm5, %%xmm5\n"
			 "pxor %%xmm6, %%xmm6\n pxor %%xmm7, %%xmm7\n"
			 "pxor %%xmm8, %%xmm8\n pxor %%xmm9, %%xmm9\n"
			 "pxor %%xmm10, %%xmm10\n pxor %%xmm11, %%xmm11\n"
			 "pxor %%xmm12, %%xmm12\n pxor %%xmm13, %%xmm13\n"
			 "pxor %%xmm14, %%xmm14\n pxor %%xmm15, %%xmm15\n" : : :
			 "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
			 "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			 "xmm15");
}

UNUSED static NOINLINE uintptr_t take_hidden(struct raw *h, unsigned int cache)
{
	return HIDE(raw_take(h, cache));
}

/* So that no cell counts as just allocated. */
UNUSED static NOINLINE void settle(struct raw *h)
{
	raw_flush(h);
	wipe();
}

/*
 * The address of the heap itself is in many places and looks like its first cell:
 * let that be one that is meant to stay.
 */
UNUSED static void anchor(struct raw *h, unsigned int cache)
{
	static void *first;

	raw_root(h, 0, &first, sizeof(first), NULL);
	first = raw_take(h, cache);
}

/* Leaves no address in the caller's frame. */
UNUSED static NOINLINE bool hidden_live(struct raw *h, uintptr_t hidden)
{
	return raw_is_live(h, ~hidden);
}

UNUSED static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Seeded: GCHEAP_SEED in the environment, else the clock; printed by who asks. */
UNUSED static uint64_t raw_seed(void)
{
	const char *e = getenv("GCHEAP_SEED");
	uint64_t seed = e ? strtoull(e, NULL, 0) : (uint64_t)time(NULL);

	diag("GCHEAP_SEED=%" PRIu64, seed);
	return seed;
}

UNUSED static inline uint64_t rnd(uint64_t *s)
{
	/* splitmix64 */
	uint64_t z = (*s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

UNUSED static pthread_t spawn(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, fn, arg), 0);
	return t;
}

#endif
