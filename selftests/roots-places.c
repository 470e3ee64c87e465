// SPDX-License-Identifier: GPL-2.0-only
/*
 * An object referred to by one place only: stacks, thread-local storage. Each
 * must keep it, and must keep it no longer.
 */
#include "raw.h"
#include "dl.h"
#include <asm/prctl.h>
#include <link.h>
#include <semaphore.h>
#include <ucontext.h>

enum { N = 32 };

static struct raw h;
static unsigned int cache;
static uintptr_t hidden[N];
static sem_t ready, leave;

static void start(void)
{
	h = raw_open(0);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	anchor(&h, cache);
	for (int i = 0; i < N; i++)
		hidden[i] = take_hidden(&h, cache);
	settle(&h);
	sem_init(&ready, 0, 0);
	sem_init(&leave, 0, 0);
}

static int alive(void)
{
	int n = 0;

	for (int i = 0; i < N; i++)
		n += hidden_live(&h, hidden[i]);
	return n;
}

static void all_kept(void)
{
	for (int i = 0; i < 3; i++) {
		raw_collect(&h);
		CHECK_EQ(alive(), N);
	}
}

static void nearly_all_freed(void)
{
	wipe();
	raw_collect(&h);
	if (alive() > N / 8)
		FAIL("%d of %d still there", alive(), N);
	raw_verify(&h);
}

static NOINLINE void fill(void *volatile *place)
{
	for (int i = 0; i < N; i++)
		place[i] = UNHIDE(hidden[i]);
}

static NOINLINE void empty(void *volatile *place)
{
	for (int i = 0; i < N; i++)
		place[i] = NULL;
}

static NOINLINE void put_and_wait(void *volatile *place)
{
	fill(place);
	wipe();
	sem_post(&ready);
	while (sem_wait(&leave))
		;
	empty(place);
}

/* A control for the others: kept by nothing. */
TEST(nowhere)
{
	start();
	nearly_all_freed();
}

TEST(own_stack)
{
	void *volatile place[N];

	start();
	fill(place);
	all_kept();
	empty(place);
	nearly_all_freed();
}

static NOINLINE void deep(int level)
{
	void *volatile place[1024];

	empty(place);
	if (level) {
		deep(level - 1);
		empty(place);
		return;
	}
	fill(place);
	all_kept();
	empty(place);
}

TEST(own_stack_deep)
{
	start();
	deep(200);
	nearly_all_freed();
}

static void *on_stack(void *arg)
{
	void *volatile place[N];

	put_and_wait(place);
	return NULL;
}

static void other_thread(void *(*fn)(void *))
{
	pthread_t t;

	start();
	t = spawn(fn, NULL);
	sem_wait(&ready);
	all_kept();
	sem_post(&leave);
	pthread_join(t, NULL);
	nearly_all_freed();
}

TEST(stack_of_a_thread_never_attached)
{
	other_thread(on_stack);
}

static void *attached_on_stack(void *arg)
{
	raw_attach(&h);
	on_stack(arg);
	raw_detach(&h);
	return NULL;
}

TEST(stack_of_an_attached_thread)
{
	other_thread(attached_on_stack);
}

static uint64_t zone_hidden[4] __attribute__((used));
static volatile int zone_ready __attribute__((used)), zone_stop __attribute__((used));

/* The 128 bytes below the stack pointer are the function's as well. */
static void *in_red_zone(void *arg)
{
	__asm__ volatile("lea -256(%%rsp), %%rsp\n"
			 "mov zone_hidden(%%rip), %%rax\n not %%rax\n"
			 "mov %%rax, -128(%%rsp)\n"
			 "mov zone_hidden+8(%%rip), %%rax\n not %%rax\n"
			 "mov %%rax, -64(%%rsp)\n"
			 "mov zone_hidden+16(%%rip), %%rax\n not %%rax\n"
			 "mov %%rax, -8(%%rsp)\n"
			 "xor %%eax, %%eax\n"
			 "movl $1, zone_ready(%%rip)\n"
			 "1: pause\n cmpl $0, zone_stop(%%rip)\n je 1b\n"
			 "movq $0, -128(%%rsp)\n movq $0, -64(%%rsp)\n movq $0, -8(%%rsp)\n"
			 "lea 256(%%rsp), %%rsp\n" : : : "rax", "memory", "cc");
	return NULL;
}

