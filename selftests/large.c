// SPDX-License-Identifier: GPL-2.0-only
/* Objects of a span each. */
#include "raw.h"

static bool all_zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i += 8)
		if (*(const uint64_t *)(p + i))
			return false;
	return true;
}

TEST(sizes)
{
	static const uint64_t sizes[] = {
		1, 4096, GCHEAP_CELL_MAX, GCHEAP_CELL_MAX + 1, 40000, 65536, 100001,
		1 << 20, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 7 << 20,
	};
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);

	raw_hold(&h);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint64_t n = sizes[i];
		char *p = raw_try_large(&h, c, n);
		struct gcheap_info info;
		const struct gcheap_span *s;

		if (!p) {
			/* Small ones may be refused, as they belong into cells. */
			CHECK(n <= GCHEAP_CELL_MAX && errno == EINVAL);
			continue;
		}
		CHECK(all_zero(p, n & ~7ull));
		memset(p, 0xab, n);
		s = raw_slot(&h, (p - h.base) >> GCHEAP_SLOT_SHIFT);
		CHECK_EQ(s->head - 1, (p - h.base) >> GCHEAP_SLOT_SHIFT);
		CHECK_EQ(s->state, GCHEAP_SPAN_LARGE);
		CHECK_EQ(s->recip, 0);
		CHECK_EQ(s->ncells, 1);
		CHECK_EQ(s->bytes, n);
		CHECK(s->nslots * (uint64_t)GCHEAP_SLOT_SIZE >= n);
		CHECK(s->nslots * (uint64_t)GCHEAP_SLOT_SIZE < n + 2 * GCHEAP_SLOT_SIZE);
		for (uint64_t off = 0; off < n; off += n / 3 + 1) {
			CHECK_EQ(raw_cell(&h, p + off, NULL), 0);
			CHECK_EQ(raw_try_info(&h, (uintptr_t)p + off, &info), 0);
			CHECK_EQ(info.base, (uintptr_t)p);
			CHECK(info.bytes >= n);
			CHECK(info.state & GCHEAP_INFO_LARGE);
			CHECK(info.state & GCHEAP_INFO_LIVE);
		}
	}
	raw_verify(&h);
}

TEST(bad_sizes)
{
	struct raw h = raw_open(0);
	unsigned int large = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	unsigned int cells = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);

	CHECK(!raw_try_large(&h, large, 0) && errno == EINVAL);
	CHECK(!raw_try_large(&h, large, ~0ull) && (errno == EINVAL || errno == ENOMEM));
	CHECK(!raw_try_large(&h, large, 1ull << 63) && (errno == EINVAL || errno == ENOMEM));
	CHECK(!raw_try_large(&h, large, -4096ull) && (errno == EINVAL || errno == ENOMEM));
	CHECK(!raw_try_large(&h, large, RAW_HEAP + 1) && errno == ENOMEM);
	CHECK(!raw_try_large(&h, cells, 100000) && (errno == EINVAL || errno == ENOENT));
	CHECK(!raw_try_large(&h, 900, 100000) && errno == ENOENT);
	CHECK(raw_try_large(&h, large, 100000));
	raw_verify(&h);
}

TEST(freed_exactly)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	enum { N = 100 };
	static char *keep[N];
	uint64_t before = raw_status(&h).heap_bytes;

	raw_root(&h, 0, keep, sizeof(keep), NULL);
	for (int i = 0; i < N; i++) {
		char *p = raw_try_large(&h, c, 50000 + i * 1000);

		CHECK(p);
		p[49999] = i;
		if (i % 4 == 0)
			keep[i] = p + i * 500;		/* interior */
	}
	raw_flush(&h);		/* the last one counts as just given */
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, N / 4);
	CHECK_EQ(raw_status(&h).live_objects, N / 4);
	for (int i = 0; i < N; i += 4)
		CHECK_EQ((keep[i] - i * 500)[49999], i);
	memset(keep, 0, sizeof(keep));
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, 0);
	CHECK_EQ(raw_status(&h).heap_bytes, before);
	raw_verify(&h);
}

/* References in it are found wherever they are, and only if it is scanned. */
TEST(contents_are_scanned)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int scan = raw_cache(&h, GCHEAP_CONSERVATIVE, 0);
	unsigned int noscan = raw_cache(&h, GCHEAP_NOSCAN, 0);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 32);
	static void **keep[2];
	enum { WORDS = 300000, STEP = 1000 };

	raw_root(&h, 0, keep, sizeof(keep), NULL);
	keep[0] = raw_try_large(&h, scan, WORDS * 8);
	keep[1] = raw_try_large(&h, noscan, WORDS * 8);
	CHECK(keep[0] && keep[1]);
	for (int i = 0; i < WORDS; i += STEP) {
		keep[0][i] = raw_take(&h, c);
		keep[1][i] = raw_take(&h, c);
	}
	keep[0][WORDS - 1] = raw_take(&h, c);
	raw_flush(&h);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).marked_objects, 2 + WORDS / STEP + 1);
	raw_verify(&h);
}

TEST(reservation_is_used_up)
{
	struct gcheap_setup s = raw_setup_arg(GCHEAP_SETUP_PRECISE_ONLY);
	struct raw h;
	unsigned int c;
	int n = 0;
	void *p;

	s.heap_size = 16 << 20;
	h = raw_open_with(s);
	raw_attach(&h);
	c = raw_cache(&h, GCHEAP_NOSCAN, 0);
	static void *keep[64];

	raw_root(&h, 0, keep, sizeof(keep), NULL);
	while ((p = raw_try_large(&h, c, 1 << 20))) {
		CHECK(n < 17);
		keep[n++] = p;
	}
	CHECK_EQ(errno, ENOMEM);
	CHECK(n >= 14);
	keep[n / 2] = NULL;
	keep[n / 2 + 1] = NULL;
	/* A hole of two, found by the collection that ENOMEM tries first. */
	CHECK(raw_try_large(&h, c, 2 << 20));
	raw_verify(&h);
}

TEST(old_contents_do_not_show)
{
	struct raw h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	unsigned int c = raw_cache(&h, GCHEAP_NOSCAN, 0);

	for (int i = 0; i < 40; i++) {
		size_t n = 40000 + 31337 * (i % 7);
		char *p = raw_try_large(&h, c, n);

		CHECK(p);
		CHECK(all_zero(p, n & ~7ul));
		memset(p, 0xff, n);
		if (i % 3 == 0)
			raw_collect(&h);
	}
}

TEST_MAIN
