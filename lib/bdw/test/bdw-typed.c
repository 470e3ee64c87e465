// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Objects that the program describes: where pointers keep what they point to. */
#include "gone.h"
#include <gc/gc_mark.h>
#include <gc/gc_typed.h>

#define WORDS	600

/* A descriptor of @n words; pointers are those in @at, up to a negative number. */
static GC_descr describe(size_t n, const int *at)
{
	GC_word bits[WORDS / GC_WORDSZ + 1] = { 0 };

	for (; *at >= 0; at++)
		GC_set_bit(bits, *at);
	return GC_make_descriptor(bits, n);
}

#define DESCRIBE(n, ...) describe(n, (const int[]){ __VA_ARGS__, -1 })

/*
 * Objects of @bytes, or arrays of @elems elements of so many, with the only pointers to
 * leaves in word @word.
 */
static __attribute__((noinline)) void make(GC_descr d, size_t bytes, size_t elems, int word)
{
	for (int i = 0; i < N; i++) {
		void **p = elems ? GC_CALLOC_EXPLICITLY_TYPED(elems, bytes, d) :
				   GC_MALLOC_EXPLICITLY_TYPED(bytes, d);

		CHECK(p && GC_size(p) >= bytes * (elems ? elems : 1));
		CHECK((size_t)word * 8 < GC_size(p) && !p[word]);
		p[word] = leaf();
		kept[i] = p;
	}
}

static int lost(GC_descr d, size_t bytes, size_t elems, int word)
{
	new_sample();
	make(d, bytes, elems, word);
	return gone_after_collections();
}

#define KEEPS(...)	CHECK_EQ(lost(__VA_ARGS__), 0)
#define LOSES(...)	CHECK_GONE(lost(__VA_ARGS__))

TEST(descriptors)
{
	GC_word bits[2] = { 1, 1 };

	GC_INIT();
	CHECK_EQ(DESCRIBE(3, 0, 2), 0xaul << 60 | GC_DS_BITMAP);
	CHECK_EQ(DESCRIBE(3, 0, 1, 2), 24 | GC_DS_LENGTH);
	CHECK_EQ(DESCRIBE(60, 0), 8 | GC_DS_LENGTH);
	CHECK_EQ(DESCRIBE(64, 0, 61), 1ul << 63 | 1 << 2 | GC_DS_BITMAP);
	CHECK_EQ(GC_make_descriptor(bits, 0), 0);
	CHECK_EQ(GC_make_descriptor(bits, 64), 8);
	bits[0] = 0;
	CHECK_EQ(GC_make_descriptor(bits, 64), 0);
	CHECK(DESCRIBE(64, 0, 62) != DESCRIBE(64, 1, 62));
}

TEST(short_maps)
{
	GC_INIT();
	KEEPS(DESCRIBE(8, 1, 3), 64, 0, 3);
	LOSES(DESCRIBE(8, 1, 3), 64, 0, 2);
	KEEPS(DESCRIBE(8, 5), 60, 0, 5);
	LOSES(DESCRIBE(8, 5), 64, 0, 7);
	KEEPS(DESCRIBE(62, 0, 61), 500, 0, 61);
	LOSES(DESCRIBE(62, 0, 61), 500, 0, 60);
}

TEST(prefixes)
{
	GC_INIT();
	KEEPS(DESCRIBE(4, 0, 1, 2, 3), 64, 0, 3);
	LOSES(DESCRIBE(4, 0, 1, 2, 3), 64, 0, 4);
	KEEPS(DESCRIBE(4, 0, 1, 2, 3), 32, 0, 3);
	LOSES(DESCRIBE(4, 0), 32, 0, 1);
}

TEST(no_pointers)
{
	const GC_word none = 0;

	GC_INIT();
	LOSES(GC_make_descriptor(&none, 8), 64, 0, 0);
	LOSES(GC_make_descriptor(&none, 8), 64, 10, 8);
}

TEST(long_maps)
{
	GC_INIT();
	KEEPS(DESCRIBE(64, 0, 63), 512, 0, 63);
	LOSES(DESCRIBE(64, 0, 63), 512, 0, 62);
	KEEPS(DESCRIBE(200, 3, 150), 1600, 0, 150);
	LOSES(DESCRIBE(200, 3, 150), 1600, 0, 149);
	KEEPS(DESCRIBE(512, 511), 4096, 0, 511);
	/* Longer ones may be searched in whole. */
	KEEPS(DESCRIBE(WORDS, 3, 590), WORDS * 8, 0, 590);
	KEEPS(DESCRIBE(WORDS, 3, 590), WORDS * 8, 0, 3);
}

TEST(long_maps_are_told_apart)
{
	GC_descr d[50];

	GC_INIT();
	for (int i = 0; i < 50; i++)
		d[i] = DESCRIBE(200, i, 100 + i);
	for (int i = 0; i < 50; i += 10) {
		KEEPS(d[i], 1600, 0, 100 + i);
		KEEPS(d[i], 1600, 0, i);
		LOSES(d[i], 1600, 0, i + 1);
	}
}

TEST(large_objects)
{
	GC_INIT();
	KEEPS(DESCRIBE(8, 1, 3), 50000, 0, 3);
	LOSES(DESCRIBE(8, 1, 3), 50000, 0, 4);
	LOSES(DESCRIBE(8, 1, 3), 50000, 0, 5000);
}

TEST(ignore_off_page)
{
	static void **p;

	GC_INIT();
	p = GC_malloc_explicitly_typed_ignore_off_page(50000, DESCRIBE(8, 1, 3));
	CHECK(p && GC_size(p) >= 50000 && !p[6000]);
}

