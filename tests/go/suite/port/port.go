// Package port binds the Go drop-in, which the suite holds against the original.
package port

import (
	"os"

	mount "k8s.io/mount-utils"
	"rustsubpath"
	"rustsubpath/upstreamtest"
	"suite/parity"
)

// The port with each profile.
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
		DoSafeOpen: upstreamtest.DoSafeOpen,
		DoSafeMakeDir: func(pathname, base string, perm os.FileMode) error {
			return upstreamtest.DoSafeMakeDir(pathname, base, perm, profile)
		},
		FindExistingPrefix: upstreamtest.FindExistingPrefix,
		RemoveEmptyDirs:    upstreamtest.RemoveEmptyDirs,
		PrepareSubpathTarget: func(m mount.Interface, sp parity.Subpath, lazyUnmount func(string) error) (bool, string, error) {
			return upstreamtest.PrepareSubpathTarget(m, rustsubpath.Subpath(sp), profile, lazyUnmount)
		},
	}
}
