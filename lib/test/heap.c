// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Heaps: options, the environment, several of them, roots, threads, fork. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../../selftests/tap.h"
#include "mock.h"

#define A_LIBRARY "libresolv.so.2"	/* has data, and is not loaded yet */

static void *in_data = &in_data;
static void *in_bss;
static __thread void *in_tls;

TEST(environment)
{
	mock_use();
	setenv("GCHEAP_GROWTH", "250", 1);
	setenv("GCHEAP_LIMIT", "64M", 1);
	setenv("GCHEAP_MIN_HEAP", "8m", 1);
	setenv("GCHEAP_HEAP_SIZE", "1G", 1);
	setenv("GCHEAP_VERIFY", "1", 1);
	setenv("GCHEAP_PAUSE", "200", 1);
	setenv("GCHEAP_WORKERS", "2", 1);
	CHECK_EQ(gcheap_init(), 0);
	CHECK_EQ(mock.setup.growth, 250);
	CHECK_EQ(mock.setup.limit, 64 << 20);
	CHECK_EQ(mock.setup.min_heap, 8 << 20);
	CHECK_EQ(mock.setup.heap_size, 1 << 30);
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_PARAM), 3);
	CHECK_EQ(mock.param[GCHEAP_PARAM_VERIFY], 1);
	CHECK_EQ(mock.param[GCHEAP_PARAM_PAUSE], 200000);
	CHECK_EQ(mock.param[GCHEAP_PARAM_WORKERS], 2);
}

TEST(an_environment_with_too_long_a_pause)
{
	mock_use();
	setenv("GCHEAP_PAUSE", "1000001", 1);
	CHECK_EQ(gcheap_init(), -EINVAL);
}

TEST(an_environment_with_no_pause)
{
	mock_use();
	setenv("GCHEAP_PAUSE", "0", 1);
	CHECK_EQ(gcheap_init(), -EINVAL);
}

TEST(environment_without_sense)
{
	mock_use();
	setenv("GCHEAP_LIMIT", "64Q", 1);
	CHECK_EQ(gcheap_init(), -EINVAL);
	CHECK_EQ(gcheap_init(), -EINVAL);
	errno = 0;
	CHECK(!gcheap_alloc(10) && errno == EINVAL);
	errno = 0;
	CHECK(!gcheap_alloc(100000) && errno == EINVAL);
	CHECK(!gcheap_default());
	CHECK_EQ(gcheap_collect(), -EINVAL);
	CHECK_EQ(gcheap_free(&in_data), -EINVAL);
}

TEST(no_device)
{
	struct gcheap_options o = { .device = "/nonexistent" };

	errno = 0;
	CHECK(!gcheap_open(&o) && errno == ENOENT);
	o.device = "/dev/null";
	CHECK(!gcheap_open(&o) && errno == ENOTTY);
}

TEST(options_are_checked)
{
	struct gcheap_options o = { .flags = 1u << 20 };

	mock_use();
	CHECK(!gcheap_open(&o) && errno == EINVAL);
	o = (struct gcheap_options){ .reserved = { [7] = 1 } };
	CHECK(!gcheap_open(&o) && errno == EINVAL);
}

TEST(several_heaps)
{
	struct gcheap *h[3];
	char *p[3];

	mock_use();
	for (int i = 0; i < 3; i++) {
		h[i] = gcheap_open(NULL);
		CHECK(h[i]);
	}
	for (int n = 0; n < 1000; n++) {
		for (int i = 0; i < 3; i++) {
			p[i] = gcheap_heap_alloc(h[i], 40);
			CHECK(p[i] && gcheap_heap_of(p[i]) == h[i]);
			CHECK(gcheap_base(p[i] + 3) == p[i]);
		}
		CHECK(gcheap_heap_of(gcheap_alloc(40)) == gcheap_default());
	}
	CHECK_EQ(gcheap_close(h[1]), 0);
	h[1] = gcheap_open(NULL);
	for (int n = 0; n < 1000; n++)
		CHECK(gcheap_heap_of(gcheap_heap_alloc(h[1], 40)) == h[1]);
	CHECK(gcheap_heap_of(gcheap_realloc(p[2], 4000)) == h[2]);
	CHECK_EQ(gcheap_close(NULL), -EINVAL);
	CHECK_EQ(gcheap_close(gcheap_default()), -EINVAL);
}

