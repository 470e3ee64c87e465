// SPDX-License-Identifier: GPL-2.0-only
/* Memory for the core on the host: counted, failing on demand, watched by ASan. */
#include <gcheap_env.h>

#include <gct_env.h>

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__) || defined(FUZZING)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)
#define ASAN_UNPOISON_MEMORY_REGION(p, n)
#endif

#define PAGE	4096ul

u64 env_allocs;
bool env_pressed;
bool env_stressed;
long env_fail_at;
char *env_arena;

#ifdef CONFIG_GCHEAP_DEBUG
ulong gch_rules_off;
#endif

static bool fails(void)
{
	return env_fail_at && !--env_fail_at;
}

static void *counted(void *p)
{
	if (p)
		__atomic_add_fetch(&env_allocs, 1, __ATOMIC_RELAXED);
	return p;
}

/* As kvzalloc(), which warns of sizes that cannot be meant. */
void *env_zalloc(size_t bytes)
{
	if (fails() || bytes > INT32_MAX)
		return NULL;
	return counted(calloc(1, bytes));
}

void env_free(void *p)
{
	if (p)
		__atomic_sub_fetch(&env_allocs, 1, __ATOMIC_RELAXED);
	free(p);
}

void *env_page_alloc(void)
{
	void *p = fails() ? NULL : aligned_alloc(PAGE, PAGE);

	if (p)
		memset(p, 0, PAGE);
	return counted(p);
}

void env_page_free(void *p)
{
	env_free(p);
}

/*
 * Heap pages: an arena indexed by frame number, as physical memory is. Frame 0
 * is no frame. Free ones are linked through their first word and poisoned.
 */
static u32 frame_free, frame_top = 1;

static void arena_make(void)
{
	env_arena = mmap(NULL, (size_t)FRAMES_MAX * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (env_arena == MAP_FAILED)
		env_bug("no arena");
	/* Large pages, as is all that a kernel has mapped. */
	madvise(env_arena, (size_t)FRAMES_MAX * PAGE, MADV_HUGEPAGE);
}

u32 frame_alloc(void)
{
	u32 f = frame_free;

	if (fails())
		return 0;
	if (!env_arena)
		arena_make();
	if (f) {
		ASAN_UNPOISON_MEMORY_REGION(env_frame_addr(f), PAGE);
		frame_free = *(u32 *)env_frame_addr(f);
	} else if (frame_top < FRAMES_MAX) {
		f = frame_top++;
	} else {
		return 0;
	}
	memset(env_frame_addr(f), 0, PAGE);
	env_allocs++;
	return f;
}

void frame_release(u32 f)
{
	*(u32 *)env_frame_addr(f) = frame_free;
	frame_free = f;
	env_allocs--;
	ASAN_POISON_MEMORY_REGION(env_frame_addr(f), PAGE);
}

void gct_fail(const char *file, int line, const char *what, u64 got, u64 want)
{
	printf("# %s:%d: %s: got %llu (%#llx), expected %llu (%#llx)\n", file, line,
	       what, got, got, want, want);
	fflush(stdout);
	abort();
}

unsigned long long env_outstanding(void)
{
	return env_allocs;
}
