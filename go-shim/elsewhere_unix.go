//go:build !windows && (!linux || !cgo || !(amd64 || arm64))

// What mount-utils has on every system but Windows, or what is made of that.

package rustsubpath

import (
	"path/filepath"

	"k8s.io/mount-utils"
)

// ParseMountInfo is mount-utils' function.
func ParseMountInfo(filename string) ([]mount.MountInfo, error) {
	return mount.ParseMountInfo(filename)
}

// MountAt returns the mount whose root is at the path, the topmost if several are stacked there, or nil if
// nothing is mounted there. It follows symlinks and reads the whole mount table.
func MountAt(path string) (*mount.MountInfo, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	if resolved, err = filepath.Abs(resolved); err != nil {
		return nil, err
	}
	infos, err := mount.ParseMountInfo("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for i := len(infos) - 1; i >= 0; i-- {
		if infos[i].MountPoint == resolved {
			return &infos[i], nil
		}
	}
	return nil, nil
}
