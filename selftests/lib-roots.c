// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the library makes roots of without being asked: data, bss, TLS of program
 * and shared objects, stacks, through dlopen and dlclose.
 */
#include "raw.h"
#include "proc.h"
#include "dl.h"
#include <gcheap.h>
#include <semaphore.h>

enum { N = 16 };

static uintptr_t hidden[N];
static struct gcheap_weak *weak[N];
static void *in_data[N] = { (void *)1 };
static void *in_bss[N];
static __thread void *in_tls[N];

static NOINLINE void make(void)
{
	for (int i = 0; i < N; i++) {
		long *p = gcheap_alloc(64);

		CHECK(p);
		p[0] = 0x600d;
		hidden[i] = HIDE(p);
		weak[i] = gcheap_weak_create(p);
		CHECK(weak[i]);
	}
	gcheap_thread_flush();
}

static NOINLINE void put(void **place)
{
	for (int i = 0; i < N; i++)
		place[i] = UNHIDE(hidden[i]);
}

static NOINLINE int alive(void)
{
	int n = 0;

	for (int i = 0; i < N; i++) {
		long *p = gcheap_weak_get(weak[i]);

		if (p) {
			CHECK(p == UNHIDE(hidden[i]));
			CHECK_EQ(p[0], 0x600d);
		}
		n += !!p;
	}
	return n;
}

static void kept(void)
{
	for (int i = 0; i < 3; i++) {
		wipe();
		CHECK_EQ(gcheap_collect(), 0);
		wipe();
		CHECK_EQ(alive(), N);
	}
}

static void dropped(void)
{
	for (int i = 0; i < 5; i++) {
		wipe();
		CHECK_EQ(gcheap_collect(), 0);
		wipe();
		if (alive() <= N / 8)
			return;
		usleep(20000);
	}
	FAIL("%d of %d are still there", alive(), N);
}

static void place(void **words)
{
	make();
	put(words);
	wipe();
	kept();
	memset(words, 0, N * sizeof(*words));
	dropped();
}

TEST(nowhere)
{
	make();
	wipe();
	dropped();
}

TEST(data)
{
	place(in_data);
}

TEST(bss)
{
	place(in_bss);
}

TEST(tls_of_the_main_thread)
{
	place(in_tls);
}

TEST(stack)
{
	void *words[N];

	place(words);
}

TEST(registered_range)
{
	void **words = calloc(N, sizeof(*words));

	CHECK_EQ(gcheap_root_add(words, N * sizeof(*words)), 0);
	place(words);
	CHECK_EQ(gcheap_root_del(words, N * sizeof(*words)), 0);
	CHECK_EQ(gcheap_root_del(words, N * sizeof(*words)), -ENOENT);
}

/* Memory from malloc is not looked at. */
TEST(malloc_is_no_root)
{
	void **words = calloc(N, sizeof(*words));

	make();
	put(words);
	wipe();
	dropped();
	free(words);
}

static sem_t ready, leave;

static void *thread_with_tls(void *arg)
{
	put(in_tls);
	wipe();
	sem_post(&ready);
	while (sem_wait(&leave))
		;
	memset(in_tls, 0, sizeof(in_tls));
	return NULL;
}

static void *thread_with_stack(void *arg)
{
	void *words[N];

	put(words);
	wipe();
	sem_post(&ready);
	while (sem_wait(&leave))
		;
	memset(words, 0, sizeof(words));
	__asm__ volatile("" : : "r"(words) : "memory");
	return NULL;
}

static void in_thread(void *(*fn)(void *))
{
	pthread_t t;

	sem_init(&ready, 0, 0);
	sem_init(&leave, 0, 0);
	make();
	t = spawn(fn, NULL);
	sem_wait(&ready);
	kept();
	sem_post(&leave);
	pthread_join(t, NULL);
	dropped();
}

TEST(tls_of_a_thread)
{
	in_thread(thread_with_tls);
}

TEST(stack_of_a_thread)
{
	in_thread(thread_with_stack);
}

static void in_object(const char *function)
{
	void *o = open_object(), **words = words_of(o, function);

	make();
	for (int i = 0; i < 4; i++)
		words[i] = UNHIDE(hidden[i]);
	wipe();
	for (int round = 0; round < 3; round++) {
		CHECK_EQ(gcheap_collect(), 0);
		for (int i = 0; i < 4; i++)
			CHECK(gcheap_weak_get(weak[i]));
	}
	/* Gone with the object. */
	words = NULL;
	CHECK_EQ(dlclose(o), 0);
	wipe();
	dropped();
}

