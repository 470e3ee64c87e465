// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading a program's heaps from outside. What they look like the kernel keeps in pages that
 * the program has mapped (META, STATUS): they are read from its memory, with the right to do
 * so that a debugger needs. The program runs on, so that what is read of one chunk need not
 * agree with another.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "heap.h"

#define META_USED	(GCHEAP_META_LIVE + GCHEAP_CHUNK_SLOTS * GCHEAP_LIVE_BYTES)
#define SLOT_PAGES	(GCHEAP_SLOT_SIZE / PAGE)

struct chunk {
	struct gcheap_span span[GCHEAP_CHUNK_SLOTS];
	uint64_t live[GCHEAP_CHUNK_SLOTS][GCHEAP_LIVE_BYTES / 8];
};

_Static_assert(sizeof(struct chunk) == META_USED, "a chunk's metadata as it is mapped");

static int copy(pid_t pid, void *to, uint64_t from, size_t bytes)
{
	struct iovec here = { to, bytes }, there = { (void *)(uintptr_t)from, bytes };
	ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == bytes ? 0 : -EFAULT;
}

/* The mappings of a heap come one after the other, and those of several in the same order. */
static struct peek *without(struct peek *heap, int n, size_t field)
{
	for (int i = 0; i < n; i++)
		if (!*(uint64_t *)((char *)&heap[i] + field))
			return &heap[i];
	return NULL;
}

static void note(struct peek *heap, int *n, int max, pid_t pid, uint64_t lo, uint64_t hi,
		 uint64_t off)
{
	size_t field;
	struct peek *h;

	switch (off) {
	case GCHEAP_OFF_HEAP:
		field = offsetof(struct peek, heap);
		break;
	case GCHEAP_OFF_META:
		field = offsetof(struct peek, meta);
		break;
	case GCHEAP_OFF_STATUS:
		field = offsetof(struct peek, status);
		break;
	default:
		return;
	}
	h = without(heap, *n, field);
	if (!h && *n == max)
		return;
	if (!h) {
		h = &heap[(*n)++];
		*h = (struct peek){ .pid = pid };
	}
	*(uint64_t *)((char *)h + field) = lo;
	if (off == GCHEAP_OFF_HEAP)
		h->size = hi - lo;
}

/**
 * peek_heaps - the heaps of a program: how many, at most @max, or -errno
 */
int peek_heaps(pid_t pid, struct peek *heap, int max)
{
	unsigned long lo, hi, off;
	char path[64], line[4096];
	int n = 0, whole = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "/gcheap\n") &&
		    sscanf(line, "%lx-%lx %*s %lx", &lo, &hi, &off) == 3)
			note(heap, &n, max, pid, lo, hi, off);
	fclose(f);
	for (int i = 0; i < n; i++)
		if (heap[i].heap && heap[i].meta && heap[i].status)
			heap[whole++] = heap[i];
	return whole;
}

/** peek_status - a consistent copy of the counters: 0 or -errno */
int peek_status(const struct peek *h, struct gcheap_status *s)
{
	struct gcheap_status again;
	int err, tries = 1000;

	do {
		err = copy(h->pid, s, h->status, sizeof(*s));
		if (!err)
			err = copy(h->pid, &again, h->status, sizeof(again));
	} while (!err && (s->seq & 1 || s->seq != again.seq) && tries--);
	return err ?: tries < 0 ? -EBUSY : 0;
}

static bool is_live(const struct chunk *c, unsigned int slot, unsigned int cell)
{
	return c->live[slot][cell / 64] >> (cell % 64) & 1;
}

static void add_live(struct peek_map *m, uint64_t from, uint64_t end)
{
	uint64_t to;

	for (; from < end; from = to) {
		to = (from / PAGE + 1) * PAGE;
		to = to < end ? to : end;
		if (from / PAGE < m->n)
			m->page[from / PAGE].live += (to - from) / GCHEAP_GRANULE;
	}
}

/* A span whose first slot is in a chunk; what is read may be anything by now. */
static void look_at_span(struct peek_map *m, const struct chunk *c, size_t slot)
{
	unsigned int i = slot % GCHEAP_CHUNK_SLOTS;
	const struct gcheap_span *s = &c->span[i];
	uint64_t at = slot * GCHEAP_SLOT_SIZE, bytes = (uint64_t)s->cell_granules * GCHEAP_GRANULE;
	size_t first = slot * SLOT_PAGES, p;
	unsigned int cell;

	for (p = first; p < first + (size_t)s->nslots * SLOT_PAGES && p < m->n; p++)
		m->page[p].state = s->state;
	if (s->state != GCHEAP_SPAN_MOVED)
		m->bytes += (uint64_t)s->nslots * GCHEAP_SLOT_SIZE;
	for (cell = 0; cell < s->ncells && cell < GCHEAP_SLOT_SIZE / GCHEAP_GRANULE; cell++) {
		if (!is_live(c, i, cell))
			continue;
		add_live(m, at + cell * bytes, at + (cell + 1) * bytes);
		m->live += s->bytes ?: bytes;
	}
}

static int look_at_chunk(const struct peek *h, struct peek_map *m, size_t number)
{
	size_t slot = number * GCHEAP_CHUNK_SLOTS;
	struct chunk c;
	int err = copy(h->pid, &c, h->meta + number * GCHEAP_META_STRIDE, sizeof(c));

	for (unsigned int i = 0; !err && i < GCHEAP_CHUNK_SLOTS; i++)
		if (c.span[i].head == slot + i + 1)
			look_at_span(m, &c, slot + i);
	return err;
}

static int look_at_mapped(const struct peek *h, struct peek_map *m)
{
	uint64_t entry[CHUNK_PAGES];
	size_t page = 0;
	char path[64];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", h->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (; !err && page < m->n; page += CHUNK_PAGES) {
		if (pread(fd, entry, sizeof(entry), (h->heap / PAGE + page) * 8) != sizeof(entry)) {
			err = -EIO;
			break;
		}
		for (size_t i = 0; i < CHUNK_PAGES; i++) {
			m->page[page + i].mapped = entry[i] >> 63;
			m->mapped += entry[i] >> 63 ? PAGE : 0;
		}
	}
	close(fd);
	return err;
}

/**
 * peek_map - look at all pages: 0 or -errno; then peek_free()
 *
 * Chunks are used from the lowest on: it ends when all bytes in spans were seen.
 */
int peek_map(const struct peek *h, struct peek_map *m)
{
	size_t chunks = h->size / GCHEAP_CHUNK_SIZE, i, last;
	int err;

	memset(m, 0, sizeof(*m));
	err = peek_status(h, &m->status);
	if (err)
		return err;
	m->n = chunks * CHUNK_PAGES;
	m->page = calloc(m->n, sizeof(*m->page));
	if (!m->page)
		return -ENOMEM;
	for (i = 0; !err && i < chunks && m->bytes < m->status.heap_bytes; i++)
		err = look_at_chunk(h, m, i);
	if (!err)
		err = look_at_mapped(h, m);
	for (last = m->n; last && !m->page[last - 1].state && !m->page[last - 1].mapped; last--)
		;
	m->n = last;
	if (err)
		peek_free(m);
	return err;
}

void peek_free(struct peek_map *m)
{
	free(m->page);
	m->page = NULL;
}
