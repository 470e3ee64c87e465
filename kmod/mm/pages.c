// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages behind the heap: supplied by faults and in batches, given back.
 *
 * Ordinary pages, one reference for the slot that holds the frame and one for
 * each mapping. They come and go under core.lock; memory is allocated, charged
 * and page tables are built before it is taken (R8).
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "../gcheap.h"

#define CLEAR_BATCH	16	/* pages cleared with the lock held */
#define DROP_BATCH	256	/* slots whose frames go with the lock held */

#define GCH_GFP		GFP_USER

static struct page *page_alloc(gfp_t flags)
{
	struct page *page = alloc_page(flags | __GFP_ACCOUNT);

	/* Frames are 32 bits: 16 TiB of memory. */
	if (page && page_to_pfn(page) > U32_MAX) {
		__free_page(page);
		return NULL;
	}
	return page;
}

static struct page *page_new(gfp_t extra)
{
	return page_alloc(GCH_GFP | __GFP_ZERO | extra);
}

/** gch_page_new() - a frame that is about to be filled, or NULL; never for the OOM killer */
struct page *gch_page_new(bool may_sleep)
{
	return page_alloc((may_sleep ? GCH_GFP | __GFP_RETRY_MAYFAIL : GFP_NOWAIT) |
			  __GFP_NOWARN);
}

/*
 * A page for a fault, which cannot say that there is no memory without the program being
 * killed: one that was charged before, if a new one would take that. NULL unless it is the
 * @last try: there is something that can be done.
 */
static struct page *page_for_fault(struct gch *g, bool last)
{
	struct page *page = page_new(__GFP_RETRY_MAYFAIL | __GFP_NOWARN);

	if (page)
		return page;
	env_lock(&g->core.lock);
	if (g->nslack)
		page = g->slack[--g->nslack];
	env_unlock(&g->core.lock);
	return page || !last ? page : page_new(0);
}

/** gch_pages_frame() - the frame behind a heap page; there is one. core.lock held */
struct page *gch_pages_frame(struct gch *g, u64 page)
{
	return pfn_to_page(*gch_frame_of(g, page));
}

/** gch_pages_set() - another frame, whose reference is the slot's from here on */
void gch_pages_set(struct gch *g, u64 page, struct page *p)
{
	WRITE_ONCE(*gch_frame_of(g, page), page_to_pfn(p));
}

/** gch_pages_take() - a heap page's frame, or NULL; it has none then, and the caller has it */
struct page *gch_pages_take(struct gch *g, u64 page)
{
	u32 frame = *gch_frame_of(g, page);

	WRITE_ONCE(*gch_frame_of(g, page), 0);
	return frame ? pfn_to_page(frame) : NULL;
}

static void frame_set(struct gch *g, u64 page, struct page *p)
{
	gch_pages_set(g, page, p);
	g->core.n.resident_pages++;
}

/* Without a frame: what it had goes, unless others share it. */
static void frame_drop(struct gch *g, u64 page)
{
	struct page *p = gch_pages_frame(g, page);

	if (gch_mesh_leave(&g->core, page)) {
		set_page_private(p, page_private(p) - 1);
	} else {
		g->core.n.resident_pages--;
		g->pages_released++;
	}
	WRITE_ONCE(*gch_frame_of(g, page), 0);
	put_page(p);
}

static bool page_in_span(struct gch *g, u64 page)
{
	u32 first;

	return gch_span_at(&g->core, page / GCH_SLOT_PAGES, &first);
}

static int touch_pte(pte_t *pte, unsigned long addr, void *data)
{
	return 0;
}

/**
 * gch_pages_tables() - build page tables, since inserting pages with core.lock
 *	held would allocate them (R8)
 */
int gch_pages_tables(struct vm_area_struct *vma, unsigned long addr, u64 bytes)
{
	return apply_to_page_range(vma->vm_mm, addr & PAGE_MASK, bytes, touch_pte,
				   NULL);
}

/* The program has settled a page, in so many ns. */
static void count_settled(struct gch *g, u64 ns)
{
	g->flip_faults++;
	g->flip_fault_ns += ns;
	g->flip_fault_ns_max = max(g->flip_fault_ns_max, ns);
}

/**
 * gch_pages_fault() - map the heap page at an address
 * @write: writable, too
 * @last: if there is no memory the program may be killed for some
 *
 * Return: 0, -EFAULT: no span there (R20), -ENOMEM.
 */
