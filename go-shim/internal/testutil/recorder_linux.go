package testutil

import (
	"fmt"
	"os"
	"regexp"
	"sync"
	"testing"

	"k8s.io/mount-utils"
)

// Recorder is a mounter that records its calls, mounts nothing, and answers as if everything worked. A
// method that has a hook runs it first and returns the error that the hook returns.
type Recorder struct {
	// Interface is nil: a method that the operations must not call panics.
	mount.Interface

	mu      sync.Mutex
	mounted map[string]bool

	// Calls are the calls so far, the descriptor in a source replaced by N.
	Calls []string
	// Skips is what CanSafelySkipMountPointCheck answers.
	Skips bool

	OnIsMountPoint, OnUnmount, OnMount func(path string) error
	OnSkip                             func()
}

var _ mount.Interface = (*Recorder)(nil)

// ProcFD matches a descriptor of this process in /proc.
var ProcFD = regexp.MustCompile(fmt.Sprintf("/proc/%d/fd/[0-9]+", os.Getpid()))

func (r *Recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Calls = append(r.Calls, ProcFD.ReplaceAllString(fmt.Sprintf(format, args...), "/proc/SELF/fd/N"))
}

// Set makes the recorder answer that something is mounted at the path, or nothing.
func (r *Recorder) Set(path string, mounted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mounted == nil {
		r.mounted = map[string]bool{}
	}
	r.mounted[path] = mounted
}

// IsMounted reports whether something is mounted at the path, as the recorder would answer.
func (r *Recorder) IsMounted(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mounted[path]
}

// IsMountPoint is mount-utils'.
func (r *Recorder) IsMountPoint(file string) (bool, error) {
	r.note("IsMountPoint(%s)", file)
	if r.OnIsMountPoint != nil {
		if err := r.OnIsMountPoint(file); err != nil {
			return false, err
		}
	}
	if _, err := os.Lstat(file); err != nil {
		return false, err
	}
	return r.IsMounted(file), nil
}

// IsLikelyNotMountPoint is mount-utils'.
func (r *Recorder) IsLikelyNotMountPoint(file string) (bool, error) {
	r.note("IsLikelyNotMountPoint(%s)", file)
	return !r.IsMounted(file), nil
}

// CanSafelySkipMountPointCheck is mount-utils'.
func (r *Recorder) CanSafelySkipMountPointCheck() bool {
	r.note("CanSafelySkipMountPointCheck()")
	if r.OnSkip != nil {
		r.OnSkip()
	}
	return r.Skips
}

// Unmount is mount-utils'.
func (r *Recorder) Unmount(target string) error {
	r.note("Unmount(%s)", target)
	if r.OnUnmount != nil {
		if err := r.OnUnmount(target); err != nil {
			return err
		}
	}
	r.Set(target, false)
	return nil
}

// MountSensitiveWithoutSystemdWithMountFlags is mount-utils'.
func (r *Recorder) MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype string, options, sensitiveOptions, mountFlags []string) error {
	r.note("Mount(%s, %s, %q, %#v, %#v, %#v)", source, target, fstype, options, sensitiveOptions, mountFlags)
	if r.OnMount != nil {
		if err := r.OnMount(target); err != nil {
			return err
		}
	}
	r.Set(target, true)
	return nil
}

// ExpectCalls compares the recorder's calls with those that the original makes.
func ExpectCalls(t testing.TB, r *Recorder, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.Calls) != len(want) {
		t.Errorf("asked %d times, not %d:\n%q\nexpected\n%q", len(r.Calls), len(want), r.Calls, want)
		return
	}
	for i := range want {
		if r.Calls[i] != want[i] {
			t.Errorf("call %d is %s, expected %s", i, r.Calls[i], want[i])
		}
	}
}