TEST(red_zone)
{
	pthread_t t;

	start();
	for (int i = 0; i < 3; i++)
		zone_hidden[i] = hidden[i];
	t = spawn(in_red_zone, NULL);
	while (!zone_ready)
		usleep(100);
	raw_collect(&h);
	for (int i = 0; i < 3; i++)
		CHECK(hidden_live(&h, hidden[i]));
	zone_stop = 1;
	pthread_join(t, NULL);
	nearly_all_freed();
}

/* The stack pointer is elsewhere; the thread's own stack is alive underneath. */
static void handler(int sig)
{
	wipe_stack();
	sem_post(&ready);
	while (sem_wait(&leave))
		;
}

static void *on_alternate_stack(void *arg)
{
	void *volatile place[N];
	stack_t alt = { .ss_size = 256 << 10 };
	struct sigaction a = { .sa_handler = handler, .sa_flags = SA_ONSTACK };

	alt.ss_sp = mmap(NULL, alt.ss_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	raw_attach_stack(&h);
	fill(place);
	sigaltstack(&alt, NULL);
	sigaction(SIGUSR1, &a, NULL);
	raise(SIGUSR1);
	empty(place);
	raw_detach(&h);
	return NULL;
}

TEST(stack_below_an_alternate_stack)
{
	other_thread(on_alternate_stack);
}

static __thread void *volatile tls_words[N];

static int lowest_tls(struct dl_phdr_info *info, size_t size, void *data)
{
	uintptr_t *low = data;

	if (info->dlpi_tls_data && (uintptr_t)info->dlpi_tls_data < *low)
		*low = (uintptr_t)info->dlpi_tls_data;
	return 0;
}

/* What the library tells the kernel of static and dynamic TLS. */
static void describe_tls(void *object)
{
	uintptr_t fs = (uintptr_t)__builtin_thread_pointer(), low = fs;
	struct gcheap_tls_module m = { 0, 4 * sizeof(void *) };
	struct gcheap_tls t = {
		.size = sizeof(t), .above = 64, .dtv_offset = 8, .dtv_stride = 16,
		.flags = GCHEAP_TLS_COUNTED,
	};
	size_t module;

	dl_iterate_phdr(lowest_tls, &low);
	t.below = (fs - low + 15) & ~15ul;
	if (object) {
		CHECK_EQ(dlinfo(object, RTLD_DI_TLS_MODID, &module), 0);
		m.module = module;
		t.nmodules = 1;
		t.modules = (uintptr_t)&m;
	}
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_TLS, &t), 0);
}

TEST(tls_of_the_main_thread)
{
	start();
	describe_tls(NULL);
	fill(tls_words);
	wipe();
	all_kept();
	empty(tls_words);
	nearly_all_freed();
}

static void *in_tls(void *arg)
{
	put_and_wait(tls_words);
	return NULL;
}

TEST(tls_of_another_thread)
{
	pthread_t t;

	start();
	describe_tls(NULL);
	t = spawn(in_tls, NULL);
	sem_wait(&ready);
	all_kept();
	sem_post(&leave);
	pthread_join(t, NULL);
	nearly_all_freed();
}

/*
 * With a thread pointer of its own making, no C library from there on: the vector it
 * leads to is in a page of the heap that was never touched.
 */
static void *with_its_vector_in_the_heap(void *arg)
{
	uintptr_t fs = (uintptr_t)__builtin_thread_pointer();
	static uintptr_t block[256];
	long ret;

	memcpy(block + 128, (void *)fs, 1024);
	block[128] = (uintptr_t)&block[128];
	block[129] = (uintptr_t)h.base + h.setup.heap_size - 65536;
	__asm__ volatile("syscall" : "=a"(ret) : "a"(SYS_arch_prctl), "D"(ARCH_SET_FS),
			 "S"(&block[128]) : "rcx", "r11", "memory");
	*(volatile int *)arg = 1;
	while (*(volatile int *)arg == 1)
		;
	__asm__ volatile("syscall" : "=a"(ret) : "a"(SYS_arch_prctl), "D"(ARCH_SET_FS),
			 "S"(fs) : "rcx", "r11", "memory");
	return NULL;
}

