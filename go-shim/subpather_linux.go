//go:build cgo

// The operations: the methods of kubernetes' subpath.Interface.

package rustsubpath

// #include "rustsubpath.h"
import "C"

import (
	"os"

	"k8s.io/mount-utils"
)

// Subpath says which sub path of which volume a container wants, with the fields of kubernetes'
// subpath.Subpath.
type Subpath struct {
	// VolumeMountIndex is the index of the VolumeMount in the container.
	VolumeMountIndex int
	// Path is the whole path of the sub path on the host.
	Path string
	// VolumeName is the volume's name, a valid name of a directory.
	VolumeName string
	// VolumePath is the whole path of the volume.
	VolumePath string
	// PodDir is the pod's directory, including the pod's UID.
	PodDir string
	// ContainerName is the container's name.
	ContainerName string
}

// Profile names the kubernetes releases whose behaviour is wanted, where they differ.
type Profile int

const (
	// ProfileV129 is kubernetes v1.29 to v1.36.
	ProfileV129 Profile = iota
	// ProfileV137 is kubernetes v1.37: it recovers from corrupted mounts and detaches stale ones
	// lazily.
	ProfileV137
)

// recoversCorrupted says whether an operation asks of an error if it tells of a corrupted mount.
func (p Profile) recoversCorrupted() bool {
	return p != ProfileV129
}

// Subpather has the methods of kubernetes' subpath.Interface. It is safe for concurrent use if its
// mounter is.
type Subpather struct {
	mounter mount.Interface
	native  bool
	profile Profile
}

// New returns a Subpather for the mounter, which may be nil as long as only SafeMakeDir is used.
func New(mounter mount.Interface, profile Profile) *Subpather {
	native := choose(mounter)
	announce(mounter, native)
	return &Subpather{mounter: mounter, native: native, profile: profile}
}

// SafeMakeDir makes subdir and its missing parents below base with the given mode, and never a
// directory outside of base, whatever the owner of base exchanges for a symlink meanwhile.
func (s *Subpather) SafeMakeDir(subdir string, base string, perm os.FileMode) error {
	if libraryProblem != nil {
		return libraryProblem
	}
	f := borrowFrame(s.mounter, s.native, s.profile)
	defer f.giveBack()
	f.pack(subdir, base)
	return f.finish(C.rsp_safe_make_dir(&f.options, f.argsAt(), f.argsLen(), C.uint32_t(perm), &f.step))
}

// PrepareSafeSubpath binds the sub path below the pod's directory and returns where. It must be
// inside the volume, and stays what it is whatever the volume's owner does afterwards. The clean-up
// function is always nil: CleanSubPaths cleans up when the pod ends.
func (s *Subpather) PrepareSafeSubpath(subPath Subpath) (newHostPath string, cleanupAction func(), err error) {
	newHostPath, err = prepare(s.mounter, s.native, subPath, s.profile)
	return newHostPath, nil, err
}

// CleanSubPaths unmounts and removes what PrepareSafeSubpath made for a volume of a pod.
func (s *Subpather) CleanSubPaths(podDir string, volumeName string) error {
	return clean(s.mounter, s.native, podDir, volumeName, s.profile)
}

func prepare(mounter mount.Interface, native bool, subPath Subpath, profile Profile) (string, error) {
	if libraryProblem != nil {
		return "", libraryProblem
	}
	f := borrowFrame(mounter, native, profile)
	defer f.giveBack()
	f.recovers = profile.recoversCorrupted()
	f.packSubpath(&subPath)
	err := f.finish(C.rsp_prepare_safe_subpath(&f.options, f.argsAt(), f.argsLen(), C.int64_t(subPath.VolumeMountIndex), &f.step))
	return f.result, err
}

func clean(mounter mount.Interface, native bool, podDir, volumeName string, profile Profile) error {
	if libraryProblem != nil {
		return libraryProblem
	}
	f := borrowFrame(mounter, native, profile)
	defer f.giveBack()
	f.pack(podDir, volumeName)
	return f.finish(C.rsp_clean_sub_paths(&f.options, f.argsAt(), f.argsLen(), &f.step))
}
