#!/usr/bin/env bash
# Makes the initramfs of one kernel: busybox, the modules for the disks and for the file systems that
# the tests mount, and guest/init, which goes on to the root file system.
#
#   initramfs.sh KERNEL-DIR VERSION BUSYBOX OUT
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernel=$1 version=$2 busybox=$3 out=$4

modules=(virtio_pci virtio_mmio virtio_blk virtio_rng crc32c_generic ext4 overlay fuse loop autofs4 btrfs xfs)

depmod -b "$kernel" "$version"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,modules,proc,root}

# ext4 asks for crc32c without naming its module.
# A module's line in modules.dep lists what it needs, the deepest last. One that is not there is
# built in, or this kernel lacks it.
loaded=()
for module in "${modules[@]}"; do
	IFS=': ' read -r -a needs < <(grep -E "/$module\.ko[.a-z]*:" "$kernel/lib/modules/$version/modules.dep" || echo)
	for ((i = ${#needs[@]} - 1; i >= 0; i--)); do
		[ -n "${needs[i]}" ] || continue
		name=$(basename "${needs[i]%%.ko*}")
		[ ! -e "$tree/modules/$name.ko" ] || continue
		xz -dcf "$kernel/lib/modules/$version/${needs[i]}" >"$tree/modules/$name.ko"
		loaded+=("$name")
	done
done
printf '%s\n' "${loaded[@]}" >"$tree/modules/order"

install -m 755 "$busybox" "$tree/bin/busybox"
install -m 755 "$here/guest/init" "$tree/init"
(cd "$tree" && find . | cpio --quiet -o -H newc) >"$out"
