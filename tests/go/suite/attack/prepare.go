// Attacks on PrepareSafeSubpath, each followed by CleanSubPaths.

package attack

import (
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"suite/parity"
)

func prepareAttacks() []Attack {
	const on = "PrepareSafeSubpath"
	// The sub path is the directory or file real; the trap holds one that looks the same.
	dir := func(a *Arena) {
		a.keepDir(a.In("parent/real"), 0o755)
		a.keepFile(a.In("parent/real/file"))
		a.keepDir(a.Trap()+"/real", 0o755)
		a.link(a.Trap(), a.In("link"))
		a.link(a.Trap()+"/real", a.In("deep.link"))
	}
	attacks := append(parentAttacks(on, dir, prepare("parent/real")), []Attack{
		{
			Name: "the directory is exchanged with a symlink", On: on,
			Setup: dir,
			Moves: []Move{exchange(in("parent/real"), in("deep.link"))},
			Call:  prepare("parent/real"),
		},
		{
			Name: "a parent in the middle of sixteen is exchanged with a symlink", On: on,
			Setup: func(a *Arena) {
				a.keepDir(a.In("parent/"+sixteen+"/real"), 0o755)
				a.keepDir(a.Trap()+"/"+sixteen[2:]+"/real", 0o755)
				a.link(a.Trap(), a.In("link"))
			},
			Moves: []Move{exchange(in("parent/d"), in("link"))},
			Call:  prepare("parent/" + sixteen + "/real"),
		},
		{
			Name: "a parent is moved out of the volume, and a symlink takes its place", On: on,
			Setup: dir,
			Moves: []Move{moveOut("parent")},
			Call:  prepare("parent/real"),
		},
		{
			Name: "a directory with a symlink in it is mounted over a parent", On: on,
			Setup: func(a *Arena) {
				a.keepDir(a.In("parent/x/real"), 0o755)
				a.keepDir(a.Trap()+"/real", 0o755)
				a.dir(a.In("other"))
				a.link(a.Trap(), a.In("other/x"))
			},
			Moves: []Move{mountOver("other", "parent")},
			Call:  prepare("parent/x/real"),
		},
		{
			Name: "a mount that holds the directory is moved away from over a symlink", On: on,
			Setup: func(a *Arena) {
				a.keepDir(a.In("other/real"), 0o755)
				a.keepDir(a.Trap()+"/real", 0o755)
				a.dir(a.In("parent"))
				a.link(a.Trap()+"/real", a.In("parent/real"))
				a.dir(a.In("aside"))
				must(unix.Mount(a.In("other"), a.In("parent"), "", unix.MS_BIND, ""))
			},
			Moves: []Move{moveMount("parent", "aside")},
			Call:  prepare("parent/real"),
		},
		{
			Name: "the file is exchanged with a symlink", On: on,
			Setup: func(a *Arena) {
				a.keepFile(a.In("file"))
				a.keepFile(a.Trap() + "/file")
				a.link(a.Trap()+"/file", a.In("link"))
			},
			Moves: []Move{exchange(in("file"), in("link"))},
			Call:  prepare("file"),
		},
		{
			Name: "the file is exchanged with a directory", On: on,
			Setup: func(a *Arena) {
				a.keepFile(a.In("file"))
				a.keepDir(a.In("dir"), 0o755)
			},
			Moves: []Move{exchange(in("file"), in("dir"))},
			Call:  prepare("file"),
		},
		{
			Name: "the link ..data is updated", On: on,
			Setup: func(a *Arena) {
				a.keepFile(a.In("..1/key"))
				a.keepFile(a.In("..2/key"))
				a.link("..1", a.In("..data"))
				a.link("..data/key", a.In("key"))
			},
			Moves: []Move{update("..1", "..2")},
			Call:  prepare("key"),
		},
		{
			Name: "eight callers prepare one directory", On: on,
			Setup:   func(a *Arena) { a.keepDir(a.In("real"), 0o755); a.keepFile(a.In("real/file")) },
			Callers: 8, Together: true,
			Call:  prepareOnly("real"),
			After: expectOneMount,
		},
		{
			Name: "eight callers prepare one file", On: on,
			Setup:   func(a *Arena) { a.keepFile(a.In("file")) },
			Callers: 8, Together: true,
			Call:  prepareOnly("file"),
			After: expectOneMount,
		},
		{
			Name: "four callers prepare what four others clean", On: on,
			Setup: func(a *Arena) { a.keepDir(a.In("real"), 0o755); a.keepFile(a.In("real/file")) },
			// They come together only to be looked at.
			Callers: 8, Together: true,
			Call: func(a *Arena, c *Caller) {
				for i := 0; i < 10; i++ {
					if c.number%2 == 0 {
						prepareOnly("real")(a, c)
					} else {
						cleanOnly(a, c)
					}
				}
			},
			After: func(a *Arena) {
				a.check()
				if len(parity.MountsBelow(a.Pod(""))) > 1 {
					a.tally.Mounts++
				}
				a.cleanPod()
			},
		},
		{
			Name: "a directory of the pod's is exchanged with a symlink", On: on, OnPod: true,
			Setup: func(a *Arena) {
				a.keepDir(a.In("real"), 0o755)
				held := a.hold(a.Pod("volume-subpaths/vol/app"))
				a.link(a.Trap(), a.Pod("link"))
				a.cleanUp = func() {
					for unix.Unmount(below(held, "0"), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
					}
					unix.Unlinkat(held, "0", unix.AT_REMOVEDIR)
				}
			},
			Moves: []Move{exchange(pod("volume-subpaths/vol"), pod("link"))},
			Call:  prepareAside("real"),
		},
		{
			Name: "the target is exchanged with a symlink", On: on, OnPod: true,
			Setup: func(a *Arena) {
				a.keepDir(a.In("real"), 0o755)
				a.keepDir(a.Out("bait"), 0o755)
				a.link(a.Out("bait"), a.Pod("link"))
				a.cleanUp = func() { a.putBack(a.Target(0)) }
			},
			Moves: []Move{exchange(pod("volume-subpaths/vol/app/0"), pod("link"))},
			Call:  prepareLeftBehind("real"),
		},
	}...)
	for _, thing := range things[1:] {
		attacks = append(attacks, Attack{
			Name: "the directory is exchanged with " + thing.name, On: on,
			Setup: func(a *Arena) {
				a.keepDir(a.In("real"), 0o755)
				thing.make(a, a.In("thing"))
				// A hard link to it is the user's to bind: it is in the volume.
				a.shared = inode(a.In("thing"))
			},
			Moves:   []Move{exchange(in("real"), in("thing"))},
			Call:    prepare("real"),
			Release: openFIFOs("real", "thing"),
		})
	}
	return attacks
}

