/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The interface between /dev/gcheap and user space. The only ABI file.
 *
 * LIFE OF A HEAP
 *   fd = open("/dev/gcheap", O_RDWR | O_CLOEXEC)      an empty, unbound heap
 *   ioctl(fd, GCHEAP_IOC_SETUP, &setup)               versions, sizes, limits
 *   base = mmap(..., setup.heap_size, PROT_READ | PROT_WRITE, MAP_SHARED,
 *               fd, GCHEAP_OFF_HEAP)                  binds it to this mm
 *   meta = mmap(..., setup.meta_size, PROT_READ, MAP_SHARED, fd, GCHEAP_OFF_META)
 *   status = mmap(..., GCHEAP_STATUS_SIZE, PROT_READ, ..., GCHEAP_OFF_STATUS)
 *   tcb = mmap(..., setup.tcb_size, PROT_READ | PROT_WRITE, ..., GCHEAP_OFF_TCB)
 *   ioctl(fd, GCHEAP_IOC_CACHE_CREATE / _THREAD_ATTACH / _ROOT_ADD ...)
 * The heap belongs to the address space that mapped it first; every call from
 * another one is EPERM. When that address space is gone, or its heap mapping
 * was unmapped or overmapped, the heap is dead: every call is ENXIO. Closing
 * the last descriptor and mapping frees everything.
 *
 * MAPPING RULES
 *   The heap is mapped once, whole, shared, read-write, 2 MiB-aligned
 *   (GCHEAP_CHUNK_SIZE); META and STATUS read-only; all MAP_SHARED. EINVAL for
 *   a wrong size, offset, or alignment, EACCES for wrong protection, EBUSY for
 *   a second heap mapping, ENODEV before SETUP. mprotect, mremap and partial
 *   munmap of the heap fail. A forked child has none of the mappings; it can have a heap
 *   like its parent's (GCHEAP_IOC_FORK).
 *   A touch of heap memory outside of handed-out spans is SIGBUS, at the latest
 *   when the pages have been given back to the system.
 *
 * ADDRESS -> OBJECT
 *   The heap is cut into slots of 8 KiB (GCHEAP_SLOT_SIZE); 256 slots are a
 *   chunk of 2 MiB. slot = (addr - base) >> 13. The descriptor of slot s is
 *     meta + (s >> 8) * GCHEAP_META_STRIDE + (s & 255) * sizeof(gcheap_span)
 *   Its .head is 0 for a free slot, else 1 + the slot number the span begins
 *   at; all other fields hold in the span's first slot only. Then
 *     off  = addr - (base + (head - 1) * 8192)
 *     cell = (off * span.recip) >> 32            exact for every off in a span
 *   is an object's cell if cell < span.ncells. The live bit of the cell is bit
 *   (cell & 63) of the 64-bit word cell >> 6 at
 *     meta + ((head-1) >> 8) * STRIDE + GCHEAP_META_LIVE + ((head-1) & 255) * 64
 *   (what lies beyond the words of its cells is the kernel's). Bits of spans
 *   that a thread owns are accurate only below the kernel's view of its
 *   cursor. Large objects: one cell, .recip is 0.
 *
 * ALLOCATION
 *   Each attached thread has a control block (gcheap_tcb), at tcb + thread *
 *   GCHEAP_TCB_SIZE, and in it a gcheap_cursor for each cache. A thread owns the
 *   batch of up to GCHEAP_BATCH spans the last GCHEAP_IOC_SPANS gave it for a
 *   cache, and takes cells whose live bit is clear, in rising order of index,
 *   first span first. cursor.pos = (index in batch << 32) | cell index: every
 *   free cell below pos has been handed out, none from pos on. pos is
 *   stored after the cell's address has been formed (rule R14). Cells are not
 *   zero unless the span's GCHEAP_SPANF_ZERO flag is set.
 *   Neither pos nor anything else in a control block is trusted.
 *
 * EARLY FREE
 *   tcb.free_ring[] takes addresses; the library advances free_head, the kernel
 *   drains at the next call of that thread and at the start of a cycle and
 *   advances free_tail. Not the start of a live object: ignored and counted.
 *
 * STRUCTURES
 *   Every ioctl takes a pointer to a structure whose first member is its size
 *   as the caller knows it, at least 8. Smaller: missing fields are zero.
 *   Larger: the rest must be zero, else E2BIG. Unknown flags and non-zero reserved
 *   fields: EINVAL. Output is written back up to the caller's size.
 *
 * ERRNO
 *   EINVAL  unknown flag, value out of range      E2BIG   unknown fields set
 *   EFAULT  unreadable argument                   EPERM   another address space
 *   ENXIO   the heap is dead                      ENODEV  not set up / not mapped
 *   EBUSY   already done / still in use           ENOENT  no such cache, root, object
 *   ENOMEM  heap limit, reservation, or memory    ENOSPC  too many caches, roots, threads
 *   ESRCH   thread not attached / not the caller  EINTR   a fatal signal came first
 *                                                         (CALLBACK: any signal)
 *   ECHILD  no child to copy the heap for         ETIMEDOUT  nor did it come to that
 *   EPROTONOSUPPORT  ABI or layout version        EOPNOTSUPP  required feature missing
 *   ENOTTY  unknown ioctl                         EUCLEAN verifier found damage
 *   EEXIST  there is one already
 *   EAGAIN  the collection could not be completed (a root was unreadable, or
 *           the threads could not be stopped in time); nothing is lost
 *   ETIME   nor that one, since the callback thread did not answer in time, or has died
 */
#ifndef _UAPI_GCHEAP_H
#define _UAPI_GCHEAP_H

#include <linux/types.h>
#include <linux/ioctl.h>

#define GCHEAP_ABI		1	/* ioctls and structures */
#define GCHEAP_ABI_MIN		1	/* oldest the module still speaks */
#define GCHEAP_LAYOUT		1	/* metadata mapping and control blocks */

/* Offsets for mmap. */
#define GCHEAP_OFF_HEAP		0x000000000000ULL
#define GCHEAP_OFF_META		0x100000000000ULL
#define GCHEAP_OFF_STATUS	0x200000000000ULL
#define GCHEAP_OFF_TCB		0x300000000000ULL

/* Geometry (layout version 1). */
#define GCHEAP_GRANULE		16
#define GCHEAP_SLOT_SHIFT	13
#define GCHEAP_SLOT_SIZE	(1u << GCHEAP_SLOT_SHIFT)
#define GCHEAP_CHUNK_SHIFT	21
#define GCHEAP_CHUNK_SIZE	(1u << GCHEAP_CHUNK_SHIFT)
#define GCHEAP_CHUNK_SLOTS	256
#define GCHEAP_META_STRIDE	0x8000	/* per chunk */
#define GCHEAP_META_LIVE	0x2000	/* offset of live bits in a stride */
#define GCHEAP_LIVE_BYTES	64	/* live bits of one slot, and kernel's */
#define GCHEAP_STATUS_SIZE	4096
#define GCHEAP_TCB_SIZE		0x8000
#define GCHEAP_MAX_CACHES	960
#define GCHEAP_BATCH		8	/* spans of one cache a thread owns at most */
#define GCHEAP_RING		128	/* early frees pending in a control block */
#define GCHEAP_CELL_MAX		32768	/* larger objects: GCHEAP_IOC_LARGE */
#define GCHEAP_HEAP_MIN		(4ULL << 20)
#define GCHEAP_HEAP_MAX		(1ULL << 40)

/**
 * struct gcheap_span - public descriptor of a slot (read-only mapping)
 * @head: 0: free slot; else 1 + number of the span's first slot
 * @nslots: length in slots
 * @recip: reciprocal of the cell size: ceil(2^32 / cell bytes), 0 if one cell
 * @cell_granules: cell size in units of 16 bytes
 * @bytes: large object: size asked for; else 0
 * @cache: cache number
 * @ncells: cells in the span
 * @nlive: cells found live by the last sweep
 * @state: GCHEAP_SPAN_*
 * @flags: GCHEAP_SPANF_*
 */
struct gcheap_span {
	__u32 head;
	__u32 nslots;
	__u32 recip;
	__u32 cell_granules;
	__u64 bytes;
	__u16 cache;
	__u16 ncells;
	__u16 nlive;
	__u8  state;
	__u8  flags;
};

enum {				/* gcheap_span.state */
	GCHEAP_SPAN_FREE	= 0,	/* in the page heap */
	GCHEAP_SPAN_FULL	= 1,	/* no free cells at the last sweep */
	GCHEAP_SPAN_PARTIAL	= 2,	/* has free cells, nobody's */
	GCHEAP_SPAN_OWNED	= 3,	/* handed to a thread */
	GCHEAP_SPAN_LARGE	= 4,	/* one large object */
	GCHEAP_SPAN_SOURCE	= 5,	/* its objects are to move */
	GCHEAP_SPAN_TARGET	= 6,	/* objects move there */
	GCHEAP_SPAN_MOVED	= 7,	/* they have: nothing is there, nor will be soon */
};
#define GCHEAP_SPANF_ZERO	(1u << 0) /* every free cell is zero; of a large object:
					 * nothing is left in it from earlier use */
#define GCHEAP_SPANF_COLOUR	(1u << 1) /* kernel: alternates with each sweep */
#define GCHEAP_SPANF_NOSCAN	(1u << 2)
#define GCHEAP_SPANF_IDLE	(1u << 3) /* kernel: was not handed out lately */
#define GCHEAP_SPANF_PAST_END	(1u << 4) /* its cache's GCHEAP_CACHE_PAST_END */
#define GCHEAP_SPANF_MESHED	(1u << 5) /* kernel: its pages may share frames with others */
#define GCHEAP_SPANF_PINNED	(1u << 6) /* kernel: could not be moved lately */

/**
 * struct gcheap_cursor - a thread's place in its spans of one cache
 * @pos: batch index << 32 | cell index; the only field the kernel reads
 * @free, @base, @step, @word: the library's own
 */
struct gcheap_cursor {
	__u64 pos;
	__u64 free;
	__u64 base;
	__u32 step;
	__u32 word;
};

/**
 * struct gcheap_tcb - thread control block (read-write mapping)
 * @thread: the thread's number, written by the kernel at attach
 * @free_head: early frees pushed, written by the library
 * @free_tail: early frees drained, written by the kernel
 * @hidden: not 0: the thread makes addresses of words that do not look like them, a link's
 *	say (see gcheap_link): no marking is completed meanwhile. 0 at attach
 * @free_ring: their addresses, at index & (GCHEAP_RING - 1)
 * @lib: the library's own
 * @cursor: one for each cache
 */
struct gcheap_tcb {
	__u32 thread;
	__u32 free_head;
	__u32 free_tail;
	__u32 hidden;
	__u64 free_ring[GCHEAP_RING];
	__u64 lib[126];
	struct gcheap_cursor cursor[GCHEAP_MAX_CACHES];
};

/**
 * struct gcheap_status - counters (read-only mapping)
 * @seq: odd while being written; read, copy, read again (acquire)
 * Bytes and nanoseconds throughout. Histograms: bucket b counts values v with
 * 2^b <= v < 2^(b+1) nanoseconds (bucket 0: below 2).
 */
struct gcheap_status {
	__u32 seq;
	__u32 size;
	__u32 phase;			/* GCHEAP_PHASE_* */
	__u32 threads;			/* attached */
	__u64 cycles;			/* completed */
	__u64 cycles_failed;		/* ended attempts */
	__u64 heap_bytes;		/* in spans */
	__u64 heap_peak;
	__u64 resident_bytes;		/* heap pages held */
	__u64 meta_bytes;		/* metadata, kernel tables included */
	__u64 goal_bytes;		/* heap size at which the next cycle is to be over */
	__u64 limit_bytes;		/* 0: none */
	__u64 alloc_bytes;		/* handed out since the start, in free cells */
	__u64 alloc_large_bytes;	/* of these large objects */
	__u64 marked_objects;		/* last cycle: reached from roots */
	__u64 marked_bytes;
	__u64 live_objects;		/* last cycle: marked or allocated meanwhile */
	__u64 live_bytes;
	__u64 freed_objects;		/* since the start, by sweeping */
	__u64 freed_early;		/* since the start, by early free */
	__u64 bad_frees;
	__u64 spans_handed;
	__u64 span_calls;
	__u64 pages_released;
	__u64 pause_ns_last;
	__u64 pause_ns_total;
	__u64 pause_ns_max;
	__u64 stop_ns_max;		/* request to all stopped */
	__u64 root_words;		/* last cycle */
	__u64 threads_stopped;		/* last cycle: found */
	__u64 finalizers;		/* registered */
	__u64 finalizers_ready;		/* waiting for GCHEAP_IOC_FINALIZERS */
	__u64 weak_cleared;		/* since the start */
	__u64 events_lost;
	__u64 oom_returns;		/* ENOMEM by limit or memory */
	__u64 stop_hist[32];
	__u64 pause_hist[32];
	__u64 pauses;			/* since the start, all that were begun */
	__u64 trace_rounds;		/* over pages written while marking */
	__u64 pages_rescanned;
	__u64 pages_logged;		/* of these in pauses */
	__u64 write_faults;		/* of the program on protected pages */
	__u64 black_bytes;		/* last cycle: handed out while marking */
	__u64 trigger_bytes;		/* heap size that starts the next cycle */
	__u64 assists;			/* slices marked in _SPANS and _LARGE, */
	__u64 assist_bytes;		/* marked so, */
	__u64 assist_ns;		/* and time taken, waiting included */
	__u64 assist_waits;		/* calls that waited for marking to end */
	__u64 log_waits;		/* writes that waited for a pause to come */
	__u64 cycles_young;		/* of the cycles: young collections */
	__u64 checks;			/* cycles checked (GCHEAP_PARAM_CHECK) */
	__u64 check_lost;		/* objects that would have been lost: a bug */
	__u64 offheap_bytes;		/* told of by GCHEAP_IOC_OFFHEAP */
	__u64 collector_ns;		/* processor time of the collector and its helpers */
	__u64 relief_bytes;		/* the soft limit gives way to, for its sake */
	__u64 helped_bytes;		/* marked by helpers beside the collector */
	__u64 root_words_same;		/* of root_words: as they were in the first pause */
	__u64 pages_vacated;		/* of pages_released: without objects, in spans in use */
	__u64 meshed_bytes;		/* pages that have the memory of others */
	__u64 pages_meshed;		/* since the start: given that of another, */
	__u64 pages_split;		/* given their own again, */
	__u64 pages_busy;		/* not moved, since somebody had them pinned */
	__u64 flips;			/* pauses since the start in which objects moved, */
	__u64 moved_objects;		/* so many, */
	__u64 moved_bytes;
	__u64 spans_pinned;		/* and spans that could not: ambiguous references to them,
					 * finalizers, pages that somebody has pinned */
	__u64 flip_pages;		/* to be filled or corrected after flips, */
	__u64 flip_zapped;		/* unmapped before their pauses, */
	__u64 flip_zapped_late;		/* and in these */
	__u64 flip_faults;		/* of the program, on those not done yet, */
	__u64 flip_fault_ns;		/* from fault to page in all, */
	__u64 flip_fault_ns_max;	/* and at most */
	__u64 roots_pinned;		/* pages of precise roots that could not be changed */
	__u64 resized;			/* large objects that got another size, uncopied, */
	__u64 pages_remapped;		/* and pages of theirs that went to another place */
	__u64 compactions;		/* asked for, or by itself, */
	__u64 compactions_own;		/* of these (GCHEAP_PARAM_COMPACT) */
	__u64 links;			/* registered */
	__u64 links_cleared;		/* since the start */
	__u64 awaits_hidden;		/* 1: a pause waits until no gcheap_tcb.hidden is set */
};

enum {
	GCHEAP_PHASE_IDLE	= 0,
	GCHEAP_PHASE_CLEAR	= 1,	/* old sweep finished, marks cleared */
	GCHEAP_PHASE_STOP	= 2,	/* threads being stopped */
	GCHEAP_PHASE_MARK	= 3,
	GCHEAP_PHASE_FINISH	= 4,	/* weak fields */
	GCHEAP_PHASE_SWEEP	= 5,
	GCHEAP_PHASE_TRACE	= 6,	/* marking, threads run; between CLEAR and STOP */
	GCHEAP_PHASE_FINALIZE	= 7,	/* finalizers; between FINISH and SWEEP */
};

#define GCHEAP_IOC_TYPE		0xB8
#define GCHEAP_IOC_SETUP	_IO(GCHEAP_IOC_TYPE, 0x00)
#define GCHEAP_IOC_CACHE_CREATE	_IO(GCHEAP_IOC_TYPE, 0x01)
#define GCHEAP_IOC_CACHE_DESTROY _IO(GCHEAP_IOC_TYPE, 0x02)
#define GCHEAP_IOC_THREAD_ATTACH _IO(GCHEAP_IOC_TYPE, 0x03)
#define GCHEAP_IOC_THREAD_DETACH _IO(GCHEAP_IOC_TYPE, 0x04)
#define GCHEAP_IOC_SPANS	_IO(GCHEAP_IOC_TYPE, 0x05)
#define GCHEAP_IOC_LARGE	_IO(GCHEAP_IOC_TYPE, 0x06)
#define GCHEAP_IOC_FLUSH	_IO(GCHEAP_IOC_TYPE, 0x07)
#define GCHEAP_IOC_ROOT_ADD	_IO(GCHEAP_IOC_TYPE, 0x08)
#define GCHEAP_IOC_ROOT_DEL	_IO(GCHEAP_IOC_TYPE, 0x09)
#define GCHEAP_IOC_TLS		_IO(GCHEAP_IOC_TYPE, 0x0a)
#define GCHEAP_IOC_COLLECT	_IO(GCHEAP_IOC_TYPE, 0x0b)
#define GCHEAP_IOC_HOLD		_IO(GCHEAP_IOC_TYPE, 0x0c)
#define GCHEAP_IOC_PARAM	_IO(GCHEAP_IOC_TYPE, 0x0d)
#define GCHEAP_IOC_FINALIZER	_IO(GCHEAP_IOC_TYPE, 0x0e)
#define GCHEAP_IOC_FINALIZERS	_IO(GCHEAP_IOC_TYPE, 0x0f)
#define GCHEAP_IOC_INFO		_IO(GCHEAP_IOC_TYPE, 0x10)
#define GCHEAP_IOC_VERIFY	_IO(GCHEAP_IOC_TYPE, 0x11)
#define GCHEAP_IOC_CALLBACK	_IO(GCHEAP_IOC_TYPE, 0x12)
#define GCHEAP_IOC_OFFHEAP	_IO(GCHEAP_IOC_TYPE, 0x13)
#define GCHEAP_IOC_LEND		_IO(GCHEAP_IOC_TYPE, 0x14)
#define GCHEAP_IOC_RESIZE	_IO(GCHEAP_IOC_TYPE, 0x15)
#define GCHEAP_IOC_LINK		_IO(GCHEAP_IOC_TYPE, 0x16)
#define GCHEAP_IOC_FORK		_IO(GCHEAP_IOC_TYPE, 0x1b)
#define GCHEAP_IOC_ADOPT	_IO(GCHEAP_IOC_TYPE, 0x1c)

#define GCHEAP_FEAT_STW		(1ULL << 0)	/* stop-the-world marking */
#define GCHEAP_FEAT_WEAK	(1ULL << 1)	/* weak fields */
#define GCHEAP_FEAT_FINALIZERS	(1ULL << 2)
#define GCHEAP_FEAT_DTV		(1ULL << 3)	/* GCHEAP_IOC_TLS with a DTV */
#define GCHEAP_FEAT_CONCURRENT	(1ULL << 4)	/* GCHEAP_PARAM_CONCURRENT */
#define GCHEAP_FEAT_CALLBACK	(1ULL << 5)	/* GCHEAP_IOC_CALLBACK */
#define GCHEAP_FEAT_OFFHEAP	(1ULL << 6)	/* GCHEAP_IOC_OFFHEAP, soft limit */
#define GCHEAP_FEAT_EPHEMERON	(1ULL << 7)	/* GCHEAP_CACHE_EPHEMERON */
#define GCHEAP_FEAT_LEND	(1ULL << 8)	/* GCHEAP_IOC_LEND */
#define GCHEAP_FEAT_COMPACT	(1ULL << 9)	/* GCHEAP_COLLECT_COMPACT, _PARAM_RELEASE */
#define GCHEAP_FEAT_EVACUATE	(1ULL << 10)	/* GCHEAP_CACHE_MOVABLE */
#define GCHEAP_FEAT_RESIZE	(1ULL << 11)	/* GCHEAP_IOC_RESIZE */
#define GCHEAP_FEAT_ASK		(1ULL << 12)	/* GCHEAP_ASK; a callback thread's timeout */
#define GCHEAP_FEAT_ORDER	(1ULL << 13)	/* finalizers in order */
#define GCHEAP_FEAT_LINKS	(1ULL << 14)	/* GCHEAP_IOC_LINK, gcheap_tcb.hidden */
#define GCHEAP_FEAT_FORK	(1ULL << 15)	/* GCHEAP_IOC_FORK, _ADOPT */
#define GCHEAP_FEAT_LOOK	(1ULL << 16)	/* GCHEAP_FINALIZERS_LOOK */
#define GCHEAP_FEATURES		(GCHEAP_FEAT_STW | GCHEAP_FEAT_WEAK | \
				 GCHEAP_FEAT_FINALIZERS | GCHEAP_FEAT_DTV | \
				 GCHEAP_FEAT_CONCURRENT | GCHEAP_FEAT_CALLBACK | \
				 GCHEAP_FEAT_OFFHEAP | GCHEAP_FEAT_EPHEMERON | \
				 GCHEAP_FEAT_LEND | GCHEAP_FEAT_COMPACT | \
				 GCHEAP_FEAT_EVACUATE | GCHEAP_FEAT_RESIZE | \
				 GCHEAP_FEAT_ASK | GCHEAP_FEAT_ORDER | GCHEAP_FEAT_LINKS | \
				 GCHEAP_FEAT_FORK | GCHEAP_FEAT_LOOK)

