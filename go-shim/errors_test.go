//go:build cgo

// Errors of the library's own have the form, the text and the answers to os.Is… of the original's.

package rustsubpath

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/mount-utils"

	"rustsubpath/internal/boundary"
	"rustsubpath/internal/testutil"
)

func TestAFileInTheWayIsAPathError(t *testing.T) {
	s := newSite(t)
	err := New(nil, ProfileV129).SafeMakeDir("file", s.Volume, 0o755)
	path, ok := err.(*fs.PathError)
	if !ok || path.Op != "mkdir" || path.Path != filepath.Join(s.Volume, "file") || path.Err != error(syscall.ENOTDIR) {
		t.Errorf("%#v", err)
	}
	if !errors.Is(err, syscall.ENOTDIR) || os.IsNotExist(err) {
		t.Errorf("%v does not answer as ENOTDIR", err)
	}
}

func TestANulInAPathIsInvalid(t *testing.T) {
	s := newSite(t)
	err := New(nil, ProfileV129).SafeMakeDir("a", s.Volume+"/\x00", 0o755)
	want := "error resolving symlinks in " + s.Volume + "/\x00: lstat " + s.Volume + "/\x00: invalid argument"
	if err == nil || err.Error() != want {
		t.Errorf("%q, expected %q", err, want)
	}
	if _, _, err := New(&testutil.Recorder{}, ProfileV129).PrepareSafeSubpath(Subpath{Path: "\x00", VolumePath: "\x00"}); err == nil || !strings.HasSuffix(err.Error(), "invalid argument") {
		t.Errorf("PrepareSafeSubpath: %v", err)
	}
}

func TestMkdirWrapsInV137Only(t *testing.T) {
	s := newSite(t)
	testutil.Must(t, os.Symlink("nowhere", filepath.Join(s.Volume, "dangling")))
	for profile, wraps := range map[Profile]bool{ProfileV129: false, ProfileV137: true} {
		err := New(nil, profile).SafeMakeDir("dangling", s.Volume, 0o755)
		want := "cannot create directory " + filepath.Join(s.Volume, "dangling") + ": file exists"
		if err == nil || err.Error() != want || errors.Is(err, os.ErrExist) != wraps || os.IsExist(err) {
			t.Errorf("profile %d: %v, wraps the errno: %v", profile, err, errors.Is(err, os.ErrExist))
		}
		if wraps && errors.Unwrap(err) != error(syscall.EEXIST) {
			t.Errorf("profile %d: wraps %#v", profile, errors.Unwrap(err))
		}
	}
}

func TestAnUnknownProfileIsRefused(t *testing.T) {
	s := newSite(t)
	err := New(nil, Profile(7)).SafeMakeDir("a", s.Volume, 0o755)
	if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "profile 7") {
		t.Errorf("%v", err)
	}
}

func TestALibraryThatDoesNotFitFailsEveryOperation(t *testing.T) {
	defer func() { boundary.Problem = nil }()
	boundary.Problem = errors.New("does not fit")
	s := newSite(t)
	subpather := New(&testutil.Recorder{}, ProfileV129)
	_, _, prepare := subpather.PrepareSafeSubpath(s.subpath("dir"))
	_, table := ParseMountInfo("/proc/self/mountinfo")
	_, list := List()
	_, search := SearchMountPoints("/", "/proc/self/mountinfo")
	_, refs := GetMountRefs("/")
	_, is := IsMountPoint("/")
	likelyNot, likely := IsLikelyNotMountPoint("/")
	isNot, not := IsNotMountPoint(mount.New(""), "/")
	if !likelyNot || !isNot {
		t.Error("an error says that something is mounted")
	}
	for name, err := range map[string]error{
		"PrepareSafeSubpath":    prepare,
		"SafeMakeDir":           subpather.SafeMakeDir("made", s.Volume, 0o755),
		"CleanSubPaths":         subpather.CleanSubPaths(s.Pod, "vol"),
		"CleanupMountPoint":     CleanupMountPoint(s.Pod, &testutil.Recorder{}, true),
		"CleanupMountWithForce": CleanupMountWithForce(s.Pod, mount.New("").(*mount.Mounter), true, 0),
		"ParseMountInfo":        table,
		"List":                  list,
		"SearchMountPoints":     search,
		"GetMountRefs":          refs,
		"IsMountPoint":          is,
		"IsLikelyNotMountPoint": likely,
		"IsNotMountPoint":       not,
		"Info":                  errors.New(Info()),
	} {
		if err == nil || err.Error() != "does not fit" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(s.Volume, "made")); !os.IsNotExist(err) {
		t.Errorf("something was done all the same: %v", err)
	}
}
