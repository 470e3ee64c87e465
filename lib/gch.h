/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/*
 * The library inside. A file a noun; what each offers to the others is here.
 *
 * Locks, outermost first. What is called under the recursive ones may allocate from
 * a heap, nothing else does:
 *   dl_lock		recursive; a dlopen() or dlclose() or an explicit
 *			collection is under way (dl.c, heap.c)
 *   run_lock		taken by trylock only: somebody runs finalizers (and let go under
 *			lock, so that a heap closed meanwhile is closed for good then)
 *   start_lock		recursive; threads being made and joined (pthread.c)
 *   lock		lists of heaps, threads, roots and caches
 *   pin_lock		what pins have
 *   slab.lock		each slab's
 *   await_lock		somebody waits for the heap of a forked child
 *   offheap_lock	each heap's
 * libgc's allocation lock (lib/bdw/) is taken before lock and what follows, and after run_lock.
 * With dl_lock it has no order: who has one takes the other by trylock or as its own. Nor with
 * start_lock, under which finalizers run if malloc() is the collector's (see lock.c). libgc's other
 * locks are taken within start_lock and the allocation lock.
 * The loader's own lock is taken under dl_lock and under none of the others,
 * since it is held when callbacks of dl_iterate_phdr() allocate. Who forks has to find it free:
 * see walk.c.
 */
#ifndef GCH_H
#define GCH_H

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"
#include "include/gcheap.h"

#define GCH_API		__attribute__((visibility("default")))
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define barrier()	__asm__ __volatile__("" ::: "memory")
#define READ_ONCE(x)	__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELAXED)

#define GCH_HEAPS	32	/* open at a time in a process */
#define GCH_CLASSES	72	/* cell sizes for objects of any kind */
#define GCH_SMALL	1024	/* sizes below find their class in a table */
#define GCH_SMALL_SLOTS	(GCH_SMALL / GCHEAP_GRANULE)
#define GCH_WORD_CELLS	64

enum gch_kind {
	GCH_SCAN,
	GCH_NOSCAN,
	GCH_KINDS
};

/* ---- mem.c: memory of the library's own, never from malloc() */

/* A growing array. */
struct gch_vec {
	void *items;
	size_t n;
	size_t bytes;		/* mapped */
};

/*
 * Records of one size in one range of addresses, which heaps scan as a root from
 * its start to @top. Free records are linked through their first word by number
 * and are otherwise zero.
 */
struct gch_slab {
	pthread_mutex_t lock;
	char *base;
	char *top;		/* read by the kernel: a shadow stack's top */
	char *committed;
	size_t item;
	size_t reserve;
	uint64_t free;		/* 1 + number of the first free one, 0: none */
};

void *gch_map(size_t bytes);
void gch_unmap(void *p, size_t bytes);
void *gch_vec_push(struct gch_vec *v, size_t item);
void gch_vec_drop(struct gch_vec *v, size_t item, size_t i);
void gch_vec_free(struct gch_vec *v);
int gch_slab_reserve(struct gch_slab *s);
void *gch_slab_get(struct gch_slab *s);
void gch_slab_put(struct gch_slab *s, void *record);
/* A free record's first word is odd, a used one's is an even number or 0. */
#define GCH_SLAB_FREE(next)	((uint64_t)(next) << 1 | 1)

/* ---- pthread.c, finalizer.c, pin.c: what the slabs have */

/*
 * struct gch_start - a thread made by pthread_create(), until it is joined
 * @arg: what it starts with, until it runs; @result: what it ended with (rule R15)
 */
struct gch_start {
	uint64_t id;		/* pthread_t, 0: not known yet */
	void *(*fn)(void *arg);
	void *arg;
	void *result;
	bool detached;
	bool joining;
	bool ended;
};

/* When it comes, beside others: see uapi/gcheap.h. */
enum gch_order {
	GCH_UNORDERED	= 0,
	GCH_ORDERED	= GCHEAP_FINALIZER_ORDERED,
	GCH_BUT_SELF	= GCHEAP_FINALIZER_BUT_SELF,
	GCH_UNREACHABLE	= GCHEAP_FINALIZER_UNREACHABLE,
};

