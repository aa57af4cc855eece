#!/bin/sh
# Looks for undefined behaviour, use after free, leaks and data races: the address sanitizer, with its
# leak check, over the library, the Go package's tests and the calls from C; Go's race detector and
# its check of what crosses to C; and Miri over the boundary's own tests and the pure parts of
# mountinfo. Run by `make sanitize`, after `make build`.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
target=$(rustc -vV | sed -n 's/^host: //p')

cargo +nightly miri --version >/dev/null 2>&1 || {
	echo "Miri is missing: rustup toolchain install nightly --component miri" >&2
	exit 1
}

# The library itself is instrumented too: what the linked one's code does to memory, a sanitizer of
# the program around it does not see. The runtime comes from the C compiler, once for all.
cd "$root"
RUSTFLAGS="-Zsanitizer=address" cargo +nightly rustc --quiet --locked --release -p rustsubpath-ffi --lib --crate-type staticlib \
	--config profile.release.lto=false --config profile.release.codegen-units=16 \
	--target "$target" --target-dir target/sanitize
library=target/sanitize/$target/release/librustsubpath_ffi.a
nm "$library" 2>/dev/null | grep -q "U __asan_report" || {
	echo "sanitize: $library is not instrumented" >&2
	exit 1
}

"${CC:-cc}" -g -std=c11 -fsanitize=address,undefined -fno-sanitize-recover -Igo-shim/internal/boundary \
	"$here/calls.c" "$library" -o "$work/calls"
"$work/calls"
echo "sanitize: the calls from C are clean"

mkdir "$work/shim"
cp -R go-shim/*.go go-shim/go.* go-shim/internal go-shim/upstreamtest "$work/shim"
# The library takes the linked one's place under its name. Go's build cache looks at the file that
# names it, which therefore gets another hash.
platform=$(go env GOHOSTOS)_$(go env GOHOSTARCH)
boundary=$work/shim/internal/boundary
cp "$library" "$boundary/librustsubpath_$platform.a"
sed -i "s/= \"[0-9a-f]*\"\$/= \"$(sha256sum "$library" | cut -d' ' -f1)\"/" "$boundary/library_$platform.go"
(cd "$work/shim" && go test -asan -count 1 ./...)
echo "sanitize: the Go tests are clean under the address sanitizer"

(cd go-shim && GOEXPERIMENT=cgocheck2 go test -race -count 1 ./...)
echo "sanitize: the Go tests are clean under -race and cgocheck2"

# The log handle is an address that crosses as a number, as a C caller's would.
MIRIFLAGS="-Zmiri-permissive-provenance -Zmiri-disable-isolation" \
	cargo +nightly miri test --quiet --locked --target-dir target/miri -p rustsubpath-ffi --lib
echo "sanitize: the boundary's own tests are clean under Miri"

# One test reads lines of 70 kB again and again, which takes Miri longer than all others together.
MIRIFLAGS="-Zmiri-disable-isolation" \
	cargo +nightly miri test --quiet --locked --target-dir target/miri -p subpath-mountinfo --lib -- \
	go_path:: go_text:: table:: --skip lines_longer_than_the_buffer_come_whole
MIRIFLAGS="-Zmiri-disable-isolation" \
	cargo +nightly miri test --quiet --locked --target-dir target/miri -p subpath-mountinfo --test table_small
echo "sanitize: the paths, texts and the mount table of mountinfo are clean under Miri"
