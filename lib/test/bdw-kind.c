// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* libgc's kinds, descriptors and typed objects: what the kernel is told of them. */
#include "../../selftests/tap.h"
#include "../bdw/bdw.h"
#include "mock.h"

#include <gc/gc_gcj.h>
#include <gc/gc_inline.h>

#define BITS	700

static GC_word bits[BITS / 64 + 1];

static GC_descr describe(size_t n, int first, int second)
{
	memset(bits, 0, sizeof(bits));
	GC_set_bit(bits, first);
	GC_set_bit(bits, second);
	return GC_make_descriptor(bits, n);
}

static struct gcheap_cache *cache_of(const void *p)
{
	struct gch_object o;

	CHECK(gch_object_start(p, &o));
	return o.cache;
}

/* ---- descriptors */

static void check_map(GC_word descr, size_t words, int first, int second)
{
	struct bdw_map map;

	bdw_descr_map(descr, &map);
	CHECK_EQ(map.words, words);
	for (int i = 0; i < BDW_MAP_WORDS; i++)
		CHECK_EQ(map.bits[i / 64] >> i % 64 & 1, i == first || i == second);
}

TEST(maps_come_back)
{
	for (int last = 1; last < BDW_MAP_WORDS; last += 13) {
		int first = last / 3;
		size_t words = last ? last + 1 : 1;

		check_map(describe(last + 1, first, last), words, first, last);
		check_map(describe(BITS, first, last), words, first, last);
	}
}

TEST(prefixes)
{
	struct bdw_map map;

	for (size_t n = 0; n < BDW_MAP_WORDS; n++) {
		bdw_descr_map(n * 8, &map);
		CHECK_EQ(map.words, n);
		for (size_t i = 0; i < BDW_MAP_WORDS; i++)
			CHECK_EQ(map.bits[i / 64] >> i % 64 & 1, i < n);
	}
	memset(bits, 0xff, sizeof(bits));
	for (size_t n = 0; n < BITS; n++)
		CHECK_EQ(GC_make_descriptor(bits, n), n * 8);
}

TEST(what_is_not_known_is_searched_in_whole)
{
	static const GC_word descr[] = {
		BDW_WHOLE, BITS * 8, 16 | GC_DS_PER_OBJECT,
		GC_MAKE_PROC(3, 5), GC_MAKE_PROC(63, 5),
	};
	struct bdw_map map;

	for (int i = 0; i < 5; i++) {
		bdw_descr_map(descr[i], &map);
		CHECK_EQ(map.words, BDW_ALL);
	}
	CHECK_EQ(describe(BITS, 3, 600), 601 * 8);
}

TEST(one_number_a_long_map)
{
	GC_descr d[300];

	for (int i = 0; i < 300; i++)
		d[i] = describe(BITS, i, i + 200);
	for (int i = 0; i < 300; i++) {
		CHECK_EQ(describe(i + 201, i, i + 200), d[i]);
		check_map(d[i], i + 201, i, i + 200);
		for (int j = 0; j < i; j++)
			CHECK(d[i] != d[j]);
	}
}

/* ---- caches */

TEST(a_cache_a_type_and_class)
{
	GC_descr d = describe(8, 1, 3);
	unsigned int before;
	char *p, *q;

	mock_use();
	p = GC_malloc_explicitly_typed(60, d);
	CHECK(p && cache_of(p)->kind == GCH_SCAN && !cache_of(p)->by_size);
	CHECK_EQ(GC_size(p), 64);
	before = MOCK_CALLS(GCHEAP_IOC_CACHE_CREATE);
	q = GC_malloc_explicitly_typed(63, d);
	CHECK(cache_of(p) == cache_of(q));
	CHECK(cache_of(GC_malloc_explicitly_typed(63, describe(100, 1, 3))) == cache_of(p));
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_CACHE_CREATE), before);
	/* A byte more, as everywhere. */
	CHECK_EQ(GC_size(GC_malloc_explicitly_typed(64, d)), 80);
	CHECK(cache_of(GC_malloc_explicitly_typed(60, describe(8, 1, 4))) != cache_of(p));
	CHECK(cache_of(GC_calloc_explicitly_typed(2, 32, d)) !=
	      cache_of(GC_calloc_explicitly_typed(1, 64, d)));
	p = GC_malloc_explicitly_typed(50000, d);
	CHECK(cache_of(p)->any_size && cache_of(GC_malloc_explicitly_typed(90000, d)) ==
	      cache_of(p));
}

