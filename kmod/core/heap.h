/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The heap's structure. Core, plain C: no mm, no user memory.
 *
 * Locking: every function that takes a struct gch_heap wants h->lock held,
 * except where it says otherwise. Structure (descriptors, lists, caches,
 * ownership) changes only under h->lock and only outside of the phases in
 * which the world is stopped (invariant I1, gch_phase_frozen()), or by the flip,
 * when marking is complete (flip.c); so marking reads it without the lock. Frames
 * of slots are added under h->lock at any time and removed only outside of the
 * frozen phases.
 */
#ifndef _GCH_CORE_HEAP_H
#define _GCH_CORE_HEAP_H

#include "layout.h"

#define GCH_LEAF_SHIFT	6	/* chunks in a leaf of the directory */
#define GCH_LEAF_CHUNKS	(1u << GCH_LEAF_SHIFT)

/**
 * struct gch_slot - kernel-only descriptor of a slot
 * @mark: the span's mark bits; of a wide one, the lower half
 * @elems: in the second slot of a large typed object: elements scanned in this
 *	cycle, whatever its length word says by now
 * @frame: page frames that back its two pages, 0: none
 * @qnext: mark queue: 0 not queued, else 1 + next span, GCH_QEND at its end;
 *	GCH_QBUSY while it is being scanned
 * @lnext, @lprev: list of its cache, 1 + id, 0: none; of spans whose cells move, and that
 *	are in no list: see struct gch_evac
 * @bytes: what the span's cells take, and GCH_SLOT_NOSCAN; 0: no span begins here, or that
 *	is too much
 * @recip: as in its descriptor
 * @commit: cells below are accounted in the live bits (R14). No thread owns the span:
 *	GCH_COMMITTED, all are; GCH_FULL, all are live, and to mark one there is no need to
 *	look at its bit; nor in a span that a thread was just given, whose commit point is 0, too
 * @owner: owned spans: number of the thread; large ones: of the one that made it
 * All but @frame, @elems and @bytes hold in a span's first slot only. It is a cache
 * line: with the live bits' one all that it takes to mark.
 */
struct gch_slot {
	union {
		u64 mark[GCH_MARK_WORDS];
		u64 elems;
	};
	u32 frame[GCH_SLOT_PAGES];
	u32 qnext;
	u32 lnext;
	u32 lprev;
	u32 bytes;
	u32 recip;
	u16 commit;
	u16 owner;
};

/* Those of a span that is not large are side by side. */
static_assert(GCH_KERN_SLOTS == GCH_BLOCK_SLOTS, "a block's slots share a page");

#define GCH_SLOT_NOSCAN	1u	/* as in the descriptor; cells are whole granules */
#define GCH_QEND	0xffffffffu
#define GCH_QBUSY	0xfffffffeu
#define GCH_COMMITTED	0xffffu
#define GCH_FULL	0u

/**
 * struct gch_chunk - 2 MiB of the heap
 * @slot, @live, @desc: metadata pages, made on demand, freed with it. GCH_MARK_WORDS from
 *	a span's live bits on are its scanned bits, unless it is wide.
 * @upper, @wide: likewise, upper half of wide spans' mark bits, and their scanned bits
 * @alias: a page of numbers, made on demand: of each page, 1 + the next of those that share
 *	its frame in a ring; 0: it is alone (mesh.c)
 * @used: slots that are in spans, a bit each
 * @nused: their number
 * @nasks: spans of caches that are GCHEAP_ASK
 * @weak: pages with weak words whose referents were not marked when they were looked at
 * @dirty: pages to be looked at again by the marker, a bit each
 * @stale: pages to be settled by the flip or after it, likewise (evacuate.c)
 * @logged: pages being written to, likewise; the platform's, under a lock of its own
 */
struct gch_chunk {
	struct gch_slot *slot[GCH_KERN_PAGES];
	u64 *live[GCH_LIVE_PAGES];
	struct gcheap_span *desc[GCH_DESC_PAGES];
	u64 *upper[GCH_UPPER_PAGES];
	u64 *wide[GCH_WIDE_PAGES];
	u32 *alias;
	u64 used[GCHEAP_CHUNK_SLOTS / 64];
	u64 weak[GCH_CHUNK_PAGES / 64];
	u64 dirty[GCH_CHUNK_PAGES / 64];
	u64 stale[GCH_CHUNK_PAGES / 64];
	u64 logged[GCH_CHUNK_PAGES / 64];
	u32 nused;
	u32 nasks;
};

/**
 * struct gch_map - pointer and weak words of a stretch of a typed cell
 * @words: its length; @ptr, @weak: bit maps, NULL if empty
 */
struct gch_map {
	u32 words;
	u64 *ptr;
	u64 *weak;
};

/**
 * struct gch_cache - where objects of one kind come from
 * @key: of an ephemeron's words, the one that holds the key
 * @partial: spans that have free cells and no owner, 1 + id; @meshed: those of them with
 *	GCHEAP_SPANF_MESHED, of which @split_at is the next one to split
 * @npartial: spans in both; @nspans: in all
 * @moving: live cells of those of its spans that are to move, @nmoves of them, the last of
 *	which is @last_move - 1; @into: index of the first target (evacuate.c)
 * @seen_partial, @seen_spans: as the verifier counts them
 */
struct gch_cache {
	bool used;
	u8 layout;
	u8 tag_bits;
	u32 flags;
	u32 cell_size;
	u32 recip;
	u32 slots;
	u32 ncells;
	u32 length_word;
	struct gch_map fixed;
	struct gch_map elem;
	u32 key;
	u32 partial;
	u32 meshed;
	u32 split_at;
	u32 npartial;
	u32 moving, nmoves, last_move, into;
	u64 nspans;
	u32 seen_partial;
	u64 seen_spans;
};

/** struct gch_batch - spans of one cache a thread owns, in the order of use */
struct gch_batch {
	u32 n;
	u32 span[GCHEAP_BATCH];
};

