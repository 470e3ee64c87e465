// SPDX-License-Identifier: GPL-2.0-only
/* A forked child gets a heap like its parent's: the bare interface. */
#include "proc.h"
#include "raw.h"

#define LENGTH	1000

static struct raw h;
static unsigned int cache;

struct node {
	struct node *next;
	uint64_t value;
	char rest[48];
};

static void start(unsigned int flags)
{
	h = raw_open(flags);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, sizeof(struct node));
	anchor(&h, cache);
}

static int try_fork(int fd, unsigned int flags, int *made)
{
	struct gcheap_fork f = { .size = sizeof(f), .flags = flags };
	int err = ioctl(fd, GCHEAP_IOC_FORK, &f);

	if (made)
		*made = f.fd;
	else if (!err || errno != ENXIO)	/* which may say that nobody has looked at it */
		CHECK_EQ(f.fd, -1);
	return err;
}

static int begin(struct raw *g)
{
	int fd;

	CHECK_EQ(try_fork(g->fd, GCHEAP_FORK_BEGIN, &fd), 0);
	CHECK(fd >= 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC);
	return fd;
}

/* The copy may have to be tried again on a busy machine; the kernel does. */
static void copy(struct raw *g, int fd)
{
	CHECK_EQ(try_fork(g->fd, GCHEAP_FORK_COPY, NULL), 0);
	close(fd);
}

static int try_adopt(int fd, struct gcheap_adopt *a)
{
	*a = (struct gcheap_adopt){ .size = sizeof(*a) };
	return ioctl(fd, GCHEAP_IOC_ADOPT, a);
}

/* In the child: its heap, in the place of the parent's; nobody is attached. */
static void adopt(struct raw *g, int fd)
{
	struct gcheap_adopt a;

	CHECK_EQ(try_adopt(fd, &a), 0);
	CHECK_EQ(a.base, (uintptr_t)g->base);
	CHECK_EQ(a.heap_size, g->setup.heap_size);
	CHECK_EQ(a.meta_size, g->setup.meta_size);
	CHECK_EQ(a.tcb_size, g->setup.tcb_size);
	close(g->fd);
	g->fd = fd;
	CHECK(mmap(g->base, a.heap_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
		   fd, GCHEAP_OFF_HEAP) == g->base);
	g->meta = mmap(NULL, a.meta_size, PROT_READ, MAP_SHARED, fd, GCHEAP_OFF_META);
	CHECK(g->meta != MAP_FAILED);
	g->status = mmap(NULL, GCHEAP_STATUS_SIZE, PROT_READ, MAP_SHARED, fd, GCHEAP_OFF_STATUS);
	CHECK(g->status != MAP_FAILED);
	g->tcbs = mmap(NULL, a.tcb_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, GCHEAP_OFF_TCB);
	CHECK(g->tcbs != MAP_FAILED);
	CHECK_EQ(g->status->threads, 0);
}

static void adopt_and_attach(struct raw *g, int fd)
{
	adopt(g, fd);
	raw_attach(g);
}

static void await(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* Run in a child that has the heap; the parent's is copied and goes on. */
#define IN_CHILD(...) do {						\
		int fd_ = begin(&h);					\
		pid_t pid_ = fork();					\
									\
		CHECK(pid_ >= 0);					\
		if (!pid_) {						\
			adopt_and_attach(&h, fd_);			\
			__VA_ARGS__;					\
			_exit(0);					\
		}							\
		copy(&h, fd_);						\
		await(pid_);						\
	} while (0)

static NOINLINE struct node *make_list(unsigned int n)
{
	struct node *list = NULL, *p;

	for (unsigned int i = 0; i < n; i++) {
		p = raw_take(&h, cache);
		p->next = list;
		p->value = i;
		p->rest[0] = i;
		list = p;
	}
	return list;
}

static void check_list(const struct node *list, unsigned int n)
{
	const struct node *p;

	for (p = list; p; p = p->next) {
		CHECK_EQ(p->value, --n);
		CHECK_EQ(p->rest[0], (char)n);
		CHECK(raw_is_live(&h, (uintptr_t)p));
	}
	CHECK_EQ(n, 0);
}

static struct node *list;

static void start_with_list(unsigned int flags)
{
	start(flags);
	raw_root(&h, 0, &list, sizeof(list), NULL);
	list = make_list(LENGTH);
}

