// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Checks of pointers: which pass, what is said of the others, and by whom. */
#include "../../../selftests/tap.h"
#define GC_THREADS
#include <gc/gc.h>

/* Nothing is known of these to the compiler. */
static char *volatile object, *volatile other;
static void *in_data;

static int told;
static void *told_p, *told_q;

static void GC_CALLBACK tell_two(void *p, void *q)
{
	told++;
	told_p = p;
	told_q = q;
}

static void GC_CALLBACK tell(void *p)
{
	told++;
	told_p = p;
}

static void set_up(void)
{
	GC_INIT();
	GC_same_obj_print_proc = tell_two;
	GC_is_valid_displacement_print_proc = tell;
	GC_is_visible_print_proc = tell;
	told = 0;
}

/* ---- in the same object */

static void check_same(void *p, void *q)
{
	CHECK(GC_same_obj(p, q) == p);
	CHECK_EQ(told, 0);
}

static void check_not_same(void *p, void *q)
{
	CHECK(GC_same_obj(p, q) == p);
	CHECK_EQ(told, 1);
	CHECK(told_p == p && told_q == q);
	told = 0;
}

static void check_around(size_t size)
{
	char *p = GC_MALLOC(size);

	object = p;
	check_same(p, p);
	check_same(p, p + size - 1);
	check_same(p + size - 1, p);
	check_same(p, p + size);	/* one past its end is its own */
	check_not_same(p, p - 1);
	check_not_same(p + size / 2, p - 1);
	check_not_same(p, p + 2 * size + 8192);
	check_not_same(p, &in_data);
	check_not_same(&in_data, p);
	check_not_same(p, NULL);
	check_not_same(NULL, p);
}

TEST(same_object)
{
	set_up();
	check_around(1);
	check_around(16);
	check_around(100);
	check_around(3000);
	check_around(100000);
	check_around(1000000);
}

TEST(two_objects)
{
	set_up();
	object = GC_MALLOC(100);
	other = GC_MALLOC(100);
	check_not_same(object, other);
	check_not_same(other, object);
	check_not_same(object + 99, other);
}

TEST(neither_in_the_heap)
{
	char local[10];

	set_up();
	object = local;
	check_same(object, object + 1);
	check_same(object, &in_data);
	check_same(object, NULL);
	check_same(NULL, NULL);
	check_same(NULL, object);
}

TEST(increments)
{
	void *p, *start;

	set_up();
	start = p = GC_MALLOC(100);
	CHECK(GC_pre_incr(&p, 10) == (char *)start + 10 && p == (char *)start + 10);
	CHECK(GC_post_incr(&p, 10) == (char *)start + 10 && p == (char *)start + 20);
	CHECK(GC_post_incr(&p, -20) == (char *)start + 20 && p == start);
	CHECK(GC_pre_incr(&p, 100) == (char *)start + 100);
	CHECK_EQ(told, 0);
	CHECK(GC_pre_incr(&p, 10000) == (char *)start + 10100 && p == (char *)start + 10100);
	CHECK_EQ(told, 1);
	p = start;
	CHECK(GC_post_incr(&p, -1) == start && p == (char *)start - 1);
	CHECK_EQ(told, 2);
	CHECK(told_p == (char *)start - 1 && told_q == start);
}

/* ---- valid, visible */

TEST(displacements)
{
	char *p;

	set_up();
	p = GC_MALLOC(100);
	CHECK(GC_is_valid_displacement(p) == p);
	CHECK(GC_is_valid_displacement(p + 1) == p + 1);
	CHECK(GC_is_valid_displacement(p + 99) == p + 99);
	CHECK(GC_is_valid_displacement(&p) == &p);
	CHECK(!GC_is_valid_displacement(NULL));
	p = GC_MALLOC(100000);
	CHECK(GC_is_valid_displacement(p + 99999) == p + 99999);
	CHECK_EQ(told, 0);
}

static __thread void *in_tls;

TEST(visible)
{
	void *local = NULL;
	char *p;

	set_up();
	p = GC_MALLOC(100);
	CHECK(GC_is_visible(p) == p);
	CHECK(GC_is_visible(p + 96) == p + 96);
	p = GC_MALLOC(100000);
	CHECK(GC_is_visible(p + 50000) == p + 50000);
	CHECK(GC_is_visible(&in_data) == &in_data);
	CHECK(GC_is_visible(&in_tls) == &in_tls);
	CHECK(GC_is_visible(&local) == &local);
	CHECK(GC_is_visible(&stdout) == &stdout);
	CHECK_EQ(told, 0);
}

