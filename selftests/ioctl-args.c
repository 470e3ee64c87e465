// SPDX-License-Identifier: GPL-2.0-only
/* What holds for every ioctl: sizes, reserved fields, bad pointers, wrong times. */
#include "raw.h"

/* Every ioctl with a structure that works, or fails for a reason of its own. */
static const struct call {
	const char *name;
	unsigned int cmd;
	size_t size;
} calls[] = {
#define CALL(name, type) { #name, GCHEAP_IOC_##name, sizeof(struct gcheap_##type) }
	CALL(SETUP, setup),
	CALL(CACHE_CREATE, cache_create),
	CALL(CACHE_DESTROY, cache_destroy),
	CALL(THREAD_ATTACH, thread),
	CALL(THREAD_DETACH, thread),
	CALL(SPANS, spans),
	CALL(LARGE, large),
	CALL(FLUSH, flush),
	CALL(ROOT_ADD, root),
	CALL(ROOT_DEL, root),
	CALL(TLS, tls),
	CALL(COLLECT, collect),
	CALL(HOLD, hold),
	CALL(PARAM, param),
	CALL(FINALIZER, finalizer),
	CALL(FINALIZERS, finalizers),
	CALL(INFO, info),
	CALL(VERIFY, verify),
};
#define NCALLS (sizeof(calls) / sizeof(*calls))

struct any {
	uint32_t size, flags;
	uint64_t rest[30];
};

/* A heap; SETUP is tried on a file that is not set up yet. */
static int fd_for(struct raw *h, const struct call *c)
{
	static int fresh = -1;

	if (c->cmd != GCHEAP_IOC_SETUP)
		return h->fd;
	if (fresh < 0)
		fresh = raw_dev();
	return fresh;
}

TEST(unknown)
{
	struct raw h = raw_open(0);
	struct any a = { .size = sizeof(a) };

	CHECK_ERR(ioctl(h.fd, _IO(GCHEAP_IOC_TYPE, 0x12), &a), ENOTTY);
	CHECK_ERR(ioctl(h.fd, _IO(GCHEAP_IOC_TYPE, 0xff), &a), ENOTTY);
	CHECK_ERR(ioctl(h.fd, _IO(GCHEAP_IOC_TYPE + 1, 1), &a), ENOTTY);
	CHECK_ERR(ioctl(h.fd, 0, &a), ENOTTY);
	CHECK_ERR(ioctl(h.fd, ~0u, &a), ENOTTY);
	/* The right number with a size in it is another number. */
	CHECK_ERR(ioctl(h.fd, _IOWR(GCHEAP_IOC_TYPE, 0x0b, struct gcheap_collect), &a),
		  ENOTTY);
}

TEST(bad_pointer)
{
	struct raw h = raw_open(0);
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(page != MAP_FAILED);
	munmap(page + 4096, 4096);
	for (size_t i = 0; i < NCALLS; i++) {
		diag("%s", calls[i].name);
		CHECK_ERR(ioctl(fd_for(&h, &calls[i]), calls[i].cmd, NULL), EFAULT);
		CHECK_ERR(ioctl(fd_for(&h, &calls[i]), calls[i].cmd, (void *)-4096l), EFAULT);
		CHECK_ERR(ioctl(fd_for(&h, &calls[i]), calls[i].cmd, page + 4096), EFAULT);
		/* The size is readable, the rest is not. */
		*(uint32_t *)(page + 4092) = calls[i].size;
		CHECK_ERR(ioctl(fd_for(&h, &calls[i]), calls[i].cmd, page + 4092), EFAULT);
	}
}

TEST(size_too_small)
{
	struct raw h = raw_open(0);
	struct any a = { 0 };

	for (size_t i = 0; i < NCALLS; i++)
		for (a.size = 0; a.size < 8; a.size += 7) {
			diag("%s %u", calls[i].name, a.size);
			CHECK_ERR(ioctl(fd_for(&h, &calls[i]), calls[i].cmd, &a), EINVAL);
		}
}

TEST(size_too_large)
{
	struct raw h = raw_open(0);
	char *big = calloc(1, 8192);

	for (size_t i = 0; i < NCALLS; i++) {
		diag("%s", calls[i].name);
		/* A field that this version does not know. */
		memset(big, 0, 8192);
		*(uint32_t *)big = calls[i].size + 8;
		big[calls[i].size + 7] = 1;
		CHECK_ERR(ioctl(fd_for(&h, &calls[i]), calls[i].cmd, big), E2BIG);
		/* No structure is that long. */
		memset(big, 0, 8192);
		*(uint32_t *)big = ~0u;
		errno = 0;
		CHECK_EQ(ioctl(fd_for(&h, &calls[i]), calls[i].cmd, big), -1);
		CHECK(errno == E2BIG || errno == EINVAL || errno == EFAULT);
	}
}

