//go:build cgo

// The mounter that stands for mount-utils' own.

package rustsubpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/mount-utils"

	"rustsubpath/internal/boundary"
	"rustsubpath/internal/testutil"
)

// ownMounter returns a new mounter, whose fallback the test is told of.
func ownMounter(t testing.TB, onFallback func()) *mounter {
	t.Helper()
	m := NewMounter("").(*mounter)
	fallback := m.fallback
	m.fallback = func() *mount.Mounter {
		onFallback()
		return fallback()
	}
	return m
}

// onPath makes a program the only one on the PATH.
func onPath(t *testing.T, name, content string) {
	t.Helper()
	dir := t.TempDir()
	testutil.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755))
	t.Setenv("PATH", dir)
}

func TestTheMounterForwardsEverythingWhereMountIsNotTheSystems(t *testing.T) {
	for _, row := range []struct {
		name  string
		setUp func(t *testing.T)
		says  string
	}{
		{"as it is", func(*testing.T) {}, ""},
		{"no mount(8) at all", func(t *testing.T) { t.Setenv("PATH", t.TempDir()) }, ""},
		{"a script", func(t *testing.T) { onPath(t, "mount", "#!/bin/sh\nexec nsenter mount\n") }, "mount on the PATH lies outside the system's directories"},
		{"a script for umount", func(t *testing.T) { onPath(t, "umount", "#!/bin/sh\n") }, "umount on the PATH lies outside the system's directories"},
		{"a program elsewhere", func(t *testing.T) { onPath(t, "mount", "\x7fELF") }, "mount on the PATH lies outside the system's directories"},
		{"a script in the system's directory", func(t *testing.T) {
			program, err := exec.LookPath("mount")
			testutil.Must(t, err)
			script := filepath.Join(t.TempDir(), "script")
			testutil.Must(t, os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755))
			testutil.Must(t, syscall.Mount(script, program, "", syscall.MS_BIND, ""))
			t.Cleanup(func() { syscall.Unmount(program, 0) })
		}, "mount on the PATH is no ELF program"},
		{"switched off", func(t *testing.T) { t.Setenv(boundary.MounterVariable, "forward") }, "RUSTSUBPATH_MOUNTER=forward is set in the environment"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.setUp(t)
			forwardsOnce = sync.Once{}
			var log testutil.Lines
			testutil.KlogTo(t, 2, "", &log)
			m := NewMounter("").(*mounter)
			if !strings.HasSuffix(m.forwards, row.says) || (m.forwards == "") != (row.says == "") {
				t.Errorf("it forwards because %q, expected %q", m.forwards, row.says)
			}
			native := row.says == ""
			if boundary.IsNative(m) != native || boundary.IsNative(&mount.SafeFormatAndMount{Interface: m}) != native {
				t.Error("New takes it for another mounter")
			}
			line := "passes every call to mount-utils, because " + m.forwards
			if strings.Contains(log.Take(), line) == native || strings.Contains(Info(), line) == native {
				t.Errorf("neither klog nor Info tells, or tells what is not so: %s", Info())
			}
		})
	}
}

func TestATypeThatEmbedsTheMounterIsAMounterOfTheCallers(t *testing.T) {
	type own struct{ *mounter }
	if boundary.IsNative(own{NewMounter("").(*mounter)}) {
		t.Error("its own methods would not be called")
	}
}

func TestTheMountersQuestionsRunNothing(t *testing.T) {
	m := ownMounter(t, func() { t.Error("mount-utils' mounter is made, which runs umount(8)") })
	s := newSite(t)
	if mounts, err := m.List(); err != nil || len(mounts) == 0 {
		t.Errorf("List: %v, %v", mounts, err)
	}
	if is, err := m.IsMountPoint("/proc"); !is || err != nil {
		t.Errorf("IsMountPoint: %v, %v", is, err)
	}
	if not, err := m.IsLikelyNotMountPoint("/proc"); not || err != nil {
		t.Errorf("IsLikelyNotMountPoint: %v, %v", not, err)
	}
	if _, err := m.GetMountRefs(s.Volume); err != nil {
		t.Errorf("GetMountRefs: %v", err)
	}
	if device, references, err := GetDeviceNameFromMount(m, "/proc"); device == "" || references == 0 || err != nil {
		t.Errorf("GetDeviceNameFromMount: %q, %d, %v", device, references, err)
	}
	subpather := New(m, ProfileV137)
	_, _, err := subpather.PrepareSafeSubpath(s.subpath("dir"))
	testutil.Must(t, err)
	testutil.Must(t, subpather.CleanSubPaths(s.Pod, "vol"))
}

