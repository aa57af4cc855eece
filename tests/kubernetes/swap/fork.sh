#!/usr/bin/env bash
# What a fork's CI says about a swapped tree, what its reviewers read, and what its nodes pay.
#
#   fork.sh VERSION      RUNS=N timed starts of each kubelet
#
# Below target/fork it makes a git checkout of the release with vendor/ in workspace mode, runs
# kubernetes' own checks before and after a swap that is committed there, and builds the kubelet
# with the tag and without. It sets no variable that a fork would not set.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
version=${1:?usage: fork.sh VERSION}
work=$root/target/fork
tree=$work/$version
library=third_party/rustsubpath/internal/boundary/librustsubpath_$(go env GOHOSTOS)_$(go env GOHOSTARCH).a

fail() {
	printf 'fork: %s\n' "$*" >&2
	exit 1
}

git_here() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null \
		git -C "$tree" -c user.name=fork -c user.email=fork@example.org -c gc.auto=0 -c core.safecrlf=false -c safe.directory='*' "$@"
}

# A released module lacks what lies in staging/ and vendor/: upstream.sh takes the former from the
# published modules, and `go work vendor` makes the latter.
make_tree() {
	[ ! -d "$tree/.git" ] || { git_here reset -q --hard base && git_here clean -qfd; return; }
	rm -rf "$tree"
	mkdir -p "$work"
	cp -R "$("$root/go-shim/swap/upstream.sh" tree "$version")" "$tree"
	(
		cd "$tree"
		# A module has no modes.
		find hack build cluster \( -name '*.sh' -o -name '*.py' \) -exec chmod +x {} +
		GOWORK=off go mod tidy
		printf 'go %s\n\nuse .\n' "$(sed -n 's/^go //p' go.mod)" >go.work
		go work vendor
	) >"$work/tree.log" 2>&1 || { tail -n 20 "$work/tree.log" >&2; fail "$tree was not made"; }
	git_here init -q
	git_here add -A
	git_here commit -q -m "kubernetes $version"
	git_here tag base
	# No other package can notice the swap: with the tag and without, this one exports the same.
	# shellcheck disable=SC2016 # a template of go list
	(cd "$tree" && go list -f '{{$at := .ImportPath}}{{range .Imports}}{{if eq . "k8s.io/kubernetes/pkg/volume/util/subpath"}}{{$at}}{{"\n"}}{{end}}{{end}}' ./...) |
		sed '/^$/d' >"$work/importers"
	cat >>"$work/importers" <<<k8s.io/kubernetes/pkg/volume/util/subpath
}

# --- checks: each is quiet, or says what is wrong -----------------------------------

checks=(boilerplate gofmt file_sizes package_names flags testing_import import_boss vendor modules
	whole_tree vet vet_tag vet_without_cgo build build_tag)

boilerplate() { hack/verify-boilerplate.sh; }
gofmt() { FORCE_HOST_GO=1 hack/verify-gofmt.sh && unformatted third_party; }
file_sizes() { hack/verify-file-sizes.sh; }
package_names() { hack/verify-pkg-names.sh; }
flags() { hack/verify-flags-underscore.py; }
testing_import() { FORCE_HOST_GO=1 hack/verify-testing-import.sh; }
import_boss() { go build -o "$work/import-boss" ./cmd/import-boss && GOFLAGS=-tags=rustsubpath "$work/import-boss" ./pkg/volume/... ./third_party/...; }
vendor() { go work vendor && git_here status --porcelain; }
modules() { go mod verify >/dev/null; }
whole_tree() { go list ./... >/dev/null && go list -tags rustsubpath ./... >/dev/null; }
vet() { xargs go vet ./third_party/... <"$work/importers"; }
vet_tag() { xargs go vet -tags rustsubpath ./third_party/... <"$work/importers"; }
vet_without_cgo() { CGO_ENABLED=0 go vet -tags rustsubpath ./pkg/volume/util/subpath ./third_party/...; }
build() { xargs go build ./third_party/... <"$work/importers" && go build -o "$work/kubelet" ./cmd/kubelet; }
build_tag() { xargs go build -tags rustsubpath ./third_party/... <"$work/importers" && go build -tags rustsubpath -o "$work/kubelet-tag" ./cmd/kubelet; }

