// SPDX-License-Identifier: GPL-2.0-only
/*
 * Soak: random graphs mutated by four threads through cycles, asked for and automatic.
 * Every object carries a checksum; in every other heap registers and stacks are no roots
 * and live counts must be exact whenever the threads meet.
 *
 *   CONCURRENT=1  mark while the threads run, with each way to track writes in turn, and
 *		 each marking checked by another with the threads stopped; with every
 *		 other heap the collector's steps are delayed and its pauses cut short;
 *		 where registers and stacks are roots, most objects move
 *   COMPACT=1	 with CONCURRENT: in all heaps objects move, and it is compactions that count
 *   CYCLES=n    stop after so many cycles (default 1000)
 *   SEED=n      default: the time; printed
 *   STATE=file  go on from there, and keep it up to date
 *
 * Heaps are made one after the other, each from the seed and its number ("epoch")
 * alone, but the threads' interleaving is the machine's. SIGTERM ends it after the
 * epoch that runs.
 */
#include "raw.h"
#include <sys/stat.h>

enum {
	THREADS = 4,
	SLOTS = 64,		/* a thread's own roots, and as many shared */
	LOCALS = 8,
	REFS = 4,
	EPOCH_CYCLES = 250,
	ROUND_OPS = 1500,
};

/* Word 0: number, 1: checksum, 2: stamp of the last count, 3: kind and length. */
struct object {
	uint64_t id;
	uint64_t sum;
	uint64_t stamp;
	uint32_t kind;
	uint32_t words;
	struct object *ref[REFS];
	uint64_t rest[];
};

enum kind { CONSERVATIVE, TYPED, LEAF, WEAK, BIG, LARGE, PAIR, KINDS };

static struct {
	const char *name;
	uint32_t words, refs, weak, values;
} kinds[KINDS] = {
	[CONSERVATIVE] = { "conservative", 12, REFS, 0 },
	[TYPED] = { "typed", 10, REFS, 0 },
	[LEAF] = { "leaf", 8, 0, 0 },
	[WEAK] = { "weak", 8, 2, 2 },		/* two strong, two weak */
	[BIG] = { "big", 300, REFS, 0 },
	[LARGE] = { "large", 6000, REFS, 0 },
	[PAIR] = { "pair", 8, 2, 1, 1 },	/* two strong, and an ephemeron */
};

struct worker {
	pthread_t thread;
	struct object *slot[SLOTS];
	struct object *local[LOCALS];	/* what would be registers and stack */
	uint64_t seed;
	uint64_t ids;
};

static struct raw h;
static bool precise, movable, compacting;
static unsigned int cache[KINDS];
static struct worker workers[THREADS];
static struct object *shared[SLOTS];
static pthread_barrier_t barrier;
static uint64_t stamp, epoch_goal;
static uint64_t many = 20000;	/* objects alive, from where on the graph is cut down */
static volatile bool over;
static volatile sig_atomic_t interrupted;
static uint64_t objects_checked, counts_checked, marks_checked, young, helped, by_way[4];
static uint64_t compactions, flips, moved, pinned, meshed, resized;

static uint64_t mix(uint64_t x)
{
	return rnd(&x);
}

static uint64_t checksum(const struct object *o)
{
	return mix(o->id) ^ mix(o->kind) ^ o->words;
}

static void check(const struct object *o)
{
	if (o->kind >= KINDS || o->words != kinds[o->kind].words || o->sum != checksum(o))
		FAIL("object %p: id %#" PRIx64 " sum %#" PRIx64 " kind %u words %u",
		     (void *)o, o->id, o->sum, o->kind, o->words);
	for (uint32_t i = 8; i < o->words; i += o->words > 1000 ? 97 : 1)
		if (o->rest[i - 8] != mix(o->id + i))
			FAIL("object %p (%s), id %#" PRIx64 ": word %u is %#" PRIx64,
			     (void *)o, kinds[o->kind].name, o->id, i, o->rest[i - 8]);
	__atomic_fetch_add(&objects_checked, 1, __ATOMIC_RELAXED);
}

/*
 * Take a reference from a place that others write to, and keep it in a local. Where
 * locals are the only roots, the object may be gone before it is in there: look
 * again whether the place still has it (as with hazard pointers).
 */
static struct object *hold(struct worker *w, int local, struct object **place)
{
	struct object *o;

	do {
		o = __atomic_load_n(place, __ATOMIC_SEQ_CST);
		__atomic_store_n(&w->local[local], o, __ATOMIC_SEQ_CST);
	} while (__atomic_load_n(place, __ATOMIC_SEQ_CST) != o);
	return o;
}

