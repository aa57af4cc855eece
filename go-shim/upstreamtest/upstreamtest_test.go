//go:build cgo

package upstreamtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"k8s.io/mount-utils"

	"rustsubpath"
	"rustsubpath/internal/boundary"
	"rustsubpath/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }

func subpath(s testutil.Site, path string) rustsubpath.Subpath {
	return rustsubpath.Subpath(s.Subpath(path))
}

func TestDoSafeOpenOpensThePathItself(t *testing.T) {
	s := testutil.NewSite(t)
	testutil.LeavesNoFiles(t, func() {
		fd, err := DoSafeOpen(filepath.Join(s.Volume, "dir/hello"), s.Volume)
		testutil.Must(t, err)
		if to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil || to != s.Volume+"/dir/hello" {
			t.Errorf("opened %q, %v", to, err)
		}
		testutil.Must(t, syscall.Close(fd))
		testutil.Must(t, os.Symlink("dir", filepath.Join(s.Volume, "link")))
		fd, err = DoSafeOpen(filepath.Join(s.Volume, "link"), s.Volume)
		if want := "unexpected symlink found " + s.Volume + "/link"; fd != -1 || err == nil || err.Error() != want {
			t.Errorf("DoSafeOpen = %d, %v, expected -1, %s", fd, err, want)
		}
	})
}

func TestDoSafeMakeDirStaysInside(t *testing.T) {
	s := testutil.NewSite(t)
	testutil.Must(t, DoSafeMakeDir(filepath.Join(s.Volume, "x/y"), s.Volume, 0o750, rustsubpath.ProfileV129))
	err := DoSafeMakeDir(filepath.Join(s.Pod, "x"), s.Volume, 0o750, rustsubpath.ProfileV129)
	if want := fmt.Sprintf("path %s/x is outside of allowed base %s", s.Pod, s.Volume); err == nil || err.Error() != want {
		t.Errorf("%v, expected %s", err, want)
	}
}

func TestFindExistingPrefix(t *testing.T) {
	s := testutil.NewSite(t)
	many := strings.Repeat("/many", 1000)
	for _, row := range []struct {
		path, prefix string
		missing      []string
		err          bool
	}{
		{path: "/dir/deep", prefix: "/dir/deep", missing: []string{}},
		{path: "/dir/no/such", prefix: "/dir", missing: []string{"no", "such"}},
		{path: "/file/below", prefix: "", missing: nil, err: true},
		{path: "/a\x00b", prefix: "", missing: nil, err: true},
		// Longer than a step's buffer.
		{path: many, prefix: "", missing: strings.Split(many[1:], "/")},
	} {
		prefix, missing, err := FindExistingPrefix(s.Volume, s.Volume+row.path)
		if prefix != s.Volume+row.prefix || !reflect.DeepEqual(missing, row.missing) || (err != nil) != row.err {
			t.Errorf("%.20q: %q, %.100q, %v, expected %q, %.100q", row.path, prefix, missing, err, s.Volume+row.prefix, row.missing)
		}
	}
}

func TestRemoveEmptyDirsStopsAtTheFirstThatIsNot(t *testing.T) {
	s := testutil.NewSite(t)
	testutil.Must(t, os.MkdirAll(filepath.Join(s.Pod, "a/b/c"), 0o755))
	testutil.Must(t, os.WriteFile(filepath.Join(s.Pod, "a/keep"), nil, 0o644))
	testutil.Must(t, RemoveEmptyDirs(s.Pod, filepath.Join(s.Pod, "a/b/c")))
	if left, want := s.Left(t), []string{s.Pod + "/a", s.Pod + "/a/keep"}; !reflect.DeepEqual(left, want) {
		t.Errorf("left: %q, expected %q", left, want)
	}
	if err := RemoveEmptyDirs(s.Pod, s.Volume); err == nil {
		t.Error("a directory outside of the base is no error")
	}
}

func TestATargetIsMadeAndKnownAgain(t *testing.T) {
	s, r := testutil.NewSite(t), &testutil.Recorder{}
	mounted, target, err := PrepareSubpathTarget(r, subpath(s, "file"), rustsubpath.ProfileV129, nil)
	info, statErr := os.Stat(target)
	if mounted || target != s.Target() || err != nil || statErr != nil || !info.Mode().IsRegular() {
		t.Fatalf("PrepareSubpathTarget = %v, %q, %v (%v)", mounted, target, err, statErr)
	}
	testutil.Must(t, os.Remove(target))
	testutil.Must(t, os.Link(filepath.Join(s.Volume, "file"), target))
	r.Set(target, true)
	if mounted, _, err = PrepareSubpathTarget(r, subpath(s, "file"), rustsubpath.ProfileV129, nil); !mounted || err != nil {
		t.Errorf("a target that is bound already: %v, %v", mounted, err)
	}
}

