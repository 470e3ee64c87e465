// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Words that are cleared when an object is not reached any more. Many at a time, of which a few
 * may be kept by what is left on the stack or in registers.
 */
#include "../../../selftests/tap.h"
#include "wipe.h"
#include <pthread.h>
#include <stdbool.h>
#define GC_THREADS
#include <gc/gc.h>

#define N	64
#define MOST(n)	((n) >= N * 3 / 4)

static GC_hidden_pointer *word;		/* not in a root */
static void *kept[N];

static void collect(void)
{
	wipe();
	GC_gcollect();
}

static void start(void)
{
	GC_INIT();
	GC_set_finalize_on_demand(1);
	word = malloc(4 * N * sizeof(*word));
	memset(word, 0, 4 * N * sizeof(*word));
}

static void **at(int i)
{
	return (void **)&word[i];
}

static __attribute__((noinline)) void *make(int i)
{
	long *p = GC_MALLOC(32);

	p[1] = i;
	word[i] = GC_HIDE_POINTER(p);
	return p;
}

static int count(int from)
{
	int n = 0;

	for (int i = from; i < from + N; i++)
		n += !word[i];
	return n;
}

typedef int (*register_t_)(void **, const void *);

static __attribute__((noinline)) void make_all(register_t_ reg, bool keep)
{
	for (int i = 0; i < N; i++) {
		void *p = make(i);

		CHECK_EQ(reg(at(i), p), GC_SUCCESS);
		if (keep)
			kept[i] = p;
	}
}

static __attribute__((noinline)) void check_kept(void)
{
	for (int i = 0; i < N; i++) {
		CHECK(GC_REVEAL_POINTER(word[i]) == kept[i]);
		CHECK_EQ(((long *)kept[i])[1], i);
	}
}

static void cleared_by(register_t_ reg)
{
	start();
	make_all(reg, true);
	collect();
	check_kept();
	memset(kept, 0, sizeof(kept));
	collect();
	CHECK(MOST(count(0)));
}

TEST(cleared)
{
	cleared_by(GC_general_register_disappearing_link);
}

TEST(long_ones_cleared)
{
	cleared_by(GC_register_long_link);
}

static __attribute__((noinline)) void **make_holder(int i)
{
	return kept[i] = GC_MALLOC_ATOMIC(64);
}

static __attribute__((noinline)) void link_in_holder(int i)
{
	void **h = make_holder(i);
	void *p = GC_MALLOC(32);

	h[3] = (void *)GC_HIDE_POINTER(p);
	CHECK_EQ(GC_general_register_disappearing_link(&h[3], p), GC_SUCCESS);
}

TEST(in_objects)
{
	int n = 0;

	start();
	for (int i = 0; i < N; i++)
		link_in_holder(i);
	collect();
	for (int i = 0; i < N; i++)
		n += !((void **)kept[i])[3];
	CHECK(MOST(n));
}

/* A link goes with the object that it lies in, and what comes there is left alone. */
TEST(in_objects_that_die)
{
	int n = 0;

	start();
	for (int i = 0; i < N; i++)
		link_in_holder(i);
	memset(kept, 0, sizeof(kept));
	collect();
	collect();
	for (int i = 0; i < 50 * N; i++) {
		unsigned long *p = GC_MALLOC_ATOMIC(64);

		memset(p, 0x55, 64);
		if (i % 50 == 0)
			kept[i / 50] = p;
	}
	collect();
	for (int i = 0; i < N; i++)
		n += ((unsigned long *)kept[i])[3] == 0x5555555555555555;
	CHECK_EQ(n, N);
}

/* Of the object itself: before its finalizer comes. */
static int finalized, seen;

static void finalize(void *object, void *data)
{
	void **p = object;

	finalized++;
	seen += !!p[2];
}

static __attribute__((noinline)) void make_selves(void)
{
	for (int i = 0; i < N; i++) {
		void **p = GC_MALLOC(32);

		p[2] = p;
		CHECK_EQ(GC_register_disappearing_link(&p[2]), GC_SUCCESS);
		GC_register_finalizer(p, finalize, NULL, NULL, NULL);
	}
}