struct gch_final {
	gcheap_finalizer_fn fn;
	void *data;
	enum gch_order order;
};

/*
 * Who is told of objects that are due. Between begin(), which says whether it may be and waits
 * for that if it is to, and end() none of them is run.
 */
struct gch_teller {
	bool (*begin)(bool wait);
	void (*tell)(void *object, gcheap_finalizer_fn fn);
	void (*end)(void);
};

struct gch_pin {
	uintptr_t object;	/* its start */
	uint64_t count;
};

/* ---- heap.c */

struct gch_place;
struct gch_local;

struct gcheap_cache {
	struct gcheap *heap;
	uint16_t offset;	/* of its cursor in a control block */
	uint16_t id;
	uint8_t slack;		/* bytes a cell is larger than its room */
	uint8_t kind;
	bool any_size;
	bool by_size;		/* one of the heap's own, for a class or large objects */
	bool movable;
	bool identity;		/* a word of slack has the hash value */
	uint8_t batch;		/* most spans to ask for at once */
	uint16_t max_run;	/* most cells to clear at once */
	uint32_t cell;
};

struct gch_root {
	uint64_t addr;
	uint64_t len;
	uint32_t id;
	uint32_t stamp;		/* data segments: when last seen */
};

/*
 * small: by size, big: by class: where the cursor of the cache is in a control
 * block; GCH_NO_CURSOR until the cache has been made. First, so that the fast path
 * reaches it without an offset.
 */
struct gcheap {
	uint16_t small[GCH_KINDS][GCH_SMALL_SLOTS];
	uint16_t big[GCH_KINDS][GCH_CLASSES];
	struct gch_backend backend;
	uint32_t index;
	uint32_t flags;
	bool dead;		/* this is a forked child that has none, or it was closed */
	bool opened;
	bool awaited;		/* a forked child's: it may still be copied, or not come to be */
	struct gcheap *next;	/* closed: in gch.closing or gch.spare */
	int dl_held;
	int dl_lost;		/* a forked child's: what other threads held it for */
	uint64_t traced;	/* cycles told about */
	pthread_mutex_t offheap_lock;
	int64_t offheap;	/* bytes not told of yet */
	struct gcheap_cache *by_class[GCH_KINDS][GCH_CLASSES];
	struct gcheap_cache *by_large[GCH_KINDS];
	struct gcheap_cache *weak, *ephemeron;
	struct gch_vec roots;	/* the program's, struct gch_root */
	struct gch_vec data;	/* data segments, struct gch_root */
	struct gcheap_cache cache[GCHEAP_MAX_CACHES];
};

struct gch_dl {
	uint64_t adds, subs;	/* the loader's, as of the last refresh */
	uint64_t walks;		/* begun, under the loader's lock */
	uint64_t applied;	/* number of the last that was applied */
	uint32_t stamp;
};

/*
 * All there is. No root: it has addresses of heaps in it, which are those of
 * their first objects.
 */
struct gch_state {
	struct gcheap heap0;	/* the default one */
	pthread_once_t once;	/* gch_setup() */
	pthread_once_t once0;	/* the default heap */
	bool ready;		/* heap0, or its error */
	int error;
	bool on_demand;
	bool trace;
	bool verify;
	bool lend;
	bool no_fork;
	int concurrent;		/* -1: as the module has it */
	uint64_t pause_us;	/* these: 0: as the module has it */
	uint64_t workers;
	uint64_t soft_limit;
	const char *exit_stats;
	const struct gch_backend_ops *ops;
	pthread_mutex_t lock;
	pthread_mutex_t dl_lock;
	pthread_mutex_t start_lock;
	pthread_mutex_t run_lock;
	struct gcheap *heap[GCH_HEAPS];
	struct gcheap *closing;	/* while finalizers run */
	struct gcheap *spare;	/* others may still look at what they were */
	struct gch_thread *threads;
	pthread_key_t key;
	struct gch_dl dl;
	void *(*real_dlopen)(const char *file, int mode);
	void *(*real_dlmopen)(Lmid_t space, const char *file, int mode);
	int (*real_dlclose)(void *object);
	uint32_t tls_below;	/* bytes of static storage around the thread pointer */
	uint32_t tls_above;
	struct gch_slab starts;
	struct gch_slab finalizers;
	struct gch_slab pins;
	pthread_mutex_t pin_lock;	/* of what pins have */
	pthread_mutex_t await_lock;	/* of who waits for a forked child's heap */
};
extern struct gch_state gch;

