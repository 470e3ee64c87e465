// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mm's part of an evacuation (core/evacuate.c): what is mapped, and roots.
 *
 * What is to be settled after the flip must not be mapped then. Zapping takes long, and an
 * interrupt to every processor for each stretch: it is done before the pause, with the
 * program running, and the pause zaps only what has been mapped again since (gch_flip_arm()).
 *
 *   collector	set evac.armed, under core.lock; zap	a fault on a stale page: map it, and
 *		what is stale				note it as late, under core.lock
 *
 * so that whatever is mapped is late. A program that goes on touching such pages keeps some
 * late: they are zapped again until they are few, or it has been tried often. A frame that
 * somebody has pinned when all is zapped may be written by him: its span stays (B5, remap.c).
 *
 * PRECISE ROOTS are updated in the pause. Their pages are held from the moment that they are
 * found to refer to sources, so that nothing can fail any more when words are written; what
 * cannot be held, since it is not writable just now, is ambiguous: what it refers to stays.
 */
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "../gcheap.h"

#define ARM_BATCH	64	/* stale pages zapped with the lock held */
#define LATE_MAX	16384	/* pages that may come back while all are being zapped */
#define LATE_BATCH	256	/* of these zapped with the lock held */
#define LATE_PAUSE	512	/* most that a pause zaps */
#define LATE_FEW	32	/* none of its time */
#define ARMS		2	/* times that all are zapped */
#define LATE_TRIES	256	/* and that late ones are */
#define DROP_BATCH	32	/* spans given back so */

/** gch_flip_init() - the next cycle is to evacuate, up to @room spans: 0 or -ENOMEM
 *
 * With the program running.
 */
int gch_flip_init(struct gch *g, u32 room)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;
	struct gch_flip *f = &g->flip;

	f->held_max = min_t(u64, g->roots.words / (PAGE_SIZE / sizeof(u64)) + g->roots.pieces + 16,
			    GCH_HELD_MAX);
	f->core.room = room;
	f->core.late_max = LATE_MAX;
	f->core.move = kvmalloc_array(room, sizeof(*f->core.move), gfp);
	f->core.target = kvmalloc_array(room, sizeof(*f->core.target), gfp);
	f->core.late = kvmalloc_array(LATE_MAX, sizeof(*f->core.late), gfp);
	f->held = kvmalloc_array(f->held_max, sizeof(*f->held), gfp);
	f->nheld = 0;
	if (f->core.move && f->core.target && f->core.late && f->held)
		return 0;
	gch_flip_destroy(g);
	return -ENOMEM;
}

/** gch_flip_destroy() - it is over, or has not begun */
void gch_flip_destroy(struct gch *g)
{
	struct gch_flip *f = &g->flip;

	while (f->nheld) {
		struct page *page = f->held[--f->nheld].page;

		if (f->held[f->nheld].written)
			set_page_dirty_lock(page);
		put_page(page);
	}
	kvfree(f->core.move);
	kvfree(f->core.target);
	kvfree(f->core.late);
	kvfree(f->held);
	memset(f, 0, sizeof(*f));
}

/**
 * gch_flip_back() - each page of a target gets a frame
 *
 * With the program running, phase IDLE; charged to its memory cgroup. Return: 0 or -ENOMEM.
 */
int gch_flip_back(struct gch *g, u32 id)
{
	struct mem_cgroup *owner = get_mem_cgroup_from_mm(gch_world_mm(&g->world));
	struct mem_cgroup *old = set_active_memcg(owner);
	int err = gch_pages_back(g, id);

	set_active_memcg(old);
	mem_cgroup_put(owner);
	return err;
}

/* Zap what is stale from a page on, a batch of it. Return: whether there is more. */
static bool arm_some(struct gch *g, u64 *at)
{
	struct gch_zap z = { };
	u32 n;
	u64 page;

	for (n = 0; n < ARM_BATCH && gch_stale_next(&g->core, *at, &page); n++) {
		gch_zap_add(g, &z, page);
		*at = page + 1;
	}
	gch_zap_end(g, &z);
	return n == ARM_BATCH;
}

