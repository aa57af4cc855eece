#!/usr/bin/env bash
# Tries the swap on released kubernetes versions: fetches each as a Go module, swaps a
# copy below target/upstream, and lets upstream's own tests and the compiler judge.
#
#   upstream.sh test VERSION...      upstream's subpath and mount-utils tests, unchanged:
#                                    with the tag, without it, and with it but without cgo;
#                                    RACE=1 runs the first two under the race detector too
#   upstream.sh kubelet VERSION      build ./cmd/kubelet with the tag and show what is in it; with
#                                    MOUNTER=1 its mounter is the port's, too
#   upstream.sh original VERSION     build ./cmd/kubelet of the same tree without the tag
#   upstream.sh program VERSION FILE build upstream's subpath tests with the tag into a program that
#                                    needs no shared library, and run nothing
#   upstream.sh tree VERSION         print the tree that the others work on, as it was released
#
# It does not write to the module cache, and it sets no variable for the commands under test that
# the user of a real tree would not have to set.
set -euo pipefail
export LC_ALL=C
# The copies lie inside this repository: a go.work above must not apply to them.
export GOWORK=off

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$(dirname "$here")")
work=$root/target/upstream

fail() {
	printf 'upstream: %s\n' "$*" >&2
	exit 1
}

say() { printf '%s\n' "$*"; }

