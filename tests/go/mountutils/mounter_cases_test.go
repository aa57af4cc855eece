// The calls of mounter_test.go: sources, types, options and what is mounted already.

package mountutils

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"k8s.io/mount-utils"
)

const target = stage + "/t"

// states are what can be mounted on the target before.
var states = map[string]func() error{
	"":      func() error { return nil },
	"tmpfs": func() error { return syscall.Mount("before", target, "tmpfs", 0, "size=4m") },
	"read-only": func() error {
		if err := syscall.Mount("before", target, "tmpfs", 0, "size=4m"); err != nil {
			return err
		}
		return syscall.Mount("", target, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY|syscall.MS_NOEXEC|syscall.MS_NOATIME, "")
	},
	"bound": func() error { return syscall.Mount(stage+"/src", target, "", syscall.MS_BIND, "") },
	"stacked": func() error {
		if err := syscall.Mount("before", target, "tmpfs", 0, ""); err != nil {
			return err
		}
		return syscall.Mount("above", target, "tmpfs", 0, "")
	},
	"shared": func() error { return syscall.Mount("", stage, "", syscall.MS_SHARED, "") },
}

// list are the options of a call, written with a bar between them.
func list(options string) []string {
	if options == "" {
		return nil
	}
	return strings.Split(options, "|")
}

type builder struct{ cases []testCase }

func (b *builder) add(state, name string, call func(m mount.Interface) error) {
	if state != "" {
		name = state + ": " + name
	}
	b.cases = append(b.cases, testCase{name: name, lay: states[state], call: call})
}

// mounts adds calls of Mount with each of the options.
func (b *builder) mounts(state, source, at, fstype string, options ...string) {
	for _, row := range options {
		b.add(state, fmt.Sprintf("mount %s -t %s -o %s %s", source, fstype, row, strings.TrimPrefix(at, stage)), func(m mount.Interface) error {
			return m.Mount(source, at, fstype, list(row))
		})
	}
}

// flagged adds calls with flags of mount(8).
func (b *builder) flagged(state, source, fstype, options string, flags ...string) {
	for _, row := range flags {
		b.add(state, fmt.Sprintf("mount %s %s -t %s -o %s", row, source, fstype, options), func(m mount.Interface) error {
			return m.MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype, list(options), nil, list(row))
		})
	}
}

// unmounts adds calls of Unmount and UnmountWithForce.
func (b *builder) unmounts(state string, targets ...string) {
	for _, at := range targets {
		b.add(state, "umount "+strings.TrimPrefix(at, stage), func(m mount.Interface) error { return m.Unmount(at) })
		b.add(state, "umount by force "+strings.TrimPrefix(at, stage), func(m mount.Interface) error {
			return m.(mount.MounterForceUnmounter).UnmountWithForce(at, time.Minute)
		})
	}
}

// allCases are all calls. devices are block devices by the type of file system that lies on each.
func allCases(devices map[string]string) []testCase {
	b := &builder{}
	b.types(devices)
	b.binds()
	b.remounts()
	b.flags()
	b.sensitive()
	b.allUnmounts(devices["ext4"])
	return b.cases
}

