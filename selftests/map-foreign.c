// SPDX-License-Identifier: GPL-2.0-only
/* A heap belongs to one address space: children and strangers have nothing of it. */
#include "raw.h"
#include <sys/socket.h>

/* Run in a forked child; it must exit with 0. */
#define IN_CHILD(body) do {						\
		pid_t pid_ = fork();					\
		int st_;						\
		CHECK(pid_ >= 0);					\
		if (!pid_) {						\
			body;						\
			_exit(0);					\
		}							\
		CHECK_EQ(waitpid(pid_, &st_, 0), pid_);			\
		CHECK_EQ(st_, 0);					\
	} while (0)

static int signal_of_touch(const volatile char *p)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		(void)*p;
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(child_has_no_mapping)
{
	struct raw h = raw_open(0);
	char *p = raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 64));

	strcpy(p, "mine");
	CHECK(signal_of_touch(p));
	CHECK(signal_of_touch(h.meta));
	CHECK(signal_of_touch((char *)h.status));
	CHECK(signal_of_touch((char *)h.tcbs));
	CHECK(!strcmp(p, "mine"));
	raw_collect(&h);
	raw_verify(&h);
}

static void all_eperm(struct raw *h)
{
	struct gcheap_collect c = { .size = sizeof(c) };
	struct gcheap_thread t = { .size = sizeof(t) };
	struct gcheap_spans s = { .size = sizeof(s), .want = 1 };
	struct gcheap_large l = { .size = sizeof(l), .bytes = 100000 };
	struct gcheap_resize r = { .size = sizeof(r), .bytes = 100000 };
	struct gcheap_hold o = { .size = sizeof(o), .delta = 1 };
	struct gcheap_fork fo = { .size = sizeof(fo), .flags = GCHEAP_FORK_BEGIN };
	struct gcheap_verify v = { .size = sizeof(v) };
	struct gcheap_finalizers f = { .size = sizeof(f) };
	struct gcheap_cache_create cc = raw_cache_arg(GCHEAP_CONSERVATIVE, 16);
	struct gcheap_link k = { .size = sizeof(k), .op = GCHEAP_LINK_AWAIT };
	struct gcheap_info i;
	static uint64_t word[1];

	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_COLLECT, &c), EPERM);
	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_THREAD_ATTACH, &t), EPERM);
	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_THREAD_DETACH, &t), EPERM);
	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_SPANS, &s), EPERM);
	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_LARGE, &l), EPERM);
	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_RESIZE, &r), EPERM);
	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_LINK, &k), EPERM);
	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_HOLD, &o), EPERM);
	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_FORK, &fo), EPERM);
	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_VERIFY, &v), EPERM);
	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_FINALIZERS, &f), EPERM);
	CHECK_ERR(ioctl(h->fd, GCHEAP_IOC_CACHE_CREATE, &cc), EPERM);
	CHECK_ERR(raw_try_info(h, (uintptr_t)h->base, &i), EPERM);
	CHECK_ERR((int)raw_try_root(h, 0, word, 8, NULL), EPERM);
	CHECK_ERR((long)mmap(raw_hole(h->setup.heap_size), h->setup.heap_size,
			     PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0), EPERM);
	CHECK_ERR((long)mmap(NULL, h->setup.meta_size, PROT_READ, MAP_SHARED, h->fd,
			     GCHEAP_OFF_META), EPERM);
	CHECK_ERR((long)mmap(NULL, h->setup.tcb_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			     h->fd, GCHEAP_OFF_TCB), EPERM);
}

TEST(child_is_refused)
{
	struct raw h = raw_open(0);
	char *p = raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 64));

	*p = 1;
	IN_CHILD(all_eperm(&h));
	raw_collect(&h);
	CHECK_EQ(*p, 1);
}

