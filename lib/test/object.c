// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Objects and addresses: base, size, realloc, early free, caches. */
#include <pthread.h>

#include "../../selftests/tap.h"
#include "mock.h"

TEST(addresses_that_are_no_objects)
{
	char local, *p;

	mock_use();
	p = gcheap_alloc(100);
	CHECK(p);
	CHECK(!gcheap_base(&local));
	CHECK(!gcheap_base(NULL));
	CHECK(!gcheap_size(&local));
	CHECK(!gcheap_base((void *)(gch.heap0.backend.base + gch.heap0.backend.size - 1)));
	CHECK(!gcheap_base(p + 112));		/* next cell, not handed out */
	CHECK_EQ(gcheap_free(&local), -EINVAL);
	CHECK_EQ(gcheap_free(p + 1), -EINVAL);
	CHECK_EQ(gcheap_free(NULL), 0);
	CHECK(!gcheap_realloc(p + 16, 10));
	CHECK_EQ(errno, EINVAL);
	CHECK(gcheap_heap_of(p) == gcheap_default());
	CHECK(!gcheap_heap_of(&local));
}

static char *from_thread;

static void *allocate_one(void *arg)
{
	from_thread = gcheap_alloc(100);
	CHECK(gcheap_base(from_thread + 5) == from_thread);
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	return NULL;
}

TEST(objects_another_thread_has_just_allocated)
{
	pthread_barrier_t b;
	pthread_t t;

	mock_use();
	pthread_barrier_init(&b, NULL, 2);
	CHECK_EQ(pthread_create(&t, NULL, allocate_one, &b), 0);
	pthread_barrier_wait(&b);
	CHECK(gcheap_base(from_thread + 7) == from_thread);
	CHECK(!gcheap_base(from_thread + 112));
	pthread_barrier_wait(&b);
	pthread_join(t, NULL);
	CHECK(gcheap_base(from_thread + 7) == from_thread);
}

static void check_text(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		CHECK_EQ(p[i], (char)(i % 100 + 1));
}

TEST(realloc_keeps_contents_and_clears_the_rest)
{
	size_t had = 0;
	char *p = NULL;

	mock_use();
	for (size_t n = 1; n < 200000; n = n * 5 / 4 + 1) {
		p = gcheap_realloc(p, n);
		CHECK(p && gcheap_size(p) >= n);
		check_text(p, had);
		for (size_t i = had; i < n; i++) {
			CHECK_EQ(p[i], 0);
			p[i] = i % 100 + 1;
		}
		had = n;
	}
	for (; had > 1; had = had * 2 / 3) {
		p = gcheap_realloc(p, had);
		CHECK(p);
		check_text(p, had);
	}
	CHECK(!gcheap_realloc(p, 0));
}

TEST(realloc_of_noscan_stays_noscan)
{
	struct gch_object o;
	char *p;

	mock_use();
	p = gcheap_realloc(gcheap_alloc_noscan(10), 5000);
	CHECK(gch_object_at(p, &o) && o.cache->kind == GCH_NOSCAN);
	p = gcheap_realloc(p, 500000);
	CHECK(gch_object_at(p, &o) && o.cache->kind == GCH_NOSCAN && o.cache->any_size);
}

TEST(realloc_shrunk_then_grown_in_place_is_zero)
{
	char *p, *q;

	mock_use();
	p = gcheap_alloc(100);
	memset(p, 1, 100);
	q = gcheap_realloc(p, 60);
	CHECK(q == p);
	q = gcheap_realloc(p, 100);
	CHECK(q == p);
	for (int i = 60; i < 100; i++)
		CHECK_EQ(p[i], 0);
}

TEST(freed_cells_come_back)
{
	enum { N = 3000 };
	static char *p[N];
	int again = 0;

	mock_use();
	for (int i = 0; i < N; i++)
		p[i] = gcheap_alloc(500);
	CHECK_EQ(gcheap_thread_flush(), 0);
	for (int i = 0; i < N; i++)
		CHECK_EQ(gcheap_free(p[i]), 0);
	CHECK_EQ(gcheap_thread_flush(), 0);
	CHECK_EQ(mock.bad_frees, 0);
	for (int i = 0; i < N; i++) {
		char *q = gcheap_alloc(500);

		for (int k = 0; k < N; k++)
			again += q == p[k];
	}
	CHECK_EQ(again, N);
}

TEST(typed_caches)
{
	static const uint64_t map[1] = { 5 };
	struct gcheap_layout layout = { .fixed_words = 4, .fixed_map = map };
	struct gcheap_cache *c;
	char *p, *q;

	mock_use();
	c = gcheap_cache_create(32, &layout, 0);
	CHECK(c);
	CHECK_EQ(gcheap_cache_object_size(c), 32);
	p = gcheap_cache_alloc(c);
	q = gcheap_cache_alloc(c);
	CHECK(q == p + 32);
	CHECK_EQ(gcheap_size(p), 32);
	CHECK(gcheap_realloc(p, 32) == p);
	CHECK(!gcheap_realloc(p, 33));
	CHECK_EQ(errno, EINVAL);
	CHECK(!gcheap_cache_alloc_bytes(c, 10));
	CHECK_EQ(errno, EINVAL);
}

