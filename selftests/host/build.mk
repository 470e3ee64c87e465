# SPDX-License-Identifier: GPL-2.0-only
# The collector's core on the host, under sanitizers, into build/host/. host-tests
# builds, host-run runs. A flavour is a directory of objects: asan, tsan, and
# plain, which is for bench-mark.

HT         := $(O)/host
HT_CFLAGS  := -std=gnu11 -g $(WARNINGS) -Werror -Wdeclaration-after-statement \
	-fno-strict-aliasing -fno-omit-frame-pointer -Iselftests/host/env -pthread
HT_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
	-DCONFIG_GCHEAP_DEBUG
HT_tsan    := -O1 -fsanitize=thread -DCONFIG_GCHEAP_DEBUG
HT_plain   := -O2 -mpopcnt
HT_CORE    := $(wildcard kmod/core/*.c)
HT_SHARED  := $(wildcard selftests/core/*.c)
HT_HEADERS := $(wildcard kmod/core/*.h kmod/knobs.h selftests/core/*.h \
	selftests/host/*.h selftests/host/env/*.h) uapi/gcheap.h selftests/tap.h

# Objects of sources in a flavour.
ht_objects = $(patsubst %.c,$(HT)/$(1)/%.o,$(2))

define HT_FLAVOUR
$$(HT)/$(1)/%.o: %.c $$(HT_HEADERS) selftests/host/build.mk
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(HT_CFLAGS) $$(HT_$(1)) -c -o $$@ $$<
endef
$(foreach f,asan tsan plain,$(eval $(call HT_FLAVOUR,$(f))))

HT_ENV  := selftests/host/env/env.c
HT_SIM  := selftests/core/sim.c selftests/core/model.c

$(HT)/core-unit: $(call ht_objects,asan,selftests/host/unit.c $(HT_ENV) $(HT_SHARED) $(HT_CORE))
	$(Q)$(CC) $(HT_asan) -pthread -o $@ $^

$(HT)/core-random: $(call ht_objects,asan,selftests/host/random.c $(HT_ENV) $(HT_SIM) $(HT_CORE))
	$(Q)$(CC) $(HT_asan) -pthread -o $@ $^

# One thread races with nobody, but the lock is taken and dropped, and pages come and go.
$(HT)/core-random-tsan: $(call ht_objects,tsan,selftests/host/random.c $(HT_ENV) $(HT_SIM) $(HT_CORE))
	$(Q)$(CC) $(HT_tsan) -pthread -o $@ $^

$(HT)/core-threads: $(call ht_objects,tsan,selftests/host/threads.c $(HT_ENV) $(HT_SIM) $(HT_CORE))
	$(Q)$(CC) $(HT_tsan) -pthread -o $@ $^

# The fuzzer wants clang; where there is none its smoke test is skipped.
HT_CLANG      := $(shell command -v clang)
HT_FUZZ_FLAGS := -O1 -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all -DCONFIG_GCHEAP_DEBUG -DFUZZING

$(HT)/core-fuzzer: selftests/host/fuzz.c $(HT_ENV) $(HT_SIM) $(HT_CORE) $(HT_HEADERS)
	@mkdir -p $(@D)
	$(Q)$(HT_CLANG) $(HT_CFLAGS) $(HT_FUZZ_FLAGS) -o $@ $(filter %.c,$^)

$(HT)/core-fuzz: selftests/host/fuzz-smoke $(if $(HT_CLANG),$(HT)/core-fuzzer)
	$(Q)install -m 755 $< $@

$(HT)/bench-mark: $(call ht_objects,plain,selftests/host/bench-mark.c $(HT_ENV) selftests/core/sim.c $(HT_CORE))
	$(Q)$(CC) -pthread -o $@ $^

HT_TESTS := $(addprefix $(HT)/,core-unit core-random core-random-tsan core-threads \
	core-fuzz)
HOST_TESTS += $(HT_TESTS)

.PHONY: host-run fuzz bench-mark
host-tests: $(HT_TESTS)
host-run: host-tests
	$(Q)for t in $(HT_TESTS); do $$t || exit; done

# On and on, with a corpus that is kept: make fuzz FUZZ="-max_total_time=3600"
fuzz: $(HT)/core-fuzzer
	@mkdir -p $(HT)/corpus
	$(Q)$(HT)/core-fuzzer -max_len=4096 $(FUZZ) $(HT)/corpus

# In large pages, as is all that a kernel has mapped.
bench-mark: $(HT)/bench-mark
	$(Q)GLIBC_TUNABLES=glibc.malloc.hugetlb=1 $(HT)/bench-mark $(ARGS)
