// Automounts that fail: how often each side asks the daemon, and what it answers then. A daemon that
// waits for a server takes its time-out for each question.

package parity

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
	mount "k8s.io/mount-utils"
)

// Of linux/auto_fs.h: the answer that a mount failed, and where a packet of protocol 5 has its token.
const (
	autofsFail    = 0x9361
	offsetOfToken = 8
)

// automounts is a daemon that is asked by all of its mounts and fails them all.
type automounts struct {
	*stage
	group int // the process group that a mount takes for its daemon's
	asked atomic.Int32
}

// mountOn mounts an autofs file system: "direct" is one automount, "indirect" has one for each name in
// it, and "shown" is an indirect one that shows a name.
func (a *automounts) mountOn(path, kind string) {
	a.Helper()
	a.must(os.Mkdir(path, 0o755))
	var pipe [2]int
	a.must(unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	shown := kind == "shown"
	if shown {
		kind = "indirect"
	}
	options := fmt.Sprintf("fd=%d,pgrp=%d,minproto=5,maxproto=5,%s", pipe[1], a.group, kind)
	a.must(unix.Mount("parity", path, "autofs", 0, options))
	// The daemon's own processes see the directory as it is; this one is such a process only here.
	mine := unix.Getpgrp()
	a.must(unix.Setpgid(0, a.group))
	root, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	a.must(err)
	if shown {
		a.must(os.Mkdir(path+"/name", 0o755))
	}
	a.must(unix.Setpgid(0, mine))
	unix.Close(pipe[1])
	go func() {
		packet := make([]byte, 1024)
		for {
			n, err := unix.Read(pipe[0], packet)
			if err == unix.EINTR {
				continue
			}
			if err != nil || n < offsetOfToken+4 {
				break // unmounted
			}
			a.asked.Add(1)
			token := int(packet[offsetOfToken]) | int(packet[offsetOfToken+1])<<8 | int(packet[offsetOfToken+2])<<16
			unix.IoctlSetInt(root, autofsFail, token)
		}
		unix.Close(pipe[0])
	}()
	a.Cleanup(func() {
		unix.Close(root)
		unix.Unmount(path, unix.MNT_DETACH)
	})
}

// automountCases say where the automount lies, below the root, and what is asked for.
var automountCases = []struct {
	name, path, kind, volume, subPath string
	link                              string // what volume/link points to
}{
	{"the sub path", "volume/auto", "direct", "volume", "auto", ""},
	{"on the way to it", "volume/auto", "direct", "volume", "auto/sub", ""},
	{"deep on the way to it", "volume/auto", "direct", "volume", "auto/sub/a/b", ""},
	{"a name of a map", "volume/map", "indirect", "volume", "map/name", ""},
	{"below a name of a map", "volume/map", "indirect", "volume", "map/name/a/b", ""},
	{"a shown name of a map", "volume/map", "shown", "volume", "map/name", ""},
	{"below a shown name of a map", "volume/map", "shown", "volume", "map/name/a/b", ""},
	{"another name beside a shown one", "volume/map", "shown", "volume", "map/other/a/b", ""},
	{"behind a link", "volume/auto", "direct", "volume", "link", "auto"},
	{"on the way behind a link", "volume/auto", "direct", "volume", "link/sub", "auto"},
	{"a link leads through it", "volume/auto", "direct", "volume", "link", "auto/sub"},
	{"a name of a map behind a link", "volume/map", "indirect", "volume", "link", "map/name"},
	{"the volume", "auto", "direct", "auto", "sub", ""},
	{"on the way to the volume", "auto", "direct", "auto/volume", "sub", ""},
	{"the volume as a name of a map", "map", "indirect", "map/name", "sub", ""},
	{"below the volume as a name of a map", "map", "indirect", "map/name", "sub/a", ""},
	{"the volume as a shown name of a map", "map", "shown", "map/name", "sub", ""},
}

// FailingAutomounts compares how often each side asks for a mount that fails, and the errors. The port
// binds by the kernel too, where it looks at what is mounted besides.
func FailingAutomounts(t *testing.T, original, port Impl) {
	if os.Getuid() != 0 || !mayMountAutofs(t) {
		fmt.Fprintf(os.Stderr, "not run, autofs can be mounted only by root, and only where the kernel has it: %s\n", t.Name())
		t.SkipNow()
	}
	if !Sandboxed(t) {
		return
	}
	// From now on this process is not of the group that stands for the daemon's.
	group := unix.Getpgrp()
	if err := unix.Setpgid(0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Setpgid(0, group)

	type seen struct {
		asked int32
		err   string
	}
	for _, row := range automountCases {
		look := func(name string, impl Impl, call func(s *stage, volume string) error) (is seen) {
			t.Run(row.name+"/"+name, func(t *testing.T) {
				a := &automounts{stage: newStage(t, impl), group: group}
				a.mountOn(filepath.Join(a.root, row.path), row.kind)
				if row.link != "" {
					a.must(os.Symlink(row.link, a.volume+"/link"))
				}
				err := call(a.stage, filepath.Join(a.root, row.volume))
				is = seen{a.asked.Load(), fmt.Sprint(err)}
			})
			return is
		}
		prepare := func(mounter mount.Interface) func(*stage, string) error {
			return func(s *stage, volume string) error {
				again := func() error {
					_, _, err := s.impl.PrepareSafeSubpath(mounter, Subpath{
						Path: filepath.Join(volume, row.subPath), VolumePath: volume, VolumeName: "vol", PodDir: s.pod, ContainerName: "c",
					})
					return err
				}
				err := again()
				again() // finds it mounted, or what FakeMounter takes for that
				return err
			}
		}
		want := look(original.Name, original, prepare(mount.NewFakeMounter(nil)))
		if want.asked != 2 {
			t.Errorf("%s: the original asks %d times in two prepares", row.name, want.asked)
		}
		for name, mounter := range map[string]mount.Interface{"fake": mount.NewFakeMounter(nil), "kernel": mount.New("")} {
			if is := look(port.Name+", "+name, port, prepare(mounter)); is != want {
				t.Errorf("%s: the original asks %d times, %s\nthe port (%s) asks %d times, %s",
					row.name, want.asked, want.err, name, is.asked, is.err)
			}
		}
		// The original asks up to three times to make a directory.
		make := func(s *stage, volume string) error { return s.mkdir(row.subPath+"/new", volume) }
		if is := look("SafeMakeDir", port, make); is.asked > 3 || is.err == "<nil>" {
			t.Errorf("%s: SafeMakeDir asks %d times, %s", row.name, is.asked, is.err)
		}
	}
}

func mayMountAutofs(t *testing.T) bool {
	kinds, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(kinds), "\tautofs\n")
}
