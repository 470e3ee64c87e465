// SPDX-License-Identifier: GPL-2.0-only
/*
 * The library on the module: exact counts, every size across collections, many
 * threads, finalizers and weak references, the limit, exec.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "lib.h"
#include "proc.h"

/* ---- exact counts */

static void *root[64];

static struct gcheap *precise_heap(void)
{
	struct gcheap *h = gcheap_open(&(struct gcheap_options){
		.flags = GCHEAP_OPT_PRECISE_ONLY,
	});

	CHECK(h);
	CHECK_EQ(gcheap_heap_hold(h), 0);
	CHECK_EQ(gcheap_heap_root_add(h, root, sizeof(root), GCHEAP_PRECISE, NULL), 0);
	return h;
}

static void expect(struct gcheap *h, uint64_t objects)
{
	struct gcheap_stats s;

	CHECK_EQ(gcheap_heap_thread_flush(h), 0);
	CHECK_EQ(gcheap_heap_collect(h), 0);
	CHECK_EQ(gcheap_heap_stats(h, &s), 0);
	CHECK_EQ(s.marked_objects, objects);
	CHECK_EQ(s.live_objects, objects);
	CHECK_EQ(gcheap_heap_verify(h), 0);
}

TEST(exact_counts)
{
	struct gcheap *h = precise_heap();
	void **chain = NULL;

	expect(h, 0);
	for (int i = 0; i < 10000; i++) {
		void **link = gcheap_heap_alloc(h, 24);

		CHECK(link);
		link[0] = chain;
		root[0] = chain = link;
		CHECK(gcheap_heap_alloc(h, 24));
	}
	expect(h, 10000);
	for (int i = 0; i < 4000; i++)
		chain = chain[0];
	root[0] = chain;
	expect(h, 6000);
	/* What has gone is used again, what is there is not. */
	for (int i = 0; i < 4000; i++) {
		void **link = gcheap_heap_alloc(h, 24);

		CHECK(link && !link[0] && !link[1] && !link[2]);
		link[0] = root[1];
		root[1] = link;
	}
	expect(h, 10000);
	root[0] = root[1] = NULL;
	expect(h, 0);
	CHECK_EQ(gcheap_close(h), 0);
}

TEST(exact_counts_of_early_frees)
{
	enum { N = 5000 };
	struct gcheap *h = precise_heap();
	struct gcheap_stats s;
	void ***table = gcheap_heap_alloc(h, N * sizeof(void *));

	root[0] = table;
	for (int i = 0; i < N; i++) {
		table[i] = gcheap_heap_alloc(h, i % 300);
		CHECK(table[i]);
	}
	expect(h, N + 1);
	for (int i = 0; i < N; i += 2) {
		CHECK_EQ(gcheap_free(table[i]), 0);
		table[i] = NULL;
	}
	CHECK_EQ(gcheap_heap_thread_flush(h), 0);
	CHECK_EQ(gcheap_heap_stats(h, &s), 0);
	CHECK_EQ(s.freed_early, N / 2);
	CHECK_EQ(s.bad_frees, 0);
	expect(h, N / 2 + 1);
	root[0] = NULL;
	expect(h, 0);
}

/* ---- sizes */

static unsigned char byte_of(size_t size, size_t i)
{
	return (size * 131 + i) | 1;
}

static void check_bytes(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		CHECK_EQ(p[i], byte_of(size, i));
}

TEST(every_size_across_collections)
{
	enum { N = 3000 };
	static unsigned char *p[N];
	static size_t size[N];

	for (int round = 0; round < 4; round++) {
		for (int i = round; i < N; i += 1 + round) {
			size[i] = i < 1100 ? (size_t)i : (size_t)i * (i % 50);
			p[i] = i % 3 ? gcheap_alloc(size[i]) : gcheap_alloc_noscan(size[i]);
			CHECK(p[i] && gcheap_size(p[i]) >= size[i] && gcheap_base(p[i]) == p[i]);
			for (size_t k = 0; i % 3 && k < size[i]; k++)
				CHECK(!p[i][k]);
			for (size_t k = 0; k < size[i]; k++)
				p[i][k] = byte_of(size[i], k);
		}
		CHECK_EQ(gcheap_collect(), 0);
		for (int i = 0; i < N; i++)
			check_bytes(p[i], p[i] ? size[i] : 0);
	}
	CHECK_EQ(gcheap_verify(), 0);
}

