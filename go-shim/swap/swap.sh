#!/usr/bin/env bash
# Puts the port into a kubernetes tree and takes it out again.
#
#   swap.sh check  DIR    say whether DIR can be swapped; write nothing
#   swap.sh swap   DIR    install the port; a second run brings it up to date
#   swap.sh unswap DIR    restore every byte
#
# Settings from the environment:
#   PROFILE=v1.29|v1.37  for a tree whose subpath_linux.go carries a patch of its own,
#                        or that is older than v1.29
#   MOUNTER=1            the kubelet's mounter is the port's, too: a line of server.go and two files
#   FORCE=1              overwrite or remove files that were edited by hand since the swap
#
# At every moment a tree builds the original without the build tag, and a tree that is
# refused stays untouched. So every check comes before the first write; every file
# arrives by rename(2); the manifest, which lists what the swap put there, is written
# first and removed last; and subpath_linux.go and server.go are changed last and restored
# first. After an interruption both commands can be run again.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
shim=$(dirname "$here")
boundary=$shim/internal/boundary

# The Go packages that are copied, by their folders in go-shim. Only tests import the last.
readonly PACKAGES=(. internal/boundary upstreamtest)
readonly PACKAGE_DIR=pkg/volume/util/subpath
readonly ORIGINAL=$PACKAGE_DIR/subpath_linux.go
readonly GLUE=$PACKAGE_DIR/subpath_rust.go
readonly GLUE_TEST=$PACKAGE_DIR/subpath_rust_test.go
readonly PORT_DIR=third_party/rustsubpath
readonly PORT_PATH=k8s.io/kubernetes/$PORT_DIR
readonly LICENSES_DIR=LICENSES/$PORT_DIR
# With MOUNTER=1 the kubelet's mounter is the port's as well: one line of this file changes.
readonly APP_DIR=cmd/kubelet/app
readonly SERVER=$APP_DIR/server.go
readonly CALLS_ORIGINAL=$'\tmounter := mount.New(s.ExperimentalMounterPath)'
readonly CALLS_OURS=$'\tmounter := newNodeMounter(mount.New, s.ExperimentalMounterPath)'
readonly MOUNTER_FILES=(mounter_rust.go mounter_original.go)
# Every directory that the swap may have to make, parents first.
readonly DIRECTORIES=(third_party "$PORT_DIR" "$PORT_DIR"/{internal,internal/boundary,upstreamtest}
	LICENSES LICENSES/third_party "$LICENSES_DIR")
readonly MANIFEST=$PORT_DIR/MANIFEST
readonly TEMPORARY=.swap-in-progress

# The constraint of subpath_linux.go as kubernetes writes it, and narrowed. Trees
# before v1.36 carry the old spelling on a second line; gofmt insists that both agree.
readonly WIDE='//go:build linux'
readonly NARROW='//go:build linux && !(rustsubpath && cgo)'
readonly WIDE_OLD='// +build linux'
readonly NARROW_OLD='// +build !rustsubpath !cgo'

tree='' owner='' constraint='' code='' profile='' stage='' writing='' server=''
declare -a planned=() directories=()

fail() {
	printf 'swap: %s\n' "$*" >&2
	exit 1
}

say() { printf '%s\n' "$*"; }

# Prints the command that swaps or unswaps: only a checkout of the repository has the Makefile.
line() { # swap|unswap TREE
	if [ -f "$shim/../Makefile" ]; then say "make $1 KUBERNETES=$2"; else say "$(printf %q "$here/swap.sh") $1 $2"; fi
}
library_anew() {
	if [ -f "$shim/../Makefile" ]; then say "run  make build"; else say "unpack the release archive again"; fi
}

# --- what is known about subpath_linux.go -------------------------------------

# Prints the checksum of a file's code, without the comments on lines of their own, the blank
# lines and the licence header, which differ between releases that behave alike.
code_sum() {
	awk '/^\/\*$/ { header = 1 } !header { print } /^\*\/$/ { header = 0 }' "$1" |
		sed -E '/^[[:space:]]*\/\//d; /^[[:space:]]*$/d' | sha256sum | cut -d' ' -f1
}

