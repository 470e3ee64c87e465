// SPDX-License-Identifier: GPL-2.0-only
/* Good and bad arguments of each ioctl that has no test program to itself. */
#include "raw.h"
#include <sched.h>

static int create(struct raw *h, struct gcheap_cache_create c)
{
	return ioctl(h->fd, GCHEAP_IOC_CACHE_CREATE, &c);
}

static int destroy(struct raw *h, unsigned int cache)
{
	struct gcheap_cache_destroy d = {
		.size = sizeof(d), .cache = cache, .thread = raw_thread,
	};

	return ioctl(h->fd, GCHEAP_IOC_CACHE_DESTROY, &d);
}

TEST(cache_sizes)
{
	static const uint32_t bad[] = {
		1, 8, 15, 17, 24, 32752 + 8, GCHEAP_CELL_MAX + 16, ~0u, ~15u
	};
	struct raw h = raw_open(0);

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK_ERR(create(&h, raw_cache_arg(GCHEAP_CONSERVATIVE, bad[i])), EINVAL);
	/* Only caches of large objects have no cell size, and they have none. */
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_CONSERVATIVE, 0);

	c.flags = 0;
	CHECK_ERR(create(&h, c), EINVAL);
	c.flags = GCHEAP_CACHE_LARGE;
	c.cell_size = 16;
	CHECK_ERR(create(&h, c), EINVAL);
}

TEST(cache_layouts)
{
	struct raw h = raw_open(0);
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_ASK + 1, 16);

	CHECK_ERR(create(&h, c), EINVAL);
	c.layout = ~0u;
	CHECK_ERR(create(&h, c), EINVAL);
	/* Fields of typed caches must be 0 in others. */
	c = raw_cache_arg(GCHEAP_NOSCAN, 32);
	c.fixed_words = 1;
	CHECK_ERR(create(&h, c), EINVAL);
	c = raw_cache_arg(GCHEAP_CONSERVATIVE, 32);
	c.tag_bits = 1;
	CHECK_ERR(create(&h, c), EINVAL);
	c = raw_cache_arg(GCHEAP_CONSERVATIVE, 32);
	c.fixed_map = (uintptr_t)&c;
	CHECK_ERR(create(&h, c), EINVAL);
}

TEST(typed_maps)
{
	struct raw h = raw_open(0);
	uint64_t map = 3, weak = 4, both = 1;
	struct gcheap_cache_create good = raw_cache_arg(GCHEAP_TYPED, 32), c;

	good.fixed_words = 4;
	good.fixed_map = (uintptr_t)&map;
	good.fixed_weak = (uintptr_t)&weak;
	CHECK_EQ(create(&h, good), 0);

	c = good;
	c.fixed_weak = (uintptr_t)&both;	/* a word in both */
	CHECK_ERR(create(&h, c), EINVAL);
	c = good;
	c.tag_bits = 5;
	CHECK_ERR(create(&h, c), EINVAL);
	c = good;
	c.fixed_words = 5;			/* beyond the cell */
	CHECK_ERR(create(&h, c), EINVAL);
	c = good;
	c.fixed_words = GCHEAP_MAP_WORDS + 1;
	c.cell_size = 8192;
	CHECK_ERR(create(&h, c), EINVAL);
	c = good;
	c.elem_words = GCHEAP_MAP_WORDS + 1;
	CHECK_ERR(create(&h, c), EINVAL);
	c = good;
	c.length_word = 4;			/* not in the fixed part */
	c.elem_words = 1;
	c.elem_map = (uintptr_t)&both;
	c.cell_size = 64;
	CHECK_ERR(create(&h, c), EINVAL);
	c = good;
	c.fixed_map = 8;			/* nothing there */
	CHECK_ERR(create(&h, c), EFAULT);
	c = good;
	c.fixed_weak = -8ull;
	CHECK_ERR(create(&h, c), EFAULT);
}