func (b *builder) types(devices map[string]string) {
	options := []string{
		"", "ro", "rw", "size=1m", "mode=0700", "size=1m|mode=1777|nr_inodes=100", "nosuid|nodev|noexec", "nosymfollow",
		"noatime", "relatime", "strictatime", "nodiratime", "lazytime", "nolazytime", "sync", "async", "dirsync", "defaults",
		"defaults|ro", "auto", "noauto", "nofail", "nouser", "silent", "loud", "comment=x", "user", "users", "owner", "group", "_netdev",
		"x-own=1", "X-own=1", "uhelper=x", "uid=root", "gid=daemon", "uid=12", "size=bad", "no_such_option", "iversion", "mand", "nomand",
		"ro|rw", "rw|ro", "exec|noexec", "noexec|exec", "suid|nosuid", "dev|nodev", "size=1m,ro", "", " ro", "=", "=x", "loop",
		"nosuid|user|exec", "atime", "diratime", "norelatime", "nostrictatime", "symfollow", "ro=recursive", "nosuid=recursive",
		"context=system_u:object_r:tmp_t:s0", `context="system_u:object_r:tmp_t:s0:c1,c2"`, "shared", "private", "unbindable", "size=1m|size=2m",
	}
	b.mounts("", "mem", target, "tmpfs", options...)
	few := []string{"", "ro|nosuid", "size=1m"}
	for _, state := range []string{"tmpfs", "read-only", "bound", "shared"} {
		b.mounts(state, "mem", target, "tmpfs", few...)
	}
	for _, at := range []string{"/missing", "/tfile", "/tlink", "/dangling", "/t/", "/src/../t", "/file/in"} {
		b.mounts("", "mem", stage+at, "tmpfs", few...)
	}
	for _, source := range []string{"", "none", "a b", "LABEL=nothing", stage + "/src", "äö", "a\\040b"} {
		b.mounts("", source, target, "tmpfs", few...)
	}
	some := []string{"", "ro", "nosuid|nodev|noexec", "defaults", "size=1m", "relatime"}
	for _, fstype := range []string{"ramfs", "proc", "sysfs", "mqueue", "devpts", "cgroup2", "bpf", "hugetlbfs", "debugfs", "tracefs", "securityfs", "nosuchfs", "", "auto", "tmpfs,ramfs", "fuse.nothing", "notmpfs"} {
		b.mounts("", "none", target, fstype, some...)
	}
	layers := fmt.Sprintf("lowerdir=%s/src|upperdir=%s/upper|workdir=%s/work", stage, stage, stage)
	b.mounts("", "overlay", target, "overlay", layers, layers+"|ro", layers+"|nosuid", "lowerdir="+stage+"/src", "lowerdir="+stage+"/src:"+stage+"/vol|ro", "lowerdir=/missing", "")
	b.mounts("", stage+"/file", target, "ext4", "", "ro")
	b.mounts("", stage+"/missing", target, "ext4", "", "ro", "defaults")
	for _, fstype := range []string{"ext2", "ext3", "xfs"} {
		if device := devices[fstype]; device != "" {
			b.mounts("", device, target, fstype, "", "ro", "nosuid|noatime", "sync", "no_such_option")
			b.mounts("tmpfs", device, target, fstype, "")
		}
	}
	if device := devices["ext4"]; device != "" {
		b.mounts("", device, target, "ext4", "", "ro", "defaults", "noatime|nodiratime", "data=ordered", "errors=continue|nosuid", "no_such_option", "discard", "ro|noload", "_netdev", "sync", "context=x")
		for _, fstype := range []string{"ext2", "ext3", "xfs"} {
			b.mounts("", device, target, fstype, "", "ro")
		}
		b.mounts("", device, target, "", "", "ro")
		b.mounts("tmpfs", device, target, "ext4", "", "ro")
	}
}

func (b *builder) binds() {
	options := []string{
		"bind", "bind|ro", "bind|rw", "rbind", "rbind|ro", "bind|nosuid|nodev|noexec", "bind|exec|suid|dev", "bind|noatime", "bind|strictatime",
		"bind|nodiratime", "bind|nosymfollow", "bind|size=1m", "bind|no_such_option", "bind|_netdev", "bind|user", "bind|x-own=1", "bind|private",
		"bind|shared", "rbind|rslave", "bind|unbindable", "bind|defaults", "bind|sync", "bind|ro|nofail", "bind|lazytime", "bind|comment=x", "ro|bind",
		"bind|bind", "bind|remount", "bind|remount|ro",
	}
	for _, source := range []string{"/src", "/vol/dir", "/rovol"} {
		b.mounts("", stage+source, target, "", options...)
	}
	few := []string{"bind", "bind|ro", "rbind"}
	for _, source := range []string{"/link", "/missing", "/dangling", "/file", "/src/", "/vol"} {
		b.mounts("", stage+source, target, "", few...)
	}
	for _, state := range []string{"tmpfs", "read-only", "bound", "shared", "stacked"} {
		b.mounts(state, stage+"/src", target, "", few...)
	}
	for _, at := range []string{"/tlink", "/missing", "/tfile", "/dangling"} {
		b.mounts("", stage+"/src", stage+at, "", few...)
	}
	b.mounts("", stage+"/file", stage+"/tfile", "", few...)
	b.mounts("", stage+"/src", target, "ext4", few...)
	b.mounts("", stage+"/src", target, "nosuchfs", few...)
	b.mounts("", "none", target, "", few...)
	b.mounts("", "", target, "", few...)
	b.add("", "bind of a descriptor", func(m mount.Interface) error {
		dir, err := os.Open(stage + "/src")
		if err != nil {
			return err
		}
		defer dir.Close()
		// The same number for both.
		const fd = 200
		if err := syscall.Dup3(int(dir.Fd()), fd, syscall.O_CLOEXEC); err != nil {
			return err
		}
		defer syscall.Close(fd)
		return m.MountSensitiveWithoutSystemdWithMountFlags(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), target, "", []string{"bind"}, nil, []string{"--no-canonicalize"})
	})
}