TEST(realloc_across_collections)
{
	static unsigned char *volatile p;
	size_t had = 0;

	for (size_t size = 10; size < 1 << 20; size = size * 9 / 8 + 5) {
		p = gcheap_realloc(p, size);
		CHECK(p);
		for (size_t k = 0; k < had; k++)
			CHECK_EQ(p[k], byte_of(1, k));
		for (size_t k = had; k < size; k++) {
			CHECK_EQ(p[k], 0);
			p[k] = byte_of(1, k);
		}
		had = size;
		CHECK_EQ(gcheap_collect(), 0);
	}
}

TEST(automatic_collections_keep_the_heap_small)
{
	struct gcheap_stats s;

	for (int i = 0; i < 3000000; i++)
		CHECK(gcheap_alloc(40));
	CHECK_EQ(gcheap_stats(&s), 0);
	diag("%lu cycles, peak %lu KiB, allocated %lu KiB", s.cycles, s.heap_peak >> 10,
	     s.alloc_bytes >> 10);
	CHECK(s.cycles >= 5);
	CHECK(s.heap_peak < s.alloc_bytes / 2);
	CHECK(s.alloc_bytes >= 3000000 * 48ul);
}

/* ---- threads */

struct tree {
	struct tree *left, *right;
	uint64_t value, sum;
};

static struct tree *make_tree(int depth)
{
	struct tree *t = gcheap_alloc(sizeof(*t));

	CHECK(t && !t->left && !t->right && !t->value && !t->sum);
	t->value = depth;
	t->sum = depth * 0x9e3779b97f4a7c15ull;
	if (depth) {
		t->left = make_tree(depth - 1);
		t->right = make_tree(depth - 1);
	}
	return t;
}

static long count_tree(const struct tree *t)
{
	if (!t)
		return 0;
	CHECK_EQ(t->sum, t->value * 0x9e3779b97f4a7c15ull);
	return 1 + count_tree(t->left) + count_tree(t->right);
}

static void *make_trees(void *arg)
{
	struct tree *kept = make_tree(12);

	for (int i = 0; i < 30; i++)
		CHECK_EQ(count_tree(make_tree(10)), (2 << 10) - 1);
	CHECK_EQ(count_tree(kept), (2 << 12) - 1);
	return kept;
}

TEST(threads_with_trees)
{
	pthread_t t[4];
	void *result;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++)
			CHECK_EQ(pthread_create(&t[i], NULL, make_trees, NULL), 0);
		for (int i = 0; i < 4; i++) {
			CHECK_EQ(pthread_join(t[i], &result), 0);
			CHECK_EQ(count_tree(result), (2 << 12) - 1);
		}
	}
	CHECK_EQ(gcheap_verify(), 0);
}

static void *short_life(void *arg)
{
	struct tree *t = make_tree(3);

	CHECK_EQ(count_tree(t), 15);
	return t;
}

TEST(threads_that_come_and_go)
{
	struct gcheap_stats s;
	pthread_t t[8];
	void *result;

	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 8; i++)
			CHECK_EQ(pthread_create(&t[i], NULL, short_life, NULL), 0);
		if (!(round % 5))
			CHECK_EQ(gcheap_collect(), 0);
		for (int i = 0; i < 8; i++) {
			CHECK_EQ(pthread_join(t[i], &result), 0);
			CHECK_EQ(count_tree(result), 15);
		}
	}
	CHECK_EQ(gcheap_stats(&s), 0);
	CHECK(s.threads <= 1);
}

/* ---- finalizers and weak references */

static unsigned int finalized;

static void finalize(void *object, void *data)
{
	CHECK(watched_is_well(object, *(uint64_t *)object));
	finalized++;
}

TEST(finalizers_run_once)
{
	struct gcheap_stats s;
	void *volatile place;

	CHECK_EQ(gcheap_finalizers_on_demand(1), 0);
	for (unsigned int i = 0; i < WATCHED; i++) {
		watched_new(&place);
		CHECK_EQ(gcheap_finalizer_set(place, finalize, NULL), 0);
	}
	place = NULL;
	churn();
	churn();
	CHECK_EQ(finalized, 0);
	gcheap_finalizers_run();
	diag("%u of %u", finalized, WATCHED);
	CHECK(finalized >= WATCHED * 3 / 4);
	churn();
	churn();
	gcheap_finalizers_run();
	CHECK(finalized <= WATCHED);
	CHECK_EQ(gcheap_stats(&s), 0);
	CHECK_EQ(s.finalizers, WATCHED - finalized);
	expect_gone(WATCHED);
}

