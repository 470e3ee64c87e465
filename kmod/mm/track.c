// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which heap pages were written: the page tables as the marker's write barrier.
 *
 * Three ways (GCHEAP_TRACK_*), told apart by how writes show:
 *
 *   DIRTY    the processor's dirty bits, collected and cleared without a fault for the
 *            program; before the last pause pages are write-protected and logged
 *   PROTECT  write protection from the beginning: a fault a page and round
 *   UNMAP    the same by unmapping, for kernels without CONFIG_MAPPING_DIRTY_HELPERS
 *
 * THE LOG. While track.armed is set, page_mkwrite() notes the page in its chunk's
 * logged bits before its entry becomes writable. A round takes what is logged, waits
 * for every page that is locked, protects all pages, and only then are the taken
 * pages looked at. A write either comes before the look, or faults and is logged:
 *   - page_mkwrite() holds the page lock from before it logs until the entry is
 *     writable, so a fault whose bit was taken has either made it writable before
 *     the wait for the lock ends, and is protected, or
 *   - it logs after bits were taken; then its bit stays for the next round, and it
 *     does not matter whether protecting comes before or after.
 * (B3: track.lock orders "armed" and the log against page_mkwrite(), which has the page
 * locked when it takes it; pairs with the barrier before PageLocked() is read.)
 * Nobody looks at dirty pages during a round, assists neither (track.rounding): what was
 * taken is dirty before it is protected.
 *
 * Once everything is protected the log alone tells what is not, so that further rounds
 * (gch_track_again()) and the pause cost as much as was logged, and nothing for the rest
 * of the heap. The log is a list; what does not fit is found by the bits.
 *
 * R18: before the pause the log is closed at @cap pages, as many as the pause can scan: who
 * would write more waits for the end of the pause, in page_mkwrite() in slices of a tick
 * between which it goes back to the fault's beginning, without the page's lock and with
 * mmap_lock given up in between, and in calls that hand out memory.
 *
 * Pages that are mapped for the first time, or again, come writable and dirty, without
 * page_mkwrite(): gch_track_born() logs them. It runs under core.lock, as does arming:
 * what was inserted before is protected by the round that arms.
 *
 * WRITES BY THE KERNEL. copy_to_user() and the like go through the program's own
 * entries. What has taken a reference to the page (O_DIRECT, process_vm_writev()) sets
 * PG_dirty when it is done, and may write until then: pages with PG_dirty, and those
 * with more references than we know of, count as written. R11: the reference count is
 * read first, then PG_dirty; who has dropped its reference has set the flag before. A
 * page seen pinned in the last round is logged, so that the pause looks at it again.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page_ref.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/sort.h>

#include "../gcheap.h"

#define WINDOW	(8 * PAGE_SIZE)		/* pages whose bits fill a page */

static u64 pages_in_use(struct gch *g)
{
	return (u64)READ_ONCE(g->core.top) * GCH_SLOT_PAGES;
}

/* track.lock held: so that chunks stay while it is armed. */
static void log_page(struct gch *g, u64 page)
{
	u32 i = page % GCH_CHUNK_PAGES;
	struct gch_chunk *c = gch_chunk(&g->core, page / GCH_CHUNK_PAGES);
	struct gch_track *t = &g->track;

	lockdep_assert_held(&t->lock);
	if (!c || c->logged[i / 64] & (1ull << (i % 64)))
		return;
	c->logged[i / 64] |= 1ull << (i % 64);
	if (t->n < GCH_LOG)
		t->list[t->n] = page;
	WRITE_ONCE(t->n, t->n + 1);
}

/** gch_track_full() - whether no more may be written before the pause (R18) */
bool gch_track_full(const struct gch_track *t)
{
	return READ_ONCE(t->closed) && READ_ONCE(t->n) >= READ_ONCE(t->cap) && gch_rule(18);
}

/**
 * gch_track_mkwrite() - a page is about to become writable
 * @vmf: fault of the heap mapping
 *
 * Return: VM_FAULT_LOCKED, the page locked; VM_FAULT_NOPAGE: try again.
 */