/**
 * struct gch_thread - an attached thread, as the core knows it
 * @number: its place in gch_heap.thread
 * @pending: 1 + span of the last large object made for it, 0: none. The thread
 *	may not have the address in a root yet: it is kept until the next.
 * @resized: 1 + span of the one whose pages are going to @pending, likewise kept; 0: none
 * @batch: by cache number
 */
struct gch_thread {
	u32 number;
	u32 pending;
	u32 resized;
	struct gch_batch *batch[GCHEAP_MAX_CACHES];
};

enum {				/* gch_final.state */
	GCH_FINAL_FREE,
	GCH_FINAL_SET,
	GCH_FINAL_READY,	/* queued */
	GCH_FINAL_GONE,		/* and its object has been freed since */
};

enum {				/* gch_final.order */
	GCH_ORDER_NONE,
	GCH_ORDER_NORMAL,	/* not while it can be reached from another one, or from itself */
	GCH_ORDER_BUT_SELF,	/* its own pointers to itself do not count */
	GCH_ORDER_LAST,		/* nor from one without order */
	GCH_ORDERS
};

/** struct gch_final - a registered or ready finalizer */
struct gch_final {
	u64 addr;
	u64 cookie;
	u32 hnext;	/* hash chain, or free list */
	u32 rnext;	/* ready list */
	u8 state;
	u8 order;
};

/**
 * struct gch_finals - registered objects, and the queue
 * @pool, @hash: entries, and chains of those that are registered, @ordered of each order, or
 *	queued
 * @ready: so many at the head of the queue are the program's to fetch; at the first @looked of
 *	them, up to @looked_tail, it has looked
 * @dying: so many after them are not yet, in phase FINALIZE
 * @stage: how far that has come (final.c)
 * @at: entry to look at next then; @mark_at: first of the dying that is not marked
 * @marked: objects that were when it began; @seen: when a stage did
 */
struct gch_finals {
	struct gch_final *pool;
	u32 *hash;
	u32 cap;	/* power of two, pool and hash alike */
	u32 free;	/* 1 + index */
	u32 registered;
	u32 ordered[GCH_ORDERS];
	u32 ready;
	u32 looked, looked_tail;
	u32 dying;
	u32 ready_head, ready_tail;
	u32 stage, at, mark_at;
	u64 marked, seen;
};

enum {				/* gch_link.key: chains */
	GCH_LINK_WORD,		/* its address, and 1 if it is long */
	GCH_LINK_OBJECT,	/* whose death makes it 0 */
	GCH_LINK_HOLDER,	/* object of the heap that the word is in, 0: it is elsewhere */
	GCH_LINK_CHAINS
};

#define GCH_LINK_USED	(1u << 0)
#define GCH_LINK_ORPHAN	(1u << 1) /* the object was freed: in no chain by it */
#define GCH_LINK_WANTED	(1u << 2) /* its page is to be brought in */
#define GCH_LINK_KEEP	(1u << 3) /* it could not be made 0: its object stays */

/**
 * struct gch_link - a word that becomes 0 when an object dies
 * @in: neighbours in the chains, 1 + index, 0: none; of free entries the first @next is the
 *	next free one's
 * @gone: the cycle in which nothing was found mapped there (gch_links.turn), 0: none
 */
struct gch_link {
	u64 key[GCH_LINK_CHAINS];
	struct {
		u32 next, prev;
	} in[GCH_LINK_CHAINS];
	u32 gone;
	u8 flags;
};

/**
 * struct gch_links - all of them
 * @pool: entries; @head: chains, of each kind as many; @noted: to be looked at again in this
 *	cycle, a bit an entry
 * @at: entries that have been looked at in this cycle, 0: there is none
 * @step: word of @noted to go on with
 * @kept: objects were marked since their links could not be made 0
 * @wanted: so many have GCH_LINK_WANTED; @want_at: the last that was brought in
 * @turn: even, another one in each cycle
 */
struct gch_links {
	struct gch_link *pool;
	u32 *head;
	u64 *noted;
	u32 cap;	/* power of two, of 64 at least */
	u32 free;	/* 1 + index */
	u32 count;
	u32 at, step;
	bool kept;
	u32 wanted, want_at;
	u32 turn;
};

/** struct gch_counts - the core's counters; see struct gcheap_status */
struct gch_counts {
	u64 heap_bytes, heap_peak;
	u64 resident_pages;		/* frames, each once */
	u64 meshed_pages;		/* pages that have another one's */
	u64 meta_bytes;
	u64 alloc_bytes, alloc_large_bytes;
	u64 alloc_since;		/* since the last complete marking, off-heap too */
	u64 offheap_bytes;
	u64 black_objects, black_bytes;	/* handed out while marking, in this cycle */
	u64 pages_rescanned;
	u64 bytes_rescanned;		/* of cells there, weak words' included */
	u64 marked_objects, marked_bytes;	/* being counted by the marker */
	u64 marked_objects_last, marked_bytes_last;
	u64 helped_bytes;		/* marked by other workers than the first */
	u64 live_objects, live_bytes;	/* being counted by the sweep */
	u64 live_objects_last, live_bytes_last;
	u64 freed_objects, freed_early, bad_frees;
	u64 spans_handed, span_calls;
	u64 weak_cleared;
	u64 links_cleared;
	u64 last_bad_free;
	u64 flips;
	u64 moved_objects, moved_bytes;
	u64 spans_pinned;		/* that were to move, and could not */
	u64 pages_noted;		/* to be settled, at flips */
	u64 resized;			/* large objects that got another size, uncopied */
};

enum {				/* gch_evac.state */
	GCH_EVAC_NONE,
	GCH_EVAC_CHOSEN,	/* what refers into sources is noted */
	GCH_EVAC_FLIPPED,	/* pages are being settled */
};

/**
 * struct gch_move - a source
 * @span: its number
 * @at: number of its first live cell, among its cache's that move
 * @count: how many it has
 * @next: 1 + the next one of its cache
 * From @at on they hold after the flip.
 */
struct gch_move {
	u32 span;
	u32 at;
	u32 count;
	u32 next;
};

