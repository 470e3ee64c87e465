/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/* For tests with a shared object, selftests/objects/dl.c, that comes and goes. */
#ifndef BDW_TEST_DL_H
#define BDW_TEST_DL_H

#include "count.h"
#include <dlfcn.h>

#define WORDS	4	/* the object has room for so many of each kind */

static void *open_object(void)
{
	char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);
	void *object;

	CHECK(n > 0);
	path[n] = 0;
	strcpy(strrchr(path, '/'), "/dl.so");
	object = dlopen(path, RTLD_NOW);
	if (!object)
		FAIL("%s", dlerror());
	return object;
}

static void **words_of(void *object, const char *function)
{
	void **(*address)(void) = (void **(*)(void))dlsym(object, function);

	CHECK(address);
	return address();
}

#endif
