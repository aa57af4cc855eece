// Package testutil is what the tests of this module, and of the modules in tests/go, share: a mount
// namespace of their own, a volume and a pod to work on, a mounter that records its calls, and looks at
// what is left behind.
package testutil

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// inNamespace is set in the environment of a program that runs in the namespaces made for it.
const inNamespace = "RUSTSUBPATH_TEST_IN_NAMESPACE"

// Main is a package's TestMain. It runs the tests in a private mount namespace, so that they mount for
// real and leave no trace.
func Main(m *testing.M) {
	EnterNamespace()
	os.Exit(m.Run())
}

// EnterNamespace runs the program again in a private mount namespace, for an ordinary user in a user
// namespace as well, with these variables in its environment, and ends with its status. It returns only in
// the namespace.
func EnterNamespace(variables ...string) {
	if os.Getenv(inNamespace) == "" {
		os.Exit(runInNamespace(variables))
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		fmt.Fprintf(os.Stderr, "the mount namespace cannot be made private: %v\n", err)
		os.Exit(1)
	}
}

func runInNamespace(variables []string) int {
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Env = append(append(os.Environ(), inNamespace+"=1"), variables...)
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
		fmt.Fprintf(os.Stderr, "a mount namespace is needed (as root), or a user namespace: %v\n", err)
		return 1
	}
}

// Site is a volume with a directory and a file in it, and a pod's directory, by their paths.
type Site struct {
	Volume, Pod string
}

// NewSite makes a site that goes with the test.
func NewSite(t testing.TB) Site {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := Site{Volume: filepath.Join(root, "volume"), Pod: filepath.Join(root, "pod")}
	Must(t, os.MkdirAll(filepath.Join(s.Volume, "dir/deep"), 0o755))
	Must(t, os.WriteFile(filepath.Join(s.Volume, "dir/hello"), []byte("hello"), 0o644))
	Must(t, os.WriteFile(filepath.Join(s.Volume, "file"), []byte("a file"), 0o644))
	Must(t, os.Mkdir(s.Pod, 0o755))
	t.Cleanup(func() {
		// What a failed test left mounted would make the removal of the directory fail as well.
		for _, target := range s.Mounts() {
			syscall.Unmount(target, syscall.MNT_DETACH)
		}
	})
	return s
}

// Subpath has the fields of rustsubpath.Subpath, to which it can be converted.
type Subpath struct {
	VolumeMountIndex int
	Path             string
	VolumeName       string
	VolumePath       string
	PodDir           string
	ContainerName    string
}

// Subpath returns the request for a path in the volume.
func (s Site) Subpath(path string) Subpath {
	return Subpath{
		VolumeMountIndex: 1,
		Path:             filepath.Join(s.Volume, path),
		VolumeName:       "vol",
		VolumePath:       s.Volume,
		PodDir:           s.Pod,
		ContainerName:    "c",
	}
}

// Target returns the path that such a request is mounted at.
func (s Site) Target() string {
	return filepath.Join(s.Pod, "volume-subpaths/vol/c/1")
}

// Mounts returns the mount points below the pod's directory, newest first, as this thread sees them.
func (s Site) Mounts() []string {
	table, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		panic(err)
	}
	var below []string
	for _, line := range strings.Split(string(table), "\n") {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], s.Pod+"/") {
			below = append([]string{fields[4]}, below...)
		}
	}
	return below
}

// Left returns the files and directories below the pod's directory.
func (s Site) Left(t testing.TB) []string {
	t.Helper()
	var found []string
	Must(t, filepath.WalkDir(s.Pod, func(path string, _ os.DirEntry, err error) error {
		if path != s.Pod {
			found = append(found, path)
		}
		return err
	}))
	return found
}

// ExpectNothing fails the test unless the pod's directory is empty and nothing is mounted below it.
func (s Site) ExpectNothing(t testing.TB) {
	t.Helper()
	if mounts, left := s.Mounts(), s.Left(t); mounts != nil || left != nil {
		t.Errorf("left mounted: %q, left behind: %q", mounts, left)
	}
}

// Must fails the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// NotRun ends a test that cannot run here, and prints why. go test keeps back what t.Skip says while the
// tests pass.
func NotRun(t testing.TB, why string, operands ...any) {
	t.Helper()
	fmt.Fprintf(os.Stderr, "not run, %s: %s\n", fmt.Sprintf(why, operands...), t.Name())
	t.SkipNow()
}

// openFiles returns this process's descriptors, and what each leads to.
func openFiles(t testing.TB) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	Must(t, err)
	open := map[string]string{}
	for _, entry := range entries {
		// The descriptor that read the directory is gone.
		if to, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil {
			open[entry.Name()] = to
		}
	}
	return open
}

// LeavesNoFiles fails the test if the body opens descriptors and does not close them.
func LeavesNoFiles(t testing.TB, body func()) {
	t.Helper()
	before := openFiles(t)
	body()
	for fd, to := range openFiles(t) {
		if _, was := before[fd]; !was {
			t.Errorf("descriptor %s is left open: %s", fd, to)
		}
	}
}
