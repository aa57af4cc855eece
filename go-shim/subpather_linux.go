//go:build cgo && (amd64 || arm64)

// The operations: the methods of kubernetes' subpath.Interface.

package rustsubpath

import (
	"fmt"
	"os"

	"k8s.io/mount-utils"

	"rustsubpath/internal/boundary"
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

// Info returns one line with the library's version and the newer kernel features that it uses. It also
// says so if NewMounter would pass every call to mount-utils, and why.
func Info() string {
	info := boundary.Info()
	if why := forwardsAll(); why != "" && boundary.Problem == nil {
		info += "; NewMounter passes every call to mount-utils, because " + why
	}
	return info
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
	return fmt.Sprintf("%s; %s; %s", boundary.Info(), profile, way)
}
