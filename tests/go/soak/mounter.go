//go:build linux && cgo

// A mounter of the caller's own: it mounts for real, by system calls, and fails, panics or ends its
// goroutine when told to.

package main

import (
	"errors"
	"runtime"
	"syscall"

	"k8s.io/mount-utils"

	"rustsubpath"
)

var (
	errMounter = errors.New("the mounter's own error")
	thePanic   = &struct{ text string }{"the mounter's own panic"}
)

// fails, panics and leaves are what a mounter does instead of answering.
func fails() error  { return errMounter }
func panics() error { panic(thePanic) }
func leaves() error { runtime.Goexit(); return nil }

// mounter is asked by the library, question by question.
type mounter struct {
	// Interface is nil: a method that the operations must not call panics.
	mount.Interface
	// instead runs in place of the question with the number at; the first has 0.
	at      int
	instead func() error
	// did says that it ran.
	did bool
}

func (m *mounter) asked() error {
	m.at--
	if m.instead == nil || m.at != -1 {
		return nil
	}
	m.did = true
	return m.instead()
}

func (m *mounter) IsMountPoint(file string) (bool, error) {
	if err := m.asked(); err != nil {
		return false, err
	}
	// The library is called back into.
	return rustsubpath.IsMountPoint(file)
}

func (m *mounter) IsLikelyNotMountPoint(file string) (bool, error) {
	if err := m.asked(); err != nil {
		return true, err
	}
	return rustsubpath.IsLikelyNotMountPoint(file)
}

func (m *mounter) CanSafelySkipMountPointCheck() bool { return false }

func (m *mounter) Unmount(target string) error {
	if err := m.asked(); err != nil {
		return err
	}
	return syscall.Unmount(target, 0)
}

func (m *mounter) MountSensitiveWithoutSystemdWithMountFlags(source, target, _ string, _, _, _ []string) error {
	if err := m.asked(); err != nil {
		return err
	}
	return syscall.Mount(source, target, "", syscall.MS_BIND, "")
}
