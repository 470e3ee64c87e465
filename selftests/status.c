// SPDX-License-Identifier: GPL-2.0-only
/* What can be seen from outside: status page, fdinfo, tracepoints. */
#include "raw.h"
#include <dirent.h>
#include <sys/stat.h>

static struct raw h;
static unsigned int cache;
static volatile int stop;

static void start(void)
{
	h = raw_open(0);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
}

TEST(at_the_start)
{
	struct gcheap_status s;

	start();
	s = raw_status(&h);
	CHECK_EQ(s.size, sizeof(s));
	CHECK_EQ(s.cycles, 0);
	CHECK_EQ(s.heap_bytes, 0);
	CHECK_EQ(s.threads, 1);
	CHECK_EQ(s.phase, GCHEAP_PHASE_IDLE);
	CHECK_EQ(s.limit_bytes, 0);
}

TEST(counts_add_up)
{
	struct gcheap_status s;
	uint64_t stops = 0, pauses = 0;

	start();
	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 1000; k++)
			raw_take(&h, cache);
		raw_collect(&h);
	}
	s = raw_status(&h);
	CHECK(s.cycles >= 20);
	CHECK(s.alloc_bytes >= 20 * 1000 * 64);
	CHECK(s.heap_peak >= s.heap_bytes);
	CHECK(s.spans_handed >= s.span_calls);
	CHECK(s.pause_ns_total >= s.pause_ns_max && s.pause_ns_max >= s.pause_ns_last);
	CHECK(s.pause_ns_max > 0 && s.stop_ns_max > 0);
	CHECK(s.root_words > 0);
	CHECK(s.threads_stopped >= 1);
	CHECK(s.freed_objects > 10000);
	for (int i = 0; i < 32; i++) {
		stops += s.stop_hist[i];
		pauses += s.pause_hist[i];
	}
	CHECK(stops >= s.cycles);
	CHECK(pauses >= s.cycles);
}

/* A reader beside a writer never sees half of an update. */
static void *reader(void *arg)
{
	uint64_t last = 0, n = 0;

	while (!stop) {
		struct gcheap_status s = raw_status(&h);

		CHECK(s.cycles >= last);
		CHECK(s.live_objects >= s.marked_objects);
		CHECK(s.heap_bytes <= s.heap_peak);
		CHECK(s.alloc_large_bytes <= s.alloc_bytes);
		last = s.cycles;
		n++;
	}
	return (void *)n;
}

TEST(consistent)
{
	pthread_t t;
	void *n;

	start();
	t = spawn(reader, NULL);
	for (uint64_t end = now_ns() + 2000000000; now_ns() < end;) {
		for (int i = 0; i < 200; i++)
			raw_take(&h, cache);
		raw_collect(&h);
	}
	stop = 1;
	pthread_join(t, &n);
	diag("%ld reads, %llu cycles", (long)n, (unsigned long long)raw_status(&h).cycles);
}

TEST(fdinfo)
{
	char path[64], text[8192] = "";
	int fd;

	start();
	raw_take(&h, cache);
	raw_collect(&h);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", h.fd);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	diag("%s", strtok(strdup(text), "\n"));
	CHECK(strcasestr(text, "heap"));
	CHECK(strcasestr(text, "cycles"));
	CHECK(strcasestr(text, "threads"));
	/* R20: no kernel addresses. */
	CHECK(!strcasestr(text, "ffff8") && !strcasestr(text, "ffffc"));
}

TEST(fdinfo_of_an_empty_one)
{
	char path[64], text[8192] = "";
	int fd = raw_dev(), info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY);
	CHECK(read(info, text, sizeof(text) - 1) > 0);
}

static const char *tracing(void)
{
	static const char *const dirs[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	struct stat st;
	char path[128];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/events", dirs[i]);
		if (!stat(path, &st))
			return dirs[i];
	}
	SKIP("no tracefs");
}

static void put(const char *dir, const char *file, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_TRUNC);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char *const events[] = {
	"gcheap_cycle_begin", "gcheap_cycle_end", "gcheap_pause_begin", "gcheap_pause_end",
	"gcheap_spans", "gcheap_release", "gcheap_assist",
};
#define NEVENTS	(int)(sizeof(events) / sizeof(*events))

static void read_trace(const char *dir, char *text, size_t size)
{
	char path[128];
	ssize_t r;
	int fd;

	snprintf(path, sizeof(path), "%s/trace", dir);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	while ((r = read(fd, text, size - 1)) > 0) {
		text += r;
		size -= r;
	}
	*text = '\0';
	close(fd);
}

