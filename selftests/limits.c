// SPDX-License-Identifier: GPL-2.0-only
/* The heap's own limit: collected first, then ENOMEM, and all is well after. */
#include "raw.h"
#include <poll.h>

static struct raw h;

static void start(uint64_t limit)
{
	struct gcheap_setup s = raw_setup_arg(GCHEAP_SETUP_PRECISE_ONLY);

	s.limit = limit;
	h = raw_open_with(s);
	raw_attach(&h);
	CHECK_EQ(raw_status(&h).limit_bytes, limit);
}

TEST(garbage_makes_room)
{
	start(8 << 20);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 1024);

	for (int i = 0; i < 40 << 10; i++)
		memset(raw_take(&h, c), i, 1024);
	CHECK(raw_status(&h).heap_peak <= 8 << 20);
	CHECK(raw_status(&h).cycles >= 4);
	CHECK_EQ(raw_status(&h).oom_returns, 0);
	raw_verify(&h);
}

TEST(reached_with_cells)
{
	struct gcheap_event e = { 0 };
	static void **list;
	void **p;
	int n = 0;

	start(8 << 20);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 1024);
	unsigned int other = raw_cache(&h, GCHEAP_CONSERVATIVE, 256);

	raw_root(&h, 0, &list, sizeof(list), NULL);
	while ((p = raw_try_take(&h, c))) {
		p[0] = list;
		p[1] = (void *)(long)n++;
		list = p;
		CHECK(n <= 8192);
	}
	CHECK_EQ(errno, ENOMEM);
	CHECK(n >= 7000);
	CHECK(raw_status(&h).heap_bytes <= 8 << 20);
	CHECK(raw_status(&h).oom_returns >= 1);
	/* And again, and for other sizes; nothing is damaged. */
	for (int i = 0; i < 5; i++) {
		if (!raw_try_take(&h, c))
			CHECK_EQ(errno, ENOMEM);
		if (!raw_try_take(&h, other))
			CHECK_EQ(errno, ENOMEM);
	}
	raw_verify(&h);
	for (p = list; p; p = *p)
		CHECK_EQ((long)p[1], --n);
	CHECK_EQ(n, 0);
	while (read(h.fd, &e, sizeof(e)) == sizeof(e) && e.type != GCHEAP_EV_LIMIT)
		;
	CHECK_EQ(e.type, GCHEAP_EV_LIMIT);
	CHECK_EQ(e.b, 8 << 20);
	/* Half of it dies: it goes on. */
	for (p = list; p; p = *p)
		if (p[0])
			p[0] = *(void **)p[0];
	for (int i = 0; i < 1000; i++)
		CHECK(raw_try_take(&h, c));
	raw_verify(&h);
}

TEST(reached_with_large)
{
	static void *keep[64];
	int n = 0;

	start(8 << 20);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 0);

	raw_root(&h, 0, keep, sizeof(keep), NULL);
	CHECK(!raw_try_large(&h, c, 9 << 20));
	CHECK_EQ(errno, ENOMEM);
	while ((keep[n] = raw_try_large(&h, c, 1 << 20)))
		CHECK(++n <= 8);
	CHECK_EQ(errno, ENOMEM);
	CHECK(n >= 7);
	keep[2] = NULL;
	CHECK((keep[2] = raw_try_large(&h, c, 1 << 20)));
	raw_verify(&h);
}

TEST(while_held)
{
	start(8 << 20);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 1024);

	raw_hold(&h);
	while (raw_try_take(&h, c))
		;
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(raw_status(&h).cycles, 0);
	raw_unhold(&h);
	for (int i = 0; i < 20000; i++)
		raw_take(&h, c);
	CHECK(raw_status(&h).cycles > 0);
}

TEST(changed_while_running)
{
	start(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 1024);
	static void **list;
	void **p;
	int n = 0;

	raw_root(&h, 0, &list, sizeof(list), NULL);
	for (; n < 16 << 10; n++) {
		p = raw_take(&h, c);
		p[0] = list;
		list = p;
	}
	/* Below what is there already: nothing is taken away, nothing is given. */
	raw_param(&h, GCHEAP_PARAM_LIMIT, 8 << 20);
	while ((p = raw_try_take(&h, c)))
		CHECK(++n < 20 << 10);
	CHECK_EQ(errno, ENOMEM);
	raw_param(&h, GCHEAP_PARAM_LIMIT, 0);
	CHECK(raw_try_take(&h, c));
	raw_verify(&h);
}

static volatile long counted;

static void *until_full(void *arg)
{
	raw_attach(&h);
	for (;;) {
		if (!raw_try_take(&h, (unsigned int)(long)arg))
			break;
		__atomic_fetch_add(&counted, 1, __ATOMIC_RELAXED);
		if (counted > 200000)
			break;
	}
	CHECK(counted > 200000 || errno == ENOMEM);
	raw_flush(&h);
	return NULL;
}

TEST(reached_by_many_threads_at_once)
{
	pthread_t t[4];

	start(6 << 20);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 1024);

	raw_hold(&h);		/* nothing may be freed: every thread runs into it */
	for (int i = 0; i < 4; i++)
		t[i] = spawn(until_full, (void *)(long)c);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CHECK(counted <= 6 << 10);
	raw_verify(&h);
	raw_collect(&h);
	raw_verify(&h);
}

TEST_MAIN
