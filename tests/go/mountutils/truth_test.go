// Real mounts with names of every byte. What the test itself mounted is the truth.

package mountutils

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	moby "github.com/moby/sys/mountinfo"
	"k8s.io/mount-utils"
	"rustsubpath"
)

const table = "/proc/thread-self/mountinfo"

// names have each byte that a name can hold, and what misleads a parser.
func names() []string {
	var names []string
	var all []byte
	for b := 1; b < 256; b++ {
		if b != '/' {
			names = append(names, string([]byte{'n', byte(b)}))
			all = append(all, byte(b))
		}
	}
	return append(names, string(all), " both ends ", `\040`, `\134040`, "- tmpfs none rw", "x (deleted)", `x\040(deleted)`, "...",
		`a,b="c,d"`, "grün 日本", "cut off \xe6\x97", "no break\u00a0here")
}

// implementation is what is asked of each.
type implementation struct {
	tally
	parse   func(file string) ([]mount.MountInfo, error)
	mounted func(path string) (bool, error)
	// Those that moby does not have are nil.
	likelyNot func(path string) (bool, error)
	search    func(source, file string) ([]string, error)
	list      func() ([]mount.MountPoint, error)
	refs      func(path string) ([]string, error)
}

// mounter is made once, because mount.New runs programs.
var mounter = mount.New("")

func implementations() (ours, theirs, mobys *implementation) {
	ours = &implementation{tally{name: "the port"}, rustsubpath.ParseMountInfo, rustsubpath.IsMountPoint, rustsubpath.IsLikelyNotMountPoint,
		rustsubpath.SearchMountPoints, rustsubpath.List, rustsubpath.GetMountRefs}
	theirs = &implementation{tally{name: "mount-utils"}, mount.ParseMountInfo, mounter.IsMountPoint, mounter.IsLikelyNotMountPoint,
		mount.SearchMountPoints, mounter.List, mounter.GetMountRefs}
	mobys = &implementation{tally: tally{name: "moby"}, parse: func(file string) ([]mount.MountInfo, error) {
		infos, err := mobyParse(file)
		var out []mount.MountInfo
		for _, i := range infos {
			out = append(out, mount.MountInfo{ID: i.ID, ParentID: i.Parent, Root: i.Root, MountPoint: i.Mountpoint, FsType: i.FSType, Source: i.Source})
		}
		return out, err
	}, mounted: moby.Mounted}
	return ours, theirs, mobys
}

// asked are the answers on the whole of the mounts, asked for once.
type asked struct {
	infos    []mount.MountInfo
	listed   []mount.MountPoint
	parseErr error
	listErr  error
}

func (im *implementation) ask() (a asked) {
	// thread-self is another thread's wherever the goroutine moves to, of the same namespace.
	a.infos, a.parseErr = im.parse(table)
	if im.list != nil {
		a.listed, a.listErr = im.list()
	}
	return a
}

// checkMount checks everything that can be asked of one mount that is alone on its mount point.
func (im *implementation) checkMount(a asked, at, source, root string) {
	var found []mount.MountInfo
	for _, info := range a.infos {
		if info.MountPoint == at {
			found = append(found, info)
		}
	}
	im.check(len(found) == 1 && found[0].Source == source && found[0].Root == root && found[0].FsType == "tmpfs",
		"%q: the table has %+v, %v", at, found, a.parseErr)
	im.checkIs(at, true)
	if im.list != nil {
		var listed []mount.MountPoint
		for _, m := range a.listed {
			if m.Path == at {
				listed = append(listed, m)
			}
		}
		im.check(len(listed) == 1 && listed[0].Device == source, "%q: listed %+v, %v", at, listed, a.listErr)
	}
}

// checkIs checks whether a path is said to be a mount point.
func (im *implementation) checkIs(path string, want bool) {
	mounted, err := im.mounted(path)
	im.check(mounted == want && err == nil, "%q: mounted: %v, %v", path, mounted, err)
	if im.likelyNot != nil {
		not, err := im.likelyNot(path)
		im.check(not == !want && err == nil, "%q: likely not: %v, %v", path, not, err)
		not, err = im.isNot(path)
		im.check(not == !want && err == nil, "%q: not: %v, %v", path, not, err)
	}
}