int gch_pages_fault(struct gch *g, struct vm_area_struct *vma,
		    unsigned long addr, bool write, bool last)
{
	u64 page = (addr - vma->vm_start) >> PAGE_SHIFT;
	u64 begun = ktime_get_ns();
	struct page *fresh = NULL;
	int err;

	if (gch_pages_tables(vma, addr, PAGE_SIZE))
		return -ENOMEM;
again:
	atomic_inc(&g->faulting);
	env_lock(&g->core.lock);
	atomic_dec(&g->faulting);
	if (READ_ONCE(g->dead)) {
		err = -EFAULT;
		goto out;
	}
	/* R20: what is in no span is refused, too. */
	if (gch_rule(20) || page_in_span(g, page)) {
		err = gch_evac_touch(&g->core, page);
		if (err < 0)
			goto out;
		if (err)
			count_settled(g, ktime_get_ns() - begun);
	}
	if (!gch_rule(20) &&
	    gch_chunk_ensure(&g->core, page / GCH_SLOT_PAGES, 1)) {
		err = -ENOMEM;
		goto out;
	}
	if (!*gch_frame_of(g, page)) {
		if (!fresh) {
			env_unlock(&g->core.lock);
			fresh = page_for_fault(g, last);
			if (!fresh)
				return -ENOMEM;
			goto again;
		}
		frame_set(g, page, fresh);
		fresh = NULL;
	}
	err = vm_insert_page(vma, addr & PAGE_MASK,
			     pfn_to_page(*gch_frame_of(g, page)));
	if (!err && write)
		gch_track_born(g, vma, addr & PAGE_MASK, 1);
	if (err == -EBUSY)	/* another thread mapped it */
		err = 0;
out:
	env_unlock(&g->core.lock);
	if (fresh)
		__free_page(fresh);
	return err;
}

/*
 * Slots of a span that was just handed out; core.lock held. 0 if it is gone: who guesses
 * the address of a large object can free it.
 */
static u32 slots_of(struct gch *g, u32 id)
{
	const struct gcheap_span *d;
	u32 first;

	d = gch_span_at(&g->core, id, &first);
	return d && first == id ? d->nslots : 0;
}

/* Pages of spans that have no frame: how many, and with @missing the first @max. */
static u32 pages_missing(struct gch *g, const u32 *span, u32 n, u64 *missing, u32 max)
{
	u32 i, slot, end, p, m = 0;

	env_lock(&g->core.lock);
	for (i = 0; i < n; i++) {
		end = span[i] + slots_of(g, span[i]);
		for (slot = span[i]; slot < end; slot++) {
			const u32 *frame = gch_slot(&g->core, slot)->frame;

			for (p = 0; p < GCH_SLOT_PAGES && m < max; p++) {
				if (frame[p])
					continue;
				if (missing)
					missing[m] = (u64)slot * GCH_SLOT_PAGES + p;
				m++;
			}
		}
	}
	env_unlock(&g->core.lock);
	return m;
}

/*
 * Map the run missing[0 .. n) of neighbouring pages. A fault may have brought one in
 * meanwhile, or its object be gone: the run is cut there, and what is left goes by faults.
 */
static void run_insert(struct gch *g, struct vm_area_struct *vma,
		       const u64 *missing, struct page **pages, u32 n)
{
	unsigned long addr = vma->vm_start + (missing[0] << PAGE_SHIFT);
	unsigned long left;
	u32 i;

	if (gch_pages_tables(vma, addr, (u64)n << PAGE_SHIFT))
		return;
	env_lock(&g->core.lock);
	for (i = 0; i < n && !READ_ONCE(g->dead) && page_in_span(g, missing[i]) &&
	     !*gch_frame_of(g, missing[i]); i++) {
		frame_set(g, missing[i], pages[i]);
		get_page(pages[i]);	/* the frame's */
	}
	left = i;
	if (left) {
		vm_insert_pages(vma, addr, pages, &left);
		gch_track_born(g, vma, addr, i - left);
	}
	env_unlock(&g->core.lock);
}

#define TABLES	16	/* made at once, and one above them */

/*
 * The kernel charges page tables so that the program is killed for them: see that there is
 * memory for @n. Others may be quicker.
 */
static bool tables_room(u32 n)
{
	struct page *page[TABLES + 1];
	u32 i;

	for (i = 0; i < n; i++) {
		page[i] = page_new(__GFP_RETRY_MAYFAIL | __GFP_NOWARN);
		if (!page[i])
			break;
	}
	n -= i;
	while (i)
		__free_page(page[--i]);
	return !n;
}

