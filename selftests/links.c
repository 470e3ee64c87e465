// SPDX-License-Identifier: GPL-2.0-only
/* Links: words that become 0 when an object dies, wherever they are. */
#include "raw.h"
#include "uffd.h"

#include <sched.h>
#include <stdatomic.h>

static struct raw h;
static unsigned int leaf, node, big;
static uint64_t *keep[8];
static uint64_t word[64];	/* no root */

enum { SHORT = 0, LONG = GCHEAP_LINK_LONG };

static void start_as(unsigned int concurrent)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, concurrent);
	raw_param(&h, GCHEAP_PARAM_VERIFY, 1);
	leaf = raw_cache(&h, GCHEAP_NOSCAN, 32);
	node = raw_typed(&h, 4, 1, 0);
	big = raw_cache(&h, GCHEAP_NOSCAN, 0);
	raw_root(&h, 0, keep, sizeof(keep), NULL);
}

static void start(void)
{
	start_as(1);
}

static int call(unsigned int op, unsigned int kind, const void *at, uintptr_t object,
		const void *to, uint64_t *old)
{
	struct gcheap_link l = {
		.size = sizeof(l), .flags = kind, .op = op, .addr = (uintptr_t)at,
		.object = object, .to = (uintptr_t)to,
	};
	int r = ioctl(h.fd, GCHEAP_IOC_LINK, &l);

	if (old)
		*old = l.old;
	return r;
}

static int set(unsigned int kind, const void *at, uintptr_t object)
{
	return call(GCHEAP_LINK_SET, kind, at, object, NULL, NULL);
}

static int clear(unsigned int kind, const void *at)
{
	return call(GCHEAP_LINK_CLEAR, kind, at, 0, NULL, NULL);
}

static int move(unsigned int kind, const void *at, const void *to)
{
	return call(GCHEAP_LINK_MOVE, kind, at, 0, to, NULL);
}

/* A word that says where a new object is, without a reference to it. */
static uintptr_t linked(unsigned int kind, uint64_t *at, unsigned int cache)
{
	uintptr_t p = (uintptr_t)raw_take(&h, cache);

	*at = HIDE(p);
	CHECK_EQ(set(kind, at, p), 0);
	return p;
}

static void collect(void)
{
	raw_flush(&h);
	raw_collect(&h);
	raw_verify(&h);
}

static void in_words(unsigned int concurrent)
{
	uintptr_t p;

	start_as(concurrent);
	keep[0] = (void *)linked(SHORT, &word[0], leaf);
	p = linked(SHORT, &word[1], leaf);
	linked(LONG, &word[2], leaf);
	word[3] = 77;
	CHECK_EQ(raw_status(&h).links, 3);
	collect();
	CHECK_EQ(word[0], HIDE(keep[0]));
	CHECK_EQ(word[1], 0);
	CHECK_EQ(word[2], 0);
	CHECK_EQ(word[3], 77);
	CHECK(!raw_is_live(&h, p));
	CHECK_EQ(raw_status(&h).links, 1);
	CHECK_EQ(raw_status(&h).links_cleared, 2);
	keep[0] = NULL;
	collect();
	CHECK_EQ(word[0], 0);
	CHECK_EQ(raw_status(&h).links, 0);
}

TEST(elsewhere)
{
	in_words(1);
}

TEST(elsewhere_stopped)
{
	in_words(0);
}

static void in_objects(unsigned int concurrent)
{
	uint64_t *holder;

	start_as(concurrent);
	keep[0] = raw_take(&h, leaf);
	keep[1] = (void *)linked(SHORT, &keep[0][1], leaf);
	linked(SHORT, &keep[0][2], leaf);
	linked(LONG, &keep[0][3], leaf);
	collect();
	CHECK_EQ(keep[0][1], HIDE(keep[1]));
	CHECK_EQ(keep[0][2], 0);
	CHECK_EQ(keep[0][3], 0);
	/* The link goes with the object that it lies in. */
	holder = keep[0];
	keep[0] = NULL;
	collect();
	CHECK_EQ(raw_status(&h).links, 0);
	CHECK_EQ(clear(SHORT, &holder[1]), -1);
	do
		keep[2] = raw_take(&h, leaf);
	while (keep[2] != holder);
	keep[2][1] = 99;
	keep[1] = NULL;
	collect();
	CHECK_EQ(keep[2][1], 99);
}

