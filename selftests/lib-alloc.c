// SPDX-License-Identifier: GPL-2.0-only
/* The library's allocator on the real device: sizes, kinds, base and size, free. */
#include "raw.h"
#include <gcheap.h>

static bool zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

TEST(every_size)
{
	CHECK_EQ(gcheap_init(), 0);
	for (size_t n = 0; n <= 33000; n += n < 1100 ? 1 : 97) {
		char *p = gcheap_alloc(n);

		CHECK(p);
		CHECK_EQ((uintptr_t)p % 16, 0);
		CHECK(zero(p, n));
		memset(p, 0xa5, n);
		CHECK(gcheap_size(p) >= n);
		CHECK(gcheap_base(p) == p);
		if (n) {
			CHECK(gcheap_base(p + n - 1) == p);
			CHECK(gcheap_base(p + n / 2) == p);
		}
	}
	CHECK_EQ(gcheap_verify(), 0);
}

/* Above 128 bytes at most an eighth of what an object takes is not its own. */
TEST(waste)
{
	double worst = 0;
	size_t at = 0;

	for (size_t n = 129; n <= 32700; n += 16) {	/* one more than a multiple */
		size_t room = gcheap_size(gcheap_alloc_noscan(n));

		CHECK(room >= n);
		if ((double)(room - n) / room > worst) {
			worst = (double)(room - n) / room;
			at = n;
		}
	}
	diag("at most %.2f %%, at %zu bytes", worst * 100, at);
	CHECK(worst <= 0.125);
}

TEST(large)
{
	for (size_t n = 32769; n < 12 << 20; n = n * 3 / 2) {
		char *p = gcheap_alloc(n);

		CHECK(p);
		CHECK(zero(p, n));
		memset(p, 1, n);
		CHECK(gcheap_size(p) >= n);
		CHECK(gcheap_base(p + n - 1) == p);
	}
	CHECK(!gcheap_alloc(1ull << 60));
	CHECK_EQ(errno, ENOMEM);
	volatile size_t most = SIZE_MAX;

	CHECK(!gcheap_alloc(most));
	CHECK_EQ(errno, ENOMEM);
}

TEST(realloc)
{
	unsigned char *p = NULL;

	for (size_t n = 1; n < 300000; n = n * 5 / 4 + 1) {
		p = gcheap_realloc(p, n);
		CHECK(p);
		for (size_t i = 0; i + 1 < n; i = i * 2 + 1)
			if (p[i])
				CHECK_EQ(p[i], (unsigned char)i);
		for (size_t i = 0; i < n; i++)
			p[i] = i;
	}
	CHECK(!gcheap_realloc(p + 8, 100));
	CHECK_EQ(errno, EINVAL);
	p = gcheap_realloc(p, 10);
	CHECK(p && p[9] == 9);
	CHECK(!gcheap_realloc(p, 0));
}

TEST(realloc_of_large_objects_copies_nothing)
{
	enum { BYTES = 8 << 20 };
	struct gcheap_stats s;
	struct gcheap_cache *c = gcheap_cache_create(0, NULL, 0);
	uint64_t *p, *q;

	/* While finalizers are looked for they would be copied. */
	CHECK_EQ(gcheap_hold(), 0);
	p = gcheap_alloc(BYTES);
	q = gcheap_alloc(BYTES);
	CHECK(p && q);
	for (int i = 0; i < BYTES / 8; i++)
		p[i] = i;
	/* One of them has the other after it. */
	q = gcheap_realloc(q, 3 * BYTES);
	p = gcheap_realloc(p, 2 * BYTES);
	CHECK(p && q);
	for (int i = 0; i < BYTES / 8; i++)
		CHECK_EQ(p[i], (uint64_t)i);
	CHECK(zero((char *)p + BYTES, BYTES));
	CHECK_EQ(gcheap_stats(&s), 0);
	CHECK_EQ(s.resized, 2);
	CHECK(s.pages_remapped == BYTES / 4096 || !s.pages_remapped);
	/* What was cut off does not come back. */
	CHECK(gcheap_realloc(p, 50001) == p);
	p = gcheap_realloc(p, 200000);
	CHECK(zero((char *)p + 50001, 200000 - 50001));
	for (int i = 0; i < 50000 / 8; i++)
		CHECK_EQ(p[i], (uint64_t)i);
	/* Those of caches, too, whatever their size. */
	CHECK(c);
	p = gcheap_cache_alloc_bytes(c, 1000);
	CHECK(p);
	p[124] = 1;
	p = gcheap_realloc(p, 100000);
	CHECK(p && p[124] == 1 && !p[125]);
}

