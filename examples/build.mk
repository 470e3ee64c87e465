# SPDX-License-Identifier: GPL-2.0-only
# Examples of the library's use, into build/examples/.

EX_PROGRAMS := $(patsubst examples/%.c,$(O)/examples/%,$(wildcard examples/*.c))

.PHONY: examples
examples: $(EX_PROGRAMS)

$(O)/examples/%: examples/%.c lib/include/gcheap.h | lib
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(WARNINGS) -Ilib/include -o $@ $< \
		-L$(O)/lib -lgcheap -Wl,-rpath,'$$ORIGIN/../lib' -pthread