TEST(every_cache_number)
{
	struct raw h = raw_open(0);
	unsigned int n;

	for (n = 0; !create(&h, raw_cache_arg(GCHEAP_CONSERVATIVE, 16 + n % 8 * 16)); n++)
		CHECK(n < GCHEAP_MAX_CACHES);
	CHECK_EQ(errno, ENOSPC);
	CHECK_EQ(n, GCHEAP_MAX_CACHES);
	/* A number that is free again is given again. */
	CHECK_EQ(destroy(&h, 17), 0);
	CHECK_EQ(raw_cache(&h, GCHEAP_NOSCAN, 64), 17);
	CHECK(raw_take(&h, 17));
}

TEST(cache_destroy)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 32);
	static void *keep[1];
	uint32_t root = raw_root(&h, 0, keep, sizeof(keep), NULL);

	CHECK_ERR(destroy(&h, GCHEAP_MAX_CACHES), ENOENT);
	CHECK_ERR(destroy(&h, ~0u), ENOENT);
	CHECK_ERR(destroy(&h, c + 1), ENOENT);
	keep[0] = raw_take(&h, c);
	raw_collect(&h);
	CHECK_ERR(destroy(&h, c), EBUSY);	/* an object is in it */
	keep[0] = NULL;
	CHECK_EQ(raw_root_del(&h, root), 0);
	raw_flush(&h);
	raw_collect(&h);
	CHECK_EQ(destroy(&h, c), 0);
	CHECK_ERR(destroy(&h, c), ENOENT);
	CHECK_ERR(raw_try_spans(&h, c, 1), ENOENT);
	raw_verify(&h);
}

TEST(destroy_takes_own_spans_back)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 32);

	CHECK(raw_try_spans(&h, c, 2) >= 1);	/* and no cell of them used */
	CHECK_EQ(destroy(&h, c), 0);
	raw_verify(&h);
}

TEST(attach)
{
	struct raw h = raw_open(0);
	struct gcheap_thread t = { .size = sizeof(t) };
	unsigned int again;

	CHECK_EQ(h.tcbs[raw_thread].thread, raw_thread);
	CHECK_EQ(raw_status(&h).threads, 1);
	CHECK_ERR(raw_try_attach(&h, &again), EBUSY);
	t.thread = raw_thread + 1;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_THREAD_DETACH, &t), ESRCH);
	t.thread = ~0u;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_THREAD_DETACH, &t), ESRCH);
	raw_detach(&h);
	CHECK_EQ(raw_status(&h).threads, 0);
	raw_attach(&h);
	CHECK_EQ(raw_status(&h).threads, 1);
}

TEST(attach_stack_bounds)
{
	struct gcheap_thread t = { .size = sizeof(t) };
	struct gcheap_setup s = raw_setup_arg(0);
	struct raw h;

	s.max_threads = 1;
	h = raw_open_with(s);
	t.stack_lo = 4096;
	t.stack_hi = 4096;
	errno = 0;
	CHECK(ioctl(h.fd, GCHEAP_IOC_THREAD_ATTACH, &t) == -1 && errno == EINVAL);
	t.stack_hi = 2048;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_THREAD_ATTACH, &t), EINVAL);
	t.stack_hi = 0;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_THREAD_ATTACH, &t), EINVAL);
	/* Not the program's memory. */
	t.stack_hi = 1ull << 63;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_THREAD_ATTACH, &t), EINVAL);
	t.stack_hi = ~0ull;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_THREAD_ATTACH, &t), EINVAL);
	t.stack_lo = ~0ull - 4096;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_THREAD_ATTACH, &t), EINVAL);
	/* None of these has used up the only number. */
	raw_attach_stack(&h);
	CHECK_EQ(raw_status(&h).threads, 1);
}

static unsigned int cells, whole;	/* caches of both sorts */

static void *try_numbers_main(void *arg)
{
	struct raw *h = arg;
	struct gcheap_thread t = { .size = sizeof(t) };
	struct gcheap_spans s = { .size = sizeof(s), .cache = cells, .want = 1 };
	struct gcheap_flush f = { .size = sizeof(f) };
	struct gcheap_large l = { .size = sizeof(l), .cache = whole, .bytes = 100000 };
	struct gcheap_resize r = { .size = sizeof(r), .bytes = 100000 };
	struct gcheap_cache_destroy d = { .size = sizeof(d), .cache = cells };

	for (unsigned int i = 0; i < 3; i++) {
		t.thread = i;
		r.thread = i;
		s.thread = i;
		f.thread = i;
		l.thread = i;
		d.thread = i;
		CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_THREAD_DETACH, &t), ESRCH);
		CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_SPANS, &s), ESRCH);
		CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_FLUSH, &f), ESRCH);
		CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_LARGE, &l), ESRCH);
		CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_RESIZE, &r), ESRCH);
		CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_CACHE_DESTROY, &d), ESRCH);
	}
	return NULL;
}

