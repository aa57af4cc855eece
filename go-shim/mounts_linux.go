//go:build cgo && (amd64 || arm64)

// The mount table, the mount point checks and the clean-up of mount points: mount-utils' functions under
// their own names, with its types.

package rustsubpath

import (
	"errors"
	"fmt"
	"math"
	"time"

	"k8s.io/mount-utils"

	"rustsubpath/internal/boundary"
)

// kernel are the settings of operations for which the library asks the kernel itself.
var kernel = boundary.Settings{Native: true, Profile: int(ProfileV137)}

// ParseMountInfo returns the mounts in a mount table such as /proc/self/mountinfo, in the table's order.
//
// Every string is decoded: it has the bytes of the path or name itself, valid UTF-8 or not, in place of
// the octal escapes that the kernel prints. (A file system that prints its options without escaping them,
// such as 9p, may have an option that contains \040 itself; it is decoded, too.) Lists keep their order
// and duplicates. A comma in a quoted or escaped value does not split an option. An empty source is an
// empty string. The Root of a mount whose directory was deleted ends in "//deleted".
//
// A malformed line is an error that names the file, the line and the field. All strings share one piece
// of memory, so that keeping one of them keeps the whole table: keep a strings.Clone instead.
func ParseMountInfo(filename string) ([]mount.MountInfo, error) {
	result, err := kernel.Do(boundary.MountTable, 0, filename)
	if err != nil {
		return nil, err
	}
	p := unpackMounts(result)
	infos := make([]mount.MountInfo, 0, p.mounts)
	for len(infos) < p.mounts && p.err == nil {
		info, err := p.info()
		if err != nil {
			return nil, fmt.Errorf("%s: mount %d: %w", filename, len(infos)+1, err)
		}
		infos = append(infos, info)
	}
	if p.err != nil {
		return nil, p.err
	}
	return infos, nil
}

// MountAt returns the mount whose root is at the path, the topmost if several are stacked there, or nil if
// nothing is mounted there. It follows symlinks. Since Linux 6.8 it takes the same time however many mounts
// there are, because it does not read the mount table; what the kernel does not tell otherwise (source and
// options before 6.11) it looks up there.
func MountAt(path string) (*mount.MountInfo, error) {
	result, err := kernel.Do(boundary.MountAt, 0, path)
	if err != nil || result.Number == 0 {
		return nil, err
	}
	p := unpackMounts(result)
	info, err := p.info()
	if err == nil {
		err = p.err
	}
	if err != nil {
		return nil, fmt.Errorf("the mount at %s: %w", path, err)
	}
	return &info, nil
}

// List returns every mount that the calling thread sees, as the List method of mount-utils' mounter does.
// Its strings are decoded as those of ParseMountInfo.
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

// SearchMountPoints returns the other paths at which the directory or file at hostSource is mounted,
// according to the mount table in the file mountInfoPath. hostSource must not contain a symlink.
func SearchMountPoints(hostSource, mountInfoPath string) ([]string, error) {
	return paths(kernel.Do(boundary.SearchMountPoints, 0, hostSource, mountInfoPath))
}

// GetMountRefs returns the other paths at which the directory or file at pathname is mounted, as the
// GetMountRefs method of mount-utils' mounter does. It follows symlinks. A path that does not exist has
// no other mounts.
//
// It does not contact the server of a network mount at pathname, so that it works for one that is dead or
// hangs, where mount-utils returns nothing or waits for ever. A path below such a mount gives an error:
// ETIMEDOUT after five seconds if the server hangs.
func GetMountRefs(pathname string) ([]string, error) {
	return paths(kernel.Do(boundary.MountRefs, 0, pathname))
}

// IsMountPoint reports whether something is mounted at the path, as the IsMountPoint method of
// mount-utils' mounter does. It follows symlinks. If the path does not exist the error is fs.ErrNotExist.
//
// It checks the server of a network mount. If the server is dead or refuses, it returns the server's error,
// of which mount.IsCorruptedMnt is true where it is true for mount-utils. If the server does not answer,
// it returns ETIMEDOUT after five seconds, and at once as long as an earlier check still waits. For
// everything else it takes one system call, however many mounts there are.
func IsMountPoint(file string) (bool, error) {
	result, err := kernel.Do(boundary.IsMountPoint, 0, file)
	return err == nil && result.Number != 0, err
}

