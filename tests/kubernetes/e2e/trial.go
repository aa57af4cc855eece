// A pod of one kubelet, and looks at it from the host and from its containers.

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// trial is a plan at one kubelet; what is wrong is collected, so that a run shows all of it.
type trial struct {
	plan
	at       *setUp
	pod      pod
	round    int
	failures []string
}

func (t *trial) fail(format string, arguments ...any) {
	t.failures = append(t.failures, fmt.Sprintf("round %d: ", t.round)+fmt.Sprintf(format, arguments...))
}

func (t *trial) hostFolder() string { return filepath.Join(t.at.volumes(), t.name) }
func (t *trial) folder() string     { return filepath.Join(t.at.root(), "pods", t.pod.Metadata.UID) }

func (t *trial) volume(plugin, name string) string {
	return filepath.Join(t.folder(), "volumes/kubernetes.io~"+plugin, name)
}

// inside runs a script in a container and compares what it prints.
func (t *trial) inside(container, script, want string) {
	for _, status := range t.pod.Status.ContainerStatuses {
		if status.Name != container {
			continue
		}
		got, err := execute(status.id(), script)
		if err != nil || got != want {
			t.fail("in %s %q gave %q (%v), not %q", container, script, got, err, want)
		}
		return
	}
	t.fail("there is no container %s", container)
}

// execute runs a script in a container once. On a busy machine ctr may lose what a process printed
// that has ended already, so the output is kept in the container, and read until it is whole.
func execute(id, script string) (string, error) {
	const whole, read = "whole", "cat /tmp/output; echo whole"
	exec := func(script string) (string, error) {
		return ctr("task", "exec", "--exec-id", fmt.Sprintf("check-%d", unique()), id, "/bin/sh", "-c", script)
	}
	got, err := exec("( " + script + "\n) >/tmp/output 2>&1; code=$?; " + read + "; exit $code")
	if err != nil {
		return got, err
	}
	err = wait("the output of a script", func() error {
		if strings.HasSuffix(got, whole) {
			return nil
		}
		if got, err = exec(read); err != nil {
			return err
		}
		return errors.New("ctr does not print all of it")
	})
	return strings.TrimSpace(strings.TrimSuffix(got, whole)), err
}

var last int

func unique() int { last++; return last }

// host makes a file in the pod's folder on the host.
func (t *trial) host(name, content string) {
	if err := files(name, content)(t.hostFolder()); err != nil {
		t.fail("%v", err)
	}
}

func (t *trial) file(path, want string) {
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.fail("%s holds %q (%v), not %q", path, got, err, want)
	}
}

func (t *trial) mode(path string, want os.FileMode) {
	if status, err := os.Lstat(path); err != nil {
		t.fail("%v", err)
	} else if got := status.Mode() &^ os.ModeDir; got != want {
		t.fail("%s has mode %v, not %v", path, got, want)
	}
}

// flags says which of the flags a sub path's mount on the host lacks.
func (t *trial) flags(want ...string) {
	found, err := mountsBelow(filepath.Join(t.folder(), "volume-subpaths"))
	if err != nil {
		t.fail("%v", err)
	}
	for _, m := range found {
		for _, flag := range want {
			if !slices.Contains(strings.Split(m.options, ","), flag) {
				t.fail("%s is mounted %s, not %s", m.target, m.options, flag)
			}
		}
	}
}

// settled says what is missing for the pod to be as planned, or nil.
func (t *trial) settled(restarts int) error {
	if t.pod.Metadata.UID == "" {
		return fmt.Errorf("the kubelet does not know it")
	}
	if len(t.pod.Status.ContainerStatuses) != len(t.pod.Spec.Containers) {
		return fmt.Errorf("it has %d of %d containers", len(t.pod.Status.ContainerStatuses), len(t.pod.Spec.Containers))
	}
	for _, c := range t.pod.Status.ContainerStatuses {
		switch waiting := c.State.Waiting; {
		case t.refused != "" && waiting != nil && strings.Contains(waiting.Message, t.refused):
		case t.refused != "" || c.State.Running == nil:
			if waiting != nil {
				return fmt.Errorf("its container %s waits: %s: %s", c.Name, waiting.Reason, waiting.Message)
			}
			return fmt.Errorf("its container %s is not as it should be", c.Name)
		case c.RestartCount != restarts:
			return fmt.Errorf("its container %s was restarted %d times, not %d", c.Name, c.RestartCount, restarts)
		}
	}
	return nil
}

// look makes all checks on a settled pod.
func (t *trial) look() {
	t.round++
	t.mounted()
	if t.check != nil {
		t.check(t)
	}
}

// mounted compares the sub paths that are mounted with those that the pod asks for.
func (t *trial) mounted() {
	found, err := mountsBelow(filepath.Join(t.folder(), "volume-subpaths"))
	if err != nil {
		t.fail("%v", err)
		return
	}
	var got, want []string
	for _, m := range found {
		got = append(got, strings.TrimPrefix(m.target, t.folder()+"/volume-subpaths/"))
	}
	if t.refused == "" {
		for _, c := range append(t.pod.Spec.InitContainers, t.pod.Spec.Containers...) {
			for index, m := range c.VolumeMounts {
				if m.SubPath+m.SubPathExpr != "" {
					want = append(want, fmt.Sprintf("%s/%s/%d", m.Name, c.Name, index))
				}
			}
		}
	}
	sort.Strings(got)
	sort.Strings(want)
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.fail("mounted in volume-subpaths is %q, not %q", got, want)
	}
}

// containers are the ids of all containers that run.
func (t *trial) containers() string {
	var ids []string
	for _, c := range t.pod.Status.ContainerStatuses {
		ids = append(ids, c.Name+"="+c.id())
	}
	sort.Strings(ids)
	return strings.Join(ids, " ")
}
