// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Forked children in ways that libgc does not have: within its lock, and without a heap. */
#include "../../../selftests/tap.h"
#include "../../../selftests/cgroup.h"
#include "said.h"
#include <stdint.h>
#include <sys/resource.h>
#define GC_THREADS
#include <gc/gc.h>

/* libgc's waits for the thread, which waits for the lock. */
#undef pthread_create
#undef pthread_join

#define LENGTH	1000

static void **list;

static void make(void)
{
	GC_INIT();
	for (uintptr_t i = 0; i < LENGTH; i++) {
		void **n = GC_MALLOC(2 * sizeof(*n));

		n[0] = list;
		n[1] = (void *)~i;
		list = n;
	}
}

static void intact(void)
{
	uintptr_t i = LENGTH;

	for (void **n = list; n; n = n[0])
		CHECK_EQ((uintptr_t)n[1], ~--i);
	CHECK_EQ(i, 0);
}

static void use(void)
{
	intact();
	for (int i = 0; i < 5000; i++)
		memset(GC_MALLOC(32), 0xa5, 32);
	GC_gcollect();
	intact();
}

static int status_of(pid_t pid)
{
	int status;

	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

/* ---- within the allocation lock */

static void *link_to;
static pid_t pid;

static pthread_t other;
static volatile int about_to, entered;

static void *enters(void *arg)
{
	entered = 1;
	return arg;
}

static void *others(void *arg)
{
	about_to = 1;
	GC_call_with_alloc_lock(enters, NULL);
	return GC_MALLOC(100);
}

static void *forks_within(void *arg)
{
	pid = fork();
	if (pid)
		return NULL;
	CHECK_EQ(pthread_create(&other, NULL, others, NULL), 0);
	for (int i = 0; i < 5000; i++)
		memset(GC_MALLOC(32), 0xa5, 32);
	while (!about_to)
		usleep(1000);
	usleep(50000);
	return GC_REVEAL_POINTER((GC_word)link_to);
}

/* The child is within, too, and no less often. */
static void *within(void *arg)
{
	void *got = GC_call_with_alloc_lock(forks_within, NULL);

	usleep(50000);
	CHECK_EQ(entered, 0);
	return got;
}

TEST(within_the_allocation_lock)
{
	void *got;

	make();
	link_to = (void *)GC_HIDE_POINTER(list);
	CHECK_EQ(GC_general_register_disappearing_link(&link_to, list), GC_SUCCESS);
	got = GC_call_with_alloc_lock(within, NULL);
	if (pid) {
		CHECK_EQ(status_of(pid), 0);
		CHECK_EQ(pthread_create(&other, NULL, others, NULL), 0);
	} else {
		CHECK(got == list);
	}
	CHECK_EQ(pthread_join(other, NULL), 0);
	CHECK_EQ(entered, 1);
	use();
	if (!pid)
		_exit(0);
}

/* ---- without a heap */

/* Whoever does nothing with it ends as usual. */
static void children_without(const char *reason)
{
	pid = fork();
	if (!pid)
		exit(0);
	CHECK_EQ(status_of(pid), 0);
	listen_to();
	pid = fork();
	if (!pid) {
		GC_MALLOC(100);
		_exit(0);
	}
	CHECK_EQ(status_of(pid) & 0x7f, SIGABRT);
	if (!strstr(said(), reason))
		FAIL("not said: %s", reason);
}

TEST(no_descriptor_for_the_child)
{
	struct rlimit was, none;

	make();
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = dup(0);
	close(none.rlim_cur);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	pid = fork();
	if (!pid) {
		GC_gcollect();
		GC_free(list);
		CHECK(!GC_base(list));
		CHECK_EQ(setrlimit(RLIMIT_NOFILE, &was), 0);
		listen_to();
		GC_MALLOC(100);
		_exit(0);
	}
	CHECK_EQ(status_of(pid) & 0x7f, SIGABRT);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &was), 0);
	use();
}

TEST(no_memory_for_the_child)
{
	const char *dir;
	char text[32];
	char *big;

	dir = cgroup_enter(cgroup_make("gcheap-bdw-fork"));
	make();
	big = GC_MALLOC_ATOMIC(20 << 20);
	memset(big, 1, 20 << 20);
	snprintf(text, sizeof(text), "%ld", cgroup_get(dir, "memory.current", NULL) + (12 << 20));
	CHECK_EQ(cgroup_put(dir, "memory.max", text), 0);
	children_without("Cannot allocate memory");
	CHECK_EQ(cgroup_put(dir, "memory.max", "max"), 0);
	use();
	CHECK_EQ(big[1000], 1);
}

TEST(not_wanted)
{
	setenv("GCHEAP_FORK", "0", 1);
	make();
	children_without("no heap");
	use();
}

TEST_MAIN
