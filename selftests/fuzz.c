// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random ioctls, mappings and scribbles by several threads, for $FUZZ_SECONDS (8).
 * Only the kernel's health is judged. Repeat with GCHEAP_SEED=n.
 */
#include "raw.h"
#include <poll.h>

static const uint8_t sizes[] = {
	sizeof(struct gcheap_setup), sizeof(struct gcheap_cache_create),
	sizeof(struct gcheap_cache_destroy), sizeof(struct gcheap_thread),
	sizeof(struct gcheap_thread), sizeof(struct gcheap_spans),
	sizeof(struct gcheap_large), sizeof(struct gcheap_flush),
	sizeof(struct gcheap_root), sizeof(struct gcheap_root),
	sizeof(struct gcheap_tls), sizeof(struct gcheap_collect),
	sizeof(struct gcheap_hold), sizeof(struct gcheap_param),
	sizeof(struct gcheap_finalizer), sizeof(struct gcheap_finalizers),
	sizeof(struct gcheap_info), sizeof(struct gcheap_verify),
	sizeof(struct gcheap_callback), sizeof(struct gcheap_offheap),
	sizeof(struct gcheap_lend), sizeof(struct gcheap_resize),
	[_IOC_NR(GCHEAP_IOC_FORK)] = sizeof(struct gcheap_fork), sizeof(struct gcheap_adopt),
};

static struct raw h;
static uint64_t end_ns;
static uint64_t scratch[4096];

static uint64_t value(uint64_t *s)
{
	uint64_t r = rnd(s);

	switch (rnd(s) % 10) {
	case 0: case 1: return 0;
	case 2: return r % 4;
	case 3: return r % 64 * 16;
	case 4: return r % 0x10000;
	case 5: return (uintptr_t)h.base + r % h.setup.heap_size;
	case 6: return (uintptr_t)scratch + (r % sizeof(scratch) & ~7ull);
	case 7: return 1ull << (r % 64);
	case 8: return ~0ull - r % 64;
	default: return r;
	}
}

static void put64(uint32_t *at, uint64_t v)
{
	memcpy(at, &v, sizeof(v));
}

/* Often enough nearly right, so that it gets past the first check. */
static void one_ioctl(int fd, uint64_t *s)
{
	uint32_t arg[64];
	unsigned int nr = rnd(s) % (sizeof(sizes) + 1);
	unsigned int size = nr < sizeof(sizes) ? sizes[nr] : 64;

	for (int i = 0; i < 64; i++)
		arg[i] = 0;
	for (unsigned int i = 2; i < size / 4; i++)
		if (rnd(s) % 3 == 0)
			arg[i] = value(s);
	for (unsigned int i = 4; i + 1 < size / 4; i += 2)
		if (rnd(s) % 4 == 0)
			put64(arg + i, value(s));
	arg[0] = rnd(s) % 16 ? size : rnd(s) % 256;
	arg[1] = rnd(s) % 3 ? 0 : rnd(s) % 8 ? rnd(s) % 8 : rnd(s);
	if (nr == 1 && rnd(s) % 2) {
		arg[2] = rnd(s) % 3;
		arg[3] = (1 + rnd(s) % 64) * 16;
	}
	if (nr >= 5 && nr <= 7 && rnd(s) % 8) {
		arg[2] = raw_thread;
		if (nr != 7)
			arg[3] = rnd(s) % 8;
		if (nr == 5)
			arg[4] = rnd(s) % 9;
		if (nr == 6)
			put64(arg + 4, rnd(s) % 500000);
	}
	if (nr == 13 && rnd(s) % 8)
		put64(arg + 4, (8 << 20) + rnd(s) % (32 << 20));
	if (nr == 12 && arg[2] == 1 && rnd(s) % 2)
		arg[2] = -1;
	if (nr == 4 && rnd(s) % 4)
		return;		/* stay attached, mostly */
	if (GCHEAP_IOC_SETUP + nr == GCHEAP_IOC_FORK && rnd(s) % 8)
		arg[2] = arg[3] = 0;
	/* Nobody wakes up who waits for a pause, and pauses wait for who does not answer. */
	if (GCHEAP_IOC_SETUP + nr == GCHEAP_IOC_CALLBACK)
		arg[1] = rnd(s) % 64 ? GCHEAP_CALLBACK_END : GCHEAP_CALLBACK_MORE;
	if (GCHEAP_IOC_SETUP + nr == GCHEAP_IOC_LEND)
		arg[1] = GCHEAP_LEND_END;
	ioctl(fd, GCHEAP_IOC_SETUP + nr, arg);
}

