// SPDX-License-Identifier: GPL-2.0-only
/* Objects that are queued when they die, with all they refer to. */
#include "raw.h"
#include <poll.h>

static struct raw h;
static unsigned int cache;
static uint64_t *keep[512];

static void start(void)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	cache = raw_typed(&h, 4, 1, 0);
	raw_root(&h, 0, keep, sizeof(keep), NULL);
}

static int set(void *p, uint64_t cookie, unsigned int flags, uint64_t *old)
{
	struct gcheap_finalizer f = {
		.size = sizeof(f), .flags = flags, .addr = (uintptr_t)p, .cookie = cookie,
	};
	int r = ioctl(h.fd, GCHEAP_IOC_FINALIZER, &f);

	if (old)
		*old = f.old;
	return r;
}

static unsigned int fetch_as(uint32_t flags, struct gcheap_ready *items, unsigned int max,
			     uint64_t *left)
{
	struct gcheap_finalizers f = {
		.size = sizeof(f), .flags = flags, .max = max, .items = (uintptr_t)items,
	};

	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZERS, &f), 0);
	if (left)
		*left = f.left;
	return f.got;
}

static unsigned int fetch(struct gcheap_ready *items, unsigned int max, uint64_t *left)
{
	return fetch_as(0, items, max, left);
}

static uint64_t marked(void)
{
	raw_flush(&h);
	raw_collect(&h);
	raw_verify(&h);
	return raw_status(&h).marked_objects;
}

TEST(queued_when_dead)
{
	struct gcheap_ready r[4];
	uint64_t left, old;
	uintptr_t child;

	start();
	keep[0] = raw_take(&h, cache);
	keep[0][0] = child = (uintptr_t)raw_take(&h, cache);
	keep[0][1] = 77;
	CHECK_EQ(set(keep[0], 0xc00c1e, 0, &old), 0);
	CHECK_EQ(old, 0);
	CHECK_EQ(raw_status(&h).finalizers, 1);
	marked();
	CHECK_EQ(fetch(r, 4, &left), 0);
	CHECK_EQ(left, 0);

	uintptr_t dead = (uintptr_t)keep[0];

	keep[0] = NULL;
	marked();
	/* It and what it refers to are kept until fetched. */
	CHECK(raw_is_live(&h, dead) && raw_is_live(&h, child));
	CHECK_EQ(raw_status(&h).finalizers_ready, 1);
	marked();
	CHECK(raw_is_live(&h, dead) && raw_is_live(&h, child));
	CHECK_EQ(fetch(r, 4, &left), 1);
	CHECK_EQ(r[0].addr, dead);
	CHECK_EQ(r[0].cookie, 0xc00c1e);
	CHECK_EQ(left, 0);
	CHECK_EQ(((uint64_t *)dead)[1], 77);
	CHECK_EQ(raw_status(&h).finalizers, 0);
	CHECK_EQ(raw_status(&h).finalizers_ready, 0);
	/* Only once. */
	CHECK_EQ(marked(), 0);
	CHECK_EQ(fetch(r, 4, &left), 0);
}

TEST(resurrected)
{
	struct gcheap_ready r[1];

	start();
	CHECK_EQ(set(raw_take(&h, cache), 1, 0, NULL), 0);
	marked();
	raw_root(&h, 0, r, sizeof(r), NULL);
	CHECK_EQ(fetch(r, 1, NULL), 1);
	CHECK_EQ(marked(), 1);
	CHECK_EQ(set((void *)r[0].addr, 2, 0, NULL), 0);
	r[0].addr = 0;
	marked();
	CHECK_EQ(fetch(r, 1, NULL), 1);
	CHECK_EQ(r[0].cookie, 2);
}

TEST(replaced_and_cleared)
{
	struct gcheap_ready r[1];
	uint64_t old;

	start();
	keep[0] = raw_take(&h, cache);
	CHECK_EQ(set(keep[0], 11, 0, &old), 0);
	CHECK_EQ(old, 0);
	CHECK_EQ(set(keep[0], 12, 0, &old), 0);
	CHECK_EQ(old, 11);
	CHECK_EQ(raw_status(&h).finalizers, 1);
	CHECK_EQ(set(keep[0], 0, GCHEAP_FINALIZER_CLEAR, &old), 0);
	CHECK_EQ(old, 12);
	CHECK_EQ(raw_status(&h).finalizers, 0);
	keep[0] = NULL;
	CHECK_EQ(marked(), 0);
	CHECK_EQ(fetch(r, 1, NULL), 0);
}