TEST(arrays)
{
	GC_INIT();
	for (int elems = 1; elems < 1000; elems = elems * 3 + 1) {
		KEEPS(DESCRIBE(5, 1, 3), 40, elems, (elems - 1) * 5 + 3);
		LOSES(DESCRIBE(5, 1, 3), 40, elems, (elems - 1) * 5 + 2);
		KEEPS(DESCRIBE(5, 1, 3), 40, elems, elems / 2 * 5 + 1);
	}
	KEEPS(DESCRIBE(2, 0, 1), 16, 100, 177);
	LOSES(DESCRIBE(2, 1), 16, 100, 176);
	KEEPS(DESCRIBE(2, 1), 16, 3000, 5555);
}

TEST(arrays_of_large_elements)
{
	GC_INIT();
	KEEPS(DESCRIBE(100, 3, 80), 800, 10, 580);
	LOSES(DESCRIBE(100, 3, 80), 800, 10, 581);
	KEEPS(DESCRIBE(WORDS, 3, 590), WORDS * 8, 3, 2 * WORDS + 590);
	KEEPS(DESCRIBE(8, 3), WORDS * 8, 3, 2 * WORDS + 3);
}

static __attribute__((noinline)) void soil(GC_descr d, size_t bytes)
{
	for (int i = 0; i < 2000; i++)
		memset(GC_malloc_explicitly_typed(bytes, d), 0xa5, bytes);
}

TEST(objects_are_clear)
{
	const GC_word none = 0;
	GC_descr d[3];

	GC_INIT();
	d[0] = GC_make_descriptor(&none, 8);
	d[1] = DESCRIBE(8, 0, 2);
	d[2] = DESCRIBE(8, 0, 1);
	for (int k = 0; k < 3; k++) {
		for (int round = 0; round < 4; round++) {
			soil(d[k], 200);
			GC_gcollect();
		}
		for (int i = 0; i < 2000; i++) {
			char *p = GC_malloc_explicitly_typed(200, d[k]);

			for (int j = 0; j < 200; j++)
				CHECK(!p[j]);
		}
	}
}

/* Anything may be in a pointer word, and be where there is no object. */
TEST(words_that_are_no_pointers)
{
	static unsigned long **all;
	unsigned long heap;

	GC_INIT();
	all = GC_MALLOC(N * sizeof(*all));
	heap = (unsigned long)all;
	for (int i = 0; i < N; i++) {
		all[i] = GC_MALLOC_EXPLICITLY_TYPED(64, DESCRIBE(8, 1, 3));
		all[i][1] = heap + (i - N / 2) * 4099l;
		all[i][3] = i % 2 ? -1ul << i % 60 : 1ul;
	}
	gone_after_collections();
	for (int i = 0; i < N; i++)
		CHECK_EQ(all[i][1], heap + (i - N / 2) * 4099l);
}

/* More types and sizes than there may be caches. */
TEST(more_types_than_can_be_had)
{
	static void ***all;
	int n = 0;

	GC_INIT();
	all = GC_MALLOC(50 * 60 * sizeof(*all));
	for (int type = 0; type < 50; type++)
		for (int size = 1; size <= 60; size++, n++) {
			all[n] = GC_MALLOC_EXPLICITLY_TYPED(size * 50 + 408,
							    DESCRIBE(60, type, 50));
			CHECK(all[n] && !all[n][50]);
			all[n][50] = leaf();
			all[n][type] = leaf();
		}
	CHECK_EQ(gone_after_collections(), 0);
	for (size_t size = 1; size < 40000; size += size / 4 + 1)
		CHECK(GC_MALLOC(size) && GC_MALLOC_ATOMIC(size));
}

static void *thread(void *arg)
{
	long seed = (long)arg;
	void ***all = GC_MALLOC(N * sizeof(*all));

	for (int i = 0; i < N; i++) {
		GC_descr d = DESCRIBE(8, (i + seed) % 7, 7);

		all[i] = GC_MALLOC_EXPLICITLY_TYPED(i * 16 + 64, d);
		all[i][7] = leaf();
	}
	usleep(100000);
	return all;
}

TEST(threads)
{
	pthread_t t[4];
	static void ***all[4];

	GC_INIT();
	for (long i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, thread, (void *)i), 0);
	for (int i = 0; i < 10; i++)
		GC_gcollect();
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], (void **)&all[i]), 0);
	CHECK_EQ(gone_after_collections(), 0);
}

TEST(sizes_without_end)
{
	volatile size_t most = SIZE_MAX;
	GC_descr d[3];

	GC_INIT();
	expect_no_memory();
	d[0] = DESCRIBE(8, 1);
	d[1] = DESCRIBE(8, 0, 1);
	d[2] = DESCRIBE(100, 1, 80);
	for (int i = 0; i < 3; i++) {
		CHECK_FAILS(GC_malloc_explicitly_typed(most, d[i]));
		CHECK_FAILS(GC_malloc_explicitly_typed(most / 2, d[i]));
		CHECK_FAILS(GC_malloc_explicitly_typed_ignore_off_page(most - 7, d[i]));
		CHECK_FAILS(GC_calloc_explicitly_typed(most, 8, d[i]));
		CHECK_FAILS(GC_calloc_explicitly_typed(8, most, d[i]));
		CHECK_FAILS(GC_calloc_explicitly_typed(most >> 31, most >> 31, d[i]));
		CHECK_FAILS(GC_calloc_explicitly_typed(most >> 33, most >> 32, d[i]));
	}
}

TEST_MAIN