// checkRefs checks where else a directory is mounted.
func (im *implementation) checkRefs(of string, want ...string) {
	if im.search == nil {
		return
	}
	refs, err := im.search(of, table)
	im.check(err == nil && fmt.Sprintf("%q", refs) == fmt.Sprintf("%q", want), "%q: search: %q, %v, expected %q", of, refs, err, want)
	refs, err = im.refs(of)
	im.check(err == nil && fmt.Sprintf("%q", refs) == fmt.Sprintf("%q", want), "%q: references: %q, %v, expected %q", of, refs, err, want)
}

// scratch is an empty tmpfs that goes with all that is mounted in it.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/mnt", "")
	must(t, err)
	must(t, syscall.Mount("scratch", dir, "tmpfs", 0, ""))
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

func tmpfs(t *testing.T, at, source string) {
	t.Helper()
	if err := os.Mkdir(at, 0o755); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	must(t, syscall.Mount(source, at, "tmpfs", 0, ""))
}

func bind(t *testing.T, source, at string) {
	t.Helper()
	info, err := os.Stat(source)
	must(t, err)
	if info.IsDir() {
		must(t, os.MkdirAll(at, 0o755))
	} else {
		must(t, os.WriteFile(at, nil, 0o644))
	}
	must(t, syscall.Mount(source, at, "", syscall.MS_BIND, ""))
}

func TestRealMountsWithOddNames(t *testing.T) {
	dir := scratch(t)
	must(t, os.Mkdir(dir+"/bound", 0o755))
	for i, name := range names() {
		at := dir + "/" + name
		tmpfs(t, at, name)
		must(t, os.Mkdir(at+"/below", 0o755))
		must(t, os.Mkdir(at+"/"+name, 0o755))
		bind(t, at+"/"+name, fmt.Sprintf("%s/bound/%d", dir, i))
	}
	ours, theirs, mobys := implementations()
	for _, im := range []*implementation{ours, theirs, mobys} {
		a := im.ask()
		for i, name := range names() {
			at, bound := dir+"/"+name, fmt.Sprintf("%s/bound/%d", dir, i)
			im.checkMount(a, at, name, "/")
			im.checkMount(a, bound, name, "/"+name)
			im.checkIs(at+"/below", false)
			im.checkRefs(at+"/"+name, bound)
			im.checkRefs(bound)
		}
	}
	report(t, &ours.tally, &theirs.tally, &mobys.tally)
}

// One mount whose source is empty, or no more than what counts as white space in Go, costs
// mount-utils the whole table.
func TestOneMountDoesNotCostTheTable(t *testing.T) {
	ours, theirs, mobys := implementations()
	for _, source := range []string{"", "\u00a0", "\r"} {
		dir := scratch(t)
		tmpfs(t, dir+"/good", "good")
		tmpfs(t, dir+"/odd", source)
		for _, im := range []*implementation{ours, theirs, mobys} {
			a := im.ask()
			im.checkMount(a, dir+"/good", "good", "/")
			im.checkMount(a, dir+"/odd", source, "/")
			im.checkRefs(dir + "/good")
			if im == theirs && a.parseErr == nil {
				t.Errorf("mount-utils reads a table with the source %q", source)
			}
		}
	}
	report(t, &ours.tally, &theirs.tally, &mobys.tally)
}

