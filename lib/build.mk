# SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
# The library: build/lib/libgcheap.so.1, libgcheap.so, libgcheap.a, gcheap.pc, and
# its tests on the host, with a backend that only hands out memory.

LIB_O       := $(O)/lib
LIB_PREFIX  ?= /usr/local
LIB_SRC     := $(wildcard lib/*.c)
LIB_OBJ     := $(LIB_SRC:lib/%.c=$(LIB_O)/obj/%.o)
LIB_HEADERS := $(wildcard lib/*.h) lib/include/gcheap.h uapi/gcheap.h lib/build.mk
LIB_VERSION := $(shell awk '/define GCHEAP_VERSION_M/ { v = v s $$3; s = "." } END { print v }' \
		lib/include/gcheap.h)
# Initial-exec: the thread's block is one load away, in a shared object too.
LIB_CFLAGS  := -std=gnu11 -D_GNU_SOURCE $(CFLAGS) $(WARNINGS) -fPIC -fvisibility=hidden \
	       -ftls-model=initial-exec -fno-semantic-interposition -pthread

.PHONY: lib lib-test
lib: $(LIB_O)/libgcheap.so $(LIB_O)/libgcheap.a $(LIB_O)/gcheap.pc

$(LIB_O)/obj/%.o: lib/%.c $(LIB_HEADERS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LIB_CFLAGS) -c -o $@ $<

$(LIB_O)/libgcheap.so.1: $(LIB_OBJ) lib/libgcheap.map
	$(Q)$(CC) $(CFLAGS) -shared -pthread -Wl,-soname,libgcheap.so.1 -Wl,-z,defs -Wl,-z,nodelete -Wl,-Bsymbolic-functions \
		-Wl,--version-script=lib/libgcheap.map -o $@ $(LIB_OBJ)

$(LIB_O)/libgcheap.so: $(LIB_O)/libgcheap.so.1
	$(Q)ln -sf libgcheap.so.1 $@

$(LIB_O)/libgcheap.a: $(LIB_OBJ)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(LIB_O)/gcheap.pc: lib/gcheap.pc.in lib/include/gcheap.h
	@mkdir -p $(@D)
	$(Q)sed 's|@PREFIX@|$(LIB_PREFIX)|; s|@VERSION@|$(LIB_VERSION)|' $< > $@

# Tests: the same sources with sanitizers, and the mock for a backend.
LIB_TEST_SRC    := $(filter-out lib/test/mock.c,$(wildcard lib/test/*.c))
LIB_TESTS       := $(LIB_TEST_SRC:lib/test/%.c=$(LIB_O)/test/%)
LIB_TEST_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O1 -g $(WARNINGS) -pthread -fno-omit-frame-pointer \
		   -fsanitize=address,undefined -fno-sanitize-recover=all -Ilib
LIB_TEST_OBJ    := $(LIB_SRC:lib/%.c=$(LIB_O)/test/obj/%.o) $(LIB_O)/test/obj/mock.o
LIB_TEST_BDW    := $(patsubst lib/%.c,$(LIB_O)/test/obj/%.o,$(wildcard lib/bdw/*.c))
HOST_TESTS      += $(LIB_TESTS) lib/test/names lib/bdw/test/symbols lib/bdw/test/imported

.SECONDARY: $(LIB_TEST_OBJ) $(LIB_TEST_BDW)
host-tests: $(LIB_TESTS) lib bdw
lib-test: $(LIB_TESTS) lib bdw
	$(Q)for t in $(LIB_TESTS) lib/test/names; do echo "# $$t"; $$t || exit; done

$(LIB_O)/test/obj/%.o: lib/%.c $(LIB_HEADERS) $(wildcard lib/bdw/*.h)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LIB_TEST_CFLAGS) -c -o $@ $<

$(LIB_O)/test/obj/%.o: lib/test/%.c $(LIB_HEADERS) $(wildcard lib/test/*.h)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LIB_TEST_CFLAGS) -c -o $@ $<

$(LIB_O)/test/%: lib/test/%.c $(LIB_TEST_OBJ) $(wildcard lib/test/*.h)
	$(Q)$(CC) $(LIB_TEST_CFLAGS) -o $@ $(filter %.c %.o,$^)

$(filter $(LIB_O)/test/bdw%,$(LIB_TESTS)): $(LIB_TEST_BDW)
