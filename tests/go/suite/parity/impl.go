// What the suite compares: one implementation of the sub path package, as a set of function
// values, so that neither kubernetes nor the port is imported here.

package parity

import (
	"os"

	mount "k8s.io/mount-utils"
)

// Subpath holds the fields of the original's Subpath.
type Subpath struct {
	VolumeMountIndex int
	Path             string
	VolumeName       string
	VolumePath       string
	PodDir           string
	ContainerName    string
}

// Impl is one implementation. Its functions behave as the original's of the same name.
type Impl struct {
	Name string

	// BlocksOnFIFO says that this implementation may wait for a FIFO for ever; the runner then keeps
	// the FIFOs of its tree open.
	BlocksOnFIFO bool
	// Wraps says that errors of the mounter come back by %w, as since v1.37.
	Wraps bool

	SafeMakeDir        func(m mount.Interface, subdir, base string, perm os.FileMode) error
	PrepareSafeSubpath func(m mount.Interface, sp Subpath) (string, func(), error)
	CleanSubPaths      func(m mount.Interface, podDir, volumeName string) error

	DoSafeOpen         func(pathname, base string) (int, error)
	DoSafeMakeDir      func(pathname, base string, perm os.FileMode) error
	FindExistingPrefix func(base, pathname string) (string, []string, error)
	RemoveEmptyDirs    func(baseDir, endDir string) error

	// PrepareSubpathTarget calls lazyUnmount where the original calls lazyUnmountFn; nil leaves
	// the original's own function in place. Before v1.37 it is never called.
	PrepareSubpathTarget func(m mount.Interface, sp Subpath, lazyUnmount func(string) error) (bool, string, error)
}
