//go:build linux && cgo

// The kinds of calls, each with what must come of it.

package main

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/mount-utils"

	"rustsubpath"
	"rustsubpath/upstreamtest"
)

// site is a volume and a pod's directory.
type site struct{ dir, volume, pod string }

func newSite(root, name string) (site, error) {
	dir := filepath.Join(root, name)
	s := site{dir: dir, volume: filepath.Join(dir, "volume"), pod: filepath.Join(dir, "pod")}
	return s, errors.Join(
		os.MkdirAll(s.volume+"/dir/deep", 0o755),
		os.MkdirAll(s.pod, 0o755),
		os.MkdirAll(s.dir+"/outside", 0o755),
		os.WriteFile(s.volume+"/file", []byte("precious"), 0o644),
		os.Symlink("dir/deep", s.volume+"/link"),
		os.Symlink("../outside", s.volume+"/out"),
		os.WriteFile(s.dir+"/table", []byte(strings.Repeat("36 35 98:0 /a\\040b /mnt/\\134 rw,noatime shared:1 - ext3 /dev/root rw,errors=continue\n", 50)), 0o644),
		os.WriteFile(s.dir+"/bad table", []byte("36 35 98:0 / /mnt rw - ext3 /dev/root rw\nnonsense\n"), 0o644),
	)
}

func (s site) subpath(path string, index int) rustsubpath.Subpath {
	return rustsubpath.Subpath{
		VolumeMountIndex: index, Path: s.volume + "/" + path, VolumeName: "vol", VolumePath: s.volume,
		PodDir: s.pod, ContainerName: "c",
	}
}

// worker makes calls on a site of its own, and on one that all share.
type worker struct {
	site
	shared site
	random *rand.Rand
	// made counts the calls of each kind.
	made []int
	kind int
}

func newWorker(root string, number int, shared site, seed int64) (*worker, error) {
	own, err := newSite(root, fmt.Sprint(number))
	return &worker{site: own, shared: shared, random: rand.New(rand.NewSource(seed + int64(number))), made: make([]int, len(kinds))}, err
}

// work makes so many calls, or a few more, of kinds taken at random.
func (w *worker) work(calls int) error {
	for made := 0; made < calls; {
		w.kind = w.random.Intn(len(kinds))
		before := w.made[w.kind]
		if err := kinds[w.kind].call(w); err != nil {
			return fmt.Errorf("%s: %w", kinds[w.kind].name, err)
		}
		made += w.made[w.kind] - before
	}
	return nil
}

// count is the number of calls that come next.
func (w *worker) count(calls int) { w.made[w.kind] += calls }

// one is one of the names.
func (w *worker) one(of ...string) string { return of[w.random.Intn(len(of))] }

func (w *worker) profile() rustsubpath.Profile {
	return []rustsubpath.Profile{rustsubpath.ProfileV129, rustsubpath.ProfileV137}[w.random.Intn(2)]
}

// kernel is mount-utils' own mounter; making one runs programs.
var kernel = mount.New("").(*mount.Mounter)

func (w *worker) native() *rustsubpath.Subpather { return rustsubpath.New(kernel, w.profile()) }

// emptied takes everything away and fails unless the pod's directory is empty then.
func (w *worker) emptied() error {
	w.count(1)
	if err := w.native().CleanSubPaths(w.pod, "vol"); err != nil {
		return err
	}
	left, err := os.ReadDir(w.pod)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left in the pod's directory: %v", left)
	}
	return err
}

