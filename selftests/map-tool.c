// SPDX-License-Identifier: GPL-2.0-only
/* "gcheap map" tells of a program's heap what the program knows of it. */
#include "raw.h"

enum { CELL = 64, SLOTS = 512, A_SLOT = GCHEAP_SLOT_SIZE / CELL };

static struct raw h;
static char *kept[SLOTS];

/* What it says, run by this program on itself or another process. */
static int tool(const char *args, pid_t pid, char *out, size_t size)
{
	char command[256];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command), "%s/tools/gcheap map %s %d 2>&1",
		 getenv("O") ?: "build", args, pid);
	f = popen(command, "r");
	CHECK(f);
	n = fread(out, 1, size - 1, f);
	out[n] = 0;
	return WEXITSTATUS(pclose(f));
}

static void start(void)
{
	unsigned int cache;

	h = raw_open(GCHEAP_SETUP_PRECISE_ONLY);
	raw_hold(&h);
	raw_param(&h, GCHEAP_PARAM_CONCURRENT, 1);
	cache = raw_cache_as(&h, GCHEAP_CACHE_MOVABLE, GCHEAP_NOSCAN, CELL);
	raw_root(&h, GCHEAP_ROOT_PRECISE, kept, sizeof(kept), NULL);
	for (int i = 0; i < SLOTS * A_SLOT; i++) {
		char *p = memset(raw_take(&h, cache), 1, CELL);

		if (i % A_SLOT == 9)
			kept[i / A_SLOT] = p;
	}
	raw_flush(&h);
	raw_collect(&h);
}

/* The numbers, and how many places of a page each show objects, or memory without. */
static void look(double *spans, double *live, double *memory, int *objects, int *dots)
{
	static char out[1 << 20];
	int n;

	if (tool("-p 1", getpid(), out, sizeof(out)))
		FAIL("%s", out);
	n = sscanf(out, "%lf MiB in spans, %lf live, %lf in memory", spans, live, memory);
	CHECK_EQ(n, 3);
	*objects = *dots = 0;
	for (char *p = strchr(out, '\n'); p && *p; p++) {
		*objects += !strncmp(p, "\u2581", 3) || !strncmp(p, "\u2588", 3);
		*dots += !strncmp(p, "\u00b7", 2);
	}
}

TEST(before_and_after)
{
	double spans, live, memory;
	int objects, dots;

	start();
	look(&spans, &live, &memory, &objects, &dots);
	CHECK_EQ(spans, SLOTS * GCHEAP_SLOT_SIZE >> 20);
	CHECK_EQ(memory, SLOTS * GCHEAP_SLOT_SIZE >> 20);
	CHECK_EQ(objects, SLOTS);
	CHECK_EQ(dots, SLOTS);
	raw_collect_as(&h, GCHEAP_COLLECT_COMPACT);
	look(&spans, &live, &memory, &objects, &dots);
	CHECK(spans <= 0.1 && memory <= 0.1);
	CHECK_EQ(objects, SLOTS * CELL / 4096);
	CHECK_EQ(dots, 0);
}

TEST(as_svg)
{
	static char out[1 << 20];
	char file[] = "/tmp/mapXXXXXX", args[64];
	int fd = mkstemp(file), n;

	CHECK(fd >= 0);
	start();
	snprintf(args, sizeof(args), "-n 2 -i 0.1 -s %s", file);
	if (tool(args, getpid(), out, sizeof(out)))
		FAIL("%s", out);
	n = read(fd, out, sizeof(out) - 1);
	CHECK(n > 1000);
	out[n] = 0;
	CHECK(!strncmp(out, "<svg ", 5) && strstr(out, "<rect ") && strstr(out, "</svg>\n"));
	unlink(file);
}

TEST(wrong_arguments)
{
	static char out[65536];

	CHECK(tool("", getpid(), out, sizeof(out)));
	CHECK(strstr(out, "has 0 heaps"));
	start();
	CHECK(tool("-h 2", getpid(), out, sizeof(out)));
	CHECK(strstr(out, "has 1 heap\n"));
	CHECK(tool("-p 0", getpid(), out, sizeof(out)));
	CHECK(tool("-p x", getpid(), out, sizeof(out)));
	CHECK(tool("-n 100", getpid(), out, sizeof(out)));
	CHECK(tool("-i -1", getpid(), out, sizeof(out)));
	CHECK(tool("", 0, out, sizeof(out)));
	CHECK(tool("", 4194303, out, sizeof(out)));
	CHECK(tool("-s /nowhere/map.svg", getpid(), out, sizeof(out)));
	CHECK(!tool("", getpid(), out, sizeof(out)));
}

TEST_MAIN
