// SPDX-License-Identifier: GPL-2.0-only
/*
 * R3: the stack of a thread that sleeps can change, as other threads write to it. What was
 * put there while marking was under way, and taken from where it was, is kept.
 *
 * Without it: [0-9]+ of [0-9]+ objects on a sleeping stack were lost
 */
#include "../raw.h"

enum { NODES = 40000, BOX = 64, ROUNDS = 40 };

static struct raw h;
static uint64_t *list;			/* the only root: nodes of next and leaf */
static uint64_t *all[NODES];
static volatile uint64_t *volatile box;	/* on the sleeper's stack */
static int ends[2];

static void *sleeper(void *arg)
{
	volatile uint64_t mine[BOX] = { 0 };
	char c;

	box = mine;
	CHECK_EQ(read(ends[0], &c, 1), 0);
	return arg;
}

static NOINLINE void make_list(unsigned int node, unsigned int leaf)
{
	uint64_t *n = NULL;

	for (int i = NODES; i--; n = all[i]) {
		all[i] = raw_take(&h, node);
		all[i][0] = (uintptr_t)n;
		all[i][1] = i < NODES - BOX ? 0 : (uintptr_t)raw_take(&h, leaf);
	}
	list = n;
}

/* From the end of the list, where marking comes last. */
static NOINLINE int move(void)
{
	int n = 0;

	for (; n < BOX && raw_status(&h).phase == GCHEAP_PHASE_TRACE; n++) {
		box[n] = all[NODES - 1 - n][1];
		all[NODES - 1 - n][1] = 0;
	}
	return n;
}

static NOINLINE unsigned int lost(int n)
{
	unsigned int lost = 0;

	while (n--)
		lost += !raw_is_live(&h, box[n]);
	return lost;
}

static int round_of(unsigned int node, unsigned int leaf)
{
	uint64_t cycles;
	unsigned int gone;
	int n;

	for (int i = 0; i < BOX; i++)
		box[i] = 0;
	make_list(node, leaf);
	raw_flush(&h);
	wipe_stack();
	cycles = raw_status(&h).cycles;
	raw_collect_start(&h, 0);
	while (raw_status(&h).phase != GCHEAP_PHASE_TRACE && raw_status(&h).cycles == cycles)
		;
	n = move();
	wipe_stack();
	while (raw_status(&h).cycles == cycles)
		usleep(1000);
	gone = lost(n);
	if (gone)
		FAIL("%u of %d objects on a sleeping stack were lost", gone, n);
	return n;
}

TEST(R3_sleeping_stacks)
{
	unsigned int node, leaf;
	int moved = 0;
	pthread_t t;

	h = raw_open(0);
	raw_hold(&h);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	node = raw_cache(&h, GCHEAP_CONSERVATIVE, 32);
	leaf = raw_cache(&h, GCHEAP_NOSCAN, 32);
	raw_root(&h, 0, &list, sizeof(list), NULL);
	CHECK_EQ(pipe(ends), 0);
	t = spawn(sleeper, NULL);
	while (!box)
		usleep(1000);
	raw_stress(200);
	for (int i = 0; i < ROUNDS; i++)
		moved += round_of(node, leaf);
	raw_stress(0);
	diag("%d objects moved", moved);
	CHECK(moved);
	close(ends[1]);
	pthread_join(t, NULL);
	raw_verify(&h);
}

TEST_MAIN