vm_fault_t gch_track_mkwrite(struct gch *g, struct vm_fault *vmf)
{
	struct gch_track *t = &g->track;

	/* Nor would the pause come to an end if the callback thread waited for that. */
	if (unlikely(gch_track_full(t)) && !READ_ONCE(g->callback.open) &&
	    !fatal_signal_pending(current)) {
		atomic64_inc(&t->waits);
		wait_event_killable_timeout(g->thawed, !gch_track_full(t) || READ_ONCE(g->dead),
					    1);
		return VM_FAULT_NOPAGE;
	}
	lock_page(vmf->page);
	spin_lock(&t->lock);
	WRITE_ONCE(t->faults, t->faults + 1);
	if (t->armed)
		log_page(g, vmf->pgoff);
	spin_unlock(&t->lock);
	gch_stress_brief();
	return VM_FAULT_LOCKED;
}

static int make_writable(pte_t *pte, unsigned long addr, void *data)
{
	struct vm_area_struct *vma = data;
	pte_t old = *pte;

	if (pte_present(old) && !pte_write(old))
		set_pte_at(vma->vm_mm, addr, pte, gch_pte_mkwrite(pte_mkdirty(old)));
	return 0;
}

/**
 * gch_track_born() - pages were mapped: make them writable at once
 * @addr, @n: pages of the heap mapping; those that are not mapped are passed over
 *
 * core.lock held. Also for pages that are about to be written, so that this takes no fault.
 */
void gch_track_born(struct gch *g, struct vm_area_struct *vma, unsigned long addr, u32 n)
{
	struct gch_track *t = &g->track;
	u64 page = (addr - vma->vm_start) >> PAGE_SHIFT;
	u32 i;

	env_assert_held(&g->core.lock);
	spin_lock(&t->lock);
	for (i = 0; t->armed && i < n; i++)
		log_page(g, page + i);
	spin_unlock(&t->lock);
	apply_to_existing_page_range(vma->vm_mm, addr, (u64)n << PAGE_SHIFT, make_writable,
				     vma);
}

#define BLOCK_PAGES	(GCH_KERN_SLOTS * GCH_SLOT_PAGES)

/* Descriptors of the slots of so many pages, of which a page is one, or NULL. */
static const struct gch_slot *block_slots(struct gch *g, u64 page)
{
	const struct gch_chunk *c = gch_chunk(&g->core, page / GCH_CHUNK_PAGES);

	return c ? READ_ONCE(c->slot[page % GCH_CHUNK_PAGES / BLOCK_PAGES]) : NULL;
}

/*
 * The page behind a heap page. core.lock held, since others take frames away as well. Who has
 * a page locked never waits for core.lock.
 */
static struct page *frame_page(struct gch *g, u64 page)
{
	const struct gch_slot *slot = block_slots(g, page);
	u32 i = page % BLOCK_PAGES, frame;

	if (!slot)
		return NULL;
	frame = READ_ONCE(slot[i / GCH_SLOT_PAGES].frame[i % GCH_SLOT_PAGES]);
	return frame ? pfn_to_page(frame) : NULL;
}

/**
 * struct walk - over the pages behind heap pages
 * @page: the next one's number; @end: none from here on
 * @slot: those of the block that it is in, NULL: to be looked up
 */
struct walk {
	u64 page, end;
	const struct gch_slot *slot;
};

/* The next one, whose number is @w->page - 1 then, or NULL. As frame_page() otherwise. */
static struct page *walk_next(struct gch *g, struct walk *w)
{
	while (w->page < w->end) {
		u32 i = w->page % BLOCK_PAGES, frame;

		if (!i || !w->slot)
			w->slot = block_slots(g, w->page);
		if (!w->slot) {
			w->page += BLOCK_PAGES - i;
			continue;
		}
		w->page++;
		frame = READ_ONCE(w->slot[i / GCH_SLOT_PAGES].frame[i % GCH_SLOT_PAGES]);
		if (frame)
			return pfn_to_page(frame);
	}
	return NULL;
}

/* Wait for a fault that has logged its page and not made it writable yet; after B3. */
static void settle_page(struct page *p)
{
	if (p && PageLocked(p)) {
		lock_page(p);
		unlock_page(p);
	}
}

