// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * Environment variables. The program executes itself with some set, and what it says of
 * its settings then, and anything else on stdout and stderr, is looked at.
 */
#include "../../../selftests/tap.h"
#include <pthread.h>
#include <sys/mman.h>
#define GC_THREADS
#define GC_ATTR_DEPRECATED
#include <gc/gc.h>

void GC_printf(const char *format, ...);
void GC_err_printf(const char *format, ...);
void GC_log_printf(const char *format, ...);

#define CHILD	"BDW_ENV_CHILD"

/* ---- the one with the environment */

static void *volatile sink;

static void *nothing(void *arg)
{
	return arg;
}

static int child(void)
{
	GC_word collections;
	pthread_t thread;

	GC_INIT();
	pthread_create(&thread, NULL, nothing, NULL);
	pthread_join(thread, NULL);
	GC_printf("printed\n");
	GC_err_printf("error\n");
	GC_log_printf("logged\n");
	collections = GC_get_gc_no();
	for (int i = 0; i < 40 << 10; i++)
		sink = GC_malloc(512);
	printf("automatic=%d ", GC_get_gc_no() > collections);
	collections = GC_get_gc_no();
	GC_gcollect();
	printf("explicit=%d ", GC_get_gc_no() > collections);
	printf("dont_gc=%d divisor=%lu full_freq=%d time_limit=%lu retries=%lu force_unmap=%d "
	       "entire=%d interior=%d incremental=%d parallel=%d ", GC_dont_gc,
	       GC_free_space_divisor, GC_full_freq, GC_time_limit, GC_max_retries,
	       GC_get_force_unmap_on_gcollect(), GC_use_entire_heap, GC_all_interior_pointers,
	       GC_is_incremental_mode(), GC_parallel);
	printf("large=%d ", !!GC_malloc(64 << 20));
	printf("end\n");
	return 0;
}

/* ---- the one that looks */

struct said {
	char out[20000];
	char log[20000];
};

/* To the end, of which not all is kept. */
static void read_all(int fd, char *to, size_t room)
{
	size_t done = 0;
	char more[1000];
	ssize_t n;

	while ((n = read(fd, more, sizeof(more))) > 0) {
		if (n > (ssize_t)(room - 1 - done))
			n = room - 1 - done;
		memcpy(to + done, more, n);
		done += n;
	}
	to[done] = 0;
	close(fd);
}

/* Variables are name=value, or GC_LOG_FILE, which gets a file. */
static const struct said *run(const char *const *variables)
{
	static struct said said;
	int ends[2], log = memfd_create("log", 0), status;
	char path[100];
	pid_t pid;

	CHECK(log >= 0 && !pipe(ends));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), log);
	pid = fork();
	if (!pid) {
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		close(ends[0]);
		close(ends[1]);
		setenv(CHILD, "1", 1);
		for (; *variables; variables++)
			if (!strcmp(*variables, "GC_LOG_FILE"))
				setenv("GC_LOG_FILE", path, 1);
			else
				putenv((char *)*variables);
		execl("/proc/self/exe", "bdw-env", NULL);
		_exit(100);
	}
	close(ends[1]);
	read_all(ends[0], said.out, sizeof(said.out));
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	lseek(log, 0, SEEK_SET);
	read_all(log, said.log, sizeof(said.log));
	return &said;
}

#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

#define SAYS(text, what) do {					\
		const char *tap_t = (text);			\
		if (!strstr(tap_t, what))			\
			FAIL("no %s in: %s", what, tap_t);	\
	} while (0)
#define SAYS_NOT(text, what) do {				\
		const char *tap_t = (text);			\
		if (strstr(tap_t, what))			\
			FAIL("%s in: %s", what, tap_t);		\
	} while (0)

TEST(nothing_set)
{
	const struct said *s = RUN("HARMLESS=1");

	SAYS(s->out, "printed\nerror\nlogged\n");
	SAYS(s->out, "automatic=1 explicit=1 dont_gc=0 divisor=3 full_freq=19 time_limit=999999 "
	     "retries=0 force_unmap=0 entire=0 interior=1 incremental=0 ");
	SAYS(s->out, "large=1 end");
	CHECK(!s->log[0]);
}

TEST(no_collections)
{
	SAYS(RUN("GC_DONT_GC=1")->out, "automatic=0 explicit=0 dont_gc=1 ");
	SAYS(RUN("GC_DONT_GC=0")->out, "automatic=0 explicit=0 dont_gc=1 ");
}

