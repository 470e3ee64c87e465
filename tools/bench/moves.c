// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to move pages: moves METHOD MIB ORDER [MICROSECONDS]
 *
 *	evacuate	gcheap_compact(): so many MiB of objects of movable caches, one in two
 *			kept; pages are those that the objects which moved fill
 *	mesh		gcheap_compact(): of conservative objects, one in 16 kept; pages that
 *			were given the memory of another
 *	resize		gcheap_realloc(): a large object, which goes elsewhere
 *	mremap		2^ORDER pages a call
 *	copy		the same with UFFDIO_COPY, and what they were copied from is dropped
 *	move		the same with UFFDIO_MOVE
 *
 * Another thread writes a word on any of the pages, where it is then, every so many
 * MICROSECONDS; 0: all the time. A line of names and values: pages, seconds, and what all of
 * it took: system calls of the thread that moves, page faults of the process, signals to the
 * writer, which comes where a page is no more and tries again, TLB flushes that processors did
 * (tlb:tlb_flush, but for task switches), and interrupts for that (/proc/interrupts). -1: the
 * kernel does not tell. Nothing: it does not have the method.
 */
#include "frag.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef UFFDIO_MOVE
#define UFFD_FEATURE_MOVE	(1 << 16)
/* Its argument is like that of UFFDIO_COPY. */
#define UFFDIO_MOVE		_IOWR(UFFDIO, 0x05, struct uffdio_copy)
#endif

enum { PAGE = 4096, ALIGN = 2 << 20, CPUS = 64 };

/* ---- counters */

struct counts {
	int64_t calls, faults, signals, flushes, interrupts;
	uint64_t ns;
};

static int calls = -1, flushes[CPUS];
static long cpus;
static volatile int64_t signals;	/* of the writer */

/* A counter of a tracepoint: of the caller, or of a processor; -1: there is none. */
static int counter(const char *event, const char *filter, int pid, int cpu)
{
	struct perf_event_attr a = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(a) };
	char path[128];
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/tracing/events/%s/id", event);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%lld", (long long *)&a.config) != 1)
		return -1;
	fclose(f);
	fd = syscall(SYS_perf_event_open, &a, pid, cpu, -1, 0);
	if (fd >= 0 && filter && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter)) {
		perror(event);
		exit(1);
	}
	return fd;
}

static void counters_open(void)
{
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (cpus > CPUS)
		cpus = CPUS;
	/* Neither on a task switch, nor counted again by who asks others for it. */
	for (int i = 0; i < cpus; i++)
		flushes[i] = counter("tlb/tlb_flush", "reason > 0 && reason < 4", -1, i);
	calls = counter("raw_syscalls/sys_enter", NULL, 0, -1);
}

static int64_t counted(int fd)
{
	int64_t n;

	return fd >= 0 && read(fd, &n, sizeof(n)) == sizeof(n) ? n : -1;
}

static int64_t interrupts(void)
{
	FILE *f = fopen("/proc/interrupts", "r");
	char line[4096], *p, *end;
	int64_t n = -1;

	while (f && fgets(line, sizeof(line), f)) {
		p = strstr(line, "TLB:");
		if (!p)
			continue;
		n = 0;
		for (p += 4; n += strtoll(p, &end, 10), end != p; p = end)
			;
	}
	if (f)
		fclose(f);
	return n;
}

/* All but calls and time. */
static struct counts count(void)
{
	struct counts c = { .signals = signals, .interrupts = interrupts() };
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	c.faults = u.ru_minflt + u.ru_majflt;
	for (int i = 0; i < cpus && c.flushes >= 0; i++)
		c.flushes = flushes[i] < 0 ? -1 : c.flushes + counted(flushes[i]);
	return c;
}

static struct counts begun;

static void begin(void)
{
	begun = count();
	begun.ns = bench_now();
	begun.calls = counted(calls);
}

static void end(double pages)
{
	int64_t n = counted(calls);	/* with this one */
	uint64_t ns = bench_now();
	struct counts c = count();

	printf("pages %.0f seconds %.3f calls %" PRId64 " faults %" PRId64 " signals %" PRId64
	       " flushes %" PRId64 " interrupts %" PRId64 "\n", pages, (ns - begun.ns) / 1e9,
	       n < 0 ? n : n - begun.calls - 1, c.faults - begun.faults,
	       c.signals - begun.signals, c.flushes < 0 ? -1 : c.flushes - begun.flushes,
	       c.interrupts - begun.interrupts);
}

/* ---- the writer */

static char *from, *to;
static size_t pages, moved;	/* so many are in their new place */
static uint64_t written;
static long interval = -1;	/* -1: no writer */
static sigjmp_buf again;

static uint64_t *on_page(uint64_t r)
{
	size_t i = r % pages;

	return (uint64_t *)((i < __atomic_load_n(&moved, __ATOMIC_ACQUIRE) ? to : from) + i * PAGE);
}

static uint64_t *in_object(uint64_t r)
{
	return (uint64_t *)*(void *volatile *)&table[r % entries] + 1;
}

/* The page has just gone: it is somewhere else. */
static void gone(int signal)
{
	siglongjmp(again, signal);
}

