#!/usr/bin/env bash
# Boots one kernel under QEMU until its guest has run the suites, and unpacks what they wrote.
#
#   boot.sh ARCH VMLINUZ INITRAMFS IMAGE OUT-DIR [KERNEL-ARGUMENT...]
#
# The console is OUT-DIR/console. MINUTES bounds the guest, MEMORY is in MiB.
set -euo pipefail
export LC_ALL=C
arch=$1 vmlinuz=$2 initramfs=$3 image=$4 out=$5
shift 5

own=$(dpkg --print-architecture)
case $arch in
amd64) qemu=(qemu-system-x86_64 -machine q35) cpu=max console=ttyS0 ;;
arm64) qemu=(qemu-system-aarch64 -machine virt) cpu=max,pauth-impdef=on console=ttyAMA0 ;;
esac

start() { # ACCELERATOR-ARGUMENT...
	timeout --foreground -k 10 "$limit" nice -n 19 "${qemu[@]}" "$@" -smp 2 -m "${MEMORY:-3072}" -nodefaults -display none \
		-no-reboot -serial "file:$out/console" -kernel "$vmlinuz" -initrd "$initramfs" \
		-append "console=$console panic=-1 quiet loglevel=4 ${arguments[*]}" \
		-drive "file=$image,format=raw,if=virtio,snapshot=on" -drive "file=$out/disk,format=raw,if=virtio,cache=unsafe" \
		-device virtio-rng-pci </dev/null
}

# A virtual machine that can be made may still not run: what counts is that this kernel gets as far
# as its first process.
kvm_works() {
	[ "$arch" = "$own" ] && [ -w /dev/kvm ] || return 1
	local limit=60 arguments=(rdinit=/guest-is-there "$@")
	start -accel kvm -cpu host >"$out/kvm" 2>&1 || true
	grep -q 'guest-is-there' "$out/console" 2>/dev/null
}

mkdir -p "$out"
truncate -s 512M "$out/disk"
accelerator=(-accel "tcg,thread=multi" -cpu "$cpu")
if kvm_works "$@"; then accelerator=(-accel kvm -cpu host); fi
printf '%s\n' "${accelerator[1]%%,*}" >"$out/accelerator"
limit=$((${MINUTES:-120} * 60)) arguments=("$@")
start "${accelerator[@]}" >"$out/qemu" 2>&1 || echo "QEMU ended with status $?" >>"$out/qemu"
tar -C "$out" --strip-components=1 -xf "$out/disk" 2>/dev/null || true
rm "$out/disk"
[ -e "$out/done" ]
