// Timing of the parts that count, and of the other process that holds the bare system calls.

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// watch adds up the timed parts of one batch.
type watch struct {
	total   time.Duration
	mallocs uint64
	cgo     int64
}

// marks says that a tracer is to find each timed part between two access(2) calls.
var marks = os.Getenv("BENCH_MARK") != ""

// counts says that allocations and crossings are wanted; asking for them stops the world.
var counts bool

func (w *watch) time(part func() error) error {
	var before, after runtime.MemStats
	var crossings int64
	if counts {
		runtime.ReadMemStats(&before)
		crossings = runtime.NumCgoCall()
	}
	mark("/bench-mark-begin")
	start := time.Now()
	err := part()
	w.total += time.Since(start)
	mark("/bench-mark-end")
	if counts {
		w.cgo += runtime.NumCgoCall() - crossings
		runtime.ReadMemStats(&after)
		w.mallocs += after.Mallocs - before.Mallocs
	}
	return err
}

// times times an operation that is done so many times.
func (w *watch) times(count int, do func() error) error {
	return w.time(func() error {
		for n := 0; n < count; n++ {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	})
}

func mark(name string) {
	if marks {
		_ = unix.Access(name, unix.F_OK)
	}
}

// worker is the Rust half; see benches/worker.
type worker struct {
	in  *os.File
	out *bufio.Reader
}

func startWorker(program, without string) (*worker, error) {
	command := exec.Command(program)
	command.Env = append(os.Environ(), "SUBPATH_WITHOUT="+without)
	command.Stderr = os.Stderr
	in, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	command.Stdin = in
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	in.Close()
	return &worker{in: write, out: bufio.NewReader(out)}, nil
}

func (w *worker) ask(request string) (time.Duration, error) {
	if _, err := fmt.Fprintln(w.in, request); err != nil {
		return 0, fmt.Errorf("asking the worker: %w", err)
	}
	line, err := w.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the worker's answer to %q: %w", request, err)
	}
	nanoseconds, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the worker says: %s", line)
	}
	return time.Duration(nanoseconds), nil
}
