// SPDX-License-Identifier: GPL-2.0-only
/*
 * R13: a forked child shares no page by accident, even if MADV_DOFORK has undone
 * what keeps the mapping from being copied.
 *
 * Without it: the child has read its parent's object
 */
#include "../raw.h"

TEST(R13_forked_child)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	volatile uint64_t *p = raw_take(&h, c);
	int status;
	pid_t pid;

	*p = 0x5ec2e7;
	madvise(h.base, h.setup.heap_size, MADV_DOFORK);
	pid = fork();
	if (!pid)
		_exit(*p == 0x5ec2e7 ? 42 : 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 42)
		FAIL("the child has read its parent's object");
	pid = fork();
	if (!pid) {
		*p = 1;
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (*p != 0x5ec2e7)
		FAIL("the child has written to its parent's object");
	raw_collect(&h);
	raw_verify(&h);
}

TEST_MAIN
