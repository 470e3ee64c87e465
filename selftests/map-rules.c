// SPDX-License-Identifier: GPL-2.0-only
/* What may be mapped, where and how; and that it stays so. */
#include "raw.h"
#include <setjmp.h>
#include <sys/resource.h>

static const uint64_t offs[] = { GCHEAP_OFF_HEAP, GCHEAP_OFF_META, GCHEAP_OFF_STATUS,
				 GCHEAP_OFF_TCB };

static int fd_set_up(struct gcheap_setup *s)
{
	int fd = raw_dev();

	*s = raw_setup_arg(0);
	CHECK_EQ(ioctl(fd, GCHEAP_IOC_SETUP, s), 0);
	return fd;
}

static long map_at(int fd, void *at, size_t size, int prot, int flags, uint64_t off)
{
	return (long)mmap(at, size, prot, flags | (at ? MAP_FIXED : 0), fd, off);
}

#define RW	(PROT_READ | PROT_WRITE)

TEST(before_setup)
{
	int fd = raw_dev();

	for (int i = 0; i < 4; i++)
		CHECK_ERR(map_at(fd, NULL, 1 << 21, i == 1 || i == 2 ? PROT_READ : RW,
				 MAP_SHARED, offs[i]), ENODEV);
}

TEST(heap_size_and_place)
{
	struct gcheap_setup s;
	int fd = fd_set_up(&s);
	char *at = raw_hole(s.heap_size + GCHEAP_CHUNK_SIZE);

	CHECK_ERR(map_at(fd, at, s.heap_size - GCHEAP_CHUNK_SIZE, RW, MAP_SHARED, 0), EINVAL);
	CHECK_ERR(map_at(fd, at, s.heap_size - 4096, RW, MAP_SHARED, 0), EINVAL);
	CHECK_ERR(map_at(fd, at, s.heap_size + 4096, RW, MAP_SHARED, 0), EINVAL);
	CHECK_ERR(map_at(fd, at, 4096, RW, MAP_SHARED, 0), EINVAL);
	CHECK_ERR(map_at(fd, at, s.heap_size, RW, MAP_SHARED, 4096), EINVAL);
	CHECK_ERR(map_at(fd, at + 4096, s.heap_size, RW, MAP_SHARED, 0), EINVAL);
	CHECK_EQ(map_at(fd, at, s.heap_size, RW, MAP_SHARED, 0), (long)at);
}

TEST(heap_protection)
{
	static const int bad[] = { PROT_NONE, PROT_READ, PROT_WRITE, RW | PROT_EXEC };
	struct gcheap_setup s;
	int fd = fd_set_up(&s);
	char *at = raw_hole(s.heap_size);

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK_ERR(map_at(fd, at, s.heap_size, bad[i], MAP_SHARED, 0), EACCES);
	CHECK_ERR(map_at(fd, at, s.heap_size, RW, MAP_PRIVATE, 0), EINVAL);
	/* Every failure left it unbound. */
	CHECK_EQ(map_at(fd, at, s.heap_size, RW, MAP_SHARED, 0), (long)at);
}

TEST(heap_twice)
{
	struct raw h = raw_open_with(raw_setup_arg(0));
	char *at = raw_hole(h.setup.heap_size);

	CHECK_ERR(map_at(h.fd, at, h.setup.heap_size, RW, MAP_SHARED, 0), EBUSY);
}

TEST(read_only_areas)
{
	struct raw h = raw_open_with(raw_setup_arg(0));
	const size_t size[] = { h.setup.meta_size, GCHEAP_STATUS_SIZE };
	char *p;

	for (int i = 0; i < 2; i++) {
		CHECK_ERR(map_at(h.fd, NULL, size[i], RW, MAP_SHARED, offs[i + 1]), EACCES);
		CHECK_ERR(map_at(h.fd, NULL, size[i], PROT_READ | PROT_EXEC, MAP_SHARED,
				 offs[i + 1]), EACCES);
		CHECK_ERR(map_at(h.fd, NULL, size[i], PROT_READ, MAP_PRIVATE, offs[i + 1]), EINVAL);
		CHECK_ERR(map_at(h.fd, NULL, size[i] * 2, PROT_READ, MAP_SHARED, offs[i + 1]),
			  EINVAL);
		CHECK_ERR(map_at(h.fd, NULL, size[i], PROT_READ, MAP_SHARED, offs[i + 1] + 4096),
			  EINVAL);
		p = i ? (char *)h.status : h.meta;
		CHECK_ERR(mprotect(p, size[i], RW), EACCES);
		CHECK_ERR(mprotect(p, size[i], PROT_READ | PROT_EXEC), EACCES);
	}
}