# Fails when the tree is older than v1.29: the code of subpath_linux.go is the same there, but what
# it is compiled with was never tried. The go line of go.mod tells them apart (v1.28: 1.20).
check_age() {
	local said
	said=$(sed -n 's/^go \([0-9][0-9.]*\).*/\1/p' "$tree/go.mod")
	case $said in
	'') said='names no go version' ;;
	1.[0-9] | 1.[0-9].* | 1.1[0-9] | 1.1[0-9].* | 1.20 | 1.20.*) said="says go $said" ;;
	*) return 0 ;;
	esac
	fail "$tree/go.mod $said, and v1.29, the oldest that the port was tried on, go 1.21: to swap it all the same, say PROFILE=v1.29"
}

# Prints the profile of the releases that have the code of this checksum, nothing if none has.
known_profile() {
	case $1 in
	5f869d9706c298f6eaaaaa39914fae2a1c26dc130bcb57661a9ddbfeb3afe8d8) say v1.29 ;; # v1.29 … v1.36
	e0fecee1dc9fe57a65224e1bad5364468165ff4ad8ff617f2106a59f5400fa54) say v1.37 ;;
	esac
}

profile_constant() {
	case $1 in
	v1.29) say ProfileV129 ;;
	v1.37) say ProfileV137 ;;
	esac
}

# Prints wide, narrow or unknown for the constraint lines above the package clause.
read_constraint() {
	local lines
	lines=$(sed -n '/^package /q; /^\/\/go:build/p; /^\/\/ *+build/p' "$1")
	case $lines in
	"$WIDE" | "$WIDE"$'\n'"$WIDE_OLD") say wide ;;
	"$NARROW" | "$NARROW"$'\n'"$WIDE_OLD"$'\n'"$NARROW_OLD") say narrow ;;
	*) say unknown ;;
	esac
}

narrow() {
	awk -v wide="$WIDE" -v narrow="$NARROW" -v wide_old="$WIDE_OLD" -v narrow_old="$NARROW_OLD" '
		/^package / { code = 1 }
		!code && $0 == wide { print narrow; next }
		!code && $0 == wide_old { print; print narrow_old; next }
		{ print }' "$1"
}

widen() {
	awk -v wide="$WIDE" -v narrow="$NARROW" -v narrow_old="$NARROW_OLD" '
		/^package / { code = 1 }
		!code && $0 == narrow { print wide; next }
		!code && $0 == narrow_old { next }
		{ print }' "$1"
}

# Prints original, ours or unknown for the call in server.go.
read_server() {
	local originals ours
	originals=$(grep -cxF "$CALLS_ORIGINAL" "$tree/$SERVER" 2>/dev/null || true)
	ours=$(grep -cxF "$CALLS_OURS" "$tree/$SERVER" 2>/dev/null || true)
	case $originals,$ours in
	1,0) say original ;;
	0,1) say ours ;;
	*) say unknown ;;
	esac
}

# --- checks: none of these writes anything ------------------------------------

find_tree() {
	[ -n "$1" ] || fail "no kubernetes tree given: run  $(line swap DIR)"
	[ -d "$1" ] || fail "$1 is not a directory: KUBERNETES names the root of a kubernetes checkout"
	tree=$(cd "$1" && pwd)
	grep -qx 'module k8s.io/kubernetes' "$tree/go.mod" 2>/dev/null ||
		fail "$tree is not a kubernetes tree (its go.mod does not say module k8s.io/kubernetes): give the root of a checkout of v1.29 or newer"
	[ -f "$tree/$ORIGINAL" ] || fail "$tree has no $ORIGINAL: give a kubernetes tree of v1.29 or newer"
	local path
	for path in "${DIRECTORIES[@]}" "$PACKAGE_DIR" "$ORIGINAL"; do
		[ ! -L "$tree/$path" ] || fail "$tree/$path is a symbolic link: make it an ordinary file or directory first"
	done
	constraint=$(read_constraint "$tree/$ORIGINAL")
	server=$(read_server)
	if [ "$server" = unknown ] && grep -qs newNodeMounter "$tree/$SERVER"; then
		fail "$tree/$SERVER was edited where it calls newNodeMounter: set that line to  ${CALLS_ORIGINAL#?}  and run again"
	fi
	owner=$(stat -c %u:%g "$tree/$ORIGINAL")
}

