//go:build cgo

// The mount table and the mount point checks: mount-utils' functions under their own names, with
// its types.

package rustsubpath

import (
	"errors"
	"fmt"
	"math"
	"time"

	"k8s.io/mount-utils"

	"rustsubpath/internal/boundary"
)

// kernel is for what asks the kernel alone.
var kernel = boundary.Settings{Native: true, Profile: int(ProfileV137)}

// ParseMountInfo parses a mount table, /proc/self/mountinfo say. Every string is what the file
// system holds: in each field the octal escapes that the kernel prints there are decoded, and bytes
// that are no UTF-8 stay as they are. Only a file system that prints its options without escaping
// them, as 9p does, cannot be told apart where it says \040 or another of these itself. Lists keep order and duplicates; a comma in a quoted or escaped value splits nothing; an empty
// source is empty. The Root of a mount whose directory was deleted ends in "//deleted".
//
// A malformed line is an error that names file, line and field. All strings are parts of one: a
// program that keeps one of them keeps the table, unless it keeps a strings.Clone.
func ParseMountInfo(filename string) ([]mount.MountInfo, error) {
	result, err := kernel.Do(boundary.MountTable, 0, filename)
	if err != nil {
		return nil, err
	}
	p := unpackMounts(result)
	infos := make([]mount.MountInfo, 0, p.mounts)
	for len(infos) < p.mounts && p.err == nil {
		id, parent, major, minor := p.number(), p.number(), p.number(), p.number()
		info := mount.MountInfo{ID: int(id), ParentID: int(parent), Major: int(major), Minor: int(minor)}
		info.Root, info.MountPoint, info.FsType, info.Source = p.string(), p.string(), p.string(), p.string()
		info.OptionalFields, info.MountOptions, info.SuperOptions = p.list(), p.list(), p.list()
		if len(info.OptionalFields) == 0 {
			info.OptionalFields = nil
		}
		if id|parent|major|minor > math.MaxInt {
			return nil, fmt.Errorf("%s: mount %d: its IDs %d and %d and device %d:%d do not all fit an int",
				filename, len(infos)+1, id, parent, major, minor)
		}
		infos = append(infos, info)
	}
	if p.err != nil {
		return nil, p.err
	}
	return infos, nil
}

// List lists every mount that the calling thread sees, as the List of mount-utils' mounter does, its
// strings decoded as those of ParseMountInfo.
func List() ([]mount.MountPoint, error) {
	result, err := kernel.Do(boundary.ListMounts, 0)
	if err != nil {
		return nil, err
	}
	p := unpackMounts(result)
	mounts := make([]mount.MountPoint, 0, p.mounts)
	for len(mounts) < p.mounts && p.err == nil {
		mounts = append(mounts, mount.MountPoint{Device: p.string(), Path: p.string(), Type: p.string(), Opts: p.list()})
	}
	if p.err != nil {
		return nil, p.err
	}
	return mounts, nil
}

// SearchMountPoints finds where else the directory or file at hostSource is mounted, by the mount
// table in the file. hostSource is a mount point or lies on a mount; it has no symlinks in it.
func SearchMountPoints(hostSource, mountInfoPath string) ([]string, error) {
	return paths(kernel.Do(boundary.SearchMountPoints, 0, hostSource, mountInfoPath))
}

// GetMountRefs finds where else the directory or file at a path is mounted, symlinks resolved, as
// the GetMountRefs of mount-utils' mounter does. A path that is not there has none.
//
// They are found for a mount whose server is dead or hangs too, which is not asked: mount-utils takes a
// dead one for mounted nowhere else, and waits for ever for one that hangs. What lies below such a mount
// is an error, ETIMEDOUT after five seconds if its server hangs.
func GetMountRefs(pathname string) ([]string, error) {
	return paths(kernel.Do(boundary.MountRefs, 0, pathname))
}

// IsMountPoint says whether something is mounted at the path, as the IsMountPoint of mount-utils'
// mounter does; symlinks are followed. When nothing is there the error is fs.ErrNotExist.
//
// What is mounted is looked at: where its server is dead, or refuses, the error is what it answers,
// and mount.IsCorruptedMnt is true of it if it is of mount-utils'. Where it does not answer, the error
// is ETIMEDOUT after five seconds, and at once while the kernel still waits for it. What is no mount
// point, or is on a disk, is one system call in a table of any length.
func IsMountPoint(file string) (bool, error) {
	result, err := kernel.Do(boundary.IsMountPoint, 0, file)
	return err == nil && result.Number != 0, err
}

// IsLikelyNotMountPoint says whether nothing is mounted at the path. It has the signature of
// mount-utils' method and misses no bind mount. As that does, it asks no server, and so does not tell
// whether one is dead or hangs. Beside an error, which is the errno itself, it says true.
func IsLikelyNotMountPoint(file string) (bool, error) {
	result, err := kernel.Do(boundary.IsLikelyNotMountPoint, 0, file)
	return err != nil || result.Number != 0, err
}

