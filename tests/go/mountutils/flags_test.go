package mountutils

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	v037 "k8s.io/mount-utils"
	v032 "mount-utils-v032"
	v033 "mount-utils-v033"
	"rustsubpath"
	"rustsubpath/internal/testutil"
)

// flagsOfVolume are those that only the mount has, not the file system.
var flagsOfVolume = []string{"ro", "nosuid", "nodev", "noexec", "nosymfollow"}

// optionsOf gives the flags of the mount on a path, without those about access times.
func optionsOf(t *testing.T, path string) []string {
	infos, err := rustsubpath.ParseMountInfo(table)
	must(t, err)
	var options []string
	for _, info := range infos {
		if info.MountPoint == path {
			options = slices.DeleteFunc(slices.Clone(info.MountOptions), func(o string) bool { return o == "relatime" })
		}
	}
	slices.Sort(options)
	return options
}

// The mount of a volume has flags of its own. What of them the sub path's mount has depends on the mounter:
// the original binds, and then remounts with what mount-utils knows of the source.
func TestFlagsOfTheVolumesMount(t *testing.T) {
	if _, err := exec.LookPath("mount"); err != nil {
		testutil.NotRun(t, "there is no mount(8) here")
	}
	root := t.TempDir()
	volume := root + "/volume"
	must(t, os.Mkdir(volume, 0o755))
	must(t, unix.Mount("volume", volume, "tmpfs", 0, ""))
	defer unix.Unmount(volume, unix.MNT_DETACH)
	must(t, os.Mkdir(volume+"/dir", 0o755))
	must(t, unix.Mount("", volume, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOSYMFOLLOW, ""))
	if has := optionsOf(t, volume); !slices.Contains(has, "nosymfollow") {
		testutil.NotRun(t, "the kernel is older than 5.10, the volume has only %v", has)
	}

	// As the original's doBindSubPath calls it.
	bind := func(mounter interface {
		MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype string, options, sensitive, flags []string) error
	}) string {
		target, err := os.MkdirTemp(root, "target")
		must(t, err)
		source, err := unix.Open(volume+"/dir", unix.O_PATH|unix.O_CLOEXEC, 0)
		must(t, err)
		defer unix.Close(source)
		path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), source)
		must(t, mounter.MountSensitiveWithoutSystemdWithMountFlags(path, target, "", []string{"bind"}, nil, []string{"--no-canonicalize"}))
		return target
	}
	native := func() string {
		target, _, err := rustsubpath.New(v037.New(""), rustsubpath.ProfileV137).PrepareSafeSubpath(rustsubpath.Subpath{
			Path: volume + "/dir", VolumePath: volume, VolumeName: "volume", ContainerName: "c", PodDir: root,
		})
		must(t, err)
		return target
	}
	without := func(flags ...string) []string {
		return slices.DeleteFunc(slices.Clone(flagsOfVolume), func(o string) bool { return slices.Contains(flags, o) })
	}
	for _, row := range []struct {
		name string
		bind func() string
		want []string
	}{
		{"mount-utils v0.32", func() string { return bind(v032.New("")) }, []string{"rw"}},
		{"mount-utils v0.33", func() string { return bind(v033.New("")) }, without("nosymfollow")},
		{"mount-utils v0.37", func() string { return bind(v037.New("")) }, without("nosymfollow")},
		{"the native mounter", native, flagsOfVolume},
	} {
		t.Run(row.name, func(t *testing.T) {
			target := row.bind()
			defer unix.Unmount(target, unix.MNT_DETACH)
			want := slices.Clone(row.want)
			slices.Sort(want)
			if got := optionsOf(t, target); !slices.Equal(got, want) {
				t.Errorf("%s, want %s", strings.Join(got, ","), strings.Join(want, ","))
			}
		})
	}
}