/** gch_pages_vma() - the heap's mapping, mmap_lock taken to read it; or -EINTR, -ENXIO */
struct vm_area_struct *gch_pages_vma(struct gch *g)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;

	if (mmap_read_lock_killable(mm))
		return ERR_PTR(-EINTR);
	vma = find_vma(mm, g->core.base);
	if (!READ_ONCE(g->dead) && vma && gch_mapping_is_heap(g, vma))
		return vma;
	mmap_read_unlock(mm);
	return ERR_PTR(-ENXIO);
}

/**
 * gch_pages_prepare() - build page tables for pages that come by faults, which would do so
 *	without being able to fail
 * @page: the first of @n
 *
 * For the first TABLES. Return: 0, -ENOMEM, -EINTR, -ENXIO.
 */
int gch_pages_prepare(struct gch *g, u64 page, u64 n)
{
	u64 bytes = min_t(u64, n << PAGE_SHIFT, (u64)TABLES * PMD_SIZE);
	struct vm_area_struct *vma;
	int err;

	if (!tables_room(DIV_ROUND_UP_ULL(bytes, PMD_SIZE) + 1))
		return -ENOMEM;
	vma = gch_pages_vma(g);
	if (IS_ERR(vma))
		return PTR_ERR(vma);
	err = gch_pages_tables(vma, vma->vm_start + (page << PAGE_SHIFT), bytes);
	mmap_read_unlock(current->mm);
	return err;
}

static int pages_insert(struct gch *g, const u64 *missing, struct page **pages,
			u32 n)
{
	struct vm_area_struct *vma;
	u32 i, run;

	if (!tables_room(2))
		return -ENOMEM;
	vma = gch_pages_vma(g);
	if (IS_ERR(vma))
		return PTR_ERR(vma);
	for (i = 0; i < n; i += run) {
		for (run = 1; i + run < n &&
		     missing[i + run] == missing[i] + run; run++)
			;
		run_insert(g, vma, missing + i, pages + i, run);
	}
	mmap_read_unlock(current->mm);
	return 0;
}

/** gch_pages_back() - each page of a span that has none gets a frame: 0 or -ENOMEM
 *
 * May sleep. The span is the caller's.
 */
int gch_pages_back(struct gch *g, u32 id)
{
	u64 missing[GCH_SPAN_PAGES];
	u32 n = pages_missing(g, &id, 1, missing, GCH_SPAN_PAGES);
	struct page *page;

	while (n--) {
		page = page_new(__GFP_RETRY_MAYFAIL | __GFP_NOWARN);
		if (!page)
			return -ENOMEM;
		env_lock(&g->core.lock);
		frame_set(g, missing[n], page);
		env_unlock(&g->core.lock);
	}
	return 0;
}

/** gch_pages_backed() - which pages of a span, not a large one, have frames; core.lock held */
u32 gch_pages_backed(struct gch *g, u32 id)
{
	u32 n = gch_desc(&g->core, id)->nslots * GCH_SLOT_PAGES, pages = 0, i;

	for (i = 0; i < n; i++)
		if (*gch_frame_of(g, (u64)id * GCH_SLOT_PAGES + i))
			pages |= 1u << i;
	return pages;
}

/** gch_slack_drop() - memory has run out: leave the program what is not used yet
 *
 * core.lock held.
 */
void gch_slack_drop(struct gch *g)
{
	while (g->nslack)
		__free_page(g->slack[--g->nslack]);
	while (g->nspare)
		__free_page(g->spare[--g->nspare]);
}

/*
 * Charged pages for a stock, until it has @want of them. Without the lock; may sleep. Others
 * may take them meanwhile: then they have got on. Return: false: no memory, or dead.
 */
static bool stock_fill(struct gch *g, struct page **stock, u32 *have, u32 want)
{
	struct page *page;

	while (READ_ONCE(*have) < want) {
		page = page_new(__GFP_RETRY_MAYFAIL | __GFP_NOWARN);
		if (!page)
			return false;
		env_lock(&g->core.lock);
		if (*have < want && !READ_ONCE(g->dead)) {
			stock[(*have)++] = page;
			page = NULL;
		}
		env_unlock(&g->core.lock);
		if (page)
			__free_page(page);
		if (READ_ONCE(g->dead))
			return false;
	}
	return true;
}

/** gch_spare_fill() - bring in the frames that a split lacked (-ENOBUFS): whether to try again */
bool gch_spare_fill(struct gch *g)
{
	return stock_fill(g, g->spare, &g->nspare, READ_ONCE(g->spare_want));
}

/*
 * Fill it up. A heap must not take the last page that the program's memory
 * cgroup allows: the program's next fault, on its stack say, would have it killed.
 */
