// The mounters of the suite: one that records every call in front of another, and one that makes
// real bind mounts by bare system calls.

package parity

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	mount "k8s.io/mount-utils"
)

// realMounter asks and changes the kernel's mounts without mount(8). It is not a *mount.Mounter,
// so the port asks it as it would ask any caller's mounter.
type realMounter struct{ mount.Interface }

// kernelMounts answers the questions; its New runs a program once to look at the machine.
var kernelMounts = mount.NewWithoutSystemd("")

// RealMounter returns a mounter of the caller's own that makes bare system calls.
func RealMounter() mount.Interface { return realMounter{kernelMounts} }

func (m realMounter) MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype string, options, sensitive, flags []string) error {
	if err := unix.Mount(source, target, fstype, unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "mount", Path: target, Err: err}
	}
	return nil
}

func (m realMounter) Unmount(target string) error {
	if err := unix.Unmount(target, 0); err != nil {
		return &os.PathError{Op: "umount", Path: target, Err: err}
	}
	return nil
}

func (m realMounter) CanSafelySkipMountPointCheck() bool { return false }

// recorder stands before a mounter: it tells the tape of each call and lets faults happen.
type recorder struct {
	// Interface is nil: a method that the original never calls panics, which is a difference.
	mount.Interface
	inner  mount.Interface
	tape   *tape
	faults []Fault
	count  map[string]int
	again  func(Step) // runs a nested step, for "reenter"
}

func (r *recorder) begin(method string, args ...any) (fault *Fault) {
	n := r.count[method]
	r.count[method]++
	var b strings.Builder
	fmt.Fprintf(&b, "call %s(", method)
	for i, arg := range args {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%#v", arg)
	}
	b.WriteString(")")
	r.tape.add(b.String())
	for i := range r.faults {
		if f := &r.faults[i]; f.Method == method && (f.Nth == n || f.Nth < 0) {
			return f
		}
	}
	return nil
}

// fail makes the fault happen and remembers the error it gave.
func (r *recorder) fail(f *Fault, path string) error {
	r.tape.add("fault " + f.What)
	if f.What == "reenter" {
		r.again(*f.Again)
		return nil
	}
	err := f.happen(path)
	if err != nil {
		r.tape.injected = append(r.tape.injected, err)
	}
	return err
}

// act runs work, or what the fault says instead.
func (r *recorder) act(f *Fault, path string, work func() error) error {
	if f != nil && !f.After {
		if err := r.fail(f, path); err != nil || f.What != "reenter" {
			return r.end(err)
		}
	}
	err := work()
	if f != nil && f.After {
		if e := r.fail(f, path); f.What != "reenter" {
			err = e
		}
	}
	return r.end(err)
}

// ask is act for a question that is answered by yes or no.
func (r *recorder) ask(f *Fault, path string, work func() (bool, error)) (bool, error) {
	var answer bool
	err := r.act(f, path, func() (err error) {
		answer, err = work()
		return err
	})
	if f != nil && (f.What == "true" || f.What == "false") {
		answer = f.What == "true"
	}
	r.tape.add(fmt.Sprint("  answer ", answer))
	return answer, err
}

// end records what a call gave back. Go's own errors print as they are; injected ones by kind
// alone, since some cannot be printed.
func (r *recorder) end(err error) error {
	if err != nil {
		r.tape.add(fmt.Sprintf("  gives %T", err))
		r.tape.given = append(r.tape.given, err)
	}
	return err
}

// look records the file system as the mounter finds it: what the source is and how it was opened,
// and what stands at the target.
func (r *recorder) look(source, target string) {
	r.tape.add("  source " + describeSource(source))
	r.tape.add("  target " + describePath(target))
}

func describePath(path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%c %04o %d:%d size %d", kindOf(st.Mode), st.Mode&^unix.S_IFMT, st.Uid, st.Gid, st.Size)
}

func describeSource(path string) string {
	link, err := os.Readlink(path)
	if err != nil {
		return err.Error()
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%q %c %04o, descriptor %s", onA(link), kindOf(st.Mode), st.Mode&^unix.S_IFMT, fdFlags(path[strings.LastIndexByte(path, '/')+1:]))
}

// fdFlags gives the open flags of a descriptor of this process, in octal, O_CLOEXEC among them;
// see the deviation "o-directory" for the one that is left out.
func fdFlags(fd string) string {
	bits, err := strconv.ParseInt(fdInfo(fd, "flags"), 8, 64)
	return fmt.Sprintf("flags %#o %v", bits&^unix.O_DIRECTORY, err)
}

// fdInfo is what /proc tells of a descriptor of this process under that name, or why it does not.
func fdInfo(fd, name string) string {
	data, err := os.ReadFile("/proc/self/fdinfo/" + fd)
	if err != nil {
		return err.Error()
	}
	_, after, _ := strings.Cut("\n"+string(data), "\n"+name+":")
	value, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(value)
}

func (r *recorder) MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype string, options, sensitive, flags []string) error {
	f := r.begin("MountSensitiveWithoutSystemdWithMountFlags", source, target, fstype, options, sensitive, flags)
	r.look(source, target)
	return r.act(f, target, func() error {
		return r.inner.MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype, options, sensitive, flags)
	})
}

func (r *recorder) Unmount(target string) error {
	f := r.begin("Unmount", target)
	return r.act(f, target, func() error { return r.inner.Unmount(target) })
}

func (r *recorder) IsLikelyNotMountPoint(file string) (bool, error) {
	f := r.begin("IsLikelyNotMountPoint", file)
	return r.ask(f, file, func() (bool, error) { return r.inner.IsLikelyNotMountPoint(file) })
}

func (r *recorder) CanSafelySkipMountPointCheck() bool {
	f := r.begin("CanSafelySkipMountPointCheck")
	answer, _ := r.ask(f, "", func() (bool, error) { return r.inner.CanSafelySkipMountPointCheck(), nil })
	return answer
}

func (r *recorder) IsMountPoint(file string) (bool, error) {
	f := r.begin("IsMountPoint", file)
	r.tape.add("  " + describePath(file))
	return r.ask(f, file, func() (bool, error) { return r.inner.IsMountPoint(file) })
}
