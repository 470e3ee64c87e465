// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything the program can write is garbage: the kernel is unharmed, the heap's
 * structure is whole, other heaps notice nothing.
 */
#include "raw.h"
#include <signal.h>

static struct raw h;
static unsigned int cache[4];
static volatile int stop;

static void start(unsigned int flags)
{
	h = raw_open(flags);
	cache[0] = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	cache[1] = raw_cache(&h, GCHEAP_NOSCAN, 256);
	cache[2] = raw_typed(&h, 16, 0x00ff, 0xff00);
	cache[3] = raw_cache(&h, GCHEAP_CONSERVATIVE, 1024);
}

static void some_objects(int n)
{
	for (int i = 0; i < n; i++)
		raw_try_take(&h, cache[i & 3]);
}

static uint64_t garbage(uint64_t *seed)
{
	uint64_t r = rnd(seed);

	switch (rnd(seed) % 12) {
	case 0: return 0;
	case 1: return ~0ull;
	case 2: return r & 0xff;
	case 3: return r & 0xffffffff;
	case 4: return r << 32 | (r >> 40);
	case 5: return (uintptr_t)h.base + r % h.setup.heap_size;
	case 6: return (uintptr_t)h.base + (r % h.setup.heap_size & ~0xfffull);
	case 7: return (uintptr_t)h.base + h.setup.heap_size;
	case 8: return 0xffff888000000000ull | (r & 0xffffffff);
	case 9: return (uintptr_t)h.meta + r % h.setup.meta_size;
	case 10: return 1ull << (r & 63);
	default: return r;
	}
}

TEST(cursors)
{
	static const uint64_t pos[] = {
		0, 1, 63, 64, 511, 512, 513, 0xffffffff, 1ull << 32, 7ull << 32,
		8ull << 32, 9ull << 32, 7ull << 32 | 0xffffffff, 1ull << 63, ~0ull,
	};

	start(GCHEAP_SETUP_PRECISE_ONLY);
	for (size_t i = 0; i < sizeof(pos) / sizeof(*pos); i++)
		for (int k = 0; k < 4; k++) {
			struct gcheap_tcb *t = &h.tcbs[raw_thread];

			some_objects(40);
			t->cursor[cache[k]].pos = pos[i];
			raw_collect(&h);
			raw_verify(&h);
			t->cursor[cache[k]].pos = pos[i];
			raw_try_spans(&h, cache[k], 3);
			raw_verify(&h);
			t->cursor[cache[k]].pos = pos[i];
			raw_flush(&h);
			raw_verify(&h);
		}
}

/* It goes backwards while the kernel looks, and so on. */
static void *scribbler(void *arg)
{
	uint64_t seed = (uintptr_t)arg;
	uint64_t *words = (uint64_t *)h.tcbs;

	while (!stop) {
		size_t i = rnd(&seed) % 4 ? rnd(&seed) % 300 :
			   rnd(&seed) % (h.setup.tcb_size / 8);

		((volatile uint64_t *)words)[i] = garbage(&seed);
	}
	return NULL;
}

TEST(control_blocks_rewritten_all_the_time)
{
	uint64_t seed = raw_seed();
	pthread_t t;

	start(0);
	t = spawn(scribbler, (void *)seed);
	for (uint64_t end = now_ns() + 5000000000ull; now_ns() < end;) {
		raw_try_spans(&h, cache[rnd(&seed) & 3], rnd(&seed) % 9);
		if (!(rnd(&seed) & 15))
			raw_try_collect(&h);
		if (!(rnd(&seed) & 63)) {
			struct gcheap_flush f = {
				.size = sizeof(f), .thread = raw_thread,
				.flags = rnd(&seed) & 1,
			};

			ioctl(h.fd, GCHEAP_IOC_FLUSH, &f);
		}
	}
	stop = 1;
	pthread_join(t, NULL);
	raw_verify(&h);
	memset(&h.tcbs[raw_thread].free_head, 0, 8);
	h.tcbs[raw_thread].hidden = 0;
	raw_flush(&h);
	raw_collect(&h);
	raw_verify(&h);
}

