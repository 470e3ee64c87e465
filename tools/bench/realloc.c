// SPDX-License-Identifier: GPL-2.0-only
/*
 * A large object gets twice its size:
 *
 *   realloc MIB free|hemmed [mmap]	hemmed: with something behind it
 *					mmap: an anonymous mapping instead, and mremap()
 *
 * All of it has been written to. Lines of "name value": whether there is something behind it,
 * bytes copied, pages that have another address, ns and page faults of the call, and of it
 * with a write to each page of the new object.
 */
#include <sys/resource.h>

#include "heap.h"

enum { PAGE = 4096, TRIES = 64, BEHIND = 1 << 20 };

static bool mapped, hemmed;
static void *behind[TRIES];

/* A mapping that is hemmed in is followed by one with other rights. */
static char *make(size_t bytes)
{
	char *p;

	if (!mapped)
		return bench_must(bench_alloc(bytes));
	p = heap_map(2 * bytes, PROT_NONE);
	if (!hemmed)
		munmap(p + bytes, bytes);
	if (mprotect(p, bytes, PROT_READ | PROT_WRITE)) {
		perror("mprotect");
		exit(1);
	}
	return p;
}

/* Return: whether something lies where @p, of so many bytes, would grow to. */
static bool hem_in(char *p, size_t bytes)
{
	for (int i = 0; i < TRIES && !mapped; i++) {
		uintptr_t at = (uintptr_t)(behind[i] = make(BEHIND)) - (uintptr_t)p;

		if (at >= bytes && at < 2 * bytes)
			return true;
	}
	return mapped;
}

static char *grow(char *p, size_t bytes)
{
	if (mapped) {
		p = mremap(p, bytes, 2 * bytes, MREMAP_MAYMOVE);
		return bench_must(p == MAP_FAILED ? NULL : p);
	}
#ifdef BENCH_LIBGC
	return bench_must(GC_realloc(p, 2 * bytes));
#else
	return bench_must(gcheap_realloc(p, 2 * bytes));
#endif
}

static void touch(char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += PAGE)
		((volatile char *)p)[i] = 1;
}

static long faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

/* What became of an object that may have another address now. */
static void report(bool moved, size_t bytes)
{
#ifdef BENCH_LIBGC
	bool copied = moved && !mapped;
	size_t pages = moved && mapped ? bytes / PAGE : 0;
#else
	bool copied = !mapped && !bench_stats().resized;
	size_t pages = mapped ? moved * (bytes / PAGE) : bench_stats().pages_remapped;
#endif

	printf("copied %zu\npages %zu\n", copied ? bytes : 0, pages);
}

int main(int argc, char **argv)
{
	size_t bytes = (argc > 1 ? atol(argv[1]) : 64) << 20;
	long before, called;
	uint64_t begun, call;
	char *p, *q;

	hemmed = argc > 2 && !strcmp(argv[2], "hemmed");
	mapped = argc > 3;
	bench_init();
	bench_no_collections();
	p = make(bytes);
	touch(p, bytes);
	printf("hemmed %d\n", hemmed && hem_in(p, bytes));
	before = faults();
	begun = bench_now();
	q = grow(p, bytes);
	call = bench_now() - begun;
	called = faults();
	touch(q, 2 * bytes);
	printf("total %" PRIu64 "\nfaults %ld\ncall %" PRIu64 "\ncall_faults %ld\n",
	       bench_now() - begun, faults() - before, call, called - before);
	report(q != p, bytes);
	return 0;
}
