// SPDX-License-Identifier: GPL-2.0-only
/*
 * fork() of programs with a heap: the child goes on with one like its parent's, whatever
 * other threads, finalizers, collections and further forks do meanwhile.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "cgroup.h"
#include "lib.h"
#include "proc.h"

#define MAGIC	0x9e3779b97f4a7c15ull
#define READ_ONCE(x)	__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELAXED)

struct node {
	struct node *next;
	uint64_t value, check;
};

static struct node *list;	/* a root, being data */

static struct node *push(struct node *next, uint64_t value)
{
	struct node *n = gcheap_alloc(sizeof(*n));

	CHECK(n);
	n->value = value;
	n->check = value * MAGIC;
	n->next = next;
	return n;
}

static void make(unsigned int length)
{
	while (length--)
		list = push(list, length);
}

/* Whether all are there as they were made; their number. */
static uint64_t whole(const struct node *n)
{
	uint64_t length = 0;

	for (; n; n = n->next, length++)
		CHECK_EQ(n->check, n->value * MAGIC);
	return length;
}

static void intact(unsigned int length)
{
	const struct node *n;
	unsigned int i = 0;

	for (n = list; n; n = n->next, i++)
		CHECK_EQ(n->value, i);
	CHECK_EQ(i, length);
	CHECK_EQ(whole(list), length);
}

static void garbage(unsigned int n)
{
	while (n--)
		memset(gcheap_alloc(sizeof(struct node)), 0xa5, sizeof(struct node));
}

/* Use the heap in every way. */
static void use(unsigned int length)
{
	struct node *was = list;

	garbage(length);
	CHECK_EQ(gcheap_collect(), 0);
	intact(length);
	list = push(list, 0);
	garbage(length);
	CHECK_EQ(gcheap_compact(), 0);
	list = list->next;
	CHECK(list == was);
	intact(length);
	CHECK_EQ(gcheap_verify(), 0);
}

static void await(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static pid_t forked(void (*run)(void *arg), void *arg)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid)
		return pid;
	run(arg);
	_exit(0);
}

static void in_child(void (*run)(void *arg), void *arg)
{
	await(forked(run, arg));
}

/* ---- a child goes on */

#define LENGTH	2000

static void uses(void *arg)
{
	intact(LENGTH);
	use(LENGTH);
}

TEST(child_goes_on)
{
	make(LENGTH);
	in_child(uses, NULL);
	intact(LENGTH);
	use(LENGTH);
}

static void has_children(void *arg)
{
	uintptr_t left = (uintptr_t)arg;

	use(LENGTH);
	if (left)
		in_child(has_children, (void *)(left - 1));
	use(LENGTH);
}

TEST(grandchildren)
{
	make(LENGTH);
	in_child(has_children, (void *)3);
	use(LENGTH);
}

TEST(parent_exits_first)
{
	int p[2];
	char byte;
	pid_t pid;

	CHECK_EQ(pipe(p), 0);
	make(LENGTH);
	pid = fork();
	if (!pid) {
		if (fork())
			_exit(0);
		while (getppid() == pid)
			usleep(1000);
		use(LENGTH);
		CHECK_EQ(write(p[1], "", 1), 1);
		_exit(0);
	}
	await(pid);
	CHECK_EQ(read(p[0], &byte, 1), 1);
	intact(LENGTH);
}

/* What either does the other does not see. */
static void changes(void *arg)
{
	struct node *n;

	for (n = list; n; n = n->next)
		n->value = ~n->value;
	list->next = NULL;
	CHECK_EQ(gcheap_collect(), 0);
	for (n = list; n; n = n->next)
		CHECK(n->value > LENGTH);
}

TEST(neither_sees_the_other)
{
	pid_t pid;

	make(LENGTH);
	pid = forked(changes, NULL);
	for (int i = 0; i < 20; i++)
		intact(LENGTH);
	await(pid);
	use(LENGTH);
}

static void makes_threads(void *arg);

static void *allocates_some(void *arg)
{
	struct node *own = NULL;

	for (int i = 0; i < 5000; i++)
		own = push(i % 1000 ? own : NULL, i);
	CHECK_EQ(whole(own), 1000);
	return own;
}

static void makes_threads(void *arg)
{
	pthread_t t[4];
	void *result;

	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, allocates_some, NULL), 0);
	CHECK_EQ(gcheap_collect(), 0);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(pthread_join(t[i], &result), 0);
		CHECK_EQ(whole(result), 1000);
	}
	use(LENGTH);
}

