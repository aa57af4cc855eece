# What is refused: one sentence that says what to do, and a tree that nobody touched.
# run.sh assigns the variables used here and sets -e.
# shellcheck shell=bash disable=SC2154,SC2164

test_refuses_what_is_not_a_kubernetes_tree() {
	local tree
	tree=$(tree_of "$newest")
	refused 'run  make swap KUBERNETES=DIR' "$tree" swap ''
	refused 'is not a directory' "$tree" swap "$tree/no/such/place"
	refused 'is not a kubernetes tree' "$tree" swap "$tree/pkg"
	refused 'is not a kubernetes tree' "$tree" unswap "$tree/pkg"
	refused 'usage: ' "$tree" "$shim/swap/swap.sh" frobnicate "$tree"
	rm "$tree/$linux_go"
	refused "has no $linux_go" "$tree" swap "$tree"
	sed -i 's/^module .*/module example.org\/fork/' "$tree/go.mod"
	refused 'is not a kubernetes tree' "$tree" swap "$tree"
}

test_a_release_archive_names_no_makefile() {
	local tree
	tree=$(tree_of "$newest")
	rm "$shim/../Makefile"
	swap "$tree" >"$scratch/report"
	grep -qF "$shim/swap/swap.sh unswap $tree" "$scratch/report"
	! grep -E 'make (build|swap|unswap)' "$scratch/report" "$tree/third_party/rustsubpath/MANIFEST" || return 1
	refused "$shim/swap/swap.sh swap DIR" "$tree" swap ''
	rm "$shim"/internal/boundary/librustsubpath_*.a
	refused 'unpack the release archive again' "$tree" swap "$tree"
}

test_refuses_changed_code_unless_told_the_profile() {
	local tree swapped
	tree=$(tree_of "$oldest")
	sed -i 's/"volume-subpaths"/"volume-sub-paths"/' "$tree/$linux_go"
	refused 'PROFILE=v1.29 (v1.29 to v1.36) or PROFILE=v1.37' "$tree" swap "$tree"
	refused 'PROFILE=v1.36 is not a profile' "$tree" env PROFILE=v1.36 "$shim/swap/swap.sh" swap "$tree"
	PROFILE=v1.37 swap "$tree"
	grep -q 'rustsubpath.ProfileV137$' "$tree/pkg/volume/util/subpath/subpath_rust.go"
	# The answer holds for this code, and only for this code.
	swapped=$(snapshot "$tree")
	swap "$tree"
	same "swapped again without PROFILE" "$swapped" "$(snapshot "$tree")"
	sed -i 's/"volume-sub-paths"/"volume-sub-ways"/' "$tree/$linux_go"
	refused 'PROFILE=v1.29' "$tree" swap "$tree"
	unswap "$tree"
	sed -i 's/"volume-sub-ways"/"volume-subpaths"/' "$tree/$linux_go"
	pristine "$tree" "$oldest"
	refused 'leave PROFILE out' "$tree" env PROFILE=v1.37 "$shim/swap/swap.sh" swap "$tree"
}

# Before v1.29, whose go.mod says go 1.21, subpath_linux.go is the same, and nobody tried the rest.
test_refuses_a_tree_older_than_v1_29_unless_told_the_profile() {
	local tree swapped old
	tree=$(tree_of "$oldest")
	for old in 1.20 1.19.13 1.9; do
		sed -i "s/^go 1\..*/go $old/" "$tree/go.mod"
		refused "go.mod says go $old, and v1.29, the oldest that the port was tried on, go 1.21" "$tree" swap "$tree"
		refused 'PROFILE=v1.29' "$tree" "$shim/swap/swap.sh" check "$tree"
	done
	PROFILE=v1.29 swap "$tree"
	# The answer holds as long as the code is this.
	swapped=$(snapshot "$tree")
	swap "$tree"
	same "swapped again without PROFILE" "$swapped" "$(snapshot "$tree")"
	unswap "$tree"
	sed -i '/^go 1\./d' "$tree/go.mod"
	refused 'go.mod names no go version' "$tree" swap "$tree"
	git_here "$tree" checkout -q go.mod
	for old in 1.21 1.21.0 1.100 2.0; do
		sed -i "s/^go [12]\..*/go $old/" "$tree/go.mod"
		"$shim/swap/swap.sh" check "$tree"
	done
}

test_comments_do_not_make_code_unknown() {
	local tree
	tree=$(tree_of "$newest")
	sed -i -e 's/^Copyright 2014/Copyright 2015/' -e '/^\/\/ doSafeMakeDir/i // A comment of the fork.' "$tree/$linux_go"
	swap "$tree"
}

test_refuses_a_constraint_of_its_own() {
	local tree
	tree=$(tree_of "$newest")
	sed -i '1s/$/ \&\& !special/' "$tree/$linux_go"
	refused 'has a build constraint of its own' "$tree" swap "$tree"
	refused 'has a build constraint of its own' "$tree" env PROFILE=v1.37 "$shim/swap/swap.sh" swap "$tree"
	git_here "$tree" checkout -q .
	swap "$tree"
	sed -i '1s/$/ \&\& !special/' "$tree/$linux_go"
	refused 'as the swap left it' "$tree" unswap "$tree"
}

