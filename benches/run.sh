#!/bin/sh
# Builds and runs the benchmarks in a mount namespace of their own; called by `make bench`.
# Writes benches/results.md and docs/bench.svg, and prints the table. With ROWS, a regular expression, it
# measures only the rows whose id matches, and writes nothing.
set -eu
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
for tool in strace unshare mount; do
	command -v "$tool" >/dev/null || {
		echo "$tool is missing: the benchmarks need it (packages strace, util-linux, mount)" >&2
		exit 1
	}
done
cargo build --quiet --locked --release -p bench-worker
(cd benches/golang && go build -o "$target/bench" .)

# An ordinary user gets a user namespace, in which mounting is allowed; root goes before the other
# work of the machine.
user='' first='' files='benches/results.md docs/bench.svg'
if [ "$(id -u)" = 0 ]; then first="nice -n -20"; else user="--user --map-root-user"; fi
[ -z "${ROWS-}" ] || files=''
# shellcheck disable=SC2086
exec $first unshare $user --mount --propagation private -- \
	"$target/bench" run "$target/release/bench-worker" "${ROWS-}" $files