static void put(struct object **place, struct object *o)
{
	__atomic_store_n(place, o, __ATOMIC_SEQ_CST);
}

/* It grows to its size; what it was is not. */
static struct object *create_large(uint32_t words)
{
	struct gcheap_resize a;
	uint64_t *o = raw_try_large(&h, cache[LARGE], words * 4);

	CHECK(o);
	o[words / 2 - 1] = 1;
	if (raw_try_resize(&h, o, words * 8, &a)) {
		CHECK_EQ(errno, EBUSY);
		return raw_try_large(&h, cache[LARGE], words * 8);
	}
	o = (uint64_t *)(uintptr_t)a.addr;
	if (o[words / 2 - 1] != 1)
		FAIL("word %u was 1 before %p grew", words / 2 - 1, (void *)o);
	o[words / 2 - 1] = 0;
	return (struct object *)o;
}

static struct object *create(struct worker *w, int local, enum kind kind)
{
	uint32_t words = kinds[kind].words;
	struct object *o;

	o = kind == LARGE ? create_large(words) : raw_take(&h, cache[kind]);
	CHECK(o);
	put(&w->local[local], o);
	for (uint32_t i = 0; i < words; i++)
		if (((uint64_t *)o)[i])
			FAIL("a new %s object is not zero: word %u is %#" PRIx64,
			     kinds[kind].name, i, ((uint64_t *)o)[i]);
	o->id = w->ids++;
	o->kind = kind;
	o->words = words;
	o->sum = checksum(o);
	for (uint32_t i = 8; i < words; i++)
		o->rest[i - 8] = mix(o->id + i);
	return o;
}

static struct object **any_slot(struct worker *w)
{
	return rnd(&w->seed) % 8 ? &w->slot[rnd(&w->seed) % SLOTS] :
	       &shared[rnd(&w->seed) % SLOTS];
}

/* From a slot some steps into the graph; in the end local 0 or 1 holds it. */
static struct object *walk(struct worker *w, int steps)
{
	struct object *o = hold(w, 0, any_slot(w)), *next;
	int side = 0;

	while (o && steps--) {
		check(o);
		if (!kinds[o->kind].refs)
			break;
		next = hold(w, !side, &o->ref[rnd(&w->seed) % kinds[o->kind].refs]);
		if (!next)
			break;
		side = !side;
		o = next;
	}
	if (o)
		check(o);
	/* The caller uses the other local. */
	if (side)
		put(&w->local[0], o);
	return o;
}

static struct object **key_of(struct object *o)
{
	return &o->ref[kinds[o->kind].refs];
}

static struct object *value_of(struct object *o)
{
	return o->ref[kinds[o->kind].refs + 1];
}

static void link_new(struct worker *w)
{
	static const uint8_t odds[16] = {
		CONSERVATIVE, CONSERVATIVE, CONSERVATIVE, TYPED, TYPED, TYPED, TYPED,
		LEAF, LEAF, LEAF, LEAF, WEAK, WEAK, PAIR, BIG, PAIR,
	};
	enum kind kind = odds[rnd(&w->seed) % 16];
	struct object *o, *to;

	if (compacting && kind == CONSERVATIVE && rnd(&w->seed) % 64)
		kind = TYPED;
	if (rnd(&w->seed) % 400 == 0)
		kind = LARGE;
	o = create(w, 2, kind);
	for (uint32_t i = 0; i < kinds[kind].refs + kinds[kind].weak + kinds[kind].values; i++)
		if (rnd(&w->seed) % 3) {
			to = hold(w, 3, any_slot(w));
			put(&o->ref[i], to);
		}
	/* A value without a key would be kept. */
	if (kinds[kind].values && !*key_of(o))
		put(key_of(o) + 1, NULL);
	if (rnd(&w->seed) % 2) {
		put(any_slot(w), o);
	} else {
		to = walk(w, rnd(&w->seed) % 6);
		if (to && kinds[to->kind].refs)
			put(&to->ref[rnd(&w->seed) % kinds[to->kind].refs], o);
	}
}

static void relink(struct worker *w)
{
	struct object *o, *to;

	to = hold(w, 4, any_slot(w));
	o = walk(w, rnd(&w->seed) % 12);
	if (o && kinds[o->kind].refs)
		put(&o->ref[rnd(&w->seed) % kinds[o->kind].refs],
		    rnd(&w->seed) % 3 ? to : NULL);
}

