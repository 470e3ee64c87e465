/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/* For tests with a shared object that comes and goes; dlopen() is GC_dlopen(), by gc/gc.h. */
#ifndef BDW_TEST_DL_H
#define BDW_TEST_DL_H

#include "count.h"
#include "../../../selftests/dl.h"

#define WORDS	4	/* the object has room for so many of each kind */

#endif
