// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* The calls of libgc: what keeps objects, what fails how. */
#include "../../selftests/tap.h"
#include "../bdw/bdw.h"
#include "mock.h"

#define COUNT	5000

extern char __data_start[], _end[];

static bool set_has(const void *object)
{
	for (uint32_t i = 0; i < mock.nroots; i++) {
		uint64_t *w = (void *)mock.root[i].addr, *end = w + mock.root[i].len / 8;

		/* Tables are mapped, neither data nor stack. */
		if (mock.root[i].flags || mock.root[i].len % 4096 ||
		    ((char *)w >= __data_start && (char *)w < _end))
			continue;
		for (; w < end; w++)
			if (*w == (uintptr_t)object)
				return true;
	}
	return false;
}

TEST(plain_objects)
{
	char *p;

	mock_use();
	GC_init();
	p = GC_malloc(100);
	CHECK(p && GC_size(p) >= 100 && GC_base(p + 50) == p);
	CHECK(GC_is_heap_ptr(p) && !GC_is_heap_ptr(&p));
	p = GC_realloc(p, 5000);
	CHECK(p && GC_size(p) >= 5000);
	p = GC_strdup("what");
	CHECK(!strcmp(p, "what"));
	p = GC_strndup("whatever", 4);
	CHECK(!strcmp(p, "what"));
	GC_free(p);
	GC_free(NULL);
	CHECK(!GC_realloc(GC_malloc(10), 0));
	CHECK_EQ(GC_get_version() >> 8, 8 << 8 | 2);
}

TEST(uncollectable_objects)
{
	static char *p[COUNT], *live[COUNT];

	mock_use();
	for (int i = 0; i < COUNT; i++) {
		p[i] = GC_malloc_uncollectable(i % 100);
		CHECK(bdw_kept(p[i]));
	}
	for (int i = 0; i < COUNT; i += 2)
		GC_free(p[i]);
	for (int i = 0; i < COUNT; i++)
		CHECK_EQ(bdw_kept(p[i]), i % 2);
	memcpy(live, p, sizeof(p));
	for (int i = 1; i < COUNT; i += 2) {
		live[i] = GC_realloc(p[i], 3000);
		CHECK(live[i] != p[i] && bdw_kept(live[i]) && !bdw_kept(p[i]));
	}
	CHECK(set_has(live[1]));
	for (int i = 1; i < COUNT; i += 2)
		GC_free(live[i]);
	CHECK(!set_has(live[1]));
}

static size_t wanted;

static void *out_of_memory(size_t bytes)
{
	wanted = bytes;
	return NULL;
}

TEST(realloc_of_uncollectable_objects)
{
	char *p, *q;

	mock_use();
	p = GC_malloc_atomic_uncollectable(100);
	memset(p, 5, 100);
	CHECK(GC_realloc(p, 60) == p && bdw_kept(p));
	memset(p, 5, 100);
	q = GC_realloc(p, 1000);
	CHECK(q != p && bdw_kept(q) && !bdw_kept(p));
	for (int i = 0; i < 100; i++)
		CHECK_EQ(q[i], 5);
	CHECK(!GC_realloc(q, 0) && !bdw_kept(q));
}

TEST(roots_are_added_once)
{
	static void *table[16];
	unsigned int before;

	mock_use();
	GC_init();
	before = mock.nroots;
	for (int i = 0; i < 100; i++)
		GC_add_roots(table, table + 16);
	GC_add_roots(table + 3, table + 5);
	CHECK_EQ(mock.nroots, before + 1);
	GC_add_roots(table + 5, table + 5);
	CHECK_EQ(mock.nroots, before + 1);
}

TEST(out_of_memory_is_told)
{
	mock_use();
	GC_init();
	GC_set_oom_fn(out_of_memory);
	CHECK(GC_get_oom_fn() == out_of_memory);
	CHECK(!GC_malloc(1ul << 50));
	CHECK_EQ(wanted, 1l << 50);
}

TEST(disable_counts)
{
	mock_use();
	GC_init();
	GC_enable();
	CHECK_EQ(mock.hold, 0);
	GC_disable();
	GC_disable();
	CHECK(GC_is_disabled() && mock.hold == 1);
	GC_enable();
	CHECK(GC_is_disabled() && mock.hold == 1);
	GC_enable();
	GC_enable();
	CHECK(!GC_is_disabled() && !mock.hold);
}

static int finalized;

static void finalize(void *object, void *data)
{
	finalized++;
}

TEST(finalizers)
{
	GC_finalization_proc fn = finalize;
	void *data = &fn, *p;

	mock_use();
	p = GC_malloc(10);
	GC_register_finalizer_no_order(p, finalize, &wanted, &fn, &data);
	CHECK(!fn && !data);
	GC_register_finalizer_no_order(p, finalize, &wanted, &fn, &data);
	CHECK(fn == finalize && data == &wanted);
	GC_register_finalizer_no_order(&wanted, finalize, NULL, &fn, &data);
	CHECK(!fn && !data);
	mock_finalize(p);
	CHECK(GC_should_invoke_finalizers());
	CHECK_EQ(GC_invoke_finalizers(), 1);
	CHECK_EQ(finalized, 1);
	CHECK(!GC_should_invoke_finalizers());
}

TEST_MAIN
