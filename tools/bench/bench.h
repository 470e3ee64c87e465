/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One source, two collectors: compiled with BENCH_LIBGC it runs on Debian's libgc,
 * else on libgcheap. Results are lines of "name value".
 *
 * Instructions are counted by a machine whose clock counts them (tools/vm/run
 * --icount: a nanosecond each): CLOCK_MONOTONIC less the time the one processor was
 * idle. That includes all the kernel did, collecting for instance.
 */
#ifndef BENCH_H
#define BENCH_H

#ifdef BENCH_LIBGC
#define GC_THREADS
#include <gc.h>
#else
#include <gcheap.h>
#endif
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Nanoseconds all processors were idle, to a tick (10 ms). */
static inline uint64_t bench_idle(void)
{
	unsigned long long user, nice, system, idle, iowait;
	FILE *f = fopen("/proc/stat", "r");
	int n;

	if (!f)
		return 0;
	n = fscanf(f, "cpu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait);
	fclose(f);
	return n == 5 ? (idle + iowait) * (1000000000ull / sysconf(_SC_CLK_TCK)) : 0;
}

static uint64_t bench_begun, bench_begun_idle;

static inline void bench_begin(void)
{
	bench_begun_idle = bench_idle();
	bench_begun = bench_now();
}

static inline uint64_t bench_end(void)
{
	uint64_t t = bench_now() - bench_begun;

	return t - (bench_idle() - bench_begun_idle);
}

static inline long bench_number(const char *name, long otherwise)
{
	const char *e = getenv(name);

	return e && *e ? atol(e) : otherwise;
}

#ifdef BENCH_LIBGC
static inline void bench_init(void)
{
	GC_INIT();
	GC_allow_register_threads();
}

static inline void *bench_alloc(size_t n)
{
	return GC_malloc(n);
}

static inline void bench_collect(void)
{
	GC_gcollect();
}

static inline uint64_t bench_heap(void)
{
	return GC_get_heap_size();
}

static inline uint64_t bench_peak(void)
{
	return GC_get_heap_size();	/* it does not shrink while in use */
}

static inline uint64_t bench_cycles(void)
{
	return GC_get_gc_no();
}

static inline void bench_no_collections(void)
{
	GC_disable();
}
#else
static inline struct gcheap_stats bench_stats(void)
{
	struct gcheap_stats s;

	memset(&s, 0, sizeof(s));
	gcheap_stats(&s);
	return s;
}

static inline void bench_init(void)
{
	int error = gcheap_init();

	if (error) {
		fprintf(stderr, "gcheap_init: %s\n", strerror(-error));
		exit(1);
	}
}

static inline void *bench_alloc(size_t n)
{
	return gcheap_alloc(n);
}

static inline void bench_collect(void)
{
	gcheap_collect();
}

static inline uint64_t bench_heap(void)
{
	return bench_stats().heap_bytes;
}

static inline uint64_t bench_peak(void)
{
	return bench_stats().heap_peak;
}

static inline uint64_t bench_cycles(void)
{
	return bench_stats().cycles;
}

static inline void bench_no_collections(void)
{
	gcheap_hold();
}
#endif

static inline void *bench_must(void *p)
{
	if (!p) {
		perror("out of memory");
		exit(1);
	}
	return p;
}

#endif
