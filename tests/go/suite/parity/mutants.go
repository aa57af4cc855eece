// The suite's own test: implementations that are wrong in one respect each. A comparison that lets
// its mutant pass proves nothing about the port.

package parity

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
	mount "k8s.io/mount-utils"
)

// mutant changes an implementation so that a difference in the facet must be found.
type mutant struct {
	name   string
	facet  string // how the difference's name begins
	change func(*Impl)

	minimal bool // also look at the report
	wraps   bool // only where the original wraps its mounter's errors
}

// aroundMake, afterMake, failsBy, aroundBind, beforeOpen and aroundMounter change one part of an
// implementation.
func aroundMake(f func(err error, full string) error) func(*Impl) {
	return func(i *Impl) {
		was := i.SafeMakeDir
		i.SafeMakeDir = func(m mount.Interface, subdir, base string, perm os.FileMode) error {
			return f(was(m, subdir, base, perm), base+"/"+subdir)
		}
	}
}

func afterMake(f func()) func(*Impl) {
	return aroundMake(func(err error, _ string) error {
		f()
		return err
	})
}

// failsBy makes another error of each.
func failsBy(f func(err error) error) func(*Impl) {
	return aroundMake(func(err error, _ string) error {
		if err != nil {
			err = f(err)
		}
		return err
	})
}

func aroundBind(f func(path string, err error) (string, func(), error)) func(*Impl) {
	return func(i *Impl) {
		was := i.PrepareSafeSubpath
		i.PrepareSafeSubpath = func(m mount.Interface, sp Subpath) (string, func(), error) {
			path, _, err := was(m, sp)
			return f(path, err)
		}
	}
}

func beforeOpen(f func(pathname string)) func(*Impl) {
	return func(i *Impl) {
		was := i.DoSafeOpen
		i.DoSafeOpen = func(pathname, base string) (int, error) {
			f(pathname)
			return was(pathname, base)
		}
	}
}

func aroundMounter(wrap func(mount.Interface) mount.Interface) func(*Impl) {
	return func(i *Impl) {
		was := i.PrepareSafeSubpath
		i.PrepareSafeSubpath = func(m mount.Interface, sp Subpath) (string, func(), error) {
			if m != nil {
				m = wrap(m)
			}
			return was(m, sp)
		}
	}
}

// relog runs work with its log lines held back and then writes them by f.
func relog(work func(), f func(line string)) {
	current.Lock()
	own := current.tape
	current.tape = &tape{}
	held := current.tape
	current.Unlock()
	defer func() {
		setTape(own)
		for _, e := range held.events {
			f(e[strings.IndexByte(e, ' ')+1+len("INFO/I "):])
		}
	}()
	work()
}

type forgetful struct{ mount.Interface }

func (f forgetful) IsMountPoint(path string) (bool, error) {
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		return false, nil
	}
	return f.Interface.IsMountPoint(path)
}

type curious struct{ mount.Interface }

func (c curious) IsMountPoint(path string) (bool, error) {
	c.Interface.IsLikelyNotMountPoint(path)
	return c.Interface.IsMountPoint(path)
}

type flagless struct{ mount.Interface }

func (f flagless) MountSensitiveWithoutSystemdWithMountFlags(s, t, fs string, o, so, _ []string) error {
	return f.Interface.MountSensitiveWithoutSystemdWithMountFlags(s, t, fs, o, so, []string{})
}

type byPath struct{ mount.Interface }

func (b byPath) MountSensitiveWithoutSystemdWithMountFlags(s, t, fs string, o, so, f []string) error {
	if link, err := os.Readlink(s); err == nil {
		s = link
	}
	return b.Interface.MountSensitiveWithoutSystemdWithMountFlags(s, t, fs, o, so, f)
}

// copiedError wraps a copy of the caller's error where the original wraps the error itself.
type copiedError struct{ err, inner error }

func (c copiedError) Error() string { return c.err.Error() }
func (c copiedError) Unwrap() error { return c.inner }

