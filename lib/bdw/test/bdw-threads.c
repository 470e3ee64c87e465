// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Threads of every origin: what they keep, and what they are told of themselves. */
#include "../../../selftests/tap.h"
#include "count.h"
#include <semaphore.h>
#include <time.h>

static sem_t ready, leave;

static void begin(void)
{
	GC_INIT();
	sem_init(&ready, 0, 0);
	sem_init(&leave, 0, 0);
}

static void meet(void)
{
	sem_post(&ready);
	while (sem_wait(&leave))
		;
}

/* With objects on its stack, until it is let go. */
static NOINLINE void hold_objects(void)
{
	void *words[COUNTED];

	counted_make(words, COUNTED);
	meet();
	counted_check(words, COUNTED);
	memset(words, 0, sizeof(words));
	__asm__ volatile("" : : "r"(words) : "memory");
}

static void *holder(void *arg)
{
	hold_objects();
	return arg;
}

/* The thread that holds objects is there, and then it is not. */
static void watch_holder(pthread_t t)
{
	while (sem_wait(&ready))
		;
	counted_kept();
	sem_post(&leave);
	CHECK_EQ(pthread_join(t, NULL), 0);
	counted_dropped(COUNTED);
}

TEST(stack_of_a_thread)
{
	pthread_t t;

	begin();
	CHECK_EQ(pthread_create(&t, NULL, holder, NULL), 0);
	watch_holder(t);
}

/* ---- what goes in and comes out */

static void *takes_and_gives(void *arg)
{
	void *result;

	CHECK_EQ(*(long *)arg, 0x600d);
	counted_make(&result, 1);
	return result;
}

TEST(arguments_and_results)
{
	enum { THREADS = 16 };
	pthread_t t[THREADS];
	void *result;

	begin();
	for (int i = 0; i < THREADS; i++) {
		void *arg;

		counted_make(&arg, 1);
		CHECK_EQ(pthread_create(&t[i], NULL, takes_and_gives, arg), 0);
	}
	usleep(100000);
	counted_collect();
	for (int i = 0; i < THREADS; i++) {
		CHECK_EQ(pthread_join(t[i], &result), 0);
		counted_check(&result, 1);
	}
}

static void *exits(void *arg)
{
	CHECK_EQ(*(long *)arg, 0x600d);
	pthread_exit(&ready);
}

TEST(results_of_pthread_exit)
{
	pthread_t t;
	void *arg, *result;

	begin();
	counted_make(&arg, 1);
	CHECK_EQ(pthread_create(&t, NULL, exits, arg), 0);
	CHECK_EQ(pthread_join(t, &result), 0);
	CHECK(result == &ready);
	CHECK(!GC_is_disabled());
}

static void *runs_on(void *arg)
{
	for (sem_post(&ready);;)
		usleep(1000);
	return arg;
}

TEST(cancelled_threads)
{
	pthread_t t;
	void *result;

	begin();
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(pthread_create(&t, NULL, runs_on, NULL), 0);
		while (sem_wait(&ready))
			;
		CHECK_EQ(pthread_cancel(t), 0);
		CHECK_EQ(pthread_join(t, &result), 0);
		CHECK(result == PTHREAD_CANCELED);
		GC_gcollect();
	}
	CHECK(!GC_is_disabled());
}

static int detached_done;

static void *detached(void *arg)
{
	void *words[COUNTED];

	counted_make(words, COUNTED);
	counted_check(words, COUNTED);
	__atomic_fetch_add(&detached_done, 1, __ATOMIC_RELAXED);
	return arg;
}

TEST(detached_threads)
{
	enum { THREADS = 50 };
	pthread_attr_t attr;
	pthread_t t;

	begin();
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < THREADS; i++) {
		CHECK_EQ(pthread_create(&t, i % 2 ? &attr : NULL, detached, NULL), 0);
		if (i % 2 == 0)
			CHECK_EQ(pthread_detach(t), 0);
		if (i % 10 == 0)
			GC_gcollect();
	}
	while (__atomic_load_n(&detached_done, __ATOMIC_RELAXED) < THREADS)
		usleep(1000);
	counted_collect();
	diag("%d of %d gone", counted_gone, THREADS * COUNTED);
	CHECK(counted_gone > THREADS * COUNTED * 3 / 4);
}

