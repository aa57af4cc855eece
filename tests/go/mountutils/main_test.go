// Package mountutils holds the mount table and the mount point checks against k8s.io/mount-utils and
// github.com/moby/sys/mountinfo: on the fixtures of testdata, on mounts made here, and by
// mount-utils' own tests.
package mountutils

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"k8s.io/klog/v2"
)

// inNamespace tells a test binary that it runs in the namespaces made for it.
const inNamespace = "MOUNTUTILS_TEST_IN_NAMESPACE"

// TestMain runs the tests in a private mount namespace with an empty tmpfs on /mnt; an ordinary user
// gets a user namespace for it.
func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) == "" {
		os.Exit(runInNamespace())
	}
	err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	if err == nil {
		err = syscall.Mount("scratch", "/mnt", "tmpfs", 0, "")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "the tests' mount namespace cannot be set up: %v\n", err)
		os.Exit(1)
	}
	// Both sides log what they are told to do; here it is what they do that counts.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	os.Exit(m.Run())
}

func runInNamespace() int {
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Env = append(os.Environ(), inNamespace+"=1")
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
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
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		fmt.Fprintf(os.Stderr, "the tests need a mount namespace (as root), or a user namespace: %v\n", err)
		return 1
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tally counts one implementation's checks, and keeps what it got wrong.
type tally struct {
	name   string
	checks int
	wrong  []string
}

// check counts one answer.
func (c *tally) check(right bool, what string, args ...any) {
	c.checks++
	if !right {
		c.wrong = append(c.wrong, fmt.Sprintf(what, args...))
	}
}

// report prints the figures, and fails the test for what the port got wrong.
func report(t *testing.T, ours *tally, others ...*tally) {
	t.Helper()
	for _, wrong := range ours.wrong {
		t.Errorf("%s: %s", ours.name, wrong)
	}
	if ours.checks == 0 {
		t.Error("nothing was checked")
	}
	var figures []string
	for _, c := range append([]*tally{ours}, others...) {
		figures = append(figures, fmt.Sprintf("%s is wrong in %d of %d", c.name, len(c.wrong), c.checks))
	}
	// Not by t.Log, which shows nothing as long as the tests are well.
	fmt.Printf("%s: %s\n", t.Name(), strings.Join(figures, ", "))
}
