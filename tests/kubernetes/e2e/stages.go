// The life of all pods at one kubelet: started, containers restarted, the kubelet restarted, deleted.

package main

import (
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
)

const (
	starting   = "pods start"
	restarting = "containers restart"
	again      = "the kubelet restarts"
	deleting   = "pods are deleted"
)

var stages = []string{starting, restarting, again, deleting}

type result struct {
	name     string
	pods     []*trial
	failures []string
	calls    map[string]calls
}

// try takes the pods through all stages. What a pod does wrong is noted; when the kubelet itself
// does not go on, all ends.
func (s *setUp) try(some *regexp.Regexp) *result {
	r := &result{name: s.name, calls: map[string]calls{}}
	for _, p := range plans {
		if some.MatchString(p.name) {
			r.pods = append(r.pods, &trial{plan: p, at: s})
		}
	}
	check(s.start(true))
	for _, t := range r.pods {
		if t.layOut != nil {
			check(t.layOut(t.hostFolder()))
		}
		check(s.add(t.name, t.manifest(t.hostFolder())))
	}
	s.settle(r, 0)
	s.count(r, starting)
	for _, t := range r.pods {
		t.look()
	}

	s.restartContainers(r)
	s.count(r, restarting)
	s.restartKubelet(r)
	s.count(r, again)
	s.delete(r)
	s.count(r, deleting)
	check(s.stop())
	if started, ended := r.calls[starting].mount > 0, r.calls[deleting].umount > 0; started != s.runsMount || ended != s.runsMount {
		r.failures = append(r.failures, fmt.Sprintf("processes mount(8) and umount(8) for sub paths: %v", r.calls))
	}
	for stage, c := range r.calls {
		if s.ownMounter && len(c.all) > 0 {
			r.failures = append(r.failures, fmt.Sprintf("processes when %s:\n  %s", stage, strings.Join(c.all, "\n  ")))
		}
	}

	for _, t := range r.pods {
		for _, failure := range t.failures {
			r.failures = append(r.failures, t.name+": "+failure)
		}
	}
	return r
}

func (s *setUp) count(r *result, stage string) {
	c, err := takeCalls(s.mountCalls())
	check(err)
	r.calls[stage] = c
}

// settle waits until all pods are as planned, those that restart after this many restarts.
func (s *setUp) settle(r *result, restarts int) {
	err := wait(s.name, func() error {
		s.kubelet.mustLive()
		pods, err := s.pods()
		if err != nil {
			return err
		}
		var missing []string
		for _, t := range r.pods {
			t.pod = pods[t.name]
			count := 0
			if t.restart {
				count = restarts
			}
			if err := t.settled(count); err != nil {
				missing = append(missing, t.name+": "+err.Error())
			}
		}
		if missing != nil {
			return fmt.Errorf("%s", strings.Join(missing, "\n  "))
		}
		return nil
	})
	if err != nil {
		fail("%v\nthe kubelet's log is target/e2e%s", err, strings.TrimPrefix(s.log(), base))
	}
}

func (s *setUp) restartContainers(r *result) {
	before := map[string]string{}
	for _, t := range r.pods {
		if !t.restart {
			continue
		}
		before[t.name] = t.containers()
		if t.between != nil {
			check(t.between(t.hostFolder()))
		}
		for _, c := range t.pod.Status.ContainerStatuses {
			_, err := ctr("task", "kill", "--signal", "SIGTERM", c.id())
			check(err)
		}
	}
	s.settle(r, 1)
	for _, t := range r.pods {
		if !t.restart {
			continue
		}
		if t.containers() == before[t.name] {
			t.fail("its containers are the same after they ended")
		}
		t.look()
	}
}

// restartKubelet stops the kubelet and starts it again: no container and no mount may change.
func (s *setUp) restartKubelet(r *result) {
	mounts, err := mountsBelow(s.root() + "/pods")
	check(err)
	containers := map[string]string{}
	for _, t := range r.pods {
		containers[t.name] = t.containers()
	}
	check(s.stop())
	check(s.start(true))
	s.settle(r, 1)
	after, err := mountsBelow(s.root() + "/pods")
	check(err)
	if !reflect.DeepEqual(mounts, after) {
		r.failures = append(r.failures, fmt.Sprintf("the restart of the kubelet changed the mounts %v to %v", mounts, after))
	}
	for _, t := range r.pods {
		if t.containers() != containers[t.name] {
			t.fail("the restart of the kubelet changed its containers %s to %s", containers[t.name], t.containers())
		}
		t.look()
	}
}

// delete takes the manifests away, some of them while no kubelet runs, and looks for what is left.
func (s *setUp) delete(r *result) {
	for _, down := range []bool{false, true} {
		if down {
			check(s.stop())
		}
		var uids []string
		for _, t := range r.pods {
			if t.whileDown == down {
				check(s.remove(t.name))
				uids = append(uids, t.pod.Metadata.UID)
			}
		}
		if down {
			check(s.start(true))
		}
		check(s.gone(uids...))
	}

	mounts, err := mountsBelow(s.root() + "/pods")
	check(err)
	directories, err := filepath.Glob(s.root() + "/pods/*")
	check(err)
	if len(mounts)+len(directories) > 0 {
		r.failures = append(r.failures, fmt.Sprintf("left after all pods are deleted: mounts %v, directories %v", mounts, directories))
	}
	for _, t := range r.pods {
		t.round++
		if t.left != nil {
			t.left(t)
		}
	}
}