TEST(visible_in_roots)
{
	void **p = malloc(800);

	set_up();
	GC_add_roots(p, p + 100);
	CHECK(GC_is_visible(p) == p);
	CHECK(GC_is_visible(p + 99) == p + 99);
	CHECK_EQ(told, 0);
}

static void *thread(void *stack)
{
	CHECK(GC_is_visible(stack) == stack);
	CHECK(GC_is_visible(&stack) == &stack);
	return NULL;
}

TEST(visible_on_other_stacks)
{
	void *local = NULL;
	pthread_t t;

	set_up();
	CHECK_EQ(pthread_create(&t, NULL, thread, &local), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(told, 0);
}

TEST(not_visible)
{
	char *p;

	set_up();
	p = GC_MALLOC(100);
	CHECK(GC_is_visible(p + 1) == p + 1);
	CHECK_EQ(told, 1);
	CHECK(told_p == p + 1);
	CHECK(GC_is_visible((char *)&in_data + 4) == (char *)&in_data + 4);
	CHECK_EQ(told, 2);
}

/* ---- by default the program ends */

static char said[4096];

static int hear(void (*fn)(void))
{
	int fd[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	CHECK(!pipe(fd));
	pid = fork();
	if (!pid) {
		dup2(fd[1], 2);
		fn();
		_exit(0);
	}
	close(fd[1]);
	while ((got = read(fd[0], said + n, sizeof(said) - 1 - n)) > 0)
		n += got;
	said[n] = 0;
	CHECK(waitpid(pid, &status, 0) == pid);
	diag("%.*s", (int)strcspn(said, "\n"), said);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void not_same(void)
{
	GC_INIT();
	object = GC_MALLOC(10);
	GC_same_obj(object, &in_data);
}

static void not_same_after_increment(void)
{
	void *p;

	GC_INIT();
	p = GC_MALLOC(10);
	GC_pre_incr(&p, 1000);
}

static void not_aligned(void)
{
	GC_is_visible((char *)&in_data + 1);
}

TEST(by_default)
{
	CHECK_EQ(hear(not_same), SIGABRT);
	CHECK(strstr(said, "GC_same_obj test failed: 0x") &&
	      strstr(said, " are not in the same object"));
	CHECK_EQ(hear(not_same_after_increment), SIGABRT);
	CHECK(strstr(said, "GC_same_obj test failed: 0x"));
	CHECK_EQ(hear(not_aligned), SIGABRT);
	CHECK(strstr(said, "GC_is_visible test failed: 0x") &&
	      strstr(said, " not GC-visible"));
}

/* ---- strings */

static unsigned long wanted;

static void *GC_CALLBACK out_of_memory(size_t bytes)
{
	wanted = bytes;
	return NULL;
}

TEST(copies_of_strings)
{
	char *p, text[100];

	GC_INIT();
	for (int i = 0; i < 99; i++) {
		memset(text, 'x', i);
		text[i] = 0;
		p = GC_STRDUP(text);
		CHECK(!strcmp(p, text) && GC_base(p) == p && GC_size(p) > (size_t)i);
		p = GC_STRNDUP(text, 50);
		CHECK_EQ(strlen(p), i < 50 ? i : 50);
	}
	CHECK(!strcmp(GC_STRNDUP("what", 0), ""));
	CHECK(!strcmp(GC_STRNDUP("what", -1ul), "what"));
	object = NULL;
	CHECK(!GC_strdup(object));
}

TEST(strings_without_memory)
{
	size_t size = 64ul << 20;
	char *s = malloc(size + 1);

	memset(s, 'x', size);
	s[size] = 0;
	GC_INIT();
	GC_set_max_heap_size(16ul << 20);
	GC_set_oom_fn(out_of_memory);
	GC_set_warn_proc(GC_ignore_warn_proc);
	errno = 0;
	CHECK(!GC_strdup(s));
	CHECK_EQ(errno, ENOMEM);
	CHECK(wanted >= size);
	errno = 0;
	CHECK(!GC_strndup(s, size - 10));
	CHECK_EQ(errno, ENOMEM);
	CHECK(GC_strndup(s, 10));
}

TEST_MAIN
