//go:build cgo

// The original's inner steps under their own names, for the swapped tree's tests that call them. No
// other use is meant, and no promise goes with them.

package rustsubpath

// #include "rustsubpath.h"
import "C"

import (
	"os"
	"syscall"

	"k8s.io/mount-utils"
)

// DoSafeOpen opens the path below base with O_PATH, through no symlink.
func DoSafeOpen(pathname string, base string) (int, error) {
	if libraryProblem != nil {
		return -1, libraryProblem
	}
	f := borrowFrame(nil, false, ProfileV129)
	defer f.giveBack()
	f.pack(pathname, base)
	opened := false
	defer func() {
		// A logger's panic comes up after the descriptor was opened.
		if !opened && f.step.state == C.RSP_DONE {
			syscall.Close(int(f.step.number))
		}
	}()
	if err := f.finish(C.rsp_open_beneath(&f.options, f.argsAt(), f.argsLen(), &f.step)); err != nil {
		return -1, err
	}
	opened = true
	return int(f.step.number), nil
}

// DoSafeMakeDir makes the path below base; neither may have a symlink in it.
func DoSafeMakeDir(pathname string, base string, perm os.FileMode, profile Profile) error {
	if libraryProblem != nil {
		return libraryProblem
	}
	f := borrowFrame(nil, false, profile)
	defer f.giveBack()
	f.pack(pathname, base)
	return f.finish(C.rsp_make_dir_resolved(&f.options, f.argsAt(), f.argsLen(), C.uint32_t(perm), &f.step))
}

// FindExistingPrefix finds how much of the path exists, and the names that do not.
func FindExistingPrefix(base, pathname string) (string, []string, error) {
	if libraryProblem != nil {
		return "", nil, libraryProblem
	}
	f := borrowFrame(nil, false, ProfileV129)
	defer f.giveBack()
	f.pack(base, pathname)
	err := f.finish(C.rsp_existing_prefix(&f.options, f.argsAt(), f.argsLen(), &f.step))
	fields := unpack(f.result)
	if len(fields) == 0 {
		return "", nil, err
	}
	if err != nil {
		return fields[0], nil, err
	}
	return fields[0], fields[1:], nil
}

// RemoveEmptyDirs removes endDir and its parents up to baseDir as long as they are empty.
func RemoveEmptyDirs(baseDir, endDir string) error {
	if libraryProblem != nil {
		return libraryProblem
	}
	f := borrowFrame(nil, false, ProfileV129)
	defer f.giveBack()
	f.pack(baseDir, endDir)
	return f.finish(C.rsp_remove_empty_dirs(&f.options, f.argsAt(), f.argsLen(), &f.step))
}

// DoBindSubPath is PrepareSafeSubpath without a Subpather.
func DoBindSubPath(mounter mount.Interface, subPath Subpath, profile Profile) (string, error) {
	return prepare(mounter, choose(mounter), subPath, profile)
}

// DoCleanSubPaths is CleanSubPaths without a Subpather.
func DoCleanSubPaths(mounter mount.Interface, podDir string, volumeName string, profile Profile) error {
	return clean(mounter, choose(mounter), podDir, volumeName, profile)
}

// PrepareSubpathTarget makes what a sub path is to be bound to; true says that it is bound already.
// The mounter is called even if it is a *mount.Mounter. lazyUnmount detaches a stale mount
// (ProfileV137); nil stands for umount2(2) with MNT_DETACH.
func PrepareSubpathTarget(mounter mount.Interface, subPath Subpath, profile Profile, lazyUnmount func(path string) error) (bool, string, error) {
	if libraryProblem != nil {
		return false, "", libraryProblem
	}
	f := borrowFrame(mounter, false, profile)
	defer f.giveBack()
	f.recovers, f.lazyUnmount = profile.recoversCorrupted(), lazyUnmount
	f.packSubpath(&subPath)
	err := f.finish(C.rsp_prepare_subpath_target(&f.options, f.argsAt(), f.argsLen(), C.int64_t(subPath.VolumeMountIndex), &f.step))
	return err == nil && f.step.number != 0, f.result, err
}
