// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a busy thread sees of collections. It reads the clock all the time; a gap
 * during which its involuntary switch count stood still was not the scheduler's
 * doing. Another thread makes garbage beside a live set of LIVE (200000) objects.
 * It lasts until there have been COLLECTIONS (0), too, ten times as long at most.
 *
 *   stops SECONDS [none [OBJECTS]]	none: no collections, for comparison: less garbage, or
 *					OBJECTS as fast as it goes
 */
#include "bench.h"
#include <pthread.h>
#include <sys/resource.h>

enum { BUCKETS = 32, GAP = 20000 };	/* ns from where on it is a gap */

struct object {
	struct object *next;
	long rest[5];
};

static struct object *live;
static volatile int stop;
static uint64_t gaps[BUCKETS], longest, longest_switched, total, ngaps, objects, most, churned;

static long involuntary(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nivcsw;
}

static int bucket(uint64_t ns)
{
	int b = 0;

	while (ns >>= 1)
		b++;
	return b < BUCKETS ? b : BUCKETS - 1;
}

static void *spin(void *arg)
{
	uint64_t last = bench_now(), t, gap;
	long switches = involuntary(), now;
	unsigned int n = 0;

	while (!stop) {
		t = bench_now();
		gap = t - last;
		last = t;
		if (gap < GAP && ++n % 256)
			continue;
		now = involuntary();
		if (gap >= GAP && now != switches && gap > longest_switched)
			longest_switched = gap;
		if (gap >= GAP && now == switches) {
			gaps[bucket(gap)]++;
			ngaps++;
			total += gap;
			if (gap > longest)
				longest = gap;
		}
		switches = now;
		last = bench_now();
	}
	return NULL;
}

static void *churn(void *arg)
{
	struct object *mine = NULL;
	uint64_t t0 = bench_now();

	for (long i = 0; !stop && (!most || objects < most); i++) {
		struct object *o = bench_must(bench_alloc(sizeof(*o)));

		o->next = i % 100 ? mine : NULL;
		mine = o;
		if (arg && i % 64 == 0)
			usleep(200);
		objects++;
	}
	churned = bench_now() - t0;
	while (!stop && most)	/* as busy, if with nothing new */
		mine->next = mine;
	return mine;
}

/* @was: at the beginning, or NULL */
static void histogram(const char *name, const uint64_t *h, const uint64_t *was)
{
	printf("%s", name);
	for (int i = 0; i < BUCKETS; i++)
		printf(" %" PRIu64, h[i] - (was ? was[i] : 0));
	printf("\n");
}

/* Return: how long it took, in seconds. */
static double wait_for(int seconds, uint64_t cycles)
{
	uint64_t t0 = bench_now(), ns = seconds * 1000000000ull, t;

	do {
		usleep(100000);		/* libgc's signals interrupt it */
		t = bench_now() - t0;
	} while (t < ns || (t < 10 * ns && bench_cycles() < cycles));
	return t / 1e9;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 10, none = argc > 2;
	uint64_t cycles;
	pthread_t t[2];

	bench_init();
	for (long i = bench_number("LIVE", 200000); i; i--) {
		struct object *o = bench_must(bench_alloc(sizeof(*o)));

		o->next = live;
		live = o;
	}
	bench_collect();
	cycles = bench_cycles();
#ifndef BENCH_LIBGC
	struct gcheap_stats was = bench_stats();

#endif
	if (none)
		bench_no_collections();
	pthread_create(&t[0], NULL, spin, NULL);
	most = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
	/* Without collections: less garbage, or there is no memory for it. */
	pthread_create(&t[1], NULL, churn, none && !most ? t : NULL);
	printf("seconds %.1f\n", wait_for(seconds, none ? 0 :
					  cycles + bench_number("COLLECTIONS", 0)));
	stop = 1;
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	printf("rate %" PRIu64 "\n", objects * 1000000 / (churned / 1000 + 1));
	printf("objects %" PRIu64 "\ncycles %" PRIu64 "\npeak %" PRIu64 "\n", objects,
	       bench_cycles() - cycles, bench_peak());
	printf("longest %" PRIu64 "\nswitched %" PRIu64 "\ngaps %" PRIu64 "\ntotal %" PRIu64 "\n",
	       longest, longest_switched, ngaps, total);
	histogram("gap_hist", gaps, NULL);
#ifndef BENCH_LIBGC
	struct gcheap_stats s = bench_stats();

	printf("stop_max %" PRIu64 "\npause_max %" PRIu64 "\npause_sum %" PRIu64
	       "\nfaults %" PRIu64 "\nassist_sum %" PRIu64 "\n", s.stop_ns_max, s.pause_ns_max,
	       s.pause_ns_total - was.pause_ns_total, s.write_faults - was.write_faults,
	       s.assist_ns - was.assist_ns);
	histogram("stop_hist", s.stop_hist, was.stop_hist);
	histogram("pause_hist", s.pause_hist, was.pause_hist);
#endif
	return 0;
}