TEST(numbers_are_the_callers_own)
{
	struct raw h = raw_open(0);

	cells = raw_cache(&h, GCHEAP_CONSERVATIVE, 16);
	whole = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	pthread_join(spawn(try_numbers_main, &h), NULL);
	/* They are as good as before for their owner; free ones are nobody's. */
	raw_take(&h, cells);
	CHECK(raw_try_large(&h, whole, 100000));
	raw_detach(&h);
	pthread_join(spawn(try_numbers_main, &h), NULL);
}

TEST(spans)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 48);
	unsigned int large = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	struct raw_batch *b = &raw_batches[raw_thread][c];

	CHECK_ERR(raw_try_spans(&h, c, GCHEAP_BATCH + 1), EINVAL);
	CHECK_ERR(raw_try_spans(&h, c, ~0u), EINVAL);
	CHECK_ERR(raw_try_spans(&h, 900, 1), ENOENT);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_SPANS, &(struct gcheap_spans){
				.size = sizeof(struct gcheap_spans), .thread = raw_thread,
				.cache = ~0u, .want = 1 }), ENOENT);
	errno = 0;
	CHECK(raw_try_spans(&h, large, 1) == -1 && (errno == EINVAL || errno == ENOENT));

	h.tcbs[raw_thread].cursor[c].pos = 5;
	CHECK(raw_try_spans(&h, c, GCHEAP_BATCH) >= 1);
	CHECK(b->got <= GCHEAP_BATCH);
	CHECK_EQ(h.tcbs[raw_thread].cursor[c].pos, 0);
	for (unsigned int i = 0; i < b->got; i++) {
		const struct gcheap_span *s = raw_slot(&h, b->span[i]);

		CHECK_EQ(s->head, b->span[i] + 1);
		CHECK_EQ(s->state, GCHEAP_SPAN_OWNED);
		CHECK_EQ(s->cache, c);
		CHECK_EQ(s->cell_granules, 3);
		CHECK(s->flags & GCHEAP_SPANF_ZERO);
		for (unsigned int j = 0; j < i; j++)
			CHECK(b->span[i] != b->span[j]);
	}
	CHECK_EQ(raw_try_spans(&h, c, 0), 0);
	raw_verify(&h);
}

TEST(params)
{
	static const struct { unsigned int param; uint64_t start, set; } p[] = {
		{ GCHEAP_PARAM_GROWTH, 100, 50 },
		{ GCHEAP_PARAM_LIMIT, 0, 32 << 20 },
		{ GCHEAP_PARAM_MIN_HEAP, 4 << 20, 8 << 20 },
		{ GCHEAP_PARAM_VERIFY, ~0ull, 1 },
		{ GCHEAP_PARAM_CONCURRENT, ~0ull, 1 },
		{ GCHEAP_PARAM_PAUSE, 500000, 1000000 },
		{ GCHEAP_PARAM_TRACK, ~0ull, GCHEAP_TRACK_UNMAP },
		{ GCHEAP_PARAM_CHECK, 0, 1 },
		{ GCHEAP_PARAM_YOUNG, ~0ull, 2 },
		{ GCHEAP_PARAM_SOFT_LIMIT, 0, 32 << 20 },
		{ GCHEAP_PARAM_WORKERS, 0, 3 },
		{ GCHEAP_PARAM_RELEASE, ~0ull, 0 },
		{ GCHEAP_PARAM_MESH, ~0ull, 0 },
		{ GCHEAP_PARAM_EVACUATE, ~0ull, 0 },
		{ GCHEAP_PARAM_COMPACT, 25, 10000 },
	};
	struct raw h = raw_open(0);
	struct gcheap_param a;

	_Static_assert(sizeof(p) / sizeof(*p) == GCHEAP_PARAM_MAX, "all of them");
	for (int i = 0; i < GCHEAP_PARAM_MAX; i++) {
		a = (struct gcheap_param){ .size = sizeof(a), .param = p[i].param };
		CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_PARAM, &a), 0);
		if (p[i].start != ~0ull)
			CHECK_EQ(a.value, p[i].start);
		raw_param(&h, p[i].param, p[i].set);
		a.value = 12345;
		CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_PARAM, &a), 0);
		CHECK_EQ(a.value, p[i].set);
	}
	a.param = GCHEAP_PARAM_MAX;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_PARAM, &a), EINVAL);
	a.param = ~0u;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_PARAM, &a), EINVAL);
}