#define GCHEAP_SETUP_PRECISE_ONLY (1u << 0) /* registers, stacks, TLS: no roots; nor do they
					      * keep objects of movable caches from
					      * moving while the heap is compacted */

/**
 * struct gcheap_setup - GCHEAP_IOC_SETUP, once, before the heap is mapped
 * @abi, @layout: in: what the caller was built for; out: what the module has.
 *	Written back on EPROTONOSUPPORT too.
 * @features: in: required; out: present. Written back on EOPNOTSUPP too.
 * @heap_size: in: reservation, multiple of 2 MiB in [HEAP_MIN, HEAP_MAX], 0 for
 *	the default; out: the mapping's size
 * @limit: most bytes in spans, 0: none
 * @growth: percent of the live bytes to allocate before the next cycle; 0: 100
 * @min_heap: no automatic cycle below this; 0: 4 MiB
 * @meta_size, @tcb_size: out: sizes of those mappings
 * @max_threads: in: most attached threads, 0: 1024; out: in force
 * EBUSY: set up already.
 */
struct gcheap_setup {
	__u32 size;
	__u32 flags;
	__u32 abi;
	__u32 layout;
	__u64 features;
	__u64 heap_size;
	__u64 limit;
	__u64 min_heap;
	__u32 growth;
	__u32 max_threads;
	__u64 meta_size;
	__u64 tcb_size;
};

