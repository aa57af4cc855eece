// Every way in which a mounter can misbehave, at every call that the operations make of it. The
// random cases come across most of this by chance; here nothing is left out.

package parity

import (
	"slices"
	"syscall"
	"testing"
)

// place is one call of a mounter within one operation, and what brings the operation there.
type place struct {
	name   string
	op     Op
	method string
	nth    int
	before []Fault // the faults on the way
	tree   []Node
	only   string // "v1.29" or "v1.37": the versions that come here
}

var (
	mounted  = Node{Kind: 'd', Path: "pod/volume-subpaths/vol/cont/0", Mode: 0o750}
	mountErr = Fault{Method: mountMethod, What: "error", Kind: 0}
)

const mountMethod = "MountSensitiveWithoutSystemdWithMountFlags"

func yes(nth int) Fault { return Fault{Method: "IsMountPoint", Nth: nth, What: "true", Kind: -1} }

func kindNamed(name string) int {
	return slices.IndexFunc(errorKinds, func(k errorKind) bool { return k.name == name })
}

var places = []place{
	{name: "first check of prepare", op: OpBind, method: "IsMountPoint"},
	{name: "check of a target that is there", op: OpBind, method: "IsMountPoint", tree: []Node{mounted}},
	{name: "mount", op: OpBind, method: mountMethod},
	{name: "unmount of something stale", op: OpBind, method: "Unmount", before: []Fault{yes(0)}, tree: []Node{mounted}, only: "v1.29"},
	{name: "unmount of something stale, inner step", op: OpTarget, method: "Unmount", before: []Fault{yes(0)}, tree: []Node{mounted}, only: "v1.29"},
	{name: "lazy unmount of something stale", op: OpTarget, method: "lazyUnmount", before: []Fault{yes(0)}, tree: []Node{mounted}, only: "v1.37"},
	{name: "unmount of something corrupted", op: OpBind, method: "Unmount", tree: []Node{mounted}, only: "v1.37",
		before: []Fault{{Method: "IsMountPoint", What: "error", Kind: kindNamed("PathError " + syscall.ESTALE.Error())}}},
	{name: "question while undoing", op: OpBind, method: "CanSafelySkipMountPointCheck", before: []Fault{mountErr}},
	{name: "check while undoing", op: OpBind, method: "IsMountPoint", nth: 1, before: []Fault{mountErr}},
	{name: "unmount while undoing", op: OpBind, method: "Unmount", before: []Fault{mountErr, yes(1)}},
	{name: "second check while undoing", op: OpBind, method: "IsMountPoint", nth: 2, before: []Fault{mountErr, yes(1)}},
	{name: "question of clean", op: OpClean, method: "CanSafelySkipMountPointCheck", tree: []Node{mounted}},
	{name: "check of clean", op: OpClean, method: "IsMountPoint", tree: []Node{mounted}},
	{name: "unmount of clean", op: OpClean, method: "Unmount", before: []Fault{yes(0)}, tree: []Node{mounted}},
	{name: "second check of clean", op: OpClean, method: "IsMountPoint", nth: 1, before: []Fault{yes(0)}, tree: []Node{mounted}},
	{name: "question asked again for the log", op: OpClean, method: "CanSafelySkipMountPointCheck", nth: 1, tree: []Node{mounted},
		before: []Fault{{Method: "CanSafelySkipMountPointCheck", What: "true", Kind: -1}}},
	{name: "unmount without a check", op: OpClean, method: "Unmount", tree: []Node{mounted},
		before: []Fault{{Method: "CanSafelySkipMountPointCheck", Nth: -1, What: "true", Kind: -1}}},
}