static struct gcheap *shared;

static void *allocate_from_two(void *arg)
{
	for (int i = 0; i < 2; i++) {
		for (int n = 0; n < 1000; n++)
			CHECK(gcheap_heap_of(gcheap_heap_alloc(shared, 40)) == shared);
		pthread_barrier_wait(arg);
		pthread_barrier_wait(arg);
	}
	return NULL;
}

/* Its place among the heaps is taken by the next one. */
TEST(a_heap_is_closed_that_another_thread_has_used)
{
	pthread_barrier_t b;
	pthread_t t;

	mock_use();
	pthread_barrier_init(&b, NULL, 2);
	shared = gcheap_open(NULL);
	CHECK(shared);
	CHECK_EQ(pthread_create(&t, NULL, allocate_from_two, &b), 0);
	for (int i = 0; i < 2; i++) {
		pthread_barrier_wait(&b);
		CHECK(gcheap_heap_alloc(shared, 40));
		CHECK_EQ(gcheap_close(shared), 0);
		shared = gcheap_open(NULL);
		CHECK(gcheap_heap_of(gcheap_heap_alloc(shared, 40)) == shared);
		pthread_barrier_wait(&b);
	}
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void closes_its_heap(void *object, void *data)
{
	CHECK_EQ(gcheap_close(shared), 0);
	CHECK_EQ(*(char *)object, 7);
}

static void is_slow(void *object, void *data)
{
	pthread_barrier_wait(data);
	pthread_barrier_wait(data);
	*(char *)object = 7;		/* it is there still */
}

static void *runs_finalizers(void *arg)
{
	CHECK_EQ(gcheap_finalizers_run(), 1);
	return NULL;
}

static char *finalized_object(gcheap_finalizer_fn fn, void *data)
{
	char *p;

	shared = gcheap_open(NULL);
	CHECK(shared);
	gcheap_finalizers_on_demand(1);
	p = gcheap_heap_alloc(shared, 40);
	*p = 7;
	CHECK_EQ(gcheap_finalizer_set(p, fn, data), 0);
	CHECK(mock_finalize(p));
	return p;
}

TEST(a_heap_is_closed_that_runs_finalizers)
{
	pthread_barrier_t b;
	pthread_t t;
	char *p;

	mock_use();
	finalized_object(closes_its_heap, NULL);
	CHECK_EQ(gcheap_finalizers_run(), 1);
	pthread_barrier_init(&b, NULL, 2);
	p = finalized_object(is_slow, &b);
	CHECK_EQ(pthread_create(&t, NULL, runs_finalizers, NULL), 0);
	pthread_barrier_wait(&b);
	CHECK_EQ(gcheap_close(shared), 0);
	CHECK(!gcheap_heap_of(p));
	pthread_barrier_wait(&b);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static struct gcheap *other;

static void replaces_its_heap(void *object, void *data)
{
	closes_its_heap(object, data);
	other = gcheap_open(NULL);
	CHECK(gcheap_heap_alloc(other, 600));
}

/* The other heap has the number of the one that is being allocated from. */
TEST(a_heap_is_replaced_that_is_allocated_from)
{
	mock_use();
	finalized_object(replaces_its_heap, NULL);
	gcheap_finalizers_on_demand(0);
	other = NULL;
	CHECK(!gcheap_heap_alloc(shared, 600));
	CHECK_EQ(errno, ENXIO);
	CHECK(other);
	CHECK_EQ(gcheap_close(other), 0);
}

static void *asks(void *arg)
{
	CHECK_EQ(gcheap_collect_start(), 0);
	return NULL;
}

/* What a library that is being opened has in its data is no root yet. */
TEST(no_collection_is_asked_for_during_dlopen)
{
	pthread_t t;

	mock_use();
	CHECK(gcheap_alloc(10));
	pthread_mutex_lock(&gch.dl_lock);
	CHECK_EQ(pthread_create(&t, NULL, asks, NULL), 0);
	usleep(100000);
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_COLLECT), 0);
	pthread_mutex_unlock(&gch.dl_lock);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_COLLECT), 1);
}

