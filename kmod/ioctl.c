// SPDX-License-Identifier: GPL-2.0-only
/* The calls. One table; every argument starts with its size. */
#include <linux/fs.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "gcheap.h"
#include "trace.h"

#define HEAP_DEFAULT	(16ull << 30)
#define THREADS_DEFAULT	1024
#define THREADS_MAX	32768
#define GROWTH_MAX	10000
#define OFFHEAP_MAX	(1ll << 62)
#define FINAL_BATCH	512
#define FETCH_BATCH	32

union gch_arg {
	u32 size;
	struct gcheap_setup setup;
	struct gcheap_cache_create cache_create;
	struct gcheap_cache_destroy cache_destroy;
	struct gcheap_thread thread;
	struct gcheap_spans spans;
	struct gcheap_large large;
	struct gcheap_flush flush;
	struct gcheap_root root;
	struct gcheap_tls tls;
	struct gcheap_collect collect;
	struct gcheap_hold hold;
	struct gcheap_param param;
	struct gcheap_finalizer finalizer;
	struct gcheap_finalizers finalizers;
	struct gcheap_info info;
	struct gcheap_verify verify;
	struct gcheap_callback callback;
	struct gcheap_offheap offheap;
	struct gcheap_lend lend;
	struct gcheap_resize resize;
	struct gcheap_link link;
	struct gch_fork_arg fork;
	struct gcheap_adopt adopt;
};

/* What the core asks of the platform: control blocks and metadata. */

static struct gch *of_core(struct gch_heap *h)
{
	return container_of(h, struct gch, core);
}

static u64 *pos_of(struct gch_heap *h, u32 thread, u32 cache)
{
	u64 off = (u64)thread * GCHEAP_TCB_SIZE +
		  offsetof(struct gcheap_tcb, cursor) +
		  cache * sizeof(struct gcheap_cursor);
	void *p = gch_tcb_page(of_core(h), off >> PAGE_SHIFT, false);

	return p ? p + off % PAGE_SIZE : NULL;
}

static u64 op_tcb_pos(struct gch_heap *h, u32 thread, u32 cache)
{
	u64 *pos = pos_of(h, thread, cache);

	return pos ? READ_ONCE(*pos) : 0;
}

static void op_tcb_reset(struct gch_heap *h, u32 thread, u32 cache)
{
	u64 *pos = pos_of(h, thread, cache);

	if (pos)
		WRITE_ONCE(*pos, 0);
}

static struct gcheap_tcb *op_tcb(struct gch_heap *h, u32 thread)
{
	return gch_tcb_page(of_core(h), (u64)thread * GCHEAP_TCB_SIZE >> PAGE_SHIFT,
			    false);
}

static void op_meta_changed(struct gch_heap *h, u32 chunk)
{
	gch_mapping_meta_changed(of_core(h), chunk);
}

static int op_split(struct gch_heap *h, u32 id)
{
	return gch_remap_split(of_core(h), id);
}

static void op_drop(struct gch_heap *h, u32 id, u32 n)
{
	gch_pages_release(of_core(h), id, n);
}

static const struct gch_ops core_ops = {
	.split = op_split,
	.drop = op_drop,
	.clear = gch_link_write,
	.tcb_pos = op_tcb_pos,
	.tcb_reset = op_tcb_reset,
	.tcb = op_tcb,
	.meta_changed = op_meta_changed,
};

static int setup_check(struct gcheap_setup *a)
{
	u32 abi = a->abi, layout = a->layout;
	u64 features = a->features;

	a->abi = GCHEAP_ABI;
	a->layout = GCHEAP_LAYOUT;
	a->features = GCHEAP_FEATURES;
	if (abi < GCHEAP_ABI_MIN || abi > GCHEAP_ABI || layout != GCHEAP_LAYOUT)
		return -EPROTONOSUPPORT;
	if (features & ~GCHEAP_FEATURES)
		return -EOPNOTSUPP;
	if (!a->heap_size)
		a->heap_size = HEAP_DEFAULT;
	if (!a->min_heap)
		a->min_heap = GCHEAP_HEAP_MIN;
	if (!a->growth)
		a->growth = 100;
	if (!a->max_threads)
		a->max_threads = THREADS_DEFAULT;
	if (a->heap_size < GCHEAP_HEAP_MIN || a->heap_size > GCHEAP_HEAP_MAX ||
	    a->heap_size % GCHEAP_CHUNK_SIZE || a->growth > GROWTH_MAX ||
	    a->max_threads > THREADS_MAX)
		return -EINVAL;
	return 0;
}

/** gch_tables_make() - what a heap has before it has anything: 0 or -ENOMEM */
int gch_tables_make(struct gch *g, u64 size, u32 max_threads)
{
	int err;

	g->status = env_page_alloc();
	if (!g->status)
		return -ENOMEM;
	err = gch_heap_init(&g->core, &core_ops, size, max_threads);
	if (err) {
		env_page_free(g->status);
		g->status = NULL;
		return err;
	}
	g->meta_size = (size >> GCHEAP_CHUNK_SHIFT) * GCHEAP_META_STRIDE;
	g->tcb_size = (u64)max_threads * GCHEAP_TCB_SIZE;
	return 0;
}

