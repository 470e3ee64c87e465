// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Caches: the heap's own, one a size class, made when first needed; the program's. */
#include "fast.h"

#define GCH_BATCH_BYTES	(128u << 10)	/* a batch is no larger, unless it is one span */
#define GCH_RUN_BYTES	8192u		/* nor is a run */

/* ---- making one */

static uint32_t gch_at_least_one(uint32_t n, uint32_t most)
{
	return n < 1 ? 1 : n > most ? most : n;
}

static struct gcheap_cache *gch_cache_make(struct gcheap *h, struct gcheap_cache_create *arg)
{
	struct gcheap_cache *c;

	if (gch_fail(gch_call(h, GCHEAP_IOC_CACHE_CREATE, arg)))
		return NULL;
	c = &h->cache[arg->cache];
	*c = (struct gcheap_cache){
		.heap = h,
		.id = arg->cache,
		.offset = offsetof(struct gcheap_tcb, cursor) +
			  arg->cache * sizeof(struct gcheap_cursor),
		.kind = arg->layout == GCHEAP_NOSCAN ? GCH_NOSCAN : GCH_SCAN,
		.any_size = arg->flags & GCHEAP_CACHE_LARGE,
		.movable = arg->flags & GCHEAP_CACHE_MOVABLE,
		.cell = arg->cell_size,
	};
	if (c->any_size)
		return c;
	c->batch = gch_at_least_one(GCH_BATCH_BYTES / (arg->span_bytes ? arg->span_bytes : 1),
				    GCHEAP_BATCH);
	c->max_run = gch_at_least_one(GCH_RUN_BYTES / c->cell, UINT16_MAX);
	return c;
}

/* ---- the heap's own */

static struct gcheap_cache *gch_cache_of_kind(struct gcheap *h, enum gch_kind kind,
					      uint32_t cell)
{
	GCH_ARG(gcheap_cache_create, arg);
	struct gcheap_cache *c;

	arg.layout = kind == GCH_NOSCAN ? GCHEAP_NOSCAN : GCHEAP_CONSERVATIVE;
	arg.flags = cell ? 0 : GCHEAP_CACHE_LARGE;
	arg.cell_size = cell;
	c = gch_cache_make(h, &arg);
	if (c) {
		c->slack = 1;
		c->by_size = true;
	}
	return c;
}

/*
 * Of objects that only code of the program's can search: lib/bdw answers for them (callback.c).
 * @cell: 0: of any size
 */
struct gcheap_cache *gch_cache_asked(struct gcheap *h, uint32_t cell)
{
	GCH_ARG(gcheap_cache_create, arg);
	struct gcheap_cache *c;

	arg.layout = GCHEAP_ASK;
	arg.flags = cell ? 0 : GCHEAP_CACHE_LARGE;
	arg.cell_size = cell;
	pthread_mutex_lock(&gch.lock);
	c = gch_cache_make(h, &arg);
	pthread_mutex_unlock(&gch.lock);
	return c;
}

/* Threads that find the cursor's place from now on have an empty cursor there. */
static void gch_publish(struct gcheap *h, enum gch_kind kind, int class,
			struct gcheap_cache *c)
{
	WRITE_ONCE(h->big[kind][class], c->offset);
	for (int i = 0; i < GCH_SMALL_SLOTS; i++)
		if (gch_class((i + 1) * GCHEAP_GRANULE) == class)
			WRITE_ONCE(h->small[kind][i], c->offset);
}

static struct gcheap_cache *gch_make_class(struct gcheap *h, enum gch_kind kind, int class)
{
	struct gcheap_cache **place = &h->by_class[kind][class];
	struct gcheap_cache *c;

	pthread_mutex_lock(&gch.lock);
	c = *place;
	if (!c) {
		c = gch_cache_of_kind(h, kind, gch_class_cell(class));
		if (c) {
			__atomic_store_n(place, c, __ATOMIC_RELEASE);
			gch_publish(h, kind, class, c);
		}
	}
	pthread_mutex_unlock(&gch.lock);
	return c;
}

/* NULL with errno. */
struct gcheap_cache *gch_cache_by_class(struct gcheap *h, enum gch_kind kind, int class)
{
	struct gcheap_cache *c = __atomic_load_n(&h->by_class[kind][class], __ATOMIC_ACQUIRE);

	if (likely(c))
		return c;
	return gch_fail(gch_heap_get(&h)) ? NULL : gch_make_class(h, kind, class);
}

static struct gcheap_cache *gch_make_large(struct gcheap *h, enum gch_kind kind)
{
	struct gcheap_cache *c;

	pthread_mutex_lock(&gch.lock);
	c = h->by_large[kind];
	if (!c)
		c = gch_cache_of_kind(h, kind, 0);
	__atomic_store_n(&h->by_large[kind], c, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&gch.lock);
	return c;
}

struct gcheap_cache *gch_cache_by_large(struct gcheap *h, enum gch_kind kind)
{
	struct gcheap_cache *c = __atomic_load_n(&h->by_large[kind], __ATOMIC_ACQUIRE);

	if (likely(c))
		return c;
	return gch_fail(gch_heap_get(&h)) ? NULL : gch_make_large(h, kind);
}

/* ---- the program's */

static int gch_check_layout(const struct gcheap_layout *l)
{
	for (size_t i = 0; i < sizeof(l->reserved) / sizeof(l->reserved[0]); i++)
		if (l->reserved[i])
			return -EINVAL;
	return 0;
}

