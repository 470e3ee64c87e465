// SPDX-License-Identifier: GPL-2.0-only
/*
 * The allocation fast path, instruction by instruction: a child allocates under
 * ptrace and is stepped through the call; the shortest of many calls is it.
 *
 *   fastpath [BYTES]
 *
 * Prints "FILE OFFSET" of each instruction executed, and "count N" at last.
 */
#include "bench.h"
#include <dlfcn.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

enum { CALLS = 40, MOST = 300 };	/* a longer call is not the fast path */

static unsigned long path[MOST], best[MOST];

static void child(size_t bytes)
{
	void *volatile keep;

	bench_init();
	for (int i = 0; i < 100; i++)
		keep = bench_alloc(bytes);
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	for (int i = 0; i < CALLS; i++) {
		__asm__ volatile("int3");
		keep = bench_alloc(bytes);
		__asm__ volatile("int3");
	}
	(void)keep;
	_exit(0);
}

/* Towards the next breakpoint; how many instructions, -1 if the child is gone. */
static int step(pid_t pid)
{
	struct user_regs_struct r;
	int status, n;

	for (n = 0; n < MOST; n++) {
		if (ptrace(PTRACE_GETREGS, pid, 0, &r))
			return -1;
		if ((ptrace(PTRACE_PEEKTEXT, pid, r.rip, 0) & 0xff) == 0xcc)
			return n;
		path[n] = r.rip;
		ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
		if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return -1;
	}
	return n;
}

/* On to the next breakpoint. */
static int go_on(pid_t pid)
{
	int status;

	return !ptrace(PTRACE_CONT, pid, 0, 0) && waitpid(pid, &status, 0) == pid &&
	       WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

static void print(pid_t pid, unsigned long rip)
{
	char maps[64], line[512], file[256];
	unsigned long lo, hi, off;
	FILE *f;

	snprintf(maps, sizeof(maps), "/proc/%d/maps", pid);
	f = fopen(maps, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %255s", &lo, &hi, &off, file) == 4 &&
		    rip >= lo && rip < hi)
			printf("%s %lx\n", file, rip - lo + off);
	if (f)
		fclose(f);
}

int main(int argc, char **argv)
{
	size_t bytes = argc > 1 ? strtoul(argv[1], NULL, 0) : 32;
	int status, n, shortest = MOST;
	pid_t pid = fork();

	if (!pid)
		child(bytes);
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return 1;
	for (int i = 0; i < CALLS; i++) {
		n = step(pid);
		if (n < 0)
			return printf("the child is gone\n"), 1;
		if (n < shortest) {
			shortest = n;
			memcpy(best, path, n * sizeof(*best));
		}
		if (i < CALLS - 1 && (!go_on(pid) || !go_on(pid)))
			return printf("the child is gone\n"), 1;
	}
	for (int i = 0; i < shortest; i++)
		print(pid, best[i]);
	printf("count %d\n", shortest);
	kill(pid, SIGKILL);
	return 0;
}