TEST(threads_of_the_child)
{
	make(LENGTH);
	in_child(makes_threads, NULL);
	makes_threads(NULL);
	in_child(makes_threads, NULL);
}

/* ---- what is in it */

#define KINDS	180

static struct gcheap_cache *movable;
static void **table;
static char *large;
static struct gcheap_weak *weak[2];
static struct gcheap_ephemeron *pair;

static __attribute__((noinline)) void make_kinds(void)
{
	static const uint64_t all = 3;
	struct gcheap_layout layout = { .fixed_words = 2, .fixed_map = &all };

	movable = gcheap_cache_create(16, &layout, GCHEAP_CACHE_MOVABLE);
	CHECK(movable);
	table = gcheap_alloc(4000 * sizeof(void *));
	for (int i = 0; i < KINDS * 8; i++) {
		void **p = gcheap_cache_alloc(movable);

		p[0] = p;
		p[1] = table;
		table[i / 8] = i % 8 ? table[i / 8] : p;
	}
	large = gcheap_alloc(3 << 20);
	for (int i = 0; i < 3 << 20; i += 1000)
		large[i] = i / 1000;
	weak[0] = gcheap_weak_create(table);
	weak[1] = gcheap_weak_create(gcheap_alloc(100));
	pair = gcheap_ephemeron_create(table, gcheap_alloc(100));
	CHECK_EQ(gcheap_pin(large), 0);
}

static void check_kinds(void *arg)
{
	void *value;

	for (int i = 0; i < KINDS; i++) {
		void **p = table[i];

		CHECK(p[0] == p && p[1] == table);
	}
	for (int i = 0; i < 3 << 20; i += 1000)
		CHECK_EQ(large[i], (char)(i / 1000));
	CHECK(gcheap_weak_get(weak[0]) == table);
	CHECK(gcheap_ephemeron_get(pair, &value) == table);
	CHECK_EQ(gcheap_size(value), 111);
	CHECK(gcheap_size(large) >= 3 << 20);
	CHECK_EQ(gcheap_verify(), 0);
	CHECK_EQ(gcheap_compact(), 0);
	for (int i = 0; i < KINDS; i++) {
		void **p = table[i];

		CHECK(p[0] == p && p[1] == table);
	}
	CHECK(gcheap_weak_get(weak[0]) == table);
	CHECK(gcheap_cache_alloc(movable));
	large = gcheap_realloc(large, 5 << 20);
	for (int i = 0; i < 3 << 20; i += 1000)
		CHECK_EQ(large[i], (char)(i / 1000));
	CHECK_EQ(gcheap_verify(), 0);
}

TEST(objects_of_all_kinds)
{
	make_kinds();
	in_child(check_kinds, NULL);
	wipe_stack();
	CHECK_EQ(gcheap_compact(), 0);
	in_child(check_kinds, NULL);
	check_kinds(NULL);
	in_child(check_kinds, NULL);
}

/* Pages of a sparse heap share memory; the child's do too. */
static struct gcheap_stats now(void)
{
	struct gcheap_stats s;

	CHECK_EQ(gcheap_stats(&s), 0);
	return s;
}

#define SPARSE	6000

static uint64_t **sparse;

/* One of sixteen, here and there. */
static __attribute__((noinline)) void make_sparse(void)
{
	sparse = gcheap_alloc(SPARSE * sizeof(void *));
	for (unsigned int i = 0; i < SPARSE; i++) {
		unsigned int k = rand() % 16;

		for (unsigned int j = 0; j < 16; j++) {
			uint64_t *p = gcheap_alloc(48);

			p[0] = i;
			sparse[i] = j == k ? p : sparse[i];
		}
	}
}

static void sparse_is_whole(void)
{
	for (uint64_t i = 0; i < SPARSE; i++)
		CHECK_EQ(sparse[i][0], i);
}

static void check_sparse(void *arg)
{
	const struct gcheap_stats *was = arg;

	CHECK_EQ(now().meshed_bytes, was->meshed_bytes);
	CHECK(now().resident_bytes <= was->resident_bytes);
	sparse_is_whole();
	garbage(SPARSE * 16);
	CHECK_EQ(gcheap_collect(), 0);
	CHECK_EQ(gcheap_verify(), 0);
	sparse_is_whole();
	CHECK_EQ(gcheap_compact(), 0);
	sparse_is_whole();
	CHECK_EQ(gcheap_verify(), 0);
}

TEST(pages_that_share_memory)
{
	struct gcheap_stats s;

	make_sparse();
	wipe_stack();
	CHECK_EQ(gcheap_compact(), 0);
	s = now();
	CHECK(s.meshed_bytes > s.resident_bytes / 2);
	in_child(check_sparse, &s);
	CHECK_EQ(now().meshed_bytes, s.meshed_bytes);
	check_sparse(&s);
}

