// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Objects by the list, and the allocators that a program makes of them. */
#include "gone.h"
#include <gc/gc_inline.h>
#include <gc/gc_mark.h>

enum { PTRFREE, NORMAL, UNCOLLECTABLE, AUNCOLLECTABLE };

static int check_list(void *list, size_t bytes, int kind)
{
	int n = 0;

	for (void *p = list, *next; p; p = next, n++) {
		next = GC_NEXT(p);
		CHECK(GC_base(p) == p && GC_size(p) >= bytes);
		CHECK_EQ(GC_get_kind_and_size(p, NULL), kind);
		CHECK_EQ((unsigned long)p % GC_GRANULE_BYTES, 0);
		for (size_t i = 1; kind == NORMAL && i < bytes / sizeof(void *); i++)
			CHECK(!((void **)p)[i]);
	}
	return n;
}

TEST(lists_of_any_size)
{
	GC_INIT();
	for (size_t bytes = 1; bytes < 100000; bytes = bytes * 5 / 4 + 1)
		CHECK(check_list(GC_malloc_many(bytes), bytes, NORMAL) > 0);
	CHECK(check_list(GC_malloc_many(0), 0, NORMAL) > 0);
}

TEST(lists_of_a_kind)
{
	void *list;

	GC_INIT();
	for (size_t bytes = 16; bytes < 100000; bytes *= 2) {
		for (int kind = PTRFREE; kind <= AUNCOLLECTABLE; kind++) {
			list = NULL;
			GC_generic_malloc_many(bytes, kind, &list);
			CHECK(check_list(list, bytes, kind) > 0);
		}
	}
}

TEST(a_list_keeps_its_objects)
{
	static void *volatile list;
	int n = 0;

	GC_INIT();
	list = GC_malloc_many(64);
	for (void **p = list; p; p = *p)
		p[1] = leaf(), n++;
	CHECK(n > 1);
	CHECK_EQ(gone_after_collections(), 0);
	CHECK_EQ(check_list(GC_malloc_many(64), 64, NORMAL) > 0, 1);
	for (void **p = list; p; p = *p)
		n--;
	CHECK_EQ(n, 0);
}

TEST(lists_of_kinds_of_the_program)
{
	static const GC_word descr[] = {
		1ul << 63 | GC_DS_BITMAP, 1ul << 62 | GC_DS_BITMAP,
		GC_DS_LENGTH, 8 | GC_DS_LENGTH,
	};
	static void *volatile list;

	GC_INIT();
	for (int i = 0; i < 4; i++) {
		int kind = GC_new_kind(GC_new_free_list(), descr[i], 0, 1);
		void *p;

		GC_generic_malloc_many(48, kind, &p);
		list = p;
		CHECK(check_list(list, 48, kind) > 0);
	}
}

static unsigned long hidden[N];
static int nhidden;

static __attribute__((noinline)) void make_uncollectable(void)
{
	void **p;

	GC_generic_malloc_many(64, UNCOLLECTABLE, (void **)&p);
	for (; p && nhidden < N; p = *p) {
		p[1] = leaf();
		hidden[nhidden++] = ~(unsigned long)p;
	}
}

static __attribute__((noinline)) void free_uncollectable(void)
{
	while (nhidden)
		GC_free((void *)~hidden[--nhidden]);
}

TEST(lists_of_uncollectable_objects)
{
	int n;

	GC_INIT();
	while (nhidden < N / 2)
		make_uncollectable();
	CHECK_EQ(gone_after_collections(), 0);
	n = nhidden;
	free_uncollectable();
	CHECK(gone_after_collections() >= n * 3 / 4);
}

/* ---- as gc_inline.h has it */

static void *tiny[GC_TINY_FREELISTS], *tiny_atomic[GC_TINY_FREELISTS];

/* bdwgc does not search the last word of these. */
static __attribute__((noinline)) void make_words(size_t words)
{
	void **p;

	for (int i = 0; i < N; i++) {
		GC_MALLOC_WORDS(p, words, tiny);
		for (size_t w = 0; w < words; w++)
			CHECK(!p[w]);
		CHECK(GC_size(p) >= words * sizeof(void *));
		if (words > 2)
			p[words - 2] = leaf();
		kept[i] = p;
	}
}

TEST(allocators_in_line)
{
	GC_INIT();
	for (size_t words = 1; words < 70; words += 7) {
		new_sample();
		make_words(words);
		CHECK_EQ(gone_after_collections(), 0);
	}
	drop();
	CHECK_GONE(gone_after_collections());
}

TEST(all_bytes_of_a_pair_are_moved)
{
	void **pair, **moved;

	GC_INIT();
	GC_CONS(pair, &tiny, &pair, tiny);
	CHECK_EQ(GC_size(pair) >= 2 * sizeof(void *), 1);
	moved = GC_REALLOC(pair, 500);
	CHECK(moved && moved[0] == &tiny && moved[1] == &pair && !moved[2]);
	GC_MALLOC_ATOMIC_WORDS(pair, 2, tiny_atomic);
	pair[1] = &pair;
	moved = GC_REALLOC(pair, 500);
	CHECK(moved && moved[1] == &pair);
}

static void *GC_CALLBACK hard_up(size_t bytes)
{
	return NULL;
}

TEST(no_memory_for_a_list)
{
	volatile size_t most = SIZE_MAX;
	void *list = &list;

	GC_INIT();
	GC_set_warn_proc(GC_ignore_warn_proc);
	GC_set_oom_fn(hard_up);
	CHECK(!GC_malloc_many(most));
	CHECK(!GC_malloc_many(most / 2));
	GC_generic_malloc_many(most & -GC_GRANULE_BYTES, NORMAL, &list);
	CHECK(!list);
}

TEST_MAIN
