#!/usr/bin/env bash
# Makes the root file system of the guests of one architecture: Debian's programs, the test programs,
# and this checkout's files at the path that the test programs know.
#
#   image.sh USERLAND-DIR PROGRAMS-DIR OUT
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
userland=$1 programs=$2 out=$3

tree=$(mktemp -d "$root/target/kernels/image.XXXXXX")
trap 'rm -rf "$tree"' EXIT
cp -a "$userland/." "$tree"
mkdir -p "$tree"/{dev,proc,sys,run,mnt,etc,root,opt,usr/local/bin} "$tree$root/target/tmp"
install -d -m 1777 "$tree/tmp"
cp -a "$programs" "$tree/programs"
cp -a "$here/guest" "$tree/guest"
ln -s /guest/go "$tree/usr/local/bin/go"
# What Debian makes when it installs dash.
[ -e "$tree/bin/sh" ] || ln -s bash "$tree/bin/sh"
(cd "$root" && git ls-files -z | grep -zv '^docs/' | xargs -0 cp --parents -t "$tree$root")
printf '%s\n' "$root" >"$tree/guest/checkout"
printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$tree/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$tree/etc/group"

rm -f "$out"
size=$(du -sm "$tree" | cut -f1)
mke2fs -q -t ext4 -d "$tree" -E root_owner=0:0 "$out" $((size + size / 5 + 512))M >"$out.log"
