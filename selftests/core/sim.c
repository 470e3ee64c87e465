// SPDX-License-Identifier: GPL-2.0-only
#include "sim.h"

static struct sim *sim_of(struct gch_heap *h)
{
	return (struct sim *)h;
}

u64 *sim_pos(struct sim *s, u32 thread, u32 cache)
{
	return &s->tcb[thread]->cursor[cache].pos;
}

static u64 tcb_pos(struct gch_heap *h, u32 thread, u32 cache)
{
	return READ_ONCE(*sim_pos(sim_of(h), thread, cache));
}

static void tcb_reset(struct gch_heap *h, u32 thread, u32 cache)
{
	WRITE_ONCE(*sim_pos(sim_of(h), thread, cache), 0);
}

static struct gcheap_tcb *tcb(struct gch_heap *h, u32 thread)
{
	return sim_of(h)->tcb[thread];
}

static void meta_changed(struct gch_heap *h, u32 chunk)
{
	sim_of(h)->meta_changes++;
}

static u32 *frame_of(struct sim *s, u64 page)
{
	return &gch_slot(&s->h, page / GCH_SLOT_PAGES)->frame[page % GCH_SLOT_PAGES];
}

static void drop_frame(struct sim *s, u64 page);

/* A page leaves those it shares a frame with; @fresh is its own then, with what is live there. */
static void split_page(struct sim *s, u64 page, u32 fresh)
{
	u32 *frame = frame_of(s, page), g;
	char *from = env_frame_addr(*frame), *to = env_frame_addr(fresh);
	struct gch_granules map;

	CHECK(gch_mesh_map(&s->h, page, false, &map));
	for (g = 0; g < GCH_PAGE_GRANULES; g++) {
		if (!(map.word[g / 64] & (1ull << (g % 64))))
			continue;
		memcpy(to + g * GCHEAP_GRANULE, from + g * GCHEAP_GRANULE, GCHEAP_GRANULE);
		memset(from + g * GCHEAP_GRANULE, 0, GCHEAP_GRANULE);
	}
	*frame = fresh;
	s->h.n.resident_pages++;
	CHECK(gch_mesh_leave(&s->h, page));
	s->split++;
}

static int split(struct gch_heap *h, u32 id)
{
	u64 page = (u64)id * GCH_SLOT_PAGES, end = page + gch_desc(h, id)->nslots * GCH_SLOT_PAGES;
	u32 fresh;

	for (; page < end; page++) {
		if (gch_mesh_next(h, page) == page)
			continue;
		fresh = gct_frame_alloc();
		if (!fresh)
			return -ENOMEM;
		split_page(sim_of(h), page, fresh);
	}
	return 0;
}

static void drop(struct gch_heap *h, u32 id, u32 n)
{
	u32 p;

	for (p = 0; p < n * GCH_SLOT_PAGES; p++)
		drop_frame(sim_of(h), (u64)id * GCH_SLOT_PAGES + p);
}

static bool clear_outside(struct gch_heap *h, u64 addr)
{
	u64 i = (addr - SIM_OUTSIDE) / sizeof(u64);

	if (i >= SIM_WORDS || sim_of(h)->away)
		return false;
	sim_of(h)->outside[i] = 0;
	return true;
}

static const struct gch_ops ops = {
	.clear = clear_outside,
	.split = split,
	.drop = drop,
	.tcb = tcb,
	.tcb_pos = tcb_pos,
	.tcb_reset = tcb_reset,
	.meta_changed = meta_changed,
};

static void free_tcbs(struct sim *s)
{
	u32 i;

	for (i = 0; i < SIM_THREADS; i++)
		env_free(s->tcb[i]);
}

static void lock(struct sim *s)
{
	gct_lock(&s->h.lock, s->depth);
}

/* As sim_try_open(), its lock not held. */
static int open_unlocked(struct sim *s, u64 size)
{
	int err = 0;
	u32 i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < SIM_THREADS && !err; i++) {
		s->tcb[i] = env_zalloc(sizeof(struct gcheap_tcb));
		err = s->tcb[i] ? 0 : -ENOMEM;
	}
	if (!err)
		err = gch_heap_init(&s->h, &ops, size, SIM_THREADS);
	if (err) {
		free_tcbs(s);
		return err;
	}
	s->h.base = SIM_BASE;
	s->want = 2;
	return 0;
}

