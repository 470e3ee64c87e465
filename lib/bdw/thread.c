// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Threads, which the kernel finds, and shared objects. */
#include "bdw.h"

GCH_API int GC_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*fn)(void *),
			      void *arg)
{
	return gch_pthread_create(id, attr, fn, arg);
}

GCH_API int GC_pthread_join(pthread_t id, void **result)
{
	return gch_pthread_join(id, result);
}

GCH_API int GC_pthread_detach(pthread_t id)
{
	return gch_pthread_detach(id);
}

GCH_API int GC_pthread_cancel(pthread_t id)
{
	return pthread_cancel(id);
}

GCH_API void GC_pthread_exit(void *result)
{
	gch_pthread_exit(result);
}

GCH_API int GC_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return pthread_sigmask(how, set, old);
}

GCH_API void *GC_dlopen(const char *file, int mode)
{
	return gch_dlopen(file, mode);
}

GCH_API void GC_allow_register_threads(void)
{
}

GCH_API int GC_thread_is_registered(void)
{
	return !!gch_local_if_any(&gch.heap0);
}

GCH_API int GC_register_my_thread(const struct GC_stack_base *base)
{
	if (GC_thread_is_registered())
		return GC_DUPLICATE;
	return gcheap_thread_attach() ? GC_UNIMPLEMENTED : GC_SUCCESS;
}

GCH_API int GC_unregister_my_thread(void)
{
	gcheap_thread_detach();
	return GC_SUCCESS;
}

GCH_API int GC_get_stack_base(struct GC_stack_base *base)
{
	pthread_attr_t attr;
	size_t size;
	void *low;
	int err;

	if (pthread_getattr_np(pthread_self(), &attr))
		return GC_UNIMPLEMENTED;
	err = pthread_attr_getstack(&attr, &low, &size);
	pthread_attr_destroy(&attr);
	if (err)
		return GC_UNIMPLEMENTED;
	base->mem_base = (char *)low + size;
	return GC_SUCCESS;
}
