// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Objects that are to stay where they are: each has a record in a slab that is an ambiguous
 * root of every heap, which is all that it takes. They are few, and found by looking at all.
 */
#include "gch.h"

static struct gch_pin *gch_pin_find(uintptr_t object)
{
	struct gch_pin *p = (struct gch_pin *)gch.pins.top;

	while (p-- > (struct gch_pin *)gch.pins.base)
		if (p->object == object)
			return p;
	return NULL;
}

GCH_API int gcheap_pin(const void *ptr)
{
	struct gch_object o;
	struct gch_pin *p;

	if (!gch_object_at(ptr, &o))
		return -EINVAL;
	pthread_mutex_lock(&gch.pin_lock);
	p = gch_pin_find(o.base) ?: gch_slab_get(&gch.pins);
	if (p) {
		p->object = o.base;
		p->count++;
	}
	pthread_mutex_unlock(&gch.pin_lock);
	return p ? 0 : -ENOMEM;
}

GCH_API int gcheap_unpin(const void *ptr)
{
	struct gch_object o;
	struct gch_pin *p = NULL;

	if (!gch_object_at(ptr, &o))
		return -EINVAL;
	pthread_mutex_lock(&gch.pin_lock);
	p = gch_pin_find(o.base);
	if (p && !--p->count)
		gch_slab_put(&gch.pins, p);
	pthread_mutex_unlock(&gch.pin_lock);
	return p ? 0 : -ENOENT;
}
