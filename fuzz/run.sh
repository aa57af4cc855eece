#!/usr/bin/env bash
# Runs fuzz targets one after the other, each from its corpus and from the mount tables of testdata.
# usage: run.sh SECONDS-EACH TARGET...
# Run by `make fuzz`. A finding is a file below fuzz/artifacts; cargo +nightly fuzz run TARGET FILE shows it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=$1
shift

for target; do
	corpus=fuzz/corpus/$target
	mkdir -p "$corpus"
	seeds=()
	namespace=()
	case $target in
	mount_table) seeds=(testdata/mountinfo) ;;
	lookups)
		for table in testdata/mountinfo/*; do
			[ "$(stat --format %s "$table")" -gt 20000 ] ||
				printf '/\n1\n' | cat - "$table" >"$corpus/${table##*/}"
		done
		;;
	boundary)
		# It mounts.
		[ "$(id -u)" = 0 ] || namespace=(unshare --user --map-root-user --mount)
		;;
	esac
	"${namespace[@]}" cargo +nightly fuzz run "$target" "$corpus" "${seeds[@]}" -- -max_total_time="$seconds" -print_final_stats=1
done
