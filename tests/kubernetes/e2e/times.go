// The time from a manifest to the first instruction of the container, the kubelets taking turns.

package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"time"
)

var subPaths = []int{0, 1, 30, 100}

// times is for kubelets that have no stand-ins for mount(8) on their PATH.
func times(out *strings.Builder, setUps []*setUp, turns int) {
	starts, ends := map[string][]float64{}, map[string][]float64{}
	for turn := 0; turn < turns; turn++ {
		for _, s := range setUps {
			check(s.start(""))
			// The first pod pays for what the kubelet puts off until then.
			s.time(0)
			for _, count := range subPaths {
				start, end := s.time(count)
				key := fmt.Sprint(s.name, count)
				starts[key], ends[key] = append(starts[key], start), append(ends[key], end)
			}
			check(s.stop())
			fmt.Printf("turn %d of %d: %s timed\n", turn+1, turns, s.name)
		}
	}
	fmt.Fprintf(out, "\nSeconds, medians of %d turns (least – most).\n\n| sub paths |", turns)
	for _, s := range setUps {
		fmt.Fprintf(out, " %s: manifest to running |", s.name)
	}
	for _, s := range setUps {
		fmt.Fprintf(out, " %s: deleted to volume gone |", s.name)
	}
	fmt.Fprintf(out, "\n|--:|%s\n", strings.Repeat("--:|", 2*len(setUps)))
	for _, count := range subPaths {
		fmt.Fprintf(out, "| %d |", count)
		for _, of := range []map[string][]float64{starts, ends} {
			for _, s := range setUps {
				values := of[fmt.Sprint(s.name, count)]
				sort.Float64s(values)
				fmt.Fprintf(out, " %.3f (%.3f – %.3f) |", values[len(values)/2], values[0], values[len(values)-1])
			}
		}
		fmt.Fprintln(out)
	}
}

// time takes a pod with this many sub paths from its manifest to running, and to gone.
func (s *setUp) time(count int) (float64, float64) {
	name := fmt.Sprintf("timed-%d", count)
	mark := s.volumes() + "/" + name
	check(os.MkdirAll(mark, 0o755))
	mountsOf := "{name: mark, mountPath: /mark}, {name: data, mountPath: /data}"
	if count > 0 {
		mountsOf += ", " + mounts(count)
	}
	spec := fmt.Sprintf(`
  containers: [{name: main, image: %s, imagePullPolicy: Never, command: [/bin/sh, -c, %q], volumeMounts: [%s]}]
  volumes: [{name: data, emptyDir: {}}, {name: mark, hostPath: {path: %s}}]`, image, ": >/mark/running; "+idle, mountsOf, mark)

	begin := time.Now()
	check(s.add(name, spec))
	check(quickly(func() bool { _, err := os.Lstat(mark + "/running"); return err == nil }))
	start := time.Since(begin).Seconds()
	var uid string
	check(wait(name, func() error {
		pods, err := s.pods()
		uid = pods[name].Metadata.UID
		if err == nil && pods[name].Status.Phase != "Running" {
			err = fmt.Errorf("the pod's phase is %q", pods[name].Status.Phase)
		}
		return err
	}))

	begin = time.Now()
	check(s.remove(name))
	// A volume is torn down when its sub paths are; the pod's directory stays for the next housekeeping.
	check(quickly(func() bool {
		_, err := os.Lstat(s.root() + "/pods/" + uid + "/volumes/kubernetes.io~empty-dir/data")
		return err != nil
	}))
	end := time.Since(begin).Seconds()
	check(s.gone(uid))
	check(os.RemoveAll(mark))
	return start, end
}

// quickly waits for what is timed: by looking every millisecond.
func quickly(is func() bool) error {
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("a timed pod was not there, or not gone, within %s", patience)
		}
	}
	return nil
}
