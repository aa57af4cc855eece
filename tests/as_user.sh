#!/usr/bin/env bash
# Runs the tests that mount once more as an ordinary user, in a user namespace of that user's own.
# When the caller is an ordinary user already, there is nothing to run again, and it says so.
#
#   as_user.sh           the tests of the crate (those of the Go packages: boundary/go.sh)
#   as_user.sh TREE...   upstream's subpath tests of swapped kubernetes trees
#   as_user.sh list      print the crate's test programs that mount, and run nothing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

programs=(real_mounts broken_layouts broken_filesystems mount_points new_directories scarcity threads
	forced_cleanup noted_mounts native_mounts)
if [ "${1-}" = list ]; then
	printf '%s\n' "${programs[@]}"
	exit
fi

if [ "$(id -u)" -ne 0 ]; then
	echo "as an ordinary user: these tests ran as one already"
	exit 0
fi

# Where the user can reach the programs whatever lies above this checkout.
place=$(mktemp -d /tmp/subpath-as-user.XXXXXX)
trap 'rm -rf "$place"' EXIT
chmod 755 "$place"
install -d -m 700 -o 65534 -g 65534 "$place/home"

as_user() { # PROGRAM ARGUMENT...
	(cd "$place/home" &&
		setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
			env HOME="$place/home" TMPDIR="$place/home" "$@")
}

as_user unshare --user --map-root-user --mount true || {
	echo "an ordinary user may make no user namespace here, so nothing that mounts can run as one:" \
		"allow it with  sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000" >&2
	exit 1
}

if [ $# -eq 0 ]; then
	cargo test --quiet --locked --no-run --lib "${programs[@]/#/--test=}" --message-format=json 2>/dev/null |
		sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' >"$place/list"
	[ -s "$place/list" ] || { echo "no test program of the crate was built" >&2; exit 1; }
	while read -r program; do
		name=$(basename "$program")
		install -m 755 "$program" "$place/$name"
		echo "as an ordinary user: ${name%-*}"
		as_user "$place/$name" --quiet </dev/null
	done <"$place/list"
fi
for tree; do
	echo "as an ordinary user: upstream's tests of $tree"
	(cd "$tree" && GOWORK=off go test -c -tags rustsubpath -o "$place/upstream.test" ./pkg/volume/util/subpath/)
	chmod 755 "$place/upstream.test"
	as_user "$place/upstream.test" -test.v -test.timeout 300s
done
