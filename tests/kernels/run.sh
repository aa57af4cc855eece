#!/usr/bin/env bash
# Runs the suites on Debian's kernels under QEMU, and prints a table of what passed where.
# Run by `make test-kernels`. What is fetched, built and written lies below target/kernels. The table
# also has the kernels that earlier runs on the same commit tried, so that the hours can be divided.
#
#   KERNELS  some of 5.10 6.1 6.12 newest; with -16k for pages of 16 KiB, which Debian has for arm64
#   ARCH     amd64 or arm64
#   ONLY     a regular expression for some of the suites: ^rust, ^upstream.v1.37.2
#
# QEMU uses KVM where that boots the kernel. Elsewhere the processor is emulated, and a guest
# measures at its start how much more time the tests need.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$(dirname "$here")")
work=$root/target/kernels
kernels=${KERNELS:-5.10 6.1 6.12 newest}
own=$(dpkg --print-architecture 2>/dev/null) || own=none
arch=${ARCH:-$own}

fail() {
	printf 'test-kernels: %s\n' "$*" >&2
	exit 1
}

# Prints the packages of Debian that are missing, a blank after each.
missing() {
	local row
	for row in apt-get:apt dpkg-deb:dpkg busybox:busybox-static cpio:cpio depmod:kmod mke2fs:e2fsprogs xz:xz-utils tar:tar; do
		command -v "${row%:*}" >/dev/null || printf '%s ' "${row#*:}"
	done
	case $arch in
	amd64) command -v qemu-system-x86_64 >/dev/null || printf 'qemu-system-x86 ' ;;
	arm64) command -v qemu-system-aarch64 >/dev/null || printf 'qemu-system-arm ' ;;
	*) fail "no suites are built for $arch: ARCH is amd64 or arm64" ;;
	esac
	if [ "$own $arch" = "amd64 arm64" ]; then
		command -v aarch64-linux-gnu-gcc >/dev/null || printf 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross '
	fi
}

suite_of() { # KERNEL
	case $1 in
	5.10*) echo bullseye ;;
	6.1 | 6.1-*) echo bookworm ;;
	6.12*) echo trixie ;;
	newest*) echo trixie-backports ;;
	*) fail "unknown kernel $1: 5.10, 6.1, 6.12 or newest" ;;
	esac
}

# Boots one kernel; its results, or the reason why there are none, are in a folder of its own.
try() { # KERNEL
	local kernel=$1 suite flavour='' version dir=$work/kernel-$1-$arch out=$work/$arch-$1
	suite=$(suite_of "$kernel")
	[[ $kernel != *-*k ]] || flavour=-${kernel##*-}
	rm -rf "$out"
	mkdir -p "$out"
	printf '%s\n' "$commit" >"$out/commit"
	if ! version=$(nice "$here/packages.sh" kernel "$suite" "linux-image-$arch$flavour" "$arch" "$dir" 2>"$out/why"); then
		tail -n 1 "$out/why" >"$out/not-run"
		return
	fi
	echo "Linux $version ($arch): boots, see $out/console"
	nice -n 19 "$here/initramfs.sh" "$dir" "$version" "$(busybox_of "$arch")" "$work/initramfs-$kernel-$arch"
	"$here/boot.sh" "$arch" "$(find "$dir/boot" "$dir/lib/modules/$version" -maxdepth 1 -name 'vmlinuz*' 2>/dev/null | head -1)" \
		"$work/initramfs-$kernel-$arch" "$work/image-$arch" "$out" "ONLY=${ONLY-}" ||
		echo "the guest did not come to its end: $(tail -n 1 "$out/console")" >"$out/lost"
	rm -rf "$dir" "$work/initramfs-$kernel-$arch"
}

busybox_of() { # ARCH
	if [ "$1" = "$own" ]; then command -v busybox; else echo "$work/userland-$1/bin/busybox"; fi
}

packages=$(missing)
[ -z "$packages" ] ||
	fail "not installed: ${packages% }. Install it by:  apt-get install --no-install-recommends ${packages% }"
for kernel in $kernels; do suite_of "$kernel" >/dev/null; done
mkdir -p "$work"
nice -n 19 "$here/packages.sh" userland "$arch" "$work/userland-$arch" || fail "without programs for $arch nothing can run"
echo "the test programs for $arch are built"
nice -n 19 "$here/programs.sh" "$arch" "$work/programs-$arch"
nice -n 19 "$here/image.sh" "$work/userland-$arch" "$work/programs-$arch" "$work/image-$arch"
# Results of a changed checkout are joined with no others.
commit=$(git -C "$root" describe --always --abbrev=12 --dirty="-changed-$$")
for kernel in $kernels; do try "$kernel"; done
mapfile -t outs < <(grep -lxF -- "$commit" "$work"/*/commit | xargs -n 1 dirname | sort -V)
"$here/table.sh" "${outs[@]}" | tee "$work/table.md"
# What table.sh printed says whether all is well.
exit "${PIPESTATUS[0]}"
