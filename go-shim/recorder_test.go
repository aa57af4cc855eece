//go:build cgo

// A mounter that writes down what it is asked and mounts nothing.

package rustsubpath

import (
	"fmt"
	"os"
	"regexp"
	"sync"
	"testing"

	"k8s.io/mount-utils"
)

// recorder answers as if everything worked. A method that has a hook runs it instead of answering.
type recorder struct {
	// Interface is nil: a method that the operations must not call panics.
	mount.Interface

	mu      sync.Mutex
	calls   []string
	mounted map[string]bool
	skips   bool

	onIsMountPoint, onIsLikely, onUnmount, onMount func(path string) error
	onSkip                                         func()
}

var _ mount.Interface = (*recorder)(nil)

var procFD = regexp.MustCompile(fmt.Sprintf("/proc/%d/fd/[0-9]+", os.Getpid()))

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, procFD.ReplaceAllString(fmt.Sprintf(format, args...), "/proc/SELF/fd/N"))
}

func (r *recorder) set(path string, mounted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mounted == nil {
		r.mounted = map[string]bool{}
	}
	r.mounted[path] = mounted
}

func (r *recorder) isMounted(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mounted[path]
}

func (r *recorder) IsMountPoint(file string) (bool, error) {
	r.note("IsMountPoint(%s)", file)
	if r.onIsMountPoint != nil {
		if err := r.onIsMountPoint(file); err != nil {
			return false, err
		}
	}
	if _, err := os.Lstat(file); err != nil {
		return false, err
	}
	return r.isMounted(file), nil
}

func (r *recorder) IsLikelyNotMountPoint(file string) (bool, error) {
	r.note("IsLikelyNotMountPoint(%s)", file)
	if r.onIsLikely != nil {
		if err := r.onIsLikely(file); err != nil {
			return true, err
		}
	}
	return !r.isMounted(file), nil
}

func (r *recorder) CanSafelySkipMountPointCheck() bool {
	r.note("CanSafelySkipMountPointCheck()")
	if r.onSkip != nil {
		r.onSkip()
	}
	return r.skips
}

func (r *recorder) Unmount(target string) error {
	r.note("Unmount(%s)", target)
	if r.onUnmount != nil {
		if err := r.onUnmount(target); err != nil {
			return err
		}
	}
	r.set(target, false)
	return nil
}

func (r *recorder) MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype string, options, sensitiveOptions, mountFlags []string) error {
	r.note("Mount(%s, %s, %q, %#v, %#v, %#v)", source, target, fstype, options, sensitiveOptions, mountFlags)
	if r.onMount != nil {
		if err := r.onMount(target); err != nil {
			return err
		}
	}
	r.set(target, true)
	return nil
}

// expectCalls compares what was asked with what the original asks.
func expectCalls(t testing.TB, r *recorder, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) != len(want) {
		t.Errorf("asked %d times, not %d:\n%q\nexpected\n%q", len(r.calls), len(want), r.calls, want)
		return
	}
	for i := range want {
		if r.calls[i] != want[i] {
			t.Errorf("call %d is %s, expected %s", i, r.calls[i], want[i])
		}
	}
}
