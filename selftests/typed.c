// SPDX-License-Identifier: GPL-2.0-only
/* Typed layouts: maps, arrays, length words, tag bits. Exact counts. */
#include "raw.h"

static struct raw h;
static unsigned int leaf;
static uint64_t *keep[4];

static void start(void)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	leaf = raw_cache(&h, GCHEAP_NOSCAN, 16);
	raw_root(&h, 0, keep, sizeof(keep), NULL);
}

static uint64_t new_leaf(void)
{
	return (uintptr_t)raw_take(&h, leaf);
}

/* Leaves that are alive; each test keeps one object of its own. */
static uint64_t leaves(void)
{
	raw_flush(&h);
	raw_collect(&h);
	raw_verify(&h);
	return raw_status(&h).marked_objects - 1;
}

static unsigned int create(struct gcheap_cache_create c)
{
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	return c.cache;
}

TEST(every_word_of_a_fixed_map)
{
	start();
	for (int word = 0; word < 64; word++) {
		keep[0] = raw_take(&h, raw_typed(&h, 64, 1ull << word, 0));
		for (int i = 0; i < 64; i++)
			keep[0][i] = new_leaf();
		uint64_t want = keep[0][word];

		CHECK_EQ(leaves(), 1);
		CHECK(raw_is_live(&h, want));
	}
}

TEST(all_and_none)
{
	start();
	keep[0] = raw_take(&h, raw_typed(&h, 64, ~0ull, 0));
	for (int i = 0; i < 64; i++)
		keep[0][i] = new_leaf();
	CHECK_EQ(leaves(), 64);
	keep[0] = raw_take(&h, raw_typed(&h, 64, 0, 0));
	for (int i = 0; i < 64; i++)
		keep[0][i] = new_leaf();
	CHECK_EQ(leaves(), 0);
}

/* The longest map: 512 words, every third of them. */
TEST(long_map)
{
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_TYPED, 4096);
	uint64_t map[8] = { 0 };

	start();
	for (int i = 0; i < 512; i += 3)
		map[i / 64] |= 1ull << (i % 64);
	c.fixed_words = 512;
	c.fixed_map = (uintptr_t)map;
	keep[0] = raw_take(&h, create(c));
	for (int i = 0; i < 512; i++)
		keep[0][i] = new_leaf();
	CHECK_EQ(leaves(), 171);
}

/* Two fixed words, then elements of three words whose middle one is a reference. */
static unsigned int array(uint32_t bytes, uint32_t length_word, uint32_t flags)
{
	static uint64_t fixed = 1, elem = 2;
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_TYPED, bytes);

	c.flags |= flags;
	c.fixed_words = 2;
	c.fixed_map = (uintptr_t)&fixed;
	c.elem_words = 3;
	c.elem_map = (uintptr_t)&elem;
	c.length_word = length_word;
	return create(c);
}

TEST(array_without_length)
{
	start();
	keep[0] = raw_take(&h, array(320, GCHEAP_NO_LENGTH, 0));	/* 40 words: 12 elements */
	for (int i = 0; i < 40; i++)
		keep[0][i] = new_leaf();
	CHECK_EQ(leaves(), 1 + 12);
}

TEST(array_with_length)
{
	/* More than fit, or nonsense, is as many as fit. */
	static const uint64_t length[] = { 0, 1, 5, 12, 13, 1000, 1ull << 32, 1ull << 62, ~0ull };

	start();
	for (size_t k = 0; k < sizeof(length) / sizeof(*length); k++) {
		keep[0] = raw_take(&h, array(320, 1, 0));
		for (int i = 0; i < 40; i++)
			keep[0][i] = new_leaf();
		keep[0][1] = length[k];
		CHECK_EQ(leaves(), 1 + (length[k] < 12 ? length[k] : 12));
		/* It can change. */
		keep[0][1] = 3;
		CHECK_EQ(leaves(), 1 + (length[k] < 3 ? length[k] : 3));
	}
}

TEST(large_array)
{
	enum { ELEMS = 50000 };

	start();
	keep[0] = raw_try_large(&h, array(0, 1, 0), (2 + 3 * ELEMS) * 8);
	CHECK(keep[0]);
	for (int i = 0; i < ELEMS; i += 100)
		for (int k = 0; k < 3; k++)
			keep[0][2 + i * 3 + k] = new_leaf();
	keep[0][0] = new_leaf();
	keep[0][1] = ELEMS;
	CHECK_EQ(leaves(), 1 + ELEMS / 100);
	keep[0][1] = 10001;
	CHECK_EQ(leaves(), 1 + 101);
}

TEST(tag_bits)
{
	start();
	for (unsigned int bits = 0; bits <= 4; bits++) {
		struct gcheap_cache_create c = raw_cache_arg(GCHEAP_TYPED, 128);
		uint64_t map = 0xffff;

		c.fixed_words = 16;
		c.fixed_map = (uintptr_t)&map;
		c.tag_bits = bits;
		keep[0] = raw_take(&h, create(c));
		for (int i = 0; i < 16; i++)
			keep[0][i] = new_leaf() | (i & ((1 << bits) - 1));
		CHECK_EQ(leaves(), 16);
	}
}

/* "Anything that is no heap address" is no reference, and no harm. */
TEST(words_that_are_no_references)
{
	start();
	keep[0] = raw_take(&h, raw_typed(&h, 8, 0xff, 0));
	keep[0][0] = 0;
	keep[0][1] = ~0ull;
	keep[0][2] = 1;
	keep[0][3] = (uintptr_t)h.base - 1;
	keep[0][4] = (uintptr_t)h.base + h.setup.heap_size;
	keep[0][5] = (uintptr_t)h.meta;
	keep[0][6] = 0xffff888000000000ull;
	keep[0][7] = (uintptr_t)h.base + h.setup.heap_size - 8;
	CHECK_EQ(leaves(), 0);
}

/* A typed field means the object it points into, not the one it points past. */
TEST(boundary_is_the_next_cell)
{
	uint64_t a, b;

	start();
	a = new_leaf();
	b = new_leaf();
	CHECK_EQ(b, a + 16);
	keep[0] = raw_take(&h, raw_typed(&h, 2, 3, 0));
	keep[0][0] = a + 16;
	CHECK_EQ(leaves(), 1);
	CHECK(raw_is_live(&h, b));
}

TEST(interior)
{
	start();
	unsigned int big = raw_typed(&h, 64, 1, 0);
	uint64_t *o = raw_take(&h, big);

	keep[0] = raw_take(&h, raw_typed(&h, 2, 3, 0));
	keep[0][0] = (uintptr_t)o + 511;
	o[0] = new_leaf();
	CHECK_EQ(leaves(), 2);
}

TEST_MAIN