TEST(params_out_of_range)
{
	static const struct { unsigned int param; uint64_t start, bad; } p[] = {
		{ GCHEAP_PARAM_GROWTH, 100, 0 },
		{ GCHEAP_PARAM_WORKERS, 0, GCHEAP_WORKERS_MAX + 1 },
		{ GCHEAP_PARAM_RELEASE, 1, 2 },
		{ GCHEAP_PARAM_MESH, 1, 2 },
		{ GCHEAP_PARAM_EVACUATE, 1, 2 },
		{ GCHEAP_PARAM_GROWTH, 100, 10001 },
		{ GCHEAP_PARAM_GROWTH, 100, (1ull << 32) + 50 },
		{ GCHEAP_PARAM_GROWTH, 100, ~0ull },
		{ GCHEAP_PARAM_MIN_HEAP, 4 << 20, 0 },
		{ GCHEAP_PARAM_VERIFY, 0, 2 },
		{ GCHEAP_PARAM_VERIFY, 0, (1ull << 32) + 1 },
	};
	struct raw h = raw_open(0);
	struct gcheap_param a;

	raw_param(&h, GCHEAP_PARAM_VERIFY, 0);
	raw_param(&h, GCHEAP_PARAM_RELEASE, 1);
	raw_param(&h, GCHEAP_PARAM_MESH, 1);
	raw_param(&h, GCHEAP_PARAM_EVACUATE, 1);
	for (size_t i = 0; i < sizeof(p) / sizeof(*p); i++) {
		diag("%u: %" PRIu64, p[i].param, p[i].bad);
		a = (struct gcheap_param){ .size = sizeof(a), .flags = GCHEAP_PARAM_SET,
					   .param = p[i].param, .value = p[i].bad };
		CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_PARAM, &a), EINVAL);
		a.flags = 0;
		CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_PARAM, &a), 0);
		CHECK_EQ(a.value, p[i].start);
	}
	raw_param(&h, GCHEAP_PARAM_GROWTH, 1);
	raw_param(&h, GCHEAP_PARAM_GROWTH, 10000);
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 1);
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, ~0ull);
	raw_param(&h, GCHEAP_PARAM_LIMIT, ~0ull);
	CHECK(raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 16)));
	raw_collect(&h);
	raw_verify(&h);
}

TEST(setup_params_are_in_force)
{
	struct gcheap_setup s = raw_setup_arg(0);
	struct gcheap_param a = { .size = sizeof(a) };
	struct raw h;

	s.growth = 37;
	s.min_heap = 9 << 20;
	s.limit = 33 << 20;
	h = raw_open_with(s);
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_PARAM, &a), 0);
	CHECK_EQ(a.value, 37);
	a.param = GCHEAP_PARAM_MIN_HEAP;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_PARAM, &a), 0);
	CHECK_EQ(a.value, 9 << 20);
	CHECK_EQ(raw_status(&h).limit_bytes, 33 << 20);
}

static int hold(struct raw *h, int delta, unsigned int *count)
{
	struct gcheap_hold o = { .size = sizeof(o), .delta = delta };
	int r = ioctl(h->fd, GCHEAP_IOC_HOLD, &o);

	*count = o.count;
	return r;
}

