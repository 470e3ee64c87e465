// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Roots that programs add, remove, exclude and clear; data segments. */
#include "../../../selftests/tap.h"
#include "count.h"
#include <gc/gc_mark.h>
#include <link.h>

static void *in_data[COUNTED] = { (void *)1 };
static void *in_bss[COUNTED];

static void clear(void **place, int n)
{
	memset(place, 0, n * sizeof(*place));
}

static void is_root(void **place)
{
	counted_make(place, COUNTED);
	counted_kept();
	counted_check(place, COUNTED);
	clear(place, COUNTED);
	counted_dropped(COUNTED);
}

static void is_no_root(void **place)
{
	counted_make(place, COUNTED);
	counted_dropped(COUNTED);
	clear(place, COUNTED);
}

TEST(data)
{
	GC_INIT();
	is_root(in_data);
	is_root(in_bss);
}

TEST(memory_is_a_root_while_it_is_added)
{
	void **memory = malloc(COUNTED * sizeof(*memory));

	GC_INIT();
	is_no_root(memory);
	GC_add_roots(memory, memory + COUNTED);
	is_root(memory);
	GC_remove_roots(memory, memory + COUNTED);
	is_no_root(memory);
	GC_remove_roots(memory, memory + COUNTED);
}

/* Many times the same is one, and gone with one call. */
TEST(memory_is_added_again)
{
	void **memory = malloc(COUNTED * sizeof(*memory));

	GC_INIT();
	for (int i = 0; i < 20000; i++)
		GC_add_roots(memory, memory + COUNTED);
	is_root(memory);
	GC_remove_roots(memory, memory + COUNTED);
	is_no_root(memory);
}

/* Only ranges that are wholly in the region are removed, and these whole. */
TEST(removal_is_of_whole_ranges)
{
	void **memory = malloc(COUNTED * sizeof(*memory));

	GC_INIT();
	GC_add_roots(memory, memory + COUNTED);
	GC_remove_roots(memory, memory + COUNTED / 2);
	GC_remove_roots(memory + 1, memory + COUNTED);
	GC_remove_roots(memory + 1, memory + COUNTED - 1);
	is_root(memory);
	GC_remove_roots(memory - 1, memory + COUNTED + 1);
	is_no_root(memory);
}

TEST(adjacent_ranges_are_removed_by_themselves)
{
	enum { HALF = COUNTED / 2 };
	void **memory = malloc(COUNTED * sizeof(*memory));

	GC_INIT();
	GC_add_roots(memory, memory + HALF);
	GC_add_roots(memory + HALF, memory + COUNTED);
	is_root(memory);
	GC_remove_roots(memory, memory + HALF);
	counted_make(memory, COUNTED);
	counted_dropped(HALF);
	for (int i = HALF; i < COUNTED; i++)
		CHECK_EQ(*(long *)memory[i], 0x600d + i);
	GC_remove_roots(memory + HALF, memory + COUNTED);
	counted_dropped(HALF);
}

TEST(overlapping_ranges)
{
	void **memory = malloc(COUNTED * sizeof(*memory));

	GC_INIT();
	GC_add_roots(memory, memory + 20);
	GC_add_roots(memory + 10, memory + COUNTED);
	GC_add_roots(memory + 12, memory + 14);
	is_root(memory);
	/* [10, COUNTED) is left, and keeps what the others had in common with it. */
	GC_remove_roots(memory, memory + 20);
	counted_make(memory, COUNTED);
	counted_dropped(10);
	for (int i = 10; i < COUNTED; i++)
		CHECK_EQ(*(long *)memory[i], 0x600d + i);
	GC_remove_roots(memory, memory + COUNTED);
	counted_dropped(COUNTED - 10);
}

/* The range that is there becomes longer, and goes as a whole. */
TEST(ranges_grow)
{
	void **memory = malloc(COUNTED * sizeof(*memory));

	GC_INIT();
	for (int i = 1; i <= COUNTED; i++)
		GC_add_roots(memory, memory + i);
	is_root(memory);
	GC_remove_roots(memory, memory + COUNTED / 2);
	is_root(memory);
	GC_remove_roots(memory, memory + COUNTED);
	is_no_root(memory);
}

TEST(ranges_of_nothing)
{
	char memory[16] __attribute__((aligned(8)));

	GC_INIT();
	for (int i = 0; i < 100000; i++) {
		GC_add_roots(memory, memory);
		GC_add_roots(memory + 1, memory + 8);
		GC_add_roots(memory + 1, memory + 15);
		GC_add_roots(NULL, NULL);
	}
	GC_remove_roots(memory, memory);
	GC_remove_roots(memory + 1, memory + 15);
	GC_remove_roots(NULL, NULL);
	GC_gcollect();
}

/* As many as interpreters add for their modules. */
TEST(a_thousand_ranges)
{
	enum { RANGES = 1000 };
	void ***memory = malloc(RANGES * sizeof(*memory));

	GC_INIT();
	for (int i = 0; i < RANGES; i++) {
		memory[i] = calloc(4, sizeof(void *));
		GC_add_roots(memory[i], memory[i] + 1);
		counted_make(memory[i], 1);
	}
	counted_kept();
	for (int i = 0; i < RANGES; i += 2)
		GC_remove_roots(memory[i], memory[i] + 1);
	counted_dropped(RANGES / 2);
	for (int i = 1; i < RANGES; i += 2) {
		counted_check(memory[i], 1);
		GC_remove_roots(memory[i], memory[i] + 1);
	}
	counted_dropped(RANGES / 2);
}

