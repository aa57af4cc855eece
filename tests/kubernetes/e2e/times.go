// The time from a manifest to the first instruction of the container, the kubelets taking turns.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// load is what is timed: a number of pods, each with a volume and this many sub paths of it.
type load struct {
	title          string
	pods, subPaths int
	volume         string
}

func loads(many int) []load {
	return []load{
		{"no sub path", 1, 0, emptyDir},
		{"1 sub path", 1, 1, emptyDir},
		{"30 sub paths", 1, 30, emptyDir},
		{"100 sub paths", 1, 100, emptyDir},
		{fmt.Sprintf("%d pods, each with an emptyDir in memory", many), many, 0, memory},
	}
}

// times is for kubelets that have no stand-ins for mount(8) on their PATH.
func times(out *strings.Builder, setUps []*setUp, turns, many int) {
	starts, ends := map[string][]float64{}, map[string][]float64{}
	for turn := 0; turn < turns; turn++ {
		for _, s := range setUps {
			check(s.start(false))
			// The first pod pays for what the kubelet puts off until then.
			s.time(loads(many)[0])
			for _, l := range loads(many) {
				if l.pods > 1 && !s.timesMany {
					continue
				}
				start, end := s.time(l)
				fmt.Printf("turn %d of %d: %s: %s: %.3f and %.3f seconds\n", turn+1, turns, s.name, l.title, start, end)
				key := s.name + l.title
				starts[key], ends[key] = append(starts[key], start), append(ends[key], end)
			}
			check(s.stop())
		}
	}
	fmt.Fprintf(out, "\nSeconds, medians of %d turns (least – most).\n\n| a pod with |", turns)
	for _, s := range setUps {
		fmt.Fprintf(out, " %s: manifest to running |", s.name)
	}
	for _, s := range setUps {
		fmt.Fprintf(out, " %s: deleted to volume gone |", s.name)
	}
	fmt.Fprintf(out, "\n|---|%s\n", strings.Repeat("--:|", 2*len(setUps)))
	for _, l := range loads(many) {
		fmt.Fprintf(out, "| %s |", l.title)
		for _, of := range []map[string][]float64{starts, ends} {
			for _, s := range setUps {
				values := of[s.name+l.title]
				if values == nil {
					fmt.Fprint(out, " – |")
					continue
				}
				sort.Float64s(values)
				fmt.Fprintf(out, " %.3f (%.3f – %.3f) |", values[len(values)/2], values[0], values[len(values)-1])
			}
		}
		fmt.Fprintln(out)
	}
}

// time takes the pods of a load from their manifests to running, and to gone.
func (s *setUp) time(l load) (float64, float64) {
	marks := s.volumes() + "/timed"
	check(os.MkdirAll(marks, 0o755))
	mountsOf := "{name: mark, mountPath: /mark}, {name: data, mountPath: /data}"
	if l.subPaths > 0 {
		mountsOf += ", " + mounts(l.subPaths)
	}
	names := make([]string, l.pods)
	begin := time.Now()
	for i := range names {
		names[i] = fmt.Sprintf("timed-%d", unique())
		check(s.add(names[i], fmt.Sprintf(`
  containers: [{name: main, image: %s, imagePullPolicy: Never, command: [/bin/sh, -c, %q], volumeMounts: [%s]}]
  volumes: [{name: data, %s}, {name: mark, hostPath: {path: %s}}]`, image, ": >/mark/"+names[i]+"; "+idle, mountsOf, l.volume, marks)))
	}
	check(quickly(func() bool { return entries(marks+"/*") == l.pods }))
	start := time.Since(begin).Seconds()
	var uids []string
	check(wait("the timed pods run", func() error {
		pods, err := s.pods()
		uids = nil
		for _, name := range names {
			uids = append(uids, pods[name].Metadata.UID)
			if err == nil && pods[name].Status.Phase != "Running" {
				err = fmt.Errorf("the phase of %s is %q", name, pods[name].Status.Phase)
			}
		}
		return err
	}))

	begin = time.Now()
	for _, name := range names {
		check(s.remove(name))
	}
	// A volume is torn down when its sub paths are; the pod's directory stays for the next housekeeping.
	check(quickly(func() bool { return entries(s.root()+"/pods/*/volumes/kubernetes.io~empty-dir/data") == 0 }))
	end := time.Since(begin).Seconds()
	check(s.gone(uids...))
	check(os.RemoveAll(marks))
	return start, end
}

// entries is the number of files and directories of a pattern.
func entries(pattern string) int {
	found, err := filepath.Glob(pattern)
	check(err)
	return len(found)
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
