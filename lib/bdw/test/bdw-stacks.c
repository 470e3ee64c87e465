// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Stacks that are not the thread's own: coroutines' and signal handlers'. */
#include "../../../selftests/tap.h"
#include "count.h"
#include <semaphore.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STACK	(256 << 10)

static void is_stack_base(const void *base)
{
	char *here = __builtin_frame_address(0);

	CHECK((char *)base > here && (char *)base - here < 64 << 20);
}

TEST(where_the_first_stack_begins)
{
	struct GC_stack_base base, mine;

	GC_INIT();
	CHECK_EQ(GC_get_stack_base(&base), GC_SUCCESS);
	is_stack_base(base.mem_base);
	CHECK(GC_get_my_stackbottom(&mine));
	CHECK(mine.mem_base == base.mem_base);
	CHECK(GC_stackbottom == base.mem_base);
}

TEST(the_program_says_where_the_first_stack_begins)
{
	struct GC_stack_base base = { __builtin_frame_address(0) }, mine;

	GC_set_stackbottom(NULL, &base);
	GC_INIT();
	CHECK(GC_stackbottom == base.mem_base);
	CHECK(GC_get_my_stackbottom(&mine) && mine.mem_base == base.mem_base);
	GC_stackbottom += 64;
	GC_get_my_stackbottom(&mine);
	CHECK((char *)mine.mem_base == (char *)base.mem_base + 64);
}

static void *has_a_base(struct GC_stack_base *base, void *arg)
{
	is_stack_base(base->mem_base);
	return arg;
}

TEST(a_base_that_is_good_enough)
{
	char c;

	GC_INIT();
	CHECK(GC_call_with_stack_base(has_a_base, &c) == &c);
}

static void *asks_for_its_base(void *handle_of_first)
{
	struct GC_stack_base base, other;
	void *handle = GC_get_my_stackbottom(&base);

	CHECK(handle && handle != handle_of_first && handle == GC_get_my_stackbottom(&base));
	is_stack_base(base.mem_base);
	other = base;
	other.mem_base = (char *)base.mem_base + 8;
	GC_set_stackbottom(handle, &other);
	GC_get_my_stackbottom(&base);
	CHECK(base.mem_base == other.mem_base);
	return NULL;
}

TEST(where_the_stack_of_a_thread_begins)
{
	struct GC_stack_base base, after;
	void *handle;
	pthread_t t;

	GC_INIT();
	handle = GC_get_my_stackbottom(&base);
	CHECK_EQ(GC_pthread_create(&t, NULL, asks_for_its_base, handle), 0);
	CHECK_EQ(GC_pthread_join(t, NULL), 0);
	CHECK(GC_get_my_stackbottom(&after) == handle && after.mem_base == base.mem_base);
}

/* ---- coroutines */

/*
 * struct coroutine - one, and the stack that was left for it
 * @caller: where that is suspended; registers are kept in here, which has to be a root
 * @handle, @base: of the thread
 */
struct coroutine {
	ucontext_t context, caller;
	char *stack;
	void *handle;
	struct GC_stack_base base;
	bool done;
};

/* What is suspended is the program's to tell of. */
static NOINLINE void resume(struct coroutine *c)
{
	struct GC_stack_base base = { c->stack + STACK };
	char *here = __builtin_frame_address(0);

	GC_add_roots(here - 256, c->base.mem_base);
	GC_remove_roots(c->stack, c->stack + STACK);
	GC_set_stackbottom(c->handle, &base);
	swapcontext(&c->caller, &c->context);
	GC_set_stackbottom(c->handle, &c->base);
	GC_add_roots(c->stack, c->stack + STACK);
	GC_remove_roots(here - 256, c->base.mem_base);
}

static struct coroutine *volatile started;

/* Objects on its stack, collections here and while it is suspended. */
static NOINLINE void in_coroutine(struct coroutine *c)
{
	void *words[COUNTED];

	for (int i = 0; i < 3; i++) {
		counted_make(words, COUNTED);
		counted_kept();
		swapcontext(&c->context, &c->caller);
		counted_check(words, COUNTED);
		memset(words, 0, sizeof(words));
		counted_dropped(COUNTED);
	}
}

static void coroutine(void)
{
	struct coroutine *c = started;

	in_coroutine(c);
	c->done = true;
	swapcontext(&c->context, &c->caller);
}

