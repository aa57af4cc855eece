// A mount namespace of the demo's own, so that nothing it mounts is seen outside or stays behind.

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// inside tells the demo that it runs in its namespaces.
const inside = "RUSTSUBPATH_DEMO_INSIDE"

// enter runs the program again in a private mount namespace, for an ordinary user in a user
// namespace as well, and ends with its status. It returns in the namespace only.
func enter() {
	if os.Getenv(inside) != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			fail("the mount namespace cannot be made private: %v", err)
		}
		return
	}
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), inside+"=1")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		child.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	err := child.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	}
	fmt.Fprintf(os.Stderr, "No namespace to mount in: %v\n", err)
	fmt.Fprintln(os.Stderr, "The demo needs root, or a kernel that gives ordinary users a user namespace.")
	os.Exit(1)
}
