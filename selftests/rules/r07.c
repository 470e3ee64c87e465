// SPDX-License-Identifier: GPL-2.0-only
/*
 * R7: the kernel may hold the address that an object had before it moved. There is nothing
 * then, and there is no other object as long as it may.
 *
 * Without it: lost: a system call wrote over
 */
#include "../raw.h"
#include <sys/uio.h>

enum { CELL = 64, SLOTS = 256, A_SLOT = GCHEAP_SLOT_SIZE / CELL };

static struct raw h;
static unsigned int cache;
static char *kept[SLOTS], *fresh[SLOTS * A_SLOT];
static int pipefd[2];

/* Waits in readv(): it knows where to by the vector alone, which is no root. */
static void *reader(void *arg)
{
	struct iovec v = { kept[SLOTS / 2], CELL };
	ssize_t n = readv(pipefd[0], &v, 1);

	return (void *)(n < 0 ? -(long)errno : n);
}

static void wait_until_asleep(void)
{
	usleep(200000);
}

TEST(R7_addresses_in_the_kernel)
{
	char data[CELL], *old;
	pthread_t t;
	void *n;
	int used = 0;

	memset(data, 0xee, sizeof(data));
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	cache = raw_cache_as(&h, GCHEAP_CACHE_MOVABLE, GCHEAP_NOSCAN, CELL);
	raw_root(&h, GCHEAP_ROOT_PRECISE, kept, sizeof(kept), NULL);
	raw_root(&h, GCHEAP_ROOT_PRECISE, fresh, sizeof(fresh), NULL);
	for (int i = 0; i < SLOTS * A_SLOT; i++) {
		char *p = memset(raw_take(&h, cache), 0x5a, CELL);

		if (i % A_SLOT == 7)
			kept[i / A_SLOT] = p;
	}
	raw_flush(&h);
	CHECK_EQ(pipe(pipefd), 0);
	old = kept[SLOTS / 2];
	t = spawn(reader, NULL);
	wait_until_asleep();
	raw_compact(&h, 1);
	CHECK(kept[SLOTS / 2] != old);
	for (int i = 0; i < 3; i++)
		raw_collect(&h);
	for (int i = 0; i < SLOTS * A_SLOT; i++) {
		fresh[i] = memset(raw_take(&h, cache), 0xa5, CELL);
		used += fresh[i] == old;
	}
	CHECK_EQ(write(pipefd[1], data, sizeof(data)), sizeof(data));
	pthread_join(t, &n);
	for (int i = 0; i < SLOTS * A_SLOT; i++)
		if (fresh[i][0] != (char)0xa5)
			FAIL("lost: a system call wrote over an object where another had been");
	for (int i = 0; i < SLOTS; i++)
		CHECK_EQ(kept[i][0], 0x5a);
	CHECK_EQ((long)n, -EFAULT);
	CHECK_EQ(used, 0);
	/* When it has left, they are there for all. */
	for (int i = 0; i < 3; i++)
		raw_collect(&h);
	for (int i = 0; i < SLOTS * A_SLOT; i++)
		used += raw_take(&h, cache) == old;
	CHECK_EQ(used, 1);
}

TEST_MAIN
