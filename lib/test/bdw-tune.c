// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* libgc's settings: when the kernel hears of which. */
#include "../../selftests/tap.h"
#include "../bdw/bdw.h"
#include "mock.h"
#include <gc/gc_mark.h>

#define OPENED() (mock.setup.abi != 0)

TEST(nothing_is_opened_for_settings)
{
	mock_use();
	GC_disable();
	GC_set_free_space_divisor(6);
	GC_set_max_heap_size(64 << 20);
	GC_set_markers_count(3);
	GC_set_disable_automatic_collection(1);
	GC_set_finalize_on_demand(1);
	GC_set_suspend_signal(40);
	GC_is_disabled();
	CHECK(!OPENED() && !GC_is_init_called());
	GC_init();
	CHECK(OPENED() && GC_is_init_called());
	CHECK_EQ(mock.hold, 1);
	CHECK_EQ(mock.param[GCHEAP_PARAM_GROWTH], 50);
	CHECK_EQ(mock.param[GCHEAP_PARAM_LIMIT], 64 << 20);
	CHECK_EQ(mock.param[GCHEAP_PARAM_WORKERS], 3);
	CHECK_EQ(GC_get_parallel(), 2);
	CHECK(gch.on_demand);
	GC_enable();
	CHECK_EQ(mock.hold, 1);
	GC_set_disable_automatic_collection(0);
	CHECK_EQ(mock.hold, 0);
}

TEST(the_kernel_is_not_told_of_what_is_as_it_was)
{
	mock_use();
	GC_init();
	GC_set_free_space_divisor(3);
	GC_set_finalize_on_demand(0);
	GC_set_disable_automatic_collection(0);
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_PARAM), 0);
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_HOLD), 0);
}

TEST(assignments_are_noticed_by_slow_paths)
{
	mock_use();
	GC_init();
	GC_dont_gc = 5;
	GC_finalize_on_demand = 1;
	GC_free_space_divisor = 1;
	CHECK(GC_malloc(100000));
	CHECK_EQ(mock.hold, 1);
	CHECK_EQ(mock.param[GCHEAP_PARAM_GROWTH], 300);
	CHECK(gch.on_demand);
	GC_dont_gc = 0;
	GC_finalize_on_demand = 0;
	GC_gcollect();
	CHECK_EQ(mock.hold, 0);
	CHECK(!gch.on_demand);
	GC_free_space_divisor = 0;
	GC_gcollect();
	CHECK_EQ(mock.param[GCHEAP_PARAM_GROWTH], 100);
	GC_set_free_space_divisor(1ul << 60);
	CHECK_EQ(mock.param[GCHEAP_PARAM_GROWTH], 1);
}

TEST(explicit_collections_look_themselves)
{
	mock_use();
	GC_init();
	GC_dont_gc = 1;
	GC_gcollect();
	GC_gcollect_and_unmap();
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_COLLECT), 0);
	GC_dont_gc = 0;
	GC_gcollect();
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_COLLECT), 1);
}

TEST(bounds)
{
	struct gcheap_map map;

	mock_use();
	CHECK(!GC_least_plausible_heap_addr);
	CHECK_EQ((uintptr_t)GC_greatest_plausible_heap_addr, UINTPTR_MAX);
	CHECK(GC_malloc(10));
	CHECK(!gcheap_map(NULL, &map) && GC_least_plausible_heap_addr == map.heap);
	CHECK(GC_greatest_plausible_heap_addr == (char *)map.heap + map.heap_size);
}

TEST(expanding)
{
	mock_use();
	CHECK(GC_expand_hp(100 << 20));
	CHECK(mock.param[GCHEAP_PARAM_MIN_HEAP] >= 100 << 20);
	CHECK(!GC_expand_hp(SIZE_MAX) && !GC_expand_hp(1ul << 50));
}

