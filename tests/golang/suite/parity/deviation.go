// The deliberate deviations: each has a name, what the original does, what the port does instead,
// and the reason; each is excused only under the condition written here. Everything else must be
// equal. The same list stands in SECURITY.md; deviation tests show each side's behaviour directly.

package parity

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Deviation is one rule.
type Deviation struct {
	Name     string
	Original string
	Port     string
	Reason   string
	// when looks at the step and at side A before it is taken; allow at what came out.
	when  func(c *situation) bool
	allow func(c *situation, a, b *outcome, d []difference) bool
}

// situation is what was known before a step.
type situation struct {
	step   Step
	before snapshot
	rules  []*Deviation
}

// look finds the rules that a step may fall under.
func look(step Step, before snapshot, a, b *side) *situation {
	c := &situation{step: step, before: before}
	if a.impl.Name == b.impl.Name || step.Op == OpEdit || os.Chdir(RootA) != nil {
		return c
	}
	for i := range Deviations {
		if Deviations[i].when != nil && Deviations[i].when(c) {
			c.rules = append(c.rules, &Deviations[i])
		}
	}
	return c
}

// excuse gives the rule that covers all differences of a step, or nil.
func (c *situation) excuse(a, b *outcome, d []difference) *Deviation {
	for _, rule := range c.rules {
		if rule.allow(c, a, b, d) {
			return rule
		}
	}
	return nil
}

// Deviations is the list.
var Deviations = []Deviation{
	{
		Name:     "fifo-volume",
		Original: "opens the volume or base without O_DIRECTORY and waits for ever when it is a FIFO",
		Port:     "fails at once",
		Reason:   "a hang",
		when: func(c *situation) bool {
			base := c.step.Base
			switch c.step.Op {
			case OpBind:
				base = c.step.Sub.VolumePath
			case OpMake, OpMkdir, OpPrefix, OpOpen:
			default:
				return false
			}
			var st unix.Stat_t
			return unix.Stat(base, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
		},
		allow: func(c *situation, a, b *outcome, d []difference) bool {
			return a.err != nil && b.err != nil && sameTree(c.before, b.tree) && only(d, "error", "errors", "log", "PathError", "is a", "Errno")
		},
	},
}

// only says whether every difference is in a facet whose name begins with one of the words.
func only(ds []difference, words ...string) bool {
	for _, d := range ds {
		ok := false
		for _, w := range words {
			ok = ok || strings.HasPrefix(d.facet, w)
		}
		if !ok {
			return false
		}
	}
	return true
}

func sameTree(a, b snapshot) bool { return diffTrees(a, b) == nil }

// target is where the original mounts the step's sub path.
func (c *situation) target() string {
	sp := c.step.Sub
	return filepath.Join(sp.PodDir, "volume-subpaths", sp.VolumeName, sp.ContainerName, itoa(sp.VolumeMountIndex))
}
