// Mount tables as files, and the readers in Go.

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	mount "k8s.io/mount-utils"
)

// table writes a mount table as a node with many pods has it, and names a mount point in its middle.
func table(dir string, lines int) (file, target string, err error) {
	point := func(n int) string {
		return fmt.Sprintf("/var/lib/kubelet/pods/%08x-6b1f-4a8e-9c55-0242ac120002/volume-subpaths/config/app/%d", n/4, n%4)
	}
	file, target = filepath.Join(dir, fmt.Sprint("table-", lines)), point(lines/2)
	if _, err := os.Stat(file); err == nil {
		return file, target, nil
	}
	var text bytes.Buffer
	for n := 0; n < lines; n++ {
		fmt.Fprintf(&text, "%d %d 0:%d / %s rw,relatime shared:%d master:7 - overlay overlay "+
			"rw,lowerdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/%d/fs,"+
			"upperdir=/var/lib/containerd/snapshots/%d/fs,workdir=/var/lib/containerd/snapshots/%d/work\n",
			n+100, 99, n%4000, point(n), n+1, n, n, n)
	}
	return file, target, os.WriteFile(file, text.Bytes(), 0o644)
}

// kubernetes reads a table with mount-utils; with a target it counts that mount point alone.
func kubernetes(file, target string) batch {
	return readTable(func() (int, error) {
		mounts, err := mount.ParseMountInfo(file)
		if target == "" {
			return len(mounts), err
		}
		found := 0
		for _, m := range mounts {
			if m.MountPoint == target {
				found++
			}
		}
		return found, err
	})
}

// moby reads a table as mountinfo.GetMounts does the process's own, filtered where there is a target.
func moby(file, target string) batch {
	var filter mountinfo.FilterFunc
	if target != "" {
		filter = mountinfo.SingleEntryFilter(target)
	}
	return readTable(func() (int, error) {
		f, err := os.Open(file)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		mounts, err := mountinfo.GetMountsFromReader(f, filter)
		return len(mounts), err
	})
}

func readTable(read func() (int, error)) batch {
	return func(w *watch, count int) error {
		return w.times(count, func() error {
			if found, err := read(); err != nil || found == 0 {
				return fmt.Errorf("found %d mounts: %v", found, err)
			}
			return nil
		})
	}
}