func TestMountPointsOfEveryKind(t *testing.T) {
	dir := scratch(t)
	at := func(name string) string { return dir + "/" + name }
	for _, name := range []string{"plain", "self", "moved.from", "moved.to", "over", "gone"} {
		must(t, os.Mkdir(at(name), 0o755))
	}
	for _, name := range []string{"file", "file.self"} {
		must(t, os.WriteFile(at(name), nil, 0o644))
	}
	bind(t, at("plain"), at("bound"))
	bind(t, at("self"), at("self"))
	bind(t, at("file"), at("file.bound"))
	bind(t, at("file.self"), at("file.self"))
	tmpfs(t, at("stack"), "below")
	tmpfs(t, at("stack"), "above")
	tmpfs(t, at("moved.from"), "moved")
	must(t, syscall.Mount(at("moved.from"), at("moved.to"), "", syscall.MS_MOVE, ""))
	tmpfs(t, at("over/hidden"), "hidden")
	tmpfs(t, at("over"), "over")
	must(t, os.Mkdir(at("over/hidden"), 0o755))
	bind(t, at("gone"), at("of.gone"))
	must(t, os.Remove(at("gone")))
	for link, to := range map[string]string{
		"link": "bound", "link.link": "link", "link.file": "file.bound", "link.plain": "plain", "link.stack": "stack/../stack", "link.root": "/",
		"dangling": "missing", "loop": "loop",
	} {
		must(t, os.Symlink(to, at(link)))
	}
	must(t, os.Chdir(at("bound")))
	defer os.Chdir("/")

	ours, theirs, mobys := implementations()
	for _, im := range []*implementation{ours, theirs, mobys} {
		for path, want := range map[string]bool{
			at("bound"): true, at("self"): true, at("file.bound"): true, at("file.self"): true, at("stack"): true, at("of.gone"): true,
			at("moved.to"): true, at("moved.from"): false, at("over"): true, at("over/hidden"): false, at("plain"): false, at("file"): false,
			at("link"): true, at("link.link"): true, at("link.file"): true, at("link.plain"): false, at("link.stack"): true, at("link.root"): true,
			at("bound/"): true, at("bound//."): true, at("plain/../bound"): true, at("plain/"): false, at("link/"): true,
			"/": true, "//": true, "/proc": true, "/proc/": true, "/proc/self": false, ".": true, "../plain": false, "../bound": true,
		} {
			im.checkIs(path, want)
		}
		for path, want := range map[string]syscall.Errno{
			at("missing"): syscall.ENOENT, at("dangling"): syscall.ENOENT, at("missing/below"): syscall.ENOENT, "": syscall.ENOENT,
			at("file/below"): syscall.ENOTDIR, at("loop"): syscall.ELOOP, at("nul\x00"): syscall.EINVAL,
		} {
			mounted, err := im.mounted(path)
			im.check(!mounted && sameErrno(err, want), "%q: mounted: %v, %v, expected %v", path, mounted, err, want)
			if im.likelyNot != nil {
				not, err := im.likelyNot(path)
				im.check(not && err == error(want), "%q: likely not: %v, %#v, expected %v", path, not, err, want)
				not, err = im.isNot(path)
				im.check(not && sameErrno(err, want) && (err == fs.ErrNotExist) == (want == syscall.ENOENT), "%q: not: %v, %#v, expected %v", path, not, err, want)
			}
		}
	}
	named(t, &theirs.tally, faults{`""`: "takes no path at all for the working directory"})
	named(t, &mobys.tally, faults{`""`: "as mount-utils, which asks it"})
	report(t, &ours.tally, &theirs.tally, &mobys.tally)
}

// sameErrno says whether an error tells of the errno; Go's own sentinel does for ENOENT, and its own
// sentence for ELOOP.
func sameErrno(err error, want syscall.Errno) bool {
	for e := err; e != nil; {
		if e == error(want) || want == syscall.ENOENT && e == fs.ErrNotExist || want == syscall.ELOOP && strings.HasSuffix(e.Error(), "too many links") {
			return true
		}
		wrapped, ok := e.(interface{ Unwrap() error })
		if !ok {
			return false
		}
		e = wrapped.Unwrap()
	}
	return false
}

// A thread in another mount namespace is told of its own mounts.
func TestAThreadSeesItsOwnMounts(t *testing.T) {
	dir := scratch(t)
	must(t, os.MkdirAll(dir+"/own/kept", 0o755))
	ended := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and its namespace with it.
		runtime.LockOSThread()
		ended <- func() error {
			if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
				return err
			}
			if err := syscall.Mount("own", dir+"/own", "tmpfs", 0, ""); err != nil {
				return err
			}
			if mounted, err := rustsubpath.IsMountPoint(dir + "/own"); !mounted || err != nil {
				return fmt.Errorf("IsMountPoint: %v, %v", mounted, err)
			}
			outside := make(chan error)
			go func() {
				mounted, err := rustsubpath.IsMountPoint(dir + "/own")
				if mounted {
					err = errors.New("another thread sees the mount")
				}
				outside <- err
			}()
			if err := <-outside; err != nil {
				return err
			}
			listed, err := rustsubpath.List()
			if err != nil || listed[len(listed)-1].Path != dir+"/own" {
				return fmt.Errorf("List: %v, %v", listed, err)
			}
			// What another thread does for this one is done in this one's namespace, too.
			err = rustsubpath.CleanupMountWithForce(dir+"/own", mount.New("").(*mount.Mounter), true, time.Minute)
			if mounted, is := rustsubpath.IsMountPoint(dir + "/own"); mounted || is != nil || !errors.Is(err, syscall.ENOTEMPTY) {
				return fmt.Errorf("after CleanupMountWithForce: %v, IsMountPoint: %v, %v", err, mounted, is)
			}
			return nil
		}()
	}()
	must(t, <-ended)
}
