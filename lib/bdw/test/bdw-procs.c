// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Mark procedures, and functions that push roots: pointers that only they can find. */
#include "gone.h"
#include <gc/gc_inline.h>
#include <gc/gc_mark.h>
#include <pthread.h>

#define HIDE(p)		(~(uintptr_t)(p))
#define MAGIC		0x6d6f726520746f20ul
#define LINKS		3

/* What is in malloc()'s memory. */
struct more {
	unsigned long n;
	uintptr_t hidden[];
};

/* An object that a procedure marks; what is new or free has no magic. */
struct node {
	void *link;		/* of free ones; never used */
	unsigned long magic;
	struct more *more;
	uintptr_t hidden[LINKS];
};

static volatile unsigned long wrong_env;

static struct GC_ms_entry *push(uintptr_t hidden, struct GC_ms_entry *top,
				struct GC_ms_entry *limit)
{
	void *p = (void *)HIDE(hidden);

	return hidden ? GC_MARK_AND_PUSH(p, top, limit, NULL) : top;
}

static struct GC_ms_entry *mark_node(GC_word *object, struct GC_ms_entry *top,
				     struct GC_ms_entry *limit, GC_word env)
{
	const struct node *n = (struct node *)object;

	if (n->magic != MAGIC)
		return top;
	wrong_env += env != 77;
	for (int i = 0; i < LINKS; i++)
		top = push(n->hidden[i], top, limit);
	for (unsigned long i = 0; n->more && i < n->more->n; i++)
		top = push(n->more->hidden[i], top, limit);
	return top;
}

static int kind;

static void begin(void)
{
	unsigned int proc;

	GC_INIT();
	proc = GC_new_proc(mark_node);
	CHECK(proc > 0 && proc < GC_MAX_MARK_PROCS);
	kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(proc, 77), 0, 1);
}

static struct node *node(void)
{
	struct node *n = GC_generic_malloc(sizeof(*n), kind);

	CHECK(n && !n->magic && !n->more && !n->hidden[0]);
	n->magic = MAGIC;
	return n;
}

static struct more *more_of(unsigned long n)
{
	struct more *more = calloc(1, sizeof(*more) + n * sizeof(uintptr_t));

	more->n = n;
	return more;
}

/* Each with the only pointer to a leaf, in itself or elsewhere. */
static __attribute__((noinline)) void make(int elsewhere)
{
	new_sample();
	for (int i = 0; i < N; i++) {
		struct node *n = node();

		if (elsewhere) {
			n->more = more_of(1);
			n->more->hidden[0] = HIDE(leaf());
		} else {
			n->hidden[i % LINKS] = HIDE(leaf());
		}
		kept[i] = n;
	}
}

TEST(what_a_procedure_finds)
{
	begin();
	for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
		make(elsewhere);
		CHECK_EQ(gone_after_collections(), 0);
		drop();
		CHECK_GONE(gone_after_collections());
	}
	CHECK_EQ(wrong_env, 0);
}

/* All words of such an object that look like pointers are none. */
static __attribute__((noinline)) void make_plain(void)
{
	new_sample();
	for (int i = 0; i < N; i++) {
		struct node *n = node();

		n->hidden[0] = (uintptr_t)leaf();
		kept[i] = n;
	}
}

TEST(nothing_but_that)
{
	begin();
	make_plain();
	CHECK_GONE(gone_after_collections());
}

/* From one to the next, with ordinary objects in between, and a leaf at the end. */
static __attribute__((noinline)) void *make_chain(int length)
{
	void *head = leaf();

	while (length--) {
		struct node *n = node();
		void **cell = GC_MALLOC(16);

		n->hidden[0] = HIDE(head);
		cell[0] = n;
		head = cell;
	}
	return head;
}

static __attribute__((noinline)) void make_chains(void)
{
	new_sample();
	for (int i = 0; i < N; i++)
		kept[i] = make_chain(i ? i % 40 : 5000);
}

TEST(chains)
{
	begin();
	make_chains();
	CHECK_EQ(gone_after_collections(), 0);
	drop();
	CHECK_GONE(gone_after_collections());
}

static __attribute__((noinline)) void make_wide(void)
{
	struct node *n = node();

	new_sample();
	n->more = more_of(N);
	for (int i = 0; i < N; i++)
		n->more->hidden[i] = HIDE(leaf());
	kept[0] = n;
}

TEST(many_pointers_in_one)
{
	begin();
	make_wide();
	CHECK_EQ(gone_after_collections(), 0);
	((struct node *)kept[0])->more->n = 0;
	CHECK_GONE(gone_after_collections());
}