enum {				/* gcheap_cache_create.layout */
	GCHEAP_CONSERVATIVE	= 0,
	GCHEAP_NOSCAN		= 1,
	GCHEAP_TYPED		= 2,
	GCHEAP_ASK		= 3,	/* what objects refer to is asked of GCHEAP_IOC_CALLBACK */
	/* reserved: shapes selected by a header word */
};
#define GCHEAP_CACHE_LARGE	(1u << 0) /* for GCHEAP_IOC_LARGE; cell_size is 0 */
#define GCHEAP_CACHE_PAST_END	(1u << 1) /* a word one past the end of a cell,
					   * from an ambiguous root or field,
					   * keeps that cell too (rule R16) */
#define GCHEAP_CACHE_EPHEMERON	(1u << 2) /* elements are ephemerons */
#define GCHEAP_CACHE_MOVABLE	(1u << 3) /* objects may be given another address; TYPED or
					   * NOSCAN, not _LARGE */
#define GCHEAP_MAP_WORDS	512	/* longest fixed part or element, words */
#define GCHEAP_NO_LENGTH	0xffffffffu

/**
 * struct gcheap_cache_create - GCHEAP_IOC_CACHE_CREATE
 * @layout: GCHEAP_CONSERVATIVE, _NOSCAN, _TYPED, _ASK
 * @cell_size: bytes, multiple of 16 in [16, GCHEAP_CELL_MAX]; 0 with _LARGE
 * @cache: out: its number
 * @span_bytes, @ncells: out: geometry of its spans
 *
 * Objects of GCHEAP_ASK caches are not looked at by the kernel. In the pause that is to end the
 * marking the callback thread (see there) is asked about each of them that is marked, and
 * what it tells is kept; so there has to be such a thread, or else collections fail (ETIME)
 * as soon as one is marked. No collection is young while a heap has such a cache, and no
 * object is given another address.
 *
 * Typed only, else 0. A cell is a fixed part of @fixed_words 8-byte words and
 * then as many elements of @elem_words words as fit, or as the word number
 * @length_word (of the fixed part) says if that is fewer.
 * @fixed_map, @elem_map: user addresses of bit maps, (words + 63) / 64 u64 each:
 *	the words that hold pointers
 * @fixed_weak, @elem_weak: the same for weak pointers; 0: none. A word may not
 *	be in both. Weak words are set to 0 when what they refer to dies.
 * GCHEAP_CACHE_EPHEMERON: each element has one weak word, its key. What its pointer
 *	words refer to is kept as long as the cell is and the key's object is for other
 *	reasons than these words; then the key is set to 0, and these words as well. A key
 *	that is no heap address is never gone.
 * @tag_bits: low bits of every pointer word that are not address, 0..4
 * Typed pointers hold 0, or an address inside of the object meant (one past
 * the end is not), or anything that is no heap address.
 */
