// The original and the port, behind one set of functions.

package main

import (
	"os"

	"k8s.io/kubernetes/pkg/volume/util/subpath"
	mount "k8s.io/mount-utils"
	"rustsubpath"
)

type implementation struct {
	name    string
	prepare func(mount.Interface, subpath.Subpath) error
	clean   func(mount.Interface, string, string) error
	mkdir   func(string, string, os.FileMode) error
}

var original = implementation{
	name: "original",
	prepare: func(m mount.Interface, sp subpath.Subpath) error {
		_, _, err := subpath.New(m).PrepareSafeSubpath(sp)
		return err
	},
	clean: func(m mount.Interface, podDir, volume string) error {
		return subpath.New(m).CleanSubPaths(podDir, volume)
	},
	mkdir: func(subdir, base string, perm os.FileMode) error {
		return subpath.New(nil).SafeMakeDir(subdir, base, perm)
	},
}

var port = implementation{
	name: "port",
	prepare: func(m mount.Interface, sp subpath.Subpath) error {
		_, _, err := rustsubpath.New(m, rustsubpath.ProfileSeed).PrepareSafeSubpath(rustsubpath.Subpath(sp))
		return err
	},
	clean: func(m mount.Interface, podDir, volume string) error {
		return rustsubpath.New(m, rustsubpath.ProfileSeed).CleanSubPaths(podDir, volume)
	},
	mkdir: func(subdir, base string, perm os.FileMode) error {
		return rustsubpath.New(nil, rustsubpath.ProfileSeed).SafeMakeDir(subdir, base, perm)
	},
}