func TestTheMounterMountsAndUnmounts(t *testing.T) {
	for _, way := range []string{"", "forward"} {
		t.Run(way, func(t *testing.T) {
			t.Setenv(boundary.MounterVariable, way)
			if way == "" {
				// It runs no program.
				t.Setenv("PATH", "")
			}
			at := t.TempDir()
			m := &mount.SafeFormatAndMount{Interface: NewMounter("")}
			testutil.Must(t, m.Mount("mem", at, "tmpfs", []string{"size=1m"}))
			if is, err := m.IsMountPoint(at); !is || err != nil {
				t.Errorf("IsMountPoint: %v, %v", is, err)
			}
			if device, references, err := GetDeviceNameFromMount(m, at); device != "mem" || references != 1 || err != nil {
				t.Errorf("GetDeviceNameFromMount: %q, %d, %v", device, references, err)
			}
			if !m.CanSafelySkipMountPointCheck() {
				t.Error("a path cannot be unmounted without a check")
			}
			testutil.Must(t, CleanupMountPoint(at, m, true))
			testutil.Must(t, m.Unmount("/proc/self"))
			testutil.Must(t, os.Mkdir(at, 0o755))
			testutil.Must(t, m.Mount("mem", at, "tmpfs", nil))
			testutil.Must(t, m.Interface.(mount.MounterForceUnmounter).UnmountWithForce(at, 1e10))
			if is, err := IsMountPoint(at); is || err != nil {
				t.Errorf("IsMountPoint: %v, %v", is, err)
			}
		})
	}
}

// onOwnThread runs a function on a thread with a mount namespace and a root directory of its own, which ends with it.
func onOwnThread(t *testing.T, f func() error) {
	t.Helper()
	ended := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		ended <- func() error {
			if err := syscall.Unshare(syscall.CLONE_NEWNS | syscall.CLONE_FS); err != nil {
				return fmt.Errorf("unshare: %w", err)
			}
			if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
				return fmt.Errorf("mount: %w", err)
			}
			return f()
		}()
	}()
	testutil.Must(t, <-ended)
}

// enterRoot makes a directory the root directory of the calling thread, with /proc in it.
func enterRoot(root string) error {
	return errors.Join(
		syscall.Mount(root, root, "", syscall.MS_BIND, ""),
		syscall.Mount("/proc", root+"/proc", "", syscall.MS_BIND|syscall.MS_REC, ""),
		syscall.Chroot(root),
		syscall.Chdir("/"),
	)
}