TEST(in_the_heap)
{
	in_objects(1);
}

TEST(in_the_heap_stopped)
{
	in_objects(0);
}

TEST(again_move_and_clear)
{
	uint64_t old;
	uintptr_t a, b;

	start();
	keep[0] = (void *)(a = linked(SHORT, &word[0], leaf));
	b = (uintptr_t)raw_take(&h, leaf);
	CHECK_EQ(call(GCHEAP_LINK_GET, SHORT, &word[0], 0, NULL, &old), 0);
	CHECK_EQ(old, a);
	CHECK_EQ(call(GCHEAP_LINK_SET, SHORT, &word[0], b, NULL, &old), 0);
	CHECK_EQ(old, a);
	CHECK_EQ(raw_status(&h).links, 1);
	/* The kinds have nothing to do with each other. */
	CHECK_ERR(call(GCHEAP_LINK_GET, LONG, &word[0], 0, NULL, &old), ENOENT);
	CHECK_EQ(old, 0);
	CHECK_EQ(call(GCHEAP_LINK_SET, LONG, &word[0], a, NULL, &old), 0);
	CHECK_EQ(old, 0);
	CHECK_EQ(clear(LONG, &word[0]), 0);
	CHECK_ERR(clear(LONG, &word[0]), ENOENT);

	CHECK_EQ(set(SHORT, &word[1], a), 0);
	CHECK_ERR(move(SHORT, &word[0], &word[1]), EEXIST);
	CHECK_ERR(move(SHORT, &word[5], &word[6]), ENOENT);
	CHECK_ERR(move(SHORT, &word[5], &word[5]), ENOENT);
	CHECK_EQ(move(SHORT, &word[0], &word[0]), 0);
	CHECK_EQ(move(SHORT, &word[0], &word[2]), 0);
	CHECK_ERR(clear(SHORT, &word[0]), ENOENT);
	word[0] = word[1] = word[2] = 7;
	collect();
	CHECK_EQ(word[0], 7);
	CHECK_EQ(word[1], 7);
	CHECK_EQ(word[2], 0);
	CHECK_EQ(clear(SHORT, &word[1]), 0);
	keep[0] = NULL;
	collect();
	CHECK_EQ(word[1], 7);
	CHECK_EQ(raw_status(&h).links, 0);
}

TEST(moved_into_an_object_and_out)
{
	start();
	keep[0] = raw_take(&h, leaf);
	linked(SHORT, &word[0], leaf);
	keep[0][1] = word[0];
	CHECK_EQ(move(SHORT, &word[0], &keep[0][1]), 0);
	linked(SHORT, &keep[0][2], leaf);
	word[1] = keep[0][2];
	CHECK_EQ(move(SHORT, &keep[0][2], &word[1]), 0);
	collect();
	CHECK(word[0] && !keep[0][1] && keep[0][2] && !word[1]);
}

static void finalizer(uintptr_t p, unsigned int flags)
{
	struct gcheap_finalizer f = {
		.size = sizeof(f), .flags = flags, .addr = p, .cookie = 1,
	};

	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZER, &f), 0);
}

static unsigned int fetch(void)
{
	struct gcheap_ready r[8];
	struct gcheap_finalizers f = {
		.size = sizeof(f), .max = 8, .items = (uintptr_t)r,
	};

	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZERS, &f), 0);
	return f.got;
}