TEST(child_has_the_objects)
{
	start_with_list(0);
	IN_CHILD({
		raw_verify(&h);
		check_list(list, LENGTH);
		list->value++;
		make_list(LENGTH);
		raw_collect(&h);
		list->value--;
		check_list(list, LENGTH);
		raw_verify(&h);
	});
	check_list(list, LENGTH);
	raw_collect(&h);
	check_list(list, LENGTH);
	raw_verify(&h);
}

TEST(child_of_the_child)
{
	start_with_list(0);
	IN_CHILD({
		IN_CHILD({
			raw_collect(&h);
			check_list(list, LENGTH);
		});
		raw_collect(&h);
		check_list(list, LENGTH);
	});
	raw_collect(&h);
	check_list(list, LENGTH);
}

/* With precise roots only, which have the same numbers: so many objects and no more. */
TEST(exact_counts)
{
	static uintptr_t hidden[2];
	static uint32_t root;
	static uint64_t marked;

	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, sizeof(struct node));
	root = raw_root(&h, GCHEAP_ROOT_PRECISE, &list, sizeof(list), NULL);
	list = make_list(LENGTH);
	make_list(LENGTH);
	hidden[0] = HIDE(list);
	raw_flush(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, LENGTH);
	marked = raw_status(&h).cycles;
	IN_CHILD({
		CHECK_EQ(raw_status(&h).cycles, marked);
		CHECK_EQ(raw_status(&h).limit_bytes, 0);
		raw_collect(&h);
		CHECK_EQ(raw_status(&h).cycles, marked + 1);
		CHECK_EQ(raw_status(&h).marked_objects, LENGTH);
		CHECK_EQ(raw_root_del(&h, root), 0);
		raw_collect(&h);
		CHECK_EQ(raw_status(&h).marked_objects, 0);
		CHECK_ERR(raw_root_del(&h, root), ENOENT);
		CHECK_EQ(raw_root(&h, 0, &list, sizeof(list), NULL), root);
	});
	CHECK(UNHIDE(hidden[0]) == list);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, LENGTH);
}

/* Those of what there is now, and one that changes at any time. */
static bool goes_on(size_t at)
{
	return at != offsetof(struct gcheap_status, resident_bytes) &&
	       at != offsetof(struct gcheap_status, meta_bytes) &&
	       at != offsetof(struct gcheap_status, collector_ns);
}

static void have_gone_on(const struct gcheap_status *was, const struct gcheap_status *is)
{
	size_t at = offsetof(struct gcheap_status, cycles);

	for (; at < sizeof(*was); at += sizeof(uint64_t)) {
		uint64_t a = *(uint64_t *)((char *)was + at), b = *(uint64_t *)((char *)is + at);

		if (goes_on(at) && a != b)
			FAIL("status at %zu is %" PRIu64 ", was %" PRIu64, at, b, a);
	}
	CHECK(is->collector_ns >= was->collector_ns);
}

/* All of what is counted, as of the parent's heap. */
TEST(counters_go_on)
{
	struct gcheap_status was, is;
	int fd;
	pid_t pid;

	start_with_list(0);
	make_list(LENGTH);
	raw_collect(&h);
	raw_collect_as(&h, GCHEAP_COLLECT_COMPACT);
	raw_flush(&h);
	was = raw_status(&h);
	CHECK(was.cycles && was.pauses && was.pause_ns_total && was.pause_ns_max);
	CHECK(was.collector_ns && was.compactions && was.root_words);
	fd = begin(&h);
	pid = fork();
	if (!pid) {
		adopt(&h, fd);
		is = raw_status(&h);
		have_gone_on(&was, &is);
		raw_attach(&h);
		raw_collect(&h);
		is = raw_status(&h);
		CHECK_EQ(is.cycles, was.cycles + 1);
		CHECK(is.pauses > was.pauses && is.pause_ns_total > was.pause_ns_total);
		CHECK(is.collector_ns >= was.collector_ns);	/* known by ticks */
		_exit(0);
	}
	copy(&h, fd);
	await(pid);
}

/* ---- the window */

static int collect_result(void)
{
	struct gcheap_collect c = { .size = sizeof(c), .flags = GCHEAP_COLLECT_WAIT };

	return ioctl(h.fd, GCHEAP_IOC_COLLECT, &c);
}

static volatile int done;
static volatile pid_t caller;