var mutants = []mutant{
	{name: "wrong text", minimal: true, facet: "error text", change: failsBy(func(err error) error {
		return errors.New(strings.Replace(err.Error(), "i", "y", 1))
	})},
	{name: "an error too few", facet: "error is nil", change: aroundMake(func(error, string) error { return nil })},
	{name: "errno lost", facet: "errors.Is", change: failsBy(func(err error) error { return errors.New(err.Error()) })},
	{name: "PathError's operation", facet: "PathError.Op", change: aroundMake(func(err error, _ string) error {
		if p, ok := err.(*os.PathError); ok {
			return &os.PathError{Op: "open", Path: p.Path, Err: p.Err}
		}
		return err
	})},
	{name: "PathError's path", facet: "PathError.Path", change: aroundMake(func(err error, _ string) error {
		if p, ok := err.(*os.PathError); ok {
			return &os.PathError{Op: p.Op, Path: p.Path + "/", Err: p.Err}
		}
		return err
	})},
	{name: "PathError wrapped", facet: "is a *PathError", change: failsBy(func(err error) error { return fmt.Errorf("%w", err) })},
	{name: "mode", facet: "tree", change: aroundMake(func(err error, full string) error {
		if err == nil {
			unix.Chmod(full, 0o711)
		}
		return err
	})},
	{name: "owner", facet: "tree", change: aroundMake(func(err error, full string) error {
		if err == nil {
			unix.Chown(full, -1, 7)
			unix.Mkdir(full+"/left over", 0o700) // where no other owner can be given
		}
		return err
	})},
	{name: "size", facet: "tree", change: beforeOpen(func(pathname string) { os.Truncate(pathname, 3) })},
	{name: "link", facet: "tree", change: beforeOpen(func(pathname string) {
		if target, err := os.Readlink(pathname); err == nil {
			os.Remove(pathname)
			os.Symlink(strings.Repeat("l", len(target)), pathname)
		}
	})},
	{name: "another file in its place", facet: "files replaced", change: aroundBind(func(path string, err error) (string, func(), error) {
		if unix.Rmdir(path) == nil {
			unix.Mkdir(path, 0o700)
			unix.Chmod(path, 0o750)
		}
		return path, nil, err
	})},
	{name: "mount options", facet: "mounts", change: aroundBind(func(path string, err error) (string, func(), error) {
		unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOEXEC, "")
		return path, nil, err
	})},
	{name: "a call too few", minimal: true, facet: "mounter event", change: aroundMounter(func(m mount.Interface) mount.Interface { return forgetful{m} })},
	{name: "a call too many", facet: "mounter event", change: aroundMounter(func(m mount.Interface) mount.Interface { return curious{m} })},
	{name: "an argument", facet: "mounter event", change: aroundMounter(func(m mount.Interface) mount.Interface { return flagless{m} })},
	{name: "mounting by path", facet: "mounter event", change: aroundMounter(func(m mount.Interface) mount.Interface { return byPath{m} })},
	{name: "a log line too few", facet: "log", change: beforeOpen(func(string) { setVerbosity(4) })},
	{name: "a log line too many", facet: "log", change: afterMake(func() { klog.V(4).Info("made") })},
	{name: "a log line at verbosity 0", facet: "log", change: afterMake(func() { klog.Info("made") })},
	{name: "severity", minimal: true, facet: "log", change: func(i *Impl) {
		was := i.SafeMakeDir
		i.SafeMakeDir = func(m mount.Interface, subdir, base string, perm os.FileMode) (err error) {
			relog(func() { err = was(m, subdir, base, perm) }, func(line string) { klog.Warning(line) })
			return err
		}
	}},
	{name: "log lines late", facet: "order", change: func(i *Impl) {
		was := i.CleanSubPaths
		i.CleanSubPaths = func(m mount.Interface, podDir, volume string) (err error) {
			relog(func() { err = was(m, podDir, volume) }, func(line string) { klog.V(3).Info(line) })
			return err
		}
	}},
	{name: "descriptor left open", facet: "descriptors", change: afterMake(func() { unix.Open("/", unix.O_PATH, 0) })},
	{name: "umask", facet: "umask", change: afterMake(func() { unix.Umask(0o123) })},
	{name: "working directory", facet: "working directory", change: afterMake(func() { unix.Chdir("/") })},
	{name: "clean-up function", facet: "cleanup", change: aroundBind(func(path string, err error) (string, func(), error) {
		return path, func() {}, err
	})},
	{name: "returned path", facet: "path", change: aroundBind(func(path string, err error) (string, func(), error) {
		return path + "/", nil, err
	})},
	{name: "descriptor's flags", facet: "descriptor", change: func(i *Impl) {
		i.DoSafeOpen = func(pathname, base string) (int, error) {
			return unix.Open(pathname, unix.O_PATH|unix.O_CLOEXEC, 0)
		}
	}},
	{name: "nil for an empty list", facet: "rest", change: func(i *Impl) {
		was := i.FindExistingPrefix
		i.FindExistingPrefix = func(base, pathname string) (string, []string, error) {
			path, rest, err := was(base, pathname)
			if len(rest) == 0 {
				rest = nil
			}
			return path, rest, err
		}
	}},
	{name: "panic's value", facet: "panic", change: func(i *Impl) {
		was := i.CleanSubPaths
		i.CleanSubPaths = func(m mount.Interface, podDir, volume string) error {
			defer func() {
				if v := recover(); v != nil {
					panic(fmt.Sprint(v, "!"))
				}
			}()
			return was(m, podDir, volume)
		}
	}},
	{name: "panic swallowed", facet: "panic", change: func(i *Impl) {
		was := i.PrepareSafeSubpath
		i.PrepareSafeSubpath = func(m mount.Interface, sp Subpath) (_ string, _ func(), err error) {
			defer func() {
				if v := recover(); v != nil {
					err = errors.New("recovered")
				}
			}()
			return was(m, sp)
		}
	}},
	{name: "Goexit swallowed", facet: "goroutine", change: func(i *Impl) {
		was := i.PrepareSafeSubpath
		i.PrepareSafeSubpath = func(m mount.Interface, sp Subpath) (path string, clean func(), err error) {
			done := make(chan any)
			go func() {
				defer func() { done <- recover() }()
				path, clean, err = was(m, sp)
			}()
			if v := <-done; v != nil {
				panic(v)
			}
			return path, clean, err
		}
	}},
	{name: "hang", facet: "hung", change: aroundMake(func(err error, _ string) error {
		if err == syscall.ENOENT {
			return err
		}
		select {}
	})},
	{name: "identity of the mounter's error", facet: "identity", wraps: true, change: aroundBind(func(path string, err error) (string, func(), error) {
		if custom := (*customError)(nil); errors.As(err, &custom) {
			err = copiedError{err, &customError{custom.text}}
		}
		return path, nil, err
	})},
}

