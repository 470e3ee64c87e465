/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/* What calls that are over have left on the stack is no root then. */
#ifndef BDW_TEST_WIPE_H
#define BDW_TEST_WIPE_H

#include <stddef.h>

static NOINLINE void wipe(void)
{
	volatile char space[16384];

	for (size_t i = 0; i < sizeof(space); i++)
		space[i] = 0;
}

#endif