TEST(what_needs_no_description)
{
	GC_descr d = describe(8, 1, 3), pair;

	mock_use();
	memset(bits, 0xff, sizeof(bits));
	CHECK(cache_of(GC_malloc_explicitly_typed(64, GC_make_descriptor(bits, 8)))->by_size);
	CHECK(cache_of(GC_malloc_explicitly_typed(64, BDW_WHOLE))->by_size);
	CHECK(!cache_of(GC_malloc_explicitly_typed(64, GC_make_descriptor(bits, 7)))->by_size);
	pair = GC_make_descriptor(bits, 2);
	CHECK(cache_of(GC_calloc_explicitly_typed(9, 16, pair))->by_size);
	CHECK(cache_of(GC_calloc_explicitly_typed(9, 65, d))->by_size);
	CHECK(cache_of(GC_calloc_explicitly_typed(3, 513 * 8, d))->by_size);
	CHECK(!cache_of(GC_calloc_explicitly_typed(3, 512 * 8, d))->by_size);
	CHECK_EQ(cache_of(GC_malloc_explicitly_typed(64, 0))->kind, GCH_NOSCAN);
	CHECK_EQ(cache_of(GC_calloc_explicitly_typed(3, 64, 0))->kind, GCH_NOSCAN);
}

TEST(without_pointers_objects_are_clear_too)
{
	void *p[100];

	mock_use();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			char *c = p[i] = GC_malloc_explicitly_typed(100, 0);

			for (int j = 0; j < 100; j++)
				CHECK(!c[j]);
			memset(c, 0xa5, 100);
		}
		gcheap_thread_flush();
		for (int i = 0; i < 100; i++)
			CHECK(mock_kill(p[i]));
	}
}

TEST(types_without_end)
{
	struct bdw_type t = { .descr = 1ul << 63 | GC_DS_BITMAP, .kind = BDW_NORMAL };
	char *p;

	mock_use();
	for (int i = 0; i < 2000; i++) {
		p = GC_malloc_explicitly_typed(600, describe(62, i % 61, 61 - i / 61));
		CHECK(p && cache_of(p)->kind == GCH_SCAN);
	}
	CHECK(MOCK_CALLS(GCHEAP_IOC_CACHE_CREATE) < 700);
	CHECK(cache_of(p)->by_size);
	/* Those there were, and the heap's own. */
	CHECK(!cache_of(GC_malloc_explicitly_typed(600, describe(62, 0, 61)))->by_size);
	CHECK(cache_of(bdw_type_alloc(&t, 600))->by_size);
	for (size_t size = 1; size < 40000; size += size / 4 + 1)
		CHECK(GC_malloc(size) && GC_malloc_atomic(size));
}

static size_t wanted;

static void *out_of_memory(size_t bytes)
{
	wanted = bytes;
	return NULL;
}

TEST(no_memory)
{
	GC_descr d = describe(8, 1, 3);
	int kind;

	mock_use();
	GC_set_oom_fn(out_of_memory);
	kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
	mock.fail_next = -ENOMEM;
	CHECK(!GC_malloc_explicitly_typed(64, d) && wanted == 64);
	mock.fail_next = -ENOMEM;
	CHECK(!GC_malloc_explicitly_typed(50000, d) && wanted == 50000);
	mock.fail_next = -ENOMEM;
	CHECK(!GC_malloc_kind(65, kind) && wanted == 65);
	CHECK(GC_malloc_kind(65, kind));
	mock.fail_next = -ENOMEM;
	wanted = 0;
	CHECK(!GC_malloc_many(1000) && !wanted);
	mock.fail_next = -ENOMEM;
	CHECK(!GC_malloc_many(50000) && wanted);
	mock.fail_next = -ENOMEM;
	CHECK(!GC_gcj_malloc(10000, &wanted) && wanted == 10000);
}

/* ---- kinds */

TEST(what_is_no_kind)
{
	void *list = &list;

	mock_use();
	CHECK(!GC_malloc_kind(10, -1) && errno == EINVAL);
	CHECK(!GC_generic_malloc(10, BDW_KINDS) && errno == EINVAL);
	CHECK(!GC_generic_malloc_uncollectable(10, 1000) && errno == EINVAL);
	GC_generic_malloc_many(16, 16, &list);
	CHECK(!list);
	CHECK(!GC_malloc_kind(10, GC_new_kind(GC_new_free_list(), 0, 1, 1) + 1));
}

TEST(what_is_no_object)
{
	size_t size = 5;
	char *p;

	mock_use();
	p = GC_malloc(100);
	CHECK(GC_get_kind_and_size(p + 16, &size) == -1 && !size);
	CHECK_EQ(GC_get_kind_and_size(&size, NULL), -1);
	GC_set_oom_fn(out_of_memory);
	errno = 0;
	CHECK(!GC_realloc(p + 16, 200) && errno == EINVAL && !wanted);
	errno = 0;
	CHECK(!GC_realloc(&size, 200) && errno == EINVAL && !wanted);
	CHECK(!GC_realloc(&size, 0) && !wanted);
	GC_free(p + 16);
	GC_free(&size);
	gcheap_thread_flush();
	CHECK_EQ(mock.bad_frees, 0);
	CHECK(mock_kill(p));
}