// SelfTest shows that the suite finds no difference between the original and itself, and that it
// finds each mutant.
func SelfTest(t *testing.T, original Impl) {
	if !Sandboxed(t) {
		return
	}
	for seed := uint64(1); seed <= 40; seed++ {
		if c := Generate(seed); !reflect.DeepEqual(c, Generate(seed)) {
			t.Fatalf("seed %d makes two different cases", seed)
		} else if f, err := runCase(c, original, original, newTally()); err != nil || f != nil {
			t.Fatalf("the original differs from itself: %v\n%s", err, report(c, f))
		}
	}
	for _, m := range mutants {
		if m.wraps && !original.Wraps {
			continue
		}
		t.Run(m.name, func(t *testing.T) { m.mustBeFound(t, original) })
	}
}

func (m mutant) mustBeFound(t *testing.T, original Impl) {
	wrong := original
	m.change(&wrong)
	if m.name == "hang" {
		defer func(limit time.Duration) { hangLimit = limit }(hangLimit)
		hangLimit = 200 * time.Millisecond
	}
	for seed := uint64(1); seed <= 3000; seed++ {
		c := Generate(seed)
		f, err := runCase(c, original, wrong, newTally())
		if err != nil {
			t.Fatal(err)
		}
		if f != nil && f.names(m.facet) {
			if m.minimal {
				m.mustBeSmall(t, c, f, original, wrong)
			}
			return
		}
	}
	t.Errorf("no difference in %q was found", m.facet)
}

// mustBeSmall looks at what a person would be shown of the mutant.
func (m mutant) mustBeSmall(t *testing.T, c Case, f *failure, original, wrong Impl) {
	small, g := minimal(c, f, original, wrong)
	text := report(small, g)
	if len(small.Steps) > 1 || len(small.Tree) > 2 {
		t.Errorf("the smallest case is large:\n%s", text)
	}
	if !strings.Contains(text, m.facet) || !strings.Contains(text, string(small.Steps[0].Op)) {
		t.Errorf("the report does not say what differs:\n%s", text)
	}
}

// names says whether one of the differences is in the facet.
func (f *failure) names(facet string) bool {
	for _, d := range f.differences {
		if strings.HasPrefix(d.facet, facet) {
			return true
		}
	}
	return false
}
