// Each function has one signature, with the library and without: a program that uses them compiles
// everywhere. That this file compiles is the test; tests/boundary/go.sh compiles it for other systems.

package rustsubpath_test

import (
	"os"
	"time"

	"k8s.io/mount-utils"
	"rustsubpath"
)

var (
	_ func(string) mount.Interface                                              = rustsubpath.NewMounter
	_ func() ([]mount.MountPoint, error)                                        = rustsubpath.List
	_ func(string) ([]string, error)                                            = rustsubpath.GetMountRefs
	_ func(string) (bool, error)                                                = rustsubpath.IsMountPoint
	_ func(string) (bool, error)                                                = rustsubpath.IsLikelyNotMountPoint
	_ func(string) (bool, error)                                                = rustsubpath.PathExists
	_ func(error) bool                                                          = rustsubpath.IsCorruptedMnt
	_ func(mount.Interface, string) (bool, error)                               = rustsubpath.IsNotMountPoint
	_ func(mount.Interface, string) (string, int, error)                        = rustsubpath.GetDeviceNameFromMount
	_ func(string, mount.Interface, bool) error                                 = rustsubpath.CleanupMountPoint
	_ func(string, mount.MounterForceUnmounter, bool, time.Duration) error      = rustsubpath.CleanupMountWithForce
	_ func(string, string) bool                                                 = rustsubpath.PathWithinBase
	_ func() string                                                             = rustsubpath.Info
	_ func(*rustsubpath.Subpather) string                                       = (*rustsubpath.Subpather).Info
	_ func(*rustsubpath.Subpather, string, string, os.FileMode) error           = (*rustsubpath.Subpather).SafeMakeDir
	_ func(*rustsubpath.Subpather, string, string) error                        = (*rustsubpath.Subpather).CleanSubPaths
	_ func(*rustsubpath.Subpather, rustsubpath.Subpath) (string, func(), error) = (*rustsubpath.Subpather).PrepareSafeSubpath
	_                                                                           = [...]rustsubpath.Profile{rustsubpath.ProfileV129, rustsubpath.ProfileV137}
)
