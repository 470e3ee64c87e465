// SPDX-License-Identifier: GPL-2.0-only
/* Objects that move: all that refers to them follows, whatever the program does meanwhile. */
#include "raw.h"
#include "proc.h"
#include "uffd.h"
#include <sys/uio.h>
#include <sys/wait.h>

/* An object of 80 bytes, so that some lie across pages. */
struct node {
	uint64_t id;
	struct node *ref[2];
	struct node *weak;
	char *inside;		/* somewhere in ref[0] */
	uint64_t pad[4];
	uint64_t id_again;
};
enum { WORDS = sizeof(struct node) / 8, MAP = 0x16, WEAK = 0x08 };

static struct raw h;
static unsigned int cache;

/* Memory that is a root by registration only. */
static void *table(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void start(unsigned int flags)
{
	h = raw_open(flags);
	raw_param(&h, GCHEAP_PARAM_EVACUATE, 1);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	cache = raw_typed_as(&h, GCHEAP_CACHE_MOVABLE, WORDS, MAP, WEAK);
}

static struct node *make(uint64_t id)
{
	struct node *n = raw_take(&h, cache);

	n->id = id;
	n->id_again = id;
	return n;
}

static void compact_until(uint64_t moved)
{
	raw_compact(&h, moved);
	raw_verify(&h);
}

static void compact(void)
{
	compact_until(0);
}

static void show(const char *what)
{
	struct gcheap_status s = raw_status(&h);

	diag("%s: live %llu, heap %llu, resident %llu KiB; %llu flips, %llu moved, "
	     "%llu spans pinned; %llu pages, %llu + %llu zapped, "
	     "%llu faults, %llu us, %llu at most", what, s.live_bytes >> 10,
	     s.heap_bytes >> 10, s.resident_bytes >> 10, s.flips, s.moved_objects, s.spans_pinned,
	     s.flip_pages, s.flip_zapped, s.flip_zapped_late, s.flip_faults,
	     s.flip_fault_ns / 1000, s.flip_fault_ns_max / 1000);
}

/* ---- a table of objects that refer to each other, one in @OF of many */

enum { KEPT = 6000, OF = 16 };
static struct node **kept;

static void fill(unsigned int flags)
{
	start(flags);
	raw_hold(&h);
	kept = table(KEPT * sizeof(*kept));
	raw_root(&h, GCHEAP_ROOT_PRECISE, kept, KEPT * sizeof(*kept), NULL);
	srand(1);
	for (int i = 0; i < KEPT; i++) {
		int at = rand() % OF;

		for (int k = 0; k < OF; k++) {
			struct node *n = make(i);

			if (k == at)
				kept[i] = n;
		}
	}
	for (int i = 0; i < KEPT; i++) {
		struct node *n = kept[i];

		n->ref[0] = kept[(i * 7 + 1) % KEPT];
		n->ref[1] = kept[(i * 11 + 5) % KEPT];
		n->weak = kept[(i * 13 + 3) % KEPT];
		n->inside = (char *)n->ref[0] + i % sizeof(*n);
	}
	raw_flush(&h);
}

static void intact(void)
{
	for (int i = 0; i < KEPT; i++) {
		struct node *n = kept[i];

		CHECK_EQ(n->id, i);
		CHECK_EQ(n->id_again, i);
		CHECK(n->ref[0] == kept[(i * 7 + 1) % KEPT]);
		CHECK(n->ref[1] == kept[(i * 11 + 5) % KEPT]);
		CHECK(n->weak == kept[(i * 13 + 3) % KEPT]);
		CHECK(n->inside == (char *)n->ref[0] + i % sizeof(*n));
	}
}

TEST(table_is_followed)
{
	struct gcheap_status s;

	fill(GCHEAP_SETUP_PRECISE_ONLY);
	raw_collect(&h);
	show("swept");
	CHECK(raw_status(&h).heap_bytes > 8 * raw_status(&h).live_bytes);
	compact_until(KEPT * 9 / 10);
	show("compact");
	intact();
	s = raw_status(&h);
	CHECK_EQ(s.live_objects, KEPT);
	CHECK(s.heap_bytes * 4 <= s.live_bytes * 5);
	CHECK(s.resident_bytes * 4 <= s.live_bytes * 5);
	/* There is no more to move. */
	compact();
	CHECK(raw_status(&h).flips - s.flips <= 1);
	intact();
}

/* What stacks and registers refer to stays where it is. */
static NOINLINE void keep_some(void)
{
	static const int which[] = { 10, 2000, 4000, 5999 };
	struct node *volatile mine[4];

	for (int i = 0; i < 4; i++)
		mine[i] = kept[which[i]];
	compact_until(KEPT / 2 + 1);
	for (int i = 0; i < 4; i++)
		CHECK(mine[i] == kept[which[i]]);
}

TEST(stacks_pin)
{
	fill(0);
	keep_some();
	show("pinned");
	intact();
	CHECK(raw_status(&h).spans_pinned >= 2);
	wipe_stack();
	compact();
	intact();
}

TEST(turned_off)
{
	struct node *first;

	fill(GCHEAP_SETUP_PRECISE_ONLY);
	raw_param(&h, GCHEAP_PARAM_EVACUATE, 0);
	first = kept[0];
	compact();
	CHECK(kept[0] == first);
	CHECK_EQ(raw_status(&h).flips, 0);
	intact();
	raw_param(&h, GCHEAP_PARAM_EVACUATE, 1);
	compact_until(1);
	intact();
}

/* The program asked for it, and is in no such call any more when the next attempt is made. */
TEST(what_failed_is_not_made_up_for)
{
	uint32_t root;
	int fd;

	fill(GCHEAP_SETUP_PRECISE_ONLY);
	raw_collect(&h);
	root = raw_root(&h, 0, uffd_hole(4096, &fd), 4096, NULL);
	CHECK_ERR(raw_try_collect_as(&h, GCHEAP_COLLECT_COMPACT), EAGAIN);
	raw_root_del(&h, root);
	close(fd);
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).moved_objects, 0);
	intact();
	compact_until(KEPT * 9 / 10);
	intact();
}

