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
)

func TestPrepareAndCleanAskAsTheOriginalDoes(t *testing.T) {
	s, r := newSite(t), &recorder{}
	leavesNoFiles(t, func() {
		subpather := New(r, ProfileV129)
		got, cleanup, err := subpather.PrepareSafeSubpath(s.subpath("dir"))
		if got != s.target() || cleanup != nil || err != nil {
			t.Fatalf("PrepareSafeSubpath = %q, %v, %v", got, cleanup != nil, err)
		}
		must(t, subpather.CleanSubPaths(s.pod, "vol"))
	})
	is := "IsMountPoint(" + s.target() + ")"
	expectCalls(t, r,
		is,
		fmt.Sprintf(`Mount(/proc/SELF/fd/N, %s, "", []string{"bind"}, []string(nil), []string{"--no-canonicalize"})`, s.target()),
		"CanSafelySkipMountPointCheck()", is, "Unmount("+s.target()+")", is,
	)
	if left := s.left(t); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestTheSourceOfTheMountIsTheOpenSubPath(t *testing.T) {
	s := newSite(t)
	var linked string
	probe := &linkProbe{recorder: recorder{}, read: func(source string) { linked, _ = os.Readlink(source) }}
	_, _, err := New(probe, ProfileV129).PrepareSafeSubpath(s.subpath("dir"))
	must(t, err)
	if want := filepath.Join(s.volume, "dir"); linked != want {
		t.Errorf("the mount's source leads to %q, not %q", linked, want)
	}
}

type linkProbe struct {
	recorder
	read func(source string)
}

func (p *linkProbe) MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype string, options, sensitive, flags []string) error {
	p.read(source)
	return nil
}

func TestAFailedMountIsCleanedUp(t *testing.T) {
	s, refused := newSite(t), errors.New("refused")
	r := &recorder{onMount: func(string) error { return refused }}
	leavesNoFiles(t, func() {
		got, _, err := New(r, ProfileV129).PrepareSafeSubpath(s.subpath("dir"))
		want := "error mounting " + filepath.Join(s.volume, "dir") + ": refused"
		if got != "" || err == nil || err.Error() != want || errors.Is(err, refused) {
			t.Errorf("PrepareSafeSubpath = %q, %v, expected the text %q alone", got, err, want)
		}
	})
	is := "IsMountPoint(" + s.target() + ")"
	if len(r.calls) == 4 {
		r.calls[1] = "Mount"
	}
	expectCalls(t, r, is, "Mount", "CanSafelySkipMountPointCheck()", is)
	if left := s.left(t); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestAMounterWithoutChecksIsAskedTwiceWhetherItIs(t *testing.T) {
	s, r := newSite(t), &recorder{skips: true}
	must(t, os.MkdirAll(s.target(), 0o755))
	must(t, New(r, ProfileV129).CleanSubPaths(s.pod, "vol"))
	expectCalls(t, r, "CanSafelySkipMountPointCheck()", "CanSafelySkipMountPointCheck()", "Unmount("+s.target()+")")
}

func TestCleanupMountPointAsksTheCheapQuestionUnlessTold(t *testing.T) {
	s, r := newSite(t), &recorder{}
	must(t, os.MkdirAll(s.target(), 0o755))
	must(t, CleanupMountPoint(s.target(), r, false))
	expectCalls(t, r, "CanSafelySkipMountPointCheck()", "IsLikelyNotMountPoint("+s.target()+")")
	if _, err := os.Lstat(s.target()); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", s.target(), err)
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
			target := s.target()
			r := &recorder{onIsMountPoint: func(string) error { return row.err }}

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

			must(t, os.MkdirAll(target, 0o755))
			r = &recorder{onUnmount: func(string) error { return row.err }}
			r.set(target, true)
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
		s, r := newSite(t), &recorder{onIsMountPoint: func(string) error { return missing }}
		if _, _, err := New(r, ProfileV129).PrepareSafeSubpath(s.subpath("dir")); err != nil {
			t.Errorf("%T: %v", missing, err)
		}
	}
	// os.IsNotExist does not look through wrapping, and neither does the original.
	s, r := newSite(t), &recorder{onIsMountPoint: func(string) error { return fmt.Errorf("%w", os.ErrNotExist) }}
	if _, _, err := New(r, ProfileV129).PrepareSafeSubpath(s.subpath("dir")); err == nil {
		t.Error("a wrapped ErrNotExist counts as a missing target")
	}
}