TEST(signal_masks)
{
	sigset_t set, old;

	begin();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, &old), 0);
	CHECK(!sigismember(&old, SIGUSR2));
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, &old, &set), 0);
	CHECK(sigismember(&set, SIGUSR2));
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
	CHECK(!sigismember(&set, SIGUSR2));
	CHECK(pthread_sigmask(12345, &set, NULL) == EINVAL);
}

/* ---- who is registered */

#undef pthread_create
#undef pthread_join

static void in_plain_thread(void *(*fn)(void *))
{
	pthread_t t;
	void *result;

	CHECK_EQ(pthread_create(&t, NULL, fn, NULL), 0);
	CHECK_EQ(pthread_join(t, &result), 0);
	CHECK(result == in_plain_thread);
}

TEST(the_first_thread_is_registered)
{
	struct GC_stack_base base;

	CHECK(!GC_thread_is_registered());
	begin();
	CHECK(GC_thread_is_registered());
	CHECK_EQ(GC_get_stack_base(&base), GC_SUCCESS);
	GC_allow_register_threads();
	CHECK_EQ(GC_register_my_thread(&base), GC_DUPLICATE);
	CHECK(GC_thread_is_registered());
}

static void *registers_itself(void *arg)
{
	struct GC_stack_base base;
	void *words[COUNTED];

	for (int i = 0; i < 3; i++) {
		CHECK(!GC_thread_is_registered());
		CHECK_EQ(GC_get_stack_base(&base), GC_SUCCESS);
		CHECK_EQ(GC_register_my_thread(&base), GC_SUCCESS);
		CHECK_EQ(GC_register_my_thread(&base), GC_DUPLICATE);
		CHECK(GC_thread_is_registered());
		counted_make(words, COUNTED);
		counted_kept();
		counted_check(words, COUNTED);
		memset(words, 0, sizeof(words));
		counted_dropped(COUNTED);
		CHECK_EQ(GC_unregister_my_thread(), GC_SUCCESS);
	}
	CHECK(!GC_thread_is_registered());
	return in_plain_thread;
}

TEST(threads_that_register_themselves)
{
	begin();
	GC_allow_register_threads();
	GC_allow_register_threads();
	in_plain_thread(registers_itself);
	in_plain_thread(registers_itself);
}

static void *watches_from_outside(void *arg)
{
	struct GC_stack_base base;

	GC_get_stack_base(&base);
	CHECK_EQ(GC_register_my_thread(&base), GC_SUCCESS);
	hold_objects();
	CHECK_EQ(GC_unregister_my_thread(), GC_SUCCESS);
	return NULL;
}

TEST(stack_of_a_thread_that_registered_itself)
{
	pthread_t t;

	begin();
	GC_allow_register_threads();
	CHECK_EQ(pthread_create(&t, NULL, watches_from_outside, NULL), 0);
	while (sem_wait(&ready))
		;
	counted_kept();
	sem_post(&leave);
	CHECK_EQ(pthread_join(t, NULL), 0);
	counted_dropped(COUNTED);
}

static void *made_by_the_collector(void *arg)
{
	struct GC_stack_base base;

	CHECK(GC_thread_is_registered());
	CHECK_EQ(GC_get_stack_base(&base), GC_SUCCESS);
	CHECK_EQ(GC_register_my_thread(&base), GC_DUPLICATE);
	return arg;
}

TEST(threads_that_the_collector_made_are_registered)
{
	pthread_t t;
	void *result;

	begin();
	CHECK_EQ(GC_pthread_create(&t, NULL, made_by_the_collector, &t), 0);
	CHECK_EQ(GC_pthread_join(t, &result), 0);
	CHECK(result == &t);
}

