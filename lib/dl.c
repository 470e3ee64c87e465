// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Data segments and thread-local storage of the program and its shared objects
 * are roots. The loader counts what it adds and removes; the counts are looked at
 * before every call that may start a collection, and what has changed is told
 * before it. What dlopen() runs may store a pointer into data that nobody has
 * registered yet without making such a call: so collections are held meanwhile.
 */
#include <dlfcn.h>
#include <link.h>

#include "gch.h"

typedef ElfW(Phdr) gch_phdr;

/* What a walk over the loaded objects has found. */
struct gch_walk {
	struct gch_vec data;	/* struct gch_root */
	struct gch_vec modules;	/* struct gcheap_tls_module */
	uint64_t number;	/* walks in the order of what they saw */
	uint64_t adds, subs;
	bool failed;		/* no memory */
};

/* ---- the walk */

static void gch_walk_add(struct gch_walk *w, uintptr_t lo, uintptr_t hi)
{
	struct gch_root *r;

	lo = (lo + 7) & ~(uintptr_t)7;
	hi &= ~(uintptr_t)7;
	if (lo >= hi)
		return;
	r = gch_vec_push(&w->data, sizeof(*r));
	if (r)
		*r = (struct gch_root){ .addr = lo, .len = hi - lo };
	else
		w->failed = true;
}

/* Without what the library keeps for itself. */
static void gch_walk_add_program(struct gch_walk *w, uintptr_t lo, uintptr_t hi)
{
	uintptr_t own = (uintptr_t)&gch, end = own + sizeof(gch);

	if (own < lo || end > hi) {
		gch_walk_add(w, lo, hi);
		return;
	}
	gch_walk_add(w, lo, own);
	gch_walk_add(w, end, hi);
}

/* Without what the loader has made read-only, by whole pages. */
static void gch_walk_segment(struct gch_walk *w, uintptr_t lo, uintptr_t hi,
			     uintptr_t relro, uintptr_t relro_end)
{
	relro_end &= ~(uintptr_t)4095;
	if (relro < lo || relro >= relro_end || relro_end > hi) {
		gch_walk_add_program(w, lo, hi);
		return;
	}
	gch_walk_add_program(w, lo, relro);
	gch_walk_add_program(w, relro_end, hi);
}

static void gch_walk_data(struct gch_walk *w, const struct dl_phdr_info *info)
{
	uintptr_t relro = 0, relro_end = 0;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const gch_phdr *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_GNU_RELRO)
			continue;
		relro = info->dlpi_addr + p->p_vaddr;
		relro_end = relro + p->p_memsz;
	}
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const gch_phdr *p = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && p->p_flags & PF_W)
			gch_walk_segment(w, lo, lo + p->p_memsz, relro, relro_end);
	}
}

static void gch_walk_tls(struct gch_walk *w, const struct dl_phdr_info *info)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const gch_phdr *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_TLS && info->dlpi_tls_modid &&
		    !gch_tls_note(&w->modules, info->dlpi_tls_modid, p->p_memsz,
				  info->dlpi_tls_data))
			w->failed = true;
	}
}

static int gch_walk_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct gch_walk *w = arg;

	/* Under the loader's lock. */
	if (!w->number)
		w->number = ++gch.dl.walks;
	w->adds = info->dlpi_adds;
	w->subs = info->dlpi_subs;
	gch_walk_data(w, info);
	gch_walk_tls(w, info);
	return w->failed;
}

/* ---- telling the heaps */

static struct gch_root *gch_data_root(struct gcheap *h, const struct gch_root *r)
{
	struct gch_root *known = h->data.items;

	for (size_t i = 0; i < h->data.n; i++)
		if (known[i].addr == r->addr && known[i].len == r->len)
			return &known[i];
	return NULL;
}

static int gch_data_add(struct gcheap *h, const struct gch_root *r)
{
	struct gch_root *known = gch_data_root(h, r);
	int err;

	if (known) {
		known->stamp = gch.dl.stamp;
		return 0;
	}
	known = gch_vec_push(&h->data, sizeof(*known));
	if (!known)
		return -ENOMEM;
	*known = *r;
	known->stamp = gch.dl.stamp;
	err = gch_root_register(h, known, 0, 0);
	if (err)
		h->data.n--;
	return err;
}

static void gch_data_del_old(struct gcheap *h)
{
	struct gch_root *known = h->data.items;

	for (size_t i = h->data.n; i-- > 0;) {
		if (known[i].stamp == gch.dl.stamp)
			continue;
		gch_root_unregister(h, known[i].id);
		gch_vec_drop(&h->data, sizeof(*known), i);
	}
}

