// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* What is true of the library that stands in for libgc, and of no other. */
#include "../../../selftests/tap.h"
#include "../../../uapi/gcheap.h"
#define GC_DEBUG
#include <gc/gc.h>

TEST(it_is_the_stand_in)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int found = 0;

	GC_INIT();
	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		found |= !!strstr(line, "/bdw/libgc.so.1");
	fclose(maps);
	CHECK(found);
}

/* ---- what is freed wrongly */

/* The heap's counters are where the library has them mapped. */
static const volatile struct gcheap_status *counters(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, offset;
	void *found = NULL;
	char line[512];

	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "gcheap") &&
		    sscanf(line, "%lx-%*x %*s %lx", &from, &offset) == 2 &&
		    offset == GCHEAP_OFF_STATUS)
			found = (void *)from;
	fclose(maps);
	CHECK(found);
	return found;
}

/* Early frees are looked at when the thread asks for room, or in a collection. */
TEST(bad_frees_are_counted_and_do_no_harm)
{
	const volatile struct gcheap_status *s;
	static char *p[100];
	int local;

	GC_INIT();
	s = counters();
	for (int i = 0; i < 100; i++) {
		p[i] = (GC_malloc)(100);
		memset(p[i], i, 100);
	}
	for (int i = 0; i < 100; i++) {
		(GC_free)(p[i] + 1);
		(GC_free)(p[i] + 50);
		(GC_free)((char *)&local + i);
		(GC_free)((void *)(long)i);
	}
	GC_gcollect();
	CHECK_EQ(s->bad_frees, 0);
	for (int i = 0; i < 100; i++)
		for (int j = 0; j < 100; j++)
			CHECK_EQ(p[i][j], i);
	for (int i = 0; i < 10; i++) {
		(GC_free)(p[i]);
		(GC_free)(p[i]);
	}
	GC_gcollect();
	CHECK_EQ(s->bad_frees, 10);
	for (int i = 10; i < 100; i++)
		CHECK(GC_base(p[i]) == p[i] && p[i][99] == i);
}

/* ---- debug objects, where ours see more */

static char *volatile object;

static int said(char *text, size_t size, void (*fn)(void))
{
	int fd[2], status;
	ssize_t got;
	size_t n = 0;
	pid_t pid;

	CHECK(!pipe(fd));
	pid = fork();
	if (!pid) {
		dup2(fd[1], 2);
		fn();
		_exit(0);
	}
	close(fd[1]);
	while ((got = read(fd[0], text + n, size - 1 - n)) > 0)
		n += got;
	text[n] = 0;
	CHECK(waitpid(pid, &status, 0) == pid);
	diag("%.*s", (int)strcspn(text, "\n"), text);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void one_byte_behind(void)
{
	for (int i = 1; i < 20; i++) {
		object = GC_MALLOC_ATOMIC(i);
		object[i] = 0;
		GC_gcollect();
		object[i] = ~0;
		GC_FREE(object);
	}
}

TEST(a_byte_behind_is_smashed)
{
	char text[1 << 16];
	int n = 0, freed = 0;

	CHECK(!said(text, sizeof(text), one_byte_behind));
	for (const char *p = text; (p = strstr(p, "found 1 smashed heap objects")); p++)
		n++;
	for (const char *p = text; (p = strstr(p, "found smashed location at")); p++)
		freed++;
	CHECK_EQ(n, 19);
	CHECK_EQ(freed, 19);
}

static void smash_many(void)
{
	for (int i = 0; i < 20000; i++) {
		object = GC_MALLOC(i % 100);
		object[-1]++;
	}
	object = NULL;
}

static void collect_what_was_smashed(void)
{
	GC_INIT();
	smash_many();
	GC_gcollect();
	GC_gcollect();
	fprintf(stderr, "--\n");
	GC_gcollect();
}

/* The list has those that are alive: some that a stale word refers to, say. */
TEST(objects_that_are_gone_are_not_looked_at)
{
	char text[1 << 16], *p;
	int n = 0;

	CHECK(!said(text, sizeof(text), collect_what_was_smashed));
	p = strstr(text, "--\n");
	CHECK(p);
	for (; (p = strstr(p, "in or near object")); p++)
		n++;
	CHECK(n < 10);
}

static void many_cycles(void)
{
	GC_word heap = 0;

	GC_INIT();
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 10000; i++) {
			object = round % 2 ? GC_MALLOC(i % 60) : GC_MALLOC_ATOMIC(i % 60);
			memset(object, 1, i % 60);
		}
		GC_gcollect();
		if (round == 10)
			heap = GC_get_heap_size();
	}
	CHECK(GC_get_heap_size() < 2 * heap);
}

TEST(cells_are_reused_without_a_false_alarm)
{
	char text[4096];

	CHECK(!said(text, sizeof(text), many_cycles));
	CHECK(!*text);
}

static int unseen;

static void not_visible(void *p)
{
	unseen++;
}

/* Where nothing but one thread is, what is nowhere is known to be. */
TEST(memory_of_malloc_is_not_visible)
{
	GC_INIT();
	GC_is_visible_print_proc = not_visible;
	GC_is_visible(malloc(100));
	CHECK_EQ(unseen, 1);
	GC_is_visible((GC_malloc_atomic)(100));
	CHECK_EQ(unseen, 2);

/* bdwgc's may begin some way into an object. */
TEST(aligned_objects_begin_at_their_address)
{
	char *p;

	GC_INIT();
	for (size_t align = 32; align <= 8192; align *= 2) {
		for (size_t size = 1; size < 100000; size = size * 3 + 1) {
			p = GC_memalign(align, size);
			CHECK((unsigned long)p % align == 0 && GC_base(p + size) == p);
			CHECK(GC_size(p) >= size);
			GC_FREE(p);
		}
	}
}

TEST_MAIN
