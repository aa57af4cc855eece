//go:build cgo

// How the package is used.

package rustsubpath_test

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/mount-utils"
	"rustsubpath"
)

// A kubelet's way: make the directory, bind it for a container, and take it away when the pod ends.
// The mounter here mounts nothing; mount.New("") would, for who may.
func ExampleSubpather() {
	root, err := os.MkdirTemp("", "rustsubpath")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(root)
	volume, pod := filepath.Join(root, "volume"), filepath.Join(root, "pod")
	os.Mkdir(volume, 0o755)
	os.Mkdir(pod, 0o755)

	subpather := rustsubpath.New(mount.NewFakeMounter(nil), rustsubpath.ProfileV137)
	if err := subpather.SafeMakeDir("logs/web", volume, 0o750); err != nil {
		panic(err)
	}
	target, cleanup, err := subpather.PrepareSafeSubpath(rustsubpath.Subpath{
		Path:          filepath.Join(volume, "logs/web"),
		VolumePath:    volume,
		VolumeName:    "data",
		PodDir:        pod,
		ContainerName: "web",
	})
	target, _ = filepath.Rel(root, target)
	fmt.Println(target, cleanup == nil, err)

	os.Symlink("/etc", filepath.Join(volume, "secrets"))
	err = subpather.SafeMakeDir("secrets/web", volume, 0o750)
	fmt.Println(err)

	fmt.Println(subpather.CleanSubPaths(pod, "data"))
	// Output:
	// pod/volume-subpaths/data/web/0 true <nil>
	// path /etc is outside of allowed base %!s(<nil>)
	// <nil>
}

// The mount table, every string as the file system holds it.
func ExampleParseMountInfo() {
	table, err := os.CreateTemp("", "mountinfo")
	if err != nil {
		panic(err)
	}
	defer os.Remove(table.Name())
	fmt.Fprintln(table, `36 35 98:0 /sub\040path /var/lib/pod\011dir rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`)

	mounts, err := rustsubpath.ParseMountInfo(table.Name())
	for _, m := range mounts {
		fmt.Printf("%q of %q on %q, options %q\n", m.Root, m.Source, m.MountPoint, m.MountOptions)
	}
	fmt.Println(err)
	// Output:
	// "/sub path" of "/dev/sda1" on "/var/lib/pod\tdir", options ["rw" "noatime"]
	// <nil>
}

// A mount point check is one system call, however many mounts there are.
func ExampleIsMountPoint() {
	fmt.Println(rustsubpath.IsMountPoint("/proc"))
	fmt.Println(rustsubpath.IsMountPoint("/proc/self"))
	// Output:
	// true <nil>
	// false <nil>
}
