#!/usr/bin/env bash
# Tests of the swap tool on small trees made from released kubernetes versions, with a
# stand-in for the port, so that no library has to be built. Bounded: about a minute.
#
#   run.sh [TEST...]      SWAP_VERSIONS="v1.29.6 ..." for other versions
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../.." && pwd)
unset PROFILE FORCE KUBERNETES MOUNTER
export GOWORK=off

# One version of each form of subpath_linux.go: with a +build line, without, and v1.37's.
versions=${SWAP_VERSIONS:-v1.35.4 v1.36.3 v1.37.2}
newest=${versions##* }
oldest=${versions%% *}

all=$(mktemp -d)
trap 'chmod -R u+w "$all"; rm -rf "$all"' EXIT
# An ordinary user takes part in one test.
chmod 755 "$all"

# shellcheck source=tests/kubernetes/swap/lib.sh
source "$here/lib.sh"
# shellcheck source=tests/kubernetes/swap/cases.sh
source "$here/cases.sh"
# shellcheck source=tests/kubernetes/swap/refusals.sh
source "$here/refusals.sh"
# shellcheck source=tests/kubernetes/swap/mounter.sh
source "$here/mounter.sh"

for version in $versions; do make_tree "$all/released/$version" "$version"; done

passed=0
failed=()
names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(declare -F | sed -n 's/^declare -f \(test_.*\)/\1/p')
for name in "${names[@]}"; do
	scratch=$all/$name
	mkdir "$scratch"
	# Not as the condition of an if: bash would switch off set -e inside.
	set +e
	(
		set -e
		export TMPDIR=$scratch
		shim=$scratch/port/go-shim
		make_shim "$shim"
		"$name"
	) >"$scratch.log" 2>&1
	status=$?
	set -e
	if [ "$status" = 0 ]; then
		printf 'ok    %s\n' "${name//_/ }"
		passed=$((passed + 1))
	else
		printf 'FAIL  %s\n' "${name//_/ }"
		sed 's/^/      /' "$scratch.log"
		failed+=("$name")
	fi
	chmod -R u+w "$scratch"
	rm -rf "$scratch"
done
printf '%d passed, %d failed (on %s)\n' "$passed" ${#failed[@]} "$versions"
[ ${#failed[@]} -eq 0 ]
