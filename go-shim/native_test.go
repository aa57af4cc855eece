//go:build cgo

// With mount-utils' own mounter the library mounts for real, on the caller's thread.

package rustsubpath

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"k8s.io/mount-utils"

	"rustsubpath/internal/boundary"
	"rustsubpath/internal/testutil"
)

// native makes a Subpather that mounts for real.
func native(t testing.TB, profile Profile) *Subpather {
	t.Helper()
	s := New(mount.New(""), profile)
	if !s.settings.Native {
		t.Fatalf("the native mounter is off: %s=%q", boundary.MounterVariable, os.Getenv(boundary.MounterVariable))
	}
	return s
}

func TestEveryKindOfSubPathIsMountedAndCleaned(t *testing.T) {
	for _, profile := range []Profile{ProfileV129, ProfileV137} {
		for _, kind := range []string{"dir", "dir/deep", "file", "fifo", "socket", "link", "odd \xff\n name"} {
			t.Run(fmt.Sprintf("%d/%q", profile, kind), func(t *testing.T) {
				s := newSite(t)
				testutil.Must(t, syscall.Mkfifo(filepath.Join(s.Volume, "fifo"), 0o600))
				testutil.Must(t, os.Symlink("dir", filepath.Join(s.Volume, "link")))
				testutil.Must(t, os.Mkdir(filepath.Join(s.Volume, "odd \xff\n name"), 0o700))
				// A socket's path is short; the test's directory may not be.
				testutil.Must(t, os.Chdir(s.Volume))
				defer os.Chdir("/")
				socket, err := net.Listen("unix", "socket")
				testutil.Must(t, err)
				defer socket.Close()

				testutil.LeavesNoFiles(t, func() {
					subpather := native(t, profile)
					for again := 0; again < 2; again++ {
						got, cleanup, err := subpather.PrepareSafeSubpath(s.subpath(kind))
						if got != s.Target() || cleanup != nil || err != nil {
							t.Fatalf("PrepareSafeSubpath = %q, %v, %v", got, cleanup != nil, err)
						}
						if mounts := s.Mounts(); !reflect.DeepEqual(mounts, []string{s.Target()}) {
							t.Fatalf("mounted: %q", mounts)
						}
						want, err := os.Stat(filepath.Join(s.Volume, kind))
						testutil.Must(t, err)
						is, err := os.Stat(got)
						testutil.Must(t, err)
						if !os.SameFile(want, is) {
							t.Errorf("%s is not %s", got, kind)
						}
					}
					testutil.Must(t, subpather.CleanSubPaths(s.Pod, "vol"))
				})
				s.ExpectNothing(t)
			})
		}
	}
}

func TestASwappedDirectoryIsRefused(t *testing.T) {
	s := newSite(t)
	outside := t.TempDir()
	dir := filepath.Join(s.Volume, "dir")
	testutil.Must(t, os.Rename(dir, dir+".away"))
	testutil.Must(t, os.Symlink(outside, dir))
	testutil.LeavesNoFiles(t, func() {
		got, _, err := native(t, ProfileV129).PrepareSafeSubpath(s.subpath("dir"))
		want := fmt.Sprintf("subpath %q not within volume path %q", outside, s.Volume)
		if got != "" || err == nil || err.Error() != want {
			t.Errorf("PrepareSafeSubpath = %q, %v, expected %s", got, err, want)
		}
	})
	if mounts := s.Mounts(); mounts != nil {
		t.Errorf("mounted: %q", mounts)
	}
}

func TestWhatIsMountedInTheWayIsReplaced(t *testing.T) {
	for _, profile := range []Profile{ProfileV129, ProfileV137} {
		s := newSite(t)
		subpather := native(t, profile)
		_, _, err := subpather.PrepareSafeSubpath(s.subpath("dir"))
		testutil.Must(t, err)
		_, _, err = subpather.PrepareSafeSubpath(s.subpath("dir/deep"))
		testutil.Must(t, err)
		is, err := os.Stat(s.Target())
		testutil.Must(t, err)
		want, err := os.Stat(filepath.Join(s.Volume, "dir/deep"))
		testutil.Must(t, err)
		if mounts := s.Mounts(); len(mounts) != 1 || !os.SameFile(is, want) {
			t.Errorf("profile %d: mounted: %q", profile, mounts)
		}
		testutil.Must(t, subpather.CleanSubPaths(s.Pod, "vol"))
	}
}

