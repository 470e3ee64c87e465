/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/*
 * libgc.so.1: the calls of bdwgc 8.2 on a gcheap heap. Prototypes come from the
 * header of the collector that it stands in for, so that the ABI is the same by
 * construction. What is not here yet is not defined: a program that needs it does not
 * start, or ends at its first call of it.
 */
#ifndef BDW_H
#define BDW_H

#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#define GC_ATTR_DEPRECATED	/* variables that programs still use */
#include <gc/gc.h>
#include <gc/javaxfc.h>
#include <gc/gc_mark.h>
#include <gc/gc_typed.h>
#include <stdbool.h>

#include "../fast.h"

/* What gc.h leaves out with the names in pthread.h kept. */
void GC_pthread_exit(void *result) __attribute__((noreturn));
size_t GC_get_memory_use(void);

/* uncollectable.c: objects that stay until they are freed */
void *bdw_keep(void *object);
bool bdw_kept(void *object);
bool bdw_unkeep(void *object);

/* heap.c; the lock is recursive, and no finalizer runs under it */
void bdw_init(void);
bool bdw_started(void);
bool bdw_heap_lost(void);
void bdw_enter(void);
bool bdw_collected_for_room(void);
void *bdw_out_of_memory(size_t bytes);
void bdw_lock(void);
bool bdw_trylock(void);
void bdw_unlock(void);

/* exclusion.c, root.c, data.c */
struct bdw_range {
	uintptr_t lo, end;
};
bool bdw_exclusions(void);
bool bdw_next_part(struct bdw_range *part, uintptr_t end);
int bdw_pieces_add(struct gch_vec *pieces, const struct bdw_range *of);
void bdw_pieces_drop(struct gch_vec *pieces, uintptr_t lo, uintptr_t end);
void bdw_pieces_replace(struct gch_vec *pieces, struct gch_vec *fresh);
void bdw_root_failed(int err);
bool bdw_is_scanned(const void *word);
bool bdw_added_at(size_t i, struct bdw_range *piece);
void bdw_roots_cut(void);
void bdw_data_settle(void);
void bdw_data_notice(void);

/* stack.c, thread.c */
void bdw_stack_init(void);
void GC_noop1(GC_word word);	/* left out of gc.h where there is assembly */
void bdw_thread_init(void);

/* alloc.c */
void *bdw_plain_alloc(size_t size, enum gch_kind kind);
char *bdw_string(char *copy, const char *s, size_t length);

/* debug.c, debug_list.c: objects with debugging information */
bool bdw_debug_used(void);
bool bdw_is_debug(const void *base);
bool bdw_debug_free_start(void *base);
bool bdw_debug_check(void);

/* descr.c: which words of an object are pointers */
#define BDW_MAP_WORDS	GCHEAP_MAP_WORDS
#define BDW_ALL		(BDW_MAP_WORDS + 1)	/* bdw_map.words: all there are */
#define BDW_WHOLE	(-sizeof(GC_word) | GC_DS_LENGTH)	/* descriptor: the same */

struct bdw_map {
	uint64_t bits[BDW_MAP_WORDS / 64];
	size_t words;		/* the last that is one, and so many */
};
void bdw_descr_map(GC_word descr, struct bdw_map *map);
bool bdw_descr_is_map(GC_word descr);

/*
 * type.c: objects that are not searched as all are
 * struct bdw_type - what they have in common
 * @descr: of the object, or of an array's elements of @elem_words, if that is not 0
 * @kind: its number; objects that have descriptors of their own are as bdwgc's kinds
 * @clear: they are zero at first even if there are no pointers in them
 */
struct bdw_type {
	GC_word descr;
	uint32_t elem_words;
	uint16_t kind;
	bool clear;
};
void *bdw_type_alloc(const struct bdw_type *t, size_t size);
const struct bdw_type *bdw_type_of(const struct gch_object *o);

/* kind.c */
#define BDW_KINDS_MAX	16
enum {			/* bdwgc's numbers */
	BDW_PTRFREE,
	BDW_NORMAL,
	BDW_UNCOLLECTABLE,
	BDW_AUNCOLLECTABLE,
	BDW_KINDS,	/* its own; the program's follow */
};
bool bdw_kind_type(int kind, struct bdw_type *t);

