// Processes of the suite. The test binary starts itself again, inside namespaces of its own: as a
// worker that runs seeds and tells its parent, or to run one test in the sandbox. A crash of the
// code under test then costs one seed and is reported like any other difference.

package parity

import (
	"bufio"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	roleVariable  = "PARITY_ROLE"
	seedsVariable = "PARITY_SEEDS" // "a:b", both included, or one seed
)

// exitSandboxLost is how a worker ends whose sandbox is of no use any more.
const exitSandboxLost = 5

// message is what a worker tells its parent, one a line.
type message struct {
	Start     *uint64 // a seed is begun
	Tally     *tally  // a seed is done
	Signature string  // a seed failed
	Report    string
	Trouble   string // the worker itself cannot go on
}

// Main is the TestMain of a module that binds an original.
func Main(m *testing.M, original, port Impl) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := enterSandbox(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	captureLogs()
	warmUp(original, port)
	switch role {
	case "worker":
		work(original, port)
	case "case":
		workCase(original, port)
	default:
		os.Exit(m.Run())
	}
}

// warmUp calls both once, so that nothing that happens once in a process falls into a step: the
// port says on its first use which features of the kernel it has.
func warmUp(impls ...Impl) {
	setVerbosity(5)
	for _, i := range impls {
		i.SafeMakeDir(&recorder{tape: &tape{}}, "", "/nonexistent", 0)
	}
	setVerbosity(0)
}

// work runs the seeds "first:last:stride" and tells the parent on descriptor 3.
func work(original, port Impl) {
	out := json.NewEncoder(os.NewFile(3, "parent"))
	var first, last, stride uint64
	fmt.Sscanf(os.Getenv(seedsVariable), "%d:%d:%d", &first, &last, &stride)
	known := map[string]bool{}
	for seed := first; seed <= last; seed += stride {
		out.Encode(message{Start: &seed})
		c, count := Generate(seed), newTally()
		f, err := runCase(c, original, port, count)
		if err != nil {
			// An earlier case has unmounted the sandbox itself: a link as target may lead there.
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitSandboxLost)
		}
		out.Encode(message{Tally: count})
		if f == nil {
			continue
		}
		if f.lost {
			fmt.Fprintf(os.Stderr, "step %d never came back\n", f.step)
			os.Exit(4)
		}
		sig := f.signature(c)
		text := ""
		if !known[sig] {
			known[sig] = true
			text = report(minimal(c, f, original, port))
		}
		out.Encode(message{Signature: sig, Report: text})
	}
	os.Exit(0)
}

// minimal shrinks a failing case in this process.
func minimal(c Case, f *failure, original, port Impl) (Case, *failure) {
	sig := f.signature(c)
	limit := hangLimit
	defer func() { hangLimit = limit }()
	if f.step >= 0 {
		c.Steps = c.Steps[:f.step+1]
		hangLimit = 5 * time.Second
	}
	again := func(c Case) *failure {
		f, err := runCase(c, original, port, newTally())
		if err != nil || f == nil || f.signature(c) != sig {
			return nil
		}
		return f
	}
	small := minimise(c, 1500, func(c Case) bool { return again(c) != nil })
	if g := again(small); g != nil {
		return small, g
	}
	return c, f
}

// workCase runs one case that comes on standard input; its parent looks only at how it ends: with
// an error when the process died of it or a call never came back.
func workCase(original, port Impl) {
	var c Case
	if err := gob.NewDecoder(os.Stdin).Decode(&c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	hangLimit = 3 * time.Second
	if f, _ := runCase(c, original, port, newTally()); f != nil && f.lost {
		os.Exit(4)
	}
	os.Exit(0)
}

// again is this test binary, to be started once more in a role.
func again(role string, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		exe = os.Args[0]
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	Namespaced(cmd)
	return cmd
}

// Sandboxed is the first line of a test that needs the sandbox: true when this process is in it;
// otherwise the test is run in a process that is, and false says that it is done.
func Sandboxed(t *testing.T) bool {
	t.Helper()
	if os.Getenv(roleVariable) != "" {
		return true
	}
	cmd := again("test", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.timeout=5m")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in the sandbox: %v\n%s", err, out)
	} else if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("the sandbox did not run the test:\n%s", out)
	} else if testing.Verbose() {
		t.Logf("in the sandbox:\n%s", out)
	}
	return false
}

// seedRange reads "a:b" or "a".
func seedRange(text string) (first, last uint64, err error) {
	a, b, isRange := strings.Cut(text, ":")
	if !isRange {
		b = a
	}
	if first, err = strconv.ParseUint(a, 10, 64); err == nil {
		last, err = strconv.ParseUint(b, 10, 64)
	}
	if err == nil && first > last {
		err = errors.New("the first seed lies behind the last")
	}
	if err != nil {
		err = fmt.Errorf("%s=%q: %w", seedsVariable, text, err)
	}
	return first, last, err
}

// startWorker runs seeds first, first+stride, … up to last in a process; each message of it goes
// to hear. It comes back when the process has ended, with the seed it died on, if it died, and how;
// without a how the seed is to be begun again in another process.
func startWorker(first, last, stride uint64, hear func(message)) (died *uint64, how string) {
	cmd := again("worker")
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d:%d:%d", seedsVariable, first, last, stride))
	read, write, err := os.Pipe()
	if err != nil {
		return &first, err.Error()
	}
	defer read.Close()
	cmd.ExtraFiles = []*os.File{write}
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Start()
	write.Close()
	if err != nil {
		hear(message{Trouble: fmt.Sprintf("cannot start a worker in its own namespaces: %v", err)})
		return nil, ""
	}
	at := first
	lines := bufio.NewReaderSize(read, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var m message
		if json.Unmarshal(line, &m) != nil {
			continue
		}
		if m.Start != nil {
			at = *m.Start
		}
		hear(m)
	}
	if err := cmd.Wait(); err != nil {
		if cmd.ProcessState.ExitCode() == exitSandboxLost && at != first {
			return &at, ""
		}
		return &at, fmt.Sprintf("%v\n%s", err, tail(output.String(), 4000))
	}
	return nil, ""
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// kills says whether a case ends its process, or never ends.
func kills(c Case) bool {
	cmd := again("case")
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return false
	}
	gob.NewEncoder(in).Encode(c)
	in.Close()
	return cmd.Wait() != nil
}