static void swap(struct worker *w)
{
	struct object **a = any_slot(w), **b = any_slot(w), *o;

	o = hold(w, 5, a);
	hold(w, 6, b);
	put(b, o);
	put(a, w->local[6]);
}

static void free_early(struct worker *w)
{
	struct object *o = create(w, 2, rnd(&w->seed) % 8 ? LEAF : TYPED);

	/* Nobody has seen it. */
	put(&w->local[2], NULL);
	raw_free(&h, o);
}

static void one(struct worker *w)
{
	uint64_t r = rnd(&w->seed) % 1000;

	if (r < 500)
		link_new(w);
	else if (r < 700)
		relink(w);
	else if (r < 800)
		swap(w);
	else if (r < 930)	/* much has to be there if much is to move */
		put(any_slot(w), compacting && r >= 805 ? w->local[2] : NULL);
	else if (r < 990)
		free_early(w);
	else if (r < 993)
		raw_collect_as(&h, movable && r == 990 ? GCHEAP_COLLECT_COMPACT : 0);
	else if (r < 996)
		raw_collect_start(&h, r == 995 ? GCHEAP_COLLECT_COMPACT : GCHEAP_COLLECT_YOUNG);
	else if (r < 997)
		raw_flush(&h);
	else
		walk(w, 200);
}

struct list {
	struct object **at;
	size_t n, room;
};

static void push(struct list *l, struct object *o)
{
	if (l->n == l->room) {
		l->room = l->room ? 2 * l->room : 1 << 16;
		l->at = realloc(l->at, l->room * sizeof(*l->at));
	}
	l->at[l->n++] = o;
}

static struct list todo, pairs;

static void visit(struct object *o)
{
	if (!o || o->stamp == stamp)
		return;
	o->stamp = stamp;
	push(&todo, o);
}

static uint64_t count_found(void)
{
	uint64_t count = 0;
	struct object *o;

	while (todo.n) {
		o = todo.at[--todo.n];
		count++;
		check(o);
		for (uint32_t k = 0; k < kinds[o->kind].refs; k++)
			visit(o->ref[k]);
		if (kinds[o->kind].values)
			push(&pairs, o);
	}
	return count;
}

/* Reached from a list of places, each counted once; values once their keys are reached. */
static uint64_t count_from(struct object **places, int n)
{
	uint64_t count, more;

	pairs.n = 0;
	for (int i = 0; i < n; i++)
		visit(places[i]);
	count = count_found();
	do {
		for (size_t i = 0; i < pairs.n; i++)
			if (*key_of(pairs.at[i]) && (*key_of(pairs.at[i]))->stamp == stamp)
				visit(value_of(pairs.at[i]));
		more = count_found();
		count += more;
	} while (more);
	return count;
}

static void check_weak_fields(struct object *o)
{
	for (uint32_t k = 0; k < kinds[o->kind].weak; k++) {
		struct object *to = key_of(o)[k];

		if (!to)
			continue;
		if (precise && to->stamp != stamp && to->stamp != stamp - 1)
			FAIL("a weak field of %#" PRIx64 " was not cleared", o->id);
		check(to);
	}
	if (kinds[o->kind].values && !*key_of(o) && value_of(o))
		FAIL("%#" PRIx64 " has lost its key and not its value", o->id);
}

/* Weak fields mean something alive, or nothing. What is reached has the last stamp. */
static void check_weak(struct object **places, int n)
{
	struct object *o;

	stamp++;
	for (int i = 0; i < n; i++)
		visit(places[i]);
	while (todo.n) {
		o = todo.at[--todo.n];
		check_weak_fields(o);
		for (uint32_t k = 0; k < kinds[o->kind].refs; k++)
			visit(o->ref[k]);
		if (kinds[o->kind].values && *key_of(o))
			visit(value_of(o));
	}
}

static void cut_down(uint64_t count)
{
	static int turn;

	memset(shared, 0, sizeof(shared));
	for (int i = 0; i < THREADS; i++)
		if (count > 2 * many || i != turn % THREADS)
			memset(workers[i].slot, 0, sizeof(workers[i].slot));
	turn++;
}

static uint64_t progress(const struct gcheap_status *s)
{
	return compacting ? s->compactions : s->cycles;
}