/* As sim_open(), in memory of the caller's; 0 or -ENOMEM. */
int sim_try_open(struct sim *s, u64 size)
{
	int err = open_unlocked(s, size);

	if (!err)
		lock(s);
	return err;
}

static void drop_frame(struct sim *s, u64 page)
{
	u32 *frame = frame_of(s, page);

	if (!*frame)
		return;
	if (!gch_mesh_leave(&s->h, page)) {
		gct_frame_free(*frame);
		s->h.n.resident_pages--;
	}
	*frame = 0;
}

static void drop_frames(struct sim *s, u32 id)
{
	u32 p;

	for (p = 0; p < GCH_SLOT_PAGES; p++)
		drop_frame(s, (u64)id * GCH_SLOT_PAGES + p);
}

void sim_try_close(struct sim *s)
{
	u32 id;

	for (id = 0; id < s->h.top; id++) {
		struct gch_chunk *c = gch_chunk(&s->h, id / GCHEAP_CHUNK_SLOTS);

		if (c && c->slot[id % GCHEAP_CHUNK_SLOTS / GCH_KERN_SLOTS])
			drop_frames(s, id);
	}
	CHECK_EQ(s->h.n.resident_pages, 0);
	env_unlock(&s->h.lock);
	gch_heap_destroy(&s->h);
	free_tcbs(s);
}

struct sim *sim_open(u64 size)
{
	struct sim *s = env_zalloc(sizeof(*s));

	CHECK(s);
	CHECK_EQ(sim_try_open(s, size), 0);
	return s;
}

/* A heap with thread 0 and cache 0, verified at every step. */
struct sim *sim_with(u32 layout, u32 flags, u32 cell_size)
{
	struct sim *s = sim_open(SIM_SIZE);
	u32 t;

	s->slow = true;
	CHECK_EQ(gch_thread_attach(&s->h, &t), 0);
	CHECK_EQ(t, 0);
	CHECK_EQ(sim_cache(s, layout, flags, cell_size), 0);
	return s;
}

void sim_close(struct sim *s)
{
	sim_verify(s);
	sim_try_close(s);
	env_free(s);
}

/* A map of one word, if any bit is set. */
static bool map_word(u64 **map, u64 bits)
{
	*map = NULL;
	if (!bits)
		return true;
	*map = env_zalloc(sizeof(**map));
	if (*map)
		**map = bits;
	return *map;
}

int sim_typed(struct sim *s, u32 flags, u32 cell_size, const struct sim_maps *maps)
{
	struct gch_cache proto = {
		.used = true,
		.layout = GCHEAP_TYPED,
		.flags = flags,
		.cell_size = cell_size,
		.length_word = maps->length,
		.tag_bits = maps->tag_bits,
		.fixed.words = maps->fixed,
		.elem.words = maps->elem,
		.key = maps->elem_weak ? env_ctz64(maps->elem_weak) : 0,
	};
	int c = -ENOMEM;

	if (map_word(&proto.fixed.ptr, maps->fixed_ptr) &&
	    map_word(&proto.fixed.weak, maps->fixed_weak) &&
	    map_word(&proto.elem.ptr, maps->elem_ptr) &&
	    map_word(&proto.elem.weak, maps->elem_weak))
		c = gch_cache_create(&s->h, &proto);
	if (c < 0)
		gch_cache_free_maps(&proto);
	return c;
}

int sim_cache(struct sim *s, u32 layout, u32 flags, u32 cell_size)
{
	struct gch_cache proto = {
		.used = true,
		.layout = layout,
		.flags = flags,
		.cell_size = cell_size,
	};

	return gch_cache_create(&s->h, &proto);
}

static void written(struct sim *s, u64 off)
{
	u64 page = off >> GCH_PAGE_SHIFT;

	if (s->tracking)
		s->written[page / 64] |= 1ull << (page % 64);
}

/* The word's place, with a frame behind it; NULL: no memory. */
static u64 *touch(struct sim *s, u64 addr)
{
	u64 off = addr - s->h.base;
	u32 *frame, first;

	CHECK(gch_span_at(&s->h, off >> GCHEAP_SLOT_SHIFT, &first));
	CHECK(gch_evac_touch(&s->h, off >> GCH_PAGE_SHIFT) >= 0);
	frame = &gch_slot(&s->h, off >> GCHEAP_SLOT_SHIFT)->
		frame[(off >> GCH_PAGE_SHIFT) % GCH_SLOT_PAGES];
	if (!*frame) {
		*frame = gct_frame_alloc();
		if (!*frame)
			return NULL;
		s->h.n.resident_pages++;
	}
	written(s, off);
	return gch_heap_word(&s->h, off);
}

