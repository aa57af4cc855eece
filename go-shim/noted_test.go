//go:build cgo

// Clean-up of what mount(8) mounted, which notes in /run/mount/utab what the kernel does not know: the
// caller's mounter runs umount(8) then.

package rustsubpath

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/mount-utils"

	"rustsubpath/internal/testutil"
)

const utab = "/run/mount/utab"

// ownUtab gives the test an empty utab of its own.
func ownUtab(t *testing.T) {
	t.Helper()
	testutil.Must(t, syscall.Mount("run", "/run", "tmpfs", 0, ""))
	t.Cleanup(func() { syscall.Unmount("/run", syscall.MNT_DETACH) })
	testutil.Must(t, os.Mkdir("/run/mount", 0o755))
}

func entries(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(utab)
	if !os.IsNotExist(err) {
		testutil.Must(t, err)
	}
	return string(text)
}

// byMount8 mounts a tmpfs by mount(8).
func byMount8(t *testing.T, option, path string) {
	t.Helper()
	testutil.Must(t, os.MkdirAll(path, 0o755))
	output, err := exec.Command("mount", "-t", "tmpfs", "-o", option, "source", path).CombinedOutput()
	if err != nil {
		t.Fatalf("mount: %v: %s", err, output)
	}
}

func TestOfFiftyMountsNoEntryStays(t *testing.T) {
	own := mount.New("").(*mount.Mounter)
	for name, clean := range map[string]func(path string) error{
		"own":   func(path string) error { return CleanupMountPoint(path, own, true) },
		"safe":  func(path string) error { return CleanupMountPoint(path, mount.NewSafeFormatAndMount(own, nil), false) },
		"force": func(path string) error { return CleanupMountWithForce(path, own, true, time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			ownUtab(t)
			dir := t.TempDir()
			for i := 0; i < 50; i++ {
				byMount8(t, []string{"_netdev", "user", "x-test=1"}[i%3], fmt.Sprintf("%s/a b%d", dir, i))
			}
			if n := strings.Count(entries(t), "\n"); n != 50 {
				t.Fatalf("%d entries were made", n)
			}
			testutil.LeavesNoFiles(t, func() {
				for i := 0; i < 50; i++ {
					path := fmt.Sprintf("%s/a b%d", dir, i)
					testutil.Must(t, clean(path))
					if _, err := os.Lstat(path); !os.IsNotExist(err) {
						t.Errorf("%s is still there: %v", path, err)
					}
				}
			})
			if left := entries(t); left != "" {
				t.Errorf("entries are left:\n%s", left)
			}
		})
	}
}

// umountIs puts a shell script in the place of umount(8).
func umountIs(t *testing.T, script string) {
	t.Helper()
	path, err := exec.LookPath("umount")
	testutil.Must(t, err)
	path, err = filepath.EvalSymlinks(path)
	testutil.Must(t, err)
	fake := filepath.Join(t.TempDir(), "umount")
	testutil.Must(t, os.WriteFile(fake, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	testutil.Must(t, syscall.Mount(fake, path, "", syscall.MS_BIND, ""))
	t.Cleanup(func() { syscall.Unmount(path, syscall.MNT_DETACH) })
}

func TestWhereUmountFailsTheMountGoesAndTheEntryIsToldOf(t *testing.T) {
	ownUtab(t)
	path := t.TempDir() + "/noted"
	byMount8(t, "_netdev", path)
	own := mount.New("") // runs umount(8) itself
	umountIs(t, "echo for the test; exit 32")
	var log testutil.Lines
	testutil.KlogTo(t, 0, "", &log)
	testutil.Must(t, CleanupMountPoint(path, own, true))
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
	said := log.Take()
	for _, told := range []string{
		"umount(8) of " + path + " failed, trying umount2(2): unmount failed: exit status 32",
		"for the test",
		"Unmounting " + path + " left its entry in " + utab,
	} {
		if !strings.Contains(said, told) {
			t.Errorf("not logged: %s\nlogged:\n%s", told, said)
		}
	}
}

func TestWithoutAnEntryNoProgramIsRunNorForASubPath(t *testing.T) {
	ownUtab(t)
	s := newSite(t)
	noted, plain := t.TempDir()+"/noted", t.TempDir()+"/plain"
	byMount8(t, "_netdev", noted)
	byMount8(t, "nosuid", plain)
	byMount8(t, "_netdev", s.Target())
	own, subpather := mount.New(""), native(t, ProfileV137) // run umount(8) themselves
	ran := t.TempDir() + "/ran"
	umountIs(t, "echo \"$@\" >>"+ran)
	testutil.Must(t, CleanupMountPoint(plain, own, true))
	_, _, err := subpather.PrepareSafeSubpath(s.subpath("dir"))
	testutil.Must(t, err)
	testutil.Must(t, subpather.CleanSubPaths(s.Pod, "vol"))
	if _, err := os.Lstat(ran); !os.IsNotExist(err) {
		t.Errorf("umount(8) was run: %v", err)
	}
	testutil.Must(t, CleanupMountPoint(noted, own, true))
	if args, err := os.ReadFile(ran); err != nil || string(args) != noted+"\n" {
		t.Errorf("umount(8) was run with %q, %v", args, err)
	}
}