TEST(vector_in_the_heap)
{
	struct gcheap_tls_module m[2] = { { 1, 4096 }, { 3, 4096 } };
	struct gcheap_tls t = {
		.size = sizeof(t), .above = 64, .dtv_offset = 8, .dtv_stride = 16,
		.nmodules = 2, .modules = (uintptr_t)m,
	};
	static volatile int state;
	pthread_t thread;

	start();
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_TLS, &t), 0);
	thread = spawn(with_its_vector_in_the_heap, (void *)&state);
	while (!state)
		sched_yield();
	for (int i = 0; i < 5; i++)
		raw_collect(&h);
	state = 2;
	pthread_join(thread, NULL);
	raw_verify(&h);
}

static void **(*dl_tls_address)(void);

static void *in_dynamic_tls(void *arg)
{
	void **words = dl_tls_address();

	for (int i = 0; i < 4; i++)
		words[i] = UNHIDE(hidden[i]);
	words = NULL;
	wipe();
	sem_post(&ready);
	while (sem_wait(&leave))
		;
	words = dl_tls_address();
	memset(words, 0, 4 * sizeof(*words));
	return NULL;
}

TEST(tls_of_a_dlopened_object)
{
	void *object = open_object();
	pthread_t t;

	dl_tls_address = (void **(*)(void))dlsym(object, "dl_tls_address");
	CHECK(dl_tls_address);
	start();
	describe_tls(object);
	t = spawn(in_dynamic_tls, NULL);
	sem_wait(&ready);
	for (int i = 0; i < 3; i++) {
		raw_collect(&h);
		for (int k = 0; k < 4; k++)
			CHECK(hidden_live(&h, hidden[k]));
	}
	sem_post(&leave);
	pthread_join(t, NULL);
	nearly_all_freed();
}

/* A coroutine runs on memory of its own; the thread's stack sleeps beneath it. */
static ucontext_t back, there;

static void coroutine(void)
{
	wipe_stack();
	sem_post(&ready);
	while (sem_wait(&leave))
		;
}