TEST(incremental)
{
	mock_use();
	GC_start_incremental_collection();
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_COLLECT), 0);
	GC_enable_incremental();
	CHECK(GC_is_incremental_mode() && mock.param[GCHEAP_PARAM_CONCURRENT] == 1);
	GC_start_incremental_collection();
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_COLLECT), 1);
	GC_disable();
	GC_start_incremental_collection();
	CHECK_EQ(MOCK_CALLS(GCHEAP_IOC_COLLECT), 1);
}

/* ---- the environment */

static int warnings;
static char warning[200];

static void warn(char *format, GC_word arg)
{
	warnings++;
	snprintf(warning, sizeof(warning), format, arg);
	CHECK(GC_malloc(10) && GC_malloc(100000));
}

TEST(environment)
{
	mock_use();
	setenv("GC_INITIAL_HEAP_SIZE", "64M", 1);
	setenv("GC_MAXIMUM_HEAP_SIZE", "2097152k", 1);
	setenv("GC_UNMAP_THRESHOLD", "0", 1);
	setenv("GC_NPROCS", "2", 1);
	setenv("GC_MARKERS", "4", 1);
	setenv("GC_DONT_GC", "", 1);
	setenv("GC_FREE_SPACE_DIVISOR", "30", 1);
	setenv("GC_ENABLE_INCREMENTAL", "1", 1);
	mock.param[GCHEAP_PARAM_RELEASE] = 77;
	GC_set_max_heap_size(1 << 20);
	GC_set_markers_count(7);
	GC_init();
	CHECK_EQ(mock.param[GCHEAP_PARAM_MIN_HEAP], 64 << 20);
	CHECK_EQ(mock.param[GCHEAP_PARAM_LIMIT], 2l << 30);
	CHECK_EQ(mock.param[GCHEAP_PARAM_RELEASE], 0);
	CHECK_EQ(mock.param[GCHEAP_PARAM_WORKERS], 4);
	CHECK_EQ(mock.param[GCHEAP_PARAM_GROWTH], 10);
	CHECK(mock.hold == 1 && GC_is_disabled() && GC_is_incremental_mode());
}

TEST(environment_is_read_by_the_first_allocation)
{
	mock_use();
	setenv("GC_DONT_GC", "1", 1);
	CHECK(GC_realloc(NULL, 10));
	CHECK_EQ(mock.hold, 1);
}

TEST(the_heap_s_own_environment_has_the_last_word)
{
	mock_use();
	setenv("GCHEAP_WORKERS", "1", 1);
	setenv("GCHEAP_CONCURRENT", "0", 1);
	setenv("GCHEAP_FINALIZE_ON_DEMAND", "1", 1);
	setenv("GC_MARKERS", "4", 1);
	setenv("GC_ENABLE_INCREMENTAL", "1", 1);
	GC_init();
	CHECK_EQ(mock.param[GCHEAP_PARAM_WORKERS], 1);
	CHECK_EQ(GC_get_parallel(), 0);
	CHECK(!GC_is_incremental_mode() && !mock.param[GCHEAP_PARAM_CONCURRENT]);
	CHECK(gch.on_demand && GC_get_finalize_on_demand());
}

TEST(limits_of_the_heap_s_own_environment_too)
{
	setenv("GCHEAP_GROWTH", "50", 1);
	setenv("GCHEAP_LIMIT", "64M", 1);
	setenv("GCHEAP_MIN_HEAP", "8M", 1);
	setenv("GC_FREE_SPACE_DIVISOR", "1", 1);
	setenv("GC_MAXIMUM_HEAP_SIZE", "1g", 1);
	setenv("GC_INITIAL_HEAP_SIZE", "512m", 1);
	mock_use();
	GC_init();
	CHECK_EQ(mock.setup.limit, 64 << 20);
	CHECK_EQ(mock.param[GCHEAP_PARAM_GROWTH], 0);
	CHECK_EQ(mock.param[GCHEAP_PARAM_LIMIT], 0);
	CHECK_EQ(mock.param[GCHEAP_PARAM_MIN_HEAP], 0);
}

