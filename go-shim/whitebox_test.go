//go:build cgo

// The original's inner steps, as the swapped tree's tests call them.

package rustsubpath

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func TestDoSafeOpenOpensThePathItself(t *testing.T) {
	s := newSite(t)
	leavesNoFiles(t, func() {
		fd, err := DoSafeOpen(filepath.Join(s.volume, "dir/hello"), s.volume)
		must(t, err)
		if to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil || to != s.volume+"/dir/hello" {
			t.Errorf("opened %q, %v", to, err)
		}
		must(t, syscall.Close(fd))
		must(t, os.Symlink("dir", filepath.Join(s.volume, "link")))
		fd, err = DoSafeOpen(filepath.Join(s.volume, "link"), s.volume)
		if want := "unexpected symlink found " + s.volume + "/link"; fd != -1 || err == nil || err.Error() != want {
			t.Errorf("DoSafeOpen = %d, %v, expected -1, %s", fd, err, want)
		}
	})
}

func TestDoSafeMakeDirStaysInside(t *testing.T) {
	s := newSite(t)
	must(t, DoSafeMakeDir(filepath.Join(s.volume, "x/y"), s.volume, 0o750, ProfileV129))
	err := DoSafeMakeDir(filepath.Join(s.pod, "x"), s.volume, 0o750, ProfileV129)
	if want := fmt.Sprintf("path %s/x is outside of allowed base %s", s.pod, s.volume); err == nil || err.Error() != want {
		t.Errorf("%v, expected %s", err, want)
	}
}

func TestFindExistingPrefix(t *testing.T) {
	s := newSite(t)
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
		prefix, missing, err := FindExistingPrefix(s.volume, s.volume+row.path)
		if prefix != s.volume+row.prefix || !reflect.DeepEqual(missing, row.missing) || (err != nil) != row.err {
			t.Errorf("%.20q: %q, %.100q, %v, expected %q, %.100q", row.path, prefix, missing, err, s.volume+row.prefix, row.missing)
		}
	}
}

func TestRemoveEmptyDirsStopsAtTheFirstThatIsNot(t *testing.T) {
	s := newSite(t)
	must(t, os.MkdirAll(filepath.Join(s.pod, "a/b/c"), 0o755))
	must(t, os.WriteFile(filepath.Join(s.pod, "a/keep"), nil, 0o644))
	must(t, RemoveEmptyDirs(s.pod, filepath.Join(s.pod, "a/b/c")))
	if left, want := s.left(t), []string{s.pod + "/a", s.pod + "/a/keep"}; !reflect.DeepEqual(left, want) {
		t.Errorf("left: %q, expected %q", left, want)
	}
	if err := RemoveEmptyDirs(s.pod, s.volume); err == nil {
		t.Error("a directory outside of the base is no error")
	}
}

func TestATargetIsMadeAndKnownAgain(t *testing.T) {
	s, r := newSite(t), &recorder{}
	mounted, target, err := PrepareSubpathTarget(r, s.subpath("file"), ProfileV129, nil)
	info, statErr := os.Stat(target)
	if mounted || target != s.target() || err != nil || statErr != nil || !info.Mode().IsRegular() {
		t.Fatalf("PrepareSubpathTarget = %v, %q, %v (%v)", mounted, target, err, statErr)
	}
	must(t, os.Remove(target))
	must(t, os.Link(filepath.Join(s.volume, "file"), target))
	r.set(target, true)
	if mounted, _, err = PrepareSubpathTarget(r, s.subpath("file"), ProfileV129, nil); !mounted || err != nil {
		t.Errorf("a target that is bound already: %v, %v", mounted, err)
	}
}

func TestATargetWithoutAGivenFunctionIsDetachedByTheKernel(t *testing.T) {
	s := newSite(t)
	_, _, err := native(t, ProfileV137).PrepareSafeSubpath(s.subpath("dir"))
	must(t, err)
	r := &recorder{}
	r.set(s.target(), true)
	mounted, _, err := PrepareSubpathTarget(r, s.subpath("file"), ProfileV137, nil)
	if mounted || err == nil || !strings.Contains(err.Error(), "is a directory") {
		// The directory that is under the mount is in the way of a file, as in the original.
		t.Errorf("PrepareSubpathTarget: %v, %v", mounted, err)
	}
	if mounts := s.mounts(); mounts != nil {
		t.Errorf("still mounted: %q", mounts)
	}
}