static int gch_tell_heap(struct gcheap *h, const struct gch_walk *w)
{
	const struct gch_root *r = w->data.items;
	int err = 0;

	if (h->flags & GCHEAP_OPT_PRECISE_ONLY || gch_heap_there(h))
		return 0;
	err = gch_tls_tell(h, &w->modules);
	if (err || h->flags & GCHEAP_OPT_NO_DATA)
		return err;
	for (size_t i = 0; i < w->data.n && !err; i++)
		err = gch_data_add(h, &r[i]);
	if (!err)
		gch_data_del_old(h);
	return err;
}

static int gch_tell_heaps(const struct gch_walk *w)
{
	int err = 0;

	gch.dl.stamp++;
	for (int i = 0; i < GCH_HEAPS && !err; i++)
		if (gch.heap[i])
			err = gch_tell_heap(gch.heap[i], w);
	if (err)
		return err;
	gch.dl.applied = w->number;
	WRITE_ONCE(gch.dl.adds, w->adds);
	WRITE_ONCE(gch.dl.subs, w->subs);
	return 0;
}

/* Walks may end in another order than they began: an older one says nothing. */
static int gch_dl_apply_walk(const struct gch_walk *w)
{
	int err = 0;

	pthread_mutex_lock(&gch.lock);
	if (w->number > gch.dl.applied)
		err = gch_tell_heaps(w);
	pthread_mutex_unlock(&gch.lock);
	return err;
}

int gch_dl_apply(void)
{
	struct gch_walk w = { .failed = false };
	int err = -ENOMEM;

	gch_walk(gch_walk_object, &w);
	if (!w.failed)
		err = gch_dl_apply_walk(&w);
	gch_vec_free(&w.data);
	gch_vec_free(&w.modules);
	return err;
}

static int gch_dl_counts(struct dl_phdr_info *info, size_t size, void *arg)
{
	*(bool *)arg = info->dlpi_adds != READ_ONCE(gch.dl.adds) ||
		       info->dlpi_subs != READ_ONCE(gch.dl.subs);
	return 1;
}

/* 0, or -errno: the roots are not known, so nothing may be collected. */
int gch_dl_check(void)
{
	bool changed = false;

	gch_walk(gch_dl_counts, &changed);
	return unlikely(changed) ? gch_dl_apply() : 0;
}

GCH_API int gcheap_dl_refresh(void)
{
	return gch_dl_apply();
}

/* ---- around dlopen() and dlclose(); these nest */

static void gch_dl_hold(struct gcheap *h, int delta)
{
	GCH_ARG(gcheap_hold, arg);

	arg.delta = delta;
	if (!gch_call(h, GCHEAP_IOC_HOLD, &arg))
		h->dl_held += delta;
}

static void gch_dl_begin(void)
{
	pthread_mutex_lock(&gch.dl_lock);
	pthread_mutex_lock(&gch.lock);
	for (int i = 0; i < GCH_HEAPS; i++)
		if (gch.heap[i])
			gch_dl_hold(gch.heap[i], 1);
	pthread_mutex_unlock(&gch.lock);
}

/* A heap that was opened meanwhile is not held. */
static void gch_dl_end(void)
{
	gch_dl_check();
	pthread_mutex_lock(&gch.lock);
	for (int i = 0; i < GCH_HEAPS; i++)
		if (gch.heap[i] && gch.heap[i]->dl_held > 0)
			gch_dl_hold(gch.heap[i], -1);
	pthread_mutex_unlock(&gch.lock);
	pthread_mutex_unlock(&gch.dl_lock);
}

void *gch_dlopen(const char *file, int mode)
{
	void *object;

	gch_setup();
	gch_dl_begin();
	object = gch.real_dlopen(file, mode);
	gch_dl_end();
	return object;
}

/* What goes to another namespace is not seen, but the loader counts it with the others. */
void *gch_dlmopen(Lmid_t space, const char *file, int mode)
{
	void *object;

	gch_setup();
	gch_dl_begin();
	object = gch.real_dlmopen(space, file, mode);
	gch_dl_end();
	return object;
}

int gch_dlclose(void *object)
{
	int err;

	gch_setup();
	gch_dl_begin();
	err = gch.real_dlclose(object);
	gch_dl_end();
	return err;
}

/*
 * The C library's own. It comes before this library where only the program's libraries need this
 * one, as guile's does: then none of the names here are found first.
 */
void *gch_next(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	return fn ? fn : dlsym(RTLD_DEFAULT, name);
}

void gch_dl_setup(void)
{
	gch.real_dlopen = gch_next("dlopen");
	gch.real_dlmopen = gch_next("dlmopen");
	gch.real_dlclose = gch_next("dlclose");
}