static void and_finalizers(unsigned int concurrent)
{
	uint64_t *a;

	start_as(concurrent);
	a = (void *)linked(SHORT, &word[0], node);
	CHECK_EQ(set(LONG, &word[1], (uintptr_t)a), 0);
	word[1] = HIDE(a);
	a[0] = linked(SHORT, &word[2], leaf);
	CHECK_EQ(set(LONG, &word[3], a[0]), 0);
	word[3] = HIDE(a[0]);
	finalizer((uintptr_t)a, 0);
	collect();
	/* Dead, and to be finalized. */
	CHECK_EQ(word[0], 0);
	CHECK_EQ(word[2], 0);
	CHECK_EQ(word[1], HIDE(a));
	CHECK_EQ(word[3], HIDE(a[0]));
	collect();
	CHECK_EQ(word[1], HIDE(a));
	CHECK_EQ(fetch(), 1);
	collect();
	CHECK_EQ(word[1], 0);
	CHECK_EQ(word[3], 0);
}

TEST(long_ones_outlive_finalizers)
{
	and_finalizers(1);
}

TEST(long_ones_outlive_finalizers_stopped)
{
	and_finalizers(0);
}

/* A link that has become 0 does not count when finalizers are put in order. */
TEST(breaks_a_circle)
{
	uint64_t *a, *b;

	start();
	a = raw_take(&h, node);
	b = raw_take(&h, node);
	a[0] = (uintptr_t)b;
	b[0] = (uintptr_t)a;
	finalizer((uintptr_t)a, GCHEAP_FINALIZER_ORDERED);
	finalizer((uintptr_t)b, GCHEAP_FINALIZER_ORDERED);
	collect();
	CHECK_EQ(fetch(), 0);
	CHECK_EQ(set(SHORT, &b[0], (uintptr_t)a), 0);
	collect();
	CHECK_EQ(b[0], 0);
	CHECK_EQ(fetch(), 1);
	collect();
	CHECK_EQ(fetch(), 1);
}

