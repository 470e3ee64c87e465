/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One heap: an open file of /dev/gcheap.
 *
 * Lock order (outer to inner):
 *
 *   gch.fetch, gch_events.readers	records being copied to the program
 *     gch_world.reap			threads coming and going (mm/stop.c)
 *       mmap_lock
 *         gch.core.lock		structure of the heap, frames
 *           i_mmap_rwsem, page table locks	zapping
 *           gch_herd.lock		(mm/stop.c)
 *           gch_track.lock		(mm/track.c), within a page lock
 *           gch_events.lock		(event.c)
 *           gch_requests.wait.lock
 *
 * The list of all heaps (pressure.c) has a lock within which core.lock is tried for, and that
 * is tried for wherever memory is allocated.
 *
 * User memory is never touched with core.lock held, but with page faults disabled (link.c),
 * nor is that of two heaps taken together.
 */
#ifndef _GCH_GCHEAP_H
#define _GCH_GCHEAP_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "core/heap.h"
#include "mm/roots.h"
#include "mm/stop.h"
#include "mm/track.h"
#include "stress.h"

struct file;
struct inode;
struct poll_table_struct;
struct page;
struct seq_file;
struct vm_area_struct;

#define GCH_NEVENTS	256
#define GCH_SLACK	16
#define GCH_SPAN_PAGES	(GCH_SPAN_SLOTS_MAX * GCH_SLOT_PAGES)
#define GCH_SLICE_NS	(100 * NSEC_PER_USEC)	/* of marking, between looks at who waits */
#define GCH_BATCH_PAGES	(GCHEAP_BATCH * GCH_SPAN_SLOTS_MAX * GCH_SLOT_PAGES)

/**
 * struct gch_events - records for read()
 * @readers: one at a time; @lock: the rest
 * @ring: the last @head - @tail of them; the oldest go when it is full
 * @lost: how many went unread
 */
struct gch_events {
	struct mutex readers;	/* who reads */
	spinlock_t lock;	/* the fields below */
	wait_queue_head_t wait;
	u32 head, tail;
	u64 lost;
	struct gcheap_event ring[GCH_NEVENTS];
};

enum {				/* gch_requests.want */
	GCH_WANT_FULL		= 1,	/* not a young cycle: all that is dead is to be found */
	GCH_WANT_COMPACT	= 2,	/* all that it leaves without use is to go */
	GCH_WANT_MOVE		= 4,	/* and objects may move, with precise roots only as well:
					 * who asks is in a call that allows that */
};

enum {				/* gch_fork.state */
	GCH_FORK_NOT,		/* not made for a child */
	GCH_FORK_AWAITED,	/* what it is to be like will be copied */
	GCH_FORK_OVER,		/* it has been, or will not be */
};

/**
 * struct gch_fork - fork() of the program (fork.c)
 * @forker: the thread whose window is open, with a reference
 * @to: the heap of its child to be, until it is copied
 * @until: the window ends by itself then, in jiffies
 * @watch: looks whether it has to; has a reference to the heap
 * Of the child's heap:
 * @state: GCH_FORK_*; @err: how it went, when it is over
 * @heir: the child's address space, held by mmgrab(); set before that runs, and for good
 * The first three under req.wait.lock.
 */
struct gch_fork {
	struct task_struct *forker;
	struct gch *to;
	unsigned long until;
	struct delayed_work watch;
	u32 state;
	int err;
	struct mm_struct *heir;
};

/**
 * struct gch_requests - what is asked of the collector
 * @wait: collector and those who wait for it
 * @asked: number of the last attempt asked for; attempts count from 1
 * @begun, @tried: attempts begun and finished: tried <= begun <= asked <= begun + 1
 * @result: of the last one finished; @good: the last that was completed
 * @want: of the one asked for
 * @hold: reasons not to collect by oneself; @holding: threads that wait for the end of what
 *	has begun, having one or being about to fork, and hide an address meanwhile
 * @tidying: the heap is being compacted by itself, which is no attempt, and yet collects
 * @working: the collector is at work, or may be about to; none begins while a window is open
 * All under wait.lock.
 */