TEST(numbers)
{
	SAYS(RUN("GC_FREE_SPACE_DIVISOR=9")->out, "divisor=9 ");
	SAYS(RUN("GC_FREE_SPACE_DIVISOR=-1")->out, "divisor=3 ");
	SAYS(RUN("GC_FULL_FREQUENCY=7")->out, "full_freq=7 ");
	SAYS(RUN("GC_FULL_FREQUENCY=x")->out, "full_freq=19 ");
	SAYS(RUN("GC_PAUSE_TIME_TARGET=20")->out, "time_limit=20 ");
	SAYS(RUN("GC_MARKERS=2")->out, "parallel=1 ");
	SAYS(RUN("GC_MARKERS=1")->out, "parallel=0 ");
}

TEST(switches)
{
	SAYS(RUN("GC_FORCE_UNMAP_ON_GCOLLECT=1")->out, "explicit=1 ");
	SAYS(RUN("GC_FORCE_UNMAP_ON_GCOLLECT=1")->out, "force_unmap=1 ");
	SAYS(RUN("GC_FORCE_UNMAP_ON_GCOLLECT=0")->out, "force_unmap=0 ");
	SAYS(RUN("GC_USE_ENTIRE_HEAP=1")->out, "entire=1 ");
	SAYS(RUN("GC_USE_ENTIRE_HEAP=0")->out, "entire=0 ");
	SAYS(RUN("GC_ALL_INTERIOR_POINTERS=1")->out, "interior=1 ");
}

TEST(sizes)
{
	const struct said *s = RUN("GC_MAXIMUM_HEAP_SIZE=40M");

	SAYS(s->out, "retries=2 ");
	SAYS(s->out, "large=0 end");
	SAYS(RUN("GC_MAXIMUM_HEAP_SIZE=1G")->out, "large=1 end");
	SAYS(RUN("GC_INITIAL_HEAP_SIZE=48m")->out, "automatic=0 explicit=1 ");
	s = RUN("GC_INITIAL_HEAP_SIZE=what");
	SAYS(s->out, "GC Warning: Bad initial heap size what");
	SAYS(s->out, "large=1 end");
	s = RUN("GC_MAXIMUM_HEAP_SIZE=40X");
	SAYS(s->out, "GC Warning: Bad maximum heap size 40X");
	SAYS(s->out, "large=1 end");
}

TEST(incremental)
{
	SAYS(RUN("GC_ENABLE_INCREMENTAL=1")->out, "incremental=1 ");
	SAYS(RUN("GC_ENABLE_INCREMENTAL=1", "GC_DONT_GC=1")->out, "automatic=0 explicit=0 ");
}

TEST(log_file)
{
	const struct said *s = RUN("GC_LOG_FILE", "GC_MAXIMUM_HEAP_SIZE=40X");

	SAYS(s->log, "GC Warning: Bad maximum heap size 40X");
	SAYS(s->log, "printed\nerror\nlogged\n");
	SAYS_NOT(s->out, "printed");
	SAYS(s->out, "large=1 end");
	s = RUN("GC_LOG_FILE", "GC_ONLY_LOG_TO_FILE=1");
	CHECK(!strcmp(s->log, "logged\n"));
	SAYS(s->out, "printed\nerror\n");
	s = RUN("GC_LOG_FILE", "GC_ONLY_LOG_TO_FILE=0");
	SAYS(s->log, "printed\nerror\nlogged\n");
}

TEST(log_file_that_cannot_be_made)
{
	const struct said *s = RUN("GC_LOG_FILE=/nowhere/log");

	SAYS(s->out, "Failed to open /nowhere/log as log file\n");
	SAYS(s->out, "printed\nerror\nlogged\n");
}

TEST(statistics)
{
	const struct said *s = RUN("GC_LOG_FILE", "GC_ONLY_LOG_TO_FILE=1", "GC_PRINT_STATS=1");

	SAYS(s->log, "GC #");
	SAYS_NOT(s->out, "GC #");
	SAYS(RUN("GC_PRINT_STATS=0")->out, "GC #");
	SAYS(RUN("GC_PRINT_VERBOSE_STATS=1")->out, "GC #");
}

TEST(address_map)
{
	SAYS(RUN("GC_PRINT_ADDRESS_MAP=1")->out, "[stack]");
}

TEST(dumps)
{
	SAYS(RUN("GC_DUMP_REGULARLY=1")->out, "***GC Dump collection #");
	SAYS_NOT(RUN("GC_PRINT_STATS=0")->out, "***GC Dump");
}

int main(int argc, char **argv)
{
	return getenv(CHILD) ? child() : tap_main(argc, argv);
}