TEST(hold)
{
	struct raw h = raw_open(0);
	unsigned int n;

	CHECK_EQ(hold(&h, 1, &n), 0);
	CHECK_EQ(n, 1);
	CHECK_EQ(hold(&h, 1, &n), 0);
	CHECK_EQ(n, 2);
	CHECK_EQ(hold(&h, -1, &n), 0);
	CHECK_EQ(hold(&h, -1, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_ERR(hold(&h, -1, &n), EINVAL);	/* nothing to undo */
	CHECK_ERR(hold(&h, 2, &n), EINVAL);
	CHECK_ERR(hold(&h, 0x7fffffff, &n), EINVAL);
	/* Explicit collections are not held. */
	CHECK_EQ(hold(&h, 1, &n), 0);
	raw_collect(&h);
	CHECK(raw_status(&h).cycles >= 1);
}

static struct raw *held;
static void **volatile list;
static bool collected;

static int holds(void *unused)
{
	unsigned int n;

	return hold(held, 1, &n);
}

static void *collects(void *unused)
{
	raw_try_collect(held);
	__atomic_store_n(&collected, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Return: whether it was killed before the collection had ended. */
static bool kill_who_holds(struct raw *h)
{
	static char stack[65536];
	unsigned int n;
	pthread_t t;
	int status;
	pid_t pid;

	collected = false;
	t = spawn(collects, NULL);
	while (!raw_status(h).phase && !__atomic_load_n(&collected, __ATOMIC_ACQUIRE))
		sched_yield();
	pid = clone(holds, stack + sizeof(stack), CLONE_VM | CLONE_FILES | SIGCHLD, NULL);
	CHECK(pid > 0);
	while (hold(h, -1, &n))
		sched_yield();
	CHECK_EQ(n, 0);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(pthread_join(t, NULL), 0);
	return WIFSIGNALED(status);
}

/* Who waits for a collection's end takes back then what nobody else has. */
TEST(hold_by_a_process_that_is_killed)
{
	struct raw h = raw_open(0);
	unsigned int cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 64), n;

	held = &h;
	for (int i = 0; i < 200000; i++) {
		void **cell = raw_take(&h, cache);

		*cell = list;
		list = cell;
	}
	do {
		CHECK_ERR(hold(&h, -1, &n), EINVAL);
	} while (!kill_who_holds(&h));
	CHECK_ERR(hold(&h, -1, &n), EINVAL);
	CHECK_EQ(n, 0);
}

TEST(roots)
{
	struct raw h = raw_open(0);
	static uint64_t words[16];
	char *p = (char *)words;
	uint32_t id, other;

	CHECK_ERR((int)raw_try_root(&h, 0, p + 1, 16, NULL), EINVAL);
	CHECK_ERR((int)raw_try_root(&h, 0, p, 12, NULL), EINVAL);
	CHECK_ERR((int)raw_try_root(&h, 0, (void *)-16l, 64, NULL), EINVAL);
	CHECK_ERR((int)raw_try_root(&h, 0, (void *)(1ul << 62), 1ul << 62, NULL), EINVAL);
	CHECK_ERR((int)raw_try_root(&h, GCHEAP_ROOT_TOP, p, 64, NULL), EINVAL);
	CHECK_ERR((int)raw_try_root(&h, GCHEAP_ROOT_FIBER, p, 64, NULL), EINVAL);
	CHECK_ERR((int)raw_try_root(&h, GCHEAP_ROOT_FIBER | GCHEAP_ROOT_TOP, p, 64, p), EINVAL);
	CHECK_ERR((int)raw_try_root(&h, 0, p, 64, p), EINVAL);
	CHECK_ERR((int)raw_try_root(&h, GCHEAP_ROOT_TOP, p, 64, p + 4), EINVAL);
	id = raw_root(&h, 0, p, 64, NULL);
	other = raw_root(&h, GCHEAP_ROOT_PRECISE, p, 64, NULL);
	CHECK(id != other);
	CHECK_EQ(raw_root_del(&h, id), 0);
	CHECK_ERR(raw_root_del(&h, id), ENOENT);
	CHECK_ERR(raw_root_del(&h, ~0u), ENOENT);
	CHECK_EQ(raw_root_del(&h, other), 0);
}

TEST(many_roots)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 16);
	enum { N = 2000 };
	uint64_t *words = calloc(N, 8);
	uint32_t *ids = calloc(N, 4);

	for (int i = 0; i < N; i++) {
		ids[i] = raw_root(&h, i & 1, &words[i], 8, NULL);
		words[i] = (uintptr_t)raw_take(&h, c);
	}
	raw_flush(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, N);
	for (int i = 0; i < N; i += 2)
		CHECK_EQ(raw_root_del(&h, ids[i]), 0);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, N / 2);
}