static void *unmaps(void *arg)
{
	struct gcheap_map m;

	CHECK_EQ(gcheap_map(NULL, &m), 0);
	usleep((uintptr_t)arg);
	CHECK_EQ(munmap(m.heap, m.heap_size), 0);
	return NULL;
}

/* Nothing of the heap may be touched; the child has one, or is told. */
static void unmaps_and_forks(void *arg)
{
	pthread_t thread;
	pid_t pid;

	CHECK_EQ(gcheap_verify(), 0);
	CHECK_EQ(pthread_create(&thread, NULL, unmaps, arg), 0);
	pid = fork();
	if (!pid) {
		gcheap_verify();
		_exit(0);
	}
	/* Or there was no heap any more when that began. */
	if (pid > 0)
		await(pid);
	_exit(0);
}

/* What says who shares a frame is there until it has been read. */
TEST(unmapped_while_it_is_copied)
{
	make_sparse();
	wipe_stack();
	CHECK_EQ(gcheap_compact(), 0);
	CHECK(now().meshed_bytes > now().resident_bytes / 2);
	for (uintptr_t i = 0; i < 6; i++)
		in_child(unmaps_and_forks, (void *)(i * 3000));
	sparse_is_whole();
	CHECK_EQ(gcheap_verify(), 0);
}

/* ---- finalizers */

static int ran;
static void *kept[100];

static void counts(void *object, void *data)
{
	ran += *(int *)data;
}

static __attribute__((noinline)) void make_finalizers(int n)
{
	for (int i = 0; i < n; i++) {
		int *one = gcheap_alloc(sizeof(*one));

		*one = 1;
		kept[i] = gcheap_alloc(50);
		CHECK_EQ(gcheap_finalizer_set(kept[i], counts, one), 0);
	}
}

/* All of them, once, but for what stale words may keep. */
static void runs_finalizers(void *arg)
{
	int before = ran;

	memset(kept, 0, sizeof(kept));
	for (int i = 0; i < 3; i++) {
		wipe_stack();
		CHECK_EQ(gcheap_collect(), 0);
		gcheap_finalizers_run();
	}
	CHECK(ran - before > 90 && ran - before <= 100);
	ran = before;
}

TEST(finalizers_are_due_in_both)
{
	gcheap_finalizers_on_demand(1);
	make_finalizers(100);
	in_child(runs_finalizers, NULL);
	CHECK_EQ(ran, 0);
	memset(kept, 0, sizeof(kept));
	wipe_stack();
	CHECK_EQ(gcheap_collect(), 0);
	CHECK(now().finalizers_ready > 90);
	in_child(runs_finalizers, NULL);
	runs_finalizers(NULL);
}

/* A finalizer forks: both go on with the rest. */
static pid_t finalizer_child = -1;

static void forks(void *object, void *data)
{
	ran++;
	if (finalizer_child < 0)
		finalizer_child = fork();
}

static __attribute__((noinline)) void make_forking(int n)
{
	while (n--)
		CHECK_EQ(gcheap_finalizer_set(gcheap_alloc(20), forks, NULL), 0);
}

TEST(a_finalizer_forks)
{
	gcheap_finalizers_on_demand(1);
	make_forking(100);
	for (int i = 0; i < 2; i++) {
		wipe_stack();
		CHECK_EQ(gcheap_collect(), 0);
		gcheap_finalizers_run();
	}
	CHECK(finalizer_child >= 0);
	CHECK(ran > 90);
	make_forking(100);
	wipe_stack();
	CHECK_EQ(gcheap_collect(), 0);
	gcheap_finalizers_run();
	CHECK(ran > 180);
	if (!finalizer_child)
		_exit(0);
	await(finalizer_child);
}

/* Another thread is in the midst of a finalizer: it is not run again, the others are. */
static int in_finalizer[2];

static void waits(void *object, void *data)
{
	char byte;

	if (__atomic_fetch_add(&ran, 1, __ATOMIC_SEQ_CST))
		return;
	CHECK_EQ(write(in_finalizer[1], "", 1), 1);
	for (;;) {
		read(0, &byte, 0);
		usleep(1000);
	}
}

static void *runs_waiting(void *arg)
{
	gcheap_finalizers_run();
	return NULL;
}