TEST(identity_hash)
{
	static const uint64_t map[1] = { 1 };
	struct gcheap_layout layout = { .fixed_words = 4, .fixed_map = map };
	uint32_t both = GCHEAP_CACHE_MOVABLE | GCHEAP_CACHE_IDENTITY;
	struct gcheap_cache *moves, *named;
	uint64_t *p, *q, hash;

	mock_use();
	moves = gcheap_cache_create(32, &layout, GCHEAP_CACHE_MOVABLE);
	named = gcheap_cache_create(32, &layout, both);
	CHECK(moves && named);
	CHECK(gcheap_cache_object_size(named) >= 32);
	p = gcheap_cache_alloc(named);
	q = gcheap_cache_alloc(named);
	memset(p, 0xff, gcheap_size(p));
	hash = gcheap_identity_hash(p);
	CHECK(hash && gcheap_identity_hash(q) && gcheap_identity_hash(q) != hash);
	/* Its room is the program's, the word behind it is not. */
	memset(p, 0, gcheap_size(p));
	CHECK_EQ(gcheap_identity_hash((char *)p + 17), hash);
	CHECK(!gcheap_identity_hash(gcheap_cache_alloc(moves)) && errno == EINVAL);
	errno = 0;
	CHECK(!gcheap_identity_hash(&layout) && errno == EINVAL);
	/* Of what does not move. */
	p = gcheap_alloc(10);
	q = gcheap_alloc(10);
	CHECK(gcheap_identity_hash(p) && gcheap_identity_hash(p) == gcheap_identity_hash(p));
	CHECK(gcheap_identity_hash(p) != gcheap_identity_hash(q));

	CHECK(!gcheap_cache_create(24, &layout, both));
	CHECK(!gcheap_cache_create(0, &layout, GCHEAP_CACHE_IDENTITY));
	CHECK(!gcheap_cache_create(32, NULL, GCHEAP_CACHE_IDENTITY));
	layout.elem_words = 1;
	layout.length_word = GCHEAP_FILL;
	CHECK(!gcheap_cache_create(64, &layout, both));
}

TEST(caches_without_layout)
{
	struct gcheap_cache *slack, *exact, *large;

	mock_use();
	slack = gcheap_cache_create(32, NULL, 0);
	exact = gcheap_cache_create(32, NULL, GCHEAP_CACHE_EXACT | GCHEAP_CACHE_NOSCAN);
	large = gcheap_cache_create(0, NULL, 0);
	CHECK(slack && exact && large);
	CHECK_EQ(gcheap_cache_object_size(slack), 47);
	CHECK_EQ(gcheap_cache_object_size(exact), 32);
	CHECK_EQ(gcheap_cache_object_size(large), 0);
	CHECK(!gcheap_cache_alloc(large));
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(gcheap_size(gcheap_cache_alloc_bytes(large, 50)), 50);
	CHECK_EQ(gcheap_cache_destroy(exact), 0);
}

TEST(bad_caches)
{
	struct gcheap_layout bad = { .fixed_words = 1, .reserved = { 1 } };

	mock_use();
	errno = 0;
	CHECK(!gcheap_cache_create(32, &bad, 0) && errno == EINVAL);
	bad.reserved[0] = 0;
	errno = 0;
	CHECK(!gcheap_cache_create(32, &bad, GCHEAP_CACHE_NOSCAN) && errno == EINVAL);
	errno = 0;
	CHECK(!gcheap_cache_create(32768, NULL, 0) && errno == EINVAL);
	errno = 0;
	CHECK(!gcheap_cache_create(32, NULL, 1u << 9) && errno == EINVAL);
	CHECK(gcheap_cache_create(32768, NULL, GCHEAP_CACHE_EXACT));
}

static int finalized;
static void *last_data;

static void finalize(void *object, void *data)
{
	finalized++;
	last_data = data;
	CHECK(gcheap_base(object) == object);
}

TEST(finalizers)
{
	gcheap_finalizer_fn fn = NULL;
	void *data = NULL;
	char *p;

	mock_use();
	p = gcheap_alloc(10);
	CHECK_EQ(gcheap_finalizer_set(p, finalize, &fn), 0);
	CHECK_EQ(gcheap_finalizer_set(p + 1, finalize, &fn), -EINVAL);
	CHECK_EQ(gcheap_finalizer_swap(p, finalize, p, &fn, &data), 0);
	CHECK(fn == finalize && data == &fn);
	CHECK_EQ(gcheap_finalizers_run(), 0);
	CHECK(mock_finalize(p));
	CHECK_EQ(gcheap_finalizers_run(), 1);
	CHECK_EQ(finalized, 1);
	CHECK(last_data == p);
	CHECK_EQ(gcheap_finalizer_set(p, NULL, NULL), 0);
	CHECK_EQ(gcheap_finalizer_set(p, finalize, NULL), 0);
	CHECK_EQ(gcheap_finalizer_set(p, NULL, NULL), 0);
	CHECK(!mock_finalize(p));
}

