// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Debug objects and checks of pointers, where a heap's inside can be arranged. */
#include "../../selftests/tap.h"
#include <sys/mman.h>

#include "../bdw/debug.h"
#include "mock.h"

#define COUNT	3000

/* The compiler knows GC_debug_malloc() for one that returns new objects, of that size. */
static void *(*volatile debug_malloc)(size_t size, const char *file, int line) =
	GC_debug_malloc;

/* ---- what is said on stderr */

static int heard_fd;
static char said[1 << 16];

static void listen_from_now(void)
{
	if (!heard_fd)
		heard_fd = memfd_create("stderr", MFD_CLOEXEC);
	CHECK(heard_fd >= 0 && !ftruncate(heard_fd, 0) && !lseek(heard_fd, 0, SEEK_SET));
	CHECK(dup2(heard_fd, 2) == 2);
}

/* Since the last time. */
static const char *heard(void)
{
	ssize_t got = pread(heard_fd, said, sizeof(said) - 1, 0);

	CHECK(got >= 0);
	said[got] = 0;
	CHECK(!ftruncate(heard_fd, 0) && !lseek(heard_fd, 0, SEEK_SET));
	return said;
}

static bool heard_of(const char *what)
{
	return strstr(heard(), what);
}

static void set_up(void)
{
	mock_use();
	GC_init();
	listen_from_now();
}

/* ---- the header and the marks */

TEST(every_byte_around_counts)
{
	static const size_t sizes[] = { 0, 1, 8, 15, 100, 1000, 40000 };
	struct bdw_smash s;
	struct gch_object o;

	set_up();
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *p = debug_malloc(sizes[i], "file", 7), *end;

		CHECK(bdw_debug_user(p, &o));
		CHECK(bdw_debug_state(&o, &s) == BDW_INTACT);
		end = (char *)o.base + o.room;
		for (char *at = p - 8; at < end; at++) {
			if (at == p)
				at += sizes[i];
			*at ^= 1;
			CHECK(bdw_debug_state(&o, &s) == BDW_SMASHED);
			CHECK(s.user == p && !s.lost && !strcmp(s.file, "file"));
			CHECK(s.line == 7 && s.size == sizes[i]);
			CHECK(s.at == (at < p ? p - 8 : at));
			*at ^= 1;
		}
		CHECK(bdw_debug_state(&o, &s) == BDW_INTACT);
	}
}

/* The end of a string written one too far. */
TEST(a_zero_behind_is_seen)
{
	char *p;

	set_up();
	for (size_t size = 1; size < 300; size++) {
		p = GC_debug_malloc_atomic(size, "file", 1);
		p[size] = 0;
		GC_debug_free(p);
		CHECK(heard_of("found smashed location at"));
	}
}

TEST(headers_that_make_no_sense)
{
	struct bdw_debug *h;
	char *p;

	set_up();
	for (unsigned int i = 0; i < sizeof(*h); i += 8) {
		p = debug_malloc(100, "file", 1);
		memset((char *)((struct bdw_debug *)p - 1) + i, 0x41, 8);
		GC_gcollect();
		/* Another line cannot be told from the right one, nor matters. */
		CHECK(heard_of("found 1 smashed heap objects") == (i >= 16));
		GC_debug_free(p);
		CHECK_EQ(heard_of("found smashed location at"), i >= 16);
	}
	p = debug_malloc(100, "file", 1);
	h = (struct bdw_debug *)p - 1;
	h->file = (void *)8;
	h->start++;
	GC_debug_free(p);
	CHECK(heard_of("((smashed string):1, sz= 100)"));
	p = debug_malloc(100, NULL, 1);
	p[-1]++;
	GC_debug_free(p);
	CHECK(heard_of(":1, sz= 100)"));
	p = debug_malloc(100, "file", 1);
	memset(p - 32, 0, 32);
	memset(p + 100, 0, 8);
	GC_debug_free(p);
	CHECK(heard_of("w/o debugging info"));
}

static int described;

static void describe(void *p, char *text)
{
	described++;
	memset(text, 'x', GC_TYPE_DESCR_LEN);
	memcpy(text, p, 5);
}

