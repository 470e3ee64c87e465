// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Of what Debian's programs import (imported.list) that which no other test is about. */
#include "../../../selftests/tap.h"
#include <gc/gc_version.h>

#include "count.h"

#define PAGE	4096
#define LARGE	(100 * PAGE)

TEST(version)
{
	CHECK_EQ(GC_get_version(),
		 GC_VERSION_MAJOR << 16 | GC_VERSION_MINOR << 8 | GC_VERSION_MICRO);
}

static int in_data;

TEST(is_heap_ptr)
{
	char *small, *large, *atomic, *other = malloc(64);
	int on_stack;

	GC_INIT();
	small = GC_MALLOC(64);
	large = GC_MALLOC(LARGE);
	atomic = GC_MALLOC_ATOMIC_UNCOLLECTABLE(100);
	CHECK(small && large && atomic && other);
	CHECK(GC_is_heap_ptr(small) && GC_is_heap_ptr(small + 63));
	CHECK(GC_is_heap_ptr(large) && GC_is_heap_ptr(large + LARGE - 1));
	CHECK(GC_is_heap_ptr(atomic));
	CHECK(!GC_is_heap_ptr(NULL) && !GC_is_heap_ptr(other));
	CHECK(!GC_is_heap_ptr(&on_stack) && !GC_is_heap_ptr(&in_data));
	CHECK(!GC_is_heap_ptr(GC_is_heap_ptr));
	free(other);
	GC_FREE(atomic);
}

static void *volatile place[COUNTED];

/* Large objects with a counted one at the end of each. */
static NOINLINE void make_large(void)
{
	for (int i = 0; i < COUNTED; i++) {
		void **large = GC_MALLOC_IGNORE_OFF_PAGE(LARGE);
		size_t words = LARGE / sizeof(*large);

		CHECK(large && GC_base(large) == large && GC_size(large) >= LARGE);
		for (size_t w = 0; w < words; w++)
			CHECK(!large[w]);
		counted_make(&large[words - 1], 1);
		place[i] = large;
	}
}

static NOINLINE void check_large(void)
{
	for (int i = 0; i < COUNTED; i++) {
		long **large = place[i];

		CHECK_EQ(large[LARGE / sizeof(*large) - 1][0], 0x600d);
	}
}

static NOINLINE void drop(void)
{
	for (int i = 0; i < COUNTED; i++)
		place[i] = NULL;
}

/* An address in the first page keeps it. */
TEST(malloc_ignore_off_page)
{
	GC_INIT();
	make_large();
	counted_kept();
	check_large();
	for (int i = 0; i < COUNTED; i++)
		place[i] = (char *)place[i] + 8;
	counted_kept();
	drop();
	counted_dropped(COUNTED);
}

#define TAG	3

/* In every place an object with a tagged address of a counted one. */
static NOINLINE void make_tagged(void)
{
	void *volatile counted[COUNTED];

	counted_make(counted, COUNTED);
	for (int i = 0; i < COUNTED; i++) {
		char **tagged = GC_MALLOC(sizeof(*tagged));

		CHECK(tagged);
		*tagged = (char *)counted[i] + TAG;
		place[i] = tagged;
		counted[i] = NULL;
	}
}

static NOINLINE void check_tagged(void)
{
	void *volatile counted[COUNTED];

	for (int i = 0; i < COUNTED; i++)
		counted[i] = *(char **)place[i] - TAG;
	counted_check(counted, COUNTED);
	for (int i = 0; i < COUNTED; i++)
		counted[i] = NULL;
}

/* Objects refer to others by addresses with a tag, and by none else inside of them. */
TEST(register_displacement)
{
	GC_set_all_interior_pointers(0);
	GC_INIT();
	GC_register_displacement(TAG);
	make_tagged();
	counted_kept();
	check_tagged();
	drop();
	counted_dropped(COUNTED);
}

TEST_MAIN
