/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that only another thread could bring in, and none will. */
#ifndef GCHEAP_UFFD_H
#define GCHEAP_UFFD_H

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "tap.h"

/* @fd: its descriptor: when that is closed the memory is all zero */
static void *uffd_hole(size_t bytes, int *fd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register r = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *area;

	*fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (*fd < 0)
		SKIP("no userfaultfd");
	CHECK_EQ(ioctl(*fd, UFFDIO_API, &api), 0);
	area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(area != MAP_FAILED);
	r.range.start = (uintptr_t)area;
	r.range.len = bytes;
	CHECK_EQ(ioctl(*fd, UFFDIO_REGISTER, &r), 0);
	return area;
}

#endif
