// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Heaps: the default one and others, from open to close. */
#include <stdlib.h>
#include <string.h>

#include "gch.h"

#define GCH_STARTS_MAX		(64ul << 20)	/* bytes, of threads not joined */
#define GCH_FINALIZERS_MAX	(1ul << 30)	/* bytes */
#define GCH_PINS_MAX		(1ul << 20)

struct gch_state gch = {
	.once = PTHREAD_ONCE_INIT,
	.once0 = PTHREAD_ONCE_INIT,
	.ops = &gch_backend_dev,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.await_lock = PTHREAD_MUTEX_INITIALIZER,
	.dl_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
	.start_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
	.run_lock = PTHREAD_MUTEX_INITIALIZER,
	.starts = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.item = sizeof(struct gch_start),
		.reserve = GCH_STARTS_MAX,
	},
	.finalizers = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.item = sizeof(struct gch_final),
		.reserve = GCH_FINALIZERS_MAX,
	},
	.pins = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.item = sizeof(struct gch_pin),
		.reserve = GCH_PINS_MAX,
	},
	.pin_lock = PTHREAD_MUTEX_INITIALIZER,
};

/* For functions that say by errno why they failed. */
bool gch_fail(int err)
{
	if (err)
		errno = -err;
	return err;
}

/* ---- once */

static void gch_setup_once(void)
{
	gch_env_switches();
	pthread_key_create(&gch.key, gch_thread_exit);
	gch_dl_setup();
	gch_tls_setup();
	gch_start_setup();
	gch_slab_reserve(&gch.starts);
	gch_slab_reserve(&gch.finalizers);
	gch_slab_reserve(&gch.pins);
	gch_finalizer_setup();
}

void gch_setup(void)
{
	pthread_once(&gch.once, gch_setup_once);
}

/* ---- open */

static int gch_check_options(const struct gcheap_options *o)
{
	if (o->flags & ~(GCHEAP_OPT_PRECISE_ONLY | GCHEAP_OPT_NO_DATA) || o->reserved32)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(o->reserved) / sizeof(o->reserved[0]); i++)
		if (o->reserved[i])
			return -EINVAL;
	return 0;
}

static int gch_backend_open(struct gcheap *h, const struct gcheap_options *o)
{
	GCH_ARG(gcheap_setup, setup);

	setup.abi = GCHEAP_ABI;
	setup.layout = GCHEAP_LAYOUT;
	setup.features = GCHEAP_FEATURES;
	setup.heap_size = o->heap_size;
	setup.limit = o->limit;
	setup.min_heap = o->min_heap;
	setup.growth = o->growth;
	setup.max_threads = o->max_threads;
	if (o->flags & GCHEAP_OPT_PRECISE_ONLY)
		setup.flags |= GCHEAP_SETUP_PRECISE_ONLY;
	h->backend.ops = gch.ops;
	return h->backend.ops->open(&h->backend, o->device, &setup);
}

/*
 * Until then the offsets of the default heap are 0, which is as good as long as all
 * threads have the block that is all zero.
 */
static void gch_no_cursors(struct gcheap *h)
{
	for (int k = 0; k < GCH_KINDS; k++) {
		for (int i = 0; i < GCH_SMALL_SLOTS; i++)
			h->small[k][i] = GCH_NO_CURSOR;
		for (int i = 0; i < GCH_CLASSES; i++)
			h->big[k][i] = GCH_NO_CURSOR;
	}
}

/*
 * Place 0 is the default heap's. From here on the heap takes part in refreshes of
 * the data segments.
 */
static int gch_list(struct gcheap *h)
{
	int err = -ENOSPC;

	pthread_mutex_lock(&gch.lock);
	for (int i = h == &gch.heap0 ? 0 : 1; i < GCH_HEAPS; i++) {
		if (gch.heap[i])
			continue;
		/* Threads read heap0's, which is 0 from the beginning. */
		if (i)
			h->index = i;
		WRITE_ONCE(gch.heap[i], h);
		err = 0;
		break;
	}
	pthread_mutex_unlock(&gch.lock);
	return err;
}

static void gch_unlist(struct gcheap *h)
{
	pthread_mutex_lock(&gch.lock);
	WRITE_ONCE(gch.heap[h->index], NULL);
	gch_locals_drop(h);
	gch_vec_free(&h->roots);
	gch_vec_free(&h->data);
	pthread_mutex_unlock(&gch.lock);
}

/* Memory for a heap; that of one that was closed, if there is some. */
static struct gcheap *gch_heap_take(void)
{
	struct gcheap *h;

	pthread_mutex_lock(&gch.lock);
	h = gch.spare;
	if (h)
		gch.spare = h->next;
	pthread_mutex_unlock(&gch.lock);
	if (!h)
		return gch_map(sizeof(*h));
	memset(h, 0, sizeof(*h));
	return h;
}

/*
 * It stays mapped: gch_heap_at() looks at heaps without a lock, and sees one of no
 * size.
 */