TEST(zero_tail_is_fine)
{
	struct raw h = raw_open(0);
	struct { struct gcheap_collect c; char tail[100]; } c = { .c.size = sizeof(c) };
	struct { struct gcheap_param p; char tail[100]; } p = { .p.size = sizeof(p) };

	c.c.flags = GCHEAP_COLLECT_WAIT;
	CHECK(!ioctl(h.fd, GCHEAP_IOC_COLLECT, &c) || errno == EAGAIN);
	p.p.param = GCHEAP_PARAM_GROWTH;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_PARAM, &p), 0);
	CHECK_EQ(p.p.value, 100);
}

/* Missing fields are zero; what is behind the size is neither read nor written. */
TEST(short_is_fine)
{
	struct raw h = raw_open(0);
	struct gcheap_collect c = { .size = 8, .flags = GCHEAP_COLLECT_WAIT, .cycle = ~0ull };
	struct gcheap_hold o = { .size = 8, .delta = 5, .count = 77 };

	CHECK(!ioctl(h.fd, GCHEAP_IOC_COLLECT, &c) || errno == EAGAIN);
	CHECK_EQ(c.cycle, ~0ull);
	ioctl(h.fd, GCHEAP_IOC_HOLD, &o);	/* a delta of 0: whatever it says */
	CHECK_EQ(o.count, 77);
}

TEST(unknown_flags)
{
	struct raw h = raw_open(0);
	struct any a;

	for (size_t i = 0; i < NCALLS; i++) {
		diag("%s", calls[i].name);
		for (int bit = 8; bit < 32; bit++) {
			memset(&a, 0, sizeof(a));
			a.size = calls[i].size;
			a.flags = 1u << bit;
			if (calls[i].cmd == GCHEAP_IOC_SETUP) {
				struct gcheap_setup s = raw_setup_arg(a.flags);

				CHECK_ERR(ioctl(fd_for(&h, &calls[i]), calls[i].cmd, &s), EINVAL);
				continue;
			}
			CHECK_ERR(ioctl(h.fd, calls[i].cmd, &a), EINVAL);
		}
	}
}

TEST(before_setup)
{
	int fd = raw_dev();
	struct any a;
	char event[64];

	for (size_t i = 1; i < NCALLS; i++) {
		diag("%s", calls[i].name);
		memset(&a, 0, sizeof(a));
		a.size = calls[i].size;
		CHECK_ERR(ioctl(fd, calls[i].cmd, &a), ENODEV);
	}
	CHECK(read(fd, event, sizeof(event)) < 0);
}

TEST(before_mapping)
{
	struct gcheap_setup s = raw_setup_arg(0);
	struct gcheap_thread t = { .size = sizeof(t) };
	struct gcheap_collect c = { .size = sizeof(c), .flags = GCHEAP_COLLECT_WAIT };
	int fd = raw_dev();

	CHECK_EQ(ioctl(fd, GCHEAP_IOC_SETUP, &s), 0);
	CHECK_ERR(ioctl(fd, GCHEAP_IOC_THREAD_ATTACH, &t), ENODEV);
	CHECK_ERR(ioctl(fd, GCHEAP_IOC_COLLECT, &c), ENODEV);
}

TEST(reserved_fields)
{
	struct raw h = raw_open(0);
	struct gcheap_flush f = { .size = sizeof(f), .thread = raw_thread, .pad = 1 };
	struct gcheap_param p = { .size = sizeof(p), .pad = 1 };
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_CONSERVATIVE, 16);
	struct gcheap_thread t = { .size = sizeof(t), .thread = raw_thread, .pad = 1 };
	uint64_t word[2] = { 0 };
	struct gcheap_root r = { .size = sizeof(r), .addr = (uintptr_t)word, .len = 16, .pad = 1 };
	struct gcheap_tls l = { .size = sizeof(l), .pad = 1 };

	c.pad = 1;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_FLUSH, &f), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_PARAM, &p), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_THREAD_DETACH, &t), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_ROOT_ADD, &r), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_TLS, &l), EINVAL);
}

TEST(read_only_argument)
{
	struct raw h = raw_open(0);
	struct gcheap_collect *c = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	c->size = sizeof(*c);
	c->flags = GCHEAP_COLLECT_WAIT;
	mprotect(c, 4096, PROT_READ);
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_COLLECT, c), -1);
	CHECK(errno == EFAULT || errno == EAGAIN);
	raw_verify(&h);
}

TEST_MAIN