/**
 * struct gch_target - a span that takes cells in
 * @span: its number
 * @first: the move that its first cell comes from; before the flip, its cache
 */
struct gch_target {
	u32 span;
	u32 first;
};

/**
 * struct gch_evac_memory - memory for an evacuation
 * @move, @target: @room of each; @late: @late_max of them
 */
struct gch_evac_memory {
	struct gch_move *move;
	struct gch_target *target;
	u64 *late;
	u32 room, late_max;
};

/**
 * struct gch_evac - an evacuation under way (evacuate.c)
 * @state: GCH_EVAC_*
 * @armed: what was noted is not mapped, but for @nlate pages: the first @late_max are @late
 * @move: the @nmoves sources, and @target: @ntargets, of which @made are there; room for
 *	@room of each
 * @nstale: noted pages, and those of sources and targets
 * @record_at: page to look at next for references; @settle_at: to be settled next
 * A source's slot has 1 + its move in lnext, and 1 in lprev if it is pinned; a target's
 * 1 + its number in lnext.
 */
struct gch_evac {
	u8 state;
	bool armed;
	u64 *late;
	u32 late_max, nlate;
	struct gch_move *move;
	struct gch_target *target;
	u32 room, nmoves;
	u32 ntargets, made;
	u64 nstale;
	u64 record_at, settle_at;
};

struct gch_params {
	u64 limit, soft_limit;
	u64 min_heap;
	u32 growth;
	bool precise_only;
};

struct gch_heap;
struct gch_ref;

/**
 * struct gch_ops - what the core asks of the platform
 * @tcb_pos: the program's cursor.pos for a thread and cache; untrusted. Called
 *	under the heap lock, may not sleep or fault.
 * @tcb: first page of a thread's control block, or NULL. Likewise; the program
 *	may write it at any time.
 * @tcb_reset: set that cursor.pos to 0. Likewise.
 * @split: give each of a span's pages a frame of its own: 0, -ENOBUFS: try again when there
 *	are frames, or -EBUSY: not now. What is not live in a frame that is new is zero, and
 *	what was live in the page is zero in the one that others keep.
 * @drop: the frames of slots go; not in a frozen phase
 * @clear: write 0 to a word of the program's memory outside of the heap. Under the heap lock,
 *	world stopped or not, from the collector; may not sleep. Return: false: its page is
 *	not there, or not to be written just now
 * @meta_changed: metadata pages of a chunk have come or are about to go: drop
 *	what the program has mapped there. May sleep.
 */
struct gch_ops {
	u64 (*tcb_pos)(struct gch_heap *h, u32 thread, u32 cache);
	void (*tcb_reset)(struct gch_heap *h, u32 thread, u32 cache);
	struct gcheap_tcb *(*tcb)(struct gch_heap *h, u32 thread);
	int (*split)(struct gch_heap *h, u32 id);
	void (*drop)(struct gch_heap *h, u32 id, u32 n);
	bool (*clear)(struct gch_heap *h, u64 addr);
	void (*meta_changed)(struct gch_heap *h, u32 chunk);
};

/**
 * struct gch_weak - looking again at what struct gch_chunk.weak tells of
 * @lo, @end: chunks that may have such pages
 * @at, @bits: word of these being looked at, and what is left of it; @left: words that follow
 * @down: from the last to the first
 * @seen: objects that were marked when the pass began
 * @checking: marks are put aside, and will be back: what is noted stays so
 * @clearing: the pass is one of gch_weak_clear()
 */
struct gch_weak {
	u32 lo, end;
	u64 at, bits, left;
	bool down;
	bool checking;
	bool clearing;
	u64 seen;
};

#define GCH_AHEAD	16	/* power of two */

/**
 * struct gch_ahead - where to mark, while what is known of the spans there is fetched
 * @at: the oldest; @n: how many
 * @free: greater than 0 if lately some were in spans that are not full: live bits are wanted
 * @put: those that wait
 * @off: 1 + offset, 0: none
 * @slot: that it is in, whose address stays as long as marking lasts (gch_chunk_trim())
 */
struct gch_ahead {
	u32 at;
	u32 n;
	u32 free;
	struct {
		u64 off;
		struct gch_slot *slot;
	} put[GCH_AHEAD];
};

#define GCH_WORKERS	GCHEAP_WORKERS_MAX

/**
 * struct gch_worker - one of those that mark a heap together
 * @ahead: what it is about to mark
 * @objects, @bytes: marked by it while there are several, not yet in struct gch_counts
 * @busy: it has taken a span, and may queue others; not of the first one
 */
struct gch_worker {
	struct gch_ahead ahead;
	u64 objects, bytes;
	bool busy;
};

/**
 * struct gch_through - an object to ask about that is not marked (final.c)
 * @addr: its start; @wanted: it is to be; @asked: it is being asked about, in a pause
 * @but_self: what is told of it does not mark it
 */
struct gch_through {
	u64 addr;
	bool wanted, asked;
	bool but_self;
};

#define GCH_RESERVE_PAGES	8

/**
 * struct gch_reserve - memory brought in before the heap lock was taken
 * @block: @bytes long, or NULL; @page: @npages pages
 * @want, @want_pages: what was lacking
 * @fills: how often it was brought in
 */
struct gch_reserve {
	void *block;
	size_t bytes;
	void *page[GCH_RESERVE_PAGES];
	u32 npages;
	size_t want;
	u32 want_pages;
	u32 fills;
};

struct gch_heap {
	env_lock_t lock;
	struct gch_reserve reserve;
	const struct gch_ops *ops;
	u64 base;			/* user address, 2 MiB aligned */
	u64 size;			/* reservation */
	u32 nslots;			/* of the reservation */
	u32 top;			/* slots below may be in use */
	struct gch_chunk ***dir;	/* [chunk >> 6][chunk & 63] */
	u32 ndir;
	u32 first_free;			/* no free slot below this chunk */
	struct gch_params param;

	u32 phase;			/* written by phase.c only */
	bool paused;			/* in FINALIZE: the world is stopped */
	bool closed;			/* frozen in phase IDLE: it is being copied (copy.c) */
	bool black;			/* what is handed out is marked: since TRACE began */
	bool colour;			/* spans of the other one await the sweep */
	u32 sweep_at;			/* next slot to sweep */

