// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* The calls that programs compiled with GC_DEBUG make. */
#include <string.h>

#include "debug.h"

GCH_API size_t GC_debug_header_size = sizeof(struct bdw_debug);

GCH_API size_t GC_get_debug_header_size(void)
{
	return sizeof(struct bdw_debug);
}

/* ---- allocation */

/* Of what is too large anyway the sum may not be small. */
static size_t bdw_with_debug(size_t size)
{
	return size < SIZE_MAX - BDW_DEBUG_BYTES ? size + BDW_DEBUG_BYTES : SIZE_MAX;
}

/* What GC_oom_fn has found instead of an object is handed on as it is. */
static void *bdw_debug_made(const char *call, void *base, size_t size, const char *file,
			    int line)
{
	struct gch_object o;
	void *user;

	if (!base) {
		GC_err_printf("%s(%zu) returning NULL (%s:%d)\n", call, size, file, line);
		return NULL;
	}
	if (!gch_object_start(base, &o) || o.room < bdw_with_debug(size))
		return base;
	user = bdw_debug_mark(&o, size, file, line);
	bdw_debug_list(base);
	return user;
}

GCH_API void *GC_debug_malloc(size_t size, const char *file, int line)
{
	return bdw_debug_made(__func__, GC_malloc(bdw_with_debug(size)), size, file, line);
}

GCH_API void *GC_debug_malloc_atomic(size_t size, const char *file, int line)
{
	return bdw_debug_made(__func__, GC_malloc_atomic(bdw_with_debug(size)), size, file,
			      line);
}

GCH_API void *GC_debug_malloc_uncollectable(size_t size, const char *file, int line)
{
	return bdw_debug_made(__func__, GC_malloc_uncollectable(bdw_with_debug(size)), size,
			      file, line);
}

GCH_API void *GC_debug_malloc_atomic_uncollectable(size_t size, const char *file, int line)
{
	return bdw_debug_made(__func__, GC_malloc_atomic_uncollectable(bdw_with_debug(size)),
			      size, file, line);
}

GCH_API void *GC_debug_malloc_ignore_off_page(size_t size, const char *file, int line)
{
	return bdw_debug_made(__func__, GC_malloc_ignore_off_page(bdw_with_debug(size)), size,
			      file, line);
}

GCH_API void *GC_debug_malloc_atomic_ignore_off_page(size_t size, const char *file, int line)
{
	return bdw_debug_made(__func__, GC_malloc_atomic_ignore_off_page(bdw_with_debug(size)),
			      size, file, line);
}

/* Descriptors of the program's kinds are of the whole, as with bdwgc. */
GCH_API void *GC_debug_generic_or_special_malloc(size_t size, int kind, const char *file,
						 int line)
{
	return bdw_debug_made(__func__, GC_generic_malloc(bdw_with_debug(size), kind), size,
			      file, line);
}

GCH_API void *GC_debug_malloc_replacement(size_t size)
{
	return GC_debug_malloc(size, "unknown", 0);
}

GCH_API char *GC_debug_strndup(const char *s, size_t most, const char *file, int line)
{
	size_t length = strnlen(s, most);

	return bdw_string(GC_debug_malloc_atomic(length + 1, file, line), s, length);
}

GCH_API char *GC_debug_strdup(const char *s, const char *file, int line)
{
	return s ? GC_debug_strndup(s, PTRDIFF_MAX, file, line) : NULL;
}

/* ---- freeing */

/* The kernel keeps it for as long as something refers to it. */
static void bdw_debug_release(const struct gch_object *o)
{
	bdw_debug_poison(o);
	if (READ_ONCE(o->heap->backend.status->finalizers) && !bdw_leak_delays())
		gcheap_finalizer_set((void *)o->base, NULL, NULL);
	bdw_unkeep((void *)o->base);
}

bool bdw_is_debug(const void *base)
{
	struct gch_object o;

	return unlikely(bdw_debug_used()) && bdw_debug_start(base, &o);
}

/* GC_free() of an object's start: true if it is a debug object. */
bool bdw_debug_free_start(void *base)
{
	struct bdw_smash s;
	struct gch_object o;

	if (likely(!bdw_debug_used()) || !bdw_debug_start(base, &o))
		return false;
	/* What looks freed may be another object by now, where headers are not cleared. */
	if (bdw_debug_claim(&o, &s) != BDW_FREED)
		bdw_debug_release(&o);
	else
		bdw_unkeep(base);
	return true;
}

GCH_API void GC_debug_free(void *p)
{
	struct gch_object o;
	struct bdw_smash s;

	if (!p)
		return;
	if (!GC_is_heap_ptr(p))
		bdw_die("Invalid pointer passed to free()", "%p", p);
	if (!bdw_debug_user(p, &o)) {
		GC_err_printf("GC_debug_free called on pointer %p w/o debugging info\n", p);
		if (GC_base(p))
			GC_free(p);
		return;
	}
	switch (bdw_debug_claim(&o, &s)) {
	case BDW_FREED:
		bdw_smash_print("GC_debug_free: found previously deallocated (?) object at",
				&s);
		return;
	case BDW_SMASHED:
		bdw_smash_print("GC_debug_free: found smashed location at", &s);
		break;
	case BDW_INTACT:
		break;
	}
	bdw_debug_release(&o);
}

