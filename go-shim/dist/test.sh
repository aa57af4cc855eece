#!/usr/bin/env bash
# Proves that the release archive is reproducible and can be used: builds it twice, from two clones
# in folders of different names, compares the bytes, checks its checksums, and runs Go and C
# programs on the libraries in it. Run by `make dist-test`.
set -euo pipefail
export LC_ALL=C GOWORK=off

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

fail() {
	printf 'dist-test: %s\n' "$*" >&2
	exit 1
}

# Of one commit, whatever is committed here meanwhile: its time is the archive's.
commit=$(git -C "$root" rev-parse HEAD)
for clone in one "another folder"; do
	git clone --quiet --no-checkout "$root" "$work/$clone"
	git -C "$work/$clone" checkout --quiet --detach "$commit"
	(cd "$work/$clone" && env -u CARGO_TARGET_DIR go-shim/dist/dist.sh) >"$work/log" || { cat "$work/log"; exit 1; }
done
cat "$work/log"
archive=$(basename "$work"/one/target/dist/*.tar.gz)
cmp "$work/one/target/dist/$archive" "$work/another folder/target/dist/$archive" ||
	fail "two builds of $archive differ"
echo "two builds from two folders: the same bytes"

tar -xzf "$work/one/target/dist/$archive" -C "$work"
release=$work/${archive%.tar.gz}
(cd "$release" && sha256sum --quiet --check SHA256SUMS)
grep -rlF -e "$work" -e "$HOME/" "$release" && fail "the files above name folders of this machine"
echo "checksums are right, no path of this machine inside"

# The packages are tested where they lie in the archive, by the tests left out of it.
for package in . internal/boundary upstreamtest; do
	cp "$root/go-shim/$package"/*_test.go "$release/go-shim/$package/"
done
cp -R "$root/go-shim/internal/testutil" "$release/go-shim/internal/"
(cd "$release/go-shim" && go vet ./... && go test -count 1 ./... >"$work/log") || { cat "$work/log"; fail "the Go packages in the archive fail"; }
echo "Go tests on the archive's linux/amd64 library: passed"

# A program as the archive's README has it, in a tree whose git ignores *.a.
mkdir "$work/program"
cat >"$work/program/main.go" <<-'END'
	package main

	import (
		"fmt"

		"rustsubpath"
	)

	func main() {
		fmt.Println(rustsubpath.IsMountPoint("/proc"))
	}
END
(
	cd "$work/program"
	sed -n "s|DIR|$release|; s/^    //; /^module /,/^replace /p" "$release/README.md" >go.mod
	echo '*.a' >.gitignore
	git init --quiet
	run() { # GO-BUILD-FLAGS...
		go build "$@" -o program . && [ "$(./program)" = "true <nil>" ] || fail "the program fails with: go build $*"
	}
	go mod tidy
	run
	run -ldflags '-extldflags=-static-libgcc'
	! ldd program | grep libgcc_s || fail "libgcc_s is still needed"
	go mod vendor
	run -mod=vendor
	git add .
	git ls-files --error-unmatch vendor/rustsubpath/internal/boundary/librustsubpath_linux_"$(go env GOHOSTARCH)".a >"$work/log" ||
		fail "git ignores the vendored library"
) >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
echo "a program by the archive's README, vendored too, and in a tree that ignores *.a: passed"

if [ -d "$release/musl" ]; then
	# Debian's libgcc_eh is made for glibc; Rust brings an unwinder for musl.
	unwinder=$(rustc --print target-libdir --target "$(uname -m)-unknown-linux-musl")/self-contained/libunwind.a
	if command -v musl-gcc >/dev/null; then
		musl-gcc -static -I"$release/go-shim/internal/boundary" "$root/tests/boundary/calls.c" \
			"$release"/musl/librustsubpath_linux_"$(go env GOHOSTARCH)".a "$unwinder" -o "$work/musl"
		"$work/musl" >"$work/log" 2>&1 || { cat "$work/log"; fail "the calls from C fail with musl"; }
		echo "C calls on the musl library: passed"
		cp "$release"/musl/*_"$(go env GOHOSTARCH)".* "$release/go-shim/internal/boundary/"
		(cd "$work/program" && CC=musl-gcc CGO_LDFLAGS=$unwinder go build -mod=mod -ldflags '-linkmode external -extldflags -static' -o musl . &&
			[ "$(./musl)" = "true <nil>" ]) || fail "the program fails with the musl library"
		echo "a program with the musl library: passed"
	else
		echo "not run for want of musl-gcc (Debian: musl-tools): C calls on the musl library"
	fi
fi
if [ -f "$release/go-shim/internal/boundary/librustsubpath_linux_arm64.a" ]; then
	if command -v aarch64-linux-gnu-gcc >/dev/null; then
		(cd "$release/go-shim" && GOARCH=arm64 CGO_ENABLED=1 CC=aarch64-linux-gnu-gcc go test -c -o "$work/" ./...)
		echo "Go tests on the linux/arm64 library: linked"
	else
		echo "not run for want of aarch64-linux-gnu-gcc (Debian: gcc-aarch64-linux-gnu): linking the linux/arm64 library"
	fi
fi
