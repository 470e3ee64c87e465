// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Walks, marks and lists, where ours can be told more exactly. */
#include "../../../selftests/tap.h"
#include <fcntl.h>
#include <gc/gc.h>
#include <gc/gc_inline.h>
#include <gc/gc_mark.h>

#define N	1000

/* Small objects that are free are not among those that are marked. */

static void *kept[N];
static unsigned long freed[N];	/* hidden */
static unsigned char found[N];
static int found_freed;

static void __attribute__((noinline)) make_and_free(void)
{
	for (int i = 0; i < N; i++) {
		kept[i] = GC_MALLOC(1 + i % 300);
		freed[i] = GC_HIDE_POINTER(GC_MALLOC_ATOMIC(1 + i % 300));
	}
	for (int i = 0; i < N; i++)
		GC_FREE(GC_REVEAL_POINTER(freed[i]));
}

static void GC_CALLBACK visit(void *object, size_t size, void *data)
{
	for (int i = 0; i < N; i++) {
		found[i] += kept[i] == object;
		found_freed += freed[i] == GC_HIDE_POINTER(object);
	}
}

TEST(walks_meet_what_is_small_but_not_what_is_free)
{
	GC_INIT();
	GC_disable();
	make_and_free();
	GC_enable();
	GC_gcollect();
	GC_alloc_lock();
	GC_enumerate_reachable_objects_inner(visit, NULL);
	GC_alloc_unlock();
	for (int i = 0; i < N; i++)
		CHECK_EQ(found[i], 1);
	CHECK_EQ(found_freed, 0);
}

TEST(marks_of_anything)
{
	char *p, *q;

	GC_INIT();
	p = GC_MALLOC(40);
	CHECK(!GC_is_marked(&p) && !GC_is_marked((void *)8));
	GC_gcollect();
	CHECK(GC_is_marked(p) && GC_is_marked(p + 20));
	q = GC_MALLOC(40);
	CHECK(!GC_is_marked(q));
	GC_gcollect();
	CHECK(GC_is_marked(q) && GC_is_marked(p));
}

TEST(free_cells_are_what_comes_next)
{
	char text[200] = "", *p, *next;
	int fd[2], out = dup(1);

	GC_INIT();
	p = GC_MALLOC(40);
	CHECK(p && !pipe2(fd, O_NONBLOCK) && dup2(fd[1], 1) == 1);
	GC_print_free_list(GC_I_NORMAL, 3);
	CHECK(dup2(out, 1) == 1 && read(fd[0], text, sizeof(text) - 1) > 0);
	if (sscanf(text, "Free object in heap block %*p [0]: %p", (void **)&next) != 1)
		FAIL("%s", text);
	CHECK(GC_MALLOC(40) == next && next != p);
}

TEST_MAIN