TEST(heaps_at_most)
{
	int n = 0;

	mock_use();
	while (gcheap_open(&(struct gcheap_options){ .heap_size = 4 << 20 }))
		n++;
	CHECK_EQ(errno, ENOSPC);
	CHECK_EQ(n, GCH_HEAPS - 1);
	CHECK(gcheap_alloc(10));
}

TEST(data_segments_are_roots)
{
	static const int constant;

	mock_use();
	CHECK_EQ(gcheap_init(), 0);
	CHECK(mock_is_root(&in_data));
	CHECK(mock_is_root(&in_bss));
	CHECK(mock_is_root(&environ));
	CHECK(!mock_is_root(&constant));
	CHECK(!mock_is_root(&gch));
	CHECK(!mock_is_root(&gch.heap0.backend.base));
	CHECK(!mock_is_root((char *)(&gch + 1) - 8));
}

TEST(precise_heaps_have_no_data)
{
	mock_use();
	CHECK(gcheap_open(&(struct gcheap_options){ .flags = GCHEAP_OPT_PRECISE_ONLY }));
	CHECK(!mock_is_root(&in_data));
	CHECK(mock.setup.flags & GCHEAP_SETUP_PRECISE_ONLY);
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_TLS), 0);
	CHECK(gcheap_open(&(struct gcheap_options){ .flags = GCHEAP_OPT_NO_DATA }));
	CHECK(!mock_is_root(&in_data));
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_TLS), 1);
}

TEST(static_tls_is_described)
{
	uintptr_t tp;

	mock_use();
	CHECK_EQ(gcheap_init(), 0);
	__asm__("movq %%fs:0, %0" : "=r"(tp));
	diag("static TLS %u below, %u above, %u modules", mock.tls.below, mock.tls.above,
	     mock.tls.nmodules);
	CHECK((uintptr_t)&in_tls >= tp - mock.tls.below && (uintptr_t)&in_tls < tp);
	CHECK((uintptr_t)&errno >= tp - mock.tls.below);
	CHECK(mock.tls.above >= 1024 && mock.tls.above < 8192);
	CHECK(!(mock.tls.below % 8) && !(mock.tls.above % 8));
	CHECK_EQ(mock.tls.dtv_stride, 16);
}

TEST(dlopen_and_dlclose)
{
	uint32_t before;
	void *object, *data;

	mock_use();
	CHECK_EQ(gcheap_init(), 0);
	before = mock.nroots;
	object = dlopen(A_LIBRARY, RTLD_NOW);
	if (!object)
		SKIP("%s", dlerror());
	CHECK_EQ(mock.hold_max, 1);
	CHECK_EQ(mock.hold, 0);
	if (mock.nroots == before)
		SKIP("%s was there", A_LIBRARY);
	data = (void *)(mock.root[mock.nroots - 1].addr);
	CHECK(mock_is_root(data));
	dlclose(object);
	CHECK_EQ(mock.hold, 0);
	CHECK_EQ(mock.nroots, before);
}

/* As when the C library loads something for itself. */
TEST(objects_loaded_behind_our_back)
{
	void *(*real)(const char *file, int mode) = dlsym(RTLD_NEXT, "dlopen");
	uint32_t before;

	mock_use();
	CHECK_EQ(gcheap_init(), 0);
	before = mock.nroots;
	CHECK(real(A_LIBRARY, RTLD_NOW));
	CHECK_EQ(mock.nroots, before);
	CHECK(gcheap_alloc(10));
	CHECK(mock.nroots > before);
}

TEST(roots_that_cannot_be_told_stop_allocation)
{
	void *(*real)(const char *file, int mode) = dlsym(RTLD_NEXT, "dlopen");

	mock_use();
	CHECK_EQ(gcheap_init(), 0);
	CHECK(real(A_LIBRARY, RTLD_NOW));
	mock.fail_next = -ENOSPC;
	errno = 0;
	CHECK(!gcheap_alloc(10) && errno == ENOSPC);
	CHECK(gcheap_alloc(10));
}