test_refuses_without_a_library_that_fits() {
	local tree
	tree=$(tree_of "$newest")
	mv "$shim/internal/boundary/library_linux_amd64.go" "$scratch/kept"
	refused 'has no library_linux_amd64.go beside it: run  make build' "$tree" swap "$tree"
	mv "$scratch/kept" "$shim/internal/boundary/library_linux_amd64.go"
	echo changed >>"$shim/internal/boundary/librustsubpath_linux_amd64.a"
	refused 'is not the library that library_linux_amd64.go was made for: run  make build' "$tree" swap "$tree"
	make_library "$shim" amd64 'a library'
	echo '// library_for_version_1' >>"$shim/internal/boundary/port.go"
	echo '// library_for_version_2' >>"$shim/internal/boundary/library_linux_amd64.go"
	refused 'speaks another version of the boundary' "$tree" swap "$tree"
	rm "$shim"/internal/boundary/librustsubpath_*.a
	refused 'the library is missing in' "$tree" swap "$tree"
	make_library "$shim" amd64 'a library'
	rm "$shim/internal/boundary/rustsubpath.h"
	refused 'the header rustsubpath.h is missing' "$tree" swap "$tree"
}

test_refuses_without_go() {
	local tree tool
	tree=$(tree_of "$newest")
	mkdir "$scratch/tools"
	for tool in awk basename bash cat chmod chown cmp cp cut dirname env find grep mkdir mktemp mv rm rmdir sed sha256sum sort stat tr wc; do
		ln -s "$(command -v $tool)" "$scratch/tools/$tool"
	done
	refused 'go is not on the PATH: install Go 1.21 or newer' "$tree" env PATH="$scratch/tools" "$shim/swap/swap.sh" swap "$tree"
	printf '#!/bin/bash\necho go1.20.14\n' >"$scratch/tools/go"
	chmod +x "$scratch/tools/go"
	refused 'go1.20.14 is too old' "$tree" env PATH="$scratch/tools" "$shim/swap/swap.sh" swap "$tree"
	printf '#!/bin/bash\necho go1.21.0\n' >"$scratch/tools/go"
	PATH=$scratch/tools "$shim/swap/swap.sh" swap "$tree"
	# Taking the port out again needs no Go at all.
	rm "$scratch/tools/go"
	PATH=$scratch/tools "$shim/swap/swap.sh" unswap "$tree"
	pristine "$tree" "$newest"
}

test_refuses_to_overwrite_the_work_of_others() {
	local tree file
	for file in pkg/volume/util/subpath/subpath_rust.go third_party/rustsubpath/{port,upstreamtest/port}.go; do
		tree=$(tree_of "$newest")
		mkdir -p "$tree/third_party/rustsubpath/upstreamtest"
		echo mine >"$tree/$file"
		refused "$file was not put there by swap" "$tree" swap "$tree"
		[ "${file%%/*}" = third_party ] ||
			refused 'MANIFEST is missing' "$tree" unswap "$tree"
	done
	for file in pkg/volume/util/subpath/subpath_rust_test.go third_party/rustsubpath/port.go; do
		tree=$(tree_of "$newest")
		swap "$tree"
		echo '// edited' >>"$tree/$file"
		refused "$file was edited after the swap" "$tree" swap "$tree"
		refused "$file was edited after the swap" "$tree" unswap "$tree"
		FORCE=1 swap "$tree"
		! grep -q '^// edited' "$tree/$file"
		echo '// edited' >>"$tree/$file"
		FORCE=1 unswap "$tree"
		pristine "$tree" "$newest"
	done
}

test_refuses_symbolic_links() {
	local tree
	tree=$(tree_of "$newest")
	mkdir "$scratch/elsewhere"
	ln -s "$scratch/elsewhere" "$tree/third_party/rustsubpath"
	refused 'is a symbolic link' "$tree" swap "$tree"
	same "files elsewhere" "" "$(ls "$scratch/elsewhere")"
}

# Root may write anywhere, so that an ordinary user has to try.
test_refuses_a_tree_that_cannot_be_written() {
	local tree path
	tree=$(tree_of "$newest")
	for path in pkg/volume/util/subpath third_party; do
		chmod 555 "$tree/$path"
		if [ "$(id -u)" = 0 ]; then
			chmod 1777 "$scratch"
			chmod -R a+rX "$shim/.."
			chown -R 65534:65534 "$tree"
			refused "$path cannot be written: nothing was changed" "$tree" \
				setpriv --reuid=65534 --regid=65534 --clear-groups env PATH="$PATH" HOME="$scratch" "$shim/swap/swap.sh" swap "$tree"
		else
			refused "$path cannot be written: nothing was changed" "$tree" swap "$tree"
		fi
		chmod 755 "$tree/$path"
	done
}
