/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel says of the program's threads. */
#ifndef GCHEAP_TEST_PROC_H
#define GCHEAP_TEST_PROC_H

#include "tap.h"
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* The number behind this word, "VmRSS:" say, in a thread's status. */
static inline long proc_status(pid_t tid, const char *word)
{
	char path[64], line[256];
	long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = fopen(path, "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, word, strlen(word)))
			n = atol(line + strlen(word));
	fclose(f);
	return n;
}

/* Whether a thread sleeps in this system call. */
static inline bool proc_sleeps_in(pid_t tid, long call)
{
	char path[64];
	long in = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	f = fopen(path, "r");
	CHECK(f);
	if (fscanf(f, "%ld", &in) != 1)
		in = -1;	/* "running" */
	fclose(f);
	return in == call;
}

/* What a clock says: the time a thread has run, say. */
static inline uint64_t proc_clock_ns(clockid_t clock)
{
	struct timespec ts;

	CHECK(!clock_gettime(clock, &ts));
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Until all other threads are gone, whether joined or not. */
static inline void await_alone(void)
{
	for (int i = 0; i < 3000 && proc_status(getpid(), "Threads:") > 1; i++)
		usleep(10000);
	CHECK_EQ(proc_status(getpid(), "Threads:"), 1);
}

#endif