struct gch_requests {
	wait_queue_head_t wait;
	u64 asked;
	u64 begun, tried, good;
	int result;
	u32 want;
	u32 hold;
	u32 holding;
	bool tidying;
	bool working;
};

/**
 * struct gch_callback - the program's callback thread
 * @thread: its number, GCH_NO_SLOT: none
 * @lost: it has died; @left: in a pause it became a thread like others
 * @pause: number of the last question; @open: it waits for an answer; @failed: in vain
 * @roots: it is for roots; else it is about the first @nobjects of @objects
 * @words: room for an answer, the thread's; and @objects, which are the collector's until it
 *	is asked. Memory of the first one that there is, for all.
 * @timeout: ms that a pause's questions may take; @spent: ns that those of the last one did
 * @asked: the thread waits here; @answered: the collector
 * Under core.lock; @words and @spent are the thread's and the collector's alone.
 */
struct gch_callback {
	u32 thread;
	bool lost;
	bool left;
	bool open;
	bool failed;
	bool roots;
	u64 pause;
	u64 *words;
	u64 *objects;
	u32 nobjects;
	u32 timeout;
	u64 spent;
	wait_queue_head_t asked;
	wait_queue_head_t answered;
};

/**
 * struct gch_lent - the program's thread that is lent to the collector
 * @lent: there is one; @over: it is to return
 * @away: it did not get on when it was to mark, and has not been seen since
 * @wanted: it is to mark, until it says that there is no more
 * @wanted_wait: the thread waits here; @done_wait: the collector
 * Under core.lock.
 */
struct gch_lent {
	bool lent;
	bool over;
	bool away;
	bool wanted;
	wait_queue_head_t wanted_wait;
	wait_queue_head_t done_wait;
};

/** struct gch_yield - bytes that collections of a kind free, for how many of work, lately */
struct gch_yield {
	u64 freed, work;
};

/**
 * struct gch_pace - when cycles that mark beside the program begin and how they advance
 * @start: bytes handed out since the last marking when the next is due
 * @runway: bytes handed out while marking, lately
 * @from, @room: bytes handed out when marking began, and from then on until the goal
 * @work: bytes it is expected to mark, and @before: counted as marked when it began
 * @goal: bytes the heap may grow to; @full: found reachable by the last full cycle
 * @young_work: bytes that young cycles mark, lately; @youngs: of them since a full one;
 *	@skip: full ones until they are tried again, after @failures to pay in a row
 * @live, @rescanned: when the last cycle was over; @since: bytes handed out from there to
 *	the end of the next marking
 * @full_yield, @young_yield: of full ones and of young ones
 * @page_ns: that a page scanned again in a pause takes, lately
 * @found_pages: most that a round found in the last cycle (collector)
 * @forced: the cycle was asked for before it was due
 * @relief: bytes, see gch_plan_relief(); @settled: when that was last looked at, in
 *	ns; @ran: the collector's time until then; @assisted: assists' since
 */
struct gch_pace {
	u64 start, runway;
	u64 from, room;
	u64 work, before;
	u64 goal, full;
	u64 young_work;
	u32 youngs, skip, failures;
	u64 live, rescanned, since;
	struct gch_yield full_yield, young_yield;
	u64 page_ns, found_pages;
	bool forced;
	u64 relief, settled, ran, assisted;
};

enum gch_how {
	GCH_RELEASE,	/* what nobody will need soon */
	GCH_TIDY,	/* and what can be had by sharing and moving */
	GCH_SQUEEZE,	/* all of that, at once */
};

#define GCH_PERCENT_LEAST	12
#define GCH_PERCENT_MAX		10000

/**
 * struct gch_tidy - compaction that nobody has asked for (compact.c)
 * @percent: GCHEAP_PARAM_COMPACT
 * @after: not before then, in ns; @failures: so often in a row it has not gained much
 * @pressed: the system wants memory, and need not be heard before @deaf, in ns; @press_at: slot
 *	from which on it looks for pages (pressure.c)
 * @count: how often; all under core.lock
 */
