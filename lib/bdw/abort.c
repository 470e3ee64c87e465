// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* The end of a program that is wrong. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bdw.h"

/* @what is wrong, as bdwgc says it, and with whom. */
void bdw_die(const char *what, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", what);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}
