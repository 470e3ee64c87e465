# SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
# build/bdw/libgc.so.1, with the library in it: LD_LIBRARY_PATH=build/bdw is all a
# program needs to run on it.

BDW_SRC := $(wildcard lib/bdw/*.c)
BDW_OBJ := $(BDW_SRC:lib/bdw/%.c=$(O)/bdw/obj/%.o)

.PHONY: bdw
bdw: $(O)/bdw/libgc.so.1

$(O)/bdw/obj/%.o: lib/bdw/%.c lib/bdw/bdw.h $(LIB_HEADERS) lib/bdw/build.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(LIB_CFLAGS) -c -o $@ $<

$(O)/bdw/libgc.so.1: $(BDW_OBJ) $(LIB_OBJ) lib/bdw/libgc.map
	$(Q)$(CC) $(CFLAGS) -shared -pthread -Wl,-soname,libgc.so.1 -Wl,-z,defs -Wl,-z,nodelete \
		-Wl,-Bsymbolic-functions -Wl,--version-script=lib/bdw/libgc.map \
		-o $@ $(BDW_OBJ) $(LIB_OBJ)

# For the machine with the module: linked with Debian's libgc, found here at run time.
$(O)/selftests/bdw-calls: lib/bdw/test/bdw-calls.c selftests/tap.h | bdw
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(WARNINGS) -pthread -o $@ $< -lgc \
		-Wl,-rpath,'$$ORIGIN/../bdw'

selftests: $(O)/selftests/bdw-calls
