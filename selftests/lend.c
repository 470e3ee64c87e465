// SPDX-License-Identifier: GPL-2.0-only
/* A thread that is lent marks beside the program in its own time. */
#include "raw.h"
#include "proc.h"

#include <signal.h>
#include <sys/wait.h>

enum { NODES = 100000, CYCLES = 8 };

static struct raw h;
static uint64_t *keep;

/* What a lent thread has come back with. */
struct lent {
	pthread_t thread;
	struct gcheap_lend arg;
	int err;
	bool back;
};

static void *lend(void *arg)
{
	struct lent *l = arg;

	l->arg.size = sizeof(l->arg);
	l->err = ioctl(h.fd, GCHEAP_IOC_LEND, &l->arg) ? errno : 0;
	__atomic_store_n(&l->back, true, __ATOMIC_RELEASE);
	return NULL;
}

static void lend_one(struct lent *l)
{
	*l = (struct lent) { };
	CHECK(!pthread_create(&l->thread, NULL, lend, l));
}

static int end(void)
{
	struct gcheap_lend arg = { .size = sizeof(arg), .flags = GCHEAP_LEND_END };

	return ioctl(h.fd, GCHEAP_IOC_LEND, &arg);
}

/* The thread may be on its way yet. */
static void end_one(struct lent *l)
{
	while (end())
		CHECK_EQ(errno, ENOENT);
	pthread_join(l->thread, NULL);
	CHECK_EQ(l->err, ECANCELED);
}

static void start(void)
{
	unsigned int node;
	uint64_t *p;

	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&h, GCHEAP_PARAM_YOUNG, 0);
	raw_param(&h, GCHEAP_PARAM_CHECK, 1);
	node = raw_typed(&h, 6, 0x03, 0);
	raw_root(&h, 0, &keep, sizeof(keep), NULL);
	for (int i = 0; i < NODES; i++) {
		p = raw_take(&h, node);
		p[0] = (uintptr_t)keep;
		p[1] = keep ? keep[0] : 0;
		keep = p;
	}
	raw_flush(&h);
}

static void collect_some(void)
{
	for (int i = 0; i < CYCLES; i++) {
		raw_collect(&h);
		CHECK_EQ(raw_status(&h).marked_objects, NODES);
		CHECK_EQ(raw_status(&h).live_objects, NODES);
	}
	CHECK_EQ(raw_status(&h).check_lost, 0);
	raw_verify(&h);
}

static bool stop;

static void *spin(void *arg)
{
	raw_go_first((uintptr_t)arg);
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		;
	return arg;
}

TEST(marks_in_its_own_time)
{
	clockid_t clock;
	struct lent l;
	uint64_t ran;

	start();
	lend_one(&l);
	collect_some();
	CHECK(!pthread_getcpuclockid(l.thread, &clock));
	ran = proc_clock_ns(clock);
	end_one(&l);
	diag("%d cycles: marked for %" PRIu64 " us, ran for %" PRIu64, CYCLES,
	     (uint64_t)l.arg.ns / 1000, ran / 1000);
	CHECK(l.arg.ns && ran);
	CHECK_ERR(end(), ENOENT);
}

TEST(one_at_a_time)
{
	struct lent a, b, *first, *second;

	start();
	lend_one(&a);
	lend_one(&b);
	/* Which of them is first is open; the other one is refused. */
	while (!__atomic_load_n(&a.back, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&b.back, __ATOMIC_ACQUIRE))
		sched_yield();
	first = a.back ? &b : &a;
	second = a.back ? &a : &b;
	pthread_join(second->thread, NULL);
	CHECK_EQ(second->err, EBUSY);
	collect_some();
	end_one(first);
}

static void nothing(int sig)
{
}

/* Its program does without it then, and may lend another one. */
TEST(a_signal_takes_it_back)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct lent l;

	start();
	sigaction(SIGUSR1, &sa, NULL);
	for (int i = 0; i < 3; i++) {
		lend_one(&l);
		collect_some();
		while (!__atomic_load_n(&l.back, __ATOMIC_ACQUIRE)) {
			pthread_kill(l.thread, SIGUSR1);
			usleep(1000);
		}
		pthread_join(l.thread, NULL);
		CHECK_EQ(l.err, EINTR);
		collect_some();
	}
}

/* It marks for others, and is a root and stopped itself, like any that is in a call. */
TEST(while_all_are_at_work)
{
	unsigned int garbage;
	struct lent l;
	uint64_t before;

	start();
	lend_one(&l);
	garbage = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	before = raw_status(&h).cycles;
	while (raw_status(&h).cycles < before + CYCLES) {
		raw_collect_start(&h, 0);
		for (int i = 0; i < 2000; i++)
			*(uint64_t **)raw_take(&h, garbage) = keep;
	}
	raw_flush(&h);
	collect_some();
	end_one(&l);
	CHECK(l.arg.ns);
}

/* Of a processor that another thread keeps. It is done without, and takes up again. */
TEST(one_that_does_not_run)
{
	uintptr_t cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	struct sched_param last = { };
	struct lent l;
	pthread_t hog;
	cpu_set_t set;

	if (!cpu)
		SKIP("one processor");
	start();
	lend_one(&l);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!pthread_setaffinity_np(l.thread, sizeof(set), &set));
	CHECK(!pthread_setschedparam(l.thread, SCHED_IDLE, &last));
	CHECK(!pthread_create(&hog, NULL, spin, (void *)cpu));
	collect_some();
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	collect_some();
	end_one(&l);
	pthread_join(hog, NULL);
}

TEST(killed_with_it)
{
	struct lent l;
	int status;
	pid_t pid = fork();

	if (!pid) {
		start();
		lend_one(&l);
		raw_collect_start(&h, 0);
		kill(getpid(), SIGKILL);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_MAIN
