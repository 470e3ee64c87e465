/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/*
 * libgcheap: a garbage-collected heap for C programs.
 *
 *	struct node *n = gcheap_alloc(sizeof(*n));	// never freed
 *
 * What can be reached from registers, thread stacks, thread-local storage, the
 * data of the program and of its shared objects, registered ranges and other
 * live objects stays; the rest is taken back by the kernel (/dev/gcheap).
 * Memory from malloc() and mmap() is not looked at: register it
 * (gcheap_root_add()) if it holds the only pointer to an object.
 *
 * Units are bytes and nanoseconds. Functions that return int return 0 or more,
 * or -errno. Functions that return a pointer return NULL with errno set.
 * Whoever calls without a heap speaks of the default heap, which is made at the
 * first use; where a heap is asked for, NULL means the default one too.
 *
 * Every function may be called by any thread at any time, except where it says
 * otherwise and except from signal handlers: nothing here is
 * async-signal-safe.
 *
 * A child after fork() has heaps of its own, with all that its parent's had, in the same
 * place; fork() takes the time that it takes to copy them, or until the child has run another
 * program, and other threads are stopped meanwhile. It does not have them when there was no
 * memory for that, nor after _Fork() or a raw clone(): calls give ENXIO there, or the reason,
 * those that take an object EINVAL, and touching one is a SIGBUS or SIGSEGV. exec is fine. A
 * thread that was lent is the parent's.
 *
 * errno in every call that reaches the kernel:
 *   ENOENT EACCES	no /dev/gcheap, or no right to it
 *   EPROTONOSUPPORT	the module speaks another version
 *   EOPNOTSUPP		the module lacks a feature that the library needs
 *   ENXIO		the heap is dead (unmapped, or this is a forked child without)
 *   ENOMEM		limit or memory used up, with everything collected
 *   ENOSPC		too many caches, roots, threads or heaps
 *
 * Environment, for the default heap (ignored in set-user-ID programs); sizes
 * take K, M, G, T:
 *   GCHEAP_GROWTH	percent of the live bytes to allocate before the next
 *			cycle (100)
 *   GCHEAP_LIMIT	most bytes of heap (none)
 *   GCHEAP_MIN_HEAP	no automatic cycle below that size (4M)
 *   GCHEAP_HEAP_SIZE	address space to reserve (the module's default)
 *   GCHEAP_DEVICE	device to open (/dev/gcheap)
 *   GCHEAP_TRACE	1: a line to stderr for each cycle
 *   GCHEAP_FINALIZE_ON_DEMAND  1: finalizers run only when asked for
 *   GCHEAP_CONCURRENT	0: stop the threads until all is marked (as the
 *			module is told, 1)
 *   GCHEAP_PAUSE	us in which a pause should end, up to a million, with
 *			marking beside the program (500)
 *   GCHEAP_WORKERS	kernel workers that mark together, 1 to 8; 0: as there
 *			are processors (0)
 *   GCHEAP_LEND	1: a thread of the program, made for this, marks (gcheap_lend())
 *   GCHEAP_FORK	0: a forked child has no heap, and fork() copies none (1)
 *   GCHEAP_VERIFY	1: check the whole heap after every cycle
 *   GCHEAP_EXIT_STATS	1: counters to stderr when the program exits; else a file
 *			they are appended to
 */
#ifndef _GCHEAP_H
#define _GCHEAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GCHEAP_VERSION_MAJOR	0
#define GCHEAP_VERSION_MINOR	1

#if defined(__GNUC__)
#define GCHEAP_ALLOCATOR(n) __attribute__((__malloc__, __alloc_size__(n), \
					   __warn_unused_result__))
#else
#define GCHEAP_ALLOCATOR(n)
#endif

struct gcheap;			/* a heap */
struct gcheap_cache;		/* where objects of one kind come from */
struct gcheap_weak;		/* a weak reference; an object itself */
struct gcheap_ephemeron;	/* a key and what is kept for it; likewise */

/* ------------------------------------------------------------------ heaps */

#define GCHEAP_OPT_PRECISE_ONLY	(1u << 0) /* registers, stacks, TLS and data
					   * segments are no roots */
#define GCHEAP_OPT_NO_DATA	(1u << 1) /* data segments are no roots */