static void *collects_once(void *arg)
{
	caller = gettid();
	raw_collect(&h);
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void *sets_a_finalizer(void *arg)
{
	struct gcheap_finalizer f = { .size = sizeof(f), .addr = (uintptr_t)list, .cookie = 1 };
	struct gcheap_ready ready;
	struct gcheap_finalizers fs = { .size = sizeof(fs), .max = 1, .items = (uintptr_t)&ready };

	caller = gettid();
	CHECK_EQ(ioctl(h.fd, arg ? GCHEAP_IOC_FINALIZERS : GCHEAP_IOC_FINALIZER,
		       arg ? (void *)&fs : (void *)&f), 0);
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Waits in the window, and does not afterwards. */
static void put_off(void *(*run)(void *arg), void *arg, unsigned int end)
{
	int fd = begin(&h);
	pthread_t t;
	pid_t pid;

	done = 0;
	caller = 0;
	t = spawn(run, arg);
	/* It sleeps in its call, and not for a moment only. */
	for (int i = 0; i < 20; i += caller && proc_sleeps_in(caller, SYS_ioctl)) {
		CHECK(!done);
		usleep(10000);
	}
	pid = end ? fork() : -1;
	if (!pid) {
		adopt_and_attach(&h, fd);
		check_list(list, LENGTH);
		_exit(0);
	}
	CHECK(!done);
	CHECK_EQ(try_fork(h.fd, end, NULL), 0);
	pthread_join(t, NULL);
	CHECK(done);
	close(fd);
	if (end)
		await(pid);
}

TEST(others_are_put_off)
{
	start_with_list(0);
	for (int i = 0; i < 2; i++) {
		put_off(collects_once, NULL, i ? GCHEAP_FORK_COPY : 0);
		put_off(sets_a_finalizer, NULL, i ? GCHEAP_FORK_COPY : 0);
		put_off(sets_a_finalizer, "fetch", i ? GCHEAP_FORK_COPY : 0);
	}
	raw_verify(&h);
}

static void *allocates(void *arg)
{
	raw_attach(&h);
	make_list(1000);
	raw_detach(&h);
	return NULL;
}

/* Who has opened it waits for nobody, and others have their memory. */
TEST(who_is_about_to_fork_goes_on)
{
	struct gcheap_hold o = { .size = sizeof(o), .delta = 1 };
	struct gcheap_ready ready;
	struct gcheap_finalizers fs = { .size = sizeof(fs), .max = 1, .items = (uintptr_t)&ready };
	uint64_t cycles;
	int fd;

	start_with_list(0);
	raw_param(&h, GCHEAP_PARAM_LIMIT, 8 << 20);
	cycles = raw_status(&h).cycles;
	fd = begin(&h);
	pthread_join(spawn(allocates, NULL), NULL);
	CHECK_ERR(collect_result(), EAGAIN);
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_FINALIZERS, &fs), 0);
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_HOLD, &o), 0);
	o.delta = -1;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_HOLD, &o), 0);
	while (raw_try_take(&h, cache))
		;
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(raw_status(&h).cycles, cycles);
	CHECK_EQ(try_fork(h.fd, 0, NULL), 0);
	close(fd);
	CHECK(raw_try_take(&h, cache));
	check_list(list, LENGTH);
	/* What is swept is handed out before the cycle is over, and counted. */
	while (raw_status(&h).cycles == cycles)
		usleep(1000);
}

static void *is_refused(void *arg)
{
	int fd;

	CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_BEGIN, &fd), EBUSY);
	CHECK_EQ(fd, -1);
	CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ESRCH);
	CHECK_ERR(try_fork(h.fd, 0, NULL), ESRCH);
	return NULL;
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 100; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

TEST(out_of_turn)
{
	struct gcheap_fork f = { .size = sizeof(f), .flags = GCHEAP_FORK_BEGIN, .fd = 1 };
	int fd, n, other;

	start_with_list(0);
	n = descriptors();
	CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ESRCH);
	CHECK_ERR(try_fork(h.fd, 0, NULL), ESRCH);
	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_FORK, &f), EINVAL);
	CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_BEGIN | GCHEAP_FORK_COPY, &fd), EINVAL);
	fd = begin(&h);
	CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_BEGIN, &other), EBUSY);
	CHECK_EQ(other, -1);
	pthread_join(spawn(is_refused, NULL), NULL);
	CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ECHILD);
	close(fd);
	CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ESRCH);
	CHECK_EQ(descriptors(), n);
	raw_collect(&h);
	check_list(list, LENGTH);
}

