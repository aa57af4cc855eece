//go:build !linux || !cgo || !(amd64 || arm64)

// What stands in for the library where it cannot be linked: without cgo, and on other systems and
// processors. A program compiles there as well, and every function is mount-utils' own.

package rustsubpath

import (
	"errors"
	"os"
	"time"

	"k8s.io/mount-utils"
)

// SubPathsNeedCgoOnLinuxAmd64OrArm64 is the parameter of New where no sub path can be prepared, so that
// the compiler's message says what is missing: build with CGO_ENABLED=1 for linux/amd64 or linux/arm64,
// or put the calls of New into a file with that constraint.
type SubPathsNeedCgoOnLinuxAmd64OrArm64 struct{ _ int }

// errNoLibrary is the error of whatever only the library does.
var errNoLibrary = errors.New("rustsubpath: this program is built without its library, which needs cgo and linux/amd64 or linux/arm64")

// Subpather has the methods of kubernetes' subpath.Interface. Here they return an error.
type Subpather struct{}

// New cannot be called here, because mount-utils has no sub paths.
func New(_ SubPathsNeedCgoOnLinuxAmd64OrArm64, _ Profile) *Subpather { return &Subpather{} }

// SafeMakeDir returns an error.
func (*Subpather) SafeMakeDir(subdir string, base string, perm os.FileMode) error {
	return errNoLibrary
}

// PrepareSafeSubpath returns an error.
func (*Subpather) PrepareSafeSubpath(subPath Subpath) (newHostPath string, cleanupAction func(), err error) {
	return "", nil, errNoLibrary
}

// CleanSubPaths returns an error.
func (*Subpather) CleanSubPaths(podDir string, volumeName string) error { return errNoLibrary }

// Info returns what Info of the package does.
func (*Subpather) Info() string { return Info() }

// Info returns one line that says that the library is not there.
func Info() string {
	return "rustsubpath: built without its library, which needs cgo and linux/amd64 or linux/arm64; every function is mount-utils' own"
}

// NewMounter is mount-utils' mount.New.
func NewMounter(mounterPath string) mount.Interface { return mount.New(mounterPath) }

// kernel asks mount-utils' questions. It is not made by mount.New, which runs umount(8).
var kernel mount.Interface = &mount.Mounter{}

// List is the method of mount-utils' mounter.
func List() ([]mount.MountPoint, error) { return kernel.List() }

// GetMountRefs is the method of mount-utils' mounter.
func GetMountRefs(pathname string) ([]string, error) { return kernel.GetMountRefs(pathname) }

// IsMountPoint is the method of mount-utils' mounter.
func IsMountPoint(file string) (bool, error) { return kernel.IsMountPoint(file) }

// IsLikelyNotMountPoint is the method of mount-utils' mounter.
func IsLikelyNotMountPoint(file string) (bool, error) { return kernel.IsLikelyNotMountPoint(file) }

// IsNotMountPoint is mount-utils' function.
func IsNotMountPoint(mounter mount.Interface, file string) (bool, error) {
	//lint:ignore SA1019 a program that calls it is to compile everywhere
	return mount.IsNotMountPoint(mounter, file)
}

// CleanupMountPoint is mount-utils' function.
func CleanupMountPoint(mountPath string, mounter mount.Interface, extensiveMountPointCheck bool) error {
	return mount.CleanupMountPoint(mountPath, mounter, extensiveMountPointCheck)
}

// CleanupMountWithForce is mount-utils' function.
func CleanupMountWithForce(mountPath string, mounter mount.MounterForceUnmounter, extensiveMountPointCheck bool, umountTimeout time.Duration) error {
	return mount.CleanupMountWithForce(mountPath, mounter, extensiveMountPointCheck, umountTimeout)
}

// GetDeviceNameFromMount is mount-utils' function.
func GetDeviceNameFromMount(mounter mount.Interface, mountPath string) (string, int, error) {
	return mount.GetDeviceNameFromMount(mounter, mountPath)
}
