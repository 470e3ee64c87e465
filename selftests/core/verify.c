// SPDX-License-Identifier: GPL-2.0-only
/* The verifier finds what is broken, says which invariant, and is not led astray. */
#include "cases.h"
#include "sim.h"

/* A heap with something of everything. */
struct zoo {
	struct sim *s;
	u32 small, tiny, big, weak;	/* caches */
	u32 full, partial, owned, wide, large, boxed; /* spans */
	u64 addr;
};

static void fill(struct sim *s, u32 cache, u32 n)
{
	while (n--)
		sim_need(s, 0, cache);
}

static void zoo_open(struct zoo *z)
{
	static const struct sim_maps box = {
		.fixed = 4, .fixed_weak = 1, .length = GCHEAP_NO_LENGTH,
	};
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, 0, 1024);
	u64 old;

	memset(z, 0, sizeof(*z));
	z->s = s;
	s->want = 1;
	z->tiny = sim_cache(s, GCHEAP_CONSERVATIVE, 0, 16);
	z->big = sim_cache(s, GCHEAP_NOSCAN, GCHEAP_CACHE_LARGE, 0);
	z->weak = sim_typed(s, 0, 32, &box);
	fill(s, z->small, 3 * 8 + 2);
	gch_thread_retire(&s->h, 0, z->small);
	s->place[0][z->small].n = 0;
	z->full = 1;
	z->partial = 3;
	fill(s, z->small, 6 + 1);
	gch_thread_retire(&s->h, 0, z->small);
	s->place[0][z->small].n = 0;
	z->partial = 4;
	z->addr = sim_need(s, 0, z->tiny);
	z->wide = s->place[0][z->tiny].span[0];
	fill(s, z->weak, 3);
	z->boxed = s->place[0][z->weak].span[0];
	z->owned = z->boxed;
	z->large = sim_id(sim_large(s, 0, z->big, 20000));
	CHECK_EQ(gch_final_set(&s->h, z->addr, 1, GCH_ORDER_NONE, &old), 0);
	CHECK_EQ(gch_final_set(&s->h, SIM_BASE, 1, GCH_ORDER_NONE, &old), 0);
	sim_verify(s);
	CHECK_EQ(gch_desc(&s->h, z->full)->state, GCHEAP_SPAN_FULL);
	CHECK_EQ(gch_desc(&s->h, z->partial)->state, GCHEAP_SPAN_PARTIAL);
}

static void zoo_close(struct zoo *z)
{
	sim_close(z->s);
}

static u32 fault(struct zoo *z)
{
	struct gch_fault f;
	int err = gch_verify(&z->s->h, &f);

	CHECK(err == 0 || err == -EUCLEAN);
	CHECK_EQ(!err, !f.code);
	return f.code;
}

/* Break an lvalue, see it found, mend it. */
#define BREAK(z, place, value, code) do {				\
		typeof(place) saved = (place);				\
		(place) = (value);					\
		CHECK_EQ(fault(z), code);				\
		(place) = saved;					\
		CHECK_EQ(fault(z), 0);					\
	} while (0)

void gct_verify_spans(void)
{
	struct gcheap_span *d;
	struct gch_chunk *c;
	struct gch_heap *h;
	struct zoo z;

	zoo_open(&z);
	h = &z.s->h;
	c = gch_chunk(h, 0);
	/* V1 */
	d = gch_desc(h, z.large + 1);
	BREAK(&z, d->head, 0, 1);
	BREAK(&z, d->head, z.full + 1, 1);
	BREAK(&z, d->head, z.large + 2, 1);
	BREAK(&z, d->head, U32_MAX, 1);
	BREAK(&z, gch_desc(h, 100)->head, 5, 1);
	BREAK(&z, gch_desc(h, 100)->head, 101, 1);
	BREAK(&z, gch_slot(h, 63)->bytes, 8192, 1);
	BREAK(&z, gch_slot(h, z.large + 1)->bytes, 8192, 1);
	BREAK(&z, c->used[3], 1, 2);
	BREAK(&z, gch_desc(h, z.large)->nslots, 2, 3);
	BREAK(&z, gch_desc(h, z.large)->nslots, 4, 1);
	BREAK(&z, gch_desc(h, z.large)->nslots, U32_MAX, 1);
	BREAK(&z, h->top, 3, 1);
	/* V2 */
	BREAK(&z, c->nused, c->nused + 1, 2);
	BREAK(&z, h->first_free, 1, 2);
	BREAK(&z, h->first_free, 70, 2);
	/* V3 */
	d = gch_desc(h, z.full);
	BREAK(&z, d->ncells, 7, 3);
	BREAK(&z, d->recip, d->recip + 1, 3);
	BREAK(&z, d->cell_granules, 63, 3);
	BREAK(&z, d->bytes, 1, 3);
	BREAK(&z, d->cache, z.big, 3);
	BREAK(&z, d->cache, 900, 3);
	BREAK(&z, d->flags, d->flags ^ GCHEAP_SPANF_NOSCAN, 3);
	BREAK(&z, gch_slot(h, z.full)->bytes, 8, 3);
	BREAK(&z, gch_slot(h, z.full)->recip, 8, 3);
	BREAK(&z, gch_desc(h, z.large)->bytes, 30000, 3);
	BREAK(&z, gch_desc(h, z.large)->recip, 1, 3);
	/* V4 */
	BREAK(&z, d->nlive, 7, 4);
	BREAK(&z, gch_slot(h, z.full)->commit, GCH_COMMITTED, 4);
	BREAK(&z, gch_slot(h, z.large)->commit, GCH_FULL, 4);
	BREAK(&z, gch_slot(h, z.partial)->commit, GCH_FULL, 4);
	BREAK(&z, d->state, GCHEAP_SPAN_PARTIAL, 4);
	BREAK(&z, d->state, GCHEAP_SPAN_FREE, 4);
	BREAK(&z, d->state, 77, 4);
	BREAK(&z, gch_live(h, z.full)[0], 0x7f, 4);
	BREAK(&z, gch_live(h, z.large)[0], 0, 4);
	BREAK(&z, gch_desc(h, z.partial)->state, GCHEAP_SPAN_FULL, 4);
	zoo_close(&z);
}

