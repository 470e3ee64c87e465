// SPDX-License-Identifier: GPL-2.0-only
/* Objects that the callback thread is asked about: only code knows what they refer to. */
#include "raw.h"
#include <semaphore.h>

enum { FAN = 2000, CHAIN = 3000, SPARSE = 2000 };

/* What an object of the cache "asked" holds: disguised pointers, here and elsewhere. */
struct more {
	unsigned int n;
	uintptr_t hidden[];
};
struct node {
	uintptr_t hidden;
	struct more *more;
	uint64_t pad[2];
};
#define DISGUISE(p)	((p) ? HIDE(p) : 0)

static struct raw h;
static unsigned int asked, leaves;
static volatile enum {
	HONEST, SILENT, SILENT_LATER, PARTIAL, LIAR, LEAVING, SLOW, ROOMLESS
} manner;
static volatile int honest;	/* PARTIAL: how often about objects, at first */
static volatile unsigned int timeout_ms = 10000;
static volatile uint64_t roots_asked, objects_asked, calls, faults, refused;
static sem_t up;
static int told;

/* ---- the callback thread */

struct answer {
	unsigned int thread, n;
	uint64_t pause;
	uint64_t words[GCHEAP_CALLBACK_WORDS], objects[GCHEAP_CALLBACK_WORDS];
	unsigned int nobjects;
};

static int call(struct answer *a, unsigned int flags)
{
	struct gcheap_callback c = {
		.size = sizeof(c), .flags = flags, .thread = a->thread, .n = a->n,
		.words = (uintptr_t)a->words, .pause = a->pause, .timeout = timeout_ms,
		.objects = manner == ROOMLESS ? 0 : (uintptr_t)a->objects,
	};
	int err = ioctl(h.fd, GCHEAP_IOC_CALLBACK, &c);

	calls++;
	a->n = 0;
	a->pause = c.pause;
	a->nobjects = c.nobjects;
	return err;
}

static bool tell(struct answer *a, uintptr_t hidden)
{
	if (hidden)
		a->words[a->n++] = (uintptr_t)UNHIDE(hidden);
	return a->n < GCHEAP_CALLBACK_WORDS || !call(a, GCHEAP_CALLBACK_MORE);
}

static bool tell_of(struct answer *a, const struct node *node)
{
	const struct more *more = node->more;

	if (!tell(a, node->hidden))
		return false;
	for (unsigned int i = 0; more && i < more->n; i++)
		if (!tell(a, more->hidden[i]))
			return false;
	return true;
}

static bool tell_of_all(struct answer *a)
{
	unsigned int n = a->nobjects;
	bool ok = true;

	for (unsigned int i = 0; i < n && ok; i++)
		ok = tell_of(a, (void *)a->objects[i]);
	return ok;
}

static void lie(struct answer *a)
{
	do {
		for (a->n = 0; a->n < GCHEAP_CALLBACK_WORDS; a->n++)
			a->words[a->n] = (uintptr_t)h.base + a->n * 4099 + calls * 65521;
	} while (!call(a, GCHEAP_CALLBACK_MORE));
	CHECK_EQ(errno, EAGAIN);
}

static void be_silent(void)
{
	pid_t me = gettid();

	CHECK_EQ(write(told, &me, sizeof(me)), sizeof(me));
	pause();
}

/* Some of it, and not in time that this was all. */
static void tell_half(struct answer *a)
{
	CHECK(tell_of(a, (void *)a->objects[0]));
	if (call(a, GCHEAP_CALLBACK_MORE))
		return;
	do
		usleep(1000);
	while (!call(a, GCHEAP_CALLBACK_MORE));
}

static void leave(struct answer *a)
{
	CHECK_EQ(call(a, GCHEAP_CALLBACK_END), 0);
	pthread_exit(NULL);
}

