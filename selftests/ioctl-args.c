// SPDX-License-Identifier: GPL-2.0-only
/* What holds for every ioctl: sizes, reserved fields, bad pointers, wrong times. */
#include "raw.h"

/* Every ioctl, its structure, and the flags that it knows. */
static const struct call {
	const char *name;
	unsigned int cmd;
	size_t size;
	uint32_t flags;
} calls[] = {
#define CALL(name, type, flags) \
	{ #name, GCHEAP_IOC_##name, sizeof(struct gcheap_##type), flags }
	CALL(SETUP, setup, GCHEAP_SETUP_PRECISE_ONLY),
	CALL(CACHE_CREATE, cache_create,
	     GCHEAP_CACHE_LARGE | GCHEAP_CACHE_PAST_END | GCHEAP_CACHE_EPHEMERON),
	CALL(CACHE_DESTROY, cache_destroy, 0),
	CALL(THREAD_ATTACH, thread, 0),
	CALL(THREAD_DETACH, thread, 0),
	CALL(SPANS, spans, 0),
	CALL(LARGE, large, 0),
	CALL(FLUSH, flush, GCHEAP_FLUSH_SPANS),
	CALL(ROOT_ADD, root, GCHEAP_ROOT_PRECISE | GCHEAP_ROOT_TOP | GCHEAP_ROOT_FIBER),
	CALL(ROOT_DEL, root, 0),
	CALL(TLS, tls, GCHEAP_TLS_COUNTED),
	CALL(COLLECT, collect, GCHEAP_COLLECT_WAIT | GCHEAP_COLLECT_YOUNG |
				GCHEAP_COLLECT_COMPACT),
	CALL(HOLD, hold, 0),
	CALL(PARAM, param, GCHEAP_PARAM_SET),
	CALL(FINALIZER, finalizer, GCHEAP_FINALIZER_CLEAR | GCHEAP_FINALIZER_ORDERED |
				   GCHEAP_FINALIZER_BUT_SELF |
				   GCHEAP_FINALIZER_UNREACHABLE | GCHEAP_FINALIZER_ALL),
	CALL(FINALIZERS, finalizers, GCHEAP_FINALIZERS_LOOK | GCHEAP_FINALIZERS_LOOKED),
	CALL(INFO, info, 0),
	CALL(VERIFY, verify, 0),
	CALL(CALLBACK, callback, GCHEAP_CALLBACK_MORE | GCHEAP_CALLBACK_END),
	CALL(OFFHEAP, offheap, 0),
	CALL(LEND, lend, GCHEAP_LEND_END),
	CALL(RESIZE, resize, 0),
	CALL(LINK, link, GCHEAP_LINK_LONG),
	CALL(FORK, fork, GCHEAP_FORK_BEGIN | GCHEAP_FORK_COPY),
	CALL(ADOPT, adopt, 0),
};
#define NCALLS (sizeof(calls) / sizeof(*calls))

union any {
	struct {
		uint32_t size, flags;
		uint64_t rest[30];
	};
	struct gcheap_setup setup;
	struct gcheap_cache_create cache_create;
	struct gcheap_thread thread;
	struct gcheap_callback callback;
	struct gcheap_lend lend;
	struct gcheap_large large;
	struct gcheap_resize resize;
	struct gcheap_link link;
	struct gcheap_root root;
	struct gcheap_hold hold;
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
	union any a = { .size = sizeof(a) };

	CHECK_ERR(ioctl(h.fd, _IO(GCHEAP_IOC_TYPE, 0x20), &a), ENOTTY);
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
	union any a = { 0 };

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

/* An argument that works, or fails for another reason than EINVAL. */
static union any sensible(const struct call *c)
{
	static uint64_t word;
	union any a = { .size = c->size };

	switch (c->cmd) {
	case GCHEAP_IOC_SETUP:
		a.setup = raw_setup_arg(0);
		break;
	case GCHEAP_IOC_CACHE_CREATE:
		a.cache_create = raw_cache_arg(GCHEAP_CONSERVATIVE, 16);
		break;
	case GCHEAP_IOC_THREAD_DETACH:
		a.thread.thread = raw_thread + 1;
		break;
	case GCHEAP_IOC_CALLBACK:
		a.callback.thread = raw_thread + 1;
		break;
	case GCHEAP_IOC_LEND:
		a.lend.flags = GCHEAP_LEND_END;		/* else it would not return */
		break;
	case GCHEAP_IOC_LARGE:
		a.large.bytes = 100000;
		break;
	case GCHEAP_IOC_RESIZE:
		a.resize.bytes = 100000;
		break;
	case GCHEAP_IOC_LINK:
		a.link.op = GCHEAP_LINK_GET;
		a.link.addr = (uintptr_t)&word;
		break;
	case GCHEAP_IOC_ROOT_ADD:
		a.root.addr = (uintptr_t)&word;
		a.root.len = sizeof(word);
		break;
	case GCHEAP_IOC_HOLD:
		a.hold.delta = 1;
		break;
	}
	return a;
}

TEST(unknown_flags)
{
	struct raw h = raw_open(0);
	union any a;

	for (size_t i = 0; i < NCALLS; i++) {
		const struct call *c = &calls[i];

		diag("%s", c->name);
		for (int bit = 0; bit < 32; bit++) {
			if (c->flags & 1u << bit)
				continue;
			a = sensible(c);
			a.flags = 1u << bit;
			CHECK_ERR(ioctl(fd_for(&h, c), c->cmd, &a), EINVAL);
			/* Known ones beside it are no excuse. */
			a = sensible(c);
			a.flags = 1u << bit | c->flags;
			CHECK_ERR(ioctl(fd_for(&h, c), c->cmd, &a), EINVAL);
		}
		/* It was the flag. */
		a = sensible(c);
		CHECK(!ioctl(fd_for(&h, c), c->cmd, &a) || errno != EINVAL);
	}
}

TEST(before_setup)
{
	int fd = raw_dev();
	union any a;
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
	struct gcheap_link k = { .size = sizeof(k), .op = GCHEAP_LINK_AWAIT, .pad = 1 };
	struct gcheap_fork o = { .size = sizeof(o), .flags = GCHEAP_FORK_BEGIN, .pad = 1 };
	struct gcheap_adopt d = { .size = sizeof(d), .pad = 1 };

	c.pad = 1;
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_FLUSH, &f), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_PARAM, &p), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_THREAD_DETACH, &t), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_ROOT_ADD, &r), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_TLS, &l), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_LINK, &k), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_FORK, &o), EINVAL);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_ADOPT, &d), EINVAL);
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