// faultsAt lists everything that can happen at a place.
func faultsAt(p place) []Fault {
	at := Fault{Method: p.method, Nth: p.nth, Kind: -1}
	with := func(what string, kind int, after bool) Fault {
		f := at
		f.What, f.Kind, f.After = what, kind, after
		return f
	}
	faults := []Fault{with("goexit", -1, false), with("goexit", -1, true)}
	for kind := range panicKinds {
		faults = append(faults, with("panic", kind, kind%2 == 1))
	}
	if p.method == "CanSafelySkipMountPointCheck" {
		return append(faults, with("true", -1, false), with("false", -1, false))
	}
	for kind := range errorKinds {
		faults = append(faults, with("error", kind, kind%5 == 4))
	}
	if p.method == "IsMountPoint" {
		faults = append(faults, with("true", -1, false), with("false", -1, false))
		for kind := range errorKinds { // an answer beside an error
			faults = append(faults, with("true", kind, false))
		}
	}
	return faults
}

// base is the tree of every case here.
func baseTree(more ...Node) []Node {
	return append([]Node{dir("vol"), dir("vol/sub"), dir("pod"), {Kind: 'f', Path: "vol/file", Mode: 0o644, Size: 3}}, more...)
}

func plainStep(op Op, faults ...Fault) Step {
	return Step{Op: op, Mounter: "fake", V: 5, Umask: 0o022, Faults: faults, Path: "made", Base: RootA + "/vol", Perm: 0o750, Sub: Subpath{
		Path: RootA + "/vol/sub", VolumePath: RootA + "/vol", PodDir: RootA + "/pod", VolumeName: "vol", ContainerName: "cont",
	}}
}

// faultCase is a misbehaving call, followed by calls that must go on as if nothing had happened.
func faultCase(op Op, tree []Node, faults ...Fault) Case {
	return Case{Tree: baseTree(tree...), Steps: []Step{
		plainStep(op, faults...), plainStep(OpMake), plainStep(OpBind), plainStep(OpClean),
	}}
}

// EveryFault runs the table.
func EveryFault(t *testing.T, original, port Impl) {
	if !Sandboxed(t) {
		return
	}
	for _, p := range places {
		if p.only != "" && (p.only == "v1.37") != original.Wraps {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			for _, f := range faultsAt(p) {
				runFault(t, original, port, faultCase(p.op, p.tree, append(slices.Clone(p.before), f)...), f)
			}
		})
	}
	t.Run("twice in one call", func(t *testing.T) {
		for _, first := range twice {
			for _, second := range twice {
				first.Method, second.Method = mountMethod, "IsMountPoint"
				second.Nth = 1
				runFault(t, original, port, faultCase(OpBind, nil, first, second), second)
				second.Method, second.Nth = "CanSafelySkipMountPointCheck", 0
				runFault(t, original, port, faultCase(OpBind, nil, first, second), second)
			}
		}
	})
}

// twice are the faults that end a call, so that a second one happens in a deferred function.
var twice = []Fault{
	{What: "goexit", Kind: -1},
	{What: "panic", Kind: 0},
	{What: "panic", Kind: 4},
	{What: "panic", Kind: 9},
	{What: "panic", Kind: 7},
}

// runFault compares one case, and makes sure that the fault happened at all.
func runFault(t *testing.T, original, port Impl, c Case, f Fault) {
	t.Helper()
	happened := 0
	count := newTally()
	count.observe = func(step int, a, _ *outcome) {
		if step == 0 && slices.Contains(a.events, "fault "+f.What) {
			happened++
		}
		if step == 0 && (f.What == "panic" && !a.has("panic") && !a.has("goroutine") || f.What == "goexit" && !a.has("goroutine") && !a.has("panic")) {
			t.Errorf("%s: the original came back from it: %v", f, a.facets)
		}
	}
	failure, err := runCase(c, original, port, count)
	switch {
	case err != nil:
		t.Fatal(err)
	case failure != nil:
		t.Errorf("%s", report(c, failure))
	case happened == 0:
		t.Errorf("%s: never happened", f)
	case count.Steps != len(c.Steps):
		t.Errorf("%s: %d steps of %d were taken", f, count.Steps, len(c.Steps))
	}
}

func (o *outcome) has(name string) bool {
	return slices.ContainsFunc(o.facets, func(f facet) bool { return f.name == name })
}