/* False: the question is over. */
static bool answer_in_manner(struct answer *a)
{
	if (manner == SILENT || (manner == SILENT_LATER && a->nobjects))
		be_silent();
	if (manner == SLOW && a->nobjects)
		usleep(5000);
	if (manner == LEAVING && a->nobjects)
		leave(a);
	if (manner == LIAR && a->nobjects)
		lie(a);
	else if (manner == PARTIAL && a->nobjects && !honest--)
		tell_half(a);
	else
		return tell_of_all(a) && !call(a, 0);
	return false;
}

/* Whether there is a question to be answered next. */
static bool do_answer(struct answer *a)
{
	roots_asked += !a->nobjects;
	objects_asked += a->nobjects;
	if (answer_in_manner(a))
		return true;
	if (errno == EFAULT)
		faults++;
	else
		CHECK_EQ(errno, EAGAIN);
	refused++;
	return false;
}

static void *callback_thread(void *arg)
{
	static struct answer a;

	a = (struct answer){ 0 };
	CHECK_EQ(raw_try_attach(&h, &a.thread), 0);
	CHECK_EQ(call(&a, GCHEAP_CALLBACK_MORE), 0);
	sem_post(&up);
	for (;;) {
		a.pause = 0;
		a.n = 0;
		if (call(&a, 0)) {
			CHECK_EQ(errno, EFAULT);
			faults++;
			continue;
		}
		while (do_answer(&a))
			;
	}
	return arg;
}

static void start_thread(void)
{
	sem_init(&up, 0, 0);
	spawn(callback_thread, NULL);
	sem_wait(&up);
}

static void start(unsigned int flags, bool concurrent)
{
	h = raw_open(flags);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, concurrent);
	raw_param(&h, GCHEAP_PARAM_CHECK, concurrent);
	raw_param(&h, GCHEAP_PARAM_VERIFY, 1);
	asked = raw_cache(&h, GCHEAP_ASK, sizeof(struct node));
	leaves = raw_cache(&h, GCHEAP_NOSCAN, 64);
}

/* ---- what is kept, and what is not */

/* Returns disguised addresses, as all that is about objects here. */
static NOINLINE uintptr_t leaf(void)
{
	return HIDE(raw_take(&h, leaves));
}

static NOINLINE uintptr_t node(uintptr_t to)
{
	struct node *n = raw_take(&h, asked);

	n->hidden = to;
	return HIDE(n);
}

static struct more *more_of(unsigned int n)
{
	struct more *more = malloc(sizeof(*more) + n * sizeof(uintptr_t));

	more->n = n;
	for (unsigned int i = 0; i < n; i++)
		more->hidden[i] = leaf();
	return more;
}

/* A chain of nodes, each with a leaf in memory elsewhere. */
static NOINLINE uintptr_t chain(unsigned int n)
{
	uintptr_t head = 0;

	while (n--) {
		head = node(head);
		((struct node *)UNHIDE(head))->more = more_of(1);
	}
	return head;
}

static uintptr_t *root_words(unsigned int n)
{
	uintptr_t *words = calloc(n, sizeof(*words));

	raw_root(&h, 0, words, n * sizeof(*words), NULL);
	return words;
}

static void kept_and_not(bool concurrent)
{
	uintptr_t *root, fan;

	start(GCHEAP_SETUP_PRECISE_ONLY, concurrent);
	root = root_words(CHAIN);
	start_thread();
	root[0] = (uintptr_t)UNHIDE(chain(CHAIN));
	chain(CHAIN);
	settle(&h);
	for (int i = 0; i < 3; i++) {
		raw_collect(&h);
		CHECK_EQ(raw_status(&h).live_objects, 2 * CHAIN);
	}
	CHECK(objects_asked >= 3 * CHAIN);
	/* More than is told at a time. */
	fan = node(0);
	((struct node *)UNHIDE(fan))->more = more_of(FAN);
	root[0] = (uintptr_t)UNHIDE(fan);
	settle(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).live_objects, FAN + 1);
	/* More than are asked about at a time. */
	for (int i = 0; i < CHAIN; i++)
		root[i] = (uintptr_t)UNHIDE(node(leaf()));
	settle(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).live_objects, 2 * CHAIN);
	memset(root, 0, CHAIN * sizeof(*root));
	objects_asked = 0;
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).live_objects, 0);
	CHECK_EQ(objects_asked, 0);
	CHECK_EQ(raw_status(&h).check_lost, 0);
	CHECK_EQ(refused, 0);
	raw_verify(&h);
}

