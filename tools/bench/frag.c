// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fragmentation: frag MIB typed|conservative [SECONDS]
 *
 * Fill a heap with small objects of mixed sizes, keep one in 16 at random (frag.h), and go on
 * with objects of other sizes, some of which stay in the places of others. Lines of
 *
 *	PHASE live MIB heap MIB meta MIB memory MIB
 *
 * live: what is kept; heap: pages of the heap; memory: all of the process (Pss).
 */
#include "frag.h"

/* Others in their places, and nine of ten are garbage at once. */
static void mutate(double seconds)
{
	uint64_t end = bench_now() + seconds * 1e9;

	while (bench_now() < end) {
		for (int i = 0; i < 1000; i++) {
			int k = heap_draw(SIZES);
			void *o = make(late, k);

			if (heap_draw(10))
				continue;
			void **at = &table[heap_draw(entries)];

			drop(at);
			*at = put(o, late[k]);
		}
	}
}

int main(int argc, char **argv)
{
	size_t bytes = (argc > 1 ? atol(argv[1]) : 256) << 20;

	typed = argc > 2 && !strcmp(argv[2], "typed");
	bench_init();
	fill(bytes);
	heap_show("filled", live);
	thin_out(bytes);
	bench_collect();
	heap_show("kept", live);
	heap_compact();
	heap_show("compacted", live);
	mutate(argc > 3 ? atof(argv[3]) : 60);
	heap_show("mutated", live);
	heap_compact();
	heap_show("again", live);
	return 0;
}
