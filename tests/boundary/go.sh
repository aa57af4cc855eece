#!/bin/sh
# The tests of the Go packages in every way they are to pass: plain, with the race detector, with the
# newest mount-utils, without cgo, and, when run by root, as an ordinary user in a user namespace.
# Run by `make test-go`, after `make build`. COUNT=N repeats each test.
set -eu

cd "$(dirname "$0")/../../go-shim"
count=${COUNT:-1}
# go.mod has the oldest mount-utils that the package is for; this is the other end.
newest=${NEWEST_MOUNT_UTILS:-v0.37.2}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() { # WHAT COMMAND...
	what=$1
	shift
	"$@" >"$work/output" 2>&1 || {
		cat "$work/output"
		echo "go-shim: the tests fail $what" >&2
		exit 1
	}
	echo "go-shim: the tests pass $what"
	# What a test could not run it says; without -v, go test keeps that back.
	sed -n 's/^ *\(not run, .*\)/  \1/p' "$work/output" | sort -u
}

run "as they are" go test -v -count "$count" ./...
run "with -race" go test -v -race -count "$count" ./...

cp go.mod go.sum "$work"
go get -modfile="$work/go.mod" "k8s.io/mount-utils@$newest" 2>"$work/output" || {
	cat "$work/output"
	exit 1
}
run "with mount-utils $newest" go test -v -modfile="$work/go.mod" -count "$count" ./...

# Where the library cannot be linked, every function is mount-utils' own, and New says why it cannot be
# called.
run "without cgo" env CGO_ENABLED=0 go test -v -count "$count" ./...
for platform in linux/ppc64le darwin/arm64 windows/amd64; do
	run "as far as go vet tells, for $platform" env GOOS="${platform%/*}" GOARCH="${platform#*/}" CGO_ENABLED=0 go vet ./...
done
printf '{"Replace": {"%s": "%s"}}' "$PWD/calls_new/main.go" "$work/main.go" >"$work/overlay.json"
cat >"$work/main.go" <<'GO'
package main

import (
	"k8s.io/mount-utils"
	"rustsubpath"
)

func main() { rustsubpath.New(mount.New(""), rustsubpath.ProfileV137) }
GO
go build -overlay "$work/overlay.json" -o /dev/null ./calls_new
if CGO_ENABLED=0 go build -overlay "$work/overlay.json" -o /dev/null ./calls_new 2>"$work/output" ||
	! grep -q 'as rustsubpath.SubPathsNeedCgoOnLinuxAmd64OrArm64 value' "$work/output"; then
	cat "$work/output"
	echo "go-shim: without cgo a call of New is not refused as it should be" >&2
	exit 1
fi

if [ "$(id -u)" = 0 ]; then
	mkdir "$work/tmp" "$work/programs"
	go test -c -o "$work/programs/" ./...
	chmod 755 "$work" "$work/programs" "$work/programs"/*
	chmod 777 "$work/tmp"
	for program in "$work"/programs/*; do
		# 65534 is nobody.
		run "as an ordinary user, $(basename "$program")" env -C / TMPDIR="$work/tmp" \
			setpriv --reuid 65534 --regid 65534 --clear-groups "$program" -test.count "$count"
	done
fi