TEST(kept_and_not_world_stopped)
{
	kept_and_not(false);
}

TEST(kept_and_not_while_running)
{
	kept_and_not(true);
}

TEST(large_ones)
{
	unsigned int cache;
	uintptr_t *root;
	struct node *n;

	start(GCHEAP_SETUP_PRECISE_ONLY, true);
	cache = raw_cache(&h, GCHEAP_ASK, 0);
	root = root_words(1);
	start_thread();
	n = raw_try_large(&h, cache, 100000);
	CHECK(n);
	n->hidden = leaf();
	root[0] = (uintptr_t)n;
	settle(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).live_objects, 2);
}

/* It is seen whole, so that it does not go elsewhere page by page. */
TEST(large_ones_do_not_move)
{
	enum { LARGE = 8 };
	struct gcheap_resize a;
	unsigned int cache;
	uintptr_t *root;
	int there = 0;

	start(GCHEAP_SETUP_PRECISE_ONLY, true);
	cache = raw_cache(&h, GCHEAP_ASK, 0);
	root = root_words(LARGE);
	start_thread();
	for (int i = 0; i < LARGE; i++)
		root[i] = (uintptr_t)raw_try_large(&h, cache, 100000);
	for (int i = 0; i < LARGE; i++) {
		if (!raw_try_resize(&h, (void *)root[i], 200000, &a)) {
			CHECK_EQ(a.addr, root[i]);
		} else {
			CHECK_EQ(errno, EBUSY);
			there++;
		}
	}
	CHECK(there >= LARGE / 2);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).live_objects, LARGE);
	raw_verify(&h);
}

/* ---- finalizers: what a dead one leads to comes back with it */

static NOINLINE void make_final(void)
{
	struct gcheap_finalizer f = { .size = sizeof(f), .cookie = 5 };

	f.addr = (uintptr_t)UNHIDE(chain(5));
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZER, &f), 0);
	chain(5);
	settle(&h);
}

static void finalized(bool concurrent)
{
	struct gcheap_ready item[2];
	struct gcheap_finalizers f = {
		.size = sizeof(f), .max = 2, .items = (uintptr_t)item,
	};

	start(GCHEAP_SETUP_PRECISE_ONLY, concurrent);
	start_thread();
	make_final();
	for (int i = 0; i < 2; i++) {
		raw_collect(&h);
		CHECK_EQ(raw_status(&h).finalizers_ready, 1);
		CHECK_EQ(raw_status(&h).live_objects, 10);
	}
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZERS, &f), 0);
	CHECK_EQ(f.got, 1);
	CHECK_EQ(item[0].cookie, 5);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).live_objects, 0);
	CHECK_EQ(refused, 0);
	raw_verify(&h);
}

TEST(finalized_world_stopped)
{
	finalized(false);
}

TEST(finalized_while_running)
{
	finalized(true);
}

/* Each is a question of its own, of the stopped program: not each has a pause of its own. */
TEST(finalized_in_order)
{
	enum { N = 300 };
	struct gcheap_finalizer f = {
		.size = sizeof(f), .flags = GCHEAP_FINALIZER_ORDERED, .cookie = 5,
	};
	uint64_t pauses;

	start(GCHEAP_SETUP_PRECISE_ONLY, true);
	start_thread();
	for (int i = 0; i < N; i++) {
		f.addr = (uintptr_t)UNHIDE(chain(2));
		CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZER, &f), 0);
	}
	settle(&h);
	raw_param(&h, GCHEAP_PARAM_PAUSE, 50000000);
	pauses = raw_status(&h).pauses;
	raw_collect(&h);
	pauses = raw_status(&h).pauses - pauses;
	diag("%" PRIu64 " pauses", pauses);
	CHECK_EQ(raw_status(&h).finalizers_ready, N);
	CHECK_EQ(raw_status(&h).live_objects, 4 * N);
	CHECK(objects_asked >= 2 * N);
	CHECK(pauses < N / 2);
	raw_verify(&h);
}

