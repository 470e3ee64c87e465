// SPDX-License-Identifier: GPL-2.0-only
/* GCHEAP_IOC_SETUP: versions, features and sizes are agreed on, or it fails cleanly. */
#include "raw.h"

static int setup(int fd, struct gcheap_setup *s)
{
	return ioctl(fd, GCHEAP_IOC_SETUP, s);
}

TEST(tells_what_it_has)
{
	struct gcheap_setup s = raw_setup_arg(0);

	s.heap_size = 0;
	CHECK_EQ(setup(raw_dev(), &s), 0);
	CHECK_EQ(s.abi, GCHEAP_ABI);
	CHECK_EQ(s.layout, GCHEAP_LAYOUT);
	CHECK_EQ(s.features & GCHEAP_FEATURES, GCHEAP_FEATURES);
	CHECK(s.heap_size >= GCHEAP_HEAP_MIN && s.heap_size <= GCHEAP_HEAP_MAX);
	CHECK_EQ(s.heap_size % GCHEAP_CHUNK_SIZE, 0);
	CHECK_EQ(s.meta_size, s.heap_size / GCHEAP_CHUNK_SIZE * GCHEAP_META_STRIDE);
	CHECK_EQ(s.max_threads, 1024);
	CHECK_EQ(s.tcb_size, 1024ull * GCHEAP_TCB_SIZE);
}

TEST(newer_library_is_refused)
{
	struct gcheap_setup s = raw_setup_arg(0);
	int fd = raw_dev();

	s.abi = GCHEAP_ABI + 1;
	CHECK_ERR(setup(fd, &s), EPROTONOSUPPORT);
	CHECK_EQ(s.abi, GCHEAP_ABI);
	CHECK_EQ(s.layout, GCHEAP_LAYOUT);
	/* Told what there is, it can come again. */
	CHECK_EQ(setup(fd, &s), 0);
}

TEST(older_library_is_refused)
{
	struct gcheap_setup s = raw_setup_arg(0);

	s.abi = GCHEAP_ABI_MIN - 1;
	CHECK_ERR(setup(raw_dev(), &s), EPROTONOSUPPORT);
	CHECK_EQ(s.abi, GCHEAP_ABI);
}

TEST(other_layout_is_refused)
{
	struct gcheap_setup s = raw_setup_arg(0);
	int fd = raw_dev();

	s.layout = GCHEAP_LAYOUT + 1;
	CHECK_ERR(setup(fd, &s), EPROTONOSUPPORT);
	CHECK_EQ(s.layout, GCHEAP_LAYOUT);
	s.layout = 0;
	CHECK_ERR(setup(fd, &s), EPROTONOSUPPORT);
}

TEST(missing_feature_is_refused)
{
	struct gcheap_setup s = raw_setup_arg(0);
	int fd = raw_dev();

	s.features = GCHEAP_FEATURES | 1ull << 63;
	CHECK_ERR(setup(fd, &s), EOPNOTSUPP);
	CHECK_EQ(s.features & 1ull << 63, 0);
	CHECK_EQ(s.features & GCHEAP_FEATURES, GCHEAP_FEATURES);
	CHECK_EQ(setup(fd, &s), 0);
}

/* The structure as an earlier version of the interface might have had it. */
TEST(shorter_structure)
{
	struct gcheap_setup s = raw_setup_arg(0);
	int fd = raw_dev();

	s.size = 4;
	CHECK_ERR(setup(fd, &s), EINVAL);
	s.size = offsetof(struct gcheap_setup, max_threads);
	s.max_threads = 7;
	s.meta_size = s.tcb_size = 42;
	CHECK_EQ(setup(fd, &s), 0);
	/* What is behind its end is neither read nor written. */
	CHECK_EQ(s.max_threads, 7);
	CHECK_EQ(s.meta_size, 42);
	CHECK_EQ(s.tcb_size, 42);
}