/** gch_tables_drop() - and all that it has got since; nobody uses them any more */
void gch_tables_drop(struct gch *g)
{
	gch_pages_destroy(g);
	gch_heap_destroy(&g->core);
	g->status = NULL;
}

static int do_setup(struct gch *g, union gch_arg *arg)
{
	struct gcheap_setup *a = &arg->setup;
	struct gch_heap *h = &g->core;
	int err;

	err = setup_check(a);
	if (err)
		return err;
	if (mutex_lock_killable(&g->fetch))
		return -EINTR;
	err = -EBUSY;
	if (g->ready || READ_ONCE(g->fork.state))
		goto out;
	err = gch_tables_make(g, a->heap_size, a->max_threads);
	if (err)
		goto out;
	h->param.limit = a->limit;
	h->param.min_heap = a->min_heap;
	h->param.growth = a->growth;
	h->param.precise_only = a->flags & GCHEAP_SETUP_PRECISE_ONLY;
	g->roots.precise_only = h->param.precise_only;
	gch_pace_plan(g);
	a->meta_size = g->meta_size;
	a->tcb_size = g->tcb_size;
	smp_store_release(&g->ready, true);	/* pairs with ioctl, mmap, fdinfo */
out:
	mutex_unlock(&g->fetch);
	return err;
}

/* One bit map of a typed layout from the program. */
static int map_copy(u64 **map, u64 from, u32 words)
{
	size_t bytes = gch_bit_words(words) * sizeof(u64);

	*map = NULL;
	if (!from)
		return 0;
	if (!words)
		return -EINVAL;
	*map = memdup_user(u64_to_user_ptr(from), bytes);
	if (IS_ERR(*map)) {
		int err = PTR_ERR(*map);

		*map = NULL;
		return err;
	}
	if (words % 64)
		(*map)[words / 64] &= ~(~0ull << (words % 64));
	return 0;
}

static int map_pair(struct gch_map *m, u32 words, u64 ptr, u64 weak)
{
	u32 w;
	int err;

	if (words > GCHEAP_MAP_WORDS)
		return -EINVAL;
	m->words = words;
	err = map_copy(&m->ptr, ptr, words);
	if (!err)
		err = map_copy(&m->weak, weak, words);
	for (w = 0; !err && m->ptr && m->weak && w < gch_bit_words(words); w++)
		if (m->ptr[w] & m->weak[w])
			err = -EINVAL;
	return err;
}

/* The one weak word of an ephemeron. */
static int key_find(struct gch_cache *c)
{
	u32 words = gch_bit_words(c->elem.words) * 64, n;

	if (!(c->flags & GCHEAP_CACHE_EPHEMERON))
		return 0;
	if (!c->elem.weak || !c->elem.ptr)
		return -EINVAL;
	n = bitmap_weight((unsigned long *)c->elem.weak, words);
	c->key = find_first_bit((unsigned long *)c->elem.weak, words);
	return n == 1 ? 0 : -EINVAL;
}

static int layout_copy(struct gch_cache *c, const struct gcheap_cache_create *a)
{
	int err;

	c->length_word = a->length_word;
	c->tag_bits = a->tag_bits;
	if (a->layout != GCHEAP_TYPED) {
		c->length_word = GCHEAP_NO_LENGTH;
		return a->flags & GCHEAP_CACHE_EPHEMERON ||
		       a->fixed_words || a->elem_words || a->length_word ||
		       a->tag_bits || a->fixed_map || a->fixed_weak ||
		       a->elem_map || a->elem_weak ? -EINVAL : 0;
	}
	if (a->tag_bits > 4 || !(a->fixed_words + a->elem_words) ||
	    (a->cell_size && a->fixed_words > a->cell_size / 8) ||
	    (a->length_word != GCHEAP_NO_LENGTH && a->length_word >= a->fixed_words))
		return -EINVAL;
	err = map_pair(&c->fixed, a->fixed_words, a->fixed_map, a->fixed_weak);
	if (!err)
		err = map_pair(&c->elem, a->elem_words, a->elem_map, a->elem_weak);
	return err ?: key_find(c);
}

static int do_cache_create(struct gch *g, union gch_arg *arg)
{
	struct gcheap_cache_create *a = &arg->cache_create;
	struct gch_cache c = {
		.layout = a->layout,
		.flags = a->flags,
		.cell_size = a->cell_size,
	};
	u32 fills = 0;
	int err;

	if (a->pad || a->layout > GCHEAP_ASK)
		return -EINVAL;
	if (a->flags & GCHEAP_CACHE_LARGE ? a->cell_size :
	    a->cell_size < GCHEAP_GRANULE || a->cell_size > GCHEAP_CELL_MAX ||
	    a->cell_size % GCHEAP_GRANULE)
		return -EINVAL;
	if (a->flags & GCHEAP_CACHE_MOVABLE &&
	    (a->flags & GCHEAP_CACHE_LARGE ||
	     (a->layout != GCHEAP_NOSCAN && a->layout != GCHEAP_TYPED)))
		return -EINVAL;
	err = layout_copy(&c, a);
	if (err)
		goto err_maps;
	do {
		err = gch_lock_thawed(g);
		if (err)
			goto err_maps;
		err = gch_cache_create(&g->core, &c);
		if (err >= 0)
			break;
		gch_unlock(g);
	} while (err == -ENOMEM && gch_reserve_fill(&g->core, &fills));
	if (err >= 0) {
		a->cache = err;
		a->span_bytes = g->core.cache[err]->slots * GCHEAP_SLOT_SIZE;
		a->ncells = g->core.cache[err]->ncells;
		gch_unlock(g);
		return 0;
	}
err_maps:
	gch_cache_free_maps(&c);
	return err;
}

