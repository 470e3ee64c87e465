// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Shared objects that come and go, with pointers in their data and nowhere else. */
#include "../../../selftests/tap.h"
#include "count.h"
#include <time.h>

#define WORDS	4	/* the object has room for so many of each kind */

static void *open_object(void)
{
	char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);
	void *object;

	CHECK(n > 0);
	path[n] = 0;
	strcpy(strrchr(path, '/'), "/dl.so");
	object = dlopen(path, RTLD_NOW);
	if (!object)
		FAIL("%s", dlerror());
	return object;
}

static void **words_of(void *object, const char *function)
{
	void **(*address)(void) = (void **(*)(void))dlsym(object, function);

	CHECK(address);
	return address();
}

static NOINLINE void fill(void *object, const char *function)
{
	counted_make(words_of(object, function), WORDS);
}

static NOINLINE void check(void *object, const char *function)
{
	counted_check(words_of(object, function), WORDS);
}

static void kept_until_dlclose(const char *function)
{
	void *object;

	GC_INIT();
	for (int i = 0; i < 3; i++) {
		object = open_object();
		fill(object, function);
		counted_kept();
		check(object, function);
		CHECK_EQ(dlclose(object), 0);
		counted_dropped(WORDS);
	}
}

TEST(data)
{
	kept_until_dlclose("dl_data_address");
}

TEST(bss)
{
	kept_until_dlclose("dl_bss_address");
}

TEST(data_of_an_object_that_was_there_first)
{
	void *object = open_object();

	GC_INIT();
	fill(object, "dl_data_address");
	counted_kept();
	check(object, "dl_data_address");
	CHECK_EQ(dlclose(object), 0);
	counted_dropped(WORDS);
}

TEST(an_object_that_is_opened_twice)
{
	void *object, *again;

	GC_INIT();
	object = open_object();
	again = open_object();
	CHECK(object == again);
	fill(object, "dl_bss_address");
	CHECK_EQ(dlclose(again), 0);
	counted_kept();
	check(object, "dl_bss_address");
	CHECK_EQ(dlclose(object), 0);
	counted_dropped(WORDS);
}

TEST(what_cannot_be_opened)
{
	GC_INIT();
	CHECK(!dlopen("/nonexistent.so", RTLD_NOW));
	CHECK(dlerror());
	CHECK(dlopen(NULL, RTLD_NOW));
	CHECK(dlopen("libm.so.6", RTLD_NOW));
	GC_gcollect();
	CHECK(!GC_is_disabled());
}

TEST(parts_that_are_excluded)
{
	void *object, **words;

	GC_INIT();
	object = open_object();
	words = words_of(object, "dl_bss_address");
	GC_exclude_static_roots(words, words + WORDS);
	fill(object, "dl_bss_address");
	counted_dropped(WORDS);
	fill(object, "dl_data_address");
	counted_kept();
	check(object, "dl_data_address");
	CHECK_EQ(dlclose(object), 0);
	counted_dropped(WORDS);
}

TEST(no_objects_are_wanted)
{
	void *object;

	GC_INIT();
	object = open_object();
	GC_set_no_dls(1);
	fill(object, "dl_data_address");
	counted_dropped(WORDS);
	CHECK_EQ(dlclose(object), 0);
	object = open_object();
	fill(object, "dl_data_address");
	counted_dropped(WORDS);
	GC_set_no_dls(0);
	fill(object, "dl_data_address");
	counted_kept();
	check(object, "dl_data_address");
	CHECK_EQ(dlclose(object), 0);
	counted_dropped(WORDS);
}

static int asked;

static int GC_CALLBACK refuse(const char *name, void *start, size_t size)
{
	asked++;
	return !strstr(name, "/dl.so");
}

TEST(objects_may_be_refused)
{
	static void *own[WORDS];
	void *object;

	GC_INIT();
	GC_register_has_static_roots_callback(refuse);
	for (int i = 0; i < 3; i++) {
		object = open_object();
		fill(object, "dl_data_address");
		counted_dropped(WORDS);
		CHECK_EQ(dlclose(object), 0);
	}
	CHECK(asked > 3);
	counted_make(own, WORDS);
	counted_kept();
	GC_register_has_static_roots_callback(NULL);
	object = open_object();
	fill(object, "dl_data_address");
	counted_kept();
	check(object, "dl_data_address");
}

/* ---- while others collect */

static volatile int stop;

static void *opener(void *arg)
{
	while (!stop) {
		void *object = open_object(), **words = words_of(object, "dl_bss_address");

		counted_make(words, WORDS);
		for (int i = 0; i < 20; i++)
			memset(GC_MALLOC(64), 0x22, 64);
		counted_check(words, WORDS);
		CHECK_EQ(dlclose(object), 0);
	}
	return arg;
}

static void through_collections(void)
{
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, opener, NULL), 0);
	for (time_t end = time(NULL) + 4; time(NULL) < end; usleep(5000))
		GC_gcollect();
	stop = 1;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

TEST(objects_come_and_go_through_collections)
{
	GC_INIT();
	through_collections();
}

/* The same with parts of the program excluded, which has the objects looked at. */
TEST(objects_come_and_go_and_are_looked_at)
{
	static void *part[WORDS];

	GC_INIT();
	GC_exclude_static_roots(part + 1, part + 2);
	through_collections();
}

TEST_MAIN
