// SPDX-License-Identifier: GPL-2.0-only
/*
 * R14: black starts one cell before the cursor. A thread has moved its cursor and
 * has not yet put the address anywhere that a collector looks.
 *
 * Without it: lost: the cell just before the cursor
 */
#include "../raw.h"

TEST(R14_cursor_order)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	uintptr_t last, before;

	/* Not the first of its span nor of the batch; then those. */
	for (int i = 0; i < 3; i++)
		raw_take(&h, c);
	before = (uintptr_t)raw_take(&h, c);
	last = (uintptr_t)raw_take(&h, c);
	raw_collect(&h);
	if (!raw_is_live(&h, last))
		FAIL("lost: the cell just before the cursor");
	CHECK(!raw_is_live(&h, before));
	raw_flush(&h);
	last = (uintptr_t)raw_take(&h, c);
	raw_collect(&h);
	if (!raw_is_live(&h, last))
		FAIL("lost: the cell just before the cursor, the first of its span");
	/* It is not handed out again while it counts as handed out. */
	for (int i = 0; i < 500; i++)
		CHECK((uintptr_t)raw_take(&h, c) != last);
	raw_verify(&h);
}

/* The cursor of another, running thread, which is stopped between the two. */
static volatile int moved, stop;
static uintptr_t hidden;

static void *between(void *arg)
{
	struct raw *h = arg;

	raw_attach(h);
	raw_take(h, 0);
	raw_take(h, 0);
	hidden = take_hidden(h, 0);
	moved = 1;
	while (!stop)
		;
	return NULL;
}

TEST(R14_cursor_of_another_thread)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	pthread_t t;

	CHECK_EQ(raw_cache(&h, GCHEAP_CONSERVATIVE, 64), 0);
	t = spawn(between, &h);
	while (!moved)
		usleep(100);
	for (int i = 0; i < 3; i++) {
		raw_collect(&h);
		if (!hidden_live(&h, hidden))
			FAIL("lost: the cell just before the cursor of another thread");
	}
	stop = 1;
	pthread_join(t, NULL);
}

TEST_MAIN
