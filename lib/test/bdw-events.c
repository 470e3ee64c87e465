// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Events of collections that the kernel makes by itself, and that fail. */
#include "../../selftests/tap.h"
#include "../bdw/bdw.h"
#include "mock.h"

#include <gc/gc_mark.h>

static char seen[4096];
static unsigned int n;
static bool fails;

static int call(struct gch_backend *b, unsigned int command, void *arg)
{
	return fails && command == GCHEAP_IOC_COLLECT ? -EAGAIN : mock_ops.call(b, command, arg);
}

static struct gcheap_status *begin(void)
{
	static struct gch_backend_ops ops;

	ops = mock_ops;
	ops.call = call;
	gch.ops = &ops;
	GC_init();
	return (struct gcheap_status *)gch.heap0.backend.status;
}

static void on_event(GC_EventType event)
{
	static const char letter[] = "SmMrRE1234";

	seen[n++] = letter[event];
	seen[n] = 0;
}

static void on_start(void)
{
	seen[n++] = 's';
	seen[n] = 0;
}

static unsigned int starts(void)
{
	unsigned int found = 0;

	for (const char *s = seen; (s = strchr(s, 'S')); s++)
		found++;
	return found;
}

/* The library learns of it when it is asked for memory it has not at hand. */
static void need_memory(void)
{
	CHECK(GC_malloc(5000));
}

TEST(told_once_each)
{
	struct gcheap_status *k = begin();

	GC_set_on_collection_event(on_event);
	GC_set_start_callback(on_start);
	need_memory();
	CHECK_EQ(n, 0);
	k->cycles++;
	need_memory();
	CHECK(!strcmp(seen, "Ss12mM34rRE"));
	CHECK_EQ(GC_gc_no, 1);
	need_memory();
	CHECK_EQ(starts(), 1);
	k->cycles += 3;
	need_memory();
	CHECK_EQ(starts(), 4);
	k->cycles += 1000000;
	need_memory();
	CHECK_EQ(starts(), 8);
	CHECK_EQ(GC_gc_no, 1000004);
}

TEST(none_from_before)
{
	struct gcheap_status *k = begin();

	k->cycles = 3;
	GC_set_on_collection_event(on_event);
	need_memory();
	CHECK_EQ(n, 0);
	k->cycles++;
	GC_set_on_collection_event(NULL);
	CHECK_EQ(starts(), 1);
}

TEST(those_asked_for_come_after_those_there_were)
{
	struct gcheap_status *k = begin();

	GC_set_on_collection_event(on_event);
	k->cycles = 2;
	GC_gcollect();
	CHECK_EQ(starts(), 3);
	need_memory();
	CHECK_EQ(starts(), 3);
	CHECK_EQ(GC_gc_no, 3);
}

TEST(one_that_fails_has_no_end)
{
	begin();
	GC_set_on_collection_event(on_event);
	GC_set_start_callback(on_start);
	fails = true;
	GC_gcollect();
	CHECK(!strcmp(seen, "Ss12m34"));
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_COLLECT), 0);
	fails = false;
	n = 0;
	GC_gcollect();
	CHECK(!strcmp(seen, "Ss12mM34rRE"));
}

static void greedy(GC_EventType event)
{
	struct gcheap_status *k = (struct gcheap_status *)gch.heap0.backend.status;

	on_event(event);
	if (n > 30)
		return;
	k->cycles++;
	need_memory();
	if (event == GC_EVENT_MARK_END)
		GC_gcollect();
	GC_set_start_callback(NULL);
}

TEST(never_within_one_another)
{
	begin();
	GC_set_on_collection_event(greedy);
	GC_gcollect();
	CHECK(starts() > 3);
	for (unsigned int i = 0; i < n; i += 10)
		CHECK(!strncmp(seen + i, "S12mM34rRE", 10));
}

static void *hold_lock(void *arg)
{
	GC_alloc_lock();
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	GC_alloc_unlock();
	return NULL;
}

TEST(allocation_does_not_wait_for_the_lock)
{
	struct gcheap_status *k = begin();
	pthread_barrier_t barrier;
	pthread_t t;

	pthread_barrier_init(&barrier, NULL, 2);
	GC_set_on_collection_event(on_event);
	CHECK_EQ(pthread_create(&t, NULL, hold_lock, &barrier), 0);
	pthread_barrier_wait(&barrier);
	k->cycles++;
	need_memory();
	CHECK(!n && GC_gc_no == 1);
	pthread_barrier_wait(&barrier);
	pthread_join(t, NULL);
	need_memory();
	CHECK_EQ(starts(), 1);
}

/* ---- the heap's size */

static GC_word sizes[64];

static void on_resize(GC_word bytes)
{
	sizes[n++] = bytes;
}

static int go_on(void)
{
	return 0;
}

TEST(sizes_are_told_when_they_change)
{
	struct gcheap_status *k = begin();

	need_memory();
	k->heap_bytes = 10 << 20;
	GC_set_on_heap_resize(on_resize);
	need_memory();
	CHECK_EQ(n, 0);
	k->heap_bytes += 1 << 20;
	need_memory();
	CHECK_EQ(n, 1);
	CHECK_EQ(sizes[0], 11 << 20);
	k->heap_bytes += 65536;
	need_memory();
	CHECK_EQ(n, 1);
	k->heap_bytes = 5 << 20;
	GC_gcollect();
	CHECK_EQ(n, 2);
	CHECK_EQ(sizes[1], 5 << 20);
	GC_on_heap_resize = NULL;
	k->heap_bytes = 0;
	need_memory();
	CHECK_EQ(n, 2);
	GC_on_heap_resize = on_resize;
	need_memory();
	CHECK_EQ(n, 3);
}

TEST(a_forked_child_without_heap)
{
	int status;
	pid_t pid;

	begin();
	GC_set_on_collection_event(on_event);
	mock.fail_fork = -ENXIO;
	pid = fork();
	if (!pid) {
		GC_gcollect();
		_exit(GC_try_to_collect(go_on) || n);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

TEST_MAIN
