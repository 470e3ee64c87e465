// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE

/*
 * Real threads on the core, for TSan: each allocates by cursor without the lock,
 * reading live bits and writing its cursor and ring while a collector commits,
 * clears, sweeps and drains. The world is stopped by a read-write lock, and in every
 * other cycle several mark. Each thread has lists of its own, whose cells refer to other
 * threads' as well, and checks that they are whole; what leads from one cell to the next
 * lies in a wide span. SECONDS to go on; SEED (0) of what they do, though not of when.
 */
#include "../core/sim.h"

#include <time.h>
#include <unistd.h>

#define NTHREADS	4
#define NHELPERS	3
#define NLISTS		8

/* The two caches. */
enum { CELL, LINK, NCACHES };

static const u32 cell_bytes[NCACHES] = { 64, 16 };

static struct sim *s;
/* A collector that waits goes first, or readers never let it in. */
static pthread_rwlock_t world =
	PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static bool stop;
static u64 cycles;

struct batch {
	u32 n, span[GCHEAP_BATCH];
};

struct worker {
	pthread_t thread;
	struct gct_random r;
	u32 number;
	struct batch batch[NCACHES];
	u64 roots[NLISTS];	/* read by the collector, world stopped */
	u32 length[NLISTS];
	u64 last;
	u64 allocs;
};

static struct worker workers[NTHREADS];
static pthread_t helpers[NHELPERS];
static pthread_barrier_t together;	/* helpers and collector: begins and ends */
static bool marked;

/*
 * The program's loads and stores of shared words, as the library's. The address of
 * a slot's metadata does not change while the thread owns it.
 */
static u64 allocate_fast(struct worker *w, u32 cache)
{
	u64 *pos = sim_pos(s, w->number, cache), at = READ_ONCE(*pos), addr;
	u32 k = at >> 32, cell = (u32)at, n = GCHEAP_SLOT_SIZE / cell_bytes[cache];
	const struct batch *b = &w->batch[cache];

	for (; k < b->n; k++, cell = 0) {
		const u64 *live = gch_live(&s->h, b->span[k]);

		while (cell < n && env_load_acquire(&live[cell / 64]) &
		       (1ull << (cell % 64)))
			cell++;
		if (cell == n)
			continue;
		addr = gch_slot_addr(&s->h, b->span[k]) + cell * cell_bytes[cache];
		WRITE_ONCE(*pos, (u64)k << 32 | (cell + 1));
		return addr;
	}
	return 0;
}

/* The program's view of heap memory, which the kernel maps before it is used. */
static u64 *word(u64 addr)
{
	return gch_heap_word(&s->h, addr - s->h.base);
}

static void back(const struct batch *b)
{
	u32 i, p;

	for (i = 0; i < b->n; i++) {
		for (p = 0; p < GCH_SLOT_PAGES; p++) {
			u32 *frame = &gch_slot(&s->h, b->span[i])->frame[p];

			if (*frame)
				continue;
			WRITE_ONCE(*frame, gct_frame_alloc());
			s->h.n.resident_pages++;
		}
	}
}

static u64 allocate(struct worker *w, u32 cache)
{
	struct batch *b = &w->batch[cache];
	u64 addr = allocate_fast(w, cache);
	u32 i;

	if (!addr) {
		env_lock(&s->h.lock);
		gch_free_drain(&s->h, w->number);
		gch_thread_spans(&s->h, w->number, cache, 1 + gct_rand(&w->r, 8), &b->n,
				 b->span);
		back(b);
		env_unlock(&s->h.lock);
		addr = allocate_fast(w, cache);
	}
	if (!addr)
		return 0;	/* the collector does not keep up */
	for (i = 0; i < cell_bytes[cache] / 8; i++)
		*word(addr + 8 * i) = 0;
	w->allocs++;
	return addr;
}

static void push_free(struct worker *w, u64 addr)
{
	struct gcheap_tcb *t = s->tcb[w->number];

	if (t->free_head - env_load_acquire(&t->free_tail) == GCHEAP_RING)
		return;
	WRITE_ONCE(t->free_ring[t->free_head % GCHEAP_RING], addr);
	env_store_release(&t->free_head, t->free_head + 1);
}

/* Each cell: a link to the next, the list's owner and the number of those behind it. */
static void check(struct worker *w, u32 i)
{
	u32 n = w->length[i];
	u64 a;

	for (a = w->roots[i]; a; a = *word(*word(a))) {
		CHECK_EQ(*word(a + 8), w->number);
		CHECK_EQ(*word(a + 16), --n);
		CHECK_EQ(*word(*word(a) + 8), n);
	}
	CHECK_EQ(n, 0);
}