/* All threads are at the barrier, nothing owned, all locals clear. */
static void count_all(void)
{
	struct object *places[THREADS * SLOTS + SLOTS];
	struct gcheap_status s;
	uint64_t count;
	int n = 0;

	for (int i = 0; i < THREADS; i++, n += SLOTS)
		memcpy(places + n, workers[i].slot, sizeof(workers[i].slot));
	memcpy(places + n, shared, sizeof(shared));
	n += SLOTS;
	/* What the lists below refer to must not move. */
	raw_hold(&h);
	raw_collect(&h);
	s = raw_status(&h);
	stamp++;
	count = count_from(places, n);
	if (precise && (s.marked_objects != count || s.live_objects != count))
		FAIL("%" PRIu64 " objects are reachable, %llu were marked, %llu are live",
		     count, (unsigned long long)s.marked_objects,
		     (unsigned long long)s.live_objects);
	if (s.marked_objects < count)
		FAIL("%" PRIu64 " objects are reachable, only %llu were marked", count,
		     (unsigned long long)s.marked_objects);
	check_weak(places, n);
	raw_verify(&h);
	raw_unhold(&h);
	counts_checked++;
	if (count > many)
		cut_down(count);
	s = raw_status(&h);
	over = progress(&s) >= epoch_goal;
}

static NOINLINE void mutate(struct worker *w)
{
	for (int i = 0; i < ROUND_OPS; i++)
		one(w);
	memset(w->local, 0, sizeof(w->local));
}

static void *work(void *arg)
{
	struct worker *w = arg;

	raw_attach(&h);
	while (!over) {
		mutate(w);
		raw_flush(&h);
		wipe_stack();
		pthread_barrier_wait(&barrier);
		if (w == workers)
			count_all();
		pthread_barrier_wait(&barrier);
	}
	raw_detach(&h);
	return NULL;
}

static void make_caches(void)
{
	uint64_t strong[KINDS] = { [TYPED] = 0xf0, [WEAK] = 0x30, [BIG] = 0xf0 };
	uint64_t weak[KINDS] = { [WEAK] = 0xc0 };
	unsigned int flags = movable ? GCHEAP_CACHE_MOVABLE : 0;

	for (int k = 0; k < KINDS; k++) {
		if (k == LARGE)
			cache[k] = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
		else if (k == LEAF)
			cache[k] = raw_cache_as(&h, flags, GCHEAP_NOSCAN, kinds[k].words * 8);
		else if (k == PAIR)
			cache[k] = raw_pairs(&h, flags, kinds[k].words, 6, 0x30);
		else if (strong[k] && k != BIG)
			cache[k] = raw_typed_as(&h, flags, kinds[k].words, strong[k], weak[k]);
		else
			cache[k] = raw_cache(&h, GCHEAP_CONSERVATIVE, kinds[k].words * 8);
	}
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *e = getenv(name);

	return e && *e ? strtoull(e, NULL, 0) : otherwise;
}

/* One heap; returns its cycles, or compactions. */
static uint64_t epoch(uint64_t seed, uint64_t nr, uint64_t cycles)
{
	struct gcheap_setup s = raw_setup_arg(0);
	struct gcheap_status st;
	bool concurrent = number("CONCURRENT", 0);
	unsigned int way = concurrent ? 1 + nr / 2 % 3 : 0, slots;

	precise = !compacting && !(nr & 1);
	movable = concurrent && !precise;
	slots = precise || movable ? GCHEAP_ROOT_PRECISE : 0;
	s.flags = precise ? GCHEAP_SETUP_PRECISE_ONLY : 0;
	s.heap_size = 256 << 20;
	memset(workers, 0, sizeof(workers));
	memset(shared, 0, sizeof(shared));
	memset(raw_batches, 0, sizeof(raw_batches));
	h = raw_open_with(s);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, concurrent);
	raw_param(&h, GCHEAP_PARAM_WORKERS, 1 + nr % 4);
	if (concurrent) {
		raw_param(&h, GCHEAP_PARAM_TRACK, way);
		raw_param(&h, GCHEAP_PARAM_CHECK, 1);
		/* Collections that nobody asks for, and young ones. */
		raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 1 << 16);
		raw_param(&h, GCHEAP_PARAM_YOUNG, 2);
		/* By itself as well, as often as it may. */
		raw_param(&h, GCHEAP_PARAM_COMPACT, compacting);
		/* Half of the heaps, with each way to track. */
		raw_stress(nr / 6 % 2 ? 200 : 0);
	}
	make_caches();
	raw_root(&h, slots, shared, sizeof(shared), NULL);
	for (int i = 0; i < THREADS; i++) {
		raw_root(&h, slots, workers[i].slot, sizeof(workers[i].slot), NULL);
		raw_root(&h, 0, workers[i].local, sizeof(workers[i].local), NULL);
		workers[i].seed = mix(seed ^ mix(nr * THREADS + i));
		workers[i].ids = (uint64_t)(i + 1) << 48;
	}
	over = false;
	epoch_goal = cycles;
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		workers[i].thread = spawn(work, &workers[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&barrier);
	st = raw_status(&h);
	compactions += st.compactions;
	CHECK_EQ(st.check_lost, 0);
	CHECK(!concurrent || st.checks >= st.cycles);
	marks_checked += st.checks;
	young += st.cycles_young;
	by_way[way] += st.cycles;
	helped += st.helped_bytes;
	flips += st.flips;
	moved += st.moved_objects;
	pinned += st.spans_pinned;
	meshed += st.pages_meshed;
	resized += st.resized;
	munmap(h.base, h.setup.heap_size);
	munmap(h.meta, h.setup.meta_size);
	munmap((void *)h.status, GCHEAP_STATUS_SIZE);
	munmap(h.tcbs, h.setup.tcb_size);
	close(h.fd);
	return progress(&st);
}