static void one_mapping(int fd, uint64_t *s)
{
	static const uint64_t off[] = { GCHEAP_OFF_HEAP, GCHEAP_OFF_META, GCHEAP_OFF_STATUS,
					GCHEAP_OFF_TCB };
	uint64_t size[] = { h.setup.heap_size, h.setup.meta_size, GCHEAP_STATUS_SIZE,
			    h.setup.tcb_size };
	int i = rnd(s) % 4;
	void *p;

	p = mmap(NULL, rnd(s) % 4 ? size[i] : value(s) % (1 << 30), rnd(s) % 8,
		 rnd(s) % 4 ? MAP_SHARED : MAP_PRIVATE, fd,
		 off[i] + (rnd(s) % 4 ? 0 : rnd(s) % 1000 * 4096));
	if (p != MAP_FAILED) {
		madvise(p, size[i], rnd(s) % 26);
		mprotect(p, size[i], rnd(s) % 8);
		munmap(p, size[i]);
	}
	madvise(h.base + rnd(s) % 1024 * 4096, rnd(s) % 4096 * 4096, 8 + rnd(s) % 18);
	mprotect(h.base + rnd(s) % 1024 * 4096, rnd(s) % 4096 * 4096, rnd(s) % 8);
}

static void one_scribble(uint64_t *s)
{
	((volatile uint64_t *)h.tcbs)[rnd(s) % (8 * GCHEAP_TCB_SIZE / 8)] = value(s);
	scratch[rnd(s) % 4096] = value(s);
}

static void *fuzzer(void *arg)
{
	uint64_t s = (uintptr_t)arg;
	unsigned int t;
	int other = -1;

	if (!raw_try_attach(&h, &t))
		raw_thread = t;
	while (now_ns() < end_ns) {
		switch (rnd(&s) % 32) {
		case 0:
			if (other >= 0)
				close(other);
			other = open("/dev/gcheap", O_RDWR | O_CLOEXEC);
			break;
		case 1:
			one_mapping(other, &s);
			break;
		case 2:
			one_mapping(h.fd, &s);
			break;
		case 3: case 4: case 5:
			one_scribble(&s);
			break;
		case 6: {
			struct pollfd p = { .fd = h.fd, .events = POLLIN };
			char e[200];

			if (poll(&p, 1, 0) > 0 && read(h.fd, e, rnd(&s) % 200) < 0)
				break;
			break;
		}
		case 7:
			one_ioctl(other, &s);
			break;
		default:
			one_ioctl(h.fd, &s);
		}
	}
	return NULL;
}

static unsigned int seconds(void)
{
	const char *e = getenv("FUZZ_SECONDS");

	return e ? atoi(e) : 8;
}

static void fuzz(unsigned int flags)
{
	uint64_t seed = raw_seed();
	pthread_t t[3];
	struct gcheap_verify v = { .size = sizeof(v) };

	alarm(TAP_SECONDS + seconds());
	h = raw_open(flags);
	raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	raw_cache(&h, GCHEAP_NOSCAN, 128);
	raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	raw_typed(&h, 8, 0x0f, 0xf0);
	end_ns = now_ns() + seconds() * 1000000000ull;
	for (int i = 0; i < 3; i++)
		t[i] = spawn(fuzzer, (void *)(seed + i));
	fuzzer((void *)(seed + 3));
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	if (ioctl(h.fd, GCHEAP_IOC_VERIFY, &v) && errno != ENXIO)
		FAIL("verify: %s, invariant %u at slot %u, %#llx", strerror(errno), v.code,
		     v.where, (unsigned long long)v.detail);
	diag("%llu cycles", (unsigned long long)raw_status(&h).cycles);
}

TEST(conservative)
{
	fuzz(0);
}

TEST(precise_only)
{
	fuzz(GCHEAP_SETUP_PRECISE_ONLY);
}

TEST_MAIN
