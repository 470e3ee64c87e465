// SPDX-License-Identifier: GPL-2.0-only
/* gcheap: runs programs on gcheap, and looks at the heaps of running ones. */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "gcheap.h"

const char *argp_program_version = "gcheap 0.1";

/* @full is what its own messages call it. */
static const struct command {
	const char *name;
	char *full;
	int (*main)(int argc, char **argv);
	const char *usage, *what;
} commands[] = {
	{ "run", (char []){ "gcheap run" }, run_main, "[OPTION]... COMMAND [ARGUMENT]...",
	  "run a program written for libgc" },
	{ "map", (char []){ "gcheap map" }, map_main, "[OPTION]... PID", "draw a heap" },
};

#define COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "%s %s %s   %s\n", i ? "      " : "usage:", commands[i].full,
			commands[i].usage, commands[i].what);
	fprintf(out, "       gcheap --version\n"
		     "Each says more with --help.\n");
}

int fail(const char *what, int err)
{
	fprintf(stderr, "gcheap: %s: %s\n", what, strerror(-err));
	return 1;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(name, commands[i].name))
			continue;
		argv[1] = commands[i].full;
		return commands[i].main(argc - 1, argv + 1);
	}
	if (!strcmp(name, "--version")) {
		puts(argp_program_version);
		return 0;
	}
	if (!strcmp(name, "--help")) {
		usage(stdout);
		return 0;
	}
	usage(stderr);
	return 2;
}
