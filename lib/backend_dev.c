// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* The heap of the kernel module, through /dev/gcheap. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"

static int gch_dev_map(struct gch_backend *b, size_t size, int prot, uint64_t offset,
		       void *where)
{
	void *p = mmap(NULL, size, prot, MAP_SHARED, b->fd, (off_t)offset);

	if (p == MAP_FAILED)
		return -errno;
	*(void **)where = p;
	return 0;
}

static void gch_dev_unmap(const void *p, size_t size)
{
	if (p)
		munmap((void *)p, size);
}

/* The heap is mapped over a reservation that is large enough to align it. */
static int gch_dev_map_heap(struct gch_backend *b, size_t size)
{
	size_t room = size + GCHEAP_CHUNK_SIZE;
	char *p, *heap;

	p = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	heap = (char *)(((uintptr_t)p + GCHEAP_CHUNK_SIZE - 1) &
			~(uintptr_t)(GCHEAP_CHUNK_SIZE - 1));
	if (mmap(heap, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, b->fd,
		 GCHEAP_OFF_HEAP) == MAP_FAILED) {
		int err = -errno;

		munmap(p, room);
		return err;
	}
	if (heap > p)
		munmap(p, heap - p);
	if (p + room > heap + size)
		munmap(heap + size, p + room - (heap + size));
	b->base = (uintptr_t)heap;
	b->size = size;
	return 0;
}

static int gch_dev_map_all(struct gch_backend *b, const struct gcheap_setup *setup)
{
	int err;

	b->meta_size = setup->meta_size;
	b->tcb_size = setup->tcb_size;
	err = gch_dev_map_heap(b, setup->heap_size);
	if (!err)
		err = gch_dev_map(b, b->meta_size, PROT_READ, GCHEAP_OFF_META, &b->meta);
	if (!err)
		err = gch_dev_map(b, GCHEAP_STATUS_SIZE, PROT_READ, GCHEAP_OFF_STATUS,
				  &b->status);
	if (!err)
		err = gch_dev_map(b, b->tcb_size, PROT_READ | PROT_WRITE, GCHEAP_OFF_TCB,
				  &b->tcb);
	return err;
}

static void gch_dev_close(struct gch_backend *b)
{
	gch_dev_unmap((void *)b->base, b->size);
	gch_dev_unmap(b->meta, b->meta_size);
	gch_dev_unmap(b->status, GCHEAP_STATUS_SIZE);
	gch_dev_unmap(b->tcb, b->tcb_size);
	close(b->fd);
}

static int gch_dev_call(struct gch_backend *b, unsigned int command, void *arg)
{
	return ioctl(b->fd, command, arg) < 0 ? -errno : 0;
}

static int gch_dev_open(struct gch_backend *b, const char *device, struct gcheap_setup *setup)
{
	int err;

	b->fd = open(device ? device : "/dev/gcheap", O_RDWR | O_CLOEXEC);
	if (b->fd < 0)
		return -errno;
	err = gch_dev_call(b, GCHEAP_IOC_SETUP, setup);
	if (!err)
		err = gch_dev_map_all(b, setup);
	if (err)
		gch_dev_close(b);
	return err;
}

/* ---- fork */

static int gch_dev_fork(struct gch_backend *b)
{
	struct gcheap_fork arg = { .size = sizeof(arg), .flags = GCHEAP_FORK_BEGIN };
	int err = gch_dev_call(b, GCHEAP_IOC_FORK, &arg);

	return err ? err : arg.fd;
}

/* If it fails the child is told. */
static void gch_dev_forked(struct gch_backend *b, int fd)
{
	struct gcheap_fork arg = { .size = sizeof(arg), .flags = GCHEAP_FORK_COPY };

	gch_dev_call(b, GCHEAP_IOC_FORK, &arg);
	close(fd);
}

/* Where they were, so that what the library knows of them is true; or none of them. */
static int gch_dev_remap(const struct gch_backend *b, int fd)
{
	const struct {
		const void *at;
		size_t size;
		int prot;
		uint64_t offset;
	} map[] = {
		{ (void *)b->base, b->size, PROT_READ | PROT_WRITE, GCHEAP_OFF_HEAP },
		{ b->meta, b->meta_size, PROT_READ, GCHEAP_OFF_META },
		{ b->status, GCHEAP_STATUS_SIZE, PROT_READ, GCHEAP_OFF_STATUS },
		{ b->tcb, b->tcb_size, PROT_READ | PROT_WRITE, GCHEAP_OFF_TCB },
	};
	int err;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		if (mmap((void *)map[i].at, map[i].size, map[i].prot,
			 MAP_SHARED | MAP_FIXED_NOREPLACE, fd, (off_t)map[i].offset) != MAP_FAILED)
			continue;
		err = -errno;
		while (i-- > 0)
			gch_dev_unmap(map[i].at, map[i].size);
		return err;
	}
	return 0;
}

/* Its descriptor takes the number of the parent's. */
static int gch_dev_adopt(struct gch_backend *b, int fd)
{
	int err = gch_dev_remap(b, fd);

	/* Its number may be above a limit that is lower by now. */
	if (!err && dup3(fd, b->fd, O_CLOEXEC) < 0) {
		close(b->fd);
		b->fd = fd;
		return 0;
	}
	close(fd);
	return err;
}

static int gch_dev_await(struct gch_backend *b)
{
	struct gcheap_adopt arg = { .size = sizeof(arg) };

	return gch_dev_call(b, GCHEAP_IOC_ADOPT, &arg);
}

/* The mappings are not inherited. */
static void gch_dev_forget(struct gch_backend *b)
{
	close(b->fd);
	b->fd = -1;
}

const struct gch_backend_ops gch_backend_dev = {
	.open = gch_dev_open,
	.close = gch_dev_close,
	.fork = gch_dev_fork,
	.forked = gch_dev_forked,
	.adopt = gch_dev_adopt,
	.await = gch_dev_await,
	.forget = gch_dev_forget,
	.call = gch_dev_call,
};
