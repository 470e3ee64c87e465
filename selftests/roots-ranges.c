// SPDX-License-Identifier: GPL-2.0-only
/* Registered ranges: ambiguous, precise, shadow stacks, fibers; and ones that go. */
#include "raw.h"
#include "uffd.h"
#include <poll.h>

static struct raw h;
static unsigned int cache;

static void start(void)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
}

static uint64_t marked(void)
{
	raw_flush(&h);
	raw_collect(&h);
	return raw_status(&h).marked_objects;
}

static char **words(size_t n)
{
	char **w = mmap(NULL, (n * sizeof(*w) + 4095) & ~4095ul, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(w != MAP_FAILED);
	for (size_t i = 0; i < n; i++)
		w[i] = raw_take(&h, cache);
	return w;
}

TEST(ambiguous)
{
	start();
	char **w = words(100);
	uint32_t id = raw_root(&h, 0, w, 800, NULL);

	CHECK_EQ(marked(), 100);
	w[7] = NULL;
	w[8] += 17;			/* interior */
	w[9] = (char *)9;		/* something else */
	w[10] = w[11];			/* twice the same */
	CHECK_EQ(marked(), 97);
	CHECK_EQ(raw_root_del(&h, id), 0);
	CHECK_EQ(marked(), 0);
}

TEST(precise)
{
	start();
	char **w = words(100);
	uint32_t id = raw_root(&h, GCHEAP_ROOT_PRECISE, w, 800, NULL);

	CHECK_EQ(marked(), 100);
	w[7] = NULL;
	w[8] += 17;
	CHECK_EQ(marked(), 99);
	CHECK_EQ(raw_root_del(&h, id), 0);
	CHECK_EQ(marked(), 0);
}

TEST(only_what_is_inside)
{
	start();
	char **w = words(100);
	uint32_t id = raw_root(&h, 0, w + 10, 80, NULL);

	CHECK_EQ(marked(), 10);
	CHECK_EQ(raw_root_del(&h, id), 0);
	CHECK_EQ(marked(), 0);
}

TEST(overlapping)
{
	start();
	char **w = words(100);

	raw_root(&h, 0, w, 800, NULL);
	uint32_t id = raw_root(&h, 0, w + 50, 400, NULL);

	CHECK_EQ(marked(), 100);
	CHECK_EQ(raw_root_del(&h, id), 0);
	CHECK_EQ(marked(), 100);
}

TEST(shadow_stack)
{
	start();
	char **w = words(1000);
	static char **volatile top;

	top = w;
	raw_root(&h, GCHEAP_ROOT_TOP | GCHEAP_ROOT_PRECISE, w, 8000, (void *)&top);
	top = w + 600;
	CHECK_EQ(marked(), 600);
	top = w + 10;
	CHECK_EQ(marked(), 10);
	top = w;
	CHECK_EQ(marked(), 0);
}

/* The top is the program's word: whatever is in it is clamped. */
TEST(shadow_stack_top_out_of_range)
{
	start();
	char **w = words(1000);
	static volatile uintptr_t top;

	raw_root(&h, GCHEAP_ROOT_TOP, w, 8000, (void *)&top);
	top = (uintptr_t)(w + 1000);
	CHECK_EQ(marked(), 1000);
	top = -1;
	CHECK_EQ(marked(), 1000);
	top = (uintptr_t)w + 803;	/* not a word's address */
	CHECK(marked() == 1000 || raw_status(&h).marked_objects == 100 ||
	      raw_status(&h).marked_objects == 101);
	top = 0;
	CHECK_EQ(marked(), 0);
}

/*
 * The heap comes to be mapped where such a word is: it is read as the object that it is,
 * whatever the page table has.
 */
TEST(shadow_stack_top_in_the_heap)
{
	struct gcheap_root r = { .size = sizeof(r), .flags = GCHEAP_ROOT_TOP, .len = 8000 };
	static char *at;
	char **w, ***top;

	h = (struct raw){ .fd = raw_dev(), .setup = raw_setup_arg(GCHEAP_SETUP_PRECISE_ONLY) };
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_SETUP, &h.setup), 0);
	w = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at = raw_hole(RAW_HEAP);
	r.addr = (uintptr_t)w;
	r.top = (uintptr_t)at;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_ROOT_ADD, &r), 0);
	raw_map(&h);
	CHECK(h.base == at);
	raw_attach(&h);
	raw_hold(&h);
	top = raw_try_large(&h, raw_cache(&h, GCHEAP_NOSCAN, 0), 100000);
	CHECK((char *)top == at);
	raw_root(&h, GCHEAP_ROOT_PRECISE, &at, sizeof(at), NULL);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	for (int i = 0; i < 1000; i++)
		w[i] = raw_take(&h, cache);
	*top = w + 500;
	CHECK_EQ(marked(), 501);
	CHECK_EQ(madvise(h.base, RAW_HEAP, MADV_DONTNEED), 0);
	CHECK_EQ(marked(), 501);
	CHECK(*top == w + 500);
	*top = w + 100;
	CHECK_EQ(marked(), 101);
}

