// What a caller can see of one call, and how two of them are compared.

package parity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"

	mount "k8s.io/mount-utils"
)

// outcome holds the results of a step on one side.
type outcome struct {
	err    error
	facets []facet // compared one by one
	events []string
	tree   snapshot
	hung   bool // it did not come back until it was helped
	lost   bool // it never came back; this process is of no use any more
}

// facet is one thing that is compared, by name.
type facet struct{ name, value string }

func (o *outcome) put(name, format string, args ...any) {
	o.facets = append(o.facets, facet{name, fmt.Sprintf(format, args...)})
}

// difference is one facet in which the sides differ.
type difference struct{ facet, a, b string }

func (d difference) String() string {
	return fmt.Sprintf("%s:\n      %-9s %s\n      %-9s %s", d.facet, "original", d.a, "port", d.b)
}

// compare lists every facet that differs, then the events, then the trees.
func compare(a, b *outcome) []difference {
	var out []difference
	values := func(o *outcome) map[string]string {
		m := map[string]string{}
		for _, f := range o.facets {
			m[f.name] = f.value
		}
		return m
	}
	va, vb := values(a), values(b)
	seen := map[string]bool{}
	for _, f := range append(append([]facet{}, a.facets...), b.facets...) {
		x, inA := va[f.name]
		y, inB := vb[f.name]
		// An error that only one side has is told by its text.
		told := inA && inB || !aboutError(f.name)
		if x != y && told && !seen[f.name] {
			out = append(out, difference{f.name, x, y})
		}
		seen[f.name] = true
	}
	out = append(out, compareEvents(a.events, b.events)...)
	for _, line := range diffTrees(a.tree, b.tree) {
		path, rest, _ := strings.Cut(line, ": ")
		x, y, _ := strings.Cut(rest, " / ")
		out = append(out, difference{"tree " + path, x, y})
	}
	return out
}

// aboutError names the facets that say more of an error than whether it is there and its text.
func aboutError(facet string) bool {
	return beginsWith(facet, "errors.", "os.Is", "mount.Is", "is a", "unwrap", "identity")
}

func beginsWith(text string, words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(text, word) })
}

// compareEvents finds the first event at which the tapes part, and names what differs: the log,
// the calls, or only how the two are interleaved.
func compareEvents(a, b []string) []difference {
	var out []difference
	la, ca := splitEvents(a)
	lb, cb := splitEvents(b)
	first := func(name string, x, y []string) {
		for i := 0; i < max(len(x), len(y)); i++ {
			ex, ey := "(nothing)", "(nothing)"
			if i < len(x) {
				ex = fmt.Sprintf("%q", x[i])
			}
			if i < len(y) {
				ey = fmt.Sprintf("%q", y[i])
			}
			if ex != ey {
				out = append(out, difference{fmt.Sprintf("%s %d", name, i), ex, ey})
				return
			}
		}
	}
	first("log", la, lb)
	first("mounter event", ca, cb)
	if out == nil {
		first("order of log and calls", a, b)
	}
	return out
}

func splitEvents(events []string) (logs, calls []string) {
	for _, e := range events {
		if strings.HasPrefix(e, "log ") {
			logs = append(logs, e)
		} else {
			calls = append(calls, e)
		}
	}
	return logs, calls
}

// sentinels are what errors.Is is asked about: package fs, and every errno that has a name.
var sentinels = func() map[string]error {
	m := map[string]error{
		"fs.ErrInvalid": fs.ErrInvalid, "fs.ErrPermission": fs.ErrPermission, "fs.ErrExist": fs.ErrExist,
		"fs.ErrNotExist": fs.ErrNotExist, "fs.ErrClosed": fs.ErrClosed, "os.ErrDeadlineExceeded": os.ErrDeadlineExceeded,
		"os.ErrProcessDone": os.ErrProcessDone, "io.EOF": io.EOF, "context.Canceled": context.Canceled,
		"context.DeadlineExceeded": context.DeadlineExceeded, "errors.ErrUnsupported": errors.ErrUnsupported,
	}
	for e := syscall.Errno(1); e < 134; e++ {
		m[fmt.Sprintf("errno %d", e)] = e
	}
	return m
}()

var sentinelNames = sortedKeys(sentinels)

// putError describes an error by everything that design and callers rely on. given are the errors
// that came from the mounter.
func (o *outcome) putError(err error, given []error) {
	o.err = err
	o.put("error is nil", "%v", err == nil)
	if err == nil {
		return
	}
	o.put("error text", "%s", short(errorText(err)))
	var is []string
	for _, name := range sentinelNames {
		if errors.Is(err, sentinels[name]) {
			is = append(is, name)
		}
	}
	o.put("errors.Is", "%v", is)
	o.put("os.IsNotExist", "%v", os.IsNotExist(err))
	o.put("os.IsExist", "%v", os.IsExist(err))
	o.put("os.IsPermission", "%v", os.IsPermission(err))
	o.put("os.IsTimeout", "%v", os.IsTimeout(err))
	o.put("mount.IsCorruptedMnt", "%v", mount.IsCorruptedMnt(err))
	pathError, direct := err.(*os.PathError)
	o.put("is a *PathError", "%v", direct)
	if direct || errors.As(err, &pathError) {
		o.put("PathError.Op", "%q", pathError.Op)
		o.put("PathError.Path", "%s", short(level(pathError.Path)))
		o.put("PathError.Err", "%T %s", pathError.Err, short(errorText(pathError.Err)))
	}
	errno, direct := err.(syscall.Errno)
	o.put("is an Errno", "%v", direct)
	if direct || errors.As(err, &errno) {
		o.put("Errno", "%d", uintptr(errno))
	}
	var linkError *os.LinkError
	var syscallError *os.SyscallError
	var custom *customError
	o.put("errors.As", "LinkError %v, SyscallError %v, customError %v, timeout %v", errors.As(err, &linkError),
		errors.As(err, &syscallError), errors.As(err, &custom), errors.As(err, new(interface{ Timeout() bool })))
	for i, g := range given {
		o.put(fmt.Sprintf("identity with mounter error %d", i), "itself %v, unwrapped %v, errors.Is %v",
			identical(err, g), identical(errors.Unwrap(err), g), canCompare(g) && errors.Is(err, g))
	}
	var chain []string
	for e := errors.Unwrap(err); e != nil; e = errors.Unwrap(e) {
		chain = append(chain, errorText(e))
	}
	o.put("unwrap chain", "%q", chain)
}

// errorText prints an error as fmt does, so that an Error method that panics is text as well.
func errorText(err error) string {
	if err == nil {
		return "<nil>"
	}
	return level(fmt.Sprintf("%s", err))
}

func canCompare(v any) bool { return v != nil && reflect.TypeOf(v).Comparable() }

// identical is == for values that may not be comparable; those are identical when they share
// their memory.
func identical(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	if canCompare(a) {
		return a == b
	}
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	return va.Kind() == reflect.Slice && va.Len() == vb.Len() && va.Len() > 0 && va.Pointer() == vb.Pointer()
}

// putPanic describes the value that a call panicked with.
func (o *outcome) putPanic(v any) {
	text := ""
	switch v := v.(type) {
	case runtime.Error:
		text = v.Error()
	case error:
		text = errorText(v)
	default:
		text = fmt.Sprintf("%v", v)
	}
	o.put("panic", "%T %q, the mounter's own pointer: %v", v, level(text), v == any(panicPointer))
}
