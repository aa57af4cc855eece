// Attacks on SafeMakeDir.

package attack

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// things are what a directory can be exchanged with.
var things = []struct {
	name string
	make func(a *Arena, path string)
}{
	{"a symlink", func(a *Arena, path string) { a.link(a.Trap(), path) }},
	{"a FIFO", func(a *Arena, path string) { must(unix.Mkfifo(path, 0o600)); a.keep(path, 0, "") }},
	{"a file", func(a *Arena, path string) { a.keepFile(path) }},
	{"a device", func(a *Arena, path string) {
		if unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) != nil {
			// The device without a driver, 0:0, is the one that an ordinary user may make too.
			must(unix.Mknod(path, unix.S_IFCHR|0o600, 0))
		}
		a.keep(path, 0, "")
	}},
	{"a socket", func(a *Arena, path string) {
		// By a path that is short enough for an address.
		dir := a.hold(filepath.Dir(path))
		defer unix.Close(dir)
		listener, err := net.Listen("unix", below(dir, filepath.Base(path)))
		must(err)
		listener.(*net.UnixListener).SetUnlinkOnClose(false)
		a.keep(path, 0, "")
	}},
	{"a loop of symlinks", func(a *Arena, path string) { a.link("thing", path) }},
	{"a hard link to a file outside", func(a *Arena, path string) {
		a.keepFile(a.Out("hard"))
		must(os.Link(a.Out("hard"), path))
		a.belongs(path, "")
	}},
	{"a directory of somebody's", func(a *Arena, path string) {
		a.keepDir(path, 0o700)
		// Where there is a second user, it is that one's.
		os.Chown(path, 1000, 1000)
	}},
	{"a directory with files", func(a *Arena, path string) {
		a.keepDir(path, 0o700)
		a.keepFile(path + "/file")
	}},
}

func makeDirAttacks() []Attack {
	const on = "SafeMakeDir"
	parent := func(a *Arena) {
		held := a.hold(a.In("parent"))
		a.link(a.Trap(), a.In("link"))
		a.cleanUp = func() {
			os.RemoveAll(below(held, "new"))
			// Where the parent is away, the call makes one.
			a.putBack()
		}
	}
	// What the call makes is new, and may have been exchanged since.
	made := func(a *Arena) { a.cleanUp = func() { a.putBack(a.In("new")) } }
	attacks := append(parentAttacks(on, parent, makeDir("parent/new")), []Attack{
		{
			Name: "a parent in the middle of sixteen is exchanged with a symlink", On: on,
			Setup: func(a *Arena) {
				held := a.hold(a.In("parent/" + sixteen))
				must(os.MkdirAll(a.Trap()+"/"+sixteen[2:], 0o700))
				a.link(a.Trap(), a.In("link"))
				a.cleanUp = func() {
					os.RemoveAll(below(held, "new"))
					a.checkBelowTrap(sixteen[2:])
				}
			},
			Moves: []Move{exchange(in("parent/d"), in("link"))},
			Call:  makeDir("parent/" + sixteen + "/new"),
		},
		{
			Name: "a parent is moved out of the volume, and a symlink takes its place", On: on,
			Setup: parent,
			Moves: []Move{moveOut("parent")},
			Call:  makeDir("parent/new/deep/deeper"),
		},
		{
			Name: "a directory with a symlink in it is mounted over a parent", On: on,
			Setup: func(a *Arena) {
				held := a.hold(a.In("parent/x"))
				a.dir(a.In("other"))
				a.link(a.Trap(), a.In("other/x"))
				a.cleanUp = func() { os.RemoveAll(below(held, "new")) }
			},
			Moves: []Move{mountOver("other", "parent")},
			Call:  makeDir("parent/x/new"),
		},
		{
			Name: "a mount that holds a parent is moved away from over a symlink", On: on,
			Setup: func(a *Arena) {
				held := a.hold(a.In("other/x"))
				a.dir(a.In("parent"))
				a.link(a.Trap(), a.In("parent/x"))
				a.dir(a.In("aside"))
				must(unix.Mount(a.In("other"), a.In("parent"), "", unix.MS_BIND, ""))
				a.cleanUp = func() { os.RemoveAll(below(held, "new")) }
			},
			Moves: []Move{moveMount("parent", "aside")},
			Call:  makeDir("parent/x/new"),
		},
		{
			Name: "the first of three new levels is exchanged with a symlink", On: on,
			Setup: func(a *Arena) { made(a); a.link(a.Trap(), a.In("link")) },
			Moves: []Move{exchange(in("new"), in("link"))},
			Call:  makeDir("new/deep/deeper"),
		},
		{
			Name: "the second of three new levels is exchanged with a symlink", On: on,
			Setup: func(a *Arena) { made(a); a.link(a.Trap(), a.In("link")) },
			Moves: []Move{exchange(in("new/deep"), in("link"))},
			Call:  makeDir("new/deep/deeper"),
		},
		{
			Name: "a new directory is removed, and a symlink takes its place", On: on,
			Setup: made,
			Moves: []Move{replace("new")},
			Call:  makeDir("new/deep"),
		},
		{
			Name: "a new directory is exchanged with one that another user makes now", On: on,
			NeedsUsers: true,
			Setup:      made,
			Moves:      []Move{offer("new")},
			Call:       makeDir("new"),
		},
		{
			Name: "the link ..data is updated", On: on,
			Setup: func(a *Arena) {
				one, two := a.hold(a.In("..1")), a.hold(a.In("..2"))
				a.link("..1", a.In("..data"))
				a.cleanUp = func() { os.RemoveAll(below(one, "new")); os.RemoveAll(below(two, "new")) }
			},
			Moves: []Move{update("..1", "..2")},
			Call:  makeDir("..data/new/deep"),
		},
		{
			Name: "eight callers make one path", On: on,
			Callers: 8, Together: true,
			Call: func(a *Arena, c *Caller) {
				c.do(func() error { return c.impl.SafeMakeDir(c.mounter, "one/two/three", a.In(""), Mode) })
			},
			After: func(a *Arena) {
				for _, name := range []string{"one/two/three", "one/two", "one"} {
					a.hasMode(a.In(name))
					os.Remove(a.In(name))
				}
			},
		},
		{
			Name: "eight callers make paths that share their beginning", On: on,
			Callers: 8, Together: true,
			Call: func(a *Arena, c *Caller) {
				name := fmt.Sprintf("one/two/%d/deep", c.number)
				c.do(func() error { return c.impl.SafeMakeDir(c.mounter, name, a.In(""), Mode) })
			},
			After: func(a *Arena) {
				names, _ := filepath.Glob(a.In("one/two/*/deep"))
				for _, path := range names {
					a.hasMode(path)
					a.hasMode(filepath.Dir(path))
				}
				a.hasMode(a.In("one/two"))
				a.hasMode(a.In("one"))
				os.RemoveAll(a.In("one"))
			},
		},
	}...)
	for _, thing := range things {
		attacks = append(attacks, Attack{
			Name: "a new directory is exchanged with " + thing.name, On: on,
			Setup:   func(a *Arena) { made(a); thing.make(a, a.In("thing")) },
			Moves:   []Move{exchange(in("new"), in("thing"))},
			Call:    makeDir("new"),
			Release: openFIFOs("new", "thing"),
		})
	}
	return attacks
}