struct gcheap_cache_create {
	__u32 size;
	__u32 flags;
	__u32 layout;
	__u32 cell_size;
	__u32 cache;
	__u32 span_bytes;
	__u32 ncells;
	__u32 fixed_words;
	__u32 elem_words;
	__u32 length_word;
	__u32 tag_bits;
	__u32 pad;
	__u64 fixed_map;
	__u64 fixed_weak;
	__u64 elem_map;
	__u64 elem_weak;
};

/**
 * struct gcheap_cache_destroy - GCHEAP_IOC_CACHE_DESTROY
 * EBUSY while it has spans; the caller's own owned spans are given back first.
 */
struct gcheap_cache_destroy {
	__u32 size;
	__u32 flags;
	__u32 cache;
	__u32 thread;
};

/**
 * struct gcheap_thread - GCHEAP_IOC_THREAD_ATTACH and _DETACH (the caller only)
 * @thread: out (attach) / in (detach): number of its control block
 * @stack_lo, @stack_hi: bounds of its stack, 0, 0 if unknown
 * Attach: EBUSY: attached already; ENOSPC. Detach gives its spans back. A
 * thread that ends is detached when the kernel has seen it dead.
 */
struct gcheap_thread {
	__u32 size;
	__u32 flags;
	__u32 thread;
	__u32 pad;
	__u64 stack_lo;
	__u64 stack_hi;
};

