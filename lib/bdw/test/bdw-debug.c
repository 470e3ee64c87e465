// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Objects with debugging information: what GC_DEBUG makes of right and wrong programs. */
#include "../../../selftests/tap.h"
#define GC_THREADS
#define GC_DEBUG
#include <gc/gc.h>
#include <gc/gc_mark.h>
#include <pthread.h>

#define N	200
#define HERE	"bdw-debug.c:"
#define POISON	0xefbeaddedeadbeeful

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* Nothing is known of these to the compiler, which would warn of what is done to them. */
static char *volatile object, *volatile other;

/* ---- what a process says on stderr, and how it ends */

static char said[1 << 16];
static int status;

static void listen_to(int fd)
{
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, said + n, sizeof(said) - 1 - n)) > 0)
		n += got;
	said[n] = 0;
}

static void hear(void (*fn)(void))
{
	int fd[2];
	pid_t pid;

	CHECK(!pipe(fd));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		dup2(fd[1], 2);
		fn();
		_exit(0);
	}
	close(fd[1]);
	listen_to(fd[0]);
	close(fd[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	diag("%.*s%s", (int)strcspn(said, "\n"), said, *said ? "" : "(nothing)");
}

static void check_silent(void (*fn)(void))
{
	hear(fn);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
	CHECK(!*said);
}

static void check_says(void (*fn)(void), const char *what)
{
	hear(fn);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
	CHECK(strstr(said, what));
}

static void check_aborts(void (*fn)(void), const char *what)
{
	hear(fn);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	CHECK(strstr(said, what));
}

static int times(const char *what)
{
	int n = 0;

	for (const char *p = said; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

/* ---- right programs */

static void check_layout(char *p, size_t size)
{
	char *base = GC_base(p);

	CHECK(p && base);
	CHECK(base + GC_get_debug_header_size() == p);
	CHECK(GC_USR_PTR_FROM_BASE(base) == p);
	CHECK((unsigned long)p % 16 == 0);
	CHECK(GC_size(base) >= size + GC_get_debug_header_size());
	CHECK(!size || GC_base(p + size - 1) == base);
	memset(p, 'x', size);
}

static void check_zero(const char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		CHECK(!p[i]);
}

static void allocate(size_t size)
{
	char *p[8];

	p[0] = GC_MALLOC(size);
	p[1] = GC_MALLOC_UNCOLLECTABLE(size);
	p[2] = GC_MALLOC_IGNORE_OFF_PAGE(size);
	p[3] = GC_debug_malloc_stubborn(size, GC_EXTRAS);
	p[4] = GC_debug_malloc_replacement(size);
	p[5] = GC_MALLOC_ATOMIC(size);
	p[6] = GC_MALLOC_ATOMIC_UNCOLLECTABLE(size);
	p[7] = GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(size);
	for (int i = 0; i < 8; i++) {
		if (i < 5)
			check_zero(p[i], size);
		check_layout(p[i], size);
	}
	GC_gcollect();
	for (int i = 0; i < 8; i++)
		GC_FREE(p[i]);
}

static void right_program(void)
{
	static const size_t sizes[] = { 0, 1, 7, 8, 9, 15, 16, 17, 23, 24, 100, 983, 1000,
					4000, 5000, 32700, 32768, 100000, 3000000 };

	GC_INIT();
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		allocate(sizes[i]);
	GC_gcollect();
	GC_FREE(NULL);
}

TEST(right_programs_hear_nothing)
{
	CHECK_EQ(GC_get_debug_header_size(), GC_debug_header_size);
	CHECK_EQ(GC_debug_header_size % 16, 0);
	CHECK(GC_debug_header_size > 0);
	check_silent(right_program);
}

struct node {
	struct node *next;
	long value;
};

static struct node *make_chain(long n)
{
	struct node *chain = NULL;

	while (n--) {
		struct node *node = GC_MALLOC(sizeof(*node));

		CHECK(node && !node->next && !node->value);
		node->value = n;
		node->next = chain;
		chain = node;
	}
	return chain;
}

static void check_chain(const struct node *node, long n)
{
	for (long i = 0; i < n; i++, node = node->next)
		CHECK(node && node->value == i);
	CHECK(!node);
}

static struct node *in_bss;

static void chains(void)
{
	GC_INIT();
	in_bss = make_chain(5000);
	for (int i = 0; i < 50; i++)
		check_chain(make_chain(5000), 5000);
	GC_gcollect();
	check_chain(in_bss, 5000);
	CHECK(GC_get_heap_size() < GC_get_total_bytes());
}

TEST(chains_of_debug_objects)
{
	check_silent(chains);
}

static void *worker(void *arg)
{
	char *kept[16] = { NULL };

	for (long i = 0; i < 3000; i++) {
		char **at = &kept[i % 16];

		if (i % 3)
			GC_FREE(*at);
		*at = i % 2 ? GC_MALLOC(i % 200) : GC_MALLOC_ATOMIC(i % 2000);
		CHECK(*at);
		memset(*at, 'x', i % 2 ? i % 200 : i % 2000);
		if (i % 5 == 0)
			*at = GC_REALLOC(*at, 300);
		if (i % 500 == 0)
			GC_gcollect();
	}
	return arg;
}

static void threads(void)
{
	pthread_t t[4];

	GC_INIT();
	for (long i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, worker, NULL), 0);
	for (int i = 0; i < 30; i++)
		GC_gcollect();
	for (long i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

TEST(threads_that_free_while_others_look)
{
	check_silent(threads);
}

/* Addresses that no one but the collector knows. */
static unsigned long hidden[N];

static __attribute__((noinline)) void hide_some(void)
{
	for (int i = 0; i < N; i++) {
		struct node *node = i % 2 ? GC_MALLOC_UNCOLLECTABLE(sizeof(*node)) :
				    GC_MALLOC_ATOMIC_UNCOLLECTABLE(sizeof(*node));

		node->value = i;
		node->next = i % 2 ? make_chain(3) : NULL;
		hidden[i] = ~(unsigned long)node;
	}
}

static void uncollectable(void)
{
	GC_INIT();
	hide_some();
	for (int round = 0; round < 3; round++) {
		GC_gcollect();
		make_chain(5000);
	}
	for (int i = 0; i < N; i++) {
		struct node *node = (void *)~hidden[i];

		CHECK_EQ(node->value, i);
		check_chain(node->next, i % 2 ? 3 : 0);
		node = GC_REALLOC(node, 1000);
		CHECK(node && node->value == i);
		hidden[i] = ~(unsigned long)node;
	}
	for (int round = 0; round < 3; round++) {
		GC_gcollect();
		make_chain(5000);
	}
	for (int i = 0; i < N; i++) {
		struct node *node = (void *)~hidden[i];

		CHECK_EQ(node->value, i);
		check_chain(node->next, i % 2 ? 3 : 0);
		GC_FREE(node);
	}
}

TEST(uncollectable_objects_stay)
{
	check_silent(uncollectable);
}

static void by_the_base(void)
{
	char *p;

	GC_INIT();
	for (int i = 0; i < 1000; i++) {
		object = GC_MALLOC(i % 100);
		(GC_free)(GC_base(object));
	}
	object = GC_MALLOC(100);
	memset(object, 'x', 100);
	p = (GC_realloc)(GC_base(object), 60);
	CHECK(p);
	object = p;
	GC_gcollect();
	p = (GC_realloc)(p, 5000);
	CHECK(p && p[GC_debug_header_size] == 'x');
	memset(p, 'y', 5000);
	object = p;
	GC_gcollect();
	(GC_free)(p);
	p = GC_MALLOC_UNCOLLECTABLE(100);
	(GC_free)(GC_base(p));
	GC_gcollect();
}

TEST(plain_calls_with_the_base)
{
	check_silent(by_the_base);
}

/* ---- freeing */

static void poisoned(void)
{
	unsigned long *p = GC_MALLOC(80);

	GC_FREE(p);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(p[i], POISON);
	p = GC_MALLOC_ATOMIC(80);
	GC_FREE(p);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(p[i], POISON);
}

TEST(freed_objects_are_poisoned)
{
	check_silent(poisoned);
}

static void freed_twice(void)
{
	object = GC_MALLOC(10);
	GC_FREE(object);
	GC_FREE(object);
	GC_gcollect();
	GC_FREE(object);
}

static void realloc_of_a_freed_one(void)
{
	object = GC_MALLOC(10);
	other = object;
	GC_FREE(object);
	object = GC_REALLOC(object, 100);
	CHECK(object && object != other);
}

TEST(freed_twice)
{
	check_says(freed_twice, "GC_debug_free: found previously deallocated (?) object at");
	CHECK_EQ(times("previously deallocated"), 2);
	check_says(realloc_of_a_freed_one, "found previously deallocated (?) object at");
}

static void free_of_a_local(void)
{
	int local;

	GC_INIT();
	object = (char *)&local;
	GC_debug_free(object);
}

static void realloc_of_a_local(void)
{
	int local;

	GC_INIT();
	object = (char *)&local;
	object = GC_debug_realloc(object, 10, GC_EXTRAS);
}

static void free_of_malloc(void)
{
	GC_INIT();
	object = malloc(1000);
	GC_debug_free(object);
}

TEST(what_is_no_object_ends_the_program)
{
	check_aborts(free_of_a_local, "Invalid pointer passed to free()");
	check_aborts(free_of_malloc, "Invalid pointer passed to free()");
	check_aborts(realloc_of_a_local, "Invalid pointer passed to realloc()");
}

static void free_of_a_plain_one(void)
{
	object = (GC_malloc)(100);
	GC_debug_free(object);
	for (int i = 0; i < 100; i++)
		make_chain(10);
	GC_gcollect();
}

static void free_of_a_base(void)
{
	object = GC_MALLOC(100);
	GC_debug_free(GC_base(object));
	GC_gcollect();
}

static void free_inside(void)
{
	object = GC_MALLOC(100);
	GC_debug_free(object + 8);
}

static void realloc_of_a_plain_one(void)
{
	object = (GC_malloc)(100);
	memset(object, 'x', 100);
	object = GC_debug_realloc(object, 1000, GC_EXTRAS);
	CHECK(object);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(object[i], 'x');
}

TEST(objects_without_debugging_information)
{
	check_says(free_of_a_plain_one, "GC_debug_free called on pointer 0x");
	CHECK(strstr(said, "w/o debugging info"));
	check_says(free_of_a_base, "w/o debugging info");
	check_says(free_inside, "w/o debugging info");
	check_says(realloc_of_a_plain_one, "GC_debug_realloc called on pointer 0x");
}

/* ---- smashed */

static size_t smash_size;
static long smash_at;

static void smash(void)
{
	object = GC_MALLOC(smash_size);
	object[smash_at] ^= 1;
}

static void smash_and_free(void)
{
	smash();
	GC_FREE(object);
}

static void smash_and_collect(void)
{
	smash();
	GC_gcollect();
}

static void smash_and_try(void)
{
	smash();
	GC_gcollect_and_unmap();
}

static void smash_and_collect_disabled(void)
{
	GC_INIT();
	smash();
	GC_disable();
	GC_gcollect();
}

static void smash_the_last_word(void)
{
	char *base;

	object = GC_MALLOC(10);
	base = GC_base(object);
	base[(GC_size(base) & ~7ul) - 1] ^= 1;
	GC_FREE(object);
}

static void check_smashed(size_t size, long at)
{
	smash_size = size;
	smash_at = at;
	check_says(smash_and_free, "GC_debug_free: found smashed location at 0x");
	CHECK(strstr(said, "in or near object at 0x") && strstr(said, HERE));
	CHECK_EQ(times("smashed"), 1);
	check_says(smash_and_collect, "GC_check_heap_block: found 1 smashed heap objects:");
	CHECK(strstr(said, "in or near object at 0x") && strstr(said, HERE));
	check_says(smash_and_try, "GC_check_heap_block: found 1 smashed heap objects:");
	check_silent(smash_and_collect_disabled);
}

TEST(smashed_before)
{
	check_smashed(10, -1);
	check_smashed(1000, -8);
}

TEST(smashed_behind)
{
	check_smashed(16, 16);
	check_smashed(10, 16);
	check_smashed(1000, 1000);
	check_smashed(5000, 5003);
	check_smashed(100000, 100000);
	check_says(smash_the_last_word, "found smashed location at");
}

/* The size in the header is one that cannot be. */
static void smash_the_size(void)
{
	object = GC_MALLOC(10);
	memset(object - 16, 0x11, 8);
	GC_FREE(object);
}

TEST(smashed_size)
{
	check_says(smash_the_size, "found smashed location at");
	CHECK(strstr(said, "(<smashed>, appr. sz= "));
}

static void realloc_of_a_smashed_one(void)
{
	smash();
	object = GC_REALLOC(object, 50);
	for (int i = 0; i < 10; i++)
		CHECK(!object[i]);
}

TEST(smashed_and_reallocated)
{
	smash_size = 16;
	smash_at = 16;
	check_says(realloc_of_a_smashed_one, "GC_debug_free: found smashed location at");
}

static __attribute__((noinline)) void smash_many(char **p)
{
	for (int i = 0; i < 100; i++) {
		object = GC_MALLOC(32);
		object[32] ^= 1;
		p[i] = object;
	}
}

static void many_smashed(void)
{
	char **p = GC_MALLOC_UNCOLLECTABLE(100 * sizeof(*p));

	smash_many(p);
	GC_gcollect();
}

TEST(not_all_of_many_smashed_objects_are_told_of)
{
	check_says(many_smashed, "smashed heap objects:");
	CHECK(times("in or near object") >= 5 && times("in or near object") <= 20);
}

/* ---- realloc, strings */

static void reallocs(void)
{
	char *p = GC_REALLOC(NULL, 10);

	check_layout(p, 10);
	for (size_t n = 11; n < 100000; n = n * 3 / 2) {
		other = p;
		p = GC_REALLOC(p, n);
		CHECK(p && p != other);
		for (int i = 0; i < 10; i++)
			CHECK_EQ(p[i], 'x');
		check_layout(p, n);
	}
	p = GC_REALLOC(p, 5);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(p[i], 'x');
	CHECK(!GC_REALLOC(p, 0));
	p = GC_debug_realloc_replacement(NULL, 10);
	check_layout(p, 10);
	p = GC_debug_realloc_replacement(p, 100);
	CHECK_EQ(p[9], 'x');
	GC_gcollect();
}

TEST(realloc)
{
	check_silent(reallocs);
}

static void strings(void)
{
	char *p = GC_STRDUP("what");

	CHECK(!strcmp(p, "what") && GC_USR_PTR_FROM_BASE(GC_base(p)) == p);
	p = GC_STRNDUP("whatever", 4);
	CHECK(!strcmp(p, "what") && GC_USR_PTR_FROM_BASE(GC_base(p)) == p);
	CHECK(!strcmp(GC_STRNDUP("what", 0), ""));
	CHECK(!strcmp(GC_STRNDUP("what", -1ul), "what"));
	CHECK(!strcmp(GC_STRDUP(""), ""));
	object = NULL;
	CHECK(!GC_debug_strdup(object, GC_EXTRAS));
	GC_gcollect();
}

TEST(kinds)
{
	int kind;

	GC_INIT();
	for (kind = 0; kind < 4; kind++) {
		char *p = GC_GENERIC_OR_SPECIAL_MALLOC(100, kind);

		memset(p, kind, 100);
		CHECK_EQ(GC_get_kind_and_size(GC_base(p), NULL), kind);
		p = GC_REALLOC(p, 300);
		CHECK_EQ(GC_get_kind_and_size(GC_base(p), NULL), kind);
		CHECK(p[0] == kind && p[99] == kind);
		GC_FREE(p);
	}
	kind = GC_new_kind(GC_new_free_list(), GC_DS_LENGTH, 1, 1);
	object = GC_GENERIC_OR_SPECIAL_MALLOC(10, kind);
	CHECK(!object[9] && GC_get_kind_and_size(GC_base(object), NULL) == kind);
	GC_gcollect();
}

TEST(copies_of_strings)
{
	check_silent(strings);
}

/* ---- out of memory */

static unsigned long wanted;

static void *GC_CALLBACK out_of_memory(size_t bytes)
{
	wanted = bytes;
	return NULL;
}

static void ask_for_too_much(void)
{
	static const size_t sizes[] = { 1ul << 50, -1ul, -8ul, -32ul, -40ul, -41ul, -100ul };

	GC_INIT();
	GC_set_oom_fn(out_of_memory);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		wanted = 0;
		object = GC_MALLOC(sizes[i]);
		CHECK(!object && wanted);
		CHECK(!GC_MALLOC_ATOMIC(sizes[i]));
		CHECK(!GC_MALLOC_UNCOLLECTABLE(sizes[i]));
		CHECK(!GC_MALLOC_ATOMIC_UNCOLLECTABLE(sizes[i]));
		CHECK(!GC_MALLOC_IGNORE_OFF_PAGE(sizes[i]));
		CHECK(!GC_debug_malloc_replacement(sizes[i]));
		object = GC_MALLOC(10);
		CHECK(!GC_REALLOC(object, sizes[i]));
		check_layout(object, 10);
		GC_FREE(object);
	}
	CHECK(GC_MALLOC(100));
}

TEST(out_of_memory)
{
	check_says(ask_for_too_much, "GC_debug_malloc(1125899906842624) returning NULL (");
	CHECK(strstr(said, HERE) && strstr(said, "(unknown:0)"));
	CHECK(strstr(said, "GC_debug_malloc_atomic(18446744073709551615) returning NULL ("));
	CHECK(strstr(said, "GC_debug_malloc_uncollectable("));
	CHECK(strstr(said, "GC_debug_malloc_atomic_uncollectable("));
	CHECK(!strstr(said, "smashed"));
}

/* ---- finalizers */

static int finalized;

static void GC_CALLBACK finalize(void *p, void *data)
{
	CHECK(((struct node *)p)->value == 42 && !strcmp(data, "data"));
	CHECK(GC_USR_PTR_FROM_BASE(GC_base(p)) == p);
	finalized++;
}

static __attribute__((noinline)) void make_finalizable(void)
{
	for (int i = 0; i < N; i++) {
		struct node *node = GC_MALLOC(sizeof(*node));

		node->value = 42;
		GC_REGISTER_FINALIZER_NO_ORDER(node, finalize, GC_STRDUP("data"), NULL, NULL);
	}
}

static void finalizers(void)
{
	GC_INIT();
	make_finalizable();
	for (int round = 0; round < 3; round++) {
		GC_gcollect();
		make_chain(20000);
		GC_invoke_finalizers();
	}
	CHECK(finalized >= N * 3 / 4 && finalized <= N);
}

static void old_finalizers(void)
{
	GC_finalization_proc fn = finalize;
	void *data = &fn;
	int local;

	object = GC_MALLOC(10);
	GC_REGISTER_FINALIZER_NO_ORDER(object, finalize, &wanted, &fn, &data);
	CHECK(!fn && !data);
	GC_REGISTER_FINALIZER_NO_ORDER(object, finalize, &finalized, &fn, &data);
	CHECK(fn == finalize && data == &wanted);
	GC_REGISTER_FINALIZER_NO_ORDER(object, NULL, NULL, &fn, &data);
	CHECK(fn == finalize && data == &finalized);
	GC_REGISTER_FINALIZER_NO_ORDER(object, NULL, NULL, &fn, &data);
	CHECK(!fn && !data);
	fn = finalize;
	data = &fn;
	GC_REGISTER_FINALIZER_NO_ORDER(&local, finalize, &wanted, &fn, &data);
	CHECK(!fn && !data);
	GC_REGISTER_FINALIZER_NO_ORDER(object, finalize, &wanted, NULL, NULL);
	GC_REGISTER_FINALIZER_NO_ORDER(object, NULL, NULL, NULL, NULL);
}

static void finalizer_inside(void)
{
	object = GC_MALLOC(100);
	GC_REGISTER_FINALIZER_NO_ORDER(object + 8, finalize, NULL, NULL, NULL);
}

static void finalizer_of_another_kind(void)
{
	GC_finalization_proc fn = NULL;
	void *data = &fn;

	object = GC_MALLOC(100);
	GC_register_finalizer_no_order(GC_base(object), finalize, NULL, NULL, NULL);
	GC_REGISTER_FINALIZER_NO_ORDER(object, finalize, NULL, &fn, &data);
	CHECK(!fn && data == &fn);
	GC_REGISTER_FINALIZER_NO_ORDER(object, NULL, NULL, &fn, &data);
	CHECK(fn == finalize && !data);
}

TEST(finalizers)
{
	check_silent(finalizers);
	check_silent(old_finalizers);
	check_says(finalizer_inside, "GC_debug_register_finalizer_no_order called with "
				     "non-base-pointer 0x");
	check_says(finalizer_of_another_kind, "had a non-debug finalizer");
}

/* ---- stores */

static void *in_data;

static void stores(void)
{
	GC_INIT();
	object = GC_MALLOC(16);
	other = GC_MALLOC(10);
	GC_debug_change_stubborn(object);
	GC_END_STUBBORN_CHANGE(object);
	GC_PTR_STORE_AND_DIRTY(object, other);
	CHECK(*(char **)object == other);
	GC_PTR_STORE_AND_DIRTY(object + 8, NULL);
	GC_REGISTER_DISPLACEMENT(8);
}

static void bad_end_of_change(void)
{
	GC_INIT();
	GC_END_STUBBORN_CHANGE(&in_data);
}

static void store_into_data(void)
{
	GC_INIT();
	GC_PTR_STORE_AND_DIRTY(&in_data, GC_MALLOC(10));
}

static void misaligned_store(void)
{
	object = GC_MALLOC(100);
	GC_PTR_STORE_AND_DIRTY(object + 1, NULL);
}

TEST(stores_that_are_told_of)
{
	check_silent(stores);
	check_aborts(bad_end_of_change, "GC_debug_end_stubborn_change: bad arg: 0x");
	check_aborts(store_into_data, "GC_debug_end_stubborn_change: bad arg: 0x");
	check_aborts(misaligned_store, "GC_is_visible test failed: 0x");
}

TEST_MAIN