u64 sim_load(struct sim *s, u64 addr)
{
	const u64 *p = gch_heap_word(&s->h, addr - s->h.base);

	CHECK(gch_evac_touch(&s->h, (addr - s->h.base) >> GCH_PAGE_SHIFT) >= 0);

	return p ? *p : 0;
}

bool sim_store(struct sim *s, u64 addr, u64 value)
{
	u64 *p = touch(s, addr);

	if (p)
		*p = value;
	return p;
}

/* A cell that is handed out has to be zero: the library sees to it, or the flag. */
static void zero_cell(struct sim *s, u64 addr, u64 bytes, bool promised)
{
	u64 off;

	for (off = 0; off < bytes; off += 8) {
		u64 *p = gch_heap_word(&s->h, addr - s->h.base + off);

		CHECK(gch_evac_touch(&s->h, (addr - s->h.base + off) >> GCH_PAGE_SHIFT) >= 0);

		if (!p)
			continue;
		if (promised && !s->scribbled)
			CHECK_EQ(*p, 0);
		*p = 0;
		written(s, addr - s->h.base + off);
	}
}

static u32 next_free(struct sim *s, u32 id, u32 cell)
{
	const u64 *live = gch_live(&s->h, id);
	u32 n = gch_desc(&s->h, id)->ncells;

	while (cell < n && live[cell / 64] & (1ull << (cell % 64)))
		cell++;
	return cell;
}

/* The library's fast path: the next free cell of the batch at hand, or 0. */
static u64 take_cell(struct sim *s, const struct sim_place *p, u64 *pos)
{
	u32 at = *pos >> 32, cell = (u32)*pos;

	for (; at < p->n; at++, cell = 0) {
		const struct gcheap_span *d = gch_desc(&s->h, p->span[at]);
		u64 bytes = (u64)d->cell_granules * GCHEAP_GRANULE, addr;

		cell = next_free(s, p->span[at], cell);
		if (cell >= d->ncells)
			continue;
		addr = gch_slot_addr(&s->h, p->span[at]) + cell * bytes;
		*pos = (u64)at << 32 | (cell + 1);	/* R14: the address first */
		zero_cell(s, addr, bytes, d->flags & GCHEAP_SPANF_ZERO);
		return addr;
	}
	return 0;
}

/* Bring in what a call lacked, as the module does; whether to try again. */
bool sim_again(struct sim *s)
{
	bool more;

	s->tries++;
	env_unlock(&s->h.lock);
	more = gch_reserve_fill(&s->h, &s->fills);
	lock(s);
	return more;
}

u64 sim_alloc(struct sim *s, u32 thread, u32 cache)
{
	struct sim_place *p = &s->place[thread][cache];
	u64 addr = take_cell(s, p, sim_pos(s, thread, cache));

	if (addr)
		return addr;
	while (gch_thread_spans(&s->h, thread, cache, s->want, &p->n, p->span) ==
	       -ENOMEM && sim_again(s))
		;
	if (s->slow)
		sim_verify(s);
	return take_cell(s, p, sim_pos(s, thread, cache));
}

/* An object, or the test has failed. */
u64 sim_need(struct sim *s, u32 thread, u32 cache)
{
	u64 addr = sim_alloc(s, thread, cache);

	CHECK(addr);
	return addr;
}

/* Number of the slot an address is in. */
u32 sim_id(u64 addr)
{
	return (addr - SIM_BASE) >> GCHEAP_SLOT_SHIFT;
}

u64 sim_large(struct sim *s, u32 thread, u32 cache, u64 bytes)
{
	const struct gcheap_span *d;
	u32 id;
	int err;

	do {
		err = gch_thread_large(&s->h, thread, cache, bytes, &id);
	} while (err == -ENOMEM && sim_again(s));
	if (err)
		return 0;
	d = gch_desc(&s->h, id);
	zero_cell(s, gch_slot_addr(&s->h, id),
		  (u64)d->nslots << GCHEAP_SLOT_SHIFT, d->flags & GCHEAP_SPANF_ZERO);
	gch_large_zeroed(&s->h, id);
	return gch_slot_addr(&s->h, id);
}

