// Real kubelets, with the port and without it, on the same containerd: a table of pods with sub paths and
// volumes in memory from start to removal, and the time that pods take. tests/kubernetes/e2e/run.sh starts
// this in namespaces of its own.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if name := filepath.Base(os.Args[0]); slices.Contains(counted, name) {
		standIn(name)
	}
	turns := flag.Int("turns", 5, "timed turns of each kubelet")
	many := flag.Int("many", 100, "pods that are timed together")
	pattern := flag.String("pods", "", "try only the pods whose names match")
	flag.Parse()
	some, err := regexp.Compile(*pattern)
	if err != nil {
		fail("-pods: %v", err)
	}

	setUps := []*setUp{
		{name: "the original", binary: base + "/bin/kubelet-original", folder: nodes + "/original", runsMount: true, timesMany: true},
		{name: "the port", binary: base + "/bin/kubelet-port", folder: nodes + "/port"},
		{name: "the port, forwarding", binary: base + "/bin/kubelet-port", folder: nodes + "/forward", runsMount: true,
			environment: []string{"RUSTSUBPATH_MOUNTER=forward"}},
		{name: "the port with its mounter", binary: base + "/bin/kubelet-mounter", folder: nodes + "/mounter", ownMounter: true, timesMany: true},
	}
	containerd, err := startContainerd()
	check(err)
	check(standInsUp())

	var report strings.Builder
	var results []*result
	failures := 0
	for _, s := range setUps {
		check(s.prepare())
		r := s.try(some)
		results = append(results, r)
		failures += len(r.failures)
		for _, failure := range r.failures {
			fmt.Printf("%s: %s\n", s.name, failure)
		}
		fmt.Printf("%s: %d pods, %d failures\n", s.name, len(r.pods), len(r.failures))
	}
	writeTable(&report, results)
	table := report.String()
	fmt.Print("\n", table, "\n")
	check(standInsDown())
	if failures == 0 && *turns > 0 {
		times(&report, setUps, *turns, *many)
	}
	check(containerd.stop())
	check(os.WriteFile(base+"/report.md", []byte(report.String()), 0o644))
	fmt.Print(strings.TrimPrefix(report.String(), table))
	if failures > 0 {
		fail("%d checks failed; the logs are in target/e2e", failures)
	}
}

// writeTable puts the results side by side.
func writeTable(out *strings.Builder, results []*result) {
	fmt.Fprint(out, "| pod |")
	for _, r := range results {
		fmt.Fprintf(out, " %s |", r.name)
	}
	fmt.Fprintf(out, "\n|---|%s\n", strings.Repeat("---|", len(results)))
	for index, p := range results[0].pods {
		fmt.Fprintf(out, "| %s |", p.title)
		for _, r := range results {
			answer := "pass"
			if len(r.pods[index].failures) > 0 {
				answer = "FAILED"
			}
			fmt.Fprintf(out, " %s |", answer)
		}
		fmt.Fprintln(out)
	}
	for _, stage := range stages {
		fmt.Fprintf(out, "| processes mount(8) + umount(8) for sub paths, %s |", stage)
		for _, r := range results {
			c := r.calls[stage]
			fmt.Fprintf(out, " %d + %d |", c.mount, c.umount)
		}
		fmt.Fprintln(out)
	}
	for _, stage := range stages {
		fmt.Fprintf(out, "| processes %s in all, %s |", strings.Join(counted, ", "), stage)
		for _, r := range results {
			fmt.Fprintf(out, " %d |", len(r.calls[stage].all))
		}
		fmt.Fprintln(out)
	}
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "e2e: "+format+"\n", arguments...)
	os.Exit(1)
}
