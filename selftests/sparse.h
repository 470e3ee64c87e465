/* SPDX-License-Identifier: GPL-2.0-only */
/* A heap of small objects of which few are kept, all over it. */
#ifndef GCHEAP_TEST_SPARSE_H
#define GCHEAP_TEST_SPARSE_H

#include "raw.h"

enum { CELL = 64 };

struct sparse {
	struct raw h;
	unsigned int cells, more;
	uint64_t *kept;		/* the last of a list */
};

/* One in 16, so that pages have them at different places. */
static bool is_kept(uint32_t number)
{
	return !(number * 2654435761u >> 28);
}

/*
 * Of many objects, of which there are @n, one in 16 is kept, in a list. They are not collected
 * meanwhile, so that no cell is used twice.
 */
UNUSED static NOINLINE void fill(struct sparse *s, unsigned int n)
{
	raw_hold(&s->h);
	for (unsigned int i = 0; i < n; i++) {
		uint64_t *p = raw_take(&s->h, s->cells);

		p[1] = i;
		if (!is_kept(i))
			continue;
		p[0] = (uintptr_t)s->kept;
		s->kept = p;
	}
	raw_unhold(&s->h);
}

/* Nothing moves meanwhile: a pointer on the stack does not keep it from that. */
UNUSED static bool intact(struct sparse *s, unsigned int n)
{
	const uint64_t *p;

	raw_hold(&s->h);
	p = s->kept;
	while (n--) {
		if (!is_kept(n))
			continue;
		if (!p || p[1] != n)
			break;
		p = (const uint64_t *)(uintptr_t)p[0];
	}
	raw_unhold(&s->h);
	return !p && n == ~0u;
}

/* With collections as they come; @setup: GCHEAP_SETUP_*, @percent: GCHEAP_PARAM_COMPACT. */
UNUSED static void sparse_open_with(struct sparse *s, unsigned int setup, unsigned int flags,
				    unsigned int percent)
{
	memset(s, 0, sizeof(*s));
	s->h = raw_open(setup);
	/* Objects move only if marking is beside the program. */
	raw_param(&s->h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&s->h, GCHEAP_PARAM_COMPACT, percent);
	raw_root(&s->h, GCHEAP_ROOT_PRECISE, &s->kept, sizeof(s->kept), NULL);
	s->cells = raw_typed_as(&s->h, flags, CELL / 8, 1, 0);
	s->more = raw_cache(&s->h, GCHEAP_NOSCAN, 1024);
}

UNUSED static void sparse_open(struct sparse *s, unsigned int flags, unsigned int percent)
{
	sparse_open_with(s, 0, flags, percent);
}

#endif