static void runs_the_rest(void *arg)
{
	CHECK_EQ(ran, 1);
	gcheap_finalizers_run();
	CHECK_EQ(ran, (intptr_t)arg);
	CHECK_EQ(gcheap_finalizers_run(), 0);
	CHECK_EQ(gcheap_collect(), 0);
	CHECK_EQ(gcheap_verify(), 0);
}

static __attribute__((noinline)) void make_waiting(int n)
{
	while (n--)
		CHECK_EQ(gcheap_finalizer_set(gcheap_alloc(20), waits, NULL), 0);
}

TEST(another_thread_is_in_a_finalizer)
{
	pthread_t t;
	char byte;
	intptr_t ready;

	CHECK_EQ(pipe(in_finalizer), 0);
	gcheap_finalizers_on_demand(1);
	make_waiting(20);
	wipe_stack();
	CHECK_EQ(gcheap_collect(), 0);
	ready = now().finalizers_ready;	/* stale words may keep some */
	CHECK(ready > 1);
	CHECK_EQ(pthread_create(&t, NULL, runs_waiting, NULL), 0);
	CHECK_EQ(read(in_finalizer[0], &byte, 1), 1);
	in_child(runs_the_rest, (void *)ready);
}

/* ---- other threads */

static bool stop;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static struct node *stack;