	u32 qhead, qtail;		/* mark queue, 1 + id */
	u64 qlen;
	env_spin_t qlock;		/* of these, nbusy, and what is noted weak */
	bool shared;			/* by several workers */
	u32 nbusy;
	struct gch_worker worker[GCH_WORKERS];	/* the first has h->lock, or stopped the world */
	struct gch_weak weak;
	bool asking;			/* about what is marked (ask.c) */
	u32 ask_head, ask_tail;		/* spans in which that is so, 1 + id; under qlock */
	struct gch_through through;	/* and an object that is not */
	u64 ndirty;			/* dirty pages */
	u32 dirty_at;			/* none in chunks below */

	struct gch_cache *cache[GCHEAP_MAX_CACHES];
	u32 ncaches;			/* highest number + 1 */
	u32 npast_end;			/* caches with GCHEAP_CACHE_PAST_END */
	u32 npairs;			/* and with GCHEAP_CACHE_EPHEMERON */
	u32 nasks;			/* and of layout GCHEAP_ASK */
	struct gch_thread **thread;
	u32 max_threads;
	u32 nthreads;
	struct gch_finals finals;
	struct gch_links links;
	struct gch_evac evac;
	u32 moved_slots;		/* in spans whose cells have moved */
	bool reuse;			/* the sweep may free spans whose cells have moved (R7) */
	struct gch_counts n;
};

/* heap.c */
int gch_heap_init(struct gch_heap *h, const struct gch_ops *ops, u64 size,
		  u32 max_threads);
void gch_heap_destroy(struct gch_heap *h);
int gch_chunk_ensure(struct gch_heap *h, u32 id, u32 n);
int gch_chunk_widen(struct gch_heap *h, u32 id, bool scanned);
u32 gch_chunk_pages(const struct gch_chunk *c);
void gch_chunk_trim(struct gch_heap *h);

/* reserve.c */
void *gch_take(struct gch_heap *h, size_t bytes);
void *gch_take_page(struct gch_heap *h);
bool gch_reserve_fill(struct gch_heap *h, u32 *fills);
void gch_reserve_drop(struct gch_heap *h);

/* cache.c */
int gch_cache_create(struct gch_heap *h, const struct gch_cache *proto);
int gch_cache_destroy(struct gch_heap *h, u32 cache);
void gch_cache_free_maps(struct gch_cache *c);

/* run.c */
u32 gch_run_alloc(struct gch_heap *h, u32 n);
int gch_run_extend(struct gch_heap *h, u32 id, u32 n);
void gch_run_free(struct gch_heap *h, u32 id, u32 n);
bool gch_run_has_frames(const struct gch_heap *h, u32 id, u32 n);
bool gch_run_frames(struct gch_heap *h, u32 from, u32 max, u32 *id, u32 *n);
bool gch_run_resident(struct gch_heap *h, u32 from, u32 max, u32 *id, u32 *n);

/* span.c */
bool gch_heap_fits(const struct gch_heap *h, u64 bytes);
void gch_heap_grown(struct gch_heap *h, u64 bytes);
int gch_span_take(struct gch_heap *h, u32 thread, u32 cache, u32 *id);
u32 gch_large_slots(const struct gch_heap *h, u64 bytes);
int gch_span_large(struct gch_heap *h, u32 cache, u64 bytes, u32 *id);
void gch_large_zeroed(struct gch_heap *h, u32 id);
int gch_thread_large(struct gch_heap *h, u32 number, u32 cache, u64 bytes,
		     u32 *id);
int gch_span_bare(struct gch_heap *h, u32 cache, u32 *id);
void gch_span_free(struct gch_heap *h, u32 id);
void gch_span_moved(struct gch_heap *h, u32 id);
void gch_span_reuse(struct gch_heap *h, u32 id);
void gch_span_list(struct gch_heap *h, u32 id);
void gch_span_unlist(struct gch_heap *h, u32 id);
void gch_span_commit(struct gch_heap *h, u32 id, u32 cursor);
void gch_span_put_back(struct gch_heap *h, u32 id);
void gch_span_retire(struct gch_heap *h, u32 id, u32 cursor);
void gch_span_drop_empty(struct gch_heap *h);

/* thread.c */
int gch_thread_attach(struct gch_heap *h, u32 *number);
void gch_thread_detach(struct gch_heap *h, u32 number);
int gch_thread_spans(struct gch_heap *h, u32 number, u32 cache, u32 want,
		     u32 *got, u32 *span);
void gch_thread_retire_all(struct gch_heap *h, u32 number);
void gch_thread_retire(struct gch_heap *h, u32 number, u32 cache);
void gch_thread_commit_all(struct gch_heap *h);
bool gch_thread_resizes(const struct gch_heap *h, u64 addr);
bool gch_thread_hides(struct gch_heap *h);
void gch_thread_roots(struct gch_heap *h);
void gch_thread_last_roots(struct gch_heap *h);
u32 gch_thread_cursor(struct gch_heap *h, u32 id);
bool gch_thread_handed_out(struct gch_heap *h, const struct gch_ref *r);
u32 gch_thread_at(struct gch_heap *h, u32 id);
u32 gch_thread_reach(struct gch_heap *h, u32 id);
void gch_thread_commit_cell(struct gch_heap *h, const struct gch_ref *r);
void gch_thread_free(struct gch_heap *h, u32 number);

/* free.c */
u32 gch_free_pending(const struct gcheap_tcb *t, u32 *head);
void gch_free_drain(struct gch_heap *h, u32 number);
bool gch_object_at(struct gch_heap *h, u64 addr, struct gch_ref *r);
bool gch_free_early(struct gch_heap *h, u64 addr);
void gch_free_unused(struct gch_heap *h, u32 number, u32 id);