TEST(tls)
{
	struct raw h = raw_open(0);
	struct gcheap_tls_module m[2] = { { 1, 64 }, { 2, 64 } };
	struct gcheap_tls t = {
		.size = sizeof(t), .below = 4096, .above = 64, .dtv_offset = 8,
		.dtv_stride = 16, .nmodules = 2, .modules = (uintptr_t)m,
	}, bad;

	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_TLS, &t), 0);
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_TLS, &t), 0);
	bad = t;
	bad.below = (1 << 20) + 8;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_TLS, &bad), EINVAL);
	bad = t;
	bad.above = ~0u;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_TLS, &bad), EINVAL);
	bad = t;
	bad.nmodules = 4097;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_TLS, &bad), EINVAL);
	bad = t;
	bad.modules = 8;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_TLS, &bad), EFAULT);
	bad = t;
	bad.dtv_stride = 0;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_TLS, &bad), EINVAL);
	bad.dtv_stride = 12;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_TLS, &bad), EINVAL);
	bad = t;
	bad.dtv_offset = 4;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_TLS, &bad), EINVAL);
	bad.dtv_offset = 1 << 20;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_TLS, &bad), EINVAL);
	bad.dtv_offset = -8;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_TLS, &bad), EINVAL);
	/* Where no blocks are looked for, nothing of the vector counts. */
	bad.nmodules = 0;
	bad.dtv_stride = 0;
	bad.modules = 8;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_TLS, &bad), 0);
}

TEST(info)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	char *p = raw_take(&h, c);
	struct gcheap_info i;

	CHECK_EQ(raw_try_info(&h, (uintptr_t)p + 13, &i), 0);
	CHECK_EQ(i.base, (uintptr_t)p);
	CHECK_EQ(i.bytes, 64);
	CHECK_EQ(i.cache, c);
	CHECK(i.state & GCHEAP_INFO_OWNED);
	CHECK(!(i.state & GCHEAP_INFO_LARGE));
	/* Its span's next cell is free. */
	CHECK_ERR(raw_try_info(&h, (uintptr_t)p + 64, &i), ENOENT);
	CHECK_ERR(raw_try_info(&h, 0, &i), ENOENT);
	CHECK_ERR(raw_try_info(&h, ~0ull, &i), ENOENT);
	CHECK_ERR(raw_try_info(&h, (uintptr_t)&i, &i), ENOENT);
	CHECK_ERR(raw_try_info(&h, (uintptr_t)h.base - 1, &i), ENOENT);
	CHECK_ERR(raw_try_info(&h, (uintptr_t)h.base + h.setup.heap_size, &i), ENOENT);
	CHECK_ERR(raw_try_info(&h, (uintptr_t)h.base + h.setup.heap_size - 1, &i), ENOENT);
}

/* Cycles over, failed ones counted: what GCHEAP_IOC_COLLECT's number refers to. */
static uint64_t over(struct raw *h)
{
	struct gcheap_status st = raw_status(h);

	return st.cycles + st.cycles_failed;
}

TEST(collect)
{
	struct raw h = raw_open(0);
	struct gcheap_collect c = { .size = sizeof(c) };
	uint64_t before;

	/* many: the collector may be done before the call returns, or not have begun */
	for (int i = 0; i < 100; i++) {
		before = over(&h);
		CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_COLLECT, &c), 0);
		CHECK(c.cycle > before);
		if (i % 3 == 0)
			continue;
		for (int t = 0; t < 600000 && over(&h) < c.cycle; t++)
			usleep(100);
		CHECK(over(&h) >= c.cycle);
	}
	c.flags = GCHEAP_COLLECT_WAIT;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_COLLECT, &c), 0);
	CHECK(c.cycle > before);
	CHECK(over(&h) >= c.cycle);
}

TEST_MAIN
