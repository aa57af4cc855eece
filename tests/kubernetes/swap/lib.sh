# What the tests of the swap tool share: synthetic kubernetes trees, a stand-in for the
# Go package and its library, snapshots, and commands that die half way.
# run.sh assigns the variables used here and sets -e.
# shellcheck shell=bash disable=SC2154,SC2164

# Prints the module cache's directory of a released kubernetes.
module() {
	(cd / && go mod download -json "k8s.io/kubernetes@$1") | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p'
}

# Makes a git checkout at DIR with what the swap looks at, as VERSION has it.
make_tree() { # DIR VERSION
	local source path
	source=$(module "$2")
	[ -n "$source" ] || { echo "k8s.io/kubernetes@$2 cannot be fetched"; return 1; }
	mkdir -p "$1/pkg/volume/util" "$1/third_party" "$1/hack/boilerplate" "$1/LICENSES"
	cp -R "$source/pkg/volume/util/subpath" "$1/pkg/volume/util/"
	for path in go.mod go.sum .gitignore .gitattributes third_party/OWNERS hack/boilerplate/boilerplate.go.txt LICENSES/LICENSE; do
		cp "$source/$path" "$1/$path"
	done
	chmod -R u+w "$1"
	find "$1" -type f -exec chmod 644 {} +
	git_here "$1" init -q
	git_here "$1" add -A
	git_here "$1" commit -q -m "kubernetes $2"
}

# git without the settings of whoever runs the tests.
git_here() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null \
		git -C "$1" -c user.name=test -c user.email=test@example.org -c safe.directory='*' "${@:2}"
}

# Makes a stand-in for go-shim at DIR: the real swap tool, packages with the port's API
# whose functions panic, and a file in the place of the library.
make_shim() { # DIR
	mkdir -p "$1/internal/boundary" "$1/internal/testutil" "$1/upstreamtest"
	cp -R "$repository/go-shim/swap" "$1/swap"
	printf '[workspace.package]\nversion = "0.0.1"\n\n' >"$1/../Cargo.toml"
	printf 'The notices of the port.\n' >"$1/../NOTICE"
	cp "$repository/tests/kubernetes/swap/port.go.in" "$1/port.go"
	cp "$repository/tests/kubernetes/swap/upstreamtest.go.in" "$1/upstreamtest/port.go"
	# As in the port, the package needs a name that comes with the library.
	printf '//go:build cgo\n\npackage boundary\n\nconst Linked = runMakeBuild\n' >"$1/internal/boundary/port.go"
	for package in . internal/boundary upstreamtest internal/testutil; do
		printf '// Package %s stands in for the port.\npackage %s\n' "$(name_of $package)" "$(name_of $package)" >"$1/$package/doc.go"
		printf 'package %s\n' "$(name_of $package)" >"$1/$package/port_test.go"
	done
	printf 'module rustsubpath\n' >"$1/go.mod"
	printf '// the header\n' >"$1/internal/boundary/rustsubpath.h"
	make_library "$1" amd64 'a library'
	: >"$1/../Makefile"
}

name_of() { # PACKAGE-FOLDER
	case $1 in .) echo rustsubpath ;; *) basename "$1" ;; esac
}

make_library() { # SHIM GOARCH CONTENT
	local library=$1/internal/boundary/librustsubpath_linux_$2.a
	printf '%s\n' "$3" >"$library"
	printf '//go:build cgo\n\npackage boundary\n\nconst runMakeBuild = "%s"\n' "$(sha256sum "$library" | cut -d' ' -f1)" >"${library%/*}/library_linux_$2.go"
}

# Prints every entry below DIR: kind, mode, owner, path and content.
snapshot() {
	(
		cd "$1"
		find . -path ./.git -prune -o -printf '%y %m %U:%G %p %l\n' | sort
		find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
	)
}

same() { # WHAT EXPECTED ACTUAL
	[ "$2" = "$3" ] || {
		echo "$1:"
		diff <(printf '%s\n' "$2") <(printf '%s\n' "$3")
		return 1
	}
}

# Runs a command that has to fail, and to say WORDS in one line without touching the tree.
refused() { # WORDS TREE COMMAND...
	local words=$1 tree=$2 before output
	shift 2
	before=$(snapshot "$tree")
	if output=$("$@" 2>&1); then
		echo "not refused: $*"
		return 1
	fi
	same "the tree was touched by the refused command" "$before" "$(snapshot "$tree")"
	[[ $output == *"$words"* ]] || { echo "expected '$words' in: $output"; return 1; }
	same "lines of the refusal" 1 "$(wc -l <<<"$output")"
}

# Runs a command and kills it, with all its children, in the place of the Nth change that
# it would make to the tree; a copy under way leaves half a file. Succeeds when it was
# killed, fails when it needed fewer than N changes.
killed_at() { # N TREE COMMAND...
	local number=$1 tree=$2 tool
	shift 2
	mkdir -p "$scratch/killers"
	for tool in cp mv rm mkdir rmdir; do
		cat >"$scratch/killers/$tool" <<-END
			#!/bin/bash
			case "\$*" in
			*"\$KILL_TREE"*)
			    number=\$((\$(<"\$KILL_COUNTER") + 1))
			    echo "\$number" >"\$KILL_COUNTER"
			    if [ "\$number" = "\$KILL_AT" ]; then
			        [ $tool != cp ] || head -c 7 "\$1" >"\$2"
			        kill -KILL 0
			    fi
			    ;;
			esac
			exec $(command -v $tool) "\$@"
		END
		chmod +x "$scratch/killers/$tool"
	done
	echo 0 >"$scratch/counter"
	# A session of its own, so that the signal reaches the command and nothing else.
	setsid --wait env PATH="$scratch/killers:$PATH" KILL_TREE="$tree" KILL_AT="$number" \
		KILL_COUNTER="$scratch/counter" "$@" >"$scratch/killed.log" 2>&1 || [ $? = 137 ] || {
		echo "neither killed nor finished:"
		cat "$scratch/killed.log"
		exit 1
	} 2>/dev/null
	[ "$(cat "$scratch/counter")" = "$number" ]
}
