// SPDX-License-Identifier: GPL-2.0-only
/* Large objects get another size, with the pages that they have. */
#include "raw.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, SLOT = GCHEAP_SLOT_SIZE };

#define HEAP	(512ull << 20)

static struct raw open_heap(unsigned int flags)
{
	struct gcheap_setup setup = raw_setup_arg(flags);
	struct raw h;

	setup.heap_size = HEAP;
	h = raw_open_with(setup);
	raw_attach(&h);
	return h;
}

/* Sooner or later, when there is a collection under way. */
static uint64_t *resize(struct raw *h, void *p, uint64_t bytes)
{
	struct gcheap_resize a;

	while (raw_try_resize(h, p, bytes, &a)) {
		CHECK_EQ(errno, EBUSY);
		usleep(1000);
	}
	return (uint64_t *)(uintptr_t)a.addr;
}

/* Another word in each, by its number. */
static void fill(uint64_t *p, uint64_t from, uint64_t to)
{
	for (uint64_t i = from / 8; i < to / 8; i++)
		p[i] = ~i << 8;
}

static bool filled(const uint64_t *p, uint64_t from, uint64_t to)
{
	for (uint64_t i = from / 8; i < to / 8; i++)
		if (p[i] != ~i << 8)
			return false;
	return true;
}

static bool zero(const uint64_t *p, uint64_t from, uint64_t to)
{
	for (uint64_t i = from / 8; i < to / 8; i++)
		if (p[i])
			return false;
	return true;
}

