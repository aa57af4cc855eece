// What a file system looks like after a call: the tree below a directory, and the mounts on it.

package parity

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// entry is one file of a snapshot.
type entry struct {
	kind   byte
	mode   uint32
	uid    uint32
	gid    uint32
	size   int64
	rdev   uint64
	nlink  uint64
	target string // of a symlink, with the root's name made the same for both sides
	text   string // how a directory could not be read, or a file's first bytes
	dev    uint64 // which file this is; never compared across sides
	ino    uint64
}

func (e entry) String() string {
	s := fmt.Sprintf("%c %04o %d:%d size %d links %d", e.kind, e.mode, e.uid, e.gid, e.size, e.nlink)
	if e.rdev != 0 {
		s += fmt.Sprintf(" device %d:%d", unix.Major(e.rdev), unix.Minor(e.rdev))
	}
	if e.kind == 'l' {
		s += fmt.Sprintf(" -> %q", e.target)
	}
	if e.text != "" {
		s += fmt.Sprintf(" (%q)", e.text)
	}
	return s
}

// sameAs compares what a caller sees, not which inode it is.
func (e entry) sameAs(o entry) bool {
	e.dev, e.ino, o.dev, o.ino = 0, 0, 0, 0
	return e == o
}

// snapshot maps paths below the top to entries; the top itself is ".".
type snapshot map[string]entry

// fileTypes are the letters of the kinds of files, and the kernel's numbers of them.
var fileTypes = map[byte]uint32{
	'd': unix.S_IFDIR, 'f': unix.S_IFREG, 'l': unix.S_IFLNK, 'p': unix.S_IFIFO, 's': unix.S_IFSOCK, 'c': unix.S_IFCHR, 'b': unix.S_IFBLK,
}

func kindOf(mode uint32) byte {
	for letter, number := range fileTypes {
		if number == mode&unix.S_IFMT {
			return letter
		}
	}
	return '?'
}

// takeSnapshot reads the whole tree below top, by descriptors.
func takeSnapshot(top string) snapshot {
	s := snapshot{}
	s.add(unix.AT_FDCWD, top, ".")
	return s
}

func (s snapshot) add(dir int, name, path string) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		s[path] = entry{kind: '!', text: err.Error()}
		return
	}
	e := entry{
		kind: kindOf(st.Mode), mode: st.Mode &^ unix.S_IFMT, uid: st.Uid, gid: st.Gid,
		size: st.Size, rdev: st.Rdev, nlink: uint64(st.Nlink), dev: st.Dev, ino: st.Ino,
	}
	switch e.kind {
	case 'l':
		var buf [4097]byte
		n, err := unix.Readlinkat(dir, name, buf[:])
		if err != nil {
			e.text = err.Error()
		} else {
			e.target = onA(string(buf[:n]))
		}
	case 'f':
		if e.size > 0 {
			e.text = firstBytes(dir, name)
		}
	case 'd':
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			e.text = err.Error()
			break
		}
		names, err := listFD(fd)
		if err != nil {
			e.text = err.Error()
		}
		for _, child := range names {
			below := child
			if path != "." {
				below = path + "/" + child
			}
			s.add(fd, child, below)
		}
		unix.Close(fd)
	}
	s[path] = e
}

func firstBytes(dir int, name string) string {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	var buf [16]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return err.Error()
	}
	return string(buf[:n])
}

// diffTrees lists the paths at which two snapshots differ.
func diffTrees(a, b snapshot) []string {
	var out []string
	for _, path := range unionKeys(a, b) {
		ea, inA := a[path]
		eb, inB := b[path]
		switch {
		case !inA:
			out = append(out, fmt.Sprintf("%q: missing / %s", path, eb))
		case !inB:
			out = append(out, fmt.Sprintf("%q: %s / missing", path, ea))
		case !ea.sameAs(eb):
			out = append(out, fmt.Sprintf("%q: %s / %s", path, ea, eb))
		}
	}
	return out
}

func unionKeys(a, b snapshot) []string {
	all := snapshot{}
	maps.Copy(all, a)
	maps.Copy(all, b)
	return sortedKeys(all)
}

// replaced lists the paths that a step left in place but whose file is another one than before.
func replaced(before, after snapshot) []string {
	var out []string
	for path, now := range after {
		if was, ok := before[path]; ok && (was.dev != now.dev || was.ino != now.ino) {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// mountLine is one mount as the kernel tells it.
type mountLine struct{ id, point, root, options, fsType string }

// mountTable reads the mounts of this process, in the kernel's order.
func mountTable() (out []mountLine) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return []mountLine{{point: err.Error()}}
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if dash := slices.Index(f, "-"); dash >= 6 && dash+1 < len(f) {
			out = append(out, mountLine{f[0], octal.Replace(f[4]), octal.Replace(f[3]), f[5], f[dash+1]})
		}
	}
	return out
}

// MountsBelow lists the mount points below a directory, topmost last.
func MountsBelow(dir string) (paths []string) {
	for _, m := range mountTable() {
		if m.point != dir && within(m.point, dir) {
			paths = append(paths, m.point)
		}
	}
	return paths
}

// octal undoes the escapes that the kernel writes in paths.
var octal = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// mountsOf lists the mounts that a side made: all but the sandbox's and the other side's. Ids and
// peer groups are left out.
func mountsOf(top string) (out []string) {
	other := topA
	if top == topA {
		other = topB
	}
	for _, m := range mountTable() {
		if !sandboxMounts[m.id] && !within(m.point, other) {
			out = append(out, onA(fmt.Sprintf("%s from %s %s %s", m.point, m.root, m.options, m.fsType)))
		}
	}
	return out
}
