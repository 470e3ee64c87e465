// SPDX-License-Identifier: GPL-2.0-only
/*
 * R16: one past the end. A loop that walks an array may have nothing but the
 * address behind it left when the collector looks.
 *
 * Without it: lost: only the address one past its end was left
 */
#include "../raw.h"

TEST(R16_one_past_the_end)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_CONSERVATIVE, 64);
	static char *end;
	char *p, *next;

	c.flags = GCHEAP_CACHE_PAST_END;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	raw_root(&h, 0, &end, sizeof(end), NULL);
	raw_take(&h, c.cache);
	p = raw_take(&h, c.cache);
	next = raw_take(&h, c.cache);
	CHECK(next == p + 64);
	end = p + 64;
	raw_flush(&h);
	raw_collect(&h);
	if (!raw_is_live(&h, (uintptr_t)p))
		FAIL("lost: only the address one past its end was left");
	/* It is the next one's address as well. */
	CHECK(raw_is_live(&h, (uintptr_t)next));
	CHECK_EQ(raw_status(&h).marked_objects, 2);
}

TEST_MAIN