/* An event's field in the first of its lines that has it above 0. */
static uint64_t traced(const char *text, const char *event, const char *field)
{
	const char *value, *end;
	char head[64];
	uint64_t n = 0;

	snprintf(head, sizeof(head), " %s: ", event);
	while (!n && (text = strstr(text, head))) {
		end = strchrnul(text, '\n');
		value = strstr(text, field);
		if (value && value < end)
			n = strtoull(value + strlen(field), NULL, 0);
		text = end;
	}
	return n;
}

/* So much that is dead that pages go back to the system. */
static void cycles_with_all_events(void)
{
	unsigned int large;
	void *p;

	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	large = raw_cache(&h, GCHEAP_NOSCAN, 0);
	for (int i = 0; i < 1000; i++)
		raw_take(&h, cache);
	p = raw_try_large(&h, large, 16 << 20);
	CHECK(p);
	memset(p, 1, 16 << 20);
	raw_collect(&h);
	raw_flush(&h);
	raw_collect_as(&h, GCHEAP_COLLECT_COMPACT);
	CHECK(raw_status(&h).pages_released > 0);
}

/* So much that is alive that marking lags behind allocation, now and then. */
static void cycles_with_assists(void)
{
	enum { N = 100000 };
	static void *table[N];

	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	cache = raw_cache(&h, GCHEAP_CONSERVATIVE, 64);
	raw_root(&h, 0, table, sizeof(table), NULL);
	for (int i = 0; i < N; i++)
		table[i] = raw_take(&h, cache);
	raw_collect(&h);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	raw_param(&h, GCHEAP_PARAM_GROWTH, 10);
	while (!raw_status(&h).assist_ns)
		raw_try_take_some(&h, cache, GCHEAP_BATCH);
}

TEST(tracepoints)
{
	const char *dir = tracing();
	static char text[1 << 20];
	char head[64];

	/*
	 * Else the scheduler's own tracepoints are patched in and out, and under QEMU's TCG a
	 * processor may run the breakpoint that is there meanwhile when it is there no more.
	 */
	put(dir, "options/record-cmd", "0");
	put(dir, "trace", "");
	put(dir, "events/gcheap/enable", "1");
	cycles_with_all_events();
	put(dir, "events/gcheap/enable", "0");
	put(dir, "events/gcheap/gcheap_assist/enable", "1");
	cycles_with_assists();
	put(dir, "events/gcheap/gcheap_assist/enable", "0");
	read_trace(dir, text, sizeof(text));
	put(dir, "trace", "");
	for (int i = 0; i < NEVENTS; i++) {
		snprintf(head, sizeof(head), " %s: ", events[i]);
		diag("%s", events[i]);
		CHECK(strstr(text, head));
	}
	CHECK(traced(text, "gcheap_cycle_begin", "tgid="));
	CHECK_EQ(traced(text, "gcheap_cycle_begin", "tgid="),
		 traced(text, "gcheap_pause_end", "tgid="));
	CHECK(traced(text, "gcheap_pause_end", "pause_ns="));
	CHECK(traced(text, "gcheap_cycle_end", "cycle="));
	CHECK(traced(text, "gcheap_spans", "got="));
	CHECK(traced(text, "gcheap_release", "pages="));
	CHECK(traced(text, "gcheap_assist", "ns="));
}

/* A new one belongs into the list. */
TEST(tracepoints_are_all_known)
{
	char path[128];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/events/gcheap", tracing());
	d = opendir(path);
	CHECK(d);
	while ((e = readdir(d)))
		n += e->d_type == DT_DIR && e->d_name[0] != '.';
	closedir(d);
	CHECK_EQ(n, NEVENTS);
}

/* R20: nothing in the metadata that a program sees looks like a kernel address. */
TEST(no_kernel_addresses)
{
	size_t n;

	start();
	for (int i = 0; i < 5000; i++)
		raw_take(&h, cache);
	raw_collect(&h);
	for (n = 0; n < GCHEAP_META_STRIDE / 8; n++)
		if (n < GCHEAP_META_LIVE / 8)
			CHECK(((uint64_t *)h.meta)[n] >> 47 != 0x1ffff);
	for (n = 0; n < sizeof(struct gcheap_status) / 8; n++)
		CHECK(((uint64_t *)h.status)[n] >> 47 != 0x1ffff);
	for (n = 0; n < GCHEAP_TCB_SIZE / 8; n++)
		CHECK(((uint64_t *)h.tcbs)[n] >> 47 != 0x1ffff);
}

TEST_MAIN
