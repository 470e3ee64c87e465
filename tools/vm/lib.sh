# SPDX-License-Identifier: GPL-2.0-only
# Shared by the scripts in this directory: sourced, never run.

# shellcheck disable=SC2034 # used by those who source this
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
cache=${GCHEAP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gcheap}

# Where the project's own build goes; O may be relative to its top.
out=${O:-build}
case $out in /*) ;; *) out=$top/$out ;; esac

# The kernel's make, free of what this project's was called with: O and CC mean
# something else there.
kernel_make() {
	env -u MAKEFLAGS -u MFLAGS -u MAKEOVERRIDES -u O -u V -u CC -u CFLAGS make "$@"
}

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

say() {
	echo "${0##*/}: $*" >&2
}
