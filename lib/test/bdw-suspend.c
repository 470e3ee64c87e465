// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* libgc's threads that are made to stand still: none of them has a lock of the library's. */
#include "../../selftests/tap.h"
#define GC_SUSPEND_THREAD_ID	pthread_t
#include "../bdw/bdw.h"
#include "mock.h"

#include <gc/gc_inline.h>
#include <gc/javaxfc.h>

static int stop, turns;

/* The kernel lets no thread stop with a lock of its own. */
static int call(struct gch_backend *b, unsigned int command, void *arg)
{
	sigset_t all, was;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	err = mock_ops.call(b, command, arg);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return err;
}

static void begin(void)
{
	static struct gch_backend_ops ops;

	ops = mock_ops;
	ops.call = call;
	gch.ops = &ops;
	GC_init();
}

static void *nothing(void *arg)
{
	return arg;
}

/* Through as many locks as there are. */
static void *works(void *arg)
{
	unsigned int n = 0;

	while (!READ_ONCE(stop)) {
		GC_free(GC_malloc_uncollectable(16 + n++ % 1000));
		GC_add_roots(&turns, &turns + 2);
		GC_set_free_space_divisor(3 + n % 5);
		GC_call_with_alloc_lock(nothing, NULL);
		__atomic_fetch_add(&turns, 1, __ATOMIC_RELAXED);
	}
	return arg;
}

static void await_turn(void)
{
	for (int was = READ_ONCE(turns); READ_ONCE(turns) == was;)
		usleep(100);
}

TEST(others_go_on)
{
	pthread_t t;

	begin();
	CHECK_EQ(GC_pthread_create(&t, NULL, works, NULL), 0);
	for (int i = 0; i < 100; i++) {
		await_turn();
		GC_suspend_thread(t);
		CHECK(GC_is_thread_suspended(t));
		for (int j = 0; j < 20; j++)
			GC_free(GC_malloc_uncollectable(16 + j * 100));
		GC_set_free_space_divisor(3);
		GC_gcollect();
		GC_resume_thread(t);
	}
	WRITE_ONCE(stop, 1);
	CHECK_EQ(GC_pthread_join(t, NULL), 0);
	CHECK(!GC_is_thread_suspended(t));
}

/* More than are mapped at a time; records are used again. */
TEST(threads_come_and_go)
{
	enum { THREADS = 100 };
	pthread_t t[THREADS];

	begin();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < THREADS; i++)
			CHECK_EQ(GC_pthread_create(&t[i], NULL, nothing, NULL), 0);
		for (int i = 0; i < THREADS; i++)
			CHECK_EQ(GC_pthread_join(t[i], NULL), 0);
	}
	GC_stop_world_external();
	GC_start_world_external();
	CHECK(!GC_is_thread_suspended(pthread_self()));
}

TEST_MAIN
