// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of a heap that is made in the likeness of another one (core/copy.c).
 *
 * Frames are allocated while the other one's threads run, and filled when they are stopped.
 * A page may get its first frame in between, by a fault: then there is one to be had at
 * once, or all of that is done again. Others may write to a page at any time, by the kernel:
 * what of that is copied is what it is with fork().
 *
 * If the other heap dies its pages stay until it is not closed any more (collector.c).
 */
#include <linux/mm.h>

#include "../gcheap.h"

#define COPY_BATCH	64	/* pages copied with the locks held */

/* The next page from @page on that is in a span, and has a frame. */
static bool next_page(struct gch *g, u64 *page)
{
	u64 end = (u64)g->core.top * GCH_SLOT_PAGES;
	u32 first;

	for (; *page < end; ++*page) {
		if (!gch_chunk(&g->core, *page / GCH_CHUNK_PAGES)) {
			*page |= GCH_CHUNK_PAGES - 1;
			continue;
		}
		if (gch_span_at(&g->core, *page / GCH_SLOT_PAGES, &first) &&
		    READ_ONCE(*gch_frame_of(g, *page)))
			return true;
	}
	return false;
}

/* The frame of one of those that @page is to share one with, or NULL. */
static struct page *shared_frame(struct gch *to, struct gch *from, u64 page)
{
	u64 at;

	for (at = gch_mesh_next(&from->core, page); at != page;
	     at = gch_mesh_next(&from->core, at))
		if (*gch_frame_of(to, at))
			return gch_pages_frame(to, at);
	return NULL;
}

/* A frame for a page that has none: 0 or -ENOMEM. */
static int give(struct gch *to, struct gch *from, u64 page, bool may_sleep)
{
	struct page *p = shared_frame(to, from, page);

	if (p) {
		get_page(p);
	} else {
		p = gch_page_new(may_sleep);
		if (!p)
			return -ENOMEM;
		to->core.n.resident_pages++;
	}
	gch_pages_set(to, page, p);
	return 0;
}

/**
 * gch_copy_frames() - frames for the pages of a heap whose spans are there
 * @from: what it is like, its structure closed
 *
 * Without locks. Return: 0, -ENOMEM, -EINTR, or -ENXIO: one of them has died.
 */
int gch_copy_frames(struct gch *to, struct gch *from)
{
	u64 page = 0;
	int err = 0;

	for (; !err && next_page(from, &page); page++) {
		if (!*gch_frame_of(to, page))
			err = give(to, from, page, true);
		err = err ?: gch_copy_may_go_on(to, from);
		cond_resched();
	}
	return err;
}

/* A frame that pages share is copied with the first of them. */
static bool copied_before(struct gch *g, u64 page)
{
	u64 at;

	for (at = gch_mesh_next(&g->core, page); at != page; at = gch_mesh_next(&g->core, at))
		if (at < page)
			return true;
	return false;
}

static int copy_some(struct gch *to, struct gch *from, u64 *page)
{
	u32 n = COPY_BATCH;

	for (; n && next_page(from, page); n--, ++*page) {
		if (!*gch_frame_of(to, *page) && give(to, from, *page, false))
			return -EAGAIN;
		if (!copied_before(from, *page))
			copy_page(env_frame_addr(*gch_frame_of(to, *page)),
				  env_frame_addr(*gch_frame_of(from, *page)));
	}
	return n ? 0 : 1;
}

/**
 * gch_copy_contents() - copy what is in the pages
 *
 * World stopped, nothing allocated that sleeps. Return: as of gch_copy_frames(), or -EAGAIN:
 * there is a new page, let the threads go and begin with frames again.
 */
int gch_copy_contents(struct gch *to, struct gch *from)
{
	u64 page = 0;
	int more;

	do {
		env_lock(&from->core.lock);
		more = gch_copy_may_go_on(to, from) ?: copy_some(to, from, &page);
		env_unlock(&from->core.lock);
		cond_resched();
	} while (more > 0);
	return more;
}

/** gch_copy_shared() - account the frames that pages share, as the core's rings say by now */
void gch_copy_shared(struct gch *to)
{
	u64 page = 0, at;

	while (to->core.n.meshed_pages && next_page(to, &page)) {
		struct page *p = gch_pages_frame(to, page);
		u32 others = 0;

		for (at = gch_mesh_next(&to->core, page); at != page;
		     at = gch_mesh_next(&to->core, at))
			others++;
		set_page_private(p, others);
		page++;
		cond_resched();
	}
}
