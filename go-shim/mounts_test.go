//go:build cgo

// The mount table and the mount point checks, on tables written here and on real mounts.

package rustsubpath

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/mount-utils"

	"rustsubpath/internal/testutil"
)

func written(t testing.TB, table string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "mountinfo")
	testutil.Must(t, os.WriteFile(name, []byte(table), 0o600))
	return name
}

func TestParseMountInfoDecodesEveryField(t *testing.T) {
	table := `
36 35 98:0 /a\040b /mnt/\134040\011` + "\xff\r" + ` rw,noatime shared:1 new:x - fuse.x my\043\040fs rw,a=1,a=1,context="u:c1,c2",lowerdir=/a\054b

9223372036854775807 36 4294967295:0 /gone//deleted /m rw - tmpfs  rw
`
	want := []mount.MountInfo{
		{
			ID: 36, ParentID: 35, Major: 98, Root: "/a b", MountPoint: "/mnt/\\040\t\xff\r", FsType: "fuse.x", Source: "my# fs",
			MountOptions: []string{"rw", "noatime"}, OptionalFields: []string{"shared:1", "new:x"},
			SuperOptions: []string{"rw", "a=1", "a=1", `context="u:c1,c2"`, "lowerdir=/a,b"},
		},
		{
			ID: 9223372036854775807, ParentID: 36, Major: 4294967295, Root: "/gone//deleted", MountPoint: "/m", FsType: "tmpfs",
			MountOptions: []string{"rw"}, SuperOptions: []string{"rw"},
		},
	}
	got, err := ParseMountInfo(written(t, table))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseMountInfo:\n%+v, %v, expected\n%+v", got, err, want)
	}
	if got, err := ParseMountInfo(written(t, "")); err != nil || got == nil || len(got) != 0 {
		t.Errorf("an empty table: %v, %v", got, err)
	}
}

