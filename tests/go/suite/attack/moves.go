// What the owner of a volume does to it.

package attack

import (
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// exchange swaps two entries in one step.
func exchange(a, b func(Paths) string) Move {
	return func(p Paths, t *Tally) {
		if unix.Renameat2(unix.AT_FDCWD, a(p), unix.AT_FDCWD, b(p), unix.RENAME_EXCHANGE) == nil {
			t.Moves++
		}
	}
}

// in and pod name entries for exchange.
func in(name string) func(Paths) string  { return func(p Paths) string { return p.In(name) } }
func pod(name string) func(Paths) string { return func(p Paths) string { return p.Pod(name) } }

// dance moves an entry away, puts a link in its place, and goes back, each by rename.
func dance(name, link string) Move {
	return func(p Paths, t *Tally) {
		away := p.In(name + ".away")
		rename := func(from, to string) {
			if unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE) == nil {
				t.Moves++
			}
		}
		rename(p.In(name), away)
		rename(p.In(link), p.In(name))
		rename(p.In(name), p.In(link))
		rename(away, p.In(name))
	}
}

// replace takes an empty directory away and puts a link to the trap there, for a moment.
func replace(name string) Move {
	return func(p Paths, t *Tally) {
		if unix.Rmdir(p.In(name)) == nil {
			t.Moves++
		}
		if unix.Symlink(p.Trap(), p.In(name)) == nil {
			unix.Unlink(p.In(name))
		}
	}
}

// moveOut moves a directory out of the volume, puts a link to the trap in its place, and goes back.
func moveOut(name string) Move {
	return func(p Paths, t *Tally) {
		out := p.Out("moved")
		if unix.Renameat2(unix.AT_FDCWD, p.In(name), unix.AT_FDCWD, out, unix.RENAME_NOREPLACE) == nil {
			t.Moves++
		}
		unix.Symlink(p.Trap(), p.In(name))
		var st unix.Stat_t
		if unix.Lstat(p.In(name), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			unix.Unlink(p.In(name))
		}
		unix.Renameat2(unix.AT_FDCWD, out, unix.AT_FDCWD, p.In(name), unix.RENAME_NOREPLACE)
	}
}

// mountOver binds one directory of the volume over another for a moment.
func mountOver(what, over string) Move {
	return func(p Paths, t *Tally) {
		if unix.Mount(p.In(what), p.In(over), "", unix.MS_BIND, "") == nil {
			t.Moves++
			unix.Unmount(p.In(over), unix.MNT_DETACH)
		}
	}
}

// moveMount moves a mount to another place and back.
func moveMount(from, to string) Move {
	return func(p Paths, t *Tally) {
		if unix.Mount(p.In(from), p.In(to), "", unix.MS_MOVE, "") == nil {
			t.Moves++
		}
		unix.Mount(p.In(to), p.In(from), "", unix.MS_MOVE, "")
	}
}

var turn atomic.Int64

// unique is a name that nobody else uses.
func unique(prefix string) string {
	return fmt.Sprintf("%s.%d.%d", prefix, os.Getpid(), turn.Add(1))
}

// update replaces "..data" as a ConfigMap's volume does: a new link, and one rename.
func update(versions ...string) Move {
	return func(p Paths, t *Tally) {
		for _, version := range versions {
			link := p.In(unique("..tmp"))
			if unix.Symlink(version, link) == nil && unix.Rename(link, p.In("..data")) == nil {
				t.Moves++
			}
		}
	}
}

// offer makes a directory of another user's at this very moment, exchanges it with the one that is
// being made, and looks whether its mode was changed.
func offer(name string) Move {
	return func(p Paths, t *Tally) {
		mine := p.In(unique("mine"))
		if unix.Mkdir(mine, 0o700) != nil {
			return
		}
		fd, err := unix.Open(mine, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		var before, after unix.Stat_t
		if unix.Chown(mine, 1000, 1000) != nil || unix.Fstat(fd, &before) != nil {
			return
		}
		for i := 0; i < 200; i++ {
			if unix.Renameat2(unix.AT_FDCWD, p.In(name), unix.AT_FDCWD, mine, unix.RENAME_EXCHANGE) == nil {
				t.Moves++
				break
			}
		}
		for i := 0; i < 20; i++ {
			if unix.Fstat(fd, &after) == nil && after.Mode != before.Mode {
				t.Modes++
				break
			}
		}
		// Whichever of the two is where, both are empty.
		unix.Rmdir(mine)
		unix.Rmdir(p.In(name))
	}
}

// busy creates and removes files below a path, through the mount while there is one, and looks
// whether one of them went away that nobody removed.
func busy(through, within string) Move {
	return func(p Paths, t *Tally) {
		name := unique("user")
		file := p.In(within + "/" + name)
		for _, path := range []string{p.Root + through + "/" + name, file} {
			fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
			if err != nil {
				continue
			}
			unix.Close(fd)
			t.Moves++
			var st unix.Stat_t
			for i := 0; i < 20; i++ {
				unix.Lstat(path, &st)
			}
			// Without a mount it was made in the kubelet's own directory, which is not a user's.
			if path == file && unix.Lstat(file, &st) != nil {
				t.Lost++
			}
			unix.Unlink(path)
			unix.Unlink(file)
		}
	}
}

// mountInside mounts a file system inside of a sub path for a moment.
func mountInside(path string) Move {
	return func(p Paths, t *Tally) {
		if unix.Mount(p.In("inner"), p.Root+path, "", unix.MS_BIND, "") == nil {
			t.Moves++
			unix.Unmount(p.Root+path, unix.MNT_DETACH)
		}
	}
}

// deleteSource removes a directory and makes it anew.
func deleteSource(name string) Move {
	return func(p Paths, t *Tally) {
		if unix.Rmdir(p.In(name)) == nil {
			t.Moves++
		}
		unix.Mkdir(p.In(name), 0o755)
	}
}
