/* SPDX-License-Identifier: GPL-2.0-only */
/* A memory cgroup of a test's own. */
#ifndef GCHEAP_TEST_CGROUP_H
#define GCHEAP_TEST_CGROUP_H

#include "tap.h"
#include <fcntl.h>
#include <sys/stat.h>

static inline int cgroup_open(const char *dir, const char *file, int flags)
{
	char path[288];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return open(path, flags | O_CLOEXEC);
}

static inline int cgroup_put(const char *dir, const char *file, const char *text)
{
	int fd = cgroup_open(dir, file, O_WRONLY), r;

	if (fd < 0)
		return -1;
	r = write(fd, text, strlen(text)) < 0;
	close(fd);
	return r ? -1 : 0;
}

/* The number in a file, or after a word in it; -1: there is none. */
static inline long cgroup_get(const char *dir, const char *file, const char *word)
{
	char text[512] = "", *at = text;
	int fd = cgroup_open(dir, file, O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return -1;
	close(fd);
	if (word)
		at = strstr(text, word);
	return at ? strtol(at + (word ? strlen(word) : 0), NULL, 10) : -1;
}

/* An empty one; its directory. */
static inline const char *cgroup_make(const char *name)
{
	static char dir[256];

	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK))
		SKIP("no cgroup2 at /sys/fs/cgroup");
	cgroup_put("/sys/fs/cgroup", "cgroup.subtree_control", "+memory");
	snprintf(dir, sizeof(dir), "/sys/fs/cgroup/%s-%d", name, getpid());
	if (mkdir(dir, 0755))
		SKIP("no cgroup of our own");
	if (cgroup_get(dir, "memory.current", NULL) < 0)
		SKIP("no memory controller");
	return dir;
}

/* Into one; its directory. */
static inline const char *cgroup_enter(const char *dir)
{
	CHECK_EQ(cgroup_put(dir, "cgroup.procs", "0"), 0);
	return dir;
}

#endif
