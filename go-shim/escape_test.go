//go:build cgo

// A mounter that panics or ends its goroutine takes the caller with it, as it would without this
// package in between, and nothing stays open, mounted or locked.

package rustsubpath

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"rustsubpath/internal/boundary"
	"rustsubpath/internal/testutil"
)

// way is how a mounter's method is left.
type way struct {
	name  string
	leave func()
}

var thePanic = &struct{ text string }{"the mounter's own value"}

var ways = []way{
	{"panic", func() { panic(thePanic) }},
	//lint:ignore SA5000 the panic is wanted
	{"runtime error", func() { var m map[string]int; m["x"] = 1 }},
	{"panic with nil", func() { panic(nil) }},
	{"Goexit", runtime.Goexit},
}

// outcome is how a call ended.
type outcome struct {
	returned, panicked bool
	value              any
	stack              string
}

// runs calls f on a goroutine of its own, which f may end.
func runs(f func()) outcome {
	ended := make(chan outcome)
	go func() {
		var o outcome
		defer func() { ended <- o }()
		defer func() {
			if value := recover(); value != nil {
				o.panicked, o.value, o.stack = true, value, string(debug.Stack())
			}
		}()
		f()
		o.returned = true
	}()
	return <-ended
}

// expect fails the test unless the call ended as leaving by itself does.
func (o outcome) expect(t *testing.T, leave func()) {
	t.Helper()
	want := runs(leave)
	same := o.value == want.value
	if err, ok := o.value.(runtime.Error); ok {
		wantErr, _ := want.value.(runtime.Error)
		same = wantErr != nil && err.Error() == wantErr.Error()
	}
	if !same || o.returned != want.returned || o.panicked != want.panicked {
		t.Errorf("the caller sees returned=%v panicked=%v %#v, expected returned=%v panicked=%v %#v",
			o.returned, o.panicked, o.value, want.returned, want.panicked, want.value)
	}
	if o.panicked && !strings.Contains(o.stack, t.Name()[:strings.IndexByte(t.Name()+"/", '/')]) {
		t.Errorf("the panic's stack does not show where it began:\n%s", o.stack)
	}
}

func TestAMounterMayLeaveAtEveryQuestion(t *testing.T) {
	busy := errors.New("busy")
	for _, row := range []struct {
		name    string
		profile Profile
		arrange func(s site, r *testutil.Recorder, leave func())
		call    func(s site, r *testutil.Recorder, p Profile)
		// stays says that the original leaves the target there, too.
		stays bool
	}{
		{
			name: "prepare, first check",
			arrange: func(s site, r *testutil.Recorder, leave func()) {
				r.OnIsMountPoint = func(string) error { leave(); return nil }
			},
			call: prepareDir,
		},
		{
			name: "prepare, unmounting something else",
			arrange: func(s site, r *testutil.Recorder, leave func()) {
				os.MkdirAll(s.Target(), 0o755)
				r.Set(s.Target(), true)
				r.OnUnmount = func(string) error { leave(); return nil }
			},
			call:  prepareDir,
			stays: true,
		},
		{
			name:    "prepare, unmounting a corrupted mount",
			profile: ProfileV137,
			arrange: func(s site, r *testutil.Recorder, leave func()) {
				r.OnIsMountPoint = func(string) error { return &os.PathError{Op: "stat", Path: "x", Err: syscall.ENOTCONN} }
				r.OnUnmount = func(string) error { leave(); return nil }
			},
			call: prepareDir,
		},
		{
			name: "prepare, mounting",
			arrange: func(s site, r *testutil.Recorder, leave func()) {
				r.OnMount = func(string) error { leave(); return nil }
			},
			call: prepareDir,
		},
		{
			name: "prepare, clean-up after a failed mount",
			arrange: func(s site, r *testutil.Recorder, leave func()) {
				r.OnMount = func(string) error { return busy }
				r.OnSkip = leave
			},
			call:  prepareDir,
			stays: true,
		},
		{
			name: "clean, may the check be skipped",
			arrange: func(s site, r *testutil.Recorder, leave func()) {
				os.MkdirAll(s.Target(), 0o755)
				r.OnSkip = leave
			},
			call:  cleanAll,
			stays: true,
		},
		{
			name: "clean, unmounting",
			arrange: func(s site, r *testutil.Recorder, leave func()) {
				os.MkdirAll(s.Target(), 0o755)
				r.Set(s.Target(), true)
				r.OnUnmount = func(string) error { leave(); return nil }
			},
			call:  cleanAll,
			stays: true,
		},
		{
			name: "clean, second check",
			arrange: func(s site, r *testutil.Recorder, leave func()) {
				os.MkdirAll(s.Target(), 0o755)
				r.Set(s.Target(), true)
				r.OnIsMountPoint = func(string) error {
					if !r.IsMounted(s.Target()) {
						leave()
					}
					return nil
				}
			},
			call:  cleanAll,
			stays: true,
		},
	} {
		for _, way := range ways {
			t.Run(row.name+"/"+way.name, func(t *testing.T) {
				s, r := newSite(t), &testutil.Recorder{}
				row.arrange(s, r, way.leave)
				frames := boundary.IdleFrames()
				testutil.LeavesNoFiles(t, func() {
					runs(func() { row.call(s, r, row.profile) }).expect(t, way.leave)
				})
				if left := s.Left(t); (left != nil) != row.stays {
					t.Errorf("left behind: %q, expected some: %v", left, row.stays)
				}
				if r.IsMounted(s.Target()) && !strings.Contains(row.name, "unmounting") {
					t.Error("the target is still mounted")
				}
				if now := boundary.IdleFrames(); now < frames {
					t.Errorf("%d idle frames, %d before", now, frames)
				}
				// The same sub path can be prepared at once: nothing holds a lock on it.
				after := &testutil.Recorder{}
				_, _, err := New(after, ProfileV129).PrepareSafeSubpath(s.subpath("dir"))
				testutil.Must(t, err)
			})
		}
	}
}

