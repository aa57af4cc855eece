//go:build cgo

// A mounter of the caller's own is asked what the original asks, and its errors come back as they
// are.

package rustsubpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/mount-utils"

	"rustsubpath/internal/testutil"
)

func TestPrepareAndCleanAskAsTheOriginalDoes(t *testing.T) {
	s, r := newSite(t), &testutil.Recorder{}
	testutil.LeavesNoFiles(t, func() {
		subpather := New(r, ProfileV129)
		got, cleanup, err := subpather.PrepareSafeSubpath(s.subpath("dir"))
		if got != s.Target() || cleanup != nil || err != nil {
			t.Fatalf("PrepareSafeSubpath = %q, %v, %v", got, cleanup != nil, err)
		}
		testutil.Must(t, subpather.CleanSubPaths(s.Pod, "vol"))
	})
	is := "IsMountPoint(" + s.Target() + ")"
	testutil.ExpectCalls(t, r,
		is,
		fmt.Sprintf(`Mount(/proc/SELF/fd/N, %s, "", []string{"bind"}, []string(nil), []string{"--no-canonicalize"})`, s.Target()),
		"CanSafelySkipMountPointCheck()", is, "Unmount("+s.Target()+")", is,
	)
	s.ExpectNothing(t)
}

func TestTheSourceOfTheMountIsTheOpenSubPath(t *testing.T) {
	s := newSite(t)
	var linked string
	probe := &linkProbe{Recorder: testutil.Recorder{}, read: func(source string) { linked, _ = os.Readlink(source) }}
	_, _, err := New(probe, ProfileV129).PrepareSafeSubpath(s.subpath("dir"))
	testutil.Must(t, err)
	if want := filepath.Join(s.Volume, "dir"); linked != want {
		t.Errorf("the mount's source leads to %q, not %q", linked, want)
	}
}

type linkProbe struct {
	testutil.Recorder
	read func(source string)
}

func (p *linkProbe) MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype string, options, sensitive, flags []string) error {
	p.read(source)
	return nil
}

func TestAFailedMountIsCleanedUp(t *testing.T) {
	s, refused := newSite(t), errors.New("refused")
	r := &testutil.Recorder{OnMount: func(string) error { return refused }}
	testutil.LeavesNoFiles(t, func() {
		got, _, err := New(r, ProfileV129).PrepareSafeSubpath(s.subpath("dir"))
		want := "error mounting " + filepath.Join(s.Volume, "dir") + ": refused"
		if got != "" || err == nil || err.Error() != want || errors.Is(err, refused) {
			t.Errorf("PrepareSafeSubpath = %q, %v, expected the text %q alone", got, err, want)
		}
	})
	is := "IsMountPoint(" + s.Target() + ")"
	if len(r.Calls) == 4 {
		r.Calls[1] = "Mount"
	}
	testutil.ExpectCalls(t, r, is, "Mount", "CanSafelySkipMountPointCheck()", is)
	s.ExpectNothing(t)
}

func TestAMounterWithoutChecksIsAskedTwiceWhetherItIs(t *testing.T) {
	s, r := newSite(t), &testutil.Recorder{Skips: true}
	testutil.Must(t, os.MkdirAll(s.Target(), 0o755))
	testutil.Must(t, New(r, ProfileV129).CleanSubPaths(s.Pod, "vol"))
	testutil.ExpectCalls(t, r, "CanSafelySkipMountPointCheck()", "CanSafelySkipMountPointCheck()", "Unmount("+s.Target()+")")
}

func TestCleanupMountPointAsksTheCheapQuestionUnlessTold(t *testing.T) {
	s, r := newSite(t), &testutil.Recorder{}
	testutil.Must(t, os.MkdirAll(s.Target(), 0o755))
	testutil.Must(t, CleanupMountPoint(s.Target(), r, false))
	testutil.ExpectCalls(t, r, "CanSafelySkipMountPointCheck()", "IsLikelyNotMountPoint("+s.Target()+")")
	if _, err := os.Lstat(s.Target()); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", s.Target(), err)
	}
}

