//go:build cgo

// The operations: the methods of kubernetes' subpath.Interface.

package rustsubpath

import (
	"fmt"
	"os"

	"k8s.io/mount-utils"

	"rustsubpath/internal/boundary"
)

// Subpath is a container's request for a sub path of a volume, with the fields of kubernetes'
// subpath.Subpath.
type Subpath struct {
	// VolumeMountIndex is the index of the VolumeMount in the container.
	VolumeMountIndex int
	// Path is the full path of the sub path on the host.
	Path string
	// VolumeName is the volume's name, which must be a valid directory name.
	VolumeName string
	// VolumePath is the full path of the volume on the host.
	VolumePath string
	// PodDir is the pod's directory on the host, including the pod's UID.
	PodDir string
	// ContainerName is the name of the container.
	ContainerName string
}

// Profile selects the behaviour of a range of kubernetes releases, where they differ.
type Profile int

const (
	// ProfileV129 is kubernetes v1.29 to v1.36.
	ProfileV129 Profile = iota
	// ProfileV137 is kubernetes v1.37, which recovers from corrupted mounts and detaches stale ones
	// lazily.
	ProfileV137
)

// Subpather has the methods of kubernetes' subpath.Interface. It is safe for concurrent use if its
// mounter is.
type Subpather struct {
	settings boundary.Settings
}

// New returns a Subpather that uses the mounter and behaves as the profile's releases. The mounter may
// be nil as long as only SafeMakeDir is called.
func New(mounter mount.Interface, profile Profile) *Subpather {
	settings := boundary.For(mounter, int(profile))
	boundary.Announce(settings)
	return &Subpather{settings}
}

// SafeMakeDir makes the directory subdir, and its parents that do not exist, below base with the mode
// perm. It never makes a directory outside of base, even while the owner of base replaces directories by
// symlinks.
func (s *Subpather) SafeMakeDir(subdir string, base string, perm os.FileMode) error {
	_, err := s.settings.Do(boundary.SafeMakeDir, int64(perm), subdir, base)
	return err
}

// PrepareSafeSubpath bind-mounts the sub path below the pod's directory and returns the path of the
// mount. It returns an error if the sub path is not inside the volume; once mounted, the sub path cannot
// be changed by the volume's owner. cleanupAction is always nil: CleanSubPaths cleans up when the pod
// ends.
func (s *Subpather) PrepareSafeSubpath(subPath Subpath) (newHostPath string, cleanupAction func(), err error) {
	result, err := s.settings.Do(boundary.PrepareSafeSubpath, int64(subPath.VolumeMountIndex),
		subPath.Path, subPath.VolumeName, subPath.VolumePath, subPath.PodDir, subPath.ContainerName)
	return result.Bytes, nil, err
}

// CleanSubPaths unmounts and removes everything that PrepareSafeSubpath made for a volume of a pod.
func (s *Subpather) CleanSubPaths(podDir string, volumeName string) error {
	_, err := s.settings.Do(boundary.CleanSubPaths, 0, podDir, volumeName)
	return err
}

// Info returns one line with the library's version and the newer kernel features that it uses.
func Info() string {
	return boundary.Info()
}

// Info returns one line with the library's version, the profile, the way of mounting, and the newer
// kernel features that the library uses, for a log line or a health check.
func (s *Subpather) Info() string {
	if boundary.Problem != nil {
		return boundary.Problem.Error()
	}
	profile := fmt.Sprintf("profile %d, which is unknown", s.settings.Profile)
	switch Profile(s.settings.Profile) {
	case ProfileV129:
		profile = "profile v1.29"
	case ProfileV137:
		profile = "profile v1.37"
	}
	way := fmt.Sprintf("mounts by the caller's %T", s.settings.Mounter)
	if s.settings.Native {
		way = "mounts by system calls of its own"
	} else if s.settings.Mounter == nil {
		way = "has no mounter"
	}
	return fmt.Sprintf("%s; %s; %s", Info(), profile, way)
}