func TestATableThatCannotBeReadIsAnErrorThatSaysWhy(t *testing.T) {
	good := "1 1 8:1 / / rw - ext4 /dev/sda rw\n"
	for _, row := range []struct{ name, table, want string }{
		{"a word for an ID", good + "x 1 8:1 / /m rw - ext4 /dev/sda rw\n", `: line 2: mount ID: "x" is not a number`},
		{"no separator", "\n" + good + good + "2 1 8:1 / /m rw ext4 /dev/sda rw", ": line 4: separator: missing"},
		{"a number beyond int", good + "18446744073709551615 1 8:1 / /m rw - ext4 /dev/sda rw\n",
			": mount 2: its IDs 18446744073709551615 and 1 and device 8:1 do not all fit an int"},
	} {
		name := written(t, row.table)
		infos, err := ParseMountInfo(name)
		if infos != nil || err == nil || err.Error() != name+row.want {
			t.Errorf("%s: %v, %v, expected %s", row.name, infos, err, name+row.want)
		}
		if strings.Contains(row.want, "line") {
			refs, err := SearchMountPoints("/", name)
			if refs != nil || err == nil || err.Error() != name+row.want {
				t.Errorf("%s: SearchMountPoints: %v, %v, expected %s", row.name, refs, err, name+row.want)
			}
		}
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for name, want := range map[string]error{
		missing:      &fs.PathError{Op: "open", Path: missing, Err: syscall.ENOENT},
		"/proc":      &fs.PathError{Op: "read", Path: "/proc", Err: syscall.EISDIR},
		"nul\x00nul": &fs.PathError{Op: "open", Path: "nul\x00nul", Err: syscall.EINVAL},
	} {
		_, err := ParseMountInfo(name)
		_, theirs := mount.ParseMountInfo(name)
		if !reflect.DeepEqual(err, want) || !reflect.DeepEqual(theirs, want) {
			t.Errorf("%q: %#v, mount-utils: %#v, expected %#v", name, err, theirs, want)
		}
		if _, err := SearchMountPoints("/", name); !reflect.DeepEqual(err, want) {
			t.Errorf("%q: SearchMountPoints: %#v", name, err)
		}
	}
}

func TestABigTableComesWhole(t *testing.T) {
	const mounts = 20_000
	var table strings.Builder
	for i := 1; i <= mounts; i++ {
		fmt.Fprintf(&table, "%d 1 0:%d / /mnt/%d rw,opt=%d shared:%d - tmpfs t%d rw,size=%d\n", i, i, i, i, i, i, i)
	}
	name := written(t, table.String())
	infos, err := ParseMountInfo(name)
	testutil.Must(t, err)
	theirs, err := mount.ParseMountInfo(name)
	testutil.Must(t, err)
	if len(infos) != mounts || !reflect.DeepEqual(infos, theirs) {
		t.Errorf("%d mounts, mount-utils has %d, and they are not the same", len(infos), len(theirs))
	}
}

func TestTheListsOfAMountCanBeAppendedTo(t *testing.T) {
	infos, err := ParseMountInfo(written(t, strings.Repeat("1 1 8:1 / / rw shared:1 - ext4 /dev/sda ro\n", 2)))
	testutil.Must(t, err)
	_ = append(infos[0].MountOptions, "more")
	_ = append(infos[0].SuperOptions, "more")
	if infos[1].OptionalFields[0] != "shared:1" || infos[0].SuperOptions[0] != "ro" {
		t.Errorf("appending to one list changed another: %+v", infos)
	}
}

// scene is a directory with mounts of every kind in it.
type scene struct{ dir string }

func newScene(t *testing.T) scene {
	s := newSite(t)
	at := scene{filepath.Dir(s.Pod)}
	for _, dir := range []string{"plain", "tmpfs", "bound", "self", "stack", "odd \xff\n\\040", "dead", "hung"} {
		testutil.Must(t, os.Mkdir(at.path(dir), 0o755))
	}
	testutil.Must(t, os.WriteFile(at.path("file"), nil, 0o644))
	testutil.Must(t, os.WriteFile(at.path("file.bound"), nil, 0o644))
	at.tmpfs(t, "tmpfs")
	at.tmpfs(t, "odd \xff\n\\040")
	at.tmpfs(t, "stack")
	at.tmpfs(t, "stack")
	at.bind(t, "plain", "bound")
	at.bind(t, "self", "self")
	at.bind(t, "file", "file.bound")
	for link, to := range map[string]string{"link": "bound", "link.plain": "plain", "dangling": "missing", "loop": "loop"} {
		testutil.Must(t, os.Symlink(to, at.path(link)))
	}
	t.Cleanup(func() {
		infos, _ := ParseMountInfo("/proc/thread-self/mountinfo")
		for i := len(infos); i > 0; i-- {
			if PathWithinBase(infos[i-1].MountPoint, at.dir) {
				syscall.Unmount(infos[i-1].MountPoint, syscall.MNT_DETACH)
			}
		}
	})
	return at
}

func (s scene) path(name string) string { return s.dir + "/" + name }

func (s scene) tmpfs(t *testing.T, name string) {
	t.Helper()
	testutil.Must(t, syscall.Mount("scene", s.path(name), "tmpfs", 0, ""))
}

func (s scene) bind(t *testing.T, source, target string) {
	t.Helper()
	testutil.Must(t, syscall.Mount(s.path(source), s.path(target), "", syscall.MS_BIND, ""))
}

// fuse mounts a FUSE file system whose server never answers, and with dead has gone.
func (s scene) fuse(t *testing.T, name string, dead bool) {
	t.Helper()
	device, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		testutil.NotRun(t, "/dev/fuse cannot be opened (%v)", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", device)
	testutil.Must(t, syscall.Mount("scene", s.path(name), "fuse", 0, options))
	if dead {
		testutil.Must(t, syscall.Close(device))
		return
	}
	t.Cleanup(func() { syscall.Close(device) })
}

func TestAServerThatIsDeadOrHangsHoldsUpNoCleanup(t *testing.T) {
	for name, dead := range map[string]bool{"dead": true, "hung": false} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.fuse(t, name, dead)
			path := s.path(name)
			testutil.Must(t, CleanupMountPoint(path, mount.New(""), true))
			if _, err := os.Lstat(path); !os.IsNotExist(err) {
				t.Errorf("left behind: %v", err)
			}
		})
	}
}

