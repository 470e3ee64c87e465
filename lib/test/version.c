// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * A module that speaks another version, or lacks a feature: whoever asks for a heap
 * is told so, each time, and nothing is left behind.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../../selftests/tap.h"
#include "mock.h"

#define A_DEVICE	"/dev/null"	/* that can be opened */

static const int refusals[] = { EPROTONOSUPPORT, EOPNOTSUPP };
#define REFUSALS	2

static int refusal;

/* What the device's backend calls: SETUP refuses as the module does, and tells why. */
int ioctl(int fd, unsigned long command, ...)
{
	struct gcheap_setup *s;
	va_list args;

	va_start(args, command);
	s = va_arg(args, struct gcheap_setup *);
	va_end(args);
	errno = ENOTTY;
	if (command != GCHEAP_IOC_SETUP)
		return -1;
	CHECK_EQ(s->abi, GCHEAP_ABI);
	CHECK_EQ(s->layout, GCHEAP_LAYOUT);
	CHECK_EQ(s->features, GCHEAP_FEATURES);
	s->abi = GCHEAP_ABI + (refusal == EPROTONOSUPPORT);
	s->features = GCHEAP_FEATURES & ~GCHEAP_FEAT_WEAK;
	errno = refusal;
	return -1;
}

static int open_files(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Address space, in pages. */
static long mapped(void)
{
	char text[64] = "";
	int fd = open("/proc/self/statm", O_RDONLY);

	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtol(text, NULL, 10);
}

static void check_no_heap(void)
{
	CHECK_EQ(mock.nroots, 0);
	for (int i = 0; i < 32; i++)
		CHECK_EQ(mock.calls[i], 0);
	for (int i = 0; i < GCH_HEAPS; i++)
		CHECK(!gch.heap[i]);
}

static void check_open_fails(int err)
{
	struct gcheap_options o = { .device = A_DEVICE };
	int files = open_files();
	long pages = 0;

	for (int i = 0; i < 100; i++) {
		errno = 0;
		CHECK(!gcheap_open(&o) && errno == err);
		/* The first also readies the library itself. */
		if (!i)
			pages = mapped();
	}
	CHECK_EQ(open_files(), files);
	CHECK_EQ(mapped(), pages);
	check_no_heap();
}

TEST(open_by_the_device)
{
	for (int i = 0; i < REFUSALS; i++) {
		refusal = refusals[i];
		check_open_fails(refusal);
	}
}

TEST(open)
{
	int n = 0;

	mock_use();
	for (int i = 0; i < REFUSALS; i++) {
		mock.fail_open = -refusals[i];
		check_open_fails(refusals[i]);
	}
	/* With the right module there are as many heaps as ever. */
	mock.fail_open = 0;
	while (gcheap_open(&(struct gcheap_options){ .heap_size = 4 << 20 }))
		n++;
	CHECK_EQ(n, GCH_HEAPS - 1);
}

static void *return_it(void *arg)
{
	errno = 0;
	CHECK(!gcheap_alloc(10) && errno == refusal);
	return arg;
}

static void check_all_calls(int err)
{
	static void *word;
	void *result;
	pthread_t t;

	/* The first result is given from then on. */
	for (int i = 0; i < 3; i++)
		CHECK_EQ(gcheap_init(), -err);
	errno = 0;
	CHECK(!gcheap_default() && errno == err);
	errno = 0;
	CHECK(!gcheap_alloc(10) && errno == err);
	errno = 0;
	CHECK(!gcheap_alloc_noscan(100000) && errno == err);
	errno = 0;
	CHECK(!gcheap_realloc(NULL, 10) && errno == err);
	errno = 0;
	CHECK(!gcheap_cache_create(32, NULL, 0) && errno == err);
	CHECK_EQ(gcheap_collect(), -err);
	CHECK_EQ(gcheap_root_add(&word, sizeof(word)), -err);
	CHECK_EQ(gcheap_thread_attach(), -err);
	CHECK_EQ(gcheap_fd(NULL), -err);
	CHECK_EQ(gcheap_tune(NULL, GCHEAP_TUNE_GROWTH, 50), -err);
	/* Calls that the library takes over go on as without it. */
	CHECK_EQ(pthread_create(&t, NULL, return_it, &word), 0);
	CHECK_EQ(pthread_join(t, &result), 0);
	CHECK(result == &word);
	check_no_heap();
}

TEST(default_heap_by_the_device)
{
	int files = open_files();

	setenv("GCHEAP_DEVICE", A_DEVICE, 1);
	refusal = EPROTONOSUPPORT;
	check_all_calls(refusal);
	CHECK_EQ(open_files(), files);
}

static void check_default_heap(int err)
{
	mock_use();
	refusal = err;
	mock.fail_open = -err;
	check_all_calls(err);
	/* A module that comes later is for the next run of the program. */
	mock.fail_open = 0;
	CHECK_EQ(gcheap_init(), -err);
}

TEST(default_heap_of_another_version)
{
	check_default_heap(EPROTONOSUPPORT);
}

TEST(default_heap_without_a_feature)
{
	check_default_heap(EOPNOTSUPP);
}

TEST_MAIN
