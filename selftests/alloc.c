// SPDX-License-Identifier: GPL-2.0-only
/* Spans and cells: every size, the manual's arithmetic, waste, metadata. */
#include "raw.h"

/* What META says of an address and what the kernel says must be the same. */
static void agree(struct raw *h, char *cell, size_t bytes, unsigned int cache)
{
	const size_t offs[] = { 0, 1, bytes / 2, bytes - 1 };
	const struct gcheap_span *s = NULL, *t;
	struct gcheap_info i;
	long n = raw_cell(h, cell, &s);

	CHECK(n >= 0);
	CHECK_EQ(s->cache, cache);
	CHECK_EQ(s->cell_granules * GCHEAP_GRANULE, bytes);
	CHECK_EQ(((cell - h->base) - (size_t)(s->head - 1) * GCHEAP_SLOT_SIZE) % bytes, 0);
	for (int k = 0; k < 4; k++) {
		CHECK_EQ(raw_cell(h, cell + offs[k], &t), n);
		CHECK(t == s);
		CHECK_EQ(raw_try_info(h, (uintptr_t)cell + offs[k], &i), 0);
		CHECK_EQ(i.base, (uintptr_t)cell);
		CHECK_EQ(i.bytes, bytes);
		CHECK_EQ(i.cache, cache);
	}
}

static unsigned int make(struct raw *h, unsigned int bytes, struct gcheap_cache_create *c)
{
	*c = raw_cache_arg(GCHEAP_NOSCAN, bytes);
	CHECK_EQ(ioctl(h->fd, GCHEAP_IOC_CACHE_CREATE, c), 0);
	return c->cache;
}

static void drop(struct raw *h, unsigned int cache)
{
	struct gcheap_cache_destroy d = {
		.size = sizeof(d), .cache = cache, .thread = raw_thread,
	};

	CHECK_EQ(ioctl(h->fd, GCHEAP_IOC_CACHE_DESTROY, &d), 0);
}

/* All 2,048 cell sizes: whole spans wasting an eighth at most, exact division. */
TEST(geometry_of_every_size)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	struct gcheap_cache_create c;

	for (unsigned int bytes = 16; bytes <= GCHEAP_CELL_MAX; bytes += 16) {
		const struct gcheap_span *s;
		unsigned int cache = make(&h, bytes, &c);

		CHECK_EQ(c.span_bytes % GCHEAP_SLOT_SIZE, 0);
		CHECK(c.span_bytes <= GCHEAP_CHUNK_SIZE);
		CHECK_EQ(c.ncells, c.span_bytes / bytes);
		if (c.span_bytes - c.ncells * bytes > c.span_bytes / 8)
			FAIL("%u bytes: %u of %u wasted", bytes,
			     c.span_bytes - c.ncells * bytes, c.span_bytes);
		/* The reciprocal is exact for every offset in the span. */
		CHECK_EQ(raw_try_spans(&h, cache, 1), 1);
		s = raw_slot(&h, raw_batches[raw_thread][cache].span[0]);
		CHECK_EQ(s->nslots * GCHEAP_SLOT_SIZE, c.span_bytes);
		CHECK_EQ(s->ncells, c.ncells);
		for (uint32_t cell = 0; cell <= c.ncells; cell++) {
			uint64_t first = (uint64_t)cell * bytes, last = first + bytes - 1;

			CHECK_EQ(first * s->recip >> 32, cell);
			if (last < c.span_bytes)
				CHECK_EQ(last * s->recip >> 32, cell);
		}
		drop(&h, cache);
	}
	raw_verify(&h);
}

/* Every size the library might choose: take a whole span and more, fill, check. */
TEST(objects_of_many_sizes)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	struct gcheap_cache_create c;

	for (unsigned int bytes = 16; bytes <= GCHEAP_CELL_MAX;
	     bytes += bytes < 512 ? 16 : (bytes / 8 + 15) & ~15u) {
		unsigned int cache = make(&h, bytes, &c), n = c.ncells + 2;
		unsigned char **p = calloc(n, sizeof(*p));

		for (unsigned int i = 0; i < n; i++) {
			p[i] = raw_take(&h, cache);
			CHECK(!((uintptr_t)p[i] & 15));
			for (unsigned int k = 0; k < bytes; k += 8)
				CHECK(!*(uint64_t *)(p[i] + k));
			memset(p[i], i, bytes);
		}
		for (unsigned int i = 0; i < n; i++) {
			CHECK(p[i][0] == (unsigned char)i && p[i][bytes - 1] == (unsigned char)i);
			if (i < 4 || i > n - 4)
				agree(&h, (char *)p[i], bytes, cache);
		}
		free(p);
	}
	raw_verify(&h);
}

