// The table, as Markdown.

package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

var (
	columns = []string{"original", "port", "no openat2", "no mount root", "no open_tree", "none", "bare", "moby", "procfs"}
	// rustColumns are the contestants of the rows that are called from Rust.
	rustColumns = []string{"port", "no openat2", "no mount root", "no open_tree", "none", "bare"}
)

// markdown collects the text.
type markdown struct{ strings.Builder }

// line writes a table's line.
func (m *markdown) line(cells ...string) { m.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

// head writes the names of columns and how they are aligned: l or r for each.
func (m *markdown) head(align string, names ...string) {
	m.line(names...)
	m.WriteString("|" + strings.NewReplacer("l", "---|", "r", "--:|").Replace(align) + "\n")
}

func (r results) table() string {
	m := &markdown{}
	fmt.Fprintf(m, "# What the operations cost\n\nMade by `make bench` on %s, %s; %s. The run took %.0f s; "+
		"load average before and after %s.\n\n", r.machine, r.kernel, strings.Join(r.versions, ", "), r.seconds, strings.Join(r.load, ", "))
	m.WriteString("Microseconds an operation, medians of turns that the contestants take one after the other. Other work runs on the machine, so the ratios count, " +
		"and beside them those of each contestant's best turn, which other work disturbed least. " +
		"*Bare* is the least system calls that have the same effect, made by a Rust program that trusts every path and knows beforehand what is mounted. " +
		"[README.md](README.md) says what limits each row, and which targets are met.\n\n")
	m.head("lrrrrrrrrl", "work", "mounts", "original", "port", "bare", "times faster", "× bare", "best turns: times faster", "× bare", "target")
	for _, row := range r.rows {
		if !row.isTable() && !row.isRust() {
			m.line(row.name, mounts(row.mounts), row.us("original"), row.us("port"), row.us("bare"), ratio(row.median, "original", "port"),
				ratio(row.median, "port", "bare"), ratio(row.low, "original", "port"), ratio(row.low, "port", "bare"), row.target)
		}
	}
	for _, failure := range r.failures {
		fmt.Fprintf(m, "\nFailed: %s\n", failure)
	}
	m.WriteString("\n## From Rust, and on older kernels\n\nThe same without Go around it, and with system calls forced away (`SUBPATH_WITHOUT`) that an old kernel or a sandbox does not have: " +
		"openat2(2); the mount root that statx(2) tells; open_tree(2) and move_mount(2); all of these and statx(2).\n\n")
	m.head("lrrrrrrrrrl", "work", "mounts", "port", "without openat2", "without mount root", "without open_tree", "with none", "bare", "× bare", "best turns: × bare", "target")
	for _, row := range r.rows {
		if row.isRust() {
			cells := []string{row.name, mounts(row.mounts)}
			for _, name := range rustColumns {
				cells = append(cells, row.us(name))
			}
			m.line(append(cells, ratio(row.median, "port", "bare"), ratio(row.low, "port", "bare"), row.target)...)
		}
	}
	m.WriteString("\n## Mount tables in a file\n\n*Original* is k8s.io/mount-utils' ParseMountInfo, *moby* is moby/sys/mountinfo's GetMounts (with a filter for one mount point); " +
		"*bare* reads the file and does nothing with it.\n\n")
	m.head("lrrrrrrrrl", "work", "lines", "original", "moby", "procfs", "port", "bare", "times faster than original", "than moby", "target")
	for _, row := range r.rows {
		if row.isTable() {
			m.line(row.name, mounts(row.mounts), row.us("original"), row.us("moby"), row.us("procfs"), row.us("port"), row.us("bare"),
				ratio(row.median, "original", "port"), ratio(row.median, "moby", "port"), row.target)
		}
	}
	r.writeCalls(m)
	return m.String()
}

// writeCalls tells what an operation does beside taking time.
func (r results) writeCalls(m *markdown) {
	m.WriteString("\n## What an operation does\n\nSystem calls are counted by strace(1), without those of Go's scheduler and memory; " +
		"those of programs that are run (mount(8), umount(8)) stand behind the plus sign. Each change of the mount table wakes everyone who watches it.\n\n")
	m.head("llrrrrr", "work", "by", "system calls", "execs", "mount table changes", "cgo calls", "Go allocations")
	for _, row := range r.rows {
		if row.isRust() {
			continue
		}
		for _, name := range columns {
			t, ok := row.tallies[name]
			if !ok {
				continue
			}
			calls, cgo, allocations := number(t.calls), "–", "–"
			if t.children > 0 {
				calls += " + " + number(t.children)
			}
			if t.allocs > 0 || t.cgo > 0 {
				cgo, allocations = number(t.cgo), number(t.allocs)
			}
			m.line(row.name, name, calls, number(t.execs), number(t.changes), cgo, allocations)
		}
	}
	m.WriteString("\nThe system calls of the port called from Rust, and with system calls forced away:\n\n")
	m.head("lrrrrrr", "work", "port", "without openat2", "without mount root", "without open_tree", "with none", "bare")
	for _, row := range r.rows {
		if row.isRust() && len(row.tallies) > 0 {
			cells := []string{row.name}
			for _, name := range rustColumns {
				cells = append(cells, number(row.tallies[name].calls))
			}
			m.line(cells...)
		}
	}
}

func (r result) us(name string) string {
	if median, ok := r.median[name]; ok {
		return number(median)
	}
	return "–"
}

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