func TestCleanupMountPointLeavesNothing(t *testing.T) {
	cleanups := map[string]func(string) error{
		"exact":  func(path string) error { return CleanupMountPoint(path, mount.New(""), true) },
		"likely": func(path string) error { return CleanupMountPoint(path, mount.New(""), false) },
		"force": func(path string) error {
			return CleanupMountWithForce(path, mount.New("").(*mount.Mounter), true, time.Minute)
		},
	}
	for way, cleanup := range cleanups {
		t.Run(way, func(t *testing.T) {
			s := newScene(t)
			for _, name := range []string{"tmpfs/", "link", "self", "stack", "odd \xff\n\\040", "file.bound", "link.plain", "missing", "missing/below"} {
				if err := cleanup(s.path(name)); err != nil {
					t.Errorf("%q: %v", name, err)
				}
				if _, err := os.Lstat(filepath.Clean(s.path(name))); !os.IsNotExist(err) {
					t.Errorf("%q is left: %v", name, err)
				}
			}
			infos, err := ParseMountInfo("/proc/thread-self/mountinfo")
			testutil.Must(t, err)
			for _, info := range infos {
				if PathWithinBase(info.MountPoint, s.dir) {
					t.Errorf("left mounted: %q", info.MountPoint)
				}
			}
			testutil.Must(t, os.WriteFile(s.path("bound")+"/kept", nil, 0o644))
			err = cleanup(s.path("bound"))
			want := &fs.PathError{Op: "remove", Path: s.path("bound"), Err: syscall.ENOTEMPTY}
			if !reflect.DeepEqual(err, want) {
				t.Errorf("a directory that is not empty: %#v", err)
			}
		})
	}
}

// forcing is a mounter of the caller's own.
type forcing struct {
	testutil.Recorder
	forced []string
}

func (f *forcing) UnmountWithForce(target string, timeout time.Duration) error {
	f.forced = append(f.forced, fmt.Sprint(target, " ", timeout))
	return nil
}

func TestAnotherMounterUnmountsByForceItself(t *testing.T) {
	s := newSite(t)
	f := &forcing{}
	err := CleanupMountWithForce(s.Pod, f, true, time.Second)
	theirs := &forcing{}
	testutil.Must(t, os.MkdirAll(s.Pod, 0o755))
	want := mount.CleanupMountWithForce(s.Pod, theirs, true, time.Second)
	if fmt.Sprint(err) != fmt.Sprint(want) || !reflect.DeepEqual(f, theirs) {
		t.Errorf("%v and %+v, expected %v and %+v", err, f, want, theirs)
	}
}

func TestReferencesAndListTellOfRealMounts(t *testing.T) {
	s := newScene(t)
	odd := s.path("odd \xff\n\\040")
	testutil.Must(t, os.Mkdir(s.path("twin"), 0o755))
	s.bind(t, "odd \xff\n\\040", "twin")
	testutil.Must(t, os.Symlink("twin", s.path("link.twin")))

	for of, want := range map[string][]string{"twin": {odd}, "link.twin": {odd}, "missing": nil, "link": nil} {
		// What the link leads to is mounted nowhere else but where it was bound from.
		refs, err := GetMountRefs(s.path(of))
		if err != nil || !reflect.DeepEqual(refs, want) {
			t.Errorf("GetMountRefs(%q) = %q, %v, expected %q", of, refs, err, want)
		}
	}
	refs, err := SearchMountPoints(s.path("plain"), "/proc/thread-self/mountinfo")
	if err != nil || !reflect.DeepEqual(refs, []string{s.path("bound")}) {
		t.Errorf("SearchMountPoints = %q, %v", refs, err)
	}

	listed, err := List()
	testutil.Must(t, err)
	infos, err := ParseMountInfo("/proc/thread-self/mountinfo")
	testutil.Must(t, err)
	if len(listed) != len(infos) {
		t.Fatalf("%d mounts are listed, the table has %d", len(listed), len(infos))
	}
	found := 0
	for i, m := range listed {
		if m.Path != infos[i].MountPoint || m.Device != infos[i].Source || m.Type != infos[i].FsType || m.Opts[0] != "rw" && m.Opts[0] != "ro" {
			t.Errorf("mount %d is listed as %+v, the table has %+v", i, m, infos[i])
		}
		if m.Path == odd && m.Device == "scene" && m.Type == "tmpfs" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%q is listed %d times", odd, found)
	}
}
