// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Threads that are made to stand still, one by one or all, and go on again. */
#include "../../../selftests/tap.h"
#include "count.h"
#include <gc/javaxfc.h>
#include <time.h>

#define THREADS	4

static volatile long turns[THREADS];
static volatile int stop;

static void *runs(void *arg)
{
	volatile long *turn = arg;

	while (!stop)
		++*turn;
	return arg;
}

static void await_turn(volatile long *turn)
{
	for (long was = *turn; *turn == was;)
		usleep(1000);
}

static int turns_meanwhile(volatile long *turn)
{
	long was = *turn;

	usleep(50000);
	return *turn != was;
}

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, fn, arg), 0);
	return t;
}

static pthread_t start_running(int i)
{
	pthread_t t = start(runs, (void *)&turns[i]);

	await_turn(&turns[i]);
	return t;
}

TEST(one_thread)
{
	pthread_t t;

	GC_INIT();
	t = start_running(0);
	CHECK(!GC_is_thread_suspended(t));
	for (int i = 0; i < 20; i++) {
		GC_suspend_thread(t);
		CHECK(GC_is_thread_suspended(t));
		CHECK(!turns_meanwhile(&turns[0]));
		GC_suspend_thread(t);	/* does not count */
		GC_resume_thread(t);
		CHECK(!GC_is_thread_suspended(t));
		await_turn(&turns[0]);
		GC_resume_thread(t);
	}
	stop = 1;
	CHECK_EQ(pthread_join(t, NULL), 0);
}

/* As soon as there is one. */
TEST(new_threads)
{
	pthread_t t;

	GC_INIT();
	for (int i = 0; i < 20; i++) {
		stop = 0;
		t = start(runs, (void *)&turns[0]);
		GC_suspend_thread(t);
		CHECK(GC_is_thread_suspended(t));
		CHECK(!turns_meanwhile(&turns[0]));
		GC_resume_thread(t);
		stop = 1;
		CHECK_EQ(pthread_join(t, NULL), 0);
	}
}

/* ---- objects of one that stands, and allocation by the others */

static volatile int holds, checked;

static NOINLINE void hold(void)
{
	void *words[COUNTED];

	counted_make(words, COUNTED);
	holds = 1;
	while (!stop)
		++turns[0];
	counted_check(words, COUNTED);
	memset(words, 0, sizeof(words));
	__asm__ volatile("" : : "r"(words) : "memory");
}

static void *holder(void *arg)
{
	hold();
	checked = 1;
	return arg;
}

TEST(objects_are_kept)
{
	pthread_t t;

	GC_INIT();
	t = start(holder, NULL);
	while (!holds)
		usleep(1000);
	GC_suspend_thread(t);
	counted_kept();
	CHECK(!turns_meanwhile(&turns[0]));
	GC_resume_thread(t);
	stop = 1;
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK(checked);
	counted_dropped(COUNTED);
}

/* Wherever it was when it was stopped, others go on. */
static void *allocates(void *arg)
{
	volatile long *turn = arg;
	void *volatile last;

	while (!stop) {
		last = GC_MALLOC(64 + *turn % 5000);
		last = GC_MALLOC_ATOMIC(16);
		last = GC_MALLOC_UNCOLLECTABLE(100);
		GC_FREE(last);
		++*turn;
	}
	return arg;
}

TEST(others_allocate)
{
	pthread_t t;

	GC_INIT();
	t = start(allocates, (void *)&turns[0]);
	for (int i = 0; i < 100; i++) {
		await_turn(&turns[0]);
		GC_suspend_thread(t);
		for (int j = 0; j < 50; j++) {
			GC_MALLOC(100 + j * 100);
			GC_FREE(GC_MALLOC_UNCOLLECTABLE(1000));
		}
		if (i % 10 == 0)
			GC_gcollect();
		GC_resume_thread(t);
	}
	stop = 1;
	CHECK_EQ(pthread_join(t, NULL), 0);
}

/* ---- by itself, and while it blocks */

static volatile int done;

static void *suspends_itself(void *arg)
{
	GC_suspend_thread(pthread_self());
	done = 1;
	return arg;
}

TEST(a_thread_itself)
{
	pthread_t t;

	GC_INIT();
	t = start(suspends_itself, NULL);
	while (!GC_is_thread_suspended(t))
		usleep(1000);
	usleep(50000);
	CHECK(!done);
	GC_resume_thread(t);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK(done);
}

static void *runs_masked(void *turn)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	return runs(turn);
}