static void save(const char *file, uint64_t seed, uint64_t next, uint64_t cycles)
{
	char temporary[4096];
	FILE *f;

	if (!file)
		return;
	snprintf(temporary, sizeof(temporary), "%s.new", file);
	f = fopen(temporary, "w");
	if (!f) {
		perror(temporary);
		_exit(1);
	}
	fprintf(f, "seed %" PRIu64 " epoch %" PRIu64 " cycles %" PRIu64 "\n", seed, next, cycles);
	fclose(f);
	rename(temporary, file);
}

/*
 * Few to a span, so that there are spans that no local pins, cut down more often, and with few
 * references where they are ambiguous.
 */
static void make_sparse(void)
{
	kinds[BIG].refs = 0;
	kinds[LARGE].refs = 1;
	kinds[TYPED].words = 62;
	kinds[LEAF].words = 100;
	kinds[WEAK].words = 40;
	kinds[PAIR].words = 34;
	many = 4000;
}

static void on_term(int sig)
{
	interrupted = 1;
}

int main(void)
{
	const char *file = getenv("STATE");
	uint64_t goal = number("CYCLES", 1000), seed = number("SEED", time(NULL));
	uint64_t next = 0, cycles = 0, begin = now_ns(), last = begin;
	FILE *f = file && *file ? fopen(file, "r") : NULL;

	if (file && !*file)
		file = NULL;
	if (f) {
		if (fscanf(f, "seed %" SCNu64 " epoch %" SCNu64 " cycles %" SCNu64, &seed,
			   &next, &cycles) == 3)
			printf("# going on after %" PRIu64 " cycles\n", cycles);
		fclose(f);
	}
	compacting = number("COMPACT", 0);
	if (compacting)
		make_sparse();
	signal(SIGTERM, on_term);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..1\n# SEED=%" PRIu64 " CYCLES=%" PRIu64 "\n", seed, goal);
	save(file, seed, next, cycles);
	while (cycles < goal && !interrupted) {
		uint64_t want = goal - cycles < EPOCH_CYCLES ? goal - cycles : EPOCH_CYCLES;

		cycles += epoch(seed, next, want);
		save(file, seed, ++next, cycles);
		if (now_ns() - last > 10000000000ull) {
			last = now_ns();
			printf("# %" PRIu64 " of %" PRIu64 " done, %" PRIu64 " heaps, %" PRIu64
			       " counts exact or above, %" PRIu64 " M objects checked, %" PRIu64
			       " s\n", cycles, goal, next, counts_checked,
			       objects_checked / 1000000, (last - begin) / 1000000000);
		}
	}
	printf("# %" PRIu64 " done, %" PRIu64 " heaps, %" PRIu64 " counts, %" PRIu64
	       " markings checked, %" PRIu64 " young, %" PRIu64 " objects checked, %" PRIu64
	       " MiB marked by helpers, %" PRIu64 " s\n", cycles, next, counts_checked,
	       marks_checked, young, objects_checked, helped >> 20,
	       (now_ns() - begin) / 1000000000);
	printf("# %" PRIu64 " with threads stopped, %" PRIu64 " with dirty bits, %" PRIu64
	       " with protection, %" PRIu64 " with unmapping\n", by_way[0], by_way[1], by_way[2],
	       by_way[3]);
	printf("# %" PRIu64 " compactions: %" PRIu64 " objects moved in %" PRIu64 " pauses, %"
	       PRIu64 " spans pinned, %" PRIu64 " pages meshed; %" PRIu64 " large objects grew\n",
	       compactions, moved, flips, pinned, meshed, resized);
	printf("%sok 1 - soak\n", cycles >= goal ? "" : "not ");
	return cycles < goal;
}