TEST(exclusions_from_data)
{
	static void *part[3 * COUNTED];

	GC_INIT();
	GC_exclude_static_roots(part + COUNTED, part + 2 * COUNTED);
	is_root(part);
	is_no_root(part + COUNTED);
	is_root(part + 2 * COUNTED);
}

TEST(exclusions_before_there_is_a_heap)
{
	static void *part[3 * COUNTED];

	GC_exclude_static_roots(part + COUNTED, part + 2 * COUNTED);
	GC_INIT();
	is_root(part);
	is_no_root(part + COUNTED);
	is_root(part + 2 * COUNTED);
}

/* All of the words that it touches are excluded. */
TEST(exclusions_are_of_whole_words)
{
	static void *part[COUNTED];

	GC_INIT();
	GC_exclude_static_roots(part, part);
	is_root(part);
	GC_exclude_static_roots((char *)part + 7, (char *)(part + COUNTED) - 7);
	is_no_root(part);
}

TEST(exclusions_from_what_is_added)
{
	void **memory = malloc(3 * COUNTED * sizeof(*memory));

	GC_INIT();
	GC_add_roots(memory, memory + 2 * COUNTED);
	GC_exclude_static_roots(memory + COUNTED, memory + 2 * COUNTED);
	GC_exclude_static_roots(memory + 2 * COUNTED, memory + 2 * COUNTED + 1);
	/* And what comes later. */
	GC_add_roots(memory + COUNTED, memory + 3 * COUNTED);
	is_root(memory);
	is_no_root(memory + COUNTED);
	memory[2 * COUNTED] = NULL;
	counted_make(memory + 2 * COUNTED + 1, COUNTED - 1);
	counted_kept();
	GC_remove_roots(memory, memory + 3 * COUNTED);
	counted_dropped(COUNTED - 1);
	is_no_root(memory);
}

/* bdwgc's own table must not stay empty. */
TEST(exclusions_are_forgotten)
{
	static void *part[COUNTED], *other[1];
	void **memory = malloc(COUNTED * sizeof(*memory));

	GC_INIT();
	GC_add_roots(memory, memory + COUNTED);
	GC_exclude_static_roots(part, part + COUNTED);
	GC_exclude_static_roots(memory, memory + COUNTED);
	is_no_root(part);
	is_no_root(memory);
	GC_clear_exclusion_table();
	GC_exclude_static_roots(other, other + 1);
	is_root(part);
	is_root(memory);
}

/* Data segments are found again. */
TEST(clearing_roots_is_of_what_was_added)
{
	void **memory = malloc(COUNTED * sizeof(*memory));

	GC_INIT();
	GC_add_roots(memory, memory + COUNTED);
	GC_clear_roots();
	is_no_root(memory);
	is_root(in_bss);
	GC_add_roots(memory, memory + COUNTED);
	is_root(memory);
}

/* As ECL, Neko and Racket begin. */
TEST(no_roots_but_those_added)
{
	void **memory = malloc(COUNTED * sizeof(*memory));

	GC_no_dls = 1;
	GC_INIT();
	GC_clear_roots();
	CHECK(GC_get_no_dls());
	GC_add_roots(memory, memory + COUNTED);
	is_root(memory);
	is_no_root(in_bss);
	is_no_root(in_data);
	GC_add_roots(in_bss, in_bss + COUNTED);
	is_root(in_bss);
	is_no_root(in_data);
}

TEST(data_segments_may_be_switched_off_and_on)
{
	GC_INIT();
	CHECK(!GC_get_no_dls());
	is_root(in_bss);
	GC_set_no_dls(1);
	CHECK(GC_get_no_dls() && GC_no_dls);
	is_no_root(in_bss);
	GC_set_no_dls(0);
	is_root(in_bss);
	GC_no_dls = 1;
	CHECK(GC_get_no_dls());
	is_no_root(in_bss);
	GC_no_dls = 0;
	is_root(in_bss);
}

TEST(roots_that_come_and_go)
{
	void *on_stack, **memory = malloc(COUNTED * sizeof(*memory));

	GC_INIT();
	GC_gcollect();
	GC_add_roots(memory, memory + COUNTED);
	CHECK(GC_is_tmp_root(in_bss) && GC_is_tmp_root(in_data));
	CHECK(!GC_is_tmp_root(memory) && !GC_is_tmp_root(&on_stack) && !GC_is_tmp_root(NULL));
	GC_set_no_dls(1);
	GC_gcollect();
	CHECK(!GC_is_tmp_root(in_bss) && !GC_is_tmp_root(memory));
}

/* ---- a function that refuses segments */

static int asked;
static int asked_wrong;
static char *refused;

static int GC_CALLBACK refuse(const char *name, void *start, size_t size)
{
	asked++;
	asked_wrong += !name || !start || !size;
	return !(refused >= (char *)start && refused < (char *)start + size);
}

TEST(segments_may_be_refused)
{
	GC_INIT();
	GC_register_has_static_roots_callback(refuse);
	is_root(in_bss);
	CHECK(asked > 2 && !asked_wrong);
	refused = (char *)in_bss;
	GC_register_has_static_roots_callback(refuse);
	is_no_root(in_bss);
	GC_register_has_static_roots_callback(NULL);
	asked = 0;
	is_root(in_bss);
	CHECK_EQ(asked, 0);
}

TEST(segments_may_be_refused_before_there_is_a_heap)
{
	refused = (char *)in_bss;
	GC_register_has_static_roots_callback(refuse);
	CHECK_EQ(asked, 0);
	GC_INIT();
	is_no_root(in_bss);
	CHECK(asked > 2 && !asked_wrong);
}

TEST_MAIN
