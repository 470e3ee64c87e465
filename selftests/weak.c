// SPDX-License-Identifier: GPL-2.0-only
/* Weak fields: they keep nothing, and are 0 as soon as what they mean is gone. */
#include "raw.h"

static struct raw h;
static unsigned int leaf, holder;
static uint64_t *keep[8];

static void start(void)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	leaf = raw_cache(&h, GCHEAP_NOSCAN, 32);
	holder = raw_typed(&h, 8, 0x0f, 0xf0);	/* four strong, four weak */
	raw_root(&h, 0, keep, sizeof(keep), NULL);
}

static uint64_t new_leaf(void)
{
	return (uintptr_t)raw_take(&h, leaf);
}

static uint64_t marked(void)
{
	raw_flush(&h);
	raw_collect(&h);
	raw_verify(&h);
	return raw_status(&h).marked_objects;
}

TEST(cleared)
{
	start();
	keep[0] = raw_take(&h, holder);
	keep[1] = (void *)new_leaf();
	keep[0][4] = (uintptr_t)keep[1];
	keep[0][5] = new_leaf();
	keep[0][6] = new_leaf() + 7;		/* interior */
	keep[0][0] = keep[0][7] = new_leaf();	/* strong as well */
	CHECK_EQ(marked(), 3);
	CHECK_EQ(keep[0][4], (uintptr_t)keep[1]);
	CHECK_EQ(keep[0][5], 0);
	CHECK_EQ(keep[0][6], 0);
	CHECK_EQ(keep[0][7], keep[0][0]);
	CHECK_EQ(raw_status(&h).weak_cleared, 2);
	keep[1] = NULL;
	keep[0][0] = 0;
	CHECK_EQ(marked(), 1);
	CHECK_EQ(keep[0][4], 0);
	CHECK_EQ(keep[0][7], 0);
	CHECK_EQ(raw_status(&h).weak_cleared, 4);
}

TEST(what_is_no_reference_stays)
{
	start();
	keep[0] = raw_take(&h, holder);
	keep[0][4] = 42;
	keep[0][5] = ~0ull;
	keep[0][6] = (uintptr_t)&keep;
	keep[0][7] = (uintptr_t)h.base + h.setup.heap_size;
	CHECK_EQ(marked(), 1);
	CHECK_EQ(keep[0][4], 42);
	CHECK_EQ(keep[0][5], ~0ull);
	CHECK_EQ(keep[0][6], (uintptr_t)&keep);
	CHECK_EQ(keep[0][7], (uintptr_t)h.base + h.setup.heap_size);
}

TEST(to_each_other)
{
	start();
	keep[0] = raw_take(&h, holder);
	keep[1] = raw_take(&h, holder);
	keep[0][4] = (uintptr_t)keep[1];
	keep[1][4] = (uintptr_t)keep[0];
	keep[0][5] = (uintptr_t)keep[0];
	CHECK_EQ(marked(), 2);
	CHECK_EQ(keep[0][4], (uintptr_t)keep[1]);
	CHECK_EQ(keep[0][5], (uintptr_t)keep[0]);
	keep[1] = NULL;
	CHECK_EQ(marked(), 1);
	CHECK_EQ(keep[0][4], 0);
	CHECK_EQ(keep[0][5], (uintptr_t)keep[0]);
}

/* Thousands, half of them dead, holders spread over many spans. */
TEST(many)
{
	enum { N = 5000 };
	uint64_t *o, cleared = 0;

	start();
	for (int i = 0; i < N; i++) {
		o = raw_take(&h, holder);
		o[0] = (uintptr_t)keep[0];
		keep[0] = o;
		o[4] = new_leaf();
		o[5] = new_leaf();
		o[1] = o[5];
	}
	CHECK_EQ(marked(), N * 2);
	for (o = keep[0]; o; o = (uint64_t *)o[0]) {
		cleared += !o[4];
		CHECK_EQ(o[5], o[1]);
	}
	CHECK_EQ(cleared, N);
}

TEST(elements_and_large_objects)
{
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_TYPED, 0);
	uint64_t strong = 1, weak = 2;
	enum { ELEMS = 20000 };

	start();
	c.fixed_words = 1;
	c.elem_words = 2;
	c.elem_map = (uintptr_t)&strong;
	c.elem_weak = (uintptr_t)&weak;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	keep[0] = raw_try_large(&h, c.cache, (1 + 2 * ELEMS) * 8);
	CHECK(keep[0]);
	for (int i = 0; i < ELEMS; i += 50) {
		keep[0][1 + 2 * i] = new_leaf();
		keep[0][2 + 2 * i] = i % 100 ? new_leaf() : keep[0][1 + 2 * i];
	}
	CHECK_EQ(marked(), 1 + ELEMS / 50);
	for (int i = 0; i < ELEMS; i += 50)
		CHECK_EQ(keep[0][2 + 2 * i], i % 100 ? 0 : keep[0][1 + 2 * i]);
}

