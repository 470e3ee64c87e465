// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* See mock.h. One heap at a time has the counters in struct mock: the last one. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mock.h"

#define MOCK_THREADS	64
#define MOCK_HEAP	(256ul << 20)

struct mock_batch {
	uint32_t n;
	uint32_t slot[GCHEAP_BATCH];
};

struct mock_final {
	uint64_t addr, cookie;
	uint32_t order;
	bool ready;
	bool looked;
};

/* What the callback thread is asked, and its answer; @words has room for @max. */
struct mock_question {
	pthread_cond_t asked, answered;
	bool open;
	uint64_t number;
	const uint64_t *objects;
	uint32_t nobjects;
	uint64_t *words;
	uint32_t n, max;
};

#define MOCK_LINKS	16

struct mock_link {
	uint64_t addr, object;
	uint32_t flags;
};

struct mock_heap {
	pthread_mutex_t lock;
	struct mock_question question;
	struct gch_backend *b;
	uint32_t nslots, next_slot;
	struct gcheap_cache_create cache[GCHEAP_MAX_CACHES];
	uint32_t ncaches;
	bool attached[MOCK_THREADS];
	struct mock_batch batch[MOCK_THREADS][GCHEAP_MAX_CACHES];
	struct mock_final final[4096];
	uint32_t nfinals;
	struct mock_link link[MOCK_LINKS];
};

struct mock mock;
static struct mock_heap *mock_heaps[GCH_HEAPS];

static struct mock_heap *mock_of(struct gch_backend *b)
{
	for (int i = 0; i < GCH_HEAPS; i++)
		if (mock_heaps[i] && mock_heaps[i]->b == b)
			return mock_heaps[i];
	abort();
}

static void *mock_map(size_t size, size_t align)
{
	char *p = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : (void *)(((uintptr_t)p + align) & ~(align - 1));
}

/* ---- metadata */

static struct gcheap_span *mock_span(struct mock_heap *m, uint32_t slot)
{
	return (struct gcheap_span *)(m->b->meta + slot / 256 * GCHEAP_META_STRIDE) + slot % 256;
}

static uint64_t *mock_live(struct mock_heap *m, uint32_t slot)
{
	return (uint64_t *)(m->b->meta + slot / 256 * GCHEAP_META_STRIDE + GCHEAP_META_LIVE +
			    slot % 256 * GCHEAP_LIVE_BYTES);
}

static bool mock_bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static struct gcheap_status *mock_status(struct mock_heap *m)
{
	return (struct gcheap_status *)m->b->status;
}

static struct gcheap_tcb *mock_tcb(struct mock_heap *m, uint32_t thread)
{
	return (struct gcheap_tcb *)(m->b->tcb + thread * (size_t)GCHEAP_TCB_SIZE);
}

static uint32_t mock_span_slots(uint32_t cell)
{
	uint32_t slots = (cell * 8 + GCHEAP_SLOT_SIZE - 1) / GCHEAP_SLOT_SIZE;

	return slots < 1 ? 1 : slots > 16 ? 16 : slots;
}

/* Spans do not cross chunks; large objects may. */
static int mock_span_new(struct mock_heap *m, uint32_t cache, uint32_t nslots, uint32_t ncells,
			 uint32_t *slot)
{
	struct gcheap_span *s;

	if (nslots <= 16 && m->next_slot % 256 + nslots > 256)
		m->next_slot += 256 - m->next_slot % 256;
	if (m->next_slot + nslots > m->nslots)
		return -ENOMEM;
	*slot = m->next_slot;
	m->next_slot += nslots;
	s = mock_span(m, *slot);
	s->nslots = nslots;
	s->cache = cache;
	s->ncells = ncells;
	s->cell_granules = m->cache[cache].cell_size / 16;
	s->recip = ncells > 1 || m->cache[cache].cell_size ?
		((1ull << 32) + m->cache[cache].cell_size - 1) / m->cache[cache].cell_size : 0;
	s->flags = GCHEAP_SPANF_ZERO;
	for (uint32_t i = 0; i < nslots; i++)
		mock_span(m, *slot + i)->head = *slot + 1;
	mock_status(m)->heap_bytes += nslots * (uint64_t)GCHEAP_SLOT_SIZE;
	return 0;
}

