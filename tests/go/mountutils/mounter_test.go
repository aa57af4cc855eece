// The mounter against mount-utils' own: the same call on the same scene, made by each, and everything that
// can be seen of it afterwards. mounter_cases_test.go has the calls.

package mountutils

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"k8s.io/mount-utils"
	"rustsubpath"
	"rustsubpath/internal/testutil"
)

// stage is where every scene is laid.
const stage = "/mnt/stage"

// differences are what the mounter does otherwise than mount-utils', with the reason: in the cases of that
// name, what matches drop is left out of the comparison, but for the groups in it.
var differences = []difference{
	{
		"the error also has the kernel's own message, which mount(8) 2.38 does not ask for",
		regexp.MustCompile(`size=bad|no_such_option|-o size=1m|uid=12`), regexp.MustCompile(`       kernel: .*\n`),
	},
	{
		"rbind,ro keeps the flags of the source's mount, which mount-utils loses",
		regexp.MustCompile(`-o rbind\|ro `), regexp.MustCompile(`,nosuid|,nodev|,noexec`),
	},
	{
		"a remount keeps what it does not name: mount(8) makes the file system read-only because the mount is",
		regexp.MustCompile(`^read-only: mount  -t  -o remount`), regexp.MustCompile(`(\nbefore .*), r[ow]((?:,sync)?,size=)`),
	},
	{
		"a remount keeps what it does not name: mount(8) clears the mount's flags because a source is named",
		regexp.MustCompile(`^read-only: mount (before|other) -t .* -o remount`), regexp.MustCompile(`(\nbefore .* type tmpfs), r[ow]((?:,nosuid,nodev)?)(?:,noexec)?`),
	},
	{
		"relatime does not end noatime, whether or not a source is named",
		regexp.MustCompile(`^read-only: mount before -t  -o remount\|relatime `), regexp.MustCompile(`(\nbefore .*),(?:noatime|relatime)`),
	},
	{
		"libmount asks whether the parent is shared before it says why a move failed",
		regexp.MustCompile(`^shared: mount .* -o move`), regexp.MustCompile(`Output: .*`),
	},
}

// differencesOfUsers are more of them in a user namespace.
var differencesOfUsers = []difference{{
	"mount(8) passes the options of what is mounted again, the kernel's uid= among them, which no user namespace may pass",
	regexp.MustCompile(`mount  -t  -o remount`),
	regexp.MustCompile(`(?m)\Ano error\n|^(?:E mount_linux.go: M|m)ount failed: .*\n.*\n.*\nOutput: .*: mount point not mounted or bad option\.\n(?: .*\n)*\n|^((?:before|stage) .* type tmpfs), .*( tags)`),
}}

type difference struct {
	reason      string
	cases, drop *regexp.Regexp
}

// nativeAtLeast is how many calls must not have been passed to mount(8) or umount(8).
const nativeAtLeast = 430

func TestTheMounterIsMountUtils(t *testing.T) {
	ownRun(t)
	cases := allCases(newDevices(t))
	if len(cases) < 300 {
		t.Errorf("only %d cases", len(cases))
	}
	var log testutil.Lines
	testutil.KlogTo(t, 5, "", &log)
	theirs, ours := mount.New(""), rustsubpath.NewMounter("")
	// The first use of mount-utils' mounter looks for systemd.
	warm := testCase{lay: states[""], call: func(m mount.Interface) error { return m.Mount("mem", target, "tmpfs", []string{"user"}) }}
	warm.play(t, theirs, &log)
	warm.play(t, ours, &log)
	differences := differences
	if inUserNamespace(t) {
		differences = append(slices.Clone(differences), differencesOfUsers...)
	}
	used := make([]bool, len(differences))
	native, differ := 0, 0
	for _, c := range cases {
		wanted, got := c.play(t, theirs, &log), c.play(t, ours, &log)
		if !got.passed {
			native++
		}
		if testing.Verbose() {
			fmt.Printf("%s: native %v\n", c.name, !got.passed)
		}
		var errno syscall.Errno
		if got.err != nil && !got.passed && !errors.As(got.err, &errno) {
			t.Errorf("%s: the error has no errno: %v", c.name, got.err)
		}
		if got.seen == wanted.seen {
			continue
		}
		differ++
		if ourRest, theirRest := withoutDifferences(differences, c.name, got.seen, wanted.seen, used); ourRest != theirRest {
			t.Errorf("%s:\n%s\nmount-utils:\n%s", c.name, got.seen, wanted.seen)
		}
	}
	// Without the newer calls less differs.
	reduced := os.Getenv("SUBPATH_WITHOUT") != "" || os.Getenv("SUBPATH_TEST_BACKENDS") == "real"
	for row := range used {
		if !used[row] && !reduced {
			t.Errorf("no case differs as is said: %s", differences[row].reason)
		}
	}
	if native < nativeAtLeast {
		t.Errorf("only %d calls ran natively, expected %d", native, nativeAtLeast)
	}
	fmt.Printf("%s: %d of %d calls ran natively, %d differ for a reason that is given\n", t.Name(), native, len(cases), differ)
}