static NOINLINE void coroutine_on(char *stack)
{
	struct coroutine *c = GC_MALLOC_UNCOLLECTABLE(sizeof(*c));
	void *words[8];

	CHECK(c && stack);
	c->stack = stack;
	c->handle = GC_get_my_stackbottom(&c->base);
	getcontext(&c->context);
	c->context.uc_stack.ss_sp = stack;
	c->context.uc_stack.ss_size = STACK;
	makecontext(&c->context, coroutine, 0);
	counted_make(words, 8);
	for (started = c; !c->done;) {
		resume(c);
		counted_check(words, 8);
		if (c->done)
			break;
		counted_collect();
		CHECK_EQ(counted_gone, 0);
	}
	GC_remove_roots(stack, stack + STACK);
	GC_FREE(c);
}

static char *mapped_stack(void)
{
	char *stack = mmap(NULL, STACK + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(stack != MAP_FAILED);
	CHECK_EQ(mprotect(stack + 4096, STACK, PROT_READ | PROT_WRITE), 0);
	return stack + 4096;
}

TEST(coroutine_on_memory_from_malloc)
{
	GC_INIT();
	coroutine_on(calloc(1, STACK));
}

TEST(coroutine_on_memory_from_mmap)
{
	GC_INIT();
	coroutine_on(mapped_stack());
}

TEST(coroutine_on_data)
{
	static char stack[STACK] __attribute__((aligned(16)));

	GC_INIT();
	coroutine_on(stack);
}

static void *in_thread(void *stack)
{
	coroutine_on(stack);
	return NULL;
}

static void coroutine_of_a_thread(char *stack)
{
	pthread_t t;

	GC_INIT();
	CHECK_EQ(GC_pthread_create(&t, NULL, in_thread, stack), 0);
	CHECK_EQ(GC_pthread_join(t, NULL), 0);
}

TEST(coroutine_of_a_thread_on_memory_from_malloc)
{
	coroutine_of_a_thread(calloc(1, STACK));
}

TEST(coroutine_of_a_thread_on_memory_from_mmap)
{
	coroutine_of_a_thread(mapped_stack());
}

/* ---- signal stacks */

static sem_t ready, leave;

static NOINLINE void hold_objects(void)
{
	void *words[COUNTED];

	counted_make(words, COUNTED);
	sem_post(&ready);
	while (sem_wait(&leave))
		;
	counted_check(words, COUNTED);
	memset(words, 0, sizeof(words));
	__asm__ volatile("" : : "r"(words) : "memory");
}

/* Synchronous, so that it interrupts nothing that it should not. */
static void handler(int signal)
{
	hold_objects();
}

static void *on_altstack(void *arg)
{
	stack_t alt = { .ss_sp = mapped_stack(), .ss_size = STACK };
	pthread_attr_t attr;
	size_t size;
	void *low;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &low, &size);
	pthread_attr_destroy(&attr);
	GC_register_altstack(low, size, alt.ss_sp, alt.ss_size);
	CHECK_EQ(sigaltstack(&alt, NULL), 0);
	raise(SIGUSR1);
	return arg;
}

/* What was interrupted is not searched by bdwgc, when it has been told of a signal stack. */
TEST(a_thread_on_a_signal_stack)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	pthread_t t;

	GC_INIT();
	sem_init(&ready, 0, 0);
	sem_init(&leave, 0, 0);
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	CHECK_EQ(GC_pthread_create(&t, NULL, on_altstack, NULL), 0);
	while (sem_wait(&ready))
		;
	counted_kept();
	sem_post(&leave);
	CHECK_EQ(GC_pthread_join(t, NULL), 0);
	counted_dropped(COUNTED);
}

static void *collector(void *arg)
{
	while (sem_wait(&ready))
		;
	counted_kept();
	sem_post(&leave);
	return arg;
}

TEST(the_first_thread_on_a_signal_stack)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	pthread_t t;

	GC_INIT();
	sem_init(&ready, 0, 0);
	sem_init(&leave, 0, 0);
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	CHECK_EQ(GC_pthread_create(&t, NULL, collector, NULL), 0);
	on_altstack(NULL);
	CHECK_EQ(GC_pthread_join(t, NULL), 0);
	counted_dropped(COUNTED);
}

TEST_MAIN