/* The caller's thread number, checked; core.lock held. */
static int caller_thread(struct gch *g, u32 number)
{
	return number < g->core.max_threads && g->core.thread[number] &&
	       gch_world_is(&g->world, number) ? 0 : -ESRCH;
}

/**
 * gch_enter() - most calls: take core.lock outside of frozen phases, check the caller, and
 *	drain its early frees
 * @number: the thread that it says it is
 *
 * Return: 0, locked; -ESRCH: it is not, -EINTR, -ENXIO.
 */
int gch_enter(struct gch *g, u32 number)
{
	int err = gch_lock_thawed(g);

	if (err)
		return err;
	err = caller_thread(g, number);
	if (err)
		gch_unlock(g);
	else
		gch_drain(g, number);
	return err;
}

static bool cache_ok(struct gch *g, u32 cache, bool large)
{
	return cache < g->core.ncaches && g->core.cache[cache] &&
	       !(g->core.cache[cache]->flags & GCHEAP_CACHE_LARGE) == !large;
}

static int do_cache_destroy(struct gch *g, union gch_arg *arg)
{
	struct gcheap_cache_destroy *a = &arg->cache_destroy;
	bool marking;
	int err;

	do {
		err = gch_enter(g, a->thread);
		if (err)
			return err;
		if (a->cache < g->core.ncaches)
			gch_thread_retire(&g->core, a->thread, a->cache);
		err = gch_cache_destroy(&g->core, a->cache);
		marking = g->core.black;
		gch_unlock(g);
		/* Spans that have emptied stay until marking is over. */
	} while (err == -EBUSY && marking && !(err = gch_await_marked(g)));
	return err;
}

/* A number for a thread, that of one that has died if need be. */
static int attach_number(struct gch *g, u32 *number)
{
	u32 fills = 0;
	int err;

	do {
		err = gch_lock_thawed(g);
		if (err)
			return err;
		err = gch_thread_attach(&g->core, number);
		gch_unlock(g);
	} while ((err == -ENOMEM && gch_reserve_fill(&g->core, &fills)) ||
		 (err == -ENOSPC && gch_world_reap(&g->world)));
	return err;
}

static int do_attach(struct gch *g, union gch_arg *arg)
{
	struct gcheap_thread *a = &arg->thread;
	u32 number;
	int err;

	if (a->pad || a->stack_lo > a->stack_hi || a->stack_hi > TASK_SIZE)
		return -EINVAL;
	err = attach_number(g, &number);
	if (err)
		return err;
	if (!gch_tcb_page(g, (u64)number * GCHEAP_TCB_SIZE >> PAGE_SHIFT, true))
		err = -ENOMEM;
	else
		err = gch_world_attach(&g->world, number, a->stack_lo, a->stack_hi);
	if (err) {
		env_lock(&g->core.lock);
		gch_thread_free(&g->core, number);
		gch_unlock(g);
		return err;
	}
	WRITE_ONCE(op_tcb(&g->core, number)->thread, number);
	WRITE_ONCE(op_tcb(&g->core, number)->hidden, 0);
	a->thread = number;
	return 0;
}

static int do_detach(struct gch *g, union gch_arg *arg)
{
	struct gcheap_thread *a = &arg->thread;
	int err;

	if (a->pad)
		return -EINVAL;
	err = gch_enter(g, a->thread);
	if (err)
		return err;
	gch_thread_retire_all(&g->core, a->thread);
	gch_callback_end(g, a->thread, false);
	gch_unlock(g);
	err = gch_world_detach(&g->world, a->thread);
	if (err)
		return err;
	env_lock(&g->core.lock);
	gch_thread_free(&g->core, a->thread);
	gch_unlock(g);
	return 0;
}

/*
 * Out of room, or @memory is lacking: collect and let the caller try once more, unless
 * held.
 */
static int collect_for_room(struct gch *g, u64 bytes, bool memory)
{
	gch_event(g, GCHEAP_EV_LIMIT, bytes, g->core.param.limit, 0);
	return gch_collect_for_room(g, memory);
}

static int spans_take(struct gch *g, struct gcheap_spans *a)
{
	int err;

	err = gch_enter(g, a->thread);
	if (err)
		return err;
	err = -ENOENT;
	if (!cache_ok(g, a->cache, false))
		goto out;
	if (!a->want) {
		gch_thread_retire(&g->core, a->thread, a->cache);
		err = 0;
		goto out;
	}
	err = gch_thread_spans(&g->core, a->thread, a->cache, a->want, &a->got,
			       a->span);
	gch_collect_if_due(g);
	trace_gcheap_spans(g, a->thread, a->cache, a->got);
out:
	gch_unlock(g);
	return err;
}

#define SPLIT_TICKS	10	/* that a call waits for pages of a span to be nobody's */

