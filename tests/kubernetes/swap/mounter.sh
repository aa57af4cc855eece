# What MOUNTER=1 adds to the swap.
# run.sh assigns the variables used here and sets -e.
# shellcheck shell=bash disable=SC2154,SC2164

server_go=cmd/kubelet/app/server.go

with_mounter() { MOUNTER=1 "$shim/swap/swap.sh" swap "$@"; }

# A fresh copy of a released tree with the kubelet's server.go.
tree_with_kubelet() { # VERSION [DIR]
	local tree
	tree=$(tree_of "$@")
	mkdir -p "$tree/cmd/kubelet/app"
	install -m 644 "$(module "$1")/$server_go" "$tree/$server_go"
	git_here "$tree" add -A
	git_here "$tree" commit -q -m "with the kubelet"
	echo "$tree"
}

test_mounter_changes_one_line_of_the_kubelet() {
	local version tree before
	for version in $versions; do
		tree=$(tree_with_kubelet "$version")
		before=$(snapshot "$tree")
		with_mounter "$tree" | grep "^  $server_go  *+1 -1\$"
		same "the change" $'-\tmounter := mount.New(s.ExperimentalMounterPath)\n+\tmounter := newNodeMounter(mount.New, s.ExperimentalMounterPath)' \
			"$(git_here "$tree" diff -U0 "$server_go" | sed -n '/^[-+]/{/^---/d; /^+++/d; p}')"
		same "files beside it" "$(printf '%s\n' cmd/kubelet/app/mounter_{original,rust}.go)" "$(git_here "$tree" ls-files --others cmd)"
		same "files that gofmt would change" "" "$(gofmt -l "$tree/cmd")"
		with_mounter "$tree" | grep 'is swapped already: nothing to do'
		unswap "$tree"
		same "unswapped" "$before" "$(snapshot "$tree")"
	done
}

test_without_mounter_the_kubelet_is_left_alone() {
	local tree plain
	tree=$(tree_with_kubelet "$newest")
	swap "$tree"
	same "changes in the kubelet" "" "$(git_here "$tree" status --porcelain cmd)"
	plain=$(snapshot "$tree")
	with_mounter "$tree"
	swap "$tree"
	same "swapped again without it" "$plain" "$(snapshot "$tree")"
}

# A package with the line in it, in the place of the kubelet's, whose imports are hundreds.
test_mounter_compiles_in_every_way_to_build() {
	local tree
	tree=$(tree_of "$newest")
	mkdir -p "$tree/cmd/kubelet/app"
	cat >"$tree/$server_go" <<'GO'
package app

import "k8s.io/mount-utils"

type server struct{ ExperimentalMounterPath string }

func run(s server) mount.Interface {
	mounter := mount.New(s.ExperimentalMounterPath)
	return mounter
}

var _ = run
GO
	sed -i -e '/=> \.\/staging\//d' -e "s/^\(\tk8s\.io\/[a-z-]*\) v0\.0\.0\$/\1 v0.${newest#v1.}/" "$tree/go.mod"
	with_mounter "$tree"
	cd "$tree"
	export GOFLAGS=-mod=mod
	go vet ./cmd/kubelet/app
	go vet -tags rustsubpath ./cmd/kubelet/app
	CGO_ENABLED=0 go vet -tags rustsubpath ./cmd/kubelet/app
	GOOS=windows go vet -tags rustsubpath ./cmd/kubelet/app
	same "with the tag" "mounter_rust.go server.go" "$(go list -tags rustsubpath -f '{{join .GoFiles " "}}' ./cmd/kubelet/app)"
	same "without" "mounter_original.go server.go" "$(go list -f '{{join .GoFiles " "}}' ./cmd/kubelet/app)"
	same "without cgo" "mounter_original.go server.go" "$(CGO_ENABLED=0 go list -tags rustsubpath -f '{{join .GoFiles " "}}' ./cmd/kubelet/app)"
}

# Wherever it is killed, server.go calls what is there.
test_interrupted_mounter_can_be_run_again_or_unswapped() {
	local start tree=$scratch/killed number wanted command
	start=$(tree_with_kubelet "$newest" "$scratch/start")
	rm -rf "$start/.git"
	cp -R "$start" "$scratch/swapped"
	quietly with_mounter "$scratch/swapped"
	wanted=$(snapshot "$scratch/swapped")
	for command in swap unswap; do
		number=1
		while rm -rf "$tree" && cp -R "$([ $command = swap ] && echo "$start" || echo "$scratch/swapped")" "$tree" &&
			killed_at "$number" "$tree" env MOUNTER=1 "$shim/swap/swap.sh" "$command" "$tree"; do
			! grep -q newNodeMounter "$tree/$server_go" || [ -f "$tree/cmd/kubelet/app/mounter_original.go" ]
			rm -rf "$scratch/again"
			cp -R "$tree" "$scratch/again"
			quietly with_mounter "$scratch/again"
			same "step $number of $command: swapped again" "$wanted" "$(snapshot "$scratch/again")"
			quietly unswap "$tree"
			same "step $number of $command: unswapped" "$(snapshot "$start")" "$(snapshot "$tree")"
			number=$((number + 1))
		done
		[ "$number" -gt 15 ]
	done
}

test_mounter_refuses_a_kubelet_that_it_does_not_know() {
	local tree
	tree=$(tree_of "$newest")
	refused "does not make the kubelet's mounter by the line" "$tree" with_mounter "$tree"
	MOUNTER=yes refused "MOUNTER=yes means nothing" "$tree" swap "$tree"
	tree=$(tree_with_kubelet "$newest")
	sed -i 's/mounter := mount.New(s.ExperimentalMounterPath)/mounter := mount.NewWithoutSystemd("")/' "$tree/$server_go"
	refused "does not make the kubelet's mounter by the line" "$tree" with_mounter "$tree"
	swap "$tree"
	unswap "$tree"
	tree=$(tree_with_kubelet "$newest")
	with_mounter "$tree"
	sed -i 's/newNodeMounter(mount.New, /newNodeMounter(mount.NewWithoutSystemd, /' "$tree/$server_go"
	refused "was edited where it calls newNodeMounter" "$tree" unswap "$tree"
}
