// Attacks on CleanSubPaths, of sub paths that were bound by hand.

package attack

import (
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
	"suite/parity"
)

func cleanAttacks() []Attack {
	const on = "CleanSubPaths"
	user := func(a *Arena) {
		a.keepFile(a.In("real/file"))
		a.keepFile(a.In("real/sub/file"))
		a.dir(a.In("real/dir"))
	}
	return []Attack{
		{
			Name: "a container makes files inside of the sub path", On: on,
			Setup: user,
			Moves: []Move{busy("/pod/volume-subpaths/vol/app/0/dir", "real/dir")},
			Call:  cleanBound("real"),
		},
		{
			Name: "a container mounts inside of the sub path", On: on,
			Setup: func(a *Arena) {
				user(a)
				a.keepFile(a.In("inner/file"))
			},
			Moves: []Move{mountInside("/pod/volume-subpaths/vol/app/0/dir")},
			Call:  cleanBound("real"),
		},
		{
			Name: "the source is removed and made anew", On: on,
			Setup: func(a *Arena) { a.dir(a.In("empty")) },
			Moves: []Move{deleteSource("empty")},
			Call:  cleanBound("empty"),
		},
		{
			Name: "eight callers clean at once", On: on,
			Setup:   user,
			Callers: 8, Together: true,
			Call: func(a *Arena, c *Caller) {
				if c.number == 0 {
					a.bind("real", 0)
				}
				cleanOnly(a, c)
			},
			After: func(a *Arena) {
				a.check()
				a.cleanPod()
			},
		},
		{
			Name: "the target is exchanged with a symlink to a mount outside", On: on, OnPod: true,
			Setup: func(a *Arena) {
				user(a)
				a.mountOutside()
				a.link(a.Out("mounted"), a.Pod("link"))
			},
			Moves: []Move{exchange(pod("volume-subpaths/vol/app/0"), pod("link"))},
			// A mount point cannot be renamed, but one that was left behind by an unmount can.
			Call: cleanAside(func(a *Arena) { os.MkdirAll(a.Target(0), 0o750) }),
		},
		{
			Name: "a container's directory is exchanged with a symlink", On: on, OnPod: true,
			Setup: func(a *Arena) {
				user(a)
				a.bait("app")
				a.link(a.Out("bait/app"), a.Pod("link"))
			},
			Moves: []Move{exchange(pod("volume-subpaths/vol/app"), pod("link"))},
			Call:  cleanAside(func(a *Arena) { a.bind("real", 0) }),
		},
		{
			Name: "a volume's directory is exchanged with a symlink", On: on, OnPod: true,
			Setup: func(a *Arena) {
				user(a)
				a.bait("vol/app")
				a.link(a.Out("bait/vol"), a.Pod("link"))
			},
			Moves: []Move{exchange(pod("volume-subpaths/vol"), pod("link"))},
			Call:  cleanAside(func(a *Arena) { a.bind("real", 0) }),
		},
		{
			Name: "a container's directory is exchanged with one of somebody's", On: on, OnPod: true,
			Setup: func(a *Arena) {
				user(a)
				a.keepDir(a.Pod("link"), 0o755)
				a.keepFile(a.Pod("link/0/file"))
				a.keepFile(a.Pod("link/1/file"))
			},
			Moves: []Move{exchange(pod("volume-subpaths/vol/app"), pod("link"))},
			Call:  cleanAside(func(a *Arena) { a.bind("real", 0) }),
		},
	}
}

// bait lays out files outside of the pod where a clean-up that is led astray would find them.
func (a *Arena) bait(below string) {
	a.keepFile(a.Out("bait/" + below + "/0"))
	a.keepFile(a.Out("bait/" + below + "/1"))
	a.keepDir(a.Out("bait/"+below+"/2"), 0o755)
	a.keepFile(a.Out("bait/" + below + "/3/file"))
}

// mountOutside mounts what nobody may unmount.
func (a *Arena) mountOutside() {
	a.dir(a.Out("mounted"))
	must(unix.Mount("outside", a.Out("mounted"), "tmpfs", 0, ""))
}

// bind binds a directory of the volume as PrepareSafeSubpath would.
func (a *Arena) bind(name string, index int) {
	target := a.Target(index)
	if os.MkdirAll(target, 0o750) == nil {
		unix.Mount(a.In(name), target, "", unix.MS_BIND, "")
	}
}

func cleanBound(name string) func(*Arena, *Caller) {
	return func(a *Arena, c *Caller) {
		a.bind(name, 0)
		err := cleanOnly(a, c)
		a.gate.quiet(func() {
			a.check()
			if err == nil && len(parity.MountsBelow(a.Pod(""))) > 0 {
				// It said that all is clean.
				a.tally.Mounts++
			}
			a.cleanPod()
		})
	}
}

// cleanAside cleans while the directories below the pod's own are under attack, and takes the
// outcome away by hand.
func cleanAside(layOut func(*Arena)) func(*Arena, *Caller) {
	return func(a *Arena, c *Caller) {
		a.gate.quiet(func() { layOut(a) })
		cleanOnly(a, c)
		a.gate.quiet(func() {
			a.check()
			if inode(a.Out("mounted")) != 0 && !mounted(a.Out("mounted")) {
				a.tally.Escapes++
				unix.Mount("outside", a.Out("mounted"), "tmpfs", 0, "")
			}
			a.putBack(a.Pod("volume-subpaths"))
		})
	}
}

func mounted(path string) bool {
	return slices.Contains(parity.MountsBelow(filepath.Dir(path)), path)
}
