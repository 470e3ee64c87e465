// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Size classes: every size has one, none wastes much. */
#include "../../selftests/tap.h"
#include "mock.h"

TEST(each_size_fits_its_class)
{
	for (size_t n = 1; n <= GCHEAP_CELL_MAX; n++) {
		int class = gch_class(n);

		CHECK(class >= 0 && class < GCH_CLASSES);
		CHECK(gch_class_cell(class) >= n);
		CHECK(!class || gch_class_cell(class - 1) < n);
	}
}

TEST(cells_are_whole_granules_and_rise)
{
	for (int c = 0; c < GCH_CLASSES; c++) {
		CHECK_EQ(gch_class_cell(c) % GCHEAP_GRANULE, 0);
		CHECK_EQ(gch_class(gch_class_cell(c)), c);
	}
	CHECK_EQ(gch_class_cell(GCH_CLASSES - 1), GCHEAP_CELL_MAX);
}

TEST(an_eighth_is_wasted_at_most)
{
	for (size_t n = 129; n <= GCHEAP_CELL_MAX; n++)
		CHECK((gch_class_cell(gch_class(n)) - n) * 8 <= gch_class_cell(gch_class(n)));
}

TEST(sizes_in_a_granule_share_a_class)
{
	for (size_t size = 0; size < GCH_SMALL; size++)
		CHECK_EQ(gch_class(size + 1), gch_class(size / 16 * 16 + 16));
}

TEST_MAIN
