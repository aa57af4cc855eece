//go:build cgo && (amd64 || arm64)

// The mounter, which has the methods of mount-utils'. klog prints the name of this file before each line,
// and -vmodule=mount_linux=4 applies to it, so it has the name of mount-utils' file.

package rustsubpath

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/mount-utils"

	"rustsubpath/internal/boundary"
)

// mounter is what NewMounter returns.
type mounter struct {
	// forwards says why every call is passed to the fallback. It is empty if none is without need.
	forwards string
	// fallback returns mount-utils' mounter. It is made when it is needed for the first time, because
	// mount.New runs umount(8).
	fallback func() *mount.Mounter
}

var _ mount.MounterForceUnmounter = &mounter{}

// NewMounter returns a mounter that can stand wherever mount-utils' mount.New does. mounterPath is a
// program that runs mount(8) for nfs, glusterfs, ceph and cifs.
//
// It mounts and unmounts by system calls, reads the mount table and checks mount points by the functions
// of this package. Whatever only mount(8) or umount(8) can do it passes to mount-utils' own mounter, which
// runs them. Errors have mount-utils' texts, and wrap the kernel's errno.
//
// It passes everything if RUSTSUBPATH_MOUNTER=forward is set in the environment, or if mount or umount on
// the PATH is a script or lies outside the system's directories: images of CSI drivers have such a program
// there, which mounts in the host's namespace. Info tells if so.
//
// The value also has the method UnmountWithForce: it is a mount.MounterForceUnmounter. New,
// CleanupMountPoint and the other functions of this package treat it as mount-utils' own mounter, also
// inside a mount.SafeFormatAndMount.
func NewMounter(mounterPath string) mount.Interface {
	m := &mounter{
		forwards: forwardsAll(),
		fallback: sync.OnceValue(func() *mount.Mounter { return mount.New(mounterPath).(*mount.Mounter) }),
	}
	if m.forwards == "" {
		boundary.Announce(boundary.For(m, int(ProfileV137)))
	} else {
		forwardsOnce.Do(func() {
			klog.V(2).Infof("rustsubpath: NewMounter passes every call to mount-utils, because %s", m.forwards)
		})
	}
	return m
}

var forwardsOnce sync.Once

// forwardsAll returns why a mounter made now passes every call to mount-utils, or nothing.
func forwardsAll() string {
	if boundary.Problem != nil {
		return boundary.Problem.Error()
	}
	if boundary.SwitchedOff() {
		return boundary.MounterVariable + "=forward is set in the environment"
	}
	for _, program := range []string{"mount", "umount"} {
		if why := wrapped(program); why != "" {
			return why
		}
	}
	return ""
}

// wrapped returns why the program on the PATH is not the one that mount-utils means, or nothing. A program
// that is missing is none that does something else.
func wrapped(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err.Error()
	}
	switch filepath.Dir(file) {
	case "/bin", "/sbin", "/usr/bin", "/usr/sbin":
	default:
		return fmt.Sprintf("%s on the PATH lies outside the system's directories", file)
	}
	const elf = "\x7fELF"
	start := make([]byte, len(elf))
	opened, err := os.Open(file)
	if err != nil {
		return err.Error()
	}
	defer opened.Close()
	if n, _ := opened.Read(start); string(start[:n]) != elf {
		return fmt.Sprintf("%s on the PATH is no ELF program", file)
	}
	return ""
}

// MountsNatively makes the mounter a boundary.OwnMounter.
func (m *mounter) MountsNatively(self mount.Interface) bool {
	return self == mount.Interface(m) && m.forwards == ""
}

// Mount mounts source to target as fstype with the options.
func (m *mounter) Mount(source, target, fstype string, options []string) error {
	return m.MountSensitive(source, target, fstype, options, nil)
}

// MountSensitive is Mount with more options, which are never logged.
func (m *mounter) MountSensitive(source, target, fstype string, options, sensitiveOptions []string) error {
	if done, err := m.mount(&request{source, target, fstype, options, sensitiveOptions, nil}); done {
		return err
	}
	return m.fallback().MountSensitive(source, target, fstype, options, sensitiveOptions)
}

// MountSensitiveWithoutSystemd is MountSensitive without a systemd scope where mount(8) is run.
func (m *mounter) MountSensitiveWithoutSystemd(source, target, fstype string, options, sensitiveOptions []string) error {
	return m.MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype, options, sensitiveOptions, nil)
}

// MountSensitiveWithoutSystemdWithMountFlags is MountSensitiveWithoutSystemd with flags of mount(8).
func (m *mounter) MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype string, options, sensitiveOptions, mountFlags []string) error {
	if done, err := m.mount(&request{source, target, fstype, options, sensitiveOptions, mountFlags}); done {
		return err
	}
	return m.fallback().MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype, options, sensitiveOptions, mountFlags)
}

// Unmount unmounts the target. It returns nil if nothing is mounted there.
func (m *mounter) Unmount(target string) error {
	if done, err := m.unmount(boundary.Unmount, 0, target); done {
		return err
	}
	return m.fallback().Unmount(target)
}

// UnmountWithForce unmounts the target in bounded time. If that takes longer than the timeout, or fails with
// EBUSY while the server of the mount does not answer, it is repeated with MNT_FORCE. That aborts requests
// to the server and may lose data, and is logged as a warning. It takes six times the timeout at most, and
// then fails with ETIMEDOUT. A timeout below 100 ms counts as 100 ms.
//
// What only umount(8) can unmount is unmounted by it, and by umount -f after the timeout, which may hang.
func (m *mounter) UnmountWithForce(target string, umountTimeout time.Duration) error {
	if done, err := m.unmount(boundary.UnmountWithForce, max(0, int64(umountTimeout)), target); done {
		return err
	}
	return m.fallback().UnmountWithForce(target, umountTimeout)
}