/* @memory: out: it was that which was lacking. */
static int spans_once(struct gch *g, union gch_arg *arg, bool *memory)
{
	struct gcheap_spans *a = &arg->spans;
	u32 fills = 0, ticks = 0;
	int err;

	do {
		err = spans_take(g, a);
	} while ((err == -ENOMEM && gch_reserve_fill(&g->core, &fills)) ||
		 (err == -ENOBUFS && gch_spare_fill(g)) ||
		 (err == -EBUSY && ticks++ < SPLIT_TICKS && !schedule_timeout_killable(1)));
	*memory = err == -ENOBUFS;
	if (err == -ENOBUFS || err == -EBUSY)
		err = -ENOMEM;
	if (err || !a->got)
		return err;
	err = gch_pages_populate(g, a->span, a->got);
	if (!err)
		return 0;
	*memory = err == -ENOMEM;
	/* Back they go: what has no page would be an OOM kill at first touch. */
	a->got = 0;
	if (!gch_enter(g, a->thread)) {
		gch_thread_retire(&g->core, a->thread, a->cache);
		gch_unlock(g);
	}
	return err;
}

/*
 * The program is told that there is no room, and needs some to deal with that: what
 * was made for nothing goes.
 */
static void count_oom(struct gch *g)
{
	env_lock(&g->core.lock);
	g->oom_returns++;
	gch_slack_drop(g);
	if (!gch_phase_frozen(&g->core))
		gch_chunk_trim(&g->core);
	gch_unlock(g);
}

/*
 * A call that wants @bytes: if there is no room it is made once more when something has been
 * done about that.
 */
static int with_room(struct gch *g, union gch_arg *arg, u64 bytes,
		     int (*once)(struct gch *g, union gch_arg *arg, bool *memory))
{
	bool memory;
	int err;

	err = once(g, arg, &memory);
	if (err != -ENOMEM)
		return err;
	err = collect_for_room(g, bytes, memory);
	if (!err)
		err = once(g, arg, &memory);
	if (err == -ENOMEM)
		count_oom(g);
	return err;
}

static int do_spans(struct gch *g, union gch_arg *arg)
{
	struct gcheap_spans *a = &arg->spans;
	int err;

	if (a->want > GCHEAP_BATCH)
		return -EINVAL;
	a->got = 0;
	err = a->want ? gch_pace_assist(g) : 0;
	return err ?: with_room(g, arg, GCHEAP_SLOT_SIZE, spans_once);
}

static int large_take(struct gch *g, struct gcheap_large *a, u32 *id)
{
	int err;

	err = gch_enter(g, a->thread);
	if (err)
		return err;
	err = -ENOENT;
	if (!cache_ok(g, a->cache, true))
		goto out;
	err = gch_thread_large(&g->core, a->thread, a->cache, a->bytes, id);
	gch_collect_if_due(g);
out:
	if (err)
		gch_unlock(g);
	return err;
}

/*
 * Pages for a large object, unless it is so large that it may be meant to be used in
 * part: then page tables. Without them it goes back: what has no page would be an OOM kill
 * at first touch.
 */
static int large_populate(struct gch *g, u32 thread, u32 id, u32 nslots)
{
	int err;

	if (nslots > GCH_BATCH_PAGES / GCH_SLOT_PAGES)
		err = gch_pages_prepare(g, (u64)id * GCH_SLOT_PAGES, (u64)nslots * GCH_SLOT_PAGES);
	else
		err = gch_pages_populate(g, &id, 1);
	if (err && !gch_enter(g, thread)) {
		gch_free_unused(&g->core, thread, id);
		gch_unlock(g);
	}
	return err;
}

static int large_once(struct gch *g, union gch_arg *arg, bool *memory)
{
	struct gcheap_large *a = &arg->large;
	struct gcheap_span *d;
	u32 id, nslots, fills = 0;
	bool zero;
	int err;

	*memory = false;
	do {
		err = large_take(g, a, &id);	/* 0: with the lock held */
	} while (err == -ENOMEM && gch_reserve_fill(&g->core, &fills));
	if (err)
		return err;
	d = gch_desc(&g->core, id);
	zero = d->flags & GCHEAP_SPANF_ZERO;
	nslots = d->nslots;
	a->addr = gch_slot_addr(&g->core, id);
	gch_unlock(g);
	/* It is pending: no cycle takes it before the caller has it. */
	err = large_populate(g, a->thread, id, nslots);
	*memory = err == -ENOMEM;
	if (!err && !zero)
		gch_pages_clear(g, a->thread, id, nslots);
	return err;
}

static int do_large(struct gch *g, union gch_arg *arg)
{
	struct gcheap_large *a = &arg->large;

	if (!a->bytes)
		return -EINVAL;
	return gch_pace_assist(g) ?: with_room(g, arg, a->bytes, large_once);
}

static int resize_once(struct gch *g, union gch_arg *arg, bool *memory)
{
	return gch_resize(g, &arg->resize, memory);
}

static int do_resize(struct gch *g, union gch_arg *arg)
{
	struct gcheap_resize *a = &arg->resize;
	int err;

	a->cookie = 0;
	if (!a->bytes || a->pad)
		return -EINVAL;
	err = gch_pace_assist(g) ?: with_room(g, arg, a->bytes, resize_once);
	if (err)
		return err;
	env_lock(&g->core.lock);
	gch_collect_if_due(g);
	env_unlock(&g->core.lock);
	return 0;
}