static bool slack_fill(struct gch *g)
{
	return stock_fill(g, g->slack, &g->nslack, GCH_SLACK);
}

struct gch_batch_pages {
	u64 missing[GCH_BATCH_PAGES];
	struct page *pages[GCH_BATCH_PAGES];
};

static int pages_supply(struct gch *g, struct gch_batch_pages *b, u32 m)
{
	int err = 0;
	u32 i;

	if (!slack_fill(g))
		return -ENOMEM;
	for (i = 0; i < m; i++) {
		b->pages[i] = page_new(__GFP_RETRY_MAYFAIL | __GFP_NOWARN);
		if (!b->pages[i]) {
			err = -ENOMEM;
			break;
		}
	}
	if (!err)
		err = pages_insert(g, b->missing, b->pages, m);
	while (i)
		put_page(b->pages[--i]);
	return err;
}

/* Spans @i to @n - 1 of a batch: how many slots from the first on are theirs without a gap. */
static u32 slots_in_row(struct gch *g, const u32 *span, u32 *i, u32 n)
{
	u32 first = span[*i], end = first;

	do
		end += slots_of(g, span[(*i)++]);
	while (*i < n && span[*i] == end);
	return end - first;
}

/* Spans that were just handed out are about to be written: no fault for each page. */
static int pages_unprotect(struct gch *g, const u32 *span, u32 n)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	u32 i = 0, first, slots;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = find_vma(mm, g->core.base);
	env_lock(&g->core.lock);
	if (READ_ONCE(g->dead) || !vma || !gch_mapping_is_heap(g, vma))
		n = 0;
	while (i < n) {
		first = span[i];
		slots = slots_in_row(g, span, &i, n);
		if (slots)
			gch_track_born(g, vma, gch_slot_addr(&g->core, first),
				       slots * GCH_SLOT_PAGES);
	}
	env_unlock(&g->core.lock);
	mmap_read_unlock(mm);
	return 0;
}

/* Supply the @m pages of a batch, which goes. */
static int batch_supply(struct gch *g, struct gch_batch_pages *b, u32 m)
{
	int err = m ? pages_supply(g, b, m) : 0;

	kfree(b);
	if (err == -ENOMEM) {
		env_lock(&g->core.lock);
		gch_slack_drop(g);
		env_unlock(&g->core.lock);
	}
	return err;
}

static int pages_fetch(struct gch *g, const u32 *span, u32 n)
{
	struct gch_batch_pages *b = kmalloc(sizeof(*b), GFP_KERNEL);

	if (!b)
		return -ENOMEM;
	return batch_supply(g, b, pages_missing(g, span, n, b->missing, GCH_BATCH_PAGES));
}

/**
 * gch_pages_supply() - back and map pages that have no frame yet
 * @page: the first of @n, at most GCH_BATCH_PAGES
 *
 * Return: as gch_pages_populate().
 */
int gch_pages_supply(struct gch *g, u64 page, u32 n)
{
	struct gch_batch_pages *b = kmalloc(sizeof(*b), GFP_KERNEL);
	u32 i;

	if (!b)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		b->missing[i] = page + i;
	return batch_supply(g, b, n);
}

/**
 * gch_pages_populate() - back and map the spans the caller was just given
 * @span, @n: the spans, at most GCHEAP_BATCH, or one large object
 *
 * Of an object of more than GCH_BATCH_PAGES the first so many.
 *
 * Return: 0, -ENOMEM (memory or the memory cgroup; the spans are still the
 * caller's, partly backed), -EINTR, -ENXIO.
 */
int gch_pages_populate(struct gch *g, const u32 *span, u32 n)
{
	int err = 0;

	/* mostly they have their pages from earlier use */
	if (pages_missing(g, span, n, NULL, 1))
		err = pages_fetch(g, span, n);
	if (!err && READ_ONCE(g->track.protected))
		err = pages_unprotect(g, span, n);
	return err;
}

/**
 * gch_pages_clear() - zero what is left from earlier use in a large object
 * @thread: the caller's number
 * @id: the object, the last that was made for it
 * @nslots: its length
 *
 * Another thread may free it early, or make it smaller, so it is looked up anew with each batch.
 */