TEST(kinds_that_are_kept)
{
	int kind;
	char *p, *q;

	mock_use();
	kind = GC_new_kind(GC_new_free_list(), 1ul << 63 | GC_DS_BITMAP, 0, 1);
	p = GC_generic_malloc_uncollectable(100, kind);
	CHECK(bdw_kept(p) && GC_get_kind_and_size(p, NULL) == kind);
	memset(p, 1, 100);
	q = GC_realloc(p, 60000);
	CHECK(q != p && bdw_kept(q) && !bdw_kept(p));
	CHECK(GC_get_kind_and_size(q, NULL) == kind && q[99] == 1 && !q[100]);
	p = GC_realloc(q, 100);
	CHECK(p != q && bdw_kept(p) && p[99] == 1);
	GC_free(p);
	CHECK(!bdw_kept(p));
	p = GC_generic_malloc_uncollectable(100, BDW_PTRFREE);
	CHECK(bdw_kept(p) && GC_get_kind_and_size(p, NULL) == BDW_AUNCOLLECTABLE);
}

TEST(less_is_cleared)
{
	volatile size_t most = SIZE_MAX;
	char *p;
	int kind;

	mock_use();
	kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
	p = GC_malloc_kind(100, kind);
	memset(p, 1, 100);
	CHECK(GC_realloc(p, 60) == p);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(p[i], i < 60);
	CHECK(GC_realloc(p, GC_size(p)) != p);
	GC_set_oom_fn(out_of_memory);
	CHECK(!GC_realloc(p, most) && wanted == most);
}

static void *nested(void *descr)
{
	int kind = GC_new_kind_inner(GC_new_free_list_inner(), *(GC_word *)descr, 0, 1);

	return GC_malloc_kind(10, kind);
}

TEST(kinds_with_the_lock_held)
{
	GC_word descr = GC_DS_LENGTH;

	mock_use();
	CHECK_EQ(cache_of(GC_call_with_alloc_lock(nested, &descr))->kind, GCH_NOSCAN);
	descr = describe(100, 0, 80);
	CHECK_EQ(cache_of(GC_call_with_alloc_lock(nested, &descr))->kind, GCH_SCAN);
}

static void aborts(GC_word descr, int kinds)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		CHECK(freopen("/dev/null", "w", stderr));
		while (kinds--)
			GC_new_kind((void **)bits, descr, 0, 1);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST(kinds_there_cannot_be)
{
	mock_use();
	aborts(GC_MAKE_PROC(9, 1), 1);
	aborts(GC_DS_LENGTH, 100);
}

/* ---- lists and alignments */

TEST(lists_are_of_exact_cells)
{
	static void *list;

	mock_use();
	for (size_t size = 16; size <= 400; size += 16) {
		GC_generic_malloc_many(size, BDW_NORMAL, &list);
		for (void *p = list; p; p = GC_NEXT(p))
			CHECK(GC_size(p) >= size && GC_size(p) < size * 9 / 8 + 16);
		CHECK(GC_NEXT(list));
		GC_generic_malloc_many(size, BDW_PTRFREE, &list);
		CHECK(list && !GC_NEXT(list));
	}
	GC_generic_malloc_many(0, BDW_NORMAL, &list);
	CHECK(list && GC_NEXT(list));
}

TEST(lists_that_are_kept)
{
	void *list;
	int n = 0;

	mock_use();
	for (int kind = BDW_UNCOLLECTABLE; kind <= BDW_AUNCOLLECTABLE; kind++) {
		GC_generic_malloc_many(64, kind, &list);
		for (void *p = list; p; p = GC_NEXT(p), n++)
			CHECK(bdw_kept(p) && GC_get_kind_and_size(p, NULL) == kind);
	}
	CHECK_EQ(n, 128);
}

TEST(alignments_are_objects)
{
	char *p;

	mock_use();
	for (size_t align = 16; align <= GCHEAP_SLOT_SIZE; align *= 2) {
		for (size_t size = 0; size < 100000; size = size * 8 / 7 + 1) {
			p = GC_memalign(align, size);
			CHECK((uintptr_t)p % align == 0 && GC_base(p + size) == p);
			CHECK(GC_size(p) >= size);
			GC_free(p);
		}
		gcheap_thread_flush();
	}
	GC_set_oom_fn(out_of_memory);
	CHECK(!GC_memalign(2 * GCHEAP_SLOT_SIZE, 10) && wanted == 10);
	CHECK(!GC_memalign(48, 10) && errno == EINVAL);
}

TEST_MAIN
