// A private world for the sides: own mount namespace, own root. Nothing that either
// implementation does in it, through whatever link or "..", reaches the machine.

package parity

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// topA and topB are where each side's file system is mounted inside the sandbox: two, so that
	// neither side sees the other's entries from whatever directory above.
	topA = "/w/" + nameA
	topB = "/w/" + nameB
	// RootA and RootB are the twin roots; one as long as the other, so that lengths agree, and
	// apart in a name that occurs nowhere else, so that texts can be mapped. They lie a little
	// deeper, so that a few ".." stay on the side.
	RootA = topA + "/1/2"
	RootB = topB + "/1/2"

	nameA, nameB = "side-A", "side-B"
)

// onA writes a text of either side as side A's; onB the other way.
func onA(s string) string { return strings.ReplaceAll(s, nameB, nameA) }
func onB(s string) string { return strings.ReplaceAll(s, nameA, nameB) }

// Namespaced makes cmd start in its own mount namespace, for an ordinary user inside a user
// namespace where it is root.
func Namespaced(cmd *exec.Cmd) {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
}

// enterSandbox turns this process, which Namespaced started, to a root of its own: an almost
// empty tmpfs, read-only, with /proc, one file in /etc, and the world.
func enterSandbox() error {
	root := os.TempDir()
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"mount / private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"mount tmpfs on " + root, func() error { return unix.Mount("parity", root, "tmpfs", 0, "mode=0755") }},
		{"chdir " + root, func() error { return os.Chdir(root) }},
		{"make directories", func() error {
			return errors.Join(os.Mkdir("proc", 0o755), os.Mkdir("etc", 0o755), os.MkdirAll("."+topA, 0o755), os.MkdirAll("."+topB, 0o755))
		}},
		{"write /etc/passwd", func() error { return os.WriteFile("etc/passwd", []byte("root:x:0:0::/:/bin/sh\n"), 0o644) }},
		{"bind /proc", func() error { return unix.Mount("/proc", "proc", "", unix.MS_BIND|unix.MS_REC, "") }},
		{"pivot_root", func() error { return unix.PivotRoot(".", ".") }},
		{"detach the old root", func() error { return unix.Unmount(".", unix.MNT_DETACH) }},
		{"chdir /", func() error { return os.Chdir("/") }},
		{"remount / read-only", func() error { return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "") }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("sandbox: %s: %w", step.what, err)
		}
	}
	for _, m := range mountTable() {
		sandboxMounts[m.id] = true
	}
	return nil
}

// sandboxMounts are the mounts, by id, that belong to the sandbox itself.
var sandboxMounts = map[string]bool{}

// newWorld mounts a fresh file system for each side of one case and makes the roots on them.
func newWorld() error {
	for top, root := range map[string]string{topA: RootA, topB: RootB} {
		if err := unix.Mount("parity", top, "tmpfs", 0, "mode=0755,size=64m"); err != nil {
			return fmt.Errorf("mount tmpfs on %s: %w", top, err)
		}
		if err := os.MkdirAll(root, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// endWorld takes the case's file systems away with every mount that was made on them, and mounts
// that were made elsewhere: a target that is a link leads anywhere.
func endWorld() error {
	if err := os.Chdir("/"); err != nil {
		return err
	}
	err := errors.Join(unix.Unmount(topA, unix.MNT_DETACH), unix.Unmount(topB, unix.MNT_DETACH))
	for _, m := range mountTable() {
		if !sandboxMounts[m.id] {
			unix.Unmount(m.point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
	}
	return err
}
