// The operations as batches: so many times, and how long the part that counts took.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"k8s.io/kubernetes/pkg/volume/util/subpath"
	mount "k8s.io/mount-utils"
)

// batch does an operation so many times.
type batch func(w *watch, count int) error

func (s *site) request(pod, source string, index int) subpath.Subpath {
	return subpath.Subpath{
		VolumeMountIndex: index,
		Path:             filepath.Join(s.volume, source),
		VolumeName:       "vol",
		VolumePath:       s.volume,
		PodDir:           pod,
		ContainerName:    "app",
	}
}

// inPod runs a batch with the operations over a new mounter and a pod's directory.
func (s *site) inPod(i implementation, newMounter func() mount.Interface, run func(w *watch, count int, do operations, pod string) error) batch {
	return func(w *watch, count int) error {
		pod, err := s.pod(i.name)
		if err != nil {
			return err
		}
		// A new one for each batch: a FakeMounter's log grows.
		return run(w, count, i.over(newMounter()), pod)
	}
}

// cycle prepares a sub path and cleans the pod up.
func (do operations) cycle(request subpath.Subpath) error {
	if err := do.prepare(request); err != nil {
		return err
	}
	return do.clean(request.PodDir, "vol")
}

func (s *site) cycle(i implementation, newMounter func() mount.Interface, source string) batch {
	return s.inPod(i, newMounter, func(w *watch, count int, do operations, pod string) error {
		request := s.request(pod, source, 0)
		return w.times(count, func() error { return do.cycle(request) })
	})
}

// threads cycles in several goroutines at once, each in a pod of its own.
func (s *site) threads(i implementation, newMounter func() mount.Interface, threads int) batch {
	return func(w *watch, count int) error {
		requests := make([]subpath.Subpath, threads)
		for t := range requests {
			pod, err := s.pod(fmt.Sprint(i.name, t))
			if err != nil {
				return err
			}
			requests[t] = s.request(pod, "dir", 0)
		}
		do := i.over(newMounter())
		return w.time(func() error {
			failed := make(chan error, threads)
			var wait sync.WaitGroup
			for _, request := range requests {
				wait.Add(1)
				go func() {
					defer wait.Done()
					for n := 0; n < count; n++ {
						if err := do.cycle(request); err != nil {
							failed <- err
							return
						}
					}
				}()
			}
			wait.Wait()
			close(failed)
			return <-failed
		})
	}
}

func (s *site) mounted(i implementation, newMounter func() mount.Interface) batch {
	return s.inPod(i, newMounter, func(w *watch, count int, do operations, pod string) error {
		request := s.request(pod, "dir", 0)
		if err := do.prepare(request); err != nil {
			return err
		}
		if err := w.times(count, func() error { return do.prepare(request) }); err != nil {
			return err
		}
		return do.clean(pod, "vol")
	})
}

// cleanMany times the clean-up of what the port prepared: what is there is the same for all.
func (s *site) cleanMany(i implementation, newMounter func() mount.Interface, subPaths int) batch {
	return s.inPod(i, newMounter, func(w *watch, count int, do operations, pod string) error {
		setUp := port.over(newRealMounter())
		for n := 0; n < count; n++ {
			if err := s.prepareMany(setUp, pod, subPaths); err != nil {
				return err
			}
			if err := w.time(func() error { return do.clean(pod, "vol") }); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *site) prepareMany(do operations, pod string, subPaths int) error {
	for n := 0; n < subPaths; n++ {
		if err := do.prepare(s.request(pod, "dir", n)); err != nil {
			return err
		}
	}
	return nil
}

// wholePod is what a kubelet does for a pod: prepares each sub path, and cleans all.
func (s *site) wholePod(i implementation, newMounter func() mount.Interface, subPaths int) batch {
	return s.inPod(i, newMounter, func(w *watch, count int, do operations, pod string) error {
		return w.times(count, func() error {
			if err := s.prepareMany(do, pod, subPaths); err != nil {
				return err
			}
			return do.clean(pod, "vol")
		})
	})
}

func (s *site) makeDirs(i implementation, levels int) batch {
	do := i.over(nil)
	return func(w *watch, count int) error {
		if levels == 0 {
			return w.times(count, func() error { return do.mkdir("dir", s.volume, 0o750) })
		}
		subdir := strings.TrimSuffix(strings.Repeat("d/", levels), "/")
		for n := 0; n < count; n++ {
			if err := w.time(func() error { return do.mkdir(subdir, s.volume, 0o750) }); err != nil {
				return err
			}
			if err := os.RemoveAll(filepath.Join(s.volume, "d")); err != nil {
				return err
			}
		}
		return nil
	}
}

// looks asks whether there is a mount.
func looks(isMountPoint func(string) (bool, error), path string) batch {
	return func(w *watch, count int) error {
		return w.times(count, func() error {
			if mounted, err := isMountPoint(path); err != nil || !mounted {
				return fmt.Errorf("IsMountPoint(%s) = %v, %v", path, mounted, err)
			}
			return nil
		})
	}
}
