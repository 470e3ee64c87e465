// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Thread-local storage: the block around every thread's thread pointer, with the
 * C library's descriptor of the thread above it, and blocks allocated later, which
 * the dynamic thread vector leads to.
 */
#include <dlfcn.h>
#include <link.h>

#include "arch.h"
#include "gch.h"

#define GCH_TLS_MOST	(1u << 20)

static int gch_add_tls(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t tp = gch_thread_pointer(), block = (uintptr_t)info->dlpi_tls_data;
	size_t *below = arg;

	if (block && block < tp && tp - block < GCH_TLS_MOST && tp - block > *below)
		*below = tp - block;
	return 0;
}

/* Neither more nor less than there is: the main thread has nothing around it. */
void gch_tls_setup(void)
{
	void (*info)(size_t *size, size_t *align) = dlsym(RTLD_DEFAULT,
							  "_dl_get_tls_static_info");
	const uint32_t *descriptor = dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread");
	size_t size = 0, align;

	gch.tls_above = descriptor ? *descriptor : GCH_DESCRIPTOR_SIZE;
	if (info) {
		info(&size, &align);
		size = size > gch.tls_above ? size - gch.tls_above : 0;
	} else {
		gch_walk(gch_add_tls, &size);
	}
	gch.tls_below = size < GCH_TLS_MOST ? (size + 7) & ~7ul : GCH_TLS_MOST;
}

static bool gch_tls_is_static(const void *block)
{
	uintptr_t tp = gch_thread_pointer(), at = (uintptr_t)block;

	return at && at < tp && tp - at <= gch.tls_below;
}

/* A loaded object's storage, unless it is in the static block; false: no memory. */
bool gch_tls_note(struct gch_vec *modules, uint32_t module, size_t bytes, const void *block)
{
	struct gcheap_tls_module *m;

	if (gch_tls_is_static(block))
		return true;
	m = gch_vec_push(modules, sizeof(*m));
	if (m)
		*m = (struct gcheap_tls_module){ .module = module, .bytes = bytes };
	return m;
}

int gch_tls_tell(struct gcheap *h, const struct gch_vec *modules)
{
	GCH_ARG(gcheap_tls, arg);

	arg.below = gch.tls_below;
	arg.above = gch.tls_above;
	arg.flags = GCHEAP_TLS_COUNTED;
	arg.dtv_offset = GCH_DTV_OFFSET;
	arg.dtv_stride = GCH_DTV_STRIDE;
	arg.nmodules = modules->n;
	arg.modules = (uintptr_t)modules->items;
	return gch_call(h, GCHEAP_IOC_TLS, &arg);
}