static void step(struct worker *w)
{
	u32 i = gct_rand(&w->r, NLISTS);
	u64 a, link;

	if (w->length[i] > 2000 || !gct_rand(&w->r, 500)) {
		check(w, i);
		w->roots[i] = 0;
		w->length[i] = 0;
	} else if (w->length[i] && !gct_rand(&w->r, 8)) {
		a = w->roots[i];
		link = *word(a);
		w->roots[i] = *word(link);
		w->length[i]--;
		push_free(w, a);
		push_free(w, link);
	} else {
		a = allocate(w, CELL);
		link = allocate(w, LINK);
		if (!a || !link)
			return;
		*word(link) = w->roots[i];
		*word(link + 8) = w->length[i];
		*word(a + 8) = w->number;
		*word(a + 16) = w->length[i]++;
		/* Read by nobody but the markers: it may be gone. */
		if (!gct_rand(&w->r, 4000))
			*word(a + 24) = READ_ONCE(workers[gct_rand(&w->r, NTHREADS)].last);
		WRITE_ONCE(w->last, a);
		*word(a) = link;
		w->roots[i] = a;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	u32 i;

	while (!READ_ONCE(stop)) {
		pthread_rwlock_rdlock(&world);
		for (i = 0; i < 50; i++)
			step(w);
		pthread_rwlock_unlock(&world);
	}
	for (i = 0; i < NLISTS; i++)
		check(w, i);
	return NULL;
}

static void *help(void *arg)
{
	u32 number = (uintptr_t)arg;

	for (;;) {
		pthread_barrier_wait(&together);
		if (READ_ONCE(stop))
			return NULL;
		while (!READ_ONCE(marked))
			if (!gch_mark_help(&s->h, number, 1 + number))
				sched_yield();
		pthread_barrier_wait(&together);
	}
}

static void mark_together(void)
{
	gch_queue_share(&s->h);
	WRITE_ONCE(marked, false);
	pthread_barrier_wait(&together);
	do
		gch_mark_drain(&s->h, 2);
	while (!gch_queue_over(&s->h) || s->h.worker->ahead.n);
	WRITE_ONCE(marked, true);
	pthread_barrier_wait(&together);
	gch_queue_unshare(&s->h);
}

/* Drop the lock for a moment, as the collector does in long work. */
static void breathe(void)
{
	env_unlock(&s->h.lock);
	usleep(10);
	env_lock(&s->h.lock);
}

static void collect(void)
{
	u32 at = 0, i;

	env_lock(&s->h.lock);
	for (i = 0; i < NTHREADS; i++)
		gch_free_drain(&s->h, i);
	gch_cycle_clear(&s->h);
	while (gch_mark_clear(&s->h, &at, 64))
		breathe();
	env_unlock(&s->h.lock);
	pthread_rwlock_wrlock(&world);
	env_lock(&s->h.lock);
	gch_cycle_stop(&s->h);
	gch_cycle_mark(&s->h);
	for (i = 0; i < NTHREADS; i++)
		gch_mark_precise(&s->h, workers[i].roots, NLISTS);
	if (cycles % 2)
		mark_together();
	while (gch_mark_some(&s->h, 10))
		CHECK(!(cycles % 2));
	if (cycles % 8 == 5) {
		gch_cycle_abandon(&s->h);
		env_unlock(&s->h.lock);
		pthread_rwlock_unlock(&world);
		return;
	}
	gch_cycle_finish(&s->h);
	sim_verify(s);
	sim_finalize(s);
	gch_cycle_sweep(&s->h);
	env_unlock(&s->h.lock);
	pthread_rwlock_unlock(&world);
	env_lock(&s->h.lock);
	while (gch_sweep_some(&s->h, 8))
		breathe();
	gch_cycle_end(&s->h);
	sim_verify(s);
	sim_release(s, 4);
	env_unlock(&s->h.lock);
}

int main(void)
{
	const char *seconds = getenv("SECONDS"), *seed_text = getenv("SEED");
	u64 seed = seed_text ? strtoull(seed_text, NULL, 0) : 0;
	time_t end = time(NULL) + (seconds ? atoi(seconds) : 5);
	u64 allocs = 0;
	u32 i;

	s = sim_open(SIM_SIZE);
	for (i = 0; i < NCACHES; i++)
		sim_cache(s, GCHEAP_CONSERVATIVE, 0, cell_bytes[i]);
	for (i = 0; i < NTHREADS; i++)
		CHECK_EQ(gch_thread_attach(&s->h, &workers[i].number), 0);
	env_unlock(&s->h.lock);
	printf("TAP version 13\n# SEED=%llu\n", seed);
	for (i = 0; i < NTHREADS; i++) {
		gct_seed(&workers[i].r, seed + i);
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	pthread_barrier_init(&together, NULL, NHELPERS + 1);
	env_stressed = true;
	for (i = 0; i < NHELPERS; i++)
		pthread_create(&helpers[i], NULL, help, (void *)(uintptr_t)(i + 1));
	for (; time(NULL) < end; cycles++)
		collect();
	WRITE_ONCE(stop, true);
	pthread_barrier_wait(&together);
	for (i = 0; i < NHELPERS; i++)
		pthread_join(helpers[i], NULL);
	for (i = 0; i < NTHREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		allocs += workers[i].allocs;
	}
	env_lock(&s->h.lock);
	printf("# %llu cycles, %llu objects, %llu freed, %llu freed early, %llu bad, %llu bytes marked by helpers\n",
	       cycles, allocs, s->h.n.freed_objects, s->h.n.freed_early,
	       s->h.n.bad_frees, s->h.n.helped_bytes);
	CHECK(cycles && s->h.n.freed_objects && s->h.n.freed_early && s->h.n.helped_bytes);
	CHECK_EQ(s->h.n.bad_frees, 0);
	for (i = 0; i < NTHREADS; i++)
		gch_thread_detach(&s->h, i);
	sim_close(s);
	printf("ok 1 - threads on cursors, collector at work\n1..1\n");
	return 0;
}
