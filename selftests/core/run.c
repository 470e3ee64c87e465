// SPDX-License-Identifier: GPL-2.0-only
/* Runs of slots. What is taken here holds no span, so nothing is verified. */
#include "cases.h"
#include "sim.h"

#define CHUNK	GCHEAP_CHUNK_SLOTS

static u32 take(struct sim *s, u32 n)
{
	return gch_run_alloc(&s->h, n);
}

static void give(struct sim *s, u32 id, u32 n)
{
	gch_run_free(&s->h, id, n);
}

void gct_run_first_fit(void)
{
	struct sim *s = sim_open(SIM_SIZE);

	CHECK_EQ(take(s, 3), 0);
	CHECK_EQ(take(s, 5), 3);
	CHECK_EQ(take(s, 1), 8);
	give(s, 3, 5);
	CHECK_EQ(take(s, 6), 9);
	CHECK_EQ(take(s, 2), 3);
	CHECK_EQ(take(s, 4), 15);
	CHECK_EQ(take(s, 3), 5);
	CHECK_EQ(take(s, 1), 19);
	give(s, 0, 20);
	sim_close(s);
}

/* I2: what can be a span of cells does not cross a block of 64. */
void gct_run_block(void)
{
	struct sim *s = sim_open(SIM_SIZE);
	u32 n, id, i;

	for (n = 1; n <= GCH_SPAN_SLOTS_MAX; n++) {
		for (i = 0; i < 40; i++) {
			id = take(s, n);
			CHECK_EQ(id / GCH_BLOCK_SLOTS, (id + n - 1) / GCH_BLOCK_SLOTS);
		}
	}
	/* The gaps are filled by smaller ones. */
	CHECK(take(s, 1) < id);
	for (i = 0; i < s->h.nslots / CHUNK && gch_chunk(&s->h, i); i++) {
		u32 b;

		for (b = 0; b < CHUNK; b++)
			if (gch_chunk(&s->h, i)->used[b / 64] >> b % 64 & 1)
				give(s, i * CHUNK + b, 1);
	}
	sim_close(s);
}

/* Larger ones cross blocks and chunks, wherever they fit first. */
void gct_run_large(void)
{
	struct sim *s = sim_open(SIM_SIZE);
	u32 all = SIM_SIZE >> GCHEAP_SLOT_SHIFT;

	CHECK_EQ(take(s, 60), 0);
	CHECK_EQ(take(s, 17), 60);
	CHECK_EQ(take(s, 300), 77);
	CHECK_EQ(take(s, 2 * CHUNK), 377);
	give(s, 60, 17);
	CHECK_EQ(take(s, 18), 377 + 2 * CHUNK);
	CHECK_EQ(take(s, 17), 60);
	give(s, 77, 300);
	CHECK_EQ(take(s, 301), 377 + 2 * CHUNK + 18);
	CHECK_EQ(take(s, 300), 77);
	CHECK_EQ(take(s, all), GCH_NO_RUN);
	CHECK_EQ(take(s, all + 1), GCH_NO_RUN);
	CHECK_EQ(take(s, 0), GCH_NO_RUN);
	give(s, 0, 377 + 2 * CHUNK + 18 + 301);
	gch_chunk_trim(&s->h);
	CHECK_EQ(take(s, all), 0);
	CHECK_EQ(take(s, 1), GCH_NO_RUN);
	CHECK_EQ(take(s, 17), GCH_NO_RUN);
	give(s, 5, 1);
	CHECK_EQ(take(s, 2), GCH_NO_RUN);
	CHECK_EQ(take(s, 1), 5);
	give(s, 0, all);
	sim_close(s);
}

/* Against a plain array: random runs, taken and given back. */
void gct_run_random(void)
{
	struct sim *s = sim_open(8 << 20);
	u32 all = s->h.nslots, steps = 300 * GCT_SCALE, n, id, i;
	u32 *len = env_zalloc(all * sizeof(*len));
	u8 *used = env_zalloc(all);
	struct gct_random r;

	CHECK(len && used);
	gct_seed(&r, 1);
	while (steps--) {
		id = gct_rand(&r, all);
		if (len[id]) {
			give(s, id, len[id]);
			memset(used + id, 0, len[id]);
			len[id] = 0;
		}
		n = 1 + gct_rand(&r, gct_rand(&r, 4) ? 16 : 400);
		for (id = 0; id + n <= all; id++) {
			for (i = 0; i < n && !used[id + i]; i++)
				;
			if (i == n && (n > 16 || id / 64 == (id + n - 1) / 64))
				break;
		}
		CHECK_EQ(take(s, n), id + n <= all ? id : GCH_NO_RUN);
		if (id + n > all)
			continue;
		memset(used + id, 1, n);
		len[id] = n;
	}
	for (id = 0; id < all; id++)
		if (len[id])
			give(s, id, len[id]);
	env_free(used);
	env_free(len);
	sim_close(s);
}

/* Slots that are free and have frames, in runs; with those in use as well. */
void gct_run_resident(void)
{
	struct sim *s = sim_with(GCHEAP_CONSERVATIVE, GCHEAP_CACHE_LARGE, 0);
	u64 a = sim_large(s, 0, 0, 10 * GCHEAP_SLOT_SIZE);
	u64 b = sim_large(s, 0, 0, 10 * GCHEAP_SLOT_SIZE);
	u32 id, n;

	sim_store(s, a + 3 * GCHEAP_SLOT_SIZE, 1);
	sim_store(s, a + 4 * GCHEAP_SLOT_SIZE + GCH_PAGE_SIZE, 1);
	sim_store(s, a + 7 * GCHEAP_SLOT_SIZE, 1);
	sim_store(s, b, 1);
	CHECK(!gch_run_resident(&s->h, 0, 100, &id, &n));
	CHECK(gch_run_frames(&s->h, 0, 100, &id, &n));
	CHECK(id == 3 && n == 2);
	CHECK(gch_free_early(&s->h, a));
	CHECK(gch_run_resident(&s->h, 0, 100, &id, &n));
	CHECK(id == 3 && n == 2);
	CHECK(gch_run_resident(&s->h, 0, 1, &id, &n));
	CHECK(id == 3 && n == 1);
	CHECK(gch_run_resident(&s->h, 5, 100, &id, &n));
	CHECK(id == 7 && n == 1);
	CHECK(!gch_run_resident(&s->h, 8, 100, &id, &n));
	CHECK(gch_run_frames(&s->h, 8, 100, &id, &n));
	CHECK_EQ(id, 10);
	sim_release(s, 0);
	CHECK(!gch_run_resident(&s->h, 0, 100, &id, &n));
	CHECK_EQ(s->h.n.resident_pages, 1);
	sim_close(s);
}
