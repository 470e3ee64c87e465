// SPDX-License-Identifier: GPL-2.0-only
/* R1: an object referred to by nothing but one register of a thread. */
#include "raw.h"

/* Shared with the assembly below. */
static uintptr_t reg_hidden __attribute__((used));
static volatile int reg_ready __attribute__((used)), reg_stop __attribute__((used));
static int reg_pipe __attribute__((used));
static char reg_byte __attribute__((used));

/* Spin in user mode with the address in a register, and nowhere else. */
#define SPIN(reg)							\
	static void *spin_##reg(void *arg)				\
	{								\
		__asm__ volatile("lea -128(%%rsp), %%rsp\n"		\
				 "push %%" #reg "\n"			\
				 "mov reg_hidden(%%rip), %%" #reg "\n"	\
				 "not %%" #reg "\n"			\
				 "movl $1, reg_ready(%%rip)\n"		\
				 "1: pause\n"				\
				 "cmpl $0, reg_stop(%%rip)\n"		\
				 "je 1b\n"				\
				 "pop %%" #reg "\n"			\
				 "lea 128(%%rsp), %%rsp\n" : : : "memory", "cc"); \
		return NULL;						\
	}
SPIN(rax) SPIN(rbx) SPIN(rcx) SPIN(rdx) SPIN(rsi) SPIN(rdi) SPIN(rbp)
SPIN(r8) SPIN(r9) SPIN(r10) SPIN(r11) SPIN(r12) SPIN(r13) SPIN(r14) SPIN(r15)

/* Sleep in read(2) with it; the call keeps all but rax, rcx, r11 and its arguments. */
#define SLEEP(reg)							\
	static void *sleep_##reg(void *arg)				\
	{								\
		__asm__ volatile("lea -128(%%rsp), %%rsp\n"		\
				 "push %%" #reg "\n"			\
				 "mov reg_hidden(%%rip), %%" #reg "\n"	\
				 "not %%" #reg "\n"			\
				 "movl $1, reg_ready(%%rip)\n"		\
				 "mov reg_pipe(%%rip), %%edi\n"		\
				 "lea reg_byte(%%rip), %%rsi\n"		\
				 "mov $1, %%edx\n"			\
				 "xor %%eax, %%eax\n"			\
				 "syscall\n"				\
				 "pop %%" #reg "\n"			\
				 "lea 128(%%rsp), %%rsp\n" : : :	\
				 "memory", "cc", "rax", "rcx", "r11", "rdi", "rsi", "rdx"); \
		return NULL;						\
	}
SLEEP(rbx) SLEEP(rbp) SLEEP(r8) SLEEP(r9) SLEEP(r10)
SLEEP(r12) SLEEP(r13) SLEEP(r14) SLEEP(r15)

/* In one lane of a vector register; load places rax in it. */
#define VECTOR(name, load, wait)					\
	static void *name(void *arg)					\
	{								\
		__asm__ volatile("mov reg_hidden(%%rip), %%rax\n"	\
				 "not %%rax\n"				\
				 load					\
				 "xor %%eax, %%eax\n"			\
				 "movl $1, reg_ready(%%rip)\n"		\
				 wait					\
				 "pxor %%xmm0, %%xmm0\n"		\
				 "pxor %%xmm7, %%xmm7\n"		\
				 "pxor %%xmm15, %%xmm15\n" : : :	\
				 "memory", "cc", "rax", "rcx", "r11", "rdi", "rsi", \
				 "rdx", "xmm0", "xmm1", "xmm7", "xmm15"); \
		return NULL;						\
	}
#define WAIT_SPIN	"1: pause\n cmpl $0, reg_stop(%%rip)\n je 1b\n"
#define WAIT_SLEEP	"mov reg_pipe(%%rip), %%edi\n lea reg_byte(%%rip), %%rsi\n" \
			"mov $1, %%edx\n xor %%eax, %%eax\n syscall\n"
#define LOW(x)		"movq %%rax, %%" #x "\n"
#define HIGH(x)		"movq %%rax, %%" #x "\n pslldq $8, %%" #x "\n"
#define UPPER(n)	"vpxor %%xmm1, %%xmm1, %%xmm1\n vmovq %%rax, %%xmm1\n"	\
			"vpxor %%xmm" #n ", %%xmm" #n ", %%xmm" #n "\n"		\
			"vinserti128 $1, %%xmm1, %%ymm" #n ", %%ymm" #n "\n"	\
			"vpxor %%xmm1, %%xmm1, %%xmm1\n"