TEST(early_free_ring)
{
	static const uint32_t head[] = { 1, GCHEAP_RING, GCHEAP_RING + 1, 1u << 31, ~0u };
	uint64_t seed = raw_seed();
	struct gcheap_tcb *t;

	start(0);
	t = &h.tcbs[raw_thread];
	for (size_t i = 0; i < sizeof(head) / sizeof(*head); i++) {
		some_objects(100);
		for (int k = 0; k < GCHEAP_RING; k++)
			t->free_ring[k] = garbage(&seed);
		t->free_head = t->free_tail + head[i];
		raw_collect(&h);
		raw_verify(&h);
		t->free_tail = rnd(&seed);
		raw_flush(&h);
		raw_verify(&h);
	}
}

TEST(objects_full_of_garbage)
{
	uint64_t seed = raw_seed();
	static uint64_t keep[512];
	unsigned int large;

	start(0);
	raw_root(&h, 0, keep, sizeof(keep), NULL);
	large = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 512; i++) {
			static const unsigned int words[] = { 8, 32, 16, 128 };
			uint64_t *p = raw_take(&h, cache[i & 3]);

			for (unsigned int k = 0; k < words[i & 3]; k++)
				p[k] = garbage(&seed);
			keep[i] = rnd(&seed) & 1 ? (uintptr_t)p : garbage(&seed);
		}
		uint64_t *p = raw_try_large(&h, large, 300000);

		for (int k = 0; p && k < 300000 / 8; k++)
			p[k] = garbage(&seed);
		raw_collect(&h);
		raw_verify(&h);
	}
}

/* Arrays whose length words lie. */
TEST(length_words)
{
	uint64_t seed = raw_seed(), fixed = 1, elem = 3;
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_TYPED, 512);
	static uint64_t *keep[256];

	start(GCHEAP_SETUP_PRECISE_ONLY);
	c.fixed_words = 2;
	c.fixed_map = (uintptr_t)&fixed;
	c.elem_words = 2;
	c.elem_map = (uintptr_t)&elem;
	c.length_word = 1;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	raw_root(&h, 0, keep, sizeof(keep), NULL);
	for (int i = 0; i < 256; i++) {
		keep[i] = raw_take(&h, c.cache);
		for (int k = 0; k < 64; k++)
			keep[i][k] = garbage(&seed);
	}
	for (int i = 0; i < 5; i++) {
		raw_collect(&h);
		raw_verify(&h);
		for (int k = 0; k < 256; k++)
			keep[k][1] = garbage(&seed);
	}
}

/* Objects rewritten while they are marked. */
static void *rewriter(void *arg)
{
	uint64_t **keep = arg, seed = 1;

	while (!stop) {
		uint64_t *p = keep[rnd(&seed) % 256];

		if (p)
			((volatile uint64_t *)p)[rnd(&seed) % 8] = garbage(&seed);
	}
	return NULL;
}

