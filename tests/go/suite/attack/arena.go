// Where an attack takes place: a file system of its own with a volume, a pod's directory and what
// lies outside, whose state is known and looked at after every call.

package attack

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
	"suite/parity"
)

// Paths are the places of an arena; attackers know no more.
type Paths struct{ Root string }

// In is a path in the volume.
func (p Paths) In(name string) string { return filepath.Join(p.Root, "volume", name) }

// Out is a path outside of the volume and the pod's directory.
func (p Paths) Out(name string) string { return filepath.Join(p.Root, "outside", name) }

// Pod is a path in the pod's directory.
func (p Paths) Pod(name string) string { return filepath.Join(p.Root, "pod", name) }

// Target is where the sub path with the index is bound.
func (p Paths) Target(index int) string {
	return p.Pod(fmt.Sprintf("volume-subpaths/vol/app/%d", index))
}

// Trap is the directory that links lead to.
func (p Paths) Trap() string { return p.Out("trap") }

// Arena is the same for those who count.
type Arena struct {
	Paths
	gate  *gate
	mu    sync.Mutex
	tally *Tally
	kept  []*keepsake
	// secret are the inodes that lie outside.
	secret map[uint64]bool
	// homes say where what attackers move about belongs.
	homes map[uint64]home
	// shared is an inode that lies outside and inside.
	shared uint64
	// cleanUp removes what a call made.
	cleanUp func()
}

// keepsake is something of the user's that must stay as it is. It is held open, since attackers
// move it about.
type keepsake struct {
	fd      int
	mode    uint32
	content string
}

func newArena() (*Arena, error) {
	root, err := os.MkdirTemp("", "subpath-attack-")
	if err != nil {
		return nil, err
	}
	if err := unix.Mount("attack", root, "tmpfs", 0, "mode=0755,size=256m,nr_inodes=1m"); err != nil {
		return nil, fmt.Errorf("mount tmpfs on %s: %w", root, err)
	}
	a := &Arena{Paths: Paths{root}, tally: &Tally{Errors: map[string]int{}}, secret: map[uint64]bool{}, homes: map[uint64]home{}}
	for _, dir := range []string{a.In(""), a.Pod(""), a.Out("")} {
		must(os.Mkdir(dir, 0o755))
	}
	must(os.Mkdir(a.Trap(), 0o700))
	a.gate = openGate(root)
	return a, nil
}

func (a *Arena) end() {
	unix.Unmount(a.Root, unix.MNT_DETACH)
	os.Remove(a.Root)
}

// must is for laying out an arena, where nothing else is going on.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (a *Arena) dir(path string) {
	must(os.MkdirAll(path, 0o755))
}

// keepDir makes a directory that must stay as it is, and returns it open.
func (a *Arena) keepDir(path string, mode uint32) int {
	a.dir(filepath.Dir(path))
	must(os.Mkdir(path, 0o700))
	return a.keep(path, mode, "")
}

// keepFile makes a file with content that must stay as it is.
func (a *Arena) keepFile(path string) {
	a.dir(filepath.Dir(path))
	content := "precious: " + filepath.Base(path)
	must(os.WriteFile(path, []byte(content), 0o600))
	a.keep(path, 0o600, content)
}

func (a *Arena) keep(path string, mode uint32, content string) int {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	must(err)
	if mode != 0 {
		must(os.Chmod(path, os.FileMode(mode)))
	}
	var st unix.Stat_t
	must(unix.Fstat(fd, &st))
	a.kept = append(a.kept, &keepsake{fd, st.Mode, content})
	a.belongs(path, "")
	return fd
}

// hold opens a directory, wherever it will be moved.
func (a *Arena) hold(path string) int {
	a.dir(path)
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(err)
	a.belongs(path, "")
	return fd
}

func (a *Arena) link(to, path string) {
	must(os.Symlink(to, path))
	a.belongs(path, to)
}

// below is the path of an entry of a directory that is held.
func below(fd int, name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", fd, name) }

// seal remembers what lies outside, once everything is laid out.
func (a *Arena) seal() {
	must(filepath.WalkDir(a.Out(""), func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			a.secret[inode(path)] = true
		}
		return err
	}))
}

// inode is 0 where there is none.
func inode(path string) uint64 {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return 0
	}
	return st.Ino
}

// check looks at everything that must stay as it is, counts what did not, and puts it right where
// that is possible, so that the next time counts too.
func (a *Arena) check() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range a.kept {
		var st unix.Stat_t
		if unix.Fstat(k.fd, &st) != nil {
			continue
		}
		if st.Mode != k.mode {
			a.tally.Modes++
			os.Chmod(fmt.Sprintf("/proc/self/fd/%d", k.fd), os.FileMode(k.mode&0o777))
			unix.Fstat(k.fd, &st)
			k.mode = st.Mode
		}
		if st.Nlink == 0 {
			a.tally.Lost++
			k.mode, k.content = 0, ""
			unix.Fstat(k.fd, &st)
			k.mode = st.Mode
			continue
		}
		if k.content != "" && st.Size != int64(len(k.content)) {
			a.tally.Lost++
			os.WriteFile(fmt.Sprintf("/proc/self/fd/%d", k.fd), []byte(k.content), 0)
		}
	}
	a.checkTrap()
}

// checkTrap counts what was made in the trap, and takes it away.
func (a *Arena) checkTrap() {
	entries, err := os.ReadDir(a.Trap())
	if err != nil {
		return
	}
	for _, entry := range entries {
		path := filepath.Join(a.Trap(), entry.Name())
		if a.secret[inode(path)] {
			continue
		}
		a.tally.Escapes++
		unix.Unmount(path, unix.MNT_DETACH)
		os.RemoveAll(path)
	}
}

// checkContent reads what must stay as it is, at the end.
func (a *Arena) checkContent() {
	for _, k := range a.kept {
		if k.content == "" {
			continue
		}
		content, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", k.fd))
		if err == nil && string(content) != k.content {
			a.tally.Lost++
		}
	}
}

// checkMountedOutside counts mounts outside of the pod's directory that nobody but the operation
// can have made, and takes them away.
func (a *Arena) checkMountedOutside() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, path := range parity.MountsBelow(a.Out("")) {
		if path != a.Out("mounted") {
			a.tally.Escapes++
			unix.Unmount(path, unix.MNT_DETACH)
		}
	}
}

// unmountBelow detaches all that is mounted below a directory, the newest first.
func unmountBelow(dir string) {
	for _, path := range slices.Backward(parity.MountsBelow(dir)) {
		unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
}

// cleanPod takes everything below the pod's directory away, by hand.
func (a *Arena) cleanPod() {
	unmountBelow(a.Pod(""))
	if len(parity.MountsBelow(a.Pod(""))) == 0 {
		os.RemoveAll(a.Pod("volume-subpaths"))
	}
}
