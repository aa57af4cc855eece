// The volume, the pods and the crowd of other mounts.

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// site is a tmpfs of its own; the volume is another one, as a kubelet's volumes are mounts too.
type site struct {
	root, volume, pods, crowd string
	others                    int
}

// siteAt names the places of a site that is laid out already.
func siteAt(root string) *site {
	return &site{
		root:   root,
		volume: filepath.Join(root, "volume"),
		pods:   filepath.Join(root, "pods"),
		crowd:  filepath.Join(root, "crowd"),
	}
}

func newSite(root string) (*site, error) {
	s := siteAt(root)
	if err := tmpfs(root); err != nil {
		return nil, err
	}
	for _, dir := range []string{s.volume, s.pods, s.crowd} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	for _, dir := range []string{s.volume, s.crowd} {
		if err := tmpfs(dir); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(filepath.Join(s.volume, "dir"), 0o755); err != nil {
		return nil, err
	}
	return s, os.WriteFile(filepath.Join(s.volume, "file"), []byte("text"), 0o644)
}

func tmpfs(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mounting a tmpfs on %s: %w", dir, err)
	}
	return nil
}

// fill adds other mounts until there are so many.
func (s *site) fill(mounts int) error {
	source := filepath.Join(s.crowd, "source")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return err
	}
	if s.others == 0 {
		// The source is a mount of its own: binding from the one that carries the crowd would
		// take longer with every mount.
		if err := tmpfs(source); err != nil {
			return err
		}
	}
	for ; s.others < mounts; s.others++ {
		target := filepath.Join(s.crowd, fmt.Sprint(s.others))
		if err := os.Mkdir(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting on %s: %w", target, err)
		}
	}
	return nil
}

// pod makes and names a pod's directory.
func (s *site) pod(name string) (string, error) {
	dir := filepath.Join(s.pods, name)
	return dir, os.MkdirAll(dir, 0o755)
}
