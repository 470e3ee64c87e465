// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* libgc's mark procedures and pushed roots: what is told when the kernel asks. */
#include "../../selftests/tap.h"
#include "../bdw/bdw.h"
#include "mock.h"

#define HIDE(p)	(~(uintptr_t)(p))
#define MOST	2000

static uint64_t words[MOST];
static unsigned long env_seen;
static pthread_t thread_seen;
static volatile size_t hidden_words = 1;

/* An object: how many words, and these in disguise. */
static struct GC_ms_entry *mark(GC_word *object, struct GC_ms_entry *top,
				struct GC_ms_entry *limit, GC_word env)
{
	const uintptr_t *p = (const uintptr_t *)object;

	CHECK(top && top < limit);
	env_seen = env;
	thread_seen = pthread_self();
	for (size_t i = 0; i < p[0]; i++)
		top = GC_MARK_AND_PUSH((void *)HIDE(p[1 + i % hidden_words]), top, limit, NULL);
	return top;
}

static int kind;

static uintptr_t *object(size_t n, void *leads_to)
{
	uintptr_t *p = GC_generic_malloc(64, kind);

	CHECK(p && !p[0] && !p[7]);
	p[0] = n;
	p[1] = HIDE(leads_to);
	return p;
}

static void begin(void)
{
	mock_use();
	GC_init();
	kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(mark), 123), 0, 1);
}

static uint32_t ask_about(const void *p)
{
	uint64_t addr = (uintptr_t)p;

	return mock_ask(&addr, 1, words, MOST);
}

TEST(nobody_is_there_without_need)
{
	mock_use();
	GC_init();
	for (int i = 0; i < 1000; i++)
		CHECK(GC_malloc(100));
	GC_gcollect();
	CHECK(GC_get_push_other_roots());
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_CALLBACK), 0);
}

TEST(a_question)
{
	void *leaf;
	uintptr_t *p;

	begin();
	leaf = GC_malloc(10);
	p = object(1, leaf);
	CHECK_EQ(ask_about(p), 1);
	CHECK_EQ(words[0], (uintptr_t)leaf);
	CHECK_EQ(env_seen, 123);
	CHECK(!pthread_equal(thread_seen, pthread_self()));
	p[0] = 0;
	CHECK_EQ(ask_about(p), 0);
	/* No address of the heap. */
	p[0] = 1;
	p[1] = HIDE(&p);
	CHECK_EQ(ask_about(p), 0);
}

/* When it enters the library, and not before. */
static void in_child(uintptr_t *p)
{
	unsigned long calls = MOCK_CALLS(GCHEAP_IOC_CALLBACK);

	thread_seen = pthread_self();
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_CALLBACK), calls);
	GC_gcollect();
	CHECK(MOCK_CALLS(GCHEAP_IOC_CALLBACK) > calls);
	CHECK_EQ(ask_about(p), 1);
	CHECK(!pthread_equal(thread_seen, pthread_self()));
	_exit(0);
}

TEST(a_forked_child_has_a_thread_of_its_own)
{
	uintptr_t *p;
	int status;
	pid_t pid;

	begin();
	p = object(1, GC_malloc(10));
	for (int i = 0; i < 3; i++) {
		pid = fork();
		if (!pid)
			in_child(p);
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK_EQ(status, 0);
		CHECK_EQ(ask_about(p), 1);
	}
}

TEST(more_than_is_told_at_a_time)
{
	void *leaf;

	begin();
	leaf = GC_malloc(10);
	for (uint32_t n = 511; n < 1600; n += n % 512 == 1 ? 510 : 1) {
		CHECK_EQ(ask_about(object(n, leaf)), n);
		for (uint32_t i = 0; i < n; i++)
			CHECK_EQ(words[i], (uintptr_t)leaf);
	}
}

TEST(many_objects)
{
	uint64_t all[GCHEAP_CALLBACK_WORDS];
	uintptr_t *leaf;

	begin();
	leaf = GC_malloc(10);
	for (int i = 0; i < GCHEAP_CALLBACK_WORDS; i++)
		all[i] = (uintptr_t)object(i % 3, leaf);
	CHECK_EQ(mock_ask(all, GCHEAP_CALLBACK_WORDS, words, MOST), GCHEAP_CALLBACK_WORDS - 1);
}

/* What is no object, or no such object, is nobody's. */
TEST(other_addresses)
{
	begin();
	CHECK_EQ(ask_about(NULL), 0);
	CHECK_EQ(ask_about(&kind), 0);
	CHECK_EQ(ask_about((char *)object(1, object(0, NULL)) + 8), 0);
	CHECK_EQ(ask_about(GC_malloc(64)), 0);
	CHECK_EQ(ask_about((char *)GC_malloc(16) + (100 << 20)), 0);
}

TEST(what_is_free_is_zero)
{
	uintptr_t *p;

	begin();
	p = object(5, GC_malloc(10));
	GC_free(p);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(p[i], 0);
	CHECK_EQ(ask_about(p), 0);
}

