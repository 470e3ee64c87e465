// SPDX-License-Identifier: GPL-2.0-only
/*
 * The system is short of memory: heaps give back the pages of free slots at once, whatever
 * allocation may want them for, and are asked for a cycle and to be compacted.
 *
 * A shrinker runs wherever memory is allocated, so that it waits for nobody: it passes over
 * heaps that are busy. It is not called for memory cgroups: what they lack is for the calls
 * that hand memory out to see to (do_spans()).
 */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "gcheap.h"

#define SCAN_BATCH	1024	/* pages asked for at a time */
#define RELEASE_BATCH	64	/* slots given back in a row */
#define DEAF_NS		NSEC_PER_SEC

/* All heaps; taken in reclaim by trylock only, so that core.lock may be taken before or after. */
static DEFINE_MUTEX(heaps_lock);
static LIST_HEAD(heaps);

/* Pages that a heap has beyond what its spans can have, at least; without lock. */
static u64 pages_free(const struct gch *g)
{
	u64 resident = READ_ONCE(g->core.n.resident_pages);
	u64 used = READ_ONCE(g->core.n.heap_bytes) >> PAGE_SHIFT;

	return resident > used ? resident - used : 0;
}

/* Pages that a cycle and compaction may win, if it is time for that. */
static u64 pages_to_win(const struct gch *g)
{
	u64 resident = READ_ONCE(g->core.n.resident_pages);
	u64 live = READ_ONCE(g->core.n.live_bytes_last) >> PAGE_SHIFT;

	if (ktime_get_ns() < READ_ONCE(g->tidy.deaf) || !READ_ONCE(g->tidy.percent) ||
	    resident <= live + live / 8)
		return 0;
	return resident - live;
}

static bool in_use(const struct gch *g)
{
	return smp_load_acquire(&g->ready) && !READ_ONCE(g->dead);	/* as in ioctl */
}

static unsigned long count(struct shrinker *s, struct shrink_control *sc)
{
	const struct gch *g;
	u64 n = 0;

	if (!mutex_trylock(&heaps_lock))
		return 0;
	list_for_each_entry(g, &heaps, heaps)
		if (in_use(g))
			n += pages_free(g) + pages_to_win(g) / 2;
	mutex_unlock(&heaps_lock);
	return n ?: SHRINK_EMPTY;
}

/* Give back @want pages of free slots, or what there is up to the end; core.lock held. */
static u64 release(struct gch *g, u64 want)
{
	u64 before = g->pages_released;
	u32 id, n;

	while (g->pages_released - before < want) {
		if (!gch_run_resident(&g->core, g->tidy.press_at, RELEASE_BATCH, &id, &n)) {
			g->tidy.press_at = 0;
			break;
		}
		g->tidy.press_at = id + n;
		gch_pages_release(g, id, n);
	}
	return g->pages_released - before;
}

static u64 press(struct gch *g, u64 want)
{
	u64 got = 0;

	if (!in_use(g) || !env_trylock(&g->core.lock))
		return 0;
	if (!gch_phase_frozen(&g->core))
		got = release(g, want);
	if (got < want && in_use(g) && pages_to_win(g) && gch_collect_for_pressure(g)) {
		g->tidy.pressed = true;
		g->tidy.deaf = ktime_get_ns() + DEAF_NS;
	}
	gch_unlock(g);
	return got;
}

static unsigned long scan(struct shrinker *s, struct shrink_control *sc)
{
	u64 got = 0;
	struct gch *g;

	if (!mutex_trylock(&heaps_lock))
		return SHRINK_STOP;
	list_for_each_entry(g, &heaps, heaps) {
		if (got >= sc->nr_to_scan)
			break;
		got += press(g, sc->nr_to_scan - got);
	}
	/* Not always the same ones first. */
	if (!list_empty(&heaps))
		list_rotate_left(&heaps);
	mutex_unlock(&heaps_lock);
	return got ?: SHRINK_STOP;
}

/** gch_pressure_add() - a heap is there; its file is being opened */
void gch_pressure_add(struct gch *g)
{
	mutex_lock(&heaps_lock);
	list_add_tail(&g->heaps, &heaps);
	mutex_unlock(&heaps_lock);
}

/** gch_pressure_del() - nobody has a reference to it any more */
void gch_pressure_del(struct gch *g)
{
	mutex_lock(&heaps_lock);
	list_del(&g->heaps);
	mutex_unlock(&heaps_lock);
}

static struct shrinker *shrinker;

int gch_pressure_module_init(void)
{
	int err;

	shrinker = gch_shrinker_alloc("gcheap");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->batch = SCAN_BATCH;
	shrinker->seeks = DEFAULT_SEEKS;
	err = gch_shrinker_register(shrinker, "gcheap");
	if (err)
		gch_shrinker_free(shrinker);
	return err;
}

void gch_pressure_module_exit(void)
{
	gch_shrinker_free(shrinker);
}