/* As libraries have it in threads of their own. */
TEST(a_thread_that_takes_no_signals)
{
	pthread_t t;

	GC_INIT();
	t = start(runs_masked, (void *)&turns[0]);
	await_turn(&turns[0]);
	GC_stop_world_external();
	CHECK(!turns_meanwhile(&turns[0]));
	GC_start_world_external();
	await_turn(&turns[0]);
	stop = 1;
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static volatile int blocked, unblock;

static void *block(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	blocked = 1;
	while (!unblock)
		usleep(1000);
	sigemptyset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	return arg;
}

static void *blocks(void *arg)
{
	CHECK(GC_do_blocking(block, arg) == arg);
	done = 1;
	return arg;
}

/* It is not waited for, whatever it waits for, but does not come back. */
TEST(a_thread_that_blocks)
{
	pthread_t t;

	GC_INIT();
	t = start(blocks, NULL);
	while (!blocked)
		usleep(1000);
	GC_suspend_thread(t);
	CHECK(GC_is_thread_suspended(t));
	unblock = 1;
	usleep(50000);
	CHECK(!done);
	GC_resume_thread(t);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK(done);
}

/* ---- the first thread, and those that are none of the collector's */

static void *stops_the_first(void *arg)
{
	pthread_t first = (pthread_t)arg;

	GC_suspend_thread(first);
	CHECK(GC_is_thread_suspended(first));
	CHECK(!turns_meanwhile(&turns[1]));
	GC_resume_thread(first);
	await_turn(&turns[1]);
	stop = 1;
	return NULL;
}

TEST(the_first_thread)
{
	pthread_t t;

	GC_INIT();
	t = start(stops_the_first, (void *)pthread_self());
	runs((void *)&turns[1]);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

#undef pthread_create
#undef pthread_join

TEST(threads_that_are_not_registered)
{
	pthread_t t;

	GC_INIT();
	CHECK_EQ(pthread_create(&t, NULL, runs, (void *)&turns[0]), 0);
	await_turn(&turns[0]);
	GC_suspend_thread(t);
	CHECK(!GC_is_thread_suspended(t));
	await_turn(&turns[0]);
	GC_resume_thread(t);
	stop = 1;
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void *registers(void *arg)
{
	struct GC_stack_base base;

	CHECK_EQ(GC_get_stack_base(&base), GC_SUCCESS);
	CHECK_EQ(GC_register_my_thread(&base), GC_SUCCESS);
	runs((void *)&turns[0]);
	CHECK_EQ(GC_unregister_my_thread(), GC_SUCCESS);
	for (stop = 0; !stop;)
		turns[1]++;
	return arg;
}

TEST(threads_that_register_themselves)
{
	pthread_t t;

	GC_INIT();
	GC_allow_register_threads();
	CHECK_EQ(pthread_create(&t, NULL, registers, NULL), 0);
	await_turn(&turns[0]);
	GC_suspend_thread(t);
	CHECK(GC_is_thread_suspended(t));
	CHECK(!turns_meanwhile(&turns[0]));
	GC_resume_thread(t);
	stop = 1;
	await_turn(&turns[1]);
	GC_suspend_thread(t);
	CHECK(!GC_is_thread_suspended(t));
	await_turn(&turns[1]);
	stop = 1;
	CHECK_EQ(pthread_join(t, NULL), 0);
}

/* ---- the world */

TEST(the_world)
{
	pthread_t t[THREADS];

	GC_INIT();
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(GC_pthread_create(&t[i], NULL, runs, (void *)&turns[i]), 0);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < THREADS; i++)
			await_turn(&turns[i]);
		GC_stop_world_external();
		for (int i = 0; i < THREADS; i++)
			CHECK(!turns_meanwhile(&turns[i]));
		GC_start_world_external();
		GC_gcollect();
	}
	stop = 1;
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(GC_pthread_join(t[i], NULL), 0);
}

/* Who was suspended before stays so. */
TEST(the_world_and_one_thread)
{
	pthread_t t[2];

	GC_INIT();
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(GC_pthread_create(&t[i], NULL, runs, (void *)&turns[i]), 0);
		await_turn(&turns[i]);
	}
	GC_suspend_thread(t[0]);
	GC_stop_world_external();
	CHECK(!turns_meanwhile(&turns[1]));
	GC_start_world_external();
	await_turn(&turns[1]);
	CHECK(GC_is_thread_suspended(t[0]) && !turns_meanwhile(&turns[0]));
	GC_resume_thread(t[0]);
	await_turn(&turns[0]);
	stop = 1;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(GC_pthread_join(t[i], NULL), 0);
}

TEST_MAIN
