// SPDX-License-Identifier: GPL-2.0-only
/*
 * R5: stack extent. While a signal handler runs on an alternate stack, the
 * interrupted frames are on the thread's own stack, which the stack pointer does
 * not point to.
 *
 * Without it: lost: its only reference was on the stack beneath
 */
#include "../raw.h"
#include <semaphore.h>

static struct raw h;
static uintptr_t hidden;
static sem_t ready, leave;

static void handler(int sig)
{
	wipe_stack();
	sem_post(&ready);
	while (sem_wait(&leave))
		;
}

static NOINLINE void with_pointer(void)
{
	void *volatile p = UNHIDE(hidden);

	raise(SIGUSR1);
	p = NULL;
	(void)p;
}

static void *thread(void *arg)
{
	struct sigaction a = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	stack_t alt = { .ss_size = 128 << 10 };

	alt.ss_sp = mmap(NULL, alt.ss_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	raw_attach_stack(&h);
	sigaltstack(&alt, NULL);
	sigaction(SIGUSR1, &a, NULL);
	with_pointer();
	return NULL;
}

TEST(R5_stack_extent)
{
	unsigned int c;
	pthread_t t;

	h = raw_open(0);
	c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	anchor(&h, c);
	hidden = take_hidden(&h, c);
	settle(&h);
	sem_init(&ready, 0, 0);
	sem_init(&leave, 0, 0);
	t = spawn(thread, NULL);
	sem_wait(&ready);
	raw_collect(&h);
	if (!hidden_live(&h, hidden))
		FAIL("lost: its only reference was on the stack beneath the signal stack");
	sem_post(&leave);
	pthread_join(t, NULL);
}

TEST_MAIN
