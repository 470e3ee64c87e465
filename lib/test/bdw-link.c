// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Orders of finalizers, links, and the allocation lock: what the kernel is told. */
#include "../../selftests/tap.h"
#include "../bdw/bdw.h"
#include "mock.h"

static void finalize(void *object, void *data)
{
}

TEST(orders)
{
	char *p;

	mock_use();
	p = GC_malloc(32);
	CHECK_EQ(mock_order(p), -1);
	GC_register_finalizer(p, finalize, NULL, NULL, NULL);
	CHECK_EQ(mock_order(p), GCHEAP_FINALIZER_ORDERED);
	GC_register_finalizer_ignore_self(p, finalize, NULL, NULL, NULL);
	CHECK_EQ(mock_order(p), GCHEAP_FINALIZER_BUT_SELF);
	GC_register_finalizer_no_order(p, finalize, NULL, NULL, NULL);
	CHECK_EQ(mock_order(p), 0);
	GC_register_finalizer_unreachable(p, finalize, NULL, NULL, NULL);
	CHECK_EQ(mock_order(p), GCHEAP_FINALIZER_UNREACHABLE);
	GC_java_finalization = 0;
	GC_register_finalizer_unreachable(p, finalize, NULL, NULL, NULL);
	CHECK_EQ(mock_order(p), GCHEAP_FINALIZER_ORDERED);
	CHECK_EQ(gcheap_finalizer_set(p, finalize, NULL), 0);
	CHECK_EQ(mock_order(p), 0);
	GC_register_finalizer(p, NULL, NULL, NULL, NULL);
	CHECK_EQ(mock_order(p), -1);
}

static int finalized;

static void finalize_again(void *object, void *data)
{
	if (!finalized++)
		GC_register_finalizer(object, finalize_again, NULL, NULL, NULL);
	GC_finalize_all();	/* leaves it to the one that is under way */
}

TEST(all)
{
	char *p;

	GC_finalize_all();
	mock_use();
	p = GC_malloc(32);
	GC_register_finalizer(p, finalize_again, NULL, NULL, NULL);
	mock.fail_next = -ENXIO;
	GC_finalize_all();
	CHECK_EQ(finalized, 0);
	GC_finalize_all();
	CHECK_EQ(finalized, 2);
	CHECK_EQ(mock_order(p), -1);
	GC_finalize_all();
	CHECK_EQ(finalized, 2);
}

static void *word[20];
static int asked;

static void *out_of_memory(size_t bytes)
{
	asked++;
	return NULL;
}

TEST(links)
{
	char *p;

	mock_use();
	GC_set_oom_fn(out_of_memory);
	p = GC_malloc(32);
	CHECK_EQ(GC_general_register_disappearing_link(word, p), GC_SUCCESS);
	CHECK_EQ(GC_general_register_disappearing_link(word, p), GC_DUPLICATE);
	CHECK_EQ(GC_register_long_link(word, p), GC_SUCCESS);
	CHECK_EQ(GC_register_long_link(word, p), GC_DUPLICATE);
	CHECK_EQ(GC_move_long_link(word, word + 1), GC_SUCCESS);
	CHECK_EQ(GC_move_long_link(word, word + 1), GC_NOT_FOUND);
	CHECK_EQ(GC_move_disappearing_link(word, word), GC_SUCCESS);
	CHECK_EQ(GC_register_disappearing_link((void **)p + 1), GC_SUCCESS);
	CHECK_EQ(GC_move_disappearing_link(word, (void **)p + 1), GC_DUPLICATE);
	mock.fail_next = -ENOMEM;
	CHECK_EQ(GC_register_long_link(word + 3, p), GC_NO_MEMORY);
	CHECK_EQ(asked, 1);
	CHECK_EQ(GC_unregister_disappearing_link(word), 1);
	CHECK_EQ(GC_unregister_disappearing_link(word), 0);
	CHECK_EQ(GC_unregister_long_link(word), 0);
	CHECK_EQ(GC_unregister_long_link(word + 1), 1);
	CHECK_EQ(GC_unregister_long_link(NULL), 0);
	for (int i = 0; i < 15; i++)
		CHECK_EQ(GC_register_long_link(word + i, p), GC_SUCCESS);
	CHECK_EQ(GC_register_long_link(word + 15, p), GC_NO_MEMORY);
	CHECK_EQ(asked, 2);
}