/* A descriptor sent to an unrelated process: it inherits nothing. */
TEST(passed_descriptor)
{
	struct raw h = { 0 };
	int sv[2], ready[2];
	char byte;
	pid_t pid;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	CHECK_EQ(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct msghdr m = { 0 };
		char space[CMSG_SPACE(sizeof(int))];
		struct iovec v = { &byte, 1 };

		m.msg_iov = &v;
		m.msg_iovlen = 1;
		m.msg_control = space;
		m.msg_controllen = sizeof(space);
		CHECK(recvmsg(sv[1], &m, 0) == 1);
		h.fd = *(int *)CMSG_DATA(CMSG_FIRSTHDR(&m));
		h.setup = raw_setup_arg(0);
		h.setup.meta_size = RAW_HEAP / GCHEAP_CHUNK_SIZE * GCHEAP_META_STRIDE;
		h.setup.tcb_size = 1024 * GCHEAP_TCB_SIZE;
		all_eperm(&h);
		_exit(0);
	}
	h = raw_open(0);
	struct msghdr m = { 0 };
	char space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { &byte, 1 };
	struct cmsghdr *c;
	int status;

	m.msg_iov = &v;
	m.msg_iovlen = 1;
	m.msg_control = space;
	m.msg_controllen = sizeof(space);
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &h.fd, sizeof(int));
	CHECK_EQ(sendmsg(sv[0], &m, 0), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	raw_collect(&h);
}

/* The address space is gone, the descriptor is not. */
TEST(heap_of_a_dead_process)
{
	int sv[2], fd, status;
	char byte = 0, space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = space,
			    .msg_controllen = sizeof(space) };
	struct gcheap_collect c = { .size = sizeof(c) };
	struct gcheap_verify vf = { .size = sizeof(vf) };
	pid_t pid;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	pid = fork();
	if (!pid) {
		struct raw h = raw_open(0);
		struct cmsghdr *cm = CMSG_FIRSTHDR(&m);

		raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 64));
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &h.fd, sizeof(int));
		CHECK_EQ(sendmsg(sv[0], &m, 0), 1);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(recvmsg(sv[1], &m, 0), 1);
	fd = *(int *)CMSG_DATA(CMSG_FIRSTHDR(&m));
	errno = 0;
	CHECK_EQ(ioctl(fd, GCHEAP_IOC_COLLECT, &c), -1);
	CHECK(errno == ENXIO || errno == EPERM);
	errno = 0;
	CHECK_EQ(ioctl(fd, GCHEAP_IOC_VERIFY, &vf), -1);
	CHECK(errno == ENXIO || errno == EPERM);
	CHECK(mmap(raw_hole(RAW_HEAP), RAW_HEAP, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
	      MAP_FAILED);
}

/* Set up here, mapped first by the child: then it is the child's. */
TEST(first_to_map_owns)
{
	struct raw h = { .fd = raw_dev(), .setup = raw_setup_arg(0) };
	struct gcheap_collect c = { .size = sizeof(c) };
	int go[2], up[2];
	char byte;
	pid_t pid;

	CHECK_EQ(pipe(go), 0);
	CHECK_EQ(pipe(up), 0);
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_SETUP, &h.setup), 0);
	pid = fork();
	if (!pid) {
		raw_map(&h);
		raw_attach(&h);
		CHECK_EQ(write(up[1], "", 1), 1);
		CHECK_EQ(read(go[0], &byte, 1), 1);
		_exit(0);
	}
	CHECK_EQ(read(up[0], &byte, 1), 1);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_COLLECT, &c), EPERM);
	CHECK_EQ(write(go[1], "", 1), 1);
	waitpid(pid, NULL, 0);
}

TEST(own_heap_in_the_child)
{
	struct raw h = raw_open(0);
	char *p = raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 64));

	*p = 7;
	IN_CHILD({
		struct raw mine = raw_open(0);
		char *q = raw_take(&mine, raw_cache(&mine, GCHEAP_CONSERVATIVE, 64));

		*q = 8;
		raw_collect(&mine);
		raw_verify(&mine);
	});
	CHECK_EQ(*p, 7);
	raw_collect(&h);
	raw_verify(&h);
}

TEST(two_heaps)
{
	struct raw a = raw_open(0), b = { 0 };
	unsigned int thread = raw_thread, c = raw_cache(&a, GCHEAP_CONSERVATIVE, 64);
	struct raw_batch *batch = raw_batches[raw_thread];
	char *p = raw_take(&a, c), *q;

	raw_batches[raw_thread] = NULL;
	b = raw_open(0);
	q = raw_take(&b, raw_cache(&b, GCHEAP_CONSERVATIVE, 64));
	*p = 1;
	*q = 2;
	raw_collect(&b);
	raw_thread = thread;
	raw_batches[raw_thread] = batch;
	raw_collect(&a);
	CHECK(*p == 1 && *q == 2);
	munmap(b.base, b.setup.heap_size);
	close(b.fd);
	raw_collect(&a);
	raw_verify(&a);
	CHECK_EQ(*p, 1);
}

TEST_MAIN
