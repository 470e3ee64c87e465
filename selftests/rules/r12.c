// SPDX-License-Identifier: GPL-2.0-only
/*
 * R12: protection can be undone. If mprotect, mremap or a cut in the mapping were
 * allowed, write tracking by page protection would not hold.
 *
 * Without it: the mapping was changed
 */
#include "../raw.h"

TEST(R12_mapping_stays)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 4096);
	size_t size = h.setup.heap_size;
	void *to = raw_hole(size);

	*(char *)raw_take(&h, c) = 1;
	if (!mprotect(h.base, size, PROT_READ))
		FAIL("the mapping was changed: mprotect");
	if (!munmap(h.base + size - 4096, 4096))
		FAIL("the mapping was changed: it has a hole");
	if (mremap(h.base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED)
		FAIL("the mapping was changed: it has moved");
	raw_collect(&h);
}

TEST_MAIN