static uint64_t *map(int fd)
{
	uint64_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			   fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* Cycles until a word is 0, two at most. */
static void collect_until(const uint64_t *at)
{
	collect();
	if (*at)
		collect();
	CHECK_EQ(*at, 0);
}

static void memory_gone(unsigned int concurrent)
{
	uint64_t *p;
	uintptr_t a;
	int i;

	start_as(concurrent);
	p = map(-1);
	a = linked(SHORT, &p[1], leaf);
	CHECK_EQ(set(LONG, &p[2], a), 0);
	munmap(p, 4096);
	for (i = 0; i < 3 && raw_is_live(&h, a); i++)
		collect();
	CHECK(!raw_is_live(&h, a));
	CHECK_EQ(raw_status(&h).links, 0);
}

TEST(unmapped)
{
	memory_gone(1);
}

TEST(unmapped_stopped)
{
	memory_gone(0);
}

static void memory_away(unsigned int concurrent)
{
	int fd = memfd_create("links", 0);
	uint64_t *p;

	CHECK(!ftruncate(fd, 4096));
	start_as(concurrent);
	p = map(fd);
	linked(SHORT, &p[1], leaf);
	linked(LONG, &p[2], leaf);
	/* The page is there, and not mapped. */
	CHECK(!madvise(p, 4096, MADV_DONTNEED));
	collect();
	if (p[1] || p[2])
		collect();
	CHECK_EQ(p[1], 0);
	CHECK_EQ(p[2], 0);
}

TEST(not_resident)
{
	memory_away(1);
}

TEST(not_resident_stopped)
{
	memory_away(0);
}

/*
 * Memory that never comes is not waited for more than a moment, nor does it keep others, which
 * come after it, from being brought in.
 */
TEST(never_resident)
{
	enum { N = 8 };
	int fd = memfd_create("links", 0), nobody, i;
	uint64_t *never, *p;
	uintptr_t a = 0;

	CHECK(!ftruncate(fd, 4096));
	start();
	never = uffd_hole(N * 4096, &nobody);
	for (i = 0; i < N; i++) {
		a = (uintptr_t)raw_take(&h, leaf);
		CHECK_EQ(set(SHORT, &never[i * 512], a), 0);
	}
	p = map(fd);
	linked(SHORT, &p[1], leaf);
	CHECK(!madvise(p, 4096, MADV_DONTNEED));
	/* Each of those that never come may take a call. */
	for (i = 0; i < 2 * N && raw_status(&h).links > N; i++)
		collect();
	diag("%d collections", i);
	CHECK_EQ(raw_status(&h).links, N);
	CHECK_EQ(p[1], 0);
	CHECK(raw_is_live(&h, a));
}

/* The pages of another heap are such of a file that wants to know of the first write to each. */
TEST(in_another_heap)
{
	struct raw other;
	uint64_t *p;
	int i;

	other = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	p = raw_take(&other, raw_cache(&other, GCHEAP_NOSCAN, 32));
	start();
	linked(SHORT, p, leaf);
	for (i = 0; i < 3; i++)
		collect();
	raw_verify(&h);
	p[1] = 1;
	collect();
	CHECK_EQ(p[0], 0);
	CHECK_EQ(raw_status(&h).links, 0);
}

TEST(read_only)
{
	uint64_t *p;
	uintptr_t a;
	int i;

	start();
	p = map(-1);
	a = linked(SHORT, &p[1], leaf);
	linked(LONG, &p[2], leaf);
	mprotect(p, 4096, PROT_READ);
	/* What cannot be told stays. */
	for (i = 0; i < 3; i++)
		collect();
	CHECK_EQ(p[1], HIDE(a));
	CHECK(p[2]);
	CHECK(raw_is_live(&h, a) && raw_is_live(&h, HIDE(p[2])));
	mprotect(p, 4096, PROT_READ | PROT_WRITE);
	collect_until(&p[1]);
	CHECK_EQ(p[2], 0);
	CHECK(!raw_is_live(&h, a));
}

/* Pages that a child shares are written once they are copied. */
TEST(after_fork)
{
	uint64_t *p;
	int pipes[2];
	pid_t pid;
	char c;

	start();
	CHECK(!pipe(pipes));
	p = map(-1);
	linked(SHORT, &p[1], leaf);
	pid = fork();
	if (!pid) {
		close(pipes[1]);
		CHECK_EQ(read(pipes[0], &c, 1), 0);
		_exit(!p[1]);
	}
	collect_until(&p[1]);
	close(pipes[1]);

	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* Memory is not what a freed object's link is told by: it may be another one's. */
TEST(object_freed)
{
	uint64_t *a;

	start();
	a = (void *)linked(SHORT, &word[0], leaf);
	raw_free(&h, a);
	raw_flush(&h);
	do
		keep[0] = raw_take(&h, leaf);
	while (keep[0] != a);
	CHECK_EQ(word[0], HIDE(a));
	collect();
	CHECK_EQ(word[0], 0);
	CHECK(raw_is_live(&h, (uintptr_t)a));
}

TEST(holder_freed)
{
	uint64_t *a;

	start();
	a = raw_take(&h, leaf);
	linked(SHORT, &a[1], leaf);
	linked(LONG, &a[2], leaf);
	raw_free(&h, a);
	raw_flush(&h);
	CHECK_EQ(raw_status(&h).links, 0);
	do
		keep[0] = raw_take(&h, leaf);
	while (keep[0] != a);
	a[1] = a[2] = 5;
	collect();
	CHECK_EQ(a[1] + a[2], 10);
}

TEST(large_object_resized)
{
	struct gcheap_resize r;
	uint64_t *a, *b;

	start();
	keep[0] = a = raw_try_large(&h, big, 100000);
	keep[1] = b = raw_try_large(&h, big, 10000);
	CHECK(a && b);
	linked(SHORT, &a[2], leaf);
	linked(SHORT, &a[12000], leaf);
	CHECK_EQ(set(SHORT, &word[0], (uintptr_t)a), 0);
	word[0] = 1;
	/* Something is behind it: it goes elsewhere, and takes them along. */
	CHECK_EQ(raw_try_resize(&h, a, 1 << 20, &r), 0);
	keep[0] = b = (void *)r.addr;
	CHECK(a != b);
	CHECK_EQ(raw_status(&h).links, 3);
	CHECK_EQ(b[2] && b[12000], 1);
	/* The rest of an object that becomes smaller is no object's. */
	CHECK_EQ(raw_try_resize(&h, b, 90000, &r), 0);
	CHECK_EQ(r.addr, (uintptr_t)b);
	CHECK_EQ(raw_status(&h).links, 2);
	raw_verify(&h);
	collect();
	CHECK_EQ(b[2], 0);
	CHECK_EQ(word[0], 0);
	CHECK_EQ(raw_status(&h).links, 0);
}

/* An object that an earlier cycle has found, and one that is new, are both dead. */
static uintptr_t collect_young(void)
{
	uintptr_t a = linked(SHORT, &word[0], leaf);

	keep[0] = (void *)a;
	collect();
	keep[0] = NULL;
	linked(SHORT, &word[1], leaf);
	raw_flush(&h);
	raw_collect_as(&h, GCHEAP_COLLECT_YOUNG);
	return a;
}

TEST(young)
{
	uintptr_t a = 0;
	int i;

	start();
	raw_param(&h, GCHEAP_PARAM_TRACK, GCHEAP_TRACK_DIRTY);
	raw_param(&h, GCHEAP_PARAM_YOUNG, 2);
	/* After an attempt that has failed it is full. */
	for (i = 0; i < 5 && !raw_status(&h).cycles_young; i++)
		a = collect_young();
	CHECK(raw_status(&h).cycles_young);
	/* What an earlier cycle has found is not found dead. */
	CHECK_EQ(word[0], HIDE(a));
	CHECK(raw_is_live(&h, a));
	CHECK_EQ(word[1], 0);
	collect();
	CHECK_EQ(word[0], 0);
}

TEST(bad_arguments)
{
	struct gcheap_link l = { .size = sizeof(l), .op = GCHEAP_LINK_AWAIT + 1 };
	uintptr_t p, dead;

	start();
	keep[0] = raw_take(&h, leaf);
	p = (uintptr_t)keep[0];
	dead = (uintptr_t)raw_take(&h, leaf);
	collect();
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_LINK, &l), EINVAL);
	l.op = GCHEAP_LINK_AWAIT;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_LINK, &l), 0);
	l.pad = 1;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_LINK, &l), EINVAL);
	CHECK_ERR(set(SHORT, NULL, p), EINVAL);
	CHECK_ERR(set(SHORT, (char *)word + 1, p), EINVAL);
	CHECK_ERR(set(SHORT, (char *)word + 4, p), EINVAL);
	CHECK_ERR(set(SHORT, (void *)-8, p), EINVAL);
	CHECK_ERR(set(SHORT, (void *)(1ul << 63), p), EINVAL);
	CHECK_ERR(set(SHORT, (void *)0x7ffffffffff8, p), EINVAL);
	CHECK_ERR(set(SHORT, word, p + 8), ENOENT);
	CHECK_ERR(set(SHORT, word, dead), ENOENT);
	CHECK_ERR(set(SHORT, word, 0), ENOENT);
	CHECK_ERR(set(SHORT, word, (uintptr_t)word), ENOENT);
	CHECK_ERR(set(SHORT, (void *)dead, p), EINVAL);
	CHECK_ERR(set(SHORT, h.base + h.setup.heap_size - 8, p), EINVAL);
	CHECK_EQ(set(SHORT, word, p), 0);
	CHECK_ERR(move(SHORT, word, (char *)word + 4), EINVAL);
	CHECK_ERR(move(SHORT, word, (void *)dead), EINVAL);
	CHECK_ERR(move(SHORT, word, NULL), EINVAL);
	CHECK_EQ(clear(SHORT, word), 0);
	/* Where the program may not write, and the kernel not for it. */
	CHECK_EQ(set(SHORT, h.meta, p), 0);
	CHECK_EQ(set(SHORT, h.status, p), 0);
	keep[0] = NULL;
	collect();
	raw_verify(&h);
	CHECK(raw_is_live(&h, p));
}