// IsLikelyNotMountPoint reports whether nothing is mounted at the path. It has the signature of
// mount-utils' method but, unlike it, recognises bind mounts. Like that method it contacts no server, so
// that it does not tell whether one is dead or hangs. With an error, which is a bare syscall.Errno, it
// returns true.
func IsLikelyNotMountPoint(file string) (bool, error) {
	result, err := kernel.Do(boundary.IsLikelyNotMountPoint, 0, file)
	return err != nil || result.Number != 0, err
}

// IsNotMountPoint reports whether the mounter finds nothing mounted at the path, as mount-utils' function
// of that name does. With an error it returns true. With mount-utils' own *mount.Mounter it returns the
// opposite of IsMountPoint.
func IsNotMountPoint(mounter mount.Interface, file string) (bool, error) {
	is := IsMountPoint
	if !boundary.IsNative(mounter) {
		is = mounter.IsMountPoint
	}
	mounted, err := is(file)
	return err != nil || !mounted, err
}

// CleanupMountPoint unmounts mountPath and removes its directory or file, as mount-utils' function of
// that name does. Whether mountPath is a mount point is decided by the mounter's IsMountPoint with
// extensiveMountPointCheck, and by its IsLikelyNotMountPoint without.
//
// With mount-utils' own *mount.Mounter the library unmounts by system calls itself. It removes every mount
// at the path, and does not wait for a server. The one exception is a mount of which mount(8) keeps a
// record in /run/mount/utab, because of an option such as _netdev: the mounter unmounts it by umount(8),
// which removes the record, and CleanupMountPoint waits for that.
func CleanupMountPoint(mountPath string, mounter mount.Interface, extensiveMountPointCheck bool) error {
	extensive := int64(0)
	if extensiveMountPointCheck {
		extensive = 1
	}
	_, err := boundary.For(mounter, int(ProfileV137)).Do(boundary.CleanupMountPoint, extensive, mountPath)
	return err
}

// CleanupMountWithForce does what CleanupMountPoint does, in bounded time. If an unmount takes longer than
// umountTimeout, or fails with EBUSY while the server does not answer, it is repeated with MNT_FORCE. That
// aborts requests to the server and may lose data, and is logged as a warning. A mount that is busy while
// its server answers is not forced and stays.
//
// With mount-utils' own *mount.Mounter it takes three times the timeout at most for one mount, and ten
// times for all mounts at the path. A timeout below 100 ms counts as 100 ms. A nil error means that
// umount2(2) has returned: the device may be detached, unless another mount namespace or an open file
// still uses the file system. An unmount that hangs leaves one thread behind for each mount, until the
// kernel ends its system call; the thread then does nothing more. Info counts such threads. As long as
// there is one, further calls for its path fail with ETIMEDOUT at once.
//
// Any other mounter is passed to mount-utils' function of the same name.
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

// GetDeviceNameFromMount returns the source of the first mount at mountPath, and how many mounts have that
// source, as mount-utils' function of that name does. It reads the whole mount table to count them. Any
// other mounter than mount-utils' own or this package's is asked for its List.
func GetDeviceNameFromMount(mounter mount.Interface, mountPath string) (string, int, error) {
	if boundary.IsNative(mounter) {
		mounter = lister{mounter}
	}
	return mount.GetDeviceNameFromMount(mounter, mountPath)
}

// lister is a mounter that lists the mounts as List does.
type lister struct{ mount.Interface }

func (lister) List() ([]mount.MountPoint, error) { return List() }

// paths returns the paths packed in a result, nil if there is none.
func paths(result boundary.Result, err error) ([]string, error) {
	if err != nil || result.Bytes == "" {
		return nil, err
	}
	return result.Fields(), nil
}

// packedMounts reads a packed list of mounts, whose form rsp_mount_table() in the header describes.
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

// info reads one mount. It returns an error if its numbers do not fit the fields of mount.MountInfo.
func (p *packedMounts) info() (mount.MountInfo, error) {
	id, parent, major, minor := p.number(), p.number(), p.number(), p.number()
	info := mount.MountInfo{ID: int(id), ParentID: int(parent), Major: int(major), Minor: int(minor)}
	info.Root, info.MountPoint, info.FsType, info.Source = p.string(), p.string(), p.string(), p.string()
	info.OptionalFields, info.MountOptions, info.SuperOptions = p.list(), p.list(), p.list()
	if len(info.OptionalFields) == 0 {
		info.OptionalFields = nil
	}
	if id|parent|major|minor > math.MaxInt {
		return info, fmt.Errorf("its IDs %d and %d and device %d:%d do not all fit an int", id, parent, major, minor)
	}
	return info, nil
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

// count reads a number of things that must all lie in the rest.
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
