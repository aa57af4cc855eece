//go:build !windows && (!linux || !cgo || !(amd64 || arm64))

// What mount-utils has on every system but Windows.

package rustsubpath

import "k8s.io/mount-utils"

// ParseMountInfo is mount-utils' function.
func ParseMountInfo(filename string) ([]mount.MountInfo, error) {
	return mount.ParseMountInfo(filename)
}