/* callback.c: what pauses ask, by a thread that answers */
void bdw_callback_start(void);
bool bdw_asked(void);
void bdw_push(const void *word);
bool bdw_push_on(void);
void bdw_callback_notice(void);
void bdw_callback_forked(void);

/* proc.c: mark procedures, and what else says what an object refers to */
bool bdw_procs_used(void);
bool bdw_proc_known(GC_word descr);
bool bdw_descr_is_asked(GC_word descr);
void bdw_proc_tell(const void *object);

/* toggle.c */
bool bdw_toggles_used(void);
void bdw_push_toggles(void);

/* push.c */
bool bdw_pushes_roots(void);
void bdw_push_roots(void);

/* link.c: between these, words that do not look like addresses may be made some again */
int bdw_link_own(void **link, const void *object);
void bdw_reveal_begin(void);
void bdw_reveal_end(void);
void bdw_reveal_forked(void);

/* watch.c: objects that the library is told of when they have died */
void bdw_watch_start(bool plain);
bool bdw_is_watcher(GC_finalization_proc fn);
void bdw_spare_begin(void);
void bdw_spare_end(void);
void bdw_spare_settle(void);
void bdw_spare_forked(void);
bool bdw_is_sparing(void);
unsigned int bdw_spared(void);
bool bdw_spares(void *object, GC_finalization_proc fn, void *data);
void *bdw_born(void *object, unsigned int kind);

/* leak.c */
extern int bdw_findleak_delay_free;
bool bdw_finds_leaks(void);
bool bdw_leak_delays(void);
void bdw_leak_watch(void *object);
void bdw_leak_notice(void);
bool bdw_leak_report(void);
void bdw_leak_found(void *object, void *unused);
void bdw_errors_found(void);

/* disclaim.c */
void bdw_disclaim_watch(void *object, unsigned int kind);
bool bdw_disclaim_is(GC_finalization_proc fn);
bool bdw_disclaim_waits(void);

/*
 * Locks: no thread is stopped with one of them, and whoever forks has them all. In this list
 * are those that are taken within the allocation lock, if at all.
 */
#define BDW_LOCK(record)								\
	static pthread_mutex_t *record##_lock __attribute__((section("bdw_locks"), used)) = \
		&record.lock
extern pthread_mutex_t *__start_bdw_locks[] __attribute__((visibility("hidden")));
extern pthread_mutex_t *__stop_bdw_locks[] __attribute__((visibility("hidden")));
extern pthread_mutex_t *const bdw_heap_lock;
void bdw_lock_forked(void);

/* suspend.c: threads that can be stopped */
void bdw_suspend_join(void);
void bdw_suspend_leave(void);
void bdw_suspend_forked(void);
bool bdw_blocking(bool blocks);

/* stats.c */
const struct gcheap_status *bdw_status(void);
struct gcheap_stats bdw_stats(void);
void bdw_count_cycle(void);
void bdw_count_freed(size_t bytes);

/* finalize.c */
void bdw_notify(bool asked);

/* event.c */
void bdw_visited(void);
void bdw_events_begin(void);
void bdw_events_end(bool done);

/* setting.c, incremental.c, log.c: a pair of calls for a variable, which may be static */
#define BDW_PAIR(type, name, variable)		\
	GCH_API void GC_set_##name(type value)	\
	{					\
		WRITE_ONCE(variable, value);	\
	}					\
						\
	GCH_API type GC_get_##name(void)	\
	{					\
		return READ_ONCE(variable);	\
	}
int bdw_never_stop(void);

/* tune.c: settings that the kernel has to hear of */
void bdw_tune_start(void);
void bdw_tune(void);
bool bdw_expand_to(uint64_t heap_bytes);

/* incremental.c */
extern int bdw_no_incremental;

/* env.c */
void bdw_env(void);

/* log.c */
#define BDW_FORMAT __attribute__((format(printf, 1, 2)))
void GC_printf(const char *format, ...) BDW_FORMAT;
void GC_err_printf(const char *format, ...) BDW_FORMAT;
void GC_log_printf(const char *format, ...) BDW_FORMAT;
extern GC_abort_func GC_on_abort;
extern int bdw_loop_on_abort;
void bdw_log_file(const char *path, bool only);
void bdw_log_maps(void);
void bdw_warn(char *format, GC_word arg);
void bdw_die(const char *what, const char *format, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

/* report.c */
extern int bdw_print_stats, bdw_print_maps, bdw_dump_regularly;
void bdw_report(void);


#endif