/* Pages go from one large object to another, as in kmod/mm/resize.c. */
static void move_frames(struct sim *s, u32 from, u32 to, u32 nslots)
{
	u64 a = (u64)from * GCH_SLOT_PAGES, b = (u64)to * GCH_SLOT_PAGES;
	u64 end = a + nslots * GCH_SLOT_PAGES;

	for (; a < end; a++, b++) {
		drop_frame(s, b);
		*frame_of(s, b) = *frame_of(s, a);
		*frame_of(s, a) = 0;
		if (!*frame_of(s, b))
			continue;
		if (s->h.black)
			gch_dirty_set(&s->h, b);
		if (s->tracking)
			s->written[b / 64] |= 1ull << (b % 64);
	}
}

/* Another size for a large object: where it is then, or 0. */
u64 sim_resize(struct sim *s, u32 thread, u64 addr, u64 bytes)
{
	u32 had, id;
	u64 cookie;
	struct gch_ref r;
	int err;

	do {
		CHECK(gch_object_at(&s->h, addr, &r));
		had = r.d->nslots;
		err = gch_resize_here(&s->h, &r, bytes);
		if (!err)
			return addr;
		if (err == -EBUSY)
			err = gch_resize_begin(&s->h, thread, &r, bytes, &id);
	} while (err == -ENOMEM && sim_again(s));
	if (err)
		return 0;
	drop(&s->h, id, gch_desc(&s->h, id)->nslots);
	move_frames(s, r.id, id, had);
	gch_resize_end(&s->h, thread, addr, &cookie);
	return gch_slot_addr(&s->h, id);
}

/* What the library does with an early free. */
void sim_push_free(struct sim *s, u32 thread, u64 addr)
{
	struct gcheap_tcb *t = s->tcb[thread];

	if (t->free_head - t->free_tail == GCHEAP_RING)
		gch_free_drain(&s->h, thread);
	t->free_ring[t->free_head % GCHEAP_RING] = addr;
	t->free_head++;
}

/* Where the owner of a span stands in it; 0 if nobody owns it. */
static u32 owner_cursor(struct sim *s, u32 id)
{
	const struct gcheap_span *d = gch_desc(&s->h, id);
	const struct sim_place *p;
	u32 owner, k;
	u64 pos;

	if (!gch_span_owned(d))
		return 0;
	owner = gch_slot(&s->h, id)->owner;
	p = &s->place[owner][d->cache];
	pos = *sim_pos(s, owner, d->cache);
	for (k = 0; k < p->n && p->span[k] != id; k++)
		;
	if (k >= p->n || k > pos >> 32)
		return 0;
	return k < pos >> 32 ? d->ncells : (u32)pos;
}

/* What the program holds to be allocated, cursors exact. */
static bool cell_allocated(struct sim *s, const struct gch_ref *r)
{
	if (gch_live(&s->h, r->id)[r->cell / 64] & (1ull << (r->cell % 64)))
		return true;
	return gch_span_owned(r->d) && r->cell >= gch_slot(&s->h, r->id)->commit &&
	       r->cell < owner_cursor(s, r->id);
}

/* The span of a slot, as far as that goes without gch_ref_at(). */
static bool ref_span(struct sim *s, u32 id, struct gch_ref *r)
{
	r->d = gch_span_at(&s->h, id, &r->id);
	if (!r->d)
		return false;
	r->c = gch_chunk(&s->h, r->id / GCHEAP_CHUNK_SLOTS);
	r->s = gch_slot(&s->h, r->id);
	return true;
}

/* The cell that starts at an address. */
bool sim_cell(struct sim *s, u64 addr, struct gch_ref *r)
{
	u64 off = addr - s->h.base, bytes;

	if (off >= (u64)s->h.top << GCHEAP_SLOT_SHIFT)
		return false;
	if (!ref_span(s, off >> GCHEAP_SLOT_SHIFT, r))
		return false;
	off -= (u64)r->id << GCHEAP_SLOT_SHIFT;
	bytes = (u64)r->d->cell_granules * GCHEAP_GRANULE;
	r->cell = env_div64(off, bytes);
	return r->cell < r->d->ncells && r->cell * bytes == off;
}

bool sim_live(struct sim *s, u64 addr)
{
	struct gch_ref r;

	return sim_cell(s, addr, &r) && gch_ref_live(&r);
}