TEST(the_programs_roots)
{
	char memory[256] __attribute__((aligned(8)));
	void *top = memory + 64;
	uint32_t before;

	mock_use();
	CHECK_EQ(gcheap_init(), 0);
	before = mock.nroots;
	CHECK_EQ(gcheap_root_add(memory, 256), 0);
	CHECK(mock_is_root(memory) && mock_is_root(memory + 248));
	CHECK_EQ(gcheap_root_del(memory, 255), -ENOENT);
	CHECK_EQ(gcheap_root_del(memory, 256), 0);
	CHECK(!mock_is_root(memory));
	CHECK_EQ(gcheap_root_del(memory, 256), -ENOENT);
	CHECK_EQ(gcheap_root_add(memory + 1, 254), 0);
	CHECK(!mock_is_root(memory) && mock_is_root(memory + 8));
	CHECK(!mock_is_root(memory + 248));
	CHECK_EQ(gcheap_root_del(memory + 1, 254), 0);
	CHECK_EQ(gcheap_root_add(memory, 0), -EINVAL);
	CHECK_EQ(gcheap_root_add(memory + 1, 10), -EINVAL);
	CHECK_EQ(gcheap_heap_root_add(NULL, memory, 256, GCHEAP_SHADOW, NULL), -EINVAL);
	CHECK_EQ(gcheap_heap_root_add(NULL, memory, 256, 0, &top), -EINVAL);
	CHECK_EQ(gcheap_heap_root_add(NULL, memory, 256, GCHEAP_SHADOW | GCHEAP_FIBER, &top),
		 -EINVAL);
	CHECK_EQ(gcheap_heap_root_add(NULL, memory, 256, GCHEAP_SHADOW | GCHEAP_PRECISE, &top), 0);
	CHECK(mock_is_root(memory + 56) && !mock_is_root(memory + 64));
	CHECK_EQ(gcheap_heap_root_del(NULL, memory, 256), 0);
	CHECK_EQ(mock.nroots, before);
}

/* ---- threads that are started and joined */

static bool start_has(void *what)
{
	for (uint64_t *w = (void *)gch.starts.base; w < (uint64_t *)gch.starts.top; w++)
		if (*w == (uintptr_t)what && mock_is_root(w))
			return true;
	return false;
}

static void *return_it(void *arg)
{
	return arg;
}

static void *exit_with_it(void *arg)
{
	pthread_exit(arg);
}

static void check_result(void *(*fn)(void *))
{
	void *object = gcheap_alloc(10), *result = NULL;
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, fn, object), 0);
	CHECK(start_has(object));
	usleep(100000);			/* dead, not joined (R15) */
	CHECK(start_has(object));
	CHECK_EQ(pthread_join(t, &result), 0);
	CHECK(result == object);
	CHECK(!start_has(object));
}

static pthread_barrier_t barrier;
static void *expected;

TEST(a_result_is_kept_until_it_is_asked_for)
{
	mock_use();
	check_result(return_it);
	check_result(exit_with_it);
}

TEST(tryjoin_and_timedjoin)
{
	struct timespec soon = { .tv_sec = (1l << 40) };	/* by any clock */
	void *object, *result;
	pthread_t t;

	mock_use();
	object = gcheap_alloc(10);
	CHECK_EQ(pthread_create(&t, NULL, return_it, object), 0);
	while (pthread_tryjoin_np(t, &result) == EBUSY)
		usleep(1000);
	CHECK(result == object && !start_has(object));
	CHECK_EQ(pthread_create(&t, NULL, return_it, object), 0);
	CHECK_EQ(pthread_timedjoin_np(t, &result, &soon), 0);
	CHECK(result == object && !start_has(object));
	CHECK_EQ(pthread_create(&t, NULL, return_it, object), 0);
	CHECK_EQ(pthread_clockjoin_np(t, &result, CLOCK_MONOTONIC, &soon), 0);
	CHECK(result == object && !start_has(object));
}

static void *joins_first(void *first)
{
	void *result;

	usleep(100000);			/* it has ended */
	CHECK(start_has(expected));
	CHECK_EQ(pthread_join(*(pthread_t *)first, &result), 0);
	CHECK(result == expected);
	CHECK(!start_has(expected));
	_exit(0);
}

TEST(the_first_threads_result)
{
	static pthread_t first;
	pthread_t t;

	mock_use();
	expected = gcheap_alloc(10);
	first = pthread_self();
	CHECK_EQ(pthread_create(&t, NULL, joins_first, &first), 0);
	pthread_exit(expected);
}

static void *joins(void *other)
{
	pthread_join(*(pthread_t *)other, NULL);
	FAIL("joined");
}

