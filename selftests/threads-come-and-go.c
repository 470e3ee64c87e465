// SPDX-License-Identifier: GPL-2.0-only
/* Threads that start and end while collections run; attached ones and others. */
#include "raw.h"

static struct raw h;
static unsigned int cache;
static volatile int stop;

static void *short_life(void *arg)
{
	volatile long x = 0;

	for (int i = 0; i < 1000; i++)
		x += i;
	return (void *)x;
}

static void *breeder(void *arg)
{
	long n = 0;

	while (!stop) {
		pthread_join(spawn(short_life, NULL), NULL);
		n++;
	}
	return (void *)n;
}

static void *attached_life(void *arg)
{
	uint64_t *p;

	raw_attach(&h);
	for (int i = 0; i < 500; i++) {
		p = raw_take(&h, cache);
		p[0] = (uintptr_t)p;
	}
	if ((long)arg & 1)
		raw_detach(&h);
	return NULL;		/* or ends attached, owning spans */
}

static void *attached_breeder(void *arg)
{
	for (long n = 0; !stop; n++)
		pthread_join(spawn(attached_life, (void *)n), NULL);
	return NULL;
}

static void start(unsigned int flags)
{
	h = raw_open(flags);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
}

static void cycles_for(double seconds)
{
	uint64_t end = now_ns() + seconds * 1e9;

	while (now_ns() < end) {
		raw_collect(&h);
		raw_verify(&h);
	}
}

TEST(unattached)
{
	pthread_t t[3];
	void *n;
	long sum = 0;

	start(0);
	for (int i = 0; i < 3; i++)
		t[i] = spawn(breeder, NULL);
	cycles_for(3);
	stop = 1;
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &n);
		sum += (long)n;
	}
	diag("%ld threads through %llu cycles", sum,
	     (unsigned long long)raw_status(&h).cycles);
	CHECK(sum > 20);
}

TEST(attached)
{
	pthread_t t[2];

	start(0);
	for (int i = 0; i < 2; i++)
		t[i] = spawn(attached_breeder, NULL);
	cycles_for(3);
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	raw_collect(&h);
	raw_verify(&h);
}

/* A thread that ends is detached, and what it owned comes back (R14). */
TEST(dead_owners_are_detached)
{
	start(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	for (int i = 0; i < 8; i++)
		pthread_join(spawn(attached_life, (void *)0), NULL);
	for (int i = 0; i < 100 && raw_status(&h).threads > 1; i++)
		usleep(20000);
	raw_collect(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).threads, 1);
	CHECK_EQ(raw_status(&h).marked_objects, 0);
	CHECK_EQ(raw_status(&h).live_objects, 0);
	raw_verify(&h);
}

TEST(more_than_max_over_time)
{
	struct gcheap_setup s = raw_setup_arg(0);

	s.max_threads = 4;
	h = raw_open_with(s);
	raw_attach(&h);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	for (long i = 0; i < 40; i++) {
		pthread_join(spawn(attached_life, (void *)i), NULL);
		usleep(10000);
	}
	raw_collect(&h);
	raw_verify(&h);
}

/* Born in a pause, or just before: it must not run in it. */
static uint64_t *volatile shared;

static void *swapper(void *arg)
{
	uint64_t *mine;

	for (int i = 0; i < 200; i++) {
		mine = __atomic_exchange_n(&shared, NULL, __ATOMIC_ACQ_REL);
		if (mine)
			CHECK_EQ(mine[1], (uintptr_t)mine);
		sched_yield();
		if (mine)
			__atomic_store_n(&shared, mine, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void *swapper_breeder(void *arg)
{
	while (!stop)
		pthread_join(spawn(swapper, NULL), NULL);
	return NULL;
}

TEST(only_newborns_hold_it)
{
	pthread_t t[2];

	start(0);
	raw_root(&h, 0, (void *)&shared, 8, NULL);
	shared = raw_take(&h, cache);
	shared[1] = (uintptr_t)shared;
	for (int i = 0; i < 2; i++)
		t[i] = spawn(swapper_breeder, NULL);
	for (uint64_t end = now_ns() + 4000000000ull; now_ns() < end;) {
		raw_collect(&h);
		for (int i = 0; i < 20; i++)
			memset(raw_take(&h, cache), 0x55, 64);
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	raw_verify(&h);
}

static pthread_barrier_t barrier;

static void *asleep(void *arg)
{
	char c;

	pthread_barrier_wait(&barrier);
	return (void *)read((long)arg, &c, 1);
}

TEST(a_thousand_sleepers)
{
	enum { N = 1000 };
	static pthread_t t[N];
	pthread_attr_t attr;
	uint64_t begin;
	int p[2];

	start(0);
	CHECK_EQ(pipe(p), 0);
	pthread_barrier_init(&barrier, NULL, N + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < N; i++)
		if (pthread_create(&t[i], &attr, asleep, (void *)(long)p[0]))
			SKIP("no more than %d threads here", i);
	pthread_barrier_wait(&barrier);
	begin = now_ns();
	for (int i = 0; i < 3; i++)
		raw_collect(&h);
	CHECK(raw_status(&h).threads_stopped >= N);
	diag("a cycle in %llu ms, pause %llu us",
	     (unsigned long long)(now_ns() - begin) / 3000000,
	     (unsigned long long)raw_status(&h).pause_ns_max / 1000);
	close(p[1]);
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
}

static void *rest(void *arg)
{
	usleep(200000);
	raw_attach(&h);
	for (int i = 0; i < 10; i++) {
		raw_take(&h, cache);
		raw_collect(&h);
	}
	raw_verify(&h);
	_exit(0);
}

TEST(main_thread_exits_first)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		start(0);
		pthread_detach(spawn(rest, NULL));
		raw_collect(&h);
		pthread_exit(NULL);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST_MAIN