// IsNotMountPoint says whether the mounter knows of nothing mounted at the path. Beside an error it
// says true. With mount-utils' own *mount.Mounter it is the opposite of IsMountPoint.
func IsNotMountPoint(mounter mount.Interface, file string) (bool, error) {
	is := IsMountPoint
	if !boundary.IsNative(mounter) {
		is = mounter.IsMountPoint
	}
	mounted, err := is(file)
	return err != nil || !mounted, err
}

// CleanupMountPoint unmounts the path and removes what is left of it, as mount-utils' function of
// that name does. With extensiveMountPointCheck the mounter's IsMountPoint decides whether it is a
// mount point, else its IsLikelyNotMountPoint.
//
// With mount-utils' own *mount.Mounter the library unmounts by system calls itself. It takes every
// mount away that lies there, and waits for no server. Only where mount(8) noted something of the
// mount in /run/mount/utab, for an option like _netdev, the mounter unmounts it, by umount(8), and is
// waited for.
func CleanupMountPoint(mountPath string, mounter mount.Interface, extensiveMountPointCheck bool) error {
	extensive := int64(0)
	if extensiveMountPointCheck {
		extensive = 1
	}
	_, err := boundary.For(mounter, int(ProfileV137)).Do(boundary.CleanupMountPoint, extensive, mountPath)
	return err
}

// CleanupMountWithForce is CleanupMountPoint in bounded time: an unmount that takes longer than
// umountTimeout, or that fails with EBUSY while the server does not answer, is tried again with force,
// which aborts what waits for the server and may lose data; a warning says so. A mount that is busy
// while its server answers stays.
//
// With mount-utils' own *mount.Mounter one mount takes three times the timeout at most, the whole ten
// times. A timeout below 100 ms, zero and negative too, counts as 100 ms; nothing is forced at once. nil
// means that umount2(2) has come back, and that the device may be detached, unless another mount
// namespace or an open file keeps the file system. A thread that hangs in the kernel stays behind, one
// for each mount; it touches nothing any more once the kernel lets it go, and Info counts it. While it
// is there, further calls for its path fail with ETIMEDOUT at once.
//
// Any other mounter is used by mount-utils' function.
func CleanupMountWithForce(mountPath string, mounter mount.MounterForceUnmounter, extensiveMountPointCheck bool, umountTimeout time.Duration) error {
	if !boundary.IsNative(mounter) {
		return mount.CleanupMountWithForce(mountPath, mounter, extensiveMountPointCheck, umountTimeout)
	}
	if umountTimeout < 0 {
		umountTimeout = 0
	}
	_, err := kernel.Do(boundary.CleanupMountWithForce, int64(umountTimeout), mountPath)
	return err
}

// PathWithinBase says whether the path is the base or lies below it, by their names alone. It is
// mount-utils' own function, which is right.
func PathWithinBase(fullPath, basePath string) bool {
	return mount.PathWithinBase(fullPath, basePath)
}

// paths returns the paths packed in a result, nil if there is none.
func paths(result boundary.Result, err error) ([]string, error) {
	if err != nil || result.Bytes == "" {
		return nil, err
	}
	return result.Fields(), nil
}

// packedMounts is a packed list of mounts on its way out; see rsp_mount_table() in the header.
type packedMounts struct {
	rest   string
	mounts int
	// listed holds the strings of all lists in one array, so that no list is allocated by itself.
	listed []string
	err    error
}

// unpackMounts begins to read a result. No mount and no string takes less than eight bytes, which bounds
// what is allocated for a number in it.
func unpackMounts(result boundary.Result) *packedMounts {
	p := &packedMounts{rest: result.Bytes, mounts: int(result.Number)}
	p.listed = make([]string, 0, p.count())
	if p.mounts < 0 || p.mounts > len(result.Bytes)/8 {
		p.fail()
		p.mounts = 0
	}
	return p
}

func (p *packedMounts) fail() {
	p.rest, p.err = "", errors.New("rustsubpath: its library packed a mount table in a way that its Go files do not know")
}

func (p *packedMounts) number() uint64 {
	if len(p.rest) < 8 {
		p.fail()
		return 0
	}
	b := p.rest[:8]
	p.rest = p.rest[8:]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// count is a number of things that lie in the rest.
func (p *packedMounts) count() int {
	n := p.number()
	if n > uint64(len(p.rest)) {
		p.fail()
		return 0
	}
	return int(n)
}

func (p *packedMounts) string() string {
	n := p.count()
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

func (p *packedMounts) list() []string {
	start := len(p.listed)
	for n := p.count(); n > 0 && p.err == nil; n-- {
		p.listed = append(p.listed, p.string())
	}
	end := len(p.listed)
	return p.listed[start:end:end]
}