/**
 * struct gcheap_options - what a heap is made with; all zero: the defaults
 * @flags: GCHEAP_OPT_*
 * @growth: percent of the live bytes to allocate before the next cycle; 0: 100
 * @heap_size: address space reserved, in bytes; 0: the module's default
 * @limit: most bytes of heap; 0: none
 * @min_heap: no automatic cycle below that many bytes; 0: 4 MiB
 * @max_threads: most threads that allocate at a time; 0: 1024
 * @device: path of the device; NULL: /dev/gcheap
 */
struct gcheap_options {
	uint32_t flags;
	uint32_t growth;
	uint64_t heap_size;
	uint64_t limit;
	uint64_t min_heap;
	uint32_t max_threads;
	uint32_t reserved32;
	const char *device;
	uint64_t reserved[8];
};

/**
 * gcheap_init - make the default heap now
 * Not needed, the first use does it; but the only way to learn why it cannot be
 * made. Calling it again does nothing and returns the first result.
 */
int gcheap_init(void);

/**
 * gcheap_open - make another heap
 * At most 32 at a time in a process, the default one included. A heap does not
 * see what other heaps refer to, unless that is registered as a root.
 */
struct gcheap *gcheap_open(const struct gcheap_options *options);

/**
 * gcheap_close - let go of a heap with all its objects
 * Nobody may be using it, then or later. -EINVAL for the default heap.
 */
int gcheap_close(struct gcheap *heap);

/** gcheap_default - the default heap, made if need be */
struct gcheap *gcheap_default(void);

/** gcheap_fd - the heap's descriptor, for read() and poll() of its events and
 * for what only <linux/gcheap.h> has. Stays the library's. */
int gcheap_fd(struct gcheap *heap);

/**
 * struct gcheap_map - where a heap's mappings are, for tools and tests
 * @heap: the objects; @meta, @status: read-only; @tcb: thread control blocks
 */
struct gcheap_map {
	void *heap;
	size_t heap_size;
	const void *meta;
	size_t meta_size;
	const void *status;
	size_t status_size;
	void *tcb;
	size_t tcb_size;
};
int gcheap_map(struct gcheap *heap, struct gcheap_map *map);

enum gcheap_tunable {
	GCHEAP_TUNE_GROWTH,	/* percent */
	GCHEAP_TUNE_LIMIT,	/* bytes, 0: none */
	GCHEAP_TUNE_MIN_HEAP,	/* bytes */
	GCHEAP_TUNE_VERIFY,	/* 1: verify after every cycle */
	GCHEAP_TUNE_CONCURRENT,	/* 1: mark while the program runs (as GCHEAP_CONCURRENT) */
	GCHEAP_TUNE_PAUSE,	/* ns a pause should take then */
	GCHEAP_TUNE_YOUNG,	/* 1: automatic collections may be young ones then */
	GCHEAP_TUNE_CHECK,	/* 1: check that marking then, by marking again */
	GCHEAP_TUNE_SOFT_LIMIT,	/* bytes to stay below if that costs not too much, 0: none */
	GCHEAP_TUNE_WORKERS,	/* kernel workers that mark together, 1 to 8; 0: as there
				 * are processors */
	GCHEAP_TUNE_RELEASE,	/* 1: pages without objects go back to the system, among
				 * objects as well */
	GCHEAP_TUNE_MESH,	/* 1: compaction lets pages share memory */
	GCHEAP_TUNE_EVACUATE,	/* 1: it moves objects of movable caches */
	GCHEAP_TUNE_COMPACT,	/* percent too large from which on a heap is compacted by
				 * itself, 0: never */
};

/** gcheap_tune - change a setting of a heap; -EINVAL: out of range */
int gcheap_tune(struct gcheap *heap, enum gcheap_tunable what, uint64_t value);
/** gcheap_tuned - the value in force */
int gcheap_tuned(struct gcheap *heap, enum gcheap_tunable what, uint64_t *value);

/* ------------------------------------------------------------- allocation */

/**
 * gcheap_alloc - an object of @size bytes, zeroed, 16-byte aligned
 * Any aligned 8-byte word in it that has the address of an object, or any
 * address inside of one, keeps that object. The address one past its last byte
 * keeps this one (its cell is at least a byte larger). 0 bytes: an object
 * without room, with an address of its own.
 */
void *gcheap_alloc(size_t size) GCHEAP_ALLOCATOR(1);
void *gcheap_heap_alloc(struct gcheap *heap, size_t size) GCHEAP_ALLOCATOR(2);

/**
 * gcheap_alloc_noscan - an object that is not searched for pointers
 * Its bytes are not initialised (they may be those of a dead object).
 */
