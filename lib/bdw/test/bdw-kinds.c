// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Kinds of objects: bdwgc's own by number, those that the program makes, and gcj's. */
#include "gone.h"
#include <gc/gc_gcj.h>
#include <gc/gc_inline.h>
#include <gc/gc_mark.h>

enum { PTRFREE, NORMAL, UNCOLLECTABLE, AUNCOLLECTABLE };

static int kind_of(const void *p)
{
	return GC_get_kind_and_size(p, NULL);
}

/* Addresses that no one but the collector knows. */
static unsigned long hidden[N];

static void *seek(int i)
{
	return (void *)~hidden[i];
}

/* Objects of a kind, each with the only pointer to a leaf in its word @word. */
static __attribute__((noinline)) void make(int kind, size_t bytes, int word)
{
	for (int i = 0; i < N; i++) {
		void **p = GC_generic_malloc(bytes, kind);

		CHECK(p && GC_size(p) >= bytes && kind_of(p) == kind);
		p[word] = leaf();
		kept[i] = p;
	}
}

static int lost(int kind, size_t bytes, int word)
{
	new_sample();
	make(kind, bytes, word);
	return gone_after_collections();
}

TEST(own_kinds)
{
	size_t size;
	void *p;

	GC_INIT();
	for (int kind = PTRFREE; kind <= AUNCOLLECTABLE; kind++) {
		p = GC_generic_malloc(100, kind);
		CHECK(p && GC_size(p) >= 100);
		CHECK_EQ(GC_get_kind_and_size(p, &size), kind);
		CHECK_EQ(size, GC_size(p));
		CHECK_EQ(kind_of(GC_generic_or_special_malloc(100, kind)), kind);
		CHECK_EQ(kind_of(GC_generic_malloc_ignore_off_page(100000, kind)), kind);
	}
	CHECK_EQ(kind_of(GC_malloc(5000)), NORMAL);
	CHECK_EQ(kind_of(GC_malloc_atomic(5000)), PTRFREE);
	CHECK_EQ(kind_of(GC_malloc_uncollectable(5000)), UNCOLLECTABLE);
	CHECK_EQ(kind_of(GC_malloc_atomic_uncollectable(5000)), AUNCOLLECTABLE);
	CHECK_EQ(kind_of(GC_malloc_kind(10, NORMAL)), NORMAL);
	CHECK_EQ(kind_of(GC_malloc_kind_global(10, PTRFREE)), PTRFREE);
	CHECK_EQ(kind_of(GC_generic_malloc_uncollectable(10, UNCOLLECTABLE)), UNCOLLECTABLE);
}

TEST(new_kinds_are_numbered)
{
	unsigned int first;

	GC_INIT();
	first = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
	CHECK(first > AUNCOLLECTABLE);
	CHECK_EQ(GC_new_kind_inner(GC_new_free_list_inner(), GC_DS_LENGTH, 1, 1), first + 1);
	CHECK_EQ(kind_of(GC_malloc_kind(10, first)), first);
	CHECK_EQ(kind_of(GC_malloc_kind(10, first + 1)), first + 1);
	CHECK_EQ(kind_of(GC_malloc_kind(100000, first)), first);
}

TEST(wholly_conservative)
{
	int kind;

	GC_INIT();
	kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
	CHECK_EQ(lost(kind, 64, 6), 0);
	CHECK_EQ(lost(kind, 3000, 370), 0);
	drop();
	CHECK_GONE(gone_after_collections());
}

TEST(pointer_free)
{
	int kind;

	GC_INIT();
	kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 0, 1);
	CHECK_GONE(lost(kind, 64, 6));
}

TEST(a_fixed_length)
{
	int kind;

	GC_INIT();
	kind = GC_new_kind(GC_new_free_list(), 32 | GC_DS_LENGTH, 0, 1);
	CHECK_EQ(lost(kind, 64, 3), 0);
	CHECK_GONE(lost(kind, 64, 4));
}

TEST(a_bit_map)
{
	int kind;

	GC_INIT();
	kind = GC_new_kind(GC_new_free_list(), 0xaul << 60 | GC_DS_BITMAP, 0, 1);
	CHECK_EQ(lost(kind, 64, 2), 0);
	CHECK_GONE(lost(kind, 64, 1));
	CHECK_EQ(lost(kind, 100000, 0), 0);
	CHECK_GONE(lost(kind, 1000, 60));
}

static __attribute__((noinline)) void make_described(int kind)
{
	for (int i = 0; i < N; i++) {
		void **p = GC_malloc_kind(64, kind);

		p[0] = (void *)(64ul | GC_DS_LENGTH);
		p[1] = leaf();
		kept[i] = p;
	}
}

TEST(a_descriptor_in_each_object)
{
	GC_INIT();
	make_described(GC_new_kind(GC_new_free_list(), GC_DS_PER_OBJECT, 0, 1));
	CHECK_EQ(gone_after_collections(), 0);
	drop();
	CHECK_GONE(gone_after_collections());
}

/* The middle of an object, and one past its end. */
static __attribute__((noinline)) void make_interior(int kind, int at)
{
	for (int i = 0; i < N; i++) {
		void **p = GC_malloc_kind(16, kind);

		p[0] = (char *)leaf() + at;
		kept[i] = p;
	}
}

TEST(a_bit_map_has_interior_pointers)
{
	int kind;

	GC_INIT();
	kind = GC_new_kind(GC_new_free_list(), 1ul << 63 | GC_DS_BITMAP, 0, 1);
	make_interior(kind, 17);
	CHECK_EQ(gone_after_collections(), 0);
	new_sample();
	make_interior(kind, 32);
	CHECK_EQ(gone_after_collections(), 0);
}

