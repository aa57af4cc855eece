// The mounters that are measured.

package main

import (
	"os"

	"golang.org/x/sys/unix"
	mount "k8s.io/mount-utils"
)

// bareMounter does by one system call each what mount-utils' own mounter runs a program for. It is
// a mounter of the caller's own to the port, which calls it as the original does.
type bareMounter struct{ mount.Interface }

func newBareMounter() mount.Interface { return bareMounter{kernelMounter} }

func (bareMounter) MountSensitiveWithoutSystemdWithMountFlags(source, target, _ string, _, _, _ []string) error {
	return unix.Mount(source, target, "", unix.MS_BIND, "")
}

func (bareMounter) Unmount(target string) error { return unix.Unmount(target, unix.UMOUNT_NOFOLLOW) }

func (bareMounter) IsMountPoint(path string) (bool, error) {
	var x unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, 0, &x); err != nil {
		if err == unix.ENOENT {
			return false, os.ErrNotExist
		}
		return false, err
	}
	return x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

// kernelMounter is made once: mount.New runs programs to find out what umount(8) can do. A program
// that starts has, until its execve(2), a copy of every descriptor, those of new mounts too, and an
// unmount in that moment finds the mount busy.
var kernelMounter = mount.New("")

func newRealMounter() mount.Interface { return kernelMounter }

// newFakeMounter keeps a list of mounts and touches nothing; only logic and callbacks are left.
func newFakeMounter() mount.Interface { return mount.NewFakeMounter(nil) }
