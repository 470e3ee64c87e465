// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a pause costs that ends a marking beside the program, by live heap size: the same
 * mutator, instructions (on a machine whose clock counts them), root words, pages.
 *
 *   pauses MIB CYCLES [SLEEPERS]
 */
#include "bench.h"
#include <dirent.h>
#include <pthread.h>

enum { FAN = 4096, WORK = 4000 };

struct node {
	struct node *next, *other;
	long rest[6];
};

static struct node **table;	/* an object: lists of nodes */

static struct node *node(struct node *next)
{
	struct node *n = bench_must(gcheap_alloc(sizeof(*n)));

	n->next = next;
	return n;
}

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed >> 33;
}

/* The same for every size: some stores all over the heap's lists, some garbage. */
static void mutate(void)
{
	for (int i = 0; i < WORK; i++) {
		struct node *n = table[rnd() % FAN], *m = table[rnd() % FAN];

		n->other = m->next;
		n->rest[0] = (long)node(m);
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t percentile(uint64_t *v, int n, int p)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[(n * p + 99) / 100 - 1];
}

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void make_sleepers(int n)
{
	pthread_attr_t a;
	pthread_t t;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 64 << 10);
	while (n--)
		if (pthread_create(&t, &a, sleeper, NULL)) {
			perror("pthread_create");
			exit(1);
		}
	pthread_attr_destroy(&a);
	sleep(2);
}

/* How often the other threads have gone to sleep. */
static long sleeps(void)
{
	char path[64], line[128];
	struct dirent *e;
	long sum = 0, n;
	DIR *d = opendir("/proc/self/task");

	while (d && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", e->d_name);
		f = e->d_name[0] == '.' || atol(e->d_name) == getpid() ? NULL : fopen(path, "r");
		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1)
				sum += n;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return sum;
}

int main(int argc, char **argv)
{
	long mib = argc > 1 ? atol(argv[1]) : 64, nodes = mib * (1 << 20) / sizeof(struct node);
	int cycles = argc > 2 ? atoi(argv[2]) : 20, n = 0;
	uint64_t *pause = calloc(cycles, sizeof(*pause)), *logged = calloc(cycles, sizeof(*logged));
	uint64_t *words = calloc(cycles, sizeof(*words));
	long slept;
	struct gcheap_stats was, s;

	bench_init();
	if (gcheap_tune(NULL, GCHEAP_TUNE_CONCURRENT, 1))
		return printf("no concurrent marking\n"), 1;
	table = bench_must(gcheap_alloc(FAN * sizeof(*table)));
	for (long i = 0; i < nodes; i++)
		table[i % FAN] = node(table[i % FAN]);
	make_sleepers(argc > 3 ? atoi(argv[3]) : 0);
	gcheap_collect();
	slept = sleeps();
	was = bench_stats();
	while (n < cycles) {
		gcheap_collect_start();
		do {
			mutate();
			s = bench_stats();
		} while (s.cycles == was.cycles);
		pause[n] = s.pause_ns_last;
		logged[n] = (s.pages_logged - was.pages_logged) / (s.pauses - was.pauses);
		words[n++] = s.root_words;
		was = s;
	}
	printf("live %" PRIu64 "\npauses %.1f\npause50 %" PRIu64 "\npause99 %" PRIu64 "\n"
	       "logged99 %" PRIu64 "\nwords99 %" PRIu64 "\npause_max %" PRIu64 "\n"
	       "stop_max %" PRIu64 "\nrounds %" PRIu64 "\nwoken %ld\n", s.live_bytes,
	       (double)s.pauses / s.cycles, percentile(pause, n, 50), percentile(pause, n, 99),
	       percentile(logged, n, 99), percentile(words, n, 99), s.pause_ns_max,
	       s.stop_ns_max, s.trace_rounds / s.cycles, sleeps() - slept);
	return 0;
}
