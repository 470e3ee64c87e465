// SPDX-License-Identifier: GPL-2.0-only
/* Marking while the program runs: what is moved about in the heap is not lost. */
#include "trace.h"
#include <fcntl.h>
#include <liburing.h>
#include <sys/uio.h>

static struct trace t;

static void end(void)
{
	struct gcheap_status s = raw_status(&t.h);

	CHECK(s.pages_rescanned > 0);
	CHECK_EQ(s.cycles_failed, 0);
	CHECK_EQ(s.check_lost, 0);
	CHECK(s.checks > 0);
	/* Nothing is kept for ever for having been marked once, or being the last. */
	raw_flush(&t.h);
	raw_collect(&t.h);
	raw_collect(&t.h);
	CHECK_EQ(raw_status(&t.h).marked_objects, 1 + PLACES + BALLAST + MOVERS);
	raw_verify(&t.h);
}

#define TEST_WAYS(name, cycles, put)					\
	TEST(name##_with_dirty_bits)					\
	{								\
		trace_open_checked(&t, GCHEAP_TRACK_DIRTY);		\
		CHECK(trace_cycles(&t, cycles, put));			\
		end();							\
	}								\
	TEST(name##_with_protection)					\
	{								\
		trace_open_checked(&t, GCHEAP_TRACK_PROTECT);		\
		CHECK(trace_cycles(&t, cycles, put));			\
		end();							\
	}								\
	TEST(name##_with_unmapping)					\
	{								\
		trace_open_checked(&t, GCHEAP_TRACK_UNMAP);		\
		CHECK(trace_cycles(&t, cycles, put));			\
		end();							\
	}

TEST_WAYS(stores, tap_times(30), trace_store)

/* The kernel writes for the program: into the mapping, and into the page. */
static void put_read(struct trace *t, void **word, void *value)
{
	static int p[2];

	if (!p[1])
		CHECK_EQ(pipe(p), 0);
	CHECK_EQ(write(p[1], &value, sizeof(value)), sizeof(value));
	CHECK_EQ(read(p[0], word, sizeof(*word)), sizeof(*word));
}

TEST_WAYS(read, tap_times(10), put_read)

static void put_process_vm_writev(struct trace *t, void **word, void *value)
{
	struct iovec from = { &value, sizeof(value) }, to = { word, sizeof(value) };

	CHECK_EQ(process_vm_writev(getpid(), &from, 1, &to, 1, 0), sizeof(value));
}

TEST_WAYS(process_vm_writev, tap_times(10), put_process_vm_writev)

static struct io_uring ring;

/* A worker of the kernel's writes, which is a thread of the program's that is never stopped. */
static void put_io_uring(struct trace *t, void **word, void *value)
{
	static int p[2];
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	int err;

	if (!p[1]) {
		CHECK_EQ(pipe(p), 0);
		err = io_uring_queue_init(4, &ring, 0);
		if (err == -ENOSYS || err == -EPERM)
			SKIP("no io_uring");
		CHECK_EQ(err, 0);
	}
	CHECK_EQ(write(p[1], &value, sizeof(value)), sizeof(value));
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, p[0], word, sizeof(*word), 0);
	io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	CHECK_EQ(io_uring_submit(&ring), 1);
	do
		err = io_uring_wait_cqe(&ring, &cqe);
	while (err == -EINTR);
	CHECK_EQ(err, 0);
	CHECK_EQ(cqe->res, (int)sizeof(*word));
	io_uring_cqe_seen(&ring, cqe);
}

TEST_WAYS(io_uring, 5, put_io_uring)

/* A device writes into a page it has a reference to: the whole page comes back. */
static int disk = -1;

static void put_direct(struct trace *t, void **word, void *value)
{
	static char page[4096] __attribute__((aligned(4096)));
	char *at = (char *)((uintptr_t)word & ~4095ul);

	memcpy(page, at, 4096);
	memcpy(page + ((char *)word - at), &value, sizeof(value));
	CHECK_EQ(pwrite(disk, page, 4096, 0), 4096);
	CHECK_EQ(pread(disk, at, 4096, 0), 4096);
}

static void direct(unsigned int way)
{
	disk = open("/dev/vda", O_RDWR | O_DIRECT);
	if (disk < 0)
		SKIP("no disk");
	trace_open_checked(&t, way);
	CHECK(trace_cycles(&t, 5, put_direct));
	end();
}

TEST(direct_io_with_dirty_bits)
{
	direct(GCHEAP_TRACK_DIRTY);
}

TEST(direct_io_with_protection)
{
	direct(GCHEAP_TRACK_PROTECT);
}

TEST(direct_io_with_unmapping)
{
	direct(GCHEAP_TRACK_UNMAP);
}

TEST(through_new_objects)
{
	for (unsigned int way = GCHEAP_TRACK_DIRTY; way <= GCHEAP_TRACK_UNMAP; way++) {
		trace_open_checked(&t, way);
		CHECK(trace_cycles(&t, tap_times(20), trace_store_in_new));
		raw_verify(&t.h);
	}
}

/*
 * Elements beyond an array's length are none; when it grows they are, though their
 * pages were written long before.
 */
TEST(an_array_that_grows)
{
	enum { WORDS = 64 << 10 };
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	uint64_t map = 1;
	struct gcheap_cache_create a = raw_cache_arg(GCHEAP_TYPED, 0);
	static uint64_t *array, *keep[256];
	unsigned int cell;

	a.flags = GCHEAP_CACHE_LARGE;
	a.cell_size = 0;
	a.fixed_words = 1;
	a.length_word = 0;
	a.elem_words = 1;
	a.elem_map = (uintptr_t)&map;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &a), 0);
	cell = raw_cache(&h, GCHEAP_CONSERVATIVE, 32);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 1 << 30);
	raw_root(&h, 0, &array, sizeof(array), NULL);
	array = raw_try_large(&h, a.cache, WORDS * 8);
	CHECK(array);
	for (int i = 0; i < 20; i++) {
		uint64_t before = raw_status(&h).cycles;
		int n = 0;

		uint32_t id = raw_root(&h, 0, keep, sizeof(keep), NULL);

		array[0] = 0;
		for (int k = 0; k < 256; k++) {
			uint64_t *p = raw_take(&h, cell);

			p[0] = k;
			keep[k] = p;
			array[1 + k * 250] = (uintptr_t)p;
		}
		raw_collect_start(&h, 0);
		while (raw_status(&h).cycles == before) {
			if (raw_status(&h).phase != GCHEAP_PHASE_TRACE || n)
				continue;
			/* The array takes over, the other root goes. */
			__atomic_store_n(&array[0], WORDS - 1, __ATOMIC_SEQ_CST);
			for (int k = 0; k < 256; k++)
				__atomic_store_n(&keep[k], NULL, __ATOMIC_SEQ_CST);
			n = 1;
		}
		array[0] = WORDS - 1;
		memset(keep, 0, sizeof(keep));
		for (int k = 0; n && k < 256; k++) {
			uint64_t *p = (uint64_t *)array[1 + k * 250];

			CHECK(raw_is_live(&h, (uintptr_t)p));
			CHECK_EQ(p[0], k);
		}
		raw_root_del(&h, id);
	}
	raw_collect(&h);
	raw_verify(&h);
}

