// Package v137 binds the unmodified sub path package of kubernetes v1.37.2, its unexported
// functions too, as the original that the suite compares with.
package v137

import (
	"os"
	_ "unsafe" // for go:linkname

	"k8s.io/kubernetes/pkg/volume/util/subpath"
	mount "k8s.io/mount-utils"
	"suite/parity"
)

//go:linkname doSafeOpen k8s.io/kubernetes/pkg/volume/util/subpath.doSafeOpen
func doSafeOpen(pathname, base string) (int, error)

//go:linkname doSafeMakeDir k8s.io/kubernetes/pkg/volume/util/subpath.doSafeMakeDir
func doSafeMakeDir(pathname, base string, perm os.FileMode) error

//go:linkname findExistingPrefix k8s.io/kubernetes/pkg/volume/util/subpath.findExistingPrefix
func findExistingPrefix(base, pathname string) (string, []string, error)

//go:linkname removeEmptyDirs k8s.io/kubernetes/pkg/volume/util/subpath.removeEmptyDirs
func removeEmptyDirs(baseDir, endDir string) error

//go:linkname prepareSubpathTarget k8s.io/kubernetes/pkg/volume/util/subpath.prepareSubpathTarget
func prepareSubpathTarget(mounter mount.Interface, sp subpath.Subpath) (bool, string, error)

// lazyUnmountFn is the variable by which the original's own tests replace the lazy unmount.
//
//go:linkname lazyUnmountFn k8s.io/kubernetes/pkg/volume/util/subpath.lazyUnmountFn
var lazyUnmountFn func(string) error

// Original is the package as function values.
var Original = parity.Impl{
	Name:         "kubernetes v1.37.2",
	BlocksOnFIFO: true,
	Wraps:        true,
	SafeMakeDir: func(m mount.Interface, subdir, base string, perm os.FileMode) error {
		return subpath.New(m).SafeMakeDir(subdir, base, perm)
	},
	PrepareSafeSubpath: func(m mount.Interface, sp parity.Subpath) (string, func(), error) {
		return subpath.New(m).PrepareSafeSubpath(subpath.Subpath(sp))
	},
	CleanSubPaths: func(m mount.Interface, podDir, volumeName string) error {
		return subpath.New(m).CleanSubPaths(podDir, volumeName)
	},
	DoSafeOpen:         doSafeOpen,
	DoSafeMakeDir:      doSafeMakeDir,
	FindExistingPrefix: findExistingPrefix,
	RemoveEmptyDirs:    removeEmptyDirs,
	PrepareSubpathTarget: func(m mount.Interface, sp parity.Subpath, lazyUnmount func(string) error) (bool, string, error) {
		if lazyUnmount != nil {
			defer func(own func(string) error) { lazyUnmountFn = own }(lazyUnmountFn)
			lazyUnmountFn = lazyUnmount
		}
		return prepareSubpathTarget(m, subpath.Subpath(sp))
	},
}