func prepareDir(s site, r *testutil.Recorder, p Profile) {
	New(r, p).PrepareSafeSubpath(s.subpath("dir"))
}

func cleanAll(s site, r *testutil.Recorder, p Profile) {
	New(r, p).CleanSubPaths(s.Pod, "vol")
}

// leavingError is an error whose text cannot be had: fmt catches a panic, but not this.
type leavingError struct{}

func (leavingError) Error() string { return "" }

func (leavingError) Format(fmt.State, rune) { runtime.Goexit() }

func TestAnErrorsTextMayEndTheGoroutine(t *testing.T) {
	s, r := newSite(t), &testutil.Recorder{OnMount: func(string) error { return leavingError{} }}
	testutil.LeavesNoFiles(t, func() {
		runs(func() { prepareDir(s, r, ProfileV129) }).expect(t, runtime.Goexit)
	})
	s.ExpectNothing(t)
}

func TestAPanicInTheCleanUpAfterAPanicReplacesIt(t *testing.T) {
	s := newSite(t)
	second := errors.New("second")
	r := &testutil.Recorder{
		OnMount: func(string) error { panic("first") },
		OnSkip:  func() { panic(second) },
	}
	testutil.LeavesNoFiles(t, func() {
		runs(func() { prepareDir(s, r, ProfileV129) }).expect(t, func() {
			defer func() { panic(second) }()
			panic("first")
		})
	})
	expectLast(t, r, "CanSafelySkipMountPointCheck()")
}

func TestTheCleanUpAfterAPanicAsksAsAfterAnError(t *testing.T) {
	s := newSite(t)
	r := &testutil.Recorder{}
	// The mount is there although the mounter panicked, and has to go.
	r.OnMount = func(path string) error { r.Set(path, true); panic("after mounting") }
	runs(func() { prepareDir(s, r, ProfileV129) })
	is := "IsMountPoint(" + s.Target() + ")"
	r.Calls = append(r.Calls[:1], r.Calls[2:]...)
	testutil.ExpectCalls(t, r, is, "CanSafelySkipMountPointCheck()", is, "Unmount("+s.Target()+")", is)
	s.ExpectNothing(t)
}

func TestAMounterMayCallBackIn(t *testing.T) {
	s, r := newSite(t), &testutil.Recorder{}
	subpather := New(r, ProfileV129)
	other := s.subpath("dir/deep")
	other.ContainerName = "other"
	depth := 0
	r.OnMount = func(string) error {
		if depth++; depth > 3 {
			return nil
		}
		testutil.Must(t, subpather.SafeMakeDir(fmt.Sprint("made", depth), s.Volume, 0o755))
		other.VolumeMountIndex = depth
		_, _, err := subpather.PrepareSafeSubpath(other)
		return err
	}
	testutil.LeavesNoFiles(t, func() {
		_, _, err := subpather.PrepareSafeSubpath(s.subpath("dir"))
		testutil.Must(t, err)
		testutil.Must(t, subpather.CleanSubPaths(s.Pod, "vol"))
	})
	if depth != 4 || s.Left(t) != nil {
		t.Errorf("depth %d, left behind: %q", depth, s.Left(t))
	}
}

func expectLast(t *testing.T, r *testutil.Recorder, want string) {
	t.Helper()
	if len(r.Calls) == 0 || r.Calls[len(r.Calls)-1] != want {
		t.Errorf("asked %q, expected %s last", r.Calls, want)
	}
}