/* Without a lock: what the stack leads to was whole before. */
static void *pushes(void *arg)
{
	struct node *n;
	uint64_t i = 0;

	while (!READ_ONCE(stop)) {
		n = push(__atomic_load_n(&stack, __ATOMIC_ACQUIRE), i++);
		while (!__atomic_compare_exchange_n(&stack, &n->next, n, false, __ATOMIC_ACQ_REL,
						    __ATOMIC_ACQUIRE))
			;
		if (i % 1000 == 0)
			__atomic_store_n(&stack, NULL, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void walks(void *arg)
{
	whole(__atomic_load_n(&stack, __ATOMIC_ACQUIRE));
	garbage(1000);
	CHECK_EQ(gcheap_collect(), 0);
	whole(stack);
	garbage(1000);
	whole(stack);
	intact(LENGTH);
	CHECK_EQ(gcheap_verify(), 0);
}

static void with_threads(void *(*run)(void *arg), void (*child)(void *arg), int times)
{
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, run, NULL), 0);
	for (int i = 0; i < times; i++)
		in_child(child, NULL);
	WRITE_ONCE(stop, true);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(gcheap_verify(), 0);
}

TEST(others_publish_objects)
{
	make(LENGTH);
	with_threads(pushes, walks, 8);
	intact(LENGTH);
}

/* Lists that are turned around under a lock, which the thread that forks has. */
static struct node *turned[16];

static void *turns(void *arg)
{
	while (!READ_ONCE(stop)) {
		struct node *back = NULL, *n, *next;
		int i = rand() % 16;

		pthread_mutex_lock(&order);
		for (n = turned[i]; n; n = next) {
			next = n->next;
			back = push(back, n->value);
		}
		turned[i] = back;
		pthread_mutex_unlock(&order);
	}
	return NULL;
}

static void one_way(void)
{
	for (int i = 0; i < 16; i++) {
		bool up = turned[i]->value == 0;
		const struct node *n;
		uint64_t k = 0;

		for (n = turned[i]; n; n = n->next, k++)
			CHECK_EQ(n->value, up ? k : 99 - k);
		CHECK_EQ(k, 100);
		whole(turned[i]);
	}
}

static void takes_order(void)
{
	pthread_mutex_lock(&order);
}

static void leaves_order(void)
{
	pthread_mutex_unlock(&order);
}

static void checks_order(void *arg)
{
	one_way();
	garbage(1000);
	CHECK_EQ(gcheap_collect(), 0);
	one_way();
	CHECK_EQ(gcheap_verify(), 0);
}

static void make_turned(void)
{
	for (int i = 0; i < 16; i++)
		for (int k = 0; k < 100; k++)
			turned[i] = push(turned[i], k);
	CHECK_EQ(pthread_atfork(takes_order, leaves_order, leaves_order), 0);
}

TEST(others_change_objects_under_a_lock)
{
	make_turned();
	with_threads(turns, checks_order, 8);
	one_way();
}

static void *collects(void *arg)
{
	while (!READ_ONCE(stop)) {
		CHECK_EQ(gcheap_collect(), 0);
		CHECK_EQ(gcheap_compact(), 0);
	}
	return NULL;
}

/* From a thread that has never had to do with the heap, too. */
static void *forks_only(void *arg)
{
	for (int i = 0; i < 5; i++)
		in_child(uses, NULL);
	return NULL;
}

TEST(others_collect)
{
	pthread_t t;

	make(LENGTH);
	CHECK_EQ(pthread_create(&t, NULL, forks_only, NULL), 0);
	with_threads(collects, uses, 5);
	CHECK_EQ(pthread_join(t, NULL), 0);
	use(LENGTH);
}

/* All at once, as often as they can. */
static void *forks_on(void *arg)
{
	while (!READ_ONCE(stop))
		in_child(walks, NULL);
	return NULL;
}

TEST(others_fork)
{
	pthread_t t;

	make(LENGTH);
	CHECK_EQ(pthread_create(&t, NULL, pushes, NULL), 0);
	with_threads(forks_on, walks, 5);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

/* The loader has a lock for that, which a child would have taken for ever. */
static void *looks_for_libraries(void *arg)
{
	while (!READ_ONCE(stop))
		CHECK_EQ(gcheap_dl_refresh(), 0);
	return NULL;
}

TEST(others_look_for_libraries)
{
	make(LENGTH);
	with_threads(looks_for_libraries, uses, 12);
}

static void *makes_finalizers(void *arg)
{
	int *one = gcheap_alloc(sizeof(*one));

	*one = 1;
	while (!READ_ONCE(stop)) {
		CHECK_EQ(gcheap_finalizer_set(gcheap_alloc(20), counts, one), 0);
		if (rand() % 1000 == 0)
			gcheap_collect();
	}
	return NULL;
}

static void finalizes(void *arg)
{
	CHECK_EQ(gcheap_collect(), 0);
	gcheap_finalizers_run();
	CHECK_EQ(gcheap_verify(), 0);
}

TEST(others_make_finalizers)
{
	with_threads(makes_finalizers, finalizes, 8);
}

/* Threads that come and go, which leave much of what the library has of them. */
static void *comes_and_goes(void *arg)
{
	pthread_t t;

	while (!READ_ONCE(stop)) {
		void *result;

		CHECK_EQ(pthread_create(&t, NULL, allocates_some, NULL), 0);
		CHECK_EQ(pthread_join(t, &result), 0);
	}
	return NULL;
}

TEST(others_come_and_go)
{
	make(LENGTH);
	with_threads(comes_and_goes, uses, 5);
}

/* ---- several heaps */

static struct gcheap *heaps[3];
static void **chain[3];

static void check_heaps(void *arg)
{
	for (int i = 0; i < 3; i++) {
		int n = 0;

		for (void **p = chain[i]; p; p = p[0], n++)
			CHECK(gcheap_heap_of(p) == heaps[i]);
		CHECK_EQ(n, 1000);
		CHECK(gcheap_heap_alloc(heaps[i], 16));
		CHECK_EQ(gcheap_heap_collect(heaps[i]), 0);
		CHECK_EQ(gcheap_heap_verify(heaps[i]), 0);
	}
	CHECK_EQ(gcheap_close(heaps[1]), 0);
	use(LENGTH);
}

TEST(several_heaps)
{
	make(LENGTH);
	for (int i = 0; i < 3; i++) {
		heaps[i] = gcheap_open(&(struct gcheap_options){ .heap_size = 64 << 20 });
		CHECK(heaps[i]);
		for (int k = 0; k < 1000; k++) {
			void **p = gcheap_heap_alloc(heaps[i], 16);

			p[0] = chain[i];
			chain[i] = p;
		}
	}
	in_child(check_heaps, NULL);
	check_heaps(NULL);
}

/* ---- state of the parent's that is the child's */

static void is_held(void *arg)
{
	uint64_t cycles = now().cycles, value;

	for (int i = 0; i < 16000; i++)
		CHECK(gcheap_alloc(1000));
	CHECK_EQ(now().cycles, cycles);
	CHECK_EQ(gcheap_unhold(), 0);
	CHECK_EQ(gcheap_unhold(), -EINVAL);
	CHECK_EQ(gcheap_collect(), 0);
	CHECK_EQ(now().cycles, cycles + 1);
	CHECK_EQ(gcheap_tuned(NULL, GCHEAP_TUNE_GROWTH, &value), 0);
	CHECK_EQ(value, 77);
	CHECK_EQ(now().offheap_bytes, 1 << 20);
	CHECK_EQ(gcheap_offheap(-(1 << 20)), 0);
	use(LENGTH);
}

TEST(settings_go_with_it)
{
	make(LENGTH);
	CHECK_EQ(gcheap_collect(), 0);
	CHECK_EQ(gcheap_tune(NULL, GCHEAP_TUNE_GROWTH, 77), 0);
	CHECK_EQ(gcheap_offheap(1 << 20), 0);
	CHECK_EQ(gcheap_hold(), 0);
	in_child(is_held, NULL);
	is_held(NULL);
}

static void **place;

static void has_roots(void *arg)
{
	watch[0] = NULL;
	CHECK_EQ(gcheap_collect(), 0);
	CHECK_EQ(((struct node *)place[0])->check, 5 * MAGIC);
	CHECK_EQ(gcheap_root_del(place, 64), 0);
	CHECK_EQ(gcheap_root_del(place, 64), -ENOENT);
	CHECK_EQ(gcheap_root_add(place, 64), 0);
	CHECK_EQ(gcheap_collect(), 0);
	CHECK_EQ(((struct node *)place[0])->check, 5 * MAGIC);
}

TEST(roots_go_with_it)
{
	place = malloc(64);
	CHECK_EQ(gcheap_root_add(place, 64), 0);
	place[0] = push(NULL, 5);
	in_child(has_roots, NULL);
	has_roots(NULL);
}

/* ---- memory */

static const char *group;

/* What is allocated from now on, for children too, is charged to a cgroup of our own. */
static void enter_cgroup(void)
{
	CHECK_EQ(gcheap_init(), 0);
	group = cgroup_enter(cgroup_make("gcheap-forks"));
}

static long charged(void)
{
	long bytes = cgroup_get(group, "memory.current", NULL);

	CHECK(bytes >= 0);
	return bytes;
}

/* What is freed may go a little later. */
static void await_charged(long most)
{
	long first = charged();

	for (int i = 0; i < 100 && charged() > most; i++)
		usleep(100000);
	diag("%ld KiB, then %ld, at most %ld", first >> 10, charged() >> 10, most >> 10);
	CHECK(charged() <= most);
}

/* ---- without a heap */

static void has_none(void *arg)
{
	void *p = list;
	int err = (intptr_t)arg;

	errno = 0;
	CHECK(!gcheap_alloc(100));
	CHECK_EQ(errno, err);
	CHECK_EQ(gcheap_init(), -err);
	CHECK(gcheap_collect() < 0);
	CHECK(!gcheap_base(p) && gcheap_free(p));
	CHECK(gcheap_open(NULL));
}

TEST(no_descriptor_for_the_child)
{
	struct rlimit was, none;

	make(LENGTH);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = dup(0);
	close(none.rlim_cur);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	pid_t pid = fork();
	if (!pid) {
		CHECK_EQ(setrlimit(RLIMIT_NOFILE, &was), 0);
		has_none((void *)EMFILE);
		_exit(0);
	}
	await(pid);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &was), 0);
	use(LENGTH);
	in_child(uses, NULL);
}

