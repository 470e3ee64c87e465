// SPDX-License-Identifier: GPL-2.0-only
/* kill -9, exec, fork and exec, exit in every state; and unloading the module. */
#include "raw.h"
#include <spawn.h>
#include <sys/resource.h>

static struct raw h;
static unsigned int cache;

static void start(unsigned int flags)
{
	h = raw_open(flags);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
}

static volatile int stop;

static void *collects(void *arg)
{
	while (!stop)
		raw_try_collect(&h);
	return NULL;
}

static void *allocates(void *arg)
{
	raw_attach(&h);
	while (!stop)
		raw_try_take(&h, cache);
	return NULL;
}

/* Until the heap is gone, which is the only error there may be. */
static void *asks_for_spans(void *arg)
{
	struct gcheap_spans s = { .size = sizeof(s), .cache = cache, .want = 4 };
	int err = raw_try_attach(&h, &s.thread);

	while (!stop && !err)
		err = ioctl(h.fd, GCHEAP_IOC_SPANS, &s);
	if (err)
		CHECK_EQ(errno, ENXIO);
	return NULL;
}

static void *spins(void *arg)
{
	while (!stop)
		;
	return NULL;
}

/* A busy process: it never ends by itself. */
static void busy(int tell)
{
	void **list = NULL, **p;

	start(0);
	for (int i = 0; i < 30000; i++) {
		p = raw_take(&h, cache);
		p[0] = list;
		list = p;
	}
	spawn(collects, NULL);
	spawn(collects, NULL);
	spawn(allocates, NULL);
	spawn(spins, NULL);
	CHECK_EQ(write(tell, "", 1), 1);
	for (;;)
		list[1] = raw_try_take(&h, cache);
}

TEST(kill_in_the_middle)
{
	uint64_t seed = raw_seed(), begin;
	int p[2], status;
	char c;
	pid_t pid;

	CHECK_EQ(pipe(p), 0);
	for (int i = 0; i < 25; i++) {
		pid = fork();
		if (!pid)
			busy(p[1]);
		CHECK_EQ(read(p[0], &c, 1), 1);
		usleep(rnd(&seed) % 60000);
		begin = now_ns();
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		CHECK(now_ns() - begin < 20000000000ull);
	}
}

