// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Mark procedures in forked children: only they can follow a chain. */
#define GC_THREADS
#include "../../../selftests/tap.h"
#include <gc/gc.h>
#include <gc/gc_mark.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LENGTH	400
#define MAGIC	0x6d6f726520746f20ul

/* What is new or free has no magic. */
struct node {
	void *link;		/* of free ones; never used */
	unsigned long magic;
	uintptr_t hidden;
	unsigned long value;
};

static struct node *list;
static int kind;
static bool stop;

static void *seen(uintptr_t hidden)
{
	return hidden ? (void *)~hidden : NULL;
}

static struct GC_ms_entry *mark_node(GC_word *object, struct GC_ms_entry *top,
				     struct GC_ms_entry *limit, GC_word env)
{
	const struct node *n = (struct node *)object;
	void *next = seen(n->hidden);

	return n->magic == MAGIC && next ? GC_MARK_AND_PUSH(next, top, limit, NULL) : top;
}

static __attribute__((noinline)) struct node *chain(void)
{
	struct node *head = NULL, *n;

	for (unsigned long i = LENGTH; i-- > 0;) {
		n = GC_generic_malloc(sizeof(*n), kind);
		CHECK(n && !n->magic && !n->hidden);
		n->magic = MAGIC;
		n->hidden = head ? ~(uintptr_t)head : 0;
		n->value = i;
		head = n;
	}
	return head;
}

static void whole(const struct node *n)
{
	unsigned long i;

	for (i = 0; n; i++) {
		CHECK_EQ(n->magic, MAGIC);
		CHECK_EQ(n->value, i);
		n = seen(n->hidden);
	}
	CHECK_EQ(i, LENGTH);
}

static void begin(void)
{
	GC_set_handle_fork(1);
	GC_INIT();
	GC_allow_register_threads();
	kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(mark_node), 0), 0, 1);
	list = chain();
}

/* What has been lost is handed out again, and cleared. */
static void use(void)
{
	for (int i = 0; i < 2; i++) {
		GC_gcollect();
		for (int n = 0; n < 3; n++)
			chain();
		whole(list);
	}
}

static void in_child(void (*run)(void))
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		run();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void nothing(void)
{
}

static void allocates_first(void)
{
	for (int i = 0; i < 20000; i++)
		CHECK(GC_MALLOC(64));
	whole(list);
	use();
}

static void has_a_child(void)
{
	in_child(use);
	use();
	in_child(use);
}

TEST(children_and_grandchildren)
{
	begin();
	in_child(nothing);
	in_child(use);
	in_child(allocates_first);
	in_child(has_a_child);
	use();
}

static void *collects(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		GC_gcollect();
		chain();
	}
	return arg;
}

TEST(while_others_collect)
{
	pthread_t t;

	begin();
	CHECK_EQ(pthread_create(&t, NULL, collects, NULL), 0);
	for (int i = 0; i < 5; i++)
		in_child(i % 2 ? use : nothing);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	CHECK_EQ(pthread_join(t, NULL), 0);
	use();
}

/* A procedure that the child adds, for which it has to have a thread. */
static struct GC_ms_entry *mark_other(GC_word *object, struct GC_ms_entry *top,
				      struct GC_ms_entry *limit, GC_word env)
{
	return mark_node(object, top, limit, env);
}

static void adds_one(void)
{
	int before = kind;

	kind = GC_new_kind(GC_new_free_list(), GC_MAKE_PROC(GC_new_proc(mark_other), 0), 0, 1);
	CHECK(kind > before);
	list = chain();
	use();
}

TEST(another_procedure)
{
	begin();
	in_child(adds_one);
	adds_one();
}

/* ---- toggle-refs, which pauses ask about as well */

static GC_ToggleRefStatus GC_CALLBACK is_strong(void *object)
{
	return *(unsigned long *)object == MAGIC ? GC_TOGGLE_REF_STRONG : GC_TOGGLE_REF_DROP;
}

static uintptr_t toggled[100];

static void has_toggled(void)
{
	for (int i = 0; i < 2; i++) {
		GC_gcollect();
		chain();
	}
	for (int i = 0; i < 100; i++) {
		unsigned long *p = (unsigned long *)~toggled[i];

		CHECK_EQ(p[0], MAGIC);
		CHECK_EQ(p[1], i);
	}
}

static void has_a_child_with_toggled(void)
{
	in_child(has_toggled);
	has_toggled();
}

TEST(toggle_refs)
{
	begin();
	GC_set_toggleref_func(is_strong);
	for (int i = 0; i < 100; i++) {
		unsigned long *p = GC_MALLOC(64);

		p[0] = MAGIC;
		p[1] = i;
		toggled[i] = ~(uintptr_t)p;
		CHECK_EQ(GC_toggleref_add(p, 1), GC_SUCCESS);
	}
	in_child(has_a_child_with_toggled);
	has_toggled();
}

TEST_MAIN
