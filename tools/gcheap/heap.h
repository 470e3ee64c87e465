/* SPDX-License-Identifier: GPL-2.0-only */
/* Heaps of another program, read from outside: struct peek. */
#ifndef GCHEAP_TOOL_HEAP_H
#define GCHEAP_TOOL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../uapi/gcheap.h"

#define PAGE		4096u
#define PAGE_GRANULES	(PAGE / GCHEAP_GRANULE)
#define CHUNK_PAGES	(GCHEAP_CHUNK_SIZE / PAGE)

/**
 * struct peek - a heap of a program
 * @heap, @size: where its objects are mapped; @meta: its descriptors; @status: its counters
 */
struct peek {
	pid_t pid;
	uint64_t heap, size, meta, status;
};

/** struct peek_page - a page: @state of its span (GCHEAP_SPAN_*), @live granules, and whether
 * it is @mapped */
struct peek_page {
	uint8_t state;
	uint16_t live;
	bool mapped;
};

/**
 * struct peek_map - all pages up to the last that is in a span or mapped
 * @n: so many; @bytes: in spans; @live: bytes in live objects; @mapped: bytes
 */
struct peek_map {
	struct peek_page *page;
	size_t n;
	uint64_t bytes, live, mapped;
	struct gcheap_status status;
};

int peek_heaps(pid_t pid, struct peek *heap, int max);
int peek_status(const struct peek *h, struct gcheap_status *s);
int peek_map(const struct peek *h, struct peek_map *m);
void peek_free(struct peek_map *m);

#endif