static void *in_a_coroutine(void *arg)
{
	void *volatile place[N];

	raw_attach_stack(&h);
	getcontext(&there);
	there.uc_stack.ss_size = 256 << 10;
	there.uc_stack.ss_sp = mmap(NULL, there.uc_stack.ss_size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	there.uc_link = &back;
	makecontext(&there, coroutine, 0);
	fill(place);
	swapcontext(&back, &there);
	empty(place);
	raw_detach(&h);
	return NULL;
}

TEST(stack_below_a_coroutine)
{
	other_thread(in_a_coroutine);
}

/* Its stack is where memory ends: of a file, or of another heap's object. */
static char *odd_stack;

static void *in_an_odd_coroutine(void *arg)
{
	void *volatile place[N];

	getcontext(&there);
	there.uc_stack.ss_sp = odd_stack;
	there.uc_stack.ss_size = 64 << 10;
	there.uc_link = &back;
	makecontext(&there, coroutine, 0);
	raw_attach_stack(&h);
	fill(place);
	swapcontext(&back, &there);
	empty(place);
	raw_detach(&h);
	return NULL;
}

TEST(coroutine_at_the_end_of_a_file)
{
	char path[] = "/tmp/gcheap-stack-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	CHECK_EQ(ftruncate(fd, 64 << 10), 0);
	odd_stack = mmap(NULL, 68 << 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(odd_stack != MAP_FAILED);
	other_thread(in_an_odd_coroutine);
}

TEST(coroutine_in_another_heap)
{
	struct raw other = raw_open(GCHEAP_SETUP_PRECISE_ONLY);

	odd_stack = raw_try_large(&other, raw_cache(&other, GCHEAP_NOSCAN, 0), 64 << 10);
	CHECK(odd_stack);
	raw_root(&other, 0, &odd_stack, sizeof(odd_stack), NULL);
	other_thread(in_an_odd_coroutine);
}

/* The main thread's stack has no bounds that anyone was told. */
static void *sees_all(void *arg)
{
	sem_wait(&ready);
	all_kept();
	sem_post(&leave);
	return NULL;
}

static NOINLINE void in_a_coroutine_here(void)
{
	void *volatile place[N];

	getcontext(&there);
	there.uc_stack.ss_size = 256 << 10;
	there.uc_stack.ss_sp = mmap(NULL, there.uc_stack.ss_size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	there.uc_link = &back;
	makecontext(&there, coroutine, 0);
	fill(place);
	swapcontext(&back, &there);
	empty(place);
}

TEST(main_stack_below_a_coroutine)
{
	pthread_t t;

	start();
	t = spawn(sees_all, NULL);
	in_a_coroutine_here();
	pthread_join(t, NULL);
	nearly_all_freed();
}

/* mprotect and mlock cut the stack's mapping into pieces. */
static void *on_cut_stack(void *arg)
{
	char *page = (char *)((uintptr_t)__builtin_frame_address(0) & ~4095ul);
	void *volatile place[N];

	mlock(page - 16 * 4096, 4096);
	mprotect(page - 40 * 4096, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	mlock(page, 4096);
	put_and_wait(place);
	mprotect(page - 40 * 4096, 4096, PROT_READ | PROT_WRITE);
	munlock(page, 4096);
	munlock(page - 16 * 4096, 4096);
	return NULL;
}

static NOINLINE void *cut_below(void *arg)
{
	volatile char frame[100 << 10];

	frame[0] = frame[sizeof(frame) - 1] = 1;
	on_cut_stack(arg);
	return (void *)(long)(frame[0] - 1);
}

/* The words are high up, the cuts between them and the stack pointer. */
static NOINLINE void sink(int level)
{
	void *volatile frame[1024];

	empty(frame);
	if (level) {
		sink(level - 1);
		empty(frame);
		return;
	}
	char *page = (char *)((uintptr_t)__builtin_frame_address(0) & ~4095ul);

	mlock(page + 16 * 4096, 4096);
	mprotect(page + 32 * 4096, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	sem_post(&ready);
	while (sem_wait(&leave))
		;
	mprotect(page + 32 * 4096, 4096, PROT_READ | PROT_WRITE);
	munlock(page + 16 * 4096, 4096);
}

static void *above_the_cuts(void *arg)
{
	void *volatile place[N];

	fill(place);
	sink(30);
	empty(place);
	return NULL;
}

TEST(stack_cut_by_mlock_and_mprotect)
{
	other_thread(above_the_cuts);
}

TEST(stack_with_cuts_below)
{
	other_thread(cut_below);
}

/* The argument and the return value of a thread live in its descriptor. */
/*
 * Every page is a mapping of its own and not there: more parts than twenty attempts can
 * remember. An attempt that got further is not one of the twenty.
 */
TEST(very_many_pages_of_a_stack_are_not_there)
{
	enum { PAGES = 3000 };
	char *lo = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	CHECK(lo != MAP_FAILED);
	for (int i = 0; i < PAGES; i += 2)
		CHECK_EQ(mprotect(lo + i * 4096, 4096, PROT_READ), 0);
	h = raw_open_with(raw_setup_arg(0));
	raw_attach_at(&h, (uintptr_t)lo, (uintptr_t)lo + PAGES * 4096);
	CHECK_EQ(raw_try_collect(&h), 0);
	CHECK_EQ(raw_try_collect(&h), 0);
}

static void *returns_it(void *arg)
{
	void *p = UNHIDE(hidden[0]);

	sem_post(&ready);
	return p;
}

TEST(return_value_of_an_unjoined_thread)
{
	pthread_t t;
	void *result;

	start();
	describe_tls(NULL);
	t = spawn(returns_it, NULL);
	sem_wait(&ready);
	usleep(100000);		/* the thread is gone, its stack is not */
	wipe();
	raw_collect(&h);
	/*
	 * R15: how a dead thread is known is the library's business (it wraps
	 * pthread_create); on the bare interface nothing is promised but safety.
	 */
	raw_verify(&h);
	pthread_join(t, &result);
	CHECK(result == UNHIDE(hidden[0]));
}

TEST_MAIN