static void settle_all(struct gch *g)
{
	u64 first, end = pages_in_use(g);
	struct page *p;

	smp_mb();	/* B3 */
	for (first = 0; first < end; first += WINDOW) {
		struct walk w = { .page = first, .end = min_t(u64, first + WINDOW, end) };

		env_lock(&g->core.lock);
		while ((p = walk_next(g, &w)))
			settle_page(p);
		env_unlock(&g->core.lock);
		cond_resched();
	}
}

/* What is logged, in a list or not, is dirty; @take: and not logged any more. */
static u64 dirty_logged(struct gch *g, bool take)
{
	u32 c, end = DIV_ROUND_UP(g->core.top, GCHEAP_CHUNK_SLOTS), w;
	u64 n = 0;

	for (c = 0; c < end; c++) {
		struct gch_chunk *chunk = gch_chunk(&g->core, c);

		for (w = 0; chunk && w < ARRAY_SIZE(chunk->logged); w++) {
			u64 bits;

			if (!READ_ONCE(chunk->logged[w]))
				continue;
			spin_lock(&g->track.lock);
			bits = chunk->logged[w];
			if (take)
				chunk->logged[w] = 0;
			spin_unlock(&g->track.lock);
			for (; bits; bits &= bits - 1, n++)
				gch_dirty_set(&g->core, (u64)c * GCH_CHUNK_PAGES + 64 * w +
					      env_ctz64(bits));
		}
	}
	return n;
}

static void unlog(struct gch *g, u64 page)
{
	struct gch_chunk *c = gch_chunk(&g->core, page / GCH_CHUNK_PAGES);
	u32 i = page % GCH_CHUNK_PAGES;

	if (c)
		c->logged[i / 64] &= ~(1ull << (i % 64));
}

/*
 * What is logged is dirty; core.lock held, or world stopped. The list is track.taken
 * then. Return: how much.
 */
static u64 take_log(struct gch *g)
{
	struct gch_track *t = &g->track;
	u32 i, logged;

	spin_lock(&t->lock);
	swap(t->list, t->taken);
	logged = t->n;
	WRITE_ONCE(t->n, 0);
	t->ntaken = min_t(u32, logged, GCH_LOG);
	for (i = 0; i < t->ntaken; i++)
		unlog(g, t->taken[i]);
	spin_unlock(&t->lock);
	for (i = 0; i < t->ntaken; i++)
		gch_dirty_set(&g->core, t->taken[i]);
	return t->ntaken + (logged > GCH_LOG ? dirty_logged(g, true) : 0);
}

/* Every write from here on faults, in a window of pages. */
static void protect(struct gch *g, u64 first, u64 n)
{
	struct address_space *mapping = g->inode->i_mapping;

	WRITE_ONCE(g->track.protected, true);
#ifdef CONFIG_MAPPING_DIRTY_HELPERS
	if (g->track.way != GCHEAP_TRACK_UNMAP) {
		wp_shared_mapping_range(mapping, first, n);
		return;
	}
#endif
	unmap_mapping_range(mapping, first << PAGE_SHIFT, n << PAGE_SHIFT, 1);
}

/* Collect and clear the dirty bits of a window of pages. */
static void clean(struct gch *g, u64 first, u64 n)
{
#ifdef CONFIG_MAPPING_DIRTY_HELPERS
	pgoff_t start = n, end = 0;

	if (g->track.way == GCHEAP_TRACK_DIRTY)
		clean_record_shared_mapping_range(g->inode->i_mapping, first, n, first,
						  g->track.bits, &start, &end);
#endif
}

/* Written by others than the program's own instructions. */
static bool page_written(struct page *p, bool *pinned)
{
	/* R11: its barrier pairs with the release of a pin, after PG_dirty was set. */
	*pinned = gch_frame_pinned(p);
	if (!gch_rule(11))
		*pinned = false;
	return TestClearPageDirty(p) || *pinned;
}

/* R17: PG_dirty does not tell which of the pages that share a frame was written. */
static u64 frame_dirty(struct gch *g, u64 page, bool log)
{
	u64 at = page, count = 0;

	do {
		count += gch_dirty_set(&g->core, at);
		if (log) {
			spin_lock(&g->track.lock);
			log_page(g, at);
			spin_unlock(&g->track.lock);
		}
		at = gch_mesh_next(&g->core, at);
	} while (at != page && gch_rule(17));
	return count;
}