/*
 * What hangs on the end of a long list is taken off while the list is being marked, and
 * kept by a root, which the first pause has copied and the last one alone reads again.
 * Return: whether it was.
 */
static bool take_over_while_traced(struct raw *h, void **tail, void **keep)
{
	struct gcheap_status before = raw_status(h), s = before;
	bool done = false;

	raw_collect_start(h, 0);
	for (; s.cycles == before.cycles; s = raw_status(h)) {
		if (done || s.phase != GCHEAP_PHASE_TRACE || s.pauses == before.pauses)
			continue;
		__atomic_store_n(keep, *tail, __ATOMIC_SEQ_CST);
		__atomic_store_n(tail, NULL, __ATOMIC_SEQ_CST);
		done = true;
	}
	return done;
}

static void **list_of(struct raw *h, unsigned int cell, unsigned int n, void **keep)
{
	void **tail = NULL;

	for (*keep = NULL; n; n--) {
		void **p = raw_take(h, cell);

		p[0] = *keep;
		*keep = p;
		tail = tail ? tail : p;
	}
	return tail;
}

/* A pause that cannot be short ends, and one comes that can. */
TEST(a_budget_too_small)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int cell = raw_cache(&h, GCHEAP_CONSERVATIVE, 32), more = 0;
	enum { LONG = 100000, HIDDEN = 20000 };
	static void *keep[2];

	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 1 << 30);
	raw_param(&h, GCHEAP_PARAM_CHECK, 1);
	raw_param(&h, GCHEAP_PARAM_PAUSE, 1);
	raw_root(&h, 0, keep, sizeof(keep), NULL);
	for (int i = 0; i < 100 && !more; i++) {
		uint64_t before = raw_status(&h).pauses;
		void **tail = list_of(&h, cell, LONG, &keep[0]);

		list_of(&h, cell, HIDDEN, tail);
		keep[1] = NULL;
		raw_flush(&h);
		if (take_over_while_traced(&h, tail, &keep[1]))
			CHECK(raw_status(&h).marked_objects >= LONG + HIDDEN);
		more = raw_status(&h).pauses - before > 2;
	}
	CHECK(more);
	CHECK_EQ(raw_status(&h).cycles_failed, 0);
	CHECK_EQ(raw_status(&h).check_lost, 0);
	CHECK(raw_status(&h).checks > 0);
	raw_verify(&h);
}

/* Progress: pauses end early, one after the other, while all that is written is pointers. */
TEST(a_budget_for_nothing)
{
	enum { EARLY = 20 };
	long long early = 0;

	trace_open_checked(&t, GCHEAP_TRACK_DEFAULT);
	raw_param(&t.h, GCHEAP_PARAM_PAUSE, 1);
	/* A cycle starts with one and ends with one. Where little runs, few come between. */
	for (int i = 0; i < 20 && early < EARLY; i++) {
		struct gcheap_status s;

		CHECK(trace_cycles(&t, 5, trace_store));
		s = raw_status(&t.h);
		early = s.pauses - 2 * s.cycles;
	}
	CHECK(early >= EARLY);
	end();
}

