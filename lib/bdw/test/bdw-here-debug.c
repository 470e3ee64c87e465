// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Debug objects, where ours see more. */
#include "../../../selftests/tap.h"
#define GC_DEBUG
#include <gc/gc.h>

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

TEST_MAIN