// unmount unmounts by system calls. done is false, and nothing is done, where only umount(8) can do it.
func (m *mounter) unmount(operation boundary.Operation, number int64, target string) (done bool, err error) {
	if m.forwards != "" || hasNUL(target) {
		return false, nil
	}
	result, err := kernel.Do(operation, number, target)
	if err == nil && result.Number == boundary.MountForwarded {
		klog.V(5).Infof("umount(8) unmounts %s: %s", target, result.Bytes)
		return false, nil
	}
	return true, unmountError(target, result, err)
}

// unmountError returns the error of an unmount as mount-utils does.
func unmountError(target string, result boundary.Result, err error) error {
	if err == nil || result.Number == boundary.MountDone {
		return err
	}
	return &programError{fmt.Sprintf("unmount failed: %s\nUnmounting arguments: %s\nOutput: %s", exitStatus, target, result.Bytes), err}
}

// request is what a mount is asked for.
type request struct {
	source, target, fstype    string
	options, sensitive, flags []string
}

// mount mounts by system calls. done is false, and nothing is done, where only mount(8) can do it.
func (m *mounter) mount(r *request) (done bool, err error) {
	if m.forwards != "" || hasNUL(r.source, r.target, r.fstype) || hasNUL(r.options...) || hasNUL(r.sensitive...) || hasNUL(r.flags...) {
		return false, nil
	}
	var lines []string
	if klog.V(4).Enabled() {
		for _, arguments := range r.commands() {
			lines = append(lines, fmt.Sprintf("Mounting cmd (mount) with arguments (%s)", arguments))
		}
	}
	result, err := kernel.Do(boundary.Mount, 0, r.source, r.target, r.fstype,
		boundary.Packed(r.options), boundary.Packed(r.sensitive), boundary.Packed(r.flags), boundary.Packed(lines))
	switch {
	case err == nil && result.Number == boundary.MountForwarded:
		why := "it has sensitive options"
		if len(r.sensitive) == 0 {
			why = result.Bytes
		}
		klog.V(5).Infof("mount(8) mounts %s: %s", r.target, why)
		return false, nil
	case err == nil, result.Number == boundary.MountDone:
		return true, err
	}
	return true, r.failure(result, err)
}

// failure logs and returns an error as mount-utils does.
func (r *request) failure(result boundary.Result, err error) error {
	command := 0
	switch result.Number {
	case boundary.MountFailedStatfs:
		var errno syscall.Errno
		errors.As(err, &errno)
		return &os.PathError{Op: "statfs", Path: r.source, Err: &os.PathError{Op: "statfs", Path: r.source, Err: errno}}
	case boundary.MountFailedRemount:
		command = 1
	}
	text := fmt.Sprintf("ount failed: %s\nMounting command: mount\nMounting arguments: %s\nOutput: %s", exitStatus, r.commands()[command], result.Bytes)
	klog.Errorf("M%s\n", text)
	return &programError{"m" + text, err}
}

// commands returns the arguments of the commands that mount-utils would run, as it logs them. The second of
// a bind is shown without the flags of the source, which mount-utils adds.
func (r *request) commands() []string {
	shown := func(options, sensitive []string) string {
		_, arguments := mount.MakeMountArgsSensitiveWithMountFlags(r.source, r.target, r.fstype, options, sensitive, r.flags)
		return arguments
	}
	bind, bindOptions, remountOptions, remountSensitive := mount.MakeBindOptsSensitive(r.options, r.sensitive)
	if bind {
		return []string{shown(bindOptions, remountSensitive), shown(remountOptions, remountSensitive)}
	}
	return []string{shown(r.options, r.sensitive)}
}

// exitStatus is how mount(8) and umount(8) end where a system call fails.
const exitStatus = "exit status 32"

// programError is an error with the text of a program that failed, which wraps the kernel's.
type programError struct {
	text string
	err  error
}

func (e *programError) Error() string { return e.text }

func (e *programError) Unwrap() error { return e.err }

// hasNUL reports whether a string cannot be passed to the kernel or to a program.
func hasNUL(texts ...string) bool {
	for _, text := range texts {
		if strings.IndexByte(text, 0) >= 0 {
			return true
		}
	}
	return false
}

// List returns every mount that the calling thread sees.
func (m *mounter) List() ([]mount.MountPoint, error) {
	if m.forwards != "" {
		return m.fallback().List()
	}
	return List()
}

// IsLikelyNotMountPoint reports whether nothing is mounted at the path.
func (m *mounter) IsLikelyNotMountPoint(file string) (bool, error) {
	if m.forwards != "" {
		return m.fallback().IsLikelyNotMountPoint(file)
	}
	return IsLikelyNotMountPoint(file)
}

// CanSafelySkipMountPointCheck reports whether Unmount returns nil where nothing is mounted.
func (m *mounter) CanSafelySkipMountPointCheck() bool {
	return m.forwards == "" || m.fallback().CanSafelySkipMountPointCheck()
}

// IsMountPoint reports whether something is mounted at the path.
func (m *mounter) IsMountPoint(file string) (bool, error) {
	if m.forwards != "" {
		return m.fallback().IsMountPoint(file)
	}
	return IsMountPoint(file)
}

// GetMountRefs returns the other paths at which the directory or file at pathname is mounted.
func (m *mounter) GetMountRefs(pathname string) ([]string, error) {
	if m.forwards != "" {
		return m.fallback().GetMountRefs(pathname)
	}
	return GetMountRefs(pathname)
}