/* The descriptor cannot be told: there is none, and no window. */
TEST(argument_that_cannot_be_written)
{
	struct gcheap_fork *f = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int n;

	start_with_list(0);
	n = descriptors();
	*f = (struct gcheap_fork){ .size = sizeof(*f), .flags = GCHEAP_FORK_BEGIN };
	CHECK_EQ(mprotect(f, 4096, PROT_READ), 0);
	for (int i = 0; i < 10; i++)
		CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_FORK, f), EFAULT);
	CHECK_EQ(descriptors(), n);
	raw_collect(&h);
	IN_CHILD(check_list(list, LENGTH));
}

static pid_t quiet_vfork(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	return pid;
}

/* Children that share the address space, and those of other threads, do not count. */
static void *forks(void *arg)
{
	pid_t pid = fork();

	if (!pid) {
		struct gcheap_adopt a;

		CHECK_ERR(try_adopt(*(int *)arg, &a), EPERM);
		_exit(0);
	}
	return (void *)(intptr_t)pid;
}

TEST(children_that_are_not_meant)
{
	int fd, sync[2];
	struct gcheap_adopt a;
	void *other;
	char byte;
	pid_t pid[2];

	start_with_list(0);
	CHECK_EQ(pipe(sync), 0);
	fd = begin(&h);
	await(quiet_vfork());
	CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ECHILD);
	close(fd);
	fd = begin(&h);
	await(quiet_vfork());
	pthread_join(spawn(forks, &fd), &other);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		if (i) {
			CHECK_ERR(try_adopt(fd, &a), EPERM);
			_exit(0);
		}
		adopt_and_attach(&h, fd);
		check_list(list, LENGTH);
		CHECK_EQ(read(sync[0], &byte, 1), 1);
		/* A child of its own has not inherited it. */
		IN_CHILD(check_list(list, LENGTH));
		pid[1] = fork();
		if (!pid[1]) {
			CHECK_ERR(try_adopt(h.fd, &a), EPERM);
			CHECK_ERR(collect_result(), EPERM);
			_exit(0);
		}
		await(pid[1]);
		_exit(0);
	}
	CHECK_EQ(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), 0);
	await(pid[1]);
	await((intptr_t)other);
	CHECK_EQ(write(sync[1], "", 1), 1);
	await(pid[0]);
	close(fd);
	check_list(list, LENGTH);
}

/* ---- the descriptor in other hands */

static void *waits_for_it(void *arg)
{
	struct gcheap_adopt a;

	CHECK_ERR(try_adopt(*(int *)arg, &a), EPERM);
	return NULL;
}

TEST(descriptor_in_the_parent)
{
	struct gcheap_setup s = raw_setup_arg(0);
	struct gcheap_collect c = { .size = sizeof(c) };
	struct gcheap_adopt a;
	int fd, p[2];
	pthread_t t;
	char byte;
	pid_t pid;

	start_with_list(0);
	CHECK_ERR(try_adopt(h.fd, &a), ENOENT);
	fd = begin(&h);
	CHECK_ERR(ioctl(fd, GCHEAP_IOC_SETUP, &s), EBUSY);
	CHECK_ERR(ioctl(fd, GCHEAP_IOC_COLLECT, &c), ENODEV);
	CHECK_ERR(try_fork(fd, GCHEAP_FORK_BEGIN, &p[0]), ENODEV);
	CHECK(mmap(NULL, h.setup.meta_size, PROT_READ, MAP_SHARED, fd, GCHEAP_OFF_META) ==
	      MAP_FAILED && errno == ENODEV);
	CHECK_EQ(pipe(p), 0);
	t = spawn(waits_for_it, &fd);
	pid = fork();
	if (!pid) {
		CHECK_EQ(read(p[0], &byte, 1), 1);
		adopt_and_attach(&h, fd);
		check_list(list, LENGTH);
		_exit(0);
	}
	CHECK_EQ(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), 0);
	pthread_join(t, NULL);
	CHECK_ERR(try_adopt(fd, &a), EPERM);
	CHECK_ERR(ioctl(fd, GCHEAP_IOC_SETUP, &s), EPERM);
	CHECK_ERR(ioctl(fd, GCHEAP_IOC_COLLECT, &c), EPERM);
	CHECK(mmap(raw_hole(RAW_HEAP), RAW_HEAP, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
	      MAP_FAILED && errno == EPERM);
	CHECK(mmap(NULL, h.setup.meta_size, PROT_READ, MAP_SHARED, fd, GCHEAP_OFF_META) ==
	      MAP_FAILED && errno == EPERM);
	CHECK(mmap(NULL, GCHEAP_STATUS_SIZE, PROT_READ, MAP_SHARED, fd, GCHEAP_OFF_STATUS) ==
	      MAP_FAILED && errno == EPERM);
	CHECK_EQ(write(p[1], "", 1), 1);
	await(pid);
	close(fd);
	check_list(list, LENGTH);
}

