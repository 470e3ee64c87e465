# SPDX-License-Identifier: GPL-2.0-only
# Shared by the scripts in this directory: sourced, never run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$top" || exit 2
tests=0
bad=0

# verdict NAME TEXT: passes if there is nothing to say.
verdict() {
	if [ -z "$2" ]; then
		echo "ok $((++tests)) - $1"
	else
		bad=1
		echo "not ok $((++tests)) - $1"
		sed 's/^/# /' <<<"$2"
	fi
}

# Every file of the project, tracked, new, or from an archive without git.
all_files() {
	git ls-files -co --exclude-standard 2>/dev/null ||
		find . \( -name build -o -name .git \) -prune -o -type f -printf '%P\n'
}

# sources GLOB...: the files that match and exist; * matches slashes too.
sources() {
	local f glob
	while read -r f; do
		for glob; do
			# shellcheck disable=SC2053 # a glob is meant
			[[ $f == $glob ]] && [ -f "$f" ] && { echo "$f"; break; }
		done
	done < <(all_files | sort)
}

plan() {
	echo "1..$tests"
	exit $bad
}
