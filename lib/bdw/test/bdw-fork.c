// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* A forked child goes on with the heap as its parent's was. */
#define GC_THREADS
#include "../../../selftests/tap.h"
#include <gc/gc.h>
#include <gc/gc_typed.h>
#include <gc/javaxfc.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#define LENGTH	3000

struct node {
	struct node *next;
	uintptr_t value;
};

static struct node *list;
static bool stop;

static void begin(int handle)
{
	GC_set_handle_fork(handle);
	GC_INIT();
	GC_allow_register_threads();
}

static struct node *push(struct node *next, uintptr_t value)
{
	struct node *n = GC_MALLOC(sizeof(*n));

	CHECK(n);
	n->next = next;
	n->value = value;
	return n;
}

static void make(void)
{
	for (int i = LENGTH; i-- > 0;)
		list = push(list, i);
}

static void intact(void)
{
	const struct node *n;
	uintptr_t i = 0;

	for (n = list; n; n = n->next)
		CHECK_EQ(n->value, i++);
	CHECK_EQ(i, LENGTH);
}

static void use(void)
{
	intact();
	for (int i = 0; i < 20000; i++)
		memset(GC_MALLOC(24), 0xa5, 24);
	GC_gcollect();
	intact();
	CHECK(GC_MALLOC_ATOMIC(100000));
}

static void await(pid_t pid)
{
	int status;

	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void in_child(void (*run)(void))
{
	pid_t pid = fork();

	if (!pid) {
		run();
		_exit(0);
	}
	await(pid);
}

TEST(child_goes_on)
{
	begin(1);
	make();
	in_child(use);
	use();
}

static void has_a_child(void)
{
	use();
	in_child(use);
	use();
}

TEST(grandchildren)
{
	begin(1);
	make();
	in_child(has_a_child);
	for (int i = 0; i < 20; i++)
		in_child(use);
	use();
}

static void changes(void)
{
	for (struct node *n = list; n; n = n->next)
		n->value = 7;
	list = NULL;
	GC_gcollect();
}

TEST(neither_sees_the_other)
{
	begin(1);
	make();
	in_child(changes);
	intact();
	use();
}

static void *allocates(void *arg)
{
	struct node *own = NULL;

	for (int i = 0; i < 5000; i++)
		own = push(i % 100 ? own : NULL, i);
	return own;
}

static void makes_threads(void)
{
	pthread_t t[3];
	void *result;

	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, allocates, NULL), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(pthread_join(t[i], &result), 0);
		CHECK_EQ(((struct node *)result)->value, 4999);
	}
	use();
}

TEST(threads_of_the_child)
{
	begin(1);
	make();
	in_child(makes_threads);
	makes_threads();
}

/* Children, beside threads that go on with something. */
static void beside(int n, void *(*run)(void *arg), void *arg, int times, void (*child)(void))
{
	pthread_t t[2];

	for (int i = 0; i < n; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, run, arg), 0);
	while (times--)
		in_child(child);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < n; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

static void *allocates_on(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		allocates(NULL);
	return NULL;
}

TEST(others_allocate)
{
	begin(1);
	make();
	beside(2, allocates_on, NULL, 10, use);
	use();
}

/* Whatever takes a lock. */
static void uses_all(unsigned int i)
{
	GC_word map = 2 * i + 1;
	GC_descr descr = GC_make_descriptor(&map, 12);
	void *p = GC_MALLOC_UNCOLLECTABLE(24);

	CHECK(p && GC_get_heap_size() && GC_get_total_bytes());
	GC_FREE(p);
	CHECK(GC_MALLOC_EXPLICITLY_TYPED(96 + i % 4 * 32, descr));
	p = GC_debug_malloc(30, "file", 1);
	CHECK(p);
	GC_debug_free(p);
	GC_disable();
	GC_enable();
}

static void *uses_all_on(void *arg)
{
	for (unsigned int i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++)
		uses_all(i % 100);
	return arg;
}

static void uses_all_and_goes_on(void)
{
	for (unsigned int i = 0; i < 110; i += 10)
		uses_all(i);
	intact();
	GC_gcollect();
	intact();
}

TEST(others_have_locks)
{
	begin(1);
	make();
	beside(2, uses_all_on, NULL, 10, uses_all_and_goes_on);
	use();
}

/* From a thread that is not the first. */
static void *forks(void *arg)
{
	in_child(use);
	return NULL;
}

TEST(another_thread_forks)
{
	pthread_t t;

	begin(1);
	make();
	CHECK_EQ(pthread_create(&t, NULL, forks, NULL), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	use();
}

/* ---- a thread that is stopped as it forks */

static void *suspends(void *thread)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		GC_suspend_thread(*(pthread_t *)thread);
		GC_resume_thread(*(pthread_t *)thread);
		sched_yield();
	}
	return NULL;
}

