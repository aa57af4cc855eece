# What swap and unswap do when all is well, and what an interruption leaves.
# run.sh assigns the variables used here and sets -e.
# shellcheck shell=bash disable=SC2154,SC2164

linux_go=pkg/volume/util/subpath/subpath_linux.go

swap() { "$shim/swap/swap.sh" swap "$@"; }
unswap() { "$shim/swap/swap.sh" unswap "$@"; }

# A fresh copy of a released tree.
tree_of() { # VERSION [DIR]
	local tree=${2:-$scratch/tree}
	rm -rf "$tree"
	cp -R "$all/released/$1" "$tree"
	echo "$tree"
}

# Everything is as it was committed: content, modes, nothing left over or ignored.
pristine() { # TREE VERSION
	same "the tree and the released one" "$(snapshot "$all/released/$2")" "$(snapshot "$1")"
	same "git status" "" "$(git_here "$1" status --porcelain --ignored)"
	same "git diff" "" "$(git_here "$1" diff)"
}

# Runs the rest of a test hundreds of times without a page of output for each.
quietly() { "$@" >/dev/null; }

# As tree_of, without the git directory, for tests that compare snapshots alone.
bare_tree_of() { # VERSION [DIR]
	tree_of "$@"
	rm -rf "${2:-$scratch/tree}/.git"
}

test_swap_changes_one_line_and_adds_files() {
	local version tree changed
	for version in $versions; do
		tree=$(tree_of "$version")
		swap "$tree" | grep '^next: .*go build -tags rustsubpath ./cmd/kubelet$'
		same "changed files" " M pkg/volume/util/subpath/subpath_linux.go" \
			"$(git_here "$tree" status --porcelain --untracked-files=no)"
		changed=$(git_here "$tree" diff -U0 | sed -n '/^[-+]/{/^---/d; /^+++/d; p}')
		case $(sed -n 2p "$all/released/$version/pkg/volume/util/subpath/subpath_linux.go") in
		'// +build linux')
			same "diff" $'-//go:build linux\n+//go:build linux && !(rustsubpath && cgo)\n+// +build !rustsubpath !cgo' \
				"$(sed '/^[-+]$/d' <<<"$changed")"
			;;
		*)
			same "diff" $'-//go:build linux\n+//go:build linux && !(rustsubpath && cgo)' "$changed"
			;;
		esac
		same "added files" "$(
			for path in LICENSES/third_party/rustsubpath/NOTICE pkg/volume/util/subpath/subpath_rust{,_test}.go \
				third_party/rustsubpath/{MANIFEST,NOTICE,doc.go,port.go,upstreamtest/{doc,port}.go} \
				third_party/rustsubpath/internal/boundary/{doc.go,library_linux_amd64.go,librustsubpath_linux_amd64.a,port.go,rustsubpath.h}; do
				echo "$path"
			done | sort
		)" "$(git_here "$tree" ls-files --others | sort)"
	done
}

test_swapped_files_keep_kubernetes_habits() {
	local version tree reference file
	for version in $versions; do
		tree=$(tree_of "$version")
		swap "$tree"
		same "files that gofmt would change" "" "$(gofmt -l "$tree/pkg/volume/util/subpath" "$tree/third_party")"
		# hack/verify-boilerplate: the licence header right below the constraint; years up to
		# 2025 are dropped by newer trees and wanted by older ones.
		reference=$(sed 's/ YEAR / /' "$tree/hack/boilerplate/boilerplate.go.txt")
		for file in "$tree"/pkg/volume/util/subpath/subpath_rust*.go; do
			same "header of $file" "$reference" \
				"$(sed '1,/^$/d' "$file" | head -n "$(wc -l <<<"$reference")" | sed 's/ 2025 / /')"
		done
		[ "$(wc -l <"$tree/pkg/volume/util/subpath/subpath_rust.go")" -lt 100 ]
	done
}

test_profile_follows_the_tree() {
	local version tree
	for version in $versions; do
		tree=$(tree_of "$version")
		swap "$tree"
		case $version in
		v1.29.* | v1.3[0-6].*) grep -q 'rustsubpath.ProfileV129$' "$tree/pkg/volume/util/subpath/subpath_rust.go" ;;
		*) grep -q 'rustsubpath.ProfileV137$' "$tree/pkg/volume/util/subpath/subpath_rust.go" ;;
		esac
	done
}