VECTOR(spin_xmm0_low, LOW(xmm0), WAIT_SPIN)
VECTOR(spin_xmm0_high, HIGH(xmm0), WAIT_SPIN)
VECTOR(spin_xmm15_low, LOW(xmm15), WAIT_SPIN)
VECTOR(spin_xmm15_high, HIGH(xmm15), WAIT_SPIN)
VECTOR(spin_ymm7_upper, UPPER(7), WAIT_SPIN)
VECTOR(spin_ymm15_upper, UPPER(15), WAIT_SPIN)
VECTOR(sleep_xmm0_low, LOW(xmm0), WAIT_SLEEP)
VECTOR(sleep_xmm15_high, HIGH(xmm15), WAIT_SLEEP)
VECTOR(sleep_ymm7_upper, UPPER(7), WAIT_SLEEP)
VECTOR(sleep_ymm15_upper, UPPER(15), WAIT_SLEEP)

struct way {
	const char *name;
	void *(*fn)(void *);
};
#define W(fn) { #fn, fn }

static const struct way spinning[] = {
	W(spin_rax), W(spin_rbx), W(spin_rcx), W(spin_rdx), W(spin_rsi), W(spin_rdi),
	W(spin_rbp), W(spin_r8), W(spin_r9), W(spin_r10), W(spin_r11), W(spin_r12),
	W(spin_r13), W(spin_r14), W(spin_r15), { NULL, NULL }
};
static const struct way sleeping[] = {
	W(sleep_rbx), W(sleep_rbp), W(sleep_r8), W(sleep_r9), W(sleep_r10),
	W(sleep_r12), W(sleep_r13), W(sleep_r14), W(sleep_r15), { NULL, NULL }
};
static const struct way sse[] = {
	W(spin_xmm0_low), W(spin_xmm0_high), W(spin_xmm15_low), W(spin_xmm15_high),
	W(sleep_xmm0_low), W(sleep_xmm15_high), { NULL, NULL }
};
static const struct way avx[] = {
	W(spin_ymm7_upper), W(spin_ymm15_upper), W(sleep_ymm7_upper),
	W(sleep_ymm15_upper), { NULL, NULL }
};

/* Kept while the thread has it, gone soon after it has not. */
static void kept_by(const struct way *w)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	int p[2], freed = 0, n = 0;
	uintptr_t gone[32];
	pthread_t t;

	CHECK_EQ(pipe(p), 0);
	reg_pipe = p[0];
	anchor(&h, c);
	for (; w->name; w++, n++) {
		reg_hidden = gone[n] = take_hidden(&h, c);
		settle(&h);
		reg_ready = reg_stop = 0;
		t = spawn(w->fn, NULL);
		while (!reg_ready)
			usleep(100);
		usleep(2000);
		for (int i = 0; i < 3; i++) {
			raw_collect(&h);
			if (!hidden_live(&h, reg_hidden))
				FAIL("%s: lost in cycle %d", w->name, i);
		}
		reg_stop = 1;
		CHECK_EQ(write(p[1], "", 1), 1);
		pthread_join(t, NULL);
		if (!strncmp(w->name, "spin", 4))
			CHECK_EQ(read(p[0], &reg_byte, 1), 1);
	}
	/* A joined thread may take a moment to be gone. */
	for (int tries = 0; tries < 20 && freed < n - 2; tries++) {
		usleep(10000);
		wipe();
		raw_collect(&h);
		freed = 0;
		for (int i = 0; i < n; i++)
			freed += !hidden_live(&h, gone[i]);
	}
	diag("%d of %d were freed afterwards", freed, n);
	CHECK(freed >= n - 2);
}

TEST(general_registers_of_a_spinning_thread)
{
	kept_by(spinning);
}

TEST(general_registers_of_a_sleeping_thread)
{
	kept_by(sleeping);
}

TEST(xmm)
{
	kept_by(sse);
}

TEST(ymm)
{
	if (!__builtin_cpu_supports("avx2"))
		SKIP("no AVX2 here");
	kept_by(avx);
}

/* The thread that asks for the collection is one, too. */
TEST(of_the_caller)
{
	struct raw h = raw_open(0);
	unsigned int c = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	struct gcheap_collect arg = { .size = sizeof(arg), .flags = GCHEAP_COLLECT_WAIT };
	uintptr_t hidden;
	long r = -1;

	anchor(&h, c);
	hidden = take_hidden(&h, c);
	settle(&h);
	for (int i = 0; i < 20 && r; i++) {
		register uintptr_t keep __asm__("r13") = ~hidden;

		__asm__ volatile("syscall" : "=a"(r), "+r"(keep) :
				 "a"((long)SYS_ioctl), "D"((long)h.fd),
				 "S"((long)GCHEAP_IOC_COLLECT), "d"(&arg) :
				 "rcx", "r11", "memory");
		keep = 0;
		__asm__ volatile("" : : "r"(keep));
	}
	CHECK_EQ(r, 0);
	CHECK(hidden_live(&h, hidden));
}

TEST_MAIN
