// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Walks over the heap, marks, and what is printed of them. */
#include "../../../selftests/tap.h"
#define GC_THREADS
#include <gc/gc.h>
#include <gc/gc_inline.h>
#include <gc/gc_mark.h>
#include <stdbool.h>

#define N	1000

static void *kept[N];
static unsigned long freed[N];	/* hidden */

/* Smaller ones Debian's threads have lists of, all of which it takes for marked. */
static size_t size_of(int i)
{
	return i % 100 == 99 ? 100000 : i % 10 == 9 ? 3000 : 500 + i % 300;
}

static void *make(int i)
{
	void *p = i % 3 ? GC_MALLOC(size_of(i)) : GC_MALLOC_ATOMIC(size_of(i));

	CHECK(p);
	return p;
}

static void __attribute__((noinline)) make_some(void)
{
	for (int i = 0; i < N; i++) {
		kept[i] = make(i);
		freed[i] = GC_HIDE_POINTER(make(i));
	}
}

static void __attribute__((noinline)) free_some(void)
{
	for (int i = 0; i < N; i++)
		GC_FREE(GC_REVEAL_POINTER(freed[i]));
}

/* ---- the walk */

static unsigned char found[N];
static int found_freed;
static size_t objects, bytes;

static int GC_CALLBACK by_address(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

static int index_of(const void *table, unsigned long what)
{
	const unsigned long *p = bsearch(&what, table, N, sizeof(what), by_address);

	return p ? (int)(p - (const unsigned long *)table) : -1;
}

static void GC_CALLBACK visit(void *object, size_t size, void *data)
{
	int i = index_of(kept, (unsigned long)object);

	CHECK(!strcmp(data, "data"));
	CHECK_EQ(size, GC_size(object));
	CHECK(GC_base(object) == object);
	objects++;
	bytes += size;
	if (i >= 0)
		found[i]++;
	found_freed += index_of(freed, GC_HIDE_POINTER(object)) >= 0;
}

static void *walk(void *data)
{
	memset(found, 0, sizeof(found));
	found_freed = objects = bytes = 0;
	GC_enumerate_reachable_objects_inner(visit, data);
	return data;
}

static void check_walk(void)
{
	size_t least = 0;

	GC_gcollect();
	CHECK(GC_call_with_alloc_lock(walk, "data"));
	for (int i = 0; i < N; i++) {
		CHECK_EQ(found[i], 1);
		least += GC_size(kept[i]);
	}
	CHECK(objects >= N && bytes >= least);
}

static void prepare(void)
{
	GC_INIT();
	GC_disable();
	make_some();
	qsort(kept, N, sizeof(kept[0]), by_address);
	qsort(freed, N, sizeof(freed[0]), by_address);
}

TEST(all_that_is_kept_is_found_and_nothing_freed)
{
	prepare();
	free_some();
	GC_enable();
	check_walk();
	CHECK_EQ(found_freed, 0);
	diag("%zu objects, %zu KiB", objects, bytes >> 10);
	CHECK(objects < 2 * N);
}

TEST(what_nobody_has_is_not_found)
{
	prepare();
	GC_enable();
	for (int i = 0; i < 3; i++)
		check_walk();
	diag("%d of %d", found_freed, N);
	CHECK(found_freed <= N / 4);
}

static int stop;

static void *litter(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		for (int i = 0; i < N; i++)
			CHECK(make(i));
	return arg;
}

static void GC_CALLBACK find(void *object, size_t size, void *data)
{
	int i = index_of(kept, (unsigned long)object);

	CHECK(object && size && data == found);
	if (i >= 0)
		found[i]++;
}

static void *walk_beside(void *arg)
{
	memset(found, 0, sizeof(found));
	GC_enumerate_reachable_objects_inner(find, found);
	return arg;
}

TEST(walks_beside_threads_that_allocate)
{
	pthread_t t[2];

	prepare();
	GC_enable();
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, litter, NULL), 0);
	for (unsigned int round = 0; round < tap_times(5); round++) {
		GC_gcollect();
		GC_call_with_alloc_lock(walk_beside, NULL);
		for (int i = 0; i < N; i++)
			CHECK_EQ(found[i], 1);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

TEST(collections_go_on_after_a_walk)
{
	GC_word before;

	prepare();
	GC_enable();
	check_walk();
	before = GC_get_gc_no();
	for (int i = 0; i < 300 * N && GC_get_gc_no() == before; i++)
		make(i);
	CHECK(GC_get_gc_no() > before);
}

/* ---- marks */

static int marked(const void *p)
{
	int is;

	GC_alloc_lock();
	is = GC_is_marked(p);
	GC_alloc_unlock();
	CHECK(is == 0 || is == 1);
	return is;
}

TEST(marks)
{
	int n = 0;

	GC_INIT();
	GC_gcollect();
	make_some();
	GC_gcollect();
	for (int i = 0; i < N; i++)
		CHECK(marked(kept[i]));
	GC_disable();
	for (int i = 0; i < N; i++)
		n += marked(make(i));
	diag("%d of %d that are new", n, N);
	CHECK_EQ(n, 0);
}

/* ---- what is printed */

static char *printed(void (*print)(void))
{
	static char text[1 << 20];
	FILE *f = tmpfile();
	int out = dup(1);
	ssize_t length;

	CHECK(f && out >= 0);
	CHECK_EQ(dup2(fileno(f), 1), 1);
	print();
	CHECK_EQ(dup2(out, 1), 1);
	length = pread(fileno(f), text, sizeof(text) - 1, 0);
	CHECK(length >= 0);
	text[length] = 0;
	close(out);
	fclose(f);
	return text;
}

static void dump_named(void)
{
	GC_dump_named("of the test");
}

static void dump_unnamed(void)
{
	GC_dump_named(NULL);
}

static bool has_block(const char *text, unsigned int kind, unsigned int least, unsigned int most)
{
	unsigned int k, size, marks, n;

	for (text = strstr(text, "#objs"); text; text = strchr(text + 1, '\n'))
		if (sscanf(text, "\n%u,%u,%u,%u", &k, &size, &marks, &n) == 4 && k == kind &&
		    size >= least && size <= most && marks <= n)
			return true;
	return false;
}

TEST(dumps)
{
	char line[80], *text;

	prepare();
	GC_enable();
	GC_gcollect();
	text = printed(GC_dump);
	sprintf(line, "***GC Dump collection #%lu\n", (unsigned long)GC_get_gc_no());
	CHECK(!strncmp(text, line, strlen(line)));
	CHECK(strstr(text, "***Static roots:") && strstr(text, "Total heap size: "));
	CHECK(strstr(text, "***Free blocks:") && strstr(text, "\nblocks= "));
	CHECK(has_block(text, 1, 500, 900) && has_block(text, 0, 500, 900));
	CHECK(has_block(text, 0, 100000, 110000));
	CHECK(!has_block(text, 1, 4u << 20, ~0u));
	text = printed(dump_named);
	CHECK(!strncmp(text, "***GC Dump of the test\n", 23));
	text = printed(dump_unnamed);
	CHECK(!strncmp(text, line, strlen(line)));
}

TEST(regions)
{
	char line[100], *text;

	prepare();
	text = printed(GC_dump_regions);
	CHECK(strstr(text, "***Section from 0x"));
	CHECK(strstr(text, "used for blocks of size 0x"));
	for (int i = 99; i < N; i += 100) {
		if (GC_size(kept[i]) < 100000)
			continue;
		sprintf(line, "\t%p\tused for blocks of size 0x", kept[i]);
		CHECK(strstr(text, line));
	}
}

static void GC_CALLBACK finalize(void *object, void *data)
{
}

TEST(finalization)
{
	prepare();
	GC_REGISTER_FINALIZER_NO_ORDER(kept[0], finalize, NULL, NULL, NULL);
	CHECK(strstr(printed(GC_dump_finalization), "Finalizers:"));
}

static void free_list(void)
{
	GC_print_free_list(GC_I_NORMAL, 3);
}

static void no_free_list(void)
{
	GC_print_free_list(GC_I_NORMAL, 0);
}

TEST(free_lists)
{
	void *p, *block, *cell;
	char *text;
	int i;

	GC_INIT();
	GC_disable();
	for (int j = 0; j < 10; j++)
		p = GC_MALLOC(40);
	text = printed(free_list);
	/* Debian's threads have lists of their own, which are not shown. */
	for (; text && sscanf(text, "Free object in heap block %p [%d]: %p", &block, &i,
			      &cell) == 3; text = strchr(text, '\n') + 1)
		CHECK(cell != p && cell >= block && i >= 0);
	CHECK(!*text);
	CHECK(!*printed(no_free_list));
}

TEST_MAIN
