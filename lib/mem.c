// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Memory for the library itself: straight from mmap(), because malloc() may be
 * the program's, and that may allocate from the heap.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gch.h"

#define GCH_VEC_MIN	4096u
#define GCH_SLAB_STEP	(64u << 10)

void *gch_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void gch_unmap(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

static bool gch_vec_grow(struct gch_vec *v)
{
	size_t bytes = v->bytes ? v->bytes * 2 : GCH_VEC_MIN;
	void *p;

	if (v->bytes)
		p = mremap(v->items, v->bytes, bytes, MREMAP_MAYMOVE);
	else
		p = gch_map(bytes);
	if (!p || p == MAP_FAILED)
		return false;
	v->items = p;
	v->bytes = bytes;
	return true;
}

/* A new last item, zero; NULL without memory. */
void *gch_vec_push(struct gch_vec *v, size_t item)
{
	if ((v->n + 1) * item > v->bytes && !gch_vec_grow(v))
		return NULL;
	return memset((char *)v->items + v->n++ * item, 0, item);
}

/* The last item takes the place of item @i. */
void gch_vec_drop(struct gch_vec *v, size_t item, size_t i)
{
	char *items = v->items;

	v->n--;
	if (i < v->n)
		memcpy(items + i * item, items + v->n * item, item);
}

void gch_vec_free(struct gch_vec *v)
{
	gch_unmap(v->items, v->bytes);
	*v = (struct gch_vec){ 0 };
}

int gch_slab_reserve(struct gch_slab *s)
{
	char *p = mmap(NULL, s->reserve, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	s->committed = p;
	s->top = p;
	s->base = p;
	return 0;
}

static bool gch_slab_commit(struct gch_slab *s)
{
	if (s->committed + GCH_SLAB_STEP > s->base + s->reserve)
		return false;
	if (mprotect(s->committed, GCH_SLAB_STEP, PROT_READ | PROT_WRITE))
		return false;
	s->committed += GCH_SLAB_STEP;
	return true;
}

static void *gch_slab_extend(struct gch_slab *s)
{
	char *p;

	if (!s->base || (s->top + s->item > s->committed && !gch_slab_commit(s)))
		return NULL;
	p = s->top;
	WRITE_ONCE(s->top, p + s->item);
	return p;
}

/* A record, zero; NULL without memory. */
void *gch_slab_get(struct gch_slab *s)
{
	uint64_t *record;

	pthread_mutex_lock(&s->lock);
	if (s->free) {
		record = (uint64_t *)(s->base + (s->free - 1) * s->item);
		s->free = *record >> 1;
		*record = 0;
	} else {
		record = gch_slab_extend(s);
	}
	pthread_mutex_unlock(&s->lock);
	return record;
}

void gch_slab_put(struct gch_slab *s, void *record)
{
	pthread_mutex_lock(&s->lock);
	memset(record, 0, s->item);
	*(uint64_t *)record = GCH_SLAB_FREE(s->free);
	s->free = ((char *)record - s->base) / s->item + 1;
	pthread_mutex_unlock(&s->lock);
}