/* mark.c */
bool gch_mark_clear(struct gch_heap *h, u32 *at, u32 slots);
void gch_mark_ambiguous(struct gch_heap *h, const u64 *words, size_t n);
void gch_mark_precise(struct gch_heap *h, const u64 *words, size_t n);
bool gch_mark_drain(struct gch_heap *h, u32 spans);
void gch_mark_fetched(struct gch_heap *h, struct gch_worker *w);
void gch_mark_begin(struct gch_heap *h, bool young);
void gch_mark_own_roots(struct gch_heap *h);
void gch_mark_drop(struct gch_heap *h);
bool gch_mark_help(struct gch_heap *h, u32 number, u32 spans);

/* queue.c, for who has several workers */
void gch_queue_share(struct gch_heap *h);
void gch_queue_unshare(struct gch_heap *h);
bool gch_queue_over(struct gch_heap *h);

/* dirty.c */
bool gch_dirty_set(struct gch_heap *h, u64 page);
bool gch_dirty_scan(struct gch_heap *h, u32 pages);
void gch_dirty_forget(struct gch_heap *h);

/* rescan.c */
void gch_scan_page(struct gch_heap *h, u64 page);

/* scan.c */
u64 gch_typed_elems(const struct gch_heap *h, const struct gch_cache *c, u64 off,
		    u64 bytes);
void gch_scan_through(struct gch_heap *h, const struct gch_ref *r, bool but_self);

/* final.c */
int gch_final_set(struct gch_heap *h, u64 addr, u64 cookie, u8 order, u64 *old);
int gch_final_clear(struct gch_heap *h, u64 addr, u64 *old);
void gch_final_freed(struct gch_heap *h, u64 addr);
void gch_final_moved(struct gch_heap *h, u64 addr, u64 to);
u32 gch_final_look(struct gch_heap *h, struct gcheap_ready *items, u32 max, u32 *steps);
void gch_final_looked(struct gch_heap *h, u32 steps);
bool gch_final_freed_first(const struct gch_heap *h);
u32 gch_final_peek(struct gch_heap *h, struct gcheap_ready *items, u32 max, bool looked);
void gch_final_pop(struct gch_heap *h, u32 n);
void gch_final_roots(struct gch_heap *h);
void gch_final_begin(struct gch_heap *h);
bool gch_final_some(struct gch_heap *h, u32 n);
void gch_final_end(struct gch_heap *h);
bool gch_final_all(struct gch_heap *h, u32 *at, u32 n);
void gch_final_destroy(struct gch_heap *h);

/* link.c */
u64 gch_link_bytes(const struct gch_heap *h);
int gch_link_set(struct gch_heap *h, u64 word, bool lng, u64 object, u64 *old);
int gch_link_get(struct gch_heap *h, u64 word, bool lng, u64 *old);
int gch_link_clear(struct gch_heap *h, u64 word, bool lng, u64 *old);
int gch_link_move(struct gch_heap *h, u64 word, u64 to, bool lng, u64 *old);
void gch_link_freed(struct gch_heap *h, u64 addr);
void gch_link_shrunk(struct gch_heap *h, u64 addr, u64 end);
void gch_link_resized(struct gch_heap *h, u64 addr, u64 to);
void gch_link_pin(struct gch_heap *h);
void gch_link_end(struct gch_heap *h);
bool gch_link_look(struct gch_heap *h, u32 n);
bool gch_link_wanted(struct gch_heap *h, u32 n, u32 *link, u64 *word);
void gch_link_gone(struct gch_heap *h, u32 link, u64 word);
void gch_link_finish(struct gch_heap *h);
bool gch_link_keep(struct gch_heap *h, u32 n);
bool gch_link_finish_long(struct gch_heap *h, u32 n, bool inside, bool *kept);
bool gch_link_forget_dead(struct gch_heap *h, u32 n);
void gch_link_destroy(struct gch_heap *h);

/* weak.c */
bool gch_weak_settle(struct gch_heap *h, u32 pages, bool pairs);
bool gch_mark_some(struct gch_heap *h, u32 n);
bool gch_weak_clear(struct gch_heap *h, u32 pages);
void gch_weak_forget(struct gch_heap *h);

/* sweep.c */
void gch_sweep_begin(struct gch_heap *h);
bool gch_sweep_some(struct gch_heap *h, u32 spans);
void gch_sweep_span(struct gch_heap *h, u32 id);
void gch_sweep_end(struct gch_heap *h);

/* vacant.c */
/** struct gch_vacant - a span, and those of its pages that hold nothing, a bit each */
struct gch_vacant {
	u32 id;
	u32 pages;
};
bool gch_vacant_gather(struct gch_heap *h, u32 *at, u32 max, bool now, struct gch_vacant *v,
		       u32 room, u32 *n);

/* mesh.c */
#define GCH_MESH_PROBES	64
#define GCH_MESH_RING	64	/* pages that share a frame at most */
#define GCH_MESH_STAYS	0xffffffffu

/** struct gch_granules - a bit for each granule of a page */
struct gch_granules {
	u64 word[GCH_PAGE_GRANULES / 64];
};

/**
 * struct gch_mesh_page - a page that might share a frame
 * @map: what is live in its frame; @granules: how much that is; @pages: that share it
 * @page: its number; @into: index of the page whose frame it is to share
 * @shared: others share its frame already
 */
struct gch_mesh_page {
	struct gch_granules map;
	u32 page;
	u32 into;
	u16 granules;
	u16 pages;
	bool shared;
};
u64 gch_mesh_next(const struct gch_heap *h, u64 page);
int gch_mesh_ensure(struct gch_heap *h, u64 page);
void gch_mesh_join(struct gch_heap *h, u64 page, u64 into);
bool gch_mesh_leave(struct gch_heap *h, u64 page);
void gch_mesh_cells(const struct gch_heap *h, u64 page, u32 id, struct gch_granules *map);
u32 gch_mesh_map(const struct gch_heap *h, u64 page, bool others, struct gch_granules *map);
bool gch_mesh_fits(const struct gch_heap *h, u64 page, u64 into, struct gch_granules *map);
bool gch_mesh_gather(struct gch_heap *h, u32 *at, u32 max, bool now, struct gch_mesh_page *p,
		     u32 room, u32 *n);