/* A pause marks from roots that have changed since the one before, and from no others. */
enum { SLEEPERS = 8, DEEP = 8192 };

static int awake[2], ends[2];

static void *deep_sleeper(void *arg)
{
	volatile void *mine[DEEP];
	char c = 0;

	for (int i = 0; i < DEEP; i++)
		mine[i] = arg;
	CHECK_EQ(write(awake[1], &c, 1), 1);
	CHECK_EQ(read(ends[0], &c, 1), 0);
	return (void *)mine[0];
}

TEST(roots_that_are_as_they_were)
{
	struct raw h = raw_open(0);
	unsigned int cell = raw_cache(&h, GCHEAP_CONSERVATIVE, 32);
	pthread_t t[SLEEPERS];
	struct gcheap_status s;
	char c;

	CHECK_EQ(pipe(awake), 0);
	CHECK_EQ(pipe(ends), 0);
	for (int i = 0; i < SLEEPERS; i++) {
		t[i] = spawn(deep_sleeper, raw_take(&h, cell));
		CHECK_EQ(read(awake[0], &c, 1), 1);
	}
	raw_flush(&h);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 0);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).root_words_same, 0);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	for (int i = 0; i < 3; i++) {
		/* The first one finds out how much there is to read. */
		raw_collect(&h);
		s = raw_status(&h);
		diag("%llu of %llu words", s.root_words_same, s.root_words);
		CHECK(s.marked_objects >= SLEEPERS);
	}
	CHECK(s.root_words_same >= SLEEPERS * DEEP);
	CHECK(s.root_words_same <= s.root_words);
	close(ends[1]);
	for (int i = 0; i < SLEEPERS; i++)
		pthread_join(t[i], NULL);
	raw_verify(&h);
}

/* What was marked once stays until a full collection comes, which finds it dead. */
TEST(young_collections)
{
	struct gcheap_status s;

	trace_open_checked(&t, GCHEAP_TRACK_DIRTY);
	raw_param(&t.h, GCHEAP_PARAM_YOUNG, 2);
	t.collect = GCHEAP_COLLECT_YOUNG;
	CHECK(trace_cycles(&t, 30, trace_store));
	s = raw_status(&t.h);
	diag("%llu of %llu were young", s.cycles_young, s.cycles);
	CHECK(s.cycles_young >= 28);
	t.table[1] = NULL;		/* the ballast */
	CHECK(trace_cycles(&t, 3, trace_store));
	CHECK(raw_status(&t.h).live_objects > BALLAST);
	t.collect = 0;
	CHECK(trace_cycles(&t, 1, trace_store));
	CHECK(raw_status(&t.h).live_objects < BALLAST);
	CHECK_EQ(raw_status(&t.h).check_lost, 0);
	raw_verify(&t.h);
}

TEST(young_collections_through_new_objects)
{
	trace_open_checked(&t, GCHEAP_TRACK_DIRTY);
	raw_param(&t.h, GCHEAP_PARAM_YOUNG, 2);
	t.collect = GCHEAP_COLLECT_YOUNG;
	CHECK(trace_cycles(&t, 30, trace_store_in_new));
	CHECK(raw_status(&t.h).cycles_young >= 28);
	CHECK_EQ(raw_status(&t.h).check_lost, 0);
	raw_verify(&t.h);
}

/* Back and forth between the two ways to mark, one the other's check. */
TEST(in_turn_with_the_world_stopped)
{
	trace_open_checked(&t, GCHEAP_TRACK_DEFAULT);
	for (int i = 0; i < 10; i++) {
		raw_param(&t.h, GCHEAP_PARAM_CONCURRENT, i % 2);
		CHECK(trace_cycles(&t, 3, trace_store));
	}
	end();
}

TEST(track_is_checked)
{
	struct gcheap_param p = { .size = sizeof(p), .flags = GCHEAP_PARAM_SET,
				  .param = GCHEAP_PARAM_TRACK, .value = 4 };

	trace_open_checked(&t, GCHEAP_TRACK_DEFAULT);
	CHECK_ERR(ioctl(t.h.fd, GCHEAP_IOC_PARAM, &p), EINVAL);
	p.param = GCHEAP_PARAM_PAUSE;
	p.value = 0;
	CHECK_ERR(ioctl(t.h.fd, GCHEAP_IOC_PARAM, &p), EINVAL);
	p.value = 2000000000;
	CHECK_ERR(ioctl(t.h.fd, GCHEAP_IOC_PARAM, &p), EINVAL);
	p.param = GCHEAP_PARAM_CONCURRENT;
	p.value = 2;
	CHECK_ERR(ioctl(t.h.fd, GCHEAP_IOC_PARAM, &p), EINVAL);
}

TEST_MAIN
