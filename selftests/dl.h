/* SPDX-License-Identifier: GPL-2.0-only */
/* For tests with a shared object, objects/dl.c, that comes and goes. */
#ifndef GCHEAP_DL_H
#define GCHEAP_DL_H

#include <dlfcn.h>

#include "tap.h"

/* It is beside the program. */
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

/* What one of its functions returns: room for four words. */
UNUSED static void **words_of(void *object, const char *function)
{
	void **(*address)(void) = (void **(*)(void))dlsym(object, function);

	CHECK(address);
	return address();
}

#endif