static int do_flush(struct gch *g, union gch_arg *arg)
{
	struct gcheap_flush *a = &arg->flush;
	int err;

	if (a->pad)
		return -EINVAL;
	err = gch_enter(g, a->thread);
	if (err)
		return err;
	if (a->flags & GCHEAP_FLUSH_SPANS)
		gch_thread_retire_all(&g->core, a->thread);
	gch_unlock(g);
	return 0;
}

static int do_root_add(struct gch *g, union gch_arg *arg)
{
	if (arg->root.pad)
		return -EINVAL;
	return gch_roots_add(&g->roots, &arg->root, &arg->root.id);
}

static int do_root_del(struct gch *g, union gch_arg *arg)
{
	if (arg->root.pad)
		return -EINVAL;
	return gch_roots_del(&g->roots, arg->root.id);
}

static int do_tls(struct gch *g, union gch_arg *arg)
{
	struct gcheap_tls *a = &arg->tls;
	struct gcheap_tls_module *m = NULL;
	int err;

	if (a->pad || a->nmodules > 4096)
		return -EINVAL;
	if (a->nmodules) {
		m = memdup_user(u64_to_user_ptr(a->modules),
				a->nmodules * sizeof(*m));
		if (IS_ERR(m))
			return PTR_ERR(m);
	}
	err = gch_roots_set_tls(&g->roots, a, m);
	kfree(m);
	return err;
}

static int do_collect(struct gch *g, union gch_arg *arg)
{
	u32 flags = arg->collect.flags, want = 0;

	if (flags & GCHEAP_COLLECT_COMPACT)
		want = GCH_WANT_COMPACT | GCH_WANT_FULL | GCH_WANT_MOVE;
	else if (!(flags & GCHEAP_COLLECT_YOUNG))
		want = GCH_WANT_FULL;
	return gch_collect(g, flags & GCHEAP_COLLECT_WAIT, want, &arg->collect.cycle);
}

static int do_hold(struct gch *g, union gch_arg *arg)
{
	if (arg->hold.delta != 1 && arg->hold.delta != -1)
		return -EINVAL;
	return gch_hold(g, arg->hold.delta, &arg->hold.count);
}

/* A switch, which is 0 or 1; NULL: it is something else. */
static bool *param_switch(struct gch *g, u32 param)
{
	switch (param) {
	case GCHEAP_PARAM_VERIFY:
		return &g->verify;
	case GCHEAP_PARAM_CONCURRENT:
		return &g->concurrent;
	case GCHEAP_PARAM_CHECK:
		return &g->check;
	case GCHEAP_PARAM_RELEASE:
		return &g->release;
	case GCHEAP_PARAM_MESH:
		return &g->mesh;
	case GCHEAP_PARAM_EVACUATE:
		return &g->evacuate;
	}
	return NULL;
}

static int param_set(struct gch *g, u32 param, u64 value)
{
	struct gch_params *p = &g->core.param;
	bool *on = param_switch(g, param);

	if (on && value > 1)
		return -EINVAL;
	if (on)
		*on = value;
	switch (param) {
	case GCHEAP_PARAM_GROWTH:
		if (!value || value > GROWTH_MAX)
			return -EINVAL;
		p->growth = value;
		break;
	case GCHEAP_PARAM_LIMIT:
		p->limit = value;
		break;
	case GCHEAP_PARAM_MIN_HEAP:
		if (!value)
			return -EINVAL;
		p->min_heap = value;
		break;
	case GCHEAP_PARAM_PAUSE:
		if (!value || value > NSEC_PER_SEC)
			return -EINVAL;
		g->pause_budget = value;
		break;
	case GCHEAP_PARAM_TRACK:
		if (value > GCHEAP_TRACK_UNMAP)
			return -EINVAL;
		if (g->core.phase != GCHEAP_PHASE_IDLE &&
		    g->core.phase != GCHEAP_PHASE_SWEEP)
			return -EBUSY;
		g->track.way = gch_track_way(value);
		g->sticky = false;
		break;
	case GCHEAP_PARAM_SOFT_LIMIT:
		p->soft_limit = value;
		break;
	case GCHEAP_PARAM_WORKERS:
		if (value > GCHEAP_WORKERS_MAX)
			return -EINVAL;
		g->workers = value;
		break;
	case GCHEAP_PARAM_YOUNG:
		if (value > 2)
			return -EINVAL;
		g->young = value;
		break;
	case GCHEAP_PARAM_COMPACT:
		if (value > GCH_PERCENT_MAX)
			return -EINVAL;
		g->tidy.percent = value;
		break;
	}
	gch_pace_plan(g);
	return 0;
}

static u64 param_get(struct gch *g, u32 param)
{
	const struct gch_params *p = &g->core.param;
	const bool *on = param_switch(g, param);

	if (on)
		return *on;
	switch (param) {
	case GCHEAP_PARAM_GROWTH:
		return p->growth;
	case GCHEAP_PARAM_LIMIT:
		return p->limit;
	case GCHEAP_PARAM_MIN_HEAP:
		return p->min_heap;
	case GCHEAP_PARAM_PAUSE:
		return g->pause_budget;
	case GCHEAP_PARAM_TRACK:
		return g->track.way;
	case GCHEAP_PARAM_SOFT_LIMIT:
		return p->soft_limit;
	case GCHEAP_PARAM_WORKERS:
		return g->workers;
	case GCHEAP_PARAM_YOUNG:
		return g->young;
	case GCHEAP_PARAM_COMPACT:
		return g->tidy.percent;
	}
	return 0;
}