find_profile() {
	local known
	[ "$constraint" != unknown ] ||
		fail "$tree/$ORIGINAL has a build constraint of its own: set it to  $WIDE  as kubernetes has it, then swap again"
	code=$(code_sum "$tree/$ORIGINAL")
	known=$(known_profile "$code")
	case ${PROFILE:-} in
	'' | v1.29 | v1.37) ;;
	*) fail "PROFILE=$PROFILE is not a profile: use v1.29 (v1.29 to v1.36) or v1.37" ;;
	esac
	if [ -n "$known" ]; then
		[ "${PROFILE:-$known}" = "$known" ] ||
			fail "PROFILE=$PROFILE contradicts $tree/$ORIGINAL, which is that of profile $known: leave PROFILE out"
		[ -n "${PROFILE:-}" ] || recorded "code $code" || check_age
		profile=$known
	elif [ -n "${PROFILE:-}" ]; then
		profile=$PROFILE
	elif recorded "code $code"; then
		# The maintainer has answered the question below for exactly this code.
		# v1.29 was called seed once.
		profile=$(sed -n "s/^profile seed\$/profile v1.29/; s/^profile //p" "$tree/$MANIFEST")
	else
		fail "the code in $tree/$ORIGINAL is not that of kubernetes v1.29 to v1.37, and the port would drop whatever was changed there: if that change is not needed with the port, say which release's behaviour to take with PROFILE=v1.29 (v1.29 to v1.36) or PROFILE=v1.37 (the code's sum is $code)"
	fi
}

check_mounter() {
	local path
	case ${MOUNTER:-} in
	'') return ;;
	1) ;;
	*) fail "MOUNTER=$MOUNTER means nothing: MOUNTER=1 gives the kubelet the port's mounter, too" ;;
	esac
	for path in cmd cmd/kubelet "$APP_DIR" "$SERVER"; do
		[ ! -L "$tree/$path" ] || fail "$tree/$path is a symbolic link: make it an ordinary file or directory first"
	done
	[ "$server" != unknown ] ||
		fail "$tree/$SERVER does not make the kubelet's mounter by the line  ${CALLS_ORIGINAL#?}  as kubernetes does: leave MOUNTER=1 out"
}

check_go() {
	local version
	command -v go >/dev/null || fail "go is not on the PATH: install Go 1.21 or newer"
	version=$(go env GOVERSION 2>/dev/null) || fail "go env GOVERSION does not answer: install Go 1.21 or newer"
	case $version in
	go1.[0-9] | go1.[0-9].* | go1.1[0-9] | go1.1[0-9].* | go1.20 | go1.20.*)
		fail "$version is too old: install Go 1.21 or newer"
		;;
	esac
}

# Fails unless each library fits the Go file that links it. `make build` makes them together, and
# the Go file has the library's checksum; the linker would not notice a pair out of step.
check_library() {
	local library link platform found=
	for library in "$boundary"/librustsubpath_*.a; do
		[ -f "$library" ] || continue
		platform=${library##*/librustsubpath_}
		platform=${platform%.a}
		link=$boundary/library_$platform.go
		[ -f "$link" ] || fail "$library has no library_$platform.go beside it: $(library_anew)"
		grep -q "$(sha256sum "$library" | cut -c1-16)" "$link" ||
			fail "$library is not the library that library_$platform.go was made for: $(library_anew)"
		found=1
	done
	[ -n "$found" ] || fail "the library is missing in $boundary: $(library_anew)"
	# version_linux.go names the version of the boundary that it needs, and the Go file beside the
	# library the version that the library has.
	[ "$(grep -ohE 'library_for_version_[0-9]+' "$boundary"/*.go | sort -u | wc -l)" -le 1 ] ||
		fail "the library in $boundary speaks another version of the boundary than the Go files there: $(library_anew)"
	[ -f "$boundary/rustsubpath.h" ] || fail "the header rustsubpath.h is missing in $boundary: restore it from git"
}

# --- the plan: what goes where, rendered outside the tree ---------------------

plan() { # PATH-IN-TREE SOURCE
	[ -d "$stage/${1%/*}" ] || mkdir -p "$stage/${1%/*}"
	cp "$2" "$stage/$1"
	planned+=("$1")
}

# Succeeds if the directory does not exist yet or holds nothing but the swap's files, so that unswap
# may remove it. (A git checkout has no empty directories.)
only_ours() { # DIRECTORY
	[ -z "$(cd "$tree" && find "$1" ! -type d ! -name "$TEMPORARY" 2>/dev/null | grep -vxF "$(printf '%s\n' "$MANIFEST" "${planned[@]}")")" ]
}

# Prints a Go file as the tree gets it. The tag is added to its constraint, so that without the tag nothing
# of the port but the packages' comments takes part in a build, a vet or a type check of the whole tree, on
# whatever platform. The packages that it imports are named by their place in the tree.
adapted() { # FILE
	if [ "${1##*/}" != doc.go ] && ! grep -q '^//go:build ' "$1"; then printf '//go:build rustsubpath\n\n'; fi
	awk -v port="$PORT_PATH" '
		/^package / { code = 1 }
		!code && sub(/^\/\/go:build /, "") {
			outer = $0
			while (gsub(/\([^()]*\)/, "", outer)) continue
			$0 = "//go:build rustsubpath && " (outer ~ /\|\|/ ? "(" $0 ")" : $0)
		}
		/^(import |\t)"rustsubpath["\/]/ { sub(/rustsubpath/, port) }
		{ print }' "$1"
}