/* Looking at them leaves them queued, and says which of them may be fetched. */
TEST(looked_at)
{
	struct gcheap_finalizers f = {
		.size = sizeof(f), .max = 1, .items = 8, .flags = GCHEAP_FINALIZERS_LOOK,
	};
	struct gcheap_ready r[40], seen[40];
	uint64_t left;

	start();
	for (int i = 0; i < 20; i++) {
		keep[i] = raw_take(&h, cache);
		CHECK_EQ(set(keep[i], 1 + i, 0, NULL), 0);
	}
	memset(keep, 0, sizeof(keep));
	marked();
	CHECK_EQ(fetch_as(GCHEAP_FINALIZERS_LOOKED, r, 40, &left), 0);
	CHECK_EQ(left, 20);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_FINALIZERS, &f), EFAULT);
	CHECK_EQ(fetch_as(GCHEAP_FINALIZERS_LOOK, seen, 5, &left), 5);
	CHECK_EQ(left, 20);
	CHECK_EQ(fetch_as(GCHEAP_FINALIZERS_LOOKED, r, 40, &left), 5);
	CHECK_EQ(left, 15);
	CHECK(!memcmp(r, seen, 5 * sizeof(*r)));
	CHECK_EQ(fetch_as(GCHEAP_FINALIZERS_LOOK, seen, 40, NULL), 15);
	CHECK_EQ(fetch_as(GCHEAP_FINALIZERS_LOOK, r, 40, NULL), 0);
	CHECK_EQ(fetch(r, 40, &left), 15);
	CHECK_EQ(left, 0);
	CHECK(!memcmp(r, seen, 15 * sizeof(*r)));
	f.flags |= GCHEAP_FINALIZERS_LOOKED;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_FINALIZERS, &f), EINVAL);
}

TEST(bad_arguments)
{
	uint64_t *p, *dead;
	struct gcheap_finalizers f = { .size = sizeof(f), .max = 1, .items = 8 };

	start();
	p = keep[0] = raw_take(&h, cache);
	dead = raw_take(&h, cache);
	marked();
	CHECK_ERR(set(p + 1, 1, 0, NULL), ENOENT);
	CHECK_ERR(set(dead, 1, 0, NULL), ENOENT);
	CHECK_ERR(set(NULL, 1, 0, NULL), ENOENT);
	CHECK_ERR(set(&f, 1, 0, NULL), ENOENT);
	CHECK_ERR(set(p, 0, GCHEAP_FINALIZER_CLEAR, NULL), ENOENT);
	/* Nowhere to put it: it is not lost. */
	CHECK_EQ(set(p, 5, 0, NULL), 0);
	keep[0] = NULL;
	marked();
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_FINALIZERS, &f), EFAULT);

	struct gcheap_ready r[1];

	CHECK_EQ(fetch(r, 1, NULL), 1);
	CHECK_EQ(r[0].cookie, 5);
}

TEST(many)
{
	enum { N = 3000 };
	struct gcheap_ready r[100];
	static char seen[N];
	uint64_t left;
	unsigned int n = 0, got;

	start();
	for (int i = 0; i < N; i++) {
		uint64_t *p = raw_take(&h, cache);

		p[1] = i;
		CHECK_EQ(set(p, i + 1, 0, NULL), 0);
	}
	CHECK_EQ(raw_status(&h).finalizers, N);
	marked();
	CHECK_EQ(raw_status(&h).finalizers_ready, N);
	while ((got = fetch(r, 100, &left))) {
		for (unsigned int i = 0; i < got; i++) {
			uint64_t *p = (void *)r[i].addr;

			CHECK_EQ(p[1] + 1, r[i].cookie);
			CHECK(!seen[p[1]]++);
		}
		n += got;
		CHECK_EQ(left, N - n);
	}
	CHECK_EQ(n, N);
	CHECK_EQ(marked(), 0);
}

static void await_event(void)
{
	struct pollfd p = { .fd = h.fd, .events = POLLIN };
	struct gcheap_event e;

	do {
		CHECK_EQ(poll(&p, 1, 2000), 1);
		CHECK_EQ(read(h.fd, &e, sizeof(e)), sizeof(e));
	} while (e.type != GCHEAP_EV_FINALIZERS);
	CHECK_EQ(e.a, 1);
}