static int by_address(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return (*x > *y) - (*x < *y);
}

/* Nothing is handed out twice, within a thread or between collections. */
TEST(no_cell_twice)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 48);
	enum { N = 20000 };
	char **p = calloc(N, sizeof(*p));

	raw_root(&h, 0, p, N * sizeof(*p), NULL);
	for (int i = 0; i < N; i++) {
		p[i] = raw_take(&h, c);
		if (i % 3333 == 0)
			raw_collect(&h);
	}
	qsort(p, N, sizeof(*p), by_address);
	for (int i = 1; i < N; i++)
		CHECK(p[i] - p[i - 1] >= 48);
	raw_flush(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, N);
	raw_verify(&h);
}

/* After a sweep the dead cells, and only they, come again, clean of old flags. */
TEST(reuse_after_sweep)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 32);
	enum { N = 8192 };
	char **all = calloc(N, sizeof(*all)), **kept = calloc(N / 2, sizeof(*kept));
	uint64_t heap;

	raw_hold(&h);
	raw_root(&h, 0, kept, N / 2 * sizeof(*kept), NULL);
	for (int i = 0; i < N; i++) {
		all[i] = raw_take(&h, c);
		memset(all[i], 0xee, 32);
		if (i & 1)
			kept[i / 2] = all[i];
	}
	raw_flush(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, N / 2);
	CHECK_EQ(raw_status(&h).live_objects, N / 2);
	heap = raw_status(&h).heap_bytes;
	for (int i = 0; i < N / 2; i++) {
		char *p = raw_take(&h, c);
		const uint64_t *w = (void *)p;

		CHECK(!w[0] && !w[1] && !w[2] && !w[3]);
		memset(p, 0x11, 32);
	}
	CHECK(raw_status(&h).heap_bytes <= heap + (256 << 10));
	for (int i = 0; i < N / 2; i++)
		CHECK((unsigned char)kept[i][0] == 0xee && (unsigned char)kept[i][31] == 0xee);
	raw_verify(&h);
}

/* Live bits as the manual says them, once nobody owns the spans. */
TEST(live_bits)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 80);
	enum { N = 1000 };
	char **p = calloc(N, sizeof(*p));
	const struct gcheap_span *s;
	uintptr_t dead[N / 2];

	raw_root(&h, 0, p, N * sizeof(*p), NULL);
	for (int i = 0; i < N; i++)
		p[i] = raw_take(&h, c);
	for (int i = 0; i < N; i += 2) {
		dead[i / 2] = (uintptr_t)p[i];
		p[i] = NULL;
	}
	raw_flush(&h);
	raw_collect(&h);
	for (int i = 0; i < N; i++) {
		char *q = i & 1 ? p[i] : (char *)dead[i / 2];
		long cell = raw_cell(&h, q, &s);

		if (cell < 0) {
			CHECK(!(i & 1));	/* its span is gone */
			continue;
		}
		CHECK(s->state == GCHEAP_SPAN_FULL || s->state == GCHEAP_SPAN_PARTIAL);
		CHECK_EQ(raw_live_bit(&h, s->head - 1, cell), i & 1);
		CHECK_EQ(raw_is_live(&h, (uintptr_t)q), i & 1);
	}
}

/*
 * Metadata, kernel tables included: 3.2 % of the heap from 2 MiB on. Scanned cells of 16 bytes
 * get there later, since their bits alone are 3.1 %.
 */