static uint32_t hidden(void)
{
	struct gch_local *l = gch_local_if_any(&gch.heap0);

	return l ? l->tcb->hidden : 0;
}

static void *within(void *arg)
{
	CHECK(hidden());
	if (arg)
		CHECK(GC_call_with_alloc_lock(within, NULL) == (void *)1);
	CHECK(hidden());
	return (void *)1;
}

TEST(the_lock_hides_what_is_made_of_links)
{
	mock_use();
	CHECK(GC_call_with_alloc_lock(within, word) == (void *)1);
	CHECK_EQ(hidden(), 0);
}

static void *in_child(void *arg)
{
	return arg;
}

/* A forked child goes on. */
TEST(the_lock_in_a_child)
{
	int status;
	pid_t pid;

	mock_use();
	CHECK(GC_malloc(1));
	pid = fork();
	if (!pid)
		_exit(GC_call_with_alloc_lock(in_child, word) != word ||
		      GC_general_register_disappearing_link(word, &word) != GC_SUCCESS);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void *wait_for_end(void *arg)
{
	volatile struct gcheap_status *s = (void *)gch.heap0.backend.status;

	while (!READ_ONCE(MOCK_CALLS(GCHEAP_IOC_LINK)))
		usleep(1000);
	s->phase = GCHEAP_PHASE_SWEEP;
	s->awaits_hidden = 0;
	return NULL;
}

/* Long links are being cleared: until then nobody makes anything of them. */
TEST(the_lock_waits_for_the_end_of_finalize)
{
	volatile struct gcheap_status *s;
	pthread_t t;

	mock_use();
	CHECK(GC_malloc(1));
	s = (void *)gch.heap0.backend.status;
	s->phase = GCHEAP_PHASE_FINALIZE;
	CHECK(GC_call_with_alloc_lock(within, NULL) == (void *)1);
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_LINK), 0);
	s->links = 1;
	CHECK(!pthread_create(&t, NULL, wait_for_end, NULL));
	CHECK(GC_call_with_alloc_lock(within, NULL) == (void *)1);
	CHECK_EQ(s->phase, GCHEAP_PHASE_SWEEP);
	CHECK(MOCK_CALLS(GCHEAP_IOC_LINK));
	CHECK_EQ(hidden(), 0);
	pthread_join(t, NULL);
}

static void *within_when_awaited(void *arg)
{
	volatile struct gcheap_status *s = arg;

	/* Who is within already does not wait. */
	s->awaits_hidden = 1;
	CHECK(GC_call_with_alloc_lock(within, NULL) == (void *)1);
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_LINK), 0);
	return within(NULL);
}

/* A collection waits until nobody has it: nobody else takes it. */
TEST(the_lock_waits_for_a_pause)
{
	volatile struct gcheap_status *s;
	pthread_t t;

	mock_use();
	CHECK(GC_malloc(1));
	s = (void *)gch.heap0.backend.status;
	CHECK(GC_call_with_alloc_lock(within_when_awaited, (void *)s) == (void *)1);
	CHECK(s->awaits_hidden);
	CHECK(!pthread_create(&t, NULL, wait_for_end, NULL));
	CHECK(GC_call_with_alloc_lock(within, NULL) == (void *)1);
	CHECK_EQ(s->awaits_hidden, 0);
	CHECK(MOCK_CALLS(GCHEAP_IOC_LINK));
	CHECK_EQ(hidden(), 0);
	pthread_join(t, NULL);
}

TEST_MAIN
