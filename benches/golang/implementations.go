// The original and the port, behind one set of functions.

package main

import (
	"os"

	"k8s.io/kubernetes/pkg/volume/util/subpath"
	mount "k8s.io/mount-utils"
	"rustsubpath"
)

type implementation struct {
	name string
	// over makes it anew over a mounter, as a kubelet does once when it starts.
	over func(mount.Interface) operations
}

type operations struct {
	prepare func(subpath.Subpath) error
	clean   func(podDir, volume string) error
	mkdir   func(subdir, base string, perm os.FileMode) error
}

var original = implementation{name: "original", over: func(mounter mount.Interface) operations {
	i := subpath.New(mounter)
	return operations{
		prepare: func(sp subpath.Subpath) error {
			_, _, err := i.PrepareSafeSubpath(sp)
			return err
		},
		clean: i.CleanSubPaths,
		mkdir: i.SafeMakeDir,
	}
}}

var port = implementation{name: "port", over: func(mounter mount.Interface) operations {
	i := rustsubpath.New(mounter, rustsubpath.ProfileV129)
	return operations{
		prepare: func(sp subpath.Subpath) error {
			_, _, err := i.PrepareSafeSubpath(rustsubpath.Subpath(sp))
			return err
		},
		clean: i.CleanSubPaths,
		mkdir: i.SafeMakeDir,
	}
}}
