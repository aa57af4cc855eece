// Measures a row: its contestants take turns, and the median of their turns counts, so that what
// else the machine does meets all of them alike.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

type result struct {
	row
	// Microseconds by contestant: the median of the turns, and the best turn.
	median, low map[string]float64
	tallies     map[string]tally
}

type results struct {
	machine, kernel string
	versions        []string
	seconds         float64
	// load is the machine's load average over a minute, before and after.
	load     []string
	failures []string
	rows     []result
}

const (
	// Enough turns for a median, no more than the time allows.
	mostTurns    = 25
	leastTurns   = 5
	timeOfOneRow = 1200 * time.Millisecond
)

func measure(r row) (result, error) {
	took := map[string][]float64{}
	start := time.Now()
	turns := 0
	for turns < mostTurns && (turns < leastTurns || time.Since(start) < timeOfOneRow) {
		for k := range r.contestants {
			// Who comes first changes from turn to turn.
			c := r.contestants[(k+turns)%len(r.contestants)]
			var w watch
			if err := c.run(&w, c.count); err != nil {
				return result{}, fmt.Errorf("%s: %w", c.name, err)
			}
			took[c.name] = append(took[c.name], float64(w.total.Nanoseconds())/1000/float64(c.count*r.per))
		}
		turns++
	}
	out := result{row: r, median: map[string]float64{}, low: map[string]float64{}, tallies: map[string]tally{}}
	for name, all := range took {
		slices.Sort(all)
		out.median[name], out.low[name] = all[len(all)/2], all[0]
	}
	return out, nil
}

// isTable says whether a row's number is of lines of a file, not of mounts in the namespace.
func (r row) isTable() bool {
	return strings.HasPrefix(r.id, "look-up") || strings.HasPrefix(r.id, "parse")
}

func (r row) isRust() bool { return strings.HasPrefix(r.id, "rust-") }

func (r result) summary() string {
	text := fmt.Sprintf("%-50s %6d", r.name, r.mounts)
	for _, name := range columns {
		if median, ok := r.median[name]; ok {
			text += fmt.Sprintf("  %s %.2f µs", name, median)
		}
	}
	return text
}

func describe() results {
	var name unix.Utsname
	_ = unix.Uname(&name)
	model := "unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(info), "\n") {
		if rest, ok := strings.CutPrefix(line, "model name"); ok {
			model = strings.TrimSpace(strings.TrimLeft(rest, "\t :"))
			break
		}
	}
	said := func(program string, arguments ...string) string {
		output, err := exec.Command(program, arguments...).Output()
		if err != nil {
			return program + ": " + err.Error()
		}
		return strings.TrimSpace(string(output))
	}
	return results{
		load:    []string{load()},
		machine: fmt.Sprintf("%s, %d cores", model, runtime.NumCPU()),
		kernel:  unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:]),
		versions: []string{runtime.Version(), said("rustc", "--version"), said("mount", "--version"),
			"k8s.io/kubernetes v1.35.4", "k8s.io/mount-utils v0.35.4", "moby/sys/mountinfo v0.7.2", "procfs 0.18"},
	}
}

func load() string {
	averages, _ := os.ReadFile("/proc/loadavg")
	minute, _, _ := strings.Cut(string(averages), " ")
	return minute
}
