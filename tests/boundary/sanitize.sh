#!/bin/sh
# Looks for undefined behaviour, use after free and leaks at the C boundary: Miri over the boundary's
# own tests, and the address sanitizer, with its leak check, over the Go package's tests and the
# calls from C. Run by `make sanitize`, after `make build`.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo +nightly miri --version >/dev/null 2>&1 || {
	echo "Miri is missing: rustup toolchain install nightly --component miri" >&2
	exit 1
}

cd "$root"
"${CC:-cc}" -g -std=c11 -fsanitize=address,undefined -fno-sanitize-recover -Igo-shim \
	"$here/calls.c" go-shim/librustsubpath_*.a -o "$work/calls"
"$work/calls"
echo "sanitize: the calls from C are clean"

(cd go-shim && go test -asan -count 1 .)
echo "sanitize: the Go package's tests are clean"

# The log handle is an address that crosses as a number, as a C caller's would.
MIRIFLAGS="-Zmiri-permissive-provenance -Zmiri-disable-isolation" \
	cargo +nightly miri test --quiet --locked --target-dir target/miri --lib ffi::
echo "sanitize: the boundary's own tests are clean under Miri"