/* ---- threads that change what is elsewhere, which nobody tracks */

enum { MUTATORS = 3, SLOTS = 200, TURNS = 60000 };

static volatile bool stop;
static volatile uint64_t turns;

static NOINLINE void turn(struct more *more, uint64_t *seed)
{
	unsigned int i;
	uint64_t *p;

	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	i = (*seed >> 33) % SLOTS;
	if (more->hidden[i]) {
		p = UNHIDE(more->hidden[i]);
		CHECK(p[0] == i && p[7] == ~(uint64_t)(uintptr_t)more);
	}
	if (*seed >> 62) {
		p = raw_take(&h, leaves);
		p[0] = i;
		p[7] = ~(uint64_t)(uintptr_t)more;
		more->hidden[i] = HIDE(p);
	} else {
		more->hidden[i] = more->hidden[(i + 1) % SLOTS] = 0;
	}
}

static void *mutate(void *arg)
{
	struct node *node = arg;
	uint64_t seed = (uintptr_t)arg;

	raw_attach_stack(&h);
	while (!stop) {
		turn(node->more, &seed);
		__atomic_fetch_add(&turns, 1, __ATOMIC_RELAXED);
	}
	raw_detach(&h);
	return NULL;
}

TEST(threads_that_allocate)
{
	pthread_t t[MUTATORS];
	uintptr_t *root;
	int cycles = 0;

	start(0, true);
	raw_param(&h, GCHEAP_PARAM_CHECK, 0);
	root = root_words(MUTATORS);
	start_thread();
	for (int i = 0; i < MUTATORS; i++) {
		struct node *n = UNHIDE(node(0));

		n->more = calloc(1, sizeof(*n->more) + SLOTS * sizeof(uintptr_t));
		n->more->n = SLOTS;
		root[i] = (uintptr_t)n;
		t[i] = spawn(mutate, n);
	}
	while (turns < tap_times(TURNS) || cycles < 20) {
		raw_collect(&h);
		cycles++;
	}
	stop = true;
	for (int i = 0; i < MUTATORS; i++)
		pthread_join(t[i], NULL);
	raw_collect(&h);
	CHECK(raw_status(&h).live_objects < MUTATORS * (SLOTS + 200));
	CHECK_EQ(refused, 0);
	diag("%d cycles, %" PRIu64 " turns, %llu pauses", cycles, turns,
	     raw_status(&h).pauses);
	raw_verify(&h);
}

/* ---- when it goes wrong */

static void fails_for(int ms)
{
	uint64_t t0 = now_ns();

	CHECK_ERR(raw_try_collect(&h), ETIME);
	CHECK(now_ns() - t0 < ms * 1000000ull);
}

/* Nothing is freed before somebody answers. */
TEST(nobody_to_ask)
{
	uintptr_t *root;

	start(GCHEAP_SETUP_PRECISE_ONLY, true);
	raw_collect(&h);
	root = root_words(1);
	root[0] = (uintptr_t)UNHIDE(chain(10));
	chain(10);
	settle(&h);
	fails_for(5000);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 0);
	fails_for(5000);
	CHECK(raw_is_live(&h, root[0]));
	raw_verify(&h);
	start_thread();
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).live_objects, 20);
}

TEST(no_room_for_a_question)
{
	uintptr_t *root;

	start(GCHEAP_SETUP_PRECISE_ONLY, true);
	root = root_words(1);
	manner = ROOMLESS;
	start_thread();
	root[0] = (uintptr_t)UNHIDE(chain(10));
	settle(&h);
	fails_for(5000);
	CHECK(faults > 0);
	manner = HONEST;
	/* There was none in the call that it waits in. */
	if (raw_try_collect(&h)) {
		CHECK_EQ(errno, ETIME);
		raw_collect(&h);
	}
	CHECK_EQ(raw_status(&h).live_objects, 20);
}