struct gch_tidy {
	u32 percent;
	u32 failures;
	u64 after;
	bool pressed;
	u64 deaf;
	u32 press_at;
	u64 count;
};

struct gch;

/** struct gch_helper - a worker of the pool beside the collector; @number: from 1 */
struct gch_helper {
	struct work_struct work;
	struct gch *g;
	u32 number;
};

/**
 * struct gch_crew - those that mark a heap with its collector (crew.c)
 * @n: engaged for this cycle; @running, @stopped: of these, so many may mark while the
 *	program runs, or is stopped
 * @open: those up to this number may mark now; @inside: how many do
 * @over: the marking is
 * @wait: helpers; @ns: the processor time that they took
 */
struct gch_crew {
	struct gch_helper helper[GCH_WORKERS - 1];
	u32 n, running, stopped;
	u32 open;
	bool over;
	atomic_t inside;
	wait_queue_head_t wait;
	atomic64_t ns;
};

/**
 * struct gch_clock - the processor time of the heap's collector
 * @from: the worker's time when it began, less what had been taken before; @ns: taken
 */
struct gch_clock {
	u64 from;
	u64 ns;
};

/** struct gch_held - @n words of a precise root, from @off on, of a page that is held */
struct gch_held {
	struct page *page;
	u32 off, n;
	bool written;
};

#define GCH_HELD_MAX	65536

/**
 * struct gch_flip - memory for an evacuation under way (mm/flip.c)
 * @core: the core's
 * @held: the first @nheld, of @held_max
 * @blind: there are precise roots that could not be read
 */
struct gch_flip {
	struct gch_evac_memory core;
	struct gch_held *held;
	u32 nheld, held_max;
	bool blind;
};

/**
 * struct gch - a heap
 * @core: the collector's structure; @core.lock protects what follows as well,
 *	up to the next lock
 * @bound: mapped; never cleared. @nmaps: mappings of the heap in its mm
 * @dead: its address space or mapping is gone; set once, read without lock
 * @tcb: pages of thread control blocks, by page number
 * @compactions: that were asked for
 * @slack: @nslack pages charged and not used: for faults that find no memory, and
 *	given up when a call finds none, so that the program has some to deal with that
 * @spare: @nspare pages for a split, which found fewer than @spare_want of them
 * @pages_meshed: pages that were given another's frame; @pages_split: that were given their own
 *	again; @pages_busy: that could not, pinned by somebody. Since the start.
 * @pauses: completed and ended ones; @trace_rounds: over dirty pages
 * @pause_budget: ns that a pause may take to complete the marking, at first
 * @concurrent: mark while the program runs; @check: and check that: @checks of cycles have
 *	found @check_lost objects that would have been lost
 * @mesh: pages share frames when the heap is compacted; @evacuate: objects move then
 * @flip: for an evacuation. @pages_zapped before a flip, and @pages_zapped_late in its pause;
 *	@flip_faults: of the program, on pages not settled yet, @flip_fault_ns of them all and
 *	_max of the longest; @roots_pinned: pages of precise roots that could not be changed
 * @pages_remapped: that have gone from one large object to another
 * @resizing: large objects that are getting another size, elsewhere
 * @faulting: threads that wait for core.lock in a fault
 * @vacant_at: slot from which on they are to be looked for
 * @heaps: in the list of all (pressure.c)
 * @release: vacant pages are given back; @pages_vacated: so many of @pages_released were
 * @young: collections may be young; @sticky: marks and dirty bits are as the last cycle left
 *	them, so that the next may be; @cycles_young: how many were
 * @workers: that mark together, 0: as there are processors
 * @trigger: bytes that may be handed out from one marking to the end of the next
 * @assists: slices marked by threads that came for memory: @assist_bytes, @assist_ns in
 *	all, waits included, of which there were @assist_waits
 * @awaiting: a pause has failed for gcheap_tcb.hidden: who has not set that waits
 * @hidden_ticks: the collector's: so long it has waited for that in this cycle
 * @thawed: waits for the end of the frozen phases, and of the marking
 */
