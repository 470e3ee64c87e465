// SPDX-License-Identifier: GPL-2.0-only
/*
 * R13: a child that is forked while objects move shares no page either, wherever they are
 * just then, and its parent's pointers are corrected all the same.
 *
 * Without it: a child has read its parent's object
 */
#include "moving.h"

enum { N = 4000, COMPACTIONS = 6, STRESS_US = 200 };

static struct raw h;
static uint64_t **kept;	/* a precise root, and no child's: it could not be changed */
static bool stop;

static NOINLINE void fill(unsigned int movable)
{
	moving_fill(&h, movable, kept, N);
	for (int i = 0; i < N; i++)
		kept[i][0] = (uintptr_t)kept[N - 1 - i];
}

/* Exit status 42: something of the parent's could be read. Each try dies of a fault. */
static void *fork_on(void *arg)
{
	unsigned int seed = 1;
	int *seen = arg, status;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		uint64_t i = 1 + rand_r(&seed) % (N - 1);
		volatile uint64_t *p = kept[i];
		pid_t pid = fork();

		if (!pid)
			_exit(p && p[1] == i ? 42 : 0);
		CHECK(pid > 0);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		seen[0]++;
		seen[1] += WIFEXITED(status) && WEXITSTATUS(status) == 42;
	}
	return NULL;
}

TEST(R13_forked_while_objects_move)
{
	unsigned int movable;
	int seen[2] = { };
	pthread_t t;

	h = moving_open(GCHEAP_SETUP_PRECISE_ONLY);
	kept = mmap(NULL, N * sizeof(*kept), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	CHECK(kept != MAP_FAILED);
	CHECK_EQ(madvise(kept, N * sizeof(*kept), MADV_DONTFORK), 0);
	raw_root(&h, GCHEAP_ROOT_PRECISE, kept, N * sizeof(*kept), NULL);
	movable = raw_typed_as(&h, GCHEAP_CACHE_MOVABLE, 4, 1, 0);
	madvise(h.base, h.setup.heap_size, MADV_DOFORK);
	raw_stress(STRESS_US);
	t = spawn(fork_on, seen);
	for (int i = 0; i < COMPACTIONS; i++) {
		fill(movable);
		raw_collect_as(&h, GCHEAP_COLLECT_COMPACT);
		for (int k = 0; k < N; k++) {
			CHECK_EQ(kept[k][1], k);
			CHECK(kept[k][0] == (uintptr_t)kept[N - 1 - k]);
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(t, NULL);
	raw_stress(0);
	diag("%d children, %llu objects moved", seen[0], raw_status(&h).moved_objects);
	if (seen[1])
		FAIL("a child has read its parent's object, %d of %d", seen[1], seen[0]);
	CHECK(seen[0] > 0 && raw_status(&h).moved_objects > 0);
	raw_verify(&h);
}

TEST_MAIN
