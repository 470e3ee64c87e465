// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Allocation: no cell twice, cleared, cells given back used again, errors. */
#include <pthread.h>

#include "../../selftests/tap.h"
#include "mock.h"

#define COUNT	20000

static bool is_zero(const void *p, size_t n)
{
	const char *c = p;

	while (n && !*c)
		c++, n--;
	return !n;
}

/* Objects are filled with their number; nobody's is overwritten by another's. */
static void fill(void **p, size_t n, size_t (*size)(size_t i), bool zero)
{
	for (size_t i = 0; i < n; i++) {
		p[i] = gcheap_alloc(size(i));
		CHECK(p[i] && !((uintptr_t)p[i] % 16));
		CHECK(!zero || is_zero(p[i], size(i)));
		CHECK(gcheap_size(p[i]) >= size(i));
		memset(p[i], i % 251 + 1, size(i));
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < size(i); k++)
			CHECK_EQ(((unsigned char *)p[i])[k], i % 251 + 1);
}

static size_t size_32(size_t i)
{
	return 32;
}

static size_t size_any(size_t i)
{
	return i * 7 % 3000;
}

TEST(cells_are_distinct_aligned_and_zero)
{
	static void *p[COUNT];

	mock_use();
	fill(p, COUNT, size_32, true);
}

TEST(all_sizes)
{
	static void *p[4000];

	mock_use();
	fill(p, 4000, size_any, true);
}

TEST(every_class_and_one_past_its_end)
{
	mock_use();
	for (int c = 0; c < GCH_CLASSES; c++) {
		size_t room = gch_class_cell(c) - 1;
		char *p = gcheap_alloc(room);

		CHECK(p && is_zero(p, room));
		CHECK_EQ(gcheap_size(p), room);
		CHECK(gcheap_base(p + room) == p);
		CHECK(gcheap_base(p + room / 2) == p);
	}
}

TEST(dead_cells_are_used_again_and_cleared)
{
	static void *p[COUNT];
	size_t calls, dead = 0;

	mock_use();
	fill(p, COUNT, size_32, true);
	CHECK_EQ(gcheap_thread_flush(), 0);
	for (size_t i = 0; i < COUNT; i++)
		if (i % 3 || i / 500 % 3 == 1)
			dead += mock_kill(p[i]);
	CHECK(dead > COUNT / 2);
	calls = MOCK_CALLS(GCHEAP_IOC_SPANS);
	for (size_t i = 0; i < dead; i++) {
		char *q = gcheap_alloc(32);

		CHECK(is_zero(q, gcheap_size(q)));
		memset(q, 0xff, gcheap_size(q));
	}
	CHECK(MOCK_CALLS(GCHEAP_IOC_SPANS) > calls);
	for (size_t i = 0; i < COUNT; i++)
		if (!(i % 3) && i / 500 % 3 != 1)
			for (int k = 0; k < 32; k++)
				CHECK_EQ(((unsigned char *)p[i])[k], i % 251 + 1);
}

TEST(cursor_counts_what_was_handed_out)
{
	struct gch_local *l;
	struct gcheap_cache *c;
	uint64_t pos, before = 0;

	mock_use();
	CHECK(gcheap_alloc(100));
	c = gch.heap0.by_class[GCH_SCAN][gch_class(101)];
	l = gch_local(&gch.heap0);
	for (int i = 0; i < 1000; i++) {
		char *p = gcheap_alloc(100);
		uintptr_t first;

		pos = l->tcb->cursor[c->id].pos;
		CHECK(pos > before);
		before = (uint32_t)pos == c->max_run ? before : pos;
		first = gch.heap0.backend.base +
			(uintptr_t)l->place[c->id].slot[pos >> 32] * GCHEAP_SLOT_SIZE;
		CHECK_EQ((uintptr_t)p, first + ((uint32_t)pos - 1) * (uintptr_t)c->cell);
		before = 0;
	}
}

TEST(a_run_goes_on_over_words_and_stops_at_its_most)
{
	struct gcheap_cache *c;
	struct gcheap_cursor *cursor;
	uint32_t longest = 0;
	uintptr_t run;

	mock_use();
	CHECK(gcheap_alloc(8));
	c = gch.heap0.by_class[GCH_SCAN][gch_class(9)];
	CHECK(c->max_run > 2 * GCH_WORD_CELLS);
	cursor = &gch_local(&gch.heap0)->tcb->cursor[c->id];
	for (int i = 0; i < 5000; i++) {
		CHECK(gcheap_alloc(8));
		run = (cursor->free - cursor->base) / c->cell;
		CHECK(run <= c->max_run);
		longest = run > longest ? run : longest;
	}
	CHECK(longest >= c->max_run - 1u);
}

