// Making a failing case small: fewer steps, fewer entries, fewer faults, ordinary arguments, as
// long as it fails in the same way.

package parity

import "slices"

// minimise shrinks c while fails says yes. It tries at most budget cases.
func minimise(c Case, budget int, fails func(Case) bool) Case {
	try := func(smaller Case) bool {
		if budget <= 0 {
			return false
		}
		budget--
		return fails(smaller)
	}
	for {
		before := budget
		size := weight(c)
		c.Steps = shrinkList(c.Steps, func(s []Step) bool { return try(Case{c.Seed, c.Tree, s}) })
		c.Tree = shrinkList(c.Tree, func(n []Node) bool { return try(Case{c.Seed, n, c.Steps}) })
		for i := range c.Steps {
			c = simplify(c, i, try)
		}
		if weight(c) == size || before == budget || budget <= 0 {
			return c
		}
	}
}

func weight(c Case) int {
	n := 10*len(c.Tree) + 20*len(c.Steps)
	for _, s := range c.Steps {
		n += 5*len(s.Faults) + len(s.Path) + len(s.Base) + len(s.Sub.Path) + len(s.Cred) + s.Umask
	}
	return n
}

// shrinkList removes ever smaller runs of elements as long as the rest still fails.
func shrinkList[T any](list []T, fails func([]T) bool) []T {
	for run := len(list); run >= 1; run /= 2 {
		for at := 0; at+run <= len(list); {
			without := slices.Concat(list[:at], list[at+run:])
			if fails(without) {
				list = without
			} else {
				at += run
			}
		}
	}
	return list
}

// simplify takes what is around one step back to the ordinary.
func simplify(c Case, i int, try func(Case) bool) Case {
	changes := []func(*Step){
		func(s *Step) { s.Umask = 0 },
		func(s *Step) { s.Cred = "" },
		func(s *Step) { s.Perm = 0o755 },
		func(s *Step) { s.V = 0 },
		func(s *Step) { s.Mounter = "fake" },
		func(s *Step) { s.Sub.VolumeMountIndex = 0 },
		func(s *Step) { s.Sub.VolumeName = "vol" },
		func(s *Step) { s.Sub.ContainerName = "cont" },
		func(s *Step) { s.Sub.PodDir = RootA + "/pod" },
		func(s *Step) { s.Sub.Path = s.Sub.VolumePath },
		func(s *Step) { s.Base = RootA + "/vol" },
		func(s *Step) { s.Sub.VolumePath = RootA + "/vol" },
		func(s *Step) { s.Edit.Node.Mode = 0o755 },
		func(s *Step) { s.Edit.Node.UID, s.Edit.Node.GID = 0, 0 },
	}
	for f := range c.Steps[i].Faults {
		changes = append(changes,
			func(s *Step) {
				if f < len(s.Faults) {
					s.Faults = slices.Concat(s.Faults[:f], s.Faults[f+1:])
				}
			},
			func(s *Step) {
				if f < len(s.Faults) && s.Faults[f].What == "error" {
					s.Faults = slices.Clone(s.Faults)
					s.Faults[f].Kind = 0
				}
			})
	}
	for _, change := range changes {
		smaller := c
		smaller.Steps = slices.Clone(c.Steps)
		change(&smaller.Steps[i])
		if smaller.Steps[i].String() != c.Steps[i].String() && try(smaller) {
			c = smaller
		}
	}
	return c
}
