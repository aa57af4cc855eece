// Directory trees: what a case starts from, and the edits that happen between its calls.

package parity

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Node is one entry to be made. Path is below the side's root; a link's target may name the root.
type Node struct {
	Kind   byte // d directory, f file, l symlink, p FIFO, s socket, c b devices, h hard link
	Path   string
	Target string // of a symlink; of a hard link the path below the root
	Mode   uint32 // twelve permission bits
	UID    int
	GID    int
	Size   int // of a file
	Dev    int // of a device
}

func (n Node) String() string {
	s := fmt.Sprintf("%c %04o %d:%d %q", n.Kind, n.Mode, n.UID, n.GID, n.Path)
	switch n.Kind {
	case 'l', 'h':
		return s + fmt.Sprintf(" -> %q", n.Target)
	case 'c', 'b':
		return s + fmt.Sprintf(" %d:%d", unix.Major(uint64(n.Dev)), unix.Minor(uint64(n.Dev)))
	case 'f':
		return s + fmt.Sprintf(" %d bytes", n.Size)
	}
	return s
}

// parent opens the directory that is to hold path, component by component, so that neither a link
// nor the length of the path stands in the way. Missing directories are made when asked.
func parent(root, path string, create bool) (dir int, name string, err error) {
	parts := strings.Split(path, "/")
	dir, err = unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", err
	}
	for _, part := range parts[:len(parts)-1] {
		next, err := unix.Openat(dir, part, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT && create {
			if err = unix.Mkdirat(dir, part, 0o755); err == nil {
				next, err = unix.Openat(dir, part, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			}
		}
		unix.Close(dir)
		if err != nil {
			return -1, "", err
		}
		dir = next
	}
	return dir, parts[len(parts)-1], nil
}

// inParent calls do with the open directory that holds path, and with the path's last name.
func inParent(root, path string, do func(dir int, name string) error) error {
	dir, name, err := parent(root, path, false)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return do(dir, name)
}

// make creates the node below root. Its error is an errno or nil; the runner compares it between
// the sides, so that an entry that cannot be made is missing from both.
func (n Node) make(root string) error {
	dir, name, err := parent(root, n.Path, true)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	switch n.Kind {
	case 'd':
		err = unix.Mkdirat(dir, name, 0o700)
	case 'f':
		var fd int
		fd, err = unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		if err == nil {
			_, err = unix.Write(fd, []byte(strings.Repeat("x", n.Size)))
			unix.Close(fd)
		}
	case 'l':
		if err = unix.Symlinkat(n.Target, dir, name); err == nil {
			unix.Fchownat(dir, name, n.UID, n.GID, unix.AT_SYMLINK_NOFOLLOW)
		}
		return err
	case 'h':
		return inParent(root, n.Target, func(from int, fromName string) error {
			return unix.Linkat(from, fromName, dir, name, 0)
		})
	default:
		err = unix.Mknodat(dir, name, fileTypes[n.Kind]|0o600, n.Dev)
	}
	if err != nil {
		return err
	}
	// An owner that the user namespace does not know stays the maker's.
	unix.Fchownat(dir, name, n.UID, n.GID, unix.AT_SYMLINK_NOFOLLOW)
	return unix.Fchmodat(dir, name, n.Mode, 0)
}

// Edit is what someone else does to a side between two calls.
type Edit struct {
	Kind string // make remove rename chmod fake bind hold release
	Node Node   // make
	Path string // below the root, the others
	To   string // rename, bind: below the root; fake: what is said to be mounted
	Mode uint32 // chmod
}

func (e Edit) String() string {
	switch e.Kind {
	case "make":
		return "make " + e.Node.String()
	case "chmod":
		return fmt.Sprintf("chmod %04o %q", e.Mode, e.Path)
	case "rename", "bind":
		return fmt.Sprintf("%s %q to %q", e.Kind, e.Path, e.To)
	case "release":
		return e.Kind
	}
	return fmt.Sprintf("%s %q", e.Kind, e.Path)
}

// apply performs the edit on one side.
func (e Edit) apply(s *side) error {
	switch e.Kind {
	case "make":
		return e.Node.make(s.root)
	case "remove":
		return inParent(s.root, e.Path, removeTree)
	case "rename":
		return inParent(s.root, e.Path, func(from int, fromName string) error {
			return inParent(s.root, e.To, func(to int, toName string) error {
				return unix.Renameat(from, fromName, to, toName)
			})
		})
	case "chmod":
		return inParent(s.root, e.Path, func(dir int, name string) error {
			var st unix.Stat_t
			if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return err
			}
			if st.Mode&unix.S_IFMT == unix.S_IFLNK {
				return unix.ELOOP
			}
			return unix.Fchmodat(dir, name, e.Mode, 0)
		})
	case "fake":
		s.fakeMount(s.root + "/" + e.Path)
		return nil
	case "bind":
		return s.bind(e.Path, e.To)
	case "hold":
		fd, err := unix.Open(s.root+"/"+e.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err == nil {
			s.held = append(s.held, fd)
		}
		return err
	case "release":
		s.release()
		return nil
	}
	panic("unknown edit " + e.Kind)
}

// bind mounts one entry of the side on another. No link is followed, so that the mount lies on this
// side and nowhere else.
func (s *side) bind(from, to string) error {
	var fds [2]string
	for i, path := range []string{from, to} {
		dir, name, err := parent(s.root, path, false)
		if err != nil {
			return err
		}
		defer unix.Close(dir)
		fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		} else if kindOf(st.Mode) == 'l' {
			return unix.ELOOP
		}
		fds[i] = fmt.Sprintf("/proc/self/fd/%d", fd)
	}
	return unix.Mount(fds[0], fds[1], "", unix.MS_BIND, "")
}

// removeTree removes an entry with all below it; mounts in the way are detached first.
func removeTree(dir int, name string) error {
	unix.Unmount(fmt.Sprintf("/proc/self/fd/%d/%s", dir, name), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	err := unix.Unlinkat(dir, name, 0)
	if err != unix.EISDIR {
		return err
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	names, err := listFD(fd)
	for _, child := range names {
		if e := removeTree(fd, child); e != nil && err == nil {
			err = e
		}
	}
	unix.Close(fd)
	if err != nil {
		return err
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

// listFD gives the sorted names in a directory that was just opened.
func listFD(fd int) (names []string, err error) {
	var buf [8192]byte
	for {
		n, err := unix.ReadDirent(fd, buf[:])
		if n <= 0 || err != nil {
			slices.Sort(names)
			return names, err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}
