// SPDX-License-Identifier: GPL-2.0-only
/*
 * R10: who is stopped: every process that uses the address space, not only the
 * threads of the one that made the heap.
 *
 * Without it: lost: only a process that shares the address space had it
 */
#define _GNU_SOURCE
#include <sched.h>
#include "../raw.h"

static char stack[65536] __attribute__((aligned(16)));
static uintptr_t hidden;
static volatile int ready, stop;

static int child(void *arg)
{
	void *volatile p = UNHIDE(hidden);

	ready = 1;
	while (!stop)
		;
	return !p;
}

TEST(R10_who_is_stopped)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	int status;
	pid_t pid;

	anchor(&h, c);
	hidden = take_hidden(&h, c);
	settle(&h);
	pid = clone(child, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
	CHECK(pid > 0);
	while (!ready)
		usleep(1000);
	raw_collect(&h);
	stop = 1;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (!hidden_live(&h, hidden))
		FAIL("lost: only a process that shares the address space had it");
}

TEST_MAIN