void gch_pages_clear(struct gch *g, u32 thread, u32 id, u32 nslots)
{
	u64 page = (u64)id * GCH_SLOT_PAGES, stop;
	u64 end = page + (u64)nslots * GCH_SLOT_PAGES;
	bool ours = true;

	gch_stress_point();
	while (page < end && ours) {
		env_lock(&g->core.lock);
		ours = g->core.thread[thread]->pending == id + 1;
		if (ours)
			end = min(end, (u64)(id + slots_of(g, id)) * GCH_SLOT_PAGES);
		for (stop = min(end, page + CLEAR_BATCH); page < stop && ours; page++)
			if (*gch_frame_of(g, page))
				clear_page(env_frame_addr(*gch_frame_of(g, page)));
		if (ours && page >= end)
			gch_large_zeroed(&g->core, id);
		env_unlock(&g->core.lock);
		cond_resched();
	}
}

#define ZAP_GAP	16	/* pages in between that are zapped as well: a fault each, if used */

/**
 * gch_zap_add() - zap a page's entry, with those of others that are not far from it
 * @z: zeroed at first; pages come in rising order
 *
 * One flush for each stretch of them, at the latest in gch_zap_end(): only then nobody has
 * a translation left.
 */
void gch_zap_add(struct gch *g, struct gch_zap *z, u64 page)
{
	if (z->end && page > z->end + ZAP_GAP)
		gch_zap_end(g, z);
	if (!z->end)
		z->page = page;
	z->end = page + 1;
}

/** gch_zap_end() - what was added is zapped, and all processors know; core.lock held */
void gch_zap_end(struct gch *g, struct gch_zap *z)
{
	if (z->end)
		unmap_mapping_range(g->inode->i_mapping, z->page << PAGE_SHIFT,
				    (z->end - z->page) << PAGE_SHIFT, 1);
	z->end = 0;
}

/**
 * gch_pages_release_some() - give the frames of pages that hold nothing back to the system
 * @v: @n spans in rising order, and which of their pages
 *
 * As gch_pages_release().
 */
void gch_pages_release_some(struct gch *g, const struct gch_vacant *v, u32 n)
{
	struct gch_zap z = { };
	u32 i, pages;

	for (i = 0; i < n; i++)
		for (pages = v[i].pages; pages; pages &= pages - 1)
			gch_zap_add(g, &z, (u64)v[i].id * GCH_SLOT_PAGES + __ffs(pages));
	gch_zap_end(g, &z);
	for (i = 0; i < n; i++)
		for (pages = v[i].pages; pages; pages &= pages - 1)
			frame_drop(g, (u64)v[i].id * GCH_SLOT_PAGES + __ffs(pages));
}

/**
 * gch_pages_release() - give the frames of slots back to the system
 * @id: the first of @n in a row; what they hold is of no use any more
 *
 * core.lock held, not in a frozen phase. Someone who has pinned a page keeps
 * it, and nothing else.
 */
void gch_pages_release(struct gch *g, u32 id, u32 n)
{
	u64 page = (u64)id * GCH_SLOT_PAGES;
	u64 end = page + (u64)n * GCH_SLOT_PAGES;

	env_assert_held(&g->core.lock);
	unmap_mapping_range(g->inode->i_mapping, page << PAGE_SHIFT,
			    (end - page) << PAGE_SHIFT, 1);
	for (; page < end; page++)
		if (*gch_frame_of(g, page))
			frame_drop(g, page);
}

/** gch_tcb_page() - a page of the thread control blocks, by number
 * @make: allocate it if it is not there (may sleep)
 */
void *gch_tcb_page(struct gch *g, u64 page, bool make)
{
	void *p = xa_load(&g->tcb, page), *old;

	if (p || !make)
		return p;
	p = env_page_alloc();
	if (!p)
		return NULL;
	old = xa_cmpxchg(&g->tcb, page, NULL, p, ENV_GFP);
	if (!old)
		return p;
	env_page_free(p);
	return xa_is_err(old) ? NULL : old;
}

/**
 * gch_pages_drop() - give all frames back: the heap is dead, nothing maps it
 */
void gch_pages_drop(struct gch *g)
{
	u32 at = 0, id, n;

	env_lock(&g->core.lock);
	gch_slack_drop(g);
	while (gch_run_frames(&g->core, at, DROP_BATCH, &id, &n)) {
		gch_pages_release(g, id, n);
		at = id + n;
		env_unlock(&g->core.lock);
		cond_resched();
		env_lock(&g->core.lock);
	}
	env_unlock(&g->core.lock);
}

/** gch_pages_destroy() - the heap goes: control blocks and status page as well */
void gch_pages_destroy(struct gch *g)
{
	unsigned long index;
	void *p;

	gch_pages_drop(g);
	xa_for_each(&g->tcb, index, p)
		env_page_free(p);
	xa_destroy(&g->tcb);
	env_page_free(g->status);
}