TEST(longer_structure)
{
	struct { struct gcheap_setup s; uint64_t tail[2]; } l = { .s = raw_setup_arg(0) };
	int fd = raw_dev();

	l.s.size = sizeof(l);
	l.tail[1] = 1;
	CHECK_ERR(setup(fd, &l.s), E2BIG);
	l.tail[1] = 0;
	CHECK_EQ(setup(fd, &l.s), 0);
	CHECK_EQ(l.tail[0] | l.tail[1], 0);
	CHECK(l.s.meta_size);
}

TEST(sizes)
{
	static const uint64_t bad[] = {
		1, GCHEAP_CHUNK_SIZE, GCHEAP_HEAP_MIN - 1, GCHEAP_HEAP_MIN + 1,
		GCHEAP_HEAP_MIN + 4096, GCHEAP_HEAP_MAX - 4096,
		GCHEAP_HEAP_MAX + GCHEAP_CHUNK_SIZE, ~0ull, 1ull << 63,
	};
	struct gcheap_setup s;
	int fd = raw_dev();

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		s = raw_setup_arg(0);
		s.heap_size = bad[i];
		CHECK_ERR(setup(fd, &s), EINVAL);
	}
	s = raw_setup_arg(0);
	s.heap_size = GCHEAP_HEAP_MIN;
	CHECK_EQ(setup(fd, &s), 0);
	fd = raw_dev();
	s = raw_setup_arg(0);
	s.heap_size = GCHEAP_HEAP_MAX;
	CHECK_EQ(setup(fd, &s), 0);
}

TEST(ranges)
{
	static const uint32_t growth[] = { 10001, 1u << 31, ~0u };
	static const uint32_t threads[] = { 32769, 1u << 31, ~0u };
	struct gcheap_setup s;
	int fd = raw_dev();

	for (size_t i = 0; i < sizeof(growth) / sizeof(*growth); i++) {
		s = raw_setup_arg(0);
		s.growth = growth[i];
		CHECK_ERR(setup(fd, &s), EINVAL);
	}
	for (size_t i = 0; i < sizeof(threads) / sizeof(*threads); i++) {
		s = raw_setup_arg(0);
		s.max_threads = threads[i];
		CHECK_ERR(setup(fd, &s), EINVAL);
	}
	s = raw_setup_arg(0);
	s.growth = 10000;
	s.max_threads = 32768;
	s.min_heap = ~0ull;
	s.limit = ~0ull;
	CHECK_EQ(setup(fd, &s), 0);
	CHECK_EQ(s.growth, 10000);
	CHECK_EQ(s.max_threads, 32768);
	CHECK_EQ(s.tcb_size, 32768ull * GCHEAP_TCB_SIZE);
}

TEST(flags)
{
	struct gcheap_setup s;
	int fd = raw_dev();

	for (int bit = 1; bit < 32; bit++) {
		s = raw_setup_arg(1u << bit);
		CHECK_ERR(setup(fd, &s), EINVAL);
	}
	s = raw_setup_arg(GCHEAP_SETUP_PRECISE_ONLY);
	CHECK_EQ(setup(fd, &s), 0);
}

TEST(once)
{
	struct gcheap_setup s = raw_setup_arg(0);
	int fd = raw_dev();

	CHECK_EQ(setup(fd, &s), 0);
	s = raw_setup_arg(0);
	CHECK_ERR(setup(fd, &s), EBUSY);
}

TEST(max_threads_is_kept)
{
	struct gcheap_setup s = raw_setup_arg(0);
	struct raw h;
	unsigned int t;

	s.max_threads = 1;
	h = raw_open_with(s);
	CHECK_EQ(h.setup.max_threads, 1);
	CHECK_EQ(raw_try_attach(&h, &t), 0);
	CHECK(h.tcbs[t].thread == t);
}

static void *attach_other(void *arg)
{
	unsigned int t;

	CHECK_ERR(raw_try_attach(arg, &t), ENOSPC);
	return NULL;
}

TEST(one_thread_too_many)
{
	struct gcheap_setup s = raw_setup_arg(0);
	struct raw h;

	s.max_threads = 1;
	h = raw_open_with(s);
	raw_attach(&h);
	pthread_join(spawn(attach_other, &h), NULL);
}

TEST_MAIN