void gct_verify_lists(void)
{
	struct gch_cache *c;
	struct gch_batch *b;
	struct gch_heap *h;
	struct zoo z;

	zoo_open(&z);
	h = &z.s->h;
	c = h->cache[z.small];
	/* V5 */
	BREAK(&z, c->partial, 0, 5);
	BREAK(&z, c->partial, z.full + 1, 5);
	BREAK(&z, c->partial, 250, 5);
	BREAK(&z, c->partial, U32_MAX, 5);
	BREAK(&z, c->npartial, 2, 5);
	BREAK(&z, c->npartial, 0, 5);
	BREAK(&z, gch_slot(h, z.partial)->lnext, z.partial + 1, 5);
	BREAK(&z, gch_slot(h, z.partial)->lprev, 1, 5);
	BREAK(&z, h->cache[z.weak]->partial, z.partial + 1, 5);
	/* V6 */
	b = h->thread[0]->batch[z.weak];
	CHECK_EQ(b->n, 1);
	BREAK(&z, b->n, 0, 6);
	BREAK(&z, b->n, 2, 6);
	BREAK(&z, b->n, 100, 6);
	BREAK(&z, b->span[0], z.full, 6);
	BREAK(&z, b->span[0], U32_MAX, 6);
	BREAK(&z, gch_slot(h, z.owned)->owner, 1, 6);
	BREAK(&z, gch_slot(h, z.owned)->owner, 60000, 6);
	BREAK(&z, gch_slot(h, z.full)->owner, 1, 6);
	BREAK(&z, h->nthreads, 2, 6);
	/* An owned span that says that it is not. */
	BREAK(&z, gch_desc(h, z.owned)->state, GCHEAP_SPAN_PARTIAL, 4);
	gch_slot(h, z.owned)->commit = 1;
	BREAK(&z, gch_desc(h, z.owned)->state, GCHEAP_SPAN_PARTIAL, 7);
	zoo_close(&z);
}

void gct_verify_bits(void)
{
	struct gch_heap *h;
	struct gch_slot *s;
	struct zoo z;

	zoo_open(&z);
	h = &z.s->h;
	s = gch_slot(h, z.full);
	/* V7 */
	BREAK(&z, gch_live(h, z.full)[0], 0x1ff, 7);
	BREAK(&z, s->mark[0], 0x100, 7);
	BREAK(&z, gch_scanned(h, z.full)[0], 0x100, 7);
	BREAK(&z, s->commit, 1, 7);
	BREAK(&z, gch_slot(h, z.owned)->commit, 257, 7);
	/* V8 */
	BREAK(&z, gch_desc(h, z.full)->flags,
	      gch_desc(h, z.full)->flags ^ GCHEAP_SPANF_COLOUR, 8);
	BREAK(&z, h->colour, !h->colour, 8);
	/* V9 */
	BREAK(&z, s->qnext, GCH_QEND, 9);
	BREAK(&z, h->qhead, 1, 9);
	BREAK(&z, h->qlen, 1, 9);
	sim_mark_phase(z.s);
	BREAK(&z, s->mark[0], 1, 9);
	BREAK(&z, gch_scanned(h, z.full)[0], 1, 9);
	BREAK(&z, gch_slot(h, z.partial)->mark[0], 0x80, 9);
	BREAK(&z, *gch_mark(h, z.wide, 7), 1, 9);
	BREAK(&z, gch_scanned(h, z.wide)[3], 2, 9);
	BREAK(&z, gch_scanned(h, z.wide)[4], 2, 9);
	sim_sweep_phase(z.s);
	zoo_close(&z);
}