/* ---- threads' spans */

static void mock_retire(struct mock_heap *m, uint32_t thread, uint32_t cache)
{
	struct mock_batch *b = &m->batch[thread][cache];
	uint64_t pos = mock_tcb(m, thread)->cursor[cache].pos;

	for (uint32_t k = 0; k < b->n; k++) {
		struct gcheap_span *s = mock_span(m, b->slot[k]);
		uint64_t *live = mock_live(m, b->slot[k]);
		uint32_t end = k < pos >> 32 ? s->ncells : k == pos >> 32 ? (uint32_t)pos : 0;

		if (end > s->ncells)
			abort();
		for (uint32_t i = 0; i < end; i++)
			live[i / 64] |= 1ull << i % 64;
		s->nlive = 0;
		for (uint32_t i = 0; i < s->ncells; i++)
			s->nlive += mock_bit(live, i);
		s->flags &= ~GCHEAP_SPANF_ZERO;
		s->state = s->nlive < s->ncells ? GCHEAP_SPAN_PARTIAL : GCHEAP_SPAN_FULL;
	}
	b->n = 0;
	mock_tcb(m, thread)->cursor[cache].pos = 0;
}

static bool mock_partial(struct mock_heap *m, uint32_t cache, uint32_t *slot)
{
	for (uint32_t i = 0; i < m->next_slot; i++) {
		struct gcheap_span *s = mock_span(m, i);

		if (s->head != i + 1 || s->cache != cache || s->state != GCHEAP_SPAN_PARTIAL)
			continue;
		*slot = i;
		return true;
	}
	return false;
}

static int mock_take(struct mock_heap *m, uint32_t cache, uint32_t *slot)
{
	struct gcheap_cache_create *c = &m->cache[cache];
	int err = 0;

	if (!mock_partial(m, cache, slot))
		err = mock_span_new(m, cache, c->span_bytes / GCHEAP_SLOT_SIZE, c->ncells, slot);
	if (!err)
		mock_span(m, *slot)->state = GCHEAP_SPAN_OWNED;
	return err;
}

static bool mock_free(struct mock_heap *m, uint64_t addr)
{
	uint32_t slot = (addr - m->b->base) / GCHEAP_SLOT_SIZE, first, cell;
	struct gcheap_span *s;

	if (addr - m->b->base >= m->b->size || !mock_span(m, slot)->head)
		return false;
	first = mock_span(m, slot)->head - 1;
	s = mock_span(m, first);
	cell = ((addr - m->b->base - first * (uint64_t)GCHEAP_SLOT_SIZE) * s->recip) >> 32;
	if (s->state == GCHEAP_SPAN_OWNED || !mock_bit(mock_live(m, first), cell))
		return false;
	mock_live(m, first)[cell / 64] &= ~(1ull << cell % 64);
	if (s->state == GCHEAP_SPAN_FULL)
		s->state = GCHEAP_SPAN_PARTIAL;
	mock_status(m)->freed_early++;
	return true;
}

/* What is in a span that a thread owns is left to the collector there is not. */
static void mock_drain(struct mock_heap *m, uint32_t thread)
{
	struct gcheap_tcb *t = mock_tcb(m, thread);

	for (; t->free_tail != t->free_head; t->free_tail++)
		if (!mock_free(m, t->free_ring[t->free_tail % GCHEAP_RING]))
			mock.bad_frees++;
}

/* ---- commands */

static int mock_fail(void)
{
	int err = mock.fail_next;

	mock.fail_next = 0;
	return err;
}

static int mock_cache_create(struct mock_heap *m, struct gcheap_cache_create *a)
{
	if (m->ncaches == GCHEAP_MAX_CACHES)
		return -ENOSPC;
	if (!(a->flags & GCHEAP_CACHE_LARGE)) {
		if (!a->cell_size || a->cell_size % 16 || a->cell_size > GCHEAP_CELL_MAX)
			return -EINVAL;
		a->span_bytes = mock_span_slots(a->cell_size) * GCHEAP_SLOT_SIZE;
		a->ncells = a->span_bytes / a->cell_size;
	}
	a->cache = m->ncaches++;
	m->cache[a->cache] = *a;
	return 0;
}

