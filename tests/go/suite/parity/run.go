// Running a step on one side: everything that surrounds the call is set, the call is made on a
// goroutine of its own, and what a caller can see of it is written down.

package parity

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	mount "k8s.io/mount-utils"
)

// hangLimit is how long a call may take before it counts as hung. It is a watchdog, far beyond
// what any call needs, not a measure of speed.
var hangLimit = 30 * time.Second

// side is one of the twin trees with the implementation that works on it.
type side struct {
	name string
	top  string // where the side's file system is mounted
	root string // the tree's root on it
	impl Impl
	// holdFIFOs keeps a writer on every FIFO during a call, so that an open for reading that
	// would wait for ever goes on. The original needs it.
	holdFIFOs bool
	fake      *mount.FakeMounter
	held      []int // descriptors that the edit "hold" opened
	onLog     func(line string)
}

func newSide(name, top, root string, impl Impl, holdFIFOs bool) *side {
	return &side{name: name, top: top, root: root, impl: impl, holdFIFOs: holdFIFOs, fake: mount.NewFakeMounter(nil)}
}

func (s *side) fakeMount(path string) {
	s.fake.MountPoints = append(s.fake.MountPoints, mount.MountPoint{Device: "/dev/fake", Path: path, Type: "fake"})
}

func (s *side) release() {
	for _, fd := range s.held {
		unix.Close(fd)
	}
	s.held = nil
}

// run takes the step; before is the side's tree as it is now.
func (s *side) run(step Step, before snapshot) *outcome {
	step = step.onSide(s.name)
	o := &outcome{}
	if step.Op == OpEdit {
		o.put("edit", "%v", step.Edit.apply(s))
		o.tree = takeSnapshot(s.top)
		return o
	}
	if err := os.Chdir(s.root); err != nil {
		o.put("chdir", "%v", err)
		o.tree = takeSnapshot(s.top)
		return o
	}
	writers := s.openFIFOs(before)
	keepStdin()
	t := &tape{onLog: s.onLog}
	fdsBefore := descriptors()
	setVerbosity(step.V)
	setTape(t)
	unix.Umask(step.Umask)

	o.hung = !s.guarded(step, t, o)

	o.put("umask afterwards", "%#o", unix.Umask(0))
	setTape(nil)
	setVerbosity(0)
	o.put("descriptors left open", "%v", settledDescriptors(fdsBefore))
	for _, fd := range writers {
		unix.Close(fd)
	}
	cwd, err := os.Getwd()
	o.put("working directory", "%q %v", onA(cwd), err)
	t.mu.Lock()
	o.events = t.events
	t.mu.Unlock()
	o.tree = takeSnapshot(s.top)
	o.put("files replaced", "%q", replaced(before, o.tree))
	o.put("mounts", "%q", mountsOf(s.top))
	o.put("hung", "%v", o.hung)
	return o
}

// guarded makes the call on its own goroutine and waits for its end; false says that it hung.
func (s *side) guarded(step Step, t *tape, o *outcome) bool {
	done := make(chan struct{})
	inner := &outcome{}
	go func() {
		defer close(done)
		if err := assume(step.Cred); err != nil {
			inner.put("credentials", "%v", err)
			return
		}
		finished := false
		defer func() {
			if finished {
				return
			}
			if v := recover(); v != nil {
				inner.putPanic(v)
			} else {
				inner.put("goroutine", "ended by Goexit")
			}
		}()
		s.call(step, s.mounter(step, t), t, inner)
		finished = true
	}()
	timer := time.NewTimer(hangLimit)
	defer timer.Stop()
	select {
	case <-done:
		o.facets, o.err = inner.facets, inner.err
		return true
	case <-timer.C:
	}
	// Give a call that waits for a FIFO's other end what it waits for, so that its thread ends.
	for _, fd := range openAllFIFOs(s.top, takeSnapshot(s.top)) {
		defer unix.Close(fd)
	}
	select {
	case <-done:
		o.facets, o.err = inner.facets, inner.err
	case <-time.After(hangLimit):
		o.lost = true
	}
	return false
}

// assume changes this goroutine's thread for good; the thread ends with the goroutine.
func assume(cred string) error {
	switch cred {
	case "":
		return nil
	case "nodac":
		runtime.LockOSThread()
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&hdr, &data[0]); err != nil {
			return err
		}
		data[0].Effective &^= 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID
		return unix.Capset(&hdr, &data[0])
	case "user":
		runtime.LockOSThread()
		// Where the user namespace knows no such user, the kernel leaves it as it was, on both sides.
		if _, err := unix.SetfsgidRetGid(1000); err != nil {
			return err
		}
		_, err := unix.SetfsuidRetUid(1000)
		return err
	}
	return fmt.Errorf("unknown credentials %q", cred)
}

func (s *side) mounter(step Step, t *tape) mount.Interface {
	var inner mount.Interface
	switch step.Mounter {
	case "nil":
		return nil
	case "fake":
		inner = s.fake
	case "skip":
		inner = s.fake
		step.Faults = append(step.Faults, Fault{Method: "CanSafelySkipMountPointCheck", Nth: -1, What: "true", Kind: -1})
	case "real":
		inner = RealMounter()
	default:
		panic("unknown mounter " + step.Mounter)
	}
	r := &recorder{inner: inner, tape: t, faults: step.Faults, count: map[string]int{}}
	r.again = func(nested Step) {
		sub := &outcome{}
		s.call(nested, &recorder{inner: inner, tape: t, count: map[string]int{}}, t, sub)
		for _, f := range sub.facets {
			t.add("nested " + f.name + ": " + f.value)
		}
	}
	return r
}

