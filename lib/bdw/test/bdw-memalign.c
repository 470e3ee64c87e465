// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Objects at round addresses. */
#include "gone.h"

#define ALIGN_MAX	4096u	/* that there always is */

static void check_aligned(char *p, size_t align, size_t size)
{
	char *base = GC_base(p);

	CHECK(p && (uintptr_t)p % align == 0);
	CHECK(base && p + size <= base + GC_size(base));
	for (size_t i = 0; i < size; i++)
		CHECK(!p[i]);
	memset(p, 0xa5, size);
}

TEST(any_alignment)
{
	void *p;

	GC_INIT();
	for (size_t align = 8; align <= ALIGN_MAX; align *= 2) {
		for (size_t size = 1; size < 200000; size = size * 4 / 3 + 1) {
			check_aligned(GC_memalign(align, size), align, size);
			p = NULL;
			CHECK_EQ(GC_posix_memalign(&p, align, size), 0);
			check_aligned(p, align, size);
		}
	}
}

TEST(small_alignments)
{
	GC_INIT();
	for (size_t align = 1; align <= 16; align++)
		check_aligned(GC_memalign(align, 40), 16, 40);
	CHECK(GC_memalign(4096, 0) && GC_memalign(32, 0));
}

static __attribute__((noinline)) void make(size_t align, size_t size)
{
	for (int i = 0; i < N; i++) {
		void **p = GC_memalign(align, size);

		p[size / sizeof(*p) - 1] = leaf();
		kept[i] = p;
	}
}

TEST(they_are_searched_and_collected)
{
	GC_INIT();
	for (size_t align = 32; align <= ALIGN_MAX; align *= 2) {
		new_sample();
		make(align, 100);
		CHECK_EQ(gone_after_collections(), 0);
		drop();
		CHECK_GONE(gone_after_collections());
	}
}

TEST(bad_alignments)
{
	void *p = &p;

	GC_INIT();
	CHECK_EQ(GC_posix_memalign(&p, 0, 10), EINVAL);
	CHECK_EQ(GC_posix_memalign(&p, 4, 10), EINVAL);
	CHECK_EQ(GC_posix_memalign(&p, 24, 10), EINVAL);
	CHECK_EQ(GC_posix_memalign(&p, SIZE_MAX, 10), EINVAL);
	CHECK(p == &p);
}

TEST(too_much)
{
	volatile size_t most = SIZE_MAX;
	void *p;

	GC_INIT();
	expect_no_memory();
	for (size_t align = 8; align <= ALIGN_MAX; align *= 2) {
		CHECK_FAILS(GC_memalign(align, most));
		CHECK_FAILS(GC_memalign(align, most - align));
		CHECK_FAILS(GC_memalign(align, most / 2));
		CHECK_EQ(GC_posix_memalign(&p, align, most), ENOMEM);
	}
	for (size_t align = 16384; align; align *= 2) {
		CHECK(!GC_memalign(align, 10));
		CHECK_EQ(GC_posix_memalign(&p, align, 10), ENOMEM);
	}
}

TEST_MAIN