/* Into the core's dirty pages what is known of a window; core.lock held. */
static u64 record(struct gch *g, u64 first, u64 n, bool last)
{
	struct walk w = { .page = first, .end = first + n };
	struct page *p;
	u64 count = 0;
	bool pinned;

	while ((p = walk_next(g, &w))) {
		if (page_written(p, &pinned))
			count += frame_dirty(g, w.page - 1, pinned && last);
		if (test_bit(w.page - 1 - first, g->track.bits))
			count += gch_dirty_set(&g->core, w.page - 1);
	}
	return count;
}

/*
 * What is known of a window does not count. R11: who has a page pinned and writes to it from
 * here on sets PG_dirty again, or has it pinned still when the next round records it.
 */
static void forget(struct gch *g, u64 first, u64 n)
{
	struct walk w = { .page = first, .end = first + n };
	struct page *p;

	env_lock(&g->core.lock);
	while ((p = walk_next(g, &w)))
		if (PageDirty(p))
			ClearPageDirty(p);
	env_unlock(&g->core.lock);
}

static u64 window(struct gch *g, u64 first, u64 n, bool protecting, bool recording)
{
	u64 count;

	bitmap_zero(g->track.bits, WINDOW);
	if (protecting)
		protect(g, first, n);
	gch_stress_point();
	/* R12: after protection, since entries may have been dirty. */
	clean(g, first, n);
	gch_stress_point();
	/* R11: a round that protects logs the pages that are pinned. */
	if (!recording && !protecting) {
		forget(g, first, n);
		return 0;
	}
	env_lock(&g->core.lock);
	count = record(g, first, n, protecting);
	env_unlock(&g->core.lock);
	return count;
}

/* @recording: what was written until now counts */
static u64 round_of(struct gch *g, bool last, bool recording)
{
	struct gch_track *t = &g->track;
	bool protecting = last || t->way != GCHEAP_TRACK_DIRTY;
	u64 first, end, count;

	env_lock(&g->core.lock);
	t->rounding = true;
	count = take_log(g);
	spin_lock(&t->lock);
	t->armed = protecting;
	spin_unlock(&t->lock);
	end = pages_in_use(g);
	env_unlock(&g->core.lock);
	gch_stress_point();
	if (protecting)
		settle_all(g);
	gch_stress_point();
	for (first = 0; first < end; first += WINDOW) {
		count += window(g, first, min_t(u64, WINDOW, end - first), protecting, recording);
		cond_resched();
	}
	env_lock(&g->core.lock);
	t->rounding = false;
	env_unlock(&g->core.lock);
	return count;
}

/**
 * gch_track_round() - the pages written since the last round are dirty
 * @last: a pause is to follow: from here on writes are logged
 *
 * From the collector, the program running. Return: how many pages there are.
 */
u64 gch_track_round(struct gch *g, bool last)
{
	return round_of(g, last, true);
}