TEST(batches_grow)
{
	uint32_t calls;

	mock_use();
	for (int i = 0; i < 100000; i++)
		CHECK(gcheap_alloc(32));
	calls = MOCK_CALLS(GCHEAP_IOC_SPANS);
	diag("%u calls for %d spans", calls, 100000 / (8192 / 48));
	CHECK(calls < 80);
}

TEST(no_system_call_on_the_fast_path)
{
	uint32_t calls = 0, now;
	int quiet = 0;

	mock_use();
	CHECK(gcheap_alloc(32));
	for (int i = 0; i < 100; i++) {
		CHECK(gcheap_alloc(32));
		now = 0;
		for (int k = 0; k < 32; k++)
			now += mock.calls[k];
		quiet += now == calls;
		calls = now;
	}
	CHECK(quiet >= 99);
}

TEST(noscan_and_scan_have_spans_of_their_own)
{
	char *a, *b;
	struct gch_object o;

	mock_use();
	a = gcheap_alloc(64);
	b = gcheap_alloc_noscan(64);
	CHECK(a && b);
	CHECK(gch_object_at(a, &o) && o.cache->kind == GCH_SCAN);
	CHECK(gch_object_at(b, &o) && o.cache->kind == GCH_NOSCAN);
}

TEST(large_objects)
{
	char *p, *q;

	mock_use();
	p = gcheap_alloc(GCHEAP_CELL_MAX);
	q = gcheap_alloc_noscan(5 << 20);
	CHECK(p && q);
	CHECK_EQ(gcheap_size(p), GCHEAP_CELL_MAX);
	CHECK_EQ(gcheap_size(q + 12345), 5 << 20);
	CHECK(gcheap_base(q + (5 << 20)) == q);
	CHECK(gcheap_base(p + 9000) == p);
	p = gcheap_alloc(GCHEAP_CELL_MAX - 1);
	CHECK_EQ(gcheap_size(p), GCHEAP_CELL_MAX - 1);
}

TEST(sizes_that_are_too_large)
{
	static const size_t size[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, 1ul << 40 };

	mock_use();
	for (int i = 0; i < 4; i++) {
		errno = 0;
		CHECK(!gcheap_alloc(size[i]));
		CHECK_EQ(errno, ENOMEM);
	}
	CHECK(gcheap_alloc(10));
}

TEST(errors_of_the_heap_reach_errno)
{
	mock_use();
	CHECK(gcheap_alloc(10));
	mock.fail_next = -ENOMEM;
	errno = 0;
	CHECK(!gcheap_alloc(1000));
	CHECK_EQ(errno, ENOMEM);
	CHECK(gcheap_alloc(1000));
	mock.fail_next = -ENOMEM;
	CHECK(!gcheap_alloc(100000));
	CHECK_EQ(errno, ENOMEM);
}

/* What fails in the midst of use leaves an empty cursor. */
TEST(an_error_then_success)
{
	static void *p[COUNT];
	int failed = 0;

	mock_use();
	CHECK_EQ(gcheap_init(), 0);
	for (size_t i = 0; i < COUNT; i++) {
		if (!(i % 100))
			mock.fail_next = -ENOMEM;
		do {
			p[i] = gcheap_alloc(200);
			failed += !p[i];
		} while (!p[i]);
		CHECK(is_zero(p[i], 200));
		memset(p[i], 0xee, 200);
	}
	CHECK(failed > 10);
}

static void *allocate_many(void *arg)
{
	void **p = arg;

	fill(p, COUNT, size_any, true);
	return NULL;
}

TEST(threads_do_not_share_cells)
{
	static void *p[4][COUNT];
	pthread_t t[4];

	mock_use();
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, allocate_many, p[i]), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	for (int i = 0; i < 4; i++)
		for (size_t k = 0; k < COUNT; k++)
			for (size_t n = 0; n < size_any(k); n++)
				CHECK_EQ(((unsigned char *)p[i][k])[n], k % 251 + 1);
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_THREAD_ATTACH), 4);
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_THREAD_DETACH), 4);
}

/* A control block that another thread has used is as good as new. */
TEST(control_blocks_are_used_again)
{
	static void *p[COUNT];
	pthread_t t;

	mock_use();
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(pthread_create(&t, NULL, allocate_many, p), 0);
		CHECK_EQ(pthread_join(t, NULL), 0);
	}
	fill(p, COUNT, size_any, true);
}

TEST(flush_then_go_on)
{
	char *p, *q;

	mock_use();
	p = gcheap_alloc(32);
	CHECK_EQ(gcheap_thread_flush(), 0);
	q = gcheap_alloc(32);
	CHECK(p != q);
	CHECK(gcheap_base(p) == p && gcheap_base(q) == q);
	CHECK_EQ(gcheap_thread_detach(), 0);
	CHECK_EQ(gcheap_thread_detach(), -ESRCH);
	CHECK(gcheap_alloc(32) != p);
}

TEST_MAIN