/* Words that may be anything, without end; an attempt that it costs is the last. */
TEST(liar)
{
	uintptr_t *root;

	start(GCHEAP_SETUP_PRECISE_ONLY, true);
	root = root_words(1);
	manner = LIAR;
	timeout_ms = 1000;
	start_thread();
	root[0] = (uintptr_t)UNHIDE(chain(10));
	settle(&h);
	fails_for(10000);
	while (!refused)
		usleep(1000);
	CHECK_EQ(refused, 1);
	raw_verify(&h);
	manner = HONEST;
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).live_objects, 20);
}

/* Answered in part, in the marking or in its check: nothing is lost, nor is the heap. */
TEST(answered_in_part)
{
	int unchecked = 0;
	uintptr_t *root;

	start(GCHEAP_SETUP_PRECISE_ONLY, true);
	root = root_words(1);
	timeout_ms = 500;
	start_thread();
	root[0] = (uintptr_t)UNHIDE(chain(10));
	settle(&h);
	for (int i = 0; i < 60 && !unchecked; i += 3) {
		uint64_t before = refused;

		honest = i;
		manner = PARTIAL;
		if (raw_try_collect(&h))
			CHECK_EQ(errno, ETIME);
		else
			unchecked += refused != before;
		manner = HONEST;
		raw_verify(&h);
		CHECK(raw_is_live(&h, root[0]));
	}
	/* A check that is not answered is no check, and no failure. */
	CHECK(unchecked > 0);
	timeout_ms = 10000;
	while (raw_try_collect(&h))
		CHECK_EQ(errno, ETIME);
	CHECK_EQ(raw_status(&h).live_objects, 20);
	CHECK_EQ(raw_status(&h).check_lost, 0);
}

static NOINLINE uintptr_t big(unsigned int cache)
{
	void *p = raw_try_large(&h, cache, 8192);

	CHECK(p);
	return HIDE(p);
}

/* A question ends when there is much to be scanned; but there are too many of them. */
TEST(many_short_answers)
{
	enum { LENGTH = 40, BIG = 80 };
	unsigned int cache;
	uintptr_t *root;

	start(GCHEAP_SETUP_PRECISE_ONLY, false);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	root = root_words(1);
	/* There is nobody yet who tells of them. */
	raw_hold(&h);
	for (int i = 0; i < LENGTH; i++) {
		struct more *more = malloc(sizeof(*more) + BIG * sizeof(uintptr_t));
		uintptr_t n = node(root[0] ? HIDE(root[0]) : 0);

		more->n = BIG;
		for (int j = 0; j < BIG; j++)
			more->hidden[j] = big(cache);
		((struct node *)UNHIDE(n))->more = more;
		root[0] = (uintptr_t)UNHIDE(n);
	}
	settle(&h);
	timeout_ms = 100;
	manner = SLOW;
	start_thread();
	raw_unhold(&h);
	fails_for(60000);
	manner = HONEST;
	timeout_ms = 10000;
	while (raw_try_collect(&h))
		CHECK_EQ(errno, ETIME);
	CHECK_EQ(raw_status(&h).live_objects, LENGTH * (BIG + 1));
}

TEST(left_while_asked)
{
	uintptr_t *root;

	start(GCHEAP_SETUP_PRECISE_ONLY, true);
	root = root_words(1);
	manner = LEAVING;
	start_thread();
	root[0] = (uintptr_t)UNHIDE(chain(10));
	settle(&h);
	/* The next attempt has nobody to ask. */
	fails_for(60000);
	manner = HONEST;
	start_thread();
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).live_objects, 20);
	raw_verify(&h);
}

