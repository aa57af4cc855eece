#!/usr/bin/env bash
# Fetches Debian packages of another suite or architecture through this machine's own apt sources,
# and unpacks them; nothing is installed, and apt's own state is not touched.
#
#   packages.sh userland ARCH DIR        unpack the programs that the tests call, with their libraries
#   packages.sh kernel SUITE PACKAGE ARCH DIR
#                                        unpack the kernel that a meta package asks for, print its version
#
# ARCH is Debian's name. What cannot be had is said in one line on standard error, with status 3.
set -euo pipefail
export LC_ALL=C

work=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/target/kernels

none() {
	printf '%s\n' "$*" >&2
	exit 3
}

# Where this machine gets its own Debian from: the archive's address and its suite.
own_archive() {
	local origin uri codename format
	command -v apt-get >/dev/null || none "this machine has no apt"
	# shellcheck disable=SC2016 # apt's own variables
	format='$(ORIGIN)|$(REPO_URI)|$(CODENAME)'
	while IFS='|' read -r origin uri codename; do
		[ "$origin" = Debian ] || continue
		[[ $codename != *-* ]] || continue
		printf '%s %s\n' "$uri" "$codename"
		return
	done < <(apt-get indextargets --format "$format" | sort -u)
	none "this machine's apt sources name no Debian archive (run apt-get update first)"
}

# An apt of its own for one suite and architecture; sets APT_CONFIG.
own_apt() { # SUITE ARCH URI
	local place=$work/apt/$1-$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg keys=
	mkdir -p "$place/lists/partial" "$place/cache/archives/partial"
	: >>"$place/status"
	[ ! -f "$keyring" ] || keys="[signed-by=$keyring]"
	printf 'deb %s %s %s main\n' "$keys" "$3" "$1" >"$place/sources.list"
	cat >"$place/apt.conf" <<-CONF
		APT::Architecture "$2";
		APT::Architectures { "$2"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "";
		Acquire::Languages "none";
		Dir::State "$place";
		Dir::State::status "$place/status";
		Dir::Cache "$place/cache";
		Dir::Etc::sourcelist "$place/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
	CONF
	export APT_CONFIG=$place/apt.conf
	if ! apt-get -q update >"$place/log" 2>&1 || grep -q "^[EW]:" "$place/log"; then
		none "the archive of this machine's apt has no suite $1 for $2: $(grep -m1 '^[EW]:' "$place/log")"
	fi
}

# Onto a tree in which /bin, /sbin and /lib are links, as on an installed system.
unpack() { # DIR DEB...
	local dir=$1 deb
	shift
	rm -rf "$dir"
	mkdir -p "$dir/usr"/{bin,sbin,lib,lib64}
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$dir"
	for deb; do dpkg-deb --fsys-tarfile "$deb" | tar --keep-directory-symlink -C "$dir" -x; done
}

userland() { # ARCH DIR
	local arch=$1 dir=$2 uri suite place
	read -r uri suite < <(own_archive)
	own_apt "$suite" "$arch" "$uri"
	place=$work/apt/$suite-$arch/cache/archives
	# A status file that is empty makes apt fetch every dependency.
	apt-get -q -y --download-only install busybox-static bash coreutils util-linux mount e2fsprogs findutils grep \
		sed tar libc-bin libgcc-s1 python3 btrfs-progs xfsprogs >"$place/../log" 2>&1 ||
		none "the programs for $arch cannot be fetched: $(grep -m1 '^E:' "$place/../log")"
	unpack "$dir" "$place"/*.deb
}

kernel() { # SUITE PACKAGE ARCH DIR
	local suite=$1 meta=$2 arch=$3 dir=$4 uri own image version parts debs
	read -r uri own < <(own_archive)
	: "$own"
	own_apt "$suite" "$arch" "$uri"
	image=$(apt-cache depends --important "$meta" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
	[ -n "$image" ] || none "$suite has no package $meta for $arch"
	version=${image#linux-image-}
	# From 7.0 on the image is a package of packages.
	parts=$(apt-cache depends --important "$image" | sed -n "s/^ *Depends: \(linux-[a-z]*-$version\)$/\\1/p")
	debs=$work/apt/$suite-$arch/kernel
	rm -rf "$debs"
	mkdir -p "$debs"
	# shellcheck disable=SC2086 # several names
	(cd "$debs" && apt-get -q download "$image" $parts >log 2>&1) ||
		none "$image cannot be fetched: $(grep -m1 '^E:' "$debs/log")"
	unpack "$dir" "$debs"/*.deb
	rm -r "$debs"
	printf '%s\n' "$version"
}

case ${1-} in
userland | kernel) "$@" ;;
*) none "usage: packages.sh userland ARCH DIR | packages.sh kernel SUITE PACKAGE ARCH DIR" ;;
esac