test_swap_and_unswap_twice() {
	local version tree once
	for version in $versions; do
		tree=$(tree_of "$version")
		unswap "$tree" | grep 'is not swapped: nothing to do'
		pristine "$tree" "$version"
		swap "$tree"
		once=$(snapshot "$tree"; find "$tree" -path "$tree/.git" -prune -o -printf '%i %T@ %p\n' | sort)
		swap "$tree" | grep 'is swapped already: nothing to do'
		same "the second swap wrote something" "$once" \
			"$(snapshot "$tree"; find "$tree" -path "$tree/.git" -prune -o -printf '%i %T@ %p\n' | sort)"
		unswap "$tree"
		pristine "$tree" "$version"
		unswap "$tree"
		pristine "$tree" "$version"
	done
}

# The swapped tree compiles with upstream's tests in each of the three ways to build it,
# from go.mod's modules and from a vendor directory, and neither go.mod nor vendor changes.
test_swapped_tree_compiles_also_vendored() {
	local version tree before
	for version in $versions; do
		tree=$(tree_of "$version")
		sed -i -e '/=> \.\/staging\//d' -e "s/^\(\tk8s\.io\/[a-z-]*\) v0\.0\.0\$/\1 v0.${version#v1.}/" "$tree/go.mod"
		(cd "$tree" && go list -mod=mod -deps -test ./pkg/... >/dev/null)
		keep_modules_of "$tree"
		(cd "$tree" && go mod vendor)
		git_here "$tree" add -A
		git_here "$tree" commit -q -m vendored
		before=$(snapshot "$tree")
		swap "$tree"
		for flags in -mod=vendor -mod=readonly; do
			(
				cd "$tree"
				export GOFLAGS=$flags
				go vet -tags rustsubpath ./pkg/volume/util/subpath ./third_party/rustsubpath/...
				go vet ./pkg/volume/util/subpath
				CGO_ENABLED=0 go vet -tags rustsubpath ./pkg/volume/util/subpath
				# Without the tag there is nothing of the port in any build of the whole tree, be the
				# platform one that no library was made for.
				go build ./...
				same "the port without the tag" "doc.go doc.go doc.go" "$(GOARCH=riscv64 CGO_ENABLED=1 go list -f '{{join .GoFiles " "}}{{join .CgoFiles " "}}' ./third_party/rustsubpath/... | paste -sd ' ')"
				same "who imports the inner steps with the tag" "" "$(go list -tags rustsubpath -deps ./pkg/... | grep upstreamtest || true)"
				same "with the tag" "subpath.go subpath_rust.go" "$(go list -tags rustsubpath -f '{{join .GoFiles " "}}' ./pkg/volume/util/subpath)"
				same "without" "subpath.go subpath_linux.go" "$(go list -f '{{join .GoFiles " "}}' ./pkg/volume/util/subpath)"
				same "without cgo" "subpath.go subpath_linux.go" "$(CGO_ENABLED=0 go list -tags rustsubpath -f '{{join .GoFiles " "}}' ./pkg/volume/util/subpath)"
			)
		done
		same "go.mod, go.sum and vendor" "" "$(git_here "$tree" status --porcelain go.mod go.sum vendor)"
		unswap "$tree"
		same "the tree and the vendored one" "$before" "$(snapshot "$tree")"
	done
}

# The whole of kubernetes' requirements would vendor 200 modules; the tree here imports five.
keep_modules_of() { # TREE
	local tree=$1 keep path
	keep=$(cd "$tree" && go list -mod=mod -deps -test -f '{{with .Module}}{{.Path}}@{{.Version}}{{end}}' ./pkg/... | sort -u | sed '/^k8s.io\/kubernetes@/d')
	{
		printf 'module k8s.io/kubernetes\n\n'
		sed -n '/^go /p' "$tree/go.mod"
		printf '\nrequire (\n'
		for path in $keep; do printf '\t%s\n' "${path/@/ }"; done
		printf ')\n'
	} >"$tree/go.mod.new"
	mv "$tree/go.mod.new" "$tree/go.mod"
	# Settles the indirect comments and what the requirements themselves require.
	(cd "$tree" && go mod tidy)
}

