// SPDX-License-Identifier: GPL-2.0-only
/*
 * R11: pinned pages. Who has a page pinned writes to it without the page tables: it is
 * looked at again in the pause as long as it was pinned in the last round.
 *
 * Without it: [1-9][0-9]* of [0-9]+ writes were missed
 */
#include "../raw.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/uio.h>

enum { CYCLES = 60, STRESS_US = 20000 };

static struct raw h;
static uint64_t *to;		/* word of an object */
static uint64_t *from;		/* a page that is missing until it is let come */
static sem_t begin, done;
static volatile bool enough;

/* The kernel pins the page written to, then faults on the one read from, and waits. */
static void *write_through_pin(void *arg)
{
	struct iovec src = { from, 8 }, dst = { to, 8 };

	(void)arg;
	for (;;) {
		sem_wait(&begin);
		if (enough)
			return NULL;
		CHECK_EQ(process_vm_writev(getpid(), &src, 1, &dst, 1, 0), 8);
		sem_post(&done);
	}
}

static int missing_pages(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (fd < 0)
		SKIP("no userfaultfd");
	CHECK_EQ(ioctl(fd, UFFDIO_API, &api), 0);
	from = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(from != MAP_FAILED);
	reg.range.start = (uintptr_t)from;
	reg.range.len = 4096;
	CHECK_EQ(ioctl(fd, UFFDIO_REGISTER, &reg), 0);
	return fd;
}

static void await_fault(int fd)
{
	struct uffd_msg m;

	CHECK_EQ(read(fd, &m, sizeof(m)), (ssize_t)sizeof(m));
	CHECK_EQ(m.event, UFFD_EVENT_PAGEFAULT);
}

static void let_come(int fd, uint64_t word)
{
	static uint64_t page[512] __attribute__((aligned(4096)));
	struct uffdio_copy c = { .dst = (uintptr_t)from, .src = (uintptr_t)page, .len = 4096 };

	page[0] = word;
	CHECK_EQ(ioctl(fd, UFFDIO_COPY, &c), 0);
	page[0] = 0;
}

/*
 * An object that nothing refers to, until the write that is under way does. Return: whether
 * that was over before the pause that completes the marking; *@missed: and was not seen.
 */
static bool one_cycle(int fd, unsigned int cache, uint64_t *seed, bool *missed)
{
	uintptr_t hidden = take_hidden(&h, cache);
	uint64_t before = raw_status(&h).cycles;
	bool in_time;

	raw_flush(&h);
	sem_post(&begin);
	await_fault(fd);
	raw_collect_start(&h, 0);
	while (raw_status(&h).phase != GCHEAP_PHASE_TRACE && raw_status(&h).cycles == before)
		usleep(100);
	usleep(rnd(seed) % (8 * STRESS_US));
	let_come(fd, ~hidden);
	sem_wait(&done);
	/* This thread is stopped in pauses: after the last one it sees another phase. */
	in_time = raw_status(&h).phase == GCHEAP_PHASE_TRACE && raw_status(&h).cycles == before;
	while (raw_status(&h).cycles == before)
		usleep(1000);
	*missed = !hidden_live(&h, hidden);
	*to = 0;
	CHECK_EQ(madvise(from, 4096, MADV_DONTNEED), 0);
	return in_time;
}

TEST(R11_pinned_pages)
{
	unsigned int cache, writes = 0, unseen = 0, in_way[4] = { };
	uint64_t seed = raw_seed();
	bool missed;
	pthread_t t;
	int fd;

	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	cache = raw_cache(&h, GCHEAP_NOSCAN, 32);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_root(&h, 0, &to, sizeof(to), NULL);
	to = raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 4096));
	raw_flush(&h);
	fd = missing_pages();
	sem_init(&begin, 0, 0);
	sem_init(&done, 0, 0);
	t = spawn(write_through_pin, NULL);
	if (!raw_stress(STRESS_US))
		SKIP("module parameters cannot be set");
	/* Of each way some, however the dice fall. */
	for (int i = 0; i < CYCLES || (i < 5 * CYCLES && !(in_way[1] && in_way[2] && in_way[3]));
	     i++) {
		unsigned int way = GCHEAP_TRACK_DIRTY + i % 3;

		raw_param(&h, GCHEAP_PARAM_TRACK, way);
		if (!one_cycle(fd, cache, &seed, &missed))
			continue;
		in_way[way]++;
		writes++;
		unseen += missed;
	}
	raw_stress(0);
	enough = true;
	sem_post(&begin);
	pthread_join(t, NULL);
	diag("%u writes in time: %u with dirty bits, %u with protection, %u with unmapping",
	     writes, in_way[GCHEAP_TRACK_DIRTY], in_way[GCHEAP_TRACK_PROTECT],
	     in_way[GCHEAP_TRACK_UNMAP]);
	CHECK(writes >= 5);
	CHECK(in_way[1] && in_way[2] && in_way[3]);
	if (unseen)
		FAIL("%u of %u writes were missed", unseen, writes);
	raw_verify(&h);
}

TEST_MAIN