static int mock_attach(struct mock_heap *m, struct gcheap_thread *a)
{
	for (uint32_t i = 0; i < MOCK_THREADS; i++) {
		if (m->attached[i])
			continue;
		m->attached[i] = true;
		a->thread = i;
		mock_tcb(m, i)->thread = i;
		mock_status(m)->threads++;
		return 0;
	}
	return -ENOSPC;
}

static void mock_retire_all(struct mock_heap *m, uint32_t thread)
{
	mock_drain(m, thread);
	for (uint32_t c = 0; c < m->ncaches; c++)
		mock_retire(m, thread, c);
	mock_drain(m, thread);
}

static int mock_detach(struct mock_heap *m, struct gcheap_thread *a)
{
	mock_retire_all(m, a->thread);
	m->attached[a->thread] = false;
	mock_status(m)->threads--;
	return 0;
}

static int mock_spans(struct mock_heap *m, struct gcheap_spans *a)
{
	struct mock_batch *b = &m->batch[a->thread][a->cache];
	int err = mock_fail();

	mock_retire(m, a->thread, a->cache);
	mock_drain(m, a->thread);
	while (!err && b->n < a->want) {
		err = mock_take(m, a->cache, &b->slot[b->n]);
		if (!err)
			a->span[b->n] = b->slot[b->n], b->n++;
	}
	a->got = b->n;
	return b->n ? 0 : err;
}

static int mock_large(struct mock_heap *m, struct gcheap_large *a)
{
	uint32_t slot;
	int err = mock_fail();

	if (!err)
		err = mock_span_new(m, a->cache, (a->bytes + GCHEAP_SLOT_SIZE - 1) /
				    GCHEAP_SLOT_SIZE, 1, &slot);
	if (err)
		return err;
	mock_span(m, slot)->state = GCHEAP_SPAN_LARGE;
	mock_span(m, slot)->bytes = a->bytes;
	mock_live(m, slot)[0] = 1;
	a->addr = m->b->base + (uint64_t)slot * GCHEAP_SLOT_SIZE;
	return 0;
}

static int mock_root_add(struct gcheap_root *a)
{
	static uint32_t id;
	int err = mock_fail();

	if (err || mock.nroots == MOCK_ROOTS)
		return err ? err : -ENOSPC;
	if (a->addr % 8 || a->len % 8 || !a->len)
		return -EINVAL;
	a->id = ++id;
	mock.root[mock.nroots++] = (struct mock_root){ id, a->flags, a->addr, a->len, a->top };
	return 0;
}

static int mock_root_del(struct gcheap_root *a)
{
	for (uint32_t i = 0; i < mock.nroots; i++) {
		if (mock.root[i].id != a->id)
			continue;
		mock.root[i] = mock.root[--mock.nroots];
		return 0;
	}
	return -ENOENT;
}

static void mock_ready(struct mock_heap *m, struct mock_final *f)
{
	if (f->ready)
		return;
	f->ready = true;
	mock_status(m)->finalizers--;
	mock_status(m)->finalizers_ready++;
}

static int mock_finalizer_all(struct mock_heap *m)
{
	int err = mock_fail();

	if (err)
		return err;
	for (uint32_t i = 0; i < m->nfinals; i++)
		mock_ready(m, &m->final[i]);
	return 0;
}

static int mock_finalizer(struct mock_heap *m, struct gcheap_finalizer *a)
{
	struct mock_final *f = m->final;

	if (a->flags == GCHEAP_FINALIZER_ALL)
		return mock_finalizer_all(m);
	while (f < m->final + m->nfinals && f->addr != a->addr)
		f++;
	a->old = f < m->final + m->nfinals ? f->cookie : 0;
	if (a->flags & GCHEAP_FINALIZER_CLEAR) {
		if (!a->old)
			return -ENOENT;
		*f = m->final[--m->nfinals];
		mock_status(m)->finalizers--;
		return 0;
	}
	if (!a->old) {
		m->nfinals++;
		mock_status(m)->finalizers++;
	}
	*f = (struct mock_final){ .addr = a->addr, .cookie = a->cookie, .order = a->flags };
	return 0;
}