TEST(descriptors_in_objects)
{
	void *leaf, **p;
	unsigned int proc;

	mock_use();
	GC_init();
	proc = GC_new_proc(mark);
	kind = GC_new_kind(GC_new_free_list(), GC_DS_PER_OBJECT | 56, 0, 1);
	leaf = GC_malloc(10);
	p = GC_generic_malloc(64, kind);
	for (int i = 0; i < 7; i++)
		p[i] = leaf;
	CHECK_EQ(ask_about(p), 0);
	p[7] = (void *)(24ul | GC_DS_LENGTH);
	CHECK_EQ(ask_about(p), 3);
	p[7] = (void *)(1ul << 40 | GC_DS_LENGTH);
	CHECK_EQ(ask_about(p), 7);
	p[7] = (void *)(0xbul << 60 | GC_DS_BITMAP);
	CHECK_EQ(ask_about(p), 3);
	p[0] = (void *)2;
	p[1] = (void *)HIDE(leaf);
	p[7] = (void *)(GC_word)GC_MAKE_PROC(proc, 5);
	CHECK_EQ(ask_about(p), 2);
	CHECK_EQ(env_seen, 5);
}

/* By a type that the first word leads to. */
TEST(descriptors_of_types)
{
	static GC_word type[8];
	void **p;

	mock_use();
	GC_init();
	GC_new_proc(mark);
	kind = GC_new_kind(GC_new_free_list(), (-24l - GC_INDIR_PER_OBJ_BIAS) | GC_DS_PER_OBJECT,
			   0, 1);
	p = GC_generic_malloc(64, kind);
	p[1] = p;
	CHECK_EQ(ask_about(p), 0);
	p[0] = type;
	type[3] = 16 | GC_DS_LENGTH;
	CHECK_EQ(ask_about(p), 1);
	CHECK_EQ(words[0], (uintptr_t)p);
}

extern GC_push_other_roots_proc GC_push_other_roots;
static void *range[3];

static void GC_CALLBACK push(void)
{
	GC_push_all((char *)range + 1, range + 3);
	GC_push_all_eager(range, (char *)(range + 2) - 1);
	GC_push_conditional(range, range, 1);
	GC_set_mark_bit(range[2]);
}

TEST(roots)
{
	GC_push_other_roots_proc was;

	mock_use();
	GC_init();
	was = GC_get_push_other_roots();
	GC_set_push_other_roots(push);
	for (int i = 0; i < 3; i++)
		range[i] = GC_malloc(16);
	CHECK_EQ(mock_ask(NULL, 0, words, MOST), 4);
	CHECK_EQ(words[0], (uintptr_t)range[1]);
	CHECK_EQ(words[2], (uintptr_t)range[0]);
	CHECK_EQ(words[3], (uintptr_t)range[2]);
	GC_set_push_other_roots(was);
	CHECK_EQ(mock_ask(NULL, 0, words, MOST), 0);
	/* Nobody asks. */
	push();
	was();
	CHECK(!GC_mark_and_push(range[0], NULL, NULL, NULL));
}

TEST(assigned)
{
	mock_use();
	GC_init();
	GC_push_other_roots = push;
	for (int i = 0; i < 3; i++)
		range[i] = GC_malloc(4000 + 16000 * i);
	CHECK_EQ(mock_ask(NULL, 0, words, MOST), 4);
}

static void *locked(void *arg)
{
	return arg;
}

static struct GC_ms_entry *mark_under_lock(GC_word *object, struct GC_ms_entry *top,
					   struct GC_ms_entry *limit, GC_word env)
{
	return GC_mark_and_push(GC_call_with_alloc_lock(locked, object), top, limit, NULL);
}

static void *ask_under_lock(void *p)
{
	return (void *)(long)ask_about(p);
}

TEST(the_lock_is_no_obstacle)
{
	mock_use();
	GC_init();
	kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(mark_under_lock), 0), 0, 1);
	CHECK_EQ((long)GC_call_with_alloc_lock(ask_under_lock, GC_generic_malloc(16, kind)), 1);
}

TEST(what_there_is_not)
{
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			mock_use();
			GC_init();
			if (i)
				for (;;)
					GC_new_proc(mark);
			GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(20, 0), 0, 1);
		}
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

TEST(objects_are_not_scanned_by_the_kernel)
{
	uint32_t caches;
	struct gch_object o;

	begin();
	caches = MOCK_CALLS(GCHEAP_IOC_CACHE_CREATE);
	CHECK(gch_object_start(object(0, NULL), &o));
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_CACHE_CREATE), caches + 1);
	CHECK_EQ(o.cache->kind, GCH_SCAN);	/* so that its cells are cleared */
	CHECK(gch_object_start(GC_generic_malloc(100000, kind), &o));
	CHECK(o.cache->any_size);
}

TEST_MAIN