static void gch_heap_put(struct gcheap *h)
{
	pthread_mutex_lock(&gch.lock);
	h->next = gch.spare;
	gch.spare = h;
	pthread_mutex_unlock(&gch.lock);
}

/* Heaps that are in no list any more. */
void gch_heaps_close(struct gcheap *list)
{
	struct gcheap *next;

	for (; list; list = next) {
		next = list->next;
		if (list->backend.fd >= 0)
			list->backend.ops->close(&list->backend);
		WRITE_ONCE(list->backend.size, 0);
		gch_heap_put(list);
	}
}

/* From the environment, for heaps of any kind; gcheap_tune() would wait for heap0. */
static int gch_switch(struct gcheap *h, uint32_t param, uint64_t value)
{
	GCH_ARG(gcheap_param, arg);

	arg.flags = GCHEAP_PARAM_SET;
	arg.param = param;
	arg.value = value;
	return gch_call(h, GCHEAP_IOC_PARAM, &arg);
}

/* What the environment asks for. */
static int gch_switches(struct gcheap *h)
{
	int err = 0;

	if (gch.verify)
		err = gch_switch(h, GCHEAP_PARAM_VERIFY, 1);
	if (!err && gch.concurrent >= 0)
		err = gch_switch(h, GCHEAP_PARAM_CONCURRENT, gch.concurrent);
	if (err || h != &gch.heap0)
		return err;
	if (gch.pause_us)
		err = gch_switch(h, GCHEAP_PARAM_PAUSE, gch.pause_us * 1000);
	if (!err && gch.workers)
		err = gch_switch(h, GCHEAP_PARAM_WORKERS, gch.workers);
	if (!err && gch.soft_limit)
		err = gch_switch(h, GCHEAP_PARAM_SOFT_LIMIT, gch.soft_limit);
	return err;
}

static int gch_first_roots(struct gcheap *h)
{
	int err;

	err = gch_root_slab(h, &gch.finalizers) ?: gch_root_slab(h, &gch.pins);
	if (!err && !(h->flags & GCHEAP_OPT_PRECISE_ONLY))
		err = gch_root_slab(h, &gch.starts);
	if (!err)
		err = gch_dl_apply();
	return err;
}

static int gch_heap_open(struct gcheap *h, const struct gcheap_options *o)
{
	int err;

	gch_setup();
	err = gch_check_options(o);
	if (err)
		return err;
	gch_no_cursors(h);
	h->flags = o->flags;
	h->offheap_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	h->offheap = 0;
	err = gch_backend_open(h, o);
	if (err) {
		h->backend = (struct gch_backend){ .fd = -1 };
		return err;
	}
	err = gch_list(h);
	if (err)
		goto close;
	err = gch_first_roots(h);
	if (!err)
		err = gch_switches(h);
	if (err)
		goto unlist;
	pthread_mutex_lock(&gch.lock);
	h->opened = true;
	pthread_mutex_unlock(&gch.lock);
	return 0;
unlist:
	gch_unlist(h);
close:
	h->backend.ops->close(&h->backend);
	h->backend = (struct gch_backend){ .fd = -1 };
	return err;
}

GCH_API struct gcheap *gcheap_open(const struct gcheap_options *options)
{
	static const struct gcheap_options defaults;
	struct gcheap *h = gch_heap_take();
	int err;

	if (!h)
		return NULL;
	err = gch_heap_open(h, options ? options : &defaults);
	if (!err)
		return h;
	gch_heap_put(h);
	errno = -err;
	return NULL;
}

GCH_API int gcheap_close(struct gcheap *h)
{
	bool running;

	if (!h || h == &gch.heap0)
		return -EINVAL;
	gch_unlist(h);
	if (h->dead)
		h->backend.fd = -1;
	WRITE_ONCE(h->dead, true);
	h->next = NULL;
	/* Finalizers may be running, of this heap too: who runs them closes it then. */
	pthread_mutex_lock(&gch.lock);
	running = pthread_mutex_trylock(&gch.run_lock);
	if (running) {
		h->next = gch.closing;
		gch.closing = h;
	} else {
		pthread_mutex_unlock(&gch.run_lock);
	}
	pthread_mutex_unlock(&gch.lock);
	if (!running)
		gch_heaps_close(h);
	return 0;
}

/* ---- the default heap */

static int gch_init_heap0(void)
{
	struct gcheap_options o = { 0 };
	int err = gch_env_options(&o);

	return err ? err : gch_heap_open(&gch.heap0, &o);
}

/* A forked child may have the heap of a parent that had not come to the end of this. */
static void gch_init_once(void)
{
	int err = gch.heap0.opened ? gch.error : gch_init_heap0();

	if (!err && gch.lend)
		err = gch_lend_start();
	gch.error = err;
	__atomic_store_n(&gch.ready, true, __ATOMIC_RELEASE);
}

