// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* What is freed wrongly, is visible, is aligned: where ours see more, or do better. */
#include "../../../selftests/tap.h"
#include "../../../uapi/gcheap.h"
#include <gc/gc.h>

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
		p[i] = GC_malloc(100);
		memset(p[i], i, 100);
	}
	for (int i = 0; i < 100; i++) {
		GC_free(p[i] + 1);
		GC_free(p[i] + 50);
		GC_free((char *)&local + i);
		GC_free((void *)(long)i);
	}
	GC_gcollect();
	CHECK_EQ(s->bad_frees, 0);
	for (int i = 0; i < 100; i++)
		for (int j = 0; j < 100; j++)
			CHECK_EQ(p[i][j], i);
	for (int i = 0; i < 10; i++) {
		GC_free(p[i]);
		GC_free(p[i]);
	}
	GC_gcollect();
	CHECK_EQ(s->bad_frees, 10);
	for (int i = 10; i < 100; i++)
		CHECK(GC_base(p[i]) == p[i] && p[i][99] == i);
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
	GC_is_visible(GC_malloc_atomic(100));
	CHECK_EQ(unseen, 2);
}

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