/**
 * struct gcheap_spans - GCHEAP_IOC_SPANS: next batch of spans of one cache
 * @thread: the caller's number (ESRCH if it is not)
 * @cache: cache
 * @want: spans wanted, 0..GCHEAP_BATCH; 0 only gives back
 * @got: out: spans given, 1..@want
 * @span: out: their first slots' numbers
 * The caller's earlier spans of the cache are taken back as its cursor says,
 * cursor.pos is set to 0. Early frees are drained. May collect; while marking is under
 * way it may mark first, or wait for the end of it when the goal is reached (_LARGE too).
 * ENOMEM: the limit is reached with everything collected; the heap stays usable.
 */
struct gcheap_spans {
	__u32 size;
	__u32 flags;
	__u32 thread;
	__u32 cache;
	__u32 want;
	__u32 got;
	__u32 span[GCHEAP_BATCH];
};

/**
 * struct gcheap_large - GCHEAP_IOC_LARGE: one object of its own span, zeroed
 * @bytes: size; @addr: out
 */
struct gcheap_large {
	__u32 size;
	__u32 flags;
	__u32 thread;
	__u32 cache;
	__u64 bytes;
	__u64 addr;
};

/**
 * struct gcheap_resize - GCHEAP_IOC_RESIZE: another size for a large object
 * @addr: in: its start; out: where it is now
 * @bytes: its new size, as of gcheap_large
 * @cookie: out: of its finalizer, which is taken off when the object goes elsewhere; 0: none.
 *	Then links to it count as to an object that was freed; links in it go along.
 *
 * Its pages stay its own: nothing is copied. What is new in it is zero, if nobody has written
 * beyond its end. It stays where it is if it becomes smaller, or if there is room after it;
 * else the old address is no object's any more. ENOENT: not the start of a large object, or
 * another thread has freed it meanwhile; EBUSY: not now, objects are being moved, by another
 * thread this one, or finalizers looked for, or it would have to move and is one that the program
 * is asked about (GCHEAP_ASK): copy it; ENOMEM: as of GCHEAP_IOC_LARGE. After the
 * last two the object is as it was.
 */
struct gcheap_resize {
	__u32 size;
	__u32 flags;
	__u32 thread;
	__u32 pad;
	__u64 addr;
	__u64 bytes;
	__u64 cookie;
};

/** struct gcheap_flush - GCHEAP_IOC_FLUSH: drain early frees; with
 * GCHEAP_FLUSH_SPANS give back every span of the calling thread as well */
#define GCHEAP_FLUSH_SPANS	(1u << 0)
struct gcheap_flush {
	__u32 size;
	__u32 flags;
	__u32 thread;
	__u32 pad;
};

#define GCHEAP_ROOT_PRECISE	(1u << 0) /* words are 0 or pointers; else ambiguous */
#define GCHEAP_ROOT_TOP		(1u << 1) /* shadow stack: scan [addr, *top) */
#define GCHEAP_ROOT_FIBER	(1u << 2) /* parked stack: scan [*top - 128, addr+len);
					   * *top outside of [addr, addr+len]: nothing */
/**
 * struct gcheap_root - GCHEAP_IOC_ROOT_ADD / _DEL
 * @id: out (add) / in (del)
 * @addr, @len: 8-byte aligned range, in bytes
 * @top: address of the word that holds the top (flags _TOP, _FIBER), else 0.
 *	A value outside of the range is clamped (_TOP) or skips it (_FIBER).
 */
struct gcheap_root {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 pad;
	__u64 addr;
	__u64 len;
	__u64 top;
};

/**
 * struct gcheap_tls - GCHEAP_IOC_TLS: where a thread's TLS is, for all threads
 * @below, @above: bytes of static TLS and thread descriptor around the thread
 *	pointer (x86-64: FS base); both at most 1 MiB
 * @nmodules, @modules: user address of gcheap_tls_module[], at most 4096:
 *	blocks found through the dynamic thread vector, whose address is at thread
 *	pointer + @dtv_offset, entries of @dtv_stride bytes by module number,
 *	first word the block's address, -1 if there is none. A vector in the heap is an
 *	object like others; where its page was never touched there are no blocks
 * @flags: GCHEAP_TLS_COUNTED: the word @dtv_stride below the vector is the highest
 *	module number it has room for, as glibc's is; else it is taken to be long enough
 * A later call replaces the earlier.
 */
