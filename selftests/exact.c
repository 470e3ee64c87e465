// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nothing reachable is lost and everything unreachable is freed, to the object:
 * heaps with registered ranges as their only roots, all spans given back first.
 */
#include "raw.h"

struct node {
	struct node *left, *right;
	uint64_t id, sum;
};

static struct raw h;
static unsigned int cache;
static struct node *roots[64];

static void start(unsigned int layout)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	cache = layout == GCHEAP_TYPED ? raw_typed(&h, 4, 3, 0) :
		raw_cache(&h, layout, sizeof(struct node));
	raw_root(&h, GCHEAP_ROOT_PRECISE, roots, sizeof(roots), NULL);
}

static struct node *node(struct node *left, struct node *right, uint64_t id)
{
	struct node *n = raw_take(&h, cache);

	n->left = left;
	n->right = right;
	n->id = id;
	n->sum = id * 0x9e3779b97f4a7c15ull;
	return n;
}

static struct node *tree(int depth)
{
	return depth ? node(tree(depth - 1), tree(depth - 1), depth) : node(NULL, NULL, 0);
}

static uint64_t count(struct node *n)
{
	if (!n)
		return 0;
	CHECK_EQ(n->sum, n->id * 0x9e3779b97f4a7c15ull);
	return 1 + count(n->left) + count(n->right);
}

static void expect(uint64_t objects)
{
	struct gcheap_status s;

	raw_flush(&h);
	raw_collect(&h);
	s = raw_status(&h);
	CHECK_EQ(s.marked_objects, objects);
	CHECK_EQ(s.live_objects, objects);
	CHECK_EQ(s.marked_bytes, objects * sizeof(struct node));
	CHECK_EQ(s.live_bytes, objects * sizeof(struct node));
	raw_verify(&h);
}

TEST(trees_conservative)
{
	start(GCHEAP_CONSERVATIVE);
	expect(0);
	roots[0] = tree(14);			/* 2^15 - 1 */
	expect(32767);
	roots[1] = tree(10);
	tree(12);				/* garbage at once */
	expect(32767 + 2047);
	roots[0]->left = NULL;
	expect(16384 + 2047);
	CHECK_EQ(count(roots[0]), 16384);
	roots[0] = roots[0]->right->left;	/* depth 12 */
	expect(8191 + 2047);
	CHECK_EQ(count(roots[0]), 8191);
	roots[0] = roots[1] = NULL;
	expect(0);
}

TEST(trees_typed)
{
	start(GCHEAP_TYPED);
	roots[0] = tree(14);
	tree(13);
	expect(32767);
	roots[1] = roots[0]->left;
	roots[0] = NULL;
	expect(16383);
	CHECK_EQ(count(roots[1]), 16383);
	roots[1] = NULL;
	expect(0);
}

TEST(cycles_and_sharing)
{
	struct node *n, *first;

	start(GCHEAP_CONSERVATIVE);
	for (int ring = 0; ring < 64; ring++) {
		n = first = node(NULL, NULL, ring);
		for (int i = 1; i < 100; i++)
			n = node(n, first, i);
		first->left = n;
		first->right = first;
		roots[ring] = ring & 1 ? n : NULL;
	}
	expect(32 * 100);
	/* All rings hang on one object. */
	for (int ring = 3; ring < 64; ring += 2) {
		roots[ring]->right = roots[1];
		roots[1] = roots[ring];
		roots[ring] = NULL;
	}
	expect(32 * 100);
	roots[1] = NULL;
	expect(0);
}

TEST(long_list)
{
	start(GCHEAP_TYPED);
	for (int i = 0; i < 200000; i++)
		roots[0] = node(roots[0], NULL, i);
	expect(200000);
	for (int i = 0; i < 100000; i++)
		roots[0] = roots[0]->left;
	expect(100000);
}

/* What looks like references in objects without any keeps nothing. */
TEST(noscan)
{
	start(GCHEAP_NOSCAN);
	roots[0] = tree(10);
	expect(1);
	CHECK_EQ(roots[0]->id, 10);
}

/* References to the inside, and words that are nearly references. */
TEST(interior_and_almost)
{
	struct node *a, *b;

	start(GCHEAP_CONSERVATIVE);
	a = node(NULL, NULL, 1);
	b = node(NULL, NULL, 2);
	roots[0] = (void *)((char *)a + 31);
	expect(1);
	a->left = (void *)((char *)a + 8);	/* itself */
	a->right = (void *)(h.base + h.setup.heap_size - 8);
	expect(1);
	a->right = (void *)((uintptr_t)a | 1ull << 63);
	a->left = (void *)(h.base - 8);
	expect(1);
	(void)b;
	roots[0] = (void *)HIDE(a);
	expect(0);
}

/* Many cycles over a structure that changes: the counts follow. */
TEST(churn)
{
	uint64_t seed = raw_seed(), want;

	start(GCHEAP_TYPED);
	for (int round = 0; round < 30; round++) {
		want = 0;
		for (int i = 0; i < 64; i++) {
			switch (rnd(&seed) % 4) {
			case 0:
				roots[i] = NULL;
				break;
			case 1:
				roots[i] = tree(rnd(&seed) % 9);
				break;
			case 2:
				if (roots[i])
					roots[i] = node(roots[i], NULL, i);
				break;
			}
		}
		for (int i = 0; i < 64; i++)
			want += count(roots[i]);
		expect(want);
	}
}

enum { PER_THREAD = 500 };

/* Every fifth node goes onto a list. */
static void *worker(void *arg)
{
	struct node *n;

	raw_attach(&h);
	for (int i = 0; i < PER_THREAD; i++) {
		n = node(NULL, NULL, i);
		if (i % 5 == 0) {
			n->left = roots[(long)arg];
			roots[(long)arg] = n;
		}
	}
	raw_detach(&h);
	return NULL;
}

TEST(every_thread_gives_back)
{
	struct raw_batch *mine;
	unsigned int thread;
	pthread_t t[8];

	start(GCHEAP_TYPED);
	mine = raw_batches[raw_thread];
	thread = raw_thread;
	for (long i = 0; i < 8; i++)
		t[i] = spawn(worker, (void *)i);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	raw_thread = thread;
	raw_batches[raw_thread] = mine;
	expect(8 * PER_THREAD / 5);
}

TEST_MAIN