/* R7: where it was, there is nothing, and then there is something else. */
TEST(old_addresses)
{
	struct node *old, *n = NULL;
	char byte;
	struct iovec here = { &byte, 1 }, there;

	fill(GCHEAP_SETUP_PRECISE_ONLY);
	old = kept[1];
	compact_until(KEPT * 9 / 10);
	CHECK(kept[1] != old);
	there = (struct iovec){ old, 1 };
	CHECK_ERR(process_vm_readv(getpid(), &here, 1, &there, 1, 0), EFAULT);
	CHECK(!raw_is_live(&h, (uintptr_t)old));
	there.iov_base = kept[1];
	CHECK_EQ(process_vm_readv(getpid(), &here, 1, &there, 1, 0), 1);
	raw_collect(&h);
	raw_collect(&h);
	for (int i = 0; i < KEPT * OF && n != old; i++)
		n = make(0);
	CHECK(n == old);
	intact();
}

/* A page that somebody has pinned is not moved from, and may be corrected where it is. */
TEST(others_have_it_pinned)
{
	struct node was, *stays;
	struct iovec v;
	int p[2];

	fill(GCHEAP_SETUP_PRECISE_ONLY);
	raw_collect(&h);
	stays = kept[77];
	v = (struct iovec){ stays, sizeof(*stays) };
	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(vmsplice(p[1], &v, 1, 0), sizeof(was));
	compact_until(1);
	CHECK(kept[77] == stays);
	CHECK(raw_status(&h).pages_busy > 0);
	intact();
	stays->pad[0] = 42;	/* the pipe has the page, not a copy */
	CHECK_EQ(read(p[0], &was, sizeof(was)), sizeof(was));
	CHECK_EQ(was.pad[0], 42);
	CHECK(!memcmp(&was, stays, sizeof(was)));
	compact();
	intact();
}

