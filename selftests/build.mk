# SPDX-License-Identifier: GPL-2.0-only
# The self-tests: one program a behaviour, into build/selftests/. Programs on the
# bare interface need nothing but the headers; lib-* are linked with the library,
# which they find beside them at run time.

ST        := $(O)/selftests
ST_CFLAGS := -std=gnu11 $(CFLAGS) $(WARNINGS) -Ilib/include -pthread
ST_PLAIN  := $(filter-out selftests/lib-%,$(wildcard selftests/*.c))
ST_RULES  := $(wildcard selftests/rules/*.c)
ST_LIB    := $(wildcard selftests/lib-*.c)
ST_OBJECT := $(wildcard selftests/objects/*.c)
ST_HEADER := $(wildcard selftests/*.h selftests/rules/*.h) uapi/gcheap.h

ST_PROGRAMS := $(ST_PLAIN:selftests/%.c=$(ST)/%) \
	$(ST_RULES:selftests/rules/%.c=$(ST)/rules/%) \
	$(ST_OBJECT:selftests/objects/%.c=$(ST)/%.so) \
	$(if $(wildcard lib/build.mk),$(ST_LIB:selftests/%.c=$(ST)/%))

selftests: $(ST_PROGRAMS)

$(ST)/rules/%: selftests/rules/%.c $(ST_HEADER)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ST_CFLAGS) -o $@ $<

# R15 is the library's.
$(ST)/rules/r15: selftests/rules/r15.c $(ST_HEADER) $(wildcard lib/include/*.h) | lib
	@mkdir -p $(@D)
	$(Q)$(CC) $(ST_CFLAGS) -o $@ $< -L$(O)/lib -lgcheap -Wl,-rpath,'$$ORIGIN/../../lib'

$(ST)/lib-%: selftests/lib-%.c $(ST_HEADER) $(wildcard lib/include/*.h) | lib
	@mkdir -p $(@D)
	$(Q)$(CC) $(ST_CFLAGS) -o $@ $< -L$(O)/lib -lgcheap -Wl,-rpath,'$$ORIGIN/../lib'

$(ST)/trace: LDLIBS += -luring

$(ST)/%.so: selftests/objects/%.c $(ST_HEADER)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ST_CFLAGS) -fPIC -shared -o $@ $<

$(ST)/%: selftests/%.c $(ST_HEADER)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ST_CFLAGS) -o $@ $< $(LDLIBS)