func TestACorruptedMountIsReplacedInV137Only(t *testing.T) {
	dead := &fs.PathError{Op: "lstat", Path: "/x", Err: syscall.ENOTCONN}
	for _, profile := range []Profile{ProfileV129, ProfileV137} {
		s := newSite(t)
		must(t, os.MkdirAll(s.target(), 0o755))
		r := &recorder{onIsMountPoint: func(string) error { return dead }}
		_, _, err := New(r, profile).PrepareSafeSubpath(s.subpath("dir"))
		unmounted := len(r.calls) > 1 && r.calls[1] == "Unmount("+s.target()+")"
		if want := profile == ProfileV137; (err == nil) != want || unmounted != want {
			t.Errorf("profile %d: error %v, calls %q", profile, err, r.calls)
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
		call     func(s site, r *recorder, p Profile)
		compared bool
	}{
		{"prepare", ProfileV129, prepareDir, false},
		{"prepare of v1.37 asks whether the mount is corrupted", ProfileV137, prepareDir, compares},
		{"clean", ProfileV137, cleanAll, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t)
			must(t, os.MkdirAll(s.target(), 0o755))
			r := &recorder{onIsMountPoint: func(string) error { return err }}
			if got := runs(func() { row.call(s, r, row.profile) }); got.panicked != row.compared {
				t.Errorf("the error was compared: %v", got.panicked)
			}
		})
	}
	// What leaves a mounter's doing is text alone.
	nowhere := (*fs.PathError)(nil)
	s, r := newSite(t), &recorder{onMount: func(string) error { return nowhere }}
	if _, _, err := New(r, ProfileV137).PrepareSafeSubpath(s.subpath("dir")); err == nil || !strings.HasSuffix(err.Error(), ": <nil>") {
		t.Errorf("%v", err)
	}
}

func TestAStaleMountIsDetachedByTheGivenFunction(t *testing.T) {
	for _, row := range []struct {
		name   string
		lazily error
	}{{"detached", nil}, {"not detached", errors.New("cannot detach")}} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t)
			must(t, os.MkdirAll(s.target(), 0o755))
			r := &recorder{}
			r.set(s.target(), true)
			var detached []string
			mounted, path, err := PrepareSubpathTarget(r, s.subpath("dir"), ProfileV137, func(path string) error {
				detached = append(detached, path)
				return row.lazily
			})
			if mounted || !errors.Is(err, row.lazily) || (err == nil) != (path == s.target()) {
				t.Errorf("PrepareSubpathTarget = %v, %q, %v", mounted, path, err)
			}
			if len(detached) != 1 || detached[0] != s.target() {
				t.Errorf("detached %q", detached)
			}
			expectCalls(t, r, "IsMountPoint("+s.target()+")")

			// The function is for that call alone: here the kernel is asked, and nothing is mounted.
			must(t, os.MkdirAll(s.target(), 0o755))
			_, _, err = New(r, ProfileV137).PrepareSafeSubpath(s.subpath("dir"))
			if len(detached) != 1 || !errors.Is(err, syscall.EINVAL) {
				t.Errorf("the next call detaches %q: %v", detached, err)
			}
		})
	}
}

func TestANilMounterIsFineUntilItIsNeeded(t *testing.T) {
	s := newSite(t)
	subpather := New(nil, ProfileV129)
	must(t, subpather.SafeMakeDir("made", s.volume, 0o750))
	leavesNoFiles(t, func() {
		defer func() {
			value := recover()
			if err, ok := value.(error); !ok || !strings.Contains(err.Error(), "nil pointer") {
				t.Errorf("a nil mounter gave %v", value)
			}
		}()
		subpather.PrepareSafeSubpath(s.subpath("dir"))
	})
}

func TestOnlyMountUtilsOwnMounterIsReplaced(t *testing.T) {
	type embeds struct{ *mount.Mounter }
	own := mount.New("").(*mount.Mounter)
	if !choose(own) {
		t.Error("*mount.Mounter is not replaced")
	}
	safe := func(inner mount.Interface) *mount.SafeFormatAndMount {
		return &mount.SafeFormatAndMount{Interface: inner}
	}
	for name, mounter := range map[string]mount.Interface{
		"by pointer": safe(own), "by value": *safe(own), "in another": safe(safe(own)), "value in value": *safe(*safe(own)),
	} {
		if !choose(mounter) {
			t.Errorf("*mount.Mounter in a SafeFormatAndMount is not replaced: %s", name)
		}
	}
	type embedsSafe struct{ *mount.SafeFormatAndMount }
	circle := safe(nil)
	circle.Interface = circle
	for _, mounter := range []mount.Interface{
		nil, embeds{own}, &embeds{own}, mount.NewFakeMounter(nil),
		(*mount.SafeFormatAndMount)(nil), safe(nil), *safe(nil), safe((*mount.SafeFormatAndMount)(nil)), circle,
		safe(embeds{own}), safe(mount.NewFakeMounter(nil)), embedsSafe{safe(own)}, &embedsSafe{safe(own)},
	} {
		if choose(mounter) {
			t.Errorf("%T is replaced", mounter)
		}
	}
	t.Setenv(mounterVariable, "forward")
	if choose(own) {
		t.Error("*mount.Mounter is replaced in spite of " + mounterVariable + "=forward")
	}
}