void *gcheap_alloc_noscan(size_t size) GCHEAP_ALLOCATOR(1);
void *gcheap_heap_alloc_noscan(struct gcheap *heap, size_t size) GCHEAP_ALLOCATOR(2);

/**
 * gcheap_realloc - an object with @ptr's first bytes and room for @size
 * Same kind as @ptr (of whatever heap that is); bytes beyond the old size are 0
 * if it is scanned. NULL: as gcheap_alloc(). Size 0: as gcheap_free(), returns
 * NULL. @ptr must be the start of an object; it is gone if another address is
 * returned. EINVAL: not an object, or a cache's that cannot hold so much. The pages of
 * large objects stay theirs: they are not copied, or only while objects are being moved,
 * or finalizers looked for.
 */
void *gcheap_realloc(void *ptr, size_t size);

/**
 * gcheap_free - give an object back now instead of when nothing refers to it
 * Never needed. Its room is used again from the next time the thread asks the
 * kernel for room. NULL: nothing. Its finalizer is taken off. -EINVAL: not the start
 * of an object; what has been freed before may be refused later only, by the kernel.
 */
int gcheap_free(void *ptr);

/**
 * gcheap_base - the object @ptr points to or into; NULL (EINVAL): none
 * gcheap_size - bytes of room in the object @ptr points to or into, at least
 *	what was asked for; 0: no object
 * No system call, except for objects that another thread has just allocated.
 */
void *gcheap_base(const void *ptr);
size_t gcheap_size(const void *ptr);

/** gcheap_heap_of - the heap whose address space @ptr lies in, else NULL */
struct gcheap *gcheap_heap_of(const void *ptr);

/* ----------------------------------------------------------------- caches */

#define GCHEAP_FILL		0xffffffffu

/**
 * struct gcheap_layout - which words of a cache's objects are pointers
 * @fixed_words: length of the fixed part, in words of 8 bytes; at most 512
 * @elem_words: length of an element of the array that follows it; 0: no array
 * @length_word: word of the fixed part with the number of elements; GCHEAP_FILL:
 *	as many as fit into the object
 * @tag_bits: low bits of every pointer word that are no address; at most 4
 * @fixed_map, @elem_map: bit i of word i / 64: word i is a pointer
 * @fixed_weak, @elem_weak: the same for weak pointers; NULL: none. They keep
 *	nothing alive and turn 0 when what they point to is gone.
 *
 * A pointer word holds 0, or an address inside of the object meant (one past its
 * end is not), or anything that is no address of the heap.
 */
struct gcheap_layout {
	uint32_t fixed_words;
	uint32_t elem_words;
	uint32_t length_word;
	uint32_t tag_bits;
	const uint64_t *fixed_map;
	const uint64_t *fixed_weak;
	const uint64_t *elem_map;
	const uint64_t *elem_weak;
	uint64_t reserved[4];
};

#define GCHEAP_CACHE_NOSCAN	(1u << 0) /* no pointers in it; layout is NULL */
#define GCHEAP_CACHE_EXACT	(1u << 1) /* an address one past the end does not
					   * keep the object */
#define GCHEAP_CACHE_EPHEMERON	(1u << 2) /* elements are ephemerons: each has one
					   * weak word, its key; what its pointers
					   * mean is kept only as long as the key is.
					   * Then all of these words turn 0. */

#define GCHEAP_CACHE_MOVABLE	(1u << 3) /* compaction may give objects other addresses;
					   * with a layout or NOSCAN, not of size 0 */
#define GCHEAP_CACHE_IDENTITY	(1u << 4) /* 8 bytes more for gcheap_identity_hash(); with a
					   * layout whose array is not GCHEAP_FILL, not of
					   * size 0 */

/**
 * gcheap_cache_create - a source of objects of one size and layout
 * @size: 1 to 32768 bytes, rounded up to 16 (without layout and EXACT: 32767); 0:
 *	every object has a size and pages of its own (gcheap_cache_alloc_bytes())
 * @layout: NULL: every word may be a pointer
 * Without EXACT a cache with a layout also keeps an object for an address one
 * past its end in an ambiguous place, and one without a layout has cells larger
 * by a byte. EINVAL: a bad layout.
 */
struct gcheap_cache *gcheap_cache_create(size_t size, const struct gcheap_layout *layout,
					 uint32_t flags);
struct gcheap_cache *gcheap_heap_cache_create(struct gcheap *heap, size_t size,
					      const struct gcheap_layout *layout,
					      uint32_t flags);