static int do_param(struct gch *g, union gch_arg *arg)
{
	struct gcheap_param *a = &arg->param;
	int err;

	if (a->pad || a->param >= GCHEAP_PARAM_MAX)
		return -EINVAL;
	err = gch_lock_thawed(g);
	if (err)
		return err;
	if (a->flags & GCHEAP_PARAM_SET)
		err = param_set(g, a->param, a->value);
	a->value = param_get(g, a->param);
	gch_unlock(g);
	return err;
}

static int do_offheap(struct gch *g, union gch_arg *arg)
{
	struct gcheap_offheap *a = &arg->offheap;
	struct gch_counts *n = &g->core.n;
	int err = a->delta > 0 ? gch_pace_assist(g) : 0;

	if (!err)
		err = gch_lock_thawed(g);
	if (err)
		return err;
	/* Neither sum overflows: there are at most OFFHEAP_MAX. */
	if (a->delta > OFFHEAP_MAX - (s64)n->offheap_bytes ||
	    a->delta < -(s64)n->offheap_bytes) {
		err = -EINVAL;
	} else {
		n->offheap_bytes += a->delta;
		n->alloc_since += max_t(s64, a->delta, 0);
		gch_collect_if_due(g);
	}
	a->bytes = n->offheap_bytes;
	gch_unlock(g);
	return err;
}

/* Return: GCH_ORDER_*, or -EINVAL. */
static int order_of(u32 flags)
{
	switch (flags) {
	case GCHEAP_FINALIZER_CLEAR:
	case 0:
		return GCH_ORDER_NONE;
	case GCHEAP_FINALIZER_ORDERED:
		return GCH_ORDER_NORMAL;
	case GCHEAP_FINALIZER_BUT_SELF:
		return GCH_ORDER_BUT_SELF;
	case GCHEAP_FINALIZER_UNREACHABLE:
		return GCH_ORDER_LAST;
	}
	return -EINVAL;
}

/* What is dead and about to be found so is for FINALIZE to queue. Return: 1: go on. */
static int finalize_some(struct gch *g, u32 *at)
{
	bool wait, more;
	int err = gch_lock_thawed(g);

	if (err)
		return err;
	wait = g->core.phase == GCHEAP_PHASE_FINALIZE;
	more = wait || gch_final_all(&g->core, at, FINAL_BATCH);
	gch_unlock(g);
	if (wait)
		err = gch_await_finalized(g);
	return err ?: more;
}

static int finalize_all(struct gch *g, const struct gcheap_finalizer *a)
{
	u32 at = 0;
	int more;

	if (a->addr || a->cookie)
		return -EINVAL;
	do {
		more = finalize_some(g, &at);
		cond_resched();
	} while (more > 0);
	gch_tell_of_finalizers(g);
	return more;
}

static int do_finalizer(struct gch *g, union gch_arg *arg)
{
	struct gcheap_finalizer *a = &arg->finalizer;
	int err, order = order_of(a->flags);
	u32 fills = 0;

	a->old = 0;
	if (a->flags == GCHEAP_FINALIZER_ALL)
		return finalize_all(g, a);
	if (order < 0)
		return order;
	do {
		err = gch_lock_settled(g);
		if (err)
			return err;
		if (a->flags & GCHEAP_FINALIZER_CLEAR)
			err = gch_final_clear(&g->core, a->addr, &a->old);
		else
			err = gch_final_set(&g->core, a->addr, a->cookie, order, &a->old);
		gch_unlock(g);
	} while (err == -ENOMEM && gch_reserve_fill(&g->core, &fills));
	return err;
}

/*
 * Objects stay queued, so alive, until they are in the program's memory; fetch
 * keeps others from being given the same ones.
 */
static int fetch_some(struct gch *g, struct gcheap_ready __user *items, u32 max, bool looked)
{
	struct gcheap_ready buf[FETCH_BATCH];
	bool again;
	u32 n;
	int err;

	do {
		err = gch_lock_thawed(g);
		if (err)
			return err;
		n = gch_final_peek(&g->core, buf, min_t(u32, max, FETCH_BATCH), looked);
		again = !n && gch_final_freed_first(&g->core);
		gch_unlock(g);
		cond_resched();
	} while (again);
	if (copy_to_user(items, buf, n * sizeof(*buf)))
		return -EFAULT;
	err = gch_lock_thawed(g);
	if (err)
		return err;
	gch_final_pop(&g->core, n);
	gch_unlock(g);
	return n;
}

/* They stay queued. Return: how many, 0: there are none left, -errno. */
static int look_at_some(struct gch *g, struct gcheap_ready __user *items, u32 max)
{
	struct gcheap_ready buf[FETCH_BATCH];
	u32 n, steps;
	int err;

	do {
		err = gch_lock_thawed(g);
		if (err)
			return err;
		n = gch_final_look(&g->core, buf, min_t(u32, max, FETCH_BATCH), &steps);
		gch_unlock(g);
		if (copy_to_user(items, buf, n * sizeof(*buf)))
			return -EFAULT;
		env_lock(&g->core.lock);
		gch_final_looked(&g->core, steps);
		gch_unlock(g);
		cond_resched();
	} while (!n && steps);
	return n;
}