void gct_verify_links(void)
{
	struct gch_links *l;
	struct gch_link *e;
	u64 a, b, old;
	struct zoo z;

	zoo_open(&z);
	a = z.addr;
	b = gch_slot_addr(&z.s->h, z.large);
	CHECK_EQ(gch_link_set(&z.s->h, SIM_OUTSIDE, false, a, &old), 0);
	CHECK_EQ(gch_link_set(&z.s->h, SIM_OUTSIDE, true, b, &old), 0);
	CHECK_EQ(gch_link_set(&z.s->h, b + 8, true, a, &old), 0);
	l = &z.s->h.links;
	e = &l->pool[2];
	CHECK_EQ(e->key[GCH_LINK_HOLDER], b);
	/* V15 */
	BREAK(&z, l->count, 2, 15);
	BREAK(&z, l->free, 0, 15);
	BREAK(&z, l->free, 1, 15);
	BREAK(&z, l->at, l->cap + 1, 15);
	BREAK(&z, l->noted[0], 1, 15);
	BREAK(&z, e->flags, 0, 15);
	BREAK(&z, e->flags, GCH_LINK_USED | GCH_LINK_ORPHAN, 15);
	BREAK(&z, e->key[GCH_LINK_WORD], e->key[GCH_LINK_WORD] + 8, 15);
	BREAK(&z, e->key[GCH_LINK_WORD], e->key[GCH_LINK_WORD] + 4, 15);
	BREAK(&z, e->key[GCH_LINK_OBJECT], a + 16, 15);
	BREAK(&z, e->key[GCH_LINK_HOLDER], 0, 15);
	BREAK(&z, e->key[GCH_LINK_HOLDER], b + 16, 15);
	BREAK(&z, e->in[GCH_LINK_OBJECT].prev, 3, 15);
	BREAK(&z, e->in[GCH_LINK_OBJECT].next, 3, 15);
	BREAK(&z, e->in[GCH_LINK_HOLDER].next, U32_MAX, 15);
	BREAK(&z, l->pool[0].key[GCH_LINK_HOLDER], b, 15);
	zoo_close(&z);
}

void gct_verify_totals(void)
{
	struct gch_finals *f;
	struct gch_heap *h;
	struct zoo z;
	u32 i, *link;

	zoo_open(&z);
	h = &z.s->h;
	/* V10 */
	BREAK(&z, h->n.heap_bytes, h->n.heap_bytes + GCHEAP_SLOT_SIZE, 10);
	BREAK(&z, h->n.heap_peak, 0, 10);
	BREAK(&z, h->n.meta_bytes, h->n.meta_bytes - 8, 10);
	BREAK(&z, h->n.resident_pages, h->n.resident_pages + 1, 10);
	BREAK(&z, h->cache[z.small]->nspans, 1, 10);
	/* V11 */
	f = &h->finals;
	link = &f->hash[gch_final_bucket(f, z.addr)];
	i = *link - 1;
	BREAK(&z, f->registered, 1, 11);
	BREAK(&z, f->registered, 3, 11);
	BREAK(&z, f->ready, 1, 11);
	BREAK(&z, f->ready_tail, 1, 11);
	BREAK(&z, f->pool[i].addr, f->pool[i].addr + 16, 11);
	BREAK(&z, f->pool[i].state, GCH_FINAL_READY, 11);
	BREAK(&z, f->pool[i].hnext, i + 1, 11);
	BREAK(&z, f->pool[i].hnext, U32_MAX, 11);
	BREAK(&z, f->free, i + 1, 11);
	BREAK(&z, f->free, 0, 11);
	BREAK(&z, *link, 0, 11);
	BREAK(&z, gch_live(h, z.wide)[0], 0, 11);
	BREAK(&z, f->cap, 63, 11);
	BREAK(&z, f->ordered[GCH_ORDER_NONE], 0, 11);
	BREAK(&z, f->pool[i].order, GCH_ORDER_LAST, 11);
	BREAK(&z, f->pool[i].order, GCH_ORDERS, 11);
	/* V12 */
	for (i = 0; i < 2; i++) {
		u8 *flags = &gch_desc(h, i ? z.owned : z.large)->flags;

		BREAK(&z, *flags, *flags | GCHEAP_SPANF_IDLE, 12);
	}
	zoo_close(&z);
}