TEST(many)
{
	enum { N = 20000 };
	uint64_t *w = mmap(NULL, N * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static uint64_t *alive[N / 10];
	uint64_t meta;
	int i;

	start();
	raw_root(&h, 0, alive, sizeof(alive), NULL);
	meta = raw_status(&h).meta_bytes;
	for (i = 0; i < N; i++) {
		uintptr_t p = linked(i % 3 ? SHORT : LONG, &w[i], leaf);

		if (i % 10 == 0)
			alive[i / 10] = (void *)p;
	}
	CHECK_EQ(raw_status(&h).links, N);
	CHECK(raw_status(&h).meta_bytes >= meta + N * 32);
	collect();
	for (i = 0; i < N; i++)
		CHECK_EQ(!w[i], i % 10 != 0);
	CHECK_EQ(raw_status(&h).links, N / 10);
	/* All for one. */
	keep[0] = raw_take(&h, leaf);
	for (i = 0; i < N; i++) {
		CHECK_EQ(set(SHORT, &w[i], (uintptr_t)keep[0]), 0);
		w[i] = 1;
	}
	collect();
	CHECK_EQ(w[0], 1);
	keep[0] = NULL;
	collect();
	for (i = 0; i < N; i++)
		CHECK_EQ(w[i], 0);
}

static int mark_result = -1;

static void *collect_once(void *arg)
{
	mark_result = raw_try_collect(&h) ? errno : 0;
	return NULL;
}

static bool awaits_hidden(void)
{
	const volatile struct gcheap_status *s = h.status;

	return s->awaits_hidden;
}

/* No marking is completed while a thread makes an address of what it has read. */
TEST(hidden)
{
	volatile uint32_t *hidden;
	uintptr_t p;
	pthread_t t;
	int i;

	start();
	hidden = &h.tcbs[raw_thread].hidden;
	p = linked(SHORT, &word[0], leaf);
	raw_flush(&h);
	*hidden = 1;
	t = spawn(collect_once, NULL);
	/* A pause has come to nothing. */
	for (i = 0; i < 10000 && !awaits_hidden(); i++)
		usleep(1000);
	CHECK(awaits_hidden());
	CHECK_EQ(word[0], HIDE(p));
	keep[0] = UNHIDE(word[0]);
	keep[0][1] = 5;
	*hidden = 0;
	pthread_join(t, NULL);
	CHECK(mark_result == 0 || mark_result == EAGAIN);
	CHECK(!awaits_hidden());
	collect();
	CHECK_EQ(word[0], HIDE(p));
	CHECK_EQ(keep[0][1], 5);
	/* It says so for ever: collections fail, after some pauses, and nothing is lost. */
	keep[0] = NULL;
	*hidden = 1;
	for (i = 1; i >= 0; i--) {
		uint64_t pauses = raw_status(&h).pauses;

		raw_param(&h, GCHEAP_PARAM_CONCURRENT, i);
		CHECK_ERR(raw_try_collect(&h), EAGAIN);
		CHECK(raw_status(&h).pauses - pauses < 200);
		CHECK(!awaits_hidden());
		CHECK_EQ(word[0], HIDE(p));
	}
	*hidden = 0;
	collect();
	CHECK_EQ(word[0], 0);
}

/* Nor does a thread that hides one wait for itself, when it waits for a collection's end. */
static void waits_hiding(void (*wait)(void), void (*go_on)(void))
{
	volatile uint32_t *hidden;
	uint64_t pauses;
	pthread_t t;

	start();
	hidden = &h.tcbs[raw_thread].hidden;
	*hidden = 1;
	pauses = raw_status(&h).pauses;
	t = spawn(collect_once, NULL);
	while (raw_status(&h).pauses < pauses + 2)
		usleep(1000);
	pauses = raw_status(&h).pauses;
	wait();
	CHECK(raw_status(&h).pauses - pauses < 20);
	*hidden = 0;
	go_on();
	pthread_join(t, NULL);
	CHECK(mark_result == 0 || mark_result == EAGAIN);
	collect();
}

static void holds(void)
{
	raw_hold(&h);
}

static void unholds(void)
{
	raw_unhold(&h);
}

TEST(hidden_and_held)
{
	waits_hiding(holds, unholds);
}

static void forks(unsigned int flags)
{
	struct gcheap_fork f = { .size = sizeof(f), .flags = flags };

	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FORK, &f), 0);
	close(f.fd);
}