static void *lent(void *heap)
{
	return (void *)(intptr_t)gcheap_heap_lend(heap);
}

/* Counts are exact with another thread marking, and it comes back when it is told. */
TEST(a_thread_is_lent)
{
	struct gcheap *h = precise_heap();
	pthread_t t;
	void *err;

	CHECK_EQ(gcheap_tune(h, GCHEAP_TUNE_CONCURRENT, 1), 0);
	CHECK_EQ(gcheap_heap_lend_end(h), -ENOENT);
	CHECK(!pthread_create(&t, NULL, lent, h));
	for (int i = 0; i < 30000; i++) {
		void **link = gcheap_heap_alloc(h, 24);

		CHECK(link);
		link[0] = root[0];
		root[0] = link;
	}
	expect(h, 30000);
	while (gcheap_heap_lend_end(h))
		sched_yield();
	CHECK(!pthread_join(t, &err) && !err);
	expect(h, 30000);
	root[0] = NULL;
	gcheap_close(h);
}

/* Values refer to their keys, as they do in tables. */
TEST(ephemerons_follow_their_keys)
{
	enum { N = 400 };
	static struct gcheap_ephemeron *e[N];
	static void *keys[N];
	unsigned int gone = 0;
	void *value, **v;

	for (int i = 0; i < N; i++) {
		keys[i] = gcheap_alloc(32);
		v = gcheap_alloc(48);
		v[0] = keys[i];
		v[1] = (void *)(uintptr_t)i;
		e[i] = gcheap_ephemeron_create(keys[i], NULL);
		CHECK(e[i]);
		CHECK(gcheap_ephemeron_get(e[i], &value) == keys[i] && !value);
		gcheap_ephemeron_set(e[i], v);
	}
	CHECK(!gcheap_ephemeron_create(&value, NULL) && errno == EINVAL);
	for (int i = 1; i < N; i += 2)
		keys[i] = NULL;
	v = value = NULL;
	churn();
	churn();
	for (int i = 0; i < N; i++) {
		void *key = gcheap_ephemeron_get(e[i], &value);

		if (!key) {
			CHECK(i % 2 && !value);
			gcheap_ephemeron_set(e[i], keys[0]);
			CHECK(!gcheap_ephemeron_get(e[i], &value) && !value);
			gone++;
			continue;
		}
		CHECK(i % 2 || key == keys[i]);
		CHECK(((void **)value)[0] == key && ((void **)value)[1] == (void *)(uintptr_t)i);
	}
	diag("%u of %u", gone, N / 2);
	CHECK(gone >= N / 2 * 3 / 4);
}

/* ---- limits */

TEST(the_limit_then_room_again)
{
	struct gcheap *h = gcheap_open(&(struct gcheap_options){ .limit = 8 << 20 });
	static void **chain;
	uint64_t n = 0, seen = 0;
	void **link;

	CHECK(h);
	for (;;) {
		errno = 0;
		link = gcheap_heap_alloc(h, 100);
		if (!link)
			break;
		link[0] = chain;
		n++;
		link[5] = (void *)n;
		chain = link;
	}
	CHECK_EQ(errno, ENOMEM);
	CHECK(n * 112 > 6 << 20);
	CHECK_EQ(gcheap_heap_verify(h), 0);
	for (link = chain; link; link = link[0], seen++)
		CHECK_EQ((uintptr_t)link[5], n - seen);
	CHECK_EQ(seen, n);
	for (uint64_t i = 0; i < n / 2; i++)
		chain = chain[0];
	link = NULL;
	for (uint64_t i = 0; i < n / 4; i++)
		CHECK(gcheap_heap_alloc(h, 100));
	CHECK_EQ((uintptr_t)chain[5], n - n / 2);
}

/* ---- a thread that the library lends */

/* The one other thread there is. */
static pid_t other_thread(void)
{
	DIR *d = opendir("/proc/self/task");
	pid_t other = 0, tid;

	CHECK(d);
	for (struct dirent *e; (e = readdir(d));) {
		tid = atoi(e->d_name);
		if (!tid || tid == getpid())
			continue;
		CHECK_EQ(other, 0);
		other = tid;
	}
	closedir(d);
	CHECK(other);
	return other;
}

