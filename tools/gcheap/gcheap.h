/* SPDX-License-Identifier: GPL-2.0-only */
/* The sub-commands, each in a file of its own. */
#ifndef GCHEAP_TOOL_GCHEAP_H
#define GCHEAP_TOOL_GCHEAP_H

int map_main(int argc, char **argv);
int run_main(int argc, char **argv);

/* Say what did not work, and why (-errno); returns 1, to exit with. */
int fail(const char *what, int err);

#endif