static int by_number(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

/*
 * Those taken from the list. To go over what is between two that are not far apart, and
 * protected already, costs less than another interrupt to every processor.
 */
static void protect_taken(struct gch *g)
{
	struct gch_track *t = &g->track;
	u32 gap = t->way == GCHEAP_TRACK_UNMAP ? 8 : 512, i, first;

	smp_mb();	/* B3 */
	env_lock(&g->core.lock);
	for (i = 0; i < t->ntaken; i++)
		settle_page(frame_page(g, t->taken[i]));
	env_unlock(&g->core.lock);
	sort(t->taken, t->ntaken, sizeof(*t->taken), by_number, NULL);
	for (i = 0; i < t->ntaken; i++) {
		for (first = t->taken[i]; i + 1 < t->ntaken &&
		     t->taken[i + 1] - t->taken[i] <= gap; i++)
			;
		protect(g, first, t->taken[i] - first + 1);
		gch_stress_point();
		cond_resched();
	}
	bitmap_zero(t->bits, WINDOW);
	env_lock(&g->core.lock);
	for (i = 0; i < t->ntaken; i++)
		record(g, t->taken[i], 1, true);
	env_unlock(&g->core.lock);
}

/**
 * gch_track_again() - the pages logged since the last round are dirty
 *
 * After a round that was the last, and like another one, for the price of what was logged.
 */
void gch_track_again(struct gch *g)
{
	struct gch_track *t = &g->track;
	u64 count;

	if (READ_ONCE(t->n) > GCH_LOG) {
		gch_track_round(g, true);
		return;
	}
	env_lock(&g->core.lock);
	t->rounding = true;
	count = take_log(g);
	env_unlock(&g->core.lock);
	gch_stress_point();
	/* It may have grown since it was looked at. */
	if (count > t->ntaken)
		gch_track_round(g, true);
	else
		protect_taken(g);
	env_lock(&g->core.lock);
	t->rounding = false;
	env_unlock(&g->core.lock);
}

/** gch_track_close() - no more is logged than a pause can scan (R18), or no longer so */
void gch_track_close(struct gch_track *t, u32 cap)
{
	WRITE_ONCE(t->cap, cap);
	WRITE_ONCE(t->closed, cap != 0);
}

/**
 * gch_track_begin() - marking begins
 * @young: what was written since the last one was complete is dirty; else writes before
 *	this call do not count
 *
 * When it returns, all entries are clean or protected and no processor holds another
 * translation (R2: before the first root is read).
 */
void gch_track_begin(struct gch *g, bool young)
{
	round_of(g, false, young);
	if (young)
		return;
	env_lock(&g->core.lock);
	gch_dirty_forget(&g->core);
	env_unlock(&g->core.lock);
}

/**
 * gch_track_logged() - in the pause: what was written since the last round is dirty
 *
 * It stays logged, and writable (R6): if the pause ends too early, the threads write to
 * these pages again before they are looked at. core.lock held.
 */
void gch_track_logged(struct gch *g)
{
	struct gch_track *t = &g->track;
	u32 n, i;

	if (!gch_rule(6)) {
		take_log(g);
		return;
	}
	spin_lock(&t->lock);
	n = t->n;
	for (i = 0; i < min_t(u32, n, GCH_LOG); i++)
		gch_dirty_set(&g->core, t->list[i]);
	spin_unlock(&t->lock);
	t->logged += n > GCH_LOG ? dirty_logged(g, false) : n;
}

/** gch_track_end() - marking is over: no page is logged any more; core.lock held */
void gch_track_end(struct gch *g)
{
	env_assert_held(&g->core.lock);
	spin_lock(&g->track.lock);
	g->track.armed = false;
	spin_unlock(&g->track.lock);
	gch_track_close(&g->track, 0);
	take_log(g);
	gch_dirty_forget(&g->core);
}

/** gch_track_way() - the way that this kernel has, for one asked for */
u32 gch_track_way(u32 way)
{
	if (!IS_ENABLED(CONFIG_MAPPING_DIRTY_HELPERS))
		return GCHEAP_TRACK_UNMAP;
	return way == GCHEAP_TRACK_DEFAULT || way > GCHEAP_TRACK_UNMAP ?
		GCHEAP_TRACK_DIRTY : way;
}

static uint gch_tracking;
module_param_named(tracking, gch_tracking, uint, 0644);
MODULE_PARM_DESC(tracking, "GCHEAP_TRACK_* of new heaps");

/** gch_track_init() - 0 or -ENOMEM */
int gch_track_init(struct gch_track *t)
{
	spin_lock_init(&t->lock);
	t->way = gch_track_way(READ_ONCE(gch_tracking));
	t->bits = (unsigned long *)__get_free_page(ENV_GFP);
	t->list = (u32 *)__get_free_page(ENV_GFP);
	t->taken = (u32 *)__get_free_page(ENV_GFP);
	if (t->bits && t->list && t->taken)
		return 0;
	gch_track_destroy(t);
	return -ENOMEM;
}

void gch_track_destroy(struct gch_track *t)
{
	free_page((unsigned long)t->bits);
	free_page((unsigned long)t->list);
	free_page((unsigned long)t->taken);
}
