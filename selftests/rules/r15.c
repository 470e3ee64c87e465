// SPDX-License-Identifier: GPL-2.0-only
/*
 * R15: dead, unjoined threads. What a thread returned is kept by the C library
 * alone, in memory of the dead thread, until it is joined; libgcheap's pthread
 * functions keep it, too. Their knob is to go around them, to the C library's own.
 *
 * Without it: lost: the return value of a thread not joined yet
 * Knob: environment
 */
#include "../raw.h"
#include "../proc.h"
#include <dlfcn.h>
#include <gcheap.h>

typedef int create_fn(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
typedef int join_fn(pthread_t t, void **result);

static void *returns_object(void *arg)
{
	long *p = gcheap_alloc(64);

	p[0] = 0xdeadbeef;
	return p;
}

TEST(R15_unjoined_threads)
{
	const char *off = getenv("RULES_OFF");
	create_fn *create = pthread_create;
	join_fn *join = pthread_join;
	enum { THREADS = 8 };
	pthread_t t[THREADS];
	void *result;

	if (off && strtoul(off, NULL, 0) & 1 << 15) {
		void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

		CHECK(libc);
		create = (create_fn *)dlsym(libc, "pthread_create");
		join = (join_fn *)dlsym(libc, "pthread_join");
		CHECK(create && join && create != pthread_create);
	}
	CHECK_EQ(gcheap_init(), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(create(&t[i], NULL, returns_object, NULL), 0);
	await_alone();
	for (int round = 0; round < 3; round++) {
		CHECK_EQ(gcheap_collect(), 0);
		for (int i = 0; i < 2000; i++)
			memset(gcheap_alloc(64), 0x11, 64);
	}
	for (int i = 0; i < THREADS; i++) {
		CHECK_EQ(join(t[i], &result), 0);
		if (*(long *)result != 0xdeadbeef)
			FAIL("lost: the return value of a thread not joined yet");
	}
}

TEST_MAIN
