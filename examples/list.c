// SPDX-License-Identifier: GPL-2.0-only
/* The shortest use: a list that is made, and made again, and never freed. */
#include <gcheap.h>
#include <stdio.h>

struct item {
	struct item *next;
	long value;
};

int main(void)
{
	struct gcheap_stats s;
	struct item *list = NULL;

	for (long i = 0; i < 10000000; i++) {
		struct item *n = gcheap_alloc(sizeof(*n));

		if (!n)
			return perror("gcheap_alloc"), 1;
		n->next = i % 1000 ? list : NULL;	/* the old thousand are garbage */
		n->value = i;
		list = n;
	}
	gcheap_stats(&s);
	printf("%lu MiB allocated in %lu MiB, %lu collections\n", s.alloc_bytes >> 20,
	       s.heap_peak >> 20, (unsigned long)s.cycles);
	return 0;
}