static void finalize_and_allocate(void *object, void *data)
{
	CHECK_EQ(gcheap_finalizers_run(), 0);
	for (int i = 0; i < 10000; i++)
		CHECK(gcheap_alloc(100));
	finalized++;
}

TEST(finalizers_run_where_objects_are_allocated)
{
	mock_use();
	for (int i = 0; i < 200; i++) {
		void *p = gcheap_alloc(10);

		CHECK_EQ(gcheap_finalizer_set(p, finalize_and_allocate, p), 0);
		CHECK(mock_finalize(p));
	}
	for (int i = 0; i < 10000; i++)
		CHECK(gcheap_alloc(100));
	CHECK_EQ(finalized, 200);
}

/* Records and what they refer to are roots: a place that is not used again is a leak. */
TEST(freed_objects_leave_no_finalizers_behind)
{
	char *top = NULL, *p;

	mock_use();
	for (int i = 0; i < 1000; i++) {
		p = gcheap_alloc(10);
		CHECK_EQ(gcheap_finalizer_set(p, finalize, p), 0);
		if (i % 2)
			CHECK_EQ(gcheap_free(p), 0);
		else
			CHECK_EQ(gcheap_free(gcheap_realloc(p, 1000)), 0);
		if (!i)
			top = gch.finalizers.top;
	}
	CHECK(gch.finalizers.top == top);
	CHECK_EQ(finalized, 0);
}

static void finalize_and_detach(void *object, void *data)
{
	CHECK_EQ(gcheap_thread_detach(), 0);
	finalized++;
}

TEST(a_finalizer_detaches_the_thread)
{
	for (int size = 100; size <= 100000; size += 99900) {
		void *p;

		mock_use();
		p = gcheap_alloc(10);
		CHECK_EQ(gcheap_finalizer_set(p, finalize_and_detach, NULL), 0);
		CHECK(mock_finalize(p));
		finalized = 0;
		for (int i = 0; i < 1000 && !finalized; i++)
			CHECK(gcheap_alloc(size));
		CHECK_EQ(finalized, 1);
	}
}

static void finalize_to_be_cancelled(void *object, void *data)
{
	pthread_testcancel();
	finalized++;
}

static void *cancelled(void *arg)
{
	pthread_cancel(pthread_self());
	CHECK_EQ(gcheap_finalizers_run(), 1);
	pthread_testcancel();
	return NULL;
}

TEST(no_thread_is_cancelled_in_a_finalizer)
{
	void *result, *p;
	pthread_t t;

	mock_use();
	p = gcheap_alloc(10);
	CHECK_EQ(gcheap_finalizer_set(p, finalize_to_be_cancelled, NULL), 0);
	CHECK(mock_finalize(p));
	CHECK_EQ(pthread_create(&t, NULL, cancelled, NULL), 0);
	CHECK_EQ(pthread_join(t, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
	CHECK_EQ(finalized, 1);
	p = gcheap_alloc(10);
	CHECK_EQ(gcheap_finalizer_set(p, finalize, NULL), 0);
	CHECK(mock_finalize(p));
	CHECK_EQ(gcheap_finalizers_run(), 1);
}

TEST(finalizers_on_demand)
{
	void *p;

	mock_use();
	gcheap_init();
	CHECK_EQ(gcheap_finalizers_on_demand(1), 0);
	p = gcheap_alloc(10);
	CHECK_EQ(gcheap_finalizer_set(p, finalize, NULL), 0);
	CHECK(mock_finalize(p));
	for (int i = 0; i < 10000; i++)
		CHECK(gcheap_alloc(100));
	CHECK_EQ(finalized, 0);
	CHECK_EQ(gcheap_finalizers_run(), 1);
}

TEST(finalizer_data_is_a_root)
{
	static const char here;
	bool found = false;
	void *p;

	mock_use();
	p = gcheap_alloc(10);
	CHECK_EQ(gcheap_finalizer_set(p, finalize, (void *)&here), 0);
	for (uint64_t *w = (void *)gch.finalizers.base; w < (uint64_t *)gch.finalizers.top; w++)
		found |= *w == (uintptr_t)&here && mock_is_root(w);
	CHECK(found);
}

TEST(weak_references)
{
	struct gcheap_weak *w;
	void *p;

	mock_use();
	p = gcheap_alloc(10);
	w = gcheap_weak_create(p);
	CHECK(w && gcheap_weak_get(w) == p);
	gcheap_weak_set(w, NULL);
	CHECK(!gcheap_weak_get(w));
	errno = 0;
	CHECK(!gcheap_weak_create(&w) && errno == EINVAL);
}

TEST_MAIN
