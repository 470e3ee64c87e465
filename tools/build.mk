# SPDX-License-Identifier: GPL-2.0-only
# Tests of what the tools do to this machine.

HOST_TESTS += tools/check-install
host-tests: lib bdw tools-progs