TEST(event)
{
	start();
	set(raw_take(&h, cache), 1, 0, NULL);
	marked();
	await_event();
}

TEST(event_of_all)
{
	start();
	keep[0] = raw_take(&h, cache);
	set(keep[0], 1, 0, NULL);
	CHECK_EQ(set(NULL, 0, GCHEAP_FINALIZER_ALL, NULL), 0);
	await_event();
}

/* Freed by hand, an object is not finalized as well. */
TEST(early_free)
{
	struct gcheap_ready r[1];
	uint64_t *p;

	start();
	p = raw_take(&h, cache);
	CHECK_EQ(set(p, 1, 0, NULL), 0);
	raw_free(&h, p);
	marked();
	raw_verify(&h);
	CHECK_EQ(fetch(r, 1, NULL), 0);
	CHECK_EQ(raw_status(&h).finalizers, 0);
}

/* R19: a weak field is cleared though the finalizer will see the object. */
TEST(weak_field_to_a_finalizable_object)
{
	unsigned int holder;
	struct gcheap_ready r[1];

	start();
	holder = raw_typed(&h, 4, 1, 2);
	keep[0] = raw_take(&h, holder);
	keep[0][1] = (uintptr_t)raw_take(&h, cache);
	CHECK_EQ(set((void *)keep[0][1], 9, 0, NULL), 0);
	marked();
	CHECK_EQ(keep[0][1], 0);
	CHECK_EQ(fetch(r, 1, NULL), 1);
}

/* Cookies of what is fetched after a cycle, a bit each. */
static uint64_t died(void)
{
	struct gcheap_ready r[16];
	unsigned int n;
	uint64_t bits = 0;

	marked();
	n = fetch(r, 16, NULL);
	while (n--)
		bits |= 1ull << r[n].cookie;
	return bits;
}

/* Each refers to the one before it; not each has a finalizer. */
static void chain(unsigned int flags, unsigned int n)
{
	uint64_t *prev = NULL;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t *p = raw_take(&h, cache);

		p[0] = (uintptr_t)prev;
		if (i % 2 == 0)
			CHECK_EQ(set(p, i, flags, NULL), 0);
		prev = p;
	}
}

static void in_order(unsigned int concurrent)
{
	static const unsigned int flags[] = {
		GCHEAP_FINALIZER_ORDERED, GCHEAP_FINALIZER_BUT_SELF,
		GCHEAP_FINALIZER_UNREACHABLE,
	};

	start();
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, concurrent);
	for (unsigned int i = 0; i < 3; i++) {
		chain(flags[i], 6);
		CHECK_EQ(died(), 1 << 4);
		CHECK_EQ(raw_status(&h).finalizers, 2);
		CHECK_EQ(died(), 1 << 2);
		CHECK_EQ(died(), 1 << 0);
		CHECK_EQ(died(), 0);
	}
	chain(0, 6);
	CHECK_EQ(died(), 1 << 4 | 1 << 2 | 1 << 0);
}

TEST(ordered)
{
	in_order(1);
}

TEST(ordered_stopped)
{
	in_order(0);
}

TEST(circles)
{
	uint64_t *a, *b;

	start();
	a = raw_take(&h, cache);
	b = raw_take(&h, cache);
	a[0] = (uintptr_t)b;
	b[0] = (uintptr_t)a;
	CHECK_EQ(set(a, 1, GCHEAP_FINALIZER_ORDERED, NULL), 0);
	CHECK_EQ(died(), 0);
	CHECK_EQ(set(a, 1, GCHEAP_FINALIZER_BUT_SELF, NULL), 0);
	CHECK_EQ(died(), 0);
	b[0] = 0;
	a[0] = (uintptr_t)a;
	CHECK_EQ(died(), 1 << 1);
	a = raw_take(&h, cache);
	a[0] = (uintptr_t)a;
	CHECK_EQ(set(a, 1, GCHEAP_FINALIZER_ORDERED, NULL), 0);
	CHECK_EQ(died(), 0);
	CHECK_EQ(set(a, 2, 0, NULL), 0);
	CHECK_EQ(died(), 1 << 2);
}

