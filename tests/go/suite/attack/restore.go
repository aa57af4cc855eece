// Putting an arena right between calls, while no attacker moves.

package attack

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// home is where something belongs that attackers move about.
type home struct {
	path string
	to   string // of a symlink
}

// belongs remembers where something belongs.
func (a *Arena) belongs(path, to string) { a.homes[inode(path)] = home{path, to} }

// putBack removes what a call made at a path, or whatever it was exchanged with since, and puts
// everything back where it belongs.
func (a *Arena) putBack(paths ...string) {
	for _, path := range paths {
		a.evict(path)
	}
	for ino, at := range a.homes {
		found := inode(at.path)
		if _, known := a.homes[found]; found != 0 && !known {
			// A call made it where something was away.
			a.evict(at.path)
		}
		if at.to != "" && inode(at.path) == 0 && unix.Symlink(at.to, at.path) == nil {
			// A call removed the link.
			delete(a.homes, ino)
			a.belongs(at.path, at.to)
		}
	}
}

// evict takes whatever stands at a path away. What belongs somewhere is put back there.
func (a *Arena) evict(path string) {
	for unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
	}
	taken := filepath.Join(a.Root, unique("taken"))
	if unix.Rename(path, taken) != nil {
		return
	}
	if strings.HasPrefix(path, a.Pod("")) {
		unmountBelow(taken)
	}
	a.giveBack(taken)
	must(os.RemoveAll(taken))
}

// giveBack puts back what belongs somewhere, be it what was taken or in it.
func (a *Arena) giveBack(taken string) {
	at, ok := a.homes[inode(taken)]
	if !ok {
		entries, _ := os.ReadDir(taken)
		for _, entry := range entries {
			a.giveBack(filepath.Join(taken, entry.Name()))
		}
		return
	}
	for i := 0; unix.Renameat2(unix.AT_FDCWD, taken, unix.AT_FDCWD, at.path, unix.RENAME_NOREPLACE) != nil; i++ {
		if i == 10 {
			panic(at.path + " cannot be put back")
		}
		a.evict(at.path)
	}
}
