#!/bin/sh
# What no Go test can show of the static library: which symbols it has, that C and C++ take the
# header, that it links without shared libraries, and beside another Rust library.
# Run by `make test-go`, after `make build`.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
shim=$(cd "$here/../../go-shim" && pwd)
boundary=$shim/internal/boundary
library=$(echo "$boundary"/librustsubpath_*.a)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc=${CC:-cc}

fail() {
	echo "tests/boundary: $*" >&2
	exit 1
}

# Only the boundary's own symbols are global, and all of those that the header names.
nm --extern-only --defined-only "$library" | sed -n 's/^.* [A-Z] //p' | sort >"$work/symbols"
sed -n 's/^[a-z].* \**\(rsp_[a-z_]*\)(.*/\1/p' "$boundary/rustsubpath.h" | sort >"$work/header"
[ -s "$work/header" ] || fail "the header names no function"
diff "$work/header" "$work/symbols" || fail "the library's global symbols (>) are not the header's functions (<)"

# The header is C11 and C++ without a warning.
strict="-Wall -Wextra -Wpedantic -Werror -I$boundary"
# shellcheck disable=SC2086
"$cc" -std=c11 $strict -c "$here/calls.c" -o "$work/calls.o"
if command -v "${CXX:-c++}" >/dev/null; then
	# shellcheck disable=SC2086
	"${CXX:-c++}" -std=c++11 $strict -x c++ -fsyntax-only "$boundary/rustsubpath.h"
else
	echo "tests/boundary: not run for want of a C++ compiler: the header as C++"
fi

run() {
	"$work/$1" || fail "$1: the calls from C fail"
}
"$cc" "$work/calls.o" "$library" -o "$work/dynamic"
run dynamic
"$cc" -static "$work/calls.o" "$library" -o "$work/static"
run static

# What the crate's README.md shows works.
# shellcheck disable=SC2016 # backticks of Markdown
sed -n '/^```c$/,/^```$/{//!p}' "$shim/ffi/README.md" >"$work/example.c"
# shellcheck disable=SC2086
"$cc" -std=c11 $strict "$work/example.c" "$library" -o "$work/example"
[ "$("$work/example")" = "/proc is a mount point" ] || fail "the example of go-shim/ffi/README.md says something else"

# Another Rust library, as cargo makes it and as archive.sh does. The second is this one under
# other names: the same runtime, which clashes if any of it is to be seen.
cat >"$work/other.rs" <<'RS'
#[unsafe(no_mangle)]
pub extern "C" fn other_rust_library(n: u32) -> usize {
    let words = std::panic::catch_unwind(|| (0..n).map(|i| format!("{i}")).collect::<Vec<_>>());
    words.map_or(0, |words| words.concat().len())
}
RS
rustc --edition 2024 --crate-type staticlib -O "$work/other.rs" -o "$work/libother.a"
objcopy --redefine-syms=/dev/stdin "$library" "$work/libtwin.a" <<SYMS
$(sed 's/\(.*\)/\1 twin_\1/' "$work/symbols")
SYMS
# shellcheck disable=SC2086
"$cc" -std=c11 $strict -DWITH_OTHERS -c "$here/calls.c" -o "$work/calls_others.o"
"$cc" "$work/calls_others.o" "$library" "$work/libtwin.a" "$work/libother.a" -lpthread -ldl -lm -o "$work/three"
run three

# A Go program without shared libraries.
cd "$shim"
go test -c -ldflags '-extldflags -static' -o "$work/static.test" . 2>"$work/warnings" || fail "$(cat "$work/warnings")"
if readelf -l "$work/static.test" | grep -q INTERP; then
	fail "the static Go program asks for a dynamic loader"
fi
"$work/static.test" -test.run 'TestPrepareAndClean|TestAMounterMayLeave|TestParseMountInfo' >"$work/output" 2>&1 ||
	fail "the static Go program fails: $(cat "$work/output")"

# What is wrong with a library that is missing or old is said in one sentence that names the remedy.
mkdir "$work/shim"
cp -R "$shim"/*.go "$shim"/go.* "$shim/internal" "$work/shim"
cd "$work/shim"
rm ./*_test.go internal/boundary/*.a
link=$(echo internal/boundary/library_*.go)
complains() { # WHAT SENTENCE
	if go build . 2>"$work/said"; then
		fail "a build $1 goes through"
	fi
	grep -q "$2" "$work/said" || fail "a build $1 does not say '$2' but: $(cat "$work/said")"
}
complains "without the library" '#error "librustsubpath_.*\.a is missing beside this file: run make build.*git add -f it"'
cp "$library" internal/boundary
go build . || fail "a build with all of it fails"
version=$(sed -n 's/^#define RSP_ABI_VERSION //p' internal/boundary/rustsubpath.h)
sed -i "s/library_for_version_$version /library_for_version_0 /" "$link"
complains "with a library of another version" "undefined: run_make_build_to_get_a_library_for_version_$version"
rm "$link"
complains "without the file that names the library" "undefined: run_make_build_to_get_a_library_for_version_$version"

echo "tests/boundary: $(wc -l <"$work/symbols") symbols, C, C++, static, three Rust libraries in one program: all right"
