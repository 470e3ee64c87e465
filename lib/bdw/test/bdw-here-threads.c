// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Roots that the stand-in finds without being told, and libgc does not. */
#include "../../../selftests/tap.h"
#include "dl.h"
#include <linux/futex.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#undef pthread_create
#undef pthread_join
#undef dlopen

#define STACK	(256 << 10)

static sem_t ready, leave;

static void begin(void)
{
	GC_INIT();
	sem_init(&ready, 0, 0);
	sem_init(&leave, 0, 0);
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem))
		;
}

static NOINLINE void forget(void **words, int n)
{
	memset(words, 0, n * sizeof(*words));
	__asm__ volatile("" : : "r"(words) : "memory");
}

/* ---- thread-local storage */

static __thread void *in_tls[COUNTED];

static void *hold_in_tls(void *unused)
{
	counted_make(in_tls, COUNTED);
	counted_wipe();
	sem_post(&ready);
	wait_for(&leave);
	counted_check(in_tls, COUNTED);
	forget(in_tls, COUNTED);
	return NULL;
}

TEST(tls_of_the_first_thread)
{
	begin();
	counted_make(in_tls, COUNTED);
	counted_kept();
	counted_check(in_tls, COUNTED);
	forget(in_tls, COUNTED);
	counted_dropped(COUNTED);
}

/* How the C library makes threads, past all that the collector knows of. */
static int plain_create(pthread_t *t, void *(*fn)(void *))
{
	void *libc = dlopen("libc.so.6", RTLD_NOW);
	int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	CHECK(libc);
	create = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))
		dlsym(libc, "pthread_create");
	CHECK(create && (void *)create != (void *)GC_pthread_create);
	return create(t, NULL, fn, NULL);
}

static void watch(int (*create)(pthread_t *t, void *(*fn)(void *)), void *(*fn)(void *))
{
	pthread_t t;

	begin();
	CHECK_EQ(create(&t, fn), 0);
	wait_for(&ready);
	counted_kept();
	sem_post(&leave);
	CHECK_EQ(pthread_join(t, NULL), 0);
	counted_dropped(COUNTED);
}

static int create(pthread_t *t, void *(*fn)(void *))
{
	return pthread_create(t, NULL, fn, NULL);
}

TEST(tls_of_a_thread)
{
	watch(create, hold_in_tls);
}

TEST(tls_of_a_plain_thread)
{
	watch(plain_create, hold_in_tls);
}

TEST(tls_of_an_object)
{
	void **words;

	begin();
	words = words_of(open_object(), "dl_tls_address");
	counted_make(words, WORDS);
	counted_kept();
	counted_check(words, WORDS);
	forget(words, WORDS);
	counted_dropped(WORDS);
}

/* ---- threads nobody told of */

static NOINLINE void hold_on_stack(void)
{
	void *words[COUNTED];

	counted_make(words, COUNTED);
	sem_post(&ready);
	wait_for(&leave);
	counted_check(words, COUNTED);
	forget(words, COUNTED);
}

static void *never_registers(void *unused)
{
	CHECK(!GC_thread_is_registered());
	hold_on_stack();
	CHECK(!GC_thread_is_registered());
	return NULL;
}

TEST(stack_of_a_plain_thread)
{
	watch(plain_create, never_registers);
}

/* No thread of the C library: it has no storage, and must not call anything. */
static int clone_state;
static unsigned long clone_hidden[COUNTED];

static int cloned(void *unused)
{
	void *volatile words[COUNTED];

	for (int i = 0; i < COUNTED; i++)
		words[i] = (void *)~clone_hidden[i];
	__atomic_store_n(&clone_state, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&clone_state, __ATOMIC_SEQ_CST) == 1)
		__asm__ volatile("syscall" : : "a"(SYS_futex), "D"(&clone_state),
				 "S"(FUTEX_WAIT), "d"(1), "r"(words) : "rcx", "r11", "memory");
	for (int i = 0; i < COUNTED; i++)
		words[i] = NULL;
	__atomic_store_n(&clone_state, 3, __ATOMIC_SEQ_CST);
	__asm__ volatile("syscall" : : "a"(SYS_exit), "D"(0) : "rcx", "r11", "memory");
	return 0;
}

static NOINLINE void hide(void)
{
	void *words[COUNTED];

	counted_make(words, COUNTED);
	for (int i = 0; i < COUNTED; i++)
		clone_hidden[i] = ~(unsigned long)words[i];
	forget(words, COUNTED);
}

