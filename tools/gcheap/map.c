// SPDX-License-Identifier: GPL-2.0-only
/* gcheap map: draws a heap of a running program. */
#define _GNU_SOURCE
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "draw.h"
#include "gcheap.h"

#define HEAPS	32

static const struct argp_option map_options[] = {
	{ "heap", 'h', "N", 0, "The Nth heap of the program, from 1 (1)", 0 },
	{ "pages", 'p', "N", 0, "Pages that a place stands for (as many as fill the screen)", 0 },
	{ "svg", 's', "FILE", 0, "Draw into a file, maps side by side", 0 },
	{ "count", 'n', "N", 0, "So many maps (1)", 0 },
	{ "interval", 'i', "SECONDS", 0, "From one map to the next (1)", 0 },
	{ 0 }
};

struct map_args {
	pid_t pid;
	unsigned int heap, pages, count;
	double interval;
	const char *svg;
};

static unsigned int number(struct argp_state *state, const char *arg, unsigned int max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(arg, &end, 10);
	if (errno || !n || n > max || *end || arg == end || *arg == '-')
		argp_error(state, "%s: a number from 1 to %u is wanted", arg, max);
	return n;
}

static error_t map_option(int key, char *arg, struct argp_state *state)
{
	struct map_args *a = state->input;

	switch (key) {
	case 'h':
		a->heap = number(state, arg, HEAPS);
		break;
	case 'p':
		a->pages = number(state, arg, 1 << 20);
		break;
	case 's':
		a->svg = arg;
		break;
	case 'n':
		a->count = number(state, arg, 8);
		break;
	case 'i':
		a->interval = atof(arg);
		if (!(a->interval >= 0 && a->interval < 1e6))
			argp_error(state, "%s: seconds are wanted", arg);
		break;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_usage(state);
		a->pid = number(state, arg, 1 << 22);
		break;
	case ARGP_KEY_END:
		if (!a->pid)
			argp_usage(state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp map_argp = {
	.options = map_options, .parser = map_option, .args_doc = "PID",
	.doc = "Draw a heap of a running program, a place for each page or for some: how full "
	       "of live objects they are.",
};

static void fit(struct drawing *d, const struct peek_map *m, const struct map_args *a)
{
	struct winsize w;
	unsigned int rows = 32;

	d->columns = 64;
	d->colour = !a->svg && isatty(1);
	if (d->colour && !ioctl(1, TIOCGWINSZ, &w) && w.ws_col > 40 && w.ws_row > 10) {
		d->columns = w.ws_col - 12;
		rows = w.ws_row - 5;
	}
	if (a->svg) {
		d->columns = draw_svg_columns(a->count);
		rows = d->columns;
	}
	d->pages = a->pages ?: 1;
	while (!a->pages && m->n > (size_t)d->pages * d->columns * rows)
		d->pages *= 2;
}

static int map_once(const struct peek *h, const struct map_args *a, struct drawing *d, FILE *svg,
		    unsigned int nr)
{
	struct peek_map m;
	int err = peek_map(h, &m);

	if (err)
		return err;
	if (!nr)
		fit(d, &m, a);
	if (svg)
		draw_svg(svg, &m, d, nr);
	else
		draw_text(stdout, &m, d);
	fflush(stdout);
	peek_free(&m);
	return 0;
}

static int map(const struct map_args *a)
{
	struct peek heap[HEAPS];
	int n = peek_heaps(a->pid, heap, HEAPS), err = 0;
	struct drawing d = { 0 };
	FILE *svg = NULL;

	if (n < 0)
		return fail("the program's mappings", n);
	if ((unsigned int)n < a->heap) {
		fprintf(stderr, "gcheap: process %d has %d heap%s\n", a->pid, n, n == 1 ? "" : "s");
		return 1;
	}
	if (a->svg) {
		svg = fopen(a->svg, "we");
		if (!svg)
			return fail(a->svg, -errno);
		draw_svg_begin(svg);
	}
	for (unsigned int i = 0; !err && i < a->count; i++) {
		if (i)
			usleep(a->interval * 1e6);
		err = map_once(&heap[a->heap - 1], a, &d, svg, i);
	}
	if (svg) {
		draw_svg_end(svg);
		if (fclose(svg) && !err)
			err = -errno;
	}
	return err ? fail("the heap", err) : 0;
}

int map_main(int argc, char **argv)
{
	struct map_args a = { .heap = 1, .count = 1, .interval = 1 };

	argp_parse(&map_argp, argc, argv, 0, NULL, &a);
	return map(&a);
}