TEST(in_its_place_only)
{
	struct gcheap_adopt a;
	int fd;
	pid_t pid;

	start_with_list(0);
	fd = begin(&h);
	pid = fork();
	if (!pid) {
		CHECK_EQ(try_adopt(fd, &a), 0);
		CHECK(mmap(h.base + 2 * RAW_HEAP, RAW_HEAP, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED);
		CHECK_EQ(errno, EINVAL);
		CHECK(mmap(h.base, RAW_HEAP / 2, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED);
		CHECK_EQ(errno, EINVAL);
		CHECK_EQ(try_adopt(fd, &a), 0);
		adopt_and_attach(&h, fd);
		CHECK_EQ(try_adopt(h.fd, &a), 0);
		check_list(list, LENGTH);
		_exit(0);
	}
	copy(&h, fd);
	await(pid);
}

/* ---- a child that does not wait for the copy */

static void map_only(int fd)
{
	CHECK(mmap(h.base, RAW_HEAP, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
		   GCHEAP_OFF_HEAP) == h.base);
	close(h.fd);
	h.fd = fd;
}

/* The kernel's touch; nobody else may wait for the pipe. */
static int write_object(const struct node *p)
{
	int own[2];

	CHECK_EQ(pipe(own), 0);
	return write(own[1], p, sizeof(*p));
}

/* Its touch waits, and so does the kernel's for it. */
TEST(touched_before_it_is_copied)
{
	struct gcheap_collect c = { .size = sizeof(c), .flags = GCHEAP_COLLECT_WAIT };
	struct gcheap_param p = { .size = sizeof(p), .param = GCHEAP_PARAM_GROWTH };
	int up[2];
	char byte;

	start_with_list(0);
	CHECK_EQ(pipe(up), 0);
	for (int i = 0; i < 6; i++) {
		int fd = begin(&h);
		pid_t pid = fork();

		if (!pid) {
			const struct gcheap_status *s;

			map_only(fd);
			CHECK_ERR(mmap(raw_hole(RAW_HEAP), RAW_HEAP, PROT_READ | PROT_WRITE,
				       MAP_SHARED, fd, 0), EINVAL);
			CHECK_EQ(write(up[1], "", 1), 1);
			s = mmap(NULL, GCHEAP_STATUS_SIZE, PROT_READ, MAP_SHARED, fd,
				 GCHEAP_OFF_STATUS);
			CHECK(s != MAP_FAILED);
			if (i == 1)
				CHECK_EQ(write_object(list), sizeof(*list));
			if (i == 2)
				CHECK(s->heap_bytes);
			if (i == 3)
				CHECK(!ioctl(fd, GCHEAP_IOC_COLLECT, &c) || errno == EAGAIN);
			if (i == 4)
				CHECK_EQ(ioctl(fd, GCHEAP_IOC_PARAM, &p), 0);
			if (i == 5)
				list->value = LENGTH - 1;
			check_list(list, LENGTH);
			CHECK_EQ(write(up[1], "", 1), 1);
			_exit(0);
		}
		CHECK_EQ(read(up[0], &byte, 1), 1);
		usleep(50000);
		CHECK_EQ(fcntl(up[0], F_SETFL, O_NONBLOCK), 0);
		CHECK_ERR(read(up[0], &byte, 1), EAGAIN);
		CHECK_EQ(fcntl(up[0], F_SETFL, 0), 0);
		copy(&h, fd);
		CHECK_EQ(read(up[0], &byte, 1), 1);
		await(pid);
	}
}

/* At any moment before, during and after that. */
TEST(mapped_while_it_is_copied)
{
	uint64_t copied = 1000000, t0;

	start(0);
	raw_root(&h, 0, &list, sizeof(list), NULL);
	list = make_list(10);
	for (int i = 0; i < 100; i++) {
		int fd = begin(&h);
		pid_t pid = fork();

		t0 = now_ns();
		if (!pid) {
			while (now_ns() - t0 < copied * (i % 20) / 10)
				;
			map_only(fd);
			CHECK_EQ(list->value, 9);
			_exit(0);
		}
		copy(&h, fd);
		copied = now_ns() - t0;
		await(pid);
	}
}

static int signal_of(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* There is none: what waits is told. */
TEST(touched_and_never_copied)
{
	struct gcheap_collect c = { .size = sizeof(c) };
	int fd, up[2];
	char byte;
	pid_t pid;

	start_with_list(0);
	CHECK_EQ(pipe(up), 0);
	for (int i = 0; i < 3; i++) {
		fd = begin(&h);
		pid = fork();
		if (!pid) {
			map_only(fd);
			CHECK_EQ(write(up[1], "", 1), 1);
			if (i == 1)
				CHECK_ERR(ioctl(fd, GCHEAP_IOC_COLLECT, &c), ENXIO);
			if (i < 2)
				check_list(list, LENGTH);
			CHECK_ERR(write_object(list), EFAULT);
			_exit(0);
		}
		CHECK_EQ(read(up[0], &byte, 1), 1);
		usleep(20000);
		CHECK_EQ(try_fork(h.fd, 0, NULL), 0);
		close(fd);
		CHECK_EQ(signal_of(pid), i < 2 ? SIGBUS : 0);
	}
	check_list(list, LENGTH);
}

/* Killed, or it runs another program, before: nobody waits, and nothing is copied. */
TEST(gone_before_it_is_copied)
{
	struct gcheap_adopt a;
	int fd, up[2];
	char byte;
	pid_t pid;

	start_with_list(0);
	CHECK_EQ(pipe(up), 0);
	for (int i = 0; i < 6; i++) {
		fd = begin(&h);
		pid = fork();
		if (!pid) {
			map_only(fd);
			CHECK_EQ(write(up[1], "", 1), 1);
			if (i < 2)
				execlp("true", "true", NULL);
			if (i < 4)
				try_adopt(fd, &a);
			check_list(list, LENGTH);
			_exit(1);
		}
		CHECK_EQ(read(up[0], &byte, 1), 1);
		if (i >= 2) {
			usleep(10000);
			kill(pid, SIGKILL);
		}
		CHECK_EQ(signal_of(pid), i < 2 ? 0 : SIGKILL);
		CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ENXIO);
		close(fd);
	}
	check_list(list, LENGTH);
	raw_collect(&h);
	IN_CHILD(check_list(list, LENGTH));
}

/* ---- one of them is gone */

TEST(parent_dies_in_the_window)
{
	int up[2], fd, status;
	struct gcheap_adopt a;
	pid_t pid;
	char byte;

	CHECK_EQ(pipe(up), 0);
	for (int i = 0; i < 3; i++) {
		pid = fork();
		if (!pid) {
			start_with_list(0);
			fd = begin(&h);
			pid = fork();
			if (!pid) {
				CHECK_EQ(write(up[1], "", 1), 1);
				CHECK_ERR(try_adopt(fd, &a), ENXIO);
				CHECK_EQ(write(up[1], "", 1), 1);
				_exit(0);
			}
			if (i == 2) {
				CHECK_EQ(munmap(h.base, h.setup.heap_size), 0);
				CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ENXIO);
				await(pid);
				_exit(0);
			}
			for (;;)
				if (i == 1)
					_exit(0);
				else
					usleep(1000);
		}
		CHECK_EQ(read(up[0], &byte, 1), 1);
		usleep(20000);
		if (i != 2)
			kill(pid, SIGKILL);
		CHECK_EQ(read(up[0], &byte, 1), 1);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(i == 2 ? !status : true);
	}
}

TEST(child_dies_before)
{
	start_with_list(0);
	for (int i = 0; i < 10; i++) {
		int fd = begin(&h);
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (i % 2)
			await(pid);
		/* A copy for nobody is not made. */
		if (i % 2)
			CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ENXIO);
		else if (try_fork(h.fd, GCHEAP_FORK_COPY, NULL))
			CHECK_EQ(errno, ENXIO);
		close(fd);
		if (i % 2 == 0)
			await(pid);
	}
	check_list(list, LENGTH);
	raw_collect(&h);
	raw_verify(&h);
}