version() {
	# A release has the file VERSION, a checkout of the repository Cargo.toml.
	cat "$shim/../VERSION" 2>/dev/null ||
		sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' "$shim/../Cargo.toml" 2>/dev/null || true
}

make_plan() {
	local package file path
	stage=$(mktemp -d)
	for package in "${PACKAGES[@]}"; do
		path=$PORT_DIR/$package/
		for file in "$shim/$package"/{*.go,*.h,librustsubpath_*.a}; do
			[ -f "$file" ] || continue
			case $file in
			*_test.go) continue ;;
			*.go) adapted "$file" >"$stage/adapted" ;;
			*) cp "$file" "$stage/adapted" ;;
			esac
			plan "${path/\/.\//\/}${file##*/}" "$stage/adapted"
		done
	done
	# kubernetes keeps a second copy of the notices below third_party in LICENSES.
	if [ -f "$shim/../NOTICE" ]; then
		plan "$PORT_DIR/NOTICE" "$shim/../NOTICE"
		plan "$LICENSES_DIR/NOTICE" "$shim/../NOTICE"
	fi
	sed "s/@PROFILE@/$(profile_constant "$profile")/" "$here/subpath_rust.go.in" >"$stage/glue"
	plan "$GLUE" "$stage/glue"
	plan "$GLUE_TEST" "$here/subpath_rust_test.go.in"
	if [ -n "${MOUNTER:-}" ]; then
		for file in "${MOUNTER_FILES[@]}"; do plan "$APP_DIR/$file" "$here/$file.in"; done
	fi

	for path in "${DIRECTORIES[@]}"; do
		[ -d "$stage/$path" ] || continue
		if recorded "dir $path" || only_ours "$path"; then directories+=("$path"); fi
	done
	{
		say "# The port of $PACKAGE_DIR in Rust. The swap of its own repository (swap.sh swap) put"
		say "# these files here and takes them out (swap.sh unswap): change them there, then swap again."
		say "version $(version)"
		say "profile $profile"
		say "code $code"
		printf 'dir %s\n' "${directories[@]}"
		(cd "$stage" && sha256sum "${planned[@]}") | sed 's/^\([0-9a-f]*\)  /file \1 /'
	} >"$stage/manifest"
}

# --- the manifest in the tree -------------------------------------------------

recorded() { [ -f "$tree/$MANIFEST" ] && grep -qxF "$1" "$tree/$MANIFEST"; }

recorded_files() {
	[ ! -f "$tree/$MANIFEST" ] || sed -n 's/^file [0-9a-f]* //p' "$tree/$MANIFEST" | sort -u
}

# Fails if one of the paths in the tree is not the swap's own, unedited file, unless FORCE=1.
check_ours() {
	local path sum
	for path in "$@"; do
		[ -e "$tree/$path" ] || [ -L "$tree/$path" ] || continue
		[ -f "$tree/$path" ] || fail "$tree/$path is not an ordinary file: move it away"
		! cmp -s "$stage/$path" "$tree/$path" || continue
		sum=$(sha256sum <"$tree/$path" | cut -d' ' -f1)
		if recorded "file $sum $path" || [ "${FORCE:-}" = 1 ]; then continue; fi
		if recorded_files | grep -qxF "$path"; then
			fail "$tree/$path was edited after the swap: keep a copy of the edit and run again with FORCE=1"
		fi
		fail "$tree/$path was not put there by swap: move it away, or run again with FORCE=1 to lose it"
	done
}

check_writable() {
	local path
	for path in "$@"; do
		while [ ! -e "$tree/$path" ]; do path=$(dirname "$path"); done
		[ -w "$tree/$path" ] || fail "$tree/$path cannot be written: nothing was changed"
	done
}

# --- writes -------------------------------------------------------------------

