// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* What the kernel is told of roots that programs of libgc add, exclude and refuse. */
#include "../../selftests/tap.h"
#include "../bdw/bdw.h"
#include "mock.h"

#include <dlfcn.h>

#define WORDS	64

static void **memory_new(void)
{
	void **memory = calloc(WORDS, sizeof(*memory));

	CHECK(memory);
	return memory;
}

static void check_words(void **memory, const bool *want)
{
	for (int i = 0; i < WORDS; i++)
		if (mock_is_root(&memory[i]) != want[i])
			FAIL("word %d is %sa root", i, want[i] ? "no " : "");
}

/* ---- any order of calls, compared with what they mean word by word */

struct model {
	struct { int lo, end; } added[256], excluded[256];
	int nadded, nexcluded;
};

static bool model_has(const struct model *m, int word)
{
	for (int i = 0; i < m->nexcluded; i++)
		if (word >= m->excluded[i].lo && word < m->excluded[i].end)
			return false;
	for (int i = 0; i < m->nadded; i++)
		if (word >= m->added[i].lo && word < m->added[i].end)
			return true;
	return false;
}

static void model_remove(struct model *m, int lo, int end)
{
	for (int i = m->nadded; i-- > 0;)
		if (m->added[i].lo >= lo && m->added[i].end <= end)
			m->added[i] = m->added[--m->nadded];
}

static void step(struct model *m, void **memory)
{
	int lo = rand() % WORDS, end = lo + rand() % (WORDS - lo) + 1;

	switch (rand() % 16) {
	case 0 ... 6:
		GC_add_roots(memory + lo, memory + end);
		m->added[m->nadded].lo = lo;
		m->added[m->nadded++].end = end;
		break;
	case 7 ... 12:
		GC_remove_roots(memory + lo, memory + end);
		model_remove(m, lo, end);
		break;
	case 13:
		end = lo + (end - lo + 7) / 8;
		GC_exclude_static_roots(memory + lo, memory + end);
		m->excluded[m->nexcluded].lo = lo;
		m->excluded[m->nexcluded++].end = end;
		break;
	case 14:
		GC_clear_exclusion_table();
		m->nexcluded = 0;
		break;
	default:
		GC_clear_roots();
		m->nadded = 0;
	}
}

TEST(calls_in_any_order)
{
	void **memory = memory_new();
	uint32_t before;
	bool want[WORDS];

	mock_use();
	GC_init();
	before = mock.nroots;
	for (unsigned int seed = 0; seed < 100; seed++) {
		struct model m = { .nadded = 0 };

		srand(seed);
		for (int i = 0; i < 100; i++) {
			step(&m, memory);
			for (int w = 0; w < WORDS; w++)
				want[w] = model_has(&m, w);
			check_words(memory, want);
		}
		GC_clear_roots();
		GC_clear_exclusion_table();
		CHECK_EQ(mock.nroots, before);
	}
}

TEST(ranges_are_of_whole_words)
{
	char *memory = (char *)memory_new();
	uint32_t before;

	mock_use();
	GC_init();
	before = mock.nroots;
	GC_add_roots(memory + 1, memory + 31);
	CHECK(!mock_is_root(memory) && mock_is_root(memory + 8) && mock_is_root(memory + 16) &&
	      !mock_is_root(memory + 24));
	GC_exclude_static_roots(memory + 15, memory + 16);
	CHECK(!mock_is_root(memory + 8) && mock_is_root(memory + 16));
	GC_remove_roots(memory + 8, memory + 24);
	CHECK(!mock_is_root(memory + 16));
	GC_add_roots(memory + 31, memory + 1);
	GC_add_roots((void *)-1ul, NULL);
	GC_add_roots((void *)-1ul, (void *)-1ul);
	GC_add_roots(NULL, NULL);
	GC_exclude_static_roots(memory + 31, memory + 1);
	CHECK_EQ(mock.nroots, before);
}

/* The kernel takes no roots among objects; those that are searched need none. */
TEST(objects_are_searched_anyway)
{
	char *p;
	uint32_t before;

	mock_use();
	p = GC_malloc(1000);
	before = mock.nroots;
	GC_add_roots(p, p + 1000);
	GC_add_roots(p + 16, p + 160);
	CHECK_EQ(mock.nroots, before);
	GC_remove_roots(p, p + 1000);
}

