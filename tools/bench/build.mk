# SPDX-License-Identifier: GPL-2.0-only
# Benchmarks: each source once for libgcheap and, if there is something to compare,
# once for Debian's libgc, into build/bench/. "dropin" is written for libgc, and runs on both
# of it. What is there in Go as well, if there is Go.

BP        := $(O)/bench
BP_SRC    := $(wildcard tools/bench/*.c)
BP_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARNINGS) -Ilib/include -pthread
BP_HDR    := $(wildcard tools/bench/*.h)
BP_ALL    := $(BP_SRC:tools/bench/%.c=%)
BP_BOTH   := $(filter-out flips locality moves pauses,$(BP_ALL))
BP_GCHEAP := $(filter-out dropin,$(BP_ALL))

bench-progs: $(BP_GCHEAP:%=$(BP)/%.gcheap) $(BP_BOTH:%=$(BP)/%.libgc) \
	$(if $(shell command -v go),$(BP)/trees.go $(BP)/frag.go)

$(BP)/%.go: tools/bench/%.go
	@mkdir -p $(@D)
	$(Q)GOCACHE=$(abspath $(BP))/go-cache CGO_ENABLED=0 go build -o $@ $<

$(BP)/%.libgc: tools/bench/%.c $(BP_HDR)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BP_CFLAGS) -DBENCH_LIBGC -o $@ $< -lgc

$(BP)/%.gcheap: tools/bench/%.c $(BP_HDR) lib/include/gcheap.h | lib
	@mkdir -p $(@D)
	$(Q)$(CC) $(BP_CFLAGS) -o $@ $< -L$(O)/lib -lgcheap -Wl,-rpath,'$$ORIGIN/../lib'