static bool mock_is_wanted(const struct mock_final *f, uint32_t flags)
{
	if (flags & GCHEAP_FINALIZERS_LOOK)
		return f->ready && !f->looked;
	return f->ready && (f->looked || !(flags & GCHEAP_FINALIZERS_LOOKED));
}

static int mock_finalizers(struct mock_heap *m, struct gcheap_finalizers *a)
{
	struct gcheap_ready *items = (void *)a->items;

	a->got = 0;
	for (uint32_t i = 0; i < m->nfinals && a->got < a->max;) {
		if (!mock_is_wanted(&m->final[i], a->flags)) {
			i++;
			continue;
		}
		items[a->got++] = (struct gcheap_ready){ m->final[i].addr, m->final[i].cookie };
		if (a->flags & GCHEAP_FINALIZERS_LOOK) {
			m->final[i].looked = true;
			continue;
		}
		m->final[i] = m->final[--m->nfinals];
		mock_status(m)->finalizers_ready--;
	}
	return 0;
}

/* @addr 0: one that is free. */
static struct mock_link *mock_link_at(struct mock_heap *m, uint64_t addr, uint32_t flags)
{
	for (int i = 0; i < MOCK_LINKS; i++)
		if (m->link[i].addr == addr && (!addr || m->link[i].flags == flags))
			return &m->link[i];
	return NULL;
}

static int mock_link(struct mock_heap *m, struct gcheap_link *a)
{
	struct mock_link *l = mock_link_at(m, a->addr, a->flags);
	int err = mock_fail();

	if (err || a->op == GCHEAP_LINK_AWAIT)
		return err;
	if (!a->addr)
		return -EINVAL;
	a->old = l ? l->object : 0;
	if (!l && a->op != GCHEAP_LINK_SET)
		return -ENOENT;
	switch (a->op) {
	case GCHEAP_LINK_SET:
		l = l ? l : mock_link_at(m, 0, 0);
		if (!l)
			return -ENOSPC;
		*l = (struct mock_link){ a->addr, a->object, a->flags };
		break;
	case GCHEAP_LINK_CLEAR:
		*l = (struct mock_link){ 0 };
		break;
	case GCHEAP_LINK_MOVE:
		if (a->to != a->addr && mock_link_at(m, a->to, a->flags))
			return -EEXIST;
		l->addr = a->to;
		break;
	}
	return 0;
}

static int mock_info(struct mock_heap *m, struct gcheap_info *a)
{
	uint32_t slot = (a->addr - m->b->base) / GCHEAP_SLOT_SIZE;
	uint32_t first = mock_span(m, slot)->head - 1;
	struct gcheap_span *s = mock_span(m, first);
	uint32_t cell = (a->addr - m->b->base - first * (uint64_t)GCHEAP_SLOT_SIZE) *
			s->recip >> 32;

	for (uint32_t t = 0; t < MOCK_THREADS; t++) {
		struct mock_batch *b = &m->batch[t][s->cache];
		uint64_t pos = mock_tcb(m, t)->cursor[s->cache].pos;

		for (uint32_t k = 0; k < b->n; k++)
			if (b->slot[k] == first && ((uint64_t)k << 32 | cell) < pos)
				a->state = GCHEAP_INFO_LIVE;
	}
	return a->state ? 0 : -ENOENT;
}

/* ---- questions */

static void mock_tell(struct mock_question *q, const struct gcheap_callback *a)
{
	const uint64_t *words = (const uint64_t *)a->words;

	for (uint32_t i = 0; i < a->n && q->n < q->max; i++)
		q->words[q->n++] = words[i];
	if (a->flags & GCHEAP_CALLBACK_MORE)
		return;
	q->open = false;
	pthread_cond_broadcast(&q->answered);
}