// call makes the call itself and puts its results.
func (s *side) call(step Step, m mount.Interface, t *tape, o *outcome) {
	impl := s.impl
	putPath := func(path string, err error) {
		o.put("path", "%s", short(level(path)))
		o.putError(err, t.given)
	}
	switch step.Op {
	case OpMake:
		o.putError(impl.SafeMakeDir(m, step.Path, step.Base, step.Perm), t.given)
	case OpBind:
		path, cleanup, err := impl.PrepareSafeSubpath(m, step.Sub)
		o.put("cleanup is nil", "%v", cleanup == nil)
		putPath(path, err)
	case OpClean:
		o.putError(impl.CleanSubPaths(m, step.Sub.PodDir, step.Sub.VolumeName), t.given)
	case OpOpen:
		fd, err := impl.DoSafeOpen(step.Path, step.Base)
		if err == nil {
			number := fmt.Sprint(fd)
			o.put("descriptor", "%s, %s", level(describeSource("/proc/self/fd/"+number)), fdFlags(number))
			unix.Close(fd)
		} else {
			o.put("descriptor", "%d", fd)
		}
		o.putError(err, t.given)
	case OpMkdir:
		o.putError(impl.DoSafeMakeDir(step.Path, step.Base, step.Perm), t.given)
	case OpPrefix:
		path, rest, err := impl.FindExistingPrefix(step.Base, step.Path)
		o.put("rest", "%s, nil %v", short(strings.Join(rest, " / ")), rest == nil)
		o.put("rest length", "%d", len(rest))
		putPath(path, err)
	case OpEmpty:
		o.putError(impl.RemoveEmptyDirs(step.Base, step.Path), t.given)
	case OpTarget:
		mounted, path, err := impl.PrepareSubpathTarget(m, step.Sub, s.lazyUnmount(step, t))
		o.put("already mounted", "%v", mounted)
		putPath(path, err)
	default:
		panic("unknown operation " + string(step.Op))
	}
}

// lazyUnmount is what stands in for the original's lazyUnmountFn; faults can be put on it as on
// a mounter's method.
func (s *side) lazyUnmount(step Step, t *tape) func(string) error {
	r := &recorder{tape: t, faults: step.Faults, count: map[string]int{}}
	return func(path string) error {
		f := r.begin("lazyUnmount", path)
		return r.act(f, path, func() error {
			if step.Mounter == "real" {
				return unix.Unmount(path, unix.MNT_DETACH)
			}
			return s.fake.Unmount(path)
		})
	}
}

// openFIFOs keeps both ends of every FIFO open that the original may wait for. Those that are
// reached through a mount alone are kept open on both sides: they keep the mount busy.
func (s *side) openFIFOs(tree snapshot) (fds []int) {
	outside := map[[2]uint64]bool{}
	through := map[[2]uint64]string{}
	for path, e := range tree {
		if e.kind != 'p' {
			continue
		}
		if fd, err := openFIFO(s.top, path, true); err == nil {
			outside[[2]uint64{e.dev, e.ino}] = true
			if s.holdFIFOs {
				fds = append(fds, fd)
			} else {
				unix.Close(fd)
			}
		} else if was := through[[2]uint64{e.dev, e.ino}]; was == "" || path < was {
			through[[2]uint64{e.dev, e.ino}] = path
		}
	}
	for file, path := range through {
		if fd, err := openFIFO(s.top, path, false); err == nil && !outside[file] {
			fds = append(fds, fd)
		} else if err == nil {
			unix.Close(fd)
		}
	}
	return fds
}

// openFIFO follows no symlink, and with sameMount goes into no other mount. openat2 would do both in
// one call, but may be what is refused here.
func openFIFO(top, path string, sameMount bool) (int, error) {
	root, err := unix.Open(top, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	fd := -1
	err = inParent(top, path, func(dir int, name string) (err error) {
		fd, err = unix.Openat(dir, name, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil && sameMount && fdInfo(fmt.Sprint(fd), "mnt_id") != fdInfo(fmt.Sprint(root), "mnt_id") {
			unix.Close(fd)
			return unix.EXDEV
		}
		return err
	})
	return fd, err
}

// openAllFIFOs opens both ends of every FIFO, wherever it is.
func openAllFIFOs(top string, tree snapshot) (fds []int) {
	for path, e := range tree {
		if e.kind == 'p' {
			if fd, err := openFIFO(top, path, false); err == nil {
				fds = append(fds, fd)
			}
		}
	}
	return fds
}

// keepStdin makes sure that descriptor 0 is open: the original closes it at times.
func keepStdin() {
	if stdin == 0 {
		stdin, _ = unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 100)
	}
	unix.Dup3(stdin, 0, 0)
}

var stdin int

// descriptors maps this process's open descriptors to what they are open on.
func descriptors() map[string]string {
	m := map[string]string{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return m
	}
	for _, e := range entries {
		if link, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil {
			m[e.Name()] = link
		}
	}
	return m
}

// settledDescriptors compares with what is open now. The C library opens a file of its own for a
// moment when a thread ends, so a difference counts once it stays.
func settledDescriptors(before map[string]string) (changed []string) {
	for range 50 {
		if changed = changedDescriptors(before, descriptors()); changed == nil {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return changed
}

// changedDescriptors lists what was opened and not closed, and what was closed that was not its own.
func changedDescriptors(before, after map[string]string) (out []string) {
	for fd, link := range after {
		if before[fd] == "" {
			out = append(out, "opened "+level(link))
		}
	}
	for fd, link := range before {
		if after[fd] == "" {
			out = append(out, "closed "+level(link))
		}
	}
	slices.Sort(out)
	return out
}