/* What a child that comes too late has: it is told why. */
static void is_too_late(int fd, int err)
{
	struct gcheap_collect c = { .size = sizeof(c) };
	struct gcheap_adopt a;

	CHECK_ERR(try_adopt(fd, &a), err);
	CHECK_ERR(ioctl(fd, GCHEAP_IOC_COLLECT, &c), err);
	CHECK(mmap(raw_hole(RAW_HEAP), RAW_HEAP, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   GCHEAP_OFF_HEAP) == MAP_FAILED);
	CHECK_EQ(errno, err);
}

static void has_late_child(int fd, int err)
{
	pid_t pid = fork();

	if (!pid) {
		is_too_late(fd, err);
		_exit(0);
	}
	await(pid);
	is_too_late(fd, err);
	close(fd);
}

/* Has no children. */
static void *leaves_it_open(void *arg)
{
	struct raw g = raw_open_with(raw_setup_arg(0));

	__atomic_store_n((int *)arg, begin(&g), __ATOMIC_RELEASE);
	for (;;)
		pause();
	return NULL;
}

/* Nobody comes to copy it: half a minute later all goes on. */
TEST(window_left_open)
{
	struct gcheap_adopt a;
	uint64_t since;
	int fd, other = -1;
	pid_t pid;

	start_with_list(0);
	spawn(leaves_it_open, &other);
	while (__atomic_load_n(&other, __ATOMIC_ACQUIRE) < 0)
		usleep(1000);
	fd = begin(&h);
	since = now_ns();
	pid = fork();
	if (!pid) {
		CHECK_ERR(try_adopt(fd, &a), ETIMEDOUT);
		_exit(0);
	}
	done = 0;
	pthread_join(spawn(collects_once, NULL), NULL);
	CHECK(now_ns() - since > 29000000000ull);
	await(pid);
	CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ESRCH);
	close(fd);
	has_late_child(other, ETIMEDOUT);
	check_list(list, LENGTH);
	IN_CHILD(check_list(list, LENGTH));
}

