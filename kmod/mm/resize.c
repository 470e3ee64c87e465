// SPDX-License-Identifier: GPL-2.0-only
/*
 * A large object gets another size: where it is, if it becomes smaller or the slots after it
 * are free; else its pages go where there is room. No byte of it is copied.
 *
 * Elsewhere they go in batches: those of one are zapped, get their new place and are mapped
 * there, core.lock held from beginning to end, so that who touches them meanwhile waits in
 * the fault handler. In between the program, if it looks, finds some of them in the old
 * object and some in the new one; both are kept alive (struct gch_thread). A frame that
 * somebody has pinned goes like others: what he writes is in the new one.
 *
 * Marking may be under way. The new object counts as scanned, like any other that has been
 * handed out since marking began, and each page that comes in as written: it will be looked
 * at again. While objects of other caches are being moved large ones are not: what was noted
 * of references to these is noted by page (core/evacuate.c).
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "../gcheap.h"

/**
 * struct resize - a large object on its way
 * @thread: the caller's number
 * @addr, @had: where it is, of how many bytes; @from: its span
 * @bytes: that it is to have; @to: the span of that
 * @page: frames of a batch
 */
struct resize {
	u32 thread;
	u64 addr, had, bytes;
	u32 from, to;
	struct page *page[GCH_BATCH_PAGES];
};

static u64 pages_of(u64 bytes)
{
	return DIV_ROUND_UP_ULL(bytes, GCHEAP_SLOT_SIZE) * GCH_SLOT_PAGES;
}

static u64 first_page(u32 id)
{
	return (u64)id * GCH_SLOT_PAGES;
}

/* The large object at an address; core.lock held, not in a frozen phase. */
static bool find(struct gch *g, u64 addr, struct gch_ref *r)
{
	return gch_object_at(&g->core, addr, r) && r->d->state == GCHEAP_SPAN_LARGE;
}

/*
 * Whether both objects are what they were: who knows their addresses can free them, or give
 * them another size. As find().
 */
static bool in_hand(struct gch *g, const struct resize *z)
{
	struct gch_ref r;

	return g->core.thread[z->thread]->pending == z->to + 1 &&
	       find(g, gch_slot_addr(&g->core, z->to), &r) && r.d->bytes == z->bytes &&
	       find(g, z->addr, &r) && r.d->bytes == z->had;
}

/* Whether another thread is moving it; core.lock held. */
static bool is_moving(struct gch *g, u32 id)
{
	u32 i;

	for (i = 0; g->resizing && i < g->core.max_threads; i++) {
		const struct gch_thread *t = g->core.thread[i];

		if (t && t->resized && (t->resized == id + 1 || t->pending == id + 1))
			return true;
	}
	return false;
}

/* As find(). Return: 0: it has its new size, or its pages are to go to @z->to; -errno. */
static int begin(struct gch *g, struct resize *z)
{
	struct gch_heap *h = &g->core;
	struct gch_ref r;
	int err;

	if (!find(g, z->addr, &r))
		return -ENOENT;
	if (h->evac.state != GCH_EVAC_NONE || h->phase == GCHEAP_PHASE_FINALIZE ||
	    is_moving(g, r.id) || gch_stress_abort())
		return -EBUSY;
	z->had = r.d->bytes;
	z->from = r.id;
	z->to = r.id;
	err = gch_resize_here(h, &r, z->bytes);
	/* Code that is asked about an object has to see all of it in one place. */
	if (err != -EBUSY || h->cache[r.d->cache]->layout == GCHEAP_ASK)
		return err;
	err = gch_resize_begin(h, z->thread, &r, z->bytes, &z->to);
	g->resizing += !err;
	return err;
}

/* Take a batch of frames out of one object and put it into the other; core.lock held. */
static void move(struct gch *g, struct resize *z, u64 at, u32 n)
{
	u64 from = first_page(z->from) + at, to = first_page(z->to) + at;
	u32 i;

	unmap_mapping_range(g->inode->i_mapping, from << PAGE_SHIFT, (u64)n << PAGE_SHIFT, 1);
	gch_pages_release(g, to / GCH_SLOT_PAGES, n / GCH_SLOT_PAGES);
	for (i = 0; i < n; i++) {
		z->page[i] = gch_pages_take(g, from + i);
		if (!z->page[i])
			continue;
		gch_pages_set(g, to + i, z->page[i]);
		if (g->core.black)
			gch_dirty_set(&g->core, to + i);
		g->pages_remapped++;
	}
}

/* Map the batch where it is now. What cannot be is mapped by faults. */
static void insert(struct gch *g, struct vm_area_struct *vma, struct resize *z, u64 at, u32 n)
{
	unsigned long addr = vma->vm_start + ((first_page(z->to) + at) << PAGE_SHIFT), left;
	u32 i, run;

	for (i = 0; i < n; i += run) {
		for (run = 0; i + run < n && z->page[i + run]; run++)
			;
		left = run;
		if (run)
			vm_insert_pages(vma, addr + ((u64)i << PAGE_SHIFT), z->page + i, &left);
		run += !run;
	}
	gch_track_born(g, vma, addr, n);
}

