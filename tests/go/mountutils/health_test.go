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
	"rustsubpath/internal/testutil"
)

// fuse is a FUSE file system whose server is this test.
type fuse struct{ device int }

func newFuse(t *testing.T, at string) fuse {
	t.Helper()
	must(t, os.MkdirAll(at, 0o755))
	device, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		testutil.NotRun(t, "/dev/fuse cannot be opened (%v)", err)
	}
	t.Cleanup(func() { syscall.Close(device) })
	must(t, syscall.Mount("scratch", at, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", device)))
	return fuse{device}
}

// greet answers the kernel's greeting as protocol 7.31 does.
func (f fuse) greet() {
	var body []byte
	for _, word := range []uint32{7, 31, 0, 0, 0, 1 << 16} {
		body = binary.NativeEndian.AppendUint32(body, word)
	}
	f.answer(0, append(body, make([]byte, 64-len(body))...))
}

// refuse greets the kernel and answers every request of it with the errno.
func (f fuse) refuse(errno syscall.Errno) {
	f.greet()
	for f.answer(errno, nil) {
	}
}

// answer takes one request, and says whether there was one.
func (f fuse) answer(errno syscall.Errno, body []byte) bool {
	const header = 16
	request := make([]byte, 1<<17)
	n, err := syscall.Read(f.device, request)
	if err != nil || n < header {
		return false
	}
	reply := binary.NativeEndian.AppendUint32(nil, uint32(header+len(body)))
	reply = binary.NativeEndian.AppendUint32(reply, uint32(-int32(errno)))
	reply = append(append(reply, request[8:16]...), body...)
	syscall.Write(f.device, reply)
	return true
}

// shutDown makes a disk of the kind, mounts it, and shuts its file system down as a disk that fails
// would (ioctl_xfs_goingdown(2), which ext4 knows too).
func shutDown(t *testing.T, kind, at string) {
	t.Helper()
	if os.Geteuid() != 0 {
		testutil.NotRun(t, "a disk takes root to mount")
	}
	image := at + ".image"
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 512<<20))
	must(t, os.Mkdir(at, 0o755))
	if out, err := exec.Command("mkfs."+kind, "-q", image).CombinedOutput(); err != nil {
		testutil.NotRun(t, "mkfs.%s: %v %s", kind, err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", "-t", kind, image, at).CombinedOutput(); err != nil {
		testutil.NotRun(t, "a loop mount: %v %s", err, out)
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
		return rustsubpath.IsNotMountPoint(mounter, at)
	}
	//lint:ignore SA1019 the port has it too, so that it is compared
	return mount.IsNotMountPoint(mounter, at)
}

func TestAFileSystemThatIsBrokenIsToldOfAsMountUtilsTells(t *testing.T) {
	dir := scratch(t)
	ours, theirs, _ := implementations()
	compare := func(name string) {
		port, original := ours.told(dir+"/"+name), theirs.told(dir+"/"+name)
		ours.check(port == original, "%s: %s\nmount-utils: %s", name, port, original)
	}
	dead := newFuse(t, dir+"/dead")
	dead.greet()
	syscall.Close(dead.device)
	compare("dead")
	for _, errno := range []syscall.Errno{
		syscall.ENOTCONN, syscall.ESTALE, syscall.EIO, syscall.EACCES, syscall.EPERM, syscall.EHOSTDOWN, syscall.EAGAIN, syscall.ENODEV,
		syscall.ENOTDIR, syscall.ELOOP, syscall.EINVAL, syscall.ETIMEDOUT,
	} {
		name := fmt.Sprint("errno ", int(errno))
		go newFuse(t, dir+"/"+name).refuse(errno)
		compare(name)
	}
	// The differences: what is mounted does not exist, and Linux 7.3's answer for a server that died before
	// it was ready, which up to then was ENOTCONN and is none that a driver recovers from.
	for errno, want := range map[syscall.Errno]syscall.Errno{syscall.ENOENT: syscall.ESTALE, syscall.ECONNREFUSED: syscall.ENOTCONN} {
		at := fmt.Sprint(dir, "/errno ", int(errno))
		go newFuse(t, at).refuse(errno)
		mounted, err := ours.mounted(at)
		ours.check(!mounted && errors.Is(err, want) && mount.IsCorruptedMnt(err), "%v: %v, %v", errno, mounted, err)
		mounted, err = theirs.mounted(at)
		if mounted || err != fs.ErrNotExist && !errors.Is(err, errno) || mount.IsCorruptedMnt(err) {
			t.Errorf("%v: mount-utils: %v, %v", errno, mounted, err)
		}
	}
	for _, kind := range []string{"xfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			shutDown(t, kind, dir+"/"+kind)
			compare(kind)
		})
	}
	report(t, &ours.tally)
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