func TestAMountInUseIsAnErrorAndStays(t *testing.T) {
	s, subpather := newSite(t), native(t, ProfileV129)
	_, _, err := subpather.PrepareSafeSubpath(s.subpath("dir"))
	testutil.Must(t, err)
	held, err := os.Open(s.Target())
	testutil.Must(t, err)
	defer held.Close()
	err = subpather.CleanSubPaths(s.Pod, "vol")
	if err == nil || !strings.Contains(err.Error(), "device or resource busy") || !strings.Contains(err.Error(), s.Target()) {
		t.Errorf("CleanSubPaths: %v", err)
	}
	testutil.Must(t, held.Close())
	testutil.Must(t, subpather.CleanSubPaths(s.Pod, "vol"))
	s.ExpectNothing(t)
}

// A goroutine that is locked to a thread in another mount namespace mounts there.
func TestItMountsInTheCallersNamespace(t *testing.T) {
	s, subpather := newSite(t), native(t, ProfileV129)
	var inside []string
	ended := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and its namespace with it.
		runtime.LockOSThread()
		ended <- func() error {
			if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
				return fmt.Errorf("unshare: %w", err)
			}
			if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
				return fmt.Errorf("mount: %w", err)
			}
			_, _, err := subpather.PrepareSafeSubpath(s.subpath("dir"))
			inside = s.Mounts()
			return err
		}()
	}()
	testutil.Must(t, <-ended)
	if outside := s.Mounts(); !reflect.DeepEqual(inside, []string{s.Target()}) || outside != nil {
		t.Errorf("mounted for the caller: %q, for everybody: %q", inside, outside)
	}
}

func TestManyCallersAtOnce(t *testing.T) {
	s, subpather := newSite(t), native(t, ProfileV137)
	const callers, rounds = 8, 20
	testutil.LeavesNoFiles(t, func() {
		for round := 0; round < rounds; round++ {
			var wait sync.WaitGroup
			for i := 0; i < callers; i++ {
				wait.Add(1)
				go func(i int) {
					defer wait.Done()
					same, own := s.subpath("dir"), s.subpath("file")
					own.VolumeMountIndex = 100 + i
					for _, request := range []Subpath{same, own} {
						if _, _, err := subpather.PrepareSafeSubpath(request); err != nil {
							t.Errorf("prepare: %v", err)
						}
					}
					if err := subpather.SafeMakeDir(fmt.Sprintf("made/%d/by/all", round), s.Volume, 0o755); err != nil {
						t.Errorf("make: %v", err)
					}
				}(i)
			}
			wait.Wait()
			if mounts := s.Mounts(); len(mounts) != callers+1 {
				t.Fatalf("round %d: %d mounts, expected %d: %q", round, len(mounts), callers+1, mounts)
			}
			testutil.Must(t, subpather.CleanSubPaths(s.Pod, "vol"))
			if mounts, left := s.Mounts(), s.Left(t); mounts != nil || left != nil {
				t.Fatalf("round %d: left mounted: %q, left behind: %q", round, mounts, left)
			}
		}
	})
}

func TestSafeMakeDirGivesTheModeAsked(t *testing.T) {
	s := newSite(t)
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	mode := os.ModeDir | os.ModeSetgid | os.ModeSticky | 0o775
	testutil.Must(t, New(nil, ProfileV129).SafeMakeDir("a/b", s.Volume, mode))
	for _, made := range []string{"a", "a/b"} {
		info, err := os.Stat(filepath.Join(s.Volume, made))
		testutil.Must(t, err)
		if info.Mode() != mode {
			t.Errorf("%s has mode %v, expected %v", made, info.Mode(), mode)
		}
	}
}
