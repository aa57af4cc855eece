#!/usr/bin/env bash
# Races the port, and for comparison the original, against the owner of a volume; see suite/attack.
# usage: attack.sh SECONDS-PER-ATTACK [with-original]
set -euo pipefail
cd "$(dirname "$0")"
seconds=$1 players='^the port'
[ -z "${2-}" ] || players=
out=${CARGO_TARGET_DIR:-../../target}/attack
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out/results.json"
for module in v129 v137; do
  (cd $module && go build -o "$out/$module" ./attack)
  "$out/$module" -seconds "$seconds" -players "$players" -attacks "${ATTACKS-}" -out "$out/results.json"
done
"$out/v129" table "$out/results.json"
