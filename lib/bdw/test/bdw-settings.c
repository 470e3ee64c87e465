// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Settings: what they are at first, that they are kept, and what some of them do. */
#include "../../../selftests/tap.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#define GC_THREADS
#define GC_ATTR_DEPRECATED
#include <gc/gc.h>
#include <gc/gc_mark.h>

/* Exported, but in no header that is installed, or not with this compiler. */
void GC_printf(const char *format, ...);
void GC_err_printf(const char *format, ...);
void GC_log_printf(const char *format, ...);
void GC_noop1(GC_word word);
extern GC_abort_func GC_on_abort;

#define N	200

static void *volatile sink;

static __attribute__((noinline)) void make_garbage(size_t bytes)
{
	for (size_t done = 0; done < bytes; done += 512)
		sink = GC_malloc(512);
	sink = NULL;
}

/* As many as are made in so much garbage. */
static GC_word collections(size_t garbage)
{
	GC_word before = GC_get_gc_no();

	make_garbage(garbage);
	return GC_get_gc_no() - before;
}

/* Whether there is a collection without being asked for. */
static bool collects(void)
{
	for (int i = 0; i < 40; i++)
		if (collections(10 << 20))
			return true;
	return false;
}

/* ---- values */

TEST(defaults)
{
	CHECK(!GC_is_init_called());
	for (int round = 0; round < 2; round++) {
		CHECK(GC_get_oom_fn() == GC_oom_fn && !GC_oom_fn(10));
		CHECK(GC_get_warn_proc() && GC_get_stop_func() && GC_get_abort_func());
		CHECK(!GC_get_stop_func()());
		CHECK(GC_all_interior_pointers == 1 && GC_get_all_interior_pointers() == 1);
		CHECK(!GC_finalize_on_demand && !GC_get_finalize_on_demand());
		CHECK(GC_java_finalization == 1 && GC_get_java_finalization() == 1);
		CHECK(!GC_dont_gc && !GC_is_disabled());
		CHECK(!GC_dont_expand && !GC_get_dont_expand() && !GC_use_entire_heap);
		CHECK(GC_full_freq == 19 && GC_get_full_freq() == 19);
		CHECK(!GC_non_gc_bytes && !GC_get_non_gc_bytes());
		CHECK(GC_free_space_divisor == 3 && GC_get_free_space_divisor() == 3);
		CHECK(!GC_max_retries && !GC_get_max_retries());
		CHECK(!GC_dont_precollect && !GC_get_dont_precollect());
		CHECK(GC_time_limit == GC_TIME_UNLIMITED);
		CHECK(GC_get_time_limit() == GC_TIME_UNLIMITED);
		CHECK(GC_get_time_limit_tv().tv_ms == GC_TIME_UNLIMITED);
		CHECK(!GC_get_time_limit_tv().tv_nsec);
		CHECK_EQ(GC_get_allocd_bytes_per_finalizer(), 10000);
		CHECK_EQ(GC_get_pages_executable(), 0);
		CHECK_EQ(GC_get_min_bytes_allocd(), 1);
		CHECK_EQ(GC_get_rate(), 10);
		CHECK_EQ(GC_get_max_prior_attempts(), 1);
		CHECK_EQ(GC_get_disable_automatic_collection(), 0);
		CHECK_EQ(GC_get_force_unmap_on_gcollect(), 0);
		CHECK_EQ(GC_get_manual_vdb_allowed(), 0);
		CHECK_EQ(GC_get_suspend_signal(), SIGPWR);
		CHECK_EQ(GC_get_thr_restart_signal(), SIGXCPU);
		CHECK_EQ(GC_is_incremental_mode(), 0);
		GC_INIT();
		CHECK(GC_is_init_called());
	}
}

#define KEPT(name, value) do {				\
		GC_set_##name(value);			\
		CHECK_EQ(GC_get_##name(), value);	\
	} while (0)