/* The heap's descriptor is above the limit by then, and the child's takes another number. */
TEST(limit_of_descriptors_below_the_heap)
{
	struct rlimit was, low;
	int fd[20];

	for (int i = 0; i < 20; i++)
		CHECK((fd[i] = dup(0)) >= 0);
	make(LENGTH);
	for (int i = 0; i < 20; i++)
		close(fd[i]);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
	low = was;
	low.rlim_cur = fd[10];
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
	in_child(uses, NULL);
	in_child(uses, NULL);
	use(LENGTH);
}

/* ---- a handler of another's that is called between the library's and fork() */

static bool forks_between;

static void between(void)
{
	if (!forks_between)
		return;
	forks_between = false;
	in_child(uses, NULL);
}

static void register_between(int argc, char **argv, char **env)
{
	pthread_atfork(between, NULL, NULL);
}

/* Before any library is. */
__attribute__((section(".preinit_array"), used))
static void (*const registers_between)(int argc, char **argv, char **env) = register_between;

TEST(handler_that_forks_in_between)
{
	make(LENGTH);
	forks_between = true;
	in_child(has_none, (void *)ENXIO);
	CHECK(!forks_between);
	use(LENGTH);
	in_child(uses, NULL);
}

TEST(no_memory_for_the_child)
{
	char text[32];
	void *big;

	enter_cgroup();
	make(LENGTH);
	big = gcheap_alloc(20 << 20);
	memset(big, 1, 20 << 20);
	snprintf(text, sizeof(text), "%ld", charged() + (12 << 20));
	CHECK_EQ(cgroup_put(group, "memory.max", text), 0);
	for (int i = 0; i < 2; i++)
		in_child(has_none, (void *)ENOMEM);
	intact(LENGTH);
	CHECK_EQ(cgroup_put(group, "memory.max", "max"), 0);
	for (int i = 0; i < 2; i++)
		in_child(uses, NULL);
	use(LENGTH);
	CHECK_EQ(*((char *)big + 1000), 1);
}

