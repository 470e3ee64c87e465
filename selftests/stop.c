// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stopping threads: the busy ones stop, the sleeping ones sleep on and hear
 * nothing of it.
 */
#include "raw.h"
#include "proc.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static struct raw h;
static unsigned int cache;

static void start(void)
{
	h = raw_open(0);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	raw_take(&h, cache);
}

static char state_of(pid_t tid)
{
	char path[64], text[512] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strrchr(text, ')')[2];
}

struct sleeper {
	const char *name;
	long (*sleep)(struct sleeper *s);
	void (*wake)(struct sleeper *s);
	long want;
	int fd[2], ep, futex, sem;
	pid_t volatile tid;
	volatile long result;
	volatile int error;
	pthread_t t;
};

static long sleep_read(struct sleeper *s)
{
	char c;

	return read(s->fd[0], &c, 1);
}

static void wake_pipe(struct sleeper *s)
{
	CHECK_EQ(write(s->fd[1], "", 1), 1);
}

static long sleep_futex(struct sleeper *s)
{
	return syscall(SYS_futex, &s->futex, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void wake_futex(struct sleeper *s)
{
	s->futex = 1;
	CHECK_EQ(syscall(SYS_futex, &s->futex, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
}

static long sleep_epoll(struct sleeper *s)
{
	struct epoll_event e;

	return epoll_wait(s->ep, &e, 1, -1);
}

static long sleep_poll(struct sleeper *s)
{
	struct pollfd p = { .fd = s->fd[0], .events = POLLIN };

	return poll(&p, 1, -1);
}

static long sleep_nanosleep(struct sleeper *s)
{
	struct timespec t = { .tv_sec = 3 };
	uint64_t begin = now_ns();
	long r = clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);

	return r ?: now_ns() - begin >= 3000000000ull ? 0 : -2;
}

static void wake_never(struct sleeper *s)
{
}

static long sleep_semop(struct sleeper *s)
{
	struct sembuf b = { .sem_op = -1 };
	struct timespec t = { .tv_sec = 60 };

	return semtimedop(s->sem, &b, 1, &t);
}

static void wake_semop(struct sleeper *s)
{
	struct sembuf b = { .sem_op = 1 };

	CHECK_EQ(semop(s->sem, &b, 1), 0);
}

static struct sleeper sleepers[] = {
	{ .name = "read", .sleep = sleep_read, .wake = wake_pipe, .want = 1 },
	{ .name = "futex", .sleep = sleep_futex, .wake = wake_futex, .want = 0 },
	{ .name = "epoll_wait", .sleep = sleep_epoll, .wake = wake_pipe, .want = 1 },
	{ .name = "poll", .sleep = sleep_poll, .wake = wake_pipe, .want = 1 },
	{ .name = "nanosleep", .sleep = sleep_nanosleep, .wake = wake_never, .want = 0 },
	{ .name = "semtimedop", .sleep = sleep_semop, .wake = wake_semop, .want = 0 },
};
#define NSLEEPERS (int)(sizeof(sleepers) / sizeof(*sleepers))

static void *sleeper_thread(void *arg)
{
	struct sleeper *s = arg;

	s->tid = gettid();
	errno = 0;
	s->result = s->sleep(s);
	s->error = errno;
	return NULL;
}

TEST(sleepers_sleep_on)
{
	long voluntary[NSLEEPERS], involuntary[NSLEEPERS];

	start();
	for (int i = 0; i < NSLEEPERS; i++) {
		struct sleeper *s = &sleepers[i];
		struct epoll_event e = { .events = EPOLLIN };

		CHECK_EQ(pipe(s->fd), 0);
		s->ep = epoll_create1(0);
		CHECK_EQ(epoll_ctl(s->ep, EPOLL_CTL_ADD, s->fd[0], &e), 0);
		s->sem = semget(IPC_PRIVATE, 1, 0600);
		s->t = spawn(sleeper_thread, s);
	}
	usleep(300000);
	for (int i = 0; i < NSLEEPERS; i++) {
		for (int k = 0; k < 1000 && state_of(sleepers[i].tid) != 'S'; k++)
			usleep(10000);
		CHECK_EQ(state_of(sleepers[i].tid), 'S');
		voluntary[i] = proc_status(sleepers[i].tid, "voluntary_ctxt_switches:");
		involuntary[i] = proc_status(sleepers[i].tid, "nonvoluntary_ctxt_switches:");
	}
	raw_collect(&h);
	/* Asked early: the one that sleeps for a time may be over after them all. */
	CHECK(raw_status(&h).threads_stopped >= NSLEEPERS + 1);
	for (int n = 1; n < 50; n++)
		raw_collect(&h);
	for (int i = 0; i < NSLEEPERS; i++) {
		struct sleeper *s = &sleepers[i];

		if (s->sleep == sleep_nanosleep)
			continue;	/* may be over by now */
		CHECK_EQ(state_of(s->tid), 'S');
		if (proc_status(s->tid, "voluntary_ctxt_switches:") != voluntary[i] ||
		    proc_status(s->tid, "nonvoluntary_ctxt_switches:") != involuntary[i])
			FAIL("%s: was woken", s->name);
	}
	for (int i = 0; i < NSLEEPERS; i++) {
		struct sleeper *s = &sleepers[i];

		s->wake(s);
		pthread_join(s->t, NULL);
		if (s->result != s->want)
			FAIL("%s: returned %ld, errno %s", s->name, s->result,
			     strerrorname_np(s->error));
		semctl(s->sem, 0, IPC_RMID);
	}
}

/* Woken in the middle of cycle after cycle, nothing is lost or interrupted. */
static volatile int done;

static void *ping(void *arg)
{
	int *fd = arg;
	char c;

	for (int i = 0; i < 2000; i++) {
		CHECK_EQ(write(fd[1], "", 1), 1);
		CHECK_EQ(read(fd[2], &c, 1), 1);
	}
	done = 1;
	return NULL;
}

static void *pong(void *arg)
{
	int *fd = arg;
	char c;

	for (int i = 0; i < 2000; i++) {
		CHECK_EQ(read(fd[0], &c, 1), 1);
		CHECK_EQ(write(fd[3], "", 1), 1);
	}
	return NULL;
}

TEST(ping_pong_through_cycles)
{
	int fd[4], n = 0;
	pthread_t a, b;

	start();
	CHECK_EQ(pipe(fd), 0);
	CHECK_EQ(pipe(fd + 2), 0);
	a = spawn(ping, fd);
	b = spawn(pong, fd);
	while (!done) {
		raw_collect(&h);
		n++;
	}
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	diag("%d cycles", n);
}

static volatile int stop;
static volatile uint64_t spins[8];

static void *spin(void *arg)
{
	while (!stop)
		spins[(long)arg]++;
	return NULL;
}

TEST(spinning_threads)
{
	pthread_t t[4];
	uint64_t before;

	start();
	for (long i = 0; i < 4; i++)
		t[i] = spawn(spin, (void *)i);
	usleep(50000);
	for (int n = 0; n < 30; n++)
		raw_collect(&h);
	/* And they go on. */
	for (int i = 0; i < 4; i++) {
		before = spins[i];
		for (int k = 0; k < 200 && spins[i] == before; k++)
			usleep(10000);
		CHECK(spins[i] != before);
	}
	stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	diag("longest pause %llu us, longest stop %llu us",
	     (unsigned long long)raw_status(&h).pause_ns_max / 1000,
	     (unsigned long long)raw_status(&h).stop_ns_max / 1000);
}

static void *calls(void *arg)
{
	int fd = open("/dev/zero", O_RDONLY);
	static char buffer[65536];

	while (!stop) {
		syscall(SYS_getppid);
		CHECK_EQ(read(fd, buffer, sizeof(buffer)), sizeof(buffer));
		sched_yield();
		spins[(long)arg]++;
	}
	close(fd);
	return NULL;
}

TEST(threads_looping_in_system_calls)
{
	pthread_t t[4];

	start();
	for (long i = 0; i < 4; i++)
		t[i] = spawn(calls, (void *)i);
	for (int n = 0; n < 30; n++)
		raw_collect(&h);
	stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

/* Several threads ask at once: all are answered. */
static void *collects(void *arg)
{
	for (int i = 0; i < 20; i++)
		raw_collect(&h);
	return NULL;
}

TEST(collections_asked_for_by_many)
{
	pthread_t t[6];

	start();
	for (int i = 0; i < 6; i++)
		t[i] = spawn(collects, NULL);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	CHECK(raw_status(&h).cycles >= 20);
}

/* A process stopped by SIGSTOP, a thread stopped by a debugger. */
TEST(stopped_process)
{
	int up[2], status;
	char c;
	pid_t pid;

	CHECK_EQ(pipe(up), 0);
	pid = fork();
	if (!pid) {
		start();
		pthread_t t = spawn(spin, (void *)0);

		pthread_detach(t);
		CHECK_EQ(write(up[1], "", 1), 1);
		for (;;)
			raw_collect(&h);
	}
	CHECK_EQ(read(up[0], &c, 1), 1);
	for (int i = 0; i < 20; i++) {
		usleep(3000);
		kill(pid, SIGSTOP);
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		CHECK(WIFSTOPPED(status));
		kill(pid, SIGCONT);
	}
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
}

/* Signals arrive as ever, and their handlers run between pauses, not in one. */
static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
	signals++;
}

TEST(signals_arrive)
{
	struct sigaction a = { .sa_handler = count_signal, .sa_flags = SA_RESTART };
	struct itimerspec it = { { 0, 2000000 }, { 0, 2000000 } };
	struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	timer_t timer;
	uint64_t end;

	start();
	sigaction(SIGUSR2, &a, NULL);
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &e, &timer), 0);
	CHECK_EQ(timer_settime(timer, 0, &it, NULL), 0);
	for (end = now_ns() + 1000000000; now_ns() < end;)
		raw_collect(&h);
	timer_delete(timer);
	CHECK(signals > 10);
	raw_verify(&h);
}

/* R10: a process made by CLONE_VM is a mutator like any thread. */
static char clone_stack[65536] __attribute__((aligned(16)));
static uintptr_t clone_hidden;
static volatile int clone_ready;

static int sharing_child(void *arg)
{
	void *volatile place = UNHIDE(clone_hidden);

	clone_ready = 1;
	while (!stop)
		;
	return !place;
}

TEST(process_that_shares_the_address_space)
{
	int status;
	pid_t pid;

	start();
	anchor(&h, cache);
	clone_hidden = take_hidden(&h, cache);
	settle(&h);
	pid = clone(sharing_child, clone_stack + sizeof(clone_stack), CLONE_VM | SIGCHLD, NULL);
	CHECK(pid > 0);
	while (!clone_ready)
		usleep(1000);
	for (int i = 0; i < 5; i++)
		raw_collect(&h);
	CHECK(hidden_live(&h, clone_hidden));
	stop = 1;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST(vfork_child)
{
	int status;
	pid_t pid;

	start();
	for (int i = 0; i < 5; i++) {
		/* The parent sleeps uninterruptibly, the child shares its memory. */
		pid = vfork();
		if (!pid) {
			execl("/bin/true", "true", NULL);
			_exit(1);
		}
		raw_collect(&h);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
	}
}

TEST_MAIN