/**
 * gcheap_pin - keep the object that @ptr points to or into, where it is
 * gcheap_unpin - once less; as often as it was pinned, and it is like others
 * For addresses of objects of movable caches that go where nobody looks for them: into
 * hash values, files, asynchronous system calls, memory that is no root. Pins are looked
 * through one by one: for hundreds of objects. -EINVAL: no object; -ENOENT: not pinned.
 */
int gcheap_pin(const void *ptr);
int gcheap_unpin(const void *ptr);

/**
 * gcheap_identity_hash - a number that stays the same as long as the object lives
 * @ptr: into the object
 *
 * For tables by identity: 64 well mixed bits, not 0, of objects of caches that are
 * GCHEAP_CACHE_IDENTITY no two the same; of others that do not move, made of the address
 * (gcheap_realloc() may change that). 0 (EINVAL): no object, or one that may move.
 */
uint64_t gcheap_identity_hash(const void *ptr);

/** gcheap_cache_alloc - an object of a cache, zeroed unless it is NOSCAN */
void *gcheap_cache_alloc(struct gcheap_cache *cache);

/** gcheap_cache_alloc_bytes - an object of a cache made with size 0, zeroed */
void *gcheap_cache_alloc_bytes(struct gcheap_cache *cache, size_t bytes);

/** gcheap_cache_object_size - room in an object of the cache, 0 if it varies */
size_t gcheap_cache_object_size(const struct gcheap_cache *cache);

/** gcheap_cache_destroy - give a cache back; -EBUSY while objects of it exist,
 * dead ones not yet collected and other threads' spans included */
int gcheap_cache_destroy(struct gcheap_cache *cache);

/* ------------------------------------------------------------------ roots */

#define GCHEAP_PRECISE	(1u << 0) /* every word is 0 or a pointer */
#define GCHEAP_SHADOW	(1u << 1) /* a shadow stack: [addr, *top) is scanned */
#define GCHEAP_FIBER	(1u << 2) /* a parked stack: [*top - 128, addr + len) is;
				   * nothing while *top is outside of it */

/**
 * gcheap_root_add - search a range of memory for pointers, from now on
 * @addr, @len: in bytes; only whole aligned words in it count. It must stay
 *	readable until it is taken out. -EINVAL: empty, or flags without sense.
 */
int gcheap_root_add(void *addr, size_t len);
/** gcheap_root_del - take a range out; -ENOENT: never added as such */
int gcheap_root_del(void *addr, size_t len);

/**
 * gcheap_heap_root_add - the same for any heap, with flags
 * @flags: GCHEAP_PRECISE, and one of GCHEAP_SHADOW, GCHEAP_FIBER
 * @top: for those two the place of the word with the top of the stack, which the
 *	program writes without telling anyone; else NULL
 */
int gcheap_heap_root_add(struct gcheap *heap, void *addr, size_t len, uint32_t flags,
			 void *const *top);
int gcheap_heap_root_del(struct gcheap *heap, void *addr, size_t len);

/**
 * gcheap_dl_refresh - look at once for objects loaded or unloaded
 * Needed only by who maps shared objects without dlopen() and dlclose().
 */
int gcheap_dl_refresh(void);

/* ---------------------------------------------------------------- threads */

/**
 * gcheap_thread_attach - make the caller ready to allocate
 * Not needed, its first allocation does it. Threads are found by the kernel:
 * one that never allocates is searched for pointers all the same.
 * gcheap_thread_detach - give back what the caller has from the kernel. The end
 * of the thread does it. The thread remains a root.
 * gcheap_thread_flush - give back the caller's spans (free room it has not used
 * yet) and pending early frees, so that counters are exact.
 */
int gcheap_thread_attach(void);
int gcheap_thread_detach(void);
int gcheap_thread_flush(void);
int gcheap_heap_thread_attach(struct gcheap *heap);
int gcheap_heap_thread_detach(struct gcheap *heap);
int gcheap_heap_thread_flush(struct gcheap *heap);

/* ------------------------------------------------------------- collection */

/**
 * gcheap_collect - collect, and return when it is done, sweeping included
 * -EAGAIN: given up after several attempts (a root could not be read).
 * gcheap_compact - the same, and then take as little memory as can be: pages share some
 *	where objects allow it, and those without go back, soon to be used again or
 *	not. What threads are allocating from stays.
 * gcheap_collect_start - ask for a collection and go on
 */
int gcheap_collect(void);
int gcheap_compact(void);
int gcheap_collect_start(void);
int gcheap_heap_collect(struct gcheap *heap);
int gcheap_heap_compact(struct gcheap *heap);
int gcheap_heap_collect_start(struct gcheap *heap);