u32 gch_mesh_search(struct gch_mesh_page *p, u32 n, u32 *order, u32 *frame);

/* evacuate.c */
void gch_evac_begin(struct gch_heap *h, const struct gch_evac_memory *m);
bool gch_evac_gather(struct gch_heap *h, u32 *at, u32 max, u32 sixteenths);
u32 gch_evac_plan(struct gch_heap *h);
int gch_evac_target(struct gch_heap *h, u32 *id);
void gch_evac_abandon(struct gch_heap *h);
void gch_evac_pin(struct gch_heap *h, u64 off);
void gch_evac_pin_words(struct gch_heap *h, const u64 *words, size_t n);
bool gch_evac_refers(const struct gch_heap *h, const u64 *words, size_t n);
void gch_evac_record_page(struct gch_heap *h, u64 page);
bool gch_evac_record(struct gch_heap *h, u32 pages);
void gch_evac_late(struct gch_heap *h, u64 page);
void gch_evac_flip(struct gch_heap *h);
bool gch_evac_forward(const struct gch_heap *h, u64 off, u64 *to);
int gch_evac_touch(struct gch_heap *h, u64 page);
bool gch_evac_settle(struct gch_heap *h, u32 pages);
bool gch_stale_next(const struct gch_heap *h, u64 from, u64 *page);
void gch_evac_end(struct gch_heap *h);
bool gch_evac_retry(struct gch_heap *h, u32 *at, u32 slots);

/* cycle.c */
void gch_cycle_clear(struct gch_heap *h);
void gch_cycle_trace(struct gch_heap *h, bool young);
void gch_cycle_resume(struct gch_heap *h);
void gch_cycle_stop(struct gch_heap *h);
void gch_cycle_mark(struct gch_heap *h);
void gch_cycle_finish(struct gch_heap *h);
void gch_cycle_finalize(struct gch_heap *h);
void gch_cycle_pause(struct gch_heap *h, bool paused);
void gch_cycle_sweep(struct gch_heap *h);
void gch_cycle_end(struct gch_heap *h);
void gch_cycle_abandon(struct gch_heap *h);

/* ask.c */
void gch_ask_begin(struct gch_heap *h);
bool gch_ask_through(struct gch_heap *h, const struct gch_ref *r, bool but_self);
bool gch_ask_left(const struct gch_heap *h);
void gch_ask_told(struct gch_heap *h);
u32 gch_ask_take(struct gch_heap *h, u64 *addr, u32 max);
void gch_ask_skip(struct gch_heap *h);
void gch_ask_end(struct gch_heap *h);

/* check.c */
#define GCH_CHECK_STEPS	16
/**
 * struct gch_check - marking checked against marking with the threads stopped
 * @aside: marks put aside, at most @room words
 * @objects, @bytes: counted by then
 * @lost: objects that only the second marking found
 * @path: of the first of these, @steps addresses
 */
struct gch_check {
	u64 *aside;
	u64 room;
	u64 objects, bytes;
	u64 lost;
	u64 path[GCH_CHECK_STEPS];
	u32 steps;
};
u64 gch_check_room(const struct gch_heap *h);
bool gch_check_begin(struct gch_heap *h, struct gch_check *c);
void gch_check_end(struct gch_heap *h, struct gch_check *c);

/* resize.c */
int gch_resize_here(struct gch_heap *h, const struct gch_ref *r, u64 bytes);
int gch_resize_begin(struct gch_heap *h, u32 number, const struct gch_ref *r, u64 bytes, u32 *id);
void gch_resize_end(struct gch_heap *h, u32 number, u64 addr, u64 *cookie);

/* copy.c */
int gch_copy_begin(struct gch_heap *to, const struct gch_heap *from);
int gch_copy_span(struct gch_heap *to, const struct gch_heap *from, u32 id);
void gch_copy_cells(struct gch_heap *to, struct gch_heap *from, u32 id);
void gch_copy_end(struct gch_heap *to, const struct gch_heap *from);

/* phase.c */
void gch_phase_set(struct gch_heap *h, u32 phase);

/* plan.c: policy, pure functions of numbers */
u64 gch_plan_trigger(u64 marked, u32 growth, u64 min_heap);
bool gch_plan_young(u64 goal, u64 full, u64 marked, u32 youngs);
bool gch_plan_pays(u64 freed, u64 work, u64 full_freed, u64 full_work);
u64 gch_plan_within(u64 trigger, u64 marked, u64 limit);
u64 gch_plan_relief(u64 relief, u64 busy, u64 all);
u64 gch_plan_start(u64 room, u64 runway);
u64 gch_plan_room(u64 trigger, u64 from);
u64 gch_plan_debt(u64 work, u64 done, u64 handed, u64 room);
u64 gch_plan_retain(u64 heap_bytes, u64 trigger);
bool gch_plan_evacuate(u64 cells, u32 ncells, u32 spans);
bool gch_plan_tidy(u64 resident, u64 live, u64 wanted, u32 percent);
u64 gch_plan_rest(u64 took, u32 failures);

/* verify.c */
struct gch_fault {
	u32 code;
	u32 where;
	u64 detail;
};
int gch_verify(struct gch_heap *h, struct gch_fault *f);

static inline u32 gch_final_bucket(const struct gch_finals *f, u64 addr)
{
	return env_hash64(addr, env_ctz64(f->cap));
}

/* The world is stopped or being stopped, or a copy is made: structure must not change (I1). */
static inline bool gch_phase_frozen(const struct gch_heap *h)
{
	return (h->phase >= GCHEAP_PHASE_STOP && h->phase <= GCHEAP_PHASE_FINISH) ||
	       h->paused || READ_ONCE(h->closed);
}

static inline struct gch_chunk *gch_chunk(const struct gch_heap *h, u32 c)
{
	struct gch_chunk **leaf = h->dir[c >> GCH_LEAF_SHIFT];

	return leaf ? leaf[c & (GCH_LEAF_CHUNKS - 1)] : NULL;
}

