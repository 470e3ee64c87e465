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
 * page_mkwrite() never waits for the collector.
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

	lockdep_assert_held(&g->track.lock);
	if (c)
		c->logged[i / 64] |= 1ull << (i % 64);
}

/**
 * gch_track_mkwrite() - a page is about to become writable
 * @vmf: fault of the heap mapping
 *
 * Return: VM_FAULT_LOCKED, the page locked.
 */
vm_fault_t gch_track_mkwrite(struct gch *g, struct vm_fault *vmf)
{
	struct gch_track *t = &g->track;

	lock_page(vmf->page);
	spin_lock(&t->lock);
	t->faults++;
	if (t->armed)
		log_page(g, vmf->pgoff);
	spin_unlock(&t->lock);
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
 * core.lock held; page tables are there.
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
	apply_to_page_range(vma->vm_mm, addr, (u64)n << PAGE_SHIFT, make_writable, vma);
}

/*
 * The page behind a heap page. Frames are taken away by the collector only, chunks not
 * while marking is under way, so the collector may look without the lock.
 */
static struct page *frame_page(struct gch *g, u64 page)
{
	u32 id = page / GCH_SLOT_PAGES, i = id % GCHEAP_CHUNK_SLOTS, frame;
	struct gch_chunk *c = gch_chunk(&g->core, id / GCHEAP_CHUNK_SLOTS);

	if (!c || !READ_ONCE(c->slot[i / GCH_DESC_SLOTS]))
		return NULL;
	frame = READ_ONCE(gch_slot(&g->core, id)->frame[page % GCH_SLOT_PAGES]);
	return frame ? pfn_to_page(frame) : NULL;
}

/* Wait for faults that have logged their page and not made it writable yet. */
static void settle(struct gch *g)
{
	u64 page, end = pages_in_use(g);
	struct page *p;

	smp_mb();	/* B3 */
	for (page = 0; page < end; page++) {
		p = frame_page(g, page);
		if (p && PageLocked(p)) {
			lock_page(p);
			unlock_page(p);
		}
		if (page % 4096 == 4095)
			cond_resched();
	}
}

/* What is logged is dirty; core.lock held, or world stopped. Return: how much. */
static u64 take_log(struct gch *g)
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
			chunk->logged[w] = 0;
			spin_unlock(&g->track.lock);
			for (; bits; bits &= bits - 1, n++)
				gch_dirty_set(&g->core, (u64)c * GCH_CHUNK_PAGES + 64 * w +
					      env_ctz64(bits));
		}
	}
	return n;
}

/* Every write from here on faults, in a window of pages. */
static void protect(struct gch *g, u64 first, u64 n)
{
	struct address_space *mapping = g->inode->i_mapping;

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
	*pinned = page_ref_count(p) > 2 + atomic_read(&p->_mapcount);
	if (!gch_rule(11))
		*pinned = false;
	smp_mb();	/* R11: pairs with the release of a pin, after PG_dirty was set */
	return TestClearPageDirty(p) || *pinned;
}

/* Into the core's dirty pages what is known of a window; core.lock held. */
static u64 record(struct gch *g, u64 first, u64 n, bool last)
{
	u64 page, count = 0;
	struct page *p;
	bool pinned;

	for (page = first; page < first + n; page++) {
		p = frame_page(g, page);
		if (!p)
			continue;
		if (page_written(p, &pinned) | test_bit(page - first, g->track.bits))
			count += gch_dirty_set(&g->core, page);
		if (pinned && last) {
			spin_lock(&g->track.lock);
			log_page(g, page);
			spin_unlock(&g->track.lock);
		}
	}
	return count;
}

static u64 window(struct gch *g, u64 first, u64 n, bool protecting)
{
	u64 count;

	bitmap_zero(g->track.bits, WINDOW);
	if (protecting)
		protect(g, first, n);
	/* R12: after protection, since entries may have been dirty. */
	clean(g, first, n);
	env_lock(&g->core.lock);
	count = record(g, first, n, protecting);
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
	struct gch_track *t = &g->track;
	bool protecting = last || t->way != GCHEAP_TRACK_DIRTY;
	u64 first, end, count;

	env_lock(&g->core.lock);
	count = take_log(g);
	spin_lock(&t->lock);
	t->armed = protecting;
	spin_unlock(&t->lock);
	end = pages_in_use(g);
	env_unlock(&g->core.lock);
	if (protecting)
		settle(g);
	for (first = 0; first < end; first += WINDOW) {
		count += window(g, first, min_t(u64, WINDOW, end - first), protecting);
		cond_resched();
	}
	return count;
}

/**
 * gch_track_begin() - marking begins: writes before this call do not count
 *
 * When it returns, all entries are clean or protected and no processor holds another
 * translation (R2: before the first root is read).
 */
void gch_track_begin(struct gch *g)
{
	gch_track_round(g, false);
	env_lock(&g->core.lock);
	gch_dirty_forget(&g->core);
	env_unlock(&g->core.lock);
}

/** gch_track_logged() - in the pause: what was written since the last round is dirty */
void gch_track_logged(struct gch *g)
{
	g->track.logged += take_log(g);
}

/** gch_track_end() - marking is over: no page is logged any more; core.lock held */
void gch_track_end(struct gch *g)
{
	env_assert_held(&g->core.lock);
	spin_lock(&g->track.lock);
	g->track.armed = false;
	spin_unlock(&g->track.lock);
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
	t->bits = (unsigned long *)__get_free_page(GFP_KERNEL_ACCOUNT);
	return t->bits ? 0 : -ENOMEM;
}

void gch_track_destroy(struct gch_track *t)
{
	free_page((unsigned long)t->bits);
}