static int is_zero(const char *p, size_t n)
{
	while (n && !p[n - 1])
		n--;
	return !n;
}

static __attribute__((noinline)) void soil(int kind, size_t bytes)
{
	for (int i = 0; i < 2000; i++)
		memset(GC_malloc_kind(bytes, kind), 0xa5, bytes);
}

TEST(new_objects_are_clear)
{
	int kinds[3];

	GC_INIT();
	kinds[0] = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
	kinds[1] = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 0, 1);
	kinds[2] = GC_new_kind(GC_new_free_list(), 1ul << 63 | GC_DS_BITMAP, 0, 1);
	for (int k = 0; k < 3; k++) {
		for (int round = 0; round < 4; round++) {
			soil(kinds[k], 200);
			GC_gcollect();
		}
		for (int i = 0; i < 2000; i++)
			CHECK(is_zero(GC_malloc_kind(200, kinds[k]), 200));
	}
}

TEST(realloc_keeps_the_kind)
{
	int kind;
	char *p;

	GC_INIT();
	kind = GC_new_kind(GC_new_free_list(), 1ul << 63 | GC_DS_BITMAP, 0, 1);
	p = GC_malloc_kind(10, kind);
	memset(p, 'x', 10);
	for (size_t n = 11; n < 300000; n = n * 3 / 2) {
		p = GC_REALLOC(p, n);
		CHECK(p && GC_size(p) >= n && kind_of(p) == kind);
		for (int i = 0; i < 10; i++)
			CHECK_EQ(p[i], 'x');
		CHECK(is_zero(p + 10, n - 10));
	}
	p = GC_REALLOC(p, 10);
	CHECK(p && kind_of(p) == kind && p[9] == 'x');
	CHECK(!GC_REALLOC(p, 0));
	p = GC_REALLOC(GC_MALLOC_ATOMIC(100), 5000);
	CHECK_EQ(kind_of(p), PTRFREE);
	p = GC_REALLOC(GC_MALLOC_UNCOLLECTABLE(100), 5000);
	CHECK_EQ(kind_of(p), UNCOLLECTABLE);
}

static __attribute__((noinline)) void make_uncollectable(void)
{
	for (int i = 0; i < N; i++) {
		void **p = GC_generic_malloc_uncollectable(64, UNCOLLECTABLE);

		*p = leaf();
		hidden[i] = ~(unsigned long)p;
	}
}

TEST(uncollectable_by_number)
{
	GC_INIT();
	make_uncollectable();
	CHECK_EQ(gone_after_collections(), 0);
	for (int i = 0; i < N; i++)
		GC_FREE(seek(i));
	CHECK_GONE(gone_after_collections());
}

TEST(sizes_without_end)
{
	static const size_t size[] = { SIZE_MAX, SIZE_MAX - 7, SIZE_MAX - 4096, SIZE_MAX / 2 };
	int kind[2];
	void *p;

	GC_INIT();
	expect_no_memory();
	kind[0] = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
	kind[1] = GC_new_kind(GC_new_free_list(), 1ul << 63 | GC_DS_BITMAP, 0, 1);
	p = GC_malloc_kind(10, kind[1]);
	for (unsigned int i = 0; i < sizeof(size) / sizeof(*size); i++) {
		volatile size_t n = size[i];

		for (int k = PTRFREE; k <= AUNCOLLECTABLE; k++)
			CHECK_FAILS(GC_generic_malloc(n, k));
		for (int k = 0; k < 2; k++) {
			CHECK_FAILS(GC_generic_malloc(n, kind[k]));
			CHECK_FAILS(GC_malloc_kind(n, kind[k]));
			CHECK_FAILS(GC_generic_or_special_malloc(n, kind[k]));
		}
		CHECK_FAILS(GC_generic_malloc_uncollectable(n, UNCOLLECTABLE));
		CHECK_FAILS(GC_realloc(p, n));
		CHECK_FAILS(GC_malloc(n));
		CHECK_FAILS(GC_malloc_atomic_ignore_off_page(n));
	}
	CHECK_EQ(kind_of(p), kind[1]);
}

/* ---- gcj */

TEST(gcj)
{
	static long type[4] = { 0, GC_DS_LENGTH };
	void **p;

	GC_INIT();
	GC_init_gcj_malloc(GC_GCJ_RESERVED_MARK_PROC_INDEX, NULL);
	p = GC_GCJ_MALLOC(64, type);
	CHECK(p && GC_size(p) >= 64 && p[0] == type && is_zero((char *)(p + 1), 56));
	CHECK_EQ(kind_of(p), GC_gcj_kind);
	p = GC_gcj_malloc_ignore_off_page(100000, type);
	CHECK(p && p[0] == type && kind_of(p) == GC_gcj_kind);
	p = GC_debug_gcj_malloc(64, type, __FILE__, __LINE__);
	CHECK(p && p[0] == type && is_zero((char *)(p + 1), 56));
}

static __attribute__((noinline)) void make_gcj(void *type)
{
	for (int i = 0; i < N; i++) {
		void **p = GC_GCJ_MALLOC(64, type);

		p[1] = leaf();
		kept[i] = p;
	}
}

TEST(gcj_objects_are_searched)
{
	static long type[4] = { 0, 64 | GC_DS_LENGTH };

	GC_INIT();
	GC_init_gcj_malloc(GC_GCJ_RESERVED_MARK_PROC_INDEX, NULL);
	make_gcj(type);
	CHECK_EQ(gone_after_collections(), 0);
	drop();
	CHECK_GONE(gone_after_collections());
}

TEST_MAIN