TEST(not_wanted)
{
	setenv("GCHEAP_FORK", "0", 1);
	make(LENGTH);
	in_child(has_none, (void *)ENXIO);
	use(LENGTH);
}

TEST(other_ways_to_have_children)
{
	char *argv[] = { "true", NULL };
	pid_t pid;

	make(LENGTH);
	CHECK_EQ(posix_spawnp(&pid, "true", NULL, NULL, argv, environ), 0);
	await(pid);
	CHECK_EQ(system("true"), 0);
	pid = vfork();
	if (!pid) {
		execvp("true", argv);
		_exit(1);
	}
	await(pid);
	pid = _Fork();
	if (!pid)
		_exit(0);
	await(pid);
	pid = fork();
	if (!pid) {
		execvp("true", argv);
		_exit(1);
	}
	await(pid);
	use(LENGTH);
}

/* Whatever has been copied until then is given back. */
TEST(exec_of_a_large_program)
{
	char *large = gcheap_alloc_noscan(64 << 20);
	long memory;

	CHECK(large);
	enter_cgroup();
	memset(large, 1, 64 << 20);
	make(LENGTH);
	memory = charged();
	CHECK(memory > 64 << 20);
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (!pid) {
			execlp("true", "true", NULL);
			_exit(1);
		}
		await(pid);
	}
	await_charged(memory + (8 << 20));
	use(LENGTH);
	CHECK_EQ(large[12345678], 1);
}

/* ---- signals */

static volatile sig_atomic_t handled;

/* What it interrupts is fork() itself, or has no locks. */
static void forks_too(int sig)
{
	int was = errno;
	pid_t pid = fork();

	if (!pid) {
		intact(LENGTH);
		_exit(0);
	}
	await(pid);
	handled++;
	errno = was;
}

static void alarm_in(long us)
{
	struct itimerval t = { .it_value.tv_usec = us };

	CHECK_EQ(setitimer(ITIMER_REAL, &t, NULL), 0);
}

/* A handler runs before a thread forks, or after, and may fork itself. */
TEST(a_handler_forks)
{
	struct sigaction a = { .sa_handler = forks_too, .sa_flags = SA_RESTART };

	make(LENGTH);
	CHECK_EQ(sigaction(SIGALRM, &a, NULL), 0);
	for (int i = 0; i < 10; i++) {
		alarm_in(1 + rand() % 8000);
		in_child(uses, NULL);
	}
	while (!handled)
		usleep(1000);
	use(LENGTH);
}

/* ---- what is left behind */

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int c, n = 0;

	CHECK(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static void ends(void *arg)
{
}

static void collects_once(void *arg)
{
	garbage(1000);
	CHECK_EQ(gcheap_collect(), 0);
	intact(20000);
}

TEST(nothing_is_left_behind)
{
	long memory = 0;
	int fds = 0, maps = 0;

	enter_cgroup();
	make(20000);
	for (int i = 0; i < 100; i++) {
		if (i == 20) {
			sleep(1);	/* for what goes a little later */
			memory = charged();
			maps = mappings();
			fds = descriptors();
		}
		in_child(i % 4 ? ends : collects_once, NULL);
	}
	CHECK_EQ(descriptors(), fds);
	CHECK_EQ(mappings(), maps);
	/* A copy is more than 1 MiB. */
	await_charged(memory + (2 << 20));
}

/* Generations leave nothing with each other. */
static int maps_at_first, fds_at_first;

static void descends(void *arg)
{
	uintptr_t left = (uintptr_t)arg;
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, allocates_some, NULL), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	if (left)
		in_child(descends, (void *)(left - 1));
	CHECK_EQ(descriptors(), fds_at_first);
	/* The C library keeps a stack and an arena of the thread. */
	CHECK(mappings() <= maps_at_first + 6);
}

TEST(many_generations)
{
	make(100);
	fds_at_first = descriptors();
	maps_at_first = mappings();
	in_child(descends, (void *)6);
	CHECK_EQ(mappings(), maps_at_first);
}

/* ---- many forks of a large heap */

#define BLOCK_WORDS	256	/* two a page */

struct block {
	struct block *next;
	uint64_t first, rest[BLOCK_WORDS - 3], last;
};

static struct block *blocks;

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

static void make_blocks(uint64_t bytes)
{
	for (; bytes >= sizeof(struct block); bytes -= sizeof(struct block)) {
		struct block *b = gcheap_alloc(sizeof(*b));

		CHECK(b);
		b->next = blocks;
		blocks = b;
	}
}

