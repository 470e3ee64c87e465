/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/* What is said to stderr. */
#ifndef BDW_TEST_SAID_H
#define BDW_TEST_SAID_H

#include "../../../selftests/tap.h"
#include <sys/mman.h>

static int said_fd;

static void listen_to(void)
{
	said_fd = memfd_create("said", 0);
	CHECK(said_fd >= 0 && dup2(said_fd, 2) == 2);
}

/* Since the last time. */
static const char *said(void)
{
	static char text[60000];
	static off_t done;
	ssize_t n = pread(said_fd, text, sizeof(text) - 1, done);

	CHECK(n >= 0);
	text[n] = 0;
	done += n;
	return text;
}

#endif
