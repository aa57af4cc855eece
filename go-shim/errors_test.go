//go:build cgo

// Errors of the library's own have the form, the text and the answers to os.Is… of the original's.

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

func TestAFileInTheWayIsAPathError(t *testing.T) {
	s := newSite(t)
	err := New(nil, ProfileV129).SafeMakeDir("file", s.volume, 0o755)
	path, ok := err.(*fs.PathError)
	if !ok || path.Op != "mkdir" || path.Path != filepath.Join(s.volume, "file") || path.Err != error(syscall.ENOTDIR) {
		t.Errorf("%#v", err)
	}
	if !errors.Is(err, syscall.ENOTDIR) || os.IsNotExist(err) {
		t.Errorf("%v does not answer as ENOTDIR", err)
	}
}

func TestANulInAPathIsInvalid(t *testing.T) {
	s := newSite(t)
	err := New(nil, ProfileV129).SafeMakeDir("a", s.volume+"/\x00", 0o755)
	want := "error resolving symlinks in " + s.volume + "/\x00: lstat " + s.volume + "/\x00: invalid argument"
	if err == nil || err.Error() != want {
		t.Errorf("%q, expected %q", err, want)
	}
	if _, _, err := New(&recorder{}, ProfileV129).PrepareSafeSubpath(Subpath{Path: "\x00", VolumePath: "\x00"}); err == nil || !strings.HasSuffix(err.Error(), "invalid argument") {
		t.Errorf("PrepareSafeSubpath: %v", err)
	}
}

func TestMkdirWrapsInV137Only(t *testing.T) {
	s := newSite(t)
	must(t, os.Symlink("nowhere", filepath.Join(s.volume, "dangling")))
	for profile, wraps := range map[Profile]bool{ProfileV129: false, ProfileV137: true} {
		err := New(nil, profile).SafeMakeDir("dangling", s.volume, 0o755)
		want := "cannot create directory " + filepath.Join(s.volume, "dangling") + ": file exists"
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
	err := New(nil, Profile(7)).SafeMakeDir("a", s.volume, 0o755)
	if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "profile 7") {
		t.Errorf("%v", err)
	}
}

func TestALibraryOfAnotherVersionFailsEveryOperationWithOneSentence(t *testing.T) {
	defer func(was error) { libraryProblem = was }(libraryProblem)
	if libraryProblem != nil {
		t.Fatalf("the library linked here does not fit: %v", libraryProblem)
	}
	libraryProblem = checkLibrary(libraryVersion() + 1)
	s := newSite(t)
	subpather := New(&recorder{}, ProfileV129)
	_, _, prepare := subpather.PrepareSafeSubpath(s.subpath("dir"))
	_, open := DoSafeOpen(s.volume, s.volume)
	_, _, prefix := FindExistingPrefix(s.volume, s.volume)
	_, _, target := PrepareSubpathTarget(&recorder{}, s.subpath("dir"), ProfileV129, nil)
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
		"SafeMakeDir":           subpather.SafeMakeDir("made", s.volume, 0o755),
		"CleanSubPaths":         subpather.CleanSubPaths(s.pod, "vol"),
		"CleanupMountPoint":     CleanupMountPoint(s.pod, &recorder{}, true),
		"CleanupMountWithForce": CleanupMountWithForce(s.pod, mount.New("").(*mount.Mounter), true, 0),
		"ParseMountInfo":        table,
		"List":                  list,
		"SearchMountPoints":     search,
		"GetMountRefs":          refs,
		"IsMountPoint":          is,
		"IsLikelyNotMountPoint": likely,
		"IsNotMountPoint":       not,
		"DoSafeOpen":            open,
		"DoSafeMakeDir":         DoSafeMakeDir(s.volume+"/made", s.volume, 0o755, ProfileV129),
		"FindExistingPrefix":    prefix,
		"RemoveEmptyDirs":       RemoveEmptyDirs(s.pod, s.pod),
		"PrepareSubpathTarget":  target,
		"Info":                  errors.New(Info()),
	} {
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("version %d: run \"make build\"", libraryVersion()+1)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(s.volume, "made")); !os.IsNotExist(err) {
		t.Errorf("something was done all the same: %v", err)
	}
}