// parentAttacks are on an operation below the directory "parent", beside which is the symlink "link".
func parentAttacks(on string, setUp func(*Arena), call func(*Arena, *Caller)) []Attack {
	return []Attack{
		{
			Name: "a parent is exchanged with a symlink", On: on,
			Setup: setUp,
			Moves: []Move{exchange(in("parent"), in("link"))},
			Call:  call,
		},
		{
			Name: "a parent is moved away, and a symlink takes its place", On: on,
			Setup: setUp,
			Moves: []Move{dance("parent", "link")},
			Call:  call,
		},
		{
			Name: "a parent is exchanged with a chain of symlinks", On: on,
			Setup: func(a *Arena) {
				setUp(a)
				a.link("one", a.In("chain"))
				a.link("two", a.In("one"))
				a.link(a.Trap(), a.In("two"))
			},
			Moves: []Move{exchange(in("parent"), in("chain"))},
			Call:  call,
		},
	}
}

// sixteen is a chain of directories.
const sixteen = "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d"

func makeDir(name string) func(*Arena, *Caller) {
	return func(a *Arena, c *Caller) {
		c.do(func() error { return c.impl.SafeMakeDir(c.mounter, name, a.In(""), Mode) })
		a.gate.quiet(func() {
			a.check()
			a.cleanUp()
		})
	}
}

// hasMode counts a directory that was made without the mode that was asked for.
func (a *Arena) hasMode(path string) {
	info, err := os.Lstat(path)
	if err == nil && info.Mode() != Mode|os.ModeDir {
		a.tally.Modes++
	}
}

// checkBelowTrap counts what was made in a directory below the trap.
func (a *Arena) checkBelowTrap(name string) {
	for {
		path := filepath.Join(a.Trap(), name)
		entries, _ := os.ReadDir(path)
		for _, entry := range entries {
			if entry.Name() != "d" {
				a.tally.Escapes++
				os.RemoveAll(filepath.Join(path, entry.Name()))
			}
		}
		slash := strings.LastIndexByte(name, '/')
		if slash < 0 {
			return
		}
		name = name[:slash]
	}
}

// openFIFOs opens the other end of what a call may hang on.
func openFIFOs(names ...string) func(*Arena) {
	return func(a *Arena) {
		for _, name := range names {
			fd, err := unix.Open(a.In(name), unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if err == nil {
				defer unix.Close(fd)
			}
		}
		pause()
	}
}
