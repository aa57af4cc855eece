// The table, as markdown.

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

var columns = []string{"original", "port", "no openat2", "no mount root", "no open_tree", "none", "bare", "moby", "libmount", "procfs"}

func withResults(file string, write func(io.Writer, results)) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	write(os.Stdout, r)
	return nil
}

func writeTable(w io.Writer, r results) {
	fmt.Fprintf(w, "# What the operations cost\n\nMade by `make bench` on %s, %s; %s. The run took %.0f s; "+
		"load average before and after %s.\n\n", r.Machine, r.Kernel, strings.Join(r.Versions, ", "), r.Seconds, strings.Join(r.Load, ", "))
	fmt.Fprint(w, "Microseconds an operation, medians of turns that the contestants take one after the other. Other work runs on the machine, so the ratios count, "+
		"and beside them those of each contestant's best turn, which other work disturbed least. "+
		"*Bare* is the least system calls that have the same effect, made by a Rust program that trusts every path and knows beforehand what is mounted. "+
		"What bounds each row, and which goals are reached, is told in [README.md](README.md).\n\n")
	fmt.Fprint(w, "| work | mounts | original | port | bare | times faster | × bare | best turns: times faster | × bare | goal |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for _, row := range r.Rows {
		if row.isTable() || row.isRust() {
			continue
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", row.Name, mounts(row.Mounts), row.us("original"), row.us("port"),
			row.us("bare"), row.ratio("original", "port"), row.ratio("port", "bare"), row.best("original", "port"), row.best("port", "bare"), row.Goal)
	}
	for _, failure := range r.Failures {
		fmt.Fprintf(w, "\nFailed: %s\n", failure)
	}
	fmt.Fprint(w, "\n## From Rust, and on older kernels\n\nThe same without Go around it, and with system calls forced away (`SUBPATH_WITHOUT`) that an old kernel or a sandbox does not have: "+
		"openat2(2); the mount root that statx(2) tells; open_tree(2) and move_mount(2); all of these and statx(2).\n\n"+
		"| work | mounts | port | without openat2 | without mount root | without open_tree | with none | bare | × bare | best turns: × bare | goal |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for _, row := range r.Rows {
		if row.isRust() {
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", row.Name, mounts(row.Mounts), row.us("port"), row.us("no openat2"),
				row.us("no mount root"), row.us("no open_tree"), row.us("none"), row.us("bare"), row.ratio("port", "bare"), row.best("port", "bare"), row.Goal)
		}
	}
	fmt.Fprint(w, "\n## Mount tables in a file\n\n*Original* is k8s.io/mount-utils' ParseMountInfo, *moby* is moby/sys/mountinfo's GetMounts (with a filter for one mount point), "+
		"*libmount* is what mount(8) reads tables with; *bare* reads the file and does nothing with it.\n\n"+
		"| work | lines | original | moby | libmount | procfs | port | bare | times faster than original | than moby | goal |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for _, row := range r.Rows {
		if row.isTable() {
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", row.Name, mounts(row.Mounts), row.us("original"), row.us("moby"),
				row.us("libmount"), row.us("procfs"), row.us("port"), row.us("bare"), row.ratio("original", "port"), row.ratio("moby", "port"), row.Goal)
		}
	}
	fmt.Fprint(w, "\n## What an operation does\n\nSystem calls are counted by strace(1), without those of Go's scheduler and memory; "+
		"those of programs that are run (mount(8), umount(8)) stand behind the plus sign. Each change of the mount table wakes everyone who watches it.\n\n"+
		"| work | by | system calls | execs | mount table changes | cgo calls | Go allocations |\n|---|---|--:|--:|--:|--:|--:|\n")
	for _, row := range r.Rows {
		if row.isRust() {
			continue
		}
		for _, name := range columns {
			if t, ok := row.Tallies[name]; ok {
				children, cgo, allocations := "", "–", "–"
				if t.Children > 0 {
					children = " + " + number(t.Children)
				}
				if t.Allocs > 0 || t.Cgo > 0 {
					cgo, allocations = number(t.Cgo), number(t.Allocs)
				}
				fmt.Fprintf(w, "| %s | %s | %s%s | %s | %s | %s | %s |\n", row.Name, name, number(t.Calls), children,
					number(t.Execs), number(t.Changes), cgo, allocations)
			}
		}
	}
	writeRustCalls(w, r)
}

// writeRustCalls tells the system calls of the port called from Rust.
func writeRustCalls(w io.Writer, r results) {
	fmt.Fprint(w, "\nThe system calls of the port called from Rust, and with system calls forced away:\n\n"+
		"| work | port | without openat2 | without mount root | without open_tree | with none | bare |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, row := range r.Rows {
		if row.isRust() && len(row.Tallies) > 0 {
			fmt.Fprintf(w, "| %s |", row.Name)
			for _, name := range []string{"port", "no openat2", "no mount root", "no open_tree", "none", "bare"} {
				fmt.Fprintf(w, " %s |", number(row.Tallies[name].Calls))
			}
			fmt.Fprintln(w)
		}
	}
}

func (r result) isTable() bool {
	return strings.HasPrefix(r.ID, "look-up") || strings.HasPrefix(r.ID, "parse")
}

func (r result) isRust() bool { return strings.HasPrefix(r.ID, "rust-") }

func (r result) us(name string) string {
	if median, ok := r.Median[name]; ok {
		return number(median)
	}
	return "–"
}

func (r result) ratio(above, below string) string { return ratio(r.Median, above, below) }

// best is the ratio of the best turns.
func (r result) best(above, below string) string { return ratio(r.Low, above, below) }

func ratio(of map[string]float64, above, below string) string {
	a, ok := of[above]
	b, also := of[below]
	if !ok || !also || b == 0 {
		return "–"
	}
	return strconv.FormatFloat(a/b, 'f', 1, 64)
}

func mounts(n int) string {
	if n == 0 {
		return "–"
	}
	return number(float64(n))
}

// number is rounded to what was measured, with commas.
func number(x float64) string {
	if x < 100 {
		return strings.TrimSuffix(strconv.FormatFloat(x, 'f', map[bool]int{true: 2, false: 1}[x < 10 && x != math.Trunc(x)], 64), ".0")
	}
	digits := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