var kinds = []struct {
	name string
	call func(*worker) error
}{
	{"prepare and clean, native", (*worker).prepareNative},
	{"prepare and clean, forwarded", (*worker).prepareForwarded},
	{"prepare and clean, the mounter fails", func(w *worker) error { return w.prepareAndLeave(fails) }},
	{"prepare and clean, the mounter panics", func(w *worker) error { return w.prepareAndLeave(panics) }},
	{"prepare and clean, the mounter ends its goroutine", func(w *worker) error { return w.prepareAndLeave(leaves) }},
	{"prepare and clean, by all for one pod", (*worker).prepareShared},
	{"prepare and clean, logged in full", (*worker).prepareLoudly},
	{"prepare what is refused", (*worker).prepareRefused},
	{"make directories", (*worker).makeDirectories},
	{"make directories, refused", (*worker).makeRefused},
	{"mount table", (*worker).table},
	{"mount point checks", (*worker).checks},
	{"clean a mount point up", (*worker).cleanUp},
	{"open beneath, existing prefix", (*worker).innerSteps},
}

func (w *worker) prepareNative() error {
	s := w.native()
	for i := w.random.Intn(4); i >= 0; i-- {
		w.count(1)
		if _, _, err := s.PrepareSafeSubpath(w.subpath(w.one("dir", "dir/deep", "file", "link"), i)); err != nil {
			return err
		}
	}
	return w.emptied()
}

func (w *worker) prepareForwarded() error {
	s := rustsubpath.New(&mounter{}, w.profile())
	w.count(2)
	_, _, err := s.PrepareSafeSubpath(w.subpath(w.one("dir", "dir/deep", "file", "link"), 0))
	return errors.Join(err, s.CleanSubPaths(w.pod, "vol"))
}

// prepareAndLeave has the mounter do something else than answer at one of its questions.
func (w *worker) prepareAndLeave(instead func() error) error {
	m := &mounter{at: w.random.Intn(6), instead: instead}
	s := rustsubpath.New(m, w.profile())
	path := w.one("dir", "file")
	w.count(2)
	var errs []error
	ended := make(chan bool)
	go func() {
		defer close(ended)
		defer func() {
			if value := recover(); value != nil && value != any(thePanic) {
				errs = append(errs, fmt.Errorf("an unexpected panic: %v", value))
			}
		}()
		_, _, err := s.PrepareSafeSubpath(w.subpath(path, 0))
		errs = append(errs, notTheMounters(m, err), notTheMounters(m, s.CleanSubPaths(w.pod, "vol")))
	}()
	<-ended
	return errors.Join(append(errs, w.emptied())...)
}

// notTheMounters is the error unless it is there because the mounter failed.
func notTheMounters(m *mounter, err error) error {
	if err == nil || m.did && strings.Contains(err.Error(), errMounter.Error()) {
		return nil
	}
	return err
}

func (w *worker) prepareShared() error {
	s := w.native()
	w.count(2)
	if _, _, err := s.PrepareSafeSubpath(w.shared.subpath(w.one("dir", "file"), w.random.Intn(2))); err != nil {
		return err
	}
	err := s.CleanSubPaths(w.shared.pod, "vol")
	// Somebody prepared another meanwhile, is just mounting this one, or made a directory of a file.
	for _, met := range []string{"directory not empty", "device or resource busy", "is a directory"} {
		if err != nil && strings.HasSuffix(err.Error(), ": "+met) {
			return nil
		}
	}
	return err
}

func (w *worker) prepareLoudly() error {
	var level klog.Level
	level.Set("5")
	defer level.Set("0")
	return w.prepareNative()
}

func (w *worker) prepareRefused() error {
	request := w.subpath(w.one("out", "missing", "dir/missing", "nul\x00nul", strings.Repeat("long", 2000)), 0)
	var m mount.Interface = &mounter{}
	if w.random.Intn(2) == 0 {
		m = kernel
	}
	w.count(1)
	if path, _, err := rustsubpath.New(m, w.profile()).PrepareSafeSubpath(request); err == nil {
		return fmt.Errorf("%q was prepared as %s", request.Path, path)
	}
	return w.emptied()
}