#define KEPT_VARIABLE(name, value) do {			\
		KEPT(name, value);			\
		CHECK_EQ(GC_##name, value);		\
		GC_##name = (value) - 1;		\
		CHECK_EQ(GC_get_##name(), (value) - 1);	\
	} while (0)

static void check_kept(void)
{
	KEPT_VARIABLE(all_interior_pointers, 1);
	KEPT_VARIABLE(finalize_on_demand, 1);
	KEPT_VARIABLE(java_finalization, 1);
	KEPT_VARIABLE(dont_expand, 1);
	KEPT_VARIABLE(full_freq, 100);
	KEPT_VARIABLE(non_gc_bytes, 1ul << 40);
	KEPT_VARIABLE(free_space_divisor, 5);
	KEPT_VARIABLE(max_retries, 1000);
	KEPT_VARIABLE(dont_precollect, 1);
	KEPT_VARIABLE(time_limit, 50);
	KEPT(allocd_bytes_per_finalizer, 1ul << 40);
	KEPT(min_bytes_allocd, 1ul << 20);
	KEPT(rate, 3);
	KEPT(max_prior_attempts, 4);
	KEPT(disable_automatic_collection, 1);
	KEPT(force_unmap_on_gcollect, 1);
	KEPT(manual_vdb_allowed, 1);
	KEPT(disable_automatic_collection, 0);
	KEPT(force_unmap_on_gcollect, 0);
}

TEST(getters_return_what_was_set)
{
	check_kept();
	CHECK(!GC_is_init_called());
	GC_INIT();
	check_kept();
}

TEST(anything_but_0_is_an_interior_pointer_setting_of_1)
{
	GC_set_all_interior_pointers(7);
	CHECK_EQ(GC_get_all_interior_pointers(), 1);
}

TEST(time_limits_have_nanoseconds)
{
	struct GC_timeval_s limit = { 20, 999 };

	GC_set_time_limit_tv(limit);
	CHECK(GC_time_limit == 20 && GC_get_time_limit_tv().tv_nsec == 999);
	GC_set_time_limit(30);
	CHECK(GC_get_time_limit_tv().tv_ms == 30 && GC_get_time_limit_tv().tv_nsec == 999);
}

TEST(signals_are_chosen_before_the_beginning)
{
	GC_set_suspend_signal(SIGRTMIN + 5);
	GC_set_thr_restart_signal(SIGRTMIN + 6);
	CHECK_EQ(GC_get_suspend_signal(), SIGRTMIN + 5);
	CHECK_EQ(GC_get_thr_restart_signal(), SIGRTMIN + 6);
	GC_INIT();
	GC_set_suspend_signal(SIGUSR1);
	GC_set_thr_restart_signal(SIGUSR2);
	CHECK_EQ(GC_get_suspend_signal(), SIGRTMIN + 5);
	CHECK_EQ(GC_get_thr_restart_signal(), SIGRTMIN + 6);
}

/* ---- no collections */

TEST(disable_counts)
{
	GC_word before;

	GC_INIT();
	GC_disable();
	GC_disable();
	CHECK(GC_is_disabled() && GC_dont_gc == 2);
	GC_enable();
	CHECK(GC_is_disabled() && GC_dont_gc == 1);
	before = GC_get_gc_no();
	GC_gcollect();
	CHECK_EQ(GC_get_gc_no(), before);
	GC_enable();
	CHECK(!GC_is_disabled() && !GC_dont_gc);
	GC_gcollect();
	CHECK(GC_get_gc_no() > before);
}

TEST(disabled_before_the_beginning)
{
	GC_disable();
	CHECK(!GC_is_init_called());
	GC_INIT();
	CHECK_EQ(collections(40 << 20), 0);
	GC_enable();
	CHECK(collects());
}

TEST(dont_gc_is_assigned_before_the_beginning)
{
	GC_dont_gc = 1;
	GC_INIT();
	CHECK(GC_is_disabled());
	CHECK_EQ(collections(40 << 20), 0);
	GC_gcollect();
	CHECK_EQ(collections(0), 0);
	GC_enable();
	CHECK(!GC_dont_gc);
	CHECK(collects());
}

TEST(dont_gc_is_assigned_later)
{
	GC_word before;

	GC_INIT();
	GC_gcollect();
	GC_dont_gc = 1;
	before = GC_get_gc_no();
	make_garbage(40 << 20);
	GC_gcollect();
	GC_gcollect_and_unmap();
	CHECK_EQ(GC_get_gc_no(), before);
	GC_dont_gc = 0;
	CHECK(collects());
}

TEST(automatic_collections_only_are_disabled)
{
	GC_word before;

	GC_set_disable_automatic_collection(1);
	GC_INIT();
	before = GC_get_gc_no();
	make_garbage(40 << 20);
	CHECK_EQ(GC_get_gc_no(), before);
	GC_gcollect();
	CHECK(GC_get_gc_no() > before);
	GC_set_disable_automatic_collection(0);
	CHECK(collects());
}

static int asked;

static int GC_CALLBACK stop(void)
{
	asked++;
	return 1;
}

TEST(stop_function)
{
	GC_stop_func was = GC_get_stop_func();
	GC_word before;

	GC_INIT();
	GC_set_stop_func(stop);
	CHECK(GC_get_stop_func() == stop);
	before = GC_get_gc_no();
	GC_gcollect();
	CHECK(asked > 0);
	CHECK_EQ(GC_get_gc_no(), before);
	GC_gcollect_and_unmap();
	CHECK(GC_get_gc_no() > before);
	before = GC_get_gc_no();
	CHECK(GC_try_to_collect(was));
	CHECK(GC_get_gc_no() > before);
	GC_set_stop_func(was);
	before = GC_get_gc_no();
	GC_gcollect();
	CHECK(GC_get_gc_no() > before);
}

TEST(collections_that_unmap)
{
	GC_word before;

	GC_INIT();
	make_garbage(10 << 20);
	GC_set_force_unmap_on_gcollect(1);
	before = GC_get_gc_no();
	GC_gcollect();
	CHECK(GC_get_gc_no() > before);
}

/* ---- how large */

struct node {
	struct node *next;
	char rest[1000];
};
static struct node *kept;

static __attribute__((noinline)) size_t keep(size_t bytes)
{
	size_t done;

	for (done = 0; done < bytes; done += sizeof(struct node)) {
		struct node *node = GC_malloc(sizeof(*node));

		if (!node)
			break;
		node->next = kept;
		kept = node;
	}
	return done;
}

TEST(a_larger_divisor_is_more_collections)
{
	GC_word few, many;

	GC_set_free_space_divisor(20);
	GC_INIT();
	keep(24 << 20);
	GC_gcollect();
	many = collections(100 << 20);
	GC_free_space_divisor = 1;
	GC_gcollect();
	few = collections(100 << 20);
	diag("%lu, %lu", few, many);
	CHECK(many > few * 2);
}

static void check_limit(void)
{
	size_t got;

	GC_set_warn_proc(GC_ignore_warn_proc);
	got = keep(100 << 20);
	diag("%zu MiB", got >> 20);
	CHECK(got < 40 << 20);
	GC_set_max_heap_size(0);
	CHECK(keep(50 << 20) >= 50 << 20);
}

TEST(limit_set_before_the_beginning)
{
	GC_set_max_heap_size(40 << 20);
	CHECK(!GC_is_init_called());
	GC_INIT();
	check_limit();
}

TEST(limit_set_later)
{
	GC_INIT();
	GC_set_max_heap_size(40 << 20);
	check_limit();
}

/* Then allocations collect that would fail, if they are to try again. */
TEST(limit_without_automatic_collections)
{
	GC_set_warn_proc(GC_ignore_warn_proc);
	GC_set_max_heap_size(40 << 20);
	GC_set_disable_automatic_collection(1);
	GC_set_max_retries(1);
	GC_INIT();
	for (int i = 0; i < 200 << 10; i++) {
		sink = GC_malloc(512);
		CHECK(sink);
	}
	CHECK(!GC_malloc(100 << 20));
	GC_dont_gc = 1;
	CHECK(keep(100 << 20) < 40 << 20);
}

TEST(expanding)
{
	GC_set_warn_proc(GC_ignore_warn_proc);
	CHECK(GC_expand_hp(32 << 20));
	CHECK(GC_is_init_called());
	CHECK_EQ(collections(16 << 20), 0);
	CHECK(!GC_expand_hp(1ul << 50));
	CHECK(!GC_expand_hp(SIZE_MAX));
}

TEST(uncollectable_objects_are_counted)
{
	void *object[N];
	GC_word before;

	GC_INIT();
	before = GC_get_non_gc_bytes();
	for (int i = 0; i < N; i++)
		object[i] = GC_malloc_uncollectable(1000);
	/* bdwgc misses some. */
	CHECK(GC_non_gc_bytes >= before + N * 3 / 4 * 1000);
	for (int i = 0; i < N; i++)
		GC_free(object[i]);
	CHECK((GC_signed_word)(GC_get_non_gc_bytes() - before) <= 0);
}

/* ---- out of memory */

static size_t wanted;
static int warnings;
static char warning[200];

static void *GC_CALLBACK out_of_memory(size_t bytes)
{
	wanted = bytes;
	return kept;
}

static void GC_CALLBACK warn(char *format, GC_word arg)
{
	if (!warnings++)
		snprintf(warning, sizeof(warning), format, arg);
}

TEST(out_of_memory)
{
	GC_INIT();
	keep(1);
	GC_set_warn_proc(warn);
	CHECK(GC_get_warn_proc() == warn);
	GC_set_oom_fn(out_of_memory);
	CHECK(GC_get_oom_fn() == out_of_memory && GC_oom_fn == out_of_memory);
	CHECK(GC_malloc(1ul << 50) == kept);
	CHECK(wanted >= 1ul << 50);
	CHECK(warnings > 0 && !strncmp(warning, "GC Warning: ", 12));
}

TEST(oom_function_is_assigned)
{
	GC_INIT();
	GC_set_warn_proc(GC_ignore_warn_proc);
	CHECK(!GC_malloc(1ul << 50));
	GC_oom_fn = out_of_memory;
	CHECK(GC_get_oom_fn() == out_of_memory);
	CHECK(GC_malloc_atomic(1ul << 50) == kept);
	CHECK(wanted >= 1ul << 50);
}

/* ---- the incremental mode */

TEST(incremental)
{
	void **object, *value;

	GC_enable_incremental();
	CHECK(GC_is_init_called());
	CHECK(GC_is_incremental_mode());
	CHECK(!(GC_incremental_protection_needs() & ~(GC_PROTECTS_POINTER_HEAP |
						      GC_PROTECTS_PTRFREE_HEAP)));
	object = GC_malloc(1000);
	value = GC_malloc(10);
	GC_change_stubborn(object);
	GC_ptr_store_and_dirty(object, value);
	CHECK(*object == value);
	GC_end_stubborn_change(object);
	make_garbage(10 << 20);
	GC_start_incremental_collection();
	for (int i = 0; GC_collect_a_little(); i++)
		CHECK(i < 1000000);
}

/* ---- finalizers */

static int finalized;

static void GC_CALLBACK finalize(void *object, void *data)
{
	finalized++;
}

static __attribute__((noinline)) void make_finalizable(void)
{
	for (int i = 0; i < N; i++)
		GC_register_finalizer_no_order(GC_malloc(40), finalize, NULL, NULL, NULL);
}

static void make_dead(void)
{
	make_finalizable();
	make_garbage(1 << 20);
	for (int round = 0; round < 3; round++) {
		GC_gcollect();
		make_garbage(1 << 20);
	}
}

TEST(finalizers_wait_when_that_is_assigned)
{
	GC_INIT();
	GC_finalize_on_demand = 1;
	make_dead();
	CHECK_EQ(finalized, 0);
	CHECK(GC_should_invoke_finalizers());
	GC_invoke_finalizers();
	CHECK(finalized >= N * 3 / 4);
	finalized = 0;
	GC_finalize_on_demand = 0;
	make_dead();
	CHECK(finalized >= N * 3 / 4);
}

/* ---- addresses */

TEST(bounds_have_all_objects)
{
	static void *object[1000];

	GC_INIT();
	for (int i = 0; i < 1000; i++) {
		object[i] = GC_malloc(i * 100);
		CHECK(object[i] >= GC_least_plausible_heap_addr);
		CHECK(object[i] < GC_greatest_plausible_heap_addr);
	}
	CHECK((void *)&object < GC_least_plausible_heap_addr ||
	      (void *)&object > GC_greatest_plausible_heap_addr);
}

TEST(words_and_stacks)
{
	int here;

	GC_INIT();
	GC_noop1((GC_word)&here);
	CHECK(!GC_clear_stack(NULL) && GC_clear_stack(&here) == &here);
}

/* ---- markers */

static void *nothing(void *arg)
{
	return arg;
}

TEST(markers)
{
	pthread_t thread;

	GC_set_markers_count(2);
	GC_INIT();
	CHECK_EQ(pthread_create(&thread, NULL, nothing, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(GC_get_parallel() == 1 && GC_parallel == 1);
	GC_gcollect();
}

/* ---- messages */

/* What is written to @fd is to be read from what this returns. */
static int catch(int fd)
{
	int ends[2];

	CHECK_EQ(pipe(ends), 0);
	CHECK(dup2(ends[1], fd) == fd);
	return ends[0];
}

static void check_said(int end, const char *text)
{
	char got[2000];
	ssize_t n = read(end, got, sizeof(got) - 1);

	CHECK(n >= 0);
	got[n] = 0;
	CHECK(!strcmp(got, text));
}

TEST(messages)
{
	int out, err, log;

	GC_INIT();
	err = catch(2);
	GC_err_printf("%d %s\n", 1, "error");
	check_said(err, "1 error\n");
	GC_log_printf("%lu\n", 1ul << 40);
	check_said(err, "1099511627776\n");
	GC_get_warn_proc()("GC Warning: %lu\n", 5);
	check_said(err, "GC Warning: 5\n");
	GC_ignore_warn_proc("GC Warning: %lu\n", 6);
	log = catch(100);
	GC_set_log_fd(100);
	GC_log_printf("to the log\n");
	GC_err_printf("not to the log\n");
	check_said(log, "to the log\n");
	check_said(err, "not to the log\n");
	out = dup(1);
	log = catch(1);
	GC_printf("%c\n", 'o');
	dup2(out, 1);
	check_said(log, "o\n");
}

static const char *last_words = "nothing yet";

static void GC_CALLBACK on_abort(const char *message)
{
	last_words = message;
	_exit(message ? 7 : 8);
}

static int exit_code(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		fn();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

TEST(abort_on_oom)
{
	int err;

	GC_INIT();
	CHECK(GC_get_abort_func() == GC_on_abort);
	err = catch(2);
	CHECK_EQ(exit_code(GC_abort_on_oom), 1);
	check_said(err, "Insufficient memory for the allocation\n");
	GC_get_abort_func()("last words");
	check_said(err, "last words\n");
	GC_set_abort_func(on_abort);
	CHECK(GC_get_abort_func() == on_abort && GC_on_abort == on_abort);
	CHECK_EQ(exit_code(GC_abort_on_oom), 8);
}

TEST(deinit)
{
	GC_deinit();
	CHECK(!GC_is_init_called());
	GC_INIT();
	CHECK(GC_is_init_called());
	GC_deinit();
	GC_deinit();
	CHECK(!GC_is_init_called());
}

/* ---- threads */

static void *toggle(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		GC_disable();
		CHECK(GC_is_disabled());
		GC_set_disable_automatic_collection(i % 2);
		GC_set_free_space_divisor(1 + i % 5);
		sink = GC_malloc(2000);
		GC_enable();
	}
	return NULL;
}

TEST(settings_of_many_threads)
{
	pthread_t thread[4];

	GC_INIT();
	for (int i = 0; i < 4; i++)
		CHECK_EQ(GC_pthread_create(&thread[i], NULL, toggle, NULL), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(GC_pthread_join(thread[i], NULL), 0);
	CHECK(!GC_dont_gc);
	GC_set_disable_automatic_collection(0);
	GC_set_free_space_divisor(3);
	CHECK(collects());
}

TEST_MAIN
