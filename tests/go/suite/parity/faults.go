// What a mounter may do instead of its work: fail with an error of any of twenty-odd kinds, lie,
// panic, end the goroutine, or call the package again.

package parity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"

	mount "k8s.io/mount-utils"
)

// Fault makes one call of a mounter's method go another way.
type Fault struct {
	Method string
	Nth    int // which call of the method, from 0; -1 for every call
	// What happens: "error", "panic", "goexit", "true", "false" (the answer of a question, with
	// error Kind where that is not negative), "reenter".
	What  string
	Kind  int  // into errorKinds or panicKinds
	After bool // the real work is done first
	Again *Step
}

func (f Fault) String() string {
	s := fmt.Sprintf("%s call %d: %s", f.Method, f.Nth, f.What)
	switch {
	case f.What == "panic":
		s += " with " + panicKinds[f.Kind].name
	case f.What == "reenter":
		s += " " + f.Again.String()
	case f.Kind >= 0 && f.What != "goexit":
		s += " " + errorKinds[f.Kind].name
	}
	if f.After {
		s += ", after the work"
	}
	return s
}

type customError struct{ text string }

func (e *customError) Error() string { return e.text }

// errnoError is a type of the caller's own that claims to be an errno through Is.
type errnoError struct{ errno syscall.Errno }

func (e errnoError) Error() string        { return "custom errno" }
func (e errnoError) Is(target error) bool { return target == e.errno }

// listError cannot be compared: == on it panics.
type listError []string

func (e listError) Error() string { return strings.Join(e, "; ") }

// formatError prints %s and %v differently.
type formatError struct{}

func (formatError) Error() string { return "plain" }
func (formatError) Format(f fmt.State, verb rune) {
	io.WriteString(f, "formatted by %"+string(verb))
}

// stringerError prints as an error, never as a Stringer.
type stringerError struct{}

func (stringerError) Error() string  { return "error" }
func (stringerError) String() string { return "stringer" }

// nilError is an error that is a nil pointer and cannot print itself.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// panicError panics when it is printed.
type panicError struct{}

func (panicError) Error() string { panic("no text") }

// timeoutError is a timeout in the eyes of os.IsTimeout.
type timeoutError struct{}

func (timeoutError) Error() string { return "i/o timeout" }
func (timeoutError) Timeout() bool { return true }

// errorKind makes one kind of error, a fresh value each time, about a path.
type errorKind struct {
	name string
	make func(path string) error
}

// pathErr and its fellows make the kinds that hold an errno.
func bare(e syscall.Errno) errorKind {
	return errorKind{"errno " + e.Error(), func(string) error { return e }}
}
func pathErr(e syscall.Errno) errorKind {
	return errorKind{"PathError " + e.Error(), func(p string) error { return &os.PathError{Op: "stat", Path: p, Err: e} }}
}

