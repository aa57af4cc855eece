// Command bench compares the port with kubernetes' own package and with bare system calls, in one
// run. Called by benches/run.sh, inside a mount namespace of its own.
//
//	bench run WORKER ROWS [TABLE CHART]
//
// It measures the rows whose id the regular expression ROWS matches, and prints a table in Markdown. TABLE
// and CHART are the files that get the table, and the chart as SVG.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// timeOfAll bounds a run; rows that are not reached by then are failures.
const timeOfAll = 4 * time.Minute

func main() {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case (len(arguments) == 3 || len(arguments) == 5) && arguments[0] == "run":
		return measureAll(arguments[1], arguments[2], arguments[3:])
	case len(arguments) == 6 && arguments[0] == "once":
		return once(arguments[1], arguments[2], arguments[3], arguments[4], arguments[5])
	}
	return errors.New("usage: bench run WORKER ROWS [TABLE CHART]")
}

func measureAll(workerProgram, wanted string, files []string) error {
	chosen, err := regexp.Compile(wanted)
	if err != nil {
		return err
	}
	root, err := os.MkdirTemp("", "b")
	if err != nil {
		return err
	}
	defer func() {
		// The mounts go with the namespace; the empty directory below them is all that is left.
		_ = unix.Unmount(root, unix.MNT_DETACH)
		_ = os.Remove(root)
	}()
	s, err := newSite(root)
	if err != nil {
		return err
	}
	ws := workers{}
	for _, f := range fallbacks {
		if ws[f.without], err = startWorker(workerProgram, f.without); err != nil {
			return err
		}
	}
	all, err := rows(s, ws)
	if err != nil {
		return err
	}
	out := describe()
	start := time.Now()
	for _, r := range all {
		if !chosen.MatchString(r.id) {
			continue
		}
		if time.Since(start) > timeOfAll {
			out.failures = append(out.failures, r.id+": no time was left")
			continue
		}
		measured, err := s.row(r, workerProgram)
		if err != nil {
			// The rest of the table is worth having all the same; the run fails at its end.
			out.failures = append(out.failures, fmt.Sprintf("%s: %v", r.id, err))
			fmt.Fprintln(os.Stderr, "failed:", r.id, err)
			continue
		}
		out.rows = append(out.rows, measured)
		fmt.Fprintf(os.Stderr, "%5.1f s  %s\n", time.Since(start).Seconds(), measured.summary())
	}
	out.seconds = time.Since(start).Seconds()
	out.load = append(out.load, load())
	for _, w := range ws {
		w.in.Close()
	}
	table, chart := out.table(), out.chart()
	os.Stdout.WriteString(table)
	if len(files) == 2 {
		err = errors.Join(os.WriteFile(files[0], []byte(table), 0o644), os.WriteFile(files[1], []byte(chart), 0o644))
	}
	if err != nil {
		return err
	}
	if out.failures != nil {
		return fmt.Errorf("%d rows failed: %q", len(out.failures), out.failures)
	}
	return nil
}

// row measures one row, and counts its calls where that is wanted.
func (s *site) row(r row, workerProgram string) (result, error) {
	if !r.isTable() {
		if err := s.fill(r.mounts); err != nil {
			return result{}, err
		}
	}
	measured, err := measure(r)
	if err != nil || !r.counted {
		return measured, err
	}
	for _, c := range r.contestants {
		if measured.tallies[c.name], err = s.count(c, r.id, workerProgram); err != nil {
			return result{}, err
		}
	}
	return measured, nil
}

// once does a batch of one row by one contestant after a first one that warms up, and prints the
// cgo calls and Go allocations of an operation.
func once(root, workerProgram, id, name, times string) error {
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	s := siteAt(root)
	all, err := rows(s, workers{})
	if err != nil {
		return err
	}
	for _, r := range all {
		for _, c := range r.contestants {
			if r.id == id && c.name == name {
				if err := c.run(&watch{}, 1); err != nil {
					return err
				}
				counts = true
				var w watch
				if err := c.run(&w, n); err != nil {
					return err
				}
				fmt.Println(float64(w.cgo)/float64(n), float64(w.mallocs)/float64(n))
				return nil
			}
		}
	}
	return fmt.Errorf("no row %s with %s", id, name)
}