# Kills a swap or an unswap of a copy of START in the place of each change that it would make. Whenever it
# was killed, a build without the tag takes the whole original, a swap makes the tree whose snapshot is
# WANTED, and an unswap the released one.
interrupt_everywhere() { # LEAST-CHANGES VERSION START WANTED swap|unswap
	local least=$1 version=$2 start=$3 wanted=$4 command=$5 tree=$scratch/killed number=1
	while rm -rf "$tree" && cp -R "$start" "$tree" && killed_at "$number" "$tree" "$shim/swap/swap.sh" "$command" "$tree"; do
		diff <(sed '/^\/\/go:build/d; /^\/\/ +build/d' "$tree/$linux_go") \
			<(sed '/^\/\/go:build/d; /^\/\/ +build/d' "$all/released/$version/$linux_go")
		cp -R "$tree" "$scratch/again"
		quietly swap "$scratch/again"
		same "step $number: swapped again" "$wanted" "$(snapshot "$scratch/again")"
		rm -rf "$scratch/again"
		quietly unswap "$tree"
		same "step $number: unswapped" "$(snapshot "$all/released/$version")" "$(snapshot "$tree")"
		number=$((number + 1))
	done
	[ "$number" -gt "$least" ]
}

test_interrupted_swap_can_be_run_again_or_unswapped() {
	local tree
	tree=$(bare_tree_of "$oldest")
	quietly swap "$tree"
	# Two changes for each of 14 files, the directories, the manifest's second version.
	interrupt_everywhere 30 "$oldest" "$(bare_tree_of "$oldest" "$scratch/fresh")" "$(snapshot "$tree")" swap
}

test_interrupted_unswap_can_be_run_again_or_swapped() {
	local tree
	tree=$(bare_tree_of "$oldest")
	quietly swap "$tree"
	interrupt_everywhere 14 "$oldest" "$tree" "$(snapshot "$tree")" unswap
}

# A newer port over an older one: other content, a file more, a file less.
make_newer() {
	rm "$shim/internal/boundary/rustsubpath.h"
	printf '// the newer header\n' >"$shim/internal/boundary/rustsubpath.h"
	printf '//go:build linux && cgo\n\npackage rustsubpath\n' >"$shim/more.go"
	mv "$shim/port.go" "$shim/renamed.go"
	make_library "$shim" amd64 'a newer library'
}

test_newer_port_replaces_an_older_one() {
	local version=$newest tree fresh
	tree=$(tree_of "$version")
	swap "$tree"
	make_newer
	swap "$tree"
	fresh=$(tree_of "$version" "$scratch/fresh")
	swap "$fresh"
	same "the newer port over an older one" "$(snapshot "$fresh")" "$(snapshot "$tree")"
	unswap "$tree"
	pristine "$tree" "$version"
}

# Makes of a swapped tree what older versions of the swap left: a flat package, and the first profile's
# former name.
as_an_older_version_left_it() { # TREE
	(
		cd "$1/third_party/rustsubpath"
		mv internal/boundary/{rustsubpath.h,library_linux_amd64.go,librustsubpath_linux_amd64.a} .
		rm -r internal upstreamtest
		sed -i -e '/boundary\/\(doc\|port\)\.go$/d' -e '/upstreamtest/d' -e '/^dir .*\/internal/d' \
			-e 's/\/internal\/boundary\//\//' -e 's/^profile v1\.29$/profile seed/' MANIFEST
	)
}

test_a_tree_swapped_by_an_older_version() {
	local version=$oldest tree fresh
	fresh=$(tree_of "$version" "$scratch/fresh")
	swap "$fresh"
	tree=$(tree_of "$version")
	swap "$tree"
	as_an_older_version_left_it "$tree"
	cp -R "$tree" "$scratch/again"
	unswap "$tree"
	pristine "$tree" "$version"
	swap "$scratch/again"
	same "swapped again" "$(snapshot "$fresh")" "$(snapshot "$scratch/again")"
	unswap "$scratch/again"
	pristine "$scratch/again" "$version"
}

test_interrupted_replacement_can_be_run_again_or_unswapped() {
	local older newer
	older=$(bare_tree_of "$newest" "$scratch/older")
	quietly swap "$older"
	make_newer
	newer=$(bare_tree_of "$newest")
	quietly swap "$newer"
	interrupt_everywhere 10 "$newest" "$older" "$(snapshot "$newer")" swap
}