TEST(incremental_is_forbidden)
{
	mock_use();
	setenv("GC_DISABLE_INCREMENTAL", "0", 1);
	setenv("GC_ENABLE_INCREMENTAL", "1", 1);
	GC_enable_incremental();
	CHECK(!GC_is_incremental_mode());
}

/* Warnings come when there is a heap already. */
static void check_warns(const char *variable, const char *value, int count)
{
	setenv(variable, value, 1);
	mock_use();
	GC_set_warn_proc(warn);
	GC_init();
	CHECK_EQ(warnings, count);
	CHECK(!count || strstr(warning, value));
	CHECK(!mock.param[GCHEAP_PARAM_MIN_HEAP] && !mock.param[GCHEAP_PARAM_LIMIT]);
	CHECK_EQ(GC_get_time_limit(), GC_TIME_UNLIMITED);
	CHECK_EQ(GC_get_free_space_divisor(), 3);
}

#define BAD(name, variable, value, count)			\
	TEST(bad_##name) { check_warns(variable, value, count); }

BAD(initial_size, "GC_INITIAL_HEAP_SIZE", "-1", 1)
BAD(initial_suffix, "GC_INITIAL_HEAP_SIZE", "12T", 1)
BAD(initial_overflow, "GC_INITIAL_HEAP_SIZE", "18446744073709551615G", 1)
BAD(maximum_suffix, "GC_MAXIMUM_HEAP_SIZE", "12MB", 1)
BAD(maximum_empty, "GC_MAXIMUM_HEAP_SIZE", "", 1)
BAD(maximum_zero, "GC_MAXIMUM_HEAP_SIZE", "0", 1)
BAD(markers, "GC_MARKERS", "0", 1)
BAD(pause, "GC_PAUSE_TIME_TARGET", "soon", 1)
BAD(divisor, "GC_FREE_SPACE_DIVISOR", "none", 0)
BAD(frequency, "GC_FULL_FREQUENCY", "-4", 0)

/* ---- out of memory, and the end */

TEST(out_of_memory_warns)
{
	mock_use();
	GC_init();
	GC_set_warn_proc(warn);
	CHECK(!GC_malloc(1ul << 50));
	CHECK(warnings == 1 && strstr(warning, "Out of Memory"));
}

TEST(executable_objects_are_not_to_be_had)
{
	GC_set_warn_proc(GC_ignore_warn_proc);
	GC_set_pages_executable(1);
	CHECK(!GC_get_pages_executable());
	CHECK(!OPENED());
}

static char last_words[200];

static void on_abort(const char *message)
{
	snprintf(last_words, sizeof(last_words), "%s", message);
	_exit(!!strstr(last_words, "no heap"));
}

TEST(no_heap_is_the_end)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		mock_use();
		mock.fail_open = -ENOENT;
		GC_set_abort_func(on_abort);
		GC_malloc(10);
		_exit(5);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 1);
}

static int log_end(void)
{
	int ends[2];

	CHECK(!pipe(ends));
	GC_set_log_fd(ends[1]);
	return ends[0];
}

TEST(a_line_for_each_collection)
{
	char line[2000];
	ssize_t n;
	int end;

	mock_use();
	setenv("GC_PRINT_VERBOSE_STATS", "1", 1);
	GC_init();
	end = log_end();
	GC_gcollect();
	n = read(end, line, sizeof(line) - 1);
	CHECK(n > 0 && !strncmp(line, "GC #1: live ", 12) && line[n - 1] == '\n');
	GC_gcollect();
	GC_malloc(100000);
	n = read(end, line, sizeof(line) - 1);
	CHECK(n > 0 && !strncmp(line, "GC #2: live ", 12));
}

/* As bdwgc does. */
TEST(long_messages_are_cut_off)
{
	static char text[5000], got[5000];
	int end = log_end();

	memset(text, 'x', sizeof(text) - 1);
	errno = 77;
	GC_log_printf("%s", text);
	CHECK_EQ(errno, 77);
	CHECK_EQ(read(end, got, sizeof(got)), 1023);
	GC_set_log_fd(-1);
	GC_log_printf("to nobody\n");
}

TEST_MAIN