TEST(control_blocks)
{
	struct gcheap_setup s;
	int fd = fd_set_up(&s);

	CHECK_ERR(map_at(fd, NULL, s.tcb_size / 2, RW, MAP_SHARED, GCHEAP_OFF_TCB), EINVAL);
	CHECK_ERR(map_at(fd, NULL, s.tcb_size, RW, MAP_PRIVATE, GCHEAP_OFF_TCB), EINVAL);
	CHECK_ERR(map_at(fd, NULL, s.tcb_size, RW | PROT_EXEC, MAP_SHARED, GCHEAP_OFF_TCB), EACCES);
	CHECK_ERR(map_at(fd, NULL, s.tcb_size, RW, MAP_SHARED, GCHEAP_OFF_TCB + 4096), EINVAL);
}

TEST(unknown_offset)
{
	struct gcheap_setup s;
	int fd = fd_set_up(&s);

	CHECK_ERR(map_at(fd, NULL, 4096, PROT_READ, MAP_SHARED, 0x400000000000ull), EINVAL);
	CHECK_ERR(map_at(fd, NULL, 4096, PROT_READ, MAP_SHARED, 0x280000000000ull), EINVAL);
	CHECK_ERR(map_at(fd, NULL, 4096, PROT_READ, MAP_SHARED, 0x7ffffffffffff000ull), EINVAL);
}

TEST(read_only_open)
{
	int fd = open("/dev/gcheap", O_RDONLY | O_CLOEXEC);

	CHECK(fd < 0);
	CHECK(errno == EACCES || errno == EPERM || errno == EINVAL);
}

TEST(mprotect_fails)
{
	struct raw h = raw_open(0);
	char *p = raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 4096));
	static const int prot[] = { PROT_NONE, PROT_READ, PROT_WRITE, RW | PROT_EXEC };

	for (size_t i = 0; i < sizeof(prot) / sizeof(*prot); i++) {
		CHECK(mprotect(h.base, h.setup.heap_size, prot[i]));
		CHECK(mprotect(h.base + GCHEAP_CHUNK_SIZE, GCHEAP_CHUNK_SIZE, prot[i]));
		CHECK(mprotect(h.base, 4096, prot[i]));
	}
	*p = 1;
	raw_collect(&h);
	raw_verify(&h);
}

TEST(mremap_fails)
{
	struct raw h = raw_open(0);
	char *p = raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 4096));
	size_t size = h.setup.heap_size;
	void *to = raw_hole(size);

	CHECK(mremap(h.base, size, size * 2, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK(mremap(h.base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED);
	CHECK(mremap(h.base, size, size / 2, 0) == MAP_FAILED);
	CHECK(mremap(h.base, 0, size, MREMAP_MAYMOVE) == MAP_FAILED);	/* an alias */
	*p = 1;
	raw_collect(&h);
	raw_verify(&h);
}

TEST(partial_munmap_fails)
{
	struct raw h = raw_open(0);
	char *p = raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 4096));
	size_t size = h.setup.heap_size;

	CHECK(munmap(h.base, 4096));
	CHECK(munmap(h.base, GCHEAP_CHUNK_SIZE));
	CHECK(munmap(h.base + size - 4096, 4096));
	CHECK(munmap(h.base + GCHEAP_CHUNK_SIZE, GCHEAP_CHUNK_SIZE));
	CHECK(mmap(h.base + GCHEAP_CHUNK_SIZE, 4096, RW,
		   MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	*p = 1;
	raw_collect(&h);
	raw_verify(&h);
}

TEST(munmap_kills_the_heap)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	struct gcheap_info i;

	raw_take(&h, c);
	CHECK_EQ(munmap(h.base, h.setup.heap_size), 0);
	CHECK_ERR(raw_try_collect(&h), ENXIO);
	CHECK_ERR(raw_try_spans(&h, c, 1), ENXIO);
	CHECK_ERR(raw_try_info(&h, (uintptr_t)h.base, &i), ENXIO);
	CHECK_ERR(map_at(h.fd, h.base, h.setup.heap_size, RW, MAP_SHARED, 0), ENXIO);
	raw_status(&h);		/* still there to be read */
}

TEST(overmapping_kills_the_heap)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);

	raw_take(&h, c);
	CHECK(mmap(h.base, h.setup.heap_size, RW, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0) == h.base);
	*h.base = 1;
	CHECK_ERR(raw_try_collect(&h), ENXIO);
	CHECK_ERR(raw_try_spans(&h, c, 1), ENXIO);
}

TEST(mappings_outlive_the_descriptor)
{
	struct raw h = raw_open(0);
	char *p = raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 64));

	close(h.fd);
	memset(p, 0x5a, 64);
	CHECK_EQ(p[63], 0x5a);
	raw_status(&h);
}