TEST(data_of_a_dlopened_object)
{
	in_object("dl_data_address");
}

TEST(bss_of_a_dlopened_object)
{
	in_object("dl_bss_address");
}

/* The loader's counts are of all namespaces, and no clock after that. */
TEST(data_of_an_object_dlopened_after_dlmopen)
{
	void *o;

	CHECK_EQ(gcheap_init(), 0);
	for (int i = 0; i < 3; i++) {
		o = dlmopen(LM_ID_NEWLM, "libm.so.6", RTLD_NOW);
		CHECK(o);
		if (i == 1)
			CHECK_EQ(dlclose(o), 0);
	}
	in_object("dl_data_address");
}

TEST(tls_of_a_dlopened_object)
{
	in_object("dl_tls_address");
}

static volatile int stop;

static void *opener(void *arg)
{
	for (int i = 0; !stop; i++) {
		void *o = open_object();
		void **words = ((void **(*)(void))dlsym(o, "dl_bss_address"))();
		long *p = gcheap_alloc(48);

		p[0] = i;
		words[0] = p;
		p = NULL;
		for (int k = 0; k < 20; k++)
			CHECK(gcheap_alloc(64));
		CHECK_EQ(*(long *)words[0], i);
		dlclose(o);
	}
	return NULL;
}

TEST(dlopen_and_dlclose_through_collections)
{
	pthread_t t = spawn(opener, NULL);

	for (uint64_t end = now_ns() + 4000000000ull; now_ns() < end;)
		CHECK_EQ(gcheap_collect(), 0);
	stop = 1;
	pthread_join(t, NULL);
	CHECK_EQ(gcheap_verify(), 0);
}

/* R15: the return value of a thread that is dead and not joined yet. */
static void *returns_object(void *arg)
{
	long *p = gcheap_alloc(64);

	p[0] = 0xdeadbeef;
	return p;
}

TEST(return_value_of_an_unjoined_thread)
{
	enum { THREADS = 8 };
	pthread_t t[THREADS];
	void *result;

	CHECK_EQ(gcheap_init(), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, returns_object, NULL), 0);
	await_alone();
	for (int round = 0; round < 3; round++) {
		CHECK_EQ(gcheap_collect(), 0);
		for (int i = 0; i < 2000; i++)
			memset(gcheap_alloc(64), 0x11, 64);
	}
	for (int i = 0; i < THREADS; i++) {
		CHECK_EQ(pthread_join(t[i], &result), 0);
		if (*(long *)result != 0xdeadbeef)
			FAIL("lost: the return value of a thread not joined yet");
	}
}

/* The argument of a thread that has not begun to run. */
static void *takes_object(void *arg)
{
	CHECK_EQ(*(long *)arg, 0xa46);
	return NULL;
}

static NOINLINE pthread_t start_with_object(void)
{
	long *p = gcheap_alloc(64);

	*p = 0xa46;
	return spawn(takes_object, p);
}

TEST(argument_of_a_new_thread)
{
	CHECK_EQ(gcheap_init(), 0);
	for (int i = 0; i < 200; i++) {
		pthread_t t = start_with_object();

		wipe();
		gcheap_collect();
		for (int k = 0; k < 50; k++)
			memset(gcheap_alloc(64), 0x11, 64);
		pthread_join(t, NULL);
	}
}

static int finalized;

static void finalize(void *object, void *data)
{
	CHECK_EQ(*(long *)object, 77);
	CHECK_EQ((long)data, 5);
	finalized++;
}

static NOINLINE void make_finalizable(int n)
{
	for (int i = 0; i < n; i++) {
		long *p = gcheap_alloc(64);

		*p = 77;
		CHECK_EQ(gcheap_finalizer_set(p, finalize, (void *)5), 0);
	}
	gcheap_thread_flush();
}

TEST(finalizers)
{
	CHECK_EQ(gcheap_init(), 0);
	gcheap_finalizers_on_demand(1);
	make_finalizable(100);
	wipe();
	CHECK_EQ(gcheap_collect(), 0);
	gcheap_finalizers_run();
	CHECK(finalized >= 95 && finalized <= 100);
	CHECK_EQ(gcheap_verify(), 0);
}

TEST_MAIN
