//go:build !cgo || !(amd64 || arm64)

// What mount-utils has on Linux alone.

package rustsubpath

import "k8s.io/mount-utils"

// SearchMountPoints is mount-utils' function.
func SearchMountPoints(hostSource, mountInfoPath string) ([]string, error) {
	return mount.SearchMountPoints(hostSource, mountInfoPath)
}
