// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* What is true of the library that stands in for libgc, and of no other. */
#include "../../../selftests/tap.h"
#include <gc/gc.h>

TEST(it_is_the_stand_in)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int found = 0;

	GC_INIT();
	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		found |= !!strstr(line, "/bdw/libgc.so.1");
	fclose(maps);
	CHECK(found);
}

TEST_MAIN