static void is_about_to_fork(void)
{
	forks(GCHEAP_FORK_BEGIN);
}

static void does_not_fork(void)
{
	forks(0);
}

TEST(hidden_and_about_to_fork)
{
	waits_hiding(is_about_to_fork, does_not_fork);
}

static atomic_int turn, times_waited;
static atomic_bool over;

static void reveal_begin(volatile uint32_t *hidden)
{
	*hidden = 1;
	while (awaits_hidden() || *(volatile uint32_t *)&h.status->phase ==
	       GCHEAP_PHASE_FINALIZE) {
		*hidden = 0;
		times_waited++;
		CHECK_EQ(call(GCHEAP_LINK_AWAIT, 0, NULL, 0, NULL, NULL), 0);
		*hidden = 1;
	}
}

/* Not before another one has begun, unless the collection waits. */
static void *hand_on(void *arg)
{
	volatile uint32_t *hidden;
	int me = (intptr_t)arg;

	raw_attach(&h);
	hidden = &h.tcbs[raw_thread].hidden;
	while (!over) {
		reveal_begin(hidden);
		turn = me;
		while (turn == me && !awaits_hidden() && !over)
			sched_yield();
		*hidden = 0;
	}
	return NULL;
}

/* Though there is never a moment in which no thread does so by itself. */
static void handed_on(unsigned int concurrent)
{
	pthread_t t[3];
	intptr_t i;

	start_as(concurrent);
	linked(SHORT, &word[0], leaf);
	raw_flush(&h);
	for (i = 0; i < 3; i++)
		t[i] = spawn(hand_on, (void *)(i + 1));
	while (!turn)
		sched_yield();
	for (i = 0; i < 5; i++)
		CHECK_EQ(raw_try_collect(&h), 0);
	over = true;
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	CHECK(times_waited);
	CHECK_EQ(word[0], 0);
	CHECK(!awaits_hidden());
}