struct gcheap_tls_module {
	__u32 module;
	__u32 bytes;
};
#define GCHEAP_TLS_COUNTED	(1u << 0)
struct gcheap_tls {
	__u32 size;
	__u32 flags;
	__u32 below;
	__u32 above;
	__u32 dtv_offset;
	__u32 dtv_stride;
	__u32 nmodules;
	__u32 pad;
	__u64 modules;
};

#define GCHEAP_COLLECT_WAIT	(1u << 0) /* return when done (sweep included) */
#define GCHEAP_COLLECT_YOUNG	(1u << 1) /* a young one will do: see GCHEAP_PARAM_YOUNG */
#define GCHEAP_COLLECT_COMPACT	(1u << 2) /* and then let pages share memory, and give
					   * back those without objects, needed soon or not,
					   * but for those of spans that threads have; not young */
/** struct gcheap_collect - GCHEAP_IOC_COLLECT: a cycle that begins after the call;
 * calls made before it has begun share it. @cycle: out: its number, failed ones
 * counted: it is over when the status page's @cycles + @cycles_failed reach it.
 * EAGAIN, ETIME (with _WAIT): it failed. */
struct gcheap_collect {
	__u32 size;
	__u32 flags;
	__u64 cycle;
};

/** struct gcheap_hold - GCHEAP_IOC_HOLD: count of reasons not to collect by
 * oneself. @delta +1 or -1; @count: out. Explicit collections are not held.
 * +1 returns when none that began before is under way. With the limit reached
 * while held: ENOMEM. */
struct gcheap_hold {
	__u32 size;
	__u32 flags;
	__s32 delta;
	__u32 count;
};

enum {				/* gcheap_param.param */
	GCHEAP_PARAM_GROWTH	= 0,	/* percent */
	GCHEAP_PARAM_LIMIT	= 1,	/* bytes, 0: none */
	GCHEAP_PARAM_MIN_HEAP	= 2,	/* bytes */
	GCHEAP_PARAM_VERIFY	= 3,	/* 1: verify after every cycle */
	GCHEAP_PARAM_CONCURRENT	= 4,	/* 1: mark while the threads run: as the
					 * module is told, 1 */
	GCHEAP_PARAM_PAUSE	= 5,	/* ns in which a pause should complete the marking;
					 * one that does not is ended, and the next may
					 * take twice as long */
	GCHEAP_PARAM_TRACK	= 6,	/* GCHEAP_TRACK_*; EBUSY while marking */
	GCHEAP_PARAM_CHECK	= 7,	/* 1: when marking beside the threads is complete, mark
					 * again with them stopped and compare; what would have
					 * been lost is kept, counted, and told in the log */
	GCHEAP_PARAM_YOUNG	= 8,	/* 1: collections that nobody asked for may be young:
					 * what an earlier one has found alive stays, dead or
					 * not (with _CONCURRENT, tracking by dirty bits);
					 * 2: are, whether that pays or not */
	GCHEAP_PARAM_SOFT_LIMIT	= 9,	/* bytes, 0: none: what is reached and off-heap bytes
					 * should stay below, by collecting more often, though
					 * not for more than half of the time */
	GCHEAP_PARAM_WORKERS	= 10,	/* that mark together, 1 to GCHEAP_WORKERS_MAX; 0: a
					 * quarter of the processors, all while stopped */
	GCHEAP_PARAM_RELEASE	= 11,	/* 1: pages without objects are given back in spans
					 * in use, too, not only those of free slots: as
					 * the module is told, 1 */
	GCHEAP_PARAM_MESH	= 12,	/* 1: compaction lets pages whose objects do not lie at
					 * the same places share memory: as the module is
					 * told, 1 */
	GCHEAP_PARAM_EVACUATE	= 13,	/* 1: compaction moves objects of caches that are
					 * GCHEAP_CACHE_MOVABLE (with _CONCURRENT): as the
					 * module is told, 1 */
	GCHEAP_PARAM_COMPACT	= 14,	/* percent, 0: never: compact by oneself when the heap
					 * has so much more memory than it will use until the
					 * next cycle is over; with the soft limit exceeded, or
					 * when the system is short of memory, from 12 % more
					 * than what is alive on. It takes a twentieth of the
					 * time at most. With _PRECISE_ONLY nothing moves for
					 * that. As the module is told, 25 */
	GCHEAP_PARAM_MAX
};
#define GCHEAP_PARAM_SET	(1u << 0)
#define GCHEAP_WORKERS_MAX	8

enum {				/* how writes are heard of while marking */
	GCHEAP_TRACK_DEFAULT	= 0,	/* the best that the kernel has */
	GCHEAP_TRACK_DIRTY	= 1,	/* the processor's dirty bits */
	GCHEAP_TRACK_PROTECT	= 2,	/* write protection */
	GCHEAP_TRACK_UNMAP	= 3,	/* unmapping: all that some kernels have */
};
/** struct gcheap_param - GCHEAP_IOC_PARAM; @value: in with _SET; out: in force */
struct gcheap_param {
	__u32 size;
	__u32 flags;
	__u32 param;
	__u32 pad;
	__u64 value;
};

#define GCHEAP_FINALIZER_CLEAR	(1u << 0)
#define GCHEAP_FINALIZER_ORDERED (1u << 1) /* not while another dead object that has one leads
					    * to it, or it leads to itself */
#define GCHEAP_FINALIZER_BUT_SELF (1u << 2) /* _ORDERED, but its pointers to itself do not
					     * count */
#define GCHEAP_FINALIZER_UNREACHABLE (1u << 3) /* _ORDERED, nor while one that is queued in the
						* same cycle, ordered or not, leads to it */
#define GCHEAP_FINALIZER_ALL (1u << 4) /* queue all that have one, dead or not; no @addr, @cookie */
/**
 * struct gcheap_finalizer - GCHEAP_IOC_FINALIZER: queue an object when it dies
 * @addr: start of a live object; @cookie: the caller's
 * @old: out: cookie it replaced, 0 if none. At most one an object.
 * Without one of _ORDERED, _BUT_SELF, _UNREACHABLE all that have died are queued at once, and
 * nothing keeps them from it but ordered ones that lead to them: what these refer to, directly
 * or not, stays as if it were not dead, and is not queued before they have been fetched and are
 * gone. So objects in a circle of ordered ones never are. EINVAL: more than one flag.
 */