bool sim_allocated(struct sim *s, u64 addr)
{
	struct gch_ref r;

	return sim_cell(s, addr, &r) && cell_allocated(s, &r);
}

/* Whether it is the last cell handed out from where a cursor stands. */
bool sim_last(struct sim *s, u64 addr)
{
	const struct sim_place *p;
	struct gch_ref r;
	u32 owner;
	u64 pos;

	if (!sim_cell(s, addr, &r) || !gch_span_owned(r.d) ||
	    r.cell + 1 != owner_cursor(s, r.id))
		return false;
	owner = gch_slot(&s->h, r.id)->owner;
	p = &s->place[owner][r.d->cache];
	pos = *sim_pos(s, owner, r.d->cache);
	/* Of a full span only if the next one has not been begun. */
	return r.cell + 1 != r.d->ncells ||
	       p->span[(pos >> 32) - !(u32)pos] == r.id;
}

/*
 * Whether the core does not take for certain that the cell is handed out (R14). A
 * cycle that starts now spares it, unless its live bit is set for another reason.
 */
bool sim_black(struct sim *s, u64 addr)
{
	struct gch_ref r;

	return sim_last(s, addr) && sim_cell(s, addr, &r) &&
	       r.cell >= gch_slot(&s->h, r.id)->commit && gch_rule(14);
}

void sim_each(struct sim *s, void (*fn)(void *arg, u64 addr), void *arg)
{
	struct gch_ref r;
	u32 id = 0;

	while (id < s->h.top) {
		bool span = ref_span(s, id, &r);

		for (r.cell = 0; span && r.cell < r.d->ncells; r.cell++)
			if (cell_allocated(s, &r))
				fn(arg, gch_ref_addr(&s->h, &r));
		id += span ? r.d->nslots : 1;
	}
}

static void count_one(void *arg, u64 addr)
{
	++*(u64 *)arg;
}

u64 sim_count(struct sim *s)
{
	u64 n = 0;

	sim_each(s, count_one, &n);
	return n;
}

void sim_verify(struct sim *s)
{
	struct gch_fault f = { 0 };
	int err = gch_verify(&s->h, &f);

	if (err)
		gct_log("V%u at %u, %llx", f.code, f.where, f.detail);
	CHECK_EQ(err, 0);
}

static void slice(struct sim *s)
{
	if (s->between)
		s->between(s);
	if (s->slow)
		sim_verify(s);
}

static void clear(struct sim *s)
{
	u32 at = 0;

	gch_cycle_clear(&s->h);
	while (gch_mark_clear(&s->h, &at, 100))
		slice(s);
}

static void roots(struct sim *s)
{
	gch_mark_ambiguous(&s->h, s->ambiguous, SIM_ROOTS);
	gch_mark_precise(&s->h, s->precise, SIM_ROOTS);
	if (s->roots)
		s->roots(s);
}

/* The world stopped, up to its roots. */
static void stop(struct sim *s)
{
	gch_cycle_stop(&s->h);
	gch_cycle_mark(&s->h);
	roots(s);
}

/* The program is asked about some of what is marked; false: there was nothing left. */
static bool ask(struct sim *s)
{
	bool more = gch_ask_left(&s->h);
	u64 addr[3];
	u32 n = gch_ask_take(&s->h, addr, ARRAY_SIZE(addr)), i;

	for (i = 0; i < n && s->ask; i++)
		s->ask(s, addr[i]);
	gch_ask_told(&s->h);
	s->asked += n;
	return more;
}

/* World stopped: all that is left. */
static void mark_rest(struct sim *s, u32 n)
{
	do {
		while (gch_mark_some(&s->h, n))
			;
	} while (ask(s));
}

void sim_evac_free(struct sim *s)
{
	env_free(s->h.evac.move);
	env_free(s->h.evac.target);
	s->h.evac.move = NULL;
	s->h.evac.target = NULL;
}

static bool make_targets(struct sim *s)
{
	u32 n = s->h.evac.ntargets, id, i;

	while (n--) {
		while (gch_evac_target(&s->h, &id))
			if (!sim_again(s))
				return false;
		for (i = 0; i < gch_desc(&s->h, id)->nslots * GCH_SLOT_PAGES; i++) {
			u32 *frame = frame_of(s, (u64)id * GCH_SLOT_PAGES + i);

			if (*frame)
				continue;
			*frame = gct_frame_alloc();
			if (!*frame)
				return false;
			s->h.n.resident_pages++;
		}
	}
	return true;
}

