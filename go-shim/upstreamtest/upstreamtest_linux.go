//go:build cgo && (amd64 || arm64)

package upstreamtest

import (
	"os"

	"k8s.io/mount-utils"

	"rustsubpath"
	"rustsubpath/internal/boundary"
)

// DoSafeOpen opens pathname, which must be base or lie below it, with O_PATH and without following a
// symlink. It returns the descriptor, or -1 and an error.
func DoSafeOpen(pathname string, base string) (int, error) {
	result, err := boundary.Settings{}.Do(boundary.OpenBeneath, 0, pathname, base)
	if err != nil {
		return -1, err
	}
	return int(result.Number), nil
}

// DoSafeMakeDir makes the directory pathname and its missing parents below base, with the mode perm.
// Neither path may contain a symlink.
func DoSafeMakeDir(pathname string, base string, perm os.FileMode, profile rustsubpath.Profile) error {
	_, err := boundary.For(nil, int(profile)).Do(boundary.MakeDirResolved, int64(perm), pathname, base)
	return err
}

// FindExistingPrefix returns the part of pathname that exists, and the names below it that do not. base
// is a prefix of pathname that exists.
func FindExistingPrefix(base, pathname string) (string, []string, error) {
	result, err := boundary.Settings{}.Do(boundary.ExistingPrefix, 0, base, pathname)
	fields := result.Fields()
	if len(fields) == 0 {
		return "", nil, err
	}
	if err != nil {
		return fields[0], nil, err
	}
	return fields[0], fields[1:], nil
}

// RemoveEmptyDirs removes endDir and its parents up to but without baseDir, as long as they are empty.
func RemoveEmptyDirs(baseDir, endDir string) error {
	_, err := boundary.Settings{}.Do(boundary.RemoveEmptyDirs, 0, baseDir, endDir)
	return err
}

// DoBindSubPath does what PrepareSafeSubpath of a [rustsubpath.Subpather] does, and returns the path of
// the mount.
func DoBindSubPath(mounter mount.Interface, subPath rustsubpath.Subpath, profile rustsubpath.Profile) (string, error) {
	hostPath, _, err := rustsubpath.New(mounter, profile).PrepareSafeSubpath(subPath)
	return hostPath, err
}

// DoCleanSubPaths does what CleanSubPaths of a [rustsubpath.Subpather] does.
func DoCleanSubPaths(mounter mount.Interface, podDir string, volumeName string, profile rustsubpath.Profile) error {
	return rustsubpath.New(mounter, profile).CleanSubPaths(podDir, volumeName)
}

// PrepareSubpathTarget makes the file or directory that a sub path is to be mounted on, and returns its
// path. It returns true if the sub path is mounted there already. The mounter is called even if it is a
// *mount.Mounter. lazyUnmount detaches a stale mount (ProfileV137); nil stands for umount2(2) with
// MNT_DETACH.
func PrepareSubpathTarget(mounter mount.Interface, subPath rustsubpath.Subpath, profile rustsubpath.Profile, lazyUnmount func(path string) error) (bool, string, error) {
	settings := boundary.Settings{Mounter: mounter, Profile: int(profile), LazyUnmount: lazyUnmount}
	result, err := settings.Do(boundary.PrepareSubpathTarget, int64(subPath.VolumeMountIndex),
		subPath.Path, subPath.VolumeName, subPath.VolumePath, subPath.PodDir, subPath.ContainerName)
	return err == nil && result.Number != 0, result.Bytes, err
}