func TestATargetWithoutAGivenFunctionIsDetachedByTheKernel(t *testing.T) {
	s := testutil.NewSite(t)
	_, _, err := rustsubpath.New(mount.New(""), rustsubpath.ProfileV137).PrepareSafeSubpath(subpath(s, "dir"))
	testutil.Must(t, err)
	r := &testutil.Recorder{}
	r.Set(s.Target(), true)
	mounted, _, err := PrepareSubpathTarget(r, subpath(s, "file"), rustsubpath.ProfileV137, nil)
	if mounted || err == nil || !strings.Contains(err.Error(), "is a directory") {
		// The directory that is under the mount is in the way of a file, as in the original.
		t.Errorf("PrepareSubpathTarget: %v, %v", mounted, err)
	}
	if mounts := s.Mounts(); mounts != nil {
		t.Errorf("still mounted: %q", mounts)
	}
}

func TestAStaleMountIsDetachedByTheGivenFunction(t *testing.T) {
	for _, row := range []struct {
		name   string
		lazily error
	}{{"detached", nil}, {"not detached", errors.New("cannot detach")}} {
		t.Run(row.name, func(t *testing.T) {
			s := testutil.NewSite(t)
			testutil.Must(t, os.MkdirAll(s.Target(), 0o755))
			r := &testutil.Recorder{}
			r.Set(s.Target(), true)
			var detached []string
			mounted, path, err := PrepareSubpathTarget(r, subpath(s, "dir"), rustsubpath.ProfileV137, func(path string) error {
				detached = append(detached, path)
				return row.lazily
			})
			if mounted || !errors.Is(err, row.lazily) || (err == nil) != (path == s.Target()) {
				t.Errorf("PrepareSubpathTarget = %v, %q, %v", mounted, path, err)
			}
			if len(detached) != 1 || detached[0] != s.Target() {
				t.Errorf("detached %q", detached)
			}
			testutil.ExpectCalls(t, r, "IsMountPoint("+s.Target()+")")

			// The function is for that call alone: here the kernel is asked, and nothing is mounted.
			testutil.Must(t, os.MkdirAll(s.Target(), 0o755))
			_, _, err = rustsubpath.New(r, rustsubpath.ProfileV137).PrepareSafeSubpath(subpath(s, "dir"))
			if len(detached) != 1 || !errors.Is(err, syscall.EINVAL) {
				t.Errorf("the next call detaches %q: %v", detached, err)
			}
		})
	}
}

func TestALoggerThatLeavesLeavesNoDescriptor(t *testing.T) {
	s := testutil.NewSite(t)
	lines, frames := 0, boundary.IdleFrames()
	testutil.KlogTo(t, 5, "", testutil.Leaver{On: "Opening path", Leave: func() { lines++; panic("no log") }})
	testutil.LeavesNoFiles(t, func() {
		defer func() {
			if value := recover(); value != "no log" || lines != 1 {
				t.Errorf("%d lines, then %v", lines, value)
			}
		}()
		DoSafeOpen(s.Volume+"/dir/deep", s.Volume)
	})
	if now := boundary.IdleFrames(); now < frames {
		t.Errorf("%d idle frames, %d before", now, frames)
	}
}

func TestALibraryThatDoesNotFitIsAnError(t *testing.T) {
	defer func() { boundary.Problem = nil }()
	boundary.Problem = errors.New("does not fit")
	s := testutil.NewSite(t)
	_, open := DoSafeOpen(s.Volume, s.Volume)
	_, _, prefix := FindExistingPrefix(s.Volume, s.Volume)
	_, _, target := PrepareSubpathTarget(&testutil.Recorder{}, subpath(s, "dir"), rustsubpath.ProfileV129, nil)
	for name, err := range map[string]error{
		"DoSafeOpen":           open,
		"DoSafeMakeDir":        DoSafeMakeDir(s.Volume+"/made", s.Volume, 0o755, rustsubpath.ProfileV129),
		"FindExistingPrefix":   prefix,
		"RemoveEmptyDirs":      RemoveEmptyDirs(s.Pod, s.Pod),
		"PrepareSubpathTarget": target,
	} {
		if err != boundary.Problem {
			t.Errorf("%s: %v", name, err)
		}
	}
}