static int do_finalizers(struct gch *g, union gch_arg *arg)
{
	struct gcheap_finalizers *a = &arg->finalizers;
	struct gcheap_ready __user *items = u64_to_user_ptr(a->items);
	int n;

	if (a->flags == (GCHEAP_FINALIZERS_LOOK | GCHEAP_FINALIZERS_LOOKED))
		return -EINVAL;
	n = gch_fetch_lock(g);
	if (n)
		return n;
	for (a->got = 0; a->got < a->max; a->got += n) {
		if (a->flags & GCHEAP_FINALIZERS_LOOK)
			n = look_at_some(g, items + a->got, a->max - a->got);
		else
			n = fetch_some(g, items + a->got, a->max - a->got,
				       a->flags & GCHEAP_FINALIZERS_LOOKED);
		if (n <= 0)
			break;
	}
	a->left = READ_ONCE(g->core.finals.ready);
	mutex_unlock(&g->fetch);
	return a->got || !a->max ? 0 : min(n, 0);
}

static int do_info(struct gch *g, union gch_arg *arg)
{
	struct gcheap_info *a = &arg->info;
	struct gch_ref r;
	int err;

	err = gch_callback_is_asked(g) ? 0 : gch_lock_thawed(g);
	if (err)
		return err;
	err = -ENOENT;
	if (!gch_resolve(&g->core, a->addr, &r) || r.d->state == GCHEAP_SPAN_MOVED)
		goto out;
	if (!gch_ref_live(&r) && !gch_thread_handed_out(&g->core, &r))
		goto out;
	err = 0;
	a->base = gch_ref_addr(&g->core, &r);
	a->bytes = r.d->bytes ?: (u64)r.d->cell_granules * GCHEAP_GRANULE;
	a->cache = r.d->cache;
	a->state = GCHEAP_INFO_LIVE;
	if (gch_ref_marked(&r))
		a->state |= GCHEAP_INFO_MARKED;
	if (r.d->state == GCHEAP_SPAN_LARGE)
		a->state |= GCHEAP_INFO_LARGE;
	if (gch_span_owned(r.d))
		a->state |= GCHEAP_INFO_OWNED;
out:
	gch_unlock(g);
	return err;
}

static int do_verify(struct gch *g, union gch_arg *arg)
{
	struct gcheap_verify *a = &arg->verify;
	struct gch_fault f = { };
	int err;

	err = gch_lock_thawed(g);
	if (err)
		return err;
	err = gch_verify(&g->core, &f);
	gch_unlock(g);
	a->code = f.code;
	a->where = f.where;
	a->detail = f.detail;
	return err;
}

static int do_callback(struct gch *g, union gch_arg *arg)
{
	return gch_callback_call(g, &arg->callback);
}

static int do_lend(struct gch *g, union gch_arg *arg)
{
	return gch_lend_call(g, &arg->lend);
}

static int do_link(struct gch *g, union gch_arg *arg)
{
	return gch_link_call(g, &arg->link);
}

static int do_fork(struct file *file, union gch_arg *arg)
{
	struct gch_fork_arg *a = &arg->fork;
	struct gch *g = file->private_data;

	if (a->u.pad || a->u.fd)
		return -EINVAL;
	a->u.fd = -1;
	switch (a->u.flags) {
	case 0:
		return gch_fork_end(g);
	case GCHEAP_FORK_BEGIN:
		return gch_fork_begin(file, a);
	case GCHEAP_FORK_COPY:
		return gch_fork_copy(g);
	}
	return -EINVAL;
}

static void told_fork(union gch_arg *arg, bool told)
{
	gch_fork_told(&arg->fork, told);
}

static int do_adopt(struct gch *g, union gch_arg *arg)
{
	return arg->adopt.pad ? -EINVAL : gch_fork_adopt(g, &arg->adopt);
}

/* Shortest argument: what every structure begins with, size and flags. */
#define ARG_MIN		8

/**
 * struct gch_call - a call
 * @size: of its structure now
 * @flags: those known
 * @unbound: allowed before the heap is mapped
 * @fn: does it; or @fn_file, which wants the file
 * @told: the program has been told, or could not be
 */
struct gch_call {
	u32 size;
	u32 flags;
	bool unbound;
	int (*fn)(struct gch *g, union gch_arg *arg);
	int (*fn_file)(struct file *file, union gch_arg *arg);
	void (*told)(union gch_arg *arg, bool told);
};

#define CALL(nr, type, known, early, func) \
	[_IOC_NR(nr)] = { sizeof(struct type), known, early, func }

