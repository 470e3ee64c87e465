// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Stacks, which the kernel finds by the stack pointer of every thread: it searches from
 * there to the end of the mapping, or of the thread's own stack if the pointer is in it.
 * If not, the thread's own stack is searched as well, all of it. So where a stack begins,
 * which parts of it have no pointers, and that a coroutine has another one, are things
 * that programs may say, and that nothing depends on. The stacks of coroutines that no
 * thread is running on are the program's to tell of, as with bdwgc.
 */
#include <string.h>
#include <unistd.h>

#include "bdw.h"

#define BDW_CLEAR	2048	/* bytes */

/* The first thread's, and the others'; programs assign to the former. */
GCH_API char *GC_stackbottom;
static __thread char *bdw_stackbottom;

static char **bdw_bottom(void)
{
	return gettid() == getpid() ? &GC_stackbottom : &bdw_stackbottom;
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

/* Unless the program has said it. */
static char **bdw_bottom_found(void)
{
	char **bottom = bdw_bottom();
	struct GC_stack_base base;

	if (!*bottom && GC_get_stack_base(&base) == GC_SUCCESS)
		*bottom = base.mem_base;
	return bottom;
}

void bdw_stack_init(void)
{
	if (gettid() == getpid())
		bdw_bottom_found();
}

/* Whoever asks may be about to leave its stack: the kernel has to know it before. */
GCH_API void *GC_get_my_stackbottom(struct GC_stack_base *base)
{
	char **bottom = bdw_bottom_found();

	gcheap_thread_attach();
	base->mem_base = *bottom;
	return bottom;
}

GCH_API void GC_set_stackbottom(void *handle, const struct GC_stack_base *base)
{
	char **bottom = handle ? handle : gch.ready ? bdw_bottom() : &GC_stackbottom;

	if (!handle && gch.ready)
		gcheap_thread_attach();
	WRITE_ONCE(*bottom, base->mem_base);
}

/* The kernel knows signal stacks, and what was interrupted by who runs on one. */
GCH_API void GC_register_altstack(void *stack, GC_word stack_size, void *altstack,
				  GC_word altstack_size)
{
}

GCH_API void *GC_call_with_stack_base(GC_stack_base_func fn, void *arg)
{
	struct GC_stack_base base = { .mem_base = &base };
	void *result = fn(&base, arg);

	/* The frame has to be there for as long as @fn runs. */
	__asm__ volatile("" : : "r"(&base) : "memory");
	return result;
}

static void *bdw_call_blocking(bool blocks, GC_fn_type fn, void *data)
{
	bool was = bdw_blocking(blocks);
	void *result = fn(data);

	bdw_blocking(was);
	return result;
}

/*
 * A thread that says it has no pointers is searched like any other. It stops when it goes on
 * (suspend.c).
 */
GCH_API void *GC_do_blocking(GC_fn_type fn, void *data)
{
	return bdw_call_blocking(true, fn, data);
}

GCH_API void *GC_call_with_gc_active(GC_fn_type fn, void *data)
{
	return bdw_call_blocking(false, fn, data);
}

/* ---- words that the compiler is to keep, or to forget */

/* Until here the word is somewhere to be found. */
GCH_API void GC_noop1(GC_word word)
{
	__asm__ __volatile__("" : : "r"(word) : "memory");
}

/* What calls that returned have left below would count again under the next ones. */
GCH_API __attribute__((noinline)) void *GC_clear_stack(void *result)
{
	char below[BDW_CLEAR];

	memset(below, 0, sizeof(below));
	GC_noop1((GC_word)below);
	return result;
}