// request is what the caller asks for; each caller has a target of its own, unless it shares one.
func (a *Arena) request(name string, index int) parity.Subpath {
	return parity.Subpath{
		VolumeMountIndex: index,
		Path:             a.In(name),
		VolumeName:       "vol",
		VolumePath:       a.In(""),
		PodDir:           a.Pod(""),
		ContainerName:    "app",
	}
}

// prepare binds a sub path, looks at what was bound, and cleans it up.
func prepare(name string) func(*Arena, *Caller) {
	return func(a *Arena, c *Caller) {
		err := c.do(func() error {
			_, _, err := c.impl.PrepareSafeSubpath(c.mounter, a.request(name, c.number))
			return err
		})
		if err == nil {
			a.look(a.Target(c.number))
		}
		cleanOnly(a, c)
		a.gate.quiet(a.check)
		if len(parity.MountsBelow(a.Pod(""))) > 0 || inode(a.Pod("volume-subpaths")) != 0 {
			a.tally.Mounts++
			a.cleanPod()
		}
	}
}

// look counts a target that shows what lies outside of the volume.
func (a *Arena) look(target string) {
	ino := inode(target)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.secret[ino] && ino != a.shared {
		a.tally.Escapes++
	}
}

func prepareOnly(name string) func(*Arena, *Caller) {
	return func(a *Arena, c *Caller) {
		c.do(func() error {
			_, _, err := c.impl.PrepareSafeSubpath(c.mounter, a.request(name, 0))
			return err
		})
	}
}

func cleanOnly(a *Arena, c *Caller) error {
	return c.do(func() error { return c.impl.CleanSubPaths(c.mounter, a.Pod(""), "vol") })
}

// expectOneMount looks for the one mount that eight callers asked for, and cleans it up.
func expectOneMount(a *Arena) {
	a.check()
	if n := len(parity.MountsBelow(a.Pod(""))); n != 1 {
		a.tally.Mounts++
	}
	a.look(a.Target(0))
	a.cleanPod()
}

// prepareLeftBehind finds every other target made already, as a prepare that was killed leaves it: one
// that is made anew is mounted on within microseconds, in which an attacker has no turn.
func prepareLeftBehind(name string) func(*Arena, *Caller) {
	var calls atomic.Int64
	prepare := prepareAside(name)
	return func(a *Arena, c *Caller) {
		if calls.Add(1)%2 == 0 {
			a.gate.quiet(func() { os.MkdirAll(a.Target(0), 0o750) })
		}
		prepare(a, c)
	}
}

// prepareAside prepares while the directories below the pod's own are under attack, and takes the
// outcome away by hand.
func prepareAside(name string) func(*Arena, *Caller) {
	var since atomic.Int64
	return func(a *Arena, c *Caller) {
		prepareOnly(name)(a, c)
		a.gate.quiet(func() {
			// The table is long in coming.
			if since.Add(1)%16 == 0 {
				a.checkMountedOutside()
			}
			a.check()
			a.cleanUp()
		})
	}
}
