//go:build cgo

// What the tests here share: a mount namespace of their own, a volume and a pod to work on, and a
// look at what is left behind.

package rustsubpath

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

// inNamespace tells a test binary that it runs in the namespaces made for it.
const inNamespace = "RUSTSUBPATH_TEST_IN_NAMESPACE"

// TestMain runs the tests in a private mount namespace, so that they mount for real and leave no
// trace; an ordinary user gets a user namespace for it.
func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) == "" {
		os.Exit(runInNamespace())
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		fmt.Fprintf(os.Stderr, "the tests' mount namespace cannot be made private: %v\n", err)
		os.Exit(1)
	}
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

// site is a volume with a directory and a file in it, and a pod's directory.
type site struct {
	volume, pod string
}

func newSite(t testing.TB) site {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := site{volume: filepath.Join(root, "volume"), pod: filepath.Join(root, "pod")}
	must(t, os.MkdirAll(filepath.Join(s.volume, "dir/deep"), 0o755))
	must(t, os.WriteFile(filepath.Join(s.volume, "dir/hello"), []byte("hello"), 0o644))
	must(t, os.WriteFile(filepath.Join(s.volume, "file"), []byte("a file"), 0o644))
	must(t, os.Mkdir(s.pod, 0o755))
	t.Cleanup(func() {
		// What a failed test left mounted would make the removal of the directory fail as well.
		for _, target := range s.mounts() {
			syscall.Unmount(target, syscall.MNT_DETACH)
		}
	})
	return s
}

// subpath is the request for a path in the volume.
func (s site) subpath(path string) Subpath {
	return Subpath{
		VolumeMountIndex: 1,
		Path:             filepath.Join(s.volume, path),
		VolumeName:       "vol",
		VolumePath:       s.volume,
		PodDir:           s.pod,
		ContainerName:    "c",
	}
}

func (s site) target() string {
	return filepath.Join(s.pod, "volume-subpaths/vol/c/1")
}

// mounts are the mount points below the pod's directory, newest first, as this thread sees them.
func (s site) mounts() []string {
	table, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		panic(err)
	}
	var below []string
	for _, line := range strings.Split(string(table), "\n") {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], s.pod+"/") {
			below = append([]string{fields[4]}, below...)
		}
	}
	return below
}

// left are the files and directories below the pod's directory.
func (s site) left(t testing.TB) []string {
	t.Helper()
	var found []string
	must(t, filepath.WalkDir(s.pod, func(path string, _ os.DirEntry, err error) error {
		if path != s.pod {
			found = append(found, path)
		}
		return err
	}))
	return found
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openFiles are the descriptors of this process.
func openFiles(t testing.TB) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	open := map[string]string{}
	for _, entry := range entries {
		// The descriptor that read the directory is gone.
		if to, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil {
			open[entry.Name()] = to
		}
	}
	return open
}

// leavesNoFiles fails the test if the body opens descriptors and does not close them.
func leavesNoFiles(t testing.TB, body func()) {
	t.Helper()
	before := openFiles(t)
	body()
	for fd, to := range openFiles(t) {
		if _, was := before[fd]; !was {
			t.Errorf("descriptor %s is left open: %s", fd, to)
		}
	}
}