struct gcheap_finalizer {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 cookie;
	__u64 old;
};

#define GCHEAP_FINALIZERS_LOOK	(1u << 0)
#define GCHEAP_FINALIZERS_LOOKED (1u << 1)
/** struct gcheap_finalizers - GCHEAP_IOC_FINALIZERS: fetch dead ones
 * @flags: _LOOK: those that this has not shown yet, which stay queued; _LOOKED: fetch no others
 *	than this has shown; EINVAL: both
 * @max: room at @items (gcheap_ready[]); @got: out; @left: out: still queued.
 * A fetched object is no longer kept by the kernel: have @items in a root (a
 * thread's stack is one). */
struct gcheap_ready {
	__u64 addr;
	__u64 cookie;
};
struct gcheap_finalizers {
	__u32 size;
	__u32 flags;
	__u32 max;
	__u32 got;
	__u64 left;
	__u64 items;
};

enum {				/* gcheap_link.op */
	GCHEAP_LINK_SET		= 0,	/* the word at @addr becomes 0 when @object has died */
	GCHEAP_LINK_CLEAR	= 1,	/* or not */
	GCHEAP_LINK_MOVE	= 2,	/* it is the word at @to instead */
	GCHEAP_LINK_GET		= 3,
	GCHEAP_LINK_AWAIT	= 4,	/* phase FINALIZE is over, and status.awaits_hidden 0; no
					 * other argument */
};
#define GCHEAP_LINK_LONG	(1u << 0)
/**
 * struct gcheap_link - GCHEAP_IOC_LINK: words that become 0 when an object dies
 * @flags: without _LONG it has died when no root leads to it; with _LONG, when no object to
 *	be finalized does either. A word may have a link of each kind.
 * @op: GCHEAP_LINK_*
 * @addr: of the word, a multiple of 8, in an object of the heap or anywhere else
 * @object: _SET: its start. What the word holds is the caller's: it need not be that.
 * @to: _MOVE
 * @old: out: the object of the link so far; _SET: 0: there was none. An address, not a
 *	reference: the object may be dead, or have been by the time that the call returns
 *
 * A link ends when its word has become 0, and with the object of the heap in which the word
 * is. If @object is freed early, the word becomes 0 in the next cycle. Memory elsewhere that
 * is unmapped harms nothing; such that can not be written keeps the object, as long as there
 * is a link. That goes for shared mappings of files, too, with most file systems (not tmpfs): the
 * kernel writes to a page there only while the program's last write has not been written back.
 *
 * Words that are not in roots, or do not look like addresses, are read with the thread's
 * gcheap_tcb.hidden set, and only if status.phase is not FINALIZE then (_AWAIT, with @hidden
 * 0): links of dead objects that finalizable ones may lead to have not become 0 yet. Who is not
 * within already also waits if status.awaits_hidden is not 0, or else collections may fail.
 *
 * ENOENT: no such link, no such object; EEXIST: _MOVE: there is another one; EINVAL: @addr or
 * @to no multiple of 8, no user address, or in the heap and in no object; ENOSPC: 2^24 of them.
 */
struct gcheap_link {
	__u32 size;
	__u32 flags;
	__u32 op;
	__u32 pad;
	__u64 addr;
	__u64 object;
	__u64 to;
	__u64 old;
};

#define GCHEAP_INFO_LIVE	(1u << 0) /* allocated */
#define GCHEAP_INFO_MARKED	(1u << 1) /* reached by the last cycle */
#define GCHEAP_INFO_LARGE	(1u << 2)
#define GCHEAP_INFO_OWNED	(1u << 3)
/** struct gcheap_info - GCHEAP_IOC_INFO: what is at an address; ENOENT: no cell
 * @addr: any address in the object; out: @base, @bytes (usable), @cache,
 * @state GCHEAP_INFO_* */
struct gcheap_info {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 base;
	__u64 bytes;
	__u32 cache;
	__u32 state;
};

/** struct gcheap_verify - GCHEAP_IOC_VERIFY: check the whole structure.
 * EUCLEAN: @code the broken invariant's number (doc/design.md), @where its slot. */
struct gcheap_verify {
	__u32 size;
	__u32 flags;
	__u32 code;
	__u32 where;
	__u64 detail;
};

#define GCHEAP_CALLBACK_MORE	(1u << 0) /* this is not all: return at once */
#define GCHEAP_CALLBACK_END	(1u << 1) /* be a thread like others again */
#define GCHEAP_CALLBACK_WORDS	512
#define GCHEAP_CALLBACK_TIMEOUT_MAX 20000
/**
 * struct gcheap_callback - GCHEAP_IOC_CALLBACK: tell what only code can find
 * @thread: the caller's number. It becomes the heap's callback thread: pauses do not
 *	stop it, and its registers, stack and TLS are no roots. EBUSY: another one is.
 * @pause: in: number of the question that is being answered, 0: none; out: of the next one
 * @words, @n: user address of words that may be pointers, at most _CALLBACK_WORDS
 * @timeout: ms that all questions of a pause together may take, at most _TIMEOUT_MAX;
 *	0: 200. Of the last call
 * @objects: user address of room for _CALLBACK_WORDS addresses
 * @nobjects: out: so many of them the question is about; 0: it is for roots
 * Without flags the call waits for a question (EINTR: any signal). The thread looks at the
 * stopped program, changes nothing in the heap, waits for nobody, and calls again with what it
 * has found: roots that only the program knows, once in each pause; or what these objects of
 * GCHEAP_ASK caches refer to. Each is marked, and was handed out, and may have become
 * unreachable since the collection began, or have been given to an early free. In a pause each is
 * asked about once, and once more if marks are checked (GCHEAP_PARAM_CHECK), with as much time.
 * EINTR may come after an answer was taken; repeating that one is EAGAIN, and harmless.
 *
 * EAGAIN: it took too long, or stood still (by a signal, traced, frozen) for 200 ms; the pause
 * has ended without a result, the collection has failed (ETIME), and what was told does not
 * count. So it is if there is no room at @objects (EFAULT).
 * A callback thread that dies without _END leaves a heap whose collections fail until there
 * is another. The first call may be ENOMEM. GCHEAP_IOC_INFO does not wait for the end of a
 * pause that asks the caller.
 */
