// Counts system calls by strace(1): the program runs one row again under it, with the timed part
// between two access(2) calls that show in the trace.

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// tally is what one operation costs beside time.
type tally struct {
	calls    float64 // system calls
	children float64 // system calls of programs that are run
	execs    float64
	changes  float64 // of the mount table
	cgo      float64
	allocs   float64 // Go allocations
}

var (
	line = regexp.MustCompile(`^(\d+) +(?:<\.\.\. )?([a-z_0-9]+)( resumed>|\()`)
	// What Go's scheduler, collector and timers do on their own account.
	ofRuntime = map[string]bool{"futex": true, "nanosleep": true, "epoll_pwait": true, "sched_yield": true,
		"tgkill": true, "getpid": true, "rt_sigreturn": true, "madvise": true, "mmap": true, "munmap": true, "timer_settime": true}
	changes = map[string]bool{"mount": true, "umount2": true, "move_mount": true, "mount_setattr": true}
)

// times is how many operations are traced: tracing slows each program that is run.
func times(c contestant) int {
	if strings.Contains(c.ask, "pod ") || c.count == 1 {
		return 1
	}
	return 10
}

// count tallies a contestant of a row, which the worker's program or this one does again.
func (s *site) count(c contestant, id, worker string) (tally, error) {
	tallied := times(c)
	trace := filepath.Join(s.root, "trace")
	defer os.Remove(trace)
	arguments := []string{"-f", "-qq", "-s", "32", "-o", trace}
	var command *exec.Cmd
	if c.ask != "" {
		name, rest, _ := strings.Cut(c.ask, " ")
		command = exec.Command("strace", append(arguments, worker)...)
		command.Stdin = strings.NewReader(fmt.Sprintf("%s 1 %s\n%s %d %s\n", name, rest, name, tallied, rest))
	} else {
		command = exec.Command("strace", append(arguments, os.Args[0], "once", s.root, worker, id, c.name, fmt.Sprint(tallied))...)
	}
	command.Env = append(os.Environ(), "BENCH_MARK=1", "GOGC=off", "SUBPATH_WITHOUT="+c.without)
	output, err := command.CombinedOutput()
	if err != nil || strings.Contains(string(output), "error") {
		return tally{}, fmt.Errorf("strace of %s by %s: %v: %s", id, c.name, err, output)
	}
	result, err := readTrace(trace, float64(tallied))
	if err != nil {
		return tally{}, err
	}
	if c.ask == "" {
		fields := strings.Fields(string(output))
		if len(fields) < 2 {
			return tally{}, fmt.Errorf("%s by %s printed %q", id, c.name, output)
		}
		result.cgo, _ = strconv.ParseFloat(fields[0], 64)
		result.allocs, _ = strconv.ParseFloat(fields[1], 64)
	}
	return result, nil
}

// readTrace counts what lies between marks, but for the first batch, which warms up.
func readTrace(file string, tallied float64) (tally, error) {
	f, err := os.Open(file)
	if err != nil {
		return tally{}, err
	}
	defer f.Close()
	var t tally
	began, inside := 0, false
	programs := map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text := lines.Text()
		switch {
		case strings.Contains(text, `"/bench-mark-begin"`):
			began, inside = began+1, true
			continue
		case strings.Contains(text, `"/bench-mark-end"`):
			inside = false
			continue
		}
		m := line.FindStringSubmatch(text)
		if m == nil || !inside || began == 1 {
			continue
		}
		process, call, starts := m[1], m[2], m[3] == "("
		if changes[call] && strings.HasSuffix(strings.TrimSpace(text), "= 0") {
			t.changes++
		}
		if !starts || ofRuntime[call] {
			continue
		}
		if call == "execve" && !programs[process] {
			programs[process] = true
			t.execs++
		}
		if programs[process] {
			t.children++
		} else {
			t.calls++
		}
	}
	for _, field := range []*float64{&t.calls, &t.children, &t.execs, &t.changes} {
		*field /= tallied
	}
	return t, lines.Err()
}