TEST(stack_of_a_thread_made_by_clone)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	begin();
	hide();
	CHECK(clone(cloned, stack + STACK, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
		    CLONE_THREAD | CLONE_SYSVSEM, NULL) > 0);
	while (__atomic_load_n(&clone_state, __ATOMIC_SEQ_CST) != 1)
		usleep(1000);
	counted_kept();
	__atomic_store_n(&clone_state, 2, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &clone_state, FUTEX_WAKE, 1);
	while (__atomic_load_n(&clone_state, __ATOMIC_SEQ_CST) != 3)
		usleep(1000);
	counted_dropped(COUNTED);
}

/* libgc loses what a thread has given pthread_exit() before it is joined. */
static void *exits_with_object(void *unused)
{
	void *result;

	counted_make(&result, 1);
	pthread_exit(result);
}

TEST(results_of_pthread_exit)
{
	enum { THREADS = 16 };
	pthread_t t[THREADS];
	void *result;

	begin();
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(GC_pthread_create(&t[i], NULL, exits_with_object, NULL), 0);
	usleep(100000);
	counted_kept();
	for (int i = 0; i < THREADS; i++) {
		CHECK_EQ(pthread_join(t[i], &result), 0);
		counted_check(&result, 1);
	}
}

/* ---- coroutines that nothing was said of */

static ucontext_t coroutine_context, own_context;

static void coroutine(void)
{
	void *words[COUNTED];

	counted_make(words, COUNTED);
	counted_kept();
	counted_check(words, COUNTED);
	forget(words, COUNTED);
	swapcontext(&coroutine_context, &own_context);
}

static NOINLINE void run_coroutine(char *stack)
{
	void *words[COUNTED];

	getcontext(&coroutine_context);
	coroutine_context.uc_stack.ss_sp = stack;
	coroutine_context.uc_stack.ss_size = STACK;
	makecontext(&coroutine_context, coroutine, 0);
	counted_make(words, COUNTED);
	swapcontext(&own_context, &coroutine_context);
	counted_check(words, COUNTED);
	forget(words, COUNTED);
}

static void coroutine_on(char *stack)
{
	CHECK(stack && stack != MAP_FAILED);
	run_coroutine(stack);
	memset(stack, 0, STACK);
	memset(&coroutine_context, 0, sizeof(coroutine_context));
	counted_dropped(2 * COUNTED);
}

static char *mapped(void)
{
	return mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

TEST(coroutine_on_memory_from_malloc)
{
	begin();
	coroutine_on(calloc(1, STACK));
}

TEST(coroutine_on_memory_from_mmap)
{
	begin();
	coroutine_on(mapped());
}

/* It is an object, and searched as such. */
TEST(coroutine_on_an_object)
{
	begin();
	coroutine_on(GC_MALLOC(STACK));
}

static void *thread_with_coroutine(void *stack)
{
	struct GC_stack_base base;

	/* The thread's own stack is known from now on. */
	GC_get_my_stackbottom(&base);
	coroutine_on(stack);
	return NULL;
}

TEST(coroutine_of_a_thread)
{
	pthread_t t;

	begin();
	CHECK_EQ(pthread_create(&t, NULL, thread_with_coroutine, mapped()), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

/* ---- signal stacks */

static void handler(int signal)
{
	hold_on_stack();
}

static NOINLINE void raise_on_altstack(void)
{
	void *words[COUNTED];

	counted_make(words, COUNTED);
	raise(SIGUSR1);
	counted_check(words, COUNTED);
	forget(words, COUNTED);
}

static void *interrupted(void *unused)
{
	stack_t alt = { .ss_sp = mapped(), .ss_size = STACK };

	CHECK_EQ(sigaltstack(&alt, NULL), 0);
	raise_on_altstack();
	return NULL;
}

static void watch_interrupted(void *(*fn)(void *))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	pthread_t t;

	begin();
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	CHECK_EQ(pthread_create(&t, NULL, fn, NULL), 0);
	wait_for(&ready);
	counted_kept();
	sem_post(&leave);
	CHECK_EQ(pthread_join(t, NULL), 0);
	counted_dropped(2 * COUNTED);
}

TEST(a_stack_that_was_interrupted)
{
	watch_interrupted(interrupted);
}

static void interrupted_coroutine(void)
{
	interrupted(NULL);
	swapcontext(&coroutine_context, &own_context);
}

static void *runs_interrupted_coroutine(void *unused)
{
	char *stack = mapped();
	struct GC_stack_base base;

	GC_get_my_stackbottom(&base);
	getcontext(&coroutine_context);
	coroutine_context.uc_stack.ss_sp = stack;
	coroutine_context.uc_stack.ss_size = STACK;
	makecontext(&coroutine_context, interrupted_coroutine, 0);
	swapcontext(&own_context, &coroutine_context);
	memset(stack, 0, STACK);
	return NULL;
}

TEST(a_coroutine_that_was_interrupted)
{
	watch_interrupted(runs_interrupted_coroutine);
}

TEST_MAIN
