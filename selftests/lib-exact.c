// SPDX-License-Identifier: GPL-2.0-only
/* Exact counts through the library: heaps whose only roots are registered. */
#include "raw.h"
#include <gcheap.h>

struct node {
	struct node *left, *right;
	uint64_t value;
};

static struct gcheap *heap;
static struct node *roots[8];

static void start(void)
{
	struct gcheap_options o = { .flags = GCHEAP_OPT_PRECISE_ONLY };

	heap = gcheap_open(&o);
	CHECK(heap);
	CHECK_EQ(gcheap_heap_hold(heap), 0);
	CHECK_EQ(gcheap_heap_root_add(heap, roots, sizeof(roots), GCHEAP_PRECISE, NULL), 0);
}

static uint64_t marked(void)
{
	struct gcheap_stats s;

	CHECK_EQ(gcheap_heap_thread_flush(heap), 0);
	CHECK_EQ(gcheap_heap_collect(heap), 0);
	CHECK_EQ(gcheap_heap_stats(heap, &s), 0);
	CHECK_EQ(gcheap_heap_verify(heap), 0);
	CHECK_EQ(s.live_objects, s.marked_objects);
	return s.marked_objects;
}

static struct node *tree(struct gcheap_cache *c, int depth)
{
	struct node *n = c ? gcheap_cache_alloc(c) : gcheap_heap_alloc(heap, sizeof(*n));

	CHECK(n);
	n->value = depth;
	if (depth) {
		n->left = tree(c, depth - 1);
		n->right = tree(c, depth - 1);
	}
	return n;
}

TEST(conservative)
{
	start();
	roots[0] = tree(NULL, 12);
	tree(NULL, 12);
	CHECK_EQ(marked(), 8191);
	roots[0]->left = NULL;
	CHECK_EQ(marked(), 4096);
	roots[0] = NULL;
	CHECK_EQ(marked(), 0);
	CHECK_EQ(gcheap_close(heap), 0);
}

TEST(typed)
{
	const uint64_t map = 3;
	const struct gcheap_layout l = { .fixed_words = 3, .length_word = GCHEAP_FILL,
					 .fixed_map = &map };
	struct gcheap_cache *c;

	start();
	c = gcheap_heap_cache_create(heap, sizeof(struct node), &l, GCHEAP_CACHE_EXACT);
	CHECK(c);
	CHECK(gcheap_cache_object_size(c) >= sizeof(struct node));
	roots[0] = tree(c, 12);
	roots[0]->value = (uintptr_t)tree(c, 5);	/* not a pointer word */
	CHECK_EQ(marked(), 8191);
	CHECK_EQ(gcheap_cache_destroy(c), -EBUSY);
	roots[0] = NULL;
	CHECK_EQ(marked(), 0);
	CHECK_EQ(gcheap_cache_destroy(c), 0);
}

TEST(shadow_stack)
{
	static void *stack[100];
	static void *top;

	start();
	top = stack;
	CHECK_EQ(gcheap_heap_root_add(heap, stack, sizeof(stack), GCHEAP_SHADOW | GCHEAP_PRECISE,
				      &top), 0);
	for (int i = 0; i < 100; i++)
		stack[i] = gcheap_heap_alloc(heap, 40);
	top = stack + 30;
	CHECK_EQ(marked(), 30);
	top = stack;
	CHECK_EQ(marked(), 0);
	CHECK_EQ(gcheap_heap_root_del(heap, stack, sizeof(stack)), 0);
}

TEST(many_heaps)
{
	struct gcheap_options o = { .flags = GCHEAP_OPT_PRECISE_ONLY, .heap_size = 64 << 20 };

	for (int round = 0; round < 3; round++) {
		struct gcheap *h[20];

		for (int i = 0; i < 20; i++) {
			h[i] = gcheap_open(&o);
			CHECK(h[i]);
			for (int k = 0; k < 1000; k++)
				CHECK(gcheap_heap_alloc(h[i], 50));
		}
		for (int i = 0; i < 20; i++) {
			CHECK_EQ(gcheap_heap_collect(h[i]), 0);
			CHECK_EQ(gcheap_close(h[i]), 0);
		}
	}
}

TEST_MAIN
