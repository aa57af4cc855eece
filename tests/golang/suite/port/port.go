// Package port binds the Go drop-in, which the suite holds against the original.
package port

import (
	"os"

	mount "k8s.io/mount-utils"
	"rustsubpath"
	"suite/parity"
)

// Seed is the port as kubernetes v1.29 to v1.36 want it; V137 as v1.37 does.
var (
	V129 = bind("the port, profile v1.29", rustsubpath.ProfileV129)
	V137 = bind("the port, v1.37 profile", rustsubpath.ProfileV137)
)

func bind(name string, profile rustsubpath.Profile) parity.Impl {
	return parity.Impl{
		Name: name,
		SafeMakeDir: func(m mount.Interface, subdir, base string, perm os.FileMode) error {
			return rustsubpath.New(m, profile).SafeMakeDir(subdir, base, perm)
		},
		PrepareSafeSubpath: func(m mount.Interface, sp parity.Subpath) (string, func(), error) {
			return rustsubpath.New(m, profile).PrepareSafeSubpath(rustsubpath.Subpath(sp))
		},
		CleanSubPaths: func(m mount.Interface, podDir, volumeName string) error {
			return rustsubpath.New(m, profile).CleanSubPaths(podDir, volumeName)
		},
		DoSafeOpen: rustsubpath.DoSafeOpen,
		DoSafeMakeDir: func(pathname, base string, perm os.FileMode) error {
			return rustsubpath.DoSafeMakeDir(pathname, base, perm, profile)
		},
		FindExistingPrefix: rustsubpath.FindExistingPrefix,
		RemoveEmptyDirs:    rustsubpath.RemoveEmptyDirs,
		PrepareSubpathTarget: func(m mount.Interface, sp parity.Subpath, lazyUnmount func(string) error) (bool, string, error) {
			return rustsubpath.PrepareSubpathTarget(m, rustsubpath.Subpath(sp), profile, lazyUnmount)
		},
	}
}