func (w *worker) makeDirectories() error {
	w.count(2)
	s := rustsubpath.New(nil, w.profile())
	made := w.one("new/a/b", "new/c", "dir/new", "link/new")
	err := errors.Join(s.SafeMakeDir(made, w.volume, 0o750), s.SafeMakeDir(made, w.volume, os.ModeSetgid|0o770))
	return errors.Join(err, os.RemoveAll(w.volume+"/new"), os.RemoveAll(w.volume+"/dir/new"), os.RemoveAll(w.volume+"/dir/deep/new"))
}

func (w *worker) makeRefused() error {
	w.count(1)
	made := w.one("out/new", "file/new", "nul\x00nul", strings.Repeat("long", 100), "../new")
	if err := rustsubpath.New(nil, w.profile()).SafeMakeDir(made, w.volume, 0o750); err == nil {
		return fmt.Errorf("%q was made", made)
	}
	return nil
}

func (w *worker) table() error {
	w.count(5)
	infos, err := rustsubpath.ParseMountInfo(w.dir + "/table")
	if err == nil && (len(infos) != 50 || infos[49].Root != "/a b") {
		err = fmt.Errorf("the table has %d mounts", len(infos))
	}
	_, refused := rustsubpath.ParseMountInfo(w.dir + "/bad table")
	if refused == nil {
		err = errors.Join(err, errors.New("a bad table was parsed"))
	}
	_, listed := rustsubpath.List()
	_, refs := rustsubpath.GetMountRefs(w.volume)
	_, found := rustsubpath.SearchMountPoints("/a b", w.dir+"/table")
	if found != nil && !strings.Contains(found.Error(), "/a b") {
		err = errors.Join(err, found)
	}
	return errors.Join(err, listed, refs)
}

func (w *worker) checks() error {
	w.count(4)
	mounted, err := rustsubpath.IsMountPoint(filepath.Dir(w.dir))
	not, notErr := rustsubpath.IsNotMountPoint(kernel, w.volume)
	likely, likelyErr := rustsubpath.IsLikelyNotMountPoint(w.volume + "/file")
	if err == nil && (!mounted || !not || !likely) {
		err = fmt.Errorf("the checks say %v, %v, %v", mounted, not, likely)
	}
	if _, missing := rustsubpath.IsMountPoint(w.volume + "/missing"); !os.IsNotExist(missing) {
		err = errors.Join(err, fmt.Errorf("a missing mount point: %v", missing))
	}
	return errors.Join(err, notErr, likelyErr)
}

func (w *worker) cleanUp() error {
	at := w.dir + "/mounted"
	err := os.Mkdir(at, 0o755)
	for i := w.random.Intn(3); i > 0 && err == nil; i-- {
		err = syscall.Mount(w.volume, at, "", syscall.MS_BIND, "")
	}
	if err != nil {
		return err
	}
	w.count(1)
	switch w.random.Intn(3) {
	case 0:
		err = rustsubpath.CleanupMountPoint(at, kernel, true)
	case 1:
		err = rustsubpath.CleanupMountPoint(at, kernel, false)
	default:
		err = rustsubpath.CleanupMountWithForce(at, kernel, true, time.Minute)
	}
	if _, left := os.Lstat(at); err == nil && !os.IsNotExist(left) {
		err = fmt.Errorf("%s is left: %v", at, left)
	}
	return err
}

func (w *worker) innerSteps() error {
	w.count(3)
	fd, err := upstreamtest.DoSafeOpen(w.volume+"/dir/deep", w.volume)
	if err == nil {
		err = syscall.Close(fd)
	}
	if _, refused := upstreamtest.DoSafeOpen(w.volume+"/link", w.volume); refused == nil {
		err = errors.Join(err, errors.New("a link was opened"))
	}
	prefix, missing, found := upstreamtest.FindExistingPrefix(w.volume, w.volume+"/dir/not/there")
	if prefix != w.volume+"/dir" || len(missing) != 2 {
		err = errors.Join(err, fmt.Errorf("existing is %q, missing %q", prefix, missing))
	}
	return errors.Join(err, found)
}
