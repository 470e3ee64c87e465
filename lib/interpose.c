// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Calls of the C library that the collector has to know about, under their own
 * names and found before the C library's. They must not carry the version of this
 * library's symbols, or programs that ask for the C library's version pass them by.
 */
#include <dlfcn.h>
#include <time.h>

#include "gch.h"

GCH_API int pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*fn)(void *),
			   void *arg)
{
	return gch_pthread_create(id, attr, fn, arg);
}

GCH_API int pthread_join(pthread_t id, void **result)
{
	return gch_pthread_join(id, result);
}

GCH_API int pthread_tryjoin_np(pthread_t id, void **result)
{
	return gch_pthread_tryjoin(id, result);
}

GCH_API int pthread_timedjoin_np(pthread_t id, void **result, const struct timespec *until)
{
	return gch_pthread_timedjoin(id, result, until);
}

GCH_API int pthread_clockjoin_np(pthread_t id, void **result, clockid_t clock,
				 const struct timespec *until)
{
	return gch_pthread_clockjoin(id, result, clock, until);
}

GCH_API int pthread_detach(pthread_t id)
{
	return gch_pthread_detach(id);
}

GCH_API void pthread_exit(void *result)
{
	gch_pthread_exit(result);
}

/*
 * The C library takes the caller of dlopen() to be this library: a RUNPATH of the
 * object that really calls is not searched.
 */
GCH_API void *dlopen(const char *file, int mode)
{
	return gch_dlopen(file, mode);
}

GCH_API void *dlmopen(Lmid_t space, const char *file, int mode)
{
	return gch_dlmopen(space, file, mode);
}

GCH_API int dlclose(void *object)
{
	return gch_dlclose(object);
}