/* The next cycle evacuates: how many spans, @room at most. */
u32 sim_evac_choose(struct sim *s, u32 room)
{
	struct gch_evac_memory m = {
		.move = env_zalloc(room * sizeof(*m.move)),
		.target = env_zalloc(room * sizeof(*m.target)),
		.room = room,
	};
	u32 at = 0, at2 = 0;

	gch_evac_begin(&s->h, &m);
	if (!m.move || !m.target) {
		gch_evac_abandon(&s->h);
	} else {
		while (gch_evac_gather(&s->h, &at, 10, 4))
			slice(s);
		while (gch_evac_gather(&s->h, &at2, 10, 13))
			slice(s);
		if (gch_evac_plan(&s->h) && !make_targets(s))
			gch_evac_abandon(&s->h);
	}
	if (s->h.evac.state == GCH_EVAC_CHOSEN)
		return s->h.evac.nmoves;
	sim_evac_free(s);
	return 0;
}

/* Up to the phase FINISH. */
void sim_mark_phase(struct sim *s)
{
	clear(s);
	stop(s);
	gch_ask_begin(&s->h);
	mark_rest(s, 3);
	gch_cycle_finish(&s->h);
	if (s->slow)
		sim_verify(s);
}

/* As sim_mark_phase(), marking while the program runs. */
void sim_trace_begin(struct sim *s)
{
	clear(s);
	memset(s->written, 0, sizeof(s->written));
	s->tracking = true;
	slice(s);
	gch_cycle_trace(&s->h, false);
}

/* The pages written since this was asked last are dirty. */
static void collect(struct sim *s)
{
	u32 w;

	for (w = 0; w < ARRAY_SIZE(s->written); w++) {
		for (; s->written[w]; s->written[w] &= s->written[w] - 1)
			gch_dirty_set(&s->h, 64 * w + env_ctz64(s->written[w]));
	}
}

void sim_trace_round(struct sim *s)
{
	collect(s);
	while (gch_dirty_scan(&s->h, 2))
		slice(s);
	while (gch_mark_drain(&s->h, 2))
		slice(s);
	while (gch_evac_record(&s->h, 3))
		slice(s);
	while (gch_mark_drain(&s->h, 5) || gch_weak_settle(&s->h, 1, false))
		slice(s);
	while (gch_link_look(&s->h, 1))
		slice(s);
}

/* A pause that does not come to an end. */
void sim_trace_pause(struct sim *s)
{
	stop(s);
	gch_ask_begin(&s->h);
	gch_mark_drain(&s->h, 2);
	ask(s);
	gch_cycle_resume(&s->h);
	slice(s);
}

/* Mark again from nothing: what that finds alone. Nothing without memory. */
static void check(struct sim *s)
{
	struct gch_check c = { .room = gch_check_room(&s->h) };

	c.aside = env_zalloc(c.room * sizeof(u64));
	if (!c.aside)
		return;
	CHECK(gch_check_begin(&s->h, &c));
	roots(s);
	mark_rest(s, 100);
	gch_check_end(&s->h, &c);
	s->lost = c.lost;
	s->lost_steps = c.steps;
	memcpy(s->lost_path, c.path, sizeof(s->lost_path));
	env_free(c.aside);
}

/* World stopped, marking complete. */
static void flip(struct sim *s)
{
	u64 off;
	u32 i;

	if (s->h.evac.state != GCH_EVAC_CHOSEN)
		return;
	gch_evac_flip(&s->h);
	for (i = 0; i < SIM_ROOTS; i++)
		if (gch_evac_forward(&s->h, s->precise[i] - SIM_BASE, &off))
			s->precise[i] = SIM_BASE + off;
}

/* From sim_trace_begin() to the phase FINISH. */
void sim_trace_finish(struct sim *s)
{
	stop(s);
	gch_ask_begin(&s->h);
	collect(s);
	while (gch_evac_record(&s->h, 100))
		;
	while (gch_dirty_scan(&s->h, 100))
		;
	mark_rest(s, 100);
	if (s->check)
		check(s);
	s->tracking = false;
	if (s->judge)
		s->judge(s);
	gch_cycle_finish(&s->h);
	flip(s);
	if (s->slow)
		sim_verify(s);
}

void sim_trace_phase(struct sim *s, u32 rounds)
{
	sim_trace_begin(s);
	for (; rounds; rounds--) {
		if (rounds % 2)
			sim_trace_pause(s);
		sim_trace_round(s);
	}
	sim_trace_finish(s);
}