TEST(grows_where_it_is)
{
	struct raw h = open_heap(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	uint64_t *p = raw_try_large(&h, c, 40000), had = 40000;
	struct gcheap_info info;

	for (uint64_t n = 50000; n < 20 << 20; n = n * 7 / 4 & ~7ull) {
		fill(p, 0, had);
		CHECK(resize(&h, p, n) == p);
		CHECK(filled(p, 0, had) && zero(p, had, n));
		CHECK_EQ(raw_slot(&h, ((char *)p - h.base) / SLOT)->bytes, n);
		CHECK_EQ(raw_try_info(&h, (uintptr_t)p + n - 1, &info), 0);
		CHECK_EQ(info.base, (uintptr_t)p);
		raw_verify(&h);
		had = n;
	}
	CHECK_EQ(raw_status(&h).pages_remapped, 0);
	CHECK(raw_status(&h).resized > 10);
}

TEST(shrinks_where_it_is)
{
	struct raw h = open_heap(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	uint64_t bytes = 8 << 20, *p = raw_try_large(&h, c, bytes), *q;
	uint64_t before = raw_status(&h).heap_bytes;

	fill(p, 0, bytes);
	CHECK(resize(&h, p, 100000) == p);
	CHECK(filled(p, 0, 100000));
	CHECK_EQ(before - raw_status(&h).heap_bytes, bytes - (100000 / SLOT + 1) * SLOT);
	/* What is behind it now is another's, and zero. */
	q = raw_try_large(&h, c, 1 << 20);
	CHECK(q > p && q < p + bytes / 8 && zero(q, 0, 1 << 20));
	raw_verify(&h);
}

/* With something after it that stays. */
static uint64_t *hemmed(struct raw *h, unsigned int c, uint64_t bytes)
{
	uint64_t *p = raw_try_large(h, c, bytes);

	CHECK(p && raw_try_large(h, c, 40000));
	return p;
}

TEST(goes_elsewhere)
{
	struct raw h = open_heap(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	uint64_t bytes = 5 << 20, *p, *q;

	raw_hold(&h);
	p = hemmed(&h, c, bytes);
	/* Where it will be was used before. */
	q = raw_try_large(&h, c, 16 << 20);
	fill(q, 0, 16 << 20);
	raw_free(&h, q);
	fill(p, 0, bytes);
	q = resize(&h, p, 12 << 20);
	CHECK(q != p);
	CHECK(filled(q, 0, bytes) && zero(q, bytes, 12 << 20));
	CHECK_EQ(raw_status(&h).pages_remapped, bytes / PAGE);
	CHECK_EQ(raw_status(&h).resized, 1);
	CHECK(!raw_is_live(&h, (uintptr_t)p) && raw_is_live(&h, (uintptr_t)q));
	raw_verify(&h);
	/* Its old place is free. */
	CHECK(raw_try_large(&h, c, bytes) == (void *)p && zero(p, 0, bytes));
}

TEST(what_was_never_touched_is_not)
{
	struct raw h = open_heap(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	uint64_t *p = hemmed(&h, c, 64 << 20), before;

	fill(p, 32 << 20, (32 << 20) + PAGE);
	raw_verify(&h);	/* so that it counts */
	before = raw_status(&h).resident_bytes;
	CHECK(before < 100000);
	p = resize(&h, p, 128 << 20);
	CHECK_EQ(raw_status(&h).resident_bytes, before);
	CHECK(filled(p, 32 << 20, (32 << 20) + PAGE) && !p[0]);
	raw_verify(&h);
}

TEST(refused)
{
	struct raw h = open_heap(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	char *p = (char *)hemmed(&h, c, 100000);
	char *small = raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 64));
	struct gcheap_resize a;

	fill((uint64_t *)p, 0, 100000);
	CHECK_ERR(raw_try_resize(&h, p, 0, &a), EINVAL);
	CHECK_ERR(raw_try_resize(&h, p + 8, 200000, &a), ENOENT);
	CHECK_ERR(raw_try_resize(&h, p + SLOT, 200000, &a), ENOENT);
	CHECK_ERR(raw_try_resize(&h, small, 200000, &a), ENOENT);
	CHECK_ERR(raw_try_resize(&h, &a, 200000, &a), ENOENT);
	CHECK_ERR(raw_try_resize(&h, NULL, 200000, &a), ENOENT);
	CHECK_ERR(raw_try_resize(&h, p, HEAP + 1, &a), ENOMEM);
	CHECK_ERR(raw_try_resize(&h, p, HEAP - SLOT, &a), ENOMEM);
	CHECK_ERR(raw_try_resize(&h, p, ~0ull, &a), ENOMEM);
	raw_thread++;
	CHECK_ERR(raw_try_resize(&h, p, 200000, &a), ESRCH);
	raw_thread--;
	a = (struct gcheap_resize){
		.size = sizeof(a), .thread = raw_thread, .pad = 1, .addr = (uintptr_t)p,
		.bytes = 200000,
	};
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_RESIZE, &a), EINVAL);
	CHECK(filled((uint64_t *)p, 0, 100000));
	CHECK_EQ(raw_status(&h).resized, 0);
	raw_verify(&h);
}

TEST(limit)
{
	struct raw h = open_heap(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	uint64_t *p = raw_try_large(&h, c, 4 << 20);
	struct gcheap_resize a;

	fill(p, 0, 4 << 20);
	raw_param(&h, GCHEAP_PARAM_LIMIT, 8 << 20);
	CHECK_ERR(raw_try_resize(&h, p, 9 << 20, &a), ENOMEM);
	CHECK_EQ(raw_status(&h).oom_returns, 1);
	CHECK(filled(p, 0, 4 << 20));
	CHECK(resize(&h, p, 8 << 20) == p);
	CHECK(filled(p, 0, 4 << 20));
	raw_verify(&h);
}

TEST(finalizer_is_taken_off_if_it_moves)
{
	struct raw h = open_heap(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	struct gcheap_finalizer f = { .size = sizeof(f), .cookie = 77 };
	uint64_t *p = hemmed(&h, c, 100000);
	struct gcheap_resize a;

	f.addr = (uintptr_t)p;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZER, &f), 0);
	CHECK_EQ(raw_try_resize(&h, p, 50000, &a), 0);
	CHECK_EQ(a.cookie, 0);
	CHECK_EQ(raw_status(&h).finalizers, 1);
	CHECK_EQ(raw_try_resize(&h, p, 300000, &a), 0);
	CHECK(a.addr != (uintptr_t)p);
	CHECK_EQ(a.cookie, 77);
	CHECK_EQ(raw_status(&h).finalizers, 0);
	raw_verify(&h);
}

/* ---- beside marking */

enum { WORDS = 256 << 10, OBJECTS = 4096 };

struct array {
	struct raw h;
	unsigned int large, small;
	uint64_t **at;		/* the only root */
	uint64_t bytes;
	bool stop;
};

static NOINLINE void put(struct array *w, uint64_t i, uint64_t number)
{
	uint64_t *p = raw_take(&w->h, w->small);

	p[1] = number;
	w->at[i] = p;
}

static void *collect_on(void *arg)
{
	struct array *w = arg;

	raw_attach(&w->h);
	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
		raw_collect_as(&w->h, 0);
	raw_detach(&w->h);
	return NULL;
}

/* Each object is referred to from the array alone, which changes its size all the time. */
static void resize_beside_marking(unsigned int way, bool young)
{
	struct array w = { .h = open_heap(GCHEAP_SETUP_PRECISE_ONLY), .bytes = WORDS * 8 };
	uint64_t seed = raw_seed(), end, moved, checks, *gap = NULL, n;
	pthread_t collector;

	raw_param(&w.h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&w.h, GCHEAP_PARAM_TRACK, way);
	raw_param(&w.h, GCHEAP_PARAM_YOUNG, young ? 2 : 0);
	raw_param(&w.h, GCHEAP_PARAM_CHECK, 1);
	w.large = raw_cache(&w.h, GCHEAP_CONSERVATIVE, 0);
	w.small = raw_cache(&w.h, GCHEAP_CONSERVATIVE, 64);
	raw_root(&w.h, 0, &w.at, sizeof(w.at), NULL);
	raw_root(&w.h, 0, &gap, sizeof(gap), NULL);
	w.at = raw_try_large(&w.h, w.large, w.bytes);
	for (int i = 0; i < OBJECTS; i++)
		put(&w, i * (WORDS / OBJECTS), i);
	collector = spawn(collect_on, &w);
	end = now_ns() + tap_times(4) * 1000000000ull;
	for (n = 0; now_ns() < end || n < 20; n++) {
		struct gcheap_resize a;
		uint64_t bytes = WORDS * 8 + rnd(&seed) % (4 << 20);

		/* What is made now may lie after it. */
		gap = raw_try_large(&w.h, w.large, rnd(&seed) % (4 << 20) + 1);
		CHECK(gap);
		if (raw_try_resize(&w.h, w.at, bytes, &a) && errno == EBUSY)
			continue;
		w.at = (void *)(uintptr_t)a.addr;
		CHECK(raw_is_live(&w.h, (uintptr_t)w.at));
		for (int k = 0; k < 64; k++) {
			int i = rnd(&seed) % OBJECTS;

			put(&w, i * (WORDS / OBJECTS), i);
		}
		for (int i = 0; i < OBJECTS; i++)
			if (w.at[i * (WORDS / OBJECTS)][1] != (uint64_t)i)
				CHECK_EQ(w.at[i * (WORDS / OBJECTS)][1], i);
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
	pthread_join(collector, NULL);
	moved = raw_status(&w.h).pages_remapped;
	checks = raw_status(&w.h).checks;
	diag("%" PRIu64 " times, %" PRIu64 " pages moved, %" PRIu64 " checks", n, moved, checks);
	CHECK(moved > 0 && checks > 0);
	CHECK_EQ(raw_status(&w.h).check_lost, 0);
	raw_verify(&w.h);
}

TEST(beside_marking_by_dirty_bits)
{
	resize_beside_marking(GCHEAP_TRACK_DIRTY, false);
}

TEST(beside_marking_by_protection)
{
	resize_beside_marking(GCHEAP_TRACK_PROTECT, false);
}

TEST(beside_marking_by_unmapping)
{
	resize_beside_marking(GCHEAP_TRACK_UNMAP, false);
}

TEST(beside_young_collections)
{
	resize_beside_marking(GCHEAP_TRACK_DEFAULT, true);
}

/* ---- by a program that breaks the rules */

struct mess {
	struct raw h;
	unsigned int large;
	uint64_t *at[4];
	uint64_t end;
};

static void *make_a_mess(void *arg)
{
	struct mess *m = arg;
	uint64_t seed = raw_seed() ^ (uintptr_t)&seed;
	struct gcheap_resize a;

	raw_attach(&m->h);
	while (now_ns() < m->end) {
		uint64_t **at = &m->at[rnd(&seed) % 4], *p;

		p = __atomic_load_n(at, __ATOMIC_RELAXED);
		switch (rnd(&seed) % 8) {
		case 0:
			p = raw_try_large(&m->h, m->large, rnd(&seed) % (4 << 20) + 1);
			if (p)
				__atomic_store_n(at, p, __ATOMIC_RELAXED);
			break;
		case 1:
			raw_free(&m->h, p);
			break;
		case 2:
			raw_collect_start(&m->h, 0);
			break;
		default:
			if (!raw_try_resize(&m->h, p, rnd(&seed) % (8 << 20) + 1, &a))
				__atomic_store_n(at, (uint64_t *)(uintptr_t)a.addr,
						 __ATOMIC_RELAXED);
		}
	}
	raw_detach(&m->h);
	return NULL;
}

/* Objects are freed and given another size by several threads at a time. */
TEST(by_several_at_once)
{
	struct mess m = { .h = open_heap(0), .end = now_ns() + tap_times(5) * 1000000000ull };
	pthread_t t[3];

	m.large = raw_cache(&m.h, GCHEAP_CONSERVATIVE, 0);
	for (int i = 0; i < 3; i++)
		t[i] = spawn(make_a_mess, &m);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	diag("%llu sizes, %llu pages moved", raw_status(&m.h).resized,
	     raw_status(&m.h).pages_remapped);
	CHECK(raw_status(&m.h).resized > 0);
	raw_collect(&m.h);
	raw_verify(&m.h);
}

/* Killed at any time: nothing is left over (kmemleak, and the rig's look at pages). */
TEST(killed_meanwhile)
{
	for (int i = 0; i < 10; i++) {
		pid_t child = fork();
		int status;

		if (!child) {
			struct raw h = open_heap(0);
			unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
			uint64_t *p;

			for (;;) {
				p = hemmed(&h, c, 16 << 20);
				fill(p, 0, 16 << 20);
				resize(&h, p, 40 << 20);
			}
		}
		usleep(200000 + 30000 * i);
		kill(child, SIGKILL);
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

TEST_MAIN
