# SPDX-License-Identifier: GPL-2.0-only
# gcheap: a kernel module that gives C programs a garbage-collected heap.
#
#   make            the library, the libgc stand-in, the module for each kernel prepared
#   make run        the main job in a virtual machine with the module: CMD="..." KERNEL=6.1
#   make test       everything, from a fresh machine on; the last line counts
#   make modules    KERNELS="6.1 6.12 cloud debug kcsan" -> build/<release>/gcheap.ko
#   make host       the collector's core on this machine, with sanitizers
#   make vm-test    KERNELS=...: the self-tests in a virtual machine for each
#   make kunit      the KUnit suites, on the debug kernel
#   make style      checkpatch, sparse, coccinelle, layering; make rig: the virtual machines
#   make bench, make soak, make install, make uninstall, make clean
#
# O=DIR builds elsewhere, V=1 shows the commands. Each directory's build.mk says how
# its programs are made; the module's Kbuild is read by the kernel's own make.

O        ?= build
CC       ?= cc
CFLAGS   ?= -O2 -g
WARNINGS ?= -Wall -Wextra -Wno-unused-parameter
KERNELS  ?= $(or $(shell tools/vm/kernel --prepared),6.1)
KERNEL   ?= 6.1
Q        := $(if $(V),,@)
export O V CC CFLAGS

all: setup lib bdw modules

# Added to by the fragments: programs that speak TAP and run on the host, and
# what the tests in the virtual machine need built.
HOST_TESTS :=
VM_TESTS   :=

-include lib/build.mk lib/bdw/build.mk
-include tools/build.mk tools/bench/build.mk
-include selftests/build.mk selftests/host/build.mk examples/build.mk

.PHONY: all lib bdw selftests host-tests bench-progs tools-progs examples
lib bdw selftests host-tests bench-progs tools-progs examples:

.PHONY: setup modules run test host vm-test kunit style rig bench soak
setup:
	$(Q)tools/setup

modules: setup
	$(Q)+tools/vm/module $(KERNELS)

run: setup lib bdw selftests tools-progs examples
	$(Q)+tools/vm/module $(KERNEL)
	$(Q)$(if $(CMD),tools/vm/run --kernel $(KERNEL) $(RUNFLAGS) -- $(CMD),tools/demo/run --kernel $(KERNEL))

# tools/test builds what it needs itself, so that a failing build is counted too.
test host vm-test kunit style rig: setup
	$(Q)+KERNELS="$(KERNELS)" HOST_TESTS="$(HOST_TESTS)" tools/test $@

bench: setup lib bdw bench-progs
	$(Q)+tools/vm/module $(KERNEL)
	$(Q)KERNEL=$(KERNEL) tools/bench/run $(ARGS)

soak: setup lib selftests
	$(Q)+tools/soak $(ARGS)

.PHONY: install uninstall clean
install: lib bdw tools-progs
	$(Q)tools/install install
uninstall:
	$(Q)tools/install uninstall

clean:
	$(Q)rm -rf $(O)
