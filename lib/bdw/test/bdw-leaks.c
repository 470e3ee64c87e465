// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Leaks: what is told of objects that nothing refers to and nobody has freed. */
#include "../../../selftests/tap.h"
#include "said.h"
#include "wipe.h"
#include <pthread.h>
#define GC_DEBUG
#define GC_THREADS
#define GC_ATTR_DEPRECATED
#include <gc/gc.h>

#define N		24	/* of each sort, a few of which stale words may keep */

static void *volatile kept[N];

/* ---- what is said to stderr */

static int count(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

#define SAYS(text, what, least) do {						\
		const char *tap_t = (text);					\
		int tap_n = count(tap_t, what);					\
		if (tap_n < (least) || tap_n > N)				\
			FAIL("%d times %s in: %s", tap_n, what, tap_t);		\
	} while (0)
#define SAYS_NOT(text, what) do {						\
		const char *tap_t = (text);					\
		if (strstr(tap_t, what))					\
			FAIL("%s in: %s", what, tap_t);				\
	} while (0)

/* ---- objects */

static NOINLINE void collect(void)
{
	wipe();
	GC_gcollect();
	wipe();
}

/* Sizes tell the objects apart. */
static NOINLINE void leak_debug(void)
{
	for (int i = 0; i < N; i++) {
		CHECK(GC_MALLOC(33));
		CHECK(GC_MALLOC_ATOMIC(35));
	}
}

static NOINLINE void leak_plain(void)
{
	for (int i = 0; i < N / 2; i++) {
		CHECK((GC_malloc)(50));
		CHECK((GC_malloc_atomic)(50));
	}
}

static NOINLINE void leak_none(void)
{
	for (int i = 0; i < N; i++) {
		kept[i] = GC_MALLOC(37);
		GC_FREE(GC_MALLOC(39));
		GC_free((GC_malloc)(50));
		CHECK(GC_MALLOC_UNCOLLECTABLE(41));
		GC_FREE(GC_MALLOC_UNCOLLECTABLE(43));
		CHECK((GC_malloc_uncollectable)(50));
	}
}

static NOINLINE void leak_few(void)
{
	for (int i = 0; i < N; i++)
		CHECK(GC_MALLOC(45));
}

static void begin(void)
{
	listen_to();
	GC_set_find_leak(1);
	GC_INIT();
	CHECK_EQ(GC_get_find_leak(), 1);
}

TEST(nothing_is_told_without)
{
	listen_to();
	GC_INIT();
	CHECK(!GC_find_leak && !GC_get_find_leak());
	leak_few();
	collect();
	CHECK(!said()[0]);
}

TEST(debug_objects)
{
	const char *text;

	begin();
	for (int i = 0; i < N; i++)
		CHECK(GC_MALLOC_ATOMIC(35));
	collect();
	text = said();
	SAYS(text, " leaked objects:\n", 1);
	SAYS(text, "bdw-leaks.c:", N * 3 / 4);
	SAYS(text, ", sz= 35, PTRFREE)\n", N * 3 / 4);
}

TEST(plain_objects)
{
	const char *text;

	begin();
	leak_plain();
	collect();
	text = said();
	SAYS(text, "object at 0x", N * 3 / 4);
	SAYS(text, " bytes (composite)\n", N / 2 * 3 / 4);
	SAYS(text, " bytes (atomic)\n", N / 2 * 3 / 4);
}

TEST(what_is_no_leak)
{
	begin();
	leak_none();
	collect();
	collect();
	CHECK(!said()[0]);
	for (int i = 0; i < N; i++)
		CHECK(GC_base(kept[i]));
}

/* They are freed once told of. */
TEST(told_of_once)
{
	int n;

	begin();
	leak_few();
	collect();
	n = count(said(), "sz= 45, NORMAL)");
	CHECK(n >= N * 3 / 4);
	collect();
	collect();
	CHECK(n + count(said(), "sz= 45,") <= N);
}

TEST(at_most_40_at_a_time)
{
	begin();
	for (int i = 0; i < 4; i++)
		leak_debug();
	collect();
	SAYS(said(), "Found 40 leaked objects:\n", 1);
}

