#!/usr/bin/env bash
# Runs kubernetes-csi's sanity tests on the driver in examples/csi-driver: with mount-utils' mounter, with
# this project's, and built without cgo; with directories and with tmpfs as volumes.
# Run by `make drivers-test`, after `make build`. It needs root or a user namespace.
set -euo pipefail

cd "$(dirname "$0")/../examples/csi-driver"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
declare -a namespace=(unshare --mount)
[ "$EUID" = 0 ] || namespace+=(--map-root-user)

CGO_ENABLED=1 go test -c -o "$work/cgo" .
CGO_ENABLED=0 go test -c -o "$work/no-cgo" .

sanity() { # WHAT PROGRAM NAME=VALUE...
	local what=$1 program=$2 kind
	shift 2
	for kind in directory tmpfs; do
		env -C / "${namespace[@]}" env KIND=$kind "$@" "$work/$program" --ginkgo.no-color >"$work/output" 2>&1 || true
		# A suite that skips everything passes, too.
		if ! grep -q '^SUCCESS! -- 33 Passed | 0 Failed' "$work/output" || ! grep -qx PASS "$work/output"; then
			cat "$work/output"
			echo "drivers: the sanity tests fail with $what, kind $kind" >&2
			exit 1
		fi
		printf '%-36s %-10s %s\n' "$what" "$kind" "$(sed -n 's/^SUCCESS! -- //p' "$work/output")"
	done
}

sanity "mount.New" cgo MOUNT_PROGRAM=1
sanity "NewMounter" cgo MOUNT_PROGRAM=
sanity "NewMounter, no program on the PATH" cgo MOUNT_PROGRAM= PATH=/nowhere
sanity "NewMounter, switched off" cgo MOUNT_PROGRAM= RUSTSUBPATH_MOUNTER=forward
sanity "NewMounter, CGO_ENABLED=0" no-cgo MOUNT_PROGRAM=
