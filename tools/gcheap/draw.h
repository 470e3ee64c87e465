/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef GCHEAP_TOOL_DRAW_H
#define GCHEAP_TOOL_DRAW_H

#include <stdio.h>

#include "heap.h"

/** struct drawing - how to draw: @columns places a row, @pages of the heap each; @colour */
struct drawing {
	unsigned int columns, pages;
	bool colour;
};

void draw_text(FILE *out, const struct peek_map *m, const struct drawing *d);
unsigned int draw_svg_columns(unsigned int maps);
void draw_svg_begin(FILE *out);
void draw_svg(FILE *out, const struct peek_map *m, const struct drawing *d, unsigned int nr);
void draw_svg_end(FILE *out);

#endif