/* The heap is made by whoever comes first. */
static void *first_comer(void *arg)
{
	GC_INIT();
	CHECK(GC_thread_is_registered());
	counted_make(&arg, 1);
	counted_check(&arg, 1);
	return in_plain_thread;
}

TEST(a_heap_made_by_another_thread)
{
	in_plain_thread(first_comer);
}

static pthread_key_t key;
static int destroyed;

/* Late, but a thread like any other. */
static void destroy(void *unused)
{
	struct GC_stack_base base;
	void *words[COUNTED];

	CHECK_EQ(GC_get_stack_base(&base), GC_SUCCESS);
	CHECK_EQ(GC_register_my_thread(&base), GC_SUCCESS);
	counted_make(words, COUNTED);
	counted_kept();
	counted_check(words, COUNTED);
	CHECK_EQ(GC_unregister_my_thread(), GC_SUCCESS);
	destroyed++;
}

static void *has_a_destructor(void *arg)
{
	pthread_setspecific(key, arg);
	return arg;
}

TEST(destructors_of_threads)
{
	pthread_t t;

	begin();
	pthread_key_create(&key, destroy);
	CHECK_EQ(GC_pthread_create(&t, NULL, has_a_destructor, &t), 0);
	CHECK_EQ(GC_pthread_join(t, NULL), 0);
	CHECK_EQ(destroyed, 1);
}

/* ---- blocking */

static int depth;

static void *blocked(void *arg);

static void *active(void *arg)
{
	void *words[COUNTED];

	counted_make(words, COUNTED);
	if (++depth < 4)
		CHECK(GC_do_blocking(blocked, arg) == (char *)arg + 1);
	depth--;
	if (!depth)
		counted_collect();
	counted_check(words, COUNTED);
	return arg;
}

static void *blocked(void *arg)
{
	CHECK(GC_call_with_gc_active(active, arg) == arg);
	CHECK(GC_call_with_gc_active(active, arg) == arg);
	return (char *)arg + 1;
}

TEST(blocking_and_active_in_turn)
{
	char c[2];
	void *words[COUNTED];

	begin();
	counted_make(words, COUNTED);
	CHECK(GC_do_blocking(blocked, c) == c + 1);
	CHECK(GC_call_with_gc_active(active, c) == c);
	counted_check(words, COUNTED);
}

static void *wait_blocked(void *arg)
{
	meet();
	return arg;
}

static void *blocks(void *arg)
{
	void *words[COUNTED];

	counted_make(words, COUNTED);
	CHECK(GC_do_blocking(wait_blocked, arg) == arg);
	counted_check(words, COUNTED);
	memset(words, 0, sizeof(words));
	__asm__ volatile("" : : "r"(words) : "memory");
	return NULL;
}

/* What the thread had before it blocked is kept. */
TEST(a_thread_that_blocks)
{
	pthread_t t;

	begin();
	CHECK_EQ(GC_pthread_create(&t, NULL, blocks, &t), 0);
	watch_holder(t);
}

/* ---- many at a time */

static volatile int stop;

static void *churner(void *arg)
{
	void *words[COUNTED];

	for (int i = 0; i < 20; i++) {
		counted_make(words, COUNTED);
		sched_yield();
		counted_check(words, COUNTED);
	}
	return arg;
}

static void *maker(void *arg)
{
	pthread_t t[4];

	while (!stop) {
		for (int i = 0; i < 4; i++)
			CHECK_EQ(GC_pthread_create(&t[i], NULL, churner, NULL), 0);
		for (int i = 0; i < 4; i++)
			CHECK_EQ(GC_pthread_join(t[i], NULL), 0);
	}
	return arg;
}

TEST(threads_come_and_go_through_collections)
{
	pthread_t t[2];

	begin();
	GC_start_mark_threads();
	for (int i = 0; i < 2; i++)
		CHECK_EQ(GC_pthread_create(&t[i], NULL, maker, NULL), 0);
	for (time_t end = time(NULL) + 4; time(NULL) < end; usleep(5000))
		GC_gcollect();
	stop = 1;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(GC_pthread_join(t[i], NULL), 0);
}

TEST_MAIN