static const struct gch_call calls[] = {
	CALL(GCHEAP_IOC_SETUP, gcheap_setup, GCHEAP_SETUP_PRECISE_ONLY, true,
	     do_setup),
	CALL(GCHEAP_IOC_CACHE_CREATE, gcheap_cache_create,
	     GCHEAP_CACHE_LARGE | GCHEAP_CACHE_PAST_END | GCHEAP_CACHE_EPHEMERON |
	     GCHEAP_CACHE_MOVABLE, true,
	     do_cache_create),
	CALL(GCHEAP_IOC_CACHE_DESTROY, gcheap_cache_destroy, 0, false,
	     do_cache_destroy),
	CALL(GCHEAP_IOC_THREAD_ATTACH, gcheap_thread, 0, false, do_attach),
	CALL(GCHEAP_IOC_THREAD_DETACH, gcheap_thread, 0, false, do_detach),
	CALL(GCHEAP_IOC_SPANS, gcheap_spans, 0, false, do_spans),
	CALL(GCHEAP_IOC_LARGE, gcheap_large, 0, false, do_large),
	CALL(GCHEAP_IOC_FLUSH, gcheap_flush, GCHEAP_FLUSH_SPANS, false, do_flush),
	CALL(GCHEAP_IOC_ROOT_ADD, gcheap_root,
	     GCHEAP_ROOT_PRECISE | GCHEAP_ROOT_TOP | GCHEAP_ROOT_FIBER, true,
	     do_root_add),
	CALL(GCHEAP_IOC_ROOT_DEL, gcheap_root, 0, true, do_root_del),
	CALL(GCHEAP_IOC_TLS, gcheap_tls, GCHEAP_TLS_COUNTED, true, do_tls),
	CALL(GCHEAP_IOC_COLLECT, gcheap_collect,
	     GCHEAP_COLLECT_WAIT | GCHEAP_COLLECT_YOUNG | GCHEAP_COLLECT_COMPACT, false,
	     do_collect),
	CALL(GCHEAP_IOC_HOLD, gcheap_hold, 0, true, do_hold),
	CALL(GCHEAP_IOC_PARAM, gcheap_param, GCHEAP_PARAM_SET, true, do_param),
	CALL(GCHEAP_IOC_FINALIZER, gcheap_finalizer, GCHEAP_FINALIZER_CLEAR |
	     GCHEAP_FINALIZER_ORDERED | GCHEAP_FINALIZER_BUT_SELF |
	     GCHEAP_FINALIZER_UNREACHABLE | GCHEAP_FINALIZER_ALL, false, do_finalizer),
	CALL(GCHEAP_IOC_FINALIZERS, gcheap_finalizers,
	     GCHEAP_FINALIZERS_LOOK | GCHEAP_FINALIZERS_LOOKED, false, do_finalizers),
	CALL(GCHEAP_IOC_INFO, gcheap_info, 0, false, do_info),
	CALL(GCHEAP_IOC_VERIFY, gcheap_verify, 0, true, do_verify),
	CALL(GCHEAP_IOC_CALLBACK, gcheap_callback,
	     GCHEAP_CALLBACK_MORE | GCHEAP_CALLBACK_END, false, do_callback),
	CALL(GCHEAP_IOC_OFFHEAP, gcheap_offheap, 0, false, do_offheap),
	CALL(GCHEAP_IOC_LEND, gcheap_lend, GCHEAP_LEND_END, false, do_lend),
	CALL(GCHEAP_IOC_RESIZE, gcheap_resize, 0, false, do_resize),
	CALL(GCHEAP_IOC_LINK, gcheap_link, GCHEAP_LINK_LONG, false, do_link),
	CALL(GCHEAP_IOC_ADOPT, gcheap_adopt, 0, true, do_adopt),
	[_IOC_NR(GCHEAP_IOC_FORK)] = {
		.size = sizeof(struct gcheap_fork),
		.flags = GCHEAP_FORK_BEGIN | GCHEAP_FORK_COPY,
		.fn_file = do_fork,
		.told = told_fork,
	},
};

static int check_state(struct gch *g, const struct gch_call *c)
{
	int err;

	if (!smp_load_acquire(&g->ready)) {	/* pairs with do_setup() */
		if (c->fn == do_setup || c->fn == do_adopt)
			return 0;
		err = gch_fork_await(g);
		if (err)
			return err;
	}
	if (READ_ONCE(g->dead))
		return -ENXIO;
	if (gch_mapping_foreign(g))
		return -EPERM;
	return READ_ONCE(g->bound) || c->unbound ? 0 : -ENODEV;
}

/**
 * gch_ioctl() - see the uapi header
 *
 * Output is written back whenever the call itself was understood.
 */
long gch_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct gch *g = file->private_data;
	void __user *user = (void __user *)arg;
	const struct gch_call *c;
	union gch_arg a = { };
	unsigned long unread;
	u32 size;
	int err;

	if (_IOC_TYPE(cmd) != GCHEAP_IOC_TYPE || _IOC_NR(cmd) >= ARRAY_SIZE(calls) ||
	    cmd != _IO(GCHEAP_IOC_TYPE, _IOC_NR(cmd)))
		return -ENOTTY;
	c = &calls[array_index_nospec(_IOC_NR(cmd), ARRAY_SIZE(calls))];
	if (!c->fn && !c->fn_file)
		return -ENOTTY;
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < ARG_MIN || size > PAGE_SIZE)
		return size < ARG_MIN ? -EINVAL : -E2BIG;
	err = copy_struct_from_user(&a, c->size, user, size);
	if (err)
		return err;
	/* Second member of each structure. */
	if (a.setup.flags & ~c->flags)
		return -EINVAL;
	err = check_state(g, c);
	if (err)
		return err;
	err = c->fn ? c->fn(g, &a) : c->fn_file(file, &a);
	a.size = size;
	unread = copy_to_user(user, &a, min(size, c->size));
	if (c->told)
		c->told(&a, !unread);
	return unread ? -EFAULT : err;
}