TEST(metadata_bound)
{
	static const unsigned int sizes[] = { 16, 32, 48, 112, 512, 4096, 32768 };
	double percent, worst = 0;

	for (size_t k = 0; k < 2 * sizeof(sizes) / sizeof(*sizes); k++) {
		struct gcheap_setup arg = raw_setup_arg(GCHEAP_SETUP_PRECISE_ONLY);
		unsigned int c, layout = k % 2 ? GCHEAP_NOSCAN : GCHEAP_CONSERVATIVE;
		struct gcheap_status s;
		struct raw h;

		raw_thread = ~0u;
		memset(raw_batches, 0, sizeof(raw_batches));
		arg.heap_size = 256 << 20;
		h = raw_open_with(arg);
		raw_attach(&h);
		raw_hold(&h);
		c = raw_cache(&h, layout, sizes[k / 2]);
		for (unsigned int mib = 2; mib <= 16; mib *= 2) {
			do {
				*(char *)raw_take(&h, c) = 1;
				s = raw_status(&h);
			} while (s.resident_bytes < mib << 20);
			percent = 100. * s.meta_bytes / s.resident_bytes;
			diag("cells of %5u%s, %2u MiB touched: %.2f %% metadata", sizes[k / 2],
			     k % 2 ? "" : ", scanned", mib, percent);
			if (!(k % 2) && sizes[k / 2] == 16)
				CHECK(percent <= 3.2 + 2.2 / mib);
			else if (percent > worst)
				worst = percent;
		}
		munmap(h.base, h.setup.heap_size);
		close(h.fd);
	}
	CHECK(worst <= 3.2);
}

static void *churn(void *arg)
{
	struct raw *h = arg;

	raw_attach(h);
	for (int i = 0; i < 20000; i++) {
		uint64_t *p = raw_take(h, i & 3);

		CHECK(!p[0] && !p[1]);
		p[0] = raw_thread + 1;
		p[1] = (uintptr_t)p;
		CHECK_EQ(p[0], raw_thread + 1);
		CHECK_EQ(p[1], (uintptr_t)p);
	}
	raw_detach(h);
	return NULL;
}

TEST(threads_at_once)
{
	struct raw h = raw_open(0);
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		raw_cache(&h, i & 1 ? GCHEAP_NOSCAN : GCHEAP_CONSERVATIVE, 16 << i);
	for (int i = 0; i < 4; i++)
		t[i] = spawn(churn, &h);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	raw_collect(&h);
	raw_verify(&h);
	CHECK(raw_status(&h).alloc_bytes >= 4 * 5000 * (16 + 32 + 64 + 128));
}

/* The next cycle comes by itself when as much was allocated as was alive. */
TEST(automatic_collection)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 1024);
	struct gcheap_status s;

	for (int i = 0; i < 64 << 10; i++)	/* 64 MiB */
		*(char *)raw_take(&h, c) = 1;
	s = raw_status(&h);
	diag("%llu cycles, heap peak %llu KiB", (unsigned long long)s.cycles,
	     (unsigned long long)s.heap_peak >> 10);
	CHECK(s.cycles >= 4);
	CHECK(s.heap_peak < 32 << 20);
	CHECK(s.goal_bytes >= 4 << 20);
}

TEST(early_free)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 64);
	uint64_t live;
	char *p;

	raw_hold(&h);
	for (int i = 0; i < 1000; i++)
		raw_free(&h, raw_take(&h, c));
	raw_flush(&h);
	CHECK_EQ(raw_status(&h).freed_early, 1000);
	CHECK_EQ(raw_status(&h).bad_frees, 0);
	/* Not the start of a live object: ignored and counted. */
	p = raw_take(&h, c);
	raw_free(&h, p + 16);
	raw_free(&h, h.base + h.setup.heap_size - 16);
	raw_free(&h, &live);
	raw_free(&h, NULL);
	raw_free(&h, (void *)-1l);
	raw_free(&h, p);
	raw_free(&h, p);
	raw_flush(&h);
	CHECK_EQ(raw_status(&h).freed_early, 1001);
	CHECK(raw_status(&h).bad_frees >= 5);
	CHECK(!raw_is_live(&h, (uintptr_t)p));
	raw_verify(&h);
}

TEST(early_free_of_large)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 0);
	uint64_t before = raw_status(&h).heap_bytes;
	char *p;

	raw_hold(&h);
	for (int i = 0; i < 200; i++) {		/* 200 MiB through a heap of 64 */
		p = raw_try_large(&h, c, 1 << 20);
		CHECK(p);
		memset(p, 1, 1 << 20);
		raw_free(&h, p);
	}
	raw_flush(&h);
	CHECK_EQ(raw_status(&h).freed_early, 200);
	CHECK_EQ(raw_status(&h).heap_bytes, before);
	raw_verify(&h);
}

TEST_MAIN