struct gch {
	struct kref ref;
	struct gch_heap core;
	bool ready;
	bool bound;
	atomic_t nmaps;
	bool dead;
	bool verify;
	u64 meta_size, tcb_size;
	struct xarray tcb;
	struct gcheap_status *status;
	u64 cycles, cycles_failed;
	u64 compactions;
	u64 pages_released, pages_vacated, oom_returns;
	u64 pages_meshed, pages_split, pages_busy;
	struct gch_flip flip;
	u64 pages_zapped, pages_zapped_late, roots_pinned;
	u64 flip_faults, flip_fault_ns, flip_fault_ns_max;
	u64 pages_remapped;
	u32 resizing;
	atomic_t faulting;
	u32 vacant_at;
	struct gch_tidy tidy;
	struct list_head heaps;
	struct page *slack[GCH_SLACK];
	u32 nslack;
	struct page *spare[GCH_SPAN_PAGES];
	u32 nspare, spare_want;
	u64 pause_last, pause_total, pause_max, stop_max;
	u64 root_words, root_words_same, threads_stopped;
	u64 pauses, trace_rounds, black_bytes;
	u64 pause_budget;
	bool concurrent;
	bool check;
	bool release, mesh, evacuate;
	u8 young;
	bool sticky;
	u64 cycles_young;
	struct gch_clock clock;
	u32 workers;
	u64 checks, check_lost;
	u64 stop_hist[32], pause_hist[32];
	u64 trigger;
	struct gch_pace pace;
	u64 assists, assist_bytes, assist_ns, assist_waits;
	bool awaiting;
	unsigned int hidden_ticks;
	wait_queue_head_t thawed;

	struct mutex fetch;	/* setup; handing finalizers out */
	struct gch_world world;
	struct gch_roots roots;
	struct gch_track track;
	struct gch_callback callback;
	struct gch_lent lent;
	struct gch_requests req;
	struct gch_events events;
	struct gch_fork fork;
	struct gch_crew crew;
	struct work_struct collector;
	pid_t tgid;		/* of who opened it: its name in traces */
	struct inode *inode;
	struct vfsmount *mount;
};

/* dev.c */
extern const struct file_operations gch_fops;
void gch_get(struct gch *g);
void gch_put(struct gch *g);
void gch_kill(struct gch *g);
int gch_lock_thawed(struct gch *g);
void gch_drain(struct gch *g, u32 thread);
void gch_unlock(struct gch *g);

/* ioctl.c */
int gch_tables_make(struct gch *g, u64 size, u32 max_threads);
void gch_tables_drop(struct gch *g);
int gch_enter(struct gch *g, u32 thread);
long gch_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* callback.c */
void gch_callback_init(struct gch_callback *cb);
void gch_callback_destroy(struct gch_callback *cb);
void gch_callback_begin(struct gch *g);
int gch_callback_ask(struct gch *g);
int gch_callback_ask_about(struct gch *g);
void gch_callback_end(struct gch *g, u32 thread, bool lost);
bool gch_callback_is_asked(struct gch *g);
int gch_callback_call(struct gch *g, struct gcheap_callback *a);

/* lend.c */
void gch_lent_init(struct gch_lent *l);
void gch_lent_mark(struct gch *g);
int gch_lend_call(struct gch *g, struct gcheap_lend *a);

/* link.c */
bool gch_link_write(struct gch_heap *h, u64 addr);
void gch_links_bring(struct gch *g);
void gch_set_awaiting(struct gch *g, bool on);
int gch_check_shown(struct gch *g);
bool gch_may_try_again(struct gch *g, int err);
bool gch_await_shown(struct gch *g);
int gch_await_finalized(struct gch *g);
int gch_link_call(struct gch *g, struct gcheap_link *a);

/* copy.c */
int gch_copy_may_go_on(const struct gch *to, const struct gch *from);
int gch_copy(struct gch *to, struct gch *from);

