#!/usr/bin/env bash
# Builds all test programs for one architecture, and the list of how a guest runs each.
#
#   programs.sh ARCH DIR
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
arch=$1 out=$2
cd "$root"

case $arch in
amd64) target=x86_64-unknown-linux-gnu prefix='' ;;
arm64) target=aarch64-unknown-linux-gnu prefix=aarch64-linux-gnu- ;;
*) echo "no test programs are built for $arch" >&2 && exit 1 ;;
esac
own=$(dpkg --print-architecture)
rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)

add() { # SUITE NAME DIRECTORY COMMAND
	printf '%s\t%s\t%s\t%s\n' "$@" >>"$out/list"
}

# --- Rust ---------------------------------------------------------------------------

# The test programs that cargo made, with the folder that cargo runs each in.
made() { # CARGO-ARGUMENT...
	cargo test --quiet --locked --no-run --message-format=json "$@" |
		sed -n 's/.*"manifest_path":"\([^"]*\)\/Cargo.toml".*"executable":"\([^"]*\)".*/\1 \2/p'
}

rust() { # SUITE CARGO-ARGUMENT...
	local suite=$1 dir program name
	shift
	made "$@" >"$out/made"
	[ -s "$out/made" ] || { echo "no test program was built for $suite" >&2; exit 1; }
	mkdir -p "$out/$suite"
	while read -r dir program; do
		name=$(basename "${program%-*}")
		# Compares two files, and calls nothing.
		[ "$name" != header ] || continue
		"${prefix}strip" -o "$out/$suite/$name" "$program"
		add "$suite" "$name" "CHECKOUT${dir#"$root"}" "/programs/$suite/$name"
	done <"$out/made"
	rm "$out/made"
}

flags=()
if [ "$arch" != "$own" ]; then
	flags=(--target "$target")
	variable=CARGO_TARGET_${target^^}_LINKER
	export "${variable//-/_}=${prefix}gcc"
fi
# An emulated processor has enough to do as it is.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=1
# Not the injected faults: they stand in the place of the kernel's answers, so they are the same everywhere.
rust rust "${flags[@]}" --workspace --lib --tests
(cd tests/go/gosem && GOWORK=off CGO_ENABLED=0 GOARCH=$arch go build -o "$out/gosem" .)

for name in $(tests/as_user.sh list); do
	add user "$name" CHECKOUT "setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs /programs/rust/$name"
done

# --- the C boundary and Go, without shared libraries -----------------------------------

boundary=go-shim/internal/boundary
# This machine's own library too: the swap refuses one that is out of step.
make --silent build
if [ "$arch" != "$own" ]; then
	library=${CARGO_TARGET_DIR:-$root/target}/library-$target
	cargo rustc --quiet --locked --release -p rustsubpath-ffi --lib --crate-type staticlib "${flags[@]}" --target-dir "$library"
	LD=${prefix}ld OBJCOPY=${prefix}objcopy NM=${prefix}nm AR=${prefix}ar go-shim/ffi/archive.sh \
		"$library/$target/release/librustsubpath_ffi.a" $boundary linux "$arch"
fi
"${prefix}gcc" -std=c11 -static -I$boundary tests/boundary/calls.c $boundary/librustsubpath_linux_"$arch".a -o "$out/calls"
add boundary calls CHECKOUT /programs/calls

export GOARCH=$arch CGO_ENABLED=1 CC=${prefix}gcc
static=(-tags 'netgo osusergo' -ldflags '-s -w -extldflags -static')
mkdir "$out/go-shim"
(cd go-shim && go test -c "${static[@]}" -o "$out/go-shim/" ./...)
for program in "$out"/go-shim/*; do
	name=$(basename "$program")
	add go "$name" CHECKOUT/go-shim "/programs/go-shim/$name -test.v -test.timeout 0"
done
(cd examples/demo && go build "${static[@]}" -o "$out/demo" .)
add demo demo CHECKOUT /programs/demo

for version in v1.35.4 v1.37.2; do
	go-shim/swap/upstream.sh program $version "$out/upstream-$version" >"$out/log" || { cat "$out/log"; exit 1; }
	add upstream $version /tmp "/programs/upstream-$version -test.v -test.timeout 0"
done
for profile in v129 v137; do
	(cd tests/go/$profile && go test -c "${static[@]}" -o "$out/parity-$profile" . &&
		go build "${static[@]}" -o "$out/attack-$profile" ./attack)
	add parity $profile CHECKOUT/tests/go/$profile \
		"env PARITY_SEEDS=1:40 /programs/parity-$profile -test.v -test.run '^TestParity$' -test.timeout 0"
done
# The table of a container there, for testdata/.
add fixture container /results "python3 CHECKOUT/testdata/tools/capture.py --to /results container"
# Last, because they take longest.
for profile in v129 v137; do add attack $profile /tmp "/guest/attack /programs/attack-$profile"; done