/* After fork() the pages of roots are shared: they cannot be written to as they are. */
TEST(roots_that_a_child_shares)
{
	pid_t pid;

	fill(GCHEAP_SETUP_PRECISE_ONLY);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	compact();
	show("after fork");
	intact();
	CHECK(raw_status(&h).roots_pinned > 0);
	CHECK(raw_status(&h).spans_pinned > 0);
	for (int i = 0; i < KEPT; i++)
		*(struct node *volatile *)&kept[i] = kept[i];
	compact_until(KEPT / 2);
	show("written");
	intact();
	CHECK(raw_status(&h).heap_bytes < 2 * raw_status(&h).live_bytes);
	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

/* What an array of any size refers to, by elements, and ephemerons by keys and values. */
TEST(arrays_and_ephemerons)
{
	struct gcheap_cache_create c = raw_cache_arg(GCHEAP_TYPED, 0);
	uint64_t one = 1, **root = table(4096), *array, *pairs;
	unsigned int arrays, ephemerons;

	start(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	c.elem_words = 1;
	c.elem_map = (uintptr_t)&one;
	CHECK_EQ(ioctl(h.fd, GCHEAP_IOC_CACHE_CREATE, &c), 0);
	arrays = c.cache;
	ephemerons = raw_pairs(&h, 0, 4000, 0, 0);
	raw_root(&h, GCHEAP_ROOT_PRECISE, root, 4096, NULL);
	root[0] = array = raw_try_large(&h, arrays, KEPT * 8);
	root[1] = pairs = raw_take(&h, ephemerons);
	for (int i = 0; i < KEPT; i++)
		for (int k = 0; k < OF; k++) {
			struct node *n = make(i);

			if (k == i % OF)
				array[i] = (uintptr_t)n;
		}
	for (int i = 0; i < 2000; i++) {
		pairs[2 * i] = array[i];
		pairs[2 * i + 1] = array[KEPT - 1 - i];
	}
	raw_flush(&h);
	compact_until(KEPT * 9 / 10);
	CHECK(root[0] == array && root[1] == pairs);
	for (int i = 0; i < KEPT; i++) {
		CHECK_EQ(((struct node *)array[i])->id, i);
		CHECK_EQ(((struct node *)array[i])->id_again, i);
	}
	for (int i = 0; i < 2000; i++) {
		CHECK_EQ(pairs[2 * i], array[i]);
		CHECK_EQ(pairs[2 * i + 1], array[KEPT - 1 - i]);
	}
	show("arrays");
}

/* ---- system calls into what moves: their arguments pin it, and iovecs in memory do not */

static struct buffer {
	char byte[160];
} **buffers;
enum { BUFFERS = 3000 };
static volatile int stop;

static unsigned int buffer_cache;

static void *caller(void *arg)
{
	int t = (long)arg, p[2];
	unsigned int seed = t;
	struct buffer b;
	long n = 0;

	CHECK_EQ(pipe(p), 0);
	raw_attach_stack(&h);
	for (; !stop; n++) {
		int i = t + 2 * (rand_r(&seed) % (BUFFERS / 2)), c = rand_r(&seed) % 256;

		memset(&b, c, sizeof(b));
		CHECK_EQ(write(p[1], &b, sizeof(b)), sizeof(b));
		CHECK_EQ(read(p[0], buffers[i], sizeof(b)), sizeof(b));
		sched_yield();
		CHECK_EQ(write(p[1], buffers[i], sizeof(b)), sizeof(b));
		memset(&b, ~c, sizeof(b));
		CHECK_EQ(read(p[0], &b, sizeof(b)), sizeof(b));
		for (size_t k = 0; k < sizeof(b); k++)
			CHECK_EQ((unsigned char)b.byte[k], c);
		/* Another one in its place, and what is soon garbage beside it. */
		for (int k = 0; k < 12; k++)
			buffers[i] = raw_take(&h, buffer_cache);
	}
	raw_detach(&h);
	return (void *)n;
}

TEST(system_calls)
{
	uint64_t end = now_ns() + 10e9;
	pthread_t id[2];
	void *n[2];

	start(0);
	buffer_cache = raw_cache_as(&h, GCHEAP_CACHE_MOVABLE, GCHEAP_NOSCAN,
				    sizeof(struct buffer));
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 32 << 20);
	buffers = table(BUFFERS * sizeof(*buffers));
	raw_root(&h, GCHEAP_ROOT_PRECISE, buffers, BUFFERS * sizeof(*buffers), NULL);
	for (int i = 0; i < BUFFERS; i++)
		buffers[i] = raw_take(&h, buffer_cache);
	for (long t = 0; t < 2; t++)
		id[t] = spawn(caller, (void *)t);
	while (now_ns() < end)
		compact();
	stop = 1;
	for (int t = 0; t < 2; t++)
		pthread_join(id[t], &n[t]);
	show("system calls");
	diag("%ld calls", 4 * ((long)n[0] + (long)n[1]));
	CHECK(raw_status(&h).moved_objects > 1000);
}

/* ---- killed, or the heap unmapped, at any point */

static void run_true(void)
{
	execl("/bin/true", "true", NULL);
	_exit(1);
}

static void end_somehow(int how)
{
	pid_t pid;
	int status;

	switch (how) {
	case 0:
		munmap(h.base, RAW_HEAP);
		break;
	case 1:
		kill(getpid(), SIGKILL);
		break;
	case 2:
		run_true();
		break;
	case 3:	/* goes on, and its child becomes another program */
		pid = fork();
		if (!pid)
			run_true();
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
		compact();
		intact();
		break;
	}
	_exit(0);
}

static void end_in_the_midst(int times, unsigned int step)
{
	for (int i = 0; i < times; i++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			fill(i % 2 ? 0 : GCHEAP_SETUP_PRECISE_ONLY);
			raw_collect(&h);
			raw_collect_start(&h, GCHEAP_COLLECT_COMPACT);
			usleep(i * step);
			end_somehow(i / 2 % 5);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		if (i / 2 % 5 != 1)
			CHECK_EQ(status, 0);
	}
}

TEST(ends_in_the_midst)
{
	end_in_the_midst(20, 3000);
}

/* The collector's steps take long, so that each is met. */
TEST(ends_in_the_midst_of_any_step)
{
	CHECK(raw_stress(1000));
	end_in_the_midst(tap_times(60), 300000 / tap_times(60));
	raw_stress(0);
}

/* ---- threads that go on all the while */

enum { THREADS = 4, NODES = 4000 };
static struct node **roots[THREADS];
static uint64_t edges[THREADS][NODES][3];	/* 1 + id */

static void link_to(int t, struct node *from, int f, struct node *to)
{
	if (f == 2)
		from->weak = to;
	else
		from->ref[f] = to;
	if (!f)
		from->inside = to ? (char *)to + 40 : NULL;
	edges[t][from->id][f] = to ? 1 + to->id : 0;
}

static void check_node(int t, struct node *n)
{
	CHECK(n->id < NODES);
	CHECK_EQ(n->id_again, n->id);
	for (int f = 0; f < 2; f++) {
		struct node *to = n->ref[f];

		CHECK_EQ(to ? 1 + to->id : 0, edges[t][n->id][f]);
	}
	CHECK(n->inside == (n->ref[0] ? (char *)n->ref[0] + 40 : NULL));
	if (n->weak)
		CHECK_EQ(1 + n->weak->id, edges[t][n->id][2]);
}

/*
 * Every node is in the table; what it refers to is what the shadow says. Some threads make
 * little that is new, and so seldom wait for the collector.
 */
static void *mutator(void *arg)
{
	int t = (long)arg;
	unsigned int seed = t;
	long n = 0;

	raw_attach_stack(&h);
	for (int i = 0; i < NODES; i++)
		roots[t][i] = make(i);
	for (; !stop; n++) {
		int i = rand_r(&seed) % NODES, k = rand_r(&seed) % NODES;
		struct node *a = roots[t][i], *b = roots[t][k], *fresh;

		CHECK_EQ(a->id, i);
		check_node(t, a);
		switch (rand_r(&seed) % (t % 2 ? 4 : 100)) {
		case 0:
			link_to(t, a, rand_r(&seed) % 3, b);
			break;
		case 1:
			link_to(t, a, rand_r(&seed) % 3, NULL);
			break;
		default:
			a->pad[1]++;
			break;
		case 3:	/* another one in its place; some garbage */
			for (int g = rand_r(&seed) % 16; g; g--)
				make(NODES - 1);
			fresh = make(i);
			for (int f = 0; f < 2; f++)
				link_to(t, fresh, f, a->ref[f]);
			link_to(t, fresh, 2, NULL);
			fresh->pad[0] = n;
			roots[t][i] = fresh;
			break;
		}
	}
	for (int i = 0; i < NODES; i++)
		check_node(t, roots[t][i]);
	raw_detach(&h);
	return (void *)n;
}

/* For so long, and some longer if there have not been so many flips. */
static void run_mutators(double seconds, uint64_t flips)
{
	uint64_t end = now_ns() + seconds * 1e9, last = end + 100e9;
	pthread_t id[THREADS];
	long sum = 0;
	void *n;

	for (long t = 0; t < THREADS; t++) {
		roots[t] = table(NODES * sizeof(**roots));
		raw_root(&h, GCHEAP_ROOT_PRECISE, roots[t], NODES * sizeof(**roots), NULL);
	}
	for (long t = 0; t < THREADS; t++)
		id[t] = spawn(mutator, (void *)t);
	while (now_ns() < end || (raw_status(&h).flips < flips && now_ns() < last))
		compact();
	stop = 1;
	for (int t = 0; t < THREADS; t++) {
		pthread_join(id[t], &n);
		sum += (long)n;
	}
	diag("%ld steps", sum);
}

static void check_mutators(uint64_t moved, uint64_t flips)
{
	start(0);
	raw_param(&h, GCHEAP_PARAM_CHECK, 1);
	raw_param(&h, GCHEAP_PARAM_MIN_HEAP, 32 << 20);
	run_mutators(tap_times(20), flips);
	show("mutators");
	CHECK_EQ(raw_status(&h).check_lost, 0);
	CHECK(raw_status(&h).moved_objects > moved);
}

TEST(mutators)
{
	check_mutators(1000, 1);
}

/* Evacuations are given up at any step. */
TEST(mutators_and_trouble)
{
	CHECK(raw_stress(50));
	check_mutators(0, 2);
	raw_stress(0);
}

TEST_MAIN