var errorKinds = []errorKind{
	{"errors.New", func(string) error { return errors.New("mount failed") }},
	{"empty text", func(string) error { return errors.New("") }},
	{"non-UTF-8 text", func(p string) error { return errors.New("bad \xff\xfe\xc3( " + p) }},
	{"percent signs", func(string) error { return errors.New("100% %s %d %!v(MISSING) %%") }},
	{"control bytes", func(string) error { return errors.New("line\nline\r\x00nul\x1b[0m\u2028") }},
	{"long text", func(string) error { return errors.New(strings.Repeat("long ", 40_000)) }},
	{"custom pointer type", func(p string) error { return &customError{"custom: " + p} }},
	{"custom Is", func(string) error { return errnoError{syscall.ENOENT} }},
	{"custom Is ESTALE", func(string) error { return errnoError{syscall.ESTALE} }},
	{"uncomparable type", func(p string) error { return listError{"one", p} }},
	{"Formatter", func(string) error { return formatError{} }},
	{"Stringer", func(string) error { return stringerError{} }},
	{"nil pointer in an interface", func(string) error { return (*nilError)(nil) }},
	{"panics when printed", func(string) error { return panicError{} }},
	{"timeout", func(string) error { return timeoutError{} }},
	{"wrapped by %w", func(p string) error { return fmt.Errorf("mounter: %w", &customError{p}) }},
	{"wrapped errno", func(string) error { return fmt.Errorf("mounter: %w", syscall.ENOENT) }},
	{"wrapped PathError", func(p string) error {
		return fmt.Errorf("mounter: %w", &os.PathError{Op: "open", Path: p, Err: syscall.ESTALE})
	}},
	{"joined", func(string) error { return errors.Join(syscall.EBUSY, fs.ErrNotExist, errors.New("third")) }},
	{"wrapped twice by %w", func(string) error { return fmt.Errorf("%w and %w", syscall.EPERM, io.EOF) }},
	{"fs.ErrNotExist", func(string) error { return fs.ErrNotExist }},
	{"fs.ErrExist", func(string) error { return fs.ErrExist }},
	{"fs.ErrPermission", func(string) error { return fs.ErrPermission }},
	{"fs.ErrInvalid", func(string) error { return fs.ErrInvalid }},
	{"context.Canceled", func(string) error { return context.Canceled }},
	{"context.DeadlineExceeded", func(string) error { return context.DeadlineExceeded }},
	bare(syscall.ENOENT), bare(syscall.EBUSY), bare(syscall.EINVAL), bare(syscall.ESTALE), bare(syscall.ENOTCONN),
	bare(syscall.EIO), bare(syscall.EACCES), bare(syscall.EEXIST), bare(syscall.ENOTEMPTY), bare(syscall.EPERM),
	bare(syscall.EHOSTDOWN), bare(syscall.EAGAIN), bare(syscall.ENODEV), bare(0), bare(4095), bare(200_000),
	bare(syscall.ENOTDIR), bare(41), bare(133), bare(134),
	pathErr(syscall.ENOENT), pathErr(syscall.ESTALE), pathErr(syscall.ENOTCONN), pathErr(syscall.EBUSY),
	pathErr(syscall.EACCES), pathErr(syscall.EEXIST),
	{"PathError of a wrapped errno", func(p string) error {
		return &os.PathError{Op: "stat", Path: p, Err: fmt.Errorf("inner: %w", syscall.ESTALE)}
	}},
	{"PathError of a custom error", func(p string) error {
		return &os.PathError{Op: "o\xffp", Path: p, Err: &customError{"inside"}}
	}},
	{"PathError of fs.ErrNotExist", func(p string) error { return &os.PathError{Op: "open", Path: p, Err: fs.ErrNotExist} }},
	{"LinkError", func(p string) error { return &os.LinkError{Op: "link", Old: p, New: "b", Err: syscall.ENOTCONN} }},
	{"LinkError ENOENT", func(p string) error { return &os.LinkError{Op: "link", Old: p, New: "b", Err: syscall.ENOENT} }},
	{"SyscallError", func(string) error { return os.NewSyscallError("umount", syscall.ESTALE) }},
	{"SyscallError ENOENT", func(string) error { return os.NewSyscallError("umount", syscall.ENOENT) }},
	{"mount.MountError", func(p string) error { return mount.NewMountError(mount.FormatFailed, "format of %s", p) }},
}

// panicKind makes a value to panic with.
type panicKind struct {
	name  string
	throw func()
}

type panicValue struct{ n int }

var panicPointer = &panicValue{7}

var panicKinds = []panicKind{
	{"a string", func() { panic("mounter broke") }},
	{"non-UTF-8", func() { panic("\xff\xfe") }},
	{"an error", func() { panic(&customError{"as a panic"}) }},
	{"an errno", func() { panic(syscall.EIO) }},
	{"a pointer", func() { panic(panicPointer) }},
	{"an integer", func() { panic(42) }},
	{"a struct", func() { panic(panicValue{9}) }},
	{"an uncomparable value", func() { panic([]int{1, 2}) }},
	{"nil", func() { panic(nil) }},
	{"a nil dereference", func() { var p *panicValue; p.n++ }},
	{"an index out of range", func() { var s []int; _ = s[len(os.Args)+5] }},
	//lint:ignore SA5000 the panic is wanted
	{"a nil map", func() { var m map[string]int; m["x"] = 1 }},
	{"a type assertion", func() { var v any = "x"; _ = v.(int) }},
	//lint:ignore SA4000 so that the compiler does not see the zero
	{"a division by zero", func() { z := len(os.Args) - len(os.Args); _ = 1 / z }},
	{"a panic in a deferred function", func() { defer panic("second"); panic("first") }},
	{"a panic after a recovered one", func() { func() { defer func() { recover() }(); panic("first") }(); panic("second") }},
}

// happen does what a fault says; for "error" and the answers it gives the error, if any.
func (f Fault) happen(path string) error {
	switch f.What {
	case "panic":
		panicKinds[f.Kind].throw()
	case "goexit":
		runtime.Goexit()
	case "error", "true", "false":
		if f.Kind >= 0 {
			return errorKinds[f.Kind].make(path)
		}
	}
	return nil
}
