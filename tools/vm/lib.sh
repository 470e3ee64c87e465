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

# kept_for_boot NAME COMMAND...: what the command prints, kept until this machine boots again.
kept_for_boot() {
	local name kept
	name=$1-$(id -u)
	kept=$cache/$name-$(cat /proc/sys/kernel/random/boot_id)
	shift
	if [ ! -s "$kept" ]; then
		mkdir -p "$cache"
		"$@" >"$kept.$$"
		mv "$kept.$$" "$kept"
		# Of earlier boots; others may be about to make this one, too, or to do this.
		find "$cache" -ignore_readdir_race -maxdepth 1 -name "$name-*" \
			! -name "${kept##*/}*" -delete
	fi
	cat "$kept"
}

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

say() {
	echo "${0##*/}: $*" >&2
}