TEST(breaks_circles)
{
	start();
	make_selves();
	collect();
	GC_invoke_finalizers();
	CHECK(MOST(finalized));
	CHECK_EQ(seen, 0);
}

static __attribute__((noinline)) void make_both(void)
{
	for (int i = 0; i < N; i++) {
		void *p = make(i);

		word[N + i] = word[i];
		CHECK_EQ(GC_general_register_disappearing_link(at(i), p), GC_SUCCESS);
		CHECK_EQ(GC_register_long_link(at(N + i), p), GC_SUCCESS);
		GC_register_finalizer(p, finalize, NULL, NULL, NULL);
	}
}

/* Long ones when it can not be brought back any more. */
TEST(short_and_long_with_finalizers)
{
	start();
	make_both();
	collect();
	CHECK(MOST(count(0)));
	CHECK_EQ(count(N), 0);
	collect();
	CHECK_EQ(count(N), 0);
	GC_invoke_finalizers();
	CHECK(MOST(finalized));
	collect();
	CHECK(MOST(count(N)));
}

TEST(results)
{
	void *a, *b;

	start();
	a = kept[0] = GC_MALLOC(32);
	b = kept[1] = GC_MALLOC(32);
	CHECK_EQ(GC_unregister_disappearing_link(at(0)), 0);
	CHECK_EQ(GC_general_register_disappearing_link(at(0), a), GC_SUCCESS);
	CHECK_EQ(GC_general_register_disappearing_link(at(0), a), GC_DUPLICATE);
	CHECK_EQ(GC_general_register_disappearing_link(at(0), b), GC_DUPLICATE);
	CHECK_EQ(GC_unregister_long_link(at(0)), 0);
	CHECK_EQ(GC_register_long_link(at(0), a), GC_SUCCESS);
	CHECK_EQ(GC_register_long_link(at(0), b), GC_DUPLICATE);
	CHECK_EQ(GC_unregister_disappearing_link(at(0)), 1);
	CHECK_EQ(GC_unregister_disappearing_link(at(0)), 0);
	CHECK_EQ(GC_move_long_link(at(0), at(0)), GC_SUCCESS);
	CHECK_EQ(GC_move_long_link(at(0), at(1)), GC_SUCCESS);
	CHECK_EQ(GC_move_long_link(at(0), at(1)), GC_NOT_FOUND);
	CHECK_EQ(GC_move_long_link(at(0), at(0)), GC_NOT_FOUND);
	CHECK_EQ(GC_move_disappearing_link(at(1), at(2)), GC_NOT_FOUND);
	CHECK_EQ(GC_register_long_link(at(2), a), GC_SUCCESS);
	CHECK_EQ(GC_move_long_link(at(1), at(2)), GC_DUPLICATE);
	CHECK_EQ(GC_unregister_long_link(at(1)), 1);
	CHECK_EQ(GC_unregister_long_link(at(2)), 1);
	/* What is no word has no link. */
	CHECK_EQ(GC_unregister_disappearing_link((void **)((char *)word + 1)), 0);
	CHECK_EQ(GC_unregister_long_link((void **)((char *)word + 1)), 0);
	CHECK_EQ(GC_unregister_disappearing_link(NULL), 0);
	CHECK_EQ(GC_move_disappearing_link((void **)((char *)word + 1), at(0)), GC_NOT_FOUND);
	CHECK_EQ(GC_move_disappearing_link(NULL, at(0)), GC_NOT_FOUND);
}