TEST(large_objects)
{
	struct node *n;

	begin();
	n = GC_generic_malloc(200000, kind);
	CHECK(n && !n->magic && GC_size(n) >= 200000);
	n->magic = MAGIC;
	kept[0] = n;
	new_sample();
	n->more = more_of(N);
	for (int i = 0; i < N; i++)
		n->more->hidden[i] = HIDE(leaf());
	CHECK_EQ(gone_after_collections(), 0);
}

/* From a list, the rest of which is not lost while the program has its first. */
static __attribute__((noinline)) void make_from_list(void)
{
	void *list = NULL;

	new_sample();
	for (int i = 0; i < N; i++) {
		struct node *n;

		if (!list) {
			GC_generic_malloc_many(64, kind, &list);
			if (i % 16 == 0)
				GC_gcollect();
		}
		CHECK(list);
		n = list;
		list = GC_NEXT(n);
		GC_NEXT(n) = NULL;
		n->magic = MAGIC;
		n->hidden[2] = HIDE(leaf());
		kept[i] = n;
	}
}

TEST(objects_from_a_list)
{
	begin();
	make_from_list();
	CHECK_EQ(gone_after_collections(), 0);
}

/* A free object's memory elsewhere is gone: its procedure does not see the object as it was. */
TEST(free_objects)
{
	begin();
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < N; i++) {
			struct node *n = node();

			n->more = more_of(4);
			kept[i] = n;
		}
		for (int i = 0; i < N; i++) {
			struct node *n = kept[i];
			struct more *more = n->more;

			GC_FREE(n);
			more->n = 1ul << 40;
			free(more);
		}
		GC_gcollect();
	}
}

/* ---- descriptors in objects */

static unsigned int late_proc;

static __attribute__((noinline)) void make_described(int how)
{
	new_sample();
	for (int i = 0; i < N; i++) {
		uintptr_t *p = GC_generic_malloc(sizeof(struct node), kind);
		struct node *n = (struct node *)p;

		n->magic = MAGIC;
		n->hidden[0] = how ? (uintptr_t)leaf() : HIDE(leaf());
		if (how == 2)
			p[0] = 1ul << 60 | GC_DS_BITMAP;
		else
			p[0] = how ? sizeof(*n) | GC_DS_LENGTH : GC_MAKE_PROC(late_proc, 77);
		kept[i] = n;
	}
}

TEST(descriptors_in_objects)
{
	begin();
	late_proc = GC_new_proc(mark_node);
	kind = GC_new_kind(GC_new_free_list(), GC_DS_PER_OBJECT, 0, 1);
	for (int how = 0; how < 3; how++) {
		make_described(how);
		CHECK_EQ(gone_after_collections(), 0);
		drop();
		CHECK_GONE(gone_after_collections());
	}
}

/* ---- finalizers: what an object leads to is there when its finalizer runs */

static int finalized;

static void finalize(void *object, void *data)
{
	const struct node *n = object;

	for (unsigned long i = 0; i < n->more->n; i++) {
		const unsigned long *p = (void *)HIDE(n->more->hidden[i]);

		CHECK_EQ(p[0], i + 1);
		CHECK_EQ(p[7], ~i);
	}
	finalized++;
}

static __attribute__((noinline)) void make_finalizable(void)
{
	for (int i = 0; i < N; i++) {
		struct node *n = node();

		n->more = more_of(10);
		for (unsigned long k = 0; k < 10; k++) {
			unsigned long *p = GC_MALLOC(64);

			p[0] = k + 1;
			p[7] = ~k;
			n->more->hidden[k] = HIDE(p);
		}
		GC_REGISTER_FINALIZER_NO_ORDER(n, finalize, NULL, NULL, NULL);
	}
}

TEST(finalizers)
{
	begin();
	make_finalizable();
	gone_after_collections();
	if (finalized < N * 3 / 4)
		FAIL("%d of %d", finalized, N);
}

/* ---- roots */

static struct more *roots;
static GC_push_other_roots_proc before;
static int pushed, how;

static void GC_CALLBACK push_roots(void)
{
	void *low = roots->hidden, *end = roots->hidden + roots->n;

	pushed++;
	if (before)
		before();
	if (how == 0)
		GC_push_all(low, end);
	else if (how == 1)
		GC_push_all_eager(low, end);
	else
		GC_push_conditional(low, end, 1);
}

static __attribute__((noinline)) void make_rooted(void)
{
	new_sample();
	for (int i = 0; i < N; i++) {
		void **p = GC_MALLOC(32);

		*p = leaf();
		roots->hidden[i] = (uintptr_t)p;	/* as it is */
	}
}