struct gcheap_callback {
	__u32 size;
	__u32 flags;
	__u32 thread;
	__u32 n;
	__u64 words;
	__u64 pause;
	__u32 timeout;
	__u32 nobjects;
	__u64 objects;
};

/** struct gcheap_offheap - GCHEAP_IOC_OFFHEAP: memory elsewhere that goes with objects
 * @delta: bytes, more or less than there were; @bytes: out: all of them
 * They count like allocated ones when it comes to collecting, and like live ones as long
 * as they are there. EINVAL: fewer than none, or more than 2^62. */
struct gcheap_offheap {
	__u32 size;
	__u32 flags;
	__s64 delta;
	__u64 bytes;
};

#define GCHEAP_LEND_END		(1u << 0)
/** struct gcheap_lend - GCHEAP_IOC_LEND: marking beside the threads is to be done in the
 *	caller's time, so with its priority and in its control groups
 * @ns: out: time it took of the caller
 * Does not return before a signal comes (EINTR), the heap dies (ENXIO), or another thread
 * calls with _END (ECANCELED; ENOENT for that one if none is lent). EBUSY: one is lent. Pauses
 * and sweeping stay the kernel's, and marking that it cannot wait for: when the thread
 * does not run for a while. */
struct gcheap_lend {
	__u32 size;
	__u32 flags;
	__u64 ns;
};

#define GCHEAP_FORK_BEGIN	(1u << 0)
#define GCHEAP_FORK_COPY	(1u << 1)
/**
 * struct gcheap_fork - GCHEAP_IOC_FORK: a child of the calling thread is to have a heap
 * @fd: in: 0; out, with _BEGIN: a descriptor of that heap, close-on-exec; else -1, or, if the
 *	call was refused before it was looked at, what it was
 *
 * _BEGIN, then fork(), then _COPY. From the first on until the second returns no collection
 * begins, those asked for wait, and so do other threads that set or fetch finalizers, or call
 * for links. The calling thread waits for nobody meanwhile: a collection that it asks for is
 * EAGAIN, memory that one would have to make room for ENOMEM. With neither flag: no child, after
 * all.
 * _COPY copies the heap, as it is then, to that of the first child that the thread has had
 * since _BEGIN and that does not share its address space (ECHILD: none): all objects and what
 * is in them, caches, links, finalizers, registered and ready, roots and TLS, reasons to hold
 * collections, all under the same numbers and addresses, and parameters. No thread is attached
 * to the copy, none is its callback's or lent to it; if the first heap has a callback thread
 * collections of the copy are ETIME until it has one as well. Its counters go on from those of the
 * first heap, times and histograms included; it has no events yet. Threads are stopped
 * meanwhile, for a time in proportion to the memory that the heap has. What other threads do
 * between fork() and _COPY is in the copy though it may not be in the child's memory. The memory
 * is charged to the caller's memory cgroup.
 * If the thread ends before, all goes on soon after, and there is no copy.
 * When _COPY has failed the child has no heap, and nothing else has changed. ESRCH: it was not
 * this thread that has begun, or it was half a minute ago, copying other heaps included; EBUSY:
 * another one has; EAGAIN: the threads could not be stopped; EMFILE, ENFILE.
 */
struct gcheap_fork {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 pad;
};

/**
 * struct gcheap_adopt - GCHEAP_IOC_ADOPT: the child's call, on that descriptor
 * @base: out: where its heap must be mapped, which is where its parent's was; the other
 *	mappings may be anywhere
 * @heap_size, @meta_size, @tcb_size, @max_threads: out: as of gcheap_setup
 * Waits until the heap has been copied, and comes to what that came to: 0, or ENXIO: there will
 * be no copy; ETIMEDOUT; ENOMEM and others of _COPY. The child may make the mappings without
 * waiting for that. A touch of them then waits, and is SIGBUS if there is no copy; other calls
 * wait and come to the same as this, and so does mmap() when it is known that there is none. If it
 * unmaps the heap before, by exec() say, the copying ends there. EPERM: the caller's address space
 * is not the child's, to which all other calls are EPERM as well; as long as there is no child
 * they are ENODEV, unless all is over. SETUP is EBUSY. ENOENT: the heap was not made so.
 */
struct gcheap_adopt {
	__u32 size;
	__u32 flags;
	__u64 base;
	__u64 heap_size;
	__u64 meta_size;
	__u64 tcb_size;
	__u32 max_threads;
	__u32 pad;
};

enum {				/* gcheap_event.type */
	GCHEAP_EV_CYCLE		= 1,	/* a: cycle, b: pause ns, c: live bytes */
	GCHEAP_EV_FAILED	= 2,	/* a: errno: a cycle's attempts have all ended */
	GCHEAP_EV_ROOT_GONE	= 3,	/* a: root id, 0: none of the registered; b: address
					 * unreadable, c: errno */
	GCHEAP_EV_FINALIZERS	= 4,	/* a: ready */
	GCHEAP_EV_LIMIT		= 5,	/* a: bytes wanted, b: limit */
	GCHEAP_EV_BAD_FREE	= 6,	/* a: address of the last, b: how many so far */
};
/** struct gcheap_event - what read() returns, whole records only; EAGAIN with
 * O_NONBLOCK, EINVAL for a buffer below one record. Bounded: see events_lost. */
struct gcheap_event {
	__u32 type;
	__u32 size;
	__u64 a;
	__u64 b;
	__u64 c;
};

#ifdef __cplusplus
#define GCHEAP_ABI_ASSERT(x) static_assert(x, #x)
#else
#define GCHEAP_ABI_ASSERT(x) _Static_assert(x, #x)
#endif
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_span) == 32);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_cursor) == 32);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_tcb) == GCHEAP_TCB_SIZE);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_status) <= GCHEAP_STATUS_SIZE);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_setup) == 72);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_cache_create) == 80);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_cache_destroy) == 16);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_thread) == 32);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_spans) == 56);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_large) == 32);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_resize) == 40);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_flush) == 16);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_root) == 40);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_tls) == 40);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_collect) == 16);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_hold) == 16);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_param) == 24);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_finalizer) == 32);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_finalizers) == 32);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_link) == 48);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_info) == 40);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_verify) == 24);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_callback) == 48);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_offheap) == 24);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_lend) == 16);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_fork) == 16);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_adopt) == 48);
GCHEAP_ABI_ASSERT(sizeof(struct gcheap_event) == 32);

#endif
