#!/usr/bin/env bash
# Prints the table of the guests' results, one row a kernel, in Markdown, and below it what failed and
# what was not run. Fails when a suite failed, or when nothing ran at all.
#
#   table.sh OUT-DIR...     as boot.sh left them
set -euo pipefail
export LC_ALL=C
suites=(rust user boundary go upstream parity attack demo fixture)
notes=() bad=0 ran=0

cell() { # OUT-DIR SUITE
	local passed=0 failed=0 status=0 rows=0 suite _ code ok wrong
	while IFS=$'\t' read -r suite _ code ok wrong _; do
		[ "$suite" = "$2" ] || continue
		rows=$((rows + 1)) passed=$((passed + ok)) failed=$((failed + wrong))
		[ "$code" = 0 ] || status=1
	done < <(cat "$1/table" 2>/dev/null)
	if [ "$rows" = 0 ]; then
		echo '–'
	elif [ "$status" = 0 ]; then
		[ "$passed" = 0 ] && echo passed || echo "$passed passed"
	else
		[ "$failed" = 0 ] && echo failed || echo "$failed of $((passed + failed)) failed"
	fi
}

note() { # OUT-DIR KERNEL
	local suite name code line file
	while IFS=$'\t' read -r suite name code _; do
		[ "$code" != 0 ] || continue
		notes+=("- $2, $suite $name: status $code, see $1/$suite.$name.log: $(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p; s/^ *--- FAIL: \([^ ]*\).*/\1/p' "$1/$suite.$name.log" | paste -sd' ')")
		bad=1
	done < <(cat "$1/table" 2>/dev/null)
	for file in "$1"/*.log; do
		while read -r line; do notes+=("- $2, $(basename "$file" .log): $line"); done < <(grep -hoE '(not run|NOT RUN)[, ].*' "$file" 2>/dev/null | sort -u)
	done
}

printf '| kernel | processor, pages | %s |\n' "$(printf '%s | ' "${suites[@]}" | sed 's/ | $//')"
printf '|---|---|%s\n' "$(printf -- '--:|%.0s' "${suites[@]}")"
for out; do
	name=$(basename "$out")
	if [ -e "$out/release" ]; then
		kernel=$(cat "$out/release") ran=1
		row="| Linux $kernel ($(sed -n 's/.*Debian \([^ ]*\).*/\1/p' "$out/version")) | ${name%%-*}, $(($(cat "$out/page") / 1024)) KiB |"
	else
		kernel=$name
		row="| ${name#*-} | ${name%%-*} |"
		notes+=("- $name: not run: $(cat "$out/not-run" "$out/lost" 2>/dev/null | tail -n 1)")
		[ ! -e "$out/lost" ] || bad=1
	fi
	for suite in "${suites[@]}"; do row+=" $(cell "$out" "$suite") |"; done
	printf '%s\n' "$row"
	note "$out" "$kernel"
	if [ -e "$out/lost" ] && [ -e "$out/release" ]; then notes+=("- $kernel: $(cat "$out/lost")") bad=1; fi
	features=$(sed -n 's/^ *Library *//p' "$out/demo.demo.log" 2>/dev/null) || true
	[ -z "$features" ] || notes+=("- $kernel: $features")
done
printf '\n'
[ ${#notes[@]} = 0 ] || printf '%s\n' "${notes[@]}"
[ "$ran" = 1 ] && [ "$bad" = 0 ]