/* fork.c */
/** struct gch_fork_arg - the call's @u; BEGIN: the file it has @made, for a window of @g */
struct gch_fork_arg {
	struct gcheap_fork u;
	struct file *made;
	struct gch *g;
};
void gch_fork_init(struct gch *g);
void gch_fork_kill(struct gch *g);
void gch_fork_destroy(struct gch *g);
bool gch_fork_here(const struct gch *g);
int gch_lock_settled(struct gch *g);
int gch_fetch_lock(struct gch *g);
int gch_fork_begin(struct file *file, struct gch_fork_arg *a);
void gch_fork_told(struct gch_fork_arg *a, bool told);
int gch_fork_end(struct gch *g);
int gch_fork_copy(struct gch *g);
int gch_fork_adopt(struct gch *g, struct gcheap_adopt *a);
struct mm_struct *gch_fork_heir(const struct gch *g);
void gch_fork_born(struct gch *g, struct mm_struct *mm);
bool gch_fork_awaited(const struct gch *g);
int gch_fork_await(struct gch *g);

/* pacer.c */
void gch_clock_start(struct gch *g);
void gch_clock_stop(struct gch *g, u64 now);
u64 gch_clock_now(void);
u64 gch_clock_ns(const struct gch *g);
void gch_pace_plan(struct gch *g);
bool gch_pace_due(struct gch *g);
bool gch_pace_young(const struct gch *g);
void gch_pace_begin(struct gch *g, bool young);
void gch_pace_stopped(struct gch *g);
u64 gch_pace_handed(const struct gch *g);
void gch_pace_end(struct gch *g);
void gch_pace_settle(struct gch *g);
bool gch_pace_slice(struct gch *g);
int gch_pace_assist(struct gch *g);
int gch_await_marked(struct gch *g);
int gch_await_writable(struct gch *g);

/* tracer.c */
bool gch_mark_until(struct gch *g, u64 deadline);
int gch_trace(struct gch *g, bool young, struct gch_root_fault *bad);

/* crew.c */
int gch_pool_module_init(void);
void gch_pool_module_exit(void);
bool gch_pool_run(struct work_struct *work);
bool gch_pool_run_later(struct delayed_work *work, unsigned long ticks);
void gch_crew_init(struct gch *g);
void gch_crew_engage(struct gch *g);
void gch_crew_dismiss(struct gch *g);
bool gch_crew_mark(struct gch *g, u64 deadline, bool stopped);

/* collector.c */
int gch_roots_mark(struct gch *g);
int gch_roots_show(struct gch *g);
int gch_roots_show_taken(struct gch *g);
void gch_cycle_verify(struct gch *g);
void gch_tell_of_finalizers(struct gch *g);
void gch_collector_init(struct gch *g);
void gch_collector_wake(struct gch *g);
int gch_collect(struct gch *g, bool wait, u32 want, u64 *cycle);
void gch_breathe(struct gch *g);
int gch_await_begun(struct gch *g);
int gch_collect_for_room(struct gch *g, bool memory);
bool gch_collect_asked(const struct gch *g);
void gch_collect_if_due(struct gch *g);
bool gch_collect_for_pressure(struct gch *g);
bool gch_holding_begin(struct gch *g);
void gch_holding_end(struct gch *g, bool hides);
int gch_hold(struct gch *g, int delta, u32 *count);

/* compact.c */
void gch_compact_init(struct gch *g);
void gch_release_all(struct gch *g);
void gch_compact(struct gch *g, enum gch_how how);
bool gch_tidy_may_go_on(const struct gch *g);
bool gch_tidy_due(struct gch *g);
void gch_tidy_done(struct gch *g, u64 pages, u64 ns);

/* pressure.c */
int gch_pressure_module_init(void);
void gch_pressure_module_exit(void);
void gch_pressure_add(struct gch *g);
void gch_pressure_del(struct gch *g);

/* evacuate.c */
void gch_evacuate_init(struct gch *g);
bool gch_evacuate_begin(struct gch *g, bool again);
int gch_evacuate_record(struct gch *g);
void gch_evacuate_settle(struct gch *g);
void gch_evacuate_over(struct gch *g);