/* A program whose callback thread has been asked, for roots or about objects, and is silent. */
static pid_t silent_program(bool concurrent, bool later, pid_t *thread)
{
	int ends[2];
	pid_t pid;

	CHECK_EQ(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		told = ends[1];
		start(0, concurrent);
		timeout_ms = GCHEAP_CALLBACK_TIMEOUT_MAX;
		manner = later ? SILENT_LATER : SILENT;
		start_thread();
		*root_words(1) = (uintptr_t)UNHIDE(chain(10));
		raw_try_collect(&h);
		pause();
	}
	CHECK_EQ(read(ends[0], thread, sizeof(*thread)), sizeof(*thread));
	close(ends[0]);
	close(ends[1]);
	return pid;
}

/* Whoever is asked has all the time there is, and is killed with all others. */
TEST(killed_while_asked)
{
	for (int i = 0; i < 4; i++) {
		pid_t thread, pid = silent_program(i % 2, i / 2, &thread);
		uint64_t t0;
		int status;

		usleep(i * 2000);
		t0 = now_ns();
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		CHECK(now_ns() - t0 < 10000000000ull);
	}
}

/* All others would wait for one that stands still. */
TEST(stopped_while_asked)
{
	pid_t thread, pid = silent_program(true, true, &thread);
	uint64_t t0 = now_ns();
	int status;

	CHECK_EQ(tgkill(pid, thread, SIGSTOP), 0);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
	CHECK(now_ns() - t0 < 10000000000ull);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
}

/* ---- what such a heap does not do */

/* Boxes that can move, one in eight of which is alive. */
static void make_sparse(void)
{
	unsigned int boxes = raw_cache_as(&h, GCHEAP_CACHE_MOVABLE, GCHEAP_NOSCAN, 64);
	uintptr_t *root = calloc(SPARSE, sizeof(*root));

	raw_root(&h, GCHEAP_ROOT_PRECISE, root, SPARSE * sizeof(*root), NULL);
	raw_param(&h, GCHEAP_PARAM_EVACUATE, 1);
	raw_param(&h, GCHEAP_PARAM_YOUNG, 2);
	for (int i = 0; i < 8 * SPARSE; i++)
		root[i / 8] = (uintptr_t)raw_take(&h, boxes);
	settle(&h);
}

/* Without any that are asked about. */
TEST(young_and_moving)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	make_sparse();
	raw_compact(&h, 1);
	for (int i = 0; i < 20 && !raw_status(&h).cycles_young; i++)
		raw_collect_as(&h, GCHEAP_COLLECT_YOUNG);
	CHECK(raw_status(&h).cycles_young > 0);
}

TEST(neither_young_nor_moving)
{
	uintptr_t *root;

	start(GCHEAP_SETUP_PRECISE_ONLY, true);
	root = root_words(1);
	start_thread();
	root[0] = (uintptr_t)UNHIDE(chain(10));
	make_sparse();
	for (int i = 0; i < 3; i++) {
		raw_collect_as(&h, GCHEAP_COLLECT_YOUNG);
		raw_collect_as(&h, GCHEAP_COLLECT_COMPACT);
	}
	CHECK_EQ(raw_status(&h).cycles_young, 0);
	CHECK_EQ(raw_status(&h).flips, 0);
	CHECK_EQ(raw_status(&h).live_objects, SPARSE + 20);
}

TEST(arguments)
{
	struct gcheap_cache_create c;
	struct gcheap_callback b = { .size = sizeof(b) };

	start(0, true);
	c = raw_cache_arg(GCHEAP_ASK, 32);
	c.flags = GCHEAP_CACHE_MOVABLE;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), EINVAL);
	c.flags = GCHEAP_CACHE_EPHEMERON;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), EINVAL);
	c.flags = 0;
	c.fixed_words = 1;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), EINVAL);
	b.thread = raw_thread;
	b.flags = GCHEAP_CALLBACK_MORE;
	b.timeout = GCHEAP_CALLBACK_TIMEOUT_MAX + 1;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_CALLBACK, &b), EINVAL);
	b.timeout = GCHEAP_CALLBACK_TIMEOUT_MAX;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CALLBACK, &b), 0);
	b.flags = GCHEAP_CALLBACK_END;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CALLBACK, &b), 0);
}

TEST_MAIN