# Prints the directory of the released module in the module cache.
module() { # VERSION
	local answer directory
	answer=$(cd / && go mod download -json "k8s.io/kubernetes@$1") || true
	directory=$(sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p' <<<"$answer")
	[ -n "$directory" ] ||
		fail "k8s.io/kubernetes@$1 cannot be fetched: $(sed -n 's/^\t"Error": "\(.*\)",*$/\1/p' <<<"$answer")"
	say "$directory"
}

# Makes target/upstream/VERSION, a tree that builds by itself. A released module lacks
# the content of staging/ and vendor/, so its k8s.io/* requirements are pointed at the
# modules published from that very staging directory (v1.X.Y is published as v0.X.Y).
copy() { # VERSION
	local tree=$work/$1 source
	[ ! -d "$tree" ] || return 0
	source=$(module "$1")
	say "copying kubernetes $1"
	rm -rf "$tree.new"
	mkdir -p "$work"
	cp -R "$source" "$tree.new"
	chmod -R u+w "$tree.new"
	rm -rf "$tree.new/vendor" "$tree.new/go.work" "$tree.new/go.work.sum"
	sed -i -e '/=> \.\/staging\//d' -e "s/^\(\tk8s\.io\/[a-z-]*\) v0\.0\.0\$/\1 v0.${1#v1.}/" "$tree.new/go.mod"
	mv "$tree.new" "$tree"
}

# Completes go.mod and go.sum for these packages, so that the commands under test run without a
# -mod flag.
resolve() { # VERSION PACKAGE...
	local version=$1
	shift
	(cd "$work/$version" && go list -mod=mod -deps -test "$@") >/dev/null 2>"$work/$version.resolve.log" || {
		cat "$work/$version.resolve.log" >&2
		fail "the modules of kubernetes $version cannot be resolved"
	}
}

# --- test ---------------------------------------------------------------------

declare -a table=()
failed=

row() { # VERSION PROFILE WHAT RESULT RUN SKIPPED
	table+=("$(printf '%-10s %-8s %-34s %-8s %5s %8s' "$@")")
	[ "$4" != FAIL ] || failed=1
}

# Fails unless the package is made of the port (rust) or of the original (linux).
made_of() { # rust|linux GO-LIST-FLAGS...
	local wanted=$1 files
	shift
	files=$(go list "$@" -f '{{join .GoFiles " "}}' ./pkg/volume/util/subpath)
	[ "$files" = "subpath.go subpath_$wanted.go" ] || {
		say "the package is made of: $files"
		return 1
	}
}

# Runs one command in the tree and adds a row; its output stays in a log.
trial() { # VERSION PROFILE NAME WHAT COMMAND...
	local version=$1 profile=$2 log=$work/$1.$3.log what=$4 result=pass run skipped
	shift 4
	(cd "$work/$version" && "$@") >"$log" 2>&1 || result=FAIL
	run=$(grep -cE '^ *--- (PASS|FAIL)' "$log" || true)
	skipped=$(grep -cE '^ *--- SKIP' "$log" || true)
	# A run without a single test proves nothing.
	[ "$run" -gt 0 ] || result=FAIL
	if [ "$result" = FAIL ]; then
		{ grep -E '^ *--- FAIL' "$log" || tail -n 20 "$log"; } >&2
		say "the whole output is in $log" >&2
	fi
	row "$version" "$profile" "$what" "$result" "$run" "$skipped"
}

with_tag() { made_of rust -tags rustsubpath && go vet -tags rustsubpath "$subpath" "$port..." && run_tests -tags rustsubpath "$subpath"; }
with_tag_race() { run_tests -race -tags rustsubpath "$subpath"; }
as_user() { "$root/tests/as_user.sh" "$PWD"; }
without_tag() { made_of linux && go vet "$subpath" "$port..." && run_tests "$subpath"; }
without_tag_race() { run_tests -race "$subpath"; }
without_cgo() { export CGO_ENABLED=0 && made_of linux -tags rustsubpath && run_tests -tags rustsubpath "$subpath"; }
mount_utils() { "${namespace[@]}" go test -count=1 -timeout 300s -v -tags rustsubpath k8s.io/mount-utils; }
run_tests() { go test -count=1 -timeout 300s -v "$@"; }

subpath=./pkg/volume/util/subpath/
port=./third_party/rustsubpath/

# mount-utils' tests mount for real: in a mount namespace of their own, and for an ordinary user in a
# user namespace, too.
declare -a namespace=(unshare --mount)
[ "$EUID" = 0 ] || namespace+=(--map-root-user)

# Fails if gofmt would change a file that the swap put there or changed.
formatted() {
	local found
	found=$(cd "$work/$1" && gofmt -l "$subpath" "$port")
	[ -z "$found" ] || { say "gofmt would change: $found" >&2; return 1; }
}

# Fails if the unswapped tree differs from the release where the swap writes.
restored() {
	local source path
	source=$(module "$1")
	for path in pkg/volume third_party LICENSES; do
		diff -r "$source/$path" "$work/$1/$path" || return 1
	done
}

# Fails unless the port passed the very tests that the original passed.
same_tests() { # VERSION LOG OTHER-LOG
	diff <(passed "$work/$1.$2.log") <(passed "$work/$1.$3.log")
}
passed() { sed -n 's/^ *--- PASS: \([^ ]*\).*/\1/p' "$1" | sort; }

try() { # VERSION
	local version=$1 profile
	copy "$version"
	resolve "$version" "$subpath" k8s.io/mount-utils
	"$here/swap.sh" swap "$work/$version" >"$work/$version.swap.log" || fail "kubernetes $version could not be swapped"
	profile=$(sed -n 's/^profile //p' "$work/$version/third_party/rustsubpath/MANIFEST")
	say "testing kubernetes $version"
	formatted "$version" || row "$version" "$profile" "gofmt" FAIL - -
	trial "$version" "$profile" tag "with the tag: the port" with_tag
	[ -z "${RACE:-}" ] || trial "$version" "$profile" tag-race "with the tag, -race" with_tag_race
	[ "$(id -u)" -ne 0 ] || trial "$version" "$profile" user "with the tag, as an ordinary user" as_user
	trial "$version" "$profile" original "without the tag: the original" without_tag
	same_tests "$version" tag original >&2 || row "$version" "$profile" "same tests as the original" FAIL - -
	[ -z "${RACE:-}" ] || trial "$version" "$profile" original-race "without the tag, -race" without_tag_race
	trial "$version" "$profile" cgo "with the tag, CGO_ENABLED=0" without_cgo
	if "${namespace[@]}" true 2>/dev/null; then
		trial "$version" "$profile" mount-utils "mount-utils v0.${version#v1.}" mount_utils
	else
		row "$version" "$profile" "mount-utils v0.${version#v1.}" "not run" - -
		say "mount-utils' tests were not run: ${namespace[*]} is not permitted here" >&2
	fi
	"$here/swap.sh" unswap "$work/$version" >"$work/$version.swap.log" || fail "kubernetes $version could not be unswapped"
	restored "$version" >&2 || row "$version" "$profile" "unswap restores every byte" FAIL - -
}

test_versions() {
	local version
	[ $# -gt 0 ] || fail "no version given: run  make upstream-test VERSIONS=v1.37.2"
	for version in "$@"; do try "$version"; done
	say
	printf '%-10s %-8s %-34s %-8s %5s %8s\n' version profile build result tests skipped
	printf '%s\n' "${table[@]}"
	[ -z "$failed" ] || fail "not every row passed"
}

# --- kubelet ------------------------------------------------------------------

# The copies have no history of their own to stamp into the binary.
build_kubelet() { # VERSION BINARY GO-BUILD-FLAGS...
	local version=$1 binary=$2
	shift 2
	[ -n "$version" ] || fail "no version given: run  make kubelet VERSION=v1.37.2"
	copy "$version"
	resolve "$version" ./cmd/kubelet
	"$here/swap.sh" swap "$work/$version" >"$work/$version.swap.log" || fail "kubernetes $version could not be swapped"
	(cd "$work/$version" && go build -buildvcs=false "$@" -o "$binary" ./cmd/kubelet)
	go tool nm "$binary" >"$binary.symbols"
}

# Prints the port's exports in a kubelet's symbol table.
exports() { # BINARY
	sed -n 's/^ *[0-9a-f]* T \(rsp_[a-z0-9_]*\)$/\1/p' "$1.symbols" | sort -u
}

# Says whether the original's code is in a kubelet.
has_original() { # BINARY
	grep -q 'kubernetes/pkg/volume/util/subpath\.doBindSubPath$' "$1.symbols"
}

kubelet() { # VERSION
	local binary=$work/kubelet-$1${MOUNTER:+-mounter} exports
	say "building cmd/kubelet of kubernetes $1 with -tags rustsubpath"
	build_kubelet "$1" "$binary" -tags rustsubpath
	exports=$(exports "$binary")
	[ -n "$exports" ] || fail "$binary holds none of the port's exports (rsp_*)"
	! has_original "$binary" || fail "$binary still holds the original's doBindSubPath"
	say "$binary ($(wc -c <"$binary") bytes)"
	go version -m "$binary" | sed -n '1p; /^\tpath/p; /^\tmod/p; /k8s.io\/mount-utils/p; /^\tbuild/p'
	say "the port's boundary in its symbol table: $(tr '\n' ' ' <<<"$exports")"
	say "the original's subpath.doBindSubPath: absent"
}

original() { # VERSION
	local binary=$work/kubelet-$1-original
	say "building cmd/kubelet of kubernetes $1 without the tag"
	build_kubelet "$1" "$binary"
	[ -z "$(exports "$binary")" ] || fail "$binary holds exports of the port (rsp_*)"
	has_original "$binary" || fail "$binary does not hold the original's doBindSubPath"
	say "$binary ($(wc -c <"$binary") bytes)"
}

program() { # VERSION FILE
	local version=$1 file=$2
	copy "$version"
	resolve "$version" "$subpath"
	"$here/swap.sh" swap "$work/$version"
	(cd "$work/$version" && go test -c -tags rustsubpath,netgo,osusergo \
		-ldflags '-s -w -extldflags -static' -o "$file" "$subpath")
	"$here/swap.sh" unswap "$work/$version"
}

# Prints the tree, unswapped if one of the other commands left it swapped.
tree() { # VERSION
	copy "$1" >&2
	"$here/swap.sh" unswap "$work/$1" >&2
	say "$work/$1"
}

case ${1:-} in
test)
	shift
	test_versions "$@"
	;;
kubelet | original | tree)
	"$1" "${2:-}"
	;;
program)
	[ $# = 3 ] || fail "usage: upstream.sh program VERSION FILE"
	program "$2" "$3"
	;;
*)
	fail "usage: upstream.sh test VERSION... | upstream.sh program|kubelet|original|tree VERSION"
	;;
esac