/* Slot @i of a chunk; its metadata exists. */
static inline struct gch_slot *gch_chunk_slot(const struct gch_chunk *c, u32 i)
{
	return &c->slot[i / GCH_KERN_SLOTS][i % GCH_KERN_SLOTS];
}

/* What follows wants the slot's metadata to exist: id below h->top, in use. */
static inline struct gcheap_span *gch_desc(const struct gch_heap *h, u32 id)
{
	struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
	u32 i = id % GCHEAP_CHUNK_SLOTS;

	return &c->desc[i / GCH_DESC_SLOTS][i % GCH_DESC_SLOTS];
}

static inline struct gch_slot *gch_slot(const struct gch_heap *h, u32 id)
{
	struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
	u32 i = id % GCHEAP_CHUNK_SLOTS;

	return gch_chunk_slot(c, i);
}

/* What a span's cells take. */
static inline u64 gch_span_bytes(const struct gcheap_span *d)
{
	return (u64)d->ncells * d->cell_granules * GCHEAP_GRANULE;
}

/* What its slot knows of that. */
static inline u32 gch_slot_bytes(const struct gcheap_span *d)
{
	u64 bytes = gch_span_bytes(d);

	if (bytes > U32_MAX)
		return 0;
	return bytes | (d->flags & GCHEAP_SPANF_NOSCAN ? GCH_SLOT_NOSCAN : 0);
}

/*
 * A span's live bits. Contiguous, since a span does not cross a block of
 * GCH_BLOCK_SLOTS slots (I2), unless it holds one large object, whose only bit
 * is its first slot's.
 */
static inline u64 *gch_chunk_live(const struct gch_chunk *c, u32 id)
{
	u32 i = id % GCHEAP_CHUNK_SLOTS;

	return &c->live[i / GCH_LIVE_SLOTS]
		       [i % GCH_LIVE_SLOTS * GCH_LIVE_WORDS];
}

static inline u64 *gch_live(const struct gch_heap *h, u32 id)
{
	return gch_chunk_live(gch_chunk(h, id / GCHEAP_CHUNK_SLOTS), id);
}

/* The upper half of a wide span's mark bits. */
static inline u64 *gch_chunk_upper(const struct gch_chunk *c, u32 id)
{
	u32 i = id % GCHEAP_CHUNK_SLOTS;

	return &c->upper[i / GCH_UPPER_SLOTS][i % GCH_UPPER_SLOTS * GCH_MARK_WORDS];
}

/* A word of a span's mark bits. */
static inline u64 *gch_chunk_mark(const struct gch_chunk *c, u32 id, u32 w)
{
	if (likely(w < GCH_MARK_WORDS))
		return &gch_chunk_slot(c, id % GCHEAP_CHUNK_SLOTS)->mark[w];
	return &gch_chunk_upper(c, id)[w - GCH_MARK_WORDS];
}

static inline u64 *gch_mark(const struct gch_heap *h, u32 id, u32 w)
{
	return gch_chunk_mark(gch_chunk(h, id / GCHEAP_CHUNK_SLOTS), id, w);
}

/* All of its scanned bits, if it is ever scanned. */
static inline u64 *gch_chunk_scanned(const struct gch_chunk *c, u32 id)
{
	u32 i = id % GCHEAP_CHUNK_SLOTS;

	if (likely(gch_chunk_slot(c, i)->recip != GCH_WIDE_RECIP))
		return gch_chunk_live(c, id) + GCH_MARK_WORDS;
	return &c->wide[i / GCH_WIDE_SLOTS][i % GCH_WIDE_SLOTS * 2 * GCH_MARK_WORDS];
}

static inline u64 *gch_scanned(const struct gch_heap *h, u32 id)
{
	return gch_chunk_scanned(gch_chunk(h, id / GCHEAP_CHUNK_SLOTS), id);
}

/* No cell of a span is marked, nor scanned. */
static inline void gch_unmark_span(const struct gch_heap *h, u32 id, const struct gcheap_span *d)
{
	const struct gch_chunk *c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);

	gch_words_zero(gch_chunk_mark(c, id, 0), GCH_MARK_WORDS);
	if (d->recip == GCH_WIDE_RECIP)
		gch_words_zero(gch_chunk_upper(c, id), GCH_MARK_WORDS);
	if (!(d->flags & GCHEAP_SPANF_NOSCAN))
		gch_words_zero(gch_chunk_scanned(c, id), gch_bit_words(d->ncells));
}

/* Descriptor of a slot that may have no metadata; NULL then, or if free. */
static inline struct gcheap_span *gch_span_at(const struct gch_heap *h, u32 id,
					      u32 *first)
{
	struct gch_chunk *c;
	struct gcheap_span *d;
	u32 i = id % GCHEAP_CHUNK_SLOTS;

	if (id >= h->top)
		return NULL;
	c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
	if (!c || !c->desc[i / GCH_DESC_SLOTS])
		return NULL;
	d = &c->desc[i / GCH_DESC_SLOTS][i % GCH_DESC_SLOTS];
	if (!d->head)
		return NULL;
	*first = d->head - 1;
	return *first == id ? d : gch_desc(h, *first);
}

/*
 * A word of the heap by its offset, or NULL if its page was never touched.
 * Offset inside of a span; lock held or phase frozen.
 */
static inline u64 *gch_heap_word(const struct gch_heap *h, u64 off)
{
	u32 frame = READ_ONCE(gch_slot(h, off >> GCHEAP_SLOT_SHIFT)->
			      frame[(off >> GCH_PAGE_SHIFT) % GCH_SLOT_PAGES]);

	if (!frame)
		return NULL;
	return env_frame_addr(frame) + off % GCH_PAGE_SIZE;
}

/* The frame behind a page, 0: none. As gch_heap_word() otherwise. */
static inline u32 gch_heap_frame(const struct gch_heap *h, u64 page)
{
	return READ_ONCE(gch_slot(h, page / GCH_SLOT_PAGES)->frame[page % GCH_SLOT_PAGES]);
}

static inline u64 gch_slot_addr(const struct gch_heap *h, u32 id)
{
	return h->base + ((u64)id << GCHEAP_SLOT_SHIFT);
}