TEST(hidden_handed_on)
{
	handed_on(1);
}

TEST(hidden_handed_on_stopped)
{
	handed_on(0);
}

static void *hide_and_die(void *arg)
{
	raw_attach(&h);
	h.tcbs[raw_thread].hidden = 1;
	return NULL;
}

TEST(hidden_and_dead)
{
	start();
	linked(SHORT, &word[0], leaf);
	pthread_join(spawn(hide_and_die, NULL), NULL);
	collect();
	CHECK_EQ(word[0], 0);
}

/* Objects that links know by their addresses do not move. */
TEST(compacted)
{
	unsigned int movable;
	enum { N = 4000 };
	static uint64_t *all[N];
	int i;

	start();
	movable = raw_cache_as(&h, GCHEAP_CACHE_MOVABLE, GCHEAP_NOSCAN, 64);
	raw_root(&h, GCHEAP_ROOT_PRECISE, all, sizeof(all), NULL);
	for (i = 0; i < N; i++) {
		all[i] = raw_take(&h, movable);
		all[i][0] = i;
	}
	for (i = 0; i < N; i++)
		if (i % 16 && i % 512 != 100)
			all[i] = NULL;
	for (i = 100; i < N; i += 512)
		CHECK_EQ(set(SHORT, &word[i / 512], (uintptr_t)all[i]), 0);
	CHECK_EQ(set(SHORT, &all[256][1], (uintptr_t)all[272]), 0);
	all[256][1] = 8;
	for (i = 0; i < 8; i++)
		word[i] = HIDE(all[100 + 512 * i]);
	raw_flush(&h);
	raw_collect_as(&h, GCHEAP_COLLECT_COMPACT);
	raw_collect_as(&h, GCHEAP_COLLECT_COMPACT);
	raw_verify(&h);
	for (i = 0; i < 8; i++)
		CHECK_EQ(word[i], HIDE(all[100 + 512 * i]));
	for (i = 0; i < N; i++)
		CHECK(!all[i] || all[i][0] == (uint64_t)i);
	CHECK_EQ(all[256][1], 8);
	all[272] = NULL;
	for (i = 0; i < 8; i++)
		all[100 + 512 * i] = NULL;
	collect();
	CHECK_EQ(all[256][1], 0);
	for (i = 0; i < 8; i++)
		CHECK_EQ(word[i], 0);
}

TEST_MAIN