TEST(madvise_loses_nothing)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_COLD, MADV_PAGEOUT,
		MADV_HUGEPAGE, MADV_MERGEABLE, MADV_POPULATE_READ,
	};
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 4096);
	unsigned char *p[64];

	for (int i = 0; i < 64; i++) {
		p[i] = raw_take(&h, c);
		memset(p[i], i + 1, 4096);
	}
	for (size_t a = 0; a < sizeof(advice) / sizeof(*advice); a++) {
		madvise(h.base, GCHEAP_CHUNK_SIZE, advice[a]);
		for (int i = 0; i < 64; i++)
			CHECK(p[i][0] == i + 1 && p[i][4095] == i + 1);
	}
	raw_verify(&h);
}

static sigjmp_buf fault_jump;
static volatile sig_atomic_t fault_signal;

static void on_fault(int sig)
{
	fault_signal = sig;
	siglongjmp(fault_jump, 1);
}

/* The signal that a touch raises; 0 if none. */
static int touch(volatile char *p, bool write)
{
	struct sigaction a = { .sa_handler = on_fault };

	sigaction(SIGBUS, &a, NULL);
	sigaction(SIGSEGV, &a, NULL);
	fault_signal = 0;
	if (!sigsetjmp(fault_jump, 1)) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	return fault_signal;
}

TEST(sigbus_outside_of_spans)
{
	struct raw h = raw_open(0);
	size_t size = h.setup.heap_size;

	for (size_t off = 0; off < size; off += size / 16) {
		CHECK_EQ(touch(h.base + off, false), SIGBUS);
		CHECK_EQ(touch(h.base + off, true), SIGBUS);
	}
	CHECK_EQ(touch(h.base + size - 1, true), SIGBUS);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	char *p = raw_take(&h, c);
	uint32_t first = raw_batches[raw_thread][c].span[0];
	size_t span = raw_slot(&h, first)->nslots * (size_t)GCHEAP_SLOT_SIZE;

	CHECK_EQ(touch(p, true), 0);
	CHECK_EQ(touch(h.base + (size_t)first * GCHEAP_SLOT_SIZE + span - 1, true), 0);
	CHECK_EQ(touch(h.base + size - 1, true), SIGBUS);
}

/* More than the next cycle will use again is given back, the highest first. */
TEST(sigbus_after_release)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	size_t size = 16 << 20;
	char *p = raw_try_large(&h, c, size);

	CHECK(p);
	CHECK_EQ(touch(p + size - 1, true), 0);
	memset(p, 1, size);
	raw_flush(&h);
	raw_collect_as(&h, GCHEAP_COLLECT_COMPACT);
	CHECK_EQ(raw_slot(&h, (p - h.base) >> GCHEAP_SLOT_SHIFT)->head, 0);
	CHECK_EQ(touch(p + size - 1, false), SIGBUS);
	raw_verify(&h);
}

/* A system call on such memory is EFAULT, not a crash. */
TEST(efault_outside_of_spans)
{
	struct raw h = raw_open(0);
	int p[2];

	CHECK_EQ(pipe(p), 0);
	CHECK_ERR(write(p[1], h.base + GCHEAP_CHUNK_SIZE, 10), EFAULT);
	CHECK_EQ(write(p[1], "1234567890", 10), 10);
	CHECK_ERR(read(p[0], h.base + GCHEAP_CHUNK_SIZE, 10), EFAULT);
}

TEST(mlock_is_harmless)
{
	struct rlimit l = { RLIM_INFINITY, RLIM_INFINITY };
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	struct gcheap_status before;

	setrlimit(RLIMIT_MEMLOCK, &l);
	memset(raw_take(&h, c), 1, 64);
	before = raw_status(&h);
	mlock(h.base, h.setup.heap_size);
	mlock2(h.base, h.setup.heap_size, MLOCK_ONFAULT);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	CHECK_EQ(raw_status(&h).heap_bytes, before.heap_bytes);
	CHECK_EQ(raw_status(&h).resident_bytes, before.resident_bytes);
	munlockall();
	memset(raw_take(&h, c), 1, 64);
	raw_collect(&h);
	raw_verify(&h);
}

TEST(map_populate_and_locked)
{
	struct gcheap_setup s;
	int fd = fd_set_up(&s);
	char *at = raw_hole(s.heap_size);

	CHECK_EQ(map_at(fd, at, s.heap_size, RW, MAP_SHARED | MAP_POPULATE | MAP_LOCKED, 0),
		 (long)at);
	CHECK_EQ(touch(at, true), SIGBUS);
}

TEST_MAIN