GCH_API void *GC_debug_realloc(void *p, size_t size, const char *file, int line)
{
	struct gch_object o;
	size_t old;
	void *copy;

	if (!p)
		return GC_debug_malloc(size, file, line);
	if (!size) {
		GC_debug_free(p);
		return NULL;
	}
	if (!GC_base(p))
		bdw_die("Invalid pointer passed to realloc()", "%p", p);
	if (!bdw_debug_user(p, &o)) {
		GC_err_printf("GC_debug_realloc called on pointer %p w/o debugging info\n", p);
		return GC_realloc(p, size);
	}
	copy = GC_debug_generic_or_special_malloc(size, GC_get_kind_and_size((void *)o.base, NULL),
						  file, line);
	if (!copy)
		return NULL;
	old = bdw_debug_size(&o);
	memcpy(copy, p, old < size ? old : size);
	GC_debug_free(p);
	return copy;
}

GCH_API void *GC_debug_realloc_replacement(void *p, size_t size)
{
	return GC_debug_realloc(p, size, "unknown", 0);
}

/* ---- finalizers, which are told the program's address */

struct bdw_final {
	GC_finalization_proc fn;
	void *data;
};

static void bdw_debug_finalize(void *base, void *data)
{
	const struct bdw_final *f = data;

	f->fn((struct bdw_debug *)base + 1, f->data);
}

static struct bdw_final *bdw_debug_final(GC_finalization_proc fn, void *data)
{
	struct bdw_final *f = GC_malloc(sizeof(*f));

	if (f)
		*f = (struct bdw_final){ .fn = fn, .data = data };
	return f;
}

/* One that was not set by a call of these is nobody's to know. */
static void bdw_debug_old(const void *user, GC_finalization_proc was,
			  const struct bdw_final *f, GC_finalization_proc *old_fn,
			  void **old_data)
{
	if (was && was != bdw_debug_finalize) {
		GC_err_printf("Debuggable object at %p had a non-debug finalizer\n", user);
		return;
	}
	if (old_fn)
		*old_fn = was ? f->fn : NULL;
	if (old_data)
		*old_data = was ? f->data : NULL;
}

typedef void bdw_register(void *object, GC_finalization_proc fn, void *data,
			  GC_finalization_proc *old_fn, void **old_data);

static void bdw_debug_register(const char *call, bdw_register *set, void *user,
			       GC_finalization_proc fn, void *data,
			       GC_finalization_proc *old_fn, void **old_data)
{
	void *base = GC_base(user), *was_data = NULL;
	GC_finalization_proc was = NULL;
	struct bdw_final *f = NULL;

	if (bdw_finds_leaks())
		return;
	if (!base) {
		bdw_debug_old(user, NULL, NULL, old_fn, old_data);
		return;
	}
	if (user != (struct bdw_debug *)base + 1)
		GC_err_printf("%s called with non-base-pointer %p\n", call, user);
	if (fn) {
		f = bdw_debug_final(fn, data);
		if (!f)
			return;
	}
	set(base, fn ? bdw_debug_finalize : NULL, f, &was, &was_data);
	bdw_debug_old(user, was, was_data, old_fn, old_data);
}

GCH_API void GC_debug_register_finalizer(void *user, GC_finalization_proc fn, void *data,
					 GC_finalization_proc *old_fn, void **old_data)
{
	bdw_debug_register(__func__, GC_register_finalizer, user, fn, data, old_fn, old_data);
}

GCH_API void GC_debug_register_finalizer_ignore_self(void *user, GC_finalization_proc fn,
						     void *data, GC_finalization_proc *old_fn,
						     void **old_data)
{
	bdw_debug_register(__func__, GC_register_finalizer_ignore_self, user, fn, data, old_fn,
			   old_data);
}

GCH_API void GC_debug_register_finalizer_unreachable(void *user, GC_finalization_proc fn,
						     void *data, GC_finalization_proc *old_fn,
						     void **old_data)
{
	bdw_debug_register(__func__, GC_register_finalizer_unreachable, user, fn, data, old_fn,
			   old_data);
}

GCH_API void GC_debug_register_finalizer_no_order(void *user, GC_finalization_proc fn,
						  void *data, GC_finalization_proc *old_fn,
						  void **old_data)
{
	bdw_debug_register(__func__, GC_register_finalizer_no_order, user, fn, data, old_fn,
			   old_data);
}

/* ---- what there was for collectors that want to hear of writes */

GCH_API void *GC_malloc_stubborn(size_t size)
{
	return GC_malloc(size);
}

GCH_API void *GC_debug_malloc_stubborn(size_t size, const char *file, int line)
{
	return GC_debug_malloc(size, file, line);
}

GCH_API void GC_debug_change_stubborn(const void *p)
{
}

GCH_API void GC_debug_end_stubborn_change(const void *p)
{
	if (!gcheap_base(p))
		bdw_die("GC_debug_end_stubborn_change: bad arg", "%p", p);
}

GCH_API void GC_debug_ptr_store_and_dirty(void *p, const void *q)
{
	*(void **)GC_is_visible(p) = GC_is_valid_displacement((void *)q);
	GC_debug_end_stubborn_change(p);
}

GCH_API void GC_debug_register_displacement(size_t offset)
{
	GC_register_displacement(offset);
	GC_register_displacement(sizeof(struct bdw_debug) + offset);
}