func TestIsNotMountPointAsksTheMounter(t *testing.T) {
	s, r := newSite(t), &testutil.Recorder{}
	r.Set(s.Volume, true)
	for path, want := range map[string]bool{s.Volume: false, s.Pod: true} {
		if not, err := IsNotMountPoint(r, path); not != want || err != nil {
			t.Errorf("%s: %v, %v", path, not, err)
		}
	}
	if not, err := IsNotMountPoint(r, s.Pod+"/none"); !not || !os.IsNotExist(err) {
		t.Errorf("a missing path: %v, %v", not, err)
	}
}

// An error of the caller's that must come back as the very same value.
type incomparable struct{ parts []string }

func (e incomparable) Error() string { return strings.Join(e.parts, "+") }

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

type formatted struct{}

func (formatted) Error() string { return "plain" }

func (formatted) Format(w fmt.State, verb rune) { fmt.Fprintf(w, "as %%%c", verb) }

type panics struct{}

func (panics) Error() string { panic("no text") }

type raw struct{}

func (raw) Error() string { return "\xff\x00\n%s" }

func TestAMountersErrorsKeepTextAndIdentity(t *testing.T) {
	pointer := &nilError{text: "a pointer"}
	for _, row := range []struct {
		name string
		err  error
	}{
		{"plain", errors.New("plain")},
		{"errno", syscall.EBUSY},
		{"path error", &fs.PathError{Op: "stat", Path: "/x", Err: syscall.EPERM}},
		{"wrapping", fmt.Errorf("around: %w", pointer)},
		{"joined", errors.Join(pointer, syscall.ESTALE)},
		{"pointer", pointer},
		{"nil pointer", (*nilError)(nil)},
		{"not comparable", incomparable{[]string{"a", "b"}}},
		{"formats itself", formatted{}},
		{"panics in Error", panics{}},
		{"any bytes", raw{}},
		{"empty text", errors.New("")},
		{"long text", errors.New(strings.Repeat("long ", 5000))},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t)
			target := s.Target()
			r := &testutil.Recorder{OnIsMountPoint: func(string) error { return row.err }}

			_, _, err := New(r, ProfileV129).PrepareSafeSubpath(s.subpath("dir"))
			if want := fmt.Errorf("error checking path %s for mount: %s", target, row.err); err == nil || err.Error() != want.Error() {
				t.Errorf("v1.29: %q, expected %q", err, want)
			}
			if errors.Unwrap(err) != nil {
				t.Errorf("v1.29: %v wraps something", err)
			}

			_, _, err = New(r, ProfileV137).PrepareSafeSubpath(s.subpath("dir"))
			want := fmt.Errorf("error checking path %s for mount: %w", target, row.err)
			if err == nil || err.Error() != want.Error() {
				t.Errorf("v1.37: %q, expected %q", err, want)
			}
			inner := errors.Unwrap(err)
			if _, no := row.err.(incomparable); no {
				if got, ok := inner.(incomparable); !ok || &got.parts[0] != &row.err.(incomparable).parts[0] {
					t.Errorf("v1.37: wraps %#v, not the mounter's value", inner)
				}
			} else if inner != row.err {
				t.Errorf("v1.37: wraps %#v, not the mounter's value", inner)
			}

			testutil.Must(t, os.MkdirAll(target, 0o755))
			r = &testutil.Recorder{OnUnmount: func(string) error { return row.err }}
			r.Set(target, true)
			if err := CleanupMountPoint(target, r, true); fmt.Sprintf("%T", err) != fmt.Sprintf("%T", row.err) {
				t.Errorf("CleanupMountPoint returned a %T, expected the mounter's own %T", err, row.err)
			}
		})
	}
}