test_tree_path_may_hold_anything() {
	local name tree
	# shellcheck disable=SC2016 # the dollar is meant
	for name in 'with spaces' $'a\ttab' 'quo"te' "apo'strophe" '*' 'dollar$HOME'; do
		tree=$(tree_of "$newest" "$scratch/$name")
		swap "$tree"
		grep -q ProfileV137 "$tree/pkg/volume/util/subpath/subpath_rust.go"
		unswap "$tree"
		pristine "$tree" "$newest"
		rm -rf "$tree"
	done
	(
		tree_of "$newest" "$scratch/relative"
		cd "$scratch/relative/pkg"
		swap ..
		unswap ..
	)
	pristine "$scratch/relative" "$newest"
}

test_read_only_files_and_modes_survive() {
	local tree before
	tree=$(tree_of "$oldest")
	chmod 444 "$tree"/pkg/volume/util/subpath/*
	chmod 755 "$tree/pkg/volume/util/subpath/subpath_linux.go"
	git_here "$tree" commit -q -a -m 'odd modes'
	chmod 555 "$tree/pkg/volume/util/subpath/subpath_linux.go"
	before=$(snapshot "$tree")
	(umask 077 && swap "$tree")
	same "mode of subpath_linux.go" 555 "$(stat -c %a "$tree/pkg/volume/util/subpath/subpath_linux.go")"
	same "mode of subpath_rust.go" 644 "$(stat -c %a "$tree/pkg/volume/util/subpath/subpath_rust.go")"
	same "mode of third_party/rustsubpath" 755 "$(stat -c %a "$tree/third_party/rustsubpath")"
	unswap "$tree"
	same "the tree before and after" "$before" "$(snapshot "$tree")"
}

# Only root can show this; as an ordinary user every file has the user's own id anyway.
test_new_files_belong_to_the_owner_of_the_tree() {
	local tree wanted
	tree=$(tree_of "$newest")
	[ "$(id -u)" != 0 ] || chown -R 12345:12345 "$tree"
	wanted=$(stat -c %u:%g "$tree/go.mod")
	swap "$tree"
	same "owners" "$wanted" "$(find "$tree" -path "$tree/.git" -prune -o -printf '%U:%G\n' | sort -u)"
}

test_what_others_put_beside_the_port_is_left_alone() {
	local tree
	tree=$(tree_of "$newest")
	swap "$tree"
	echo mine >"$tree/third_party/rustsubpath/OWNERS"
	swap "$tree"
	unswap "$tree" | grep "left alone, because swap did not put it there: .*/third_party/rustsubpath/OWNERS"
	same "git status" "?? third_party/rustsubpath/OWNERS" "$(git_here "$tree" status --porcelain --untracked-files=all)"
}

# A fork commits the swap, takes upstream's next release in a merge, and swaps again.
test_committed_swap_follows_the_tree_to_another_profile() {
	local tree directory=pkg/volume/util/subpath
	tree=$(tree_of "$newest")
	swap "$tree"
	git_here "$tree" add -A
	git_here "$tree" commit -q -m swapped
	sed 's/^\/\/go:build linux$/& \&\& !(rustsubpath \&\& cgo)/' \
		"$all/released/v1.36.3/$directory/subpath_linux.go" >"$tree/$directory/subpath_linux.go"
	swap "$tree"
	grep -q 'rustsubpath.ProfileV129$' "$tree/$directory/subpath_rust.go"
	unswap "$tree"
	cmp "$all/released/v1.36.3/$directory/subpath_linux.go" "$tree/$directory/subpath_linux.go"
}

test_lost_pieces_are_put_back() {
	local tree swapped
	tree=$(tree_of "$newest")
	swap "$tree"
	swapped=$(snapshot "$tree")
	rm -r "$tree/third_party/rustsubpath" "$tree/pkg/volume/util/subpath/subpath_rust_test.go"
	swap "$tree"
	same "after rm and swap" "$swapped" "$(snapshot "$tree")"
	git_here "$tree" checkout -q pkg
	swap "$tree"
	same "after git checkout and swap" "$swapped" "$(snapshot "$tree")"
}

test_ignored_library_is_pointed_out() {
	local tree
	tree=$(tree_of "$newest")
	echo '*.a' >>"$tree/.git/info/exclude"
	swap "$tree" | grep 'note: git ignores third_party/rustsubpath/internal/boundary/librustsubpath_linux_amd64.a here'
}
