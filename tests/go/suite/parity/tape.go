// The tape of a step: every log line and every call on the mounter, in the order they happen.

package parity

import (
	"flag"
	"regexp"
	"strings"
	"sync"

	"k8s.io/klog/v2"
)

// tape records events as side A would write them, with process and descriptor numbers made equal.
type tape struct {
	mu       sync.Mutex
	events   []string
	injected []error // the faults' errors, in order
	given    []error // every error that a mounter gave back, in order
	onLog    func(line string)
}

var procFD = regexp.MustCompile(`/proc/(self|[0-9]+)/fd/[0-9]+`)

// level writes a text as side A's.
func level(s string) string {
	return procFD.ReplaceAllString(onA(s), "/proc/PID/fd/N")
}

func (t *tape) add(event string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, level(event))
}

// current is the tape that klog's lines go to; nil drops them.
var current struct {
	sync.Mutex
	tape *tape
}

func setTape(t *tape) {
	current.Lock()
	defer current.Unlock()
	current.tape = t
}

// severityWriter receives klog's lines of one severity.
type severityWriter string

func (w severityWriter) Write(line []byte) (int, error) {
	current.Lock()
	t := current.tape
	current.Unlock()
	if t != nil {
		severity, text := splitHeader(string(line))
		t.add("log " + string(w) + "/" + severity + " " + text)
		if t.onLog != nil {
			t.onLog(text)
		}
	}
	return len(line), nil
}

// splitHeader takes "I0102 15:04:05.000000 123 file.go:45] text" apart. Time and place belong to
// the writer, not to what is compared.
func splitHeader(line string) (severity, text string) {
	head, text, found := strings.Cut(line, "] ")
	if !found || head == "" {
		return "?", line
	}
	return head[:1], text
}

// captureLogs sends klog's lines to the tape, each by its own severity's writer.
func captureLogs() {
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{
		"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL", "one_output": "true",
	} {
		if err := flags.Set(name, value); err != nil {
			panic(err)
		}
	}
	for _, severity := range []string{"INFO", "WARNING", "ERROR"} {
		klog.SetOutputBySeverity(severity, severityWriter(severity))
	}
}

func setVerbosity(v int) {
	var level klog.Level
	if err := level.Set(string(rune('0' + v))); err != nil {
		panic(err)
	}
}
