// Package mount gives mount-utils' own tests our functions to test. The tests are not here: they are
// taken out of the module mount-utils when this is built; see ../theirs_test.go.
package mount

//lint:file-ignore U1000 the tests laid over this package use what looks unused

import (
	// The tests import these two, so that go.mod has to name them.
	_ "github.com/stretchr/testify/assert"
	_ "k8s.io/utils/ptr"

	mountutils "k8s.io/mount-utils"
	"rustsubpath"
)

// The names that the tests use for types and for the mounter in memory.
type (
	MountInfo   = mountutils.MountInfo
	MountPoint  = mountutils.MountPoint
	FakeMounter = mountutils.FakeMounter
)

var NewFakeMounter = mountutils.NewFakeMounter

// What is tested.
var (
	ParseMountInfo    = rustsubpath.ParseMountInfo
	SearchMountPoints = rustsubpath.SearchMountPoints
	PathWithinBase    = rustsubpath.PathWithinBase

	GetDeviceNameFromMount = rustsubpath.GetDeviceNameFromMount
)

// Mounter has the fields of mount-utils' Mounter, and the one method that the tests call.
type Mounter struct {
	mounterPath                string
	withSystemd                *bool
	trySystemd                 bool
	withSafeNotMountedBehavior bool
}

func (*Mounter) IsLikelyNotMountPoint(file string) (bool, error) {
	return rustsubpath.NewMounter("").IsLikelyNotMountPoint(file)
}

// corrupted is a mounter of a mount point whose corruption was seen already, which the original's
// inner function is told in an argument. It goes on as for a mounter that can skip the check.
type corrupted struct{ mountutils.Interface }

func (corrupted) CanSafelySkipMountPointCheck() bool { return true }

func doCleanupMountPoint(mountPath string, mounter mountutils.Interface, extensive, isCorrupted bool) error {
	if isCorrupted {
		mounter = corrupted{mounter}
	}
	return rustsubpath.CleanupMountPoint(mountPath, mounter, extensive)
}
