/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A heap without an mm: the core on frames of its own, threads that are only
 * cursors, and the library's side of the allocation protocol.
 */
#ifndef GCT_SIM_H
#define GCT_SIM_H

#include <gct_env.h>
#include "../../kmod/core/heap.h"

#define SIM_BASE	0x7e0000000000ull
#define SIM_SIZE	(64ull << 20)
#define SIM_PAGES	(SIM_SIZE >> GCH_PAGE_SHIFT)
#define SIM_THREADS	6
#define SIM_CACHES	24
#define SIM_ROOTS	16
#define SIM_OUTSIDE	0x10000ull	/* words of the program's that are not in the heap */
#define SIM_WORDS	64
/* Cases for failing each allocation in turn: KUnit gives one five minutes, however busy it is. */
#define FAIL_PARTS	4
#define FAIL_STEP	(FAIL_PARTS * (GCT_SCALE < 10 ? 5 : 1))

/** struct sim_place - a thread's spans of a cache; its cursor is in the TCB */
struct sim_place {
	u32 n;
	u32 span[GCHEAP_BATCH];
};

/**
 * struct sim - a simulated heap, its lock held from sim_open() to sim_close()
 * @h: the core; first member
 * @depth: of its lock, which is taken while that of the heap is held that it is a copy of
 * @slow: verify after every step
 * @scribbled: the program writes anywhere, so that no zero is promised
 * @want: spans asked for at a time
 * @ambiguous, @precise: words that are roots
 * @outside: words that are not in the heap; @away: they can not be written just now
 * @tracking: writes are noted in @written, a bit a page, for the marker to hear of
 * @check: check marking beside the program: @lost objects, the @lost_path of the first
 * @roots: called in each pause to mark from further roots
 * @ask: answers for an object, @asked of which have been asked about
 * @judge: called when marking with the program running has come to its end
 * @between: called between the collector's slices, with the program running
 */
struct sim {
	struct gch_heap h;
	struct gcheap_tcb *tcb[SIM_THREADS];
	struct sim_place place[SIM_THREADS][SIM_CACHES];
	u32 depth;
	bool slow;
	bool scribbled;
	u32 want;
	u64 meta_changes;
	u64 split;		/* pages that had shared a frame */
	u32 tries, fills;	/* sim_again() */
	u64 ambiguous[SIM_ROOTS], precise[SIM_ROOTS];
	u64 outside[SIM_WORDS];
	bool away;
	bool tracking;
	u64 written[SIM_PAGES / 64];
	bool check;
	u64 lost, lost_path[GCH_CHECK_STEPS];
	u32 lost_steps;
	void (*roots)(struct sim *s);
	void (*ask)(struct sim *s, u64 addr);
	u64 asked;
	void (*judge)(struct sim *s);
	void (*between)(struct sim *s);
	void *arg;
};

/** struct sim_maps - a typed layout of at most 64 words; see gcheap_cache_create */
struct sim_maps {
	u32 fixed, elem;
	u64 fixed_ptr, fixed_weak, elem_ptr, elem_weak;
	u32 length;
	u32 tag_bits;
};

struct sim *sim_open(u64 size);
struct sim *sim_with(u32 layout, u32 flags, u32 cell_size);
void sim_close(struct sim *s);
int sim_try_open(struct sim *s, u64 size);
void sim_try_close(struct sim *s);
int sim_cache(struct sim *s, u32 layout, u32 flags, u32 cell_size);
int sim_typed(struct sim *s, u32 flags, u32 cell_size, const struct sim_maps *maps);

bool sim_again(struct sim *s);
u64 sim_need(struct sim *s, u32 thread, u32 cache);
u32 sim_id(u64 addr);
u64 *sim_pos(struct sim *s, u32 thread, u32 cache);
u64 sim_alloc(struct sim *s, u32 thread, u32 cache);
void sim_push_free(struct sim *s, u32 thread, u64 addr);
u64 sim_large(struct sim *s, u32 thread, u32 cache, u64 bytes);
u64 sim_resize(struct sim *s, u32 thread, u64 addr, u64 bytes);
u64 sim_load(struct sim *s, u64 addr);
bool sim_store(struct sim *s, u64 addr, u64 value);
bool sim_cell(struct sim *s, u64 addr, struct gch_ref *r);
bool sim_allocated(struct sim *s, u64 addr);
bool sim_live(struct sim *s, u64 addr);
bool sim_last(struct sim *s, u64 addr);
bool sim_black(struct sim *s, u64 addr);
void sim_each(struct sim *s, void (*fn)(void *arg, u64 addr), void *arg);
u64 sim_count(struct sim *s);

void sim_verify(struct sim *s);
void sim_mark_phase(struct sim *s);
void sim_trace_begin(struct sim *s);
void sim_trace_round(struct sim *s);
void sim_trace_pause(struct sim *s);
void sim_trace_finish(struct sim *s);
void sim_finalize(struct sim *s);
void sim_sweep_begin(struct sim *s);
void sim_trace_phase(struct sim *s, u32 rounds);
void sim_sweep_phase(struct sim *s);
void sim_sweep_rest(struct sim *s);
void sim_cycle(struct sim *s);
void sim_release(struct sim *s, u32 keep);
u32 sim_evac_choose(struct sim *s, u32 room);
void sim_evac_free(struct sim *s);
int sim_copy(struct sim *to, struct sim *s);
u64 sim_mesh(struct sim *s, bool now);
u64 sim_vacate(struct sim *s, bool now);

/* xorshift64*: the same sequence in every home. */
struct gct_random {
	u64 state;
};

static inline u64 gct_rand64(struct gct_random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545F4914F6CDD1Dull;
}

/* A number below n, n not 0. */
static inline u32 gct_rand(struct gct_random *r, u32 n)
{
	return ((gct_rand64(r) >> 32) * n) >> 32;
}

static inline void gct_seed(struct gct_random *r, u64 seed)
{
	r->state = (seed + 1) * 0x9E3779B97F4A7C15ull;
}

#endif