TEST(a_description_of_the_type)
{
	char *p;

	set_up();
	GC_register_describe_type_fn(3, describe);
	for (int i = 0; i < 4; i++) {
		p = i & 1 ? i & 2 ? GC_debug_malloc_atomic_uncollectable(10, "file", 1) :
				    GC_debug_malloc_uncollectable(10, "file", 1) :
			    i & 2 ? GC_debug_malloc_atomic(10, "file", 1) :
				    debug_malloc(10, "file", 1);
		strcpy(p, "thing");
		p[-1]++;
		GC_gcollect();
		CHECK(heard_of("smashed heap objects"));
		CHECK_EQ(described, i == 3);
		p[-1]--;
	}
	p[-1]++;
	GC_debug_free(p);
	CHECK(heard_of(" (file:1, sz= 10, thingxxx"));
	GC_debug_free(p);
	CHECK(heard_of("previously deallocated") && described == 2);
}

/* ---- the list */

static void smash_all(char **p, int n)
{
	for (int i = 0; i < n; i++)
		p[i][-1] ^= 1;
}

static int times(const char *what)
{
	int n = 0;

	for (const char *p = heard(); (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

TEST(all_objects_are_looked_at)
{
	static char *p[COUNT];

	set_up();
	for (int i = 0; i < COUNT; i++)
		p[i] = debug_malloc(i % 50, "file", i);
	for (int i = 0; i < COUNT; i += 37) {
		smash_all(&p[i], 1);
		GC_gcollect();
		CHECK_EQ(times("in or near object"), 1);
		smash_all(&p[i], 1);
	}
	smash_all(p, COUNT);
	GC_gcollect();
	CHECK_EQ(times("in or near object"), 20);
	for (int i = 0; i < COUNT; i++)
		GC_debug_free(p[i]);
	heard();
	GC_gcollect();
	CHECK(!*heard());
}

#define CHUNK	4096

static const struct gcheap_cache *list_cache(void)
{
	for (int i = 0; i < GCHEAP_MAX_CACHES; i++)
		if (gch.heap0.cache[i].cell == CHUNK && !gch.heap0.cache[i].by_size)
			return &gch.heap0.cache[i];
	return NULL;
}

/* Zero every @nth word of the list, as the kernel does for objects that are gone. */
static int clear_words(int nth)
{
	const struct gcheap_cache *c = list_cache();
	int chunks = 0;

	CHECK(c);
	for (int at = 0; at < 16 << 20; at += CHUNK) {
		char *p = (char *)gch.heap0.backend.base + at;
		struct gch_object o;

		if (!gch_object_start(p, &o) || o.cache != c || GC_base(p) != p)
			continue;
		chunks++;
		for (int i = 1; nth && i < CHUNK / 8; i++)
			if (i % nth == 0)
				((void **)p)[i] = NULL;
	}
	return chunks;
}

static void make_many(int n)
{
	while (n--)
		CHECK(debug_malloc(8, "file", n));
}

TEST(words_of_the_list_are_used_again)
{
	int chunks;

	set_up();
	make_many(COUNT);
	chunks = clear_words(0);
	CHECK_EQ(chunks, COUNT / 511 + 1);
	for (int round = 0; round < 20; round++) {
		clear_words(1);
		make_many(COUNT);
	}
	CHECK(clear_words(0) <= chunks * 2);
	for (int round = 0; round < 20; round++) {
		clear_words(2);
		make_many(COUNT / 4);
	}
	CHECK(clear_words(0) <= 2 * chunks);
	make_many(COUNT * 3);
	CHECK(clear_words(0) >= 3 * chunks);
	GC_gcollect();
	CHECK(!*heard());
}

static void fail_once(int n)
{
	mock.fail_next = -ENOMEM;
	for (int i = 0; i < n; i++)
		GC_debug_free(debug_malloc(8, "file", i));
}

TEST(without_memory_for_the_list)
{
	char *p, *q;

	set_up();
	p = GC_malloc(48);
	mock.fail_next = -ENOMEM;	/* of the list's, there are cells for objects */
	q = debug_malloc(8, "file", 1);
	CHECK(p && q && GC_base(q) == q - 32);
	q[-1]++;
	GC_gcollect();
	CHECK(!*heard());
	GC_debug_free(q);
	CHECK(heard_of("found smashed location"));
	for (int i = 0; i < 10; i++)
		fail_once(COUNT);
	GC_gcollect();
	GC_free(GC_base(debug_malloc(8, "file", 1)));
	CHECK(!heard_of("smashed"));
}

TEST(checks_come_with_explicit_collections)
{
	char *p;

	set_up();
	p = debug_malloc(10, "file", 1);
	p[-1]++;
	GC_disable();
	GC_gcollect();
	GC_gcollect_and_unmap();
	CHECK(!*heard());
	GC_enable();
	GC_gcollect_and_unmap();
	CHECK(heard_of("found 1 smashed"));
}

/* ---- freeing */

TEST(nothing_is_given_back_early)
{
	struct gch_object o;
	char *p, *base;

	set_up();
	p = GC_debug_malloc_uncollectable(100, "file", 1);
	base = GC_base(p);
	CHECK(bdw_kept(base) && bdw_is_debug(base) && !bdw_is_debug(p));
	GC_debug_free(p);
	CHECK(!bdw_kept(base) && GC_base(p) == base);
	for (int i = 0; i + 8 <= 100; i += 8)
		CHECK_EQ(*(uint64_t *)(p + i), 0xefbeaddedeadbeef);
	GC_free(base);
	GC_free(base);
	CHECK(!*heard());
	GC_debug_free(p);
	CHECK(heard_of("previously deallocated (?) object"));
	p = debug_malloc(100, "file", 1);
	base = GC_base(p);
	GC_free(base);
	CHECK(bdw_debug_user(p, &o) && GC_base(p) == base);
	gcheap_thread_flush();
	CHECK(GC_base(p) == base);
	CHECK_EQ(mock.bad_frees, 0);
	CHECK_EQ(gch.heap0.backend.status->freed_early, 0);
}

TEST(realloc_by_the_base)
{
	char *p, *q;

	set_up();
	for (int kind = 0; kind < 3; kind++) {
		p = GC_base(kind == 0 ? debug_malloc(100, "file", 1) :
			    kind == 1 ? GC_debug_malloc_atomic(100, "file", 1) :
					GC_debug_malloc_uncollectable(100, "file", 1));
		memset(p + 32, 'x', 100);
		CHECK(GC_realloc(p, 120) == p && bdw_is_debug(p));
		q = GC_realloc(p, 1000);
		CHECK(q && q != p && !bdw_is_debug(q) && q[32] == 'x' && q[131] == 'x');
		CHECK_EQ(bdw_kept(q), kind == 2);
		CHECK(!bdw_kept(p) && GC_base(p) == p);
		memset(q, 'y', 1000);
		GC_gcollect();
		GC_free(q);
		CHECK(!bdw_kept(q));
	}
	CHECK(!*heard());
}

TEST(bad_frees_do_no_harm)
{
	char *p, *q;
	int local;

	set_up();
	p = GC_malloc(100);
	q = GC_malloc(100);
	GC_free(p + 1);
	GC_free(p + 100);
	GC_free(&local);
	GC_free((void *)1);
	GC_free((void *)-1ul);
	GC_free((char *)gch.heap0.backend.base + gch.heap0.backend.size - 16);
	gcheap_thread_flush();
	CHECK_EQ(mock.bad_frees, 0);
	CHECK(GC_base(p) == p && GC_base(q) == q);
	GC_free(p);
	GC_free(p);
	gcheap_thread_flush();
	CHECK_EQ(mock.bad_frees, 1);
	CHECK(!GC_base(p) && GC_base(q) == q);
	GC_free(p);
	gcheap_thread_flush();
	CHECK_EQ(mock.bad_frees, 2);
	CHECK(GC_malloc(100) != GC_malloc(100));
}

static size_t wanted;

static void *out_of_memory(size_t bytes)
{
	wanted = bytes;
	return NULL;
}

TEST(realloc_of_what_is_no_object_is_not_out_of_memory)
{
	int local;

	set_up();
	GC_set_oom_fn(out_of_memory);
	CHECK(!GC_realloc(&local, 10) && errno == EINVAL && !wanted);
	CHECK(!GC_realloc((char *)GC_malloc(100) + 8, 10) && !wanted);
	CHECK(!GC_realloc(GC_malloc(100), 1ul << 50) && wanted == 1ul << 50);
}

static char elsewhere[200];

static void *have_another(size_t bytes)
{
	CHECK(bytes <= sizeof(elsewhere));
	return elsewhere;
}

TEST(what_the_program_has_instead)
{
	set_up();
	GC_set_oom_fn(have_another);
	mock.fail_next = -ENOMEM;
	CHECK(debug_malloc(100, "file", 1) == elsewhere);
	mock.fail_next = -ENOMEM;
	CHECK(!strcmp(GC_debug_strdup("what", "file", 1), "what"));
}

/* ---- finalizers */

static int finalized;

static void finalize(void *object, void *data)
{
	CHECK(!strcmp(object, "object") && data == &finalized);
	finalized++;
}

TEST(finalizers_hear_of_the_program_s_address)
{
	char *p;

	set_up();
	p = GC_debug_malloc_atomic(10, "file", 1);
	strcpy(p, "object");
	GC_debug_register_finalizer_no_order(p, finalize, &finalized, NULL, NULL);
	mock_finalize(GC_base(p));
	CHECK_EQ(GC_invoke_finalizers(), 1);
	CHECK_EQ(finalized, 1);
	GC_debug_register_finalizer_no_order(p, finalize, &finalized, NULL, NULL);
	GC_debug_free(p);
	CHECK(!mock_finalize(GC_base(p)));
	CHECK(!*heard());
}

/* ---- pointers */

static int told;

static void tell(void *p)
{
	told++;
}

TEST(behind_the_last_object_of_a_span)
{
	struct gch_object o;
	size_t size = 0;
	char *p, *at;

	set_up();
	GC_is_valid_displacement_print_proc = tell;
	do
		CHECK(gch_object_at(GC_malloc(size += 16), &o));
	while (o.span->ncells * o.cache->cell == o.span->nslots * GCHEAP_SLOT_SIZE);
	at = (char *)gch.heap0.backend.base + o.slot * (size_t)GCHEAP_SLOT_SIZE;
	for (char *end = at + o.span->nslots * GCHEAP_SLOT_SIZE; at < end; at += 16) {
		bool inside = gch_object_at(at, &o);

		told = 0;
		GC_is_valid_displacement(at);
		CHECK_EQ(told, !inside);
	}
	CHECK_EQ(told, 1);
	told = 0;
	GC_is_valid_displacement((char *)gch.heap0.backend.base + gch.heap0.backend.size - 8);
	CHECK_EQ(told, 0);
	p = GC_malloc(100001);
	GC_is_valid_displacement(p + 100001);
	CHECK_EQ(told, 0);
	GC_is_valid_displacement(p + 100016);
	CHECK_EQ(told, 1);
}

static void *in_data;
static __thread void *in_tls;

static bool visible(void *p)
{
	told = 0;
	CHECK(GC_is_visible(p) == p);
	return !told;
}

TEST(what_is_visible)
{
	void *local = NULL, **root;
	char *p;

	set_up();
	GC_is_visible_print_proc = tell;
	CHECK(visible(&in_data) && visible(&in_tls) && visible(&local));
	p = GC_malloc(1000);
	CHECK(visible(p) && visible(p + 992) && !visible(p + 4));
	gcheap_thread_flush();
	GC_free(p);
	gcheap_thread_flush();
	CHECK(!visible(p));
	CHECK(!visible(GC_malloc_atomic(100)));
	CHECK(!visible((char *)gch.heap0.backend.base + gch.heap0.backend.size - 8));
	CHECK(!visible(NULL));
	root = malloc(800);
	CHECK(!visible(root));
	GC_add_roots(root, root + 50);
	CHECK(visible(root) && visible(root + 49) && !visible(root + 50));
}

static void *thread(void *p)
{
	return (void *)(long)visible(p);
}

/* It may be on some stack. */
TEST(with_other_threads_more_may_be_visible)
{
	void *local = NULL, *result;
	pthread_t t;

	set_up();
	GC_is_visible_print_proc = tell;
	CHECK(!pthread_create(&t, NULL, thread, &local));
	CHECK(!pthread_join(t, &result));
	CHECK(result);
}

static void *churn(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		char *p = debug_malloc(i % 100, "file", i);

		memset(p, 1, i % 100);
		if (i % 3 == 0)
			GC_debug_free(p);
		if (i % 3 == 1)
			GC_free(GC_base(p));
		if (i % 100 == 0)
			GC_gcollect();
	}
	return NULL;
}

TEST(threads)
{
	pthread_t t[4];

	set_up();
	for (int i = 0; i < 4; i++)
		CHECK(!pthread_create(&t[i], NULL, churn, NULL));
	for (int i = 0; i < 4; i++)
		CHECK(!pthread_join(t[i], NULL));
	CHECK(!*heard());
}

/* Where cells are not cleared a header may be one of earlier use. */
TEST(what_looks_freed_is_given_back)
{
	struct gch_object o;
	char *p;

	set_up();
	CHECK(debug_malloc(100, "file", 1));
	p = GC_malloc_atomic_uncollectable(100);
	CHECK(gch_object_start(p, &o) && bdw_kept(p));
	bdw_debug_mark(&o, 10, "file", 1);
	bdw_debug_set_freed(&o);
	GC_free(p);
	CHECK(!bdw_kept(p));
}

TEST(a_forked_child_without_heap)
{
	char *p;
	int status;
	pid_t pid;

	set_up();
	p = debug_malloc(10, "file", 1);
	mock.fail_fork = -ENXIO;
	pid = fork();
	if (!pid) {
		GC_gcollect();
		GC_free(GC_base(p));
		debug_malloc(10, "file", 1);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST_MAIN