// mountedElsewhere returns the mounts below a directory that the other threads see.
func mountedElsewhere(t *testing.T, dir string) (found []string) {
	t.Helper()
	done := make(chan error)
	go func() {
		mounts, err := List()
		for _, m := range mounts {
			if mount.PathWithinBase(m.Path, dir) {
				found = append(found, m.Path)
			}
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return found
}

// A goroutine that is locked to a thread in another mount namespace, with another root directory, mounts and
// unmounts there.
func TestTheMounterActsInTheCallersNamespaceAndRoot(t *testing.T) {
	const variable = "SUBPATH_WITHOUT"
	if os.Getenv(variable) == "" {
		again := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
		again.Env = append(os.Environ(), variable+"=fsopen,open_tree,mount_setattr,statmount")
		if said, err := again.CombinedOutput(); err != nil {
			t.Errorf("without the newer calls: %v\n%s", err, said)
		}
	}
	root := t.TempDir()
	for _, dir := range []string{"proc", "source", "mem", "bound"} {
		testutil.Must(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	m := ownMounter(t, func() { t.Error("mount-utils' mounter is made") })
	onOwnThread(t, func() error {
		if err := enterRoot(root); err != nil {
			return err
		}
		err := errors.Join(
			m.Mount("own", "/mem", "tmpfs", []string{"size=1m"}),
			m.Mount("/source", "/bound", "", []string{"bind", "ro"}),
			m.Mount("none", "/mem", "", []string{"private"}),
		)
		if err != nil {
			return err
		}
		for _, dir := range []string{"/mem", "/bound"} {
			if info, err := MountAt(dir); err != nil || info == nil || info.MountPoint != dir {
				t.Errorf("on %s the caller has %+v, %v", dir, info, err)
			}
		}
		if elsewhere := mountedElsewhere(t, root); elsewhere != nil {
			t.Errorf("everybody has %q", elsewhere)
		}
		for _, dir := range []string{"/mem", "/bound"} {
			if err := m.Unmount(dir); err != nil {
				return err
			}
			if is, err := m.IsMountPoint(dir); is || err != nil {
				t.Errorf("%s is still mounted: %v, %v", dir, is, err)
			}
		}
		return nil
	})
}

func TestTheMounterActsInANamespaceThatWasEntered(t *testing.T) {
	at := t.TempDir()
	m := ownMounter(t, func() { t.Error("mount-utils' mounter is made") })
	var namespace *os.File
	onOwnThread(t, func() (err error) {
		for _, source := range []string{"below", "above"} {
			if err := m.Mount(source, at, "tmpfs", nil); err != nil {
				return err
			}
		}
		namespace, err = os.Open("/proc/thread-self/ns/mnt")
		return err
	})
	defer namespace.Close()
	onOwnThread(t, func() error {
		number := map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH]
		if _, _, errno := syscall.RawSyscall(number, namespace.Fd(), syscall.CLONE_NEWNS, 0); errno != 0 {
			return fmt.Errorf("setns: %w", errno)
		}
		for _, unmount := range []func() error{
			func() error { return m.Unmount(at) },
			func() error { return m.UnmountWithForce(at, time.Minute) },
		} {
			if is, err := m.IsMountPoint(at); !is || err != nil {
				return fmt.Errorf("it is not mounted there: %v, %w", is, err)
			}
			if err := unmount(); err != nil {
				return err
			}
		}
		if is, err := m.IsMountPoint(at); is || err != nil {
			return fmt.Errorf("it is still mounted: %v, %w", is, err)
		}
		return m.Mount("own", at, "tmpfs", nil)
	})
	if is, err := m.IsMountPoint(at); is || err != nil {
		t.Errorf("it is mounted for everybody: %v, %v", is, err)
	}
}

func TestAFailedMountIsReportedAsMountUtilsDoes(t *testing.T) {
	kernels := &fs.PathError{Op: "mount", Path: "/t", Err: syscall.EINVAL}
	const frame = "mount failed: exit status 32\nMounting command: mount\nMounting arguments: %s\nOutput: mount: /t: wrong.\n"
	arguments := func(r request, options, sensitive []string) string {
		_, line := mount.MakeMountArgsSensitiveWithMountFlags(r.source, r.target, r.fstype, options, sensitive, r.flags)
		return line
	}
	secret := []string{"pw=secret", "x"}
	volume := request{"s", "/t", "ext4", []string{"ro"}, secret, nil}
	bind := request{"s", "/t", "", []string{"bind", "ro"}, secret, []string{"--no-canonicalize"}}
	first, remount := arguments(bind, []string{"bind"}, secret), arguments(bind, []string{"bind", "remount", "ro"}, secret)
	for _, row := range []struct {
		name     string
		request  request
		step     int64
		commands []string
	}{
		{"a volume", volume, boundary.MountFailedFirst, []string{arguments(volume, volume.options, secret)}},
		{"a bind", bind, boundary.MountFailedFirst, []string{first, remount}},
		{"the remount of a bind", bind, boundary.MountFailedRemount, []string{first, remount}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var log testutil.Lines
			testutil.KlogTo(t, 4, "", &log)
			if got := row.request.commands(); !slices.Equal(got, row.commands) {
				t.Errorf("the commands are %q, expected %q", got, row.commands)
			}
			failed := 0
			if row.step == boundary.MountFailedRemount {
				failed = 1
			}
			text := fmt.Sprintf(frame, row.commands[failed])
			err := row.request.failure(boundary.Result{Number: row.step, Bytes: "mount: /t: wrong.\n"}, kernels)
			if err == nil || err.Error() != text || !errors.Is(err, syscall.EINVAL) {
				t.Errorf("%q, expected %q", err, text)
			}
			if got, want := log.Take(), "E mount_linux.go: M"+text[1:]+"\n"; got != want || strings.Contains(got, "secret") {
				t.Errorf("klog got\n%s\nexpected\n%s", got, want)
			}
		})
	}
	bind = request{source: "/s", target: "/t", options: []string{"bind"}}
	err := bind.failure(boundary.Result{Number: boundary.MountFailedStatfs}, &fs.PathError{Op: "mount", Path: "/t", Err: syscall.ENOTCONN})
	if err.Error() != "statfs /s: statfs /s: transport endpoint is not connected" || !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("a source that cannot be asked: %v", err)
	}
	err = unmountError("/t", boundary.Result{Number: boundary.MountFailedFirst, Bytes: "umount: /t: target is busy.\n"}, &fs.PathError{Op: "umount", Path: "/t", Err: syscall.EBUSY})
	if err.Error() != "unmount failed: exit status 32\nUnmounting arguments: /t\nOutput: umount: /t: target is busy.\n" || !errors.Is(err, syscall.EBUSY) {
		t.Errorf("an unmount: %v", err)
	}
}

func TestWhatHangsIsInTheLog(t *testing.T) {
	s := newScene(t)
	s.fuse(t, "hung", false)
	testutil.Must(t, os.Mkdir(s.path("source"), 0o755))
	m, at := NewMounter(""), s.path("hung")+"/target"
	var waiting []chan error
	for _, call := range []request{
		{source: "mem", target: at, fstype: "tmpfs", options: []string{"ro"}},
		{source: s.path("source"), target: at, options: []string{"bind"}},
	} {
		var log testutil.Lines
		testutil.KlogTo(t, 0, "mount_linux=4", &log)
		ended := make(chan error, 1)
		go func() { ended <- m.Mount(call.source, call.target, call.fstype, call.options) }()
		_, arguments := mount.MakeMountArgsSensitiveWithMountFlags(call.source, call.target, call.fstype, call.options, nil, nil)
		want := "I mount_linux.go: Mounting cmd (mount) with arguments (" + arguments + ")\n"
		for got, until := "", time.Now().Add(time.Minute); got != want; got += log.Take() {
			select {
			case err := <-ended:
				t.Fatalf("it did not hang: %v", err)
			default:
			}
			if time.Now().After(until) {
				t.Fatalf("klog got %q, expected %q", got, want)
			}
			time.Sleep(time.Millisecond)
		}
		waiting = append(waiting, ended)
	}
	testutil.Must(t, syscall.Unmount(s.path("hung"), syscall.MNT_FORCE|syscall.MNT_DETACH))
	for _, ended := range waiting {
		if err := <-ended; err == nil {
			t.Error("it was mounted")
		}
	}
}

func TestMountAtTellsTheTopmostMount(t *testing.T) {
	at := filepath.Join(t.TempDir(), "a b")
	testutil.Must(t, os.Mkdir(at, 0o755))
	if info, err := MountAt(at); info != nil || err != nil {
		t.Errorf("where nothing is mounted: %+v, %v", info, err)
	}
	for _, source := range []string{"below", "above it"} {
		testutil.Must(t, syscall.Mount(source, at, "tmpfs", syscall.MS_NOSUID, "mode=0750"))
		t.Cleanup(func() { syscall.Unmount(at, 0) })
		link := at + " to " + source
		testutil.Must(t, os.Symlink(at, link))
		infos, err := ParseMountInfo("/proc/thread-self/mountinfo")
		testutil.Must(t, err)
		want := infos[len(infos)-1]
		for _, path := range []string{at, link, at + "/"} {
			if info, err := MountAt(path); err != nil || info == nil || !reflect.DeepEqual(*info, want) || info.Source != source {
				t.Errorf("MountAt(%q) = %+v, %v, expected %+v", path, info, err, want)
			}
		}
	}
	if info, err := MountAt(at + "/missing"); info != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("where nothing is: %+v, %v", info, err)
	}
}