static void gch_fill_layout(struct gcheap_cache_create *arg, const struct gcheap_layout *l)
{
	arg->layout = GCHEAP_TYPED;
	arg->fixed_words = l->fixed_words;
	arg->elem_words = l->elem_words;
	arg->length_word = l->elem_words ? l->length_word : GCHEAP_NO_LENGTH;
	arg->tag_bits = l->tag_bits;
	arg->fixed_map = (uintptr_t)l->fixed_map;
	arg->fixed_weak = (uintptr_t)l->fixed_weak;
	arg->elem_map = (uintptr_t)l->elem_map;
	arg->elem_weak = (uintptr_t)l->elem_weak;
}

/* A word that is no pointer, whatever is behind the room; and zero at first. */
static bool gch_can_have_identity(size_t size, const struct gcheap_layout *l)
{
	return size && l && l->fixed_words * sizeof(uint64_t) <= size &&
	       !(l->elem_words && l->length_word == GCHEAP_FILL);
}

static uint32_t gch_slack_of(const struct gcheap_layout *layout, uint32_t flags)
{
	if (flags & GCHEAP_CACHE_IDENTITY)
		return sizeof(uint64_t);
	return !layout && !(flags & GCHEAP_CACHE_EXACT);
}

static int gch_fill_create(struct gcheap_cache_create *arg, size_t size,
			   const struct gcheap_layout *layout, uint32_t flags, uint32_t slack)
{
	if (flags & ~(GCHEAP_CACHE_NOSCAN | GCHEAP_CACHE_EXACT | GCHEAP_CACHE_EPHEMERON |
		      GCHEAP_CACHE_MOVABLE | GCHEAP_CACHE_IDENTITY) ||
	    (flags & (layout ? GCHEAP_CACHE_NOSCAN : GCHEAP_CACHE_EPHEMERON)) ||
	    (flags & GCHEAP_CACHE_IDENTITY && !gch_can_have_identity(size, layout)) ||
	    size > GCHEAP_CELL_MAX - slack)
		return -EINVAL;
	if (size)
		arg->cell_size = (size + slack + GCHEAP_GRANULE - 1) & ~(GCHEAP_GRANULE - 1);
	else
		arg->flags |= GCHEAP_CACHE_LARGE;
	arg->flags |= flags & GCHEAP_CACHE_MOVABLE;
	if (!layout) {
		arg->layout = flags & GCHEAP_CACHE_NOSCAN ? GCHEAP_NOSCAN : GCHEAP_CONSERVATIVE;
		return 0;
	}
	if (!(flags & GCHEAP_CACHE_EXACT))
		arg->flags |= GCHEAP_CACHE_PAST_END;
	arg->flags |= flags & GCHEAP_CACHE_EPHEMERON;
	gch_fill_layout(arg, layout);
	return gch_check_layout(layout);
}

GCH_API struct gcheap_cache *gcheap_heap_cache_create(struct gcheap *h, size_t size,
						      const struct gcheap_layout *layout,
						      uint32_t flags)
{
	uint32_t slack = gch_slack_of(layout, flags);
	GCH_ARG(gcheap_cache_create, arg);
	struct gcheap_cache *c;

	if (gch_fail(gch_heap_get(&h)) ||
	    gch_fail(gch_fill_create(&arg, size, layout, flags, slack)))
		return NULL;
	pthread_mutex_lock(&gch.lock);
	c = gch_cache_make(h, &arg);
	if (c) {
		c->slack = slack;
		c->identity = flags & GCHEAP_CACHE_IDENTITY;
	}
	pthread_mutex_unlock(&gch.lock);
	return c;
}

GCH_API struct gcheap_cache *gcheap_cache_create(size_t size,
						 const struct gcheap_layout *layout,
						 uint32_t flags)
{
	return gcheap_heap_cache_create(NULL, size, layout, flags);
}

GCH_API void *gcheap_cache_alloc(struct gcheap_cache *c)
{
	void *p = gch_bump(gch_cursor_at(gch_tcbs[c->heap->index], c->offset));

	if (likely(p))
		return p;
	if (c->any_size) {
		errno = EINVAL;
		return NULL;
	}
	return gch_cache_slow(c);
}

GCH_API void *gcheap_cache_alloc_bytes(struct gcheap_cache *c, size_t bytes)
{
	if (c->any_size)
		return gch_large(c, bytes);
	errno = EINVAL;
	return NULL;
}

GCH_API size_t gcheap_cache_object_size(const struct gcheap_cache *c)
{
	return c->any_size ? 0 : c->cell - c->slack;
}

static void gch_forget_cursor(struct gch_local *l, struct gcheap_cache *c)
{
	l->tcb->cursor[c->id] = (struct gcheap_cursor){ 0 };
	l->place[c->id] = (struct gch_place){ 0 };
}

/* The kernel takes the caller's spans of the cache back in any case. */
GCH_API int gcheap_cache_destroy(struct gcheap_cache *c)
{
	GCH_ARG(gcheap_cache_destroy, arg);
	struct gch_local *l = gch_local(c->heap);
	int err;

	if (!l)
		return -errno;
	arg.cache = c->id;
	arg.thread = l->id;
	err = gch_call(c->heap, GCHEAP_IOC_CACHE_DESTROY, &arg);
	if (!err || err == -EBUSY)
		gch_forget_cursor(l, c);
	return err;
}