static void is_not_suspended(void)
{
	CHECK(!GC_is_thread_suspended(pthread_self()));
	uses_all_and_goes_on();
}

TEST(another_thread_suspends_it)
{
	pthread_t self = pthread_self();

	begin(1);
	make();
	beside(1, suspends, &self, 20, is_not_suspended);
	use();
}

static void *kept;

static void has_what_is_kept(void)
{
	use();
	CHECK_EQ(*(int *)GC_REVEAL_POINTER((GC_word)kept), 4711);
	GC_FREE(GC_REVEAL_POINTER((GC_word)kept));
	use();
}

TEST(uncollectable_objects)
{
	int *p;

	begin(1);
	make();
	p = GC_MALLOC_UNCOLLECTABLE(sizeof(*p));
	*p = 4711;
	kept = (void *)GC_HIDE_POINTER(p);
	p = NULL;
	in_child(has_what_is_kept);
	has_what_is_kept();
}

static int ran;

static void counts(void *object, void *data)
{
	ran++;
}

static void __attribute__((noinline)) make_finalizers(int n)
{
	while (n--)
		GC_REGISTER_FINALIZER_NO_ORDER(GC_MALLOC(40), counts, NULL, NULL, NULL);
}

/* Stale words may keep some. */
static void finalizes(void)
{
	int before = ran;

	for (int i = 0; i < 3; i++) {
		GC_gcollect();
		GC_invoke_finalizers();
	}
	CHECK(ran - before > 75 && ran - before <= 100);
	ran = before;
}

TEST(finalizers)
{
	begin(1);
	GC_set_finalize_on_demand(1);
	make_finalizers(100);
	in_child(finalizes);
	CHECK_EQ(ran, 0);
	finalizes();
}

/* Words that do not keep what they say alive. */
static GC_word links[100];
static void **linked;

static __attribute__((noinline)) void make_links(void)
{
	for (int i = 0; i < 100; i++) {
		void *p = GC_MALLOC(32);

		links[i] = GC_HIDE_POINTER(p);
		CHECK_EQ(GC_general_register_disappearing_link((void **)&links[i], p), GC_SUCCESS);
	}
	/* One in an object, to one that lives. */
	linked = GC_MALLOC(32);
	linked[1] = GC_MALLOC(32);
	linked[0] = (void *)GC_HIDE_POINTER(linked[1]);
	CHECK_EQ(GC_register_disappearing_link(linked), GC_SUCCESS);
}

static void links_are_cleared(void)
{
	int cleared = 0;

	for (int i = 0; i < 5; i++)
		GC_gcollect();
	for (int i = 0; i < 100; i++)
		cleared += !links[i];
	CHECK(cleared > 75);
	CHECK(GC_REVEAL_POINTER((GC_word)linked[0]) == linked[1]);
	CHECK_EQ(GC_unregister_disappearing_link(linked), 1);
}

TEST(words_that_are_cleared)
{
	begin(1);
	make_links();
	in_child(links_are_cleared);
	links_are_cleared();
}

static void is_disabled(void)
{
	GC_word cycles = GC_get_gc_no();

	CHECK(GC_is_disabled());
	for (int i = 0; i < 20000; i++)
		CHECK(GC_MALLOC(100));
	CHECK_EQ(GC_get_gc_no(), cycles);
	GC_enable();
	CHECK(!GC_is_disabled());
	use();
	CHECK(GC_get_gc_no() > cycles);
}

TEST(disabled_in_both)
{
	begin(1);
	make();
	GC_disable();
	in_child(is_disabled);
	is_disabled();
}

/* Handlers called by hand. */
static void by_hand(void (*run)(void))
{
	pid_t pid;

	GC_atfork_prepare();
	pid = fork();
	if (!pid) {
		GC_atfork_child();
		run();
		_exit(0);
	}
	GC_atfork_parent();
	await(pid);
}

static void has_a_child_by_hand(void)
{
	use();
	by_hand(use);
	use();
}

TEST(handlers_by_hand)
{
	pthread_t t;

	begin(-1);
	make();
	CHECK_EQ(pthread_create(&t, NULL, allocates_on, NULL), 0);
	by_hand(use);
	by_hand(has_a_child_by_hand);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	CHECK_EQ(pthread_join(t, NULL), 0);
	use();
}

/* They are for who has asked for them, and do nothing else. */
TEST(calls_by_hand_that_are_not_needed)
{
	begin(1);
	make();
	GC_atfork_prepare();
	list = push(list->next, 0);
	GC_gcollect();
	GC_atfork_parent();
	by_hand(use);
	use();
}

TEST_MAIN