/* From the middle of a sweep to its end. */
void sim_sweep_rest(struct sim *s)
{
	slice(s);
	while (gch_sweep_some(&s->h, 5))
		slice(s);
	gch_cycle_end(&s->h);
	if (s->slow)
		sim_verify(s);
}

static void settle(struct sim *s)
{
	struct gch_evac *e = &s->h.evac;
	u32 i;

	while (gch_evac_settle(&s->h, 2))
		slice(s);
	for (i = 0; i < e->nmoves; i++)
		if (gch_desc(&s->h, e->move[i].span)->state == GCHEAP_SPAN_MOVED)
			drop(&s->h, e->move[i].span, gch_desc(&s->h, e->move[i].span)->nslots);
	gch_evac_end(&s->h);
	sim_evac_free(s);
	if (s->slow)
		sim_verify(s);
}

/* From the phase FINISH to the end of FINALIZE. */
void sim_finalize(struct sim *s)
{
	gch_cycle_finalize(&s->h);
	if (s->h.evac.state == GCH_EVAC_FLIPPED)
		settle(s);
	do {
		if (s->h.black)
			slice(s);
	} while (gch_final_some(&s->h, 2) || ask(s));
	if (s->slow)
		sim_verify(s);
}

/* From the phase FINISH to the beginning of the sweep. */
void sim_sweep_begin(struct sim *s)
{
	sim_finalize(s);
	gch_cycle_sweep(&s->h);
}

void sim_sweep_phase(struct sim *s)
{
	sim_sweep_begin(s);
	sim_sweep_rest(s);
}

void sim_cycle(struct sim *s)
{
	sim_mark_phase(s);
	sim_sweep_phase(s);
}

/* Give back the frames behind free slots but for some runs. */
void sim_release(struct sim *s, u32 keep)
{
	u32 at = 0, id, n;

	while (gch_run_resident(&s->h, at, 16, &id, &n)) {
		at = id + n;
		if (keep) {
			keep--;
			continue;
		}
		for (; n; n--, id++)
			drop_frames(s, id);
	}
	gch_chunk_trim(&s->h);
}

/* Have a page share another's frame, if it still may. */
static bool share(struct sim *s, u64 page, u64 into)
{
	u32 *frame = frame_of(s, page), g;
	char *from = env_frame_addr(*frame), *to = env_frame_addr(gch_heap_frame(&s->h, into));
	struct gch_granules map;

	if (!gch_mesh_fits(&s->h, page, into, &map) || gch_mesh_ensure(&s->h, page) ||
	    gch_mesh_ensure(&s->h, into))
		return false;
	for (g = 0; g < GCH_PAGE_GRANULES; g++)
		if (map.word[g / 64] & (1ull << (g % 64)))
			memcpy(to + g * GCHEAP_GRANULE, from + g * GCHEAP_GRANULE,
			       GCHEAP_GRANULE);
	gct_frame_free(*frame);
	s->h.n.resident_pages--;
	*frame = gch_heap_frame(&s->h, into);
	gch_mesh_join(&s->h, page, into);
	return true;
}

/* Mesh all that can be: how many pages have another one's frame now. */
u64 sim_mesh(struct sim *s, bool now)
{
	u32 room = (s->h.top + GCH_SPAN_SLOTS_MAX) * GCH_SLOT_PAGES, n = 0, at = 0, i;
	struct gch_mesh_page *p = env_zalloc(room * sizeof(*p));
	u32 *scratch = env_zalloc(2 * room * sizeof(*scratch));
	u64 before = s->h.n.meshed_pages;

	if (p && scratch) {
		while (gch_mesh_gather(&s->h, &at, 10, now, p, room, &n))
			;
		gch_mesh_search(p, n, scratch, scratch + room);
		for (i = 0; i < n; i++)
			if (p[i].into != GCH_MESH_STAYS)
				share(s, p[i].page, p[p[i].into].page);
	}
	env_free(p);
	env_free(scratch);
	return s->h.n.meshed_pages - before;
}