TEST(window_over_before_the_child)
{
	int fd;

	start_with_list(0);
	fd = begin(&h);
	CHECK_EQ(try_fork(h.fd, 0, NULL), 0);
	has_late_child(fd, ENXIO);
	fd = begin(&h);
	CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ECHILD);
	has_late_child(fd, ECHILD);
	IN_CHILD(check_list(list, LENGTH));
}

/* A thread that ends in the window: all goes on, long before half a minute is over. */
static volatile int begun;

static void *ends_in_the_window(void *arg)
{
	begun = begin(&h);
	if (arg) {
		pid_t pid = fork();
		struct gcheap_adopt a;

		if (!pid) {
			CHECK_ERR(try_adopt(begun, &a), ENXIO);
			_exit(0);
		}
		*(pid_t *)arg = pid;
	}
	syscall(SYS_exit, 0);
	return NULL;
}

/* Threads in its place, which may have its structure in the kernel, have no window. */
static void *is_none_of_it(void *arg)
{
	CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ESRCH);
	return NULL;
}

TEST(thread_ends_in_the_window)
{
	uint64_t since, cycles;
	pid_t pid;

	start_with_list(0);
	for (int i = 0; i < 4; i++) {
		since = now_ns();
		cycles = raw_status(&h).cycles;
		pthread_join(spawn(ends_in_the_window, i % 2 ? &pid : NULL), NULL);
		pthread_join(spawn(is_none_of_it, NULL), NULL);
		raw_collect(&h);
		CHECK(raw_status(&h).cycles > cycles);
		CHECK(now_ns() - since < 20000000000ull);
		CHECK_ERR(try_fork(h.fd, GCHEAP_FORK_COPY, NULL), ESRCH);
		if (i % 2)
			await(pid);
		close(begun);
		check_list(list, LENGTH);
		IN_CHILD(check_list(list, LENGTH));
	}
}

/* ---- threads */

static volatile int stop;

static void *collects(void *arg)
{
	while (!stop)
		raw_try_collect_as(&h, rand() % 2 ? GCHEAP_COLLECT_COMPACT : 0);
	return NULL;
}

static uint64_t *slots;		/* counted up together */

static void *counts(void *arg)
{
	while (!stop)
		for (int i = 0; i < 64; i++)
			__atomic_store_n(&slots[i * 512], slots[i * 512] + 1, __ATOMIC_RELAXED);
	return NULL;
}

/* The copy is of one moment: none of them is two ahead of another. */
TEST(copy_of_one_moment)
{
	unsigned int large;
	pthread_t t[2];

	start_with_list(0);
	large = raw_cache(&h, GCHEAP_NOSCAN, 0);
	raw_root(&h, 0, &slots, sizeof(slots), NULL);
	slots = raw_try_large(&h, large, 64 * 4096);
	CHECK(slots);
	memset(slots, 0, 64 * 4096);
	t[0] = spawn(counts, NULL);
	t[1] = spawn(collects, NULL);
	for (int k = 0; k < 10; k++)
		IN_CHILD({
			for (int i = 1; i < 64; i++)
				CHECK(slots[i * 512] == slots[0] || slots[i * 512] + 1 == slots[0]);
			check_list(list, LENGTH);
		});
	stop = 1;
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	raw_verify(&h);
}