/* Cells from @lo to below @hi are those that reach into a page of their span's. */
static inline void gch_page_cells(const struct gcheap_span *d, u32 page, u32 *lo, u32 *hi)
{
	*lo = gch_cell_of(page << GCH_PAGE_SHIFT, d->recip);
	*hi = gch_cell_of(((page + 1) << GCH_PAGE_SHIFT) - 1, d->recip) + 1;
	*hi = min_t(u32, *hi, d->ncells);
}

static inline bool gch_granules_disjoint(const struct gch_granules *a, const struct gch_granules *b)
{
	u64 both = 0;
	u32 w;

	for (w = 0; w < ARRAY_SIZE(a->word); w++)
		both |= a->word[w] & b->word[w];
	return !both;
}

static inline void gch_granules_add(struct gch_granules *a, const struct gch_granules *b)
{
	u32 w;

	for (w = 0; w < ARRAY_SIZE(a->word); w++)
		a->word[w] |= b->word[w];
}

static inline bool gch_span_owned(const struct gcheap_span *d)
{
	return d->state == GCHEAP_SPAN_OWNED;
}

/* Awaits the sweep of the last cycle. The flag holds the colour last swept. */
static inline bool gch_span_unswept(const struct gch_heap *h,
				    const struct gcheap_span *d)
{
	return !!(d->flags & GCHEAP_SPANF_COLOUR) != h->colour;
}

/*
 * A span that has lost its last cell while marking is under way stays until the sweep,
 * or the end of the attempt: it may be on the mark queue.
 */
static inline bool gch_span_may_be_empty(const struct gch_heap *h,
					 const struct gcheap_span *d)
{
	return h->black || gch_span_unswept(h, d);
}

/* Cells of an owned span became free where its thread may still hand them out. */
static inline void gch_span_reopened(struct gch_heap *h, struct gcheap_span *d,
				     u32 cells)
{
	u64 bytes = (u64)cells * d->cell_granules * GCHEAP_GRANULE;

	if (cells)
		WRITE_ONCE(d->flags, d->flags & ~GCHEAP_SPANF_ZERO);
	h->n.alloc_bytes += bytes;
	h->n.alloc_since += bytes;
}

/**
 * struct gch_ref - a cell
 * @c: chunk its span begins in; @d, @s: descriptors of the span; @id: the span;
 *	@cell: its number there
 */
struct gch_ref {
	struct gch_chunk *c;
	struct gcheap_span *d;
	struct gch_slot *s;
	u32 id;
	u32 cell;
};

static inline bool gch_ref_live(const struct gch_ref *r)
{
	return gch_chunk_live(r->c, r->id)[r->cell / 64] & (1ull << (r->cell % 64));
}

/*
 * A cell counts as allocated if its live bit is set or if it lies at or above the
 * commit point, where the kernel cannot know (R14).
 */
static inline bool gch_ref_allocated(const struct gch_ref *r)
{
	return r->cell >= r->s->commit || gch_ref_live(r);
}

/**
 * gch_ref_at() - the cell, allocated or not, that an offset lies in
 * @h: heap; lock held or phase frozen
 * @off: any number
 * @r: the cell
 */
static inline bool gch_ref_at(const struct gch_heap *h, u64 off,
			      struct gch_ref *r)
{
	u32 id = off >> GCHEAP_SLOT_SHIFT, i = id % GCHEAP_CHUNK_SLOTS;
	struct gcheap_span *d;
	struct gch_chunk *c;

	if (off >= (u64)h->top << GCHEAP_SLOT_SHIFT)
		return false;
	c = gch_chunk(h, id / GCHEAP_CHUNK_SLOTS);
	if (!c || !c->desc[i / GCH_DESC_SLOTS])
		return false;
	d = &c->desc[i / GCH_DESC_SLOTS][i % GCH_DESC_SLOTS];
	if (!d->head)
		return false;
	r->id = d->head - 1;
	if (r->id != id) {
		c = gch_chunk(h, r->id / GCHEAP_CHUNK_SLOTS);
		i = r->id % GCHEAP_CHUNK_SLOTS;
		d = &c->desc[i / GCH_DESC_SLOTS][i % GCH_DESC_SLOTS];
	}
	r->c = c;
	r->d = d;
	r->s = gch_chunk_slot(c, i);
	r->cell = d->recip ?
		gch_cell_of((u32)(off - ((u64)r->id << GCHEAP_SLOT_SHIFT)),
			    d->recip) : 0;
	return r->cell < d->ncells;
}

/** gch_resolve() - the allocated cell an address lies in; see gch_ref_at() */
static inline bool gch_resolve(const struct gch_heap *h, u64 addr,
			       struct gch_ref *r)
{
	return gch_ref_at(h, addr - h->base, r) && gch_ref_allocated(r);
}

static inline bool gch_ref_marked(const struct gch_ref *r)
{
	return READ_ONCE(*gch_chunk_mark(r->c, r->id, r->cell / 64)) & (1ull << (r->cell % 64));
}

/* Or not, for as long as nobody else marks. */
static inline void gch_ref_mark(const struct gch_ref *r, bool on)
{
	u64 *mark = gch_chunk_mark(r->c, r->id, r->cell / 64), bit = 1ull << (r->cell % 64);

	*mark = on ? *mark | bit : *mark & ~bit;
}

/* Whether a resolved cell survives: marked, or black, which is not live yet. */
static inline bool gch_ref_kept(const struct gch_ref *r)
{
	return gch_ref_marked(r) || !gch_ref_live(r);
}

/* The same of an object by its address. */
static inline bool gch_is_kept(const struct gch_heap *h, u64 addr)
{
	struct gch_ref r;

	return gch_resolve(h, addr, &r) && gch_ref_kept(&r);
}

static inline u64 gch_ref_addr(const struct gch_heap *h, const struct gch_ref *r)
{
	return gch_slot_addr(h, r->id) +
	       (u64)r->cell * r->d->cell_granules * GCHEAP_GRANULE;
}

#endif
