// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * The calls that most programs make. The test is of the ABI, so nothing but gc.h is used.
 */
#include "../../../selftests/tap.h"
#define GC_THREADS
#include <gc/gc.h>

#define N	200

struct node {
	struct node *next;
	long value;
	long rest[4];
};

static struct node *in_bss;

static struct node *make_chain(long n)
{
	struct node *chain = NULL;

	while (n--) {
		struct node *node = GC_MALLOC(sizeof(*node));

		CHECK(node && !node->next && !node->value && !node->rest[3]);
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

TEST(chains_survive_and_the_heap_stays_small)
{
	GC_INIT();
	in_bss = make_chain(20000);
	for (int i = 0; i < 100; i++)
		check_chain(make_chain(10000), 10000);
	check_chain(in_bss, 20000);
	diag("%lu collections, heap %zu KiB of %zu KiB allocated", (long)GC_get_gc_no(),
	     GC_get_heap_size() >> 10, GC_get_total_bytes() >> 10);
	CHECK(GC_get_gc_no() > 3);
	CHECK(GC_get_heap_size() < GC_get_total_bytes() / 2);
}

static void *thread(void *arg)
{
	struct node *kept = make_chain((long)arg);

	for (int i = 0; i < 20; i++)
		check_chain(make_chain(2000), 2000);
	return kept;
}

TEST(threads)
{
	pthread_t t[4];
	void *result;

	GC_INIT();
	for (long i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, thread, (void *)(5000 + i)), 0);
	usleep(100000);
	GC_gcollect();
	for (long i = 0; i < 4; i++) {
		CHECK_EQ(pthread_join(t[i], &result), 0);
		GC_gcollect();
		check_chain(result, 5000 + i);
	}
}

/* Addresses that no one but the collector knows. */
static unsigned long hidden[N];

static void hide(int i, void *p)
{
	hidden[i] = ~(unsigned long)p;
}

static void *seek(int i)
{
	return (void *)~hidden[i];
}

TEST(uncollectable_objects_stay)
{
	GC_INIT();
	for (int i = 0; i < N; i++) {
		struct node *node = GC_MALLOC_UNCOLLECTABLE(sizeof(*node));

		node->next = make_chain(10);
		hide(i, node);
	}
	for (int round = 0; round < 3; round++) {
		GC_gcollect();
		make_chain(20000);
	}
	for (int i = 0; i < N; i++) {
		check_chain(((struct node *)seek(i))->next, 10);
		GC_FREE(seek(i));
	}
}

static int finalized;

static void finalize(void *object, void *data)
{
	CHECK(((struct node *)object)->value == 42);
	CHECK(!strcmp(data, "data"));
	finalized++;
}

TEST(finalizers)
{
	GC_INIT();
	for (int i = 0; i < N; i++) {
		struct node *node = GC_MALLOC(sizeof(*node));

		node->value = 42;
		GC_REGISTER_FINALIZER_NO_ORDER(node, finalize, GC_STRDUP("data"), NULL, NULL);
	}
	for (int round = 0; round < 3; round++) {
		GC_gcollect();
		make_chain(20000);
		GC_invoke_finalizers();
	}
	diag("%d of %d", finalized, N);
	CHECK(finalized >= N * 3 / 4 && finalized <= N);
}

static int notified;

static void GC_CALLBACK notifier(void)
{
	notified++;
}

TEST(finalizers_on_demand)
{
	int before;

	GC_set_finalize_on_demand(1);
	GC_set_finalizer_notifier(notifier);
	GC_INIT();
	for (int round = 0; round < 3; round++) {
		struct node *node = NULL;

		for (int i = 0; i < N; i++) {
			node = GC_MALLOC(sizeof(*node));
			node->value = 42;
			GC_REGISTER_FINALIZER_NO_ORDER(node, finalize, "data", NULL, NULL);
		}
		before = notified;
		GC_gcollect();
		make_chain(20000);
		CHECK(notified > before && notified <= (int)GC_get_gc_no());
		CHECK(!finalized && GC_should_invoke_finalizers());
		CHECK(GC_invoke_finalizers() >= N / 2);
		CHECK(finalized >= N / 2);
		finalized = 0;
	}
}

TEST(roots_that_are_added)
{
	static struct node *table;
	struct node **memory = malloc(16 * sizeof(*memory));

	GC_INIT();
	GC_add_roots(memory, memory + 16);
	for (int i = 0; i < 16; i++)
		memory[i] = make_chain(100);
	table = NULL;
	for (int round = 0; round < 3; round++) {
		GC_gcollect();
		table = make_chain(20000);
	}
	for (int i = 0; i < 16; i++)
		check_chain(memory[i], 100);
	check_chain(table, 20000);
}

TEST(realloc_and_sizes)
{
	char *p = GC_MALLOC_ATOMIC(10), *volatile q;

	memset(p, 'x', 10);
	for (size_t n = 11; n < 300000; n = n * 3 / 2) {
		p = GC_REALLOC(p, n);
		CHECK(p && GC_size(p) >= n && GC_base(p + n / 2) == p);
		for (int i = 0; i < 10; i++)
			CHECK_EQ(p[i], 'x');
		q = GC_MALLOC(n);
		CHECK(q);
	}
	GC_FREE(p);
}

static int GC_CALLBACK go_on(void)
{
	return 0;
}

static int GC_CALLBACK stop_here(void)
{
	return 1;
}

TEST(disabled)
{
	GC_word before;

	GC_INIT();
	GC_disable();
	before = GC_get_gc_no();
	for (int i = 0; i < 30; i++)
		make_chain(10000);
	CHECK_EQ(GC_get_gc_no(), before);
	GC_gcollect();
	GC_gcollect_and_unmap();
	CHECK(!GC_try_to_collect(go_on));
	CHECK_EQ(GC_get_gc_no(), before);
	GC_enable();
	CHECK(!GC_try_to_collect(stop_here));
	CHECK_EQ(GC_get_gc_no(), before);
	CHECK(GC_try_to_collect(go_on));
	CHECK(GC_get_gc_no() > before);
	before = GC_get_gc_no();
	for (int i = 0; i < 300 && GC_get_gc_no() == before; i++)
		make_chain(10000);
	CHECK(GC_get_gc_no() > before);
}

TEST_MAIN