/* Both kinds of threads that belong to the collector are the parent's alone. */
static void *lends(void *arg)
{
	struct gcheap_lend l = { .size = sizeof(l) };

	CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_LEND, &l), ECANCELED);
	return NULL;
}

static unsigned int asked;
static volatile bool answering;

/* What an object of cache "asked" refers to is there in a disguise. */
static void *answers(void *arg)
{
	static uint64_t objects[GCHEAP_CALLBACK_WORDS], words[GCHEAP_CALLBACK_WORDS];
	struct gcheap_callback c = {
		.size = sizeof(c), .flags = GCHEAP_CALLBACK_MORE, .timeout = 10000,
		.objects = (uintptr_t)objects, .words = (uintptr_t)words,
	};

	raw_attach(&h);
	c.thread = raw_thread;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CALLBACK, &c), 0);
	c.flags = 0;
	answering = true;
	while (!stop) {
		if (ioctl(h.fd, GCHEAP_IOC_CALLBACK, &c)) {
			CHECK_EQ(errno, EAGAIN);
			c.pause = 0;
			c.nobjects = 0;
		}
		for (c.n = 0; c.n < c.nobjects; c.n++)
			words[c.n] = ~((struct node *)objects[c.n])->value;
	}
	c.flags = GCHEAP_CALLBACK_END;
	c.n = 0;
	ioctl(h.fd, GCHEAP_IOC_CALLBACK, &c);
	return NULL;
}

static pthread_t start_answers(void)
{
	pthread_t t;

	answering = false;
	t = spawn(answers, NULL);
	while (!answering)
		usleep(1000);
	return t;
}

TEST(threads_of_the_collector)
{
	struct gcheap_lend end = { .size = sizeof(end), .flags = GCHEAP_LEND_END };
	pthread_t t[2];

	start_with_list(0);
	t[0] = spawn(lends, NULL);
	t[1] = start_answers();
	for (int i = 0; i < 5; i++) {
		raw_collect(&h);
		IN_CHILD({
			struct gcheap_lend l = { .size = sizeof(l), .flags = GCHEAP_LEND_END };

			CHECK_ERR(ioctl(h.fd, GCHEAP_IOC_LEND, &l), ENOENT);
			/* What the parent's thread told of nobody knows yet. */
			CHECK_ERR(raw_try_collect(&h), ETIME);
			start_answers();
			raw_collect(&h);
			check_list(list, LENGTH);
		});
	}
	stop = 1;
	raw_collect(&h);
	pthread_join(t[1], NULL);
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_LEND, &end), 0);
	pthread_join(t[0], NULL);
}

static NOINLINE struct node *make_asked(struct node *next)
{
	struct node *p = raw_take(&h, asked);

	p->next = NULL;
	p->value = ~(uintptr_t)next;
	return p;
}

/* The child has them, and nobody to ask, until there is a thread of its own. */
TEST(objects_that_are_asked_about)
{
	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, sizeof(struct node));
	asked = raw_cache(&h, GCHEAP_ASK, sizeof(struct node));
	raw_root(&h, 0, &list, sizeof(list), NULL);
	start_answers();
	list = make_asked(make_asked(make_list(LENGTH)));
	settle(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, LENGTH + 2);
	IN_CHILD({
		CHECK_ERR(raw_try_collect(&h), ETIME);
		start_answers();
		for (int i = 0; i < 2; i++) {
			raw_collect(&h);
			CHECK_EQ(raw_status(&h).marked_objects, LENGTH + 2);
		}
		check_list((void *)~((struct node *)~list->value)->value, LENGTH);
		raw_verify(&h);
		list = NULL;
		raw_collect(&h);
		CHECK_EQ(raw_status(&h).marked_objects, 0);
	});
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, LENGTH + 2);
}

/* A control block full of lies: the copy is whole. */
TEST(lying_cursors)
{
	uint64_t seed = raw_seed();

	start_with_list(0);
	raw_flush(&h);
	for (int i = 0; i < 10; i++) {
		struct gcheap_tcb *t = &h.tcbs[raw_thread];

		raw_try_take(&h, cache);
		t->cursor[cache].pos = rnd(&seed);
		t->free_head = rnd(&seed);
		for (int k = 0; k < GCHEAP_RING; k++)
			t->free_ring[k] = rnd(&seed);
		IN_CHILD({
			raw_verify(&h);
			raw_collect(&h);
			raw_verify(&h);
		});
		t->free_head = t->free_tail;
	}
}

TEST_MAIN
