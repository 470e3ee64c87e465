# SPDX-License-Identifier: GPL-2.0-only
# Tests of what the tools do to this machine.

HOST_TESTS += tools/check-install

GT     := $(O)/tools
GT_SRC := $(wildcard tools/gcheap/*.c)

tools-progs: $(GT)/gcheap

$(GT)/gcheap: $(GT_SRC) $(wildcard tools/gcheap/*.h) uapi/gcheap.h
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(WARNINGS) -o $@ $(GT_SRC)

host-tests: lib bdw tools-progs
