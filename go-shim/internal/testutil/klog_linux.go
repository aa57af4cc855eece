package testutil

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"sync"
	"testing"

	"k8s.io/klog/v2"
)

// KlogTo sends klog's lines to a writer for the length of a test.
func KlogTo(t testing.TB, verbosity int, vmodule string, w io.Writer) {
	t.Helper()
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	set := func(name, value string) { Must(t, flags.Set(name, value)) }
	set("logtostderr", "false")
	set("alsologtostderr", "false")
	set("stderrthreshold", "FATAL")
	set("one_output", "true")
	set("v", fmt.Sprint(verbosity))
	set("vmodule", vmodule)
	klog.SetOutput(w)
	t.Cleanup(func() {
		klog.SetOutput(os.Stderr)
		set("v", "0")
		set("vmodule", "")
		set("one_output", "false")
		set("logtostderr", "true")
	})
}

// Lines is a writer that keeps klog's lines without their time, thread and line number.
type Lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps a line.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

var header = regexp.MustCompile(`(?m)^([IWEF])\d{4} [\d:.]+ +\d+ ([a-z_]+\.go):\d+\] `)

// Take returns the lines since the last call.
func (l *Lines) Take() string {
	klog.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return header.ReplaceAllString(l.text.String(), "$1 $2: ")
}

// Leaver is a writer that calls Leave when a line contains On, and drops all others.
type Leaver struct {
	On    string
	Leave func()
}

// Write looks at a line.
func (l Leaver) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(l.On)) {
		l.Leave()
	}
	return len(p), nil
}
