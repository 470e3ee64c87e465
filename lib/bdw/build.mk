# SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
# build/bdw/libgc.so.1, with the library in it: LD_LIBRARY_PATH=build/bdw is all a
# program needs to run on it.

BDW_SRC := $(wildcard lib/bdw/*.c)
BDW_OBJ := $(BDW_SRC:lib/bdw/%.c=$(O)/bdw/obj/%.o)

.PHONY: bdw
bdw: $(O)/bdw/libgc.so.1 $(O)/bdw/libgccpp.so.1

$(O)/bdw/obj/%.o: lib/bdw/%.c $(wildcard lib/bdw/*.h) $(LIB_HEADERS) lib/bdw/build.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(LIB_CFLAGS) -c -o $@ $<

$(O)/bdw/libgc.so.1: $(BDW_OBJ) $(LIB_OBJ) lib/bdw/libgc.map
	$(Q)$(CC) $(CFLAGS) -shared -pthread -Wl,-soname,libgc.so.1 -Wl,-z,defs -Wl,-z,nodelete \
		-Wl,-Bsymbolic-functions -Wl,--version-script=lib/bdw/libgc.map \
		-o $@ $(BDW_OBJ) $(LIB_OBJ)

# For C++: operators, which go where GC_malloc_uncollectable() does.
$(O)/bdw/libgccpp.so.1: lib/bdw/gccpp.cc $(O)/bdw/libgc.so.1
	$(Q)$(CXX) -std=gnu++14 $(CFLAGS) $(WARNINGS) -fPIC -shared \
		-Wl,-soname,libgccpp.so.1 -Wl,-z,defs -Wl,-z,nodelete -o $@ $^

# Programs written for libgc and linked with Debian's. For the machine with the module
# they find ours at run time; on this one they run on Debian's, but for bdw-here*, which
# are about ours: a test that fails on the original is wrong.
BDW_TESTS  := $(notdir $(basename $(wildcard lib/bdw/test/bdw-*.c lib/bdw/test/bdw-*.cc)))
BDW_COMMON := $(filter-out bdw-here%,$(BDW_TESTS))
BDW_TEST_CFLAGS := -std=gnu11 $(CFLAGS) $(WARNINGS) -pthread
BDW_TEST_CXXFLAGS := -std=gnu++14 $(CFLAGS) $(WARNINGS) -pthread

$(O)/selftests/bdw-%: lib/bdw/test/bdw-%.c selftests/tap.h selftests/dl.h $(wildcard lib/bdw/test/*.h) | bdw
	@mkdir -p $(@D)
	$(Q)$(CC) $(BDW_TEST_CFLAGS) -o $@ $< -lgc -Wl,-rpath,'$$ORIGIN/../bdw'

$(O)/selftests/bdw-%: lib/bdw/test/bdw-%.cc selftests/tap.h | bdw
	@mkdir -p $(@D)
	$(Q)$(CXX) $(BDW_TEST_CXXFLAGS) -o $@ $< -lgccpp -lgc -Wl,-rpath,'$$ORIGIN/../bdw'

$(O)/libgc/%: lib/bdw/test/%.cc selftests/tap.h
	@mkdir -p $(@D)
	$(Q)$(CXX) $(BDW_TEST_CXXFLAGS) -o $@ $< -lgccpp -lgc

$(O)/libgc/%: lib/bdw/test/%.c selftests/tap.h selftests/dl.h $(wildcard lib/bdw/test/*.h)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BDW_TEST_CFLAGS) -o $@ $< -lgc

# What they open at run time is beside them.
$(O)/libgc/%.so: selftests/objects/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BDW_TEST_CFLAGS) -fPIC -shared -o $@ $<

$(O)/libgc/bdw-dl: | $(O)/libgc/dl.so

# Programs as Debian has them.
BDW_SCRIPTS := $(O)/selftests/bdw-guile $(O)/selftests/bdw-programs
$(BDW_SCRIPTS): $(O)/selftests/%: lib/bdw/test/%
	@mkdir -p $(@D)
	$(Q)install -m 755 $< $@

# "gcheap run" is tried with a program that would find Debian's.
selftests: $(BDW_TESTS:%=$(O)/selftests/%) $(BDW_SCRIPTS) $(O)/libgc/bdw-here
HOST_TESTS += $(BDW_COMMON:%=$(O)/libgc/%)
host-tests: $(BDW_COMMON:%=$(O)/libgc/%)
