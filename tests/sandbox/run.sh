#!/usr/bin/env bash
# Runs the tests where the newer system calls really fail, as they do on an old kernel (ENOSYS), in a
# container whose seccomp profile refuses them (EPERM) and below a security module that does (EACCES):
# each call alone, and all of them.
#
#   run.sh          the Rust tests of both crates, the Go package's, the attack suite, the comparison
#                   with the original, and with all calls failing that of the mounter with mount-utils'
#   run.sh short    the Rust tests and the Go package's, with all calls failing
#
# SEEDS and SECONDS_EACH set the range of cases compared and the length of an attack.
# Run by `make test-sandboxed` and `make test`, after `make build`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
what=${1-}
out=${CARGO_TARGET_DIR:-target}/sandbox
mkdir -p "$out"
out=$(cd "$out" && pwd)

all=openat2,statx,open_tree,move_mount,fsopen,fsconfig,fsmount,fspick,mount_setattr,statmount
sets="$all"
[ "$what" = short ] || sets="openat2 statx open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr statmount $all"

fail() {
	echo "sandboxed: $*" >&2
	exit 1
}

# The sandbox itself, and that the calls fail in it.
(cd tests/sandbox && go test -count=1 . >"$out/output" 2>&1 && go build -o "$out/sandbox" .) || fail "$(cat "$out/output")"

# Each program with the directory that cargo runs it in.
list_rust() { # CARGO-ARGUMENT...
	cargo test --quiet --locked --no-run --message-format=json "$@" 2>/dev/null |
		sed -n 's/.*"manifest_path":"\([^"]*\)\/Cargo.toml".*"executable":"\([^"]*\)".*/\1 \2/p'
}
{
	# header.rs compares two files and calls nothing; the documentation's examples run elsewhere.
	list_rust --workspace --lib --tests | grep -v '/deps/header-'
	[ "$what" = short ] || list_rust --features fault-injection --test faults
} >"$out/rust"
[ -s "$out/rust" ] || fail "no Rust test program was built"
rm -rf "$out/go-shim" && mkdir "$out/go-shim"
(cd go-shim && go test -c -o "$out/go-shim/" ./...)
if [ "$what" != short ]; then
	for profile in v129 v137; do
		(cd tests/go/$profile && go build -o "$out/attack.$profile" ./attack && go test -c -o "$out/parity.$profile" .)
	done
	(cd tests/go/mountutils && go test -c -o "$out/mounter" .)
fi

without='' errno=''
run() { # NAME DIRECTORY COMMAND...
	local name=$1 dir=$2
	shift 2
	(cd "$dir" && "$out/sandbox" "$without" "$errno" "$@") >"$out/output" 2>&1 </dev/null || {
		cat "$out/output"
		fail "$name fails with $without answering $errno"
	}
	# What a test could not run it says, once for each set.
	grep -h '^\.*not run, ' "$out/output" | sed 's/^\.*/  /' | sort -u || true
}

# The tests' own imitation of a missing call is left out: here calls are missing.
export SUBPATH_TEST_BACKENDS=real
for without in $sets; do
	for errno in ENOSYS EPERM EACCES; do
		while read -r dir program; do
			name=$(basename "$program")
			run "${name%-*}" "$dir" "$program" --quiet
		done <"$out/rust"
		for program in "$out/go-shim"/*; do
			run "$(basename "$program")" "$root/go-shim" "$program" -test.timeout 300s
		done
		if [ "$what" != short ]; then
			rm -f "$out/attacks"
			for profile in v129 v137; do
				run "attack.$profile" "$out" "$out/attack.$profile" -seconds "${SECONDS_EACH:-0.2}" -players '^the port' -out "$out/attacks"
				run "parity.$profile" "$root/tests/go/$profile" \
					env PARITY_SEEDS="${SEEDS:-1:40}" "$out/parity.$profile" -test.run '^TestParity$' -test.timeout 30m
			done
			# Under load an attacker may not get round to a move in so short a time; what counts is harm.
			if grep -qE '"(Escapes|Modes|Lost|Hangs|Mounts)":[1-9]|"Broken":"[^"]' "$out/attacks"; then
				"$out/attack.v129" table "$out/attacks" || true
				fail "an attack succeeds with $without answering $errno"
			fi
			[ "$without" != "$all" ] ||
				run mounter "$root/tests/go/mountutils" "$out/mounter" -test.run '^TestTheMounterIsMountUtils$' -test.timeout 5m
		fi
		echo "sandboxed: all is well with $without answering $errno"
	done
done