/**
 * gcheap_hold - no automatic collections until gcheap_unhold(); counts
 * Explicit ones go on. With the limit reached allocation fails meanwhile.
 */
int gcheap_hold(void);
int gcheap_unhold(void);
int gcheap_heap_hold(struct gcheap *heap);
int gcheap_heap_unhold(struct gcheap *heap);

/**
 * gcheap_offheap - memory elsewhere that goes with objects has grown, or shrunk
 * @delta: bytes. From malloc(), say, and given back by finalizers. They count like
 * allocated bytes for when to collect, and like live ones while they are there. The
 * kernel is told when 64 KiB have come together. -EINVAL: fewer than none.
 */
int gcheap_offheap(ptrdiff_t delta);
int gcheap_heap_offheap(struct gcheap *heap, ptrdiff_t delta);

/**
 * gcheap_lend - lend the caller to the collector, which marks in its time, beside the program
 * With its priority, on its processors, in its control groups. Returns when another thread
 * calls gcheap_lend_end(). -EBUSY: one is lent already; -EINTR: a signal handler ran.
 * gcheap_lend_end - have that return; -ENOENT: none is lent. Before the heap is closed.
 */
int gcheap_lend(void);
int gcheap_lend_end(void);
int gcheap_heap_lend(struct gcheap *heap);
int gcheap_heap_lend_end(struct gcheap *heap);

/** gcheap_verify - check the heap's whole structure; -EUCLEAN: damage */
int gcheap_verify(void);
int gcheap_heap_verify(struct gcheap *heap);

/**
 * struct gcheap_stats - counters of a heap
 * Bytes and nanoseconds. "Last" is the last completed cycle, "total" since the
 * heap was made. Bucket b of a histogram counts 2^b <= ns < 2^(b+1).
 */
struct gcheap_stats {
	uint64_t cycles;		/* completed */
	uint64_t cycles_failed;		/* attempts ended */
	uint64_t heap_bytes;		/* in spans now */
	uint64_t heap_peak;
	uint64_t resident_bytes;	/* pages held now */
	uint64_t meta_bytes;		/* metadata, the kernel's included */
	uint64_t goal_bytes;		/* heap size at which the next cycle is to be over */
	uint64_t limit_bytes;		/* 0: none */
	uint64_t alloc_bytes;		/* total handed to threads */
	uint64_t alloc_large_bytes;	/* of these in objects above 32 KiB */
	uint64_t marked_objects;	/* last: reached from roots */
	uint64_t marked_bytes;
	uint64_t live_objects;		/* last: reached, or allocated meanwhile */
	uint64_t live_bytes;
	uint64_t freed_objects;		/* total, by collection */
	uint64_t freed_early;		/* total, by gcheap_free() */
	uint64_t bad_frees;		/* total, refused by the kernel */
	uint64_t spans_handed;		/* total */
	uint64_t span_calls;		/* total, system calls for them */
	uint64_t pages_released;	/* total */
	uint64_t pause_ns_last;
	uint64_t pause_ns_total;
	uint64_t pause_ns_max;
	uint64_t stop_ns_max;		/* from the request until all have stopped */
	uint64_t root_words;		/* last: looked at */
	uint64_t threads_stopped;	/* last: found */
	uint64_t threads;		/* attached now */
	uint64_t finalizers;		/* registered now */
	uint64_t finalizers_ready;	/* waiting to be run now */
	uint64_t weak_cleared;		/* total */
	uint64_t events_lost;		/* total */
	uint64_t oom_returns;		/* total, ENOMEM */
	uint64_t stop_hist[32];
	uint64_t pause_hist[32];
	/* Of marking while the program runs; total but for the first two. */
	uint64_t trigger_bytes;		/* heap size that starts the next cycle */
	uint64_t black_bytes;		/* last: handed out while marking */
	uint64_t pauses;
	uint64_t trace_rounds;		/* over pages written meanwhile */
	uint64_t pages_rescanned;
	uint64_t pages_logged;		/* of these in pauses */
	uint64_t write_faults;
	uint64_t assists;		/* slices marked by threads that allocate, */
	uint64_t assist_bytes;
	uint64_t assist_ns;		/* waiting included */
	uint64_t assist_waits;		/* calls that waited for the end of marking */
	uint64_t checks;		/* markings checked by marking again */
	uint64_t check_lost;		/* objects that would have been lost: a bug */
	uint64_t offheap_bytes;		/* told of by gcheap_offheap() now */
	uint64_t collector_ns;		/* total, processor time */
	uint64_t helped_bytes;		/* total, marked by others beside the collector */
	uint64_t root_words_same;	/* last: of root_words, not marked from twice */
	uint64_t pages_vacated;		/* total, of pages_released: among objects */
	uint64_t meshed_bytes;		/* now: of pages that have the memory of others */
	uint64_t pages_meshed;		/* total, given it */
	uint64_t pages_split;		/* total, given their own again */
	uint64_t pages_busy;		/* total, not moved since somebody had them pinned */
	uint64_t flips;			/* total, pauses in which objects were moved */
	uint64_t moved_objects;		/* total */
	uint64_t spans_pinned;		/* total, whose objects could not be moved */
	uint64_t resized;		/* total, large objects by gcheap_realloc(), uncopied */
	uint64_t pages_remapped;	/* total, of these that went elsewhere */
	uint64_t compactions;		/* total, asked for or by itself */
	uint64_t compactions_own;	/* total, of these by itself */
	uint64_t flip_pages;		/* total, to be filled or corrected after flips */
	uint64_t flip_zapped;		/* total, unmapped before their pauses, */
	uint64_t flip_zapped_late;	/* and in these */
	uint64_t flip_faults;		/* total, of the program on those not done yet, */
	uint64_t flip_fault_ns;		/* until it had the page, */
	uint64_t flip_fault_ns_max;	/* and at most */
};
/** gcheap_stats - a consistent copy of the counters; no system call */
int gcheap_stats(struct gcheap_stats *stats);
int gcheap_heap_stats(struct gcheap *heap, struct gcheap_stats *stats);

