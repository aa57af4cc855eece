// Measures a row: its contestants take turns, and the median of their turns counts, so that what
// else the machine does meets all of them alike.

package main

import (
	"encoding/json"
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
	ID      string             `json:"id"`
	Name    string             `json:"name"`
	Mounts  int                `json:"mounts,omitempty"`
	Goal    string             `json:"goal,omitempty"`
	Turns   int                `json:"turns"`
	Median  map[string]float64 `json:"median_us"`
	Low     map[string]float64 `json:"lowest_us"`
	Tallies map[string]tally   `json:"per_operation,omitempty"`
}

type results struct {
	Machine  string   `json:"machine"`
	Kernel   string   `json:"kernel"`
	Versions []string `json:"versions"`
	Seconds  float64  `json:"seconds"`
	// Load is the machine's load average over a minute, before and after.
	Load     []string `json:"load_average"`
	Failures []string `json:"failures,omitempty"`
	Rows     []result `json:"rows"`
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
	out := result{ID: r.id, Name: r.name, Mounts: r.mounts, Goal: r.goal, Turns: turns,
		Median: map[string]float64{}, Low: map[string]float64{}, Tallies: map[string]tally{}}
	for name, all := range took {
		slices.Sort(all)
		out.Median[name], out.Low[name] = all[len(all)/2], all[0]
	}
	return out, nil
}

// crowded says whether a row's number is of mounts in the namespace, not lines of a file.
func (r row) crowded() bool {
	return !strings.HasPrefix(r.id, "look-up") && !strings.HasPrefix(r.id, "parse")
}

func (r result) summary() string {
	text := fmt.Sprintf("%-50s %6d", r.Name, r.Mounts)
	for _, name := range columns {
		if median, ok := r.Median[name]; ok {
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
		Load:    []string{load()},
		Machine: fmt.Sprintf("%s, %d cores", model, runtime.NumCPU()),
		Kernel:  unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:]),
		Versions: []string{runtime.Version(), said("rustc", "--version"), said("mount", "--version"),
			"k8s.io/kubernetes v1.35.4", "k8s.io/mount-utils v0.35.4", "moby/sys/mountinfo v0.7.2", "procfs 0.18"},
	}
}

func load() string {
	averages, _ := os.ReadFile("/proc/loadavg")
	minute, _, _ := strings.Cut(string(averages), " ")
	return minute
}

func (r results) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