static int by_number(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Zap late ones, at most @max; all are known; core.lock held. Return: how many. */
static u32 zap_late(struct gch *g, u32 max)
{
	struct gch_evac *e = &g->core.evac;
	u32 n = min(e->nlate, max), i;
	u64 *late = e->late + e->nlate - n;
	struct gch_zap z = { };

	sort(late, n, sizeof(*late), by_number, NULL);
	for (i = 0; i < n; i++)
		gch_zap_add(g, &z, late[i]);
	gch_zap_end(g, &z);
	e->nlate -= n;
	return n;
}

/* Zap all that is stale. */
static void zap_stale(struct gch *g)
{
	struct gch_evac *e = &g->core.evac;
	u64 at = 0;

	e->armed = true;
	e->nlate = 0;
	g->pages_zapped += e->nstale;
	while (arm_some(g, &at) && !gch_mm_deserted(&g->world))
		gch_breathe(g);
}

/**
 * gch_flip_arm() - a pause is about to come: nothing stale is mapped
 *
 * From the collector, the program running.
 */
void gch_flip_arm(struct gch *g)
{
	struct gch_evac *e = &g->core.evac;
	u32 arms = 0, tries = 0;

	env_lock(&g->core.lock);
	while (e->state == GCH_EVAC_CHOSEN && !gch_mm_deserted(&g->world)) {
		if (!e->armed || e->nlate > e->late_max) {
			if (arms++ == ARMS)
				break;
			zap_stale(g);
		} else if (e->nlate > LATE_FEW && tries++ < LATE_TRIES) {
			g->pages_zapped += zap_late(g, LATE_BATCH);
		} else {
			break;
		}
		gch_breathe(g);
	}
	gch_unlock(g);
}

/* A page of a precise range that refers to sources, world stopped. */
static void hold_page(void *arg, unsigned long addr, const u64 *words, size_t n)
{
	struct gch *g = arg;
	struct gch_flip *f = &g->flip;
	struct gch_held *p;

	if (!gch_evac_refers(&g->core, words, n))
		return;
	p = &f->held[f->nheld];
	if (f->nheld == f->held_max ||
	    get_user_pages_fast_only(addr & PAGE_MASK, 1, FOLL_WRITE, &p->page) != 1) {
		gch_evac_pin_words(&g->core, words, n);
		g->roots_pinned++;
		return;
	}
	p->off = offset_in_page(addr);
	p->n = n;
	p->written = false;
	f->nheld++;
}

/**
 * gch_flip_roots() - world stopped, marking complete: get hold of the precise roots
 *
 * What they refer to and cannot be changed is pinned from here on. If some cannot be read
 * nothing moves.
 */
void gch_flip_roots(struct gch *g)
{
	if (g->core.evac.state == GCH_EVAC_CHOSEN)
		g->flip.blind = !gch_roots_precise(&g->roots, &g->world, hold_page, g);
}

static void pin_if_busy(struct gch *g, u32 id)
{
	u64 page = (u64)id * GCH_SLOT_PAGES;
	u64 end = page + (u64)gch_desc(&g->core, id)->nslots * GCH_SLOT_PAGES;

	for (; page < end; page++) {
		if (!gch_heap_frame(&g->core, page) ||
		    !gch_frame_pinned(gch_pages_frame(g, page)))
			continue;
		gch_evac_pin(&g->core, (u64)id << GCHEAP_SLOT_SHIFT);
		g->pages_busy++;
		return;
	}
}

static void write_held(struct gch *g, struct gch_held *p)
{
	u64 *word = page_address(p->page) + p->off, to;
	size_t i;

	for (i = 0; i < p->n; i++) {
		u64 was = READ_ONCE(word[i]);

		if (!gch_evac_forward(&g->core, was - g->core.base, &to))
			continue;
		/* A heap that dies in a pause lets its threads go. */
		cmpxchg(&word[i], was, g->core.base + to);
		p->written = true;
	}
}

/**
 * gch_flip() - from here on the program sees new addresses only
 *
 * World stopped, marking complete, core.lock held, after gch_flip_roots(). Return: false:
 * nothing is to move, or the pause would take too long.
 */
bool gch_flip(struct gch *g)
{
	struct gch_evac *e = &g->core.evac;
	u32 i;

	env_assert_held(&g->core.lock);
	if (e->state != GCH_EVAC_CHOSEN)
		return false;
	/* Nor is there an address that code of the program would tell of later (ask.c). */
	if (g->flip.blind || g->core.nasks || e->nlate > LATE_PAUSE || READ_ONCE(g->dead) ||
	    gch_stress_abort()) {
		gch_evac_abandon(&g->core);
		return false;
	}
	g->pages_zapped_late += zap_late(g, LATE_PAUSE);
	for (i = 0; i < e->nmoves; i++)
		pin_if_busy(g, e->move[i].span);
	gch_evac_flip(&g->core);
	for (i = 0; i < g->flip.nheld; i++)
		write_held(g, &g->flip.held[i]);
	gch_world_flipped(&g->world);
	return true;
}

/**
 * gch_flip_drop() - give the frames of those that have moved back; all is settled
 * @at: in, out: the move to go on with
 *
 * core.lock held. Return: whether there are more.
 */
bool gch_flip_drop(struct gch *g, u32 *at)
{
	struct gch_evac *e = &g->core.evac;
	struct gch_vacant v[DROP_BATCH];
	u32 n = 0;

	for (; *at < e->nmoves && n < DROP_BATCH; ++*at) {
		u32 id = e->move[*at].span;

		v[n].id = id;
		v[n].pages = gch_pages_backed(g, id);
		n += gch_desc(&g->core, id)->state == GCHEAP_SPAN_MOVED && v[n].pages;
	}
	gch_pages_release_some(g, v, n);
	return *at < e->nmoves;
}
