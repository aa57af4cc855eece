// Package mountutils holds the mount table and the mount point checks against k8s.io/mount-utils and
// github.com/moby/sys/mountinfo: on the fixtures of testdata, on mounts made here, and by
// mount-utils' own tests.
package mountutils

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"k8s.io/klog/v2"
	"rustsubpath/internal/testutil"
)

// TestMain runs the tests in a private mount namespace with an empty tmpfs on /mnt.
func TestMain(m *testing.M) {
	testutil.EnterNamespace()
	if err := syscall.Mount("scratch", "/mnt", "tmpfs", 0, ""); err != nil {
		fmt.Fprintf(os.Stderr, "a tmpfs cannot be mounted on /mnt: %v\n", err)
		os.Exit(1)
	}
	// Both sides log what they are told to do; here it is what they do that counts.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	os.Exit(m.Run())
}

var must = testutil.Must

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