/* The tag goes with the reference, and with the masked address it is decided. */
TEST(tagged)
{
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_TYPED, 32);
	uint64_t weak = 0xf;

	start();
	c.fixed_words = 4;
	c.fixed_map = (uintptr_t)&(uint64_t){ 0 };
	c.fixed_weak = (uintptr_t)&weak;
	c.tag_bits = 3;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	keep[0] = raw_take(&h, c.cache);
	keep[1] = (void *)new_leaf();
	keep[0][0] = (uintptr_t)keep[1] | 5;
	keep[0][1] = new_leaf() | 3;
	CHECK_EQ(marked(), 2);
	CHECK_EQ(keep[0][0], (uintptr_t)keep[1] | 5);
	CHECK_EQ(keep[0][1], 0);
}

/* Ephemerons: values live as long as their keys do. */
TEST(ephemerons)
{
	unsigned int pairs;

	start();
	pairs = raw_pairs(&h, 0, 8, 0, 0);
	keep[0] = raw_take(&h, pairs);
	keep[1] = raw_take(&h, holder);
	keep[0][0] = (uintptr_t)keep[1];		/* its value has the next one's key */
	keep[0][1] = (uintptr_t)raw_take(&h, holder);
	((uint64_t *)keep[0][1])[0] = keep[0][2] = new_leaf();
	keep[0][3] = new_leaf();
	keep[0][4] = (uintptr_t)raw_take(&h, holder);	/* kept by its own value alone */
	keep[0][5] = (uintptr_t)raw_take(&h, holder);
	((uint64_t *)keep[0][5])[0] = keep[0][4];
	keep[0][6] = 1;					/* is no object: for ever */
	keep[0][7] = new_leaf();
	CHECK_EQ(marked(), 6);
	CHECK(keep[0][0] && keep[0][1] && keep[0][2] && keep[0][3] && keep[0][7]);
	CHECK_EQ(keep[0][4] | keep[0][5], 0);
	CHECK_EQ(raw_status(&h).weak_cleared, 1);
	keep[1] = NULL;
	CHECK_EQ(marked(), 2);
	CHECK_EQ(keep[0][0] | keep[0][1] | keep[0][2] | keep[0][3], 0);
	CHECK_EQ(keep[0][6], 1);
	CHECK_EQ(raw_status(&h).weak_cleared, 3);
}

/* A chain through a table of its own, against the order of memory and with it. */
TEST(ephemerons_in_chains)
{
	enum { N = 20000 };
	unsigned int pairs = 0;
	uint64_t *o, n;

	for (int way = 0; way < 2; way++) {
		start();
		pairs = raw_pairs(&h, 0, 0, 0, 0);
		keep[0] = raw_try_large(&h, pairs, N * 16);
		CHECK(keep[0]);
		keep[1] = o = (void *)new_leaf();
		for (int i = 0; i < N; i++) {
			uint64_t *pair = keep[0] + 2 * (way ? N - 1 - i : i);

			pair[0] = (uintptr_t)o;
			pair[1] = new_leaf();
			o = (void *)pair[1];
		}
		CHECK_EQ(marked(), N + 2);
		keep[1] = NULL;
		CHECK_EQ(marked(), 1);
		n = 0;
		for (int i = 0; i < 2 * N; i++)
			n += !keep[0][i];
		CHECK_EQ(n, 2 * N);
	}
}

/* A layout that is none of ephemerons. */
TEST(ephemerons_need_one_key)
{
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_TYPED, 64);
	uint64_t two = 3, value = 4, none = 0, key = 1;

	start();
	c.flags = GCHEAP_CACHE_EPHEMERON;
	c.fixed_words = 1;
	c.elem_words = 3;
	c.elem_map = (uintptr_t)&value;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), EINVAL);
	c.elem_weak = (uintptr_t)&two;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), EINVAL);
	c.elem_weak = (uintptr_t)&none;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), EINVAL);
	c.elem_weak = (uintptr_t)&key;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	c = raw_cache_arg(GCHEAP_CONSERVATIVE, 64);
	c.flags = GCHEAP_CACHE_EPHEMERON;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), EINVAL);
}

TEST_MAIN