/* Each page. */
static void write_blocks(uint64_t value)
{
	for (struct block *b = blocks; b; b = b->next) {
		b->first = value;
		b->last = value * MAGIC;
	}
}

static void blocks_are(uint64_t value)
{
	for (const struct block *b = blocks; b; b = b->next) {
		CHECK_EQ(b->first, value);
		CHECK_EQ(b->last, value * MAGIC);
	}
}

/** struct round - a fork: what it is the how manyth, and what the parent's blocks say */
struct round {
	uint64_t number, value;
	int written[2];		/* a pipe: a byte when the parent has changed them */
};

static void writes_every_page(const struct round *r)
{
	write_blocks(r->number ^ ~0ull);
	garbage(1000);
	CHECK_EQ(gcheap_collect(), 0);
	blocks_are(r->number ^ ~0ull);
}

static void keeps_what_was(const struct round *r)
{
	char byte;

	CHECK_EQ(read(r->written[0], &byte, 1), 1);
	blocks_are(r->value);
}

static void runs_round(void *arg)
{
	const struct round *r = arg;

	switch (r->number % 4) {
	case 0:			/* touches nothing */
		return;
	case 1:
		writes_every_page(r);
		return;
	case 2:
		keeps_what_was(r);
		return;
	default:
		checks_order(NULL);
	}
}

static uint64_t one_round(struct round *r)
{
	uint64_t begin = proc_clock_ns(CLOCK_MONOTONIC);
	pid_t pid = forked(runs_round, r);
	uint64_t took = proc_clock_ns(CLOCK_MONOTONIC) - begin;

	if (r->number % 4 == 2) {
		write_blocks(++r->value);
		CHECK_EQ(write(r->written[1], "", 1), 1);
	}
	blocks_are(r->value);
	await(pid);
	blocks_are(r->value);
	return took;
}

/* Memory beside the heap's pages, with nobody at it. */
static long beside(void)
{
	CHECK_EQ(gcheap_compact(), 0);
	sleep(1);
	return charged() - now().resident_bytes;
}

static void start_turning(pthread_t t[2])
{
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, i ? pushes : turns, NULL), 0);
}

static void stop_turning(pthread_t t[2])
{
	WRITE_ONCE(stop, true);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	WRITE_ONCE(stop, false);
}

/* FORKS (8) of them, with MIB (8) in the heap and two threads that change what is in it. */
TEST(many_forks)
{
	uint64_t forks = number("FORKS", tap_times(8)), ns = 0;
	struct round r = { .value = 1 };
	int maps, fds;
	pthread_t t[2];
	long before, after;

	alarm(0);	/* the machine's limit will do */
	enter_cgroup();
	make_turned();
	make_blocks(number("MIB", 8) << 20);
	write_blocks(r.value);
	CHECK_EQ(pipe(r.written), 0);
	start_turning(t);
	one_round(&r);
	stop_turning(t);
	before = beside();
	maps = mappings();
	fds = descriptors();
	start_turning(t);
	for (r.number = 1; r.number <= forks; r.number++)
		ns += one_round(&r);
	stop_turning(t);
	one_way();
	CHECK_EQ(gcheap_verify(), 0);
	CHECK_EQ(descriptors(), fds);
	CHECK(mappings() <= maps + 6);	/* as above */
	after = beside();
	diag("%lu forks, %lu ms each; %lu pages in the end; %lu cycles; %ld KiB beside, then %ld",
	     forks, ns / forks / 1000000, now().resident_bytes >> 12, now().cycles,
	     before >> 10, after >> 10);
	CHECK(after < before + (4 << 20));
}

/* ---- killed on the way */

static void forks_for_ever(int tell)
{
	pthread_t t;

	make(20000);
	CHECK_EQ(pthread_create(&t, NULL, pushes, NULL), 0);
	CHECK_EQ(pthread_create(&t, NULL, collects, NULL), 0);
	CHECK_EQ(write(tell, "", 1), 1);
	for (int i = 0;; i++) {
		pid_t pid = fork();

		if (!pid) {
			if (i % 2)
				garbage(100);
			_exit(0);
		}
		if (i % 3 == 0)
			usleep(rand() % 3000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

TEST(killed_on_the_way)
{
	int p[2], status;
	char byte;
	pid_t pid;

	CHECK_EQ(pipe(p), 0);
	for (int i = 0; i < 8; i++) {
		pid = fork();
		if (!pid)
			forks_for_ever(p[1]);
		CHECK_EQ(read(p[0], &byte, 1), 1);
		usleep(rand() % 300000);
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

TEST_MAIN
