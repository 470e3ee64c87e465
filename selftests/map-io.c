// SPDX-License-Identifier: GPL-2.0-only
/* The kernel reads and writes heap memory as it does any other. */
#include "raw.h"
#include <sys/ptrace.h>
#include <sys/uio.h>

#define BYTES	32768

static struct raw h;

/* Three objects of 32 KiB, the first filled by a pattern. */
static unsigned char *buffer(int i)
{
	static unsigned char *b[3];

	if (!b[0]) {
		h = raw_open(0);
		unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, BYTES);

		for (int k = 0; k < 3; k++)
			b[k] = raw_take(&h, c);
		for (int k = 0; k < BYTES; k++)
			b[0][k] = k * 7 + (k >> 8);
	}
	return b[i];
}

static int scratch(int flags)
{
	/* O_DIRECT wants a file system that has it, which tmpfs is only of late. */
	static const char *const dirs[] = { "/tmp", "/var/tmp", "/root", "/dev/shm" };
	char path[64];
	int fd;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		snprintf(path, sizeof(path), "%s/gcheap-io-%d", dirs[i], getpid());
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | flags, 0600);
		unlink(path);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

static void same(const void *p)
{
	CHECK(!memcmp(buffer(0), p, BYTES));
}

TEST(read_and_write)
{
	int fd = scratch(0);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, buffer(0), BYTES), BYTES);
	CHECK_EQ(pread(fd, buffer(1), BYTES, 0), BYTES);	/* pages not touched yet */
	same(buffer(1));
	raw_collect(&h);
	same(buffer(1));
}

TEST(readv_and_writev)
{
	int fd = scratch(0);
	struct iovec v[8], w[8];

	CHECK(fd >= 0);
	for (int i = 0; i < 8; i++) {
		v[i] = (struct iovec){ buffer(0) + i * BYTES / 8, BYTES / 8 };
		w[i] = (struct iovec){ buffer(1) + i * BYTES / 8, BYTES / 8 };
	}
	CHECK_EQ(writev(fd, v, 8), BYTES);
	CHECK_EQ(preadv(fd, w, 8, 0), BYTES);
	same(buffer(1));
}

TEST(vector_in_the_heap)
{
	int p[2];
	struct iovec *v = (void *)buffer(2);

	CHECK_EQ(pipe(p), 0);
	v[0] = (struct iovec){ buffer(0), 1000 };
	CHECK_EQ(writev(p[1], v, 1), 1000);
	v[0].iov_base = buffer(1);
	CHECK_EQ(readv(p[0], v, 1), 1000);
	CHECK(!memcmp(buffer(0), buffer(1), 1000));
}

TEST(direct_io)
{
	int fd = scratch(O_DIRECT);
	const char *disk = "/dev/vda";

	if (fd < 0 && !access(disk, W_OK))
		fd = open(disk, O_RDWR | O_DIRECT);
	if (fd < 0)
		SKIP("nothing here does O_DIRECT");
	/* Cells of 32 KiB begin at a page. */
	CHECK_EQ((uintptr_t)buffer(0) % 4096, 0);
	CHECK_EQ(pwrite(fd, buffer(0), BYTES, 0), BYTES);
	CHECK_EQ(pread(fd, buffer(1), BYTES, 0), BYTES);
	same(buffer(1));
	raw_verify(&h);
}

TEST(process_vm)
{
	unsigned char *copy = malloc(BYTES);
	struct iovec mine = { copy, BYTES }, its = { buffer(0), BYTES };
	pid_t parent = getpid(), pid;
	int status;

	/* From the same process, */
	CHECK_EQ(process_vm_readv(getpid(), &mine, 1, &its, 1, 0), BYTES);
	same(copy);
	its.iov_base = buffer(1);
	CHECK_EQ(process_vm_writev(getpid(), &mine, 1, &its, 1, 0), BYTES);
	same(buffer(1));
	/* and from another. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pid = fork();
	if (!pid) {
		struct iovec from = { (void *)its.iov_base, BYTES }, to = mine;

		memset(copy, 0, BYTES);
		CHECK_EQ(process_vm_readv(parent, &to, 1, &from, 1, 0), BYTES);
		copy[5] ^= 0xff;
		CHECK_EQ(process_vm_writev(parent, &to, 1, &from, 1, 0), BYTES);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(buffer(1)[5], (unsigned char)(buffer(0)[5] ^ 0xff));
	CHECK_EQ(buffer(1)[6], buffer(0)[6]);
}

TEST(ptrace)
{
	int up[2], go[2], status;
	char byte;
	long *p = NULL, word;
	pid_t pid;

	CHECK_EQ(pipe(up), 0);
	CHECK_EQ(pipe(go), 0);
	pid = fork();
	if (!pid) {
		p = (long *)buffer(0);
		p[3] = 0x1122334455667788;
		CHECK_EQ(write(up[1], &p, sizeof(p)), sizeof(p));
		CHECK_EQ(read(go[0], &byte, 1), 1);
		CHECK_EQ(p[3], 42);
		raw_collect(&h);
		_exit(0);
	}
	CHECK_EQ(read(up[0], &p, sizeof(p)), sizeof(p));
	CHECK_EQ(ptrace(PTRACE_ATTACH, pid, 0, 0), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, pid, p + 3, 0);
	CHECK_EQ(errno, 0);
	CHECK_EQ(word, 0x1122334455667788);
	CHECK_EQ(ptrace(PTRACE_POKEDATA, pid, p + 3, 42), 0);
	CHECK_EQ(ptrace(PTRACE_DETACH, pid, 0, 0), 0);
	CHECK_EQ(write(go[1], "", 1), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST(vmsplice)
{
	struct iovec v = { buffer(0), 4096 };
	unsigned char back[4096];
	int p[2];

	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(vmsplice(p[1], &v, 1, 0), 4096);
	raw_collect(&h);
	CHECK_EQ(read(p[0], back, 4096), 4096);
	CHECK(!memcmp(back, buffer(0), 4096));
}

/* Someone still holds a page whose object is dead: it is not another's page. */
TEST(pinned_page_of_a_dead_object)
{
	struct raw g = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&g, GCHEAP_NOSCAN, 0);
	unsigned char *p = raw_try_large(&g, c, 1 << 20), back[4096];
	struct iovec v = { p, 4096 };
	int fd[2];

	CHECK(p);
	memset(p, 0x77, 1 << 20);
	CHECK_EQ(pipe(fd), 0);
	CHECK_EQ(vmsplice(fd[1], &v, 1, 0), 4096);
	raw_collect(&g);
	raw_collect(&g);
	p = raw_try_large(&g, c, 1 << 20);
	memset(p, 0x11, 1 << 20);
	CHECK_EQ(read(fd[0], back, 4096), 4096);
	/* Reused or not, it holds one object's bytes, or none's. */
	for (int i = 0; i < 4096; i++)
		CHECK(back[i] == 0x77 || back[i] == 0x11 || !back[i]);
	raw_verify(&g);
}

TEST_MAIN