static int mock_callback(struct mock_heap *m, struct gcheap_callback *a)
{
	struct mock_question *q = &m->question;

	if (a->pause && (!q->open || a->pause != q->number))
		return -EAGAIN;
	if (a->pause)
		mock_tell(q, a);
	if (a->flags)
		return 0;
	while (!q->open)
		pthread_cond_wait(&q->asked, &m->lock);
	a->pause = q->number;
	a->nobjects = q->nobjects;
	if (q->nobjects)
		memcpy((void *)a->objects, q->objects, q->nobjects * sizeof(*q->objects));
	return 0;
}

uint32_t mock_ask(const uint64_t *objects, uint32_t n, uint64_t *words, uint32_t max)
{
	struct mock_heap *m = mock_heaps[0];
	struct mock_question *q = &m->question;

	pthread_mutex_lock(&m->lock);
	q->number++;
	q->objects = objects;
	q->nobjects = n;
	q->words = words;
	q->max = max;
	q->n = 0;
	q->open = true;
	pthread_cond_broadcast(&q->asked);
	while (q->open)
		pthread_cond_wait(&q->answered, &m->lock);
	n = q->n;
	pthread_mutex_unlock(&m->lock);
	return n;
}

static int mock_command(struct mock_heap *m, unsigned int command, void *arg)
{
	struct gcheap_hold *hold = arg;
	struct gcheap_flush *flush = arg;
	struct gcheap_param *param = arg;
	struct gcheap_cache_destroy *destroy = arg;

	switch (command) {
	case GCHEAP_IOC_CACHE_CREATE:
		return mock_cache_create(m, arg);
	case GCHEAP_IOC_CACHE_DESTROY:
		mock_retire(m, destroy->thread, destroy->cache);
		return 0;
	case GCHEAP_IOC_THREAD_ATTACH:
		return mock_attach(m, arg);
	case GCHEAP_IOC_THREAD_DETACH:
		return mock_detach(m, arg);
	case GCHEAP_IOC_SPANS:
		return mock_spans(m, arg);
	case GCHEAP_IOC_LARGE:
		return mock_large(m, arg);
	case GCHEAP_IOC_FLUSH:
		if (flush->flags)
			mock_retire_all(m, flush->thread);
		else
			mock_drain(m, flush->thread);
		return 0;
	case GCHEAP_IOC_ROOT_ADD:
		return mock_root_add(arg);
	case GCHEAP_IOC_ROOT_DEL:
		return mock_root_del(arg);
	case GCHEAP_IOC_TLS:
		mock.tls = *(struct gcheap_tls *)arg;
		return 0;
	case GCHEAP_IOC_COLLECT:
		mock_status(m)->cycles++;
		return 0;
	case GCHEAP_IOC_HOLD:
		mock.hold += hold->delta;
		if (mock.hold > mock.hold_max)
			mock.hold_max = mock.hold;
		return 0;
	case GCHEAP_IOC_FINALIZER:
		return mock_finalizer(m, arg);
	case GCHEAP_IOC_FINALIZERS:
		return mock_finalizers(m, arg);
	case GCHEAP_IOC_INFO:
		return mock_info(m, arg);
	case GCHEAP_IOC_LINK:
		return mock_link(m, arg);
	case GCHEAP_IOC_PARAM:
		if (param->param < GCHEAP_PARAM_MAX)
			mock.param[param->param] = param->value;
		return 0;
	case GCHEAP_IOC_VERIFY:
		return 0;
	case GCHEAP_IOC_CALLBACK:
		return mock_callback(m, arg);
	}
	return -ENOTTY;
}

static int mock_call(struct gch_backend *b, unsigned int command, void *arg)
{
	struct mock_heap *m = mock_of(b);
	int err;

	pthread_mutex_lock(&m->lock);
	MOCK_CALLS(command)++;
	err = mock_command(m, command, arg);
	pthread_mutex_unlock(&m->lock);
	return err;
}

/* ---- open and close */

static void mock_locks(struct mock_heap *m)
{
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->question.asked, NULL);
	pthread_cond_init(&m->question.answered, NULL);
}