void gch_setup(void);
int gch_heap_get(struct gcheap **heap);
int gch_heap_there(struct gcheap *h);
void gch_heaps_close(struct gcheap *list);
struct gcheap *gch_heap_at(const void *p);
int gch_env_options(struct gcheap_options *o);
void gch_env_switches(void);
bool gch_fail(int err);

static inline int gch_call(struct gcheap *h, unsigned int command, void *arg)
{
	if (unlikely(h->dead))
		return -ENXIO;
	return h->backend.ops->call(&h->backend, command, arg);
}

/* Zero it, and say how large it is. */
#define GCH_ARG(type, name) struct type name = { .size = sizeof(struct type) }

/* ---- thread.c */

/*
 * struct gch_place - where a thread is in its spans of one cache
 * The cells from cursor.base up to cursor.free are the run being used: free,
 * cleared, side by side. The next run is in @mask, the next word of live bits
 * behind it, then the next span.
 */
struct gch_place {
	uint64_t mask;		/* free cells of the word behind the run */
	uintptr_t first;	/* cell 0 of the span */
	const uint64_t *live;	/* its live bits */
	const struct gcheap_span *span;
	uint32_t ncells;
	uint32_t word;
	uint8_t index;		/* of the span in the batch */
	uint8_t got;		/* spans in the batch */
	uint8_t want;		/* asked for last time */
	uint32_t slot[GCHEAP_BATCH];
};

/* A thread and a heap. */
struct gch_local {
	struct gcheap *heap;
	struct gch_thread *thread;
	struct gcheap_tcb *tcb;
	uint32_t id;
	struct gch_place place[GCHEAP_MAX_CACHES];
};

struct gch_thread {
	struct gch_thread *next, **link;
	struct gcheap_tcb **tcbs;	/* its gch_tcbs[] */
	struct gch_local *local[GCH_HEAPS];
	int passes;			/* of its destructor */
	bool attaching;
};

/* Of cursors that are not there: an empty one in the library's part of the block. */
#define GCH_NO_CURSOR		offsetof(struct gcheap_tcb, lib)
#define GCH_LIB_CURSORS		4	/* lib[]: cursors in use are below this number */

extern const struct gcheap_tcb gch_no_tcb;
extern __thread struct gcheap_tcb *gch_tcbs[GCH_HEAPS];
extern __thread struct gch_thread *gch_self;

struct gch_local *gch_local(struct gcheap *h);
struct gch_local *gch_local_if_any(struct gcheap *h);
void gch_local_reset(struct gch_local *l);
void gch_locals_drop(struct gcheap *h);
int gch_local_flush(struct gch_local *l, uint32_t flags);
void gch_thread_exit(void *arg);
void gch_thread_forked(void);

/* ---- class.c */

int gch_class(size_t cell_bytes);
uint32_t gch_class_cell(int class);

/* ---- the kernel's metadata */

static inline const char *gch_stride(const struct gcheap *h, uint32_t slot)
{
	return h->backend.meta + (size_t)(slot / GCHEAP_CHUNK_SLOTS) * GCHEAP_META_STRIDE;
}

static inline const struct gcheap_span *gch_slot_span(const struct gcheap *h, uint32_t slot)
{
	return (const struct gcheap_span *)gch_stride(h, slot) + slot % GCHEAP_CHUNK_SLOTS;
}

static inline const uint64_t *gch_slot_live(const struct gcheap *h, uint32_t slot)
{
	return (const uint64_t *)(gch_stride(h, slot) + GCHEAP_META_LIVE +
				  slot % GCHEAP_CHUNK_SLOTS * GCHEAP_LIVE_BYTES);
}

/* ---- span.c: from the kernel's spans to runs of cells */

int gch_refill(struct gch_local *l, struct gcheap_cache *c);

/* ---- alloc.c, large.c, cache.c, object.c, free.c */