TEST(a_thread_that_the_library_lends)
{
	struct gcheap_stats s;
	void **list = NULL;
	uint64_t before;
	clockid_t lent;
	int ran = 0;

	setenv("GCHEAP_LEND", "1", 1);
	CHECK_EQ(gcheap_init(), 0);
	lent = ~(clockid_t)other_thread() << 3 | 6;	/* CPUCLOCK_SCHED, of a thread */
	CHECK_EQ(gcheap_tune(NULL, GCHEAP_TUNE_CONCURRENT, 1), 0);
	CHECK_EQ(gcheap_hold(), 0);
	for (int i = 0; i < 200000; i++) {
		void **p = gcheap_alloc(32);

		CHECK(p);
		p[0] = list;
		list = p;
	}
	/* It may be late, and is not waited for then; and has to begin, which takes time, too. */
	for (int i = 0; i < 100 && ran < 5; i++) {
		before = proc_clock_ns(lent);
		CHECK_EQ(gcheap_collect(), 0);
		CHECK_EQ(gcheap_stats(&s), 0);
		CHECK(s.live_objects >= 200000);
		ran += proc_clock_ns(lent) > before;
	}
	CHECK_EQ(ran, 5);
	CHECK_EQ(gcheap_verify(), 0);
	CHECK(list);
}

/* ---- fork and exec */

TEST(memory_elsewhere_is_told_in_lumps)
{
	struct gcheap_stats s;

	CHECK_EQ(gcheap_init(), 0);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(gcheap_offheap(1000), 0);
	CHECK_EQ(gcheap_stats(&s), 0);
	CHECK_EQ(s.offheap_bytes, 66000);
	for (int i = 0; i < 98; i++)
		CHECK_EQ(gcheap_offheap(-1000), 0);
	CHECK_EQ(gcheap_offheap(1 << 20), 0);
	CHECK_EQ(gcheap_stats(&s), 0);
	CHECK_EQ(s.offheap_bytes, 2000 + (1 << 20));
	CHECK_EQ(gcheap_offheap(-(2 << 20)), -EINVAL);
	CHECK_EQ(gcheap_offheap(PTRDIFF_MIN), -EINVAL);
	CHECK_EQ(gcheap_offheap(-2000 - (1 << 20)), 0);
	CHECK_EQ(gcheap_stats(&s), 0);
	CHECK_EQ(s.offheap_bytes, 0);
	CHECK_EQ(gcheap_tune(NULL, GCHEAP_TUNE_SOFT_LIMIT, 64 << 20), 0);
	CHECK_EQ(gcheap_collect(), 0);
}

static void own_path(char path[4096])
{
	ssize_t n = readlink("/proc/self/exe", path, 4095);

	CHECK(n > 0);
	path[n] = 0;
}

TEST(fork_and_exec)
{
	char path[4096];
	int status;
	pid_t pid;

	own_path(path);
	CHECK(gcheap_alloc(100));
	pid = fork();
	if (!pid) {
		freopen("/dev/null", "w", stdout);
		dup2(fileno(stdout), 1);
		execl(path, path, "exact_counts", NULL);
		_exit(127);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(system("true"), 0);
	CHECK(gcheap_alloc(100));
}

/* ---- a line for each cycle */

TEST(what_a_trace_line_says)
{
	unsigned long long heap, cycle, young, pause, live, size, trigger, goal, pauses, rounds;
	unsigned long long rescanned, logged, faults, assisted, us;
	char path[4096], command[4200], line[1024];
	FILE *f;
	int n;

	own_path(path);
	snprintf(command, sizeof(command),
		 "GCHEAP_TRACE=1 %s memory_elsewhere_is_told_in_lumps 2>&1 >/dev/null", path);
	f = popen(command, "r");
	CHECK(f && fgets(line, sizeof(line), f));
	n = sscanf(line, "gcheap: heap %llu cycle %llu young %llu pause %llu us live %llu KiB "
		   "heap %llu KiB trigger %llu KiB goal %llu KiB pauses %llu rounds %llu "
		   "rescanned %llu logged %llu faults %llu assisted %llu KiB %llu us",
		   &heap, &cycle, &young, &pause, &live, &size, &trigger, &goal, &pauses, &rounds,
		   &rescanned, &logged, &faults, &assisted, &us);
	CHECK_EQ(n, 15);
	CHECK_EQ(heap, 0);
	CHECK_EQ(cycle, 1);
	CHECK_EQ(young, 0);
	CHECK(live <= size && size < goal && trigger <= goal && pauses);
	CHECK(!fgets(line, sizeof(line), f));
	CHECK_EQ(pclose(f), 0);
}

TEST_MAIN
