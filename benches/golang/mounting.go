// Mounting by mount-utils' mounter and by the one that stands for it.

package main

import (
	"fmt"
	"os"
	"path/filepath"

	mount "k8s.io/mount-utils"
	"rustsubpath"
)

// mounting is a kind of mount, with the target of its row.
type mounting struct {
	id, name, target string
	// done does it once, at a directory and from another one.
	done func(m mount.Interface, source, at string) error
}

func mountAndUnmount(fstype string, options ...string) func(m mount.Interface, source, at string) error {
	return func(m mount.Interface, source, at string) error {
		if err := m.Mount(source, at, fstype, options); err != nil {
			return err
		}
		return m.Unmount(at)
	}
}

var mountings = []mounting{
	{"tmpfs", "mount + unmount a tmpfs", "60×; 1.5 × bare", mountAndUnmount("tmpfs", "size=1m")},
	{"bind", "mount + unmount a read-only bind", "100×; 1.5 × bare", mountAndUnmount("", "bind", "ro")},
	{"remount", "remount a tmpfs", "60×; 1.5 × bare", func(m mount.Interface, _, at string) error {
		return m.Mount("", at, "", []string{"remount", "size=50%"})
	}},
}

// mounting makes the row of one kind of mount.
func (w *worker) mounting(s *site, m mounting) (row, error) {
	source, at := filepath.Join(s.volume, "dir"), filepath.Join(s.pods, "mounting")
	if m.id == "remount" {
		at = s.volume
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return row{}, err
	}
	by := func(mounter mount.Interface) batch {
		return func(w *watch, count int) error {
			return w.times(count, func() error { return m.done(mounter, source, at) })
		}
	}
	request := fmt.Sprintf("mounting-%s %s %s", m.id, at, source)
	return row{id: "mounting-" + m.id, name: m.name, mounts: 1000, per: 1, counted: true, target: m.target, contestants: []contestant{
		{name: "original", count: 3, run: by(kernelMounter)},
		{name: "port", count: 20, run: by(rustsubpath.NewMounter(""))},
		{name: "bare", count: 20, run: w.batch(request), ask: request},
	}}, nil
}

// oneRecord makes the row of finding the record of one mount.
func oneRecord(s *site, mounts int) row {
	look := func(found func() (string, error)) batch {
		return func(w *watch, count int) error {
			return w.times(count, func() error {
				if at, err := found(); err != nil || at != s.volume {
					return fmt.Errorf("the record of %s: %q, %v", s.volume, at, err)
				}
				return nil
			})
		}
	}
	return row{id: fmt.Sprint("record-", mounts), name: "MountAt", mounts: mounts, per: 1, contestants: []contestant{
		{name: "original", count: 1, run: look(func() (string, error) {
			infos, err := mount.ParseMountInfo("/proc/self/mountinfo")
			for i := len(infos) - 1; i >= 0; i-- {
				if infos[i].MountPoint == s.volume {
					return infos[i].MountPoint, nil
				}
			}
			return "", err
		})},
		{name: "port", count: 100, run: look(func() (string, error) {
			info, err := rustsubpath.MountAt(s.volume)
			if info == nil {
				return "", err
			}
			return info.MountPoint, err
		})},
	}}
}
