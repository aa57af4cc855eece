#!/usr/bin/env bash
# Real kubelets, with the port and without it, run pods by containerd and runc.
#
# Everything happens in namespaces of its own (mount, process, network, IPC, host name): what is
# written lies below target/e2e or on a tmpfs that goes away, and when this ends, however it ends,
# the kernel kills all that it started and drops all that it mounted. It must never write to the
# host's /run, /var, network or sysctls.
#
#   run.sh check          say whether all that is needed is here
#   run.sh run VERSION    TURNS=N timed turns a kubelet, PODS=REGEXP for some of the pods,
#                         MANY=N pods that are timed together
#
# The report is target/e2e/report.md, the logs lie beside it.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$root/target/e2e

fail() {
	printf 'e2e: %s\n' "$*" >&2
	exit 1
}

# --- outside: look for what is needed, build, and go into the namespaces ------------

# Prints the packages of Debian that are missing, a blank after each.
missing() {
	command -v containerd >/dev/null && command -v ctr >/dev/null || printf 'containerd '
	command -v runc >/dev/null || printf 'runc '
	command -v busybox >/dev/null && busybox --list | grep -x ip >/dev/null || printf 'busybox-static '
	command -v unshare >/dev/null && command -v nsenter >/dev/null || printf 'util-linux '
	command -v mount >/dev/null || printf 'mount '
}

check() {
	local packages
	packages=$(missing)
	[ -z "$packages" ] ||
		fail "not installed: ${packages% }. Install it by:  apt-get install --no-install-recommends ${packages% }"
	[ "$(id -u)" = 0 ] || fail "containers are run by root here: run  sudo make e2e"
}

# Builds kubernetes' cmd/kubelet; it is quick when nothing has changed.
build() { # kubelet|original
	"$root/go-shim/swap/upstream.sh" "$1" "$version" >>"$work/build.log" 2>&1 ||
		{ tail -n 20 "$work/build.log" >&2; fail "a kubelet was not built, see $work/build.log"; }
}

outside() { # VERSION
	local version=$1 status=0
	check
	rm -rf "$work"
	mkdir -p "$work/bin"
	MOUNTER='' build kubelet
	MOUNTER='' build original
	MOUNTER=1 build kubelet
	cp -l "$root/target/upstream/kubelet-$version" "$work/bin/kubelet-port"
	cp -l "$root/target/upstream/kubelet-$version-mounter" "$work/bin/kubelet-mounter"
	cp -l "$root/target/upstream/kubelet-$version-original" "$work/bin/kubelet-original"
	(cd "$here" && CGO_ENABLED=0 go build -o "$work/bin/e2e" .)

	groups=$(cgroups)
	trap tidy EXIT
	# In the background, so that a signal for this script is not put off until the end of the tests.
	unshare --mount --propagation private --pid --fork --kill-child --net --ipc --uts \
		"$BASH" "${BASH_SOURCE[0]}" inside "$work" &
	machine=$!
	wait "$machine" || status=$?
	machine=''
	return "$status"
}

groups='' machine=''

# Containers' control groups are the one thing that no namespace takes back.
cgroups() { find /sys/fs/cgroup -maxdepth 2 -type d -name k8s.io 2>/dev/null || true; }

tidy() {
	local group
	[ -z "$machine" ] || { kill -KILL "$machine" && wait "$machine"; } 2>/dev/null || true
	for group in $(cgroups); do
		grep -qxF "$group" <<<"$groups" && continue
		# A group is busy until the kernel has done with its last process.
		for _ in {1..50}; do
			find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
			[ -d "$group" ] || continue 2
			sleep 0.1
		done
		echo "e2e: the control group $group is left" >&2
	done
	rm -rf "${work:?}/node" "${work:?}/bin"
}

# --- inside: a machine of its own ---------------------------------------------------

# What a kubelet and a container runtime write to by fixed paths is a tmpfs; what takes
# room, or is timed, lies on the checkout's file system.
inside() {
	local setting copy
	mount -t proc proc /proc
	mount -t tmpfs -o mode=755 e2e /run
	mkdir /run/e2e
	mkdir "$work/node"
	mount --bind "$work" /run/e2e
	mount -t tmpfs -o mode=755 e2e /var
	mkdir -p /var/lib /var/log /var/tmp
	ln -s /run /var/run

	# The kubelet sets these for the whole machine: here it sets copies.
	for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
		kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
		[ -e "/proc/sys/$setting" ] || continue
		copy=/run/sysctl.${setting//\//.}
		cat "/proc/sys/$setting" >"$copy"
		mount --bind "$copy" "/proc/sys/$setting"
	done

	busybox hostname e2e
	busybox ip link set lo up
	# A node needs an address; nobody else hears of this one.
	busybox ip addr add 192.0.2.1/32 dev lo
	cd /run/e2e
	# Not exec: as the first process of the namespace the shell reaps what is orphaned.
	/run/e2e/bin/e2e -turns "${TURNS:-5}" -many "${MANY:-100}" -pods "${PODS-}"
}

case ${1-} in
check) check ;;
run) outside "$2" ;;
inside)
	work=$2
	inside
	;;
*) fail "usage: run.sh check | run.sh run VERSION" ;;
esac