TEST(objects_rewritten_all_the_time)
{
	static uint64_t *keep[256];
	pthread_t t[2];

	start(0);
	raw_root(&h, 0, keep, sizeof(keep), NULL);
	for (int i = 0; i < 256; i++)
		keep[i] = raw_take(&h, cache[i % 4]);
	for (int i = 0; i < 2; i++)
		t[i] = spawn(rewriter, keep);
	for (int i = 0; i < 100; i++) {
		some_objects(20);
		raw_collect(&h);
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	raw_verify(&h);
}

TEST(fiber_and_shadow_tops)
{
	uint64_t seed = raw_seed();
	static uint64_t stack[1024];
	static volatile uint64_t top[2];

	start(GCHEAP_SETUP_PRECISE_ONLY);
	raw_root(&h, GCHEAP_ROOT_FIBER, stack, sizeof(stack), (void *)&top[0]);
	raw_root(&h, GCHEAP_ROOT_TOP, stack, sizeof(stack), (void *)&top[1]);
	for (int i = 0; i < 100; i++) {
		for (int k = 0; k < 1024; k++)
			stack[k] = garbage(&seed);
		top[0] = garbage(&seed);
		top[1] = rnd(&seed) & 1 ? garbage(&seed) :
			 (uintptr_t)stack + rnd(&seed) % sizeof(stack);
		raw_collect(&h);
	}
	raw_verify(&h);
}

TEST(thread_vectors)
{
	uint64_t seed = raw_seed();
	struct gcheap_tls_module m[64];

	start(0);
	for (int i = 0; i < 50; i++) {
		struct gcheap_tls t = {
			.size = sizeof(t), .below = rnd(&seed) & 0xffff8,
			.above = rnd(&seed) & 0xffff8, .dtv_offset = rnd(&seed),
			.dtv_stride = rnd(&seed), .nmodules = 64, .modules = (uintptr_t)m,
		};

		for (int k = 0; k < 64; k++) {
			m[k].module = rnd(&seed) & 1 ? (uint32_t)rnd(&seed) : rnd(&seed) % 100;
			m[k].bytes = rnd(&seed) & 1 ? (uint32_t)rnd(&seed) : rnd(&seed) % 10000;
		}
		ioctl(h.fd, GCHEAP_IOC_TLS, &t);
		if (raw_try_collect(&h))
			CHECK_EQ(errno, EAGAIN);
	}
	raw_verify(&h);
}

static void *with_signal_stack(void *arg)
{
	sigaltstack(arg, NULL);
	raw_attach(&h);
	while (!stop)
		;
	raw_detach(&h);
	return NULL;
}

/* sigaltstack() takes any place and size: what wraps, spans all, is the heap. */
TEST(signal_stacks_that_are_not)
{
	stack_t alt[] = {
		{ .ss_sp = (void *)8, .ss_size = ~0ul - 7 },
		{ .ss_sp = (void *)-4096l, .ss_size = 8192 },
		{ .ss_sp = NULL, .ss_size = 1ul << 47 },
		{ .ss_sp = NULL, .ss_size = 1ul << 60 },
		{ .ss_sp = (void *)(1ul << 46), .ss_size = 1ul << 40 },
		{ .ss_sp = (void *)0xffff888000000000ul, .ss_size = 1ul << 30 },
		{ },
	};
	pthread_t t;

	start(0);
	alt[6].ss_sp = h.base;
	alt[6].ss_size = h.setup.heap_size;
	for (unsigned int i = 0; i < sizeof(alt) / sizeof(alt[0]); i++) {
		stop = 0;
		t = spawn(with_signal_stack, &alt[i]);
		for (int k = 0; k < 5; k++) {
			some_objects(100);
			raw_flush(&h);
			if (raw_try_collect(&h))
				CHECK_EQ(errno, EAGAIN);
		}
		stop = 1;
		pthread_join(t, NULL);
		raw_verify(&h);
	}
	raw_collect(&h);
}

/* One heap's trouble never reaches another's. */
TEST(the_neighbour)
{
	uint64_t seed = raw_seed();
	pthread_t t;
	int up[2], status;
	pid_t pid;

	CHECK_EQ(pipe(up), 0);
	pid = fork();
	if (!pid) {
		static uint64_t *keep;
		struct raw mine = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
		unsigned int c = raw_typed(&mine, 4, 1, 0);
		char byte;

		close(up[1]);
		raw_root(&mine, 0, &keep, 8, NULL);
		do {
			uint64_t n = 0;

			keep = NULL;
			for (int i = 0; i < 2000; i++) {
				uint64_t *p = raw_take(&mine, c);

				p[0] = (uintptr_t)keep;
				keep = p;
			}
			raw_flush(&mine);
			raw_collect(&mine);
			CHECK_EQ(raw_status(&mine).marked_objects, 2000);
			for (uint64_t *p = keep; p; p = (void *)p[0])
				n++;
			CHECK_EQ(n, 2000);
			raw_verify(&mine);
			fcntl(up[0], F_SETFL, O_NONBLOCK);
		} while (read(up[0], &byte, 1) < 0);
		_exit(0);
	}
	close(up[0]);
	start(0);
	t = spawn(scribbler, (void *)seed);
	for (uint64_t end = now_ns() + 3000000000ull; now_ns() < end;) {
		raw_try_spans(&h, cache[rnd(&seed) & 3], 1 + rnd(&seed) % 8);
		raw_try_collect(&h);
	}
	stop = 1;
	pthread_join(t, NULL);
	close(up[1]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST_MAIN