/* Give back the frames of pages that hold nothing, in spans in use: how many. */
u64 sim_vacate(struct sim *s, bool now)
{
	u64 before = s->h.n.resident_pages;
	struct gch_vacant v[3];
	u32 at = 0, n, i;
	bool more;

	do {
		more = gch_vacant_gather(&s->h, &at, 100, now, v, ARRAY_SIZE(v), &n);
		for (i = 0; i < n; i++)
			for (; v[i].pages; v[i].pages &= v[i].pages - 1)
				drop_frame(s, (u64)v[i].id * GCH_SLOT_PAGES +
					   env_ctz64(v[i].pages));
	} while (more);
	return before - s->h.n.resident_pages;
}

/* Each page has a frame of its own, or that of those it shares one with. */
static int copy_frames(struct sim *to, struct sim *s)
{
	u64 page, end = (u64)s->h.top * GCH_SLOT_PAGES, at;
	u32 first, frame;

	for (page = 0; page < end; page++) {
		if (!gch_span_at(&s->h, page / GCH_SLOT_PAGES, &first) || !*frame_of(s, page))
			continue;
		for (at = gch_mesh_next(&s->h, page); at != page && !*frame_of(to, at);
		     at = gch_mesh_next(&s->h, at))
			;
		frame = *frame_of(to, at);
		if (!frame) {
			frame = gct_frame_alloc();
			if (!frame)
				return -ENOMEM;
			to->h.n.resident_pages++;
			memcpy(env_frame_addr(frame), env_frame_addr(*frame_of(s, page)),
			       GCH_PAGE_SIZE);
		}
		*frame_of(to, page) = frame;
	}
	return 0;
}

static int copy_spans(struct sim *to, struct sim *s)
{
	u32 id, first;
	int err = 0;

	for (id = 0; id < s->h.top && !err; id++) {
		if (!gch_span_at(&s->h, id, &first) || first != id)
			continue;
		do
			err = gch_copy_span(&to->h, &s->h, id);
		while (err == -ENOMEM && sim_again(to));
	}
	return err;
}

static int copy_heap(struct sim *to, struct sim *s)
{
	u32 id, first;
	int err;

	err = gch_copy_begin(&to->h, &s->h);
	lock(to);
	err = err ?: copy_spans(to, s) ?: copy_frames(to, s);
	if (err)
		return err;
	for (id = 0; id < s->h.top; id++)
		if (gch_span_at(&s->h, id, &first) && first == id)
			gch_copy_cells(&to->h, &s->h, id);
	gch_copy_end(&to->h, &s->h);
	sim_verify(to);
	return 0;
}

/* What has been copied, when there is no memory for the rest: frames may be shared. */
static void copy_failed(struct sim *to, struct sim *s)
{
	u64 page, end = (u64)to->h.top * GCH_SLOT_PAGES, at;
	u32 first, f;

	for (page = 0; page < end; page++) {
		if (!gch_span_at(&to->h, page / GCH_SLOT_PAGES, &first))
			continue;
		f = *frame_of(to, page);
		if (!f)
			continue;
		gct_frame_free(f);
		*frame_of(to, page) = 0;
		for (at = gch_mesh_next(&s->h, page); at != page; at = gch_mesh_next(&s->h, at))
			if (at < end)
				*frame_of(to, at) = 0;
	}
	to->h.n.resident_pages = 0;
}

/**
 * sim_copy() - a heap like another one, as for a forked child; 0 or -ENOMEM: there is none
 * @to: zeroed or not; sim_try_close() undoes it
 * @s: no collection is under way
 */
int sim_copy(struct sim *to, struct sim *s)
{
	int err = open_unlocked(to, s->h.size);

	if (err)
		return err;
	to->depth = s->depth + 1;
	to->slow = s->slow;
	to->scribbled = s->scribbled;
	to->want = s->want;
	memcpy(to->ambiguous, s->ambiguous, sizeof(s->ambiguous));
	memcpy(to->precise, s->precise, sizeof(s->precise));
	memcpy(to->outside, s->outside, sizeof(s->outside));
	to->away = s->away;
	to->roots = s->roots;
	to->judge = s->judge;
	to->ask = s->ask;
	to->between = s->between;
	to->arg = s->arg;
	env_unlock(&s->h.lock);
	WRITE_ONCE(s->h.closed, true);
	err = copy_heap(to, s);
	WRITE_ONCE(s->h.closed, false);
	/* Of a heap and its copy this one's is taken first. */
	env_unlock(&to->h.lock);
	lock(s);
	lock(to);
	if (!err)
		return 0;
	copy_failed(to, s);
	sim_try_close(to);
	return err;
}