GCH_API int gcheap_init(void)
{
	if (unlikely(!__atomic_load_n(&gch.ready, __ATOMIC_ACQUIRE))) {
		gch_setup();
		pthread_once(&gch.once0, gch_init_once);
	}
	return gch.error;
}

GCH_API struct gcheap *gcheap_default(void)
{
	return gch_fail(gcheap_init()) ? NULL : &gch.heap0;
}

/* The heap meant, in a state to be used; 0 or -errno. */
int gch_heap_get(struct gcheap **h)
{
	int err = 0;

	if (!*h)
		*h = &gch.heap0;
	if (*h == &gch.heap0)
		err = gcheap_init();
	return err ? err : gch_heap_there(*h);
}

/* One that has been opened: 0 or -errno. */
int gch_heap_there(struct gcheap *h)
{
	if (unlikely(READ_ONCE(h->awaited)))
		return gch_fork_await(h);
	return READ_ONCE(h->dead) ? -ENXIO : 0;
}

static struct gcheap *gch_heap_if_there(struct gcheap *h)
{
	return unlikely(READ_ONCE(h->awaited)) && gch_fork_await(h) ? NULL : h;
}

struct gcheap *gch_heap_at(const void *p)
{
	uintptr_t at = (uintptr_t)p;

	if (likely(at - gch.heap0.backend.base < gch.heap0.backend.size))
		return gch_heap_if_there(&gch.heap0);
	for (int i = 1; i < GCH_HEAPS; i++) {
		struct gcheap *h = READ_ONCE(gch.heap[i]);

		if (h && at - h->backend.base < h->backend.size)
			return gch_heap_if_there(h);
	}
	return NULL;
}

GCH_API struct gcheap *gcheap_heap_of(const void *p)
{
	return gch_heap_at(p);
}

/* ---- about a heap */

GCH_API int gcheap_fd(struct gcheap *h)
{
	int err = gch_heap_get(&h);

	return err ? err : h->backend.fd;
}

GCH_API int gcheap_map(struct gcheap *h, struct gcheap_map *map)
{
	int err = gch_heap_get(&h);

	if (err)
		return err;
	*map = (struct gcheap_map){
		.heap = (void *)h->backend.base,
		.heap_size = h->backend.size,
		.meta = h->backend.meta,
		.meta_size = h->backend.meta_size,
		.status = h->backend.status,
		.status_size = GCHEAP_STATUS_SIZE,
		.tcb = h->backend.tcb,
		.tcb_size = h->backend.tcb_size,
	};
	return 0;
}

static int gch_param(struct gcheap *h, enum gcheap_tunable what, uint32_t flags,
		     uint64_t *value)
{
	static const uint32_t params[] = {
		[GCHEAP_TUNE_GROWTH] = GCHEAP_PARAM_GROWTH,
		[GCHEAP_TUNE_LIMIT] = GCHEAP_PARAM_LIMIT,
		[GCHEAP_TUNE_MIN_HEAP] = GCHEAP_PARAM_MIN_HEAP,
		[GCHEAP_TUNE_VERIFY] = GCHEAP_PARAM_VERIFY,
		[GCHEAP_TUNE_CONCURRENT] = GCHEAP_PARAM_CONCURRENT,
		[GCHEAP_TUNE_PAUSE] = GCHEAP_PARAM_PAUSE,
		[GCHEAP_TUNE_YOUNG] = GCHEAP_PARAM_YOUNG,
		[GCHEAP_TUNE_CHECK] = GCHEAP_PARAM_CHECK,
		[GCHEAP_TUNE_SOFT_LIMIT] = GCHEAP_PARAM_SOFT_LIMIT,
		[GCHEAP_TUNE_WORKERS] = GCHEAP_PARAM_WORKERS,
		[GCHEAP_TUNE_RELEASE] = GCHEAP_PARAM_RELEASE,
		[GCHEAP_TUNE_MESH] = GCHEAP_PARAM_MESH,
		[GCHEAP_TUNE_EVACUATE] = GCHEAP_PARAM_EVACUATE,
		[GCHEAP_TUNE_COMPACT] = GCHEAP_PARAM_COMPACT,
	};
	GCH_ARG(gcheap_param, arg);
	int err = gch_heap_get(&h);

	if (err)
		return err;
	if ((size_t)what >= sizeof(params) / sizeof(params[0]))
		return -EINVAL;
	arg.flags = flags;
	arg.param = params[what];
	arg.value = *value;
	err = gch_call(h, GCHEAP_IOC_PARAM, &arg);
	*value = arg.value;
	return err;
}

GCH_API int gcheap_tune(struct gcheap *h, enum gcheap_tunable what, uint64_t value)
{
	return gch_param(h, what, GCHEAP_PARAM_SET, &value);
}

GCH_API int gcheap_tuned(struct gcheap *h, enum gcheap_tunable what, uint64_t *value)
{
	*value = 0;
	return gch_param(h, what, 0, value);
}