/* What one without order leads to can be brought back by that. */
TEST(unreachable)
{
	uint64_t *a, *b;

	start();
	a = raw_take(&h, cache);
	b = raw_take(&h, cache);
	a[0] = (uintptr_t)b;
	CHECK_EQ(set(a, 1, 0, NULL), 0);
	CHECK_EQ(set(b, 2, GCHEAP_FINALIZER_UNREACHABLE, NULL), 0);
	CHECK_EQ(died(), 1 << 1);
	CHECK_EQ(died(), 1 << 2);
	CHECK_EQ(died(), 0);
}

/* Far into a large object. */
TEST(ordered_large)
{
	unsigned int large;
	uint64_t *a, *b;

	start();
	large = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	a = raw_try_large(&h, large, 8 << 20);
	b = raw_take(&h, cache);
	a[(8 << 20) / 8 - 1] = (uintptr_t)b;
	CHECK_EQ(set(a, 1, GCHEAP_FINALIZER_ORDERED, NULL), 0);
	CHECK_EQ(set(b, 2, GCHEAP_FINALIZER_ORDERED, NULL), 0);
	CHECK(raw_try_large(&h, large, 100000));	/* the last one made stays */
	CHECK_EQ(died(), 1 << 1);
	CHECK_EQ(died(), 1 << 2);
}

static void all_at_once(unsigned int concurrent)
{
	struct gcheap_ready r[8];

	start();
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, concurrent);
	for (unsigned int i = 0; i < 6; i++) {
		keep[i] = raw_take(&h, cache);
		keep[i][0] = (uintptr_t)keep[i];
		CHECK_EQ(set(keep[i], 1 + i, i % 2 ? GCHEAP_FINALIZER_ORDERED : 0, NULL), 0);
	}
	CHECK_EQ(set(NULL, 0, GCHEAP_FINALIZER_ALL, NULL), 0);
	CHECK_EQ(raw_status(&h).finalizers, 0);
	CHECK_EQ(raw_status(&h).finalizers_ready, 6);
	memset(keep, 0, sizeof(keep));
	CHECK_EQ(marked(), 6);
	CHECK_EQ(fetch(r, 8, NULL), 6);
	for (unsigned int i = 0; i < 6; i++)
		CHECK_EQ(*(uint64_t *)(uintptr_t)r[i].addr, r[i].addr);
	memset(r, 0, sizeof(r));
	CHECK_EQ(set(NULL, 0, GCHEAP_FINALIZER_ALL, NULL), 0);
	CHECK_EQ(marked(), 0);
	CHECK_EQ(fetch(r, 8, NULL), 0);
}

TEST(all)
{
	all_at_once(1);
}

TEST(all_stopped)
{
	all_at_once(0);
}

TEST(all_but_those_that_are_freed)
{
	struct gcheap_ready r[8];

	start();
	for (unsigned int i = 0; i < 6; i++) {
		keep[i] = raw_take(&h, cache);
		CHECK_EQ(set(keep[i], 1 + i, 0, NULL), 0);
	}
	CHECK_EQ(set(NULL, 0, GCHEAP_FINALIZER_ALL, NULL), 0);
	for (unsigned int i = 0; i < 6; i += 2)
		raw_free(&h, keep[i]);
	raw_flush(&h);
	raw_verify(&h);
	CHECK_EQ(fetch(r, 8, NULL), 3);
	for (unsigned int i = 0; i < 3; i++)
		CHECK(r[i].addr == (uintptr_t)keep[2 * i + 1] && r[i].cookie == 2 * i + 2);
	raw_verify(&h);
}

TEST(all_are_no_ones)
{
	uint64_t *p;

	start();
	keep[0] = p = raw_take(&h, cache);
	CHECK_ERR(set(p, 0, GCHEAP_FINALIZER_ALL, NULL), EINVAL);
	CHECK_ERR(set(NULL, 1, GCHEAP_FINALIZER_ALL, NULL), EINVAL);
}

TEST(orders_exclude_each_other)
{
	uint64_t *p;

	start();
	keep[0] = p = raw_take(&h, cache);
	for (unsigned int flags = 0; flags < 32; flags++) {
		if (!(flags & (flags - 1)))
			continue;
		CHECK_ERR(set(p, 1, flags, NULL), EINVAL);
	}
	CHECK_EQ(raw_status(&h).finalizers, 0);
}

TEST_MAIN