TEST(free)
{
	struct gcheap_stats s;
	char *p;

	gcheap_hold();
	for (int i = 0; i < 10000; i++) {
		p = gcheap_alloc(100);
		CHECK(p && zero(p, 100));
		memset(p, 1, 100);
		CHECK_EQ(gcheap_free(p), 0);
	}
	CHECK_EQ(gcheap_thread_flush(), 0);
	CHECK_EQ(gcheap_stats(&s), 0);
	CHECK_EQ(s.freed_early, 10000);
	CHECK_EQ(s.bad_frees, 0);
	CHECK(s.heap_peak < 4 << 20);
	CHECK_EQ(gcheap_free(NULL), 0);
	CHECK_EQ(gcheap_free(&s), -EINVAL);
	CHECK_EQ(gcheap_verify(), 0);
}

TEST(base_and_size_of_nothing)
{
	int local;

	CHECK_EQ(gcheap_init(), 0);
	CHECK(!gcheap_base(&local));
	CHECK(!gcheap_base(NULL));
	CHECK(!gcheap_base((void *)-1l));
	CHECK_EQ(gcheap_size(&local), 0);
	CHECK(gcheap_heap_of(gcheap_alloc(1)) == gcheap_default());
	CHECK(!gcheap_heap_of(&local));
}

static void *churn(void *arg)
{
	uint64_t seed = (uintptr_t)arg, *keep[64] = { NULL };

	for (int i = 0; i < 100000; i++) {
		size_t n = 16 + rnd(&seed) % 400;
		int k = rnd(&seed) % 64;
		uint64_t *p = rnd(&seed) & 1 ? gcheap_alloc(n) : gcheap_alloc_noscan(n);

		CHECK(p);
		if (keep[k])
			CHECK_EQ(keep[k][0], (uintptr_t)keep[k] ^ keep[k][1]);
		p[1] = rnd(&seed);
		p[0] = (uintptr_t)p ^ p[1];
		keep[k] = p;
	}
	return NULL;
}