TEST(roots_elsewhere)
{
	roots = more_of(N);
	GC_INIT();
	before = GC_get_push_other_roots();
	GC_set_push_other_roots(push_roots);
	CHECK(GC_get_push_other_roots() == push_roots);
	for (how = 0; how < 3; how++) {
		memset(roots->hidden, 0, N * sizeof(uintptr_t));
		make_rooted();
		CHECK_EQ(gone_after_collections(), 0);
		CHECK(pushed > 0);
	}
	roots->n = 0;
	CHECK_GONE(gone_after_collections());
	GC_set_push_other_roots(before);
	pushed = 0;
	GC_gcollect();
	CHECK_EQ(pushed, 0);
}

/* As programs do that are older than the calls. */
extern GC_push_other_roots_proc GC_push_other_roots;

TEST(roots_by_assignment)
{
	roots = more_of(N);
	GC_INIT();
	before = GC_push_other_roots;
	CHECK(before);
	GC_push_other_roots = push_roots;
	make_rooted();
	CHECK_EQ(gone_after_collections(), 0);
	CHECK(pushed > 0);
	roots->n = 0;
	CHECK_GONE(gone_after_collections());
}

static uintptr_t hidden[N];

static void GC_CALLBACK push_bits(void)
{
	if (before)
		before();
	for (int i = 0; i < N && hidden[i]; i++) {
		void *p = (void *)HIDE(hidden[i]);

		GC_set_mark_bit(p);
		GC_push_all(p, (char *)p + 32);
	}
}

static __attribute__((noinline)) void make_hidden(void)
{
	new_sample();
	for (int i = 0; i < N; i++) {
		void **p = GC_MALLOC(32);

		p[3] = leaf();
		hidden[i] = HIDE(p);
	}
}

TEST(mark_bits)
{
	GC_INIT();
	before = GC_get_push_other_roots();
	GC_set_push_other_roots(push_bits);
	make_hidden();
	CHECK_EQ(gone_after_collections(), 0);
	for (int i = 0; i < N; i++)
		CHECK(GC_base((void *)HIDE(hidden[i])) == (void *)HIDE(hidden[i]));
	hidden[0] = 0;
	CHECK_GONE(gone_after_collections());
}

/* ---- all of it, while others allocate */

#define THREADS		4
#define SLOTS		300

static volatile int over;

static struct more *tables[THREADS];

static void GC_CALLBACK push_tables(void)
{
	if (before)
		before();
	for (int t = 0; t < THREADS; t++)
		GC_push_all(tables[t]->hidden, tables[t]->hidden + SLOTS / 2);
}

static __attribute__((noinline)) void turn(struct node *n, struct more *table, unsigned int *seed)
{
	unsigned int i = rand_r(seed) % SLOTS;
	uintptr_t *slot = i < SLOTS / 2 ? &table->hidden[i] : &n->more->hidden[i];
	unsigned long *p = (void *)(i < SLOTS / 2 ? *slot : *slot ? HIDE(*slot) : 0);

	if (p) {
		CHECK_EQ(p[0], i);
		CHECK_EQ(p[7], ~(unsigned long)i);
	}
	p = GC_MALLOC(64);
	p[0] = i;
	p[7] = ~(unsigned long)i;
	*slot = i < SLOTS / 2 ? (uintptr_t)p : HIDE(p);
}

static void *mutate(void *arg)
{
	int t = (long)arg;
	struct node *n = node();
	unsigned int seed = t;

	n->more = more_of(SLOTS);
	kept[t] = n;
	while (!over)
		turn(n, tables[t], &seed);
	return NULL;
}

TEST(threads)
{
	int cycles = tap_times(400);
	pthread_t id[THREADS];

	begin();
	for (int t = 0; t < THREADS; t++)
		tables[t] = more_of(SLOTS);
	before = GC_get_push_other_roots();
	GC_set_push_other_roots(push_tables);
	for (long t = 0; t < THREADS; t++)
		CHECK_EQ(pthread_create(&id[t], NULL, mutate, (void *)t), 0);
	for (int i = 0; i < cycles; i++)
		GC_gcollect();
	over = 1;
	for (int t = 0; t < THREADS; t++)
		pthread_join(id[t], NULL);
	CHECK(GC_get_gc_no() >= (unsigned long)cycles);
	CHECK_EQ(wrong_env, 0);
}

/* ---- numbers */

TEST(many_procedures)
{
	unsigned int last = 0, n;

	GC_INIT();
	for (int i = 0; i < 40; i++) {
		n = GC_new_proc(mark_node);
		CHECK(n > last && n < GC_MAX_MARK_PROCS);
		last = n;
	}
}

TEST(bounds_of_the_heap)
{
	void *p;

	begin();
	for (int i = 0; i < 1000; i++) {
		p = GC_MALLOC(1 << i % 20);
		CHECK(p >= GC_least_plausible_heap_addr && p <= GC_greatest_plausible_heap_addr);
	}
}

TEST_MAIN
