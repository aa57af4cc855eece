// Running a case: the same tree and the same steps on both sides, compared after every step.

package parity

import (
	"fmt"
	"slices"
)

// failure is the first step after which the sides differ, and how.
type failure struct {
	step        int // -1: the trees differed already when they were built
	differences []difference
	eventsA     []string
	eventsB     []string
	lost        bool // a call still runs
}

// tally counts what a run covered.
type tally struct {
	Cases, Steps int
	ByOp         map[Op]int
	Failed       int            // steps in which the original returned an error
	Mounts       int            // real mounts the original made
	Excused      map[string]int // steps that differ by a deliberate deviation

	observe func(step int, a, b *outcome) // sees every call's outcome, when set
}

func newTally() *tally { return &tally{ByOp: map[Op]int{}, Excused: map[string]int{}} }

func (t *tally) merge(o *tally) {
	t.Cases += o.Cases
	t.Steps += o.Steps
	t.Failed += o.Failed
	t.Mounts += o.Mounts
	for k, v := range o.ByOp {
		t.ByOp[k] += v
	}
	for k, v := range o.Excused {
		t.Excused[k] += v
	}
}

// runCase returns the first failure, or nil. a is the original; its FIFOs are held open.
func runCase(c Case, a, b Impl, count *tally) (*failure, error) {
	if err := newWorld(); err != nil {
		return nil, err
	}
	sideA := newSide(nameA, topA, RootA, a, true)
	sideB := newSide(nameB, topB, RootB, b, b.BlocksOnFIFO)
	defer endWorld()
	defer sideA.release()
	defer sideB.release()
	for _, n := range c.Tree {
		twin := n
		twin.Target = onB(n.Target)
		if ea, eb := n.make(RootA), twin.make(RootB); fmt.Sprint(ea) != fmt.Sprint(eb) {
			return &failure{step: -1, differences: []difference{{"making " + n.String(), fmt.Sprint(ea), fmt.Sprint(eb)}}}, nil
		}
	}
	treeA, treeB := takeSnapshot(topA), takeSnapshot(topB)
	if d := compare(&outcome{tree: treeA}, &outcome{tree: treeB}); d != nil {
		return &failure{step: -1, differences: d}, nil
	}
	count.Cases++
	for i, step := range c.Steps {
		ctx := look(step, treeA, sideA, sideB)
		oa := sideA.run(step, treeA)
		if rule := ctx.rule("link-as-target"); rule != nil && takeSnapshot(topB)["1/2"].kind != 'd' {
			// The original has unmounted what the link leads to: the root itself.
			count.Excused[rule.Name]++
			return nil, nil
		}
		ob := sideB.run(step, treeB)
		if count.observe != nil {
			count.observe(i, oa, ob)
		}
		if step.Op != OpEdit {
			count.Steps++
			count.ByOp[step.Op]++
			if oa.err != nil {
				count.Failed++
			}
			if step.Op == OpBind && step.Mounter == "real" && oa.err == nil {
				count.Mounts++
			}
		}
		if oa.lost || ob.lost {
			return &failure{i, compare(oa, ob), oa.events, ob.events, true}, nil
		}
		if d := compare(oa, ob); d != nil {
			rule := ctx.excuse(oa, ob, d)
			if rule == nil {
				return &failure{i, d, oa.events, ob.events, false}, nil
			}
			count.Excused[rule.Name]++
			mounts := slices.ContainsFunc(d, func(d difference) bool { return d.facet == "mounts" })
			if mounts || diffTrees(oa.tree, ob.tree) != nil {
				return nil, nil // the sides have parted for good
			}
		}
		treeA, treeB = oa.tree, ob.tree
		if treeA["1/2"].kind != 'd' {
			return nil, nil // the root itself was removed
		}
	}
	return nil, nil
}