/* ---------------------------------------------- finalizers and weak references */

typedef void (*gcheap_finalizer_fn)(void *object, void *data);

/**
 * gcheap_finalizer_set - call @fn(@object, @data) once after @object has died
 * @object: start of an object, of any heap; -EINVAL, -ENOENT: it is none
 * @fn: NULL takes the object's finalizer off, else it replaces the one there is
 * @data: kept alive until then. It must not lead to @object, or that never dies.
 *
 * Not ordered: objects that refer to each other die together. The object and all
 * it refers to are still there in @fn; what @fn stores elsewhere lives on.
 * Finalizers run in gcheap_finalizers_run(), and in whatever thread allocates
 * (GCHEAP_FINALIZE_ON_DEMAND=1 in the environment, or
 * gcheap_finalizers_on_demand(1): not there), never within one another.
 */
int gcheap_finalizer_set(void *object, gcheap_finalizer_fn fn, void *data);
/** gcheap_finalizer_swap - the same; the one replaced to *@old_fn, *@old_data */
int gcheap_finalizer_swap(void *object, gcheap_finalizer_fn fn, void *data,
			  gcheap_finalizer_fn *old_fn, void **old_data);
/** gcheap_finalizers_run - run all that are due, of all heaps; how many */
int gcheap_finalizers_run(void);
/** gcheap_finalizers_on_demand - 1: only gcheap_finalizers_run() runs them;
 * returns what it was */
int gcheap_finalizers_on_demand(int on);

/**
 * gcheap_weak_create - a reference that does not keep @object alive
 * A small object of @object's heap, to be kept like any other.
 */
struct gcheap_weak *gcheap_weak_create(void *object);
/** gcheap_weak_get - the object; NULL once it is gone */
void *gcheap_weak_get(struct gcheap_weak *weak);
/** gcheap_weak_set - let it refer to another object of the same heap, or NULL */
void gcheap_weak_set(struct gcheap_weak *weak, void *object);

/**
 * gcheap_ephemeron_create - keep @value as long as @key is kept for other reasons
 * @key: an object; @value: one of the same heap, NULL, or no address of it
 *
 * Return: an object itself; what it knows is of use as long as it is kept as well.
 * NULL and EINVAL: @key is no object, or ENOMEM.
 */
struct gcheap_ephemeron *gcheap_ephemeron_create(void *key, void *value);
/** gcheap_ephemeron_get - the key, and its value in *@value; NULL once it is gone */
void *gcheap_ephemeron_get(struct gcheap_ephemeron *ephemeron, void **value);
/** gcheap_ephemeron_set - another value, of which the same is true */
void gcheap_ephemeron_set(struct gcheap_ephemeron *ephemeron, void *value);

#ifdef __cplusplus
}
#endif
#endif