TEST(threads)
{
	struct gcheap_stats s;
	pthread_t t[4];

	for (long i = 0; i < 4; i++)
		t[i] = spawn(churn, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(gcheap_verify(), 0);
	gcheap_stats(&s);
	diag("%llu cycles, peak %llu KiB", (unsigned long long)s.cycles,
	     (unsigned long long)s.heap_peak >> 10);
	CHECK(s.cycles >= 2);
}

TEST(limit)
{
	struct gcheap_options o = { .flags = GCHEAP_OPT_NO_DATA, .limit = 8 << 20 };
	struct gcheap *h = gcheap_open(&o);
	void **list = NULL, **p;
	int n = 0;

	CHECK(h);
	while ((p = gcheap_heap_alloc(h, 1000))) {
		p[0] = list;
		list = p;
		CHECK(++n < 9000);
	}
	CHECK_EQ(errno, ENOMEM);
	for (p = list; p; p = *p)
		n--;
	CHECK_EQ(n, 0);
	list = NULL;
	CHECK_EQ(gcheap_heap_collect(h), 0);
	CHECK(gcheap_heap_alloc(h, 1000));
	CHECK_EQ(gcheap_close(h), 0);
}

/* Mixed sizes, of which one in 16 is left: they take less memory, and go on. */
TEST(compact)
{
	enum { N = 100000 };
	static uint64_t *kept[N / 16];
	struct gcheap_stats before, s;
	uint64_t seed = 1, on = 0;

	CHECK_EQ(gcheap_hold(), 0);
	for (int i = 0; i < N; i++) {
		size_t n = 16 + rnd(&seed) % 500;
		uint64_t *p = memset(gcheap_alloc(n), i & 127, n);

		p[0] = n;
		if (!(rnd(&seed) % 16) && on < N / 16)
			kept[on++] = p;
	}
	CHECK_EQ(gcheap_thread_flush(), 0);
	CHECK_EQ(gcheap_collect(), 0);
	CHECK_EQ(gcheap_stats(&before), 0);
	CHECK_EQ(gcheap_compact(), 0);
	CHECK_EQ(gcheap_stats(&s), 0);
	diag("%" PRIu64 " KiB live, %" PRIu64 " KiB resident, then %" PRIu64, s.live_bytes >> 10,
	     before.resident_bytes >> 10, s.resident_bytes >> 10);
	CHECK(s.pages_meshed > 0);
	CHECK(s.resident_bytes <= s.live_bytes * 5 / 2);
	for (size_t i = 0; i < on; i++) {
		const char *text = (const char *)kept[i];

		for (size_t n = 8; n < kept[i][0]; n++)
			CHECK_EQ(text[n], text[8]);
	}
	CHECK_EQ(gcheap_tune(NULL, GCHEAP_TUNE_MESH, 2), -EINVAL);
	CHECK_EQ(gcheap_tune(NULL, GCHEAP_TUNE_MESH, 0), 0);
	CHECK_EQ(gcheap_tuned(NULL, GCHEAP_TUNE_MESH, &on), 0);
	CHECK_EQ(on, 0);
	CHECK_EQ(gcheap_verify(), 0);
}

/* Objects move, and their hash values with them. */
TEST(identity_hash_stays)
{
	enum { N = 4000, OF = 16 };
	static const uint64_t map = 1;
	struct gcheap_layout layout = { .fixed_words = 4, .fixed_map = &map };
	struct gcheap_cache *c = gcheap_cache_create(32, &layout, GCHEAP_CACHE_MOVABLE |
						     GCHEAP_CACHE_IDENTITY);
	uint64_t **kept = mmap(NULL, N * sizeof(*kept), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static uint64_t hash[N];
	static uintptr_t was[N];
	struct gcheap_stats s;
	int moved = 0, tries = 20;

	CHECK(c && kept != MAP_FAILED);
	CHECK_EQ(gcheap_tune(NULL, GCHEAP_TUNE_CONCURRENT, 1), 0);	/* else none moves */
	CHECK_EQ(gcheap_heap_root_add(NULL, kept, N * sizeof(*kept), GCHEAP_PRECISE, NULL), 0);
	CHECK_EQ(gcheap_hold(), 0);
	for (int i = 0; i < N * OF; i++) {
		uint64_t *p = gcheap_cache_alloc(c);

		p[1] = i / OF;
		if (i % OF)
			continue;
		kept[i / OF] = p;
		hash[i / OF] = gcheap_identity_hash(p);
		was[i / OF] = ~(uintptr_t)p;
	}
	CHECK_EQ(gcheap_thread_flush(), 0);
	/* One that cannot stop the threads in time moves nothing. */
	do {
		CHECK_EQ(gcheap_compact(), 0);
		CHECK_EQ(gcheap_stats(&s), 0);
	} while (s.moved_objects <= N / 2 && --tries);
	for (int i = 0; i < N; i++) {
		CHECK_EQ(kept[i][1], (uint64_t)i);
		CHECK_EQ(gcheap_identity_hash(kept[i]), hash[i]);
		moved += (uintptr_t)kept[i] != ~was[i];
	}
	diag("%d of %d moved", moved, N);
	CHECK(moved > N / 2 && s.moved_objects >= (uint64_t)moved);
}

TEST(fork_and_exec)
{
	int status;
	pid_t pid;
	char *p = gcheap_alloc(100);

	strcpy(p, "parent");
	pid = fork();
	if (!pid) {
		CHECK_EQ(gcheap_collect(), 0);
		CHECK(!strcmp(p, "parent"));
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(gcheap_collect(), 0);
	CHECK(!strcmp(p, "parent"));
}

TEST_MAIN