static int mock_open(struct gch_backend *b, const char *device, struct gcheap_setup *setup)
{
	struct mock_heap *m;
	int i = 0;

	mock.setup = *setup;
	if (mock.fail_open)
		return mock.fail_open;
	if (setup->heap_size && setup->heap_size < GCHEAP_HEAP_MIN)
		return -EINVAL;
	while (mock_heaps[i])
		i++;
	m = mock_map(sizeof(*m), 4096);
	mock_heaps[i] = m;
	mock_locks(m);
	m->b = b;
	b->size = setup->heap_size ? setup->heap_size : MOCK_HEAP;
	m->nslots = b->size / GCHEAP_SLOT_SIZE;
	b->fd = -1;
	b->base = (uintptr_t)mock_map(b->size, GCHEAP_CHUNK_SIZE);
	b->meta_size = b->size / GCHEAP_CHUNK_SIZE * GCHEAP_META_STRIDE;
	b->meta = mock_map(b->meta_size, 4096);
	b->status = mock_map(GCHEAP_STATUS_SIZE, 4096);
	b->tcb_size = MOCK_THREADS * (size_t)GCHEAP_TCB_SIZE;
	b->tcb = mock_map(b->tcb_size, 4096);
	return 0;
}

static void mock_forget(struct gch_backend *b);

static void mock_close(struct gch_backend *b)
{
	mock_forget(b);
	for (int i = 0; i < GCH_HEAPS; i++)
		if (mock_heaps[i] && mock_heaps[i]->b == b)
			mock_heaps[i] = NULL;
}

/* As with the device, the child has none of it. */
static void mock_forget(struct gch_backend *b)
{
	munmap((void *)b->base, b->size);
	munmap((void *)b->meta, b->meta_size);
	munmap((void *)b->status, GCHEAP_STATUS_SIZE);
	munmap(b->tcb, b->tcb_size);
}

/* Its memory is private, and so the child's own as it is. */
static int mock_fork(struct gch_backend *b)
{
	return mock.fail_fork ? mock.fail_fork : dup(0);
}

static void mock_forked(struct gch_backend *b, int fd)
{
	mock.forked++;
	close(fd);
}

static int mock_await(struct gch_backend *b)
{
	return mock.fail_await;
}

/* Nobody is attached, nor waits. */
static int mock_adopt(struct gch_backend *b, int fd)
{
	struct mock_heap *m = mock_of(b);

	close(fd);
	mock_locks(m);
	for (uint32_t i = 0; i < MOCK_THREADS; i++)
		if (m->attached[i])
			mock_detach(m, &(struct gcheap_thread){ .thread = i });
	return 0;
}

const struct gch_backend_ops mock_ops = {
	.open = mock_open,
	.close = mock_close,
	.fork = mock_fork,
	.forked = mock_forked,
	.adopt = mock_adopt,
	.await = mock_await,
	.forget = mock_forget,
	.call = mock_call,
};

/* ---- for tests */

void mock_use(void)
{
	gch.ops = &mock_ops;
}

bool mock_kill(const void *object)
{
	struct gcheap *h = gch_heap_at(object);

	return h && mock_free(mock_of(&h->backend), (uintptr_t)object);
}

bool mock_finalize(void *object)
{
	struct gcheap *h = gch_heap_at(object);
	struct mock_heap *m = mock_of(&h->backend);

	for (uint32_t i = 0; i < m->nfinals; i++) {
		if (m->final[i].addr != (uintptr_t)object)
			continue;
		mock_ready(m, &m->final[i]);
		return true;
	}
	return false;
}

int mock_order(const void *object)
{
	struct mock_heap *m = mock_of(&gch_heap_at(object)->backend);

	for (uint32_t i = 0; i < m->nfinals; i++)
		if (m->final[i].addr == (uintptr_t)object)
			return m->final[i].order;
	return -1;
}

/* Is this word of memory looked at? */
bool mock_is_root(const void *p)
{
	uintptr_t at = (uintptr_t)p;

	for (uint32_t i = 0; i < mock.nroots; i++) {
		struct mock_root *r = &mock.root[i];
		uint64_t end = r->addr + r->len;

		if (r->flags & GCHEAP_ROOT_TOP)
			end = *(uint64_t *)r->top;
		if (at >= r->addr && at + 8 <= end)
			return true;
	}
	return false;
}