static void *write_on(void *arg)
{
	uint64_t *(*place)(uint64_t r) = arg;
	static uint64_t r = 1;

	if (sigsetjmp(again, 0))
		signals++;
	for (;;) {
		r = r * 6364136223846793005ull + 1442695040888963407ull;
		*(volatile uint64_t *)place(r >> 20) = 64;
		__atomic_fetch_add(&written, 1, __ATOMIC_RELAXED);
		if (interval)
			usleep(interval);
	}
	return NULL;
}

static void writer_start(uint64_t *(*place)(uint64_t r))
{
	struct sigaction a = { .sa_handler = gone, .sa_flags = SA_NODEFER };
	pthread_t t;

	if (interval < 0)
		return;
	sigaction(SIGSEGV, &a, NULL);
	sigaction(SIGBUS, &a, NULL);
	if (pthread_create(&t, NULL, write_on, place)) {
		perror("pthread_create");
		exit(1);
	}
	while (__atomic_load_n(&written, __ATOMIC_RELAXED) < 100)
		usleep(1000);
}

/* ---- gcheap */

static void compaction(size_t bytes)
{
	struct gcheap_stats was, s;

	keep = typed ? 2 : 16;
	bench_init();
	gcheap_tune(NULL, GCHEAP_TUNE_COMPACT, 0);
	gcheap_hold();
	fill(bytes);
	thin_out(bytes);
	gcheap_thread_flush();
	gcheap_collect();
	writer_start(in_object);
	was = bench_stats();
	begin();
	gcheap_compact();
	s = bench_stats();
	end(typed ? (s.moved_objects - was.moved_objects) * ((double)live / entries) / PAGE :
	    s.pages_meshed - was.pages_meshed);
}

static void resize(size_t bytes)
{
	void *volatile next;

	bench_init();
	gcheap_hold();
	from = bench_must(gcheap_alloc_noscan(bytes));
	next = bench_must(gcheap_alloc_noscan(bytes));	/* there is no room after the first */
	memset(from, 1, bytes);
	pages = bytes / PAGE;
	writer_start(on_page);
	begin();
	to = bench_must(gcheap_realloc(from, bytes + ALIGN));
	__atomic_store_n(&moved, pages, __ATOMIC_RELEASE);
	end(bench_stats().pages_remapped);
	(void)next;
}

/* ---- Linux */

static int uffd = -1;

static void *area(size_t bytes)
{
	char *p = heap_map(bytes + ALIGN, PROT_READ | PROT_WRITE);

	p += -(uintptr_t)p % ALIGN;
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

/* Where the pages go is filled by us: whether the kernel can do that. */
static bool uffd_open(uint64_t features, size_t bytes)
{
	struct uffdio_api a = { .api = UFFD_API, .features = features };
	struct uffdio_register r = {
		.range = { .start = (uintptr_t)to, .len = bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	return uffd >= 0 && !ioctl(uffd, UFFDIO_API, &a) && !ioctl(uffd, UFFDIO_REGISTER, &r);
}

static bool uffd_call(unsigned long request, char *d, char *s, size_t bytes)
{
	struct uffdio_copy c;

	for (; bytes; d += c.copy, s += c.copy, bytes -= c.copy) {
		c = (struct uffdio_copy){ .dst = (uintptr_t)d, .src = (uintptr_t)s, .len = bytes };
		if (ioctl(uffd, request, &c) && errno != EAGAIN)
			return false;
		if (c.copy < 0)
			c.copy = 0;
	}
	return true;
}

static bool by_mremap(char *d, char *s, size_t bytes)
{
	return mremap(s, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, d) == d;
}

static bool by_copy(char *d, char *s, size_t bytes)
{
	return uffd_call(UFFDIO_COPY, d, s, bytes) && !madvise(s, bytes, MADV_DONTNEED);
}

static bool by_move(char *d, char *s, size_t bytes)
{
	return uffd_call(UFFDIO_MOVE, d, s, bytes);
}

static void calls_of(bool (*call)(char *d, char *s, size_t bytes), size_t bytes, size_t n)
{
	from = area(bytes);
	to = area(bytes);
	if (call != by_mremap && !uffd_open(call == by_move ? UFFD_FEATURE_MOVE : 0, bytes))
		return;
	memset(from, 1, bytes);
	pages = bytes / PAGE;
	writer_start(on_page);
	begin();
	for (size_t i = 0; i < pages; i += n) {
		if (!call(to + i * PAGE, from + i * PAGE, n * PAGE)) {
			perror("call");
			exit(1);
		}
		__atomic_store_n(&moved, i + n, __ATOMIC_RELEASE);
	}
	end(pages);
}

int main(int argc, char **argv)
{
	size_t bytes = (argc > 2 ? atol(argv[2]) : 64) << 20;
	size_t n = 1 << (argc > 3 ? atoi(argv[3]) : 0);
	const char *method = argc > 1 ? argv[1] : "";

	if (argc > 4)
		interval = atol(argv[4]);
	counters_open();
	typed = !strcmp(method, "evacuate");
	if (typed || !strcmp(method, "mesh"))
		compaction(bytes);
	else if (!strcmp(method, "resize"))
		resize(bytes);
	else if (!strcmp(method, "mremap"))
		calls_of(by_mremap, bytes, n);
	else if (!strcmp(method, "copy"))
		calls_of(by_copy, bytes, n);
	else if (!strcmp(method, "move"))
		calls_of(by_move, bytes, n);
	else
		return fprintf(stderr, "no such method: %s\n", method), 2;
	return 0;
}