/* event.c */
void gch_events_init(struct gch_events *e);
void gch_event(struct gch *g, u32 type, u64 a, u64 b, u64 c);
ssize_t gch_events_read(struct gch_events *e, char __user *buf, size_t len,
			bool nonblock, const bool *dead);

/* stat.c */
void gch_stat_publish(struct gch *g);
void gch_stat_copy(struct gch *to, const struct gch *from);
void gch_stat_pause(struct gch *g, u64 stop_ns, u64 pause_ns);
void gch_stat_fdinfo(struct seq_file *m, struct file *file);

/* mm/mapping.c */
int gch_mmap(struct file *file, struct vm_area_struct *vma);
int gch_mapping_open(struct gch *g, struct file *file);
void gch_mapping_close(struct gch *g);
void gch_mapping_meta_changed(struct gch *g, u32 chunk);
bool gch_mapping_foreign(struct gch *g);
bool gch_mapping_is_heap(struct gch *g, const struct vm_area_struct *vma);

/* mm/pages.c */
/** struct gch_zap - a stretch of pages whose entries are to go; @end is 0: none */
struct gch_zap {
	u64 page, end;
};
int gch_pages_fault(struct gch *g, struct vm_area_struct *vma,
		    unsigned long addr, bool write, bool last);
int gch_pages_populate(struct gch *g, const u32 *span, u32 n);
struct vm_area_struct *gch_pages_vma(struct gch *g);
int gch_pages_supply(struct gch *g, u64 page, u32 n);
int gch_pages_prepare(struct gch *g, u64 page, u64 n);
struct page *gch_page_new(bool may_sleep);
/* What the core knows of the frame behind a heap page. */
static inline u32 *gch_frame_of(struct gch *g, u64 page)
{
	return &gch_slot(&g->core, page / GCH_SLOT_PAGES)->frame[page % GCH_SLOT_PAGES];
}

struct page *gch_pages_frame(struct gch *g, u64 page);
void gch_pages_set(struct gch *g, u64 page, struct page *p);
struct page *gch_pages_take(struct gch *g, u64 page);
void gch_slack_drop(struct gch *g);
bool gch_spare_fill(struct gch *g);
int gch_pages_back(struct gch *g, u32 id);
u32 gch_pages_backed(struct gch *g, u32 id);
void gch_pages_clear(struct gch *g, u32 thread, u32 id, u32 nslots);
int gch_pages_tables(struct vm_area_struct *vma, unsigned long addr, u64 bytes);
void gch_zap_add(struct gch *g, struct gch_zap *z, u64 page);
void gch_zap_end(struct gch *g, struct gch_zap *z);
void gch_pages_release(struct gch *g, u32 id, u32 n);
void gch_pages_release_some(struct gch *g, const struct gch_vacant *v, u32 n);
void gch_pages_drop(struct gch *g);
void gch_pages_destroy(struct gch *g);
void *gch_tcb_page(struct gch *g, u64 page, bool make);

/* mm/remap.c */
#define GCH_SHARE_BATCH	32
int gch_remap_share(struct gch *g, const struct gch_mesh_page *p, u32 n, u32 *at);
int gch_remap_split(struct gch *g, u32 id);
bool gch_frame_pinned(const struct page *p);

/* mm/copy.c */
int gch_copy_frames(struct gch *to, struct gch *from);
int gch_copy_contents(struct gch *to, struct gch *from);
void gch_copy_shared(struct gch *to);

/* mm/resize.c */
int gch_resize(struct gch *g, struct gcheap_resize *a, bool *memory);

/* mm/flip.c */
int gch_flip_init(struct gch *g, u32 room);
void gch_flip_destroy(struct gch *g);
int gch_flip_back(struct gch *g, u32 id);
void gch_flip_arm(struct gch *g);
void gch_flip_roots(struct gch *g);
bool gch_flip(struct gch *g);
bool gch_flip_drop(struct gch *g, u32 *at);

#endif