static NOINLINE void leak_moved(void)
{
	for (int i = 0; i < N; i++) {
		CHECK(GC_REALLOC(GC_MALLOC(47), 3000));
		GC_FREE(GC_REALLOC(GC_MALLOC(49), 3100));
		GC_free(GC_realloc((GC_malloc)(50), 3000));
	}
}

TEST(what_was_moved)
{
	const char *text;

	begin();
	leak_moved();
	collect();
	text = said();
	SAYS(text, "sz= 3000, NORMAL)", N * 3 / 4);
	SAYS_NOT(text, "sz= 47,");
	SAYS_NOT(text, "sz= 49,");
	SAYS_NOT(text, "sz= 3100,");
	SAYS_NOT(text, "object at");
}

static void *leaking_thread(void *arg)
{
	leak_few();
	wipe();
	return arg;
}

TEST(of_another_thread)
{
	pthread_t t;

	begin();
	CHECK_EQ(pthread_create(&t, NULL, leaking_thread, NULL), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	collect();
	SAYS(said(), "sz= 45, NORMAL)", N * 3 / 4);
}

TEST(automatic_collections)
{
	begin();
	for (int i = 0; i < 4000; i++)
		CHECK((GC_malloc_atomic)(20000));
	CHECK(strstr(said(), " leaked objects:\n"));
}

TEST(the_variable)
{
	listen_to();
	GC_find_leak = 1;
	GC_INIT();
	leak_few();
	collect();
	SAYS(said(), "sz= 45, NORMAL)", N * 3 / 4);
	GC_find_leak = 0;
	leak_few();
	collect();
	CHECK(!said()[0]);
}

TEST(turned_on_late)
{
	listen_to();
	GC_INIT();
	leak_few();
	GC_set_find_leak(1);
	collect();
	SAYS(said(), "sz= 45, NORMAL)", N * 3 / 4);
}

static void GC_CALLBACK finalize(void *object, void *data)
{
	FAIL("a finalizer");
}

TEST(no_finalizers)
{
	GC_finalization_proc fn = finalize;
	void *data = &data;

	begin();
	for (int i = 0; i < N; i++) {
		GC_register_finalizer_no_order((GC_malloc)(50), finalize, NULL, &fn, &data);
		CHECK(fn == finalize && data == &data);
	}
	collect();
	SAYS(said(), "object at", N * 3 / 4);
}

/* ---- the environment, and the end */

static int status_of(void (*child)(void))
{
	int status;
	pid_t pid;

	listen_to();
	pid = fork();
	if (!pid)
		child();
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

static void leaves_leaks(void)
{
	GC_INIT();
	CHECK(GC_get_find_leak());
	leak_few();
	wipe();
	exit(3);
}

TEST(at_exit)
{
	setenv("GC_FIND_LEAK", "1", 1);
	CHECK_EQ(WEXITSTATUS(status_of(leaves_leaks)), 3);
	SAYS(said(), "sz= 45, NORMAL)", N * 3 / 4);
}

TEST(abort_on_leak)
{
	const char *text;

	setenv("GC_FIND_LEAK", "1", 1);
	setenv("GC_ABORT_ON_LEAK", "1", 1);
	CHECK_EQ(WTERMSIG(status_of(leaves_leaks)), SIGABRT);
	text = said();
	SAYS(text, "sz= 45, NORMAL)", N * 3 / 4);
	SAYS(text, "Leaked or smashed objects encountered\n", 1);
}

static NOINLINE void write_to_freed(void)
{
	for (int i = 0; i < N; i++) {
		char *p = GC_MALLOC(51);

		GC_FREE(p);
		p[20] = 7;
		GC_FREE(GC_MALLOC(53));
	}
}

TEST(freed_objects_that_are_written_to)
{
	const char *text;

	setenv("GC_FIND_LEAK", "1", 1);
	setenv("GC_FINDLEAK_DELAY_FREE", "1", 1);
	listen_to();
	GC_INIT();
	write_to_freed();
	leak_few();
	collect();
	text = said();
	SAYS(text, " smashed heap objects:\n", 1);
	CHECK(count(text, " in or near object at ") >= N / 2);
	SAYS_NOT(text, "sz= 53,");
	SAYS(text, "sz= 45, NORMAL)", N * 3 / 4);
}

TEST_MAIN
