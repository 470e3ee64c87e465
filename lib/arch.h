/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/*
 * What depends on the architecture: clearing memory, and where the C library
 * keeps a thread's storage.
 */
#ifndef GCH_ARCH_H
#define GCH_ARCH_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)

#include <immintrin.h>

__attribute__((target("avx")))
static inline void gch_zero_128(char *p)
{
	_mm256_storeu_si256((__m256i *)p, _mm256_setzero_si256());
	_mm256_storeu_si256((__m256i *)(p + 32), _mm256_setzero_si256());
	_mm256_storeu_si256((__m256i *)(p + 64), _mm256_setzero_si256());
	_mm256_storeu_si256((__m256i *)(p + 96), _mm256_setzero_si256());
}

/* What goes by 256 bytes; return where the rest begins. */
__attribute__((target("avx")))
static inline char *gch_zero_wide(char *p, const char *end)
{
	for (; p + 256 <= end; p += 256) {
		gch_zero_128(p);
		gch_zero_128(p + 128);
	}
	return p;
}

static inline void gch_zero_64(char *p)
{
	_mm_store_si128((__m128i *)p, _mm_setzero_si128());
	_mm_store_si128((__m128i *)(p + 16), _mm_setzero_si128());
	_mm_store_si128((__m128i *)(p + 32), _mm_setzero_si128());
	_mm_store_si128((__m128i *)(p + 48), _mm_setzero_si128());
}

/*
 * Clear @bytes, a multiple of 16, at most some KiB and likely soon used. Plain
 * stores and not memset(): no call, and no string instruction with its start-up.
 */
static inline void gch_zero(void *at, size_t bytes)
{
	char *p = at, *end = p + bytes;

	if (__builtin_cpu_supports("avx"))
		p = gch_zero_wide(p, end);
	for (; p + 64 <= end; p += 64)
		gch_zero_64(p);
	for (; p < end; p += 16)
		_mm_store_si128((__m128i *)p, _mm_setzero_si128());
}

static inline uintptr_t gch_thread_pointer(void)
{
	uintptr_t tp;

	__asm__("movq %%fs:0, %0" : "=r"(tp));
	return tp;
}

/* Static TLS ends at the thread pointer, the C library's descriptor starts there. */
#define GCH_DTV_OFFSET		8
#define GCH_DTV_STRIDE		16
#define GCH_DESCRIPTOR_SIZE	2304	/* if the C library does not tell */
#define GCH_TLS_SURPLUS		4096	/* likewise */

#else
#error "gcheap: this architecture is not supported yet"
#endif

#endif