unformatted() { [ -z "$(command gofmt -l "$@")" ]; }

run_checks() { # before|after
	local check status
	mkdir -p "$work/$1"
	for check in "${checks[@]}"; do
		# Not as a condition: bash would switch off set -e inside.
		set +e
		(set -e; cd "$tree"; "$check") >"$work/$1/$check.log" 2>&1
		status=$?
		set -e
		[ $status = 0 ] && [ ! -s "$work/$1/$check.log" ] || echo FAILED >"$work/$1/$check"
		[ -e "$work/$1/$check" ] || echo quiet >"$work/$1/$check"
	done
}

# --- the swap, committed as a fork would ---------------------------------------------

commit_swap() {
	"$root/go-shim/swap/swap.sh" swap "$tree" >"$work/swap.log" || fail "$tree could not be swapped, see $work/swap.log"
	# kubernetes lists the binary files that it allows to be larger than 1 MiB.
	sed -i "s|^allowlist=(|&\n    $library|" "$tree/hack/verify-file-sizes.sh"
	git_here add -A
	git_here commit -q -m "Put the port of subPath mounting in place"
}

show_diff() {
	echo
	echo "git diff --stat, and the size of the patch:"
	echo
	git_here diff --stat=100 base HEAD | sed 's/^/    /'
	echo
	echo "text $(git_here diff base HEAD -- ":!$library" | wc -c) bytes; library $(wc -c <"$tree/$library") bytes," \
		"$(gzip -9 <"$tree/$library" | wc -c) compressed; lines changed in files of kubernetes:" \
		"$(git_here diff --diff-filter=M --numstat base HEAD | awk '{ added += $1; removed += $2 } END { print "+" added " -" removed }')"
}

# --- what the nodes pay ----------------------------------------------------------------

# Of processor time: it hardly changes with what else the machine does.
start() { # KUBELET TIMES-FILE
	local TIMEFORMAT='%3U %3S'
	{ time "$1" --version >/dev/null; } 2>&1 | awk '{ print ($1 + $2) * 1000 }' >>"$2"
}
median() { sort -n "$1" | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }
libraries() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v "^ld-" | sort | paste -sd' '; }

# As kubernetes' own build links a release.
build_stripped() {
	local tag
	for tag in '' rustsubpath; do
		(cd "$tree" && go build -ldflags '-s -w' ${tag:+-tags $tag} -o "$work/stripped${tag:+-tag}" ./cmd/kubelet)
	done
}

show_cost() {
	local tag run
	rm -f "$work"/starts*
	for ((run = 0; run < ${RUNS:-100}; run++)); do
		for tag in '' -tag; do start "$work/stripped$tag" "$work/starts$tag"; done
	done
	echo
	echo "| cmd/kubelet | without the tag | with it |"
	echo "|---|--:|--:|"
	echo "| bytes | $(wc -c <"$work/kubelet") | $(wc -c <"$work/kubelet-tag") |"
	echo "| bytes, -ldflags '-s -w' | $(wc -c <"$work/stripped") | $(wc -c <"$work/stripped-tag") |"
	echo "| shared libraries it needs | $(libraries "$work/stripped") | $(libraries "$work/stripped-tag") |"
	echo "| kubelet --version, ms of processor time, median of ${RUNS:-100} in turns | $(median "$work/starts") | $(median "$work/starts-tag") |"
}

make_tree
rm -rf "$work/before" "$work/after"
run_checks before
commit_swap
run_checks after
build_stripped
{
	echo "| check of kubernetes $version | before the swap | after it |"
	echo "|---|---|---|"
	for check in "${checks[@]}"; do
		echo "| ${check//_/ } | $(cat "$work/before/$check") | $(cat "$work/after/$check") |"
	done
	show_diff
	show_cost
} | tee "$work/report.md"
! grep -q FAILED "$work"/after/* || fail "a check is not quiet after the swap: its log is in $work/after"