TEST(fiber)
{
	start();
	char **w = words(1000);		/* a stack that grows down from its end */
	static volatile uintptr_t top;

	top = (uintptr_t)w;
	raw_root(&h, GCHEAP_ROOT_FIBER, w, 8000, (void *)&top);
	CHECK_EQ(marked(), 1000);
	top = (uintptr_t)(w + 900);
	/* And the red zone: 16 words below. */
	CHECK_EQ(marked(), 116);
	top = (uintptr_t)(w + 1000);
	CHECK_EQ(marked(), 16);
}

TEST(fiber_that_runs)
{
	start();
	char **w = words(1000);
	static volatile uintptr_t top;

	raw_root(&h, GCHEAP_ROOT_FIBER, w, 8000, (void *)&top);
	top = 0;
	CHECK_EQ(marked(), 0);
}

TEST(fiber_top_at_the_bottom)
{
	start();
	char **w = words(100);
	static volatile uintptr_t top;

	raw_root(&h, GCHEAP_ROOT_FIBER, w, 800, (void *)&top);
	top = (uintptr_t)(w + 8);	/* the red zone would reach below the range */
	CHECK_EQ(marked(), 100);
}

static bool wait_event(unsigned int type, struct gcheap_event *e, int ms)
{
	struct pollfd p = { .fd = h.fd, .events = POLLIN };

	while (poll(&p, 1, ms) > 0) {
		CHECK_EQ(read(h.fd, e, sizeof(*e)), sizeof(*e));
		if (e->type == type)
			return true;
	}
	return false;
}

/* A range that is no longer there: an event, no hang, and the other roots hold. */
TEST(unmapped)
{
	struct gcheap_event e;
	int r = -1;

	start();
	char **gone = words(512), **kept = words(10);
	uint32_t id = raw_root(&h, 0, gone, 4096, NULL);

	raw_root(&h, 0, kept, 80, NULL);
	CHECK_EQ(marked(), 522);
	munmap(gone, 4096);
	raw_flush(&h);
	for (int i = 0; i < 5 && r; i++) {
		r = raw_try_collect(&h);
		CHECK(!r || errno == EAGAIN);
	}
	CHECK(wait_event(GCHEAP_EV_ROOT_GONE, &e, 1000));
	CHECK_EQ(e.a, id);
	CHECK(e.b >= (uintptr_t)gone && e.b < (uintptr_t)gone + 4096);
	for (int i = 0; i < 10; i++)
		CHECK(raw_is_live(&h, (uintptr_t)kept[i]));
	raw_root_del(&h, id);
	CHECK_EQ(marked(), 10);
	raw_verify(&h);
}

TEST(protected)
{
	struct gcheap_event e;

	start();
	char **gone = words(512);
	uint32_t id = raw_root(&h, 0, gone, 4096, NULL);

	mprotect(gone, 4096, PROT_NONE);
	raw_flush(&h);
	for (int i = 0; i < 5; i++)
		if (raw_try_collect(&h))
			CHECK_EQ(errno, EAGAIN);
	CHECK(wait_event(GCHEAP_EV_ROOT_GONE, &e, 1000));
	CHECK_EQ(e.a, id);
	CHECK_EQ(e.c, EFAULT);
	mprotect(gone, 4096, PROT_READ | PROT_WRITE);
	raw_root_del(&h, id);
	CHECK_EQ(marked(), 0);
}

/* Not resident is not gone: it is brought in, and read. */
TEST(swapped_out_or_never_touched)
{
	start();
	char path[] = "/tmp/gcheap-root-XXXXXX";
	int fd = mkstemp(path);
	char **w, **fresh;

	CHECK(fd >= 0);
	unlink(path);
	CHECK_EQ(ftruncate(fd, 1 << 20), 0);
	w = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(w != MAP_FAILED);
	fresh = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	raw_root(&h, 0, w, 1 << 20, NULL);
	raw_root(&h, 0, fresh, 1 << 20, NULL);
	for (int i = 0; i < 100; i++)
		w[i * 1000] = raw_take(&h, cache);
	for (int round = 0; round < 3; round++) {
		madvise(w, 1 << 20, MADV_DONTNEED);	/* out of the page table only */
		CHECK_EQ(marked(), 100);
	}
}

TEST(range_beyond_the_end_of_a_file)
{
	start();
	char path[] = "/tmp/gcheap-root-XXXXXX";
	int fd = mkstemp(path);
	struct gcheap_event e;
	char **w;

	unlink(path);
	CHECK_EQ(ftruncate(fd, 4096), 0);
	w = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(w != MAP_FAILED);
	uint32_t id = raw_root(&h, 0, w, 8192, NULL);

	for (int i = 0; i < 5; i++)
		if (raw_try_collect(&h))
			CHECK_EQ(errno, EAGAIN);
	CHECK(wait_event(GCHEAP_EV_ROOT_GONE, &e, 1000));
	CHECK_EQ(e.a, id);
	raw_root_del(&h, id);
	raw_collect(&h);
	raw_verify(&h);
}