/* Return: 0, -EAGAIN: in a frozen phase, -ENOENT, -EINTR, -ENXIO. */
static int move_some(struct gch *g, struct resize *z, u64 at, u32 n)
{
	struct vm_area_struct *vma = gch_pages_vma(g);
	bool tables;
	int err = 0;

	if (IS_ERR(vma))
		return PTR_ERR(vma);
	tables = !gch_pages_tables(vma, gch_slot_addr(&g->core, z->to) + (at << PAGE_SHIFT),
				   (u64)n << PAGE_SHIFT);
	env_lock(&g->core.lock);
	if (READ_ONCE(g->dead))
		err = -ENXIO;
	else if (gch_phase_frozen(&g->core))
		err = -EAGAIN;
	else if (!in_hand(g, z))
		err = -ENOENT;
	if (!err) {
		move(g, z, at, n);
		if (tables)
			insert(g, vma, z, at, n);
	}
	gch_unlock(g);
	mmap_read_unlock(current->mm);
	return err;
}

static int move_all(struct gch *g, struct resize *z)
{
	u64 at = 0, end = pages_of(z->had);
	int err = 0;
	u32 n;

	while (at < end && !err) {
		n = min_t(u64, end - at, GCH_BATCH_PAGES);
		err = gch_await_writable(g) ?: move_some(g, z, at, n);
		gch_stress_point();
		cond_resched();
		if (!err)
			at += n;
		if (err != -EAGAIN)
			continue;
		err = gch_lock_thawed(g);
		if (!err)
			gch_unlock(g);
	}
	return err;
}

/* What free slots held is not what the new pages hold. */
static int empty_rest(struct gch *g, const struct resize *z)
{
	u64 at = pages_of(z->had), end = pages_of(z->bytes);
	int err = 0;
	u32 n;

	for (; at < end && !err; at += n) {
		n = min_t(u64, end - at, GCH_BATCH_PAGES);
		err = gch_enter(g, z->thread);
		if (err)
			break;
		if (in_hand(g, z))
			gch_pages_release(g, (first_page(z->to) + at) / GCH_SLOT_PAGES,
					  n / GCH_SLOT_PAGES);
		else
			err = -ENOENT;
		gch_unlock(g);
		cond_resched();
	}
	return err;
}

/* Pages of what is new, if they are few, or page tables (see do_large()). */
static int supply(struct gch *g, const struct resize *z)
{
	u64 had = pages_of(z->had), end = pages_of(z->bytes), at = first_page(z->to) + had;

	if (end <= had)
		return 0;
	return end - had <= GCH_BATCH_PAGES ? gch_pages_supply(g, at, end - had) :
					      gch_pages_prepare(g, at, end - had);
}

/* Return: 0, or -errno and it has its old size, if it is still there. */
static int supply_here(struct gch *g, const struct resize *z)
{
	int err = supply(g, z);
	struct gch_ref r;

	if (!err || gch_enter(g, z->thread))
		return err;
	if (find(g, z->addr, &r) && r.d->bytes == z->bytes)
		gch_resize_here(&g->core, &r, z->had);
	gch_unlock(g);
	return err;
}

static int finish(struct gch *g, struct resize *z, u64 *cookie)
{
	int err = gch_enter(g, z->thread);

	if (err)
		return err;
	if (in_hand(g, z))
		gch_resize_end(&g->core, z->thread, z->addr, cookie);
	else
		err = -ENOENT;
	gch_unlock(g);
	return err;
}

static int elsewhere(struct gch *g, struct resize *z, u64 *cookie)
{
	int err;

	gch_stress_point();
	/* Until its pages begin to go it can stay as it is. */
	err = empty_rest(g, z) ?: supply(g, z) ?: move_all(g, z) ?: finish(g, z, cookie);
	env_lock(&g->core.lock);
	g->resizing--;
	g->core.thread[z->thread]->resized = 0;
	env_unlock(&g->core.lock);
	if (err && !gch_enter(g, z->thread)) {
		gch_free_unused(&g->core, z->thread, z->to);
		gch_unlock(g);
	}
	return err;
}

/**
 * gch_resize() - see struct gcheap_resize
 * @memory: out: it was memory that was lacking
 *
 * Without locks. Return: 0, -ENOENT, -EBUSY, -ENOMEM, -ESRCH, -EINTR or -ENXIO.
 */
int gch_resize(struct gch *g, struct gcheap_resize *a, bool *memory)
{
	struct resize *z = kmalloc(sizeof(*z), GFP_KERNEL);
	u32 fills = 0;
	int err;

	*memory = !z;
	if (!z)
		return -ENOMEM;
	z->thread = a->thread;
	z->addr = a->addr;
	z->bytes = a->bytes;
	do {
		err = gch_enter(g, z->thread);
		if (!err) {
			err = begin(g, z);
			gch_unlock(g);
		}
	} while (err == -ENOMEM && gch_reserve_fill(&g->core, &fills));
	if (!err) {
		err = z->to == z->from ? supply_here(g, z) : elsewhere(g, z, &a->cookie);
		*memory = err == -ENOMEM;
	}
	if (!err)
		a->addr = gch_slot_addr(&g->core, z->to);
	kfree(z);
	return err;
}
