// SPDX-License-Identifier: GPL-2.0-only
/*
 * R8: no sleeping in a pause. A root page that is not resident cannot be read
 * there: the attempt ends, the page is brought in with the program running, and it
 * is tried again. Were it only passed over, what it refers to would be lost.
 *
 * Without it: lost: it was on a page that was not resident
 */
#include "../raw.h"

TEST(R8_no_sleeping_in_a_pause)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	char path[] = "/tmp/gcheap-r08-XXXXXX";
	int fd = mkstemp(path);
	enum { BYTES = 64 * 4096 };
	uintptr_t p[64];
	char *area;

	CHECK(fd >= 0);
	unlink(path);
	CHECK_EQ(ftruncate(fd, BYTES), 0);
	area = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(area != MAP_FAILED);
	raw_root(&h, 0, area, BYTES, NULL);
	for (int i = 0; i < 64; i++) {
		p[i] = (uintptr_t)raw_take(&h, c);
		*(uintptr_t *)(area + i * 4096) = p[i];
	}
	raw_flush(&h);
	for (int round = 0; round < 6; round++) {
		/* Marking beside the threads has more than one pause, and pages come in between. */
		raw_param(&h, GCHEAP_PARAM_CONCURRENT, round % 2);
		/* Out of the page tables; the file keeps the contents. */
		madvise(area, BYTES, MADV_DONTNEED);
		raw_collect(&h);
		for (int i = 0; i < 64; i++)
			if (!raw_is_live(&h, p[i]))
				FAIL("lost: it was on a page that was not resident");
	}
	raw_verify(&h);
}

TEST_MAIN