static void *waits(void *object)
{
	pthread_barrier_wait(&barrier);
	return object;
}

TEST(a_thread_is_cancelled_that_joins_another)
{
	pthread_t other, t;
	void *result;

	mock_use();
	expected = gcheap_alloc(10);
	pthread_barrier_init(&barrier, NULL, 2);
	CHECK_EQ(pthread_create(&other, NULL, waits, expected), 0);
	CHECK_EQ(pthread_create(&t, NULL, joins, &other), 0);
	usleep(100000);			/* it waits */
	CHECK_EQ(pthread_cancel(t), 0);
	CHECK_EQ(pthread_join(t, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
	pthread_barrier_wait(&barrier);
	CHECK_EQ(pthread_join(other, &result), 0);
	CHECK(result == expected && !start_has(expected));
}

static void check_gone(void *object)
{
	for (int i = 0; i < 1000 && start_has(object); i++)
		usleep(10000);
	CHECK(!start_has(object));
}

TEST(detached_threads_leave_nothing)
{
	pthread_attr_t attr;
	void *object;
	pthread_t t;

	mock_use();
	object = gcheap_alloc(10);
	CHECK_EQ(pthread_create(&t, NULL, return_it, object), 0);
	CHECK_EQ(pthread_detach(t), 0);
	check_gone(object);
	CHECK_EQ(pthread_create(&t, NULL, return_it, object), 0);
	usleep(100000);
	CHECK_EQ(pthread_detach(t), 0);
	check_gone(object);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	CHECK_EQ(pthread_create(&t, &attr, return_it, object), 0);
	check_gone(object);
	CHECK(gch.starts.top <= gch.starts.base + 2 * sizeof(struct gch_start));
}

static pthread_key_t late_key;

static void allocate_late(void *arg)
{
	CHECK(gcheap_alloc(10));
}

static void *set_late(void *arg)
{
	pthread_setspecific(late_key, arg);
	CHECK(gcheap_alloc(10));
	return NULL;
}

TEST(destructors_may_allocate)
{
	pthread_t t;

	mock_use();
	pthread_key_create(&late_key, allocate_late);
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(pthread_create(&t, NULL, set_late, &late_key), 0);
		CHECK_EQ(pthread_join(t, NULL), 0);
	}
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_THREAD_ATTACH),
		 MOCK_CALLS(GCHEAP_IOC_THREAD_DETACH));
}

/* ---- fork */

static int in_child(void *p)
{
	errno = 0;
	if (gcheap_alloc(10) || errno != ENXIO)
		return 1;
	errno = 0;
	if (gcheap_alloc(100000) || errno != ENXIO)
		return 2;
	if (gcheap_free(p) == 0 || gcheap_base(p) || gcheap_size(p))
		return 3;
	if (gcheap_heap_of(p))
		return 6;
	if (gcheap_collect() != -ENXIO || gcheap_thread_flush() != -ENXIO)
		return 4;
	if (gcheap_init() != -ENXIO || gcheap_default())
		return 5;
	return 0;
}

TEST(a_forked_child_that_gets_no_heap)
{
	void *p;
	int status;
	pid_t pid;

	mock_use();
	p = gcheap_alloc(10);
	mock.fail_fork = -ENXIO;
	pid = fork();
	if (!pid)
		_exit(in_child(p));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
	CHECK(gcheap_alloc(10));
}

static void *child_thread(void *arg)
{
	return gcheap_alloc(10);
}

TEST(threads_of_a_forked_child)
{
	void *result;
	pthread_t t;
	int status;
	pid_t pid;

	mock_use();
	CHECK(gcheap_alloc(10));
	mock.fail_await = -ENOMEM;
	pid = fork();
	if (!pid) {
		if (pthread_create(&t, NULL, child_thread, NULL) || pthread_join(t, &result))
			_exit(1);
		_exit(!!result);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST(stats)
{
	struct gcheap_stats s;

	mock_use();
	CHECK(gcheap_alloc(10));
	CHECK_EQ(gcheap_stats(&s), 0);
	CHECK(s.heap_bytes >= 8192);
	CHECK_EQ(s.threads, 1);
	CHECK_EQ(gcheap_collect(), 0);
	CHECK_EQ(gcheap_stats(&s), 0);
	CHECK_EQ(s.cycles, 1);
}

TEST_MAIN