static void dies(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		close(2);
		fn();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void no_link(void)
{
	GC_general_register_disappearing_link((void **)((char *)word + 4), kept[0]);
}

static void no_object(void)
{
	GC_register_disappearing_link(at(0));
}

static void no_new_link(void)
{
	GC_move_disappearing_link(at(0), (void **)((char *)word + 4));
}

static void no_long_link(void)
{
	GC_register_long_link((void **)((char *)word + 4), kept[0]);
}

TEST(bad_arguments_end_the_program)
{
	start();
	kept[0] = GC_MALLOC(32);
	dies(no_link);
	dies(no_object);
	dies(no_new_link);
	dies(no_long_link);
}

static __attribute__((noinline)) void replace_all(void)
{
	for (int i = 0; i < N; i++) {
		void *p = make(i), *q = kept[i] = make(i);

		CHECK_EQ(GC_general_register_disappearing_link(at(i), q), GC_SUCCESS);
		CHECK_EQ(GC_general_register_disappearing_link(at(i), p), GC_DUPLICATE);
	}
}

/* The last object counts. */
TEST(replaced)
{
	start();
	replace_all();
	collect();
	CHECK(MOST(count(0)));
}

TEST(moved)
{
	start();
	make_all(GC_general_register_disappearing_link, false);
	for (int i = 0; i < N; i++) {
		word[2 * N + i] = word[i];
		CHECK_EQ(GC_move_disappearing_link(at(i), at(2 * N + i)), GC_SUCCESS);
	}
	collect();
	CHECK_EQ(count(0), 0);
	CHECK(MOST(count(2 * N)));
}

TEST(unregistered)
{
	start();
	make_all(GC_general_register_disappearing_link, false);
	for (int i = 0; i < N; i++)
		CHECK_EQ(GC_unregister_disappearing_link(at(i)), 1);
	collect();
	CHECK_EQ(count(0), 0);
}

/* ---- weak references, by several threads */

#define SLOTS	512
#define THREADS	4

static GC_hidden_pointer *slot;
static volatile int over;
static int puts_done;

struct object {
	struct object *self;
	long number;
	long check;
};

static __attribute__((noinline)) void put(int i)
{
	struct object *o = GC_MALLOC(sizeof(*o));
	int err;

	o->number = i;
	o->check = ~(long)i;
	o->self = o;
	GC_unregister_disappearing_link((void **)&slot[i]);
	__atomic_store_n(&slot[i], GC_HIDE_POINTER(o), __ATOMIC_RELAXED);
	err = GC_general_register_disappearing_link((void **)&slot[i], o);
	CHECK(err == GC_SUCCESS);
	__atomic_fetch_add(&puts_done, 1, __ATOMIC_RELAXED);
	GC_reachable_here(o);
}

static void *reveal(void *arg)
{
	GC_hidden_pointer *s = arg, hidden = __atomic_load_n(s, __ATOMIC_RELAXED);

	return hidden ? GC_REVEAL_POINTER(hidden) : NULL;
}

static __attribute__((noinline)) bool get(int i)
{
	struct object *o = GC_call_with_alloc_lock(reveal, &slot[i]);

	if (!o)
		return false;
	CHECK_EQ(o->number, i);
	CHECK_EQ(o->check, ~(long)i);
	CHECK(o->self == o);
	return true;
}

/* Each thread has slots of its own to put something in, and looks at all. */
static void *work(void *arg)
{
	unsigned long me = (unsigned long)arg, x = me + 1;
	int hits = 0;

	while (!over || !hits) {
		int i;

		x = x * 6364136223846793005ul + 1442695040888963407ul;
		i = (x >> 33) % SLOTS;
		if (get(i))
			hits++;
		else if (i % THREADS == (int)me)
			put(i);
	}
	return NULL;
}

TEST(weak_references)
{
	pthread_t t[THREADS];
	GC_word cycles;

	start();
	cycles = GC_get_gc_no();
	slot = malloc(SLOTS * sizeof(*slot));
	memset(slot, 0, SLOTS * sizeof(*slot));
	for (long i = 0; i < THREADS; i++)
		CHECK(!GC_pthread_create(&t[i], NULL, work, (void *)i));
	for (int i = 0; i < 20; i++) {
		usleep(20000);
		GC_gcollect();
	}
	over = 1;
	for (int i = 0; i < THREADS; i++)
		CHECK(!GC_pthread_join(t[i], NULL));
	CHECK(GC_get_gc_no() >= cycles + 20);
	/* Each is put in once, and then only if its link has been cleared. */
	CHECK(puts_done > SLOTS);
}

TEST_MAIN
