// File systems whose server is dead, refuses or hangs, and disks that were shut down: what the mount
// point checks say of them, beside mount-utils'.

package mountutils

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"unsafe"

	"k8s.io/mount-utils"
	"rustsubpath"
)

// fuse is a FUSE file system whose server is this test.
type fuse struct{ device int }

func newFuse(t *testing.T, at string) fuse {
	t.Helper()
	must(t, os.MkdirAll(at, 0o755))
	device, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		fmt.Fprintf(os.Stderr, "not run, /dev/fuse cannot be opened (%v): %s\n", err, t.Name())
		t.SkipNow()
	}
	t.Cleanup(func() { syscall.Close(device) })
	must(t, syscall.Mount("scratch", at, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", device)))
	return fuse{device}
}

// refuse answers the kernel's greeting as protocol 7.31 does, and every request with the errno.
func (f fuse) refuse(errno syscall.Errno) {
	const greeting, header = 26, 16
	request := make([]byte, 1<<17)
	for {
		n, err := syscall.Read(f.device, request)
		if err != nil || n < header {
			return
		}
		reply := make([]byte, header)
		if binary.NativeEndian.Uint32(request[4:]) == greeting {
			for _, word := range []uint32{7, 31, 0, 0, 0, 1 << 16} {
				reply = binary.NativeEndian.AppendUint32(reply, word)
			}
			reply = append(reply, make([]byte, header+64-len(reply))...)
		} else {
			binary.NativeEndian.PutUint32(reply[4:], uint32(-int32(errno)))
		}
		binary.NativeEndian.PutUint32(reply, uint32(len(reply)))
		copy(reply[8:], request[8:16])
		syscall.Write(f.device, reply)
	}
}

// shutDown makes a disk of the kind, mounts it, and shuts its file system down as a disk that fails
// would (ioctl_xfs_goingdown(2), which ext4 knows too).
func shutDown(t *testing.T, kind, at string) {
	t.Helper()
	notRun := func(why any) {
		fmt.Fprintf(os.Stderr, "not run, %v: %s\n", why, t.Name())
		t.SkipNow()
	}
	if os.Geteuid() != 0 {
		notRun("a disk takes root to mount")
	}
	image := at + ".image"
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 512<<20))
	must(t, os.Mkdir(at, 0o755))
	if out, err := exec.Command("mkfs."+kind, "-q", image).CombinedOutput(); err != nil {
		notRun(fmt.Sprintf("mkfs.%s: %v %s", kind, err, out))
	}
	if out, err := exec.Command("mount", "-o", "loop", "-t", kind, image, at).CombinedOutput(); err != nil {
		notRun(fmt.Sprintf("a loop mount: %v %s", err, out))
	}
	t.Cleanup(func() { syscall.Unmount(at, syscall.MNT_DETACH) })
	disk, err := os.Open(at)
	must(t, err)
	defer disk.Close()
	const goingDown, withoutTheLog = 0x8004587d, 2
	flags := uint32(withoutTheLog)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, disk.Fd(), goingDown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		t.Fatal(errno)
	}
}

// told is everything that the checks say of a path, without the words.
func (im *implementation) told(at string) string {
	errno := func(err error) string {
		var errno syscall.Errno
		if err == nil {
			return "nil"
		}
		if !errors.As(err, &errno) {
			return err.Error()
		}
		return fmt.Sprintf("%d, corrupted %v", int(errno), mount.IsCorruptedMnt(err))
	}
	mounted, err := im.mounted(at)
	told := fmt.Sprintf("IsMountPoint %v, %s; ", mounted, errno(err))
	not, err := im.isNot(at)
	told += fmt.Sprintf("IsNotMountPoint %v, %s; ", not, errno(err))
	not, err = im.likelyNot(at)
	return told + fmt.Sprintf("IsLikelyNotMountPoint %v, %s", not, errno(err))
}

func (im *implementation) isNot(at string) (bool, error) {
	if im.name == "the port" {
		return rustsubpath.IsNotMountPoint(mount.New(""), at)
	}
	return mount.IsNotMountPoint(mount.New(""), at)
}

func TestAFileSystemThatIsBrokenIsToldOfAsMountUtilsTells(t *testing.T) {
	dir := scratch(t)
	ours, theirs, _ := implementations()
	compare := func(name string) {
		port, original := ours.told(dir+"/"+name), theirs.told(dir+"/"+name)
		ours.check(port == original, "%s: %s\nmount-utils: %s", name, port, original)
	}
	syscall.Close(newFuse(t, dir+"/dead").device)
	compare("dead")
	for _, errno := range []syscall.Errno{
		syscall.ENOTCONN, syscall.ESTALE, syscall.EIO, syscall.EACCES, syscall.EPERM, syscall.EHOSTDOWN, syscall.EAGAIN, syscall.ENODEV,
		syscall.ENOTDIR, syscall.ELOOP, syscall.EINVAL, syscall.ETIMEDOUT, syscall.ECONNREFUSED,
	} {
		name := fmt.Sprint("errno ", int(errno))
		go newFuse(t, dir+"/"+name).refuse(errno)
		compare(name)
	}
	// The one difference: mount-utils says that what is mounted does not exist.
	go newFuse(t, dir+"/gone").refuse(syscall.ENOENT)
	mounted, err := ours.mounted(dir + "/gone")
	ours.check(!mounted && errors.Is(err, syscall.ESTALE) && mount.IsCorruptedMnt(err), "gone: %v, %v", mounted, err)
	_, err = theirs.mounted(dir + "/gone")
	theirs.check(err == fs.ErrNotExist, "gone: %v", err)
	for _, kind := range []string{"xfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			shutDown(t, kind, dir+"/"+kind)
			compare(kind)
		})
	}
	report(t, &ours.tally, &theirs.tally)
}

// mount-utils is not asked: it would wait for ever.
func TestAServerThatHangsIsNotWaitedFor(t *testing.T) {
	dir := scratch(t)
	newFuse(t, dir+"/hung")
	ours, _, _ := implementations()
	const hung = "IsMountPoint false, 110, corrupted false; IsNotMountPoint true, 110, corrupted false; IsLikelyNotMountPoint false, nil"
	for i := 0; i < 20; i++ {
		told := ours.told(dir + "/hung")
		ours.check(told == hung, "%s", told)
	}
	report(t, &ours.tally)
}