func (b *builder) remounts() {
	options := []string{
		"remount", "remount|ro", "remount|rw", "remount|size=2m", "remount|noexec", "remount|bind", "remount|bind|ro", "bind|remount|rw", "remount|nosuid|nodev",
		"remount|defaults", "remount|relatime", "remount|no_such_option", "remount|sync",
	}
	for _, state := range []string{"", "tmpfs", "read-only", "bound"} {
		b.mounts(state, "", target, "", options...)
	}
	for _, state := range []string{"tmpfs", "read-only"} {
		b.mounts(state, "before", target, "", options...)
		b.mounts(state, "before", target, "tmpfs", "remount|ro", "remount|size=3m")
		b.mounts(state, "other", target, "tmpfs", "remount|ro")
	}
	words := []string{"private", "shared", "slave", "unbindable", "rprivate", "rshared", "rslave", "slave|shared", "make-private", "private|ro"}
	b.mounts("tmpfs", "none", target, "", words...)
	b.mounts("tmpfs", "", target, "", "private", "rshared", "make-rslave")
	b.mounts("", "none", target, "", "private", "shared")
	b.mounts("", stage+"/vol", target, "", "move", "move|ro")
	b.mounts("shared", stage+"/vol", target, "", "move")
}

func (b *builder) flags() {
	flags := []string{"--no-canonicalize", "-n", "--make-private", "--make-rshared", "--make-slave", "--bind", "-r", "-v", "--fake", "--no-such-flag", "-o|nosuid", "--make-shared|--no-canonicalize"}
	b.flagged("", "mem", "tmpfs", "size=1m", flags...)
	b.flagged("", stage+"/src", "", "bind|ro", flags...)
	b.flagged("", stage+"/link", "", "bind", "--no-canonicalize", "")
	b.flagged("tmpfs", "", "", "", "--make-private", "--make-rslave", "--make-shared")
}

func (b *builder) sensitive() {
	for _, row := range []struct{ fstype, options, sensitive string }{
		{"tmpfs", "", "size=1m"}, {"tmpfs", "ro", "size=1m|mode=0700"}, {"tmpfs", "", "password=secret"}, {"tmpfs", "size=bad", "password=secret"},
		{"", "bind", "ro"}, {"", "", "bind|ro"}, {"", "bind", "password=secret"}, {"nosuchfs", "", "password=secret"}, {"tmpfs", "", "size=secret"},
	} {
		name := fmt.Sprintf("-t %s -o %s, sensitive %s", row.fstype, row.options, row.sensitive)
		source := stage + "/src"
		b.add("", "MountSensitive "+name, func(m mount.Interface) error {
			return m.MountSensitive(source, target, row.fstype, list(row.options), list(row.sensitive))
		})
		b.add("tmpfs", "MountSensitiveWithoutSystemd "+name, func(m mount.Interface) error {
			return m.MountSensitiveWithoutSystemd(source, target, row.fstype, list(row.options), list(row.sensitive))
		})
	}
}

func (b *builder) allUnmounts(device string) {
	for _, state := range []string{"", "tmpfs", "read-only", "bound", "stacked", "shared"} {
		b.unmounts(state, target, stage+"/tlink", target+"/")
	}
	b.unmounts("", stage+"/missing", stage+"/dangling", stage+"/file", stage+"/file/", stage+"/src", stage+"/vol", stage+"/vol/dir", stage+"/vol/dir/inner", stage+"/rovol", "", "relative", "--help", "-V", "/proc/self")
	b.unmounts("tmpfs", "before", stage+"/src/../t", "//"+target)
	b.add("tmpfs", "umount of what is busy", func(m mount.Interface) error {
		held, err := os.Open(target)
		if err != nil {
			return err
		}
		defer held.Close()
		return m.Unmount(target)
	})
	b.add("", "umount of what mount(8) noted", func(m mount.Interface) error {
		if err := mount.New("").Mount("mem", target, "tmpfs", []string{"_netdev"}); err != nil {
			return err
		}
		return m.Unmount(target)
	})
	b.add("", "mount and umount", func(m mount.Interface) error {
		if err := m.Mount("mem", target, "tmpfs", []string{"x-own=1"}); err != nil {
			return err
		}
		return m.Unmount(target)
	})
	if device != "" {
		b.add("", "umount of a device", func(m mount.Interface) error {
			if err := m.Mount(device, target, "ext4", []string{"ro"}); err != nil {
				return err
			}
			return m.Unmount(device)
		})
	}
}