void *gch_alloc_kind(size_t size, struct gcheap *h, enum gch_kind kind);
void *gch_cache_slow(struct gcheap_cache *c);
void gch_kernel_visited(struct gcheap *h);
struct gcheap_cache *gch_cache_by_class(struct gcheap *h, enum gch_kind kind, int class);
struct gcheap_cache *gch_cache_by_large(struct gcheap *h, enum gch_kind kind);
struct gcheap_cache *gch_cache_asked(struct gcheap *h, uint32_t cell);

/* What is at an address. */
struct gch_object {
	struct gcheap *heap;
	struct gcheap_cache *cache;
	const struct gcheap_span *span;
	uint32_t slot;		/* the span's first */
	uint32_t cell;
	uintptr_t base;
	size_t room;		/* bytes the program may use */
};
bool gch_object_at(const void *p, struct gch_object *o);
bool gch_object_start(const void *p, struct gch_object *o);
int gch_free_object(const struct gch_object *o);
void *gch_large(struct gcheap_cache *c, size_t size);
void *gch_large_resize(const struct gch_object *o, size_t size);

/* ---- root.c, dl.c, tls.c */

int gch_root_register(struct gcheap *h, struct gch_root *r, uint32_t flags, uint64_t top);
int gch_root_unregister(struct gcheap *h, uint32_t id);
int gch_root_slab(struct gcheap *h, struct gch_slab *s);
int gch_dl_check(void);
int gch_dl_apply(void);
void *gch_next(const char *name);
void gch_dl_setup(void);
void *gch_dlopen(const char *file, int mode);
void *gch_dlmopen(Lmid_t space, const char *file, int mode);
int gch_dlclose(void *object);
void gch_tls_setup(void);
bool gch_tls_note(struct gch_vec *modules, uint32_t module, size_t bytes, const void *block);
int gch_tls_tell(struct gcheap *h, const struct gch_vec *modules);

/* ---- walk.c */

struct dl_phdr_info;
int gch_walk(int (*fn)(struct dl_phdr_info *info, size_t size, void *arg), void *arg);
bool gch_walks_bar(bool wait);
void gch_walks_open(void);
void gch_walks_forked(void);

/* ---- lock.c */

#define GCH_INNER_LOCKS	6
extern pthread_mutex_t *const gch_inner_locks[GCH_INNER_LOCKS];
void gch_locks_add(pthread_mutex_t *first, pthread_mutex_t *const *others, size_t n);
pthread_mutex_t *gch_locks_try(pthread_mutex_t *held);
void gch_locks_drop(void);
bool gch_locks_with_dl(void);
void gch_locks_renew(void);

/* ---- fork.c */

void gch_fork_calls(void (*child)(void));
void gch_fork_prepare(void);
void gch_fork_parent(void);
void gch_fork_child(void);
int gch_fork_await(struct gcheap *h);

/* ---- pthread.c, finalizer.c, stats.c */

void gch_start_setup(void);
void gch_start_lock_forked(void);
void gch_start_forked(void);
void gch_finalizer_setup(void);
void gch_finalizer_forked(bool whole);
struct gch_final *gch_of_cookie(uint64_t cookie);
bool gch_finalizers_left(void);
int gch_lend_start(void);

int gch_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*fn)(void *),
		       void *arg);
int gch_pthread_join(pthread_t id, void **result);
int gch_pthread_tryjoin(pthread_t id, void **result);
int gch_pthread_timedjoin(pthread_t id, void **result, const struct timespec *until);
int gch_pthread_clockjoin(pthread_t id, void **result, clockid_t clock,
			  const struct timespec *until);
int gch_pthread_detach(pthread_t id);
int gch_pthread_start(size_t stack, void *(*fn)(void *), void *arg);
void gch_pthread_exit(void *result) __attribute__((noreturn));
int gch_finalizer_swap(void *object, struct gch_final want, enum gch_order order,
		       struct gch_final *was);
void gch_finalizer_forget(struct gcheap *h, void *object);
void gch_finalizer_gone(uint64_t cookie);
int gch_finalizers_all(struct gcheap *h);
void gch_finalizers_due(struct gcheap *h);
void gch_finalizers_teller(const struct gch_teller *t);
void gch_finalizers_announce(bool wait);
void gch_trace(struct gcheap *h);

#endif
