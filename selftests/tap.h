/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Test programs that speak TAP, in the manner of the kernel's kselftest_harness.h
 * (which Debian does not ship for user space).
 *
 *   TEST(name) { CHECK(this); CHECK_EQ(got, want); }
 *   TEST_MAIN
 *
 * Each test runs in a process, and so in an address space, of its own: it can
 * have a heap, crash or hang without spoiling the others. Arguments of the program
 * choose tests by glob. A failed CHECK ends the test, from any thread.
 */
#ifndef GCHEAP_TAP_H
#define GCHEAP_TAP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNUSED		__attribute__((unused))
#define NOINLINE	__attribute__((noinline, noclone))
#define TAP_SECONDS	300	/* a test that takes longer hangs */
#define TAP_SKIP	4

struct tap_test {
	const char *name;
	void (*run)(void);
	struct tap_test *next;
};
static struct tap_test *tap_first __attribute__((unused));
static struct tap_test **tap_last __attribute__((unused)) = &tap_first;

#define TEST(name)							\
	static void test_##name(void);					\
	static void __attribute__((constructor)) tap_add_##name(void)	\
	{								\
		static struct tap_test t = { #name, test_##name, NULL };\
		*tap_last = &t;						\
		tap_last = &t.next;					\
	}								\
	static void test_##name(void)

#define diag(fmt, ...) dprintf(1, "# " fmt "\n", ##__VA_ARGS__)
#define FAIL(fmt, ...) do {						\
		diag("%s:%d: " fmt, __FILE__, __LINE__, ##__VA_ARGS__);	\
		_exit(1);						\
	} while (0)
#define SKIP(fmt, ...) do {						\
		diag("SKIP " fmt, ##__VA_ARGS__);			\
		_exit(TAP_SKIP);					\
	} while (0)
#define CHECK(cond) do {						\
		int tap_errno = errno;					\
		if (!(cond))						\
			FAIL("%s (errno %d %s)", #cond, tap_errno ?: errno, \
			     strerrorname_np(errno) ?: "?");		\
	} while (0)
#define CHECK_EQ(got, want) do {					\
		long long tap_g = (long long)(got), tap_w = (long long)(want); \
		if (tap_g != tap_w)					\
			FAIL("%s is %lld, expected %s = %lld (errno %d)",	\
			     #got, tap_g, #want, tap_w, errno);		\
	} while (0)
/* A call that must fail, with this errno. */
#define CHECK_ERR(call, err) do {					\
		errno = 0;						\
		long tap_r = (long)(call);				\
		if (tap_r != -1 || errno != (err))			\
			FAIL("%s: returned %ld, errno %s, expected %s", #call, \
			     tap_r, strerrorname_np(errno) ?: "?", #err); \
	} while (0)

/*
 * How often to do what is done @n times: less often where $TEST_EFFORT is less than 100, as
 * on a kernel that is many times slower, but once at least.
 */
UNUSED static unsigned int tap_times(unsigned int n)
{
	const char *e = getenv("TEST_EFFORT");
	unsigned int percent = e ? atoi(e) : 100;

	return n * percent < 100 ? 1 : n * percent / 100;
}

static int tap_fork(struct tap_test *t)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(TAP_SECONDS);
		t->run();
		_exit(0);
	}
	setpgid(pid, pid);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	kill(-pid, SIGKILL);	/* what it left behind */
	if (WIFSIGNALED(status))
		diag("%s: %s", t->name, WTERMSIG(status) == SIGALRM ? "hangs" :
		     strsignal(WTERMSIG(status)));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int __attribute__((unused)) tap_main(int argc, char **argv)
{
	int n = 0, failed = 0, r, i;
	struct tap_test *t;

	printf("TAP version 13\n");
	for (t = tap_first; t; t = t->next) {
		for (i = 1; i < argc && fnmatch(argv[i], t->name, 0); i++)
			;
		if (argc > 1 && i == argc)
			continue;
		fflush(stdout);
		r = tap_fork(t);
		failed += r && r != TAP_SKIP;
		printf("%sok %d - %s%s\n", r && r != TAP_SKIP ? "not " : "", ++n,
		       t->name, r == TAP_SKIP ? " # SKIP" : "");
	}
	printf("1..%d\n", n);
	return !!failed;
}

#define TEST_MAIN							\
	int main(int argc, char **argv)					\
	{								\
		return tap_main(argc, argv);				\
	}

#endif
