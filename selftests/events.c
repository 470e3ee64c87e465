// SPDX-License-Identifier: GPL-2.0-only
/* Events: read() and poll(). */
#include "raw.h"
#include <poll.h>

static struct raw h;
static unsigned int cache;

static void start(void)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	cache = raw_cache(&h, GCHEAP_NOSCAN, 64);
}

static bool pending(int ms)
{
	struct pollfd p = { .fd = h.fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1 && p.revents & POLLIN;
}

TEST(cycle)
{
	struct gcheap_event e;
	static void *keep;

	start();
	keep = raw_take(&h, cache);
	raw_root(&h, 0, &keep, 8, NULL);
	raw_flush(&h);
	CHECK(!pending(0));
	raw_collect(&h);
	CHECK(pending(1000));
	CHECK_EQ(read(h.fd, &e, sizeof(e)), sizeof(e));
	CHECK_EQ(e.type, GCHEAP_EV_CYCLE);
	CHECK_EQ(e.size, sizeof(e));
	CHECK_EQ(e.a, raw_status(&h).cycles);
	CHECK(e.b > 0 && e.b == raw_status(&h).pause_ns_last);
	CHECK_EQ(e.c, 64);
	CHECK(!pending(0));
}

TEST(nonblocking)
{
	struct gcheap_event e;

	start();
	fcntl(h.fd, F_SETFL, fcntl(h.fd, F_GETFL) | O_NONBLOCK);
	CHECK_ERR(read(h.fd, &e, sizeof(e)), EAGAIN);
	raw_collect(&h);
	CHECK_EQ(read(h.fd, &e, sizeof(e)), sizeof(e));
	CHECK_ERR(read(h.fd, &e, sizeof(e)), EAGAIN);
}

TEST(whole_records_only)
{
	struct gcheap_event e[5];

	start();
	CHECK_ERR(read(h.fd, e, sizeof(*e) - 1), EINVAL);
	for (int i = 0; i < 4; i++)
		raw_collect(&h);
	CHECK_ERR(read(h.fd, e, 0), EINVAL);
	CHECK_EQ(read(h.fd, e, 2 * sizeof(*e) + 5), 2 * sizeof(*e));
	CHECK_EQ(e[0].a + 1, e[1].a);
	CHECK_ERR(read(h.fd, h.base + GCHEAP_CHUNK_SIZE, sizeof(*e)), EFAULT);
	/* What could not be delivered is still there. */
	CHECK_EQ(read(h.fd, e, sizeof(e)), 2 * sizeof(*e));
	CHECK_EQ(e[0].a, 3);
	CHECK_EQ(e[1].a, 4);
}

static void *reads(void *arg)
{
	static struct gcheap_event e;

	CHECK_EQ(read(h.fd, &e, sizeof(e)), sizeof(e));
	CHECK_EQ(e.type, GCHEAP_EV_CYCLE);
	return &e;
}

TEST(blocking_read_wakes)
{
	pthread_t t;

	start();
	t = spawn(reads, NULL);
	usleep(50000);
	raw_collect(&h);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void nothing(int sig)
{
}

TEST(blocking_read_is_interrupted)
{
	struct sigaction a = { .sa_handler = nothing };
	struct gcheap_event e;

	start();
	sigaction(SIGALRM, &a, NULL);
	alarm(1);
	CHECK_ERR(read(h.fd, &e, sizeof(e)), EINTR);
	alarm(TAP_SECONDS);
	signal(SIGALRM, SIG_DFL);
}

TEST(bounded)
{
	struct gcheap_event e;
	uint64_t n = 0;

	start();
	for (int i = 0; i < 2000; i++)
		raw_collect(&h);
	while (pending(0)) {
		CHECK_EQ(read(h.fd, &e, sizeof(e)), sizeof(e));
		n++;
	}
	CHECK(n > 0 && n < 2000);
	raw_flush(&h);		/* the page is a call behind */
	CHECK_EQ(n + raw_status(&h).events_lost, 2000);
	raw_collect(&h);
	CHECK(pending(1000));
}

TEST(bad_free)
{
	struct gcheap_event e;

	start();
	raw_free(&h, (char *)raw_take(&h, cache) + 8);
	raw_flush(&h);
	CHECK(pending(1000));
	CHECK_EQ(read(h.fd, &e, sizeof(e)), sizeof(e));
	CHECK_EQ(e.type, GCHEAP_EV_BAD_FREE);
	CHECK_EQ(e.a % 64, 8);
}

TEST(after_the_heap_died)
{
	struct gcheap_event e;
	struct pollfd p;

	start();
	raw_collect(&h);
	munmap(h.base, h.setup.heap_size);
	p = (struct pollfd){ .fd = h.fd, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 1000), 1);		/* no one waits for ever */
	while (read(h.fd, &e, sizeof(e)) == sizeof(e))
		;
	CHECK_EQ(errno, ENXIO);
}

TEST_MAIN
