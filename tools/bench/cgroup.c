// SPDX-License-Identifier: GPL-2.0-only
/*
 * A memory cgroup that leaves little room:
 *	cgroup DIRECTORY MIB typed|conservative small|large|faults [SECONDS]
 *
 * In the cgroup DIRECTORY, which is empty, fill a heap and keep one object in 16 (frag.h), in
 * the places of which others of other sizes come. memory.max goes down to what is in use, as
 * often as that becomes less, until it is 1.5 times what is kept and what the program had
 * before; for that the heap is compacted once, after half of the time. "small": no more than
 * that; "large": large objects as well, whose pages come with them; "faults": larger ones,
 * whose pages come when they are touched. All of these are garbage. The parent, which is not
 * in the cgroup, tells how it ended.
 */
#include "frag.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

enum {
	SLACK = 256 << 10,	/* between what is in use and the limit, when that is set */
	SOME = 4,		/* large objects after every 1000 small ones */
	LARGE = 256 << 10,	/* bytes of which the module maps all */
	LARGER = 1280 << 10,	/* and of which it maps none, in advance */
};

/* What the child writes and the parent reads. */
static struct result {
	uint64_t baseline, live, goal, max, current, objects, enomem, cycles, compactions, flips;
} *r;

static const char *directory;
static int max_fd, current_fd;

static int in_cgroup(const char *file, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

static uint64_t current(void)
{
	char text[32] = "";

	if (pread(current_fd, text, sizeof(text) - 1, 0) <= 0)
		perror("memory.current");
	return strtoull(text, NULL, 10);
}

/* As low as it can be now, and needs to be. */
static void lower(void)
{
	uint64_t to = current() + SLACK;
	char text[32];

	if (to < r->goal)
		to = r->goal;
	if (to >= r->max)
		return;
	r->max = to;
	if (pwrite(max_fd, text, snprintf(text, sizeof(text), "%" PRIu64, to), 0) < 0)
		perror("memory.max");
}

static void look(void)
{
	r->current = current();
	r->cycles = bench_cycles();
#ifndef BENCH_LIBGC
	r->compactions = bench_stats().compactions;
	r->flips = bench_stats().flips;
#endif
}

static void *got(void *p)
{
	r->objects++;
	r->enomem += !p;
	return p;
}

/* Nine of ten are garbage at once, and what is kept does not become more. */
static void small_objects(void)
{
	for (int i = 0; i < 1000; i++) {
		int k = heap_draw(SIZES);
		void *o = got(try_make(late, k)), **at;

		if (!o || heap_draw(10))
			continue;
		at = &table[heap_draw(entries)];
		drop(at);
		*at = put(o, late[k]);
		while (live > r->live)
			drop(&table[heap_draw(entries)]);
	}
}

static void large_object(size_t bytes)
{
#ifdef BENCH_LIBGC
	void *p = got(GC_malloc_atomic(bytes));
#else
	void *p = got(gcheap_alloc_noscan(bytes));
#endif

	if (p)
		memset(p, 1, bytes);
}

static void child(size_t bytes, size_t large, double seconds)
{
	uint64_t end, half, next = 0;

	if (write(in_cgroup("cgroup.procs", O_WRONLY), "0", 1) < 0 || mlockall(MCL_CURRENT)) {
		perror(directory);
		exit(2);
	}
	bench_init();
	for (int k = 0; k < SIZES; k++)
		make(late, k);
	r->baseline = current();
	fill(bytes);
	thin_out(bytes);
	r->live = live;
	r->goal = r->baseline + entries * sizeof(*table) + live * 3 / 2;
	r->max = UINT64_MAX;
	half = bench_now() + seconds * 5e8;
	end = bench_now() + seconds * 1e9;
	while (bench_now() < end) {
		small_objects();
		if (r->max > r->goal && bench_now() > half) {
			heap_compact();
			half = end;
		}
		lower();
		for (int i = 0; large && i < SOME; i++)
			large_object(large);
		if (bench_now() < next)
			continue;
		look();
		next = bench_now() + 100000000;
	}
	look();
}

int main(int argc, char **argv)
{
	size_t bytes = (argc > 2 ? atol(argv[2]) : 64) << 20, large = 0;
	int status;

	if (argc < 5)
		return 2;
	directory = argv[1];
	typed = !strcmp(argv[3], "typed");
	if (!strcmp(argv[4], "large"))
		large = LARGE;
	else if (!strcmp(argv[4], "faults"))
		large = LARGER;
	max_fd = in_cgroup("memory.max", O_WRONLY);
	current_fd = in_cgroup("memory.current", O_RDONLY);
	r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(r, 0, sizeof(*r));
	if (!fork()) {
		child(bytes, large, argc > 5 ? atof(argv[5]) : 10);
		_exit(0);
	}
	if (wait(&status) < 0)
		perror("wait");
	printf("end %s\nbaseline %" PRIu64 "\nlive %" PRIu64 "\ngoal %" PRIu64 "\nlimit %" PRIu64
	       "\ncurrent %" PRIu64 "\nobjects %" PRIu64 "\nenomem %" PRIu64 "\ncycles %" PRIu64
	       "\ncompactions %" PRIu64 "\nflips %" PRIu64 "\n",
	       WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) :
	       WEXITSTATUS(status) ? "failed" : "lived",
	       r->baseline, r->live, r->goal, r->max, r->current, r->objects, r->enomem,
	       r->cycles, r->compactions, r->flips);
	return 0;
}
