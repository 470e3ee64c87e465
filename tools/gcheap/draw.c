// SPDX-License-Identifier: GPL-2.0-only
/* A heap's pages, drawn: how full each is, and what its span is for. */
#include "draw.h"

#define CELL	6	/* pixels of a place */
#define GAP	40	/* between maps */
#define WIDTH	900	/* of all of them */

/** struct look - what a place shows: @state of most of its pages, @eighths of them live */
struct look {
	unsigned int state, eighths, mapped;
};

static const struct {
	const char *name, *ansi, *fill;
} states[] = {
	[GCHEAP_SPAN_FREE] = { "free", "2", "#dddddd" },
	[GCHEAP_SPAN_FULL] = { "full", "32", "#2a7f2a" },
	[GCHEAP_SPAN_PARTIAL] = { "partial", "33", "#c9a200" },
	[GCHEAP_SPAN_OWNED] = { "a thread's", "36", "#1f8a99" },
	[GCHEAP_SPAN_LARGE] = { "large", "34", "#3355bb" },
	[GCHEAP_SPAN_SOURCE] = { "being emptied", "31", "#bb3333" },
	[GCHEAP_SPAN_TARGET] = { "being filled", "35", "#993399" },
	[GCHEAP_SPAN_MOVED] = { "moved away", "2", "#f2eeee" },
};
#define STATES	(sizeof(states) / sizeof(*states))

static struct look look_at(const struct peek_map *m, size_t first, unsigned int pages)
{
	unsigned int count[STATES] = { 0 }, n = 0, live = 0, i;
	struct look l = { 0 };

	for (; n < pages && first + n < m->n; n++) {
		const struct peek_page *p = &m->page[first + n];

		count[p->state < STATES ? p->state : 0]++;
		live += p->live < PAGE_GRANULES ? p->live : PAGE_GRANULES;
		l.mapped += p->mapped;
	}
	for (i = 1; i < STATES; i++)
		if (count[i] && (!l.state || count[i] > count[l.state]))
			l.state = i;
	if (n)
		l.eighths = (live * 8 + n * PAGE_GRANULES - 1) / (n * PAGE_GRANULES);
	return l;
}

/* A place: the fuller the higher; a dot: memory without objects; a blank: none. */
static void put_place(FILE *out, const struct look *l, bool colour)
{
	static const char *const block[] = {
		" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█",
	};
	const char *what = l->eighths ? block[l->eighths] : l->mapped ? "·" : " ";

	if (colour && *what != ' ')
		fprintf(out, "\033[%sm%s\033[0m", states[l->state].ansi, what);
	else
		fputs(what, out);
}

static void put_numbers(FILE *out, const struct peek_map *m)
{
	fprintf(out, "%.1f MiB in spans, %.1f live, %.1f in memory",
		m->bytes / 1048576.0, m->live / 1048576.0, m->status.resident_bytes / 1048576.0);
	if (m->status.meshed_bytes)
		fprintf(out, ", %.1f shared", m->status.meshed_bytes / 1048576.0);
}

void draw_text(FILE *out, const struct peek_map *m, const struct drawing *d)
{
	size_t page, i;

	put_numbers(out, m);
	fprintf(out, "; a place is %u KiB\n", d->pages * PAGE / 1024);
	for (page = 0; page < m->n; page += (size_t)d->columns * d->pages) {
		fprintf(out, "%8zu M |", page * PAGE >> 20);
		for (i = 0; i < d->columns && page + i * d->pages < m->n; i++) {
			struct look l = look_at(m, page + i * d->pages, d->pages);

			put_place(out, &l, d->colour);
		}
		fputc('\n', out);
	}
	for (i = 1; d->colour && i < STATES; i++)
		fprintf(out, "\033[%sm█\033[0m %s  ", states[i].ansi, states[i].name);
	if (d->colour)
		fputc('\n', out);
}

static unsigned int svg_top;	/* how far down the drawing goes */

/** draw_svg_columns - places in a row of each of some maps side by side */
unsigned int draw_svg_columns(unsigned int maps)
{
	return (WIDTH / maps - GAP) / CELL;
}

void draw_svg_begin(FILE *out)
{
	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n", WIDTH);
}

/* Side by side in the order of @nr. */
void draw_svg(FILE *out, const struct peek_map *m, const struct drawing *d, unsigned int nr)
{
	unsigned int columns = d->columns, left = nr * (columns * CELL + GAP), x, y;
	size_t place, places = (m->n + d->pages - 1) / d->pages;

	fprintf(out, "<text x=\"%u\" y=\"16\">", left);
	put_numbers(out, m);
	fprintf(out, "</text>\n");
	for (place = 0; place < places; place++) {
		struct look l = look_at(m, place * d->pages, d->pages);

		x = left + place % columns * CELL;
		y = 24 + place / columns * CELL;
		if (l.eighths || l.mapped)
			fprintf(out, "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
				"fill=\"%s\" fill-opacity=\"%.2f\"/>\n", x, y, CELL - 1, CELL - 1,
				states[l.state].fill, l.eighths ? 0.2 + l.eighths / 10.0 : 0.12);
		svg_top = y > svg_top ? y : svg_top;
	}
}

void draw_svg_end(FILE *out)
{
	unsigned int i;

	for (i = 1; i < STATES; i++)
		fprintf(out, "<text x=\"%u\" y=\"%u\" fill=\"%s\">■ %s</text>\n", (i - 1) * 120,
			svg_top + 30, states[i].fill, states[i].name);
	fprintf(out, "</svg>\n");
}