static void aborts(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		mock_use();
		GC_init();
		fn();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void add_without_memory(void)
{
	void **memory = memory_new();

	mock.fail_next = -ENOMEM;
	GC_add_roots(memory, memory + WORDS);
}

static void forget_exclusion_without_room(void)
{
	void **memory = memory_new();

	GC_add_roots(memory, memory + WORDS);
	GC_exclude_static_roots(memory, memory + 8);
	mock.fail_next = -ENOSPC;
	GC_clear_exclusion_table();
}

TEST(what_cannot_be_a_root_ends_the_program)
{
	aborts(add_without_memory);
	aborts(forget_exclusion_without_room);
}

/* Without a heap there is nothing that roots would keep. */
TEST(a_forked_child_without_heap_has_no_roots)
{
	void **memory = memory_new(), **of_child = memory_new();
	int status;
	pid_t pid;

	mock_use();
	GC_init();
	GC_add_roots(memory, memory + WORDS);
	mock.fail_fork = -ENXIO;
	pid = fork();
	if (!pid) {
		GC_init();
		GC_add_roots(of_child, of_child + WORDS);
		GC_exclude_static_roots(memory, memory + 1);
		GC_remove_roots(memory, memory + WORDS);
		GC_set_no_dls(1);
		_exit(mock_is_root(of_child));
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
	CHECK(mock_is_root(memory));
}

/* ---- data segments */

static void *in_data[WORDS] = { (void *)1 };

TEST(parts_of_data)
{
	bool want[WORDS];

	memset(want, true, sizeof(want));
	GC_exclude_static_roots(in_data + 8, in_data + 16);
	mock_use();
	GC_init();
	memset(want + 8, false, 8);
	check_words(in_data, want);
	GC_exclude_static_roots(in_data + 12, in_data + 20);
	GC_exclude_static_roots(in_data + 9, in_data + 10);
	memset(want + 12, false, 8);
	check_words(in_data, want);
	CHECK(GC_is_tmp_root(in_data + 12));
	GC_clear_roots();
	check_words(in_data, want);
	GC_clear_exclusion_table();
	memset(want, true, sizeof(want));
	check_words(in_data, want);
}

/* The library's own data stays, which is this program's here. */
TEST(no_data)
{
	void **of_libc = (void **)stdout;

	mock_use();
	GC_init();
	CHECK(mock_is_root(of_libc) && GC_is_tmp_root(of_libc));
	GC_set_no_dls(1);
	CHECK(!mock_is_root(of_libc) && !GC_is_tmp_root(of_libc));
	CHECK(mock_is_root(in_data) && GC_is_tmp_root(in_data));
	GC_no_dls = 0;
	GC_gcollect();
	CHECK(mock_is_root(of_libc) && GC_is_tmp_root(of_libc));
	GC_no_dls = 1;
	GC_clear_roots();
	CHECK(!mock_is_root(of_libc));
}

/* Without a heap there is nothing to tell; it is told when there is one. */
TEST(wishes_before_there_is_a_heap)
{
	void **of_libc = (void **)stdout;

	GC_set_no_dls(1);
	CHECK(!gch.ready);
	mock_use();
	CHECK(GC_malloc(10));
	GC_gcollect();
	CHECK(!mock_is_root(of_libc));
}

static int asked;
static bool refusing = true;

static int refuse_libc(const char *name, void *start, size_t size)
{
	asked++;
	CHECK(GC_malloc(10) && start && size);
	return !refusing || !strstr(name, "libc.so");
}

TEST(refused_data)
{
	void **of_libc = (void **)stdout;

	mock_use();
	GC_register_has_static_roots_callback(refuse_libc);
	CHECK_EQ(asked, 0);
	GC_init();
	CHECK(asked > 1);
	CHECK(!mock_is_root(of_libc) && mock_is_root(in_data));
	refusing = false;
	GC_register_has_static_roots_callback(refuse_libc);
	CHECK(mock_is_root(of_libc));
	refusing = true;
	GC_register_has_static_roots_callback(NULL);
	CHECK(mock_is_root(of_libc));
}

/* Objects that come are looked at, and of those that go nothing is left. */
TEST(objects_come_and_go)
{
	uint32_t before;
	void *object, *word;

	mock_use();
	GC_init();
	GC_exclude_static_roots(in_data, in_data + 1);
	before = mock.nroots;
	for (int i = 0; i < 3; i++) {
		object = dlopen("libresolv.so.2", RTLD_NOW);
		CHECK(object);
		word = (void *)((uintptr_t)dlsym(object, "_res_opcodes") & ~7ul);
		CHECK(mock.nroots > before);
		if (word && GC_is_tmp_root(word)) {
			GC_exclude_static_roots(word, (char *)word + 8);
			CHECK(!mock_is_root(word));
		}
		CHECK_EQ(dlclose(object), 0);
		if (dlopen("libresolv.so.2", RTLD_NOW | RTLD_NOLOAD))
			SKIP("the object stays");
		CHECK_EQ(mock.nroots, before);
	}
}

/* ---- stacks and threads */

static void *in_thread(void *first)
{
	struct GC_stack_base base = { .mem_base = NULL }, mine;
	void *handle;

	CHECK(!GC_thread_is_registered());
	CHECK_EQ(GC_get_stack_base(&base), GC_SUCCESS);
	CHECK_EQ(GC_register_my_thread(&base), GC_SUCCESS);
	handle = GC_get_my_stackbottom(&mine);
	CHECK(handle && handle != first && mine.mem_base == base.mem_base);
	CHECK(gch_local_if_any(&gch.heap0));
	CHECK_EQ(GC_unregister_my_thread(), GC_SUCCESS);
	CHECK(!gch_local_if_any(&gch.heap0) && !GC_thread_is_registered());
	CHECK_EQ(GC_unregister_my_thread(), GC_SUCCESS);
	/* Not allowed, and safe. */
	CHECK(GC_malloc(10) && !GC_thread_is_registered());
	return NULL;
}

TEST(stacks_and_threads)
{
	struct GC_stack_base base, other;
	void *handle;
	pthread_t t;

	CHECK(!GC_stackbottom);
	mock_use();
	GC_init();
	CHECK(GC_get_stack_base(&base) == GC_SUCCESS && GC_stackbottom == base.mem_base);
	handle = GC_get_my_stackbottom(&base);
	CHECK(handle && base.mem_base == GC_stackbottom);
	other.mem_base = in_data;
	GC_set_stackbottom(handle, &other);
	CHECK(GC_stackbottom == (char *)in_data);
	GC_set_stackbottom(NULL, &base);
	CHECK(GC_stackbottom == base.mem_base);
	CHECK_EQ(pthread_create(&t, NULL, in_thread, handle), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK(GC_thread_is_registered());
	CHECK_EQ(GC_unregister_my_thread(), GC_SUCCESS);
	CHECK(!GC_thread_is_registered());
	CHECK_EQ(GC_register_my_thread(&base), GC_SUCCESS);
	CHECK(GC_thread_is_registered());
}

TEST_MAIN
