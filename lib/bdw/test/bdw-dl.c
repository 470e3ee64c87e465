// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Shared objects that come and go, with pointers in their data and nowhere else. */
#include "../../../selftests/tap.h"
#include "dl.h"

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

TEST_MAIN
