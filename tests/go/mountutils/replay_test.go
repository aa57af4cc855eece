// Replays every fixture's mounts through a mounter of the caller's own: mount points are found,
// sub paths prepared and cleaned, and mount points cleaned up, on directories laid out for it.

package mountutils

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/mount-utils"
	"rustsubpath"
)

// replayed is how many mounts of a fixture are tried.
const replayed = 8

// replay is a mounter that has the fixture's mounts, below root, and nothing else.
func replay(t *testing.T, f fixture, root string) *mount.FakeMounter {
	t.Helper()
	infos, err := rustsubpath.ParseMountInfo(f.file)
	must(t, err)
	points := make([]mount.MountPoint, len(infos))
	for i, info := range infos {
		points[i] = mount.MountPoint{
			Device: info.Source, Path: filepath.Join(root, info.MountPoint), Type: info.FsType, Opts: info.MountOptions,
		}
	}
	return mount.NewFakeMounter(points)
}

func paths(m *mount.FakeMounter) []string {
	points, _ := m.List()
	all := make([]string, len(points))
	for i, point := range points {
		all[i] = point.Path
	}
	return all
}

// canBeMade says whether the mount point can be laid out as a directory below another.
func canBeMade(path string) bool {
	return len(path) < 2048 && !slices.ContainsFunc(strings.Split(path, "/"), func(name string) bool { return len(name) > 255 })
}

func TestEveryFixtureIsReplayed(t *testing.T) {
	tried := 0
	for _, f := range fixtures(t) {
		if f.Malformed != nil || slices.ContainsFunc(f.Records, func(r record) bool { return !r.fits() }) {
			continue // TestParseMountInfoOnEveryFixture looks at these
		}
		step := max(1, len(f.Records)/replayed)
		for i := 0; i < len(f.Records); i += step {
			at := string(f.Records[i].MountPoint)
			if !canBeMade(at) {
				continue
			}
			tried++
			root, err := os.MkdirTemp("/mnt", "replay")
			must(t, err)
			profile := []rustsubpath.Profile{rustsubpath.ProfileV129, rustsubpath.ProfileV137}[tried%2]
			replayMount(t, f, root, at, profile)
			must(t, os.RemoveAll(root))
		}
	}
	if tried < 250 {
		t.Errorf("only %d mounts were tried", tried)
	}
	t.Logf("%d mounts", tried)
}

func replayMount(t *testing.T, f fixture, root, at string, profile rustsubpath.Profile) {
	t.Helper()
	m := replay(t, f, root)
	before := paths(m)
	point := filepath.Join(root, at)
	must(t, os.MkdirAll(point, 0o755))
	if not, err := rustsubpath.IsNotMountPoint(m, point); err != nil || not {
		t.Errorf("%s: %q is said to be no mount point: %v", f.name, at, err)
	}
	beside := filepath.Join(root, "beside every mount")
	must(t, os.MkdirAll(beside, 0o755))
	if not, err := rustsubpath.IsNotMountPoint(m, beside); err != nil || !not {
		t.Errorf("%s: a plain directory is said to be a mount point: %v", f.name, err)
	}

	// A sub path of the volume that is mounted there.
	pod := filepath.Join(root, "pod of the test")
	source := filepath.Join(point, "data \n\\040", "sub")
	must(t, os.MkdirAll(source, 0o755))
	must(t, os.MkdirAll(pod, 0o755))
	s := rustsubpath.New(m, profile)
	target, _, err := s.PrepareSafeSubpath(rustsubpath.Subpath{
		Path: source, VolumePath: point, VolumeName: "volume", PodDir: pod, ContainerName: "container", VolumeMountIndex: 3,
	})
	if want := pod + "/volume-subpaths/volume/container/3"; err != nil || target != want {
		t.Fatalf("%s: %q: prepared at %q, %v", f.name, at, target, err)
	}
	if got := paths(m); len(got) != len(before)+1 || got[len(got)-1] != target {
		t.Errorf("%s: %q: %d mounts after %d, the last on %q", f.name, at, len(got), len(before), got[len(got)-1])
	}
	must(t, s.CleanSubPaths(pod, "volume"))
	if got := paths(m); !slices.Equal(got, before) {
		t.Errorf("%s: %q: the mounts are not what they were", f.name, at)
	}
	if left, err := os.ReadDir(pod); err != nil || len(left) != 0 {
		t.Errorf("%s: %q: left in the pod: %v, %v", f.name, at, left, err)
	}
	if _, err := os.Stat(source); err != nil {
		t.Errorf("%s: %q: the volume's directory: %v", f.name, at, err)
	}

	// The mount point itself, emptied; "/" is the scratch directory, which is not.
	if filepath.Clean(at) == "/" {
		return
	}
	must(t, os.RemoveAll(filepath.Join(point, "data \n\\040")))
	if left, err := os.ReadDir(point); err != nil || len(left) > 0 {
		return // another mount point lies below it
	}
	must(t, rustsubpath.CleanupMountPoint(point, m, true))
	if _, err := os.Lstat(point); !os.IsNotExist(err) {
		t.Errorf("%s: %q is still there: %v", f.name, at, err)
	}
	if want := slices.DeleteFunc(before, func(p string) bool { return p == point }); !slices.Equal(paths(m), want) {
		t.Errorf("%s: %q: other mounts than its own went", f.name, at)
	}
}