// withoutDifferences drops from what is seen of a case what may differ, and notes the reasons that it used.
func withoutDifferences(differences []difference, name, ours, theirs string, used []bool) (string, string) {
	for row, d := range differences {
		if d.cases.MatchString(name) {
			oursBefore, theirsBefore := ours, theirs
			ours, theirs = d.drop.ReplaceAllString(ours, "$1$2"), d.drop.ReplaceAllString(theirs, "$1$2")
			used[row] = used[row] || ours != oursBefore || theirs != theirsBefore
		}
	}
	return ours, theirs
}

// The same calls where the kernel's newer calls are not to be used.
func TestTheMounterIsMountUtilsOnAnOldKernel(t *testing.T) {
	const all = "openat2,statx,statx_mount_root,open_tree,fsopen,mount_setattr,statmount"
	for _, without := range []string{"fsopen", "mount_setattr", all} {
		again := exec.Command("/proc/self/exe", "-test.run=^TestTheMounterIsMountUtils$")
		again.Env = append(os.Environ(), "SUBPATH_WITHOUT="+without)
		said, err := again.CombinedOutput()
		if err != nil {
			t.Errorf("SUBPATH_WITHOUT=%s: %v\n%s", without, err, said)
		}
		fmt.Printf("SUBPATH_WITHOUT=%s: %s\n", without, strings.TrimSuffix(string(said), "PASS\n"))
	}
}

// inUserNamespace reports whether the tests run in a user namespace that was made for them.
func inUserNamespace(t *testing.T) bool {
	t.Helper()
	ids, err := os.ReadFile("/proc/self/uid_map")
	must(t, err)
	return strings.Join(strings.Fields(string(ids)), " ") != "0 0 4294967295"
}

// ownRun gives mount(8) a directory of its own for what it notes of its mounts.
func ownRun(t *testing.T) {
	t.Helper()
	must(t, syscall.Mount("run", "/run", "tmpfs", 0, ""))
	t.Cleanup(func() { syscall.Unmount("/run", syscall.MNT_DETACH) })
	must(t, os.Mkdir("/run/mount", 0o755))
}

// newDevices makes a block device for each type of file system that lies on one, as far as that is possible.
func newDevices(t *testing.T) map[string]string {
	t.Helper()
	devices := map[string]string{}
	for fstype, size := range map[string]int64{"ext2": 8 << 20, "ext3": 8 << 20, "ext4": 8 << 20, "xfs": 300 << 20} {
		if inUserNamespace(t) {
			fmt.Fprintf(os.Stderr, "not run, a block device takes root to make: mounts of %s\n", fstype)
			continue
		}
		image := filepath.Join(t.TempDir(), fstype)
		must(t, os.WriteFile(image, nil, 0o600))
		must(t, os.Truncate(image, size))
		made, err := exec.Command("sh", "-c", `mkfs."$2" -q "$1" >&2 && losetup --find --show "$1"`, "sh", image, fstype).CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "not run, no block device can be made (%v, %s): mounts of %s\n", err, made, fstype)
			continue
		}
		device := strings.TrimSpace(string(made))
		t.Cleanup(func() { exec.Command("losetup", "--detach", device).Run() })
		devices[fstype] = device
	}
	return devices
}

// testCase is one call on one scene.
type testCase struct {
	name string
	lay  func() error
	call func(m mount.Interface) error
}

// play lays the scene, makes the call, and looks at what came of it.
func (c *testCase) play(t *testing.T, m mount.Interface, log *testutil.Lines) played {
	t.Helper()
	layStage(t)
	defer clearStage(t)
	if err := c.lay(); err != nil {
		t.Fatalf("%s: the scene cannot be laid: %v", c.name, err)
	}
	log.Take()
	err := c.call(m)
	lines, passed := logged(log.Take())
	text := "no error"
	if err != nil {
		text = err.Error()
	}
	return played{evened(fmt.Sprintf("%s\n%s%s%s", text, lines, table8(t), left(t))), passed, err}
}

// played is all that can be seen of a call, whether a program did the work, and the error.
type played struct {
	seen   string
	passed bool
	err    error
}