/*
 * A page that only another thread could bring in, and that thread will not: the
 * attempt is given up, with an event, and is not a hang.
 */
TEST(userfaultfd)
{
	struct gcheap_event e;
	uint64_t begin;
	void *area;
	int fd;

	start();
	area = uffd_hole(4 * 4096, &fd);
	uint32_t id = raw_root(&h, 0, area, 4 * 4096, NULL);

	begin = now_ns();
	CHECK_ERR(raw_try_collect(&h), EAGAIN);
	CHECK(now_ns() - begin < 30000000000ull);
	CHECK(wait_event(GCHEAP_EV_ROOT_GONE, &e, 1000));
	CHECK_EQ(e.a, id);
	CHECK_EQ(e.c, EAGAIN);
	CHECK(wait_event(GCHEAP_EV_FAILED, &e, 1000));
	CHECK(e.a == EAGAIN || e.a == EFAULT);
	CHECK(raw_status(&h).cycles_failed > 0);
	close(fd);		/* zeroes from now on */
	CHECK_EQ(marked(), 0);
	raw_verify(&h);
}

/* References from one heap into another are no roots unless registered (R20). */
TEST(range_in_another_heap)
{
	start();
	struct raw first = h;
	unsigned int thread = raw_thread;
	struct raw_batch *batch = raw_batches[raw_thread];
	char **w;

	raw_batches[raw_thread] = NULL;
	struct raw other = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	char **cell = raw_take(&other, raw_cache(&other, GCHEAP_CONSERVATIVE, 4096));
	static char **keep;

	keep = cell;
	raw_root(&other, 0, &keep, 8, NULL);
	struct raw_batch *other_batch = raw_batches[raw_thread];

	raw_thread = thread;
	raw_batches[raw_thread] = batch;
	h = first;
	w = words(10);
	memcpy(cell, w, 80);
	CHECK_EQ(marked(), 0);
	w = words(10);
	memcpy(cell, w, 80);
	raw_root(&h, 0, cell, 4096, NULL);
	CHECK_EQ(marked(), 10);
	(void)other_batch;
	raw_collect(&other);
	raw_verify(&other);
}

/* Its own memory as a root range: odd, and harmless. */
TEST(range_in_its_own_heap)
{
	start();
	char **cell = raw_take(&h, cache), *p = raw_take(&h, cache);

	cell[0] = p;
	if (raw_try_root(&h, 0, cell, 64, NULL) == ~0u)
		CHECK_EQ(errno, EINVAL);
	raw_flush(&h);
	for (int i = 0; i < 5; i++)
		if (raw_try_collect(&h))
			CHECK_EQ(errno, EAGAIN);
	raw_verify(&h);
}

TEST(one_past_the_end)
{
	struct gcheap_cache_create c;
	static char *keep[2];
	unsigned int past, plain;
	char *p, *q;

	start();
	c = raw_cache_arg(GCHEAP_CONSERVATIVE, 64);
	c.flags = GCHEAP_CACHE_PAST_END;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	past = c.cache;
	plain = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	raw_root(&h, 0, keep, sizeof(keep), NULL);
	/* Not the first cell: the cell before it has to be its own kind's. */
	raw_take(&h, past);
	raw_take(&h, plain);
	p = raw_take(&h, past);
	q = raw_take(&h, plain);
	keep[0] = p + 64;
	keep[1] = q + 64;
	raw_flush(&h);
	raw_collect(&h);
	CHECK(raw_is_live(&h, (uintptr_t)p));
	CHECK(!raw_is_live(&h, (uintptr_t)q));
	keep[0] = keep[1] = NULL;
	CHECK_EQ(marked(), 0);
}

/* The end of the last cell of a span belongs to another span, or to none. */
TEST(past_the_end_of_the_last_cell)
{
	struct gcheap_cache_create c;
	static char *keep;
	char *p, *last = NULL;

	start();
	c = raw_cache_arg(GCHEAP_CONSERVATIVE, 1024);
	c.flags = GCHEAP_CACHE_PAST_END;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	raw_root(&h, 0, &keep, sizeof(keep), NULL);
	for (unsigned int i = 0; i < c.ncells; i++) {
		p = raw_take(&h, c.cache);
		if (p > last)
			last = p;
	}
	CHECK_EQ((last + 1024 - h.base) % GCHEAP_SLOT_SIZE, 0);
	keep = last + 1024;
	raw_flush(&h);
	raw_collect(&h);
	CHECK(raw_is_live(&h, (uintptr_t)last));
	CHECK_EQ(raw_status(&h).marked_objects, 1);
	keep = NULL;
	CHECK_EQ(marked(), 0);
}

TEST_MAIN