func TestAMissingTargetIsFoundInWhateverFormItComes(t *testing.T) {
	for _, missing := range []error{
		os.ErrNotExist, syscall.ENOENT, &fs.PathError{Op: "stat", Path: "/x", Err: syscall.ENOENT},
		&os.SyscallError{Syscall: "stat", Err: syscall.ENOENT},
	} {
		s, r := newSite(t), &testutil.Recorder{OnIsMountPoint: func(string) error { return missing }}
		if _, _, err := New(r, ProfileV129).PrepareSafeSubpath(s.subpath("dir")); err != nil {
			t.Errorf("%T: %v", missing, err)
		}
	}
	// os.IsNotExist does not look through wrapping, and neither does the original.
	s, r := newSite(t), &testutil.Recorder{OnIsMountPoint: func(string) error { return fmt.Errorf("%w", os.ErrNotExist) }}
	if _, _, err := New(r, ProfileV129).PrepareSafeSubpath(s.subpath("dir")); err == nil {
		t.Error("a wrapped ErrNotExist counts as a missing target")
	}
}

func TestACorruptedMountIsReplacedInV137Only(t *testing.T) {
	dead := &fs.PathError{Op: "lstat", Path: "/x", Err: syscall.ENOTCONN}
	for _, profile := range []Profile{ProfileV129, ProfileV137} {
		s := newSite(t)
		testutil.Must(t, os.MkdirAll(s.Target(), 0o755))
		r := &testutil.Recorder{OnIsMountPoint: func(string) error { return dead }}
		_, _, err := New(r, profile).PrepareSafeSubpath(s.subpath("dir"))
		unmounted := len(r.Calls) > 1 && r.Calls[1] == "Unmount("+s.Target()+")"
		if want := profile == ProfileV137; (err == nil) != want || unmounted != want {
			t.Errorf("profile %d: error %v, calls %q", profile, err, r.Calls)
		}
	}
}

// touchy is an error that cannot bear to be compared.
type touchy struct{}

func (touchy) Error() string { return "touchy" }

func (touchy) Is(error) bool { panic("compared") }

func TestNothingIsAskedOfAnErrorThatTheOriginalDoesNotAsk(t *testing.T) {
	err := &fs.PathError{Op: "stat", Path: "/x", Err: touchy{}}
	// Newer versions of mount-utils compare by errors.Is, which runs touchy's Is; older ones by ==.
	compares := runs(func() { mount.IsCorruptedMnt(err) }).panicked
	for _, row := range []struct {
		name     string
		profile  Profile
		call     func(s site, r *testutil.Recorder, p Profile)
		compared bool
	}{
		{"prepare", ProfileV129, prepareDir, false},
		{"prepare of v1.37 asks whether the mount is corrupted", ProfileV137, prepareDir, compares},
		{"clean", ProfileV137, cleanAll, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t)
			testutil.Must(t, os.MkdirAll(s.Target(), 0o755))
			r := &testutil.Recorder{OnIsMountPoint: func(string) error { return err }}
			if got := runs(func() { row.call(s, r, row.profile) }); got.panicked != row.compared {
				t.Errorf("the error was compared: %v", got.panicked)
			}
		})
	}
	// What leaves a mounter's doing is text alone.
	nowhere := (*fs.PathError)(nil)
	s, r := newSite(t), &testutil.Recorder{OnMount: func(string) error { return nowhere }}
	if _, _, err := New(r, ProfileV137).PrepareSafeSubpath(s.subpath("dir")); err == nil || !strings.HasSuffix(err.Error(), ": <nil>") {
		t.Errorf("%v", err)
	}
}

func TestANilMounterIsFineUntilItIsNeeded(t *testing.T) {
	s := newSite(t)
	subpather := New(nil, ProfileV129)
	testutil.Must(t, subpather.SafeMakeDir("made", s.Volume, 0o750))
	testutil.LeavesNoFiles(t, func() {
		defer func() {
			value := recover()
			if err, ok := value.(error); !ok || !strings.Contains(err.Error(), "nil pointer") {
				t.Errorf("a nil mounter gave %v", value)
			}
		}()
		subpather.PrepareSafeSubpath(s.subpath("dir"))
	})
}