// logged returns the lines that mount-utils prints, and whether one says that a program did the work.
func logged(all string) (lines string, passed bool) {
	for _, line := range strings.SplitAfter(all, "\n") {
		passed = passed || strings.Contains(line, ": mount(8) mounts ") || strings.Contains(line, ": umount(8) unmounts ")
		if strings.Contains(line, "subpath_linux.go: ") || strings.Contains(line, "mount(8) mounts ") || strings.Contains(line, "umount(8) unmounts ") || strings.HasSuffix(line, "again, it is busy\n") {
			continue
		}
		lines += line
	}
	return lines, passed
}

func layStage(t *testing.T) {
	t.Helper()
	must(t, os.MkdirAll(stage, 0o755))
	must(t, syscall.Mount("stage", stage, "tmpfs", 0, ""))
	for _, dir := range []string{"src/sub", "t", "vol", "rovol", "upper", "work"} {
		must(t, os.MkdirAll(filepath.Join(stage, dir), 0o755))
	}
	for _, file := range []string{"file", "tfile", "src/hello"} {
		must(t, os.WriteFile(filepath.Join(stage, file), nil, 0o644))
	}
	for link, to := range map[string]string{"link": "src", "tlink": "t", "dangling": "nowhere"} {
		must(t, os.Symlink(to, filepath.Join(stage, link)))
	}
	must(t, syscall.Mount("vol", stage+"/vol", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, ""))
	must(t, os.MkdirAll(stage+"/vol/dir/inner", 0o755))
	must(t, syscall.Mount("inner", stage+"/vol/dir/inner", "tmpfs", 0, ""))
	must(t, syscall.Mount("rovol", stage+"/rovol", "tmpfs", syscall.MS_RDONLY|syscall.MS_NOEXEC|syscall.MS_NOATIME, ""))
	os.Remove("/run/mount/utab")
}

func clearStage(t *testing.T) {
	t.Helper()
	must(t, syscall.Unmount(stage, syscall.MNT_DETACH))
}

// table8 prints what the mount table has below the stage, and what mount(8) noted. Of the kernel's numbers
// it keeps which are equal.
func table8(t *testing.T) string {
	t.Helper()
	infos, err := rustsubpath.ParseMountInfo("/proc/self/mountinfo")
	must(t, err)
	places, devices, groups := map[int]string{}, numbers{}, numbers{}
	var lines strings.Builder
	for _, info := range infos {
		places[info.ID] = info.MountPoint
		if !mount.PathWithinBase(info.MountPoint, stage) {
			continue
		}
		var tags []string
		for _, field := range info.OptionalFields {
			tag, group, _ := strings.Cut(field, ":")
			tags = append(tags, fmt.Sprintf("%s:%d", tag, groups.of(group)))
		}
		fmt.Fprintf(&lines, "%s %q on %s, of mount %s, device %d: %q, type %s, %s, %s, tags %v\n", info.Source, info.Root,
			info.MountPoint, places[info.ParentID], devices.of(fmt.Sprint(info.Major, info.Minor)), info.Source, info.FsType,
			strings.Join(info.MountOptions, ","), strings.Join(info.SuperOptions, ","), tags)
	}
	noted, err := os.ReadFile("/run/mount/utab")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return lines.String() + "utab: " + string(noted) + "\n"
}

// numbers gives names small numbers in the order in which they come.
type numbers map[string]int

func (n numbers) of(name string) int {
	if _, known := n[name]; !known {
		n[name] = len(n) + 1
	}
	return n[name]
}

// left prints the files of the stage's own file system.
func left(t *testing.T) string {
	t.Helper()
	var files []string
	bottom, err := os.Stat(stage)
	must(t, err)
	err = filepath.WalkDir(stage, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil || info.Sys().(*syscall.Stat_t).Dev != bottom.Sys().(*syscall.Stat_t).Dev {
			return fs.SkipDir
		}
		files = append(files, fmt.Sprintf("%s %v", path, info.Mode()))
		return nil
	})
	return fmt.Sprintf("files: %v, %v", files, err)
}

var (
	utabID       = regexp.MustCompile(`\bID=\d+ `)
	remountFlags = regexp.MustCompile(`bind,remount[^ )\n]*`)
)

// evened takes out what differs between two calls of mount-utils' mounter itself: the order of the flags
// that it adds to the remount of a bind, which the port does not print at all.
func evened(text string) string {
	added := []string{"ro", "nodev", "noexec", "nosuid", "noatime", "relatime", "nodiratime"}
	text = remountFlags.ReplaceAllStringFunc(text, func(options string) string {
		return strings.Join(slices.DeleteFunc(strings.Split(options, ","), func(o string) bool { return slices.Contains(added, o) }), ",")
	})
	return utabID.ReplaceAllString(text, "")
}
