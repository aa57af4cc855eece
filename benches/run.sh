#!/bin/sh
# Builds and runs the benchmarks in a mount namespace of their own; called by `make bench`.
# Writes benches/results.json, benches/results.md and docs/bench.svg, and prints the table.
set -eu
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
for tool in strace unshare mount; do
	command -v "$tool" >/dev/null || {
		echo "$tool is missing: the benchmarks need it (packages strace, util-linux, mount)" >&2
		exit 1
	}
done
cargo build --quiet --locked --release --example bench-worker
(cd benches/golang && go build -o "$target/bench" .)

# An ordinary user gets a user namespace, in which mounting is allowed.
user=
[ "$(id -u)" = 0 ] || user="--user --map-root-user"
status=0
# shellcheck disable=SC2086
unshare $user --mount --propagation private -- \
	"$target/bench" run "$target/release/examples/bench-worker" benches/results.json || status=$?
"$target/bench" table benches/results.json >benches/results.md
mkdir -p docs
"$target/bench" chart benches/results.json >docs/bench.svg
cat benches/results.md
exit $status