# Puts SOURCE at PATH in one step, with the mode given and the owner of the tree's own
# files (so that a swap by root leaves no file that the tree's owner cannot change).
put() { # PATH SOURCE MODE
	local temporary
	temporary=$tree/${1%/*}/$TEMPORARY
	cp "$2" "$temporary"
	chmod "$3" "$temporary"
	[ "$EUID" != 0 ] || chown "$owner" "$temporary"
	mv -f "$temporary" "$tree/$1"
}

make_directory() {
	[ -d "$tree/$1" ] && return
	mkdir -m 755 "$tree/$1"
	[ "$EUID" != 0 ] || chown "$owner" "$tree/$1"
}

# Prints what an interrupted run left half written.
leftovers() {
	local path
	for path in "$PACKAGE_DIR" "$APP_DIR" "${DIRECTORIES[@]}"; do
		[ ! -e "$tree/$path/$TEMPORARY" ] || say "$path/$TEMPORARY"
	done
}

remove_leftovers() {
	local path
	for path in $(leftovers); do rm -f "$tree/$path"; done
}

rewrite_original() { # narrow|widen
	"$1" "$tree/$ORIGINAL" >"$stage/original"
	put "$ORIGINAL" "$stage/original" "$(stat -c %a "$tree/$ORIGINAL")"
}

# Makes server.go call the original or ours, if it does not.
rewrite_server() { # original|ours
	local from=$CALLS_ORIGINAL to=$CALLS_OURS
	if [ "$server" = "$1" ] || [ "$server" = unknown ]; then return; fi
	if [ "$1" = original ]; then from=$CALLS_OURS to=$CALLS_ORIGINAL; fi
	awk -v from="$from" -v to="$to" '$0 == from { print to; next } { print }' "$tree/$SERVER" >"$stage/server"
	put "$SERVER" "$stage/server" "$(stat -c %a "$tree/$SERVER")"
}

# --- commands -----------------------------------------------------------------

check() {
	find_tree "$1"
	find_profile
	check_mounter
	check_go
}

swap() {
	local path stale changed='' calls=original
	check "$1"
	if [ -n "${MOUNTER:-}" ]; then calls=ours; fi
	check_library
	make_plan
	check_ours "${planned[@]}"
	stale=$(recorded_files | grep -vxF "$(printf '%s\n' "${planned[@]}")" || true)
	# shellcheck disable=SC2086 # our own paths hold no spaces
	check_ours $stale
	if cmp -s "$stage/manifest" "$tree/$MANIFEST" && [ "$constraint" = narrow ] && [ -z "$(leftovers)" ] &&
		{ [ "$server" = "$calls" ] || [ "$server" = unknown ]; }; then
		for path in "${planned[@]}"; do cmp -s "$stage/$path" "$tree/$path" || changed=1; done
	else
		changed=1
	fi
	if [ -n "$changed" ]; then
		check_writable "$PACKAGE_DIR" "$PORT_DIR" "${directories[@]}"
		# shellcheck disable=SC2046 # our own paths hold no spaces
		check_writable $([ "$server" = "$calls" ] || say "$APP_DIR")
		writing=1
		for path in third_party "$PORT_DIR"; do make_directory "$path"; done
		# Until all is done the manifest lists the old files and the new ones.
		if [ -f "$tree/$MANIFEST" ]; then
			{ cat "$stage/manifest"; grep -E '^(file|dir) ' "$tree/$MANIFEST"; } | awk '!seen[$0]++' >"$stage/both"
		else
			cp "$stage/manifest" "$stage/both"
		fi
		put "$MANIFEST" "$stage/both" 644
		for path in "${directories[@]}"; do make_directory "$path"; done
		for path in "${planned[@]}"; do
			cmp -s "$stage/$path" "$tree/$path" || put "$path" "$stage/$path" 644
		done
		# server.go calls a function of ours only as long as its files are there.
		rewrite_server "$calls"
		for path in $stale; do rm -f "$tree/$path"; done
		[ "$constraint" = narrow ] || rewrite_original narrow
		put "$MANIFEST" "$stage/manifest" 644
	fi
	report "$changed"
}

unswap() {
	local path index left
	find_tree "$1"
	stage=$(mktemp -d)
	if [ ! -f "$tree/$MANIFEST" ]; then
		for path in "$GLUE" "$GLUE_TEST" "${MOUNTER_FILES[@]/#/$APP_DIR/}"; do
			[ ! -e "$tree/$path" ] ||
				fail "$tree/$MANIFEST is missing, so $path cannot be told from your own work: swap again, then unswap"
		done
	elif [ "$constraint" = unknown ]; then
		fail "$tree/$ORIGINAL has a build constraint of its own: set it to  $NARROW  as the swap left it, then unswap again"
	fi
	# shellcheck disable=SC2046 # our own paths hold no spaces
	check_ours $(recorded_files)
	# shellcheck disable=SC2046 # our own paths hold no spaces
	check_writable "$PACKAGE_DIR" "$PORT_DIR" $(recorded_files | sed 's|/[^/]*$||' | sort -u)
	writing=1
	if [ "$constraint" != narrow ] && [ "$server" != ours ] && [ ! -f "$tree/$MANIFEST" ]; then
		remove_leftovers
		remove_if_empty "$PORT_DIR"
		say "$tree is not swapped: nothing to do"
		return
	fi
	[ "$constraint" != narrow ] || rewrite_original widen
	rewrite_server original
	mapfile -t directories < <(sed -n 's/^dir //p' "$tree/$MANIFEST" 2>/dev/null)
	remove_leftovers
	for path in $(recorded_files); do rm -f "$tree/$path"; done
	# The manifest goes last, and with it the directories that it lies in.
	for ((index = ${#directories[@]} - 1; index >= 0; index--)); do
		case $PORT_DIR/ in "${directories[index]}"/*) continue ;; esac
		remove_if_empty "${directories[index]}"
	done
	rm -f "$tree/$MANIFEST"
	for ((index = ${#directories[@]} - 1; index >= 0; index--)); do
		remove_if_empty "${directories[index]}"
	done
	say "unswapped $tree: with every tag it builds the original again"
	left=$(find "$tree/$PORT_DIR" "$tree/$LICENSES_DIR" -mindepth 1 2>/dev/null || true)
	[ -z "$left" ] || say "left alone, because swap did not put it there: $left"
}

remove_if_empty() {
	local path
	for path in "$@"; do rmdir "$tree/$path" 2>/dev/null || true; done
}

# --- the report ---------------------------------------------------------------

lines() { wc -l <"$1" | tr -d ' '; }

report() {
	local path added total=0 old=0 edited=1
	if [ -n "$1" ]; then say "swapped $tree"; else say "$tree is swapped already: nothing to do"; fi
	say "profile $profile, the port's version $(version); what a reviewer reads:"
	if grep -qxF "$WIDE_OLD" "$tree/$ORIGINAL"; then old=1; fi
	printf '  %-76s +%d -1\n' "$ORIGINAL" $((1 + old))
	if [ -n "${MOUNTER:-}" ]; then
		printf '  %-76s +1 -1\n' "$SERVER"
		edited=2
	fi
	for path in "${planned[@]}" "$MANIFEST"; do
		case $path in
		*.a)
			printf '  %-76s binary, %d bytes\n' "$path" "$(wc -c <"$tree/$path")"
			;;
		*)
			added=$(lines "$tree/$path")
			total=$((total + added))
			printf '  %-76s +%d\n' "$path" "$added"
			;;
		esac
	done
	say "  in all $((${#planned[@]} + 1 + edited)) files, +$((total + edited + old)) -$edited lines"
	notes
	say
	say "next:  cd $(printf %q "$tree") && go build -tags rustsubpath ./cmd/kubelet"
	say "  (by kubernetes' own build:  make WHAT=cmd/kubelet GOFLAGS=-tags=rustsubpath)"
	say "back:  $(line unswap "$(printf %q "$tree")")"
}

# Prints what else the fork's maintainer has to do before kubernetes' own checks pass.
notes() {
	local library
	for library in "$tree/$PORT_DIR"/internal/boundary/librustsubpath_*.a; do
		library=$PORT_DIR/internal/boundary/${library##*/}
		if git -C "$tree" check-ignore -q "$library" 2>/dev/null; then
			say "note: git ignores $library here; commit it with  git add -f"
		fi
		if [ -f "$tree/hack/verify-file-sizes.sh" ] && [ "$(wc -c <"$tree/$library")" -gt 1048576 ]; then
			say "note: hack/verify-file-sizes.sh wants $library in its allowlist once it is committed"
		fi
	done
}

cleanup() {
	[ -z "$stage" ] || rm -rf "$stage"
	[ -z "$writing" ] || remove_leftovers
}

case ${1:-} in
check | swap | unswap)
	command -v sha256sum >/dev/null || fail "sha256sum is not on the PATH: install coreutils"
	trap cleanup EXIT
	"$1" "${2:-}"
	;;
*)
	fail "usage: swap.sh check|swap|unswap DIR"
	;;
esac