TEST(exit_in_the_middle)
{
	uint64_t seed = raw_seed();
	int p[2], status;
	pid_t pid;
	char c;

	CHECK_EQ(pipe(p), 0);
	for (int i = 0; i < 10; i++) {
		pid = fork();
		if (!pid) {
			start(0);
			for (int k = 0; k < 1000; k++)
				raw_take(&h, cache);
			spawn(collects, NULL);
			spawn(allocates, NULL);
			CHECK_EQ(write(p[1], "", 1), 1);
			usleep(rnd(&seed) % 30000);
			exit(7);
		}
		rnd(&seed);
		CHECK_EQ(read(p[0], &c, 1), 1);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
}

TEST(exec_in_the_middle)
{
	int status;
	pid_t pid;

	for (int i = 0; i < 10; i++) {
		pid = fork();
		if (!pid) {
			start(0);
			raw_take(&h, cache);
			spawn(collects, NULL);
			spawn(allocates, NULL);
			spawn(spins, NULL);
			usleep(5000 * i);
			execl("/bin/sh", "sh", "-c", "exit 9", NULL);
			_exit(1);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	}
}

/* O_CLOEXEC: the new program has nothing of the heap. */
TEST(exec_leaves_no_descriptor)
{
	char path[64];
	int fd, status;
	pid_t pid;

	start(0);
	fd = h.fd;
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	pid = fork();
	if (!pid) {
		snprintf(path, sizeof(path), "test ! -e /proc/self/fd/%d", fd);
		execl("/bin/sh", "sh", "-c", path, NULL);
		_exit(1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST(fork_and_exec)
{
	char *argv[] = { "sh", "-c", "exit 3", NULL };
	int status;
	pid_t pid;
	pthread_t t;

	start(0);
	uint64_t *p = raw_take(&h, cache);

	p[0] = 4711;
	t = spawn(collects, NULL);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, NULL), 0);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
		pid = fork();
		if (!pid) {
			execv("/bin/sh", argv);
			_exit(1);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	}
	stop = 1;
	pthread_join(t, NULL);
	CHECK_EQ(p[0], 4711);
	raw_collect(&h);
	raw_verify(&h);
}

TEST(child_exits_while_parent_collects)
{
	pthread_t t;
	int status;

	start(0);
	t = spawn(collects, NULL);
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(5);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(WEXITSTATUS(status), 5);
	}
	stop = 1;
	pthread_join(t, NULL);
	raw_verify(&h);
}

TEST(close_with_everything_in_use)
{
	for (int i = 0; i < 20; i++) {
		unsigned int c;

		raw_thread = ~0u;
		memset(raw_batches, 0, sizeof(raw_batches));
		start(i & 1 ? GCHEAP_SETUP_PRECISE_ONLY : 0);
		c = raw_cache(&h, GCHEAP_NOSCAN, 0);
		for (int k = 0; k < 1000; k++)
			raw_take(&h, cache);
		CHECK(raw_try_large(&h, c, 1 << 20));
		if (i & 2) {
			struct gcheap_collect arg = { .size = sizeof(arg) };

			ioctl(h.fd, GCHEAP_IOC_COLLECT, &arg);
		}
		close(h.fd);
		munmap(h.base, h.setup.heap_size);
		munmap(h.meta, h.setup.meta_size);
		munmap((void *)h.status, GCHEAP_STATUS_SIZE);
		munmap(h.tcbs, h.setup.tcb_size);
	}
}

/* The heap's mapping goes while other threads are given spans and collect. */
TEST(munmap_in_the_middle)
{
	uint64_t seed = raw_seed();

	for (int i = 0; i < 20; i++) {
		pthread_t t[3];

		start(0);
		stop = 0;
		t[0] = spawn(asks_for_spans, NULL);
		t[1] = spawn(asks_for_spans, NULL);
		t[2] = spawn(collects, NULL);
		usleep(rnd(&seed) % 20000);
		CHECK_EQ(munmap(h.base, h.setup.heap_size), 0);
		CHECK_ERR(raw_try_collect(&h), ENXIO);
		stop = 1;
		for (int k = 0; k < 3; k++)
			pthread_join(t[k], NULL);
		CHECK_EQ(munmap(h.meta, h.setup.meta_size), 0);
		CHECK_EQ(munmap((void *)h.status, GCHEAP_STATUS_SIZE), 0);
		CHECK_EQ(munmap(h.tcbs, h.setup.tcb_size), 0);
		close(h.fd);
	}
}

TEST(coredump_and_fault)
{
	struct rlimit l = { 0, 0 };
	int status;
	pid_t pid = fork();

	if (!pid) {
		setrlimit(RLIMIT_CORE, &l);
		start(0);
		raw_take(&h, cache);
		spawn(collects, NULL);
		usleep(20000);
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static int unload(void)
{
	return syscall(SYS_delete_module, "gcheap", O_NONBLOCK);
}

TEST(module_in_use_stays)
{
	int status;
	pid_t pid;

	if (geteuid())
		SKIP("not root");
	if (access("/sys/module/gcheap", F_OK))
		SKIP("not a module");
	start(0);
	CHECK(unload() == -1 && (errno == EAGAIN || errno == EBUSY));
	raw_take(&h, cache);
	raw_collect(&h);
	CHECK(unload() == -1 && (errno == EAGAIN || errno == EBUSY));
	/* The mapping alone holds it, too. */
	close(h.fd);
	CHECK(unload() == -1 && (errno == EAGAIN || errno == EBUSY));
	pid = fork();
	if (!pid)
		_exit(unload() == 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST_MAIN
