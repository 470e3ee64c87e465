// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * libgccpp.so.1: what C++ programs written for libgc (gc/gc_cpp.h) find beside it. All that new
 * makes are objects that are searched and have to be deleted. The forms with std::nothrow are
 * the C++ library's, by way of these; those with an alignment are the C++ library's alone.
 */
#include <new>
#include <gc/gc_cpp.h>

void GC_throw_bad_alloc()
{
	throw std::bad_alloc();
}

void *operator new(size_t size)
{
	void *object = GC_malloc_uncollectable(size);

	if (!object)
		GC_throw_bad_alloc();
	return object;
}

void *operator new[](size_t size)
{
	return operator new(size);
}

void operator delete(void *object) noexcept
{
	GC_free(object);
}

void operator delete[](void *object) noexcept
{
	GC_free(object);
}

void operator delete(void *object, size_t) noexcept
{
	GC_free(object);
}

void operator delete[](void *object, size_t) noexcept
{
	GC_free(object);
}
