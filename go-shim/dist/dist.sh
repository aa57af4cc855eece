#!/usr/bin/env bash
# Makes the release archive target/dist/rustsubpath-VERSION.tar.gz: the Go package with its static
# libraries and header, the swap, all licences, an SPDX list and checksums. Run by `make dist`.
#
# Two runs on the same commit with the same tools give the same bytes, wherever the checkout lies
# (`make dist-test` checks that): the archive has no time, user, path or directory order of this machine.
# A platform whose tools are missing is left out with a message, or with REQUIRE=1 an error.
set -euo pipefail
export LC_ALL=C
umask 022

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}

fail() {
	printf 'dist: %s\n' "$*" >&2
	exit 1
}

say() { printf '%s\n' "$*"; }

version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ -n "$version" ] || fail "Cargo.toml names no version"
seconds=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || true)}
[ -n "$seconds" ] || fail "this is no git checkout: say the release's time with SOURCE_DATE_EPOCH=SECONDS"
created=$(date -u -d "@$seconds" +%Y-%m-%dT%H:%M:%SZ)

name=rustsubpath-$version
stage=$target/dist/$name
rm -rf "$stage"
mkdir -p "$stage"/go-shim/{swap,internal/boundary,upstreamtest}

# --- the libraries --------------------------------------------------------------

left_out=

# Builds one library into a folder, or says which tool is missing for it.
library() { # RUST-TARGET GOARCH TOOL-PREFIX FOLDER WHAT
	local triple=$1 arch=$2 prefix=$3 folder=$4 what=$5 missing='' tool
	local flags=''
	[ -d "$(rustc --print target-libdir --target "$triple")" ] || missing="run  rustup target add $triple"
	for tool in ld objcopy nm ar; do
		command -v "$prefix$tool" >/dev/null || missing="${missing:+$missing, and }install $prefix$tool (Debian: binutils${prefix:+-${prefix%-}})"
		[ -z "$missing" ] || break
	done
	if [ -n "$missing" ]; then
		say "left out: $what: $missing"
		left_out=1
		return
	fi
	# A library for musl uses the program's libc, like any other.
	case $triple in *-musl) flags=$'-Ctarget-feature=-crt-static\x1f' ;; esac
	say "building: $what"
	# As encoded flags, because the folder's name may contain a space.
	CARGO_ENCODED_RUSTFLAGS=$flags--remap-path-prefix=$root=.$'\x1f'--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo \
		cargo rustc --quiet --locked --release -p rustsubpath-ffi --lib --crate-type staticlib \
		--target "$triple" --target-dir "$target/library-$triple"
	mkdir -p "$folder"
	LD=${prefix}ld OBJCOPY=${prefix}objcopy NM=${prefix}nm AR=${prefix}ar \
		go-shim/ffi/archive.sh "$target/library-$triple/$triple/release/librustsubpath_ffi.a" "$folder" linux "$arch"
	linked "$triple" >>"$target/dist/crates"
}

linked() { cargo tree --locked -p rustsubpath-ffi -e normal,no-proc-macro --target "$1" --prefix none --format '{p}'; }

: >"$target/dist/crates"
library x86_64-unknown-linux-gnu amd64 '' "$stage/go-shim/internal/boundary" "linux/amd64, glibc"
library x86_64-unknown-linux-musl amd64 '' "$stage/musl" "linux/amd64, musl"
library aarch64-unknown-linux-gnu arm64 aarch64-linux-gnu- "$stage/go-shim/internal/boundary" "linux/arm64, glibc"
library aarch64-unknown-linux-musl arm64 aarch64-linux-gnu- "$stage/musl" "linux/arm64, musl"
[ -s "$target/dist/crates" ] || fail "no library could be built"
[ -z "$left_out" ] || [ -z "${REQUIRE:-}" ] || fail "not every platform could be built"

# --- everything else ------------------------------------------------------------

for file in go-shim/{,internal/boundary/,upstreamtest/}*.go; do
	case $file in *_test.go | */library_*.go) continue ;; esac
	cp "$file" "$stage/$file"
done
cp go-shim/go.mod go-shim/go.sum "$stage/go-shim/"
cp go-shim/internal/boundary/rustsubpath.h "$stage/go-shim/internal/boundary/"
# Takes precedence over a *.a in the .gitignore of a tree that the folder is copied or vendored into.
say '!librustsubpath_*.a' >"$stage/go-shim/internal/boundary/.gitignore"
cp go-shim/swap/{swap.sh,*.in} "$stage/go-shim/swap/"
cp LICENSE NOTICE CHANGELOG.md "$stage/"
sed -e "s/@VERSION@/$version/g" -e "s/@GO@/$(sed -n 's/^go //p' go-shim/go.mod)/g" go-shim/dist/README.md.in >"$stage/README.md"
say "$version" >"$stage/VERSION"
sort -u "$target/dist/crates" | go run go-shim/dist/licences.go "$version" "$created" "$stage"

chmod -R u=rwX,go=rX "$stage"
chmod 755 "$stage/go-shim/swap/swap.sh"
(cd "$stage" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sed 's|  \./|  |') >"$target/dist/sums"
mv "$target/dist/sums" "$stage/SHA256SUMS"
tar --create --directory "$target/dist" --format=ustar --sort=name --mtime="@$seconds" \
	--owner=0 --group=0 --numeric-owner "$name" | gzip -n -9 >"$target/dist/$name.tar.gz"
(cd "$target/dist" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
say "$target/dist/$name.tar.gz"
say "  $(wc -c <"$target/dist/$name.tar.gz") bytes, $(find "$stage" -type f | wc -l) files, licences of $(find "$stage/licenses" -mindepth 1 -maxdepth 1 | wc -l) parts"
say "  sha256 $(cut -d' ' -f1 "$target/dist/$name.tar.gz.sha256")"
